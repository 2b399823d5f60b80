"""The nodes' accounts in the database: which numbers came, which were reported lost, which are missing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from api.center.errors import NotFoundError
from api.center.instants import from_ms
from api.center.model import Hole, Ledger
from api.center.schema import Number, holes, lost, nodes
from api.center.sequences import Account, Span, extent
from api.center.store.statements import Lookup
from api.center.store.work import Work

Ranges = Sequence[tuple[int, int]]

SET_BACK_MS = 60_000
"""Workers differ by less; what is further ahead was noted before the clock was set back."""

_NODES = Lookup(lambda among: sa.select(nodes).where(among(nodes.c.node, "names")))
_HEARD_THROUGH = sa.select(nodes.c.node, nodes.c.through).where(nodes.c.heard_ms.is_not(None))
_THROUGH = Lookup(lambda among: _HEARD_THROUGH.where(among(nodes.c.node, "names")))
_ADD_NODE = sa.insert(nodes)
_SAVE_NODE = (
    sa.update(nodes)
    .where(nodes.c.id == sa.bindparam("b_id"))
    .values(
        {
            name: sa.bindparam(name)
            for name in ("top", "through", "stored", "gone", "repeated", "heard_ms", "newest")
        }
    )
)
_NODE, _FIRST, _LAST = (sa.bindparam(name, type_=Number) for name in ("b_node", "b_first", "b_last"))
_HOLES = (
    sa.select(holes.c.first, holes.c.last, holes.c.since_ms)
    .where(holes.c.node_id == _NODE, holes.c.last >= _FIRST, holes.c.first <= _LAST)
    .order_by(holes.c.first)
)
_LOST = (
    sa.select(lost.c.first, lost.c.last)
    .where(lost.c.node_id == _NODE, lost.c.last >= _FIRST, lost.c.first <= _LAST)
    .order_by(lost.c.first)
)
_FIRST_HOLES = Lookup(
    lambda among: (
        sa.select(holes.c.node_id, sa.func.min(holes.c.first))
        .where(among(holes.c.node_id, "ids"))
        .group_by(holes.c.node_id)
    )
)
_DROP_HOLE = sa.delete(holes).where(holes.c.node_id == _NODE, holes.c.first == _FIRST)
_DROP_LOST = sa.delete(lost).where(lost.c.node_id == _NODE, lost.c.first == _FIRST)
_ADD_HOLE = sa.insert(holes)
_ADD_LOST = sa.insert(lost)


@dataclass(slots=True)
class Book:
    """A node's account, with the spans of it that a transaction touches.

    Attributes:
        id: of the node's row.
        account: what is changed.
        heard_ms: when the node was heard last; None for never.
        newest: the highest id of its events.
        forgotten: the highest id of those whose keys left the inbox.
        was_holes, was_lost: the spans as they were read.
    """

    id: int
    account: Account
    heard_ms: int | None
    newest: str = ""
    forgotten: str = ""
    was_holes: frozenset[Span] = frozenset()
    was_lost: frozenset[Span] = frozenset()
    changed: bool = False

    def heard(self, at_ms: int) -> None:
        """Note a sign of life; where the centre's clock was set back, it is followed."""
        before_ms = self.heard_ms or 0
        self.heard_ms = at_ms if before_ms - at_ms > SET_BACK_MS else max(at_ms, before_ms)
        self.changed = True


@dataclass(slots=True)
class Books:
    """The accounts that a transaction touches."""

    work: Work
    by_node: dict[str, Book] = field(default_factory=dict)

    def open(self, touched: Mapping[str, Ranges]) -> None:
        """Read the accounts of nodes, or begin them.

        Args:
            touched: the numbers that will be entered, by node.
        """
        found = read_books(self.work.connection, sorted(touched))
        fresh = []
        for node, ranges in touched.items():
            book = found.get(node)
            if book is None:
                book = Book(self.work.number("nodes"), Account(), None)
                fresh.append(new_node(book.id, node))
            elif ranges:
                self._read_spans(book, ranges)
            self.by_node[node] = book
        self.work.many(_ADD_NODE, fresh)

    def flush(self) -> None:
        """Write what changed."""
        changed = [book for book in self.by_node.values() if book.changed]
        drops: dict[str, list[dict[str, object]]] = {"holes": [], "lost": []}
        adds: dict[str, list[dict[str, object]]] = {"holes": [], "lost": []}
        for book in changed:
            holes_now, lost_now = frozenset(book.account.holes), frozenset(book.account.lost)
            for name, was, now in (
                ("holes", book.was_holes, holes_now),
                ("lost", book.was_lost, lost_now),
            ):
                drops[name] += [{"b_node": book.id, "b_first": span.first} for span in was - now]
                adds[name] += [_span_row(book.id, span, with_since=name == "holes") for span in now - was]
            book.was_holes, book.was_lost = holes_now, lost_now
        for statement, rows in (
            (_DROP_HOLE, drops["holes"]),
            (_DROP_LOST, drops["lost"]),
            (_ADD_HOLE, adds["holes"]),
            (_ADD_LOST, adds["lost"]),
        ):
            self.work.many(statement, rows)
        self._save(changed)

    def _save(self, changed: Sequence[Book]) -> None:
        open_ = [book.id for book in changed if book.account.missing]
        found = _FIRST_HOLES.rows(self.work.connection, {"ids": open_})
        first_hole = {row[0]: row[1] for row in found}
        rows: list[dict[str, object]] = []
        for book in changed:
            account = book.account
            rows.append(
                {
                    "b_id": book.id,
                    "top": account.top,
                    "through": first_hole.get(book.id, account.top + 1) - 1,
                    "stored": account.stored,
                    "gone": account.gone,
                    "repeated": account.repeated,
                    "heard_ms": book.heard_ms,
                    "newest": book.newest,
                }
            )
            book.changed = False
        self.work.many(_SAVE_NODE, rows)

    def _read_spans(self, book: Book, ranges: Ranges) -> None:
        account = book.account
        low, high = extent(ranges)
        if low > account.top + 1:
            return
        where = {"b_node": book.id, "b_first": low, "b_last": high}
        if account.missing:
            account.holes = [Span(*row) for row in self.work.connection.execute(_HOLES, where)]
            book.was_holes = frozenset(account.holes)
        if account.gone:
            account.lost = [Span(*row) for row in self.work.connection.execute(_LOST, where)]
            book.was_lost = frozenset(account.lost)


def read_books(connection: sa.Connection, names: Sequence[str]) -> dict[str, Book]:
    """The accounts of nodes without their spans, by node."""
    found = {}
    for row in _NODES.rows(connection, {"names": names}):
        account = Account(row.top, row.stored, row.gone, row.repeated)
        found[row.node] = Book(row.id, account, row.heard_ms, row.newest, row.forgotten)
    return found


def new_node(id_: int, node: str) -> dict[str, object]:
    """The row of a node that nothing is known of."""
    zeros = dict.fromkeys(("top", "through", "stored", "gone", "repeated"), 0)
    return {"id": id_, "node": node, "heard_ms": None, "newest": "", "forgotten": "", **zeros}


def node_id(work: Work, node: str) -> int:
    """The number of a node's row; makes it where it is missing."""
    books = Books(work)
    books.open({node: ()})
    return books.by_node[node].id


def _span_row(node: int, span: Span, *, with_since: bool) -> dict[str, object]:
    row: dict[str, object] = {"node_id": node, "first": span.first, "last": span.last}
    return {**row, "since_ms": span.since_ms} if with_since else row


def read_through(connection: sa.Connection, names: Collection[str] | None = None) -> dict[str, int]:
    """By node that was heard, up to which number all came or was reported lost; of all nodes, or of some."""
    if names is not None:
        return {row.node: row.through for row in _THROUGH.rows(connection, {"names": names})}
    return dict(connection.execute(_HEARD_THROUGH).all())


def read_heard(connection: sa.Connection) -> dict[str, datetime]:
    """By node that was heard, when that was last."""
    query = sa.select(nodes.c.node, nodes.c.heard_ms).where(nodes.c.heard_ms.is_not(None))
    return {node: from_ms(ms) for node, ms in connection.execute(query) if ms is not None}


def read_holes(connection: sa.Connection, now_ms: int, age_ms: int, limit: int) -> list[Hole]:
    """Holes that are older; each node's in ascending order, and no node's holes hide another's."""
    # those of the time to come were noticed before the clock was set back
    old = sa.or_(holes.c.since_ms <= now_ms - age_ms, holes.c.since_ms > now_ms)
    turn = sa.func.row_number().over(partition_by=holes.c.node_id, order_by=holes.c.first).label("turn")
    some = sa.select(holes, turn).where(old).subquery()
    query = (
        sa.select(nodes.c.node, some.c.first, some.c.last)
        .join_from(some, nodes, nodes.c.id == some.c.node_id)
        .order_by(some.c.turn, some.c.since_ms, nodes.c.node)
        .limit(limit)
    )
    return [Hole(*row) for row in connection.execute(query)]


def read_ledger(connection: sa.Connection, node: str) -> Ledger:
    """A node's account.

    Raises:
        NotFoundError: nothing is known of such a node.
    """
    row = connection.execute(sa.select(nodes).where(nodes.c.node == node)).one_or_none()
    if row is None:
        raise NotFoundError(f"no node {node!r} is known here")
    missing = row.top - row.stored - row.gone
    return Ledger(node, row.top, row.stored, row.gone, missing, row.repeated, row.through)


def ranges_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Single numbers as ranges."""
    return [(number, number) for number in numbers]
