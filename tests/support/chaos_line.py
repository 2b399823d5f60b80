"""A whole line in processes of its own: Valkey, a centre, a node's delivery; and what holds at its end."""

import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from api.center.config import CenterConfig, load_center
from api.center.keys import public_key
from api.center.opening import open_store
from edge.signing import Signer
from tests.support.center_service import EVENTS, write_config
from tests.support.chaos_account import Account, Stored, check, check_order
from tests.support.chaos_disk import SmallDisk
from tests.support.chaos_processes import HOST, LONG, NODE, SEED, Centre, Node, Valkey, until

_DATABASE = "center.db"
BATCH = 64
"""Events that the centre takes in one transaction."""


class Line:
    """Valkey, centre and node together; use it as a context.

    Args:
        folder: for all that is theirs.
        database: URL of the centre's; none: SQLite.
        url: of Redis for the node and for the centre, where it is not the server's own.
        valkey: a server with more to it.
        node_disk, centre_disk: small ones, for the outbox and for the database.
        node: more of its plan; see `chaos_node`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database: str | None = None,
        url: str | tuple[str, str] | None = None,
        valkey: Valkey | None = None,
        node_disk: SmallDisk | None = None,
        centre_disk: SmallDisk | None = None,
        **node: Any,
    ) -> None:
        self._stack = ExitStack()
        self._folder, self._node_disk, self._centre_disk = folder, node_disk, centre_disk
        self.valkey = valkey or Valkey(folder / "valkey")
        own = f"redis://{HOST}:{self.valkey.port}/0"
        node_url, centre_url = url if isinstance(url, tuple) else (url or own, url or own)
        if node_disk:
            node |= {"inside": node_disk.inside, "data_dir": node_disk.folder / "data"}
        self.node = Node(folder / "node", node_url, **node)
        wanted: dict[str, Any] = {"redis": {"claim_idle_s": 2, "batch": BATCH}}
        if database:
            wanted |= {"database": {"url": database}, "center": {"workers": 2}}
        if centre_disk:
            wanted |= {"database": {"url": f"sqlite:///{centre_disk.folder}/{_DATABASE}"}}
        (folder / "centre").mkdir()
        config = write_config(folder / "centre", centre_url, **wanted)
        self.centre = Centre(config, centre_disk.inside if centre_disk else ())

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for process in (self.valkey, self.centre, self.node):
                stack.callback(process.close)
            self.valkey.start()
            self._admit()
            self.centre.start()
            self.node.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            print(f"seed {SEED}; node: {self._said()}\n{self.centre.tail()}{self.node.tail()}")  # noqa: T201
        self._stack.close()

    def _said(self) -> Any:
        with suppress(AssertionError):
            return self.node.status()
        return "ended"

    def _admit(self) -> None:
        """Make the node's key, and let the centre know it."""
        disk = self._node_disk
        public = Signer.open(disk.outside / "data" if disk else self.node.data_dir).public
        if self._centre_disk:
            done = self.centre.command_line("admit", NODE, public, "--who", "test", "--why", "test")
            assert done.returncode == 0, done.stderr
            return
        with open_store(load_center(self.centre.config)) as store:
            store.admit(NODE, public_key(public), "test")

    def flows(self, more: int = 200) -> None:
        """Wait until the centre has stored so many more events, without a hole before them."""
        wanted = self.centre.through() + more
        until(lambda: self.centre.through() >= wanted, f"{more} more events")

    def gather_unread(self, events: int, server: Valkey | None = None) -> None:
        """Freeze the centre, and wait until so many events are in Redis that it has not read."""
        self.centre.freeze()
        admin = (server or self.valkey).admin
        length = admin.xlen(EVENTS)
        # as many again as one answer that is on its way to the centre may hold
        until(lambda: admin.xlen(EVENTS) >= length + events + BATCH, "unread events")

    def settle(self) -> dict[str, int]:
        """End the events, wait for all receipts, and hold what was created against what is stored."""
        begun_s = time.monotonic()
        self.node.drain()
        drained_s = time.monotonic() - begun_s
        account = Account.read(self.node.account)
        until(lambda: self.centre.through() == account.end, "the centre's books")
        cases = self.centre.cases()
        verified = self.centre.command_line("verify")
        assert (verified.returncode, verified.stdout[:6]) == (0, "intact"), verified.stderr
        assert self.centre.end() == 0
        stored = Stored.read(self._config_to_read(), NODE)
        figures = check(account, stored, self.node.kills)
        check_order(cases, stored, NODE)
        figures |= {"cases": len(cases), "drained_s": round(drained_s)}
        say(" ".join(f"{key}={value}" for key, value in figures.items()))
        return figures

    def _config_to_read(self) -> CenterConfig:
        """Of a database on an ordinary disk."""
        config = load_center(self.centre.config)
        if self._centre_disk:
            self._centre_disk.fetch(_DATABASE, self._folder / "fetched")
            url = SecretStr(f"sqlite:///{self._folder}/fetched/{_DATABASE}")
            return config.model_copy(update={"database": config.database.model_copy(update={"url": url})})
        return config


def say(text: str) -> None:
    """A line for who runs this with -s."""
    print(f"  {time.strftime('%H:%M:%S')} {text}", flush=True)  # noqa: T201


def databases() -> list[str]:
    """Which databases to run with."""
    return ["sqlite", "postgresql"] if LONG else ["sqlite"]


def database_url(kind: str) -> str | None:
    """URL of a new database; None for SQLite's own place. Skips where there is no PostgreSQL."""
    if kind == "sqlite":
        return None
    from tests.support.postgres import new_database

    return new_database()
