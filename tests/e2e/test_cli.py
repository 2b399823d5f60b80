"""The installed command as somebody at a terminal runs it: the demo, its events, its end."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

START_S, EVENT_S = 30.0, 60.0
"""How long a test machine may take; the product promises 3 s and 30 s."""
EXIT_S = 5.0
"""The product promises 3 s; a busy test machine gets two more."""


def run(command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, which must be a good one."""
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)


class Program:
    """`sharpeyes`, running, with a temp directory of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.temp = folder / "tmp"
        self.temp.mkdir(exist_ok=True)
        self.environment = os.environ | {
            "TMPDIR": str(self.temp),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "200",
        }
        self.environment.pop("RUNTIME_DIRECTORY", None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from api.cli import main; main()", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
        )
        self.seen: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, wanted: str, timeout_s: float) -> str:
        """The first line from now on that holds `wanted`."""
        while True:
            try:
                line = self._lines.get(timeout=timeout_s)
            except queue.Empty:
                raise AssertionError(f"no {wanted!r} in time in {self.seen}") from None
            assert line is not None, f"ended without {wanted!r}: {self.seen}"
            self.seen.append(line)
            if wanted in line:
                return line

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the exit."""
        self.process.send_signal(number)
        return self.process.wait(EXIT_S)

    def close(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def rest(self) -> str:
        """All that was printed."""
        self._reader.join(10)
        while (line := self._lines.get(timeout=1)) is not None:
            self.seen.append(line)
        return "".join(self.seen)

    def left_behind(self) -> list[Path]:
        """What lies in its temp and runtime directories."""
        return [path for folder in (self.temp, self.temp.parent / "run") for path in folder.glob("*")]

    def another(self, *arguments: str) -> str:
        """What another command of the same user prints."""
        command = [sys.executable, "-c", "from api.cli import main; main()", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Program]:
    with closing(Program(tmp_path, "demo", "--port", "0", "--cameras", "2")) as program:
        yield program


@pytest.mark.slow
def test_the_demo_from_start_to_end(demo: Program) -> None:
    url = demo.until("page ", START_S).split()[1]
    demo.until("first picture analysed", START_S)
    demo.until("hazard.", EVENT_S)

    with urlopen(url + "readyz", timeout=20) as answer:  # noqa: S310 - our own address
        assert json.load(answer) == {"ready": True, "missing": []}
    with urlopen(url + "cameras", timeout=20) as answer:  # noqa: S310
        assert [camera["state"] for camera in json.load(answer)] == ["up", "up"]
    assert json.loads(demo.another("health", "--ready", "--url", url.rstrip("/")))["ready"]
    tailed = demo.another("events", "tail", "--last", "50", "--no-follow", "--json")
    types = {json.loads(line)["type"] for line in tailed.splitlines()}
    assert types & {"org.sharpeyes.hazard.line.v1", "org.sharpeyes.hazard.intrusion.v1"}

    children = psutil.Process(demo.process.pid).children(recursive=True)
    assert children, "the embedded server should be running"
    with urlopen(url + "events", timeout=20) as stream:  # noqa: S310
        assert stream.readline().startswith(b":")
        assert demo.end(signal.SIGINT) == 0
    _, alive = psutil.wait_procs(children, timeout=EXIT_S)
    assert alive == []
    assert demo.left_behind() == []
    assert "Traceback" not in demo.rest()


@pytest.mark.slow
def test_the_demo_ends_by_itself_with_a_summary(tmp_path: Path) -> None:
    with closing(Program(tmp_path, "demo", "--port", "0", "--cameras", "1", "--for", "4")) as program:
        assert program.process.wait(EVENT_S) == 0
        text = program.rest()
        for part in ("first picture analysed", "After ", "superseded", "node.heartbeat", "by Redis"):
            assert part in text
        assert program.left_behind() == []


def test_an_interrupt_while_starting_leaves_nothing(demo: Program) -> None:
    while not list(demo.temp.glob("sharpeyes-demo-*")):
        assert demo.process.poll() is None
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(START_S) in (0, 130)
    assert demo.left_behind() == []
    assert "Traceback" not in demo.rest()


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    script = "from api.cli import main; main()"
    source = "sim://plaza?seconds=60&size=320x180&fps=5"
    command = f"{sys.executable} -c '{script}' analyse '{source}' --counts - | head -n 2"
    done = run(["sh", "-c", command])
    assert done.stdout.splitlines()[0] == "pts_s,zone,count,density_per_m2"
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['sharpeyes', '--help']\n"
        "from api.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'cv2', 'av', 'onnxruntime', 'fastapi', 'uvicorn', 'redis', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.strip() == "[]"
