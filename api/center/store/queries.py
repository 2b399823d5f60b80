"""Looking at cases, their history and what became of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from api.center.cases import Case, CaseEvent, CaseQuery, Change, Record
from api.center.errors import NotFoundError
from api.center.history import Entry, check
from api.center.instants import from_ms, unix_ms
from api.center.lifecycle import State
from api.center.model import Feedback, Verified
from api.center.schema import cases, chain, changes, events, feedback, history, incidents, nodes
from api.center.store.rows import read_row, read_rows

_ROWS = 1000


def find_cases(connection: sa.Connection, query: CaseQuery) -> list[Case]:
    """Cases that fit, newest first; without their cameras and history."""
    chosen = sa.select(cases).where(*_conditions(query)).order_by(cases.c.id.desc()).limit(query.limit)
    return [read_row(row).case() for row in connection.execute(chosen)]


def read_case(connection: sa.Connection, id_: int) -> Case:
    """A case with its cameras and history.

    Raises:
        NotFoundError: there is none.
    """
    row = read_rows(connection, [id_]).get(id_)
    if row is None:
        raise NotFoundError(f"there is no case {id_}")
    seen_by = (
        sa.select(nodes.c.node, incidents.c.camera)
        .join_from(incidents, nodes, nodes.c.id == incidents.c.node_id)
        .where(incidents.c.case_id == id_)
        .distinct()
        .order_by(nodes.c.node, incidents.c.camera)
    )
    told = sa.select(history).where(history.c.case_id == id_).order_by(history.c.id)
    return replace(
        row.case(),
        cameras=tuple(f"{node}/{camera}" for node, camera in connection.execute(seen_by)),
        history=tuple(_record(found) for found in connection.execute(told)),
    )


def read_events(connection: sa.Connection, case: int, after: int, limit: int) -> list[CaseEvent]:
    """Events of a case after one that was seen: by node, and in that node's order, however they came.

    Raises:
        NotFoundError: there is no such case.
    """
    if case not in read_rows(connection, [case]):
        raise NotFoundError(f"there is no case {case}")
    order = (events.c.node_id, events.c.sequence, events.c.n)
    query = (
        sa.select(events, nodes.c.node)
        .join_from(events, nodes, nodes.c.id == events.c.node_id)
        .where(events.c.case_id == case)
        .order_by(*order)
        .limit(limit)
    )
    if after:
        query = query.where(
            sa.tuple_(*order) > sa.select(*order).where(events.c.n == after).scalar_subquery()
        )
    return [
        CaseEvent(
            n=row.n,
            node=row.node,
            sequence=row.sequence,
            id=row.id,
            incident=row.incident,
            phase=row.phase,
            level=row.level,
            observed=from_ms(row.observed_ms),
            received=from_ms(row.received_ms),
            clock_skew_s=None if row.skew_ms is None else row.skew_ms / 1000,
            body=row.body,
        )
        for row in connection.execute(query)
    ]


def read_changes(connection: sa.Connection, after: int, limit: int) -> list[Change]:
    """What became of cases, after a change that was seen."""
    query = sa.select(changes).where(changes.c.id > after).order_by(changes.c.id).limit(limit)
    return [
        Change(row.id, from_ms(row.at_ms), row.case_id, row.version, row.what, row.level, State(row.state))
        for row in connection.execute(query)
    ]


def last_change(connection: sa.Connection) -> int:
    """Number of the last change so far."""
    return int(connection.execute(sa.select(chain.c.changes)).scalar_one())


def read_feedback(connection: sa.Connection, limit: int) -> list[Feedback]:
    """Messages that wait, oldest first."""
    query = sa.select(feedback).order_by(feedback.c.id).limit(limit)
    return [Feedback(row.id, row.node, row.body) for row in connection.execute(query)]


def is_surge(connection: sa.Connection) -> bool:
    """Whether the profile of surge holds."""
    return bool(connection.execute(sa.select(chain.c.surge)).scalar_one())


def verify(connection: sa.Connection) -> Verified:
    """Recompute the history's hashes, row by row, without holding all of it in memory."""
    count, head = connection.execute(sa.select(chain.c.history, chain.c.head)).one()
    return check(_sealed(connection), count, head)


def read_history(connection: sa.Connection, after: int, limit: int) -> list[Record]:
    """Rows of the history, those of keys and surge mode among them."""
    query = sa.select(history).where(history.c.id > after).order_by(history.c.id).limit(limit)
    return [_record(row) for row in connection.execute(query)]


def _sealed(connection: sa.Connection) -> Iterator[tuple[Entry, str]]:
    after = 0
    query = sa.select(history).order_by(history.c.id).limit(_ROWS)
    while rows := connection.execute(query.where(history.c.id > after)).all():
        for *columns, hashed in rows:
            yield Entry(*columns), hashed
        after = rows[-1][0]


def _conditions(query: CaseQuery) -> Iterator[sa.ColumnElement[bool]]:
    columns = cases.c
    if query.states is not None:
        yield columns.state.in_(sorted(query.states))
    if query.open is not None:
        # said as an index has it, which gives open cases in their order
        yield columns.ended_ms.is_(None) if query.open else columns.ended_ms.is_not(None)
    if query.levels is not None:
        yield columns.level.in_(sorted(query.levels))
    if query.kind is not None:
        family = columns.kind.startswith(f"{query.kind}.", autoescape=True)
        yield sa.or_(columns.kind == query.kind, family)
    if query.within is not None:
        yield columns.code.startswith(query.within, autoescape=True)
    for name in ("region", "department", "late", "escalated", "supervised"):
        if (value := getattr(query, name)) is not None:
            yield columns[name] == value
    if query.calm is not None:
        yield (columns.active == 0) if query.calm else (columns.active > 0)
    yield from _in_time(query)


def _in_time(query: CaseQuery) -> Iterator[sa.ColumnElement[bool]]:
    if query.since is not None:
        yield cases.c.opened_ms >= unix_ms(query.since)
    if query.until is not None:
        yield cases.c.opened_ms < unix_ms(query.until)
    if query.before is not None:
        yield cases.c.id < query.before


def _record(row: Any) -> Record:
    return Record(
        row.id,
        row.case_id,
        from_ms(row.at_ms),
        row.who,
        row.action,
        row.before,
        row.after,
        row.why,
        row.detail,
        row.hash,
    )
