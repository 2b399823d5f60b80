"""Who goes down and stays down, as a pure step: what lies where somebody stood a moment ago.

A detector that has learned upright people finds lying ones rarely as people, but nearly always finds
something there, of whatever class and with a low score. So a fall is made of three things: somebody was
upright; that person is upright no more; and at the same place and time something low has appeared that was
not there before and keeps its place. People who sit, crouch or bend are low too, but not wider than they are
high; nor is who lies along the line of sight, and is told only where the foot has plunged towards the camera.

Boxes are left, top, right, bottom in heights of the picture. Who it was is not known, only where.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats
from models.boxes import area, iou

Keys = NDArray[np.int64]
Mask = NDArray[np.bool_]

SURE = 0.35
"""Score from which a person's box is believed to show all of them that there is to see."""
_UPRIGHT_SCORE = 0.3
_UPRIGHT_WIDE, _FIRST_WIDE = 0.75, 0.65
_UPRIGHT_HIGH = 0.8
"""Share of the usual height down to which somebody is upright; bent or half hidden below."""
_HEIGHT_S = 0.7
_SMALLEST, _TOP, _BOTTOM = 0.04, 0.01, 0.985
"""Farther off, or cut off by the picture's edge, nobody's height is known."""

NEAR_S = 1.0
"""So long before something low appeared somebody may have been upright there for the last time."""
_LATER_S = 0.6
_ASSIGN_S = 1.5
_AGAIN_S = 1.0
"""Who is upright again so soon has only passed by."""
_UPRIGHT_KEPT_S = 4.0

_SAME, _KNOWN, _ALIKE = 0.45, 0.3, 1.5
"""Overlap with what is there already, to be it or to hide that it is new; and the ratio of heights."""
_PART, _TALLER = 0.6, 1.25
_HIDDEN, _NEARER = 0.3, 0.05
"""Who hides so much of something, and whose foot is lower by so much of their height, is before it."""
_SEATED, _SEAT, _SEATED_SHARE = 1.1, 0.3, 0.35
"""Somebody surely seen, no wider than so many heights, who overlaps by so much with what lies there, at so
many of the looks, sits there, and what lies there are the legs."""
_UNDERFOOT, _RISES = 0.2, 0.4
"""Whose foot is on something, or so much of its height off, and who rises above it by so much of their own,
stands there, and it is their shadow or their legs."""
_SETTLE_S = 0.6
_FOLLOW_S, _FOLLOW, _KEEP = 0.9, 0.4, 0.05
_BLINK_S, _PATIENCE_S, _STAYS_S = 1.0, 10.0, 2.0
_MOST = 256

_LEAST_SHARE = 0.65
"""Of the looks at which who lies could be seen."""
_LOW, _UNSTEADY, _SUNK = 0.68, 0.1, (0.34, 0.97)
"""In the person's heights: the box of who lies is no higher, its height varies no more, and its top has come
down from where it was by so much."""
_LOWEST, _ROUND, _DOWN, _SEEN = 0.42, 0.9, 0.5, 0.3
"""Hardly anybody sits or crouches so low: height in heights, width to height, fall of the top, score."""
_FLAT, _LONG, _FAINT = 1.25, 0.45, 0.135
"""Who lies across the line of sight: width to height, width in heights, and mean score."""
_FORTH, _DEEP, _CLEAR = 0.2, 0.6, 0.3
"""Who lies along it, towards the camera: how far the foot has come forth and the top down, in heights, and
mean score."""


@dataclass(frozen=True, slots=True)
class Upright:
    """Somebody who was upright at the last sight of that.

    Attributes:
        box: then.
        height: usual, a fraction of the picture's.
        seen_s: camera time of that.
        looks: at which they were.
    """

    box: tuple[float, float, float, float]
    height: float
    seen_s: float
    looks: int = 1


@dataclass(frozen=True, slots=True)
class Shape:
    """Sums over the looks at which something was seen since it has settled.

    Attributes:
        looks: how many.
        height, squares, width, bottom: of its box, and its height squared, in units of the picture's height.
        score: of the detections.
        seated: looks at which somebody was surely seen there who is as high as wide.
    """

    looks: int = 0
    height: float = 0.0
    squares: float = 0.0
    width: float = 0.0
    bottom: float = 0.0
    score: float = 0.0
    seated: int = 0

    def plus(self, box: Floats, score: float, *, seated: bool) -> "Shape":
        """With one look more, at a (4,) box."""
        high, wide = float(box[3] - box[1]), float(box[2] - box[0])
        return Shape(
            self.looks + 1,
            self.height + high,
            self.squares + high * high,
            self.width + wide,
            self.bottom + float(box[3]),
            self.score + score,
            self.seated + seated,
        )


@dataclass(frozen=True, slots=True)
class Spot:
    """Something at one place.

    Attributes:
        box: where it is.
        since_s, seen_s: camera times of the first and the last sight of it.
        looks: at which it could have been seen.
        sights: of those, at which it was.
        shape: how it looks.
        stood: who stood there just before it appeared, and their key; None where nobody did.
    """

    box: tuple[float, float, float, float]
    since_s: float
    seen_s: float
    looks: int = 1
    sights: int = 1
    shape: Shape = field(default_factory=Shape)
    stood: tuple[int, Upright] | None = None

    @property
    def share(self) -> float:
        """Of the looks, those at which it was seen."""
        return self.sights / self.looks


@dataclass(frozen=True, slots=True)
class Lying:
    """Who and what was seen so far."""

    upright: Mapping[int, Upright] = field(default_factory=lambda: MappingProxyType({}))
    spots: tuple[Spot, ...] = ()
    looked_s: float = float("-inf")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one look shows.

    Attributes:
        keys: (n,) distinct, of the people who are followed.
        people: (n, 4) their boxes.
        people_scores: (n,).
        boxes: (m, 4) everything that was found, of whatever class, low scores included.
        scores: (m,).
        persons: (m,) which of that are people.
    """

    keys: Keys
    people: Floats
    people_scores: Floats
    boxes: Floats
    scores: Floats
    persons: Mask


def step_lying(state: Lying, seen: Seen, pts_s: float) -> Lying:
    """Take in one look.

    Args:
        state: from the look before.
        seen: what it shows.
        pts_s: camera time, not below the last one's.
    """
    gap_s = min(pts_s - state.looked_s, 60.0)
    upright, standing = _stand(state, seen, pts_s)
    sure = seen.boxes[seen.persons & (seen.scores >= SURE)]
    spots = [spot for spot in _look_again(state, seen, sure, pts_s) if _kept(spot, state.looked_s, pts_s)]
    spots += _new_spots(spots, seen, sure, standing, pts_s)
    spots = sorted(spots, key=lambda spot: spot.seen_s)[-_MOST:]
    told = [_ask_who_stood(spot, upright, gap_s, pts_s) for spot in spots]
    return Lying(MappingProxyType(upright), tuple(told), pts_s)


def _stand(state: Lying, seen: Seen, pts_s: float) -> tuple[dict[int, Upright], Floats]:
    """Who was upright lately, and the boxes of those who are now."""
    upright = {
        key: one
        for key, one in state.upright.items()
        if pts_s - one.seen_s <= _UPRIGHT_KEPT_S or one.seen_s == state.looked_s
    }
    sure = np.flatnonzero(np.asarray(seen.persons & (seen.scores >= SURE)))
    overlap = iou(seen.people, seen.boxes[sure])
    standing = []
    for row, key in enumerate(seen.keys.tolist()):
        # A track's box lags behind what moves at once.
        best = int(overlap[row].argmax()) if len(sure) else -1
        box = seen.boxes[sure[best]] if len(sure) and overlap[row, best] > 0.4 else seen.people[row]
        one = _upright_now(upright.get(key), box, float(seen.people_scores[row]), pts_s)
        if one is not None:
            upright[key] = one
            standing.append(box)
    return upright, np.array(standing, np.float64).reshape(-1, 4)


def _upright_now(old: Upright | None, box: Floats, score: float, pts_s: float) -> Upright | None:
    """The same person upright now; None for who is not, or cannot be told."""
    left, top, right, bottom = box.tolist()
    high, wide = bottom - top, right - left
    if bottom > _BOTTOM or top < _TOP or high < _SMALLEST:
        return None
    if old is None:
        first = wide < _FIRST_WIDE * high and score >= SURE
        return Upright((left, top, right, bottom), high, pts_s) if first else None
    if high < _UPRIGHT_HIGH * old.height or wide >= _UPRIGHT_WIDE * high or score < _UPRIGHT_SCORE:
        return None
    share = -float(np.expm1(-(pts_s - old.seen_s) / _HEIGHT_S))
    usual = old.height + share * (high - old.height)
    return Upright((left, top, right, bottom), usual, pts_s, old.looks + 1)


def _look_again(state: Lying, seen: Seen, sure: Floats, pts_s: float) -> list[Spot]:
    """Known spots after this look."""
    if not state.spots:
        return []
    boxes = np.array([spot.box for spot in state.spots])
    same = _likeness(boxes, seen.boxes)
    before = sure[None, :, 3] > boxes[:, None, 3] + _NEARER * _heights(sure)[None]
    hidden: Mask = np.asarray(((_covered(boxes, sure) > _HIDDEN) & before).any(axis=1), np.bool_)
    upright = sure[sure[:, 2] - sure[:, 0] < _SEATED * _heights(sure)]
    seated: Mask = np.asarray((iou(boxes, upright) > _SEAT).any(axis=1), np.bool_) | _stood_on(boxes, sure)
    found = []
    for row, spot in enumerate(state.spots):
        best = int(same[row].argmax()) if len(seen.boxes) else -1
        if best < 0 or same[row, best] <= _SAME:
            # Who walks by in front hides it: that says neither that it is there nor that it is not.
            found.append(spot if hidden[row] else replace(spot, looks=spot.looks + 1))
            continue
        age_s = pts_s - spot.since_s
        share = _FOLLOW if age_s < _FOLLOW_S else _KEEP
        left, top, right, bottom = (boxes[row] + share * (seen.boxes[best] - boxes[row])).tolist()
        shape = spot.shape
        if age_s >= _SETTLE_S:
            shape = shape.plus(seen.boxes[best], float(seen.scores[best]), seated=bool(seated[row]))
        found.append(
            replace(
                spot,
                box=(left, top, right, bottom),
                seen_s=pts_s,
                looks=spot.looks + 1,
                sights=spot.sights + 1,
                shape=shape,
            )
        )
    return found


def _kept(spot: Spot, looked_s: float, pts_s: float) -> bool:
    steady = spot.seen_s - spot.since_s > _STAYS_S and spot.share >= 0.5
    patience_s = _PATIENCE_S if steady else _BLINK_S
    # Looks may be farther apart than that: what was there at the last one has not been away.
    return pts_s - spot.seen_s <= patience_s or spot.seen_s == looked_s


def _new_spots(spots: list[Spot], seen: Seen, sure: Floats, standing: Floats, pts_s: float) -> list[Spot]:
    """What has not been there: neither parts of somebody who is seen whole, nor who is upright."""
    if not len(seen.boxes):
        return []
    high = seen.boxes[:, 3] - seen.boxes[:, 1]
    part = (_covered(seen.boxes, sure) > _PART) & (_heights(sure)[None] > _TALLER * high[:, None])
    known = part.any(axis=1) | (iou(seen.boxes, standing) > 0.8).any(axis=1)
    if spots:
        known |= (_likeness(seen.boxes, np.array([spot.box for spot in spots])) > _KNOWN).any(axis=1)
    new: list[Spot] = []
    rows = np.flatnonzero(~known)
    for row in rows[np.argsort(-seen.scores[rows], kind="stable")].tolist():
        box = seen.boxes[row]
        if new and (_likeness(box[None], np.array([spot.box for spot in new])) > _KNOWN).any():
            continue
        left, top, right, bottom = box.tolist()
        new.append(Spot((left, top, right, bottom), pts_s, pts_s))
    return new


def _ask_who_stood(spot: Spot, upright: Mapping[int, Upright], gap_s: float, pts_s: float) -> Spot:
    """Whom a new spot may be of: the nearest of those who were last upright there just before."""
    if spot.stood is not None:
        key, then = spot.stood
        now = upright.get(key)
        if now is None or not then.seen_s < now.seen_s < then.seen_s + max(_AGAIN_S, 1.1 * gap_s):
            return spot
        spot = replace(spot, stood=None)
    if pts_s - spot.since_s > max(_ASSIGN_S, 1.1 * gap_s):
        return spot
    near = [
        (far, key)
        for key, one in upright.items()
        if one.seen_s < pts_s
        and one.looks > 1
        and -_LATER_S <= spot.since_s - one.seen_s <= max(NEAR_S, 1.1 * gap_s)
        and (far := _apart(spot.box, one)) is not None
    ]
    if not near:
        return spot
    _, key = min(near)
    return replace(spot, stood=(key, upright[key]))


def _apart(box: tuple[float, float, float, float], one: Upright) -> float | None:
    """How far something low is from somebody's foot, in their heights; None where it cannot be them."""
    left, top, right, bottom = box
    tall, foot = one.height, ((one.box[0] + one.box[2]) / 2, one.box[3])
    if not (0.12 * tall <= bottom - top <= 0.68 * tall and 0.2 * tall <= right - left <= 1.7 * tall):
        return None
    if top < one.box[1] + 0.3 * tall or not -0.2 * tall <= bottom - foot[1] <= 0.5 * tall:
        return None
    # Who lies has the feet at one end.
    aside = max(abs((left + right) / 2 - foot[0]) - (right - left) / 2, 0.0)
    return (aside + abs(bottom - foot[1])) / tall if aside <= 0.3 * tall else None


def down_s(spot: Spot, pts_s: float) -> float:
    """Seconds for which somebody has been lying there; 0 for anything else."""
    if spot.stood is None or spot.share < _LEAST_SHARE or not spot.shape.looks:
        return 0.0
    _, one = spot.stood
    n, tall = spot.shape.looks, one.height
    high, wide, score = spot.shape.height / n, spot.shape.width / n, spot.shape.score / n
    bottom = spot.shape.bottom / n
    unsteady = float(np.sqrt(max(spot.shape.squares / n - high * high, 0.0)))
    sunk, forth = (bottom - high - one.box[1]) / tall, (bottom - one.box[3]) / tall
    if high > _LOW * tall or unsteady > _UNSTEADY * tall or not _SUNK[0] <= sunk <= _SUNK[1]:
        return 0.0
    flat = wide >= _FLAT * high and wide >= _LONG * tall and score >= _FAINT
    plunged = forth >= _FORTH and sunk >= _DEEP and score >= _CLEAR
    lowest = high <= _LOWEST * tall and wide >= _ROUND * high and sunk >= _DOWN and score >= _SEEN
    seated = spot.shape.seated >= _SEATED_SHARE * n
    return pts_s - spot.since_s if plunged or ((flat or lowest) and not seated) else 0.0


def _likeness(a: Floats, b: Floats) -> Floats:
    """Overlap of (n, 4) with (m, 4) boxes, 0 for those of unlike heights: (n, m)."""
    ratio = _heights(a)[:, None] / np.maximum(_heights(b)[None], 1e-9)
    return np.where((ratio < _ALIKE) & (ratio > 1 / _ALIKE), iou(a, b), 0.0)


def _covered(boxes: Floats, by: Floats) -> Floats:
    """Shares of (n, 4) boxes that (m, 4) others cover: (n, m)."""
    near = np.maximum(boxes[:, None, :2], by[None, :, :2])
    far = np.minimum(boxes[:, None, 2:], by[None, :, 2:])
    shared = np.clip(far - near, 0.0, None).prod(2)
    return np.asarray(shared / np.maximum(area(boxes), 1e-12)[:, None], np.float64)


def _stood_on(boxes: Floats, people: Floats) -> Mask:
    """On which of (n, 4) boxes one of (m, 4) people stands: shadows and legs, not who lies."""
    x, foot = (people[:, 0] + people[:, 2]) / 2, people[:, 3]
    reach = _UNDERFOOT * _heights(boxes)[:, None]
    on = (boxes[:, :1] < x) & (x < boxes[:, 2:3])
    on &= (boxes[:, 1:2] - reach < foot) & (foot < boxes[:, 3:] + reach)
    above = people[:, 1] < boxes[:, 1:2] - _RISES * _heights(people)
    return np.asarray((on & above).any(axis=1), np.bool_)


def _heights(boxes: Floats) -> Floats:
    high: Floats = boxes[:, 3] - boxes[:, 1]
    return high
