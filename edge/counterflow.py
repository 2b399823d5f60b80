"""Counterflow: streams that press against each other where it is dense and both are slowed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from edge.field import Ground, Kernel, weidmann_speed_m_s
from edge.geometry import Floats
from edge.people import People

RADIUS_M = 1.5
"""Reach of the Gaussian to lay the ground with: wide enough to hold both streams where they meet."""

_AXES = 4
_LEAST_PEOPLE = 4.0
_LEAST_KNOWN = 0.5
_WITHIN = 0.5
"""Cosine of the widest angle between a person's way and the axis: 60 degrees, so that axes overlap."""


WAY_S = 2.0
"""A person's direction is that of the way made in so long: who is pushed to and fro has none."""

Footprint = tuple[float, float, float]
"""Camera time in seconds, and x and y in metres."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Where those who are tracked have been in the last seconds, by key, the oldest first; in memory only."""

    footprints: Mapping[int, tuple[Footprint, ...]] = field(default_factory=lambda: MappingProxyType({}))


def step_ways(state: Ways, people: People, pts_s: float) -> tuple[Ways, People]:
    """Take in one look, and give people the velocity of the way made in the last `WAY_S`.

    Who has no track, or one younger than half of that, keeps the velocity of the look: that of a map's points
    is one of many people at once, whose jostling cancels out.

    Args:
        state: from the look before.
        people: at this look.
        pts_s: camera time, not below the last one's.
    """
    footprints: dict[int, tuple[Footprint, ...]] = {}
    velocity = people.velocity.copy()
    for row in np.flatnonzero(people.tracked):
        key, (x, y) = int(people.keys[row]), people.at[row].tolist()
        past = state.footprints.get(key, ())
        # One footprint that is older than needed stays, so that the way is never shorter than wanted.
        fresh = [k for k, one in enumerate(past) if pts_s - one[0] < WAY_S - 1e-6]
        past = past[max(0, (fresh[0] if fresh else len(past)) - 1) :]
        footprints[key] = (*past, (pts_s, x, y))
        if past and pts_s - past[0][0] >= WAY_S / 2:
            velocity[row] = (np.array((x, y)) - past[0][1:]) / (pts_s - past[0][0])
    return Ways(MappingProxyType(footprints)), replace(people, velocity=velocity)


@dataclass(frozen=True, slots=True)
class CounterflowLimits:
    """From when on opposed streams are a danger; all three must be reached at one place.

    Attributes:
        density_per_m2: persons per m2. From 2.0 on speed falls markedly (Fruin's LOS F begins at 2.15).
        weak_share: share of the weaker stream among all who are near, 0 to 0.5: a few who make their way
            through a crowd that stands are no streams.
        slowed_ratio: mean speed over Weidmann's expectation for one stream at that density, or at the limit's
            where it is denser, as a stream that creeps at 4 per m2 is slowed though that is expected.
        standing_m_s: who is slower has no direction; above the velocities' noise.
        least_people: persons of the weaker stream near the place. Two who pass each other are not a stream.
    """

    density_per_m2: float = 2.0
    weak_share: float = 0.2
    slowed_ratio: float = 0.7
    standing_m_s: float = 0.15
    least_people: float = 3.0

    def __post_init__(self) -> None:
        if not (self.density_per_m2 > 0 and 0 < self.weak_share <= 0.5 and self.slowed_ratio > 0):
            raise ValueError(f"limits of counterflow must be positive, weak_share at most 0.5, got {self}")
        if self.standing_m_s < 0 or self.least_people < 2:
            raise ValueError("standing_m_s must not be negative, least_people not below 2")


@dataclass(frozen=True, slots=True)
class Counterflow:
    """Opposed streams at the place of a zone where they are worst.

    Attributes:
        danger: dense, opposed and slowed there; None where it cannot be measured.
        weak_share: share of the weaker stream among all who are near, 0 to 0.5.
        weak_share_stderr: its standard error, by the number of people near.
        density_per_m2, density_stderr_per_m2: persons per m2.
        speed_m_s: mean walking speed, whichever way.
        speed_ratio: over Weidmann's expectation, see `CounterflowLimits`.
        opposed_per_m_s: the weaker stream: persons per metre and second, density times speed.
        axis_deg: way of the stronger stream, from the ground's first towards its second axis, -180 to 180.
        place: (x, y) metres.
        unavailable: why there is no number; None where there is one.
    """

    danger: bool | None = None
    weak_share: float | None = None
    weak_share_stderr: float | None = None
    density_per_m2: float | None = None
    density_stderr_per_m2: float | None = None
    speed_m_s: float | None = None
    speed_ratio: float | None = None
    opposed_per_m_s: float | None = None
    axis_deg: float | None = None
    place: tuple[float, float] | None = None
    unavailable: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Streams:
    """Two opposed streams at the nodes: (ny, nx) each.

    Attributes:
        axis: (2,) unit vector.
        ahead, back: persons along it and against it, Gaussian-weighted.
        flux: density times speed of the weaker in persons per metre and second.
        share: of the weaker among all whose velocity is known.
        badness: at least 1 where the limits on opposition are met: the lowest of its measures over its limit.
    """

    axis: Floats
    ahead: Floats
    back: Floats
    flux: Floats
    share: Floats
    badness: Floats


def counterflow(people: People, ground: Ground, limits: CounterflowLimits | None = None) -> Counterflow:
    """Find the place of a zone where opposed streams are worst.

    Directions are split along the principal axis of all motion and three axes between, people within 60
    degrees of one belong to it; shares, density and speed are Gaussian-weighted around each node. Where all
    stand wedged there is no direction and no counterflow: that is for density and pressure to tell.

    Args:
        people: in the zone.
        ground: the zone, laid with `RADIUS_M`.
        limits: when it is a danger.
    """
    limits = limits or CounterflowLimits()
    if people.count < 2 * limits.least_people:
        # An empty place has no counterflow; that is known, not unavailable.
        return Counterflow(danger=False)
    known = people.moving
    if people.weight[known].sum() < _LEAST_KNOWN * people.count:
        return Counterflow(unavailable="velocities of most people are unknown")
    kernel = Kernel(ground, people.at)
    v = np.where(known[:, None], people.velocity, 0.0)
    weight = np.where(known, people.weight, 0.0)
    whole = math.pi * ground.radius_m**2 * ground.share
    near = kernel.sum(weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        density = kernel.sum(people.weight) / whole
        speed = kernel.sum(weight * np.hypot(v[:, 0], v[:, 1])) / near
        ratio = speed / weidmann_speed_m_s(np.minimum(density, limits.density_per_m2))
    # A Gaussian holds pi R^2 rho people at its effective weight; where fewer are near nothing is said.
    enough = ground.inside & (near * 2 >= _LEAST_PEOPLE)
    if not enough.any():
        return Counterflow(danger=False)
    calm = np.minimum(density / limits.density_per_m2, limits.slowed_ratio / np.maximum(ratio, 1e-6))
    streams = [_streams(kernel, weight, v, axis, whole, limits) for axis in _axes(weight, v, limits)]
    rates = [np.where(enough, np.minimum(s.badness, calm), -np.inf) for s in streams]
    # Of places that are all dangerous the densest is the worst one, however evenly others are shared.
    rated = [np.where(rate >= 1, np.maximum(density / limits.density_per_m2, 1.0), rate) for rate in rates]
    places = [np.unravel_index(int(rate.argmax()), rate.shape) for rate in rated]
    # Two axes may hold the same people: then the one along which they move counts.
    worst = max(range(_AXES), key=lambda k: (round(float(rated[k].max()), 6), streams[k].flux[places[k]]))
    at = (int(places[worst][0]), int(places[worst][1]))
    found = streams[worst]
    share = float(found.share[at])
    number = float(found.ahead[at] + found.back[at]) ** 2 / max(
        _squares(kernel, weight, v, limits, at), 1e-12
    )
    forward = found.axis if found.ahead[at] >= found.back[at] else -found.axis
    return Counterflow(
        danger=bool(rated[worst][at] >= 1),
        weak_share=share,
        weak_share_stderr=math.sqrt(max(share * (1 - share), 0.25 / max(number, 1)) / max(number, 1)),
        density_per_m2=float(density[at]),
        density_stderr_per_m2=float(np.sqrt(kernel.sum_squared(people.variance)[at]) / whole[at]),
        speed_m_s=float(speed[at]),
        speed_ratio=float(ratio[at]),
        opposed_per_m_s=float(found.flux[at]),
        axis_deg=math.degrees(math.atan2(forward[1], forward[0])),
        place=ground.place(*at),
    )


def _axes(weight: Floats, v: Floats, limits: CounterflowLimits) -> list[Floats]:
    """The principal axis of motion, and those at 45, 90 and 135 degrees to it: unit vectors (2,)."""
    moves = (np.hypot(v[:, 0], v[:, 1]) > limits.standing_m_s) * weight
    tensor = (v * moves[:, None]).T @ v
    values, vectors = np.linalg.eigh(tensor)
    x, y = vectors[:, int(values.argmax())]
    turns = np.arange(_AXES) * math.pi / _AXES
    return [np.array([x * math.cos(t) - y * math.sin(t), x * math.sin(t) + y * math.cos(t)]) for t in turns]


def _streams(
    kernel: Kernel, weight: Floats, v: Floats, axis: Floats, whole: Floats, limits: CounterflowLimits
) -> _Streams:
    along, speed = v @ axis, np.hypot(v[:, 0], v[:, 1])
    moves = (speed > limits.standing_m_s) & (np.abs(along) >= _WITHIN * speed)
    ahead = np.where(moves & (along > 0), weight, 0.0)
    back = np.where(moves & (along < 0), weight, 0.0)
    one, other = kernel.sum(ahead), kernel.sum(back)
    flux = np.minimum(kernel.sum(ahead * along), kernel.sum(-back * along)) / whole
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num(np.minimum(one, other) / kernel.sum(weight))
    # The sum of weights exp(-d^2/R^2) of an even crowd is that of the people in pi R^2.
    people = np.minimum(one, other) / limits.least_people
    return _Streams(axis, one, other, flux, share, np.minimum(share / limits.weak_share, people))


def _squares(
    kernel: Kernel, weight: Floats, v: Floats, limits: CounterflowLimits, at: tuple[int, int]
) -> float:
    """Sum of squared weights of those who move near a node, for the effective number of people."""
    moves = np.where(np.hypot(v[:, 0], v[:, 1]) > limits.standing_m_s, weight, 0.0)
    return float(kernel.sum_squared(moves * np.maximum(moves, 1.0))[at])
