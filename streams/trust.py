"""Whether a stream's packet sizes tell motion, and from which size on: calibrated against the pixels."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Literal

import numpy as np

Trust = Literal["calibrating", "trusted", "cannot_tell"]

WINDOW_S = 0.2
"""Sizes are averaged over this long: one packet alone is noise, and a mini-GOP of B pictures is one thing."""
PEAK_S = 1.0
"""Motion is told by comparing with a picture up to this long ago, so it is set beside the peak since then."""
TRUST_FROM, TRUST_UNTIL = 0.8, 0.7
"""AUC above which packets are trusted, and below which they lose it."""
ENOUGH = 20
"""Labelled moments of a kind before anything is concluded from them."""
_MEMORY = 300
_SIZES = 250
# A picture in which nothing changed is some 20 to 90 bytes: differences down there mean nothing.
_FLOOR_BYTES = 64
_MARGIN = 0.15
_BUMP = 0.1
_MAX_BUMP = 0.8
# Where nothing has moved yet: sizes of a still scene keep within so many octaves, and far below a keyframe's,
# or a rate controller has filled them up.
_STILL_SPREAD = 1.2
_STILL_SHARE = 0.15


class PacketSignal:
    """One stream's packet sizes as a sign of motion.

    The score is the mean over `WINDOW_S` of log2(size / usual size of its kind in a still scene): 1 is twice
    the usual. Kinds are the first picture after a keyframe, those shown in the order they come, and those
    shown earlier than one that came before (B pictures). What is usual is the median of the last 250 of a
    still scene, so slow changes (dusk, noise) are followed. Still or moving is what pixels said (`label`).

    Attributes:
        trust: what is concluded so far.
        auc: probability that a moving moment scores higher than a still one; None before there are `ENOUGH`.
        threshold: score above which something moves; infinite while not trusted.
    """

    def __init__(self) -> None:
        self.trust: Trust = "calibrating"
        self.auc: float | None = None
        self.threshold = math.inf
        self._still: deque[float] = deque(maxlen=_MEMORY)
        self._moving: deque[float] = deque(maxlen=_MEMORY)
        self._usual: list[float | None] = [None, None, None]
        self._sizes: tuple[deque[float], ...] = tuple(deque(maxlen=_SIZES) for _ in range(3))
        self._pending: deque[tuple[int, float]] = deque(maxlen=_SIZES)
        self._keyframes: deque[float] = deque(maxlen=8)
        self._window: deque[tuple[float, float]] = deque(maxlen=32)
        self._recent: deque[tuple[float, float]] = deque(maxlen=128)
        self._after_keyframe = False
        self._labels = 0
        self._bump = 0.0

    @property
    def labels(self) -> tuple[int, int]:
        """Labelled moments kept: still and moving."""
        return len(self._still), len(self._moving)

    def add(self, size: int, time_s: float, *, keyframe: bool, late: bool) -> float:
        """Take a packet in; the score now, 0 while nothing is known.

        Args:
            size: bytes.
            time_s: camera seconds, never falling.
            keyframe: its size says nothing of motion.
            late: it is shown before one that came earlier.
        """
        if keyframe:
            self._keyframes.append(math.log2(size + _FLOOR_BYTES))
            self._after_keyframe = True
            return 0.0
        kind = 2 if late else 0 if self._after_keyframe else 1
        self._after_keyframe = self._after_keyframe and late
        octaves = math.log2(size + _FLOOR_BYTES)
        self._pending.append((kind, octaves))
        usual = self._usual[kind]
        if usual is None:
            usual = self._usual[1]
        if usual is None:
            return 0.0
        window = self._window
        window.append((time_s, octaves - usual))
        while window[0][0] < time_s - WINDOW_S:
            window.popleft()
        score = sum(excess for _, excess in window) / len(window)
        self._recent.append((time_s, score))
        return score

    def label(self, moving: bool | None) -> None:
        """Say what the pixels showed of the time since the last label.

        Args:
            moving: whether something moved; None where that is not clear, and nothing is learnt.
        """
        if self._recent:
            since_s = self._recent[-1][0] - PEAK_S
            peak = max(score for time_s, score in self._recent if time_s >= since_s)
            if moving is not None:
                (self._moving if moving else self._still).append(peak)
        if moving is False:
            for kind, octaves in self._pending:
                self._sizes[kind].append(octaves)
        self._pending.clear()
        self._labels += 1
        # Once with the first still moments, then about once a second while pictures are decoded.
        if self._labels % 6 == 0 or (self._usual[1] is None and moving is False):
            self._judge()

    def lost(self) -> None:
        """The stream was interrupted: what came before says nothing of what comes now."""
        self._window.clear()
        self._recent.clear()
        self._pending.clear()

    def deceived(self) -> None:
        """It woke somebody for nothing: be a little less easily roused for a while."""
        self._bump = min(self._bump + _BUMP, _MAX_BUMP)
        self._judge()

    def _judge(self) -> None:
        self._bump *= 0.98
        for kind, sizes in enumerate(self._sizes):
            if len(sizes) >= ENOUGH:
                self._usual[kind] = float(np.median(np.array(sizes)))
        self.auc = area_under_curve(self._still, self._moving) if self._enough(self._moving) else None
        self.trust = self._judged()
        self.threshold = self._level() if self.trust == "trusted" else math.inf

    def _enough(self, moments: deque[float]) -> bool:
        return len(moments) >= ENOUGH and len(self._still) >= ENOUGH

    def _judged(self) -> Trust:
        if not self._enough(self._still) or not self._keyframes:
            # A scene that never rests gives no measure; nor does it need one, as there is nothing to skip.
            return "calibrating"
        if self.auc is not None:
            needed = TRUST_UNTIL if self.trust == "trusted" else TRUST_FROM
            return "trusted" if self.auc >= needed else "cannot_tell"
        middle, high = np.quantile(np.array(self._still), (0.5, 0.98))
        usual = self._usual[1]
        if usual is None:
            return "calibrating"
        share = 2.0 ** (usual - float(np.median(np.array(self._keyframes))))
        return "trusted" if high - middle <= _STILL_SPREAD and share <= _STILL_SHARE else "cannot_tell"

    def _level(self) -> float:
        still = np.array(self._still)
        level = float(np.quantile(still, 0.98)) + _MARGIN
        if self._enough(self._moving):
            # Never so high that a tenth of the moving moments would go by, unless rest itself is that loud.
            low = float(np.quantile(np.array(self._moving), 0.1))
            level = min(level, max(low, float(np.quantile(still, 0.8))))
        return level + self._bump


def area_under_curve(still: Sequence[float], moving: Sequence[float]) -> float:
    """Probability that a value of `moving` is above one of `still`, ties half (Mann-Whitney U / nm).

    Args:
        still: at least one value.
        moving: at least one value.
    """
    below = np.sort(np.array(still, np.float64))
    values = np.array(moving, np.float64)
    left = np.searchsorted(below, values, "left")
    right = np.searchsorted(below, values, "right")
    return float((left + right).mean() / 2.0 / below.size)
