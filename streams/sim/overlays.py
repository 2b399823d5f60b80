"""Weather in pictures: laid over them after everything else, so that any scene may have any of it."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.camera import Camera
from streams.sim.canvas import Canvas, Plane, Sprite
from streams.sim.foliage import Branch, sway
from streams.sim.moving_light import Floats, MovingLight
from streams.sim.weather import Spell, WeatherKind, amounts

_STREAKS_PER_MPX = 900
_SPARE = 128
_FLYERS = 3


class Overlays:
    """One camera's weather.

    Args:
        spells: what there is, and when.
        camera: of the pictures' aspect, for what lies on the ground.
        size: width and height of the pictures in pixels, even.
        seed: of wind, drops and insects.
    """

    def __init__(self, spells: tuple[Spell, ...], camera: Camera, size: tuple[int, int], seed: int) -> None:
        self._spells = spells
        self._size = size
        self._seed = seed
        self._light = MovingLight(camera, size, seed)
        self._branch: Branch | None = None
        self._rain: _Rain | None = None
        self._insects: _Insects | None = None

    def lay(self, yuv: Plane, time_s: float) -> Plane:
        """The (height * 3 / 2, width) uint8 picture of scene time `time_s` in its weather; maybe the same."""
        found = amounts(self._spells, time_s, self._seed)
        if not found:
            return yuv
        canvas = Canvas(yuv.copy())
        self._lay_light(canvas, found, time_s)
        if "trees" in found:
            self._branch = self._branch or Branch(self._size, self._seed)
            for sprite in self._branch.sprites(time_s, found["trees"]):
                canvas.lay(sprite)
        if "rain" in found:
            self._rain = self._rain or _Rain(self._size, self._seed)
            self._rain.lay(canvas, time_s, found["rain"])
        if "insects" in found:
            self._insects = self._insects or _Insects(self._size, self._seed)
            self._insects.lay(canvas, time_s, found["insects"])
        return yuv_of(canvas)

    def _lay_light(self, canvas: Canvas, found: dict[WeatherKind, float], time_s: float) -> None:
        light = self._light
        if "shadows" in found:
            light.lay(canvas.y, light.shadows(time_s, found["shadows"]))
        if "trees" in found:
            light.lay(canvas.y, light.leaves(found["trees"], sway(time_s, self._seed)))
        if "headlights" in found:
            light.lay(canvas.y, *light.headlights(time_s, found["headlights"]))
            dusk = max(0.0, 1.0 - 0.4 * found["headlights"])
            for plane, cast in ((canvas.u, 132), (canvas.v, 126)):
                cv2.addWeighted(plane, dusk, np.full_like(plane, cast), 1.0 - dusk, 0.0, dst=plane)


def yuv_of(canvas: Canvas) -> Plane:
    """The (height * 3 / 2, width) picture that is drawn on."""
    base = canvas.y.base
    return np.asarray(canvas.y if base is None else base, np.uint8)


class _Rain:
    """Streaks that are elsewhere in each picture, and the grey that many far ones make."""

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        self._size = size
        self._seed = seed
        rng = np.random.Generator(np.random.PCG64((seed, 33)))
        self._slant = float(rng.uniform(-0.25, 0.25))
        self._banks = [self._bank(rng, near) for near in (False, True)]

    def lay(self, canvas: Canvas, time_s: float, amount: float) -> None:
        veil = min(0.13 * amount, 0.35)
        cv2.addWeighted(canvas.y, 1.0 - veil, np.full_like(canvas.y, 120), veil, 0.0, dst=canvas.y)
        rng = np.random.Generator(np.random.PCG64((self._seed, 34, round(time_s * 1000))))
        width, height = self._size
        for bank in self._banks:
            x, y = rng.integers(0, _SPARE, 2)
            streaks = bank[y : y + height, x : x + width]
            if rng.random() < 0.5:  # the same few drops shall not be seen again and again
                streaks = np.roll(streaks, int(rng.integers(width)), axis=1)
            cv2.add(canvas.y, cv2.convertScaleAbs(streaks, alpha=min(amount, 2.0)), dst=canvas.y)

    def _bank(self, rng: np.random.Generator, near: bool) -> Plane:
        width, height = self._size[0] + _SPARE, self._size[1] + _SPARE
        bank = np.zeros((height, width), np.uint8)
        unit = self._size[1] / 720
        count = round(_STREAKS_PER_MPX * (self._size[0] / unit) * 720 / 1e6 * (0.25 if near else 1.0))
        for at in rng.uniform((0, 0), (width, height), (count, 2)):
            long = float(rng.uniform(34.0, 80.0) if near else rng.uniform(10.0, 30.0)) * unit
            tone = float(rng.uniform(18.0, 46.0) if near else rng.uniform(10.0, 26.0))
            x, y = at.tolist()
            start, end = (round(x), round(y)), (round(x + self._slant * long), round(y + long))
            cv2.line(bank, start, end, tone, max(1, round((2.0 if near else 1.0) * unit)), cv2.LINE_AA)
        return np.asarray(cv2.GaussianBlur(bank, (0, 0), 0.6 + 0.6 * near), np.uint8)


@dataclass(frozen=True, slots=True)
class _Path:
    """Where something small goes: a smooth way, now faster and now slower."""

    centre: tuple[float, float]
    reach: float
    phases: NDArray[np.float64]

    def at(self, time_s: float) -> tuple[float, float]:
        a, b, c, d = self.phases
        crept = 0.35 * (time_s + 1.5 * math.sin(1.1 * time_s + a))
        x = self.centre[0] + self.reach * (math.sin(0.9 * crept + b) + 0.5 * math.sin(2.3 * crept + c))
        y = self.centre[1] + self.reach * (math.cos(0.7 * crept + c) + 0.5 * math.sin(1.9 * crept + d))
        return x, y


class _Insects:
    """One that walks about on the glass, far too near to be sharp, and a few that fly by."""

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        self._size = size
        self._seed = seed
        rng = np.random.Generator(np.random.PCG64((seed, 35)))
        centre = (float(rng.uniform(0.25, 0.75)), float(rng.uniform(0.3, 0.7)))
        self._path = _Path(centre, 0.13, rng.uniform(0.0, 2 * math.pi, 4))
        self._span = float(rng.uniform(0.05, 0.085)) * size[0]

    def lay(self, canvas: Canvas, time_s: float, amount: float) -> None:
        x, y = self._path.at(time_s)
        ahead = self._path.at(time_s + 0.1)
        heading = math.atan2((ahead[1] - y) * self._size[1], (ahead[0] - x) * self._size[0])
        cover = self._walker(heading, time_s)
        self._dim(canvas, cover, (x, y), min(0.85 * amount, 0.95))
        for flyer in range(_FLYERS):
            self._fly(canvas, flyer, time_s, amount)

    def _walker(self, heading: float, time_s: float) -> Floats:
        """(n, n) cover of the one on the glass, 0 to 1: body, head, wings and six legs that move."""
        side = round(2.4 * self._span) | 1
        cover = np.zeros((side, side), np.float32)
        middle, ahead = side / 2, np.array([math.cos(heading), math.sin(heading)])
        left = np.array([-ahead[1], ahead[0]])
        for along, thick in ((-0.2, 0.2), (0.02, 0.14), (0.2, 0.11)):
            at = middle + ahead * along * self._span * 1.4
            cv2.circle(cover, (round(float(at[0])), round(float(at[1]))), round(thick * self._span), 1.0, -1)
        for leg in range(6):
            sign = 1.0 if leg % 2 else -1.0
            swing = 0.12 * math.sin(9.0 * time_s + leg * 2.1)
            foot = (
                middle
                + ahead * (0.35 * (leg // 2 - 1) + swing) * self._span
                + left * sign * 0.55 * self._span
            )
            start, end = (round(middle), round(middle)), (round(float(foot[0])), round(float(foot[1])))
            cv2.line(cover, start, end, 0.8, max(1, round(0.06 * self._span)))
        return np.asarray(cv2.GaussianBlur(cover, (0, 0), 0.07 * self._span), np.float32)

    def _fly(self, canvas: Canvas, flyer: int, time_s: float, amount: float) -> None:
        """Someone small crosses in half a second, as a blurred streak."""
        period_s = 2.3 + 1.1 * flyer
        number = int(time_s // period_s)
        rng = np.random.Generator(np.random.PCG64((self._seed, 36, flyer, number)))
        start, end = rng.uniform((-0.1, 0.0), (1.1, 1.0), (2, 2))
        begin_s, lasts_s = number * period_s + float(rng.uniform(0.0, 1.2)), float(rng.uniform(0.3, 0.9))
        share = (time_s - begin_s) / lasts_s
        if not 0.0 <= share <= 1.0:
            return
        way = (end - start) * (0.02 / lasts_s) * self._size  # in a fiftieth of a second
        reach = round(0.012 * self._size[0])
        side = 2 * reach + 2 * round(float(np.abs(way).max())) + 5
        cover = np.zeros((side, side), np.float32)
        ends = (side / 2 + sign * way / 2 for sign in (-1.0, 1.0))
        a, b = ((round(float(x)), round(float(y))) for x, y in ends)
        cv2.line(cover, a, b, 1.0, max(2, round(0.008 * self._size[0])))
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), max(0.6, 0.003 * self._size[0])), np.float32)
        x, y = (start + (end - start) * share).tolist()
        self._dim(canvas, cover, (x, y), min(0.6 * amount, 0.9))

    def _dim(self, canvas: Canvas, cover: Floats, at: tuple[float, float], amount: float) -> None:
        """Lay something dark and grey over the picture around a point of it, in fractions."""
        side = cover.shape[0] + cover.shape[0] % 2
        layers = np.zeros((side, side, 4), np.uint8)
        alpha = np.clip(cover * amount, 0.0, 1.0)
        height, width = cover.shape
        for channel, tone in enumerate((34.0, 128.0, 128.0, 255.0)):
            layers[:height, :width, channel] = np.rint(alpha * tone)
        x = round(at[0] * self._size[0] - side / 2) & ~1
        y = round(at[1] * self._size[1] - side / 2) & ~1
        sprite = Sprite.from_layers(layers, x, y).within(self._size)
        if sprite is not None:
            canvas.lay(sprite)
