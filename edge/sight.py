"""How pictures are looked at: where in them, how closely, and how many at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.detections import Detections
from models.detector import Detector
from models.regions import Gaze, RegionOptions, look
from streams.frame import Frame

BATCH = 16
"""Pictures in one run on a GPU, at most: more make the first one wait for little gain."""
DETAIL = 2.0
"""How much closer large scenes are looked at, where that is granted."""


@dataclass(frozen=True, slots=True)
class Glance:
    """One picture to look at.

    Attributes:
        frame: the picture, and where it moves.
        known: (n, 4) boxes of objects that were there a moment ago, fractions of the picture.
        closely: whether the whole picture is looked at once more, from closer.
    """

    frame: Frame
    known: NDArray[np.float32]
    closely: bool = False


class Sight:
    """Looks at pictures with one detector, for one thread: regions on a CPU, batches on a GPU.

    A network of fixed size sees whole pictures, one at a time. See `models.regions` for what regions gain.

    Attributes:
        name: the model's.
        batch: how many pictures it takes at once, at most.
    """

    def __init__(self, detector: Detector) -> None:
        session, spec = detector.session, detector.manifest.input
        self.name = detector.name
        self.batch = BATCH if session.accelerated and session.batches else 1
        self._detector = detector
        self._options: RegionOptions | None = None
        if spec.stride and not session.accelerated:
            self._options = RegionOptions(input_size=spec.size, stride=spec.stride)
        self._gazes: dict[str, Gaze] = {}

    def look(self, glances: Sequence[Glance]) -> list[Detections]:
        """What is seen in each picture, low scores included.

        Raises SessionError when inference fails.
        """
        if len(glances) > 1 and self.batch > 1:
            return self._detector.detect_many([glance.frame.picture for glance in glances])
        return [self._look(glance) for glance in glances]

    def _look(self, glance: Glance) -> Detections:
        frame = glance.frame
        if self._options is None:
            return self._detector.detect(frame.picture)
        gaze = self._gazes.get(frame.camera_id)
        if gaze is None:
            gaze = self._gazes[frame.camera_id] = Gaze(self._options)
        detail = DETAIL if glance.closely else 1.0
        if gaze.options.detail != detail:
            gaze.options = replace(self._options, detail=detail)
        size = (frame.picture.width, frame.picture.height)
        regions = gaze.regions(size, frame.regions, glance.known, frame.pts_s)
        return look(self._detector, frame.picture, regions)
