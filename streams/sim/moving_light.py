"""Light that moves over a place: clouds' shadows and a crane's arm's, leaves' shadows, cars' headlights."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.camera import Camera, Points
from streams.sim.canvas import Plane

Floats = NDArray[np.float32]

COARSE = 8
"""Light is worked out for every eighth pixel each way: its edges are soft."""
FACADE_M = 30.0
"""What is farther, or above the ground, is lit like what is so far."""
_CLOUD_CELLS, _CLOUD_PX_M = 256, 4.0
_CLOUD_M = 9.0
_DEEP = 0.42
_DUSK = 0.5
_LAMP = 2.0


class MovingLight:
    """Changes how bright each part of one camera's pictures is.

    Args:
        camera: of the pictures' aspect.
        size: width and height in pixels.
        seed: of wind, clouds and cars.
    """

    def __init__(self, camera: Camera, size: tuple[int, int], seed: int) -> None:
        self._size = size
        self._seed = seed
        rng = np.random.Generator(np.random.PCG64((seed, 31)))
        self._ground = _lit_ground(camera, size)
        self._clouds = _clouds(rng, _CLOUD_M * _CLOUD_PX_M)
        self._leaves = _clouds(rng, 0.28 * _CLOUD_PX_M * 8)
        angle = float(rng.uniform(0.0, 2.0 * math.pi))
        self._wind = float(rng.uniform(2.0, 7.0)) * np.array([math.cos(angle), math.sin(angle)])
        self._arm = (
            float(rng.uniform(-8.0, 8.0)),
            float(rng.uniform(0.02, 0.06)),
            float(rng.uniform(2.0, 5.0)),
        )
        self._tree = np.array(
            [float(rng.choice((-1.0, 1.0))) * rng.uniform(3.0, 6.0), rng.uniform(10.0, 16.0)]
        )

    def shadows(self, time_s: float, amount: float) -> Floats:
        """(h / 8, w / 8) factors on the brightness, 0 to 1: clouds drift, and a long shadow creeps."""
        at = self._ground - self._wind * time_s
        cloud = np.clip(_sampled(self._clouds, at * _CLOUD_PX_M) * 1.6 + 0.35, 0.0, 1.0)
        start_m, creep_m_s, wide_m = self._arm
        across = self._ground[..., 0] + 0.35 * self._ground[..., 1] - start_m - 4.0
        along = np.abs(across - creep_m_s * time_s) / wide_m
        arm = np.clip((1.0 - along) * 12.0, 0.0, 1.0)
        return np.asarray(1.0 - min(_DEEP * amount, 0.75) * np.maximum(cloud, arm), np.float32)

    def leaves(self, amount: float, sway: Points) -> Floats:
        """(h / 8, w / 8) factors: the shadow of a tree's crown, moved by (2,) metres of `sway`."""
        gap = self._ground - self._tree
        crown = np.clip(2.2 - np.hypot(gap[..., 0], gap[..., 1]) / 2.2, 0.0, 1.0)
        # Leaves of the outer twigs move against those of the inner ones.
        near = _sampled(self._leaves, (self._ground + sway) * 8 * _CLOUD_PX_M)
        far = _sampled(self._leaves, (self._ground[..., ::-1] - 1.7 * sway) * 8 * _CLOUD_PX_M)
        dapple = np.clip(0.75 + 1.5 * np.maximum(near, far), 0.0, 1.0)
        return np.asarray(1.0 - min(_DEEP * amount, 0.7) * crown * dapple, np.float32)

    def headlights(self, time_s: float, amount: float) -> tuple[Floats, Floats]:
        """Dusk, and cars that turn somewhere beyond the picture.

        Returns:
            Factors on the brightness, and what glare adds to it in grey levels; both (h / 8, w / 8).
        """
        factor = np.full(self._ground.shape[:2], 1.0 - min(_DUSK * amount, 0.8), np.float32)
        glare = np.zeros_like(factor)
        turn = int(time_s // _CAR_S)
        for number in (turn - 1, turn):
            if number < 0:
                continue
            rng = np.random.Generator(np.random.PCG64((self._seed, 32, number)))
            begin_s = number * _CAR_S + float(rng.uniform(0.0, _CAR_S - 4.0))
            lasts_s, side = float(rng.uniform(1.6, 4.5)), float(rng.choice((-1.0, 1.0)))
            near_m, far_m = rng.uniform(8.0, 28.0, 2)
            share = (time_s - begin_s) / lasts_s
            if 0.0 <= share <= 1.0:
                middle = np.array([side * (26.0 * share * 2.0 - 26.0), near_m + (far_m - near_m) * share])
                beam = self._beam(middle)
                factor += np.asarray(_LAMP * amount * beam * (1.0 - factor), np.float32)
                glare += np.asarray(16.0 * min(amount, 1.5) * beam, np.float32)
        return np.minimum(factor, 2.5), glare

    def _beam(self, middle: Points) -> Floats:
        """Two lobes side by side, long away from the camera, bright at their middle."""
        beam = np.zeros(self._ground.shape[:2], np.float32)
        for side in (-0.9, 0.9):
            gap = (self._ground - middle - (side, 0.0)) / (1.7, 5.0)
            beam += np.exp(-0.5 * (gap[..., 0] ** 2 + gap[..., 1] ** 2)).astype(np.float32)
        return np.minimum(beam, 1.2)

    def lay(self, luma: Plane, factor: Floats, glare: Floats | None = None) -> None:
        """Brighten or darken (h, w) uint8 `luma` in place by (h / 8, w / 8) factors, and add `glare`."""
        wide = cv2.resize(factor, self._size, interpolation=cv2.INTER_LINEAR)
        lit = (luma.astype(np.float32) - 16.0) * wide + 16.0
        if glare is not None:
            lit += cv2.resize(glare, self._size, interpolation=cv2.INTER_LINEAR)
        luma[:] = np.clip(lit, 16.0, 235.0)


_CAR_S = 9.0
"""A car comes by about so often."""


def _lit_ground(camera: Camera, size: tuple[int, int]) -> NDArray[np.float64]:
    """(h / 8, w / 8, 2) metres: the ground that each pixel shows, or what is below it where it shows none."""
    width, height = size[0] // COARSE, size[1] // COARSE
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    ground = camera.to_ground(np.column_stack((x.ravel(), y.ravel()))).reshape(height, width, 2)
    shown = np.isfinite(ground).all(axis=2) & (ground[..., 1] < FACADE_M)
    row = np.where(shown.any(axis=0), shown.argmax(axis=0), height - 1)
    rows = np.maximum(np.arange(height)[:, None], row[None])
    lit = np.take_along_axis(ground, rows[..., None], axis=0)
    return np.asarray(np.nan_to_num(lit), np.float64)


def _clouds(rng: np.random.Generator, blob_px: float) -> Floats:
    """A square of smooth noise of unit deviation whose opposite sides fit together."""
    noise = rng.standard_normal((_CLOUD_CELLS, _CLOUD_CELLS))
    frequency = np.fft.fftfreq(_CLOUD_CELLS)
    radius = np.hypot(frequency[:, None], frequency[None])
    smooth = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((radius * blob_px) ** 2))).real
    return np.asarray(smooth / smooth.std(), np.float32)


def _sampled(texture: Floats, at: NDArray[np.float64]) -> Floats:
    """The texture at (h, w, 2) pixels of it, which goes on for ever."""
    wrapped = (at % _CLOUD_CELLS).astype(np.float32)
    picked = cv2.remap(
        texture, np.ascontiguousarray(wrapped[..., 0]), np.ascontiguousarray(wrapped[..., 1]),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP,
    )  # fmt: skip
    return np.asarray(picked, np.float32)
