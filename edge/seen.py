"""What readers and mailbox say about a camera at one moment, gathered once for all who ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from streams.mailbox import FrameCounts, Mailbox
from streams.reader import Reader, ReaderStatus


class CameraSeen(NamedTuple):
    """One camera.

    Attributes:
        reader: how its stream is.
        frames: what became of its decoded frames.
    """

    reader: ReaderStatus
    frames: FrameCounts


def gather(readers: Mapping[str, Reader], mailbox: Mailbox) -> dict[str, CameraSeen]:
    """All cameras, by id."""
    frames = mailbox.all_counts()
    return {id_: CameraSeen(reader.status(), frames[id_]) for id_, reader in readers.items()}
