"""What of a picture must not be seen: heads or people, crowds, what moves unexplained; everything in doubt.

The rule is that nothing differs from the empty place and stays open unless it is known to be a body below a
head. Boxes of people add heads (and, in doubt, whole people), whether they differ from the place or not.
"""

import itertools
import math
from dataclasses import dataclass, field
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import bodies
from edge.backdrop import SHAPE, Backdrop
from edge.bodies import Bodies, Boxes
from edge.grid import GRID, Mask, coarser, painted, shaded
from edge.looks import Look
from edge.privacy import CameraPrivacyConfig, Cover, PrivacyConfig
from edge.sections import Polygon

CLOSE_TOGETHER = 0.3
"""Share of a person's box in another's from which they are no longer told apart."""
CROWD_HEADS = 0.15
"""Heads in a cell of the head counter's from which it is covered."""
_SPREAD_CELLS, _UP_CELLS = 1, 2
"""What is unexplained is covered so many cells farther, and upwards: hair is as dark as what is behind it."""
_HEAD_SEEN = 0.4
"""Share of the foretold head that must differ from the place for the body below it to be left open."""
_AROUND = ((0.0, 1.06, 1.0, 1.3), (-0.7, 0.35, -0.2, 0.85), (1.2, 0.35, 1.7, 0.85))
_QUIET_AROUND = 0.2
"""Beside a body and before its feet no more than that share may differ from the place: who was not found and
stands before somebody would show there."""
_UNSURE = 0.3
"""Score below which a box within a sure one's shows a part of the same person."""
_KEPT_S = 1.0
"""Looks up to so far away tell where people may be."""


def _rim(shape: tuple[int, int], wide: int) -> Mask:
    rim = np.ones(shape, np.bool_)
    rim[wide:-wide, wide:-wide] = False
    rim.flags.writeable = False
    return rim


RIM = _rim(GRID, 1)
"""(90, 160) bool: the outermost cells, always covered. The first lines of who comes in are fewer than
an encoder cares for: 28 pixels of a head at night were in the truth and not in the decoded picture."""
_NEAR_RIM = _rim(SHAPE, 6)
"""There, what is possibly something counts, too."""


@dataclass(frozen=True, slots=True)
class CoverOptions:
    """What is covered; there is no way to cover nothing.

    Attributes:
        cover: `heads`, or whole `people`.
        masks: polygons of fractions of the picture that are always covered.
        max_gap_s: without a look within so many seconds everything is covered; above 0, at most 2.
        shade: (90, 160) bool, read-only: the cells that the masks touch.
    """

    cover: Cover = "heads"
    masks: tuple[Polygon, ...] = ()
    max_gap_s: float = 1.0
    shade: Mask = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.cover not in ("heads", "people"):
            raise ValueError(f"cover must be heads or people, got {self.cover!r}")
        if not 0.0 < self.max_gap_s <= 2.0:
            raise ValueError(f"max_gap_s must be above 0 and at most 2, got {self.max_gap_s}")
        shade = np.zeros(GRID, np.bool_)
        for polygon in self.masks:
            shade |= shaded(polygon)
        shade.flags.writeable = False
        object.__setattr__(self, "shade", shade)

    @classmethod
    def of(cls, node: PrivacyConfig, camera: CameraPrivacyConfig) -> Self:
        """What the configuration asks for at a camera."""
        blind_after_s = node.blind_after_s if camera.blind_after_s is None else camera.blind_after_s
        return cls(camera.cover or node.cover, camera.masks, blind_after_s)


@dataclass(frozen=True, slots=True, eq=False)
class Witnessed:
    """What is known around a time.

    Attributes:
        looks: in order of time, each later than the one before; for a live picture only earlier ones.
        backdrop: the place without anybody; None where it is not learned.
    """

    looks: tuple[Look, ...] = ()
    backdrop: Backdrop | None = None

    def fits(self, pts_s: float) -> bool:
        """Whether it makes sense together with a picture's time."""
        times = [look.pts_s for look in self.looks]
        rising = all(sooner < later for sooner, later in itertools.pairwise(times))
        return rising and math.isfinite(pts_s)


def plan(
    options: CoverOptions,
    witnessed: Witnessed,
    luma: NDArray[np.uint8],
    pts_s: float,
    size_px: tuple[int, int],
) -> Mask:
    """What to cover of a picture.

    Args:
        options: what is wanted.
        witnessed: looks and the empty place.
        luma: (180, 320) uint8, the picture's brightness.
        pts_s: its camera time.
        size_px: its width and height.

    Returns:
        (90, 160) bool, True where it is covered; everything where too little is known.

    Raises:
        ValueError: the brightness has another shape.
    """
    if luma.shape != SHAPE or luma.dtype != np.uint8:
        raise ValueError(f"luma must be {SHAPE} uint8, got {luma.shape} {luma.dtype}")
    if witnessed.backdrop is None or not witnessed.fits(pts_s):
        return np.ones(GRID, np.bool_)
    near = [look for look in witnessed.looks if abs(look.pts_s - pts_s) <= max(_KEPT_S, options.max_gap_s)]
    gap_s = min((abs(look.pts_s - pts_s) for look in near), default=np.inf)
    if not gap_s <= options.max_gap_s:
        return np.ones(GRID, np.bool_)
    seen = bodies.at(pts_s, near, size_px)
    surely, possibly = witnessed.backdrop.strange(luma)
    strange = surely | (possibly & (painted(seen.reach, SHAPE) | _NEAR_RIM))
    covered = RIM | options.shade | painted(seen.people if options.cover == "people" else seen.heads)
    for look in _next_to(near, pts_s):
        covered |= crowded(look)
    covered |= _unexplained(strange, seen, open_bodies=options.cover == "heads")
    return covered


def _next_to(looks: list[Look], pts_s: float) -> list[Look]:
    """The last look before and the first after."""
    return [look for look in looks if look.pts_s <= pts_s][-1:] + [
        look for look in looks if look.pts_s > pts_s
    ][:1]


def crowded(look: Look) -> Mask:
    """(90, 160) bool: where people stand too close to be told apart."""
    grid = painted(look.boxes[_packed(look)])
    if look.heads is not None:
        grid |= coarser(look.heads.counts >= CROWD_HEADS)
    return grid


def occupied(look: Look) -> Mask:
    """(180, 320) bool: where somebody was found at a look, with some room; nothing is learned there."""
    width, height = (look.boxes[:, k + 2] - look.boxes[:, k] for k in (0, 1))
    room = np.column_stack((-0.2 * width, -0.1 * height, 0.2 * width, 0.1 * height))
    return painted(look.boxes + room, SHAPE) | coarser(crowded(look), SHAPE)


def _packed(look: Look) -> NDArray[np.bool_]:
    """(n,) who stands before or behind two others at least."""
    if len(look) < 3:
        return np.zeros(len(look), np.bool_)
    return np.asarray((_shared(look.boxes) >= CLOSE_TOGETHER).sum(axis=1) >= 2)


def _shared(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, n) share of each box that each other one covers; 0 with itself."""
    b = np.asarray(boxes, np.float64)
    low, high = np.maximum(b[:, None, :2], b[None, :, :2]), np.minimum(b[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    area = np.maximum((b[:, 2:] - b[:, :2]).prod(axis=1), 1e-12)
    share = shared / area[:, None]
    np.fill_diagonal(share, 0.0)
    return np.asarray(share)


def _unexplained(strange: Mask, seen: Bodies, *, open_bodies: bool) -> Mask:
    """Cells with what is strange and no body below a head, spread a little, holes closed."""
    left, opened = strange, np.zeros(GRID, np.bool_)
    if open_bodies and seen.clear.any():
        bodies_seen = _open(strange, seen)
        left = strange & ~painted(bodies_seen, SHAPE, inside=True)
        opened = painted(bodies_seen, inside=True)
    cells = coarser(left).astype(np.uint8)
    closed = cv2.morphologyEx(cells, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    size = 2 * _SPREAD_CELLS + 1
    kernel = np.ones((size + _UP_CELLS, size), np.uint8)
    # The anchor makes it reach farther up than down.
    spread = cv2.dilate(closed, kernel, anchor=(_SPREAD_CELLS, _SPREAD_CELLS))
    # Nothing is spread over them: what is beside them is theirs, or they would not be open.
    return np.asarray((spread > 0) & ~opened)


def _open(strange: Mask, seen: Bodies) -> Boxes:
    """(k, 4) boxes of bodies that may be seen: alone, and with the head where it was foretold."""
    rows = np.flatnonzero(seen.clear)
    boxes = seen.boxes[rows]
    parts = bodies.below_head(boxes, seen.doubt[rows])
    sums = _sums(strange)
    fit = _alone(parts, rows, seen) & (_share(sums, _part(boxes, (0.3, 0.02, 0.7, 0.15))) >= _HEAD_SEEN)
    for side in _AROUND:
        fit &= _share(sums, _part(boxes, side)) <= _QUIET_AROUND
    return parts[fit]


def _alone(parts: Boxes, rows: NDArray[np.intp], seen: Bodies) -> NDArray[np.bool_]:
    """(k,) whose body no other person's box touches.

    Detectors also see parts of a person: an unsure, untracked box within a sure one is that person's.
    """
    every, own = seen.people, seen.boxes[rows]
    low = np.maximum(parts[:, None, :2], every[None, :, :2])
    high = np.minimum(parts[:, None, 2:], every[None, :, 2:])
    touch = (high > low).all(axis=2)
    room = 0.2 * (own[:, 2:] - own[:, :2])[:, None]
    within = (seen.boxes[None, :, :2] >= own[:, None, :2] - room).all(axis=2)
    within &= (seen.boxes[None, :, 2:] <= own[:, None, 2:] + room).all(axis=2)
    same = within & ~seen.tracked & (seen.scores < _UNSURE)
    same[np.arange(len(rows)), rows] = True
    return np.asarray(~(touch & ~same).any(axis=1))


def _part(boxes: Boxes, share: tuple[float, float, float, float]) -> Boxes:
    """(k, 4) parts of boxes; 0 is a box's left or upper side, 1 its right or lower."""
    low, size = np.tile(boxes[:, :2], 2), np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return np.asarray(low + size * share)


def _sums(mask: Mask) -> NDArray[np.int32]:
    """(h + 1, w + 1): how much of a mask is above and left of each corner."""
    return np.asarray(cv2.integral(mask.view(np.uint8)), np.int32)


def _share(sums: NDArray[np.int32], boxes: Boxes) -> NDArray[np.float64]:
    """(k,) share of each box, fractions of the picture, that a mask fills; 0 beyond the picture."""
    rows, columns = sums.shape[0] - 1, sums.shape[1] - 1
    scaled = boxes * (columns, rows, columns, rows)
    left, top = np.clip(np.floor(scaled[:, :2]), 0, (columns, rows)).astype(np.intp).T
    right, bottom = np.clip(np.ceil(scaled[:, 2:]), 0, (columns, rows)).astype(np.intp).T
    held = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return np.asarray(held / np.maximum((bottom - top) * (right - left), 1))
