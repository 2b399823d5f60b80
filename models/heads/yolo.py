"""The YOLO families: YOLOX with its grid, and those whose graph decodes the boxes itself."""

import numpy as np

from models.heads.common import Candidates, Floats, Outputs, check_cells, corners, grid, table
from models.manifest import Yolov8Head, YoloxHead


class YoloxDecoder:
    """YOLOX (arXiv:2107.08430): x, y, w, h, objectness, class scores for each cell."""

    suppress = True

    def __init__(self, spec: YoloxHead, classes: int) -> None:
        self._spec = spec
        self._classes = classes

    def decode(self, outputs: Outputs, size: tuple[int, int], threshold: float) -> Candidates:
        """See `Head.decode`."""
        rows = table(outputs, 5 + self._classes)
        cells, strides = grid(size, self._spec.strides)
        if not self._spec.decoded:
            check_cells(len(rows), len(cells))
        found, scores, labels = _with_objectness(rows, threshold)
        box = rows[found, :4]
        if not self._spec.decoded:
            stride = strides[found, None]
            box = np.hstack(((box[:, :2] + cells[found]) * stride, np.exp(box[:, 2:]) * stride))
        return Candidates(corners(box), scores, labels)


class Yolov8Decoder:
    """x, y, w, h in input pixels and class scores, decoded inside the graph."""

    suppress = True

    def __init__(self, spec: Yolov8Head, classes: int) -> None:
        self._spec = spec
        self._columns = (5 if spec.objectness else 4) + classes

    def decode(self, outputs: Outputs, size: tuple[int, int], threshold: float) -> Candidates:  # noqa: ARG002
        """See `Head.decode`."""
        if self._spec.order == "channels-first":
            outputs = {name: output.swapaxes(-1, -2) for name, output in outputs.items()}
        rows = table(outputs, self._columns)
        if self._spec.objectness:
            found, scores, labels = _with_objectness(rows, threshold)
        else:
            best = rows[:, 4:].max(1)
            found = np.flatnonzero(best >= threshold)
            scores, labels = best[found], rows[found, 4:].argmax(1).astype(np.int16)
        return Candidates(corners(rows[found, :4]), scores, labels)


def _with_objectness(rows: Floats, threshold: float) -> tuple[np.ndarray, Floats, np.ndarray]:
    """Indices, scores and labels of rows whose objectness x best class reaches the threshold."""
    likely = np.flatnonzero(rows[:, 4] >= threshold)  # a class score is at most 1
    classes = rows[likely, 5:]
    labels = classes.argmax(1)
    scores = rows[likely, 4] * classes[np.arange(len(likely)), labels]
    sure = scores >= threshold
    return likely[sure], scores[sure], labels[sure].astype(np.int16)
