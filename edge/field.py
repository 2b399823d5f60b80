"""How dense the ground is from place to place, and how dense at the worst one."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.crowd import CELL_M2, Floor
from edge.geometry import Floats, as_points, edge_distance, even_odd
from edge.people import People

RADIUS_M = 1.0
"""Reach of the Gaussian that makes a local density, after Helbing and Johansson (PRE 75, 046109, 2007)."""

FREE_SPEED_M_S = 1.34
"""Weidmann (1993): mean walking speed where there is room."""

JAM_PER_M2 = 5.4
"""Weidmann (1993): density at which walking ends; measured crowds still creep above it (arXiv:0810.4590)."""

_LEAST_SHARE = 0.25
"""A right-angled corner sees a quarter of a Gaussian; in sharper ones the correction is held there."""
_SUBDIVIDE = 4
_MAX_NODES = 40_000
_SPIRAL = 256
_EXACT, _TRIED = 512, 64
_AT_ONCE = 16
_FEW_POINTS = 400
_GRID_M = 0.25
_TIE = 1 - 1e-9
"""Densities are equal above this share: eight on 2 m2 are as many as nine on 2.25."""
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def weidmann_speed_m_s(density_per_m2: ArrayLike) -> Floats:
    """Walking speed to be expected at a density, any shape: v = 1.34 (1 - exp(-1.913 (1/rho - 1/5.4))) m/s.

    Weidmann, Transporttechnik der Fussgaenger, 1993. 0 from 5.4 persons per m2 on.
    """
    rho = np.maximum(np.asarray(density_per_m2, np.float64), 1e-6)
    speed: Floats = FREE_SPEED_M_S * -np.expm1(-1.913 * (1 / rho - 1 / JAM_PER_M2))
    return np.maximum(speed, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A zone's walkable ground, laid out once for Gaussian-weighted averages.

    The grid starts at the polygon's middle and follows its longest side, so that averages turn and move with
    the zone and depend on no survey's axes.

    Attributes:
        polygon: (m, 2) metres.
        radius_m: reach of the Gaussian.
        frame: (2, 2) rows are the grid's axes.
        origin: (2,) metres, where both grid coordinates are 0.
        columns, rows: (nx,) and (ny,) metres along the axes.
        share: (ny, nx) part of the Gaussian around each node that lies inside; NaN for nodes outside.
    """

    polygon: Floats
    radius_m: float
    frame: Floats
    origin: Floats
    columns: Floats
    rows: Floats
    share: Floats

    @classmethod
    def lay(cls, polygon: ArrayLike, radius_m: float = RADIUS_M, step_m: float | None = None) -> Self:
        """Lay out a polygon.

        Args:
            polygon: (m, 2) metres, simple.
            radius_m: reach of the Gaussian, above 0.
            step_m: distance of the nodes; half the radius if left out, more in zones too large for that.

        Raises:
            ValueError: fewer than three corners, no area, or a length that is not positive.
        """
        corners = as_points(polygon)
        step = radius_m / 2 if step_m is None else step_m
        if not (radius_m > 0 and step > 0):
            raise ValueError(f"radius_m and step_m must be positive, got {radius_m} and {step}")
        sides = np.roll(corners, -1, axis=0) - corners
        lengths = np.hypot(sides[:, 0], sides[:, 1]) if len(corners) > 2 else np.zeros(1)
        if not lengths.max() > 0:
            raise ValueError("a zone's ground needs three corners or more and an area")
        longest = int(np.flatnonzero(lengths >= lengths.max() * (1 - 1e-9))[0])  # a square has four
        x, y = sides[longest] / lengths[longest]
        frame = np.array([[x, y], [-y, x]])
        local = (corners - corners[0]) @ frame.T
        low, high = local.min(axis=0), local.max(axis=0)
        origin = corners[0] + (low + high) / 2 @ frame
        size = np.maximum(high - low, step / 2)
        step = max(step, math.sqrt(float(size[0]) * float(size[1]) / _MAX_NODES))
        # Whole cells in each direction, nodes in their middles: none lies on a side, where rounding decides.
        counts = np.maximum(np.ceil(size / step - 1e-6), 1.0)
        columns, rows = (
            ((np.arange(n) + 0.5) / n - 0.5) * length for n, length in zip(counts, size, strict=True)
        )
        bare = cls(corners, radius_m, frame, origin, columns, rows, np.zeros((len(rows), len(columns))))
        return cls(corners, radius_m, frame, origin, columns, rows, _shares(bare, size / counts))

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which nodes lie in the zone: (ny, nx) bool."""
        within: NDArray[np.bool_] = ~np.isnan(self.share)
        return within

    def local(self, points: Floats) -> Floats:
        """Grid coordinates of points on the ground: (n, 2) metres -> (n, 2) metres."""
        turned: Floats = (points - self.origin) @ self.frame.T
        return turned

    def place(self, row: int, column: int) -> tuple[float, float]:
        """Where a node lies on the ground, in metres."""
        x, y = self.origin + np.array([self.columns[column], self.rows[row]]) @ self.frame
        return float(x), float(y)


class Kernel:
    """Gaussian weights between a zone's nodes and one look's points.

    The Gaussian is a product of one factor an axis, so a sum over points is one small matrix product: 3600
    points on a 20 m x 20 m zone take about a millisecond.
    """

    def __init__(self, ground: Ground, points: Floats) -> None:
        """Weigh points.

        Args:
            ground: the zone.
            points: (n, 2) metres.
        """
        at = ground.local(points)
        scale = 1 / ground.radius_m**2
        self._x = np.exp(-((ground.columns[:, None] - at[:, 0]) ** 2) * scale)
        self._y = np.exp(-((ground.rows[:, None] - at[:, 1]) ** 2) * scale)

    def sum(self, values: Floats) -> Floats:
        """Sum of values weighted by exp(-d^2/R^2) at each node: (n,) in any unit -> (ny, nx)."""
        total: Floats = (self._y * values) @ self._x.T
        return total

    def sum_squared(self, values: Floats) -> Floats:
        """The same with squared weights, for variances: (n,) -> (ny, nx)."""
        total: Floats = (self._y**2 * values) @ (self._x**2).T
        return total


def _shares(ground: Ground, steps_m: Floats) -> Floats:
    """(ny, nx) part of each node's Gaussian that lies inside the polygon; NaN for nodes outside."""
    fine = (np.arange(_SUBDIVIDE) + 0.5) / _SUBDIVIDE - 0.5
    axes = zip((ground.columns, ground.rows), steps_m, strict=True)
    xs, ys = ((axis[:, None] + fine * step).ravel() for axis, step in axes)
    samples = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    polygon = ground.local(ground.polygon)
    within = np.concatenate([even_odd(part, polygon) for part in np.array_split(samples, 64)])
    mass = within.reshape(len(ys), len(xs)) * (float(steps_m.prod()) / _SUBDIVIDE**2)
    scale = 1 / ground.radius_m**2
    kx = np.exp(-((ground.columns[:, None] - xs) ** 2) * scale)
    ky = np.exp(-((ground.rows[:, None] - ys) ** 2) * scale)
    share: Floats = ky @ mass @ kx.T / (math.pi * ground.radius_m**2)
    nodes = np.stack(np.meshgrid(ground.columns, ground.rows), axis=-1).reshape(-1, 2)
    inside = even_odd(nodes, polygon).reshape(share.shape)
    if not inside.any():  # a zone narrower than the step: its middle must do
        inside = share == share.max()
    return np.where(inside, np.maximum(share, _LEAST_SHARE), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Density from place to place.

    Attributes:
        ground: the zone and its nodes.
        density_per_m2: (ny, nx) persons per m2; NaN outside the zone.
        stderr_per_m2: (ny, nx) standard error that the people's own variances make; NaN outside.
    """

    ground: Ground
    density_per_m2: Floats
    stderr_per_m2: Floats

    @property
    def highest(self) -> tuple[float, float, tuple[float, float]]:
        """The highest density in persons per m2, its standard error, and the place in metres."""
        row, column = np.unravel_index(int(np.nanargmax(self.density_per_m2)), self.density_per_m2.shape)
        place = self.ground.place(int(row), int(column))
        at = (row, column)
        return float(self.density_per_m2[at]), float(self.stderr_per_m2[at]), place


def density_field(people: People, ground: Ground) -> Field:
    """Local density rho(x) = sum w exp(-d^2/R^2) / (pi R^2), corrected for the zone's edge.

    Helbing, Johansson, Al-Abideen (PRE 75, 046109, 2007), R about 1 m. Near an edge the sum is divided by the
    part of the Gaussian inside, as nobody can stand beyond a wall.

    Args:
        people: all inside the zone; who stands outside adds to what lies near.
        ground: the zone.
    """
    kernel = Kernel(ground, people.at)
    whole = math.pi * ground.radius_m**2 * ground.share
    stderr = np.sqrt(np.maximum(kernel.sum_squared(people.variance), 0.0)) / whole
    return Field(ground, kernel.sum(people.weight) / whole, stderr)


def local_density(people: People, radius_m: float = RADIUS_M) -> Floats:
    """Density where everybody stands, themselves included: (n,) persons per m2.

    The same Gaussian as `density_field`, without a zone: near a wall it is too low by up to a half. Of more
    than 400 points, as a density map has, the sum is made on a grid of 0.25 m, true to about a twentieth.

    Args:
        people: everybody who counts.
        radius_m: reach of the Gaussian, above 0.
    """
    if not len(people):
        return np.zeros(0)
    whole = math.pi * radius_m**2
    if len(people) <= _FEW_POINTS:
        away = ((people.at[:, None, :] - people.at[None, :, :]) ** 2).sum(axis=2)
        near: Floats = np.exp(-away / radius_m**2) @ people.weight / whole
        return near
    node = np.floor((people.at - people.at.min(axis=0)) / _GRID_M).astype(np.intp)
    columns, rows = node.max(axis=0) + 1
    held = np.bincount(node[:, 1] * columns + node[:, 0], people.weight, int(rows * columns))
    across, along = (
        np.exp(-(((np.arange(n)[:, None] - np.arange(n)) * _GRID_M / radius_m) ** 2)) for n in (columns, rows)
    )
    dense = along @ held.reshape(rows, columns) @ across / whole
    found: Floats = dense[node[:, 1], node[:, 0]]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class WorstCell:
    """The densest cell of a zone.

    Attributes:
        density_per_m2: persons in the cell over its part inside; 0 without people.
        stderr_per_m2: standard error of that cell's density. It does not know that the cell was picked for
            being the highest: where many cells are equally dense, the pick alone lifts the density.
        members: (k,) indices of the points in it, ascending.
        centre: (x, y) metres; None without people.
    """

    density_per_m2: float
    stderr_per_m2: float
    members: NDArray[np.intp]
    centre: tuple[float, float] | None


def worst_cell(people: People, floor: Floor, area_m2: float = CELL_M2) -> WorstCell:
    """Persons per m2 in the disc around the point that has least room.

    A disc, not a square, so that the answer does not depend on how the survey's axes lie; around points, not
    on a grid, so that it does not depend on where a grid begins. Where the disc leaves the zone, the people
    are divided by the part inside (at least half a cell, or the whole zone if that is less): a crowd is most
    dangerous against a wall, and beyond the wall nobody can stand. One person alone makes 0.25 per m2. Of
    more than 512 points, as a density map has, only the 64 most promising are tried.

    Args:
        people: all inside the floor's polygon.
        floor: the zone's ground.
        area_m2: size of the cell, 1 to 25 m2.

    Raises:
        ValueError: the cell's size is out of range.
    """
    if not 1 <= area_m2 <= 25:
        raise ValueError(f"area_m2 must be 1 to 25, got {area_m2}")
    rows = np.flatnonzero(people.weight > 0)
    if not len(rows):
        return WorstCell(0.0, 0.0, np.zeros(0, np.intp), None)
    at, weight = people.at[rows], people.weight[rows]
    radius = math.sqrt(area_m2 / math.pi)
    best, best_room = _densest(at, weight, floor, area_m2)
    near = ((people.at - at[best]) ** 2).sum(axis=1) <= radius**2
    members = np.flatnonzero(near & (people.weight > 0))
    density = float(people.weight[members].sum()) / best_room
    stderr = math.sqrt(float(people.variance[members].sum())) / best_room
    return WorstCell(density, stderr, members, (float(at[best, 0]), float(at[best, 1])))


@dataclass(frozen=True, slots=True, eq=False)
class ZoneDensity:
    """People on a zone's ground.

    Attributes:
        count: persons, expected.
        mean_per_m2: over the walkable area.
        stderr_per_m2: standard error of the mean.
        worst: the densest cell.
    """

    count: float
    mean_per_m2: float
    stderr_per_m2: float
    worst: WorstCell


def zone_density(people: People, floor: Floor, cell_m2: float = CELL_M2) -> ZoneDensity:
    """Density of the people in a zone.

    The standard error of the mean joins three independent parts: the people's own variance, those nearer to
    the edge than the survey's error, who may stand on its other side, and the area's error.

    Args:
        people: all inside the zone.
        floor: the zone's ground.
        cell_m2: size of the worst cell, 1 to 25 m2.

    Raises:
        ValueError: the cell's size is out of range.
    """
    worst, area = worst_cell(people, floor, cell_m2), floor.area_m2
    if not len(people):
        return ZoneDensity(0.0, 0.0, 0.0, worst)
    doubtful = edge_distance(people.at, floor.polygon) < floor.position_stderr_m
    variance = float(people.variance.sum() + (np.minimum(people.weight, 1.0)[doubtful] ** 2).sum() / 4)
    stderr = math.hypot(math.sqrt(variance) / area, people.count * floor.area_stderr_m2 / area**2)
    return ZoneDensity(people.count, people.count / area, stderr, worst)


def _densest(at: Floats, weight: Floats, floor: Floor, area_m2: float) -> tuple[int, float]:
    """The point around which it is densest, and the m2 of its disc that count."""
    radius, least = math.sqrt(area_m2 / math.pi), min(area_m2 / 2, floor.area_m2)
    off = edge_distance(at, floor.polygon)
    tried = np.arange(len(at))
    if len(at) > _EXACT:
        promise = _around(at, weight, radius) / np.maximum(_segment_m2(off, radius), least)
        tried = np.lexsort((at[:, 1], at[:, 0], -promise))[:_TRIED]
    x, y = at.T.copy()
    gap, across = x[tried, None] - x, y[tried, None] - y
    gap *= gap
    across *= across
    gap += across
    held = (gap <= radius**2).astype(np.float64) @ weight
    cut = off[tried] < radius
    room = np.where(cut, least, area_m2)
    best = float((held / room)[~cut].max(initial=0.0))
    # A cut disc's density is only bounded so far. Measure its part inside, the densest first, until none left
    # can be the worst.
    promising = np.flatnonzero(cut)[np.argsort(-held[cut], kind="stable")]
    for few in np.array_split(promising, range(_AT_ONCE, len(promising), _AT_ONCE)):
        if not len(few) or held[few[0]] / room[few[0]] < best * _TIE:
            break
        room[few] = np.maximum(_inside_m2(at[tried[few]], floor, radius), least)
        best = max(best, float((held[few] / room[few]).max()))
    # Of equally dense cells take the one whose centre comes first on the ground, whatever the people's order.
    # A cut disc that was not measured has too little room, but held too few to be mistaken for the worst.
    winners = np.flatnonzero(held / room >= best * _TIE)
    winner = min(winners, key=lambda k: (at[tried[k], 0], at[tried[k], 1]))
    return int(tried[winner]), float(room[winner])


def _around(at: Floats, weight: Floats, radius_m: float) -> Floats:
    """About how many persons the disc around each of (n, 2) points holds, from bins: (n,)."""
    reach = 4
    low, high = at.min(axis=0), at.max(axis=0)
    side = max(radius_m / reach, math.sqrt(float((high - low).prod()) / _MAX_NODES))
    reach = max(1, round(radius_m / side))
    bins = np.floor((at - low) / side).astype(np.intp) + reach
    width, height = (int(n) + reach + 1 for n in bins.max(axis=0))
    held = np.bincount(bins[:, 1] * width + bins[:, 0], weight, minlength=width * height)
    sums = np.zeros((height, width + 1))
    np.cumsum(held.reshape(height, width), axis=1, out=sums[:, 1:])
    total = np.zeros(len(at))
    for dy in range(-reach, reach + 1):
        half = math.floor(math.sqrt(max((radius_m / side) ** 2 - dy**2, 0.0)))
        row = bins[:, 1] + dy
        total += sums[row, bins[:, 0] + half + 1] - sums[row, bins[:, 0] - half]
    return total


def _segment_m2(off_m: Floats, radius_m: float) -> Floats:
    """Area of a disc's part on its centre's side of a straight edge at distances (n,) metres: (n,) m2."""
    u = np.minimum(off_m / radius_m, 1.0)
    part: Floats = radius_m**2 * (math.pi - np.arccos(u) + u * np.sqrt(1 - u * u))
    return part


def _inside_m2(centres: Floats, floor: Floor, radius_m: float) -> Floats:
    """Area in m2 of discs' parts in the zone, by evenly spread points (Vogel's spiral): (k, 2) -> (k,)."""
    points = (centres[:, None] + _UNIT_DISC * radius_m).reshape(-1, 2)
    inside: Floats = even_odd(points, floor.polygon).reshape(len(centres), -1).mean(axis=1)
    return math.pi * radius_m**2 * inside


def _unit_disc() -> Floats:
    k = np.arange(_SPIRAL) + 0.5
    radius, angle = np.sqrt(k / _SPIRAL), k * _GOLDEN_ANGLE
    return np.column_stack((radius * np.cos(angle), radius * np.sin(angle)))


_UNIT_DISC = _unit_disc()
