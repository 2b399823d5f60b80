"""The whole camera from its ground plane: focal length, height, tilt, and planes above the ground.

A homography of the ground has eight numbers; a camera with square pixels, no skew and its optical axis in
the picture's centre has seven. So the ground tells the camera, and one number is left to tell whether the
ground contradicts it (Zhang 2000, section 2.3, with the focal length as the only unknown of the intrinsics).

How much a head errs that is put onto the foot plane: a point `h` above the ground, seen by a camera `H`
above it, seems to lie on the ground H / (H - h) times as far from the camera's foot as it does, whatever
the lens, the tilt and the distance. Heads at 1.6 m under a camera at 5 m are thus put 47 % too far away, and
a density counted there is (1 - h / H)^2 = 0.46 of the true one; at 10 m it is 0.71, at 20 m 0.85. Over 1000
random cameras 3 to 20 m high the ratio of areas is that to nine digits (tests/unit/test_edge_pinhole.py).
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from edge.errors import SiteError
from edge.geometry import Floats, as_points
from edge.ground import GroundPlane
from edge.plane_error import PlaneError

HEAD_M = 1.6
"""Height of the middle of a standing adult's head."""
STATURE_M = 1.7

FOCAL_ERROR = 0.25
"""Above this relative standard error the view is said not to tell the focal length."""
MISFIT = 0.25
"""Above this the plane cannot be of a whole picture of a camera with square pixels. See `Pinhole.misfit`."""
_FLAT = 0.003
"""Least perspective: cos^2 t / (1 + sin^2 t) of the tilt t; a camera 86 degrees down has 0.0024."""
_LONG = 60.0
"""Longest focal length in picture heights: 1.7 degrees of view. Beyond, rays are as good as parallel."""


@dataclass(frozen=True, slots=True, eq=False)
class Pinhole:
    """A camera over flat ground, in the ground plane's frame.

    Attributes:
        plane: the ground.
        aspect: the picture's width over its height, a ratio.
        focal: focal length as a ratio to the picture's height.
        position_m: (2,) float64, the point on the ground below the camera, in metres.
        height_m: of the camera above the ground.
        tilt_deg: how far the optical axis points below the horizon, in degrees.
        roll_deg: how far the picture is turned clockwise against upright people, in degrees.
        misfit: relative error of lengths that no such camera explains: 0 where the plane agrees with square
            pixels and a centred axis, 0.1 where lengths along one direction must be off by 10 % against
            those across.
        focal_error: standard error of `focal`, as a share of it.
        height_stderr_m: standard error of `height_m`.
        tilt_stderr_deg: standard error of `tilt_deg`.
    """

    plane: GroundPlane
    aspect: float
    focal: float
    position_m: Floats
    height_m: float
    tilt_deg: float
    roll_deg: float
    misfit: float
    focal_error: float
    height_stderr_m: float
    tilt_stderr_deg: float

    @classmethod
    def from_plane(cls, plane: GroundPlane, aspect: float) -> Self | None:
        """The camera that sees this ground; None where the view does not tell.

        `solve` says why. The errors are those of the plane's points. See `PlaneError.of`.

        Args:
            plane: the ground.
            aspect: the picture's width over its height, a ratio.
        """
        try:
            return cls.solve(plane, aspect)
        except SiteError:
            return None

    @classmethod
    def solve(cls, plane: GroundPlane, aspect: float, error: PlaneError | None = None) -> Self:
        """The camera that sees this ground.

        Args:
            plane: the ground.
            aspect: the picture's width over its height, a ratio.
            error: of the plane; that of its points if left out.

        Raises:
            SiteError: the view shows no perspective, or contradicts a camera with square pixels.
            ValueError: the aspect is not positive.
        """
        if not aspect > 0:
            raise ValueError(f"aspect must be positive, got {aspect}")
        found = _solve(plane.matrix, aspect)
        _check_view(found)
        error = error or PlaneError.of(plane, aspect)
        doubt = error.stderr(lambda matrix: _solve(matrix, aspect).numbers)
        if not doubt[0] <= FOCAL_ERROR:
            share = f"{doubt[0]:.0%}" if math.isfinite(doubt[0]) else "more than 100 %"
            raise SiteError(
                "ground",
                f"does not tell the camera's focal length ({share} error): the view has too little "
                "perspective for the points' errors; survey more points, farther apart",
            )
        if found.misfit > MISFIT + 3 * doubt[3]:
            raise SiteError(
                "ground",
                f"contradicts a camera with square pixels: lengths along and across must be off by "
                f"{found.misfit:.0%}; check the metres, the picture's aspect, and that it is not cropped",
            )
        return cls(
            plane,
            aspect,
            found.focal,
            found.position,
            found.height,
            found.tilt_deg,
            found.roll_deg,
            found.misfit,
            float(doubt[0]),
            float(doubt[1]) * found.height,
            float(doubt[2]),
        )

    @property
    def hfov_deg(self) -> float:
        """Horizontal field of view in degrees."""
        return math.degrees(2 * math.atan(self.aspect / 2 / self.focal))

    @property
    def hfov_stderr_deg(self) -> float:
        """Standard error of `hfov_deg`."""
        half = math.radians(self.hfov_deg) / 2
        return math.degrees(math.sin(2 * half) * self.focal_error)

    def plane_at(self, height_m: float = HEAD_M) -> Floats:
        """The plane at this height above the ground as a (3, 3) homography, image fractions to metres.

        Its third row is positive for points below the horizon, as that of `GroundPlane.matrix`.

        Raises:
            ValueError: the camera hangs no higher.
        """
        share = self._share(height_m)
        shrink = np.diag((share, share, 1.0))
        shrink[:2, 2] = (1 - share) * self.position_m
        above: Floats = shrink @ self.plane.matrix
        return above

    def to_ground_at(self, points: ArrayLike, height_m: float = HEAD_M) -> Floats:
        """Over which points of the ground things at this height hang that are seen at these points.

        Args:
            points: (n, 2) fractions, such as heads.
            height_m: how high above the ground they are.

        Returns:
            (n, 2) metres, NaN from the horizon up.

        Raises:
            ValueError: the camera hangs no higher.
        """
        seen = self.plane.to_ground(points)
        share = self._share(height_m)
        return seen * share + self.position_m * (1 - share)

    def to_image_at(self, ground: ArrayLike, height_m: float = HEAD_M) -> Floats:
        """Where points at this height over the ground are seen: (n, 2) metres -> (n, 2) fractions.

        NaN behind the camera.

        Raises:
            ValueError: the camera hangs no higher.
        """
        share = self._share(height_m)
        return self.plane.to_image((as_points(ground) - self.position_m * (1 - share)) / share)

    def person_height(self, ground: ArrayLike, height_m: float = STATURE_M) -> Floats:
        """How tall upright people are in the picture, from foot to top of the head.

        Args:
            ground: (n, 2) metres, where they stand.
            height_m: how tall they are.

        Returns:
            (n,) fractions of the picture's height; NaN behind the camera.

        Raises:
            ValueError: the camera hangs no higher.
        """
        rise = self.to_image_at(ground, height_m) - self.plane.to_image(ground)
        size: Floats = np.hypot(rise[:, 0] * self.aspect, rise[:, 1])
        return size

    def person_px(self, ground: ArrayLike, picture_height_px: int, height_m: float = STATURE_M) -> Floats:
        """As `person_height`, in pixels of a picture with so many lines: (n, 2) metres -> (n,) pixels."""
        return self.person_height(ground, height_m) * picture_height_px

    def foot_plane_bias(self, height_m: float = HEAD_M) -> float:
        """Factor of a density counted from heads as if they were feet: (1 - h / H)^2 of the true one."""
        return self._share(height_m) ** 2

    def _share(self, height_m: float) -> float:
        if not height_m < self.height_m:
            raise ValueError(f"the camera hangs {self.height_m:.2f} m high, not above {height_m:g} m")
        return 1 - height_m / self.height_m


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A camera without its errors; NaN where the matrix is of none."""

    focal: float
    perspective: float
    misfit: float
    position: Floats
    height: float
    tilt_deg: float
    roll_deg: float

    @property
    def numbers(self) -> Floats:
        """Those whose error is wanted: log focal length, log height, tilt, misfit."""
        return np.array([np.log(self.focal), np.log(self.height), self.tilt_deg, self.misfit])


_NOWHERE = np.full(2, np.nan)


def _solve(matrix: Floats, aspect: float) -> _Found:
    """Camera of a (3, 3) image-to-ground matrix whose third row is positive in view."""
    square = np.array([[aspect, 0, -aspect / 2], [0, 1, -0.5], [0, 0, 1.0]])
    columns = square @ np.linalg.inv(matrix)
    x, y = columns[:, 0], columns[:, 1]
    # (x + iy)' w (x + iy) = 0: the ground's circular points lie on the image of the absolute conic.
    flat = complex(x[:2] @ x[:2] - y[:2] @ y[:2], 2 * (x[:2] @ y[:2]))
    deep = complex(x[2] ** 2 - y[2] ** 2, 2 * x[2] * y[2])
    size = float(x[:2] @ x[:2] + y[:2] @ y[:2])
    inverse_square = -(flat.conjugate() * deep).real / abs(flat) ** 2 if abs(flat) else math.nan
    perspective = abs(flat) / size
    if not inverse_square > 0:
        return _Found(math.nan, perspective, math.nan, _NOWHERE, math.nan, math.nan, math.nan)
    focal = 1 / math.sqrt(inverse_square)
    rays = np.diag((1 / focal, 1 / focal, 1.0)) @ columns
    a, b = rays[:, 0], rays[:, 1]
    lengths = float(a @ a + b @ b) / 2
    misfit = math.hypot(float(a @ a - b @ b) / 2, float(a @ b)) / lengths
    up = np.cross(a, b)
    up *= math.sqrt(lengths) / np.linalg.norm(up)
    centre = -np.linalg.solve(np.column_stack((a, b, up)), rays[:, 2])
    if centre[2] < 0:
        up, centre[2] = -up, -centre[2]
    rise = up / np.linalg.norm(up)
    tilt = math.degrees(math.asin(float(np.clip(-rise[2], -1, 1))))
    roll = math.degrees(math.atan2(rise[0], -rise[1]))
    return _Found(focal, perspective, misfit, centre[:2], float(centre[2]), tilt, roll)


def _check_view(found: _Found) -> None:
    if not math.isfinite(found.focal) and found.perspective >= _FLAT:
        raise SiteError(
            "ground",
            "is of no camera with square pixels: check the metres, the points' order, the picture's aspect",
        )
    if found.perspective < _FLAT:
        raise SiteError(
            "ground",
            "is seen from straight above, where the view does not tell the camera's focal length and height",
        )
    if found.focal > _LONG:
        raise SiteError("ground", "shows no perspective: the view does not tell the camera's focal length")
