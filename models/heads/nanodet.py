"""NanoDet: boxes from distributions over distances (generalised focal loss, arXiv:2006.04388)."""

import numpy as np

from models.errors import SessionError
from models.heads.common import Candidates, Floats, Outputs, check_cells, grid, logit, sigmoid, table
from models.manifest import NanoDetHead


class NanoDetDecoder:
    """Decoder of NanoDet outputs: class scores, then 4 x bins side logits for each cell."""

    suppress = True

    def __init__(self, spec: NanoDetHead, classes: int) -> None:
        self._spec = spec
        self._classes = classes
        self._distances = np.arange(spec.bins, dtype=np.float32)

    def decode(self, outputs: Outputs, size: tuple[int, int], threshold: float) -> Candidates:
        """See `Head.decode`. Only cells above the threshold get a box: that is a few of thousands."""
        spec = self._spec
        channels = self._channels(outputs)
        cells, strides = grid(size, spec.strides)
        check_cells(channels.shape[1], len(cells))
        best = channels[: self._classes].max(0)
        logits = spec.scores == "logits"
        found = np.flatnonzero(best >= (logit(threshold) if logits else threshold))
        rows = channels[:, found]
        scores = sigmoid(best[found]) if logits else best[found]
        labels = rows[: self._classes].argmax(0).astype(np.int16)
        sides = self._sides(rows[self._classes :]) * strides[found]
        centres = ((cells[found] + np.float32(spec.offset)) * strides[found, None]).T
        corners = np.concatenate((centres - sides[:2], centres + sides[2:]))
        return Candidates(np.ascontiguousarray(corners.T), scores, labels)

    def _sides(self, logits: Floats) -> Floats:
        """Expected distances, (4, n) in strides, of (4 x bins, n) logits."""
        # Softmax by hand along the middle axis: cells stay innermost, which is several times faster.
        bins = logits.reshape(4, self._spec.bins, -1)
        weights = np.exp(bins - bins.max(1, keepdims=True))
        return np.asarray((self._distances @ weights) / weights.sum(1), np.float32)

    def _channels(self, outputs: Outputs) -> Floats:
        """(classes + 4 x bins, cells)."""
        width = self._classes + 4 * self._spec.bins
        if self._spec.order == "cells-first":
            return table(outputs, width).T
        parts = [np.asarray(output[0], np.float32) for output in outputs.values()]
        if any(part.ndim != 2 or part.shape[0] != width for part in parts):
            shapes = ", ".join(str(part.shape) for part in parts)
            raise SessionError(f"expected outputs of {width} channels (classes and box), got {shapes}")
        return parts[0] if len(parts) == 1 else np.concatenate(parts, 1)
