"""A coarse grid over the picture, and boxes drawn on it; all of a cell is covered, or nothing."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.geometry import even_odd

Mask = NDArray[np.bool_]

GRID = (90, 160)
"""Rows and columns: cells of 8 pixels at 720p, 12 at 1080p, 2 of the small brightness."""


def painted(boxes: ArrayLike, shape: tuple[int, int] = GRID, *, inside: bool = False) -> Mask:
    """The cells that boxes touch.

    Args:
        boxes: (n, 4) left, top, right, bottom as fractions of the picture; beyond it and empty ones count
            as far as they reach into it.
        shape: rows and columns.
        inside: only cells that one box holds wholly.
    """
    array = np.asarray(boxes, np.float64).reshape(-1, 4)
    rows, columns = shape
    scaled = array * (columns, rows, columns, rows)
    if inside:
        low, high = np.ceil(scaled[:, :2] - 1e-9), np.floor(scaled[:, 2:] + 1e-9)
    else:
        low, high = np.floor(scaled[:, :2]), np.ceil(scaled[:, 2:])
    low, high = (np.clip(edge, 0, (columns, rows)).astype(np.intp) for edge in (low, high))
    mask = np.zeros(shape, np.bool_)
    for (x0, y0), (x1, y1) in zip(low.tolist(), high.tolist(), strict=True):
        mask[y0:y1, x0:x1] = True  # a box a time: running sums over the grid take three times as long
    return mask


def shaded(polygon: ArrayLike, shape: tuple[int, int] = GRID) -> Mask:
    """The cells that a polygon (m, 2), fractions of the picture, touches."""
    corners = np.asarray(polygon, np.float64)
    rows, columns = shape
    # Points four to a cell each way, and along the sides: what is thinner than that is on a side.
    fine = 4
    y, x = np.mgrid[0 : rows * fine, 0 : columns * fine] + 0.5
    points = np.column_stack((x.ravel() / (columns * fine), y.ravel() / (rows * fine)))
    inside = even_odd(points, corners).reshape(rows, fine, columns, fine)
    held: Mask = np.asarray(inside.any(axis=(1, 3)), np.bool_)
    share = np.linspace(0.0, 1.0, 4 * (rows + columns))[:, None, None]
    sides = (corners + share * (np.roll(corners, -1, axis=0) - corners)).reshape(-1, 2)
    cells = np.floor(sides * (columns, rows)).astype(np.intp)
    near = np.clip(cells, 0, (columns - 1, rows - 1))
    held[near[:, 1], near[:, 0]] = True
    return held


def coarser(mask: Mask, shape: tuple[int, int] = GRID) -> Mask:
    """The cells in which a finer mask, (h, w) of any size, has anything."""
    return finer(mask, shape)


def finer(mask: Mask, shape: tuple[int, int]) -> Mask:
    """A mask, (h, w), in another size: each new cell that touches a cell of the mask, however little."""
    for axis, size in enumerate(shape):
        old = mask.shape[axis]
        edges = np.arange(size + 1) * old
        first, last = edges[:-1] // size, -(-edges[1:] // size)
        if size >= old:  # a smaller cell touches two at most
            mask = mask.take(first, axis=axis) | mask.take(last - 1, axis=axis)
            continue
        sums = np.zeros_like(mask, np.int32, shape=(old + 1, mask.shape[1 - axis]))
        np.cumsum(mask if axis == 0 else mask.T, axis=0, out=sums[1:])
        some = sums[last] > sums[first]
        mask = some if axis == 0 else some.T
    return np.ascontiguousarray(mask)
