"""Motion of a dense scene between two neighbouring pictures, where nobody can be followed singly."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

GRID = (64, 36)
"""Columns and rows of blocks: five pixels each way, about a head in a crowd 20 pixels high."""

LONGEST_S = 0.6
"""Pictures farther apart show a crowd that has rearranged itself: half a step of a walker. Two a second, the
floor of the rules that need motion, come that late at times."""

_LEAST_TEXTURE = 4.0
"""Grey levels per pixel of gradient in the weaker direction; below, a block does not show its motion."""
_MOST_WRONG_PX = 1.0
"""There and back must end this near to where it began, or within a quarter of the way."""
_STILL_GREY = (2.5, 5.0)
_FLOOR_PX = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class BlockFlow:
    """Motion of blocks that divide the picture evenly; block (r, c) covers [c/w, (c+1)/w] x [r/h, (r+1)/h].

    Attributes:
        velocity: (h, w, 2) float32, fractions of the picture per second, right and down; a block's median.
        stderr: (h, w, 2) float32, standard error in the same unit, from the way there and back.
        valid: (h, w) bool, blocks with texture whose way there and back agrees.
        still: (h, w) bool, blocks that do not differ beyond noise: whatever velocity they show is noise.
        elapsed_s: seconds between the two pictures.
    """

    velocity: Floats
    stderr: Floats
    valid: NDArray[np.bool_]
    still: NDArray[np.bool_]
    elapsed_s: float

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Velocities, fractions per second, at (n, 2) fractions of the picture: (n, 2), NaN where invalid."""
        return self._read(self.velocity, points)

    def stderr_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their standard errors, fractions per second, likewise: (n, 2), NaN where invalid."""
        return self._read(self.stderr, points)

    def _read(self, plane: Floats, points: NDArray[np.float64]) -> NDArray[np.float64]:
        height, width = self.valid.shape
        scaled = np.nan_to_num(points, nan=-1.0) * (width, height)
        column, row = np.floor(scaled).astype(np.intp).T
        inside = (scaled >= 0).all(axis=1) & (column <= width) & (row <= height)
        column, row = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1)
        known = inside & self.valid[row, column]
        return np.where(known[:, None], plane[row, column].astype(np.float64), np.nan)

    def still_velocities(self) -> NDArray[np.float64]:
        """Velocities measured where nothing moves: (n, 2) fractions per second; their spread is the noise."""
        return self.velocity[self.still & self.valid].astype(np.float64)

    def still_places(self) -> NDArray[np.float64]:
        """Where those are: (n, 2) fractions of the picture, the blocks' middles."""
        height, width = self.valid.shape
        row, column = np.nonzero(self.still & self.valid)
        return np.column_stack(((column + 0.5) / width, (row + 0.5) / height))


class FlowMeter:
    """Measures motion by dense inverse search (Kroeger et al., ECCV 2016; OpenCV). For one thread.

    Args:
        grid: columns and rows of blocks; at least two pixels each way.
    """

    def __init__(self, grid: tuple[int, int] = GRID) -> None:
        if min(grid) < 1:
            raise ValueError(f"grid must have columns and rows, got {grid}")
        self._grid = grid
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        # The preset ends at a quarter of the size, where heads of a crowd melt together.
        self._search.setFinestScale(1)

    def measure(
        self, before: NDArray[np.uint8], after: NDArray[np.uint8], elapsed_s: float
    ) -> BlockFlow | None:
        """Motion from one picture to the next.

        Args:
            before: (height, width) uint8 luma, about 320 x 180.
            after: the same size.
            elapsed_s: true time between them; None is given back where it is 0 or less, or above `LONGEST_S`.

        Raises:
            ValueError: sizes differ, are under 32 pixels, or are too small for the grid.
        """
        height, width = before.shape
        columns, rows = self._grid
        if before.shape != after.shape or min(before.shape) < 32:
            raise ValueError(f"two pictures of one size are needed, 32 pixels at least, got {before.shape}")
        if width < 2 * columns or height < 2 * rows:
            raise ValueError(f"{width}x{height} is too small for {columns}x{rows} blocks")
        if not 0 < elapsed_s <= LONGEST_S:
            return None
        there, back = self._dense(before, after), self._dense(after, before)
        home = there + _moved(back, there)
        flow, wrong = self._blocks(there), self._blocks(np.abs(home))
        spread = self._blocks(np.abs(there - self._spread(flow, height, width)))
        way = np.hypot(flow[..., 0], flow[..., 1])
        agrees = np.hypot(wrong[..., 0], wrong[..., 1]) <= np.maximum(_MOST_WRONG_PX, way / 4)
        # Two errors of equal size make what is left there and back; 1.48 makes a deviation of a median.
        error = np.maximum(1.4826 * np.hypot(wrong / math.sqrt(2), spread / 2), _FLOOR_PX)
        scale = np.array([width, height], np.float32) * np.float32(elapsed_s)
        return BlockFlow(
            velocity=(flow / scale).astype(np.float32),
            stderr=(error / scale).astype(np.float32),
            valid=agrees & (self._texture(before) >= _LEAST_TEXTURE),
            still=self._still(before, after),
            elapsed_s=elapsed_s,
        )

    def _dense(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Floats:
        """Pixels that each pixel moves by: (height, width, 2)."""
        start = np.zeros((*before.shape, 2), np.float32)
        return np.asarray(self._search.calc(before, after, start), np.float32)

    def _blocks(self, plane: Floats) -> Floats:
        """Median of each block: (height, width, k) -> (rows, columns, k)."""
        columns, rows = self._grid
        height, width = plane.shape[:2]
        y, x = height // rows, width // columns
        if (y * rows, x * columns) != (height, width):
            # Whole pixels a block: the nearest size that the grid divides.
            size = (x * columns, y * rows)
            plane = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
        parts = plane.reshape(rows, y, columns, x, -1).transpose(0, 2, 4, 1, 3)
        parts = np.sort(parts.reshape(rows, columns, parts.shape[2], y * x), axis=-1)
        low, high = parts[..., (y * x - 1) // 2], parts[..., y * x // 2]
        return ((low + high) / 2).astype(np.float32)

    @staticmethod
    def _spread(flow: Floats, height: int, width: int) -> Floats:
        return np.asarray(cv2.resize(flow, (width, height), interpolation=cv2.INTER_NEAREST), np.float32)

    def _texture(self, luma: NDArray[np.uint8]) -> Floats:
        """Root of the weaker eigenvalue of the mean gradient tensor: (rows, columns), grey per pixel."""
        columns, rows = self._grid
        smooth = cv2.GaussianBlur(luma, (3, 3), 0.8)
        weakest = cv2.cornerMinEigenVal(smooth, blockSize=7, ksize=3)
        # OpenCV scales 8-bit gradients so that one grey level a pixel makes (2 / 255)^2.
        per_block = cv2.resize(weakest, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(np.sqrt(np.maximum(per_block, 0.0)) * (255 / 2), np.float32)

    def _still(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Blocks that differ by no more than noise everywhere, their neighbours included: (rows, columns)."""
        columns, rows = self._grid
        difference = cv2.GaussianBlur(cv2.absdiff(before, after), (5, 5), 1.2)
        most = cv2.dilate(difference, np.ones((9, 9), np.uint8))
        noise = float(np.median(difference))
        per_block = cv2.resize(most, (columns, rows), interpolation=cv2.INTER_AREA)
        least, most_grey = _STILL_GREY  # where most of the picture moves the median is no noise
        still: NDArray[np.bool_] = per_block <= min(max(least, 3 * noise), most_grey)
        return still


def _moved(back: Floats, there: Floats) -> Floats:
    """The way back as seen from where each pixel went: both (height, width, 2)."""
    height, width = there.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(
        cv2.remap(
            back, x + there[..., 0], y + there[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        np.float32,
    )
