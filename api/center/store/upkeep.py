"""Forgetting what may be forgotten, a piece at a time, so that the database does not grow without end."""

from typing import Any

import sqlalchemy as sa

from api.center.instants import DAY_MS
from api.center.lifecycle import ENDS
from api.center.model import StoreOptions
from api.center.schema import cases, changes, events, inbox
from api.center.store.work import Work

PIECE = 20_000
"""Rows of each table that one go looks at."""


class Upkeep:
    """Deletes what is old enough: keys of events, changes, and events of ended cases.

    A forgotten key does no harm: its number is stored, so `Reception` still knows it for a duplicate.
    """

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        # events of cases that are still open stay behind; so this goes on from where it was
        self._passed = 0

    def forget(self, work: Work) -> int:
        """Delete a piece of each; returns how many rows."""
        options, now_ms = self._options, work.now_ms
        keys = _before(work, inbox.c.n, inbox.c.received_ms, _ago(now_ms, options.inbox_days))
        told = _before(work, changes.c.id, changes.c.at_ms, _ago(now_ms, options.changes_days))
        old = _before(work, events.c.n, events.c.received_ms, _ago(now_ms, options.events_days), self._passed)
        over = sa.select(cases.c.id).where(cases.c.id == events.c.case_id, cases.c.state.in_(sorted(ENDS)))
        count = sum(
            _delete(work, number, last)
            for number, last in ((inbox.c.n, keys), (changes.c.id, told))
            if last is not None
        )
        if old is not None:
            count += _delete(work, events.c.n, old, events.c.n > self._passed, over.exists())
            self._passed = old
        return count


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
