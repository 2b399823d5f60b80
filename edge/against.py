"""Who goes against a zone's direction, as a pure step."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats

BLINK_S = 1.5
"""Who was unseen for longer may be somebody else when the number comes back: the way begins anew."""

LEAST_LOOKS = 3.0
"""Steps back that make a way: fewer can be one box that was cut off and another that was not."""

FAINT_PER_S = 1.25
"""What steps back at faint looks count, as a part of a look, by the time between: in a throng tracks hop from
one who is half hidden to the next."""

VEHICLE_M_S, PERSON_M_S = 40.0, 5.0
"""A foot point that leaps faster than the first has changed its owner; a person's that leaps faster than the
second has made no step."""

_STEP_M = 0.01
"""Less is standing still."""

Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Way:
    """How somebody has gone through a zone.

    Attributes:
        at: last place, in the caller's units.
        scale: metres per unit there.
        back_m: metres along the axis that it is behind the farthest point it had reached; 0 or more.
        aside_m: metres across the axis, either way, since that point.
        looks: how many times it was seen going back since that point; a faint look counts as a share of one.
        since_s: camera time of that point.
        seen_s: camera time of the last look.
    """

    at: tuple[float, float]
    scale: float
    back_m: float
    aside_m: float
    looks: float
    since_s: float
    seen_s: float


@dataclass(frozen=True, slots=True)
class Ways:
    """Ways by key, and the time of the last look; those unseen for `BLINK_S` are dropped."""

    ways: Mapping[int, Way] = field(default_factory=lambda: MappingProxyType({}))
    looked_s: float = float("-inf")


@dataclass(frozen=True, slots=True, eq=False)
class Walkers:
    """Who is in the zone at one look.

    Attributes:
        keys: (n,) distinct.
        at: (n, 2) places, in any unit.
        scales: (n,) metres per unit there.
        firm: (n,) bool, whether the look at each can be trusted.
        fastest_m_s: (n,) the most that each can make.
    """

    keys: Keys
    at: Floats
    scales: Floats
    firm: NDArray[np.bool_]
    fastest_m_s: Floats


def step_against(state: Ways, walkers: Walkers, axis: Floats, pts_s: float) -> tuple[Ways, Floats, Floats]:
    """Follow how far each has gone back, from the farthest point it had reached along the axis.

    Who goes forward pushes that point on, so that nobody is behind it who only sways, waits or steps aside.

    Args:
        state: from the look before.
        walkers: who is in the zone.
        axis: (2,) unit vector of the way that is allowed, in the same frame.
        pts_s: camera time, not below the last one's.

    Returns:
        The next state; (n,) metres gone against the axis, 0 where that took fewer than `LEAST_LOOKS` looks or
        led aside rather than back; and (n,) seconds that it has taken.
    """
    ways = {
        key: way
        for key, way in state.ways.items()
        # Looks may be farther apart than BLINK_S: who was there at the last look has not been away.
        if pts_s - way.seen_s <= BLINK_S or way.seen_s == state.looked_s
    }
    back_m, seconds = np.zeros(len(walkers.keys)), np.zeros(len(walkers.keys))
    for row, key in enumerate(walkers.keys.tolist()):
        x, y = walkers.at[row].tolist()
        before = ways.get(key)
        now = Way((x, y), float(walkers.scales[row]), 0.0, 0.0, 0.0, pts_s, pts_s)
        way = now if before is None else _gone(before, now, axis, float(walkers.fastest_m_s[row]))
        if before is not None and not walkers.firm[row] and way.looks > before.looks:
            share = min(FAINT_PER_S * (pts_s - before.seen_s), 1.0)
            way = replace(way, looks=before.looks + share)
        ways[key] = way
        if way.looks >= LEAST_LOOKS and way.back_m > way.aside_m:
            back_m[row], seconds[row] = way.back_m, pts_s - way.since_s
    return Ways(MappingProxyType(ways), pts_s), back_m, seconds


def _gone(old: Way, now: Way, axis: Floats, fastest_m_s: float) -> Way:
    """The way after another step; `now` is one that begins there."""
    mean = (old.scale + now.scale) / 2
    x, y = (now.at[0] - old.at[0]) * mean, (now.at[1] - old.at[1]) * mean
    speed_m_s = np.hypot(x, y) / max(now.seen_s - old.seen_s, 0.05)
    if speed_m_s > VEHICLE_M_S:
        return now
    if speed_m_s > fastest_m_s:  # in a throng a track hops to the next person, and back: neither is a step
        return replace(old, at=now.at, scale=now.scale, seen_s=now.seen_s)
    forward = x * float(axis[0]) + y * float(axis[1])
    aside = y * float(axis[0]) - x * float(axis[1])
    back_m = old.back_m - forward
    if back_m < _STEP_M / 2:
        return now
    return replace(
        old,
        at=now.at,
        scale=now.scale,
        back_m=back_m,
        aside_m=abs(old.aside_m + aside),
        looks=old.looks + (forward < -_STEP_M),
        seen_s=now.seen_s,
    )
