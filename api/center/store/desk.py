"""Where events become cases: opening, joining, raising. One desk serves one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa

from api.center.cases import ChangeKind
from api.center.lifecycle import ENDS, State
from api.center.merge import Mark, Sighting, in_time, marks, near, searched
from api.center.model import SYSTEM, Outcome
from api.center.schema import cases, events, incidents
from api.center.schema import marks as marks_table
from api.center.store.arrivals import Arrival
from api.center.store.rows import ADD, ALL, SAVE_ALL, SAVE_SEEN, SEEN, CaseRow, read_rows
from api.center.store.statements import Lookup
from api.center.store.work import Work, clean
from api.center.tables import MergeOptions, RegionTree, Triage, ordered
from api.center.triage import route

_INCIDENTS = Lookup(
    lambda among: sa.select(
        incidents.c.incident, incidents.c.node_id, incidents.c.case_id, incidents.c.ended
    ).where(among(incidents.c.incident, "ids"))
)
_MARKS = Lookup(
    lambda among: (
        sa.select(marks_table.c.key, marks_table.c.longitude, marks_table.c.latitude, marks_table.c.case_id)
        .join_from(marks_table, cases, cases.c.id == marks_table.c.case_id)
        .where(
            among(marks_table.c.key, "keys"),
            sa.or_(
                sa.and_(cases.c.last_ms >= sa.bindparam("since"), cases.c.first_ms <= sa.bindparam("until")),
                # events of the same batch may bring these into the window
                among(cases.c.id, "known"),
            ),
        )
    )
)
_ADD_INCIDENT = sa.insert(incidents)
_ADD_EVENT = sa.insert(events)
_ADD_MARK = sa.insert(marks_table)
_SAVE_INCIDENT = (
    sa.update(incidents)
    .where(incidents.c.incident == sa.bindparam("b_incident"), incidents.c.node_id == sa.bindparam("b_node"))
    .values(case_id=sa.bindparam("case_id"), ended=sa.bindparam("ended"))
)

Known = tuple[str, int]
"""An incident: its id and its node's number. A node cannot speak of another's."""

_NONE: Final[Mapping[int, list[Mark]]] = MappingProxyType({})

OPENED: Final = "open"
RAISED: Final = "raise"


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about cases: triage, regions and merging."""

    triage: Triage
    regions: RegionTree
    merge: MergeOptions


@dataclass(slots=True)
class _Incident:
    case: int
    ended: bool
    row: dict[str, object] | None = None
    """To insert; None of one that the database has."""
    changed: bool = False


@dataclass(slots=True)
class Desk:
    """Takes events of incidents, in order, and writes at its end what they changed."""

    work: Work
    rules: Rules
    _incidents: dict[Known, _Incident] = field(default_factory=dict)
    _cases: dict[int, CaseRow] = field(default_factory=dict)
    _marks: dict[str, dict[int, list[Mark]]] = field(default_factory=dict)
    _searched: dict[Sighting, tuple[str, ...]] = field(default_factory=dict)
    _opened: set[int] = field(default_factory=set)
    _raised: set[int] = field(default_factory=set)
    _seen: set[int] = field(default_factory=set)
    _new_incidents: list[dict[str, object]] = field(default_factory=list)
    _new_events: list[dict[str, object]] = field(default_factory=list)
    _new_marks: list[dict[str, object]] = field(default_factory=list)

    def load(self, arrivals: Sequence[Arrival]) -> None:
        """Read what the events may touch: their incidents, the cases of these, and cases near by."""
        connection = self.work.connection
        told = {arrival.says.incident for arrival in arrivals if arrival.data is not None}
        for incident, node, case, ended in _INCIDENTS.rows(connection, {"ids": told}):
            self._incidents[incident, node] = _Incident(case, ended)
        self._cases = read_rows(connection, (known.case for known in self._incidents.values()))
        self._load_near([arrival for arrival in arrivals if self._needs_case(arrival)])

    def take(self, arrival: Arrival, number: int) -> Outcome:
        """Put an event to its case, which is found or opened.

        Args:
            arrival: of an incident.
            number: that the event's row gets.
        """
        incident = self._incidents.get((arrival.says.incident, arrival.node_id))
        opened = False
        if incident is None or self._outgrown(incident, arrival):
            case, opened = self._case_for(arrival)
            incident = self._put(arrival, incident, case)
        else:
            case = self._cases[incident.case]
        self._enter(arrival, case, incident)
        self._add_event(arrival, case, number)
        return Outcome(True, case.id, opened, case.level)

    def flush(self) -> None:
        """Write what was taken."""
        work, known = self.work, self._cases
        work.many(ADD, [known[id_].values() for id_ in sorted(self._opened)])
        full = sorted(self._raised - self._opened)
        work.many(SAVE_ALL, [known[id_].update(ALL) for id_ in full])
        seen = sorted(self._seen - self._raised - self._opened)
        work.many(SAVE_SEEN, [known[id_].update(SEEN) for id_ in seen])
        work.many(_ADD_INCIDENT, self._new_incidents)
        work.many(
            _SAVE_INCIDENT,
            [
                {"b_incident": name, "b_node": node, "case_id": one.case, "ended": one.ended}
                for (name, node), one in self._incidents.items()
                if one.changed and one.row is None
            ],
        )
        work.many(_ADD_MARK, self._new_marks)
        work.many(_ADD_EVENT, self._new_events)
        for id_ in sorted(self._seen):
            case = known[id_]
            what: ChangeKind = (
                "opened" if id_ in self._opened else "raised" if id_ in self._raised else "event"
            )
            work.changed(id_, case.version, what, case.level, case.state)

    def _needs_case(self, arrival: Arrival) -> bool:
        if arrival.data is None:
            return False
        known = self._incidents.get((arrival.says.incident, arrival.node_id))
        return known is None or self._outgrown(known, arrival)

    def _outgrown(self, incident: _Incident, arrival: Arrival) -> bool:
        """Whether a matter that was put aside has become worse since: it needs a case again."""
        case = self._cases[incident.case]
        return case.ended and arrival.says.level < case.level

    def _load_near(self, arrivals: Sequence[Arrival]) -> None:
        """Read the marks of cases that new incidents may belong to, and these cases."""
        if not arrivals:
            return
        merge = self.rules.merge
        sightings = {arrival.sighting() for arrival in arrivals}
        self._searched = {sighting: tuple(searched(sighting, merge)) for sighting in sightings}
        keys = {key for found in self._searched.values() for key in found}
        window_ms = round(merge.window_s * 1000)
        since_ms = min(sighting.at_ms for sighting in sightings) - window_ms
        until_ms = max(sighting.at_ms for sighting in sightings) + window_ms
        among = {"keys": keys, "known": self._cases.keys()}
        for *mark, case in _MARKS.rows(self.work.connection, among, since=since_ms, until=until_ms):
            self._remember(case, Mark(*mark))
        wanted = {case for found in self._marks.values() for case in found}
        self._cases.update(read_rows(self.work.connection, wanted - self._cases.keys()))

    def _remember(self, case: int, mark: Mark) -> None:
        self._marks.setdefault(mark.key, {}).setdefault(case, []).append(mark)

    def _case_for(self, arrival: Arrival) -> tuple[CaseRow, bool]:
        """The case that a new incident belongs to, and whether that was opened for it."""
        sighting = arrival.sighting()
        found = min(self._near(sighting), default=None)
        case = self._open(arrival) if found is None else self._cases[found]
        for mark in marks(sighting, self.rules.merge):
            if mark not in self._marks.get(mark.key, {}).get(case.id, ()):
                self._remember(case.id, mark)
                self._new_marks.append({**mark._asdict(), "case_id": case.id})
        return case, found is None

    def _near(self, sighting: Sighting) -> Iterable[int]:
        """Open cases that a new incident may join; of several, the oldest gets it."""
        merge = self.rules.merge
        for key in self._searched[sighting]:
            for id_, known in self._marks.get(key, _NONE).items():
                case = self._cases[id_]
                if (
                    case.state not in ENDS
                    and in_time(sighting.at_ms, case.first_ms, case.last_ms, merge)
                    and any(near(sighting, mark, merge) for mark in known)
                ):
                    yield id_

    def _open(self, arrival: Arrival) -> CaseRow:
        data, now_ms = arrival.says, self.work.now_ms
        triage, site = self.rules.triage, data.site
        code = site.grid or site.district
        way = route(triage, self.rules.regions, data.level, code)
        duty = triage.kinds[arrival.kind]
        due_ms = now_ms + triage.deadline_ms(data.level, State.REPORTED, self.work.profile)
        case = CaseRow(
            id=self.work.number("cases"),
            version=1,
            state=State.REPORTED,
            suspended_from=None,
            escalated=False,
            supervised=False,
            kind=arrival.kind,
            category=duty.category,
            department=duty.department,
            level=data.level,
            region=way.region,
            told=" ".join(way.told),
            place=clean(site.name),
            code=code,
            longitude=site.longitude,
            latitude=site.latitude,
            opened_ms=now_ms,
            ended_ms=None,
            first_ms=arrival.at_ms,
            last_ms=arrival.at_ms,
            stage_ms=now_ms,
            spent_ms=0,
            due_ms=due_ms,
            left_ms=None,
            late=False,
            missed=0,
            active=0,
            incidents=0,
            events=0,
        )
        self._cases[case.id] = case
        self._opened.add(case.id)
        detail = {"incident": data.incident, "level": data.level, "region": way.region, "told": way.told}
        why = f"{arrival.kind}/{data.zone} at {arrival.camera}"
        self.work.record(case.id, SYSTEM, OPENED, why, (None, State.REPORTED), detail)
        return case

    def _put(self, arrival: Arrival, known: _Incident | None, case: CaseRow) -> _Incident:
        """Put an incident to a case, for the first time or anew."""
        case.incidents += 1
        if known is not None:
            known.case, known.changed = case.id, True
            case.active += not known.ended
            return known
        case.active += 1
        row: dict[str, object] = {
            "incident": arrival.says.incident,
            "node_id": arrival.node_id,
            "case_id": case.id,
            "camera": arrival.camera.partition("/")[2],
            "kind": arrival.kind,
            "zone": arrival.says.zone,
            "ended": False,
            "verdict": None,
            "cause": None,
            "verdict_ms": None,
        }
        incident = _Incident(case.id, ended=False, row=row)
        self._incidents[arrival.says.incident, arrival.node_id] = incident
        self._new_incidents.append(row)
        return incident

    def _enter(self, arrival: Arrival, case: CaseRow, incident: _Incident) -> None:
        """What an event does to its case; in any order of a case's events the same comes of it."""
        data = arrival.says
        case.events += 1
        case.first_ms = min(case.first_ms, arrival.at_ms)
        case.last_ms = max(case.last_ms, arrival.at_ms)
        if data.phase == "end" and not incident.ended:
            incident.ended = incident.changed = True
            case.active -= 1
            if incident.row is not None:
                incident.row["ended"] = True
        if data.level < case.level and not case.ended:
            self._raise(arrival, case, data.level)
        self._seen.add(case.id)

    def _raise(self, arrival: Arrival, case: CaseRow, level: int) -> None:
        """A case has become more severe: more are told, sooner is it due."""
        before, case.level = case.level, level
        case.version += 1
        way = route(self.rules.triage, self.rules.regions, level, case.code)
        told = ordered((*case.told.split(), *way.told))
        case.told = " ".join(told)
        case.region = min(case.region, way.region, key=len)
        self._hasten(case)
        if case.id not in self._opened:
            self._raised.add(case.id)
        self.work.record(
            case.id,
            SYSTEM,
            RAISED,
            f"level {before} became {level}",
            (case.state, case.state),
            {"incident": arrival.says.incident, "level": level, "region": case.region, "told": told},
        )

    def _hasten(self, case: CaseRow) -> None:
        stage = case.suspended_from or case.state
        allowed_ms = self.rules.triage.deadline_ms(case.level, stage, self.work.profile)
        if case.late:
            return
        if case.due_ms is not None:
            case.due_ms = min(case.due_ms, case.stage_ms + allowed_ms - case.spent_ms)
        if case.left_ms is not None:
            case.left_ms = min(case.left_ms, allowed_ms - case.spent_ms)

    def _add_event(self, arrival: Arrival, case: CaseRow, number: int) -> None:
        data = arrival.says
        self._new_events.append(
            {
                "n": number,
                "case_id": case.id,
                "node_id": arrival.node_id,
                "sequence": arrival.sequence,
                "id": arrival.id,
                "incident": data.incident,
                "phase": data.phase,
                "level": data.level,
                "observed_ms": arrival.observed_ms,
                "received_ms": arrival.received_ms,
                "skew_ms": arrival.skew_ms,
                "body": arrival.body,
            }
        )
