"""How people walk around what stands or drives in their way: rectangles on the ground.

Rectangles are rows of x, y of the middle, heading in radians, half the length and half the width in metres.
"""

import numpy as np
from numpy.typing import NDArray

from streams.sim.geometry import Points, Segments

Rectangles = NDArray[np.float64]

PASSES_M = 0.6
"""Corners are passed at so much to each side."""
MINDS_M = 0.4
"""A way that comes nearer than this is gone around."""
CLEAR_M = 0.45
"""Who is to go to a point in a rectangle is content with one so far outside; more than `MINDS_M`, as they
would for ever go around what they stand before."""


def sides(rectangles: Rectangles) -> Segments:
    """(4 m, 2, 2) metres: sides of (m, 5) rectangles."""
    corners = _corners(rectangles, 0.0)
    return np.stack((corners, np.roll(corners, -1, axis=1)), axis=2).reshape(-1, 2, 2)


def reachable(points: Points, rectangles: Rectangles, margin_m: float = CLEAR_M) -> Points:
    """(n, 2): the points, those in a rectangle or nearer than `margin_m` moved to its nearest side."""
    moved = points.copy()
    for rectangle in rectangles:
        local = _local(moved, rectangle)
        half = rectangle[3:] + margin_m
        depth = half - np.abs(local)
        within = (depth > 0).all(axis=1)
        if within.any():
            axis = depth.argmin(axis=1)
            rows = np.flatnonzero(within)
            sign = np.where(local[rows, axis[rows]] < 0, -1.0, 1.0)
            local[rows, axis[rows]] = sign * half[axis[rows]]
            moved[rows] = _world(local[rows], rectangle)
    return moved


def around(position: Points, target: Points, rectangles: Rectangles) -> Points:
    """Where (n, 2) people at `position` make for to get to `target`: it, or a corner on the way."""
    aims = target.copy()
    entry = np.stack([_entry(position, target, one, MINDS_M) for one in rectangles], axis=1)
    for row in np.flatnonzero(np.isfinite(entry).any(axis=1)).tolist():
        rectangle = rectangles[int(entry[row].argmin())]
        corners = _corners(rectangle[None], PASSES_M)[0]
        here, there = position[row], target[row]
        cost = np.hypot(*(corners - here).T) + np.hypot(*(corners - there).T)
        hidden = np.isfinite(_entry(np.repeat(here[None], 4, axis=0), corners, rectangle, 0.1))
        beyond = np.isfinite(_entry(corners, np.repeat(there[None], 4, axis=0), rectangle, MINDS_M))
        aims[row] = corners[int((cost + 100.0 * hidden + 2.0 * beyond).argmin())]
    return aims


def rays(eye: Points, points: Points, rectangle: NDArray[np.float64], margin_m: float) -> NDArray[np.float64]:
    """(n,) share of the way from `eye` to (n, 2) points, or beyond, at which it enters; else infinite."""
    far = eye + (points - eye) * 100.0
    return _entry(np.repeat(eye[None], len(points), axis=0), far, rectangle, margin_m) * 100.0


def _entry(
    start: Points, end: Points, rectangle: NDArray[np.float64], margin_m: float
) -> NDArray[np.float64]:
    """(n,) share of the way at which it enters the rectangle with a margin; infinite where it does not."""
    here, there = _local(start, rectangle), _local(end, rectangle)
    way = there - here
    half = rectangle[3:] + margin_m
    safe = np.where(np.abs(way) < 1e-9, 1e-9, way)
    first, second = (-half - here) / safe, (half - here) / safe
    enters = np.minimum(first, second).max(axis=1)
    leaves = np.maximum(first, second).min(axis=1)
    hit = (enters < leaves) & (leaves > 1e-6) & (enters < 1.0)
    return np.where(hit, np.maximum(enters, 0.0), np.inf)


def _axes(rectangle: NDArray[np.float64]) -> NDArray[np.float64]:
    cos, sin = np.cos(rectangle[2]), np.sin(rectangle[2])
    return np.array([[cos, sin], [-sin, cos]])


def _local(points: Points, rectangle: NDArray[np.float64]) -> Points:
    return np.asarray((points - rectangle[:2]) @ _axes(rectangle).T, np.float64)


def _world(local: Points, rectangle: NDArray[np.float64]) -> Points:
    return np.asarray(local @ _axes(rectangle) + rectangle[:2], np.float64)


def _corners(rectangles: Rectangles, margin_m: float) -> NDArray[np.float64]:
    """(m, 4, 2) corners, counter-clockwise."""
    half = rectangles[:, 3:] + margin_m
    signs = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    local = half[:, None] * signs
    cos, sin = np.cos(rectangles[:, 2, None]), np.sin(rectangles[:, 2, None])
    x = local[..., 0] * cos - local[..., 1] * sin
    y = local[..., 0] * sin + local[..., 1] * cos
    return np.stack((x, y), axis=-1) + rectangles[:, None, :2]
