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


def density(people: Points, zone: Points) -> Density:
    """Density of (n, 2) people in metres, wherever they are, within an (m, 2) zone."""
    among = people[inside(people, zone)] if len(people) else people
    count, floor = len(among), area(zone)
    if not count:
        return Density(0, 0.0, 0.0)
    gap = among[:, None] - among
    near = np.einsum("ijk,ijk->ij", gap, gap) <= _RADIUS_M**2
    share = np.maximum(_share_inside(among, zone), _LEAST_SHARE)
    worst = near.sum(axis=1) / np.minimum(CELL_M2 * share, floor)
    return Density(count, count / floor, float(worst.max()))


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
