"""DETR and its kin: a fixed set of queries, each saying one object or none."""

import numpy as np

from models.errors import SessionError
from models.heads.common import Candidates, Outputs, corners, floats, logit, sigmoid, softmax
from models.manifest import DetrHead


class DetrDecoder:
    """Queries with class logits and boxes as fractions (arXiv:2005.12872)."""

    suppress = False

    def __init__(self, spec: DetrHead, classes: int) -> None:
        self._spec = spec
        self._columns = classes + (spec.activation == "softmax")

    def decode(self, outputs: Outputs, size: tuple[int, int], threshold: float) -> Candidates:
        """See `Head.decode`."""
        boxes, logits = floats(outputs, self._spec.boxes), floats(outputs, self._spec.logits)
        if logits.shape != (len(boxes), self._columns) or boxes.shape[1:] != (4,):
            raise SessionError(
                f"expected boxes (n, 4) and logits (n, {self._columns}), got {boxes.shape} and {logits.shape}"
            )
        if self._spec.activation == "softmax":
            scores = softmax(logits)[:, :-1]
            best = scores.max(1)
            found = np.flatnonzero(best >= threshold)
            values = best[found]
        else:
            scores = logits
            best = scores.max(1)
            found = np.flatnonzero(best >= logit(threshold))
            values = sigmoid(best[found])
        labels = scores[found].argmax(1).astype(np.int16)
        return Candidates(corners(boxes[found]) * np.array(size * 2, np.float32), values, labels)
