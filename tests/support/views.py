"""What a fixed camera sees: simulated places, empty or crowded, through the same or a turned camera."""

from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.offline import pictures
from streams.sim.camera import Camera
from streams.sim.light import Light
from streams.sim.places import PLACES
from streams.sim.render import Renderer
from streams.sim.scenario import build
from streams.sim.scene import Moment
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl

SIZE = (640, 360)
PLACE = PLACES["plaza"]
CAMERA = PLACE.camera
SHARED = Path(__file__).parents[3] / "shared"
EVERYWHERE = np.ones((180, 320), np.bool_)


@lru_cache(maxsize=8)
def moments(plot: str, people: int, *times_s: float) -> tuple[Moment, ...]:
    scene = build(plot, seed=3, seconds=60, people=people)
    return tuple(scene.at(time_s) for time_s in times_s)


def turned(pan: float = 0.0, tilt: float = 0.0, zoom: float = 1.0) -> Camera:
    return replace(
        CAMERA, yaw_deg=CAMERA.yaw_deg + pan, tilt_deg=CAMERA.tilt_deg + tilt, hfov_deg=CAMERA.hfov_deg / zoom
    )


@lru_cache(maxsize=64)
def seen(
    plot: str = "walk", people: int = 0, time_s: float = 0.5, camera: Camera = CAMERA, light: int = 3
) -> np.ndarray:
    """(180, 320) luma of the plaza."""
    renderer = Renderer(replace(PLACE, camera=camera), 3, SIZE, light=Light.by_seed(light))
    (moment,) = moments(plot, people, time_s)
    return small(renderer.shoot(moment).yuv[: SIZE[1]])


def small(luma: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.resize(luma, (320, 180), interpolation=cv2.INTER_AREA), np.uint8)


def shoved(luma: np.ndarray, right_px: float, down_px: float = 0.0) -> np.ndarray:
    matrix = np.array([[1, 0, right_px], [0, 1, down_px]])
    return np.asarray(cv2.warpAffine(luma, matrix, luma.shape[::-1], borderMode=cv2.BORDER_REFLECT), np.uint8)


def noisy(luma: np.ndarray, seed: int, sigma: float = 2.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, luma.shape)
    return np.clip(luma + noise, 0, 255).astype(np.uint8)


def noise_only(seed: int = 0) -> np.ndarray:
    """A covered lens: nothing but the sensor."""
    return noisy(np.full((180, 320), 60, np.uint8), seed, 3.0)


@lru_cache(maxsize=4)
def footage(name: str) -> tuple[np.ndarray, ...]:
    """Thirty pictures spread over a real clip, (180, 320) luma."""
    path = SHARED / "media" / name
    if not path.exists():
        pytest.skip("needs ../shared/media")
    with closing(open_source(SourceUrl.parse(str(path)), SourceOptions(realtime=False))) as source:
        greys = [decoded.picture.luma(320, 180) for decoded in pictures(source)]
    return tuple(greys[:: max(1, len(greys) // 30)])
