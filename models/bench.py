"""How long a detector takes here, stage by stage."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.detector import Detector, Picture


@dataclass(frozen=True, slots=True)
class Spread:
    """A row of times, in milliseconds.

    Attributes:
        median, p10, p90: milliseconds.
    """

    median: float
    p10: float
    p90: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """The spread of at least one time in seconds."""
        p10, median, p90 = (float(value) * 1e3 for value in np.percentile(seconds, (10, 50, 90)))
        return cls(median, p10, p90)


@dataclass(frozen=True, slots=True)
class Timing:
    """What one look at a picture costs.

    Attributes:
        prepare: scaling by the picture itself left out: letterbox, and normalisation if not in the graph.
        infer: ONNX Runtime.
        read: decoding and suppression.
        total: the three together.
        input_size: width and height in pixels of the tensor that the picture became.
        providers: execution providers in use.
        rounds: how often it was measured.
    """

    prepare: Spread
    infer: Spread
    read: Spread
    total: Spread
    input_size: tuple[int, int]
    providers: tuple[str, ...]
    rounds: int


class Still:
    """A picture that costs nothing to scale: it holds its pixels in every size it was asked for."""

    def __init__(self, width: int, height: int, seed: int = 0) -> None:
        self.width = width
        self.height = height
        self._rng = np.random.default_rng(seed)
        self._scaled: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        """Noise, (height, width, 3) uint8, the same at each call."""
        if (width, height) not in self._scaled:
            self._scaled[width, height] = self._rng.integers(0, 256, (height, width, 3), np.uint8)
        return self._scaled[width, height]


def measure(
    detector: Detector, picture: Picture | None = None, rounds: int = 50, threshold: float = 0.1
) -> Timing:
    """Time `rounds` looks at a picture, after three to warm up; 1280x720 noise if there is no picture.

    Raises ValueError for fewer than one round.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    seen = picture if picture is not None else Still(1280, 720)
    stages: list[tuple[float, float, float]] = []
    for _ in range(rounds + 3):
        start = time.perf_counter()
        box, tensor = detector.prepare(seen)
        prepared = time.perf_counter()
        outputs = detector.session.run(tensor)
        inferred = time.perf_counter()
        detector.read(outputs, box, threshold)
        stages.append((prepared - start, inferred - prepared, time.perf_counter() - inferred))
    kept = stages[3:]
    prepare, infer, read = (Spread.of(column) for column in zip(*kept, strict=True))
    total = Spread.of([sum(row) for row in kept])
    return Timing(prepare, infer, read, total, (box.width, box.height), detector.session.providers, rounds)
