"""Density on the ground of a camera's zones: its mean over time, and as it was at the worst moment."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.field import RADIUS_M, Ground, density_field
from edge.geometry import Floats, points_in_polygon, polygon_area
from edge.people import People
from edge.site import Zone

NODES = 8000
"""About so many places are drawn, of all zones together."""
_FINEST_M = 0.2


@dataclass(frozen=True, slots=True)
class Cell:
    """The worst cell of a zone at one look: its density and standard error in persons per m2, and where.

    Attributes:
        zone: id of the zone.
        density_per_m2, stderr_per_m2: of the 4 m2 around its centre.
        centre: (x, y) metres.
    """

    zone: str
    density_per_m2: float
    stderr_per_m2: float
    centre: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Density at one look.

    Attributes:
        pts_s: seconds of the clip.
        cell: the worst of all zones.
        fields: (ny, nx) persons per m2 each, one for each of `Spread.grounds`.
    """

    pts_s: float
    cell: Cell
    fields: tuple[Floats, ...]


class Spread:
    """Sums of the density at places of the ground.

    Zones that lie within others are not laid out again: what is true of the outer one is true there.

    Attributes:
        zones: those that are laid out, large ones first.
        grounds: their places, in the same order.
        looks: how many were added.
        worst: the look with the worst cell; None before anybody came.
    """

    def __init__(self, zones: Sequence[Zone]) -> None:
        """Lay out zones with a floor, one at least."""
        areas = {zone.id: polygon_area(_floor(zone)) for zone in zones}
        step_m = max(_FINEST_M, math.sqrt(sum(areas.values()) / NODES))
        self.zones: list[Zone] = []
        self.grounds: list[Ground] = []
        for zone in sorted(zones, key=lambda zone: -areas[zone.id]):
            ground = Ground.lay(_floor(zone), RADIUS_M, step_m)
            if not any(_covers(other, ground) for other in self.zones):
                self.zones.append(zone)
                self.grounds.append(ground)
        self.looks = 0
        self.worst: Moment | None = None
        self._sums = [np.zeros_like(ground.share) for ground in self.grounds]

    def add(self, people: People, pts_s: float, cells: Iterable[Cell]) -> None:
        """Take in one look: who is where, when in seconds, and the worst cell of each zone with people."""
        self.looks += 1
        fields = []
        for zone, ground, total in zip(self.zones, self.grounds, self._sums, strict=True):
            inside = people.select(points_in_polygon(people.at, _floor(zone)))
            density = density_field(inside, ground).density_per_m2
            np.add(total, density, out=total)
            fields.append(density)
        worst = max(cells, key=lambda cell: cell.density_per_m2, default=None)
        if worst is not None and (
            self.worst is None or worst.density_per_m2 > self.worst.cell.density_per_m2
        ):
            self.worst = Moment(pts_s, worst, tuple(fields))

    @property
    def mean(self) -> tuple[Floats, ...]:
        """(ny, nx) persons per m2 each, the mean of all looks; NaN outside the zones."""
        return tuple(total / max(self.looks, 1) for total in self._sums)


def _floor(zone: Zone) -> Floats:
    if zone.floor is None:
        raise ValueError(f"zone {zone.id!r} has no floor")
    return zone.floor.polygon


def _covers(zone: Zone, ground: Ground) -> bool:
    """Whether a zone holds all of another's ground."""
    rows, columns = np.nonzero(ground.inside)
    nodes = np.column_stack((ground.columns[columns], ground.rows[rows])) @ ground.frame + ground.origin
    corners = points_in_polygon(ground.polygon, _floor(zone))
    return bool(corners.all() and points_in_polygon(nodes, _floor(zone)).all())
