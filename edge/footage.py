"""From packets in a camera's ring to redacted pictures, each at exactly its camera time.

Nothing here depends on how far analysis kept up: where it has not looked within `LOOK_EVERY_S`, pictures of
the clip are looked at once more, here, as they would be covered wholly else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from edge.cover import Witnessed
from edge.looks import Look
from edge.pictures import CameraPictures
from edge.redactor import RedactedPicture, RedactionError, Redactor
from models.detections import Detections, Tracks
from streams.decode import DecodedPicture, Decoder
from streams.frame import Picture
from streams.gate import RateGate
from streams.ring import Kept, PacketRing
from streams.tiles import LUMA_SIZE

LOOK_EVERY_S = 0.5
"""A picture farther than this from every look is looked at."""
MAX_LOOKS = 100
"""Of one clip: 40 s at two and a half a second."""

Detect = Callable[[Picture], Detections]
"""Finds objects in a picture, low scores included."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A decoded picture, its camera time in seconds, and the wall time of its packet."""

    picture: Picture
    pts_s: float
    utc: datetime


@dataclass(frozen=True, slots=True)
class Scaled:
    """A picture in a smaller size. Width and height in pixels, even."""

    source: Picture
    width: int
    height: int

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        """As `Picture.bgr`."""
        return self.source.bgr(width, height)

    def crop(self, part: tuple[int, int, int, int], width: int, height: int) -> NDArray[np.uint8]:
        """Not of a scaled picture, whose pixels are others: (height, width, 3) uint8 of the source's.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("crop the picture, not its scaled copy")

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """As `Picture.luma`."""
        return self.source.luma(width, height)

    def yuv(self, width: int, height: int) -> NDArray[np.uint8]:
        """As `Picture.yuv`."""
        return self.source.yuv(width, height)


def scaled(picture: Picture, max_height: int) -> Picture:
    """A picture of no more than so many lines, its sides even; the same where it fits."""
    if picture.height <= max_height:
        return picture
    width = round(picture.width * max_height / picture.height / 2) * 2
    return Scaled(picture, max(2, width), max_height // 2 * 2)


def decoded(ring: PacketRing, packets: Iterable[Kept]) -> Iterator[Timed]:
    """The pictures that packets show, in the order they are shown in; those without a time are left out.

    Args:
        ring: that they are from.
        packets: in decoding order, from a keyframe on.

    Raises:
        ReadError: nothing of a stream can be decoded.
    """
    decoder: Decoder | None = None
    opening, known = -1, dict[float | None, Kept]()
    for kept in packets:
        if kept.opening != opening:
            if decoder is not None:
                yield from _timed(decoder.flush(), known)
            try:
                info = ring.info(kept.opening)
            except KeyError:  # fell out of the ring meanwhile
                decoder, opening = None, -1
                continue
            decoder, opening, known = Decoder(info), kept.opening, {}
        if kept.packet.pts_s is not None and kept.pts_s is not None:
            known[kept.packet.pts_s] = kept
        if decoder is not None:
            yield from _timed(decoder.decode(kept.packet), known)
    if decoder is not None:
        yield from _timed(decoder.flush(), known)


def _timed(pictures: Iterable[DecodedPicture], known: Mapping[float | None, Kept]) -> Iterator[Timed]:
    for one in pictures:
        kept = known.get(one.pts_s)
        if kept is not None and kept.pts_s is not None:
            yield Timed(one.picture, kept.pts_s, kept.utc)


class Footage:
    """The pictures of one clip.

    Attributes:
        withheld: pictures that could not be redacted, and so are not shown.
        own_looks: pictures that were looked at here.

    Args:
        camera: whose.
        packets: of the span, from a keyframe on.
        span: camera seconds of the first and last picture.
        peak_s: camera time of a picture that is not to be left out.
    """

    def __init__(
        self, camera: CameraPictures, packets: list[Kept], span: tuple[float, float], peak_s: float
    ) -> None:
        self.withheld = self.own_looks = 0
        self._camera, self._packets, self._span = camera, packets, span
        times = [one.pts_s for one in packets if one.pts_s is not None and span[0] <= one.pts_s <= span[1]]
        self.peak_s = min(times, key=lambda pts_s: abs(pts_s - peak_s), default=peak_s)
        """The picture's own time that is nearest to the peak: the same, unless that one was lost."""
        self._looks: list[Look] = []

    def look(self, detect: Detect, person: int, fps: float) -> None:
        """Look at pictures that analysis left out.

        Args:
            detect: finds objects.
            person: label of people.
            fps: of the clip.

        Raises:
            ReadError: nothing of a stream can be decoded.
            SessionError: inference fails.
        """
        gaps = [pts_s for pts_s in self._times(fps) if not self._seen(pts_s)]
        if not gaps:
            return
        for one in self._shown(fps):
            if self.own_looks < MAX_LOOKS and not self._seen(one.pts_s):
                luma = one.picture.luma(*LUMA_SIZE)
                self._looks.append(Look.of(one.pts_s, luma, detect(one.picture), _NOBODY, person))
                self.own_looks += 1

    def redacted(
        self, redactor: Redactor, fps: float, max_height: int
    ) -> Iterator[tuple[Timed, RedactedPicture]]:
        """The clip's pictures, redacted, in order; one that cannot be is left out and counted.

        Args:
            redactor: of this camera and use.
            fps: pictures a second, at most.
            max_height: lines, at most.

        Raises:
            ReadError: nothing of a stream can be decoded.
        """
        for one in self._shown(fps):
            try:
                picture = redactor.apply(
                    scaled(one.picture, max_height), one.pts_s, self._witnessed(one.pts_s)
                )
            except RedactionError:
                self.withheld += 1
                continue
            yield one, picture

    def looks(self) -> int:
        """Looks of analysis and of its own in the span, as far as they are remembered."""
        step = np.arange(self._span[0], self._span[1] + 2.0, 2.0)
        near = {look.pts_s for pts_s in step for look in self._witnessed(float(pts_s)).looks}
        return sum(self._span[0] <= pts_s <= self._span[1] for pts_s in near)

    def _times(self, fps: float) -> list[float]:
        gate = RateGate(fps)
        times = sorted(one.pts_s for one in self._packets if one.pts_s is not None)
        return [pts_s for pts_s in times if self._wanted(gate, pts_s)]

    def _shown(self, fps: float) -> Iterator[Timed]:
        gate, last_s = RateGate(fps), -np.inf
        for one in decoded(self._camera.ring, self._packets):
            if one.pts_s > last_s and self._wanted(gate, one.pts_s):
                last_s = one.pts_s
                yield one

    def _wanted(self, gate: RateGate, pts_s: float) -> bool:
        if not self._span[0] <= pts_s <= self._span[1]:
            return False
        return gate.admit(pts_s) or pts_s == self.peak_s

    def _seen(self, pts_s: float) -> bool:
        return any(abs(look.pts_s - pts_s) <= LOOK_EVERY_S for look in self._witnessed(pts_s).looks)

    def _witnessed(self, pts_s: float) -> Witnessed:
        told = self._camera.sightings.around(pts_s, live=False)
        own = [look for look in self._looks if abs(look.pts_s - pts_s) <= 2.0]
        if not own:
            return told
        looks = {look.pts_s: look for look in (*own, *told.looks)}  # what analysis saw has tracks, too
        return replace(told, looks=tuple(looks[pts_s] for pts_s in sorted(looks)))


def _nobody() -> Tracks:
    none = np.zeros(0, np.float32)
    return Tracks(
        np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros((0, 2), np.float32), none, none,
        np.zeros(0, np.int16),
    )  # fmt: skip


_NOBODY = _nobody()
