"""Daylight: where the sun stands, how strong it is against the sky, its colour, and the camera's exposure."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Light:
    """One day's light.

    Attributes:
        towards: (x, y) unit vector on the ground, the way shadows fall.
        reach: ratio of a shadow's length to the height that throws it.
        shadow: 0 to 1, how much of the light a shadow takes away.
        tint: factors for blue, green and red.
    """

    towards: tuple[float, float]
    reach: float
    shadow: float
    tint: tuple[float, float, float]

    @classmethod
    def by_seed(cls, seed: int) -> "Light":
        """A day between overcast and sunny, morning and afternoon; the sun is never behind the scene."""
        rng = np.random.Generator(np.random.PCG64((seed, 1)))
        angle = math.radians(float(rng.choice((rng.uniform(-35, 40), rng.uniform(140, 215)))))
        sun = float(rng.uniform(0.0, 1.0))
        warmth = float(rng.uniform(-0.05, 0.05))
        exposure = float(rng.uniform(0.92, 1.08))
        return cls(
            towards=(math.cos(angle), math.sin(angle)),
            reach=1.0 / math.tan(math.radians(float(rng.uniform(38, 62)))),
            shadow=0.16 + 0.26 * sun,
            tint=(exposure * (1.03 - warmth), exposure, exposure * (0.98 + warmth)),
        )


def to_yuv(bgr: Colours) -> NDArray[np.uint8]:
    """(n, 3) blue, green, red of 0 to 255 as (n, 3) uint8 Y, U, V of BT.601 in video range."""
    blue, green, red = np.clip(bgr, 0.0, 255.0).T / 255.0
    yuv = np.stack(
        (
            16.0 + 65.481 * red + 128.553 * green + 24.966 * blue,
            128.0 - 37.797 * red - 74.203 * green + 112.0 * blue,
            128.0 + 112.0 * red - 93.786 * green - 18.214 * blue,
        ),
        axis=1,
    )
    return np.asarray(np.rint(yuv), np.uint8)
