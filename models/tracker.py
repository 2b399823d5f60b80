"""Following objects from picture to picture on one camera, with true time steps.

Two-stage association after ByteTrack (arXiv:2110.06864): sure detections first, then the unsure ones for
tracks that would otherwise be lost. What differs: pictures need not be equally spaced, so all patience is in
seconds; boxes that moved too far to overlap still match if the motion filter expects them there; and ids
are random numbers of the instance, so that no two cameras ever share one and none means anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from models.boxes import iou
from models.detections import Detections, Tracks
from models.kalman import BoxFilter, Noise, to_corners

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """How patient and how strict a tracker is.

    Attributes:
        unsure_threshold: weaker detections are ignored.
        match_iou: least overlap with the forecast for a sure detection, and, below, for an unsure one.
        unsure_iou: see `match_iou`.
        max_distance: largest squared Mahalanobis distance (four degrees of freedom) without overlap.
        max_shift: farthest a sure detection may lie from the forecast without overlap, in the forecast's
            widths and heights: the filter's doubt grows without bound while a track is lost.
        confirm_s: seconds between first and newest detection that confirm a track; two at the least.
        tentative_s: seconds an unconfirmed track is kept unseen, at least until the next picture.
        lost_s: seconds a confirmed track is kept unseen.
        duplicate_iou: a detection that overlaps a matched one by more starts no track.
    """

    unsure_threshold: float = 0.1
    match_iou: float = 0.2
    unsure_iou: float = 0.4
    max_distance: float = 16.0
    max_shift: tuple[float, float] = (3.0, 0.75)
    confirm_s: float = 0.1
    tentative_s: float = 0.25
    lost_s: float = 2.0
    duplicate_iou: float = 0.7


@dataclass(slots=True, eq=False)
class _Book:
    """What is known of each track besides its motion: arrays of one row a track."""

    ids: NDArray[np.int64]
    born_s: NDArray[np.float64]
    seen_s: NDArray[np.float64]
    confirmed: NDArray[np.bool_]
    scores: NDArray[np.float32]
    labels: NDArray[np.int16]
    votes: NDArray[np.float64]

    def select(self, rows: NDArray[np.bool_] | Rows) -> "_Book":
        return _Book(*(getattr(self, field.name)[rows] for field in fields(self)))

    def join(self, other: "_Book") -> "_Book":
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return _Book(*(np.concatenate(pair) for pair in pairs))


class Tracker:
    """Follows the objects of one camera."""

    def __init__(
        self,
        start_threshold: float = 0.35,
        rng: np.random.Generator | None = None,
        options: TrackerOptions | None = None,
        groups: Sequence[int] | None = None,
    ) -> None:
        """A tracker with no tracks.

        Args:
            start_threshold: score in (0, 1) from which a detection counts as sure and may start a track.
            rng: where ids come from; the system's entropy if left out.
            options: patience and strictness.
            groups: group number of each label; a track only takes detections of its group. Left out,
                label 0 (persons) is one group and everything else another, since detectors waver
                between car and truck but not between person and thing.
        """
        if not 0.0 < start_threshold < 1.0:
            raise ValueError(f"start_threshold must be within 0 and 1, got {start_threshold}")
        self._start = start_threshold
        self._rng = rng if rng is not None else np.random.default_rng()
        self._options = options if options is not None else TrackerOptions()
        self._groups = None if groups is None else np.asarray(groups, np.int64)
        self._filter = BoxFilter.start(np.zeros((0, 4)), Noise())
        self._book = _birth(Detections.empty(), np.zeros(0, np.int64), 0.0)
        self._now_s: float | None = None

    def update(self, detections: Detections, pts_s: float) -> Tracks:
        """Take in one picture's detections at camera time `pts_s`, seconds, later than the last.

        Returns the confirmed tracks seen in this picture. The detections' order does not matter.
        Raises ValueError when time does not move on.
        """
        if self._now_s is not None and not pts_s > self._now_s:
            raise ValueError(f"time must move on: {pts_s} s after {self._now_s} s")
        if self._now_s is not None:
            self._filter.predict(pts_s - self._now_s)
        previous_s, self._now_s = self._now_s, pts_s
        found = _in_order(detections.select(detections.scores >= self._options.unsure_threshold))
        if not (len(found) or len(self._book.ids)):  # most pictures of most cameras
            return self._seen(pts_s)
        tracks, matches = self._associate(found, previous_s)
        self._take(tracks, found.select(matches), pts_s)
        self._forget(pts_s, previous_s)
        self._begin(found, matches, pts_s)
        return self._seen(pts_s)

    def _associate(self, found: Detections, previous_s: float | None) -> tuple[Rows, Rows]:
        """Rows of tracks and of the detections they take, pairwise."""
        tracks, matches = np.zeros(0, np.intp), np.zeros(0, np.intp)
        if not (len(found) and len(self._book.ids)):
            return tracks, matches
        options = self._options
        same = self._group(self._book.labels)[:, None] == self._group(found.labels)[None]
        overlap = np.where(same, iou(to_corners(self._filter.value), found.xyxy), 0.0)
        distance = np.where(same, self._filter.distance(found.xyxy), np.inf)
        sure = found.scores >= self._start
        known = self._book.confirmed
        fresh = self._book.seen_s == previous_s
        near = np.where(self._within_reach(found), 1.0 - distance / options.max_distance, 0.0)
        stages = (
            (known, sure, overlap, options.match_iou),
            (known & fresh, ~sure, overlap, options.unsure_iou),
            (~known, sure, overlap, options.match_iou),
            (known | ~known, sure, near, 0.0),
        )
        for rows, columns, affinity, least in stages:
            free = rows.copy()
            free[tracks] = False
            open_ = columns.copy()
            open_[matches] = False
            a, b = np.flatnonzero(free), np.flatnonzero(open_)
            if not (len(a) and len(b)):
                continue
            i, j = assign(affinity[np.ix_(a, b)], least)
            tracks, matches = np.concatenate((tracks, a[i])), np.concatenate((matches, b[j]))
        return tracks, matches

    def _within_reach(self, found: Detections) -> NDArray[np.bool_]:
        value = self._filter.value
        centres = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
        shift = np.abs(centres[None] - value[:, None, :2]) / value[:, None, 2:]
        return np.asarray((shift <= self._options.max_shift).all(axis=2))

    def _group(self, labels: NDArray[np.int16]) -> NDArray[np.int64]:
        return (labels != 0).astype(np.int64) if self._groups is None else self._groups[labels]

    def _take(self, rows: Rows, matched: Detections, pts_s: float) -> None:
        self._filter.correct(rows, matched.xyxy)
        book = self._book
        book.seen_s[rows] = pts_s
        book.scores[rows] = matched.scores
        book.confirmed[rows] |= pts_s - book.born_s[rows] >= self._options.confirm_s - 1e-9
        # A weighted majority vote in constant space (Boyer and Moore): the label changes only when
        # more score has spoken against it than for it.
        votes = book.votes[rows] + np.where(book.labels[rows] == matched.labels, 1.0, -1.0) * matched.scores
        book.labels[rows] = np.where(votes < 0, matched.labels, book.labels[rows])
        book.votes[rows] = np.minimum(np.abs(votes), 10.0)

    def _forget(self, pts_s: float, previous_s: float | None) -> None:
        book, options = self._book, self._options
        patience = np.where(book.confirmed, options.lost_s, options.tentative_s)
        kept = (pts_s - book.seen_s <= patience) | (book.seen_s == previous_s)
        if kept.all():
            return
        self._book, self._filter = book.select(kept), self._filter.select(kept)

    def _begin(self, found: Detections, matches: Rows, pts_s: float) -> None:
        new = found.scores >= self._start
        new[matches] = False
        if not new.any():
            return
        overlap = iou(found.xyxy, found.xyxy[matches])
        same = self._group(found.labels)[:, None] == self._group(found.labels[matches])[None]
        new &= ~(same & (overlap > self._options.duplicate_iou)).any(1)
        born = found.select(new)
        ids = self._rng.integers(1, np.iinfo(np.int64).max, len(born))
        self._book = self._book.join(_birth(born, ids, pts_s))
        self._filter = self._filter.join(BoxFilter.start(born.xyxy, self._filter.noise))

    def _seen(self, pts_s: float) -> Tracks:
        rows = self._book.confirmed & (self._book.seen_s == pts_s)
        book, state = self._book.select(rows), self._filter.select(rows)
        return Tracks(
            book.ids,
            np.clip(to_corners(state.value), 0.0, 1.0).astype(np.float32),
            state.rate[:, :2].astype(np.float32),
            (pts_s - book.born_s).astype(np.float32),
            book.scores,
            book.labels,
        )


def assign(affinity: NDArray[np.float64], least: float) -> tuple[Rows, Rows]:
    """Pair rows with columns greedily by falling affinity (n, m); pairs must exceed `least`, a share too.

    Gives the pairs' rows and columns, (k,) each.

    The optimal assignment was worse in `benchmarks/tracker.py` (mean IDF1 0.85 against 0.87): to raise the
    sum it gives a clear pair's detection away when that lets two doubtful pairs match.
    """
    rows, columns = np.nonzero(affinity > least)
    order = np.argsort(-affinity[rows, columns], kind="stable")
    taken_rows, taken_columns = set(), set()
    pairs = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            pairs.append((row, column))
    chosen = np.array(pairs, np.intp).reshape(-1, 2)
    return chosen[:, 0], chosen[:, 1]


def _birth(born: Detections, ids: NDArray[np.int64], pts_s: float) -> _Book:
    times = np.full(len(born), pts_s)
    return _Book(
        ids,
        times,
        times.copy(),
        np.zeros(len(born), np.bool_),
        born.scores,
        born.labels.copy(),
        born.scores.astype(np.float64),
    )


def _in_order(found: Detections) -> Detections:
    """Sorted by what they are, so that the order they came in changes nothing."""
    keys = (*found.xyxy.T, found.labels, -found.scores)
    return found.select(np.lexsort(keys))
