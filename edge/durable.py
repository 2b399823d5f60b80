"""Small files that are there as a whole or not at all, whenever the power fails."""

import os
import tempfile
from pathlib import Path

PRIVATE = 0o600
"""Readable and writable for the node's user only."""


def sync_folder(folder: Path) -> None:
    """Have a folder's names on the disk: what was made, renamed or removed in it.

    Raises:
        OSError: the folder cannot be opened, or its disk fails.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file, which may be missing; on the disk when this returns.

    One writer at a time: the new content waits in a file of a fixed name beside it, `<name>.part`.

    Raises:
        OSError: the disk refuses; the old content stays.
    """
    part = path.with_name(f"{path.name}.part")
    _write(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), content)
    part.replace(path)
    sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> None:
    """Make a file with `content`, never in the place of another; on the disk when this returns.

    Raises:
        FileExistsError: it is there already.
        OSError: the disk refuses; nothing was made.
    """
    handle, name = tempfile.mkstemp(suffix=".part", prefix=f"{path.name}.", dir=path.parent)
    part = Path(name)
    try:
        _write(handle, content)
        # unlike a rename, a link is refused where the name is taken
        path.hardlink_to(part)
    finally:
        part.unlink()
    sync_folder(path.parent)


def _write(handle: int, content: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
