"""A camera's background, learned from looks over minutes so that what moves through leaves nothing in it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.shift import Backdrop, Plane
from streams.tiles import LUMA_SIZE

LOOKS = 25
EVERY_S = 8.0
"""Looks that make a background, and seconds between them: 200 s in all. Who stays at a place for less than
half of that is not in it."""

_LEAST_FREE = 1 / 3
"""Share of the looks at which a pixel must have been free of people."""
_MOST_SPREAD = 4
"""Grey levels, median deviation: above, something went on there."""
_HIDDEN = 255
_UNKNOWN = 128


class Learner:
    """Collects looks until they make a background; begins anew after each. For one thread.

    Args:
        looks: that make one, 3 or more.
        every_s: seconds between them, at least.
    """

    def __init__(self, looks: int = LOOKS, every_s: float = EVERY_S) -> None:
        self._wanted, self._every_s = looks, every_s
        self._looks: list[Plane] = []
        self._hidden: list[NDArray[np.bool_]] = []
        self._last_s: float | None = None

    def clear(self) -> None:
        """Forget what was collected."""
        self._looks, self._hidden, self._last_s = [], [], None

    def add(self, luma: Plane, pts_s: float, people: NDArray[np.floating] | None = None) -> Backdrop | None:
        """Take a look into account, unless the last one was a moment ago.

        Args:
            luma: (height, width) uint8, any size; best is `LUMA_SIZE`.
            pts_s: camera time; a step back begins anew.
            people: (n, 4) boxes of who or what stands there, fractions: nothing of them is kept.

        Returns:
            The background, with the look that completes it; takes some 50 ms then, otherwise none.
        """
        if self._last_s is not None:
            if pts_s < self._last_s:
                self.clear()
            elif pts_s - self._last_s < self._every_s - 1e-6:
                return None
        self._last_s = pts_s
        if luma.shape != LUMA_SIZE[::-1]:
            luma = np.asarray(cv2.resize(luma, LUMA_SIZE, interpolation=cv2.INTER_AREA), np.uint8)
        hidden = _within(people)
        self._looks.append(np.where(hidden, np.uint8(_HIDDEN), luma))
        self._hidden.append(hidden)
        if len(self._looks) < self._wanted:
            return None
        learned = _median(np.stack(self._looks), np.stack(self._hidden))
        self._looks, self._hidden = [], []
        return learned


def _within(boxes: NDArray[np.floating] | None) -> NDArray[np.bool_]:
    """Pixels that boxes cover, with a margin, as a detector's box cuts hands and feet off."""
    width, height = LUMA_SIZE
    inside = np.zeros((height, width), np.bool_)
    for left, top, right, bottom in [] if boxes is None else boxes.tolist():
        x, y = 0.1 * (right - left) + 1 / width, 0.1 * (bottom - top) + 1 / height
        rows = slice(max(0, int((top - y) * height)), max(0, int((bottom + y) * height) + 1))
        columns = slice(max(0, int((left - x) * width)), max(0, int((right + x) * width) + 1))
        inside[rows, columns] = True
    return inside


def _median(looks: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> Backdrop:
    """Median of each pixel's looks that are not hidden; (n, height, width) each."""
    free = len(looks) - hidden.sum(axis=0)
    # Hidden ones have the highest value, so that they sort behind.
    grey = _ranked(looks, free)
    away = np.maximum(looks, grey) - np.minimum(looks, grey)
    away = np.where(hidden, np.uint8(_HIDDEN), away)
    known = (free >= _LEAST_FREE * len(looks) - 1e-6) & (_ranked(away, free) <= _MOST_SPREAD)
    # Nothing is kept of a place where somebody may have been all the time.
    return Backdrop(np.where(known, grey, np.uint8(_UNKNOWN)), known)


def _ranked(values: NDArray[np.uint8], count: NDArray[np.intp]) -> NDArray[np.uint8]:
    """The middle one of each pixel's `count` lowest values: (n, height, width) -> (height, width)."""
    middle = np.maximum(count - 1, 0) // 2
    ranked: NDArray[np.uint8] = np.take_along_axis(np.sort(values, axis=0), middle[None], axis=0)[0]
    return ranked
