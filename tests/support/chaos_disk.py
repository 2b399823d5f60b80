"""A small disk of a test's own, in a mount namespace that ends with the test however that ends."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.chaos_processes import until

_USER = () if os.geteuid() == 0 else ("-U", "-r")


class SmallDisk:
    """A tmpfs of so many MiB at `folder`, seen by processes that are started with `inside` before them."""

    def __init__(self, folder: Path, mib: int) -> None:
        folder.mkdir()
        self.folder = folder
        self._filler = folder / "filler"
        mount = f"mount -t tmpfs -o size={mib}m none {folder} && echo mounted && exec cat"
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            pytest.skip("there is no unshare and nsenter, so no small disk")
        # it ends when its input does: at the latest with the test
        self._holder = subprocess.Popen(
            ["unshare", *_USER, "-m", "sh", "-c", mount],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._holder.stdout is not None
        if not self._holder.stdout.readline():
            self._end()
            pytest.skip("this system lets nobody mount a small disk")
        user = ["-U", "--preserve-credentials"] if _USER else []
        self.inside: Sequence[str] = ["nsenter", "-t", str(self._holder.pid), *user, "-m", "--"]
        """Words before a command that shall see the disk."""

    @property
    def outside(self) -> Path:
        """The folder as processes elsewhere see it; not for SQLite, which would look behind the link."""
        return Path(f"/proc/{self._holder.pid}/root{self.folder}")

    def left(self) -> int:
        """Free bytes."""
        disk = os.statvfs(self.outside)
        return disk.f_bavail * disk.f_frsize

    def fill(self) -> None:
        """Leave no byte on it."""
        with (self.outside / self._filler.name).open("ab", buffering=0) as filler:
            for block in (2**16, 4096):
                try:
                    while True:
                        filler.write(b"x" * block)
                except OSError:
                    continue

    def free(self) -> None:
        """Take away what filled it."""
        (self.outside / self._filler.name).unlink()

    def fetch(self, name: str, folder: Path) -> None:
        """Copy the files that begin so to an ordinary disk."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in self.outside.glob(f"{name}*"):
            shutil.copy(path, folder / path.name)

    def _end(self) -> None:
        for pipe in (self._holder.stdin, self._holder.stdout):
            assert pipe is not None
            pipe.close()
        self._holder.wait(30)

    def __enter__(self) -> Self:
        until(self.outside.exists, "the small disk")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
