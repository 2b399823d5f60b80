"""A planar YUV 4:2:0 picture that sprites are laid on: the encoder's own format, so nothing is converted."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A piece of picture with its coverage, at an even position.

    Attributes:
        x, y: of its top left pixel, even.
        luma, luma_clear: (h, w) uint8, h and w even: brightness times coverage, and 255 minus coverage.
        u, v, chroma_clear: (h / 2, w / 2) uint8, the same for colour.
    """

    x: int
    y: int
    luma: Plane
    luma_clear: Plane
    u: Plane
    v: Plane
    chroma_clear: Plane

    @classmethod
    def from_layers(cls, layers: NDArray[np.uint8], x: int, y: int) -> "Sprite":
        """From (h, w, 4) uint8: Y, U and V times coverage, and coverage; h, w, x and y even."""
        height, width = layers.shape[:2]
        if height % 2 or width % 2 or x % 2 or y % 2:
            raise ValueError(f"size and place must be even, got {width}x{height} at {x}, {y}")
        luma, _, _, cover = cv2.split(layers)
        half = cv2.resize(layers, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        _, u, v, half_cover = cv2.split(half)
        clear, half_clear = cv2.bitwise_not(cover), cv2.bitwise_not(half_cover)
        return cls(x, y, *(np.asarray(plane, np.uint8) for plane in (luma, clear, u, v, half_clear)))

    @property
    def planes(self) -> tuple[Plane, Plane, Plane, Plane, Plane]:
        """All but the position."""
        return self.luma, self.luma_clear, self.u, self.v, self.chroma_clear

    def within(self, size: tuple[int, int]) -> "Sprite | None":
        """The part inside a picture of even `size`, or None if there is none."""
        height, width = self.luma.shape
        x0, y0 = max(0, -self.x), max(0, -self.y)
        x1, y1 = min(width, size[0] - self.x), min(height, size[1] - self.y)
        if x1 <= x0 or y1 <= y0:
            return None
        if (x0, y0, x1, y1) == (0, 0, width, height):
            return self
        full = np.s_[y0:y1, x0:x1]
        half = np.s_[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
        return Sprite(
            self.x + x0,
            self.y + y0,
            self.luma[full],
            self.luma_clear[full],
            self.u[half],
            self.v[half],
            self.chroma_clear[half],
        )


class Canvas:
    """A picture to draw on.

    Args:
        buffer: (height * 3 / 2, width) uint8, planar Y, U, V; it is drawn on in place.
    """

    def __init__(self, buffer: Plane) -> None:
        rows, width = buffer.shape
        height = rows * 2 // 3
        if height % 2 or width % 2 or rows * 2 != height * 3:
            raise ValueError(f"buffer must be (h * 3 / 2, w) with even h and w, got {buffer.shape}")
        quarter = (height // 2) * (width // 2)
        flat = buffer.reshape(-1)
        self.y = buffer[:height]
        self.u = flat[width * height : width * height + quarter].reshape(height // 2, width // 2)
        self.v = flat[width * height + quarter :].reshape(height // 2, width // 2)

    def lay(self, sprite: Sprite) -> None:
        """Lay a sprite over the picture; it must lie within."""
        self._blend(self.y, sprite.x, sprite.y, sprite.luma, sprite.luma_clear)
        x, y = sprite.x // 2, sprite.y // 2
        self._blend(self.u, x, y, sprite.u, sprite.chroma_clear)
        self._blend(self.v, x, y, sprite.v, sprite.chroma_clear)

    def darken(self, x: int, y: int, keep: Plane) -> None:
        """Multiply brightness at (x, y) by (h, w) `keep` / 255; it must lie within."""
        height, width = keep.shape
        region = self.y[y : y + height, x : x + width]
        cv2.multiply(region, keep, dst=region, scale=1 / 255)

    @staticmethod
    def _blend(plane: Plane, x: int, y: int, colour: Plane, clear: Plane) -> None:
        height, width = colour.shape
        region = plane[y : y + height, x : x + width]
        cv2.multiply(region, clear, dst=region, scale=1 / 255)
        cv2.add(region, colour, dst=region)


def window(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The even-aligned pixels around a box within the picture: x, y, width, height; or None."""
    left, top, right, bottom = box
    x0, y0 = max(0, int(left) - 2) & ~1, max(0, int(top) - 2) & ~1
    x1, y1 = min(size[0], (int(right) + 4) & ~1), min(size[1], (int(bottom) + 4) & ~1)
    if x1 <= x0 or y1 <= y0:
        return None
    return x0, y0, x1 - x0, y1 - y0
