"""The last seconds of a camera's packets, still encoded: for clips, and for who watches live.

The reader's thread puts in whatever comes, whether anything of it is decoded or not, so that what is kept
does not depend on how far analysis keeps up.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

from streams.packet import Packet, StreamInfo

KEEP_S = 30.0
"""A clip's 20 s, and time for who makes it to come to it; a GOP more is kept, to decode its first picture."""
MAX_BYTES = 24 * 2**20
"""Per camera: 40 s at 5 Mbit/s. A camera that sends more has shorter clips."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One packet, and when it is shown.

    Attributes:
        packet: as the source gave it, with its raw time.
        pts_s: seconds on the camera's repaired clock, as in `Frame.pts_s`; None where the stream gave none.
        mono_s: host monotonic seconds when the camera had it.
        utc: aware UTC wall time of the same moment.
        opening: number of the connection it came by; another one needs another decoder.
    """

    packet: Packet
    pts_s: float | None
    mono_s: float
    utc: datetime
    opening: int


@dataclass(slots=True, eq=False)
class _Gop:
    """A keyframe and what refers to it.

    Attributes:
        first: number of its keyframe, counted over all packets of the ring's life.
        packets: it and what followed.
        size: bytes.
    """

    first: int
    packets: list[Kept] = field(default_factory=list)
    size: int = 0


class PacketRing:
    """Keeps whole GOPs of the last seconds, bounded in bytes; one writer, any number of readers.

    Attributes:
        overflows: how often one GOP alone was larger than all there is; then the next keyframe begins anew.

    Args:
        keep_s: camera seconds kept before the newest packet, above 0; a GOP more, as it cannot be halved.
        max_bytes: and how many bytes of packets, 1 or more; the oldest GOPs go first.
    """

    def __init__(self, keep_s: float = KEEP_S, max_bytes: int = MAX_BYTES) -> None:
        if keep_s <= 0 or max_bytes < 1:
            raise ValueError(f"a ring must keep something, got {keep_s} s, {max_bytes} bytes")
        self.overflows = 0
        self._keep_s, self._max_bytes = keep_s, max_bytes
        self._news = threading.Condition()
        self._gops: deque[_Gop] = deque()
        self._infos: dict[int, StreamInfo] = {}
        self._opening = 0
        self._count = self._size = 0
        self._decodable = False
        self._newest_s: float | None = None
        self._followers = 0

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._size

    @property
    def newest_s(self) -> float | None:
        """Camera seconds of the newest packet that has a time; None before there was one."""
        return self._newest_s

    @property
    def followed(self) -> bool:
        """Whether somebody waits for each packet, so that none should be late."""
        return self._followers > 0

    def opened(self, info: StreamInfo) -> None:
        """A stream was opened; what comes from now on is of it."""
        kept = info.detached()
        with self._news:
            self._opening += 1
            self._decodable = False
            self._infos = {
                number: one for number, one in self._infos.items() if number in self._held_openings()
            } | {self._opening: kept}

    def put(self, packet: Packet, pts_s: float | None, mono_s: float, utc: datetime) -> None:
        """Keep one more packet; before the first keyframe of a stream there is nothing to keep.

        Args:
            packet: in decoding order.
            pts_s: its time on the camera's repaired clock.
            mono_s: host monotonic seconds when the camera had it.
            utc: aware UTC wall time of the same moment.
        """
        with self._news:
            if packet.keyframe:
                self._gops.append(_Gop(self._count))
                self._decodable = True
            if not self._decodable:
                return
            gop = self._gops[-1]
            gop.packets.append(Kept(packet, pts_s, mono_s, utc, self._opening))
            gop.size += packet.size
            self._size += packet.size
            self._count += 1
            if pts_s is not None:
                self._newest_s = pts_s
            self._trim()
            self._news.notify_all()

    def info(self, opening: int) -> StreamInfo:
        """What the stream said of itself that a packet came by; good to decode with when it is long closed.

        Raises:
            KeyError: nothing of that connection is held any more.
        """
        with self._news:
            return self._infos[opening]

    def clip(self, first_s: float, last_s: float) -> list[Kept]:
        """What it takes to show a span of camera time, in decoding order: from a keyframe on.

        Args:
            first_s: from the last keyframe at or before it; from the first one held where that is gone.
            last_s: up to the last packet with that time or an earlier one.
        """
        with self._news:
            gops = [list(gop.packets) for gop in self._gops]
        begin = 0
        for index, packets in enumerate(gops):
            shown_s = packets[0].pts_s
            if shown_s is not None and shown_s <= first_s:
                begin = index
        packets = [one for gop in gops[begin:] for one in gop]
        ends = [index for index, one in enumerate(packets) if one.pts_s is not None and one.pts_s <= last_s]
        return packets[: ends[-1] + 1] if ends and _reaches(packets, first_s) else []

    def follow(self) -> Follower:
        """Somebody who is given every packet from now on; to be used as a context."""
        return Follower(self)

    def _held_openings(self) -> set[int]:
        return {gop.packets[0].opening for gop in self._gops if gop.packets}

    def _trim(self) -> None:
        while len(self._gops) > 1 and (self._size > self._max_bytes or self._is_old(self._gops[1])):
            self._size -= self._gops.popleft().size
        if self._size > self._max_bytes:
            self.overflows += 1
            self._gops.clear()
            self._size = 0
            self._decodable = False

    def _is_old(self, next_gop: _Gop) -> bool:
        """Whether what comes before that GOP is not needed any more, even to show the oldest second kept."""
        begins_s = next_gop.packets[0].pts_s if next_gop.packets else None
        if begins_s is None or self._newest_s is None:
            return False
        return not 0.0 <= self._newest_s - begins_s < self._keep_s

    def _after(self, position: int | None, timeout_s: float) -> tuple[list[Kept], int | None, int]:
        """What came from a position on, the position then, and how many packets between were missed."""
        with self._news:
            self._news.wait_for(lambda: self._has(position), timeout_s)
            if not self._has(position):
                return [], position, 0
            newest = self._gops[-1]
            start, lost = position, 0
            if position is None or position < self._gops[0].first:
                start = newest.first
                lost = 0 if position is None else start - position
            assert start is not None  # noqa: S101 - for the type checker: it was set above where it was None
            new = [one for gop in self._gops for one in gop.packets[max(0, start - gop.first) :]]
            return new, self._count, lost

    def _has(self, position: int | None) -> bool:
        return bool(self._gops) and (position is None or self._count > position)


class Follower:
    """Takes packets as they come: first the newest GOP from its keyframe on. For one thread, as a context.

    Attributes:
        lost: packets that went out of the ring before they were taken; it goes on at a keyframe then.
    """

    def __init__(self, ring: PacketRing) -> None:
        self.lost = 0
        self._ring = ring
        self._position: int | None = None

    def __enter__(self) -> Self:
        with self._ring._news:
            self._ring._followers += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._ring._news:
            self._ring._followers -= 1

    def take(self, timeout_s: float) -> list[Kept]:
        """What came since the last call, in decoding order; empty when nothing came in time.

        Args:
            timeout_s: how long to wait for the first packet, 0 or more.
        """
        new, self._position, lost = self._ring._after(self._position, timeout_s)
        self.lost += lost
        return new


def _reaches(packets: list[Kept], first_s: float) -> bool:
    """Whether any of it is shown at `first_s` or later."""
    return any(one.pts_s is not None and one.pts_s >= first_s for one in packets)
