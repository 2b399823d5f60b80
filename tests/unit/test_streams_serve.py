"""Starting the RTSP server fails in plain words. What it plays is tested in `tests/e2e/test_rtsp.py`."""

import stat
import sys
from pathlib import Path

import pytest

from streams.sim.serve import RtspServer, ServeError, find_python


def _program(path: Path, text: str) -> str:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_no_suitable_python_names_the_packages(tmp_path: Path) -> None:
    failing = _program(tmp_path / "python", "raise SystemExit(1)")
    with pytest.raises(ServeError, match="apt-get install python3-gi"):
        find_python(["no-such-python", failing])


def test_the_first_suitable_python_is_taken(tmp_path: Path) -> None:
    failing = _program(tmp_path / "first", "raise SystemExit(1)")
    fitting = _program(tmp_path / "second", "")
    assert find_python([failing, fitting]) == fitting


def test_a_server_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="did not start"):
        RtspServer([], _program(tmp_path / "python", "print('no json')"))


def test_a_server_that_ended_is_an_error(tmp_path: Path) -> None:
    quitting = "import json, sys; print(json.dumps({'port': 1}), flush=True); sys.stdin.close()"
    with RtspServer([], _program(tmp_path / "python", quitting)) as server:
        assert server.port == 1
        with pytest.raises(ServeError, match="ended"):
            server.command("stall")
        with pytest.raises(ServeError, match="has ended"):
            server.write(bytes(1_000_000))  # more than a pipe holds


def test_a_server_that_will_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sim.serve._QUIT_WITHIN_S", 0.05)
    stubborn = "import json, time; print(json.dumps({'port': 1}), flush=True); time.sleep(60)"
    server = RtspServer([], _program(tmp_path / "python", stubborn))
    server.close()
    server.close()
