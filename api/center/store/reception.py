"""Taking events in: once each, accounts and cases with them, all in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from api.center.instants import HOUR_MS
from api.center.model import Outcome
from api.center.schema import covered, inbox
from api.center.store.accounts import Book, Books, ranges_of
from api.center.store.arrivals import HEARTBEAT, Arrival
from api.center.store.desk import Desk, Rules
from api.center.store.statements import Lookup
from api.center.store.work import Work

_KNOWN = Lookup(lambda among: sa.select(inbox.c.source, inbox.c.id).where(among(inbox.c.id, "ids")))
_ADD = sa.insert(inbox)
_SUMS: Final = ("analysed_ms", "degraded_ms", "blind_ms", "camera_ms")
_DUPLICATE: Final = Outcome(fresh=False)


def _adding(dialect: str) -> sa.Insert:
    """Add to an hour's sums, or begin them."""
    insert = postgresql.insert(covered) if dialect == "postgresql" else sqlite.insert(covered)
    return insert.on_conflict_do_update(
        index_elements=["node_id", "hour"],
        set_={name: covered.c[name] + insert.excluded[name] for name in _SUMS},
    )


_ADD_HOURS: Final = {dialect: _adding(dialect) for dialect in ("sqlite", "postgresql")}


@dataclass(frozen=True, slots=True)
class Reception:
    """Takes events in.

    Attributes:
        rules: what decides about cases.
        dialect: of the database.
    """

    rules: Rules
    dialect: str

    def take(self, work: Work, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Store what is new, and its effects; returns one outcome for each, in the same order."""
        books = self._open(work, arrivals)
        known = self._known(work, arrivals)
        # an incident's begin before its end, a case's history in the order of things
        order = sorted(range(len(arrivals)), key=lambda k: (arrivals[k].node, arrivals[k].sequence))
        fresh = [k for k in order if self._enter(arrivals[k], books.by_node[arrivals[k].node], known)]
        outcomes = [_DUPLICATE] * len(arrivals)
        desk = Desk(work, self.rules)
        desk.load([arrivals[k] for k in fresh])
        rows: list[dict[str, object]] = []
        for k in fresh:
            arrival = arrivals[k]
            number = work.number("events")
            if arrival.kind != HEARTBEAT:
                rows.append(_inbox_row(arrival, number))
            outcomes[k] = Outcome(fresh=True) if arrival.data is None else desk.take(arrival, number)
        work.many(_ADD, rows)
        desk.flush()
        self._cover(work, [arrivals[k] for k in fresh])
        for k in fresh:
            self._lose(arrivals[k], books.by_node[arrivals[k].node])
        books.flush()
        return outcomes

    def _open(self, work: Work, arrivals: Sequence[Arrival]) -> Books:
        touched: dict[str, list[tuple[int, int]]] = {}
        for arrival in arrivals:
            ranges = touched.setdefault(arrival.node, [])
            ranges += ranges_of((arrival.sequence,))
            ranges += arrival.gaps
        books = Books(work)
        books.open(touched)
        for arrival in arrivals:
            arrival.node_id = books.by_node[arrival.node].id
        return books

    def _known(self, work: Work, arrivals: Sequence[Arrival]) -> set[tuple[str, str]]:
        """Keys that are in the inbox already, among others with the same id."""
        ids = {arrival.id for arrival in arrivals if arrival.kind != HEARTBEAT}
        return {(source, id_) for source, id_ in _KNOWN.rows(work.connection, {"ids": ids})}

    def _enter(self, arrival: Arrival, book: Book, known: set[tuple[str, str]]) -> bool:
        """Enter an event's number; says whether the event is new.

        A number that came before is a new event's only where its node counts anew. Then its id is above all
        ids whose keys were forgotten; the others are looked for in the inbox. No clock but the node's own,
        which made the ids, has a say in it.
        """
        new = book.account.store(arrival.sequence, arrival.received_ms)
        book.changed |= new
        if arrival.kind == HEARTBEAT:
            # it changes nothing but when its node was heard: that needs no key, and the inbox stays small
            fresh = new or arrival.id > book.newest
        else:
            key = (arrival.source, arrival.id)
            fresh = key not in known and (new or arrival.id > book.forgotten)
            known.add(key)
        if fresh:  # what somebody says again is no sign of life
            book.heard(arrival.received_ms)
            book.newest = max(book.newest, arrival.id)
            book.account.repeated += not new
        return fresh

    def _cover(self, work: Work, arrivals: Sequence[Arrival]) -> None:
        sums: dict[tuple[int, int], list[int]] = {}
        for arrival in arrivals:
            if arrival.hours is not None:
                hour = min(arrival.time_ms, arrival.received_ms) // HOUR_MS
                own = sums.setdefault((arrival.node_id, hour), [0] * len(_SUMS))
                own[:] = [a + b for a, b in zip(own, arrival.hours, strict=True)]
        work.many(
            _ADD_HOURS[self.dialect],
            [
                {"node_id": node, "hour": hour, **dict(zip(_SUMS, values, strict=True))}
                for (node, hour), values in sorted(sums.items())
            ],
        )

    def _lose(self, arrival: Arrival, book: Book) -> None:
        for first, last in arrival.gaps:
            book.account.lose(first, last, arrival.received_ms)


def _inbox_row(arrival: Arrival, number: int) -> dict[str, object]:
    return {"n": number, "source": arrival.source, "id": arrival.id, "received_ms": arrival.received_ms}
