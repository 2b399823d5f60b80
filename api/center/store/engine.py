"""The database itself: opening it, its layout, transactions one after the other, and what its errors mean."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url

from api.center.errors import LayoutError, StoreAwayError
from api.center.store.work import Work

BUSY_WAIT_S = 15.0
"""Seconds that a writer waits for another process to finish its transaction in SQLite."""

MIGRATION_LOCK: Final = 0x5EE7E5
"""Advisory lock in PostgreSQL: workers that start together migrate one after the other."""

# Full, not normal: once a transaction has ended, its entries are acknowledged and their nodes delete them, so
# they must be on the disk by then. One sync for a whole batch costs next to nothing.
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    "cache_size=-65536",
    "wal_autocheckpoint=4000",
    "journal_size_limit=67108864",
)
# a ProgrammingError, too: no value makes one, but a right that was revoked or a table that is gone
_AWAY = (
    exc.OperationalError,
    exc.InterfaceError,
    exc.InternalError,
    exc.ProgrammingError,
    exc.TimeoutError,
)
_WRITES = "sharpeyes_writes"


def parse_url(text: str) -> URL:
    """The address of a database, `sqlite:///path` or `postgresql://host/name`.

    Raises:
        ValueError: it names another kind of database, or no file. Quotes no secret of it.
    """
    try:
        url = make_url(text)
    except exc.ArgumentError:
        raise ValueError("a database is named by a URL, sqlite:///path or postgresql://host/name") from None
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ValueError(f"cases are kept in sqlite or postgresql, not in {url.drivername}")
    if not url.database or url.database == ":memory:":
        raise ValueError("SQLite needs a file that lasts: sqlite:///path")
    return url


def is_away(error: BaseException) -> bool:
    """Whether an error tells of the database's own state, and of nothing that it was asked."""
    # a bare DatabaseError is how SQLite tells of a damaged file
    return isinstance(error, (StoreAwayError, *_AWAY)) or type(error) is exc.DatabaseError


class Database:
    """An open database of the newest layout.

    Writers go one after the other, in this process by a lock, among several by a locked row (PostgreSQL) or
    the file's lock (SQLite): numbers, history and merging need one order. Readers wait for nobody.
    """

    def __init__(self, url: str, clock: Callable[[], datetime]) -> None:
        """Open it, make it where it is missing, and bring it to the newest layout.

        Args:
            url: see `parse_url`.
            clock: gives the time, aware of its zone.

        Raises:
            StoreAwayError: it cannot be reached, or is no database of ours.
            LayoutError: a newer version made it.
            ValueError: of `url`.
        """
        parsed = parse_url(url)
        self.clock = clock
        self._name = parsed.render_as_string(hide_password=True)
        self._lock = threading.Lock()
        self._engine = _engine(parsed)
        self._writing = self._engine.execution_options(**{_WRITES: True})
        # one moment of the database for all queries of a block; SQLite's readers have that anyway
        self._reading = (
            self._engine.execution_options(isolation_level="REPEATABLE READ")
            if self.dialect == "postgresql"
            else self._engine
        )
        try:
            if parsed.database and self.dialect == "sqlite":
                _make_file(Path(parsed.database))
            with self._translated():
                self._migrate()
        except OSError as error:
            raise StoreAwayError(f"{self._name}: {error.strerror}") from None
        except BaseException:
            self.close()
            raise

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def write(self) -> Iterator[Work]:
        """A transaction that no other runs beside; it ends with the block, and is undone by an exception.

        Raises:
            StoreAwayError: the database is away.
        """
        with self._lock, self._translated(), self._writing.begin() as connection:
            work = Work(connection, self.clock())
            yield work
            work.flush()

    @contextmanager
    def read(self, *, as_it_is: bool = False) -> Iterator[sa.Connection]:
        """A connection to read from, at one moment of the database.

        Args:
            as_it_is: give text that is no UTF-8 with its bytes escaped, instead of failing.

        Raises:
            StoreAwayError: the database is away.
        """
        with self._translated(), self._reading.connect() as connection, connection.begin():
            if not as_it_is or self.dialect != "sqlite":
                yield connection
                return
            driver = connection.connection.driver_connection
            assert driver is not None  # noqa: S101 - it is connected
            driver.text_factory = _escaped
            try:
                yield connection
            finally:
                driver.text_factory = str

    def close(self) -> None:
        """Close all connections. Closing twice is safe."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            if not is_away(error):
                raise
            raise StoreAwayError(f"{self._name}: {_said(error)}") from None

    def _migrate(self) -> None:
        config = Config()
        folder = Path(__file__).parents[1] / "migrations"
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        with self._writing.begin() as connection:
            if self.dialect == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError:
                raise LayoutError(f"{self._name} was made by a newer version; update this one") from None


def _make_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)


def _engine(url: URL) -> sa.Engine:
    if url.drivername.startswith("postgresql"):
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_WAIT_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # transactions begin where SQLAlchemy says so, and not at the first write
        connection.isolation_level = None
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        # a reader that becomes a writer could not wait for its turn: writers say so at once
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _escaped(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _said(error: BaseException) -> str:
    """The driver's own words, one line, without the statement and its values."""
    words = str(getattr(error, "orig", None) or type(error).__name__).strip()
    return words.splitlines()[0][:200] if words else type(error).__name__
