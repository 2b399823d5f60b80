"""What burns or smokes at one place for several looks: a single look never makes an alarm."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats
from edge.ground import GroundPlane
from edge.site import Zone
from models.fire import Box, Flame

LEAST_LOOKS = 3
"""Fewer looks decide nothing, however far apart they are."""

_MEMORY_S = 60.0
_SAME_SHARE = 0.3
"""Two boxes are of the same fire from this share of the smaller one on, which a flame in its smoke has."""
_LEAST_INSIDE = 0.1
_GRID = 9
_EPS_S = 1e-6


@dataclass(frozen=True, slots=True)
class Past:
    """One look: when it was, and what burned or smoked in the zone then."""

    pts_s: float
    flames: tuple[Flame, ...]


@dataclass(frozen=True, slots=True)
class Alight:
    """What is remembered of a zone: its looks of the last minute or more, oldest first."""

    looks: tuple[Past, ...] = ()


@dataclass(frozen=True, slots=True)
class Vote:
    """What the looks say together of one flame that is seen now.

    Attributes:
        flame: as it is seen now.
        share: of the looks from the first one in which it was seen to now, in how many; 0 to 1.
        present_s: seconds since then.
        looks: how many that are.
    """

    flame: Flame
    share: float
    present_s: float
    looks: int


def step_alight(state: Alight, flames: Sequence[Flame], pts_s: float, wait_s: float) -> Alight:
    """The state after one look.

    Args:
        state: before it.
        flames: in the zone, sure enough to count.
        pts_s: camera time; a clock that was set back makes all before it worthless.
        wait_s: seconds that something must be present.
    """
    past = state.looks
    if past and pts_s <= past[-1].pts_s:
        past = ()
    oldest_s = pts_s - max(_MEMORY_S, 2 * wait_s)
    kept = tuple(look for look in past if look.pts_s >= oldest_s)
    return replace(state, looks=(*kept, Past(pts_s, tuple(flames))))


def votes(state: Alight, wait_s: float, least_share: float) -> list[Vote]:
    """One for each flame of the last look: of those stretches of looks that bear it out, the longest.

    A stretch begins with a look in which it was seen, ends now, lasts `wait_s` and has three looks or more;
    it bears the flame out when that was seen in `least_share` of them. Where none does, the vote is that of
    all looks since it was first seen, with `looks` 0.
    """
    if not state.looks:
        return []
    return [_vote(state.looks, flame, wait_s, least_share) for flame in state.looks[-1].flames]


def _vote(looks: tuple[Past, ...], flame: Flame, wait_s: float, least_share: float) -> Vote:
    seen = np.array([any(same(flame.box, one.box) for one in look.flames) for look in looks], np.bool_)
    times_s = np.array([look.pts_s for look in looks])
    ages_s = times_s[-1] - times_s
    counts = np.arange(len(looks), 0, -1)
    shares = np.cumsum(seen[::-1])[::-1] / counts
    borne = seen & (ages_s >= wait_s - _EPS_S) & (counts >= LEAST_LOOKS) & (shares >= least_share - 1e-9)
    found = np.flatnonzero(borne)
    first = int(found[0]) if len(found) else int(np.argmax(seen))
    return Vote(flame, float(shares[first]), float(ages_s[first]), int(counts[first]) if len(found) else 0)


def same(a: Box, b: Box) -> bool:
    """Whether two boxes overlap so much that they may be of the same fire."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return False
    return width * height >= _SAME_SHARE * min((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))


def within(box: Box, zone: Zone, plane: GroundPlane | None) -> bool:
    """Whether a box belongs to a zone: its middle lies there, or a tenth of it does.

    Not the lower edge, as with people: smoke hangs in the air, and flames reach out of windows.
    """
    held = _held(_points(box, _GRID), zone, plane)
    return bool(held[len(held) // 2] or held.mean() >= _LEAST_INSIDE)


def parts_of(zone: Zone, plane: GroundPlane | None, size_px: tuple[int, int], most: int) -> tuple[Box, ...]:
    """The parts of a picture in which a zone is looked at, row by row: about as wide as high, `most` at most.

    Args:
        zone: where.
        plane: the camera's ground; None without one.
        size_px: of the picture, width and height.
        most: parts at most, 1 or more.
    """
    left, top, right, bottom = _bounds(zone, plane)
    ratio = (right - left) * size_px[0] / ((bottom - top) * size_px[1])
    columns = min(max(round(ratio), 1), most)
    rows = min(max(round(1 / ratio), 1), most)
    across, down = np.linspace(left, right, columns + 1), np.linspace(top, bottom, rows + 1)
    parts = [
        (float(across[c]), float(down[r]), float(across[c + 1]), float(down[r + 1]))
        for r in range(rows)
        for c in range(columns)
    ]
    return tuple(part for part in parts if _held(_points(part, 4 * _GRID), zone, plane).any()) or tuple(parts)


def _bounds(zone: Zone, plane: GroundPlane | None) -> Box:
    """The smallest upright box around what is seen of a zone; the whole picture where that is too little."""
    if zone.units == "image":
        low, high = np.clip(zone.polygon.min(0), 0, 1), np.clip(zone.polygon.max(0), 0, 1)
    else:
        held = _points((0.0, 0.0, 1.0, 1.0), 99)[_held(_points((0.0, 0.0, 1.0, 1.0), 99), zone, plane)]
        if not len(held):
            return (0.0, 0.0, 1.0, 1.0)
        low, high = np.clip(held.min(0) - 0.005, 0, 1), np.clip(held.max(0) + 0.005, 0, 1)
    if min(high - low) < 1e-3:
        return (0.0, 0.0, 1.0, 1.0)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _points(box: Box, side: int) -> Floats:
    """Middles of side x side cells of a box: (side * side, 2) fractions; of odd sides, its middle amid."""
    steps = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(box[0] + steps * (box[2] - box[0]), box[1] + steps * (box[3] - box[1]))
    return np.column_stack((x.ravel(), y.ravel()))


def _held(points: Floats, zone: Zone, plane: GroundPlane | None) -> NDArray[np.bool_]:
    ground = plane.to_ground(points) if plane is not None else None
    return zone.holds(points, ground)
