"""Who is near whom: pairs of points, found by square cells of the ground, without loops over people."""

import numpy as np
from numpy.typing import NDArray

from streams.sim.geometry import Points

Rows = NDArray[np.intp]

ALL_BY_ALL_UP_TO = 64
"""For so few points the table of all distances is the fastest."""


def pairs(points: Points, reach: float) -> tuple[Rows, Rows]:
    """Every two of (n, 2) points nearer than `reach`, in the points' unit, once: two (p,) arrays of rows."""
    if len(points) <= ALL_BY_ALL_UP_TO:
        x, y = points.T
        first, second = np.nonzero((x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 < reach**2)
        once = first < second
        return first[once], second[once]
    cells = np.floor((points - points.min(axis=0)) / reach).astype(np.int64) + 1
    stride = int(cells[:, 0].max()) + 2
    key = cells[:, 1] * stride + cells[:, 0]
    order = np.argsort(key, kind="stable")
    key, sorted_points = key[order], points[order]
    rank = np.arange(len(points))
    # Of the nine cells around, those later in the order: the rest of one's own and the next, three above.
    begins = (rank + 1, np.searchsorted(key, key + stride - 1))
    ends = (np.searchsorted(key, key + 1, side="right"), np.searchsorted(key, key + stride + 1, side="right"))
    spans = [_spans(begin, end) for begin, end in zip(begins, ends, strict=True)]
    first, second = (np.concatenate(half) for half in zip(*spans, strict=True))
    gap = sorted_points[first] - sorted_points[second]
    near = gap[:, 0] ** 2 + gap[:, 1] ** 2 < reach**2
    return order[first[near]], order[second[near]]


def _spans(begin: Rows, end: Rows) -> tuple[Rows, Rows]:
    """Row k with each of `begin[k]` to `end[k]` - 1, for all k."""
    counts = np.maximum(end - begin, 0)
    total = int(counts.sum())
    first = np.repeat(np.arange(len(counts)), counts)
    second = np.arange(total) - np.repeat(np.cumsum(counts) - counts - begin, counts)
    return first, second
