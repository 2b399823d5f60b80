"""Arithmetic on boxes: overlap and the suppression of duplicates."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of each box in `a` with each in `b`.

    a: (n, 4), b: (m, 4), left, top, right, bottom in any one unit.
    Returns (n, m) float64 in [0, 1]; a box without area overlaps nothing.
    """
    shared = _shared(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0))


def covered(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of each box in `a` that each in `b` covers.

    a: (n, 4), b: (m, 4), left, top, right, bottom in any one unit.
    Returns (n, m) float64 in [0, 1]; nothing covers a box without area.
    """
    shared = _shared(a, b)
    whole = np.broadcast_to(area(a)[:, None], shared.shape)
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0))


def _shared(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Area that each box in `a` has in common with each in `b`: (n, m)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    near = np.maximum(a[:, None, :2], b[None, :, :2])
    far = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.clip(far - near, 0.0, None).prod(2))


def area(xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Area of boxes (n, 4) in squared units: (n,) float64; inverted boxes have none."""
    sides = np.clip(np.asarray(xyxy[:, 2:], np.float64) - xyxy[:, :2], 0.0, None)
    return np.asarray(sides[:, 0] * sides[:, 1])


def suppress(
    xyxy: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int16], max_iou: float
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression within each class.

    xyxy: (n, 4) in one unit; scores, labels: (n,). Of two boxes of one class that overlap by more than
    `max_iou`, the lower score goes. Returns the indices that stay, by falling score.
    """
    if len(xyxy) < 2:
        return np.arange(len(xyxy))
    origin_size = np.hstack((xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2])).astype(np.float64)
    # OpenCV shifts classes apart by whole box coordinates, so negative ones would mix them.
    origin_size[:, :2] -= origin_size[:, :2].min()
    # Its type stubs ask for lists; arrays are accepted and spare the copies.
    suppress_in_classes: Any = cv2.dnn.NMSBoxesBatched
    kept = suppress_in_classes(origin_size, scores.astype(np.float32), labels.astype(np.int32), -1.0, max_iou)
    indices = np.asarray(kept, np.intp).reshape(-1)
    return indices[np.argsort(-scores[indices], kind="stable")]
