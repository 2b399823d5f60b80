"""Figures: people drawn once per pose, facing and view, as maps of materials that take any colours later.

A figure is a small picture whose pixels say what is there (skin, hair, jacket ...) and how much light it
gets, not which colour. So one figure serves every person in every camera: a look-up table colours it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.body import NEARER, Build, Part, body

SHADES = 16
"""Degrees of light per material; an index is material * SHADES + shade."""

FACINGS = 16
PITCH_STEP_DEG = 7.0
LEAN_STEP_DEG = 4.0
SIZES = (34, 48, 68, 96, 136, 192, 272, 384)
"""Pixels per body height that figures are drawn with; the next larger is scaled down in the picture."""

MARGIN_PX = 2
"""Clear pixels around a figure, for scaling to fade into."""

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
        lean: how far it leans to the right in a wide picture's perspective, in steps of `LEAN_STEP_DEG`.
        size: pixels per body height.
    """

    build: Build
    pose: int
    facing: int
    pitch: int
    lean: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A drawn figure.

    Attributes:
        index: (h, w) uint8, material * SHADES + shade; 0 is nothing.
        alpha: (h, w) uint8, 255 where there is something.
        anchor: (x, y) of the ground point under the body in this picture's pixels.
        size: pixels per body height.
        upright: length in pixels of one body height held upright, seen in this view.
    """

    index: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    anchor: tuple[float, float]
    size: int
    upright: float


@lru_cache(maxsize=6000)
def figure(view: View) -> Figure:
    """The figure for a view; drawn when first asked for, then kept (a few kilobytes each)."""
    turn, pitch = 2 * math.pi * view.facing / FACINGS, math.radians(view.pitch * PITCH_STEP_DEG)
    away = np.array([math.cos(turn), -math.sin(turn), 0.0])
    across = np.array([-math.sin(turn), -math.cos(turn), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    screen = np.stack((across, -(math.cos(pitch) * up + math.sin(pitch) * away)))
    lean = math.radians(view.lean * LEAN_STEP_DEG)
    leaning = np.array([[math.cos(lean), -math.sin(lean)], [math.sin(lean), math.cos(lean)]])
    into = math.cos(pitch) * away - math.sin(pitch) * up

    parts = body(view.build, view.pose)
    centres = np.concatenate([part.centres for part in parts])
    radii = np.concatenate([part.radii for part in parts])
    depths = centres @ into
    origin = np.array([0.6, 1.3]) * view.size
    flat = (centres @ screen.T @ leaning.T) * view.size + origin
    rings = flat[:, None] + _CIRCLE * (radii * view.size)[:, None, None]
    ends = np.cumsum([len(part.radii) for part in parts])

    picture = np.zeros((int(1.65 * view.size), int(1.2 * view.size)), np.uint8)
    spans = [slice(end - len(part.radii), end) for part, end in zip(parts, ends, strict=True)]
    order = [
        depths[span].mean() - (NEARER if part.over else 0.0) for part, span in zip(parts, spans, strict=True)
    ]
    for k in np.argsort(order)[::-1]:
        _fill(picture, rings[spans[k]].reshape(-1, 2), parts[k])
    index, anchor = _cropped(picture, origin)
    alpha = np.where(index > 0, 255, 0).astype(np.uint8)
    return Figure(index, alpha, anchor, view.size, view.size * math.cos(pitch))


def _fill(picture: NDArray[np.uint8], outline: NDArray[np.float64], part: Part) -> None:
    """Fill the convex hull of (n, 2) pixels, rounded by light from the left."""
    hull = cv2.convexHull(outline.astype(np.float32))[:, 0]
    middle = (hull.max(axis=0) + hull.min(axis=0)) / 2
    layers = (hull - middle) * _LAYER_SCALES[:, None] + middle
    layers[..., 0] += (_LAYER_SHIFTS * np.ptp(hull[:, 0]))[:, None]
    fixed = np.rint(layers * (1 << _FRACTION_BITS)).astype(np.int32)
    for layer, lift in zip(fixed, _LAYER_LIFTS, strict=True):
        index = part.material * SHADES + min(SHADES - 1, part.shade + lift)
        cv2.fillConvexPoly(picture, layer, index, cv2.LINE_8, _FRACTION_BITS)


def _cropped(
    picture: NDArray[np.uint8], origin: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """The drawn part with its margin, and where `origin` is in it."""
    x, y, width, height = cv2.boundingRect(picture)
    drawn = picture[y : y + height, x : x + width]
    index = cv2.copyMakeBorder(drawn, *(MARGIN_PX,) * 4, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(index, np.uint8), (float(origin[0] - x + MARGIN_PX), float(origin[1] - y + MARGIN_PX))
