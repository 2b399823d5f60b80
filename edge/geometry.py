"""Plane geometry on arrays of points; units are the caller's, the same for both axes or not."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_TOUCH = 1e-6
"""How near an edge counts as on it, as a share of the polygon's extent: float32 coordinates of a box that is
clipped at the picture's edge must still lie inside a zone that ends there."""


def as_points(points: ArrayLike) -> Floats:
    """Points as (n, 2) float64.

    Raises:
        ValueError: on any other shape.
    """
    array = np.asarray(points, np.float64)
    if array.size == 0:
        return np.zeros((0, 2))
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"points must be (n, 2), got {array.shape}")
    return array


def points_in_polygon(points: ArrayLike, polygon: ArrayLike) -> NDArray[np.bool_]:
    """Which points lie in a simple polygon or on its edge.

    Args:
        points: (n, 2); a point with a NaN is outside.
        polygon: (m, 2) corners in order, either way round, not closed.

    Returns:
        (n,) bool.
    """
    p, corners = as_points(points), as_points(polygon)
    if len(p) == 0:
        return np.zeros(0, np.bool_)
    extent = float((corners.max(axis=0) - corners.min(axis=0)).max())
    touching: NDArray[np.bool_] = edge_distance(p, corners) <= _TOUCH * extent
    return touching | even_odd(p, corners)


def even_odd(points: ArrayLike, polygon: ArrayLike) -> NDArray[np.bool_]:
    """Which points (n, 2) lie in a polygon (m, 2), by the even-odd rule: (n,) bool; edges fall either way."""
    p, start = as_points(points), as_points(polygon)
    if not len(p):
        return np.zeros(0, np.bool_)
    end = _following(start)
    px, py = p[:, :1], p[:, 1:]
    x1, y1 = start[:, 0], start[:, 1]
    rise = end[:, 1] - y1
    slope = (end[:, 0] - x1) / np.where(rise == 0, 1.0, rise)
    crossings = ((y1 > py) != (end[:, 1] > py)) & (px < x1 + (py - y1) * slope)
    odd: NDArray[np.bool_] = crossings.sum(axis=1) % 2 == 1
    return odd


def _following(corners: Floats) -> Floats:
    """Each corner's next one; `np.roll` does the same five times slower."""
    return np.concatenate((corners[1:], corners[:1]))


def edge_distance(points: ArrayLike, polygon: ArrayLike) -> Floats:
    """Distance of each point to the polygon's nearest edge: points (n, 2), polygon (m, 2) -> (n,)."""
    p, start = as_points(points), as_points(polygon)
    if not len(p):
        return np.zeros(0)
    along = _following(start) - start
    length2 = np.maximum((along**2).sum(axis=1), np.finfo(float).tiny)
    offset = p[:, None, :] - start[None, :, :]
    t = np.clip((offset * along).sum(axis=2) / length2, 0.0, 1.0)
    nearest: Floats = np.linalg.norm(offset - t[..., None] * along, axis=2).min(axis=1)
    return nearest


def signed_area(polygon: ArrayLike) -> float:
    """Area of a polygon (m, 2) by the shoelace formula, in its units squared; positive where x turns to y."""
    p = as_points(polygon)
    if len(p) == 0:
        return 0.0
    p = p - p[0]  # keeps digits when the frame's zero is far away, as in a national grid
    q = _following(p)
    return float((p[:, 0] * q[:, 1] - q[:, 0] * p[:, 1]).sum() / 2)


def polygon_area(polygon: ArrayLike) -> float:
    """Area of a simple polygon (m, 2), in the square of its unit."""
    return abs(signed_area(polygon))


def area_stderr(polygon: ArrayLike, corner_stderr: float) -> float:
    """Standard error of the area of a polygon (m, 2), in its units squared.

    Each corner's coordinates are off by `corner_stderr` (in the polygon's units), independently.
    First-order propagation through the shoelace formula: dA/dp_k is half the chord p_(k+1) - p_(k-1), turned.
    """
    p = as_points(polygon)
    chords = _following(p) - np.roll(p, 1, axis=0)
    return float(corner_stderr * np.linalg.norm(chords) / 2)


def turn(a: Floats, b: Floats, c: Floats) -> Floats:
    """Twice the signed area of triangles a, b, c: three broadcastable (..., 2) -> (...)."""
    ab, ac = b - a, c - a
    area: Floats = ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0]
    return area


def _segments_meet(a: Floats, b: Floats, c: Floats, d: Floats) -> bool:
    """Whether closed segments ab and cd share a point."""
    d1, d2, d3, d4 = (float(turn(*t)) for t in ((a, b, c), (a, b, d), (c, d, a), (c, d, b)))
    if ((d1 > 0) != (d2 > 0)) and ((d3 > 0) != (d4 > 0)) and 0.0 not in (d1, d2, d3, d4):
        return True

    def within(p: Floats, q: Floats, r: Floats) -> bool:
        return bool((np.minimum(p, q) <= r).all() and (r <= np.maximum(p, q)).all())

    on = ((d1, a, b, c), (d2, a, b, d), (d3, c, d, a), (d4, c, d, b))
    return any(side == 0.0 and within(p, q, r) for side, p, q, r in on)


def self_intersects(polygon: ArrayLike) -> bool:
    """Whether two edges of the polygon (m, 2) meet anywhere but at the corner that neighbours share."""
    p = as_points(polygon)
    m = len(p)
    for i in range(m):
        for j in range(i + 1, m):
            a, b, c, d = p[i], p[(i + 1) % m], p[j], p[(j + 1) % m]
            if j == i + 1 or (i == 0 and j == m - 1):
                # Neighbours share a corner; they clash only when one folds back over the other.
                corner, one, two = (b, a, d) if j == i + 1 else (a, b, c)
                folded = float(turn(one, corner, two)) == 0.0 and float((one - corner) @ (two - corner)) > 0
                if folded:
                    return True
            elif _segments_meet(a, b, c, d):
                return True
    return False


def clip_half_plane(polygon: ArrayLike, half_plane: ArrayLike) -> Floats:
    """The part of a polygon (m, 2) where a*x + b*y + c >= 0, by Sutherland and Hodgman (1974).

    Args:
        polygon: (m, 2) corners in order.
        half_plane: (3,) a, b, c.

    Returns:
        (k, 2) corners; (0, 2) where nothing is left. A concave polygon that falls apart keeps edges of no
        width between its parts, which change neither its area nor what lies inside.
    """
    p = as_points(polygon)
    a, b, c = np.asarray(half_plane, np.float64)
    height = a * p[:, 0] + b * p[:, 1] + c
    kept: list[Floats] = []
    for k in range(len(p)):
        here, there = height[k], height[(k + 1) % len(p)]
        if here >= 0:
            kept.append(p[k])
        if (here >= 0) != (there >= 0):
            kept.append(p[k] + here / (here - there) * (p[(k + 1) % len(p)] - p[k]))
    return as_points(kept)


def line_offset(points: ArrayLike, start: ArrayLike, end: ArrayLike) -> Floats:
    """Side of each point from the endless line through start and end: points (n, 2) -> (n,).

    Positive to the right of the way from start to end as the picture shows it (y points down), negative to
    the left, zero on it; the size is the distance times the segment's length.
    """
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    return turn(a, b, as_points(points))


def line_position(before: ArrayLike, after: ArrayLike, start: ArrayLike, end: ArrayLike) -> float:
    """Where the way from `before` to `after` meets the endless line, in lengths of the line: 0 is its start.

    All four are (2,). NaN when the way runs along the line.
    """
    p, q, a, b = (np.asarray(x, np.float64) for x in (before, after, start, end))
    facing = float(turn(np.zeros(2), q - p, b - a))
    return float(turn(np.zeros(2), q - p, p - a)) / facing if facing else float("nan")
