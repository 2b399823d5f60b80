"""Crowd science on one look: how many, how dense on average, how dense at the worst place, how dangerous."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.geometry import Floats, as_points, edge_distance, even_odd

CELL_M2 = 4.0
"""Ground area of a cell: the smallest on which crowd research states dangerous densities."""

CELL_RADIUS_M = math.sqrt(CELL_M2 / math.pi)

_SAMPLES = 256
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True, slots=True)
class Density:
    """People on a zone's ground.

    Attributes:
        count: persons whose foot point is inside.
        mean_per_m2: count over the walkable area.
        stderr_per_m2: standard error of the mean density.
        worst_cell_per_m2: density in the 4 m2 around the person who has least room; 0 without people.
        worst_cell: (k,) indices into the given points of the persons in that cell, ascending.
        count_stderr: standard error of the count in persons.
    """

    count: int
    mean_per_m2: float
    stderr_per_m2: float
    worst_cell_per_m2: float
    worst_cell: NDArray[np.intp]
    count_stderr: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Floor:
    """A zone's ground as density needs it.

    Attributes:
        polygon: (m, 2) float64 metres, the part of the zone that the camera sees.
        area_m2: walkable area of that part.
        area_stderr_m2: its standard error.
        position_stderr_m: standard error of a foot point on the ground.
    """

    polygon: Floats
    area_m2: float
    area_stderr_m2: float = 0.0
    position_stderr_m: float = 0.0

    def __post_init__(self) -> None:
        if not self.area_m2 > 0:
            raise ValueError(f"area_m2 must be positive, got {self.area_m2}")


def _disc() -> Floats:
    """Evenly spread points of a cell around its centre (Vogel's spiral): (_SAMPLES, 2) metres."""
    k = np.arange(_SAMPLES) + 0.5
    radius, angle = CELL_RADIUS_M * np.sqrt(k / _SAMPLES), k * _GOLDEN_ANGLE
    return np.column_stack((radius * np.cos(angle), radius * np.sin(angle)))


_DISC = _disc()


def worst_cell(people: ArrayLike, floor: Floor) -> tuple[float, NDArray[np.intp]]:
    """Persons per m2 in the 4 m2 disc around the person who has least room.

    A disc, not a square, so that the answer does not depend on how the survey's axes lie; around people, not
    on a grid, so that it does not depend on where a grid begins. Where the disc leaves the zone, the count is
    divided by the part inside (at least half a cell, or the whole zone if that is less): a crowd is most
    dangerous against a wall, and beyond the wall nobody can stand. One person alone makes 0.25 per m2.

    Args:
        people: (n, 2) metres, inside the floor's polygon.
        floor: the zone's ground.

    Returns:
        The density, 0 without people, and (k,) indices of the people in that disc, ascending.
    """
    p = as_points(people)
    if len(p) == 0:
        return 0.0, np.zeros(0, np.intp)
    near = ((p[:, None, :] - p[None, :, :]) ** 2).sum(axis=2) <= CELL_RADIUS_M**2
    counts = near.sum(axis=1)
    least = min(CELL_M2 / 2, floor.area_m2)
    cut = edge_distance(p, floor.polygon) < CELL_RADIUS_M
    densities = counts / np.where(cut, least, CELL_M2)
    # A cut disc's density is only bounded so far. Measure its part inside, the densest first, until none left
    # can be the worst: this takes a few discs, not all.
    best = float(densities[~cut].max(initial=0.0))
    for k in sorted(np.flatnonzero(cut), key=lambda k: -densities[k]):
        if densities[k] < best:
            densities[k] = 0.0
            continue
        inside = CELL_M2 * float(even_odd(p[k] + _DISC, floor.polygon).mean())
        densities[k] = counts[k] / max(inside, least)
        best = max(best, float(densities[k]))
    # Of equally dense cells take the one whose centre comes first on the ground, whatever the people's order.
    worst = np.flatnonzero(densities >= best * (1 - 1e-9))
    centre = min(worst, key=lambda k: (p[k, 0], p[k, 1]))
    return best, np.flatnonzero(near[centre])


def density(people: ArrayLike, scores: ArrayLike, floor: Floor) -> Density:
    """Density of the people in a zone.

    The standard error of the mean joins three independent parts: each detection is a person with its score's
    probability (binomial), a person nearer to the edge than the survey's error may stand on its other side,
    and the area itself is as uncertain as the survey.

    Args:
        people: (n, 2) metres, all inside the zone.
        scores: (n,) in [0, 1].
        floor: the zone's ground.
    """
    p, s = as_points(people), np.asarray(scores, np.float64)
    n, area = len(p), floor.area_m2
    if n == 0:
        return Density(0, 0.0, 0.0, *worst_cell(p, floor))
    doubtful = int((edge_distance(p, floor.polygon) < floor.position_stderr_m).sum())
    count_variance = float((s * (1 - s)).sum()) + doubtful / 4
    stderr = math.hypot(math.sqrt(count_variance) / area, n * floor.area_stderr_m2 / area**2)
    return Density(n, n / area, stderr, *worst_cell(p, floor), math.sqrt(count_variance))


def level_of(value: float, steps: Sequence[float]) -> int | None:
    """Severity of a value against the thresholds of levels 4, 3, 2, 1, rising; None below the first.

    The units of value and thresholds are the same, whatever they are.

    >>> level_of(3.2, (2.0, 3.0, 4.0, 5.0))
    3
    """
    reached = sum(value >= step for step in steps)
    return 5 - reached if reached else None


def most_severe(*levels: int | None) -> int | None:
    """The lowest number among the levels, None where all are calm."""
    return min((level for level in levels if level is not None), default=None)
