"""Where running nodes leave word of themselves, so that `events tail` on this machine finds them.

A file per process in a directory that only its owner can write. It holds no credentials: an embedded server's
address lies in the node's data directory, for those who may read that.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SERVICE = Path("/run/sharpeyes")
"""Where the system service leaves word."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Word of a running node.

    Attributes:
        pid: of its process.
        node: its id.
        district: its GB/T 2260 code, which names the stream.
        data_dir: where its embedded server's address lies; None where it uses a configured server.
        page: URL of its status page.
    """

    pid: int
    node: str
    district: str
    data_dir: str | None
    page: str


def home() -> Path:
    """Where this user's nodes leave word: systemd's directory, the session's, or a temporary one."""
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        if value := os.environ.get(name):
            first = Path(value.split(":")[0])
            return first if name == "RUNTIME_DIRECTORY" else first / "sharpeyes"
    return Path(tempfile.gettempdir()) / f"sharpeyes-{os.getuid()}"


@contextlib.contextmanager
def announced(notice: Notice, directory: Path | None = None) -> Iterator[None]:
    """Leave `notice` while the block runs. Where that cannot be, the node runs without."""
    directory = directory or home()
    path = directory / f"{notice.pid}.json"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _ours(directory):
            _write_private(path, json.dumps(asdict(notice)))
    except OSError:
        pass
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            directory.rmdir()  # only when empty


def notices(directories: Sequence[Path] | None = None) -> list[Notice]:
    """Word of the nodes that run now, newest first; by default also of the system service."""
    found: list[tuple[float, Notice]] = []
    for directory in directories or (home(), SERVICE):
        with contextlib.suppress(OSError):
            if not _ours(directory):
                continue
            for path in directory.glob("*.json"):
                with contextlib.suppress(OSError, ValueError, TypeError):
                    notice = Notice(**json.loads(path.read_text()))
                    if _alive(notice.pid):
                        found.append((path.stat().st_mtime, notice))
    return [notice for _, notice in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _ours(directory: Path) -> bool:
    """Whether no other user could have put something there; only root makes the service's directory."""
    state = directory.lstat()
    return directory == SERVICE or (state.st_uid in (os.getuid(), 0) and not state.st_mode & 0o022)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
