"""Whether a stream's packet sizes tell motion, and from which size on: calibrated against the pixels."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Literal

import numpy as np

Trust = Literal["calibrating", "trusted", "cannot_tell"]

WINDOW_S = 0.28
"""Sizes are averaged over this long: one packet alone is noise, and a mini-GOP of B pictures is one thing."""
PEAK_S = 0.7
"""Motion is told by comparing with a picture this long ago, so it is set beside the peak since then."""
TRUST_FROM, TRUST_UNTIL = 0.8, 0.7
"""AUC above which packets are trusted, and below which they lose it."""
ENOUGH = 20
"""Labelled moments of a kind before anything is concluded from them."""
_MEMORY = 300
_SIZES = 60
_FEW = 3
_PENDING = 250
# A picture in which nothing changed is some 20 to 90 bytes: differences down there mean nothing.
_FLOOR_BYTES = 64
# The threshold lies above the loudest 2 % of rest by this share of their distance from the middle.
_MARGIN = 0.5
_LEAST_STEP = 0.02
_MAX_BUMPS = 8
# Positions in the GOP up to this one are told apart, beyond it five to an octave.
_SINGLE = 16
# Where nothing has moved yet: sizes of a still scene keep within so many octaves, and far below a keyframe's,
# or a rate controller has filled them up.
_STILL_SPREAD = 1.2
_STILL_SHARE = 0.15


class PacketSignal:
    """One stream's packet sizes as a sign of motion.

    The score is the mean over `WINDOW_S` of log2(size / usual size of its kind in a still scene): 1 is twice
    the usual. A kind is the packet's position in its GOP, and whether it is shown earlier than one that came
    before (a B picture): where sensor noise is coded, sizes fall to a half within the first ten pictures, and
    without regard to that the AUC of such streams is 0.66 instead of 0.95. What is usual is the median of the
    last still ones of the kind, so slow changes (dusk, noise) are followed. Still or moving is what pixels
    said (`label`).

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
        self._usual: dict[int, float] = {}
        self._sizes: dict[int, deque[float]] = {}
        self._unsettled: set[int] = set()
        self._pending: deque[tuple[int, float]] = deque(maxlen=_PENDING)
        self._keyframes: deque[float] = deque(maxlen=8)
        self._window: deque[tuple[float, float]] = deque(maxlen=32)
        self._recent: deque[tuple[float, float]] = deque(maxlen=128)
        self._position = 0
        self._stirred_s = -math.inf
        self._quiet = False
        self._rested = False
        self._labels = 0
        self._bumps = 0.0

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
            self._position = 0
            return 0.0
        self._position += 1
        kind = _kind(self._position, late=late)
        octaves = math.log2(size + _FLOOR_BYTES)
        self._pending.append((kind, octaves))
        usual = self._usual_of(kind)
        if usual is None:
            return 0.0
        window = self._window
        window.append((time_s, octaves - usual))
        while window[0][0] < time_s - WINDOW_S:
            window.popleft()
        score = sum(excess for _, excess in window) / len(window)
        self._recent.append((time_s, score))
        return score

    def _usual_of(self, kind: int) -> float | None:
        """What is usual, or was a little earlier in the GOP: after the first pictures that hardly changes."""
        step = 1 if kind > 0 else -1
        while abs(kind) > _SINGLE and kind not in self._usual:
            kind -= step
        return self._usual.get(kind)

    def label(self, moving: bool | None) -> None:
        """Say what the pixels showed of the time since the last label.

        Args:
            moving: whether something moved; None where that is not clear, and nothing is learnt.
        """
        if self._recent:
            since_s = self._recent[-1][0] - PEAK_S
            peak = max(score for time_s, score in self._recent if time_s >= since_s)
            if moving:
                self._moving.append(peak)
            elif moving is False and self._quiet:
                self._still.append(peak)
            # What moved shortly before is still in the peak: rest begins a label later than stillness.
            self._quiet = moving is False and (self._quiet or self._recent[-1][0] - self._stirred_s >= PEAK_S)
            if moving is not False:
                self._stirred_s = self._recent[-1][0]
        if moving is False:
            for kind, octaves in self._pending:
                self._sizes.setdefault(kind, deque(maxlen=_SIZES)).append(octaves)
                self._unsettled.add(kind)
        self._pending.clear()
        self._labels += 1
        # About once a second while pictures are decoded; an idle camera has a label for each keyframe.
        if self._labels % 5 == 0 or (len(self._still) < ENOUGH and moving is False):
            self._judge()

    def lost(self) -> None:
        """The stream was interrupted: what came before says nothing of what comes now."""
        self._window.clear()
        self._recent.clear()
        self._pending.clear()

    def deceived(self) -> None:
        """It woke somebody for nothing: be a little less easily roused for a while."""
        self._bumps = min(self._bumps + 1.0, _MAX_BUMPS)
        self._judge()

    def _judge(self) -> None:
        self._bumps *= 0.98
        for kind in self._unsettled:
            sizes = self._sizes[kind]
            if len(sizes) >= _FEW:
                self._usual[kind] = float(np.median(np.array(sizes)))
        self._unsettled.clear()
        if not self._rested and self._enough(self._still):
            # Motion before the first rest was measured by next to nothing: where a node starts in front of a
            # busy scene, that would make AUC 0.7 of 0.99, and the camera one that cannot tell for hours.
            self._rested = True
            self._moving.clear()
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
        share = 2.0 ** (float(np.median(list(self._usual.values()))) - float(np.median(self._keyframes)))
        return "trusted" if high - middle <= _STILL_SPREAD and share <= _STILL_SHARE else "cannot_tell"

    def _level(self) -> float:
        still = np.array(self._still)
        middle, high = (float(value) for value in np.quantile(still, (0.5, 0.98)))
        step = _MARGIN * (high - middle) + _LEAST_STEP
        level = high + step
        if self._enough(self._moving):
            # Never so high that a tenth of the moving moments would go by, unless rest itself is that loud.
            low = float(np.quantile(np.array(self._moving), 0.1))
            level = min(level, max(low, float(np.quantile(still, 0.8))))
        return level + step * self._bumps


def _kind(position: int, *, late: bool) -> int:
    """A number for a packet's position in its GOP, 1 or more, and whether it is a B picture."""
    if position > _SINGLE:
        position = _SINGLE + round(5.0 * math.log2(position / _SINGLE))
    return -position if late else position


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
