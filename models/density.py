"""Counting heads where people stand too close to be told apart: how many in each cell of a picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.detector import Picture
from models.errors import ManifestError, SessionError
from models.manifest import DensityHead, ModelFile
from models.session import Session

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class HeadMap:
    """How many heads are where in a picture, and how far that can be trusted.

    Cell (r, c) covers [c / w, (c + 1) / w] x [r / h, (r + 1) / h] of the picture, as fractions. A head
    counts where its middle is.

    The error of a sum over cells has two parts: one that is independent from cell to cell, so that it
    averages out over a region, and one that all cells share, in proportion to their counts (a crowd whose
    heads are hidden, or small, is counted too low everywhere). `stderr` adds them up accordingly.

    Attributes:
        counts: (h, w) float32, read-only: expected heads, 0 or more. Their sum is the number of people.
        variance: (h, w) float32, read-only: of each cell's error, both parts together.
        shared: the shared part's standard error as a fraction of the count, 0 or more.
    """

    counts: Floats
    variance: Floats
    shared: float

    def __post_init__(self) -> None:
        if self.counts.ndim != 2 or self.counts.shape != self.variance.shape:
            raise ValueError(
                f"counts {self.counts.shape} and variance {self.variance.shape} must be maps alike"
            )
        if not (self.counts >= 0).all() or not np.isfinite(self.counts).all():
            raise ValueError("counts must be finite and 0 or more")
        if not self.shared >= 0:
            raise ValueError(f"shared must be 0 or more, got {self.shared}")
        if not (self.variance >= np.square(self.shared * self.counts) * (1 - 1e-4) - 1e-12).all():
            raise ValueError("variance must be no less than its shared part")
        self.counts.flags.writeable = self.variance.flags.writeable = False

    @property
    def total(self) -> float:
        """Expected heads in the whole picture."""
        return float(self.counts.sum(dtype=np.float64))

    def count(self, region: NDArray[np.generic] | None = None) -> float:
        """Expected heads in a region: (h, w) bool, or the share of each cell in it, 0 to 1; None: all."""
        return float((self.counts * self._weights(region)).sum())

    def stderr(self, region: NDArray[np.generic] | None = None) -> float:
        """Standard error of `count` of that region, in heads."""
        weights = self._weights(region)
        common = self.shared * self.counts.astype(np.float64)
        own = np.maximum(self.variance - common**2, 0.0)
        return float(np.sqrt((weights**2 * own).sum() + (weights * common).sum() ** 2))

    def _weights(self, region: NDArray[np.generic] | None) -> NDArray[np.float64]:
        if region is None:
            return np.ones(self.counts.shape)
        if region.shape != self.counts.shape:
            raise ValueError(f"region must be {self.counts.shape} cells, got {region.shape}")
        return region.astype(np.float64)


class DensityModel:
    """A head counter, ready to look at pictures. Used from one thread at a time."""

    def __init__(self, model: ModelFile, session: Session) -> None:
        """Raises ManifestError when the manifest is that of a detector."""
        manifest = model.manifest
        if not isinstance(manifest.head, DensityHead):
            raise ManifestError(f"{model.path}: head.kind: {manifest.name} is a detector; it counts no heads")
        self.name = manifest.name
        self.sha256 = manifest.sha256
        self.manifest = manifest
        self.session = session
        self._head = manifest.head

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the network's input for a picture of that size, in pixels.

        The longer side becomes the manifest's, the other what comes nearest in whole strides; the picture
        is stretched by that rest, 3 % at most at 16:9, so that cells divide it evenly.
        """
        spec = self.manifest.input
        if not spec.stride:
            return spec.size
        scale = min(spec.size[0] / width, spec.size[1] / height)
        wide, high = (max(1, round(side * scale / spec.stride)) * spec.stride for side in (width, height))
        return wide, high

    def count(self, picture: Picture) -> HeadMap:
        """How many heads are in each cell of the picture.

        Raises SessionError when inference fails or the outputs are not what the manifest says.
        """
        width, height = self.input_size(picture.width, picture.height)
        outputs = self.session.run(picture.bgr(width, height)[None])
        found = next(iter(outputs.values()))
        shape = (1, height // self._head.stride, width // self._head.stride)
        if len(outputs) != 1 or found.shape != shape or not np.isfinite(found).all():
            shapes = {name: value.shape for name, value in outputs.items()}
            raise SessionError(f"{self.name}: expected finite counts of shape {shape}, got {shapes}")
        counts = np.maximum(found[0], 0, dtype=np.float32)
        head = self._head
        variance = head.empty + head.poisson * counts + np.square(head.shared * counts)
        return HeadMap(counts, variance.astype(np.float32), head.shared)

    def close(self) -> None:
        """Nothing outlives the object; here so that an exit stack can hold it."""
