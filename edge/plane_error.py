"""How surely a ground plane is known: the errors of its points carried through to whatever is made of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from edge.geometry import Floats, as_points
from edge.ground import GroundPlane

CLICK = 0.0015
"""Standard error of a point picked in the picture, in picture heights: 1.6 px of 1080 lines."""

_TRUSTED = 3
"""With fewer points beyond the four needed, the fit's own error says too little: picking is assumed too."""


@dataclass(frozen=True, slots=True, eq=False)
class PlaneError:
    """A plane with the ways in which the errors of its points move it, to first order.

    Each point's error is one or two independent standard errors; each of those moves the whole homography
    by one `shift`. A number made of the plane then has the variance of the sum of its squared changes.

    Attributes:
        plane: the plane itself.
        shifts: (k, 3, 3) float64, changes of `plane.matrix`, one a standard error of one point.
    """

    plane: GroundPlane
    shifts: Floats

    @classmethod
    def of(
        cls, plane: GroundPlane, aspect: float, click: float = CLICK, survey_stderr_m: float = 0.0
    ) -> Self:
        """From the fit's own error where enough points show it, else from how well points can be picked.

        Args:
            plane: fitted to points.
            aspect: the picture's width over its height, a ratio.
            click: standard error of a point along each axis, as a share of the picture's height.
            survey_stderr_m: standard error of a point on the ground in metres, along each axis.
        """
        image = plane.to_image(plane.surveyed)
        fitted = plane.rmse_m**2 / 2
        if plane.redundancy >= _TRUSTED:
            covariance = np.tile(np.eye(2) * fitted, (len(image), 1, 1))
        else:
            moved = _jacobian(plane, image) * np.array([click / aspect, click])
            covariance = moved @ moved.transpose(0, 2, 1) + np.eye(2) * (fitted + survey_stderr_m**2)
        return cls(plane, _shifts(plane, image, covariance))

    @classmethod
    def with_ground_error(cls, plane: GroundPlane, stderr_m: float) -> Self:
        """From the standard error of each surveyed point on the ground, in metres along each axis."""
        image = plane.to_image(plane.surveyed)
        return cls(plane, _shifts(plane, image, np.tile(np.eye(2) * stderr_m**2, (len(image), 1, 1))))

    def stderr(self, made: Callable[[Floats], Floats]) -> Floats:
        """Standard error of numbers made of the (3, 3) image-to-ground matrix.

        Args:
            made: from a (3, 3) matrix to an array of any shape; NaN says that it cannot be made.

        Returns:
            An array of the same shape; NaN where an error of the points makes it impossible.
        """
        matrix = self.plane.matrix
        variance = np.zeros_like(np.asarray(made(matrix), np.float64))
        for shift in self.shifts:
            # Both ways, as the middle of the two is exact to second order and tells of a cliff on one side.
            variance = variance + ((made(matrix + shift) - made(matrix - shift)) / 2) ** 2
        return np.sqrt(variance)

    def place_stderr_m(self, points: ArrayLike) -> Floats:
        """Standard error, in metres, of where points of the picture lie on the ground.

        Args:
            points: (n, 2) fractions below the horizon.

        Returns:
            (n,) metres: root of the sum of both coordinates' variances, as `GroundPlane.rmse_m` counts.
        """
        p = as_points(points)
        error: Floats = np.linalg.norm(self.stderr(lambda matrix: _ground(matrix, p)), axis=1)
        return error

    def area_error(self, points: ArrayLike) -> Floats:
        """Relative standard error of ground areas at points, (n, 2) fractions -> (n,) shares."""
        p = as_points(points)

        def log_area(matrix: Floats) -> Floats:
            w = p @ matrix[2, :2] + matrix[2, 2]
            scale: Floats = np.log(abs(np.linalg.det(matrix))) - 3 * np.log(np.where(w > 0, w, np.nan))
            return scale

        return self.stderr(log_area)


def _ground(matrix: Floats, p: Floats) -> Floats:
    w = p @ matrix[2, :2] + matrix[2, 2]
    ground: Floats = (p @ matrix[:2, :2].T + matrix[:2, 2]) / np.where(w > 0, w, np.nan)[:, None]
    return ground


def _jacobian(plane: GroundPlane, image: Floats) -> Floats:
    """Ground metres a fraction of the picture at each point: (n, 2) -> (n, 2, 2)."""
    matrix = plane.matrix
    w = image @ matrix[2, :2] + matrix[2, 2]
    ground = _ground(matrix, image)
    jacobian: Floats = (matrix[None, :2, :2] - ground[:, :, None] * matrix[None, 2:, :2]) / w[:, None, None]
    return jacobian


def _shifts(plane: GroundPlane, image: Floats, covariance: Floats) -> Floats:
    """What each standard error of each point does to the fitted matrix (least squares, first order)."""
    n = len(image)
    middle = plane.surveyed.mean(axis=0)
    size = float(np.sqrt(((plane.surveyed - middle) ** 2).mean())) or 1.0
    # A frame of its own keeps digits where the survey's zero is far away, as in a national grid.
    frame = np.array([[1 / size, 0, -middle[0] / size], [0, 1 / size, -middle[1] / size], [0, 0, 1.0]])
    local = frame @ plane.matrix
    w = image @ local[2, :2] + local[2, 2]
    ground = _ground(local, image)
    rows = np.column_stack((image, np.ones(n))) / w[:, None]
    zero = np.zeros((n, 3))
    jacobian = np.stack(
        (np.hstack((rows, zero, -ground[:, :1] * rows)), np.hstack((zero, rows, -ground[:, 1:] * rows))),
        axis=1,
    ).reshape(2 * n, 9)
    inverse = np.linalg.pinv(jacobian, rcond=1e-9).reshape(9, n, 2)
    # (n, 2, 2) roots: columns are independent errors of one point, in the frame's units.
    values, vectors = np.linalg.eigh(covariance / size**2)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    moved = np.einsum("fni,nij->njf", inverse, roots).reshape(2 * n, 3, 3)
    moved = moved[np.abs(moved).max(axis=(1, 2)) > 0]
    shifts: Floats = np.linalg.inv(frame) @ moved
    return shifts


def in_words(share: float) -> str:
    """A relative standard error as people say it.

    >>> in_words(0.084)
    '±8 %'
    """
    return f"±{math.ceil(share * 100 - 0.5):.0f} %" if share >= 0.01 else "under ±1 %"
