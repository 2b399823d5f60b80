"""What all decoders share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import SessionError

Outputs = Mapping[str, NDArray[Any]]
"""The network's outputs by name, in the graph's order, with the batch axis of length 1 still there."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What a decoder found above the threshold, before suppression.

    Attributes:
        xyxy: (n, 4) float32 in pixels of the network's input; may reach beyond it.
        scores: (n,) float32 in [0, 1].
        labels: (n,) int16 class indices.
    """

    xyxy: Floats
    scores: Floats
    labels: NDArray[np.int16]


class Head(Protocol):
    """A decoder for one family of detectors."""

    @property
    def suppress(self) -> bool:
        """Whether duplicates must be suppressed afterwards."""
        ...

    def decode(self, outputs: Outputs, size: tuple[int, int], threshold: float) -> Candidates:
        """Candidates scoring at least `threshold` in an input of `size` (width, height).

        Outputs have a batch axis of length 1, such as (1, cells, columns); which, is the family's own.
        Raises SessionError when an output is missing or has another shape than the head says.
        """
        ...


def sigmoid(x: Floats) -> Floats:
    """Logistic function of an array of any shape, without overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5, np.float32)


def softmax(x: Floats) -> Floats:
    """Softmax of an array of any shape along its last axis, without overflow."""
    raised = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True), np.float32)


def logit(p: float) -> float:
    """The number whose logistic function is the probability `p`; 1e-9 at least, and so much below 1.

    Thresholds move there so that fewer scores need activating.
    """
    p = min(max(p, 1e-9), 1 - 1e-9)
    return float(np.log(p / (1 - p)))


def corners(cxcywh: Floats) -> Floats:
    """(n, 4) centre and size -> (n, 4) left, top, right, bottom."""
    half = cxcywh[:, 2:] / 2
    return np.hstack((cxcywh[:, :2] - half, cxcywh[:, :2] + half))


@lru_cache(maxsize=64)
def grid(size: tuple[int, int], strides: Sequence[int]) -> tuple[Floats, Floats]:
    """Cells of all strides, row by row: ((n, 2) float32 column and row, (n,) float32 stride)."""
    cells, sizes = [], []
    for stride in strides:
        columns, rows = -(-size[0] // stride), -(-size[1] // stride)
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        cells.append(np.column_stack((x.ravel(), y.ravel())))
        sizes.append(np.full(rows * columns, stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(sizes).astype(np.float32)


def floats(outputs: Outputs, name: str) -> Floats:
    """The named output without its batch axis, (1, ...) -> (...), as float32.

    Raises SessionError when there is none of that name.
    """
    if name not in outputs:
        raise SessionError(f"the model has no output {name!r}, only {', '.join(outputs)}")
    return np.asarray(outputs[name][0], np.float32)


def table(outputs: Outputs, columns: int) -> Floats:
    """The outputs joined along their rows: (rows, columns) float32; several outputs are several strides.

    Raises SessionError when one has another number of columns.
    """
    parts = [np.asarray(output[0], np.float32) for output in outputs.values()]
    if any(part.ndim != 2 or part.shape[1] != columns for part in parts):
        shapes = ", ".join(str(part.shape) for part in parts)
        raise SessionError(f"expected outputs of {columns} columns (classes and box), got {shapes}")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def check_cells(found: int, expected: int) -> None:
    """Raise SessionError unless the network has as many cells as the input's size and strides imply."""
    if found != expected:
        raise SessionError(f"expected {expected} cells for this input size and these strides, got {found}")
