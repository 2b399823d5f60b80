"""Fitting a picture into a network's input, and its boxes back into the picture."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Placement = Literal["top-left", "centre", "stretch"]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture of one size lies in a network's input. All sizes are whole pixels.

    Attributes:
        width, height: of the network's input.
        inner_width, inner_height: of the scaled picture within it.
        left, top: where the scaled picture begins.
    """

    width: int
    height: int
    inner_width: int
    inner_height: int
    left: int
    top: int

    @classmethod
    def fit(
        cls,
        picture: tuple[int, int],
        size: tuple[int, int],
        placement: Placement = "top-left",
        stride: int = 0,
    ) -> "Letterbox":
        """Fit a picture (width, height) into an input of at most `size` (width, height).

        The aspect ratio is kept unless `placement` is "stretch". With a `stride` the input shrinks to the
        next multiple of it that holds the scaled picture, for networks of free size: a 16:9 picture then
        costs three fifths of a square. Raises ValueError for sizes below one pixel.
        """
        if min(*picture, *size) < 1:
            raise ValueError(f"cannot fit a picture of {picture} pixels into {size}")
        width, height = size
        if placement == "stretch":
            return cls(width, height, width, height, 0, 0)
        scale = min(width / picture[0], height / picture[1])
        inner = max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))
        if stride:
            width, height = (-(-side // stride) * stride for side in inner)
        left, top = ((width - inner[0]) // 2, (height - inner[1]) // 2) if placement == "centre" else (0, 0)
        return cls(width, height, *inner, left, top)

    def inner(self, canvas: NDArray[Any]) -> NDArray[Any]:
        """The view of a canvas (height, width, ...) in which the scaled picture lies.

        The border around it is filled once; nothing else ever writes there.
        """
        return canvas[self.top : self.top + self.inner_height, self.left : self.left + self.inner_width]

    def to_fractions(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (n, 4) in input pixels -> (n, 4) float32 fractions of the picture, within [0, 1]."""
        offset = np.array((self.left, self.top) * 2, np.float32)
        span = np.array((self.inner_width, self.inner_height) * 2, np.float32)
        return np.asarray(np.clip((xyxy - offset) / span, 0.0, 1.0), np.float32)

    def to_pixels(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (n, 4) as fractions of the picture -> (n, 4) float32 input pixels."""
        offset = np.array((self.left, self.top) * 2, np.float32)
        span = np.array((self.inner_width, self.inner_height) * 2, np.float32)
        return (xyxy * span + offset).astype(np.float32)
