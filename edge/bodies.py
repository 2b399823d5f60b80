"""Where people and their heads are between looks: boxes carried on, grown with what cannot be known."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edge.looks import UNTRACKED, Look

Boxes = NDArray[np.float64]
Floats = NDArray[np.float64]

HEAD_SHARE = 0.30
"""Of an upright person's box, from its top: a head is 0.13 of a stature, hair and hats more, boxes waver."""
_SIDE, _ABOVE = 0.15, 0.08
"""How far what is covered goes beyond the box, in its widths and heights."""
_UPRIGHT = 1.7
"""Boxes less high than so many widths show who sits, bends or lies, or several: the head may be anywhere."""
SMALL_PX = 24.0
"""Smaller people are covered whole."""
FASTEST = 8.0 / 1.7
"""People run at 8 m/s at most: statures of 1.7 m a second."""
_DRIFT, _PER_SPEED = 0.12, 0.25
"""Heights a second by which somebody leaves what a look foretold: always, and more for each of speed."""
_LONGEST_S = 2.0
_SURE = 0.4
"""Least score of who is well enough seen that the body below the head can be left open."""
_CLEAR_DOUBT = 0.25
_EDGE = 0.97
"""Before who stands lower, at the picture's edge, somebody may come in who is nothing but a head."""


@dataclass(frozen=True, slots=True, eq=False)
class Bodies:
    """People as they are thought to be at one time.

    Attributes:
        boxes: (n, 4) float64 fractions of the picture, carried on to the time.
        before: (n, 4) the same where they were last seen.
        doubt: (n,) how far each may be off, in its heights.
        away_s: (n,) seconds to the look that tells of them.
        scores: (n,) 0 to 1.
        whole: (n,) bool, whether the head may be anywhere in the box.
        tracked: (n,) bool.
        clear: (n,) bool, seen so well and lately that what is below the head is known to be a body.
    """

    boxes: Boxes
    before: Boxes
    doubt: Floats
    away_s: Floats
    scores: Floats
    whole: NDArray[np.bool_]
    tracked: NDArray[np.bool_]
    clear: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def people(self) -> Boxes:
        """(n, 4): where they are, from where they were last seen, with their doubt."""
        return _grown(_hull(self.boxes, self.before), (_ABOVE + self.doubt) * _heights(self.boxes))

    @property
    def heads(self) -> Boxes:
        """(n, 4): the same of their heads; the whole of who is small, sits, bends or lies."""
        now, then = (np.where(self.whole[:, None], b, _top(b)) for b in (self.boxes, self.before))
        return _grown(_hull(now, then), (_ABOVE + self.doubt) * _heights(self.boxes))

    @property
    def reach(self) -> Boxes:
        """(n, 4): as far as they can have run since they were seen."""
        return _grown(_hull(self.boxes, self.before), (_ABOVE + FASTEST * self.away_s) * _heights(self.boxes))


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of several looks in one table; see `Look`. `t` is camera time."""

    t: Floats
    boxes: Boxes
    scores: Floats
    velocity: Floats
    tracks: NDArray[np.int64]

    @classmethod
    def of(cls, looks: list[Look]) -> Self:
        return cls(
            np.concatenate([np.zeros(0), *(np.full(len(look), look.pts_s) for look in looks)]),
            np.concatenate([np.zeros((0, 4)), *(look.boxes for look in looks)]),
            np.concatenate([np.zeros(0), *(look.scores for look in looks)]),
            np.concatenate([np.zeros((0, 2)), *(look.velocity for look in looks)]),
            np.concatenate([np.zeros(0, np.int64), *(look.tracks for look in looks)]),
        )

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "_Rows":
        return _Rows(*(getattr(self, f.name)[rows] for f in fields(self)))

    def nearest(self, pts_s: float) -> "_Rows":
        """Of each track, the row whose time is nearest, by rising track."""
        order = np.lexsort((np.abs(self.t - pts_s), self.tracks))
        return self.select(order[np.unique(self.tracks[order], return_index=True)[1]])


def at(pts_s: float, looks: list[Look], size_px: tuple[int, int]) -> Bodies:
    """Everybody seen around a time, carried on to it.

    Who has a track is where it leads: between looks on both sides in the middle, beyond them along its
    velocity. Who has none is where the last look before saw them, and where the first look after does.

    Args:
        pts_s: camera time.
        looks: in order of time, before and after it.
        size_px: width and height of the picture.
    """
    past = _Rows.of([look for look in looks if look.pts_s <= pts_s])
    future = _Rows.of([look for look in looks if look.pts_s > pts_s])
    before, after = (rows.select(rows.tracks != UNTRACKED).nearest(pts_s) for rows in (past, future))
    left, right = _in_both(before.tracks, after.tracks), _in_both(after.tracks, before.tracks)
    parts = [_between(before.select(left), after.select(right), pts_s)]
    parts += [_beyond(rows.select(~one), pts_s, size_px) for rows, one in ((before, left), (after, right))]
    for rows in (past, future):
        alone = rows.select(rows.tracks == UNTRACKED)
        nearest_s = np.abs(rows.t - pts_s).min(initial=np.inf)
        last: NDArray[np.bool_] = np.abs(alone.t - pts_s) <= nearest_s
        parts.append(_beyond(alone.select(last), pts_s, size_px))
    boxes, was, doubt, away_s, scores, tracked = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    wide, high = (boxes[:, k + 2] - boxes[:, k] for k in (0, 1))
    whole = (high * size_px[1] < _UPRIGHT * wide * size_px[0]) | (high * size_px[1] < SMALL_PX)
    lately = away_s <= min((abs(look.pts_s - pts_s) for look in looks), default=0.0) + 1e-6
    clear = tracked & lately & ~whole & (scores >= _SURE) & (doubt < _CLEAR_DOUBT) & (boxes[:, 3] < _EDGE)
    return Bodies(boxes, was, doubt, away_s, scores, whole, tracked, clear)


def _in_both(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(np.isin(a, b), np.bool_)


_Part = tuple[Boxes, Boxes, Floats, Floats, Floats, NDArray[np.bool_]]


def _between(before: _Rows, after: _Rows, pts_s: float) -> _Part:
    """Tracks that looks on both sides saw; rows of one are rows of the other."""
    share = ((pts_s - before.t) / np.maximum(after.t - before.t, 1e-9))[:, None]
    boxes = (1.0 - share) * before.boxes + share * after.boxes
    gap_s = np.minimum(pts_s - before.t, after.t - pts_s)
    scores = np.minimum(before.scores, after.scores)
    return boxes, boxes, _DRIFT * gap_s, gap_s, scores, np.ones(len(boxes), np.bool_)


def _beyond(rows: _Rows, pts_s: float, size_px: tuple[int, int]) -> _Part:
    """Rows carried along their velocity, or left where they are for want of one."""
    step_s = np.clip(pts_s - rows.t, -_LONGEST_S, _LONGEST_S)
    heights = _heights(rows.boxes)
    known: NDArray[np.bool_] = np.asarray(np.isfinite(rows.velocity).all(axis=1), np.bool_)
    velocity = np.where(known[:, None], rows.velocity, 0.0)
    # In heights of the person a second: widths of the picture are longer than its heights.
    pace = np.hypot(velocity[:, 0] * size_px[0] / size_px[1], velocity[:, 1]) / heights
    velocity *= np.minimum(1.0, FASTEST / np.maximum(pace, 1e-9))[:, None]
    doubt = np.abs(step_s) * (_DRIFT + _PER_SPEED * np.minimum(pace, FASTEST))
    boxes = rows.boxes + np.tile(velocity * step_s[:, None], 2)
    return boxes, rows.boxes, doubt, np.abs(step_s), rows.scores, rows.tracks != UNTRACKED


def below_head(boxes: Boxes, doubt: Floats) -> Boxes:
    """(n, 4): of upright people's boxes what is surely below the head."""
    width, height = boxes[:, 2] - boxes[:, 0], _heights(boxes)
    top = boxes[:, 1] + (HEAD_SHARE + _ABOVE + doubt) * height
    return np.column_stack(
        (boxes[:, 0] - 0.1 * width, top, boxes[:, 2] + 0.1 * width, boxes[:, 3] + 0.04 * height)
    )


def _top(boxes: Boxes) -> Boxes:
    lower = boxes[:, 1] + HEAD_SHARE * (boxes[:, 3] - boxes[:, 1])
    return np.column_stack((boxes[:, 0], boxes[:, 1], boxes[:, 2], lower))


def _hull(a: Boxes, b: Boxes) -> Boxes:
    return np.column_stack((np.minimum(a[:, :2], b[:, :2]), np.maximum(a[:, 2:], b[:, 2:])))


def _heights(boxes: Boxes) -> Floats:
    return np.maximum(boxes[:, 3] - boxes[:, 1], 1e-6)


def _grown(boxes: Boxes, by: Floats) -> Boxes:
    """Boxes grown by so much of the picture's height up and down, and to the sides by as much, at least."""
    aside = np.maximum(_SIDE * (boxes[:, 2] - boxes[:, 0]), by * 0.6)
    return np.column_stack((boxes[:, 0] - aside, boxes[:, 1] - by, boxes[:, 2] + aside, boxes[:, 3] + by))
