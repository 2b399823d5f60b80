"""The events' waiting room: what is appended here is on disk and stays until it is acknowledged.

One SQLite file in WAL mode, held exclusively by one node; the only door to sqlite3.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import NamedTuple, Self

import structlog

from edge.envelope import Event, EventDraft
from edge.errors import OutboxError
from edge.identifiers import unix_ms
from streams.clock import Clock, SystemClock

log = structlog.get_logger(__name__)

VERSION = 1
"""Layout of the file, kept in `user_version`."""

NO_LEVEL = 5
"""Where events without a level (`node.*`) stand in the order of severity: below 4, evicted first."""

_DURABLE_LEVELS = (1, 2)
_CHECK_BYTES = 64 * 2**20
_LOCK_WAIT_S = 1.0
_EVICT_ROWS = 64

# `state` is 0 for all rows now; sent (1) and receipted (2) are for a centre that writes receipts
_SCHEMA = """
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    state INTEGER NOT NULL DEFAULT 0,
    level INTEGER NOT NULL,
    size INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX events_by_severity ON events (level DESC, sequence, size);
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO totals VALUES ('created', 0), ('acknowledged', 0), ('evicted_1', 0), ('evicted_2', 0);
INSERT INTO totals VALUES ('evicted_3', 0), ('evicted_4', 0), ('evicted_5', 0), ('synced', 0);
"""

_CURES: Mapping[int, str] = {
    sqlite3.SQLITE_BUSY: "is in use: another node runs on this data directory; give each node its own",
    sqlite3.SQLITE_CORRUPT: "is damaged; move it and the files beside it away (`sqlite3 FILE .recover` may "
    "save what waited in it) and start again with a new one",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; free some space",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that its directory belongs to the node's user",
    sqlite3.SQLITE_READONLY: "cannot be written; check the owner of the file and how its disk is mounted",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error; check the disk",
}


class Pending(NamedTuple):
    """An event that waits: its number and its JSON."""

    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """What went through the outbox since its file was made: created = acknowledged + pending + evicted.

    Attributes:
        created: events appended; the sequence number of the newest one.
        acknowledged: events that were handed on.
        pending: events that wait.
        bytes: size of the waiting events' JSON.
        oldest_age_s: seconds since the oldest waiting event was appended; 0 when none waits.
        evicted: events given up for want of space, by level; 5 stands for the node's own.
    """

    created: int
    acknowledged: int
    pending: int
    bytes: int
    oldest_age_s: float
    evicted: Mapping[int, int]


class Outbox:
    """Appends, shows and deletes events; safe from any thread.

    Events of levels 1 and 2 are on the disk when `append` returns, others at the latest when `pending` shows
    them. So a number that was once published is never given to another event, even after a power cut.

    When more than `max_bytes` wait, the least severe go first, the oldest first within a level; their numbers
    stay missing, which is how the centre notices.
    """

    def __init__(self, path: Path, max_bytes: int, clock: Clock | None = None) -> None:
        """Open the file, or make it.

        Args:
            path: the file; its directory is made when missing.
            max_bytes: bound of the waiting events' JSON; the file is about a quarter larger.
            clock: wall time of appending; the host's own by default.

        Raises:
            OutboxError: with the file and the cure.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock or SystemClock()
        self._lock = Lock()
        self._wake: Callable[[], None] = lambda: None
        self._full_sync: bool | None = None
        self._durable = 0
        self._created = self._acknowledged = self._pending = self._bytes = 0
        self._evicted: Counter[int] = Counter()
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(
                path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def listen(self, wake: Callable[[], None]) -> None:
        """Have `wake` called after each append, on the appending thread; it must return at once."""
        self._wake = wake

    def append(self, drafts: Sequence[EventDraft]) -> list[Event]:
        """Give each draft its number and keep all of them, or none.

        Raises:
            OutboxError: the disk refuses; nothing was kept and no number used.
        """
        if not drafts:
            return []
        with self._lock, self._explained():
            self._synchronise(any(draft.level in _DURABLE_LEVELS for draft in drafts))
            try:
                events = self._insert(drafts)
            except sqlite3.OperationalError as exc:
                if _primary(exc) != sqlite3.SQLITE_FULL:
                    raise
                self._make_room()
                events = self._insert(drafts)
        self._wake()
        return events

    def pending(self, limit: int = 256, after: int = 0) -> list[Pending]:
        """The oldest waiting events numbered above `after`, in order, at most `limit`; all on the disk."""
        with self._lock, self._explained():
            rows = self._db.execute(
                "SELECT sequence, body FROM events WHERE sequence > ? AND state = 0"
                " ORDER BY sequence LIMIT ?",
                (after, limit),
            ).fetchall()
            if rows and rows[-1][0] > self._durable:
                self._synchronise(True)
                with self._transaction():
                    # a commit that changes nothing would write nothing, and so sync nothing
                    self._db.execute("UPDATE totals SET value = value + 1 WHERE name = 'synced'")
                self._durable = self._created
        return [Pending(*row) for row in rows]

    def acknowledge(self, sequences: Iterable[int]) -> int:
        """Delete events that were handed on; returns how many were still there."""
        chosen = json.dumps(list(sequences))
        with self._lock, self._explained():
            self._synchronise(False)
            with self._transaction():
                where = "WHERE sequence IN (SELECT value FROM json_each(?))"
                gone, size = self._db.execute(
                    f"SELECT count(*), coalesce(sum(size), 0) FROM events {where}",  # noqa: S608 - constant
                    (chosen,),
                ).fetchone()
                self._db.execute(f"DELETE FROM events {where}", (chosen,))  # noqa: S608 - constant
                self._db.execute("UPDATE totals SET value = value + ? WHERE name = 'acknowledged'", (gone,))
            self._acknowledged += gone
            self._pending -= gone
            self._bytes -= size
        return int(gone)

    def counts(self) -> OutboxCounts:
        """What went through, and what waits."""
        with self._lock, self._explained():
            oldest = self._db.execute("SELECT created_ms FROM events ORDER BY sequence LIMIT 1").fetchone()
            age_s = (unix_ms(self._clock.utc()) - oldest[0]) / 1000 if oldest else 0.0
            return OutboxCounts(
                created=self._created,
                acknowledged=self._acknowledged,
                pending=self._pending,
                bytes=self._bytes,
                oldest_age_s=max(0.0, age_s),
                evicted=MappingProxyType(dict(self._evicted)),
            )

    def evicted(self) -> Mapping[int, int]:
        """Events given up for want of space, by level 1 to 4; 5 stands for the node's own."""
        with self._lock:
            return MappingProxyType(dict(self._evicted))

    def close(self) -> None:
        """Put everything on disk and let go of the file; twice is safe."""
        with self._lock, self._explained():
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        # exclusive: one node per file, and no shared memory file to be left behind
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        mode = self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise OutboxError(f"{self._path} cannot be kept in WAL mode; use a local disk")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise OutboxError(
                f"{self._path} has layout {version} of a newer version; use that one, or another file"
            )
        self._synchronise(True)
        if version == 0:
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
        elif self._path.stat().st_size <= _CHECK_BYTES:
            # larger ones are checked as they are read: a full check of them would delay the start by seconds
            verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise OutboxError(f"{self._path} {_CURES[sqlite3.SQLITE_CORRUPT]}")
        self._load()

    def _load(self) -> None:
        with self._transaction():
            totals = dict(self._db.execute("SELECT name, value FROM totals"))
            self._pending, self._bytes = self._db.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM events INDEXED BY events_by_severity"
            ).fetchone()
        try:
            self._created, self._acknowledged = totals["created"], totals["acknowledged"]
            self._evicted = Counter({level: totals[f"evicted_{level}"] for level in range(1, NO_LEVEL + 1)})
        except KeyError:
            raise OutboxError(f"{self._path} {_CURES[sqlite3.SQLITE_CORRUPT]}") from None

    def _insert(self, drafts: Sequence[EventDraft]) -> list[Event]:
        now_ms = unix_ms(self._clock.utc())
        events = [Event.number(draft, self._created + n) for n, draft in enumerate(drafts, 1)]
        rows = [
            (int(event.sequence), event.level or NO_LEVEL, len(body), now_ms, body)
            for event in events
            for body in (event.to_json(),)
        ]
        size = self._bytes + sum(row[2] for row in rows)
        with self._transaction():
            self._db.executemany(
                "INSERT INTO events (sequence, level, size, created_ms, body) VALUES (?, ?, ?, ?, ?)", rows
            )
            gone, freed = self._evict(size - self._max_bytes)
            self._db.execute("UPDATE totals SET value = ? WHERE name = 'created'", (rows[-1][0],))
        self._created = rows[-1][0]
        self._settle(gone, size - freed, self._pending + len(rows))
        if self._full_sync:
            self._durable = self._created
        return events

    def _evict(self, excess: int) -> tuple[Counter[int], int]:
        """Delete the least severe until `excess` bytes are gone: what went by level, and its bytes."""
        gone: Counter[int] = Counter()
        freed = 0
        while freed < excess:
            chosen: list[tuple[int]] = []
            for sequence, level, size in self._db.execute(
                "SELECT sequence, level, size FROM events ORDER BY level DESC, sequence LIMIT ?",
                (_EVICT_ROWS,),
            ).fetchall():
                if freed < excess:
                    chosen.append((sequence,))
                    gone[level] += 1
                    freed += size
            if not chosen:
                break
            self._db.executemany("DELETE FROM events WHERE sequence = ?", chosen)
        for level, number in gone.items():
            self._db.execute(
                "UPDATE totals SET value = value + ? WHERE name = ?", (number, f"evicted_{level}")
            )
        return gone, freed

    def _settle(self, gone: Counter[int], size: int, pending: int) -> None:
        self._evicted.update(gone)
        self._bytes = size
        self._pending = pending - gone.total()
        if gone:
            log.error("events evicted for want of space", by_level=dict(gone), pending=self._pending)

    def _make_room(self) -> None:
        """The disk is full: give up a sixteenth of what waits; the file's free pages then take new events."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with self._transaction():
            gone, freed = self._evict(self._bytes // 16 + 1)
        self._settle(gone, self._bytes - freed, self._pending)

    def _synchronise(self, full: bool) -> None:
        # a PRAGMA costs a few microseconds and is refused inside of a transaction: only when it changes
        if full is not self._full_sync:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full_sync = full

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError as exc:
            raise OutboxError(f"{self._path} is closed") from exc
        except sqlite3.Error as exc:
            code = _primary(exc)
            code = sqlite3.SQLITE_CORRUPT if code == sqlite3.SQLITE_NOTADB else code
            raise OutboxError(f"{self._path} {_CURES.get(code, f'failed: {exc}')}") from exc
        except OSError as exc:
            raise OutboxError(f"{self._path} cannot be opened: {exc.strerror}") from exc


def _primary(exc: sqlite3.Error) -> int:
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF
