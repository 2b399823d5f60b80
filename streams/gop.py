"""Encoded packets that are not decoded yet but may have to be: those since the last keyframe."""

from __future__ import annotations

from collections import deque

from streams.packet import Packet

MAX_PACKETS = 1000
"""A bound for cameras with very long GOPs: 40 s at 25 pictures a second."""
MAX_BYTES = 8 * 2**20
"""And one for 8K: two or three of its keyframes; a GOP of 10 s at 4 Mbit/s is 5 MiB."""


class GopBuffer:
    """Keeps what a decoder needs to catch up; bounded in number and in bytes. For one thread.

    A keyframe begins it anew. When a packet does not fit, everything is dropped, because a GOP without its
    beginning cannot be decoded; until the next keyframe there is nothing to catch up with.

    Attributes:
        overflows: how often it was full.
        discarded: packets that were held, or came, in vain: `held = taken + discarded + those here`.
        size: bytes held.

    Args:
        max_packets: how many packets it holds, 1 or more.
        max_bytes: and how many bytes, 1 or more.
    """

    def __init__(self, max_packets: int = MAX_PACKETS, max_bytes: int = MAX_BYTES) -> None:
        if max_packets < 1 or max_bytes < 1:
            raise ValueError(f"a buffer must hold something, got {max_packets} packets, {max_bytes} bytes")
        self.overflows = 0
        self.discarded = 0
        self.size = 0
        self._max_packets = max_packets
        self._max_bytes = max_bytes
        self._packets: deque[Packet] = deque()
        self._decodable = False

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def decodable(self) -> bool:
        """Whether a decoder could go on with the next packet: nothing is missing since a keyframe."""
        return self._decodable

    def fits(self, packet: Packet) -> bool:
        """Whether there is room for a packet that is no keyframe."""
        return len(self._packets) < self._max_packets and self.size + packet.size <= self._max_bytes

    def hold(self, packet: Packet) -> None:
        """Keep a packet until it is taken; one that cannot be decoded any more is dropped and counted."""
        if packet.keyframe:
            self._discard()
            self._decodable = True
        if not self._decodable:
            self.discarded += 1
        elif self.fits(packet):
            self._packets.append(packet)
            self.size += packet.size
        else:
            self.overflows += 1
            self.discarded += 1
            self.lose()

    def take(self) -> list[Packet]:
        """All packets held, in decoding order. The decoder has them now: what follows goes on from there."""
        packets = list(self._packets)
        self._packets.clear()
        self.size = 0
        return packets

    def lose(self) -> None:
        """The decoder's state is gone: nothing can be decoded until the next keyframe."""
        self._discard()
        self._decodable = False

    def _discard(self) -> None:
        self.discarded += len(self._packets)
        self._packets.clear()
        self.size = 0
