"""State that outlives the process."""

import os
from pathlib import Path

import pytest
import structlog.testing
from pydantic import BaseModel

from edge.kept import MAX_BYTES, keep, read_kept


class State(BaseModel):
    """Some state."""

    words: tuple[str, ...] = ()


def test_what_was_kept_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert read_kept(path, State) == State()
    keep(path, State(words=("a", "北门")))
    keep(path, State(words=("b", "北门")))
    assert read_kept(path, State) == State(words=("b", "北门"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"words": 3}', b"\xff", b" " * (MAX_BYTES + 1)])
def test_what_is_of_no_use_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with structlog.testing.capture_logs() as logs:
        assert read_kept(path, State) == State()
    assert logs[0]["file"] == "state.json"


def test_what_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        assert read_kept(tmp_path, State) == State()
    assert logs[0]["reason"] == os.strerror(21)


def test_a_disk_that_refuses_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    keep(path, State(words=("a",)))
    (tmp_path / "state.json.part").mkdir()
    with pytest.raises(OSError, match="directory"):
        keep(path, State(words=("b",)))
    assert read_kept(path, State) == State(words=("a",))
