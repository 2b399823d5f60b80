"""How much of a picture is still renewed: a sensor's noise and whatever moves differ from look to look.

A frozen picture repeats itself, though not to the bit each time, as an encoder quantises each keyframe anew;
and of a calm place an encoder repeats itself between keyframes, too. So each tile's largest difference within
some seconds is compared with the least that this camera has shown there; and since calm may also come with
the end of a shower, some look must besides be nearly a copy of one from before the last keyframe: noise never
is.
"""

import math
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAST_JUDGED = 24
"""Tiles, of 144, whose usual difference must be known."""

_SIDE = 20
"""Pixels of a tile, wide and high."""
_SHARE = 0.65
"""Of the least difference, below which a tile counts as still. Frozen ones measured 0.3 to 0.6."""
_PLAIN = 0.5
"""The same where the difference is known to be nothing but noise."""
_OVERLAY = 0.1
"""Share of all tiles in which something may move while the rest is frozen: a running clock."""
_SKIPPED = 0.5
"""Of the least difference, below which looks in a row are of a place that the encoder leaves as it was."""
_COPY = 0.25
"""Of the least difference, below which one look is a copy of another. Of noise alone, all pairs are alike."""
_LEAST, _MOST = 0.12, 3.0
"""Grey levels: less is no noise, but the encoder's rest; more is no noise, but things that move."""
_LEARNS_S = 6.0
_FORGETS_S = 300.0
"""Time constant in which the least difference rises again, where more is shown."""
_DOUBTS_S = 60.0
"""So long without renewal and without a copy: it has become calm there."""
_GAP_S = 60.0
_REMEMBERS_S = 120.0
_MARGIN = 1.1
"""How much longer than from keyframe to keyframe a standstill must be."""
_LEAP = 10.0
"""Grey levels by which most of a picture changes at once: lamps are switched, or the view is another."""
_LONGEST = 4.0
"""The window may grow to so many times its length where the encoder's keyframes are far apart."""
_ENOUGH, _MOSTLY, _OFTEN = 0.5, 0.8, 0.25


@dataclass(frozen=True, slots=True)
class Standstill:
    """What a look says.

    Attributes:
        share: of the tiles that can be judged, those not renewed within the window, 0 to 1.
        sure: whether no calm would explain it.
    """

    share: float
    sure: bool


class Renewal:
    """Watches one camera's picture for standstill. No clock of its own; for one thread.

    Args:
        window_s: seconds of standstill that tell a frozen picture from a calm place; longer than from
            keyframe to keyframe, or it is lengthened, up to four times.

    Raises:
        ValueError: `window_s` is not positive.
    """

    def __init__(self, window_s: float = 6.0) -> None:
        if not window_s > 0:
            raise ValueError(f"window_s must be positive, got {window_s}")
        self._shortest_s = self._window_s = window_s
        self.clear()

    def clear(self) -> None:
        """Forget what is usual: the next looks show it anew."""
        self._kept: list[tuple[float, Plane]] = []
        self._before: tuple[float, Floats] | None = None
        self._unlearn()

    def _unlearn(self) -> None:
        self._least: Floats | None = None
        self._fresh: Floats | None = None
        self._recent: Floats | None = None
        self._since_s = self._turned_s = 0.0
        self._still_s: float | None = None
        self._copied = self._calm = self._sure = False
        self._row: deque[tuple[float, float]] = deque()
        self._gap_s = 0.0
        self._skips = _Skips()

    @property
    def known(self) -> bool:
        """Whether it is known how much this camera's picture usually differs."""
        return self._least is not None and int(_judged(self._least).sum()) >= LEAST_JUDGED

    def look(self, luma: Plane, pts_s: float) -> Standstill | None:
        """Take one look; 0.3 ms.

        Args:
            luma: (180, 320) uint8.
            pts_s: camera time; a step back, or a gap of a minute, begins anew.

        Returns:
            How much stands still; None where that cannot be told.
        """
        self._leap(luma, pts_s)
        if not self._kept:
            self._keep(luma, pts_s)
            return None
        each = [tiled(np.asarray(cv2.absdiff(luma, other), np.uint8)) for _, other in self._kept]
        ages_s = [pts_s - then_s for then_s, _ in self._kept]
        self._keep(luma, pts_s)
        gap_s = self._lengthen(_calmest(each[-1]), pts_s)
        if ages_s[0] < self._window_s - 1e-6 or self._window_s < _MARGIN * gap_s:
            return None
        differs = np.max(each, axis=0)
        if self._least is None:
            self._least, self._since_s, self._turned_s = differs, pts_s, pts_s
            return None
        judged = _judged(self._least)
        if pts_s - self._since_s < _LEARNS_S - 1e-6 or judged.sum() < LEAST_JUDGED:
            self._learn(differs, pts_s, each[-1])
            return None
        share = float(np.mean(differs[judged] <= _SHARE * self._least[judged]))
        if share < _ENOUGH or float(np.mean(differs > _MOST)) > _OVERLAY:
            self._move()
            self._learn(differs, pts_s, each[-1])
            return Standstill(min(share, _ENOUGH), sure=False)
        plain = float(np.mean(differs[judged] <= _PLAIN * self._least[judged]))
        self._stand(each, ages_s, judged, gap_s)
        sure = self._copied or (self._calm and plain >= _MOSTLY)
        self._sure |= sure
        return Standstill(share, sure)

    def _stand(self, each: list[Floats], ages_s: list[float], judged: Mask, gap_s: float) -> None:
        """Whether a standing picture repeats itself; if it does not for long, it is only calm."""
        self._fresh = self._recent = None
        assert self._least is not None  # noqa: S101 - it has just been judged by it
        limit = _COPY * float(np.median(self._least[judged]))
        least_s = max(self._window_s / 1.5, _MARGIN * gap_s)
        old = [differs for differs, age_s in zip(each, ages_s, strict=True) if age_s >= least_s]
        pts_s = self._before[0] if self._before is not None else 0.0
        self._copied |= any(float(np.median(differs[judged])) <= limit for differs in old)
        if self._still_s is None:
            self._still_s = pts_s
        elif not self._copied and pts_s - self._still_s > _DOUBTS_S:
            self._unlearn()

    def _move(self) -> None:
        """It stands no longer. How long it stood tells of the encoder, unless it was frozen."""
        if self._sure:
            self._row.clear()
        self._still_s, self._copied, self._sure = None, False, False

    def _lengthen(self, latest: float, pts_s: float) -> float:
        """Have the window span two keyframes; returns the seconds between them, as far as has been seen.

        `latest` is how much the calmer tiles of a look differ from the one before.
        """
        self._row.append((float(pts_s), latest))
        while pts_s - self._row[0][0] > _REMEMBERS_S:
            self._row.popleft()
        if self._least is None or self._still_s is not None:
            return self._gap_s
        limit = _SHARE * _calmest(self._least)
        renewed = [then_s for then_s, differs in self._row if differs > limit]
        self._gap_s = max((b - a for a, b in pairwise([self._row[0][0], *renewed])), default=0.0)
        wanted_s = min(_MARGIN * self._gap_s + 1.0, _LONGEST * self._shortest_s)
        if wanted_s > self._window_s:
            # What is least within less than a keyframe's time is too little.
            self._window_s = wanted_s
            self._least = self._fresh = self._recent = None
        return self._gap_s

    def _leap(self, luma: Plane, pts_s: float) -> None:
        """Begin anew where time or the whole picture has leapt."""
        now = tiled(luma)
        if self._before is not None:
            last_s, before = self._before
            leapt = float(np.median(np.abs(now - before))) > _LEAP
            if leapt or not 0.0 <= pts_s - last_s <= _GAP_S:
                self.clear()
        self._before = (pts_s, now)

    def _keep(self, luma: Plane, pts_s: float) -> None:
        if self._kept and pts_s - self._kept[-1][0] < self._window_s / 6 - 1e-6:
            return
        self._kept.append((pts_s, luma))
        while len(self._kept) > 2 and pts_s - self._kept[1][0] >= self._window_s - 1e-6:
            self._kept.pop(0)

    def _learn(self, differs: Floats, pts_s: float, latest: Floats) -> None:
        """Take the least of what is shown; of late only when it is certain that no standstill begins."""
        assert self._least is not None  # noqa: S101 - there was a first one
        self._fresh = differs if self._fresh is None else np.minimum(self._fresh, differs)
        self._skips.add(float(np.median(latest)) <= _SKIPPED * float(np.median(self._least)))
        if pts_s - self._since_s < _LEARNS_S + 1e-6:
            self._least, self._turned_s = np.minimum(self._least, differs), pts_s
            self._calm = self._skips.many
        elif pts_s - self._turned_s >= 2 * self._window_s:
            rise = np.float32(math.exp((pts_s - self._turned_s) / _FORGETS_S))
            risen = self._least * rise
            self._least = risen if self._recent is None else np.minimum(risen, self._recent)
            self._recent, self._fresh, self._turned_s = self._fresh, None, pts_s
            self._calm = self._skips.turn()
        lengthened = 2 * self._window_s <= _LONGEST * self._shortest_s + 1e-6
        if lengthened and float(np.median(self._least)) < _LEAST:
            # The window fits between two keyframes.
            self._window_s *= 2
            self._unlearn()


class _Skips:
    """Whether looks in a row are often alike, which rain and snow do not allow."""

    def __init__(self) -> None:
        self._now, self._past = [0, 0], [0, 0]

    def add(self, alike: bool) -> None:
        """Count a look."""
        self._now[alike] += 1

    @property
    def many(self) -> bool:
        """Of late."""
        return self._now[1] > _OFTEN * sum(self._now)

    def turn(self) -> bool:
        """Begin a new time; whether it was so in the one before and in this one."""
        many = self.many and self._past[1] >= _OFTEN * sum(self._past)
        self._now, self._past = [0, 0], self._now
        return many


def _calmest(differs: Floats) -> float:
    """Difference of the calmer tiles: nobody moves everywhere."""
    return float(np.percentile(differs, 25))


def _judged(least: Floats) -> Mask:
    return np.asarray((least >= _LEAST) & (least <= _MOST), np.bool_)


def tiled(plane: Plane) -> Floats:
    """Mean of each tile of (180, 320) uint8: (9, 16)."""
    sums = cv2.integral(plane)[::_SIDE, ::_SIDE]
    return np.asarray(np.diff(np.diff(sums, axis=0), axis=1) / np.float32(_SIDE**2), np.float32)
