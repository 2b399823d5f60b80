"""One crowd out of two looks: detections where people stand apart, a density map where they hide each other.

A detector is sure of a person alone, and misses who is hidden or small; a density map is right about many
and noisy about one. Which of the two counts is decided place by place: by how dense the ground is there, by
how large a person is seen, and by whether the map sees more people around than its own error explains.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.geometry import Floats, as_points
from edge.people import People
from edge.pinhole import Pinhole
from models.density import HeadMap

APART_PER_M2, TOGETHER_PER_M2 = 0.7, 1.4
"""Detections count below the one, the map above the other: Fruin's walkway levels C and E. Between them those
who walk behind each other begin to hide each other from a camera that looks down by 20 to 40 degrees."""

LARGE, SMALL = 0.14, 0.08
"""Height of a person as a share of the picture's: detections count above the one, the map below the other.
The detector's input has 234 rows at 16:9; of people lower than 20 of them it misses most."""

WINDOW_M = 1.5
"""How far to each side the ground is looked at to tell how dense it is there."""

FARTHEST_M = 100.0
SPLIT_M = 0.25
"""Cells that are longer on the ground become several points: the worst cell's disc has a radius of 1.13 m,
and whole rows of cells that fall in or out of it would shake its density."""

_SPLIT_MOST = 10
_NEIGHBOUR_M = 2.0
_WITNESSES = 0.3
"""So much of a detection must be near, and left to itself, that its motion tells of others'."""
_LEAST = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Where the cells of a density map lie on the ground: worked out once for each camera.

    Heads are what is seen, so cells are projected onto the plane of heads, and count for the ground below.

    Attributes:
        area_m2: (h, w) float64, ground that a cell covers; 0 where none is seen, or too far away.
        reach: (2, h, w) int64, how many cells `WINDOW_M` is up and down, and to each side.
        small: (h, w) float64, from 0 where people are large enough for a detector to 1 where too small.
        points: (k, 2) float64 metres: the middle of a cell, or of the parts of a large one.
        cell: (k,) flat index of each point's cell.
        share: (k,) float64, the part of its cell that a point stands for.
    """

    area_m2: Floats
    reach: NDArray[np.int64]
    small: Floats
    points: Floats
    cell: NDArray[np.intp]
    share: Floats

    @classmethod
    def lay(cls, camera: Pinhole, rows: int, columns: int) -> Self:
        """Project a map's cells.

        Args:
            camera: over flat ground.
            rows: of the map.
            columns: of the map.
        """
        corners = _on_ground(camera, np.arange(columns + 1) / columns, np.arange(rows + 1) / rows)
        middle = _on_ground(camera, (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
        area = _areas(corners)
        near = np.linalg.norm(middle - camera.position_m, axis=2) <= FARTHEST_M
        area = np.where(near & np.isfinite(area), area, 0.0)
        wide = np.linalg.norm(corners[:-1, 1:] - corners[:-1, :-1], axis=2)
        high = np.linalg.norm(corners[1:, :-1] - corners[:-1, :-1], axis=2)
        steps = np.stack((high, wide))
        reach = np.where(np.isfinite(steps) & (steps > 0), WINDOW_M / np.maximum(steps, 1e-9), 0.0)
        most = np.array([rows, columns])[:, None, None]
        height = camera.person_height(middle.reshape(-1, 2)).reshape(rows, columns)
        small = np.where(np.isfinite(height), _ramp(-height, -LARGE, -SMALL), 1.0)
        points, cell, share = _parts(camera, area, steps)
        return cls(area, np.clip(np.ceil(reach), 1, most).astype(np.int64), small, points, cell, share)

    def density(self, counts: ArrayLike) -> Floats:
        """Heads per m2 around each cell: (h, w) heads -> (h, w); 0 where no ground is seen."""
        ground = self.around(self.area_m2)
        return np.divide(self.around(counts), ground, out=np.zeros_like(ground), where=ground > 0)

    def around(self, counts: ArrayLike) -> Floats:
        """Sums over each cell's surroundings on the ground: (h, w) of anything -> (h, w)."""
        values = np.where(self.area_m2 > 0, np.asarray(counts, np.float64), 0.0)
        rows, columns = values.shape
        table = np.zeros((rows + 1, columns + 1))
        table[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
        r, c = np.indices(values.shape)
        top, bottom = np.maximum(r - self.reach[0], 0), np.minimum(r + self.reach[0] + 1, rows)
        left, right = np.maximum(c - self.reach[1], 0), np.minimum(c + self.reach[1] + 1, columns)
        sums: Floats = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        return sums


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """A crowd on the ground.

    Attributes:
        people: detections first, in their order, each with the weight that is left to it; then the map's.
        detected: how many of the points are detections.
        shared: standard error that all of the map's weights have in common, as a fraction of them.
    """

    people: People
    detected: int
    shared: float


def fuse(detected: People, heads_at: ArrayLike, heads: HeadMap, raster: Raster) -> Fused:
    """Put both looks together.

    Args:
        detected: people whom the detector found, where their feet stand.
        heads_at: (n, 2) fractions of the picture, where their heads are seen.
        heads: the density map of the same picture.
        raster: of the camera, for maps of this shape.

    Raises:
        ValueError: the shapes differ.
    """
    at = as_points(heads_at)
    if len(at) != len(detected) or heads.counts.shape != raster.area_m2.shape:
        raise ValueError("one head a detection, and a map of the raster's shape")
    rows, columns = heads.counts.shape
    r = np.clip((at[:, 1] * rows).astype(np.intp), 0, rows - 1)
    c = np.clip((at[:, 0] * columns).astype(np.intp), 0, columns - 1)
    seen = np.zeros((rows, columns))
    np.add.at(seen, (r, c), detected.weight)
    trust = _trust(heads, seen, raster)
    left = 1 - trust[r, c]
    alone = People(
        detected.at, detected.weight * left, detected.variance * left**2, detected.velocity, detected.keys
    )
    return Fused(alone.join(_of_map(alone, heads, raster, trust)), len(detected), heads.shared)


def _trust(heads: HeadMap, seen: Floats, raster: Raster) -> Floats:
    """How far the map counts at each cell, 0 to 1; `seen` are detections by the cell of their head."""
    counts = heads.counts.astype(np.float64)
    dense = _ramp(raster.density(counts), APART_PER_M2, TOGETHER_PER_M2)
    mapped = raster.around(counts)
    own = raster.around(np.maximum(heads.variance - (heads.shared * counts) ** 2, 0.0))
    error = np.sqrt(own + (heads.shared * mapped) ** 2)
    missed = _ramp(mapped - raster.around(seen) - error, 0.0, np.maximum(error, _LEAST))
    return np.where(raster.area_m2 > 0, 1 - (1 - dense) * (1 - raster.small) * (1 - missed), 0.0)


def _of_map(alone: People, heads: HeadMap, raster: Raster, trust: Floats) -> People:
    """The map's part, as points on the ground; `alone` is what is left to the detections."""
    counts = heads.counts.astype(np.float64)
    own = np.maximum(heads.variance - (heads.shared * counts) ** 2, 0.0)
    weight = (trust * counts).ravel()[raster.cell] * raster.share
    variance = (trust**2 * own).ravel()[raster.cell] * raster.share
    there = weight > _LEAST
    points = raster.points[there]
    return People.of(points, weight[there], variance[there], _velocity_near(alone, points))


def _velocity_near(alone: People, points: Floats) -> Floats:
    """How those move who were found near each point; NaN where nobody was.

    Where the map counts, detections hold as little as their weights say: tracks jump there from one person to
    the next, and few of them must not tell how a hundred move.
    """
    known = alone.select(alone.moving & (alone.weight > 0))
    if not len(known):
        return np.full((len(points), 2), np.nan)
    away = ((points[:, None, :] - known.at[None, :, :]) ** 2).sum(axis=2)
    near = np.exp(-away / _NEIGHBOUR_M**2) * (away <= (2 * _NEIGHBOUR_M) ** 2) * known.weight
    total = near.sum(axis=1, keepdims=True)
    mean: Floats = np.divide(
        near @ known.velocity, total, out=np.full((len(points), 2), np.nan), where=total >= _WITNESSES
    )
    return mean


def _ramp(value: Floats, low: float, high: float | Floats) -> Floats:
    """0 up to `low`, 1 from `high` on, straight between."""
    ramp: Floats = np.clip((value - low) / (high - low), 0.0, 1.0)
    return ramp


def _on_ground(camera: Pinhole, x: Floats, y: Floats) -> Floats:
    """A grid of the picture's points under head height: (len(y), len(x), 2) metres, NaN above the horizon."""
    grid = np.stack(np.meshgrid(x, y), axis=2)
    return camera.to_ground_at(grid.reshape(-1, 2)).reshape(grid.shape)


def _areas(corners: Floats) -> Floats:
    """Areas of the quadrilaterals between neighbouring corners: (h + 1, w + 1, 2) -> (h, w)."""
    one = corners[1:, 1:] - corners[:-1, :-1]
    other = corners[1:, :-1] - corners[:-1, 1:]
    areas: Floats = np.abs(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]) / 2
    return areas


def _parts(camera: Pinhole, area: Floats, steps: Floats) -> tuple[Floats, NDArray[np.intp], Floats]:
    """Points, their cells and shares: one for a small cell, several for one that is long or wide."""
    rows, columns = area.shape
    split = np.clip(np.ceil(np.nan_to_num(steps) / SPLIT_M), 1, _SPLIT_MOST).astype(np.int64)
    points, cells, shares = [], [], []
    for high, wide in np.unique(split.reshape(2, -1), axis=1).T.tolist():
        cell = np.flatnonzero((split[0] == high) & (split[1] == wide) & (area > 0))
        x, y = (np.arange(wide) + 0.5) / wide, (np.arange(high) + 0.5) / high
        offsets = np.stack(np.meshgrid(x, y), axis=2).reshape(-1, 2)
        corner = np.column_stack((cell % columns, cell // columns))
        at = (corner[:, None, :] + offsets[None, :, :]).reshape(-1, 2) / (columns, rows)
        points.append(camera.to_ground_at(at))
        cells.append(np.repeat(cell, wide * high))
        shares.append(np.full(len(cell) * wide * high, 1 / (wide * high)))
    return np.concatenate(points), np.concatenate(cells), np.concatenate(shares)
