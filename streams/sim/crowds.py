"""What is true of a crowd at one time, and when it gets dangerous: an oracle to measure others against.

It knows what no camera does: where everybody is, how fast they move, where they want to go. Nothing of it is
shared with the product's own analysis. Sources: [F] Fruin, The causes and prevention of crowd disasters
(1993), and [S] Still, Introduction to crowd science (2014): densities, moving and standing; [H07] Helbing,
Johansson & Al-Abideen, Dynamics of crowd disasters, Phys. Rev. E 75 (2007) 046109: local density,
pressure, stop-and-go; [W] Weidmann, Transporttechnik der Fussgaenger (1993): walking speed; [GG] Guide to
safety at sports grounds (the Green Guide): 82 persons per metre and minute.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.sim.density import Cells, cells
from streams.sim.geometry import Points, area

Values = NDArray[np.float64]

MOVING_PER_M2 = (2.0, 3.0, 4.0, 5.0)
STANDING_PER_M2 = (3.0, 3.6, 4.7, 5.5)
"""Densities of a 4 m2 cell at which levels 4, 3, 2, 1 begin, lower for moving crowds: [F], [S]."""
MOVES_M_S = 0.1
"""A cell's crowd moves if its people have come so far on average, in metres per second over 2 s."""
WALKS_M_S, JAM_PER_M2 = 1.34, 5.4
"""[W]: free walking speed, with a deviation of 0.26 m/s, and the density at which walking ends."""
RUNS_M_S = 2.0
"""Faster than people with room walk; see `runs`."""
AGAINST = 0.25
"""A cell has counterflow if at least this share of its people want to go each of two ways, 120 deg apart."""
CRITICAL_PRESSURE_PER_S2 = 0.02
"""[H07]: from here a crowd turns turbulent; with at least `PRESSED_PER_M2` persons per square metre."""
PRESSED_PER_M2 = 3.0
CAPACITY_PER_M_MIN = 82.0
"""[GG]: the most that a level way passes in safety."""
STOP_AND_GO_BELOW_PER_M_S = 0.8
"""[H07]: outflow below which a dense flow goes over into stop-and-go waves."""
STARTED_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Everybody at one time; one row a person.

    Attributes:
        at: (n, 2) metres.
        velocity: (n, 2) metres per second over the last 0.4 s.
        pace: (n,) metres per second, the way made in the last 2 s (or since coming in).
        way: (n, 2) unit vectors to where each wants to go; 0 for who wants to stay.
        started: (n,) bool, who stood still and went on within the last `STARTED_WITHIN_S` seconds.
    """

    at: Points
    velocity: Points
    pace: Values
    way: Points
    started: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Look:
    """A zone's crowd at one time.

    Attributes:
        time_s: presentation time.
        count: persons inside.
        mean_per_m2: count over the zone's area.
        worst_cell_per_m2: persons per square metre in the densest 4 m2 cell, as in `density.Density`.
        moving_per_m2, standing_per_m2: the same among the cells whose people move, or stand; 0 for none.
        against_per_m2: the same among the cells with counterflow.
        running: persons who run, see `runs`.
        pressure_per_s2: [H07] the highest density times variance of velocity at anybody's place.
        pressed_per_s2: its mean over all places of people where the local density is at least
            `PRESSED_PER_M2`; next to a gate the highest value only says that people go free behind it.
        crowded: persons in cells of at least `PRESSED_PER_M2`.
        started: how many of these stood still and went on within the last `STARTED_WITHIN_S` seconds.
        mean_speed_m_s: of those inside; 0 without people.
    """

    time_s: float
    count: int
    mean_per_m2: float
    worst_cell_per_m2: float
    moving_per_m2: float
    standing_per_m2: float
    against_per_m2: float
    running: int
    pressure_per_s2: float
    pressed_per_s2: float
    crowded: int
    started: int
    mean_speed_m_s: float


def look(time_s: float, people: People, zone: Points) -> Look:
    """What is true of the people in an (m, 2) zone at a time."""
    found = cells(people.at, zone)
    count = len(found.among)
    if not count:
        return Look(time_s, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 0, 0, 0.0)
    per_m2, own = found.per_m2, people.velocity[found.among]
    moves = found.near @ people.pace[found.among] / found.near.sum(axis=1) >= MOVES_M_S
    speed = np.hypot(own[:, 0], own[:, 1])
    rho, pressed = local_pressure(people.at[found.among], people.at, people.velocity)
    dense, crowded = rho >= PRESSED_PER_M2, per_m2 >= PRESSED_PER_M2
    return Look(
        time_s=time_s,
        count=count,
        mean_per_m2=round(count / area(zone), 4),
        worst_cell_per_m2=_worst(per_m2, np.ones(count, np.bool_)),
        moving_per_m2=_worst(per_m2, moves),
        standing_per_m2=_worst(per_m2, ~moves),
        against_per_m2=_worst(per_m2, _against(found, people.way)),
        running=int(np.count_nonzero(runs(speed, rho))),
        pressure_per_s2=round(float(pressed.max()), 5),
        pressed_per_s2=round(float(pressed[dense].mean()) if dense.any() else 0.0, 5),
        crowded=int(np.count_nonzero(crowded)),
        started=int(np.count_nonzero(crowded & people.started[found.among])),
        mean_speed_m_s=round(float(speed.mean()), 4),
    )


def _worst(per_m2: Values, which: NDArray[np.bool_]) -> float:
    return round(float(per_m2[which].max(initial=0.0)), 4)


def _against(found: Cells, way: Points) -> NDArray[np.bool_]:
    """(n,) in whose cell people want to go with them and against them, each at least `AGAINST` of it."""
    along = way[found.among] @ way[found.among].T
    size = found.near.sum(axis=1)
    shares = [(found.near & side).sum(axis=1) / size for side in (along > 0.5, along < -0.5)]
    return np.asarray(np.minimum(*shares) >= AGAINST, np.bool_)


def runs(speed_m_s: Values, per_m2: Values) -> NDArray[np.bool_]:
    """(n,) who runs: as much faster than people walk at that density as `RUNS_M_S` is than free walking [W].

    Nobody slower than free walking runs. Who flees from three to the square metre makes 1.5 m/s at first,
    where walkers make 0.33.
    """
    walking = WALKS_M_S * -np.expm1(-1.913 * (1 / np.maximum(per_m2, 1e-6) - 1 / JAM_PER_M2))
    faster = speed_m_s - np.maximum(walking, 0.0) > RUNS_M_S - WALKS_M_S
    return np.asarray(faster & (speed_m_s > WALKS_M_S), np.bool_)


def local_density(at: Points, people: Points, radius_m: float = 1.0) -> Values:
    """[H07] persons per m2 at (k, 2) points by a Gaussian over (n, 2) people: sum exp(-d2 / R2) / (pi R2)."""
    return np.asarray(_weights(at, people, radius_m).sum(axis=1), np.float64)


def local_pressure(
    at: Points, people: Points, velocity: Points, radius_m: float = 1.0
) -> tuple[Values, Values]:
    """[H07] density, and density times the local variance of velocity, at (k, 2) points.

    The variance is the mean squared distance of the velocities to their local mean, both by the Gaussian of
    `local_density`; one over square seconds in all.
    """
    weight = _weights(at, people, radius_m)
    density = weight.sum(axis=1)
    share = weight / np.maximum(density, 1e-12)[:, None]
    mean = share @ velocity
    square = share @ np.einsum("nk,nk->n", velocity, velocity)
    variance = np.maximum(square - np.einsum("nk,nk->n", mean, mean), 0.0)
    return density, density * variance


def _weights(at: Points, people: Points, radius_m: float) -> Values:
    x, y = at[:, 0, None] - people[:, 0], at[:, 1, None] - people[:, 1]
    return np.asarray(np.exp(-(x * x + y * y) / radius_m**2) / (math.pi * radius_m**2), np.float64)


def level_shares(looks: Sequence[Look], level: int) -> Values:
    """(t,) share of a level's threshold that each look's worst cell has: it is reached from 1 on.

    Moving cells are held against `MOVING_PER_M2`, standing ones against `STANDING_PER_M2`; the worse counts.
    """
    moving, standing = MOVING_PER_M2[4 - level], STANDING_PER_M2[4 - level]
    return np.array([max(one.moving_per_m2 / moving, one.standing_per_m2 / standing) for one in looks])


def crossing_times(times: Values, values: Values, threshold: float) -> Values:
    """When (t,) values at (t,) times come from below to a threshold, by straight lines between them.

    A first value at or above it counts as come just then.
    """
    up = np.flatnonzero((values[1:] >= threshold) & (values[:-1] < threshold))
    share = (threshold - values[up]) / (values[up + 1] - values[up])
    crossed = times[up] + share * (times[up + 1] - times[up])
    return np.concatenate((times[:1][values[:1] >= threshold], crossed))


def spans(
    times: Values, values: Values, *, leave: float = 0.85, hold_s: float = 5.0, calm_s: float = 5.0
) -> list[tuple[float, float, float]]:
    """When (t,) values are at least 1, as begin, end and the highest value of each time.

    Values are shares of a threshold. It begins when 1 is reached and ends when the share falls below `leave`;
    lulls up to `calm_s` are joined; what reaches 1 for less than `hold_s` in all from its first to its last
    time is left out.
    """
    runs: list[list[float]] = []
    for time_s, value in zip(times.tolist(), values.tolist(), strict=True):
        going = bool(runs) and time_s - runs[-1][1] <= calm_s
        if value >= 1.0 and not going:
            runs.append([time_s, time_s, value, time_s])
        elif going and value >= leave:
            runs[-1][1:3] = time_s, max(runs[-1][2], value)
        if value >= 1.0:
            runs[-1][3] = time_s
    return [(begin, end, peak) for begin, end, peak, reached in runs if reached - begin >= hold_s]


def flow_per_m_min(crossed_s: Values, width_m: float, at_s: Values, window_s: float) -> Values:
    """Persons per metre and minute through a line of `width_m` in the `window_s` before each of (k,) times.

    Args:
        crossed_s: (n,) when somebody crossed, rising; of one direction, or of both for the gross flow.
        width_m: of the line.
        at_s: (k,) times.
        window_s: before the first `window_s` of the scene, what there is of it counts as a whole window.
    """
    if not (width_m > 0 and window_s > 0):
        raise ValueError(f"width_m and window_s must be positive, got {width_m} and {window_s}")
    late = np.searchsorted(crossed_s, at_s, side="right")
    early = np.searchsorted(crossed_s, at_s - window_s, side="right")
    return np.asarray((late - early) / (width_m * window_s / 60.0), np.float64)
