"""Boxes and regions of a small grey picture, for what is compared pixel by pixel."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from streams.tiles import LUMA_SIZE

Plane = NDArray[np.uint8]
Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]
Boxes = NDArray[np.float64]

_ALIKE = 0.85
_LEAST_GAIN = 0.5


def smooth(luma: Plane) -> Grey:
    """(180, 320) grey levels of a (height, width) uint8 picture, its grain smoothed."""
    if luma.shape != LUMA_SIZE[::-1]:
        luma = np.asarray(cv2.resize(luma, LUMA_SIZE, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.GaussianBlur(luma, (3, 3), 0), np.float32)


def like(grey: Grey, usual: Grey, free: Mask) -> Grey:
    """(height, width) `grey` in the light of `usual`, as its free pixels tell: exposure, a cloud, lamps."""
    if not free.any():
        return grey
    low, middle, high = np.percentile(grey[free], (10, 50, 90))
    was_low, was_middle, was_high = np.percentile(usual[free], (10, 50, 90))
    gain = np.clip((was_high - was_low) / max(high - low, 1.0), _LEAST_GAIN, 1 / _LEAST_GAIN)
    return np.asarray((grey - middle) * np.float32(gain) + was_middle, np.float32)


def as_boxes(boxes: ArrayLike) -> Boxes:
    """Boxes as (n, 4) float64, also if there are none."""
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def within(box: Sequence[float], other: Sequence[float]) -> float:
    """Share of a box that lies within another, 0 to 1: left, top, right, bottom each."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return _both(box, other) / area if area > 0 else 0.0


def covered(boxes: ArrayLike) -> Mask:
    """(180, 320) pixels in (n, 4) boxes, a little larger, as a detector cuts hands and feet off."""
    width, height = LUMA_SIZE
    mask = np.zeros((height, width), np.bool_)
    for left, top, right, bottom in as_boxes(boxes).tolist():
        x, y = 0.1 * (right - left) + 2 / width, 0.1 * (bottom - top) + 2 / height
        rows = slice(max(0, int((top - y) * height)), max(0, math.ceil((bottom + y) * height)))
        mask[rows, max(0, int((left - x) * width)) : max(0, math.ceil((right + x) * width))] = True
    return mask


def outline(inside: Mask) -> Mask:
    """The outline of a (height, width) region, a pixel to each side."""
    part = inside.astype(np.uint8)
    outer, inner = cv2.dilate(part, np.ones((3, 3))), cv2.erode(part, np.ones((3, 3)))
    return np.asarray((outer > 0) & (inner == 0), np.bool_)


def gradient(grey: Grey) -> Grey:
    """Length of the gradient of (height, width) grey levels, grey levels a pixel."""
    x, y = (cv2.Scharr(grey, cv2.CV_32F, *way, scale=1 / 32) for way in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(x, y), np.float32)


def shaded(now: Grey, then: Grey, inside: Mask) -> bool:
    """Whether a (height, width) region shows the same ground in another light.

    Its texture is the same then, times a factor.
    """
    a, b = now[inside], then[inside]
    if float(b.std()) < 4.0 or float(a.std()) < 2.0:
        return False
    return float(np.corrcoef(a, b)[0, 1]) > _ALIKE


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes, 0 to 1: left, top, right, bottom each."""
    both = _both(a, b)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both) if both > 0 else 0.0


def _both(a: Sequence[float], b: Sequence[float]) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return float(wide * high) if wide > 0 and high > 0 else 0.0


def about(box: Sequence[float]) -> tuple[slice, slice]:
    """Rows and columns of a box with half of its size more, for a handle and a shadow."""
    rows, columns = window(box)
    reach = max(rows.stop - rows.start, columns.stop - columns.start) // 2
    return slice(max(rows.start - reach, 0), rows.stop + reach), slice(
        max(columns.start - reach, 0), columns.stop + reach
    )


def window(box: Sequence[float]) -> tuple[slice, slice]:
    """Rows and columns of a box, one of each at least."""
    (left, top, right, bottom), (width, height) = box, LUMA_SIZE
    x, y = round(left * width), round(top * height)
    return slice(y, max(round(bottom * height), y + 1)), slice(x, max(round(right * width), x + 1))
