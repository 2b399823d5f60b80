"""Hazards in places, as pure steps: (state, what is seen) -> (state, what it means)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats, line_offset, line_position

FORGIVE_S = 1.5
"""Somebody unseen, or seen outside, for no longer than this has been inside all the time."""

BLINK_S = 1.0
"""Who was unseen for longer may be somebody else when the number comes back: the side is unknown then."""

SETTLED = 1.5
"""Trust in looks that agree, from which somebody is on the other side of a line."""

_CLEAR = (0.25, 0.06)
"""Share of a box's width and height by which its foot point wavers; a line is crossed once it is left behind
by more than that. Six per cent of a person's height are about ten centimetres."""

_FAINT = 3.0
"""So many times as far wavers the foot of a look that is not wholly trusted: what hides it comes and goes."""

Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stay:
    """Camera times of somebody's presence in a zone: its beginning and when it was last seen there."""

    since_s: float
    last_s: float


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is in a zone, by key; those gone for longer than `FORGIVE_S` are dropped."""

    stays: Mapping[int, Stay] = field(default_factory=lambda: MappingProxyType({}))
    looked_s: float = float("-inf")


def step_presence(
    state: Presence, keys: Keys, inside: NDArray[np.bool_], pts_s: float
) -> tuple[Presence, Floats]:
    """Follow how long each is in a zone, by true seconds.

    Args:
        state: from the look before.
        keys: (n,) distinct.
        inside: (n,) bool.
        pts_s: camera time, not below the last one's.

    Returns:
        The next state, and (n,) seconds inside so far; NaN for those outside.
    """
    stays = {
        key: stay
        for key, stay in state.stays.items()
        # Pictures may be farther apart than FORGIVE_S: who was there at the last look has not been away.
        if pts_s - stay.last_s <= FORGIVE_S or stay.last_s == state.looked_s
    }
    seconds = np.full(len(keys), np.nan)
    for row in np.flatnonzero(inside):
        key = int(keys[row])
        since = stays[key].since_s if key in stays else pts_s
        stays[key] = Stay(since, pts_s)
        seconds[row] = pts_s - since
    return Presence(MappingProxyType(stays), pts_s), seconds


@dataclass(frozen=True, slots=True)
class Side:
    """Where somebody is with regard to a line.

    Attributes:
        settled: 1 clearly right of it, -1 clearly left, 0 not known yet.
        leaning: the clear side of the last looks that agree, times the trust in them; see `SETTLED`.
        foot: last foot point, fractions of the picture.
        offset: its `line_offset`: a distance times the line's length, in fractions of the picture squared.
        through: whether the last change of side was between the line's ends.
        seen_s: camera time.
    """

    settled: int
    leaning: float
    foot: tuple[float, float]
    offset: float
    through: bool
    seen_s: float


@dataclass(frozen=True, slots=True)
class Crossings:
    """Sides by key, and the time of the last look; those unseen for `BLINK_S` are dropped."""

    sides: Mapping[int, Side] = field(default_factory=lambda: MappingProxyType({}))
    looked_s: float = float("-inf")


def step_crossings(
    state: Crossings,
    keys: Keys,
    boxes: NDArray[np.float32],
    trust: NDArray[np.floating],
    ends: tuple[Floats, Floats],
    pts_s: float,
) -> tuple[Crossings, NDArray[np.int8]]:
    """Find who has crossed a line.

    A crossing counts once the foot point is clearly on the other side (`_CLEAR`) in two looks in a row, or in
    three that are half trusted (and clearer, by `_FAINT`), so that one who wavers on the line crosses it once
    or not at all, and a box that holds two people for a moment takes neither across; and only if the way led
    clearly between the line's ends.

    Args:
        state: from the look before.
        keys: (n,) distinct.
        boxes: (n, 4) fractions of the picture.
        trust: (n,) in each detection, 0 to 1; one without keeps a track alive, but its foot may be a knee.
        ends: start and end of the line, (2,) fractions each.
        pts_s: camera time, not below the last one's.

    Returns:
        The next state, and (n,) int8: 1 crossed to the right, -1 to the left, 0 neither.
    """
    sides = {
        key: side
        for key, side in state.sides.items()
        if pts_s - side.seen_s <= BLINK_S or side.seen_s == state.looked_s
    }
    crossed = np.zeros(len(keys), np.int8)
    if not len(keys):
        return Crossings(MappingProxyType(sides), pts_s), crossed
    start, end = ends
    feet = np.column_stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3])).astype(np.float64)
    offsets = line_offset(feet, start, end)
    way = end - start
    sure = trust > 0
    clear = sure & (np.abs(offsets) > _waver(boxes, way) * np.where(trust < 1, _FAINT, 1.0))
    margin = _waver_along(boxes, way)
    for row in np.flatnonzero(~sure):
        # Hardly seen is not unseen: nobody else can have taken the number.
        if (weak := sides.get(int(keys[row]))) is not None:
            sides[int(keys[row])] = replace(weak, seen_s=pts_s)
    for row in np.flatnonzero(sure):
        key, foot, offset = int(keys[row]), (float(feet[row, 0]), float(feet[row, 1])), float(offsets[row])
        old = sides.get(key, Side(0, 0.0, foot, offset, False, pts_s))
        through = old.through
        if (offset > 0) != (old.offset > 0):
            where = line_position(np.array(old.foot), np.array(foot), start, end)
            through = bool(margin[row] <= where <= 1 - margin[row])
        here = (1 if offset > 0 else -1) if clear[row] else 0
        leaning = here * (float(trust[row]) + max(here * old.leaning, 0.0))
        agreed = old.settled in (0, here) or abs(leaning) >= SETTLED
        settled = here if here and agreed else old.settled
        if settled == -old.settled and through:
            crossed[row] = settled
        sides[key] = Side(settled, leaning, foot, offset, through, pts_s)
    return Crossings(MappingProxyType(sides), pts_s), crossed


def _waver(boxes: NDArray[np.float32], way: Floats) -> Floats:
    """Offset from a line that a foot point's waver alone can make: (n, 4) boxes, (2,) start to end -> (n,).

    The support function of an ellipse with `_CLEAR` times the box as half-axes. It needs no aspect ratio,
    because `line_offset` scales with the axes as this does.
    """
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    waver: Floats = np.hypot(way[1] * _CLEAR[0] * width, way[0] * _CLEAR[1] * height).astype(np.float64)
    return waver


def _waver_along(boxes: NDArray[np.float32], way: Floats) -> Floats:
    """The same along the line, as a share of its length: the ellipse's radius in the line's direction."""
    radii = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64) * _CLEAR
    along: Floats = 1.0 / np.hypot(way[0] / radii[:, 0], way[1] / radii[:, 1])
    return along
