"""The worst cell of a rectangular zone, found the plain way: an oracle for the product's quicker one."""

import math

import numpy as np

from edge.crowd import CELL_M2, CELL_RADIUS_M, Floor


def densest_per_m2(people: np.ndarray, floor: Floor) -> float:
    """Persons per m2 in the densest 4 m2 around one of (n, 2) people, in metres; the floor is a rectangle."""
    grid = np.linspace(-CELL_RADIUS_M, CELL_RADIUS_M, 61)
    disc = np.array([(x, y) for x in grid for y in grid if math.hypot(x, y) <= CELL_RADIUS_M])
    low, high = floor.polygon.min(axis=0), floor.polygon.max(axis=0)
    worst = 0.0
    for p in people:
        count = (np.linalg.norm(people - p, axis=1) <= CELL_RADIUS_M).sum()
        inside = ((p + disc >= low) & (p + disc <= high)).all(axis=1).mean()
        worst = max(worst, count / (CELL_M2 * max(inside, 0.5)))
    return worst
