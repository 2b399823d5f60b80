"""Who goes down and stays down, as pure steps: places where somebody was upright and is no more.

A detector that has learned upright people finds lying ones rarely, and bags, boxes and those who crouch it
finds just as badly. So nothing is asked of it but who was upright. Where somebody was and has not been seen
upright since, a model looks at the place itself, about once a second, and says whether somebody lies there;
where it says no for some seconds the place is forgotten.

Boxes are left, top, right, bottom in heights of the picture. Who it was is not known, only where.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats
from models.boxes import iou

Keys = NDArray[np.int64]
Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]

SURE = 0.35
"""Score from which a person's box is believed to show all of them that there is to see."""
_UPRIGHT_SCORE = 0.3
_UPRIGHT_WIDE, _FIRST_WIDE = 0.75, 0.65
_UPRIGHT_HIGH = 0.8
"""Share of the usual height down to which somebody is upright; bent or half hidden below."""
_HEIGHT_S = 0.7
_SMALLEST, _TOP, _BOTTOM = 0.04, 0.01, 0.985
"""Farther off, or cut off by the picture's edge, nobody's height is known."""
_UPRIGHT_KEPT_S = 4.0

_FIRST_S, _EVERY_S = 0.5, 1.0
"""Seconds after somebody was upright for the last time until the first look at the place, and between two."""
LIES = 0.9
"""Probability from which a look says that somebody lies there."""
_UNSEEN_S = 6.0
"""A place is forgotten where no look has shown anybody for so long: others may have walked past meanwhile."""
_LEAST_SHARE, _LEAST_LOOKS = 0.7, 3
"""Of the looks since the first that shows somebody who lies, so many must."""
_MOST, _AT_ONCE = 64, 4
"""Places that are remembered, and that one picture is looked at for."""
_SAME = 0.6
"""Places so near each other, in heights, are of the same body."""
_EPS_S = 1e-6


@dataclass(frozen=True, slots=True)
class Upright:
    """Somebody who was upright at the last sight of that.

    Attributes:
        box: then.
        height: usual, a fraction of the picture's.
        seen_s: camera time of that.
        looks: at which they were.
    """

    box: Box
    height: float
    seen_s: float
    looks: int = 1

    @property
    def foot(self) -> tuple[float, float]:
        """Where they stood, in heights of the picture."""
        return (self.box[0] + self.box[2]) / 2, self.box[3]


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where somebody is upright no more.

    Attributes:
        key: of who stood there.
        stood: how they did.
        looked_s: camera time of the last look at the place; None before the first.
        since_s: camera time of the first look, of those without a gap, that showed somebody who lies there;
            None where none did lately.
        seen_s: camera time of the last one that did.
        looks, sights: since `since_s`, how many there were, and how many showed somebody.
        score: sum of the probabilities of the looks that are counted.
    """

    key: int
    stood: Upright
    looked_s: float | None = None
    since_s: float | None = None
    seen_s: float = -math.inf
    looks: int = 0
    sights: int = 0
    score: float = 0.0

    @property
    def share(self) -> float:
        """Of the looks since somebody began to lie there, those that showed it."""
        return self.sights / self.looks if self.looks else 0.0

    @property
    def sureness(self) -> float:
        """Mean probability of these looks."""
        return self.score / self.looks if self.looks else 0.0


@dataclass(frozen=True, slots=True)
class Lying:
    """Who was seen upright, and where nobody is any more."""

    upright: Mapping[int, Upright] = field(default_factory=lambda: MappingProxyType({}))
    spots: tuple[Spot, ...] = ()
    looked_s: float = -math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one look shows.

    Attributes:
        keys: (n,) distinct, of the people who are followed.
        people: (n, 4) their boxes.
        scores: (n,).
        sure: (m, 4) boxes of people who are surely seen in this picture.
    """

    keys: Keys
    people: Floats
    scores: Floats
    sure: Floats


def step_upright(state: Lying, seen: Seen, pts_s: float) -> Lying:
    """Take in who is upright now, and so where somebody is no more.

    Args:
        state: from the look before.
        seen: what this one shows.
        pts_s: camera time; where it goes back, all begins anew.
    """
    if pts_s <= state.looked_s:
        state = Lying()
    upright = _stand(state, seen, pts_s)
    spots = [spot for spot in state.spots if not _up_again(spot, upright) and not _forgotten(spot, pts_s)]
    known = {spot.key for spot in spots}
    spots += [
        Spot(key, one)
        for key, one in upright.items()
        if one.seen_s == state.looked_s and one.looks > 1 and key not in known
    ]
    return Lying(MappingProxyType(upright), tuple(spots[-_MOST:]), pts_s)


def due(state: Lying) -> tuple[Spot, ...]:
    """The places to look at now, those first that have waited longest."""
    waiting = [
        spot
        for spot in state.spots
        if state.looked_s - _last_s(spot) >= (_EVERY_S if spot.looked_s is not None else _FIRST_S) - _EPS_S
    ]
    return tuple(sorted(waiting, key=_last_s)[:_AT_ONCE])


def step_looks(state: Lying, looked: Sequence[Spot], lies: Floats) -> Lying:
    """Take in what the looks at some places have shown.

    Args:
        state: that they were `due` in.
        looked: (n,) the places.
        lies: (n,) probabilities that somebody lies there.
    """
    after = {
        spot.key: _looked(spot, float(score), state.looked_s)
        for spot, score in zip(looked, lies, strict=True)
    }
    return replace(state, spots=tuple(after.get(spot.key, spot) for spot in state.spots))


def down_s(spot: Spot) -> float:
    """Seconds for which somebody has been seen to lie there, to the last look; 0 for anything else."""
    if spot.since_s is None or spot.looks < _LEAST_LOOKS or spot.share < _LEAST_SHARE:
        return 0.0
    return spot.seen_s - spot.since_s


def distinct(spots: Sequence[Spot]) -> list[Spot]:
    """One for each body, the surest first."""
    kept: list[Spot] = []
    for spot in sorted(spots, key=lambda one: (-one.sureness, one.key)):
        if all(math.dist(spot.stood.foot, one.stood.foot) > _SAME * one.stood.height for one in kept):
            kept.append(spot)
    return kept


def _stand(state: Lying, seen: Seen, pts_s: float) -> dict[int, Upright]:
    """Who was upright lately, this look included."""
    upright = {
        key: one
        for key, one in state.upright.items()
        if pts_s - one.seen_s <= _UPRIGHT_KEPT_S or one.seen_s == state.looked_s
    }
    overlap = iou(seen.people, seen.sure)
    for row, key in enumerate(seen.keys.tolist()):
        # A track's box lags behind what moves at once.
        best = int(overlap[row].argmax()) if len(seen.sure) else -1
        box = seen.sure[best] if best >= 0 and overlap[row, best] > 0.4 else seen.people[row]
        one = _upright_now(upright.get(key), box, float(seen.scores[row]), pts_s)
        if one is not None:
            upright[key] = one
    return upright


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


def _up_again(spot: Spot, upright: Mapping[int, Upright]) -> bool:
    now = upright.get(spot.key)
    return now is not None and now.seen_s > spot.stood.seen_s


def _forgotten(spot: Spot, pts_s: float) -> bool:
    looked = spot.looked_s is not None
    return looked and pts_s - max(spot.seen_s, spot.stood.seen_s) > _UNSEEN_S


def _last_s(spot: Spot) -> float:
    return spot.stood.seen_s if spot.looked_s is None else spot.looked_s


def _looked(spot: Spot, score: float, pts_s: float) -> Spot:
    shown = score >= LIES
    if spot.since_s is None and not shown:
        return replace(spot, looked_s=pts_s)
    if spot.since_s is None:
        return replace(spot, looked_s=pts_s, since_s=pts_s, seen_s=pts_s, looks=1, sights=1, score=score)
    looks, sights = spot.looks + 1, spot.sights + shown
    if sights < 0.5 * looks:  # it was nothing, or is over
        return replace(spot, looked_s=pts_s, since_s=None, looks=0, sights=0, score=0.0)
    seen_s = pts_s if shown else spot.seen_s
    return replace(spot, looked_s=pts_s, seen_s=seen_s, looks=looks, sights=sights, score=spot.score + score)
