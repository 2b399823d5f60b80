"""What a camera's place looks like when nobody is there: learned from looks, pixel by pixel, small.

A pixel becomes known when it has kept its brightness for a while and nobody was found there. What is not
known yet, and what differs from what is known, may be somebody. All of it is arrays of (180, 320) and takes
well under a millisecond a look.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.tiles import LUMA_SIZE

Grey = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

SHAPE = LUMA_SIZE[::-1]
LEARN_S, ABSORB_S = 15.0, 300.0
"""By how much longer a pixel has one brightness than others before it is background: at first, and where it
was another before. Time during which somebody was found there does not count."""
_MEMORY_S = 8.0
"""Time constant with which a known pixel follows slow changes of the light."""
_LEAST_GREY, _DEVIATIONS = 2.5, 3.5
"""A pixel differs from so many grey levels on, plus so many mean deviations of its own."""
_NEAR_SHARE = 0.55
"""Nine pixels together, by their mean, differ from this share of that on: they share less noise."""
_POSSIBLY = 0.6
"""Share of that from which they may be something, which counts where somebody is thought to be."""
_LONGEST_STEP_S = 2.0
"""Nothing is known of what was between looks that are farther apart: they count as no more than this."""
_EVERY = 4
"""The light as a whole is measured on every fourth pixel each way."""


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """A place without anybody; a new one comes of every look, and none ever changes.

    Attributes:
        level: (180, 320) float32, usual brightness in grey levels.
        spread: (180, 320) float32, its mean absolute deviation.
        known: (180, 320) bool, whether there is a usual brightness.
        lately: (180, 320) float32, the brightness that may become the usual one.
        held_s: (180, 320) float32, for how long it has been that.
        pts_s: camera time of the last look.
    """

    level: Floats
    spread: Floats
    known: Mask
    lately: Floats
    held_s: Floats
    pts_s: float

    @classmethod
    def unknown(cls, luma: Grey, pts_s: float) -> Self:
        """Nothing but a first look, (180, 320) uint8, at camera time `pts_s`."""
        seen = _checked(luma)
        zeros, ones = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32)
        return cls(seen, ones, np.zeros(SHAPE, np.bool_), seen, zeros, pts_s)

    def learn(self, luma: Grey, occupied: Mask, pts_s: float) -> "Backdrop":
        """What a later look teaches.

        Args:
            luma: (180, 320) uint8.
            occupied: (180, 320) bool, where somebody was found: nothing is learned there.
            pts_s: camera time; where it went back, all is learned anew.

        Raises:
            ValueError: on other shapes.
        """
        if not pts_s > self.pts_s:
            return Backdrop.unknown(luma, pts_s)
        seen, step_s = _checked(luma), min(pts_s - self.pts_s, _LONGEST_STEP_S)
        if occupied.shape != SHAPE:
            raise ValueError(f"occupied must be {SHAPE}, got {occupied.shape}")
        level = self.level + self._light(seen)
        apart = np.abs(seen - level)
        follow = self.known & ~occupied & (apart <= self._limit())
        rate = np.float32(step_s / _MEMORY_S)
        level = np.where(follow, level + rate * (seen - level), level)
        spread = np.where(follow, self.spread + rate * (apart - self.spread), self.spread)
        # A majority vote in constant space (Boyer and Moore): who passes by takes off seconds, not all.
        steady = np.abs(seen - self.lately) <= self._limit()
        signed = np.where(occupied, 0.0, np.where(steady, step_s, -step_s)).astype(np.float32)
        held = self.held_s + signed
        other = held < 0.0
        follow_too = np.float32(0.25) * (seen - self.lately)
        lately = np.where(other, seen, np.where(steady & ~occupied, self.lately + follow_too, self.lately))
        held = np.where(other, np.float32(step_s), held)
        taken = held >= np.where(self.known, np.float32(ABSORB_S), np.float32(LEARN_S))
        return Backdrop(
            np.where(taken, lately, level).astype(np.float32),
            np.where(taken, np.float32(1.0), spread).astype(np.float32),
            self.known | taken,
            lately.astype(np.float32),
            np.where(taken, np.float32(0.0), held),
            pts_s,
        )

    def strange(self, luma: Grey) -> tuple[Mask, Mask]:
        """Where a picture, (180, 320) uint8, is not the place without anybody: surely, and possibly.

        A change of the light as a whole is left out of it.

        Returns:
            Two (180, 320) bool; the second holds the first.

        Raises:
            ValueError: on another shape.
        """
        seen = _checked(luma)
        apart = seen - self.level - self._light(seen)
        limit = self._limit()
        together = np.abs(cv2.blur(apart, (3, 3)))  # nine pixels share less noise than each has
        surely = (np.abs(apart) > limit) | (together > np.float32(_NEAR_SHARE) * limit) | ~self.known
        return surely, surely | (together > np.float32(_POSSIBLY * _NEAR_SHARE) * limit)

    def _limit(self) -> Floats:
        return np.asarray(_LEAST_GREY + _DEVIATIONS * self.spread, np.float32)

    def _light(self, seen: Floats) -> np.float32:
        """By how much all of the place is brighter: the median of what is known."""
        known = self.known[::_EVERY, ::_EVERY]
        if np.count_nonzero(known) < 0.1 * known.size:
            return np.float32(0.0)
        apart = seen[::_EVERY, ::_EVERY][known] - self.level[::_EVERY, ::_EVERY][known]
        return np.float32(np.median(apart))


def _checked(luma: Grey) -> Floats:
    if luma.shape != SHAPE or luma.dtype != np.uint8:
        raise ValueError(f"luma must be {SHAPE} uint8, got {luma.shape} {luma.dtype}")
    return luma.astype(np.float32)
