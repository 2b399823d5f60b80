"""What a simulated city speaks to: a real Valkey, a real `sharpeyes center`, SQLite or a real PostgreSQL."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any, Self

import psutil  # type: ignore[import-untyped]
import sqlalchemy as sa
import yaml
from prometheus_client.parser import text_string_to_metric_families

from api.center.config import load_center
from api.center.opening import open_store
from api.center.store.engine import Database
from api.center.store.keys import admit
from edge.broker import EmbeddedBroker

if TYPE_CHECKING:
    from benchmarks.city_postgres import Postgres

DISTRICT = "360103"
MEMORY = 8 * 2**30
"""Bytes that Valkey may hold: what it needs is to be measured, not bounded."""
START_S, STOP_S = 30.0, 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """A running Valkey and database, and the configuration of a centre that uses them.

    Attributes:
        broker: the Valkey server.
        config: path of the centre's configuration.
        database: its URL.
        postgres: None with SQLite.
        port: of the centre's HTTP interface.
    """

    broker: EmbeddedBroker
    config: Path
    database: str
    postgres: "Postgres | None"
    port: int

    def parts(self, more: Mapping[str, Iterable[psutil.Process]]) -> dict[str, Iterable[psutil.Process]]:
        """The processes by the part they play."""
        found: dict[str, Iterable[psutil.Process]] = {**more, "valkey": [psutil.Process(self.broker.pid)]}
        if self.postgres is not None:
            found["postgres"] = self.postgres.processes
        return found

    def admit(self, keys: Sequence[tuple[str, bytes]]) -> None:
        """Admit nodes, in one transaction."""
        open_store(load_center(self.config)).close()  # makes the database
        database = Database(self.database, lambda: datetime.now(UTC))
        with database.write() as work:
            for node, public in keys:
                admit(work, node, public, "benchmark", "simulated")
        database.close()

    def size_bytes(self) -> int:
        """How large the database is."""
        if self.postgres is not None:
            return int(self.scalar("SELECT pg_database_size(current_database())"))
        return int(self.scalar("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"))

    def scalar(self, sql: str) -> Any:
        """One value out of the database."""
        engine = sa.create_engine(self.database)
        try:
            with engine.connect() as connection:
                return connection.execute(sa.text(sql)).scalar_one()
        finally:
            engine.dispose()

    def account(self, sent: Mapping[str, int]) -> dict[str, int]:
        """What became of the numbers that nodes have given out, by the centre's own ledgers.

        Args:
            sent: by node, its highest number.

        Returns:
            `created`, `stored`, `lost` (neither here nor to come, or missing), `duplicated`.
        """
        total = dict.fromkeys(("created", "stored", "lost", "duplicated"), 0)
        store = open_store(load_center(self.config))
        try:
            for node, created in sent.items():
                ledger = store.ledger(node)
                total["created"] += created
                total["stored"] += ledger.stored
                total["lost"] += created - ledger.stored
                total["duplicated"] += ledger.repeated
        finally:
            store.close()
        events = "SELECT count(*) FROM events"
        twice = int(self.scalar(events)) - int(self.scalar(f"{events.replace('*', 'DISTINCT id')}"))
        total["duplicated"] += twice
        return total


@contextmanager
def place(folder: Path, database: str, workers: int, batch: int) -> Iterator[Place]:
    """Valkey and a database of a kind, in a folder of their own.

    Args:
        folder: an empty one.
        database: `sqlite` or `postgres`.
        workers: of the centre.
        batch: events in one transaction, at most.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(folder, port=0, max_memory=MEMORY))
        postgres, url = None, f"sqlite:///{folder / 'center' / 'center.db'}"
        if database == "postgres":
            # it needs what tests need
            from benchmarks.city_postgres import Postgres

            postgres = Postgres.start()
            stack.callback(postgres.stop)
            url = postgres.create("city")
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        config = folder / "center.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "center": {
                        "district": DISTRICT,
                        "data_dir": str(folder / "center"),
                        "workers": workers if postgres else 1,
                    },
                    "database": {"url": url} if postgres else {},
                    "redis": {"url": broker.url, "batch": batch},
                    "http": {"port": port},
                }
            )
        )
        yield Place(broker, config, url, postgres, port)


class Centre:
    """A `sharpeyes center` process and its workers; use it as a context."""

    def __init__(self, where: Place) -> None:
        self._where = where
        self._log = (where.config.parent / "center.log").open("w")
        command = [str(Path(sys.executable).with_name("sharpeyes")), "center", str(where.config)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def __enter__(self) -> Self:
        deadline_s = time.monotonic() + START_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise RuntimeError(f"the centre did not start:\n{self.words()}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it as a service manager would."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self._process.kill()
        self._process.wait()
        self._log.close()

    def words(self) -> str:
        """The end of its log."""
        return Path(self._log.name).read_text("utf-8")[-2000:]

    def parts(self) -> dict[str, list[psutil.Process]]:
        """HTTP, rounds and deadlines in one process; the workers in others."""
        centre = psutil.Process(self._process.pid)
        workers = []
        for child in centre.children():
            with suppress(psutil.Error):
                if any("spawn_main" in word for word in child.cmdline()):
                    workers.append(child)
        return {"http": [centre], "workers": workers}

    def metrics(self) -> dict[str, float]:
        """What its metrics say; labels follow the name, as `events{stored}`."""
        with self._asked("/metrics") as reply:
            text = reply.read().decode()
        return {
            sample.name.removeprefix("sharpeyes_center_")
            + "".join(f"{{{v}}}" for v in sample.labels.values()): float(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def _ready(self) -> bool:
        try:
            with self._asked("/readyz") as reply:
                return int(reply.status) == 200
        except OSError:
            return False

    def _asked(self, path: str) -> Any:
        return urllib.request.urlopen(f"http://127.0.0.1:{self._where.port}{path}", timeout=30)


def load_average() -> list[float]:
    """Of the last 1, 5 and 15 minutes: what else the machine was doing."""
    return [round(value, 2) for value in os.getloadavg()]
