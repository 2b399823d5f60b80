"""A real `sharpeyes run` beside the benchmark: started, asked over HTTP, ended as Ctrl-C does."""

import contextlib
import json
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import redis
import yaml


class LiveNode(NamedTuple):
    """A running node: the address of its HTTP interface, and its process id."""

    page: str
    pid: int

    def memory_mb(self) -> float:
        """Resident memory of the node's process in MB (10^6 bytes)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6


@contextlib.contextmanager
def running_node(folder: Path, configuration: str) -> Iterator[LiveNode]:
    """A running `sharpeyes run`, ended as Ctrl-C does.

    Raises:
        SystemExit: the node ended at once; with its last words.
    """
    config = folder / "node.yaml"
    config.write_text(configuration)
    page = "http://127.0.0.1:{port}".format(**yaml.safe_load(configuration)["http"])
    log = (folder / "node.log").open("w")
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("sharpeyes")), "run", str(config)], stdout=log, stderr=log
    )
    try:
        while any(camera["analysed_fps"] == 0 for camera in cameras(page).values()) or not cameras(page):
            if process.poll() is not None:
                raise SystemExit(f"the node ended at once: {(folder / 'node.log').read_text()}")
            time.sleep(0.1)
        yield LiveNode(page, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()
        log.close()


def free_port() -> int:
    """A TCP port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cameras(page: str) -> dict[str, Any]:
    """The node's cameras by id; empty while it is not up yet."""
    try:
        with urllib.request.urlopen(f"{page}/cameras", timeout=2) as reply:  # noqa: S310 - our own node
            return {camera["id"]: camera for camera in json.load(reply)}
    except OSError:
        return {}


def delivered(data: Path) -> list[dict[str, Any]]:
    """Every event that has reached Redis, in order."""
    with redis.Redis.from_url((data / "broker.url").read_text().strip()) as client:
        entries = client.xrange("sharpeyes:{360103}:events")
    return [json.loads(fields[b"ce"]) for _, fields in entries]
