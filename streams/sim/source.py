"""A simulated camera as a packet source: rendered and encoded while it is watched."""

import threading
from collections.abc import Iterator

from streams.clock import Clock
from streams.errors import StreamEndedError
from streams.packet import Packet, StreamInfo
from streams.sim.encode import Encoder, EncoderOptions, carried
from streams.sim.lens import Lens
from streams.sim.spec import Address, parse_address

STALLED_S = 10.0
"""If the host itself stood still for longer, the scene stood still too instead of being caught up."""


def open_sim(url_text: str, realtime: bool, clock: Clock) -> "SimSource":
    """Open a `sim://` URL.

    Args:
        url_text: as `spec.parse_address` takes it.
        realtime: pictures come at the camera's pace; otherwise as fast as they can be made.
        clock: the pace's time.

    Raises:
        SourceUrlError: the URL is not one of a possible scene.
    """
    return SimSource(parse_address(url_text), clock if realtime else None)


class SimSource:
    """A camera that exists only while it is read; a `PacketSource`.

    Args:
        address: what it shows.
        pace: makes the pictures come in real time; None for as fast as they can be made.
    """

    def __init__(self, address: Address, pace: Clock | None) -> None:
        spec = address.spec
        self._address = address
        self._pace = pace
        self._closed = threading.Event()
        self._lens = Lens(spec)
        self._scene = spec.scene()
        self._lap = 0
        self._encoder = Encoder(EncoderOptions(spec.size, spec.fps, "live"))
        self._info = StreamInfo("h264", *spec.size, duration_s=None if address.loop else spec.seconds)

    @property
    def info(self) -> StreamInfo:
        """Codec and size; the parameter sets come with each keyframe."""
        return self._info

    @property
    def begun_s(self) -> float | None:
        """None: a scene cannot be entered in the middle."""
        return None

    def packets(self) -> Iterator[Packet]:
        """Packets, one a picture.

        When making pictures takes longer than they last, some are left out, so that the newest is never old;
        the time stamps stay those of the scene.

        Raises:
            StreamEndedError: the scene is over, or `close` was called.
        """
        count = self._address.spec.pictures
        index = 0
        origin_s = self._pace.monotonic() if self._pace else 0.0
        while count is None or self._address.loop or index < count:
            if self._pace is not None:
                index, origin_s = self._wait(self._pace, index, origin_s)
            if self._closed.is_set():
                raise StreamEndedError("the simulated camera was closed")
            if count is not None and not self._address.loop and index >= count:
                break
            packet = self._packet(index, count)
            if packet is not None:
                yield packet
            index += 1
        raise StreamEndedError("the simulated scene is over")

    def close(self) -> None:
        """End it; `packets` then ends at once."""
        self._closed.set()

    def _wait(self, pace: Clock, index: int, origin_s: float) -> tuple[int, float]:
        """Wait for picture `index`, or skip to the one that is due.

        Returns:
            The picture to make, and the time of picture 0.
        """
        fps = self._address.spec.fps
        late_s = pace.monotonic() - (origin_s + index / fps)
        if late_s < 0:
            pace.wait(self._closed, -late_s)
        elif late_s > STALLED_S:
            origin_s += late_s
        else:
            index += int(late_s * fps)
        return index, origin_s

    def _packet(self, index: int, count: int | None) -> Packet | None:
        """Picture `index`, or None where it got lost on the way."""
        fps = self._address.spec.fps
        lap, step = divmod(index, count) if count is not None else (0, index)
        if lap != self._lap:
            self._scene, self._lap = self._address.spec.scene(), lap
        shot = self._lens.shoot(self._scene.at(step / fps))
        pts_s = index / fps
        (payload,) = self._encoder.encode(shot.yuv, pts_s)
        uplink = self._lens.uplink
        arrived = payload if uplink.sound else carried(payload, lambda sent: uplink.carry(sent, step / fps))
        return None if arrived is None else Packet(pts_s, arrived.size, arrived.is_keyframe, arrived)
