"""Sequence numbers set aside beside the outbox, so that none is given twice even when its file is lost."""

import os
from pathlib import Path

import structlog

from edge.durable import replace_file
from edge.errors import OutboxError

log = structlog.get_logger(__name__)

BLOCK = 10_000
"""Numbers set aside at a time: one write to the disk for so many events."""

_SLOT = b"%020d\n"
_SLOT_BYTES = 21
_MOST = 10**18


class Numbers:
    """A file with two numbers; the larger one says up to where numbers may have been given.

    It is on the disk before the first number of a block is given. A new outbox starts after the block. The
    smaller number is the one that is overwritten, in its place: that needs no space on a full disk, and a
    power cut in the middle leaves the other one.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is read or written yet.

        Args:
            path: the side file; it may be missing.
        """
        self._path = path
        self._slot = 0
        self.reserved = 0
        """The highest number set aside, as far as known."""

    @property
    def cure(self) -> str:
        """What helps where neither the outbox nor this file tells what was given."""
        return (
            f"{self._path} does not tell which sequence numbers were given; write into it the highest number"
            " that the centre knows of this node"
        )

    def read(self) -> int | None:
        """The highest number set aside; None where the file is missing or holds no number.

        Raises:
            OSError: it cannot be read.
        """
        try:
            words = self._path.read_bytes().split()
        except FileNotFoundError:
            return None
        told = [int(word) if word.isdigit() and len(word) < _SLOT_BYTES else 0 for word in words]
        if not any(word.isdigit() for word in words) or max(told) > _MOST:
            log.error("the file of sequence numbers holds no number", file=str(self._path))
            return None
        self._slot = told.index(min(told))
        return max(told)

    def start(self) -> int:
        """After which number an empty outbox begins: 0 where there never was another.

        Raises:
            OutboxError: there was one, and nothing tells how far it came.
            OSError: the file cannot be read.
        """
        start = self.read()
        if start is None and self._path.exists():
            raise OutboxError(self.cure)
        return start or 0

    def resume(self, newest: int) -> None:
        """Go on beside an outbox whose newest number is known; makes the file, or mends one that knows less.

        Raises:
            OSError: it cannot be read or written.
        """
        known = self.read()
        self.reserved = known or 0
        if known is None or newest > known:
            self._write(newest)

    def restore(self, last: int) -> None:
        """Write the file anew: numbers up to `last` were given, and perhaps some after it.

        Raises:
            OSError: the disk refuses.
        """
        self._write(last + BLOCK)

    def reserve(self, last: int) -> None:
        """Set numbers aside up to `last` at least; on the disk when this returns.

        Raises:
            OSError: the disk refuses; no number above `reserved` may be given.
        """
        if last > self.reserved:
            self._write(last)

    def _write(self, last: int) -> None:
        upto = -(-last // BLOCK) * BLOCK
        slot = _SLOT % upto
        if self._path.exists() and self._path.stat().st_size == 2 * _SLOT_BYTES:
            with self._path.open("r+b") as file:
                file.seek(self._slot * _SLOT_BYTES)
                file.write(slot)
                file.flush()
                os.fsync(file.fileno())
        else:
            replace_file(self._path, slot * 2)
        self._slot ^= 1
        self.reserved = upto
