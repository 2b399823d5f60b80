"""A full disk where the least severe events lie scattered among others: giving them up frees no page."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def small_disk(folder: Path, command: str) -> list[str]:
    """A shell that mounts a tmpfs of 12 MiB on `folder`, seen by itself only, and runs a command."""
    mount = f"mount -t tmpfs -o size=12m none {folder} && exec {command}"
    return ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-m", "sh", "-c", mount]


@pytest.mark.parametrize("seed", [1, 3])
def test_notes_of_gaps_find_room(tmp_path: Path, seed: int) -> None:
    if (
        shutil.which("unshare") is None
        or subprocess.run(small_disk(tmp_path, "true"), capture_output=True, check=False).returncode
    ):
        pytest.skip("this system lets nobody mount a small disk")
    done = subprocess.run(
        small_disk(tmp_path, f"{sys.executable} -m tests.support.outbox_scattered {tmp_path} {seed} 1100"),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    # a caller tries again after a refusal: the second time there is room
    assert report["refused"] <= 1
    assert report["evicted"] > 1000
    assert not report["severe_first"]
    assert report["accounted"]
