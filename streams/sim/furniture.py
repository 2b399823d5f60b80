"""What stands around in a place, as sprites: planters, hedges, posts, benches. It hides who is behind."""

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.camera import Camera
from streams.sim.canvas import Sprite, window
from streams.sim.light import Light, to_yuv
from streams.sim.places import Box

_COLOURS = {
    "planter": ((128, 132, 134), (60, 104, 74)),
    "hedge": ((52, 84, 60), (62, 104, 76)),
    "post": ((96, 94, 92), (120, 120, 120)),
    "bench": ((58, 84, 112), (74, 106, 140)),
    "fence": ((150, 152, 154), (186, 188, 190)),
}
"""Blue, green, red of the sides and the top."""

_SIDES = ((0, 1, 5, 4), (1, 2, 6, 5), (3, 0, 4, 7))
_TOP = (4, 5, 6, 7)
_FRACTION_BITS = 4


def box_sprite(box: Box, camera: Camera, light: Light, size: tuple[int, int], pedestal: int) -> Sprite | None:
    """The box as the camera sees it.

    Args:
        box: what to draw.
        camera: of the picture's aspect.
        light: its colour.
        size: width and height of the picture in pixels.
        pedestal: taken off the brightness, as the noise will bring it back.

    Returns:
        A sprite, or None if nothing of it is in the picture.
    """
    lower = np.column_stack((box.base, np.zeros(4)))
    upper = np.column_stack((box.base, np.full(4, box.height_m)))
    pixels = camera.project(np.concatenate((lower, upper))) * size
    if not np.isfinite(pixels).all():
        return None
    (left, top), (right, bottom) = pixels.min(axis=0), pixels.max(axis=0)
    place = window((left, top, right, bottom), size)
    if place is None:
        return None
    x, y, width, height = place
    side, cap = (np.array(colour) * np.array(light.tint) for colour in _COLOURS[box.kind])
    tones = to_yuv(np.stack((side * 0.9, side * 0.68, side * 0.8, cap))).astype(int) - (pedestal, 0, 0)
    layers = np.zeros((height, width, 4), np.uint8)
    middle = box.base.mean(axis=0)
    for face, tone in zip((*_SIDES, _TOP), tones, strict=True):
        if face != _TOP and not _seen(box, face[:2], middle, camera):
            continue
        outline = np.rint((pixels[list(face)] - (x, y)) * (1 << _FRACTION_BITS)).astype(np.int32)
        cv2.fillConvexPoly(layers, outline, (*map(int, tone), 255), cv2.LINE_8, _FRACTION_BITS)
    speckle = _speckle(box, (height, width))
    layers[..., 0] = np.where(layers[..., 3] > 0, cv2.add(layers[..., 0], speckle), 0)
    return Sprite.from_layers(cv2.GaussianBlur(layers, (3, 3), 0).astype(np.uint8), x, y)


def _seen(box: Box, side: tuple[int, ...], middle: NDArray[np.float64], camera: Camera) -> bool:
    """Whether a side over two corners of the base is turned to the camera."""
    at = box.base[list(side)].mean(axis=0)
    return bool(np.dot(at - middle, np.array(camera.position_m) - at) > 0)


def _speckle(box: Box, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Leaves are restless, other things smooth."""
    strength = 26 if box.kind == "hedge" else 10 if box.kind == "planter" else 3
    rng = np.random.Generator(np.random.PCG64(int(abs(box.low[0]) * 100)))
    return rng.integers(0, strength, shape, dtype=np.uint8)
