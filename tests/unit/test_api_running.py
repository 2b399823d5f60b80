"""Word that running nodes leave for other commands of the same user."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from api import running
from api.running import Notice, announced, notices


def notice(pid: int | None = None, node: str = "demo") -> Notice:
    return Notice(pid or os.getpid(), node, "000000", "/var/lib/sharpeyes", "http://127.0.0.1:8080/")


def test_found_while_it_runs_and_gone_after(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with announced(notice(), folder):
        assert notices([folder]) == [notice()]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(next(folder.iterdir()).stat().st_mode) == 0o600
    assert not folder.exists()


def test_a_neighbour_keeps_its_word(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with announced(notice(), folder):
        (folder / "1.json").write_text(json.dumps(asdict(notice(1, "other"))))
        assert {found.node for found in notices([folder])} == {"demo", "other"}
    assert [found.node for found in notices([folder])] == ["other"]


def test_the_dead_and_the_garbled_are_passed_over(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with announced(notice(gone.pid), tmp_path / "run"):
        (tmp_path / "run" / "x.json").write_text("{")
        (tmp_path / "run" / "y.json").write_text('{"pid": 1}')
        assert notices([tmp_path / "run", tmp_path / "nowhere"]) == []


def test_a_folder_that_others_can_write_is_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "1.json").write_text(json.dumps(asdict(notice())))
    assert notices([folder]) == []
    with announced(notice(), folder):
        assert not (folder / f"{os.getpid()}.json").exists()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    folder, victim = tmp_path / "run", tmp_path / "victim"
    folder.mkdir(mode=0o700)
    victim.write_text("precious")
    (folder / f"{os.getpid()}.json").symlink_to(victim)
    with announced(notice(), folder):
        assert victim.read_text() == "precious"


def test_without_a_folder_the_node_runs_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with announced(notice(), tmp_path / "file" / "run"):
        assert notices([tmp_path / "file" / "run"]) == []


@pytest.mark.parametrize(
    ("variables", "home"),
    [
        ({"RUNTIME_DIRECTORY": "/run/sharpeyes:/run/other"}, "/run/sharpeyes"),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/user/7/sharpeyes"),
    ],
)
def test_where_word_is_left(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], home: str) -> None:
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert running.home().name == f"sharpeyes-{os.getuid()}"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert running.home() == Path(home)
