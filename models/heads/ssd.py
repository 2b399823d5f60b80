"""The SSD family: boxes, classes and scores come decoded, as outputs of their own."""

import numpy as np

from models.errors import SessionError
from models.heads.common import Candidates, Outputs, floats
from models.manifest import SsdHead


class SsdDecoder:
    """Boxes, scores and classes as named outputs."""

    suppress = True

    def __init__(self, spec: SsdHead, classes: int) -> None:
        self._spec = spec
        self._classes = classes

    def decode(self, outputs: Outputs, size: tuple[int, int], threshold: float) -> Candidates:
        """See `Head.decode`. Classes outside the manifest's list are left out: background, padding."""
        spec = self._spec
        boxes, scores = floats(outputs, spec.boxes), floats(outputs, spec.scores)
        if spec.labels is None:
            labels = scores.argmax(-1)
            scores = scores.max(-1)
        else:
            labels = floats(outputs, spec.labels).astype(np.int64)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes) == len(scores) == len(labels):
            raise SessionError(f"expected boxes (n, 4) and n scores, got {boxes.shape} and {scores.shape}")
        labels = labels - spec.first_class
        found = np.flatnonzero((scores >= threshold) & (labels >= 0) & (labels < self._classes))
        xyxy = boxes[found][:, [1, 0, 3, 2]] if spec.corners == "yxyx" else boxes[found]
        if spec.units == "fractions":
            xyxy = xyxy * np.array(size * 2, np.float32)
        return Candidates(xyxy, scores[found], labels[found].astype(np.int16))
