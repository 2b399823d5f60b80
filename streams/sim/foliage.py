"""A branch that hangs into the picture from an upper corner, and how wind moves it."""

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.canvas import Sprite

_WIDE, _HIGH = 0.26, 0.42
"""What a branch takes of the picture's width and height at most."""
_LAYERS = 3
_LEAVES = 260


def sway(time_s: float, seed: int, late: float = 0.0) -> NDArray[np.float64]:
    """(2,) metres: how far wind has moved twigs at scene time `time_s`; gusts come and go.

    `late` is by how many radians some twigs are behind the others.
    """
    gust = 0.55 + 0.45 * math.sin(0.37 * time_s + seed)
    across = math.sin(2.1 * time_s - late) + 0.35 * math.sin(5.3 * time_s - 2.0 * late)
    along = 0.5 * math.sin(1.7 * time_s + 1.0 - late)
    return 0.16 * gust * np.array([across, along])


class Branch:
    """Leaves near the camera, in layers that move each in its own way.

    Args:
        size: width and height of the pictures in pixels.
        seed: of the leaves.
    """

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        rng = np.random.Generator(np.random.PCG64((seed, 37)))
        self._size = size
        self._seed = seed
        self._right = bool(rng.random() < 0.5)
        self._extent = (round(_WIDE * size[0]) & ~1, round(_HIGH * size[1]) & ~1)
        self._layers = [self._leaves(rng, share) for share in np.linspace(0.0, 1.0, _LAYERS)]

    def sprites(self, time_s: float, amount: float) -> Iterator[Sprite]:
        """What to lay over the picture of scene time `time_s`; `amount` is a factor on the usual wind."""
        width, height = self._extent
        for number, layer in enumerate(self._layers):
            move = sway(time_s, self._seed, late=0.9 * number) * amount
            # The twig is held at its corner: what is farther from it moves more.
            x, y = (0.55 * move[0] * width / height, 0.55 * move[1])
            turn = np.array([[1.0, x, 0.0], [y, 1.0 + 0.3 * y, 0.0]])
            moved = cv2.warpAffine(layer, turn, (width, height), flags=cv2.INTER_LINEAR)
            if self._right:
                moved = np.ascontiguousarray(moved[:, ::-1])
            left = self._size[0] - width if self._right else 0
            sprite = Sprite.from_layers(np.asarray(moved, np.uint8), left & ~1, 0).within(self._size)
            if sprite is not None:
                yield sprite

    def _leaves(self, rng: np.random.Generator, share: float) -> NDArray[np.uint8]:
        """(h, w, 4) Y, U, V times cover, and cover, for the upper left corner; the hindmost has `share` 0."""
        width, height = self._extent
        picture = np.zeros((height, width, 4), np.uint8)
        long = 0.052 * width * (0.8 + 0.5 * share)
        for _ in range(_LEAVES):
            along = rng.random() ** 1.4
            angle = float(rng.uniform(0.05, math.pi / 2 - 0.05))
            reach = 0.86 * along * (0.75 + 0.25 * math.sin(3.0 * angle + share * 2.0))
            at = np.array([math.cos(angle) * reach * width, math.sin(angle) * reach * height])
            tone = float(rng.uniform(46.0, 84.0)) + 26.0 * share * float(rng.random())
            centre = (round(float(at[0])), round(float(at[1])))
            axes = (max(1, round(long)), max(1, round(0.42 * long)))
            colour = (round(tone), 114, 120, 255)
            cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_8)
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(0.5, width / 300)), np.uint8)
