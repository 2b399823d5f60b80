"""How long something has stood at one place, as a pure step: it may be overlooked now and then."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.blobs import overlap

FORGET_S = 10.0
"""Something unseen for no longer than this has stood there all the time."""

SAME = 0.6
"""Least overlap, intersection over union, of a box with the one that it first had: what creeps, drives."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where something stands.

    Attributes:
        box: left, top, right, bottom where it was first seen, fractions of the picture.
        since_s: camera time of that.
        seen_s: camera time when it was last seen.
    """

    box: tuple[float, float, float, float]
    since_s: float
    seen_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Spots, the oldest first, and the time of the last look."""

    spots: tuple[Spot, ...] = ()
    looked_s: float = float("-inf")


def step_standing(
    state: Standing, boxes: NDArray[np.floating], pts_s: float
) -> tuple[Standing, NDArray[np.float64]]:
    """Follow how long each has stood.

    Args:
        state: from the look before.
        boxes: (n, 4) fractions of the picture.
        pts_s: camera time, not below the last one's.

    Returns:
        The next state, and (n,) seconds that each box has been where it is.
    """
    known = [
        spot
        for spot in state.spots
        # Looks may be farther apart than FORGET_S: what was there at the last one has not been away.
        if pts_s - spot.seen_s <= FORGET_S or spot.seen_s == state.looked_s
    ]
    seconds = np.zeros(len(boxes))
    taken: list[Spot] = []
    left = list(known)
    for row in np.argsort(boxes[:, 0] if len(boxes) else np.zeros(0), kind="stable").tolist():
        box = (float(boxes[row, 0]), float(boxes[row, 1]), float(boxes[row, 2]), float(boxes[row, 3]))
        spot = _nearest(left, box)
        if spot is None:
            taken.append(Spot(box, pts_s, pts_s))
            continue
        left.remove(spot)
        taken.append(Spot(spot.box, spot.since_s, pts_s))
        seconds[row] = pts_s - spot.since_s
    spots = sorted((*taken, *left), key=lambda spot: (spot.since_s, spot.box))
    return Standing(tuple(spots), pts_s), seconds


def _nearest(spots: Sequence[Spot], box: tuple[float, float, float, float]) -> Spot | None:
    best = max(spots, key=lambda spot: overlap(spot.box, box), default=None)
    return best if best is not None and overlap(best.box, box) >= SAME else None
