"""What was put down, or taken away: things that keep still where the background looked otherwise.

Two models of each pixel: what it has shown steadily over the last seconds, and the background of the minutes
before. Where the first is settled and differs from the second, something has been put there or is gone. What
moves past settles nowhere; who is known to be there is left out. Only the thing's place and age are kept.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from streams.tiles import LUMA_SIZE

Plane = NDArray[np.uint8]
Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]

_NOISE = 2.0
"""Grey levels: the least noise that a pixel is taken to have."""
_MAX_STEP_S = 5.0
_NEW_SCENE = 0.35
"""Share of the picture that differs from the background at once where the light or the camera has changed."""
_SMALLEST_PX, _LARGEST_SHARE = 20, 0.12
_OVERLAP = 0.3
_HOLES = np.ones((5, 5), np.uint8)
_SPECKS = np.ones((2, 2), np.uint8)
_SHARPER = 1.3
_LEAST_EDGE = 6.0
"""Grey levels a pixel: a thing has an outline, light that has changed has a soft one."""
_ALIKE = 0.85
_HIDING = 0.1


@dataclass(frozen=True, slots=True)
class StillOptions:
    """How slow is still.

    Attributes:
        settled_s: seconds for which a pixel must show the same before it belongs to a thing.
        learn_s: time constant of the background.
        known_s: for so long a place must have been free before it is judged.
        absorb_s: after so many seconds a thing belongs to the background.
        contrast: least difference to the background in grey levels.
        lost_s: seconds for which a thing may be hidden.
    """

    settled_s: float = 3.0
    learn_s: float = 60.0
    known_s: float = 20.0
    absorb_s: float = 3600.0
    contrast: float = 14.0
    lost_s: float = 60.0

    def __post_init__(self) -> None:
        if min(self.settled_s, self.learn_s, self.known_s, self.absorb_s, self.contrast, self.lost_s) <= 0:
            raise ValueError(f"times and contrast must be positive, got {self}")


@dataclass(frozen=True, slots=True)
class StillThing:
    """Something that keeps still and was not there, or was there and is not.

    Attributes:
        box: left, top, right, bottom as fractions of the picture.
        since_s: camera time since when it is so.
        seen_s: camera time when it was last seen.
        put: whether it was put there; False where something has gone.
        contrast: mean difference to the background in grey levels.
        hidden_s: camera time when somebody was last in front of it.
    """

    box: tuple[float, float, float, float]
    since_s: float
    seen_s: float
    put: bool
    contrast: float
    hidden_s: float = -math.inf


class StillWatch:
    """Watches one camera's picture for things that keep still. No clock of its own; for one thread.

    Attributes:
        things: as of the last look, the oldest first.
        unsettled: whether the whole picture has changed a moment ago, so that nothing is said.
    """

    def __init__(self, options: StillOptions | None = None) -> None:
        self.things: tuple[StillThing, ...] = ()
        self.unsettled = True
        self._options = options or StillOptions()
        self._fast: Grey = np.zeros((0, 0), np.float32)
        self._slow = self._fast
        self._since: NDArray[np.float64] = np.zeros((0, 0))
        self._noise = self._fast
        self._learned_s = self._fast
        self._changed_s: float | None = None
        self._last_s: float | None = None

    def look(self, luma: Plane, pts_s: float, busy: ArrayLike = ()) -> tuple[StillThing, ...]:
        """Take one look, about one a second.

        Args:
            luma: (height, width) uint8 of the whole picture, best `LUMA_SIZE`.
            pts_s: camera time; a step back begins anew.
            busy: (n, 4) boxes of people, vehicles and others that are known to be there, fractions: what
                stands there is theirs.

        Returns:
            What keeps still, the oldest first.
        """
        grey = _smooth(luma)
        if self._last_s is None or pts_s < self._last_s:
            self._begin(grey, pts_s)
        step_s = min(pts_s - (self._last_s or pts_s), _MAX_STEP_S)
        self._last_s = pts_s
        hidden = _covered(busy)
        level = _level(grey, self._slow, ~hidden)
        grey = grey - level
        known = self._learned_s >= self._options.known_s
        unlike = known & (np.abs(grey - self._slow) > self._limits())
        if self._new_scene(unlike & ~hidden, pts_s):
            return self.things
        self._follow(grey, hidden, pts_s, step_s)
        settled = unlike & ~hidden & (pts_s - self._since >= self._options.settled_s - 1e-6)
        self._learn(grey, hidden, unlike, settled & (pts_s - self._since >= self._options.absorb_s), step_s)
        self.things = self._match(self._found(settled, pts_s), hidden, pts_s)
        return self.things

    def _begin(self, grey: Grey, pts_s: float) -> None:
        self._fast, self._slow = grey.copy(), grey.copy()
        self._since = np.full(grey.shape, pts_s)
        self._noise = np.full(grey.shape, _NOISE, np.float32)
        self._learned_s = np.zeros(grey.shape, np.float32)
        self._changed_s, self._last_s = None, pts_s
        self.things, self.unsettled = (), True

    def _limits(self) -> Grey:
        return np.maximum(np.float32(self._options.contrast), 6 * self._noise)

    def _new_scene(self, unlike: Mask, pts_s: float) -> bool:
        """Whether too much differs at once; if that lasts, it is the background from now on."""
        if unlike.mean() < _NEW_SCENE:
            self._changed_s, self.unsettled = None, False
            return False
        self.unsettled = True
        if self._changed_s is None:
            self._changed_s = pts_s
        if pts_s - self._changed_s > self._options.learn_s / 2:
            self._last_s = None
        return True

    def _follow(self, grey: Grey, hidden: Mask, pts_s: float, step_s: float) -> None:
        """What each pixel shows steadily, and since when."""
        leap = np.abs(grey - self._fast) > np.maximum(8.0, 4 * self._noise)
        anew = leap | hidden
        self._since[anew] = pts_s
        share = np.where(anew, 1.0, -math.expm1(-step_s / 3.0)).astype(np.float32)
        self._fast += share * (grey - self._fast)

    def _learn(self, grey: Grey, hidden: Mask, unlike: Mask, old: Mask, step_s: float) -> None:
        """Take into the background what is like it, and what has been there for very long."""
        # At first it is a mean of what has been seen, so that what was there at the first look fades.
        memory_s = np.clip(self._learned_s, max(step_s, 1e-3), self._options.learn_s)
        take = ~(hidden | unlike)
        share = np.where(take, -np.expm1(-step_s / memory_s), 0.0).astype(np.float32)
        off = np.abs(grey - self._slow)
        self._noise += share * (1.25 * np.minimum(off, self._options.contrast) - self._noise)
        np.maximum(self._noise, _NOISE, out=self._noise)
        self._slow += share * (grey - self._slow)
        self._slow[old] = self._fast[old]
        self._learned_s[take] += step_s

    def _found(self, settled: Mask, pts_s: float) -> list[StillThing]:
        if self.unsettled:
            return []
        mask = cv2.morphologyEx(settled.astype(np.uint8), cv2.MORPH_OPEN, _SPECKS)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _HOLES)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        found = []
        for k in range(1, count):
            x, y, width, height, area = (int(value) for value in stats[k])
            if area < _SMALLEST_PX or area > _LARGEST_SHARE * mask.size:
                continue
            window = (slice(max(y - 3, 0), y + height + 3), slice(max(x - 3, 0), x + width + 3))
            thing = self._thing((x, y, width, height), window, labels[window] == k, pts_s)
            if thing is not None:
                found.append(thing)
        return found

    def _thing(
        self, box: tuple[int, int, int, int], window: tuple[slice, slice], inside: Mask, pts_s: float
    ) -> StillThing | None:
        """What a settled region is; None for light that has changed."""
        now, then = self._fast[window], self._slow[window]
        ring = _ring(inside)
        sharp_now, sharp_then = (float(_edges(part)[ring].mean()) for part in (now, then))
        if max(sharp_now, sharp_then) < _LEAST_EDGE or _shaded(now, then, inside):
            return None
        since_s = float(np.median(self._since[window][inside & (np.abs(now - then) > 0)]))
        x, y, width, height = box
        wide, high = LUMA_SIZE
        return StillThing(
            (x / wide, y / high, (x + width) / wide, (y + height) / high),
            since_s,
            pts_s,
            sharp_now >= sharp_then,
            round(float(np.abs(now - then)[inside].mean()), 1),
        )

    def _match(self, found: list[StillThing], hidden: Mask, pts_s: float) -> tuple[StillThing, ...]:
        """Things that were there before keep their age, also where something is in front of them."""
        left = list(found)
        kept = []
        for old in self.things:
            same = max(left, key=lambda new: _iou(new.box, old.box), default=None)
            if same is not None and _iou(same.box, old.box) >= _OVERLAP:
                left.remove(same)
                kept.append(
                    StillThing(
                        same.box, min(old.since_s, same.since_s), pts_s, old.put or same.put, same.contrast
                    )
                )
                continue
            now = replace(old, hidden_s=pts_s) if _part(hidden, old.box) > _HIDING else old
            # Who has stepped aside leaves it to settle anew.
            settling = pts_s - now.hidden_s <= self._options.settled_s + _MAX_STEP_S
            if settling and pts_s - old.seen_s <= self._options.lost_s:
                kept.append(now)
        return tuple(sorted((*kept, *left), key=lambda thing: (thing.since_s, thing.box)))


def _smooth(luma: Plane) -> Grey:
    if luma.shape != LUMA_SIZE[::-1]:
        luma = np.asarray(cv2.resize(luma, LUMA_SIZE, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.GaussianBlur(luma, (3, 3), 0), np.float32)


def _level(grey: Grey, slow: Grey, free: Mask) -> np.float32:
    """How much brighter everything is: exposure, or a cloud."""
    off = (grey - slow)[free]
    return np.float32(np.median(off)) if len(off) else np.float32(0)


def _covered(boxes: ArrayLike) -> Mask:
    """Pixels in boxes, a little larger, as a detector cuts hands and feet off."""
    width, height = LUMA_SIZE
    mask = np.zeros((height, width), np.bool_)
    for left, top, right, bottom in np.asarray(boxes, np.float64).reshape(-1, 4).tolist():
        x, y = 0.1 * (right - left) + 2 / width, 0.1 * (bottom - top) + 2 / height
        rows = slice(max(0, int((top - y) * height)), max(0, math.ceil((bottom + y) * height)))
        mask[rows, max(0, int((left - x) * width)) : max(0, math.ceil((right + x) * width))] = True
    return mask


def _ring(inside: Mask) -> Mask:
    """The outline of a region, two pixels to each side."""
    part = inside.astype(np.uint8)
    outer, inner = cv2.dilate(part, np.ones((3, 3))), cv2.erode(part, np.ones((3, 3)))
    return np.asarray((outer > 0) & (inner == 0), np.bool_)


def _edges(grey: Grey) -> Grey:
    """Length of the gradient, grey levels a pixel."""
    x, y = (cv2.Scharr(grey, cv2.CV_32F, *way, scale=1 / 32) for way in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(x, y), np.float32)


def _shaded(now: Grey, then: Grey, inside: Mask) -> bool:
    """Whether a region shows the same ground in another light: its texture is the same, times a factor."""
    a, b = now[inside], then[inside]
    if float(b.std()) < 4.0 or float(a.std()) < 2.0:
        return False
    return float(np.corrcoef(a, b)[0, 1]) > _ALIKE


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _part(hidden: Mask, box: tuple[float, float, float, float]) -> float:
    """Share of a box that is hidden."""
    width, height = LUMA_SIZE
    rows = slice(int(box[1] * height), max(int(box[1] * height) + 1, int(box[3] * height)))
    columns = slice(int(box[0] * width), max(int(box[0] * width) + 1, int(box[2] * width)))
    part = hidden[rows, columns]
    return float(part.mean()) if part.size else 0.0
