"""Taking people out of pixels: what is covered is replaced by a pattern that knows nothing of the picture.

A mosaic of the picture's own tones still tells who is dark and who is light: under noise, over the heads of a
picture, it correlates by 0.7 with cells of 8 pixels, 0.5 with 16, 0.2 with 32 (`benchmarks/redaction.py`). So
the mosaic here has random tones and random grain, drawn once a run from a strong source. Nothing of a covered
pixel goes into the output, hence nothing can be won back, from one picture or from many. The pattern stays
where it is, so that encoders send it once and not again with every picture.

Pictures are planar YUV 4:2:0, as decoders give them and encoders take them, so that nothing is converted.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.grid import Mask, finer

Yuv = NDArray[np.uint8]

TILE_PX, GRAIN_PX = 16, 2
"""Sides of the mosaic's tiles and of its grain: whole blocks of an encoder, whole samples of colour."""
_MIDDLE, _TILES, _GRAIN = 104.0, 10.0, 14.0
"""Mean brightness, and deviations of the tiles and of the grain: more grain than tiles, so that a tile's edge
within a small head looks like nothing either."""
_LOWEST, _HIGHEST = 32, 200
_NO_COLOUR = 128


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """What covers.

    Attributes:
        luma: (h, w) uint8, read-only; colour there is none.
    """

    luma: NDArray[np.uint8]

    @classmethod
    def drawn(cls, width: int, height: int, rng: np.random.Generator) -> Self:
        """A pattern for pictures of a size in pixels, its numbers from `rng`: seed that from the system."""
        tiles = rng.normal(_MIDDLE, _TILES, (-(-height // TILE_PX), -(-width // TILE_PX)))
        grain = rng.normal(0.0, _GRAIN, (-(-height // GRAIN_PX), -(-width // GRAIN_PX)))
        wide = np.kron(tiles, np.ones((TILE_PX, TILE_PX)))[:height, :width]
        fine = np.kron(grain, np.ones((GRAIN_PX, GRAIN_PX)))[:height, :width]
        luma = np.clip(np.rint(wide + fine), _LOWEST, _HIGHEST).astype(np.uint8)
        luma.flags.writeable = False
        return cls(luma)


def redacted(yuv: Yuv, covered: Mask, pattern: Pattern) -> Yuv:
    """A new picture with the pattern where it is covered. Nothing of what was there has gone into it.

    Args:
        yuv: (height * 3 / 2, width) uint8, planar Y, U, V; height and width even.
        covered: bool grid over the whole picture, of any fineness. A sample of colour that a covered cell
            touches is covered with all the pixels it colours.
        pattern: of the picture's size.

    Raises:
        ValueError: shapes do not fit.
    """
    rows, width = yuv.shape
    height = rows * 2 // 3
    if height % 2 or width % 2 or rows * 2 != height * 3 or yuv.dtype != np.uint8:
        raise ValueError(f"yuv must be (h * 3 / 2, w) uint8 of even h and w, got {yuv.shape} {yuv.dtype}")
    if pattern.luma.shape != (height, width):
        raise ValueError(f"the pattern is for {pattern.luma.shape}, the picture is {(height, width)}")
    half = finer(covered, (height // 2, width // 2))
    out = yuv.copy()
    whole = cv2.resize(half.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    cv2.copyTo(pattern.luma, whole, out[:height])
    colours = out.reshape(-1)[height * width :].reshape(2, height // 2, width // 2)
    np.copyto(colours, _NO_COLOUR, where=half)
    return out
