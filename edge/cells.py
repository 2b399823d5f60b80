"""A place cut into cells: squares of its ground, or of the picture where the camera is not calibrated."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats
from edge.ground import GroundPlane

MOST = 400
"""Cells of a camera at most: what is known of each must be kept."""
NOWHERE = -1
"""Cell of a point that lies in none."""

_LEAST_M = 1.0
_ACROSS = 24
"""Cells across a picture whose camera is not calibrated; with 14 down they are square at 16:9."""
_DOWN = 14
_ASPECT = 16 / 9
_SAMPLES = (96, 72)
_COARSE_M = 1.5
"""Where one hundredth of the picture's height is farther than this on the ground, feet lie anywhere."""
_HUNDREDTH = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Squares, numbered from 0.

    Attributes:
        origin: (2,) lower corner of the grid, metres on the ground; picture: heights, x by 16/9.
        side: length of a square's side, in the same.
        number: (rows, columns) of each square of the grid, `NOWHERE` for those out of view.
        middle: (n, 2) of the cells.
        on_ground: whether they are metres.
    """

    origin: Floats
    side: float
    number: NDArray[np.int32]
    middle: Floats
    on_ground: bool

    @classmethod
    def of(cls, plane: GroundPlane | None) -> Self:
        """Of what a camera sees of the ground; of the picture without a plane."""
        if plane is None:
            points = _mesh(_ACROSS * 2, _DOWN * 2) * (_ASPECT, 1.0)
            return cls._over(points, np.zeros(2), _ASPECT / _ACROSS, on_ground=False)
        samples = _mesh(*_SAMPLES)
        samples = samples[plane.below_horizon(samples)]
        step = plane.to_ground(samples - (0.0, _HUNDREDTH)) - plane.to_ground(samples)
        coarse = np.nan_to_num(np.hypot(step[:, 0], step[:, 1]), nan=np.inf)
        near = samples[coarse <= max(_COARSE_M, float(np.quantile(coarse, 0.5)))]
        ground = plane.to_ground(near)
        low, size = ground.min(axis=0), np.ptp(ground, axis=0)
        side = max(_LEAST_M, math.sqrt(float(size.prod()) / MOST) / 2)
        while True:
            made = cls._over(ground, low, side, on_ground=True)
            if len(made) <= MOST:
                return made
            side *= 1.1

    @classmethod
    def _over(cls, points: Floats, low: Floats, side: float, *, on_ground: bool) -> Self:
        """All squares that hold one of some points."""
        columns, rows = np.floor((points - low) / side + 1e-9).astype(np.int64).T
        number = np.full((int(rows.max()) + 1, int(columns.max()) + 1), NOWHERE, np.int32)
        number[rows, columns] = 0
        at = np.argwhere(number == 0)
        number[at[:, 0], at[:, 1]] = np.arange(len(at))
        middle = low + (at[:, ::-1] + 0.5) * side
        return cls(low, float(side), number, middle.astype(np.float64), on_ground)

    def __len__(self) -> int:
        return len(self.middle)

    @property
    def key(self) -> str:
        """What tells these cells from others, such as those after another calibration."""
        x, y = self.origin.tolist()
        return f"{self.on_ground:d}:{len(self)}:{x:.2f}:{y:.2f}:{self.side:.3f}"

    def find(self, at: Floats) -> NDArray[np.int32]:
        """The cell of each of (n, 2) places: (n,), `NOWHERE` where there is none."""
        rows, columns = self.number.shape
        with np.errstate(invalid="ignore"):
            spot = np.floor((at - self.origin) / self.side)
            inside = np.all((spot >= 0) & (spot < (columns, rows)), axis=1)
        spot = np.where(inside.reshape(-1, 1), spot, 0.0).astype(np.int64)
        return np.where(inside, self.number[spot[:, 1], spot[:, 0]], NOWHERE).astype(np.int32)

    def around(self, values: Floats) -> Floats:
        """The sum over the eight squares around each cell, corners half: (n, ...) -> (n, ...)."""
        rows, columns = self.number.shape
        flat = np.zeros((rows + 2, columns + 2, *values.shape[1:]))
        at = np.argwhere(self.number >= 0) + 1
        flat[at[:, 0], at[:, 1]] = values
        total = np.zeros(values.shape)
        for down, right in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
            weight = 1.0 if 0 in (down, right) else 0.5
            total += weight * flat[at[:, 0] + down, at[:, 1] + right]
        return total


def _mesh(across: int, down: int) -> Floats:
    """Middles of a raster over the picture: (across * down, 2) fractions."""
    x, y = np.meshgrid((np.arange(across) + 0.5) / across, (np.arange(down) + 0.5) / down)
    return np.column_stack((x.ravel(), y.ravel()))
