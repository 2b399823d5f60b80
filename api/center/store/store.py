"""The store: all that the centre asks of its memory, in one place. Safe from any thread."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, overload

import sqlalchemy as sa

from api.center.errors import CenterError, PoisonError
from api.center.instants import unix_ms
from api.center.model import (
    MAX_PAGE,
    Action,
    Case,
    CaseEvent,
    CaseQuery,
    Change,
    Feedback,
    Hole,
    Key,
    Ledger,
    MergeOptions,
    Numbers,
    Outcome,
    Received,
    Record,
    RegionTree,
    StoreOptions,
    Triage,
    Verified,
)
from api.center.schema import feedback
from api.center.sequences import LARGEST
from api.center.store import accounts, acts, figures, keys, queries, upkeep
from api.center.store.arrivals import Arrival, arrive
from api.center.store.desk import Rules
from api.center.store.engine import Database, is_away
from api.center.store.reception import Reception

OVERDUE = 500
"""Cases that one call escalates at most; the next call takes the next ones."""

FEEDBACK = 1000
"""Messages that one call gives at most."""


class Store:
    """Events, cases, accounts, keys and history, in SQLite or PostgreSQL.

    Every method but `receive` may raise `StoreAwayError` too; then nothing of it was done.
    """

    def __init__(self, database: Database, rules: Rules, options: StoreOptions) -> None:
        """Use `Store.open`."""
        self._database = database
        self._rules = rules
        self._options = options
        self._upkeep = upkeep.Upkeep(options)
        self._reception = Reception(rules, database.dialect)

    @classmethod
    def open(
        cls,
        url: str,
        triage: Triage,
        regions: RegionTree,
        merge: MergeOptions,
        *,
        clock: Callable[[], datetime],
        options: StoreOptions | None = None,
    ) -> Self:
        """Open the database, make it where it is missing, and bring it to the newest layout.

        Args:
            url: `sqlite:///path` or `postgresql+psycopg://user:password@host/name`.
            triage: who handles what by when.
            regions: those that exist.
            merge: which incidents are one case.
            clock: gives the centre's time, aware of its zone.
            options: what is kept for how long.

        Raises:
            StoreAwayError: it cannot be reached, or is no database of ours.
            LayoutError: a newer version made it.
            ValueError: `url` names another kind of database.
        """
        return cls(Database(url, clock), Rules(triage, regions, merge), options or StoreOptions())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database. Closing twice is safe."""
        self._database.close()

    # Events

    def receive(self, items: Sequence[Received]) -> list[Outcome]:
        """Store events and all that follows from them, in one transaction: all of them, or none.

        When it returns, they are on the disk: acknowledge them then, not before.

        Returns:
            One outcome for each, in their order.

        Raises:
            PoisonError: one of them cannot be processed for reasons of its own. Nothing was stored; call
                again without it.
            StoreAwayError: the database is away. Nothing was stored; call again later.
        """
        if not items:
            return []
        arrivals = [_arrive(index, item) for index, item in enumerate(items)]
        try:
            with self._database.write() as work:
                return self._reception.take(work, arrivals)
        except CenterError:
            raise
        except Exception as error:
            if len(items) == 1:
                raise PoisonError(0, _reason(error)) from error
        return self._one_by_one(arrivals)

    def _one_by_one(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Find the one that fails, by taking each for itself in one transaction.

        Raises:
            PoisonError: it was found.
        """
        outcomes: list[Outcome] = []
        with self._database.write() as work:
            for index, arrival in enumerate(arrivals):
                try:
                    outcomes += self._reception.take(work, [arrival])
                    work.flush()
                except Exception as error:
                    if is_away(error):
                        raise
                    raise PoisonError(index, _reason(error)) from error
        return outcomes

    # Nodes

    def admit(self, node: str, public_key: bytes, who: str, why: str = "admitted") -> Key:
        """Let a node speak by an Ed25519 key, 32 bytes. What is admitted already stays as it is.

        Raises:
            IllegalError: no node can have such an id, or the key is another node's, or was revoked.
            ValueError: it has not 32 bytes.
        """
        with self._database.write() as work:
            return keys.admit(work, node, public_key, who, why)

    def revoke(self, node: str, key: str, who: str, why: str = "revoked") -> Key:
        """Let a node no longer speak by a key; for ever.

        Args:
            node: whose key it is.
            key: its id.
            who: a person.
            why: the reason.

        Raises:
            NotFoundError: the node has no such key.
        """
        with self._database.write() as work:
            return keys.revoke(work, node, key, who, why)

    @overload
    def keys(self) -> list[Key]: ...

    @overload
    def keys(self, node: str) -> dict[str, bytes]: ...

    def keys(self, node: str | None = None) -> list[Key] | dict[str, bytes]:
        """All keys ever admitted; or the valid public keys of one node by their ids."""
        with self._database.read() as connection:
            found = keys.read_keys(connection, node)
        return found if node is None else {key.id: key.public for key in found if key.revoked is None}

    def stored_through(self, nodes: Collection[str] | None = None) -> Mapping[str, int]:
        """By node that was heard, of all or of some: 1 to this number are all stored or reported lost."""
        with self._database.read() as connection:
            return accounts.read_through(connection, nodes)

    def give_up(self, node: str, number: int) -> None:
        """Count a number as lost whose event came and cannot be stored: it became a dead letter.

        Else its node would keep that event and all later ones, and send it again and again.
        """
        if not 1 <= number <= LARGEST:
            return
        with self._database.write() as work:
            books = accounts.Books(work)
            books.open({node: [(number, number)]})
            book = books.by_node[node]
            if book.account.lose(number, number, work.now_ms):
                book.heard(work.now_ms)
            books.flush()

    def heard(self) -> Mapping[str, datetime]:
        """By node that was heard: when that was last."""
        with self._database.read() as connection:
            return accounts.read_heard(connection)

    def holes(self, older_than_s: float, limit: int) -> list[Hole]:
        """Numbers that neither came nor were reported lost for some seconds.

        A node's holes are in ascending order, and the first holes of all nodes come before the second ones.
        """
        now_ms = unix_ms(self._database.clock())
        with self._database.read() as connection:
            return accounts.read_holes(connection, now_ms, round(older_than_s * 1000), limit)

    def ledger(self, node: str) -> Ledger:
        """A node's account: created = stored + gaps + missing.

        Raises:
            NotFoundError: nothing is known of such a node.
        """
        with self._database.read() as connection:
            return accounts.read_ledger(connection, node)

    # Cases

    def cases(self, query: CaseQuery) -> list[Case]:
        """Cases that fit, newest first; without their cameras and history."""
        with self._database.read() as connection:
            return queries.find_cases(connection, query)

    def case(self, case_id: int) -> Case:
        """A case with its cameras and history.

        Raises:
            NotFoundError: there is none.
        """
        with self._database.read() as connection:
            return queries.read_case(connection, case_id)

    def events(self, case_id: int, after: int = 0, limit: int = MAX_PAGE) -> list[CaseEvent]:
        """Events of a case: by node, and in that node's order, however they came.

        Args:
            case_id: which case.
            after: `n` of the last that was seen; 0 begins.
            limit: how many at most.

        Raises:
            NotFoundError: there is no such case.
        """
        with self._database.read() as connection:
            return queries.read_events(connection, case_id, after, limit)

    def act(
        self, case_id: int, version: int, action: Action, who: str, why: str, cause: str | None = None
    ) -> Case:
        """Do something with a case.

        Args:
            case_id: which.
            version: of the case as it was seen.
            action: what.
            who: a person, 1 to 200 characters.
            why: the reason, 1 to 2000 characters.
            cause: of a false alarm, a code from the triage table; `reject` needs it, nothing else takes it.

        Returns:
            The case as it is now, with its cameras and history.

        Raises:
            NotFoundError: there is no such case.
            ConflictError: it has another version by now, which the error tells.
            IllegalError: the lifecycle does not allow it, or who, why or the cause is missing.
        """
        with self._database.write() as work:
            acts.perform(work, self._rules, acts.Act(case_id, version, Action(action), who, why, cause))
        # not in the transaction: while it reads, everybody else would wait
        return self.case(case_id)

    def overdue(self, now: datetime) -> list[Case]:
        """Escalate the cases whose stage missed its deadline by `now`, each once a deadline; returns them.

        It also forgets a piece of what is old enough: see `StoreOptions`.
        """
        with self._database.write() as work:
            rows = acts.escalate_overdue(work, self._rules, unix_ms(now), OVERDUE)
        with self._database.write() as work:
            self._upkeep.forget(work)
        return [row.case() for row in rows]

    # Profiles and feedback

    def surge(self, on: bool, who: str, why: str) -> None:
        """Switch surge mode (平战结合): nodes are told, and stages entered from now on have its deadlines.

        Raises:
            IllegalError: who or why is missing.
        """
        with self._database.write() as work:
            acts.set_surge(work, who, why, on=on)

    def in_surge(self) -> bool:
        """Whether surge mode is on."""
        with self._database.read() as connection:
            return queries.is_surge(connection)

    def verdicts_due(self) -> list[Feedback]:
        """Messages to nodes that wait, oldest first: verdicts and profiles."""
        with self._database.read() as connection:
            return queries.read_feedback(connection, FEEDBACK)

    def verdicts_sent(self, ids: Iterable[int]) -> None:
        """Note that messages were sent; they are forgotten."""
        if sent := list(ids):
            with self._database.write() as work:
                work.connection.execute(sa.delete(feedback).where(feedback.c.id.in_(sent)))

    # Numbers, changes, history

    def numbers(self, since: datetime, until: datetime) -> Numbers:
        """The four indicators, stage times, precision and false alarms of a time; `until` excluded.

        Raises:
            ValueError: `until` is not after `since`.
        """
        patience_ms = round(2 * self._options.heartbeat_s * 1000)
        with self._database.read() as connection:
            return figures.read_numbers(
                connection, since, until, unix_ms(self._database.clock()), patience_ms
            )

    def changes(self, after_id: int, limit: int) -> list[Change]:
        """What became of cases since a change that was seen, oldest first."""
        with self._database.read() as connection:
            return queries.read_changes(connection, after_id, limit)

    def last_change(self) -> int:
        """Number of the last change so far: where to begin with `changes`."""
        with self._database.read() as connection:
            return queries.last_change(connection)

    def history(self, after_id: int, limit: int) -> list[Record]:
        """Rows of the history, those of keys and surge mode among them, oldest first."""
        with self._database.read() as connection:
            return queries.read_history(connection, after_id, limit)

    def verify(self) -> Verified:
        """Recompute the hashes of the whole history."""
        with self._database.read(as_it_is=True) as connection:
            return queries.verify(connection)


def _arrive(index: int, item: Received) -> Arrival:
    try:
        return arrive(item)
    except Exception as error:
        raise PoisonError(index, _reason(error)) from error


def _reason(error: Exception) -> str:
    """What is wrong, without the database's statement and its values."""
    words = str(getattr(error, "orig", None) or error).strip()
    first = words.splitlines()[0] if words else ""
    return f"{type(error).__name__}: {first}"[:300]
