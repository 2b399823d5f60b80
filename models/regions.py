"""Where to look in a picture, and how closely: around motion and tracks instead of everywhere.

A look at the whole picture costs the same whether one person is in it or fifty, and shrinks all of them. A
region is a part of the picture with an input of its own size: less input where little moves, or a closer look
at small people for less than the whole picture costs. That pays because a network of free size costs its
pixels (0.21 ms per 1000 with INT8 on an EPYC core without VNNI) and hardly anything for a run (0.1 ms).

Recall of people and CPU a look, 1080p at 5 fps, tracking of the regions included, by `benchmarks/regions.py`:

| | few, near | few, far | many |
|---|---|---|---|
| whole picture, 416x256 | 0.97, 27 ms | 0.46, 27 ms | 0.69, 26 ms |
| regions, `closest=1` | 0.97, 14 ms | 0.40, 9 ms | 0.69, 21 ms |
| regions | 0.99, 21 ms | 0.85, 16 ms | 0.82, 28 ms |
| regions, `detail=2` | 0.99, 31 ms | 0.95, 26 ms | 0.95, 103 ms |
| whole picture, 832x480 | 0.96, 94 ms | 0.85, 95 ms | 0.92, 92 ms |
| 2 x 2 tiles | 0.91, 106 ms | 0.83, 108 ms | 0.89, 106 ms |

So there are no tiles here: an input of twice the size sees more for less, and no seam cuts people who are
near (on footage of one large person, tiles find 1 %). Nor do several cameras share a canvas: the regions of
five cost 17.1 ms a camera apart and 17.8 ms packed, with the same recall within 0.02.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models import boxes
from models.detections import Detections
from models.detector import Detector, Picture

Boxes = NDArray[np.floating] | Sequence[tuple[float, float, float, float]]
Size = tuple[int, int]

CUT_PX = 3.0
"""Pixels of the input: a box that ends so near to a region's border was cut by it, for all we know."""
CUT_SHARE = 0.04
"""The same as a share of the box: the sides of large boxes are known less exactly."""
_CLOCK_S = _WHOLE = 1e-6


class CroppingPicture(Picture, Protocol):
    """A picture that also scales a part of itself, in one step."""

    def crop(self, part: tuple[int, int, int, int], width: int, height: int) -> NDArray[np.uint8]:
        """The part (left, top, right, bottom, in the picture's pixels), scaled: (height, width, 3) uint8."""
        ...


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture, and the input with which it is looked at.

    Attributes:
        part: left, top, right, bottom, whole pixels of the picture.
        input_size: width and height of the network's input, into which the part is fitted.
    """

    part: tuple[int, int, int, int]
    input_size: Size

    def __post_init__(self) -> None:
        left, top, right, bottom = self.part
        if not (0 <= left < right and 0 <= top < bottom):
            raise ValueError(f"a region must have an area within the picture, got {self.part}")
        if min(self.input_size) < 1:
            raise ValueError(f"an input cannot be {self.input_size[0]}x{self.input_size[1]}")

    @property
    def size(self) -> Size:
        """Width and height in the picture's pixels."""
        left, top, right, bottom = self.part
        return right - left, bottom - top

    @property
    def cost(self) -> int:
        """Pixels of the input."""
        return self.input_size[0] * self.input_size[1]


@dataclass(frozen=True, slots=True)
class RegionOptions:
    """How regions are chosen. Inputs are those of a network of free size.

    Attributes:
        input_size: largest width and height of the input for the whole picture.
        stride: the sides of inputs are multiples of it.
        object_px: how high an object should be in the input.
        closest: largest scale, in terms of that of the whole picture; never beyond the picture's own pixels.
        detail: above 1, the whole picture is looked at twice, the second time so much closer.
        margin: what is seen around a box on each side, as a share of its longer side.
        least_margin_px: the same at least, in pixels of the input.
        run_px: what a run costs on top of its pixels, in pixels: cropping, calling, reading.
        most: more boxes than this are looked at as a whole.
    """

    input_size: Size = (416, 416)
    stride: int = 32
    object_px: float = 64.0
    closest: float = 3.0
    detail: float = 1.0
    margin: float = 0.3
    least_margin_px: float = 12.0
    run_px: int = 8000
    most: int = 16

    def __post_init__(self) -> None:
        if self.stride < 1 or any(side < self.stride or side % self.stride for side in self.input_size):
            raise ValueError(f"an input of {self.input_size} is no multiple of stride {self.stride}")
        if min(self.closest, self.detail) < 1 or not self.object_px > 0:
            raise ValueError("closest and detail must be at least 1, object_px positive")
        if min(self.margin, self.least_margin_px, self.run_px, self.most) < 0:
            raise ValueError("margins, run_px and most cannot be negative")


class _Group(NamedTuple):
    """Boxes looked at together: an area in the picture's pixels, and the scale that its smallest needs."""

    left: float
    top: float
    right: float
    bottom: float
    scale: float

    def joined(self, other: "_Group") -> "_Group":
        return _Group(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
            max(self.scale, other.scale),
        )

    def covers(self, other: "_Group") -> bool:
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )

    def input_size(self, stride: int) -> Size:
        return (
            _multiple((self.right - self.left) * self.scale, stride),
            _multiple((self.bottom - self.top) * self.scale, stride),
        )

    def cost(self, options: RegionOptions) -> int:
        width, height = self.input_size(options.stride)
        return width * height + options.run_px


class Gaze:
    """Where one camera's next look goes: the whole picture from time to time, regions in between.

    What stands still and was never seen moving is found by the looks at the whole picture alone.
    """

    def __init__(self, options: RegionOptions, whole_every_s: float = 2.0) -> None:
        """Start with a look at the whole picture; `whole_every_s` is in seconds of the camera's clock."""
        if not whole_every_s >= 0:
            raise ValueError(f"whole_every_s must not be negative, got {whole_every_s}")
        self.options = options
        self._every_s = whole_every_s
        self._whole_s = -math.inf

    def regions(
        self, picture: Size, motion: Boxes | None, objects: Boxes, pts_s: float
    ) -> tuple[Region, ...]:
        """As `plan`; without knowledge of motion (None) the whole picture. `pts_s` must not go back."""
        everything = whole(picture, self.options)
        chosen = everything
        if motion is not None and pts_s - self._whole_s < self._every_s - _CLOCK_S:
            chosen = plan(picture, motion, objects, self.options)
        if chosen == everything:
            self._whole_s = pts_s
        return chosen


def whole(picture: Size, options: RegionOptions) -> tuple[Region, ...]:
    """The whole picture (width, height): once, and with `options.detail` once more from closer."""
    usual = _scale(picture, options)
    gains = (1.0, options.detail) if options.detail > 1 else (1.0,)
    return tuple(
        Region(
            (0, 0, *picture),
            (
                _multiple(picture[0] * usual * gain, options.stride),
                _multiple(picture[1] * usual * gain, options.stride),
            ),
        )
        for gain in gains
    )


def plan(picture: Size, motion: Boxes, objects: Boxes, options: RegionOptions) -> tuple[Region, ...]:
    """What to look at: nothing, regions, or the whole picture where that is not dearer.

    Args:
        picture: width and height in pixels.
        motion: (n, 4) boxes of what moves, fractions of the picture.
        objects: (m, 4) boxes of known objects, fractions of the picture.
        options: how closely.

    The order of the boxes does not matter. The regions cover every box and its margin, at the scale that
    brings the smallest box of each to `object_px`; where that is too dear from farther away, but never from
    farther than the whole picture would be seen.
    """
    everything = whole(picture, options)
    if len(objects) > options.most:
        return everything
    known = _groups(picture, objects, options)
    new = [group for group in _groups(picture, motion, options) if not any(k.covers(group) for k in known)]
    groups = sorted({*known, *new})
    if len(groups) > options.most:
        return everything
    usual = _scale(picture, options)
    limit = sum(region.cost + options.run_px for region in everything)
    for gain in _gains(options):
        scaled = [group._replace(scale=min(group.scale, gain * usual)) for group in groups]
        chosen = _merged(scaled, options)
        if sum(group.cost(options) for group in chosen) < limit:
            return tuple(_region(group, picture, options.stride) for group in chosen)
    return everything


def look(
    detector: Detector, picture: CroppingPicture, regions: Iterable[Region], threshold: float = 0.1
) -> Detections:
    """Objects in the regions scoring at least `threshold`, best first, as fractions of the whole picture.

    Raises SessionError as `Detector.detect` does. The detector's network must be of free size.
    """
    size = (picture.width, picture.height)
    found = [
        to_picture(detector.detect(_View(picture, region), threshold, region.input_size), region, size)
        for region in regions
    ]
    return found[0] if len(found) == 1 else join(found, detector.manifest.nms_iou)


def to_picture(found: Detections, region: Region, picture: Size) -> Detections:
    """Detections as fractions of a region -> as fractions of the picture (width, height).

    What the region's border cuts is left out, unless the picture ends there too: half a person has wrong
    feet, and who matters is whole in a region of their own.
    """
    if region.part == (0, 0, *picture):
        return found
    span, origin = np.array(region.size * 2, np.float32), np.array(region.part[:2] * 2, np.float32)
    outside = np.array(picture * 2, np.float32)
    ends = np.array(region.part, np.float32)
    inner = (ends > 0) & (ends < outside)
    sides = np.tile(found.xyxy[:, 2:] - found.xyxy[:, :2], 2) * CUT_SHARE
    near = np.maximum(sides, CUT_PX / np.array(region.input_size * 2, np.float32))
    gap = np.abs(found.xyxy - np.array((0, 0, 1, 1), np.float32))
    cut = ((gap < near) & inner).any(axis=1)
    # Rounding must not carry a box over its region's border.
    placed = np.clip(found.xyxy * span + origin, np.tile(ends[:2], 2), np.tile(ends[2:], 2)) / outside
    return Detections(placed.astype(np.float32), found.scores, found.labels).select(~cut)


def join(found: Sequence[Detections], max_iou: float) -> Detections:
    """Detections of several regions of one picture as one, best first; regions may overlap."""
    if not any(len(part) for part in found):
        return Detections.empty()
    together = Detections(
        np.concatenate([part.xyxy for part in found]),
        np.concatenate([part.scores for part in found]),
        np.concatenate([part.labels for part in found]),
    )
    return together.select(boxes.suppress(together.xyxy, together.scores, together.labels, max_iou))


class _View:
    """A region as the detector wants it: a picture."""

    def __init__(self, picture: CroppingPicture, region: Region) -> None:
        self._picture = picture
        self._part = region.part
        self.width, self.height = region.size

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        if self._part == (0, 0, self._picture.width, self._picture.height):
            return self._picture.bgr(width, height)
        return self._picture.crop(self._part, width, height)


def _scale(picture: Size, options: RegionOptions) -> float:
    """Input pixels per pixel of the picture, when all of it is looked at."""
    return min(side / full for side, full in zip(options.input_size, picture, strict=True))


def _gains(options: RegionOptions) -> list[float]:
    """From the closest look to the usual one, each about half the cost of the one before."""
    steps = max(0, math.ceil(2 * math.log2(options.closest / options.detail)))
    return [*(options.closest * 2 ** (-step / 2) for step in range(steps)), options.detail]


def _multiple(length: float, stride: int) -> int:
    return max(1, math.ceil(length / stride - _WHOLE)) * stride


def _groups(picture: Size, xyxy: Boxes, options: RegionOptions) -> list[_Group]:
    """A group for each box: with its margin, and the scale that it needs."""
    width, height = picture
    usual = _scale(picture, options)
    closest = max(usual, min(usual * options.closest, 1.0))
    rows = np.asarray(xyxy, np.float64).reshape(-1, 4)
    groups = []
    for left, top, right, bottom in (rows * (*picture, *picture)).tolist():
        scale = min(max(options.object_px / max(bottom - top, 1.0), usual), closest)
        margin = max(options.margin * max(right - left, bottom - top), options.least_margin_px / scale)
        groups.append(
            _Group(
                max(left - margin, 0.0),
                max(top - margin, 0.0),
                min(right + margin, width),
                min(bottom + margin, height),
                scale,
            )
        )
    return groups


def _merged(groups: list[_Group], options: RegionOptions) -> list[_Group]:
    """Join two groups, those that save most first, as long as one look costs no more than two."""
    alive = dict(enumerate(groups))
    costs = {key: group.cost(options) for key, group in alive.items()}

    def saving(one: int, other: int) -> int:
        return costs[one] + costs[other] - alive[one].joined(alive[other]).cost(options)

    savings = {(one, other): saving(one, other) for one, other in itertools.combinations(alive, 2)}
    while savings:
        pair = max(savings, key=savings.__getitem__)
        if savings[pair] < 0:
            break
        joined = alive.pop(pair[0]).joined(alive.pop(pair[1]))
        key = len(costs)
        costs[key] = joined.cost(options)
        savings = {keys: value for keys, value in savings.items() if not {*keys} & {*pair}}
        alive[key] = joined
        savings |= {(other, key): saving(other, key) for other in alive if other != key}
    return list(alive.values())


def _region(group: _Group, picture: Size, stride: int) -> Region:
    """The region of a group, widened to what its input has room for."""
    size = group.input_size(stride)
    spans = []
    for axis, (low, high) in enumerate(((group.left, group.right), (group.top, group.bottom))):
        span = min(math.ceil(max(size[axis] / group.scale, high - low)), picture[axis])
        # Even where possible, since chroma planes have half the lines and columns.
        start = min(max(math.floor((low + high - span) / 4) * 2, 0), picture[axis] - span)
        end = max(start + span, math.ceil(high))
        spans.append((start, min(end + end % 2, picture[axis])))
    (left, right), (top, bottom) = spans
    return Region((left, top, right, bottom), size)
