"""Plane geometry on arrays: polygons, segments, sides. x is to the right, y up or forward."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Segments = NDArray[np.float64]


def edges(polygon: Points) -> Segments:
    """Sides of an (n, 2) polygon as (n, 2, 2): start and end of each."""
    return np.stack((polygon, np.roll(polygon, -1, axis=0)), axis=1)


def area(polygon: Points) -> float:
    """Area enclosed by an (n, 2) polygon, in its unit squared, by the shoelace formula."""
    x, y = polygon.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def inside(points: Points, polygon: Points) -> NDArray[np.bool_]:
    """Which of (n, 2) points lie in an (m, 2) polygon, by counting the sides to their right: (n,) bool."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, 0, None], points[:, 1, None]
    spans = (start[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(end[:, 1] == start[:, 1], 1.0, end[:, 1] - start[:, 1])
    crossing = start[:, 0] + (y - start[:, 1]) * (end[:, 0] - start[:, 0]) / rise
    odd: NDArray[np.bool_] = (np.count_nonzero(spans & (x < crossing), axis=1) % 2) == 1
    return odd


def offsets(points: Points, segments: Segments) -> NDArray[np.float64]:
    """(n, m, 2): from the nearest point of each of (m, 2, 2) segments to each of (n, 2) points."""
    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    along_x, along_y = along.T
    x, y = points[:, :1] - start[:, 0], points[:, 1:] - start[:, 1]
    share = (x * along_x + y * along_y) / np.maximum(along_x**2 + along_y**2, 1e-12)
    share = np.minimum(np.maximum(share, 0.0), 1.0)
    return np.stack((x - share * along_x, y - share * along_y), axis=-1)


def clearance(path: Points, segments: Segments, step: float = 0.2) -> float:
    """Least distance in metres from an (n, 2) polyline, sampled every `step`, to (m, 2, 2) segments."""
    if not len(segments):
        return float("inf")
    samples = [path[-1:]]
    for start, end in pairwise(path):
        count = max(1, int(np.ceil(np.hypot(*(end - start)) / step)))
        samples.append(start + (end - start) * (np.arange(count) / count)[:, None])
    gaps = offsets(np.concatenate(samples), segments)
    return float(np.sqrt(np.einsum("nmk,nmk->nm", gaps, gaps).min()))


def side(points: Points, start: Points, end: Points) -> NDArray[np.float64]:
    """Positive for (n, 2) points on the left of the way from `start` to `end`, negative on its right."""
    along, relative = end - start, points - start
    return np.asarray(along[0] * relative[:, 1] - along[1] * relative[:, 0], np.float64)


def crossings(before: Points, after: Points, line: Points) -> NDArray[np.int8]:
    """Who crossed a (2, 2) line while moving from (n, 2) `before` to `after`.

    Returns:
        (n,) int8: 1 from its left to its right side, -1 from right to left, 0 not at all.
    """
    start, end = line
    was, now = side(before, start, end), side(after, start, end)
    share = was / np.where(was == now, 1.0, was - now)
    at = before + (after - before) * share[:, None]
    along = end - start
    position = (at - start) @ along / (along @ along)
    crossed = ((was > 0) != (now > 0)) & (position >= 0.0) & (position <= 1.0)
    return np.where(crossed, np.where(was > 0, 1, -1), 0).astype(np.int8)


def passed(before: Points, after: Points, segments: Segments) -> NDArray[np.bool_]:
    """(n, m) whether the way from (n, 2) `before` to `after` properly crosses each of (m, 2, 2) segments."""
    way, along = after - before, segments[:, 1] - segments[:, 0]
    relative = segments[None, :, 0] - before[:, None]
    turn = way[:, None, 0] * along[:, 1] - way[:, None, 1] * along[:, 0]
    safe = np.where(turn == 0.0, np.inf, turn)
    on_way = (relative[..., 0] * along[:, 1] - relative[..., 1] * along[:, 0]) / safe
    on_segment = (relative[..., 0] * way[:, None, 1] - relative[..., 1] * way[:, None, 0]) / safe
    hit = (on_way > 0.0) & (on_way <= 1.0) & (on_segment >= 0.0) & (on_segment <= 1.0)
    return np.asarray(hit & (turn != 0.0), np.bool_)
