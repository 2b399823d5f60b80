"""Bridges a tracker's slips: a track that ends and one that begins at the same place a moment later are one.

Position, size and time of one camera are all it looks at, for a second and a half: nobody is recognised, and
what has been gone for longer starts anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from models.detections import Tracks

BRIDGE_S = 1.5
"""So long a lost track can be taken up by another number."""

_REACH = 1.0
"""Farthest foot point to foot point, in the lost box's widths across and half its heights along."""

_SCALE = 1.6
"""Largest ratio of the two boxes' heights."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The last that was seen of one track.

    Attributes:
        key: number under which the analytics know it, in memory only.
        seen_s: camera time.
        label: class index.
        foot: x, y as fractions of the picture.
        size: width, height of the box likewise.
        velocity: of the box's centre, fractions per second.
    """

    key: int
    seen_s: float
    label: int
    foot: tuple[float, float]
    size: tuple[float, float]
    velocity: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Continuity:
    """Traces by the tracker's number. Those unseen for `BRIDGE_S` are dropped, so it stays small."""

    traces: Mapping[int, Trace] = field(default_factory=lambda: MappingProxyType({}))
    next_key: int = 0


def step(state: Continuity, tracks: Tracks, pts_s: float) -> tuple[Continuity, NDArray[np.int64]]:
    """Give each track a key that survives a change of its number.

    Args:
        state: from the look before.
        tracks: of this look.
        pts_s: camera time, not below the last one's.

    Returns:
        The next state, and (n,) int64 keys, distinct within a look.
    """
    ids = [int(i) for i in tracks.ids]
    present = set(ids)
    orphans = {
        i: trace for i, trace in state.traces.items() if i not in present and pts_s - trace.seen_s <= BRIDGE_S
    }
    seen = _traces(tracks, pts_s)
    newborn = [row for row, i in enumerate(ids) if i not in state.traces]
    taken = _take_up(orphans, {row: seen[row] for row in newborn}, pts_s)
    traces, next_key, keys = {}, state.next_key, []
    for row, i in enumerate(ids):
        if i in state.traces:
            key = state.traces[i].key
        elif row in taken:
            key = orphans.pop(taken[row]).key
        else:
            key, next_key = next_key, next_key + 1
        keys.append(key)
        traces[i] = replace(seen[row], key=key)
    traces.update(orphans)
    return Continuity(MappingProxyType(traces), next_key), np.array(keys, np.int64)


def _traces(tracks: Tracks, pts_s: float) -> list[Trace]:
    feet = tracks.foot_points.tolist()
    sizes = (tracks.xyxy[:, 2:] - tracks.xyxy[:, :2]).tolist()
    rows = zip(tracks.labels.tolist(), feet, sizes, tracks.velocity.tolist(), strict=True)
    return [
        Trace(-1, pts_s, label, (foot[0], foot[1]), (size[0], size[1]), (velocity[0], velocity[1]))
        for label, foot, size, velocity in rows
    ]


def _take_up(orphans: Mapping[int, Trace], newborn: Mapping[int, Trace], pts_s: float) -> dict[int, int]:
    """Nearest pairs first: row of the newborn -> id of the orphan."""
    pairs = sorted(
        (distance, row, i)
        for i, old in orphans.items()
        for row, new in newborn.items()
        if (distance := _distance(old, new, pts_s)) <= _REACH
    )
    taken: dict[int, int] = {}
    for _, row, i in pairs:
        if row not in taken and i not in taken.values():
            taken[row] = i
    return taken


def _distance(old: Trace, new: Trace, pts_s: float) -> float:
    """How far the newborn's foot is from where the orphan's is expected; infinite for unlike boxes."""
    (old_w, old_h), (_, new_h) = old.size, new.size
    if old.label != new.label or min(old_w, old_h, new_h) <= 0:
        return float("inf")
    if max(old_h, new_h) > _SCALE * min(old_h, new_h):
        return float("inf")
    gone = pts_s - old.seen_s
    dx = new.foot[0] - old.foot[0] - old.velocity[0] * gone
    dy = new.foot[1] - old.foot[1] - old.velocity[1] * gone
    return float(np.hypot(dx / old_w, dy / (old_h / 2)))
