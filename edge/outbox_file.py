"""The outbox's file: opened, brought to today's layout, replaced when damaged. The only door to sqlite3."""

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from edge.durable import PRIVATE, sync_folder
from edge.errors import OutboxError
from edge.outbox_layout import (
    CREATE,
    INSERT_TALLY,
    MIGRATE_1,
    NO_LEVEL,
    REPLACED,
    UPDATE_TALLY,
    VERSION,
    Tally,
)
from edge.outbox_numbers import Numbers
from streams.clock import Clock

log = structlog.get_logger(__name__)

BALLAST_BYTES = 4 * 2**20
"""Space set aside for the moment when the disk is full, at most; at least a quarter of it."""

_CHECK_BYTES = 64 * 2**20
_LOCK_WAIT_S = 1.0
_PAGE_BYTES = 4096
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOG_PAGES = range(250, 1001)
_MOST_PAGES = 2**31

_CURES: Mapping[int, str] = {
    sqlite3.SQLITE_BUSY: "is in use: another node runs on this data directory; give each node its own",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is damaged",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; free some space",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that its directory belongs to the node's user",
    sqlite3.SQLITE_READONLY: "cannot be written; check the owner of the file and how its disk is mounted",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error; check the disk",
}


class OutboxFullError(OutboxError):
    """The disk has no room for what was to be written; nothing of it was."""


class OutboxDamagedError(OutboxError):
    """The file is no database any more, or a broken one."""


_KINDS: Mapping[int, type[OutboxError]] = {
    sqlite3.SQLITE_CORRUPT: OutboxDamagedError,
    sqlite3.SQLITE_NOTADB: OutboxDamagedError,
    sqlite3.SQLITE_FULL: OutboxFullError,
}


class OutboxFile:
    """One SQLite file in WAL mode, held exclusively, with what stands beside it.

    Beside `outbox.db` stand `outbox.seq` (numbers set aside, see `edge.outbox_numbers`) and
    `outbox.ballast`: space that a full disk gets back, so that what waits can still be written and deleted.

    Not for several threads at once. What goes wrong becomes an `OutboxError` where it leaves `explained`.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open the file, or make it; a damaged one is moved aside, and a new one begins.

        Args:
            path: of the database.
            clock: wall time, for the name of a file moved aside.

        Raises:
            OutboxError: with the file and the cure.
        """
        self.path = path
        self.tally = Tally()
        """The books as they were when the file was opened."""
        self.full_sync: bool | None = None
        """Whether commits are on the disk when they return."""
        self._clock = clock
        self._numbers = Numbers(path.with_suffix(".seq"))
        self._ballast = path.with_suffix(".ballast")
        try:
            with self.explained():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._open()
        except OutboxDamagedError as exc:
            with self.explained():
                self.replace(exc)

    @property
    def reserved(self) -> int:
        """The highest sequence number that was set aside."""
        return self._numbers.reserved

    def reserve(self, last: int) -> None:
        """Set numbers aside up to `last`, before they are given."""
        self._numbers.reserve(last)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self._db.execute(sql, parameters)

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row."""
        self._db.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def save(self, tally: Tally) -> None:
        """Write the books, within a transaction."""
        self._db.execute(UPDATE_TALLY, tally.row())

    def synchronise(self, full: bool) -> None:
        """Have later commits on the disk when they return, or safe only from the end of the node."""
        # a PRAGMA costs a few microseconds and is refused inside of a transaction: only when it changes
        if full is not self.full_sync:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self.full_sync = full

    def relieve(self) -> None:
        """The disk is full: give the ballast back, so that the log can go into the file, and grow no more."""
        self._ballast.unlink(missing_ok=True)
        # the log keeps its length: it is the room in which what waits can still be deleted
        self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        self._grow_to(0)

    def lay_ballast(self) -> None:
        """Set space aside for a full disk, where there is enough of it; without, the file does not grow.

        A file that grew in its log alone, while the disk has no room for it, could never be written back.
        """
        try:
            size = self._ballast.stat().st_size
        except FileNotFoundError:
            size = self._set_aside()
        # a log that outgrew the ballast could not go into the file with its help
        pages = min(max(size // _PAGE_BYTES, _LOG_PAGES[0]), _LOG_PAGES[-1])
        self._db.execute(f"PRAGMA wal_autocheckpoint = {pages}").fetchone()
        self._grow_to(_MOST_PAGES if size else 0)

    def _grow_to(self, pages: int) -> None:
        # never less than there are
        self._db.execute(f"PRAGMA max_page_count = {max(1, pages)}").fetchone()

    def replace(self, why: OutboxError) -> None:
        """Move the damaged file aside and begin a new one; its numbers start above all that were given.

        Raises:
            OutboxError: nothing tells which numbers were given.
        """
        with suppress(sqlite3.Error):
            self._db.close()
        if self._numbers.read() is None:
            # before the file is moved: after a kill in between, nobody else would know
            self._numbers.restore(self._numbers.reserved or self._salvaged())
        aside = self._move_aside()
        log.error(
            "the outbox was damaged; it is moved aside and a new one begins", why=str(why), to=str(aside)
        )
        self._open()

    def close(self) -> None:
        """Put everything on disk and let go of the file; twice is safe."""
        with suppress(sqlite3.Error, OSError):
            if not self._db.execute("SELECT 1 FROM events LIMIT 1").fetchone():
                self._ballast.unlink(missing_ok=True)
        self._db.close()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Tell of SQLite's and the system's errors by the file and the cure."""
        try:
            yield
        except sqlite3.ProgrammingError as exc:
            raise OutboxError(f"{self.path} is closed") from exc
        except sqlite3.Error as exc:
            code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
            kind = _KINDS.get(code, OutboxError)
            raise kind(f"{self.path} {_CURES.get(code, f'failed: {exc}')}") from exc
        except OSError as exc:
            if exc.errno in _FULL:
                raise OutboxFullError(f"{self.path} {_CURES[sqlite3.SQLITE_FULL]}") from exc
            raise OutboxError(f"{self.path} cannot be opened or written: {exc.strerror}") from exc

    def _open(self) -> None:
        self.path.touch(mode=PRIVATE)
        self.full_sync = None
        self._db = sqlite3.connect(
            self.path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        # exclusive: one node per file, and no shared memory file to be left behind
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        mode = self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise OutboxError(f"{self.path} cannot be kept in WAL mode; use a local disk")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise OutboxError(
                f"{self.path} has layout {version} of a newer version; use that one, or another file"
            )
        # Debian's SQLite overwrites what is deleted with zeros unless told otherwise
        self._db.execute("PRAGMA secure_delete = OFF").fetchone()
        self.synchronise(True)
        if version:
            self._check()
        if version < VERSION:
            self._bring_up(version)
        row = self._db.execute("SELECT * FROM tally").fetchone()
        if row is None:
            raise self._damaged()
        self.tally = Tally.of(row)
        self._numbers.resume(self.tally.newest)
        self.lay_ballast()

    def _check(self) -> None:
        # larger ones are checked as they are read: a full check of them would delay the start by seconds
        if self.path.stat().st_size <= _CHECK_BYTES:
            verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise self._damaged()

    def _bring_up(self, version: int) -> None:
        start = 0 if version else self._numbers.start()
        with self.transaction():
            for statement in (MIGRATE_1 if version else CREATE).split(";"):
                self._db.execute(statement)
            tally = self._tally_of_1() if version else Tally(newest=start)
            self._db.execute(INSERT_TALLY, tally.row())
            if start:
                self._db.execute("INSERT INTO gaps VALUES (1, ?, ?)", (start, REPLACED))
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _tally_of_1(self) -> Tally:
        """The books of layout 1, which counted what waited at each start."""
        totals = dict(self._db.execute("SELECT name, value FROM totals"))
        self._db.execute("DROP TABLE totals")
        pending, size = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM events").fetchone()
        try:
            return Tally(
                newest=totals["created"],
                created=totals["created"],
                acknowledged=totals["acknowledged"],
                pending=pending,
                bytes=size,
                evicted=[totals[f"evicted_{level}"] for level in range(1, NO_LEVEL + 1)],
            )
        except KeyError:
            raise self._damaged() from None

    def _damaged(self) -> OutboxDamagedError:
        return OutboxDamagedError(f"{self.path} {_CURES[sqlite3.SQLITE_CORRUPT]}")

    def _salvaged(self) -> int:
        """The highest number that a damaged file still tells of, for one from before the side file."""
        told = [0]
        with closing(sqlite3.connect(self.path)) as db:
            for sql in (
                "SELECT max(sequence) FROM events",
                "SELECT newest FROM tally",
                "SELECT value FROM totals WHERE name = 'created'",
            ):
                with suppress(sqlite3.Error, TypeError):
                    told.append(int(db.execute(sql).fetchone()[0]))
        if not any(told):
            raise OutboxError(f"{self.path} is damaged, and {self._numbers.cure}")
        return max(told)

    def _move_aside(self) -> Path:
        stamp = self._clock.utc().strftime("%Y%m%dT%H%M%SZ")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        again = 1
        while aside.exists():
            again += 1
            aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}.{again}")
        # the file before its log: without its log it might pass for a sound one of some time ago
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).rename(aside.with_name(aside.name + suffix))
        sync_folder(self.path.parent)
        return aside

    def _set_aside(self) -> int:
        """Make the ballast, a quarter of what is left on the disk; returns its size in bytes, 0 for none."""
        disk = os.statvfs(self.path.parent)
        size = min(BALLAST_BYTES, disk.f_bavail * disk.f_frsize // 4)
        if size < BALLAST_BYTES // 4:
            return 0
        try:
            with os.fdopen(os.open(self._ballast, os.O_WRONLY | os.O_CREAT, PRIVATE), "wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as exc:
            self._ballast.unlink(missing_ok=True)
            if exc.errno in _FULL:
                return 0
            log.warning("this disk sets no space aside for the outbox", reason=exc.strerror)
        return size
