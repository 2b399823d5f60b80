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

from streams.blobs import (
    Boxes,
    Grey,
    Mask,
    Plane,
    about,
    as_boxes,
    covered,
    gradient,
    like,
    outline,
    overlap,
    shaded,
    smooth,
    window,
    within,
)
from streams.tiles import LUMA_SIZE

_NOISE = 2.0
"""Grey levels: the least noise that a pixel is taken to have."""
_MAX_STEP_S = 5.0
_NEW_SCENE = 0.35
"""Share of the picture that differs from the background at once where the light or the camera has changed."""
_SMALLEST_PX, _NARROWEST_PX, _LARGEST_SHARE = 20, 4, 0.12
_OVERLAP = 0.3
_LEAST_KNOWN_S, _PLAIN = 3.0, 1.5
"""A place that has been seen for less may still show who was there at the first look, if it was no plain
ground."""
_HOLES = np.ones((5, 5), np.uint8)
_NEIGHBOURS = np.ones((7, 7), np.uint8)
_SPECKS = np.ones((2, 2), np.uint8)
_LEAST_EDGE = 6.0
"""Grey levels a pixel: a thing has an outline, light that has changed has a soft one."""
_AS_SHARP = 0.9
"""Where the outline is nearly as sharp as before, it is no thing's."""
_IN_SIGHT = 0.2
"""Share of a thing's box that must be free of people to say that it has gone."""
_NAMED = 0.6
"""Share of a thing that lies within what a detector calls one."""
_LIFELESS_S, _STANDING_S, _LIFELESS = 10.0, 20.0, 0.9
"""Whoever is alive stirs within this time, the longer for who looks it: of something that did not, so much
has looked the same."""


@dataclass(frozen=True, slots=True)
class StillOptions:
    """How slow is still.

    Attributes:
        settled_s: seconds for which a pixel must show the same before it belongs to a thing.
        learn_s: time constant of the background.
        known_s: for so long a place must have shown the same before what has gone from there is missed.
        absorb_s: after so many seconds a thing belongs to the background.
        contrast: least difference to the background in grey levels.
        lost_s: seconds for which a thing may be hidden.
    """

    settled_s: float = 3.0
    learn_s: float = 60.0
    known_s: float = 15.0
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
        contrast: mean difference to the background in grey levels.
        sharper: grey levels a pixel by which its outline is sharper than the background's there, summed over
            the looks at it.
        filled: share of the box that it fills.
        alone: whether it has ever been seen with nobody beside it: shadows and legs never are.
        missed_s: seconds for which its place was in sight without it.
    """

    box: tuple[float, float, float, float]
    since_s: float
    seen_s: float
    contrast: float
    sharper: float
    filled: float = 1.0
    alone: bool = False
    missed_s: float = 0.0

    @property
    def put(self) -> bool:
        """Whether it was put there; False where something has gone."""
        return self.sharper >= 0


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known to be in a picture: boxes as fractions of it.

    Attributes:
        alive: (n, 4) people and animals: what stands there is theirs.
        doubtful: (n, 4) those who may be there, or things that look like them: theirs until nothing has
            stirred for ten seconds.
        standing: (n, 4) those who have surely stood at one place for long, or things that look like them:
            theirs until nothing has stirred for twenty seconds.
        things: (n, 4) vehicles and luggage: never background before the camera has known the place.
    """

    alive: ArrayLike = ()
    doubtful: ArrayLike = ()
    standing: ArrayLike = ()
    things: ArrayLike = ()


class StillWatch:
    """Watches one camera's picture for things that keep still. No clock of its own; for one thread.

    Attributes:
        things: as of the last look, the oldest first.
        unsettled: whether the whole picture has changed a moment ago, so that nothing is said.
    """

    def __init__(self, options: StillOptions | None = None) -> None:
        self.things: tuple[StillThing, ...] = ()
        self.unsettled = True
        self._followed: tuple[StillThing, ...] = ()
        self._options = options or StillOptions()
        self._fast: Grey = np.zeros((0, 0), np.float32)
        self._slow = self._fast
        self._since: NDArray[np.float64] = np.zeros((0, 0))
        self._noise = self._fast
        self._learned_s = self._fast
        self._taken_s = self._since
        self._edges = self._fast
        self._changed_s: float | None = None
        self._last_s: float | None = None

    def look(self, luma: Plane, pts_s: float, known: Known | None = None) -> tuple[StillThing, ...]:
        """Take one look, about one a second.

        Args:
            luma: (height, width) uint8 of the whole picture, best `LUMA_SIZE`.
            pts_s: camera time; a step back begins anew.
            known: who and what is known to be there.

        Returns:
            What keeps still, the oldest first.
        """
        grey = smooth(luma)
        if self._last_s is None or pts_s < self._last_s:
            self._begin(grey, pts_s)
        step_s = min(pts_s - (self._last_s or pts_s), _MAX_STEP_S)
        self._last_s = pts_s
        known = known or Known()
        sure, doubtful, standing = (covered(known.alive), as_boxes(known.doubtful), as_boxes(known.standing))
        grey = like(grey, self._slow, ~(sure | covered(doubtful) | covered(standing)))
        unlike = np.abs(grey - self._slow) > self._limits()
        learned = self._learned_s >= self._options.known_s
        if self._new_scene(unlike & learned & ~sure, pts_s):
            return self.things
        self._follow(grey, sure, pts_s, step_s)
        held_s = pts_s - self._since
        hidden = sure | covered(_alive(doubtful, unlike, held_s, _LIFELESS_S))
        hidden |= covered(_alive(standing, unlike, held_s, _STANDING_S))
        settled = unlike & ~hidden & (held_s >= self._options.settled_s - 1e-6)
        self._learn(grey, ~(hidden | unlike), pts_s, step_s)
        self._followed = self._match(
            self._found(settled, hidden, as_boxes(known.things), pts_s), settled, hidden, step_s
        )
        # What has been there for very long is background, and, of a place that is not known yet, what has
        # been there for longer than what was there first.
        lasting = learned | covered(known.things)
        for thing in self._followed:
            lasting[about(thing.box)] = True
        lasts_s = np.where(lasting, self._options.absorb_s, self._learned_s)
        self._adopt(settled & (held_s > lasts_s), held_s, pts_s)
        self.things = tuple(thing for thing in self._followed if thing.alone)
        return self.things

    def _begin(self, grey: Grey, pts_s: float) -> None:
        self._fast, self._slow = grey.copy(), grey.copy()
        self._since = np.full(grey.shape, pts_s)
        self._noise = np.full(grey.shape, _NOISE, np.float32)
        self._learned_s = np.zeros(grey.shape, np.float32)
        self._taken_s = self._since.copy()
        self._edges = gradient(grey)
        self._changed_s, self._last_s = None, pts_s
        self.things, self._followed, self.unsettled = (), (), True

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
        anew = ~hidden & (np.abs(grey - self._fast) > np.maximum(8.0, 4 * self._noise))
        self._since[anew] = pts_s
        # What is hidden by passers-by is taken to stay as it was until it is seen again.
        share = np.where(anew, 1.0, np.where(hidden, 0.0, -math.expm1(-step_s / 3.0))).astype(np.float32)
        self._fast += share * (grey - self._fast)

    def _learn(self, grey: Grey, take: Mask, pts_s: float, step_s: float) -> None:
        """Take into the background what is like it."""
        # At first it is a mean of what has been seen.
        memory_s = np.clip(self._learned_s, max(step_s, 1e-3), self._options.learn_s)
        share = np.where(take, -np.expm1(-step_s / memory_s), 0.0).astype(np.float32)
        off = np.abs(grey - self._slow)
        self._noise += share * (1.25 * np.minimum(off, self._options.contrast) - self._noise)
        np.maximum(self._noise, _NOISE, out=self._noise)
        self._slow += share * (grey - self._slow)
        # What looks as before after it was hidden has not changed behind that.
        self._learned_s[take] += pts_s - self._taken_s[take]
        self._taken_s[take] = pts_s
        # Between what was learned now and what was hidden while the light changed there is no edge.
        together = cv2.erode(take.astype(np.uint8), _NEIGHBOURS).astype(np.bool_)
        self._edges[together] = gradient(self._slow)[together]

    def _adopt(self, other: Mask, held_s: NDArray[np.float64], pts_s: float) -> None:
        """Take what is shown now for the background."""
        self._slow[other] = self._fast[other]
        self._edges[other] = gradient(self._fast)[other]
        self._learned_s[other] = held_s[other]
        self._taken_s[other] = pts_s

    def _found(self, settled: Mask, hidden: Mask, things: Boxes, pts_s: float) -> list[StillThing]:
        if self.unsettled:
            return []
        mask = cv2.morphologyEx(settled.astype(np.uint8), cv2.MORPH_OPEN, _SPECKS)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _HOLES)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        found = []
        for k in range(1, count):
            x, y, width, height, area = (int(value) for value in stats[k])
            small = area < _SMALLEST_PX or min(width, height) < _NARROWEST_PX
            if small or area > _LARGEST_SHARE * mask.size:
                continue
            window = (slice(max(y - 3, 0), y + height + 3), slice(max(x - 3, 0), x + width + 3))
            thing = self._thing((x, y, width, height), window, (labels[window] == k) & settled[window], pts_s)
            if thing is not None:
                named = bool(len(things)) and max(within(thing.box, one) for one in things) > _NAMED
                found.append(replace(thing, alone=named or not hidden[window].any()))
        return found

    def _thing(
        self, box: tuple[int, int, int, int], window: tuple[slice, slice], inside: Mask, pts_s: float
    ) -> StillThing | None:
        """What a settled region is; None for light that has changed."""
        now, then = self._fast[window], self._slow[window]
        ring = outline(inside)
        sharp_now, sharp_there, sharp_then = (
            float(edges[ring].mean()) for edges in (gradient(now), gradient(then), self._edges[window])
        )
        # What the background shows there may be the edge of what was hidden, and of no thing.
        if sharp_then < sharp_now < sharp_there:
            return None
        sharp_then = max(sharp_then, sharp_there) if sharp_now > sharp_then else sharp_then
        contrast = round(float(np.abs(now - then)[inside].mean()), 1)
        blunt, sharp = sorted((sharp_now, sharp_then))
        if contrast < self._options.contrast or sharp < _LEAST_EDGE or blunt > _AS_SHARP * sharp:
            return None
        if shaded(now, then, inside):
            return None
        if np.median(self._learned_s[window][inside]) < self._enough_s(sharp_now, sharp_then):
            return None
        since_s = float(np.median(self._since[window][inside & (np.abs(now - then) > 0)]))
        x, y, width, height = box
        wide, high = LUMA_SIZE
        return StillThing(
            (x / wide, y / high, (x + width) / wide, (y + height) / high),
            since_s,
            pts_s,
            contrast,
            sharp_now - sharp_then,
            float(np.count_nonzero(inside)) / (width * height),
        )

    def _enough_s(self, sharp_now: float, sharp_then: float) -> float:
        """For how many seconds a place must be known to say what has happened there."""
        if sharp_now < sharp_then:
            return self._options.known_s
        return 0.0 if sharp_now > _PLAIN * sharp_then else _LEAST_KNOWN_S

    def _match(
        self, found: list[StillThing], settled: Mask, hidden: Mask, step_s: float
    ) -> tuple[StillThing, ...]:
        """Things that were there before keep their age, also where something is in front of them."""
        left = list(found)
        kept = []
        for old in self._followed:
            same = max(left, key=lambda new: overlap(new.box, old.box), default=None)
            if same is not None and overlap(same.box, old.box) >= _OVERLAP:
                left.remove(same)
                kept.append(
                    replace(
                        same,
                        since_s=min(old.since_s, same.since_s),
                        sharper=old.sharper + same.sharper,
                        alone=old.alone or same.alone,
                    )
                )
                continue
            missed_s = old.missed_s + (step_s if self._missing(old, settled, hidden) else 0.0)
            if (
                missed_s <= self._options.settled_s + 1
                and (self._last_s or 0.0) - old.seen_s <= self._options.lost_s
            ):
                kept.append(replace(old, missed_s=missed_s))
        return tuple(sorted((*kept, *left), key=lambda thing: (thing.since_s, thing.box)))

    def _missing(self, thing: StillThing, settled: Mask, hidden: Mask) -> bool:
        """Whether enough of a thing's place is in sight, and little of what it showed."""
        place = window(thing.box)
        free = ~hidden[place]
        if free.mean() < _IN_SIGHT:
            return False
        as_before = settled[place] & (self._since[place] <= thing.seen_s)
        return float(as_before[free].mean()) < thing.filled / 2


def _alive(boxes: Boxes, unlike: Mask, held_s: NDArray[np.float64], lifeless_s: float) -> Boxes:
    """Of (n, 4) boxes those in which something has stirred lately; of what is new there, if anything is."""
    scale = np.array((*LUMA_SIZE, *LUMA_SIZE))
    kept = []
    for box in boxes:
        left, top, right, bottom = np.maximum(box * scale, 0).round().astype(int).tolist()
        held, new = held_s[top:bottom, left:right], unlike[top:bottom, left:right]
        held = held[new] if np.count_nonzero(new) >= _SMALLEST_PX else held
        if not held.size or float((held >= lifeless_s).mean()) < _LIFELESS:
            kept.append(box)
    return as_boxes(kept)
