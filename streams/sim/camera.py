"""A pinhole camera over flat ground: exact projection, exact homography.

Ground frame: x to the right, y forward, z up, in metres; z = 0 is the ground. Image frame: fractions of
the picture, x to the right and y down, (0, 0) the top left corner. Formulae: Hartley & Zisserman, Multiple
View Geometry, 2nd ed., sections 6.1 (camera) and 8.1.1 (ground homography).
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

MIN_DEPTH_M = 0.1
"""Points nearer to the camera's plane than this have no image."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Where a camera hangs and how it looks.

    Attributes:
        height_m: above the ground, positive.
        tilt_deg: how far it looks down from the horizon, above 0 and below 90.
        yaw_deg: how far it is turned to the left of the ground's y axis, seen from above.
        hfov_deg: horizontal field of view, above 0 and below 180.
        aspect: ratio of the picture's width to its height.
        position_m: (x, y) of the point on the ground below it.
        principal: where the optical axis meets the picture, fractions.
    """

    height_m: float
    tilt_deg: float
    hfov_deg: float
    yaw_deg: float = 0.0
    aspect: float = 16 / 9
    position_m: tuple[float, float] = (0.0, 0.0)
    principal: tuple[float, float] = (0.5, 0.5)

    def __post_init__(self) -> None:
        if not self.height_m > 0:
            raise ValueError(f"height_m must be positive, got {self.height_m}")
        if not 0 < self.tilt_deg < 90:
            raise ValueError(f"tilt_deg must be between 0 and 90, got {self.tilt_deg}")
        if not 0 < self.hfov_deg < 180:
            raise ValueError(f"hfov_deg must be between 0 and 180, got {self.hfov_deg}")
        if not self.aspect > 0:
            raise ValueError(f"aspect must be positive, got {self.aspect}")

    def with_aspect(self, aspect: float) -> "Camera":
        """The same camera with another ratio of width to height; the horizontal field of view stays."""
        return replace(self, aspect=aspect)

    def elsewhere(self, number: int) -> "Camera":
        """The camera hung up a little differently: higher or lower, turned, tilted, with another lens.

        Args:
            number: 1 or more; each gives another, always the same.
        """
        rng = np.random.Generator(np.random.PCG64((number, 22)))
        height, turn, tilt, zoom = rng.uniform((0.88, -5.0, -1.5, 0.95), (1.3, 5.0, 1.5, 1.08))
        return replace(
            self,
            height_m=self.height_m * height,
            yaw_deg=self.yaw_deg + turn,
            # Who hangs higher looks down more, or the place leaves the picture.
            tilt_deg=min(self.tilt_deg * (0.4 + 0.6 * height) + tilt, 80.0),
            hfov_deg=self.hfov_deg * zoom,
        )

    @property
    def focal(self) -> float:
        """Focal length in picture widths."""
        return 0.5 / math.tan(math.radians(self.hfov_deg) / 2)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 4) float64, read-only: homogeneous world point to homogeneous image fractions times depth."""
        return _matrices(self)[0]

    @property
    def homography(self) -> NDArray[np.float64]:
        """(3, 3) float64, read-only: homogeneous image fractions to ground metres, last element 1."""
        return _matrices(self)[1]

    def project(self, points: Points) -> Points:
        """Image of points in the world.

        Args:
            points: (n, 3) metres, or (n, 2) for points on the ground.

        Returns:
            (n, 2) float64 fractions, beyond [0, 1] outside the picture, NaN for points behind the camera.
        """
        image = self._homogeneous(points) @ self.matrix.T
        depth = np.where(image[:, 2] > MIN_DEPTH_M, image[:, 2], np.nan)
        return np.asarray(image[:, :2] / depth[:, None], np.float64)

    def depth(self, points: Points) -> NDArray[np.float64]:
        """(n,) float64 metres along the optical axis to (n, 2 or 3) points; negative behind the camera."""
        return np.asarray(self._homogeneous(points) @ self.matrix[2], np.float64)

    def to_ground(self, image: Points) -> Points:
        """Ground points seen at image points.

        Args:
            image: (n, 2) fractions.

        Returns:
            (n, 2) float64 metres, NaN at and above the horizon.
        """
        ground = np.column_stack((image, np.ones(len(image)))) @ self.homography.T
        ground = ground[:, :2] / np.where(np.abs(ground[:, 2:]) > 1e-12, ground[:, 2:], np.nan)
        return np.where(self.depth(ground)[:, None] > MIN_DEPTH_M, ground, np.nan)

    @staticmethod
    def _homogeneous(points: Points) -> Points:
        if points.ndim != 2 or points.shape[1] not in (2, 3):
            raise ValueError(f"points must be (n, 2) or (n, 3), got {points.shape}")
        flat = np.zeros((len(points), 3 - points.shape[1]))
        return np.column_stack((points, flat, np.ones(len(points))))


@lru_cache(maxsize=64)
def _matrices(camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Projection and ground homography, worked out once a camera as they are wanted for every picture."""
    yaw, tilt = math.radians(camera.yaw_deg), math.radians(camera.tilt_deg)
    right = np.array([math.cos(yaw), math.sin(yaw), 0.0])
    level = np.array([-math.sin(yaw), math.cos(yaw), 0.0])
    forward = math.cos(tilt) * level - math.sin(tilt) * np.array([0.0, 0.0, 1.0])
    rotation = np.stack((right, np.cross(forward, right), forward))
    centre = np.array([*camera.position_m, camera.height_m])
    intrinsic = np.array(
        [
            [camera.focal, 0.0, camera.principal[0]],
            [0.0, camera.focal * camera.aspect, camera.principal[1]],
            [0.0, 0.0, 1.0],
        ]
    )
    matrix = intrinsic @ np.column_stack((rotation, -rotation @ centre))
    inverse = np.linalg.inv(matrix[:, [0, 1, 3]])
    homography = inverse / inverse[2, 2]
    matrix.flags.writeable = homography.flags.writeable = False
    return matrix, homography
