"""Who passes by, as a pure step: only where, which way, how fast and how large, for as long as in view."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats
from edge.normality import SPEEDS_M_S, STRIDE, STRIDES, Usual, ways_of

QUANTITIES = ("place", "kind", "way", "speed")
PLACE, KIND, WAY, SPEED = range(len(QUANTITIES))

STEP_S = 0.4
"""Steps nearer to each other than this change nothing: a box wavers more than somebody walks meanwhile."""
WINDOW = 6
"""Steps that are judged together: 2.4 s and more."""
LEAST = 3
"""Steps of which something must be known before it can be unusual."""
STANDS_M_S = float(SPEEDS_M_S[0])

_TRAIL = 4
_SPAN_S = (0.9, 2.6)
_LOST_S = 2.0
_JUMP_M_S = 40.0
_LOG_QUANTITIES = math.log(len(QUANTITIES))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one look shows of those who are judged.

    Attributes:
        keys: (n,) distinct numbers of tracks, in memory only.
        at: (n, 2) places, in the cells' unit.
        metres: (n,) metres that one unit is there.
        cell: (n,) numbers of cells.
        size, group: (n,) what it is, see `edge.sizes`.
    """

    keys: NDArray[np.int64]
    at: Floats
    metres: Floats
    cell: NDArray[np.int64]
    size: NDArray[np.int64]
    group: NDArray[np.int64]

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Seen":
        """Some of them."""
        return Seen(
            self.keys[rows],
            self.at[rows],
            self.metres[rows],
            self.cell[rows],
            self.size[rows],
            self.group[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Passages:
    """Those under way, by key in rising order, and one row more, that of who is new.

    Attributes:
        keys: (n,).
        seen_s: (n + 1,) camera time of the last step with each.
        trail: (n + 1, 4, 3) camera times of the last steps, and the places then; NaN before the first, the
            newest last.
        told: (n + 1,) the cell that was counted last.
        logs: (n + 1, 6, 4) of the last steps' p-values by quantity, 0 unknown; the newest last.
        known: (n + 1, 6) whether they are known.
        looked_s: camera time of the last step.
    """

    keys: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    seen_s: Floats = field(default_factory=lambda: np.full(1, np.nan))
    trail: Floats = field(default_factory=lambda: np.full((1, _TRAIL, 3), np.nan))
    told: NDArray[np.int64] = field(default_factory=lambda: np.full(1, -1, np.int64))
    logs: Floats = field(default_factory=lambda: np.zeros((1, WINDOW, len(QUANTITIES))))
    known: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((1, WINDOW), np.bool_))
    looked_s: float = -math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a step makes of those in view, row by row as in `Seen`.

    Attributes:
        seen: who they are, by rising key.
        velocity: (n, 2) metres per second along the cells' axes; NaN where it is not known yet.
        speed: (n,) its size.
        entered: (n,) who is in another cell than before, to be counted; only once the velocity is known.
        row: (n, 4) p-values of the last steps together, by quantity; 1 where too little is known.
        p: (n,) of all these.
    """

    seen: Seen
    velocity: Floats
    speed: Floats
    entered: NDArray[np.bool_]
    row: Floats
    p: Floats


def due(state: Passages, pts_s: float) -> bool:
    """Whether a look at this time makes a step; one that goes back in time does."""
    return not 0.0 <= pts_s - state.looked_s < STEP_S - 1e-6


def step(state: Passages, seen: Seen, pts_s: float, usual: Usual | None) -> tuple[Passages, Step]:
    """Take in one look.

    Args:
        state: from the look before.
        seen: who is judged.
        pts_s: camera time.
        usual: what is usual here at this hour; None: nothing is judged.
    """
    seen = seen.select(np.argsort(seen.keys, kind="stable"))
    if pts_s < state.looked_s:
        state = Passages()
    n, blank = len(seen.keys), len(state.keys)
    where = np.searchsorted(state.keys, seen.keys)
    if blank:
        fresh = state.keys[np.minimum(where, blank - 1)] != seen.keys
        where[fresh] = blank
    trail, told = state.trail[where], state.told[where]
    velocity, known = _velocity(trail, seen, pts_s)
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    logs = np.zeros((n + 1, WINDOW, len(QUANTITIES)))
    logs[:n, :-1] = state.logs[where, 1:]
    if usual is not None and n:
        logs[:n, -1] = _judged(seen, velocity, speed, known, usual)
    told_of = np.zeros((n + 1, WINDOW), np.bool_)
    told_of[:n, :-1], told_of[:n, -1] = state.known[where, 1:], known
    entered = known & (told != seen.cell)
    made = Passages(
        seen.keys,
        np.append(np.full(n, pts_s), np.nan),
        _longer(trail, seen, pts_s),
        np.append(np.where(entered, seen.cell, told), -1),
        logs,
        told_of,
        pts_s,
    )
    row, p = _together(logs[:n], told_of[:n])
    return _with_lost(state, made, where, pts_s), Step(seen, velocity, speed, entered, row, p)


def _together(logs: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(n, 4) p-values of each quantity over the steps, and (n,) of all.

    As `rarity.all_of` and `rarity.any_of` have it, on logarithms: the steps are known or not, all quantities
    alike.
    """
    count = known.sum(axis=1)
    mean = logs.sum(axis=1) / np.maximum(count, 1)[:, None]
    row = np.minimum(mean + 1.0, 0.0) * (count >= LEAST)[:, None]
    p = np.minimum(row.min(axis=1) + _LOG_QUANTITIES, 0.0)
    return np.exp(row), np.exp(p)


def _longer(trail: Floats, seen: Seen, pts_s: float) -> Floats:
    """The trails with this step at their ends, and the blank one."""
    longer = np.full((len(trail) + 1, _TRAIL, 3), np.nan)
    longer[:-1, :-1] = trail[:, 1:]
    longer[:-1, -1, 0] = pts_s
    longer[:-1, -1, 1:] = seen.at
    return longer


def _velocity(trail: Floats, seen: Seen, pts_s: float) -> tuple[Floats, NDArray[np.bool_]]:
    """(n, 2) over the shortest span in which a box's waver matters little, and (n,) where it is known."""
    gone = pts_s - trail[:, :, 0]
    fits = (gone >= _SPAN_S[0]) & (gone <= _SPAN_S[1])
    newest = _TRAIL - 1 - fits[:, ::-1].argmax(axis=1)
    rows = np.arange(len(trail))
    then = trail[rows, newest]
    velocity: Floats = (seen.at - then[:, 1:]) * (seen.metres / (pts_s - then[:, 0]))[:, None]
    known = fits.any(axis=1)
    known &= (velocity * velocity).sum(axis=1) <= _JUMP_M_S**2
    velocity[~known] = np.nan
    return velocity, known


def _judged(seen: Seen, velocity: Floats, speed: Floats, known: NDArray[np.bool_], usual: Usual) -> Floats:
    """(n, 4) logarithms of p-values, 0 where nothing is known.

    Who stands goes no way and is not too slow: standing is nothing unusual.
    """
    p = np.ones((len(speed), len(QUANTITIES)))
    v, cell, group = np.where(known[:, None], velocity, 0.0), seen.cell, seen.group
    fast = np.where(known, speed, 0.0)
    p[:, PLACE] = usual.place_p[cell]
    p[:, KIND] = usual.kind_p[cell, seen.size]
    p[:, WAY] = np.where(fast >= STANDS_M_S, usual.way_p[cell, group, ways_of(v)], 1.0)
    p[:, SPEED] = _speed_p(seen, fast, usual)
    found: Floats = np.log(p) * known[:, None]
    return found


def _speed_p(seen: Seen, speed: Floats, usual: Usual) -> Floats:
    """(n,) p-values of speeds in m/s, by how many spreads they lie above the middle of their cell."""
    cell, group = seen.cell, seen.group
    stride = (speed - usual.middle_m_s[cell, group]) / (usual.spread_m_s[cell, group] * STRIDE)
    stride = np.minimum(np.maximum(stride, 0.0), STRIDES - 1.001)
    k = stride.astype(np.int64)
    share = stride - k
    p: Floats = usual.speed_p[group, k] ** (1.0 - share) * usual.speed_p[group, k + 1] ** share
    return np.where(speed >= usual.middle_m_s[cell, group], p, 1.0)


def _with_lost(before: Passages, made: Passages, found: NDArray[np.intp], pts_s: float) -> Passages:
    """With those who are not seen now, but were a moment ago."""
    left = pts_s - before.seen_s[:-1] <= _LOST_S
    left[found[found < len(left)]] = False
    if not left.any():
        return made
    rows = np.flatnonzero(left)
    keys = np.concatenate((before.keys[rows], made.keys))
    order = np.argsort(keys, kind="stable")
    # The blank row stays the last.
    order = np.append(order, len(keys))

    def both(old: NDArray[np.generic], new: NDArray[np.generic]) -> NDArray[Any]:
        return np.concatenate((old[rows], new))[order]

    return Passages(
        keys[order[:-1]],
        both(before.seen_s, made.seen_s),
        both(before.trail, made.trail),
        both(before.told, made.told),
        both(before.logs, made.logs),
        both(before.known, made.known),
        pts_s,
    )
