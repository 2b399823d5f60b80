"""Figures: people drawn once per pose, facing and view, as maps of materials that take any colours later.

A figure is a small picture whose pixels say what is there (skin, hair, jacket ...) and how much light it
gets, not which colour. So one figure serves every person in every camera: a look-up table colours it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.body import NEARER, PHASES, POSTURES_FROM, Body, Build, body

SHADES = 16
"""Degrees of light per material; an index is material * SHADES + shade."""

FACINGS = 12
PITCH_STEP_DEG = 9.0
SIZE, LARGE_SIZE = 192, 384
"""Pixels per body height that figures are drawn with; smaller ones take every second or fourth pixel."""

MARGIN_PX = 8
"""Clear pixels around a figure, for scaling to fade into."""
SHADOW_STEP = 4
"""Shadows are soft: every fourth pixel is enough for them."""

_ROOM, _ROOM_TO_LIE = (1.2, 1.65, 0.6, 1.3), (2.0, 2.1, 1.0, 1.25)
"""In body heights: width and height of what a figure is drawn on, and the ground point in it."""

_ROUND = np.arange(10) * (2 * np.pi / 10)
_CIRCLE = np.stack((np.cos(_ROUND), np.sin(_ROUND)), axis=1)
_FRACTION_BITS = 4
_LAYER_SCALES = np.array([(1.0, 1.0), (0.78, 0.9), (0.46, 0.75)])
_LAYER_SHIFTS = np.array([0.0, -0.03, -0.06])
_LAYER_LIFTS = (-3, 0, 2)
"""Each part is filled thrice for roundness: scaled, shifted towards the light, and lighter."""


@dataclass(frozen=True, slots=True)
class View:
    """What decides how a figure looks apart from its colours.

    Attributes:
        build: clothes and luggage.
        pose: as in `body.body`.
        facing: 0 to `FACINGS` - 1, heading counter-clockwise from the direction away from the camera.
        pitch: how far the camera looks down on the figure, in steps of `PITCH_STEP_DEG`.
        large: drawn with `LARGE_SIZE` instead of `SIZE`.
    """

    build: Build
    pose: int
    facing: int
    pitch: int
    large: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether it is to be had by mirroring `canonical`, as drawing takes time and memory."""
        return self.facing > FACINGS // 2 and self.pose < PHASES and self.build != "bag"

    @property
    def canonical(self) -> "View":
        """The view to draw: itself, or its mirror image, where the other foot is in front."""
        if not self.mirrored:
            return self
        return replace(self, facing=FACINGS - self.facing, pose=(self.pose + PHASES // 2) % PHASES)


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A drawn figure.

    Attributes:
        index: (h, w) uint8, material * SHADES + shade; 0 is nothing.
        shadow: (h / 4, w / 4) uint8, 255 where there is something, at every `SHADOW_STEP`th pixel.
        anchor: (x, y) of the ground point under the body, in pixels of `index`.
        size: pixels per body height.
        upright: length in pixels of one body height held upright, seen in this view.
    """

    index: NDArray[np.uint8]
    shadow: NDArray[np.uint8]
    anchor: tuple[float, float]
    size: int
    upright: float


@lru_cache(maxsize=4800)
def figure(view: View) -> Figure:
    """The figure for a canonical view; drawn when first asked for, then kept: about 16 kB each.

    Raises:
        ValueError: the view is to be had by mirroring another.
    """
    size = LARGE_SIZE if view.large else SIZE
    picture, origin = _blank(view)
    for tone, layers, _ in _painted(view):
        for layer, lift in zip(layers, _LAYER_LIFTS, strict=True):
            cv2.fillConvexPoly(picture, layer, tone + lift, cv2.LINE_8, _FRACTION_BITS)
    index, anchor = _cropped(picture, origin)
    shadow = np.where(index[::SHADOW_STEP, ::SHADOW_STEP] > 0, 255, 0).astype(np.uint8)
    upright = size * math.cos(math.radians(view.pitch * PITCH_STEP_DEG))
    return Figure(index, shadow, anchor, size, upright)


@lru_cache(maxsize=1200)
def head_cover(view: View) -> NDArray[np.uint8]:
    """(h, w) uint8 of a canonical view's figure: 255 where its head is what is seen, else 0.

    Raises:
        ValueError: the view is to be had by mirroring another.
    """
    whole, _ = _blank(view)
    heads = whole.copy()
    for _, layers, head in _painted(view):
        # What is painted over a head hides it; all figures are cropped alike, by the whole figure.
        cv2.fillConvexPoly(whole, layers[0], 255, cv2.LINE_8, _FRACTION_BITS)
        cv2.fillConvexPoly(heads, layers[0], 255 if head else 0, cv2.LINE_8, _FRACTION_BITS)
    x, y, width, height = cv2.boundingRect(whole)
    drawn = heads[y : y + height, x : x + width]
    return np.asarray(cv2.copyMakeBorder(drawn, *(MARGIN_PX,) * 4, cv2.BORDER_CONSTANT, value=0), np.uint8)


def _blank(view: View) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What a figure is drawn on, and where the ground point is on it, in pixels."""
    size = LARGE_SIZE if view.large else SIZE
    width, height, *from_corner = _ROOM if view.pose < POSTURES_FROM else _ROOM_TO_LIE
    return np.zeros((int(height * size), int(width * size)), np.uint8), np.array(from_corner) * size


def _painted(view: View) -> Iterator[tuple[int, list[NDArray[np.int32]], bool]]:
    """The parts of a figure, the farthest first: tone, three outlines, and whether it is of the head.

    Raises:
        ValueError: the view is to be had by mirroring another.
    """
    if view.mirrored:
        raise ValueError(f"draw {view.canonical} instead, and mirror it")
    turn, pitch = 2 * math.pi * view.facing / FACINGS, math.radians(view.pitch * PITCH_STEP_DEG)
    away = np.array([math.cos(turn), -math.sin(turn), 0.0])
    across = np.array([-math.sin(turn), -math.cos(turn), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    screen = np.stack((across, -(math.cos(pitch) * up + math.sin(pitch) * away)))
    into = math.cos(pitch) * away - math.sin(pitch) * up

    shape, size = body(view.build, view.pose), LARGE_SIZE if view.large else SIZE
    depths = np.add.reduceat(shape.centres @ into, shape.starts) / shape.counts - NEARER * shape.over
    flat = (shape.centres @ screen.T) * size + _blank(view)[1]
    layers = _layers(flat[:, None] + _CIRCLE * (shape.radii * size)[:, None, None], shape)
    starts, counts = shape.starts * len(_CIRCLE), shape.counts * len(_CIRCLE)
    for part in np.argsort(depths)[::-1].tolist():
        span = slice(starts[part], starts[part] + counts[part])
        hull = cv2.convexHull(layers[0, span], returnPoints=False)[:, 0]
        tone = int(shape.materials[part] * SHADES + shape.shades[part])
        yield tone, [layer[span][hull] for layer in layers], bool(shape.head[part])


def _layers(rings: NDArray[np.float64], shape: Body) -> NDArray[np.int32]:
    """(3, balls * ring points, 2) fixed-point pixels of each of the layers that round a part."""
    low = np.minimum.reduceat(rings.min(axis=1), shape.starts)
    high = np.maximum.reduceat(rings.max(axis=1), shape.starts)
    middle = np.repeat((low + high) / 2, shape.counts, axis=0)[:, None]
    width = np.repeat(high[:, 0] - low[:, 0], shape.counts)[:, None]
    layers = (rings - middle) * _LAYER_SCALES[:, None, None] + middle
    layers[..., 0] += _LAYER_SHIFTS[:, None, None] * width
    fixed = np.rint(layers * (1 << _FRACTION_BITS)).reshape(len(layers), -1, 2)
    return np.asarray(fixed, np.int32)


def _cropped(
    picture: NDArray[np.uint8], origin: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """The drawn part with its margin, and where `origin` is in it."""
    x, y, width, height = cv2.boundingRect(picture)
    drawn = picture[y : y + height, x : x + width]
    index = cv2.copyMakeBorder(drawn, *(MARGIN_PX,) * 4, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(index, np.uint8), (float(origin[0] - x + MARGIN_PX), float(origin[1] - y + MARGIN_PX))
