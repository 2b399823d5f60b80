"""What people and missed deadlines do with cases, and what that sets going."""

from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa

from api.center.errors import ConflictError, IllegalError, NotFoundError
from api.center.instants import from_ms
from api.center.lifecycle import STAGES, Action, Standing, State, step
from api.center.model import SYSTEM
from api.center.schema import cases, incidents, marks, nodes, stages
from api.center.store.desk import Rules
from api.center.store.rows import ALL, SAVE_ALL, CaseRow, read_row, read_rows
from api.center.store.work import Work, clean
from api.center.tables import ordered
from edge.envelope import rfc3339

MAX_WHO, MAX_WHY = 200, 2000
"""Characters of a name and of a reason."""

_ADD_STAGE = sa.insert(stages)
_DROP_MARKS = sa.delete(marks).where(marks.c.case_id == sa.bindparam("b_id"))
_OVERDUE = (
    sa.select(cases)
    .where(cases.c.late == sa.false(), cases.c.due_ms < sa.bindparam("b_now"))
    .order_by(cases.c.due_ms)
    .limit(sa.bindparam("b_limit"))
)
_JUDGED = (
    sa.select(incidents.c.incident, incidents.c.camera, incidents.c.kind, incidents.c.zone, nodes.c.node)
    .join_from(incidents, nodes, nodes.c.id == incidents.c.node_id)
    .where(incidents.c.case_id == sa.bindparam("b_id"))
    .order_by(nodes.c.node, incidents.c.incident)
)
_JUDGE = (
    sa.update(incidents)
    .where(incidents.c.case_id == sa.bindparam("b_id"))
    .values(
        verdict=sa.bindparam("verdict"), cause=sa.bindparam("cause"), verdict_ms=sa.bindparam("verdict_ms")
    )
)

_VERDICTS: Final = {State.CLOSED: True, State.REJECTED: False}


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody wants to do with a case.

    Attributes:
        case: its number.
        version: that was seen.
        action: what.
        who, why: 1 to 200 and 1 to 2000 characters.
        cause: of a false alarm, a code from the triage table; only of `reject`, which needs it.
    """

    case: int
    version: int
    action: Action
    who: str
    why: str
    cause: str | None = None


def perform(work: Work, rules: Rules, act: Act) -> CaseRow:
    """Do it.

    Raises:
        NotFoundError: there is no such case.
        ConflictError: the case has another version by now.
        IllegalError: the lifecycle does not allow it, or who, why or the cause is missing.
    """
    who, why = said(act.who, "who", MAX_WHO), said(act.why, "why", MAX_WHY)
    case = read_rows(work.connection, [act.case]).get(act.case)
    if case is None:
        raise NotFoundError(f"there is no case {act.case}")
    if case.version != act.version:
        raise ConflictError(case.version)
    _check_cause(rules, act)
    after = step(case.standing, act.action)
    if act.action is Action.ESCALATE:
        _escalate(work, rules, case, who, why)
    else:
        _move(work, rules, case, after, replace(act, who=who, why=why))
    return case


def said(text: str, name: str, longest: int) -> str:
    """A name or a reason, without space around it.

    Raises:
        IllegalError: it is empty or too long.
    """
    text = clean(text).strip()
    if not 1 <= len(text) <= longest:
        raise IllegalError(f"{name} must have 1 to {longest} characters")
    return text


def escalate_overdue(work: Work, rules: Rules, now_ms: int, limit: int) -> list[CaseRow]:
    """Escalate cases whose stage's deadline has passed, each once for each deadline."""
    rows = work.connection.execute(_OVERDUE, {"b_now": now_ms, "b_limit": limit}).all()
    found = [read_row(row) for row in rows]
    for case in found:
        assert case.due_ms is not None  # noqa: S101 - the query asked for it
        case.late = True
        case.missed += 1
        due = rfc3339(from_ms(case.due_ms))
        _escalate(work, rules, case, SYSTEM, f"the deadline of {case.state} passed at {due}")
    return found


def set_surge(work: Work, who: str, why: str, *, on: bool) -> None:
    """Switch between the profiles of peace and of surge (平战结合); nodes are told.

    Raises:
        IllegalError: who or why is missing.
    """
    who, why = said(who, "who", MAX_WHO), said(why, "why", MAX_WHY)
    work.surge = on
    work.record(None, who, "surge", why, detail={"profile": work.profile})
    work.tell("*", {"kind": "profile", "profile": work.profile, "time": rfc3339(from_ms(work.now_ms))})


def _check_cause(rules: Rules, act: Act) -> None:
    if act.action is Action.REJECT:
        if act.cause not in rules.triage.causes:
            raise IllegalError(f"reject needs a cause, one of {', '.join(rules.triage.causes)}")
    elif act.cause is not None:
        raise IllegalError(f"{act.action} takes no cause; only reject does")


def _escalate(work: Work, rules: Rules, case: CaseRow, who: str, why: str) -> None:
    """Hand a case to the region above; at the top it stays where it is, and is marked all the same."""
    above = rules.regions.above(case.region)
    before = case.region
    if above is not None:
        case.region = above.code
        case.told = " ".join(ordered((*case.told.split(), above.code)))
    case.escalated = True
    case.version += 1
    detail = {"from": before, "to": case.region}
    work.record(case.id, who, Action.ESCALATE, why, (case.state, case.state), detail)
    work.changed(case.id, case.version, "escalated", case.level, case.state)
    work.many(SAVE_ALL, [case.update(ALL)])


def _move(work: Work, rules: Rules, case: CaseRow, after: Standing, act: Act) -> None:
    before = case.standing
    case.version += 1
    detail = {"cause": act.cause} if act.cause is not None else {}
    record = work.record(case.id, act.who, act.action, act.why, (before.state, after.state), detail)
    if after.state is not before.state:
        _change_stage(work, rules, case, after, record)
    case.stand(after)
    if after.ended:
        _end(work, case, act.cause)
    work.changed(case.id, case.version, "acted", case.level, case.state)
    work.many(SAVE_ALL, [case.update(ALL)])


def _change_stage(work: Work, rules: Rules, case: CaseRow, after: Standing, record: int) -> None:
    now_ms = work.now_ms
    if after.state is State.SUSPENDED:
        case.spent_ms = case.stay_ms(now_ms)
        case.left_ms = None if case.due_ms is None else case.due_ms - now_ms
        case.due_ms = None
        return
    if case.state is State.SUSPENDED and after.state in STAGES:  # resumed: the same stage goes on
        case.due_ms = None if case.left_ms is None else now_ms + case.left_ms
        case.stage_ms, case.left_ms = now_ms, None
        return
    stage = case.suspended_from or case.state
    row = {
        "history_id": record,
        "case_id": case.id,
        "stage": stage,
        "ended_ms": now_ms,
        "spent_ms": case.stay_ms(now_ms),
        "late": case.late,
    }
    work.many(_ADD_STAGE, [row])
    case.stage_ms, case.spent_ms, case.left_ms, case.late = now_ms, 0, None, False
    case.due_ms = None
    if after.state in STAGES:
        case.due_ms = now_ms + rules.triage.deadline_ms(case.level, after.state, work.profile)


def _end(work: Work, case: CaseRow, cause: str | None) -> None:
    """Nothing joins it any more; its nodes learn what it was."""
    case.ended_ms = work.now_ms
    work.connection.execute(_DROP_MARKS, {"b_id": case.id})
    verdict = _VERDICTS.get(case.state)
    if verdict is None:
        return
    case.verdict, case.cause = verdict, cause
    work.connection.execute(
        _JUDGE, {"b_id": case.id, "verdict": verdict, "cause": cause, "verdict_ms": work.now_ms}
    )
    time = rfc3339(from_ms(work.now_ms))
    for incident, camera, kind, zone, node in work.connection.execute(_JUDGED, {"b_id": case.id}):
        message = {"incident": incident, "camera": camera, "rule": f"{kind}/{zone}"}
        told = {"verdict": "true"} if verdict else {"verdict": "false", "cause": cause}
        work.tell(node, {"kind": "verdict", **message, **told, "time": time})
