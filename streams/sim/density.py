"""How dense a crowd truly is: the simulator's own reckoning, to measure others against."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.sim.geometry import Points, area, edges, inside, offsets

CELL_M2 = 4.0
"""Ground area of a cell; the worst cell is the disc of this area around the person who has least room."""

_RADIUS_M = math.sqrt(CELL_M2 / math.pi)
_LEAST_SHARE = 0.5
_STEPS = 24


@dataclass(frozen=True, slots=True)
class Density:
    """People in a zone.

    Attributes:
        count: persons inside.
        mean_per_m2: count over the zone's area.
        worst_cell_per_m2: persons over area in the densest cell; the part of a cell beyond the zone's edge
            does not count, but at least half a cell does. 0 without people.
    """

    count: int
    mean_per_m2: float
    worst_cell_per_m2: float


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cell around each person of a zone.

    Attributes:
        among: (n,) rows of the people inside the zone.
        near: (n, n) bool, who of these is in whose cell, each in their own.
        per_m2: (n,) persons per square metre of each cell.
    """

    among: NDArray[np.intp]
    near: NDArray[np.bool_]
    per_m2: NDArray[np.float64]


def cells(people: Points, zone: Points) -> Cells:
    """The cells of (n, 2) people in metres, wherever they are, within an (m, 2) zone."""
    among = np.flatnonzero(inside(people, zone)) if len(people) else np.zeros(0, np.intp)
    x, y = people[among].T
    near = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 <= _RADIUS_M**2
    share = np.maximum(_share_inside(people[among], zone), _LEAST_SHARE) if len(among) else np.ones(0)
    return Cells(among, near, near.sum(axis=1) / np.minimum(CELL_M2 * share, area(zone)))


def density(people: Points, zone: Points) -> Density:
    """Density of (n, 2) people in metres, wherever they are, within an (m, 2) zone."""
    found = cells(people, zone)
    count = len(found.among)
    return Density(count, count / area(zone), float(found.per_m2.max())) if count else Density(0, 0.0, 0.0)


def _share_inside(centres: Points, zone: Points) -> NDArray[np.float64]:
    """(n,) share of the cell around each of (n, 2) centres that lies in the zone, on a fine square grid."""
    share = np.ones(len(centres))
    away = offsets(centres, edges(zone))
    cut = np.flatnonzero(np.einsum("nmk,nmk->nm", away, away).min(axis=1) < _RADIUS_M**2)
    if len(cut):
        ticks = (np.arange(_STEPS) + 0.5) / _STEPS * 2 - 1
        grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
        disc = grid[(grid**2).sum(axis=1) <= 1.0] * _RADIUS_M
        samples = (centres[cut][:, None] + disc).reshape(-1, 2)
        share[cut] = inside(samples, zone).reshape(len(cut), -1).mean(axis=1)
    return share
