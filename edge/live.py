"""Live view of cameras: one thread and one encoder for each that is watched, shared by all its viewers."""

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.footage import scaled
from edge.live_config import LiveConfig
from edge.live_encoder import LiveEncoder, Outline
from edge.pictures import CameraPictures
from edge.redactor import RedactedPicture, RedactionError, Redactor
from edge.sections import Polygon
from streams.decode import Decoder
from streams.errors import StreamError
from streams.gate import RateGate
from streams.ring import Kept

log = structlog.get_logger(__name__)

PATIENCE_S = 0.5
"""How long packets are waited for before it looks whether anybody still watches."""
NICENESS = 5
"""As of readers: live pictures wait for analysis, not the other way round."""
BOX_SCORE = 0.35
"""Score of what a box is drawn around."""


@dataclass(frozen=True, slots=True, eq=False)
class LivePacket:
    """A picture for viewers.

    Attributes:
        payload: H.264 in Annex B, with its time in 1/90000 s.
        keyframe: whether a viewer can begin with it.
        seen_mono_s: host monotonic seconds when the camera had the picture.
        picture: the same, redacted, for who cannot play H.264.
    """

    payload: Any
    keyframe: bool
    seen_mono_s: float
    picture: RedactedPicture


Listener = Callable[[LivePacket], None]
"""Is given every packet, on the channel's thread; must not block."""


@dataclass(slots=True)
class LiveCounts:
    """What live view did since the start.

    Attributes:
        viewers: that watch now.
        pictures: encoded.
        cpu_s: seconds of processor time of the channels' threads.
        left_out: pictures that were due and not shown, by why: `redaction`, `undecodable`.
    """

    viewers: int = 0
    pictures: int = 0
    cpu_s: float = 0.0
    left_out: Counter[str] = field(default_factory=Counter)


class LiveChannel:
    """One camera's live pictures. Its thread runs while somebody watches.

    Args:
        camera: what is shown, and what must be covered.
        zones: polygons of fractions of the picture.
        config: how.
        withheld: told of each picture that could not be redacted.
        cpu_s: processor seconds of the thread that asks.
    """

    def __init__(
        self,
        camera: CameraPictures,
        zones: Sequence[Polygon],
        config: LiveConfig,
        withheld: Callable[[], None],
        cpu_s: Callable[[], float],
    ) -> None:
        self.counts = LiveCounts()
        self._camera, self._zones, self._config = camera, tuple(zones), config
        self._withheld, self._cpu_s = withheld, cpu_s
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()
        self._keyframe = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Give a listener every packet from now on, from a keyframe that comes soon.

        Returns:
            What ends that; harmless when repeated.
        """
        with self._lock:
            self._listeners = (*self._listeners, listener)
            self.counts.viewers = len(self._listeners)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live", daemon=True)
                self._thread.start()
        self._keyframe.set()

        def leave() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not listener)
                self.counts.viewers = len(self._listeners)

        return leave

    def want_keyframe(self) -> None:
        """Have the next picture decodable on its own, as somebody has lost one."""
        self._keyframe.set()

    def _run(self) -> None:
        if sys.platform == "linux":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        show = _Show(self._camera, self._zones, self._config)
        with self._camera.ring.follow() as follower:
            while self._watched():
                began_s = self._cpu_s()
                packets = follower.take(PATIENCE_S)
                try:
                    for live in show.pictures(packets, self._keyframe, self._lose):
                        self.counts.pictures += 1
                        for listener in self._listeners:
                            listener(live)
                except Exception as exc:  # noqa: BLE001 - one camera's trouble is its own
                    log.error("live view begins anew", error=type(exc).__name__)
                    self._lose("undecodable")
                    show = _Show(self._camera, self._zones, self._config)
                self.counts.cpu_s += self._cpu_s() - began_s

    def _watched(self) -> bool:
        with self._lock:
            if not self._listeners:
                self._thread = None
            return bool(self._listeners)

    def _lose(self, why: str) -> None:
        self.counts.left_out[why] += 1
        if why == "redaction":
            self._withheld()


class _Show:
    """From packets to pictures for viewers; for the channel's thread."""

    def __init__(self, camera: CameraPictures, zones: tuple[Polygon, ...], config: LiveConfig) -> None:
        self._camera, self._zones, self._config = camera, zones, config
        self._decoder: Decoder | None = None
        self._opening = -1
        self._known: dict[float | None, Kept] = {}
        self._gate = RateGate(config.fps)
        self._last_s = -np.inf
        self._redactor = Redactor(camera.cover, np.random.default_rng())
        self._encoder = LiveEncoder(config.fps, config.bitrate_kbps)

    def pictures(
        self, packets: Sequence[Kept], keyframe: threading.Event, lose: Callable[[str], None]
    ) -> Iterator[LivePacket]:
        for number, kept in enumerate(packets):
            newest = number == len(packets) - 1
            try:
                shown = self._decoded(kept)
            except StreamError:
                lose("undecodable")
                continue
            # Of what was caught up with only the newest is worth showing: the rest is late.
            for picture, of in shown[-1:] if newest else ():
                yield from self._live(picture, of, keyframe, lose)

    def _decoded(self, kept: Kept) -> list[tuple[Any, Kept]]:
        if kept.opening != self._opening or (self._decoder is None and kept.packet.keyframe):
            try:
                self._decoder = Decoder(self._camera.ring.info(kept.opening), loop_filter=False)
            except KeyError:
                self._decoder = None
            self._opening, self._known = kept.opening, {}
        if self._decoder is None:
            return []
        if kept.packet.keyframe:
            self._known = {raw_s: one for raw_s, one in self._known.items() if one.mono_s > kept.mono_s - 2.0}
        self._known[kept.packet.pts_s] = kept
        pictures = self._decoder.decode(kept.packet)
        return [(one.picture, self._known[one.pts_s]) for one in pictures if one.pts_s in self._known]

    def _live(
        self, picture: Any, kept: Kept, keyframe: threading.Event, lose: Callable[[str], None]
    ) -> Iterator[LivePacket]:
        pts_s = kept.pts_s
        if pts_s is None or pts_s <= self._last_s or not self._gate.admit(pts_s):
            return
        self._last_s = pts_s
        witnessed = self._camera.sightings.around(pts_s, live=True)
        try:
            redacted = self._redactor.apply(scaled(picture, self._config.max_height), pts_s, witnessed)
        except RedactionError:
            lose("redaction")
            return
        wanted = keyframe.is_set()
        keyframe.clear()
        outlines = self._outlines(redacted.width, redacted.height, witnessed.looks[-1:])
        for packet in self._encoder.encode(redacted, outlines, keyframe=wanted):
            yield LivePacket(packet, packet.is_keyframe, kept.mono_s, redacted)

    def _outlines(self, width: int, height: int, looks: Sequence[Any]) -> list[Outline]:
        found: list[Outline] = []
        size = np.array([width, height], np.float64)
        if "zones" in self._config.overlays:
            found += [_pixels(np.array(polygon), size) for polygon in self._zones]
        if "boxes" in self._config.overlays:
            for look in looks:
                for left, top, right, bottom in look.boxes[look.scores >= BOX_SCORE]:
                    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
                    found.append(_pixels(corners, size))
        return found


def _pixels(corners: NDArray[np.float64], size: NDArray[np.float64]) -> Outline:
    outline: Outline = np.rint(corners * size).astype(np.int32).reshape(-1, 1, 2)
    return outline


class LiveHub:
    """The channels of all cameras.

    Args:
        pictures: of each camera.
        zones: polygons by camera.
        config: how.
        withheld: counts pictures of a camera that could not be redacted.
        cpu_s: processor seconds of the thread that asks.
    """

    def __init__(
        self,
        pictures: Mapping[str, CameraPictures],
        zones: Mapping[str, Sequence[Polygon]],
        config: LiveConfig,
        withheld: Callable[[str], None],
        cpu_s: Callable[[], float],
    ) -> None:
        self.config = config
        self._channels = {
            id_: LiveChannel(one, zones.get(id_, ()), config, _bound(withheld, id_), cpu_s)
            for id_, one in pictures.items()
        }

    @property
    def viewers(self) -> int:
        """Of all cameras, now."""
        return sum(channel.counts.viewers for channel in self._channels.values())

    def channel(self, camera: str) -> LiveChannel | None:
        """Of a camera; None where there is no such camera, or cameras cannot be watched."""
        return self._channels.get(camera) if self.config.enabled else None

    def counts(self) -> Mapping[str, LiveCounts]:
        """By camera."""
        return {id_: channel.counts for id_, channel in self._channels.items()}


def _bound(withheld: Callable[[str], None], id_: str) -> Callable[[], None]:
    return lambda: withheld(id_)
