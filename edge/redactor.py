"""The only way from a camera's picture to one that may be encoded, kept or sent.

What encoders take is a `RedactedPicture`, and only `Redactor.apply` makes one. Whatever goes wrong on the way
ends in `RedactionError`, and there is no picture then.
"""

import threading
from collections import deque
from dataclasses import InitVar, dataclass, replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from edge.backdrop import Backdrop
from edge.cover import CoverOptions, Witnessed, occupied, plan
from edge.errors import EdgeError
from edge.looks import Look
from edge.redact import Pattern, redacted
from streams.frame import Picture
from streams.tiles import LUMA_SIZE

KEEP_S = 60.0
"""How long looks are remembered: a clip begins 20 s before it can be made, and may have to wait."""
_KEEP_LOOKS = 1024
_AROUND_S = 2.0

_NO_LUMA = np.zeros((0, 0), np.uint8)
"""Brightness is learned from at once; kept, it would take 9 MB a camera at 5 looks a second."""

_SEAL = object()


class RedactionError(EdgeError):
    """A picture could not be redacted: there is none. The caller counts it."""


@dataclass(frozen=True, slots=True, eq=False)
class RedactedPicture:
    """A picture in which nobody can be recognised. Only `Redactor.apply` makes it; it cannot be changed.

    Attributes:
        yuv: (height * 3 / 2, width) uint8, read-only, C-contiguous: planar YUV 4:2:0 in video range.
        pts_s: camera time of the picture.
        covered: share of the picture that is covered, 0 to 1.
    """

    yuv: NDArray[np.uint8]
    pts_s: float
    covered: float
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only Redactor.apply makes a RedactedPicture")
        self.yuv.flags.writeable = False

    def __reduce__(self) -> NoReturn:
        raise TypeError("a RedactedPicture cannot be copied or pickled, as that would make one")

    @property
    def width(self) -> int:
        """Width in pixels, even."""
        return int(self.yuv.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels, even."""
        return int(self.yuv.shape[0]) * 2 // 3


class Sightings:
    """What the analysis of a camera has seen lately, and the empty place it has learned. For any threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: deque[Look] = deque(maxlen=_KEEP_LOOKS)
        self._backdrop: Backdrop | None = None

    def take(self, look: Look) -> None:
        """Remember one more look, later than the last; where time went back, all before is forgotten."""
        with self._lock:
            if self._looks and look.pts_s <= self._looks[-1].pts_s:
                self._looks.clear()
                self._backdrop = None
            if self._backdrop is None:
                self._backdrop = Backdrop.unknown(look.luma, look.pts_s)
            else:
                self._backdrop = self._backdrop.learn(look.luma, occupied(look), look.pts_s)
            self._looks.append(replace(look, luma=_NO_LUMA))
            while self._looks[0].pts_s < look.pts_s - KEEP_S:
                self._looks.popleft()

    def forget(self) -> None:
        """Start anew, as after the camera was moved: everything is covered until the place is learned."""
        with self._lock:
            self._looks.clear()
            self._backdrop = None

    def around(self, pts_s: float, *, live: bool) -> Witnessed:
        """What is known around a camera time.

        Args:
            pts_s: of the picture.
            live: only what was known when it was taken, as for a picture that is shown at once.
        """
        with self._lock:
            looks, backdrop = tuple(self._looks), self._backdrop
        near = (look for look in looks if abs(look.pts_s - pts_s) <= _AROUND_S)
        return Witnessed(tuple(look for look in near if look.pts_s <= pts_s or not live), backdrop)


class Redactor:
    """Redacts the pictures of one camera for one use. For one thread.

    Args:
        options: what is covered.
        rng: of the pattern that covers. It must be seeded from the system's entropy, as
            `numpy.random.default_rng()` is, but in tests.
    """

    def __init__(self, options: CoverOptions, rng: np.random.Generator) -> None:
        self._options = options
        self._rng = rng
        self._pattern: Pattern | None = None

    def apply(self, picture: Picture, pts_s: float, witnessed: Witnessed) -> RedactedPicture:
        """The picture with heads, or people, and all that may be one, replaced.

        Args:
            picture: as decoded; of an odd size the last line or column is scaled away.
            pts_s: its camera time.
            witnessed: what is known around that time, as `Sightings.around` tells it.

        Raises:
            RedactionError: something went wrong; there is no picture.
        """
        try:
            width, height = picture.width // 2 * 2, picture.height // 2 * 2
            covered = plan(self._options, witnessed, picture.luma(*LUMA_SIZE), pts_s, (width, height))
            pattern = self._pattern
            if pattern is None or pattern.luma.shape != (height, width):
                pattern = self._pattern = Pattern.drawn(width, height, self._rng)
            yuv = redacted(picture.yuv(width, height), covered, pattern)
            return RedactedPicture(yuv, pts_s, float(covered.mean()), _SEAL)
        except Exception as exc:
            raise RedactionError(f"no picture: {type(exc).__name__}") from exc
