"""Forgetting what may be forgotten, a piece at a time, so that the database does not grow without end."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from api.center.instants import DAY_MS, HOUR_MS
from api.center.lifecycle import ENDS
from api.center.model import StoreOptions
from api.center.refusal import node_of
from api.center.schema import cases, changes, covered, events, inbox, marks, nodes
from api.center.store.work import Work

PIECE = 20_000
"""Rows of each table that one go looks at."""

STEADY_MS = HOUR_MS
"""For so long the clock must have gone on evenly before anything is forgotten by it."""
STEP_MS = 2 * HOUR_MS
"""A clock that went on by more between two looks has leapt: looks are an hour apart at most."""

_FORGOTTEN = (
    sa.update(nodes)
    .where(nodes.c.node == sa.bindparam("b_node"), nodes.c.forgotten < sa.bindparam("b_id"))
    .values(forgotten=sa.bindparam("b_id"))
)


@dataclass(slots=True)
class Walk:
    """A walk through a table, a piece at a time; some time after its end it begins anew.

    What stays behind because its case is open is met again, and goes when that has ended.

    Attributes:
        every_ms: time between two beginnings, at least.
        passed: number of the last row that was looked at.
    """

    every_ms: int
    passed: int = 0
    _again_ms: int = 0

    def go(self, last: int | None, now_ms: int) -> None:
        """Note how far it got; None where there was nothing more."""
        if last is not None:
            self.passed = last
        elif now_ms >= self._again_ms:
            self.passed, self._again_ms = 0, now_ms + self.every_ms


class Upkeep:
    """Deletes what is old enough: keys of events, changes, events of ended cases, marks of quiet ones.

    A forgotten key does no harm: its number is stored, and the highest of these ids is kept by its node, so
    `Reception` still knows it for a duplicate.
    """

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        self._looked_ms = self._steady_ms = 0
        self._events, self._marks = Walk(DAY_MS), Walk(HOUR_MS)

    def forget(self, work: Work) -> int:
        """Delete a piece of each; returns how many rows. Nothing, while the clock cannot be trusted."""
        options, now_ms = self._options, work.now_ms
        if not self._steady(now_ms):
            return 0
        keys = _before(work, inbox.c.n, inbox.c.received_ms, _ago(now_ms, options.inbox_days))
        told = _before(work, changes.c.id, changes.c.at_ms, _ago(now_ms, options.changes_days))
        if keys is not None:
            _remember_ids(work, keys)
        count = sum(
            _delete(work, number, last)
            for number, last in ((inbox.c.n, keys), (changes.c.id, told))
            if last is not None
        )
        count += _forget_hour(work, _ago(now_ms, options.covered_days) // HOUR_MS)
        count += self._forget_events(work, _ago(now_ms, options.events_days))
        return count + self._forget_marks(work, _ago(now_ms, options.quiet_days))

    def _forget_events(self, work: Work, before_ms: int) -> int:
        """Delete old events of cases that have ended; those of open ones stay behind."""
        walk = self._events
        last = _before(work, events.c.n, events.c.received_ms, before_ms, walk.passed)
        over = sa.select(cases.c.id).where(cases.c.id == events.c.case_id, cases.c.state.in_(sorted(ENDS)))
        count = (
            0 if last is None else _delete(work, events.c.n, last, events.c.n > walk.passed, over.exists())
        )
        walk.go(last, work.now_ms)
        return count

    def _forget_marks(self, work: Work, before_ms: int) -> int:
        """Let cases that are quiet be joined no more: else each place would gather them for ever."""
        walk = self._marks
        piece = (
            sa.select(marks.c.n).where(marks.c.n > walk.passed).order_by(marks.c.n).limit(PIECE).subquery()
        )
        last: int | None = work.connection.execute(sa.select(sa.func.max(piece.c.n))).scalar_one()
        # the centre's time too: what a node sends late is joined by what it sends a moment later
        quiet = sa.select(cases.c.id).where(
            cases.c.id == marks.c.case_id, cases.c.last_ms < before_ms, cases.c.opened_ms < before_ms
        )
        count = 0 if last is None else _delete(work, marks.c.n, last, marks.c.n > walk.passed, quiet.exists())
        walk.go(last, work.now_ms)
        return count

    def _steady(self, now_ms: int) -> bool:
        """Whether the clock has gone on evenly for some time: no leap, forth or back, and no start."""
        if not 0 <= now_ms - self._looked_ms <= STEP_MS:
            self._steady_ms = now_ms
        self._looked_ms = now_ms
        return now_ms - self._steady_ms >= STEADY_MS


def _remember_ids(work: Work, last: int) -> None:
    """Keep the highest id of each node whose keys are about to be forgotten."""
    found = sa.select(inbox.c.source, sa.func.max(inbox.c.id)).where(inbox.c.n <= last)
    highest: dict[str, str] = {}
    for source, id_ in work.connection.execute(found.group_by(inbox.c.source)):
        node = node_of(source)
        highest[node] = max(highest.get(node, ""), id_)
    work.many(_FORGOTTEN, [{"b_node": node, "b_id": id_} for node, id_ in sorted(highest.items())])


def _forget_hour(work: Work, before: int) -> int:
    """Delete the oldest hour of coverage, if it is old enough."""
    oldest = sa.select(sa.func.min(covered.c.hour)).scalar_subquery()
    return work.connection.execute(
        sa.delete(covered).where(covered.c.hour == oldest, covered.c.hour < before)
    ).rowcount


def _ago(now_ms: int, days: int) -> int:
    return now_ms - days * DAY_MS


def _before(
    work: Work, number: sa.Column[Any], at_ms: sa.Column[Any], ms: int, passed: int = 0
) -> int | None:
    """Number of the last row of the next piece that is older.

    Rows are numbered in the order of their coming, so those with the lowest numbers are the oldest.
    """
    piece = sa.select(number, at_ms).where(number > passed).order_by(number).limit(PIECE).subquery()
    last = sa.select(sa.func.max(piece.c[number.name])).where(piece.c[at_ms.name] < ms)
    found: int | None = work.connection.execute(last).scalar_one()
    return found


def _delete(work: Work, number: sa.Column[Any], last: int, *where: sa.ColumnElement[bool]) -> int:
    return work.connection.execute(sa.delete(number.table).where(number <= last, *where)).rowcount
