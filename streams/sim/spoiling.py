"""What a camera's faults make of its pictures: any clip's, as only the pictures are looked at."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.camera import Camera
from streams.sim.canvas import Plane
from streams.sim.faults import Fault

Floats = NDArray[np.float32]

_DARK_GAIN = 0.03
_SENSOR_SIGMA = 1.4
"""Behind a bad lens, a cover or in the dark the sensor still has its noise."""
_BLUR_SHARE = 0.004
"""Deviation of a point that is out of focus, in picture widths."""
_NOISE_SIGMA = 16.0
_BANK = 96
_TURN_DEG, _TILT_DEG = 14.0, 7.0
_USUAL = Camera(height_m=5.0, tilt_deg=18.0, hfov_deg=62.0)
_CLOCK_SHARE = 0.033


class Spoiler:
    """Spoils one camera's pictures in order of time.

    Args:
        faults: what is wrong, and when.
        size: width and height of the pictures in pixels, even.
        seed: of the scene.
        turned: whether pictures of a moved camera come from elsewhere as soon as it has moved; otherwise
            they are moved here, and what was beyond the picture is its mirror image.
    """

    def __init__(
        self, faults: tuple[Fault, ...], size: tuple[int, int], seed: int, *, turned: bool = False
    ) -> None:
        self._faults = faults
        self._size = size
        self._seed = seed
        self._turned = turned
        self._clock = any(fault.way(seed) == "clock" for fault in faults)
        self._frozen: tuple[Fault, Plane] | None = None
        self._covers: dict[Fault, _Cover] = {}
        self._bank: Floats | None = None

    def spoil(self, yuv: Plane, time_s: float) -> Plane:
        """The (height * 3 / 2, width) uint8 picture of scene time `time_s`, spoilt; may be the same array."""
        frozen = self._freeze(time_s)
        if frozen is None:
            for fault in self._faults:
                share = fault.share(time_s)
                if share > 0.0:
                    yuv = self._apply(fault, yuv, share, time_s)
            self._keep(yuv, time_s)
        else:
            yuv = frozen
        return self._stamp(yuv, time_s) if self._clock else yuv

    def _freeze(self, time_s: float) -> Plane | None:
        if self._frozen is not None and not self._frozen[0].share(time_s):
            self._frozen = None
        return None if self._frozen is None else self._frozen[1]

    def _keep(self, yuv: Plane, time_s: float) -> None:
        for fault in self._faults:
            if fault.kind == "freeze" and fault.share(time_s):
                self._frozen = (fault, yuv.copy())

    def _apply(self, fault: Fault, yuv: Plane, share: float, time_s: float) -> Plane:
        if fault.kind == "dark":
            return self._darken(yuv, share, time_s)
        if fault.kind == "blurred":
            blurred = self._defocus(yuv, share * fault.strength)
            return self._add_noise(blurred, _SENSOR_SIGMA * share, time_s)
        if fault.kind == "noise":
            return self._add_noise(yuv, _NOISE_SIGMA * fault.strength, time_s)
        if fault.kind == "covered":
            if fault not in self._covers:
                self._covers[fault] = _Cover(fault.way(self._seed), self._size, self._seed)
            return self._add_noise(self._covers[fault].lay(yuv, share), _SENSOR_SIGMA, time_s)
        if fault.kind == "moved" and not (self._turned and share == 1.0):
            base = _USUAL.with_aspect(self._size[0] / self._size[1])
            return warped(yuv, shift(base, fault, self._seed, share))
        return yuv

    def _darken(self, yuv: Plane, share: float, time_s: float) -> Plane:
        gain = 1.0 + (_DARK_GAIN - 1.0) * share
        dark = yuv.copy()
        height = self._size[1]
        dark[:height] = cv2.LUT(yuv[:height], _scaling(16, gain))
        dark[height:] = cv2.LUT(yuv[height:], _scaling(128, gain))
        return self._add_noise(dark, _SENSOR_SIGMA * share, time_s)

    def _defocus(self, yuv: Plane, amount: float) -> Plane:
        blurred = np.empty_like(yuv)
        for source, target, scale in zip(planes(yuv), planes(blurred), (1.0, 0.5, 0.5), strict=True):
            sigma = max(_BLUR_SHARE * amount * self._size[0] * scale, 0.1)
            target[:] = cv2.GaussianBlur(source, (0, 0), sigma)
        return blurred

    def _add_noise(self, yuv: Plane, sigma: float, time_s: float) -> Plane:
        width, height = self._size
        if self._bank is None:
            rng = np.random.Generator(np.random.PCG64((self._seed, 22)))
            self._bank = rng.standard_normal((height + _BANK, width + _BANK), np.float32)
        rng = np.random.Generator(np.random.PCG64((self._seed, 23, round(time_s * 1000))))
        x, y = rng.integers(0, _BANK, 2)
        noisy = yuv.copy()
        luma = yuv[:height] + sigma * self._bank[y : y + height, x : x + width]
        noisy[:height] = np.clip(luma, 16, 235)
        return noisy

    def _stamp(self, yuv: Plane, time_s: float) -> Plane:
        """A running clock in the upper left corner, as recorders put there."""
        stamped = yuv.copy()
        width, height = self._size
        minutes, seconds = divmod(time_s, 60.0)
        text = f"2026-03-01 {8 + int(minutes) // 60:02d}:{int(minutes) % 60:02d}:{int(seconds):02d}"
        scale = _CLOCK_SHARE * height / 21.0
        at = (round(0.015 * width), round(0.06 * height))
        for tone, thick in ((16, 3), (235, 1)):
            weight = max(1, round(thick * scale))
            cv2.putText(
                stamped[:height], text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, tone, weight, cv2.LINE_AA
            )
        return stamped


def planes(yuv: Plane) -> tuple[Plane, Plane, Plane]:
    """Y, U and V of a (height * 3 / 2, width) picture, (h, w) and twice (h / 2, w / 2), not copied."""
    height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
    colours = yuv[height:].reshape(2, height // 2, width // 2)
    return yuv[:height], colours[0], colours[1]


def turned(camera: Camera, fault: Fault, seed: int, share: float = 1.0) -> Camera:
    """The camera after somebody has turned or tilted it, by a `share` of 0 to 1 of all of it."""
    rng = np.random.Generator(np.random.PCG64((seed, 24, round(fault.begin_s))))
    amount = float(rng.uniform(0.8, 1.3)) * share * fault.strength * float(rng.choice((-1.0, 1.0)))
    if fault.way(seed) == "turn":
        return replace(camera, yaw_deg=camera.yaw_deg + _TURN_DEG * amount)
    return replace(camera, tilt_deg=min(max(camera.tilt_deg + _TILT_DEG * amount, 5.0), 80.0))


def shift(camera: Camera, fault: Fault, seed: int, share: float = 1.0) -> NDArray[np.float64]:
    """(3, 3) homography of image fractions from the camera's picture to the moved one's.

    Where the camera is only turned about its centre, the ground's homography holds for everything.
    """
    moved = turned(camera, fault, seed, share)
    return np.asarray(moved.matrix[:, [0, 1, 3]] @ camera.homography, np.float64)


def warped(yuv: Plane, matrix: NDArray[np.float64]) -> Plane:
    """A (height * 3 / 2, width) picture under a (3, 3) homography of fractions; beyond its edges mirrored."""
    result = np.empty_like(yuv)
    for source, target in zip(planes(yuv), planes(result), strict=True):
        size = (source.shape[1], source.shape[0])
        scale = np.diag((*size, 1.0))
        pixels = scale @ matrix @ np.linalg.inv(scale)
        target[:] = cv2.warpPerspective(source, pixels, size, borderMode=cv2.BORDER_REFLECT)
    return result


def _scaling(zero: int, gain: float) -> Plane:
    levels = zero + (np.arange(256) - zero) * gain
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)


class _Cover:
    """A hand, a cloth or spray before the lens.

    Args:
        way: which of them.
        size: width and height in pixels.
        seed: of its looks.
    """

    def __init__(self, way: str, size: tuple[int, int], seed: int) -> None:
        width, height = size
        self._way = way
        self._rng = np.random.Generator(np.random.PCG64((seed, 25)))
        self._from_left = bool(self._rng.random() < 0.5)
        if way == "hand":
            luma, alpha, tint = self._hand(size)
        elif way == "cloth":
            luma, alpha, tint = self._cloth(size)
        else:
            luma, alpha, tint = self._spray(size)
        self._luma, self._alpha, self._tint = luma, alpha, tint
        self._half = (width // 2, height // 2)

    def lay(self, yuv: Plane, share: float) -> Plane:
        """Cover a picture: (height * 3 / 2, width) uint8, with the cover in place by `share`, 0 to 1."""
        covered = yuv.copy()
        luma, alpha = self._luma, self._alpha
        if self._way == "spray":
            alpha = np.clip((alpha - (1.0 - share)) / 0.12, 0.0, 1.0)
        elif share < 1.0:
            away = round((1.0 - share) * luma.shape[1])
            alpha = _slid(alpha, away, from_left=self._from_left)
        half = cv2.resize(alpha, self._half, interpolation=cv2.INTER_AREA)
        over = (luma, *(np.full_like(half, tone) for tone in self._tint))
        for plane, field, cover in zip(planes(covered), over, (alpha, half, half), strict=True):
            plane[:] = plane + (field - plane) * cover
        return covered

    def _hand(self, size: tuple[int, int]) -> tuple[Floats, Floats, tuple[float, float]]:
        """A palm far out of focus, most of all that is to be seen."""
        width, height = size
        alpha = np.zeros((height, width), np.float32)
        side = 0.0 if self._from_left else 1.0
        middle = (round((0.42 + 0.16 * side) * width), round(0.52 * height))
        cv2.ellipse(alpha, middle, (round(0.5 * width), round(0.56 * height)), 0, 0, 360, 1.0, -1)
        arm = np.array([(side, 0.1), (0.5, 0.2), (0.5, 1.0), (side, 1.0)]) * size
        cv2.fillPoly(alpha, [arm.astype(np.int32)], 1.0)
        for finger in np.linspace(-0.36, 0.36, 4):
            tip = (round((1.0 - side) * width), round((0.5 + 1.25 * finger) * height))
            cv2.line(alpha, (middle[0], round((0.5 + finger) * height)), tip, 1.0, round(0.19 * height))
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.02 * width), np.float32)
        luma = 74.0 + 14.0 * self._cloud(size, 4) + 20.0 * alpha
        return np.asarray(luma, np.float32), alpha, (116.0, 146.0)

    def _cloth(self, size: tuple[int, int]) -> tuple[Floats, Floats, tuple[float, float]]:
        """Folds of fabric over all but a strip at a side."""
        width, height = size
        x = np.linspace(0.0, 1.0, width, dtype=np.float32)
        y = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
        folds = np.sin(2 * np.pi * (5.0 * x + 0.7 * np.sin(2.3 * y + 4.0 * x)))
        luma = float(self._rng.uniform(55.0, 130.0)) + 12.0 * folds + 7.0 * self._cloud(size, 12)
        edge = 0.93 + 0.03 * np.sin(9.0 * y)
        alpha = np.clip((edge - (x if self._from_left else 1.0 - x)) * 60.0 + 0.0 * y, 0.0, 1.0)
        tint = (float(self._rng.uniform(112.0, 142.0)), float(self._rng.uniform(114.0, 142.0)))
        return np.asarray(luma, np.float32), np.asarray(alpha, np.float32), tint

    def _spray(self, size: tuple[int, int]) -> tuple[Floats, Floats, tuple[float, float]]:
        """Paint in blots that grow together; `alpha` says how early each pixel gets some."""
        width, height = size
        field = np.zeros((height, width), np.float32)
        for _ in range(64):
            at = (self._rng.uniform((0.02, 0.02), (0.98, 0.98)) * size).astype(int).tolist()
            blot = np.zeros((height // 4, width // 4), np.float32)
            radius = round(float(self._rng.uniform(0.05, 0.14)) * width / 4)
            cv2.circle(blot, (at[0] // 4, at[1] // 4), radius, float(self._rng.uniform(0.35, 1.0)), -1)
            field = np.maximum(field, cv2.resize(cv2.GaussianBlur(blot, (0, 0), radius / 4), size))
        luma = float(self._rng.uniform(28.0, 60.0)) + 6.0 * self._cloud(size, 40)
        return np.asarray(luma, np.float32), field, (128.0, 128.0)

    def _cloud(self, size: tuple[int, int], cells: int) -> Floats:
        coarse = self._rng.standard_normal((cells, cells * 16 // 9), np.float32)
        return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.float32)


def _slid(field: Floats, away: int, *, from_left: bool) -> Floats:
    """Moved out of the picture by so many pixels; it ends softly, and nothing comes after it."""
    result = np.zeros_like(field)
    there = field.shape[1] - away
    soft = np.clip(np.arange(there, dtype=np.float32) / (0.08 * field.shape[1]), 0.0, 1.0)
    if from_left:
        result[:, :there] = field[:, away:] * soft[::-1]
    else:
        result[:, away:] = field[:, :there] * soft
    return result
