"""How far counts are off, learnt from pictures the network was not trained on: a variance for any region.

The error of a region that counts n heads in k cells is taken to have the variance
`empty` k + `poisson` n + (`shared` n)^2, as `models.manifest.DensityHead` and `models.density` have it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Floats = NDArray[np.float64]

SIDES = (2, 4, 8, 16, 1000)
"""Of the blocks of cells whose sums are looked at; the last is the whole picture."""

LEVEL = 1.96
"""Standard errors within which 95 % of a normal distribution lies."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Persons squared per cell and per head, and a standard error as a share of the count."""

    empty: float
    poisson: float
    shared: float

    def variance(self, sums: Floats) -> Floats:
        """(n,) persons squared, of (n, 3) rows of `block_sums`."""
        _, counted, cells = sums.T
        return np.asarray(self.empty * cells + self.poisson * counted + np.square(self.shared * counted))

    def coverage(self, sums: Floats) -> float:
        """Share of rows (n, 3) whose true count lies within `LEVEL` standard errors, half a head allowed."""
        off = np.abs(sums[:, 0] - sums[:, 1])
        return float((off <= LEVEL * np.sqrt(self.variance(sums)) + 0.5).mean())


def block_sums(found: Sequence[Map], true: Sequence[Map], side: int) -> Floats:
    """(n, 3) true count, counted, and cells of each block of `side` cells of each picture (h, w)."""
    rows: list[tuple[float, float, float]] = []
    for counted, truth in zip(found, true, strict=True):
        height, width = truth.shape
        for y, x in product(range(0, height, side), range(0, width, side)):
            part = (slice(y, y + side), slice(x, x + side))
            rows.append((truth[part].sum(), counted[part].sum(), truth[part].size))
    return np.array(rows, np.float64)


def fit(sums: Sequence[Floats]) -> Spread:
    """The spread under which the errors (n, 3) of all sizes of blocks are likeliest, widened to cover 95 %.

    Each size of block weighs the same. Errors have longer tails than the normal distribution, hence the
    widening: the factor is that of the size, of 4 cells a side or more, which needs it most.
    """
    best, least = Spread(1e-3, 0.1, 0.1), np.inf
    grids: list[Floats] = [
        np.geomspace(1e-5, 3e-2, 9),
        np.geomspace(1e-2, 1.0, 9),
        np.geomspace(1e-3, 0.5, 9),
    ]
    for _ in range(3):
        for empty, poisson, shared in product(*grids):
            one = Spread(float(empty), float(poisson), float(shared))
            cost = sum(_cost(one, rows) for rows in sums)
            if cost < least:
                best, least = one, cost
        steps = [(grid[1] / grid[0]) ** 0.75 for grid in grids]
        middle = (best.empty, best.poisson, best.shared)
        grids = [np.geomspace(m / step, m * step, 7) for m, step in zip(middle, steps, strict=True)]
    factor = max([1.0, *(_widening(best, rows) for rows in sums[1:])])
    return Spread(best.empty * factor, best.poisson * factor, best.shared * factor**0.5)


def _cost(spread: Spread, sums: Floats) -> float:
    variance = spread.variance(sums) + 1e-9
    return float((np.log(variance) + np.square(sums[:, 0] - sums[:, 1]) / variance).mean())


def _widening(spread: Spread, sums: Floats) -> float:
    """Factor on the variance that covers 95 % of the rows, half a head allowed."""
    off = np.maximum(np.abs(sums[:, 0] - sums[:, 1]) - 0.5, 0.0)
    return float(np.quantile(np.square(off / LEVEL) / (spread.variance(sums) + 1e-9), 0.95))
