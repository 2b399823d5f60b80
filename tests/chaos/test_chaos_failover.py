"""The master dies and its replica takes over, without what only the master had."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.chaos_line import Line, database_url, databases, say
from tests.support.chaos_processes import HOST, LONG, Valkey, until
from tests.support.chaos_proxy import Proxy

ROUNDS = 5 if LONG else 1
LOST = 100
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800 if LONG else 180)]


@pytest.fixture(params=databases())
def database(request: pytest.FixtureRequest) -> str | None:
    return database_url(request.param)


class Sentinel(Valkey):
    """Watches a master as `district`, and fails over soon.

    It asks once a second, or as often as a server may be silent: with one second for both, a new master that
    it has just come to know is held for dead before it has been asked.
    """

    def __init__(self, folder: Path, master: int) -> None:
        watched = (
            f"sentinel monitor district {HOST} {master} 1\n"
            "sentinel down-after-milliseconds district 3000\n"
            "sentinel failover-timeout district 2000"
        )
        super().__init__(folder, watched)

    def command(self) -> list[str]:
        return [*super().command(), "--sentinel"]

    def sees_a_replica(self) -> bool:
        """Whether there is one that could take over."""
        (state,) = self.admin.execute_command("SENTINEL", "REPLICAS", "district")
        words = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
        flags = next(value for key, value in words.items() if key in ("flags", b"flags"))
        return flags in ("slave", b"slave")


def follow(replica: Valkey, master: Valkey) -> None:
    """Have one replicate the other, and wait until it does."""
    replica.admin.execute_command("REPLICAOF", HOST, master.port)
    until(lambda: replica.admin.info("replication")["master_link_status"] == "up", "the replica")


def die_ahead(line: Line, master: Valkey, replica: Valkey) -> None:
    """Kill the master while it has events that neither its replica nor the centre has."""
    replica.admin.config_set("masteruser", "nobody")
    replica.admin.config_set("masterauth", "wrong")
    # what is sent to a replica that is merely frozen waits in its socket
    master.admin.client_kill_filter(_type="replica")
    until(lambda: replica.admin.info("replication")["master_link_status"] == "down", "the link to break")
    line.gather_unread(LOST, master)
    master.kill()
    replica.admin.config_set("masteruser", "")
    replica.admin.config_set("masterauth", "")
    line.centre.thaw()


@contextmanager
def pair(folder: Path) -> Iterator[tuple[Valkey, Valkey]]:
    """A master and its replica."""
    settings = "repl-diskless-sync-delay 0"
    with ExitStack() as stack:
        servers = [Valkey(folder / name, settings) for name in ("one", "other")]
        for server in servers:
            stack.callback(server.close)
            server.start()
        follow(servers[1], servers[0])
        yield servers[0], servers[1]


def test_promoted_by_a_sentinel(tmp_path: Path, database: str | None) -> None:
    with pair(tmp_path) as servers, ExitStack() as stack:
        master, replica = servers
        sentinel = Sentinel(tmp_path / "sentinel", master.port)
        stack.callback(sentinel.close)
        sentinel.start()
        until(sentinel.sees_a_replica, "the sentinel to know the replica")
        url = f"redis+sentinel://{HOST}:{sentinel.port}/district/0"
        with Line(tmp_path, database=database, url=url, valkey=master) as line:
            for n in range(ROUNDS):
                line.flows()
                replayed = line.node.says("replayed")
                die_ahead(line, master, replica)
                until(lambda new=replica: new.admin.info("replication")["role"] == "master", "a new master")
                say(f"the replica took over, {n + 1} of {ROUNDS}")
                master.start()
                master, replica = replica, master
                until(
                    lambda old=replica: old.admin.info("replication").get("master_link_status") == "up",
                    "the old master to follow",
                )
                until(sentinel.sees_a_replica, "the sentinel to know it")
                until(lambda few=replayed: line.node.says("replayed") >= few + LOST, "what was lost")
            line.flows()
            line.settle()


def test_promoted_by_hand_behind_one_address(tmp_path: Path, database: str | None) -> None:
    """For a while the address leads to a replica that only reads."""
    with pair(tmp_path) as servers, Proxy(servers[0].port) as address:
        master, replica = servers
        url = f"redis://{HOST}:{address.port}/0"
        with Line(tmp_path, database=database, url=url, valkey=master) as line:
            for n in range(ROUNDS):
                line.flows()
                replayed = line.node.says("replayed")
                die_ahead(line, master, replica)
                address.lead_to(replica.port)
                until(lambda: "only reads" in (line.node.says("trouble") or ""), "the node to be refused")
                until(lambda: not line.centre.ready(), "the centre's trouble")
                replica.admin.execute_command("REPLICAOF", "NO", "ONE")
                say(f"the replica was promoted, {n + 1} of {ROUNDS}")
                master.start()
                master, replica = replica, master
                follow(replica, master)
                until(lambda few=replayed: line.node.says("replayed") >= few + LOST, "what was lost")
            line.flows()
            line.settle()
