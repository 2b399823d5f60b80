"""Walking people as rulers: where they stand in the picture, how tall they look, and how they move on.

Only sizes and places of whole boxes are kept, in memory, for as long as a calibration takes. Boxes that lie
about a person's height are left out here as far as one box tells; the fit withstands the rest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats
from models.boxes import covered
from models.detections import Tracks

CHUNK_S = 1.0
"""Looks are joined to medians over so long: a stride, so that the gait's swing cancels out."""
EDGE = 0.01
"""Boxes so near to the picture's edge, as a share of it, may be cut off by it."""
HIDDEN = 0.05
"""Share of a box's lower half that others may cover before its foot counts as hidden."""
LEAST_LOOKS = 4
MOVED = 1.0
"""Who moves less than so many of their own heights in the picture's plane may be sitting, or be no person."""
SLIM, STOUT = 4.5, 1.5
"""Height over width of an upright adult's box, at most and at least: people sitting or cycling are wider."""
MOST_CHUNKS = 12
"""Of each walker, evenly spread: one who stays long shall not outvote those who pass."""


@dataclass(frozen=True, slots=True, eq=False)
class Walks:
    """What walking people told, one row a person and second, in picture heights from the picture's centre.

    Attributes:
        walker: (n,) int64, 0 to `walkers` - 1, ascending.
        time_s: (n,) float64 seconds.
        x: (n,) float64, the foot's place to the right of the centre, in picture heights.
        y: (n,) float64, the same downwards.
        size: (n,) float64, how tall the box is, in picture heights.
        walkers: how many people there are.
        seen: how many were seen, before those were left out that do not serve.
        aspect: the picture's width over its height, a ratio.
    """

    walker: NDArray[np.int64]
    time_s: Floats
    x: Floats
    y: Floats
    size: Floats
    walkers: int
    seen: int
    aspect: float

    def __len__(self) -> int:
        return len(self.walker)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(walkers,) rows of each."""
        return np.bincount(self.walker, minlength=self.walkers).astype(np.int64)


class WalkerLog:
    """Collects people from picture to picture.

    Args:
        aspect: the picture's width over its height, a ratio.
        person: label of persons.

    Attributes:
        looks: whole upright boxes kept so far.
    """

    def __init__(self, aspect: float, person: int = 0) -> None:
        if not aspect > 0:
            raise ValueError(f"aspect must be positive, got {aspect}")
        self.aspect = aspect
        self.looks = 0
        self._person = person
        self._seen: set[int] = set()
        self._rows: list[Floats] = []

    def add(self, tracks: Tracks, pts_s: float) -> None:
        """Take one picture's people in, at camera time `pts_s` seconds."""
        boxes = tracks.xyxy.astype(np.float64)
        kept = (tracks.labels == self._person) & ~_cut(boxes) & (_covered(boxes) <= HIDDEN)
        self._seen.update(tracks.ids[tracks.labels == self._person].tolist())
        if not kept.any():
            return
        left, top, right, bottom = boxes[kept].T
        ids = tracks.ids[kept].view(np.float64)  # carried bit by bit, only ever compared
        times = np.full(len(ids), pts_s)
        width, size = (right - left) * self.aspect, bottom - top
        x, y = ((left + right) / 2 - 0.5) * self.aspect, bottom - 0.5
        self._rows.append(np.column_stack((ids, times, x, y, size, size / np.maximum(width, 1e-9))))
        self.looks += len(ids)

    @property
    def people(self) -> int:
        """How many were seen, whether they serve or not."""
        return len(self._seen)

    def walks(self) -> Walks:
        """Those who walked, in medians over `CHUNK_S` seconds."""
        kept: list[Floats] = []
        if self._rows:
            rows = np.concatenate(self._rows)
            ids = np.ascontiguousarray(rows[:, 0]).view(np.int64)
            for key in np.unique(ids):
                chunks = _chunks(rows[ids == key, 1:])
                if chunks is not None:
                    kept.append(np.column_stack((np.full(len(chunks), len(kept)), chunks)))
        table = np.concatenate(kept) if kept else np.zeros((0, 5))
        walker = table[:, 0].astype(np.int64)
        time_s, x, y, size = table[:, 1:].T
        return Walks(walker, time_s, x, y, size, len(kept), len(self._seen), self.aspect)


def _cut(boxes: Floats) -> NDArray[np.bool_]:
    return np.asarray(((boxes[:, :2] < EDGE) | (boxes[:, 2:] > 1 - EDGE)).any(axis=1))


def _covered(boxes: Floats) -> Floats:
    """Largest share of each box's lower half that one nearer box covers: (n, 4) -> (n,)."""
    if len(boxes) < 2:
        return np.zeros(len(boxes))
    lower = boxes.copy()
    lower[:, 1] = (boxes[:, 1] + boxes[:, 3]) / 2
    nearer = boxes[None, :, 3] > boxes[:, None, 3]  # stands before, as its foot is lower in the picture
    most: Floats = np.where(nearer, covered(lower, boxes), 0.0).max(axis=1)
    return most


def _chunks(rows: Floats) -> Floats | None:
    """One person's looks (n, 5) as medians (k, 4) of time, x, y, size; None where they do not serve."""
    if len(rows) < LEAST_LOOKS:
        return None
    upright = rows[:, 4]
    if not STOUT <= float(np.median(upright)) <= SLIM:
        return None
    rows = rows[(upright > 0.8 * STOUT) & (upright < 1.2 * SLIM)]
    moved = float(np.hypot(np.ptp(rows[:, 1]), np.ptp(rows[:, 2])))
    if len(rows) < LEAST_LOOKS or moved < MOVED * float(np.median(rows[:, 3])):
        return None
    number = np.floor((rows[:, 0] - rows[0, 0]) / CHUNK_S)
    found = [np.median(rows[number == k, :4], axis=0) for k in np.unique(number) if (number == k).sum() >= 2]
    if len(found) < 2:
        return None
    if len(found) > MOST_CHUNKS:
        found = [found[k] for k in np.linspace(0, len(found) - 1, MOST_CHUNKS).round().astype(int)]
    chunks: Floats = np.array(found)
    return chunks
