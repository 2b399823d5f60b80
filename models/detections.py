"""What a detector saw and what the tracker made of it. Coordinates are fractions of the picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def _check_boxes(xyxy: NDArray[np.float32], **columns: NDArray[np.generic]) -> None:
    if xyxy.ndim != 2 or xyxy.shape[1] != 4:
        raise ValueError(f"xyxy must be (n, 4), got {xyxy.shape}")
    for name, column in columns.items():
        if len(column) != len(xyxy):
            raise ValueError(f"{name} must have {len(xyxy)} rows like xyxy, got {len(column)}")


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects found in one picture.

    Attributes:
        xyxy: (n, 4) float32, left, top, right, bottom as fractions of the picture's width and height,
            within [0, 1].
        scores: (n,) float32 in [0, 1].
        labels: (n,) int16, index into the detector's `class_names`.
    """

    xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int16]

    def __post_init__(self) -> None:
        _check_boxes(self.xyxy, scores=self.scores, labels=self.labels)

    def __len__(self) -> int:
        return len(self.xyxy)

    @classmethod
    def empty(cls) -> "Detections":
        """No objects."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int16))

    def select(self, mask: NDArray[np.bool_] | NDArray[np.intp]) -> "Detections":
        """The objects that a boolean mask or an index array picks, in its order."""
        return Detections(self.xyxy[mask], self.scores[mask], self.labels[mask])


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Objects followed from picture to picture on one camera, confirmed and seen in this picture.

    Attributes:
        ids: (n,) int64, random per tracker instance, in memory only; they never leave the node.
        xyxy: (n, 4) float32 fractions of the picture, as in `Detections`.
        velocity: (n, 2) float32, box centre's motion in picture widths and heights per second.
        age_s: (n,) float32 seconds since the track's first detection.
        scores: (n,) float32 in [0, 1], of the matched detection.
        labels: (n,) int16, index into the detector's `class_names`.
    """

    ids: NDArray[np.int64]
    xyxy: NDArray[np.float32]
    velocity: NDArray[np.float32]
    age_s: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int16]

    def __post_init__(self) -> None:
        _check_boxes(
            self.xyxy,
            ids=self.ids,
            velocity=self.velocity,
            age_s=self.age_s,
            scores=self.scores,
            labels=self.labels,
        )

    def __len__(self) -> int:
        return len(self.xyxy)

    @classmethod
    def empty(cls) -> "Tracks":
        """No tracks."""
        boxes, pair, one = np.zeros((0, 4), np.float32), np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
        return cls(np.zeros(0, np.int64), boxes, pair, one, one, np.zeros(0, np.int16))

    def select(self, mask: NDArray[np.bool_] | NDArray[np.intp]) -> "Tracks":
        """The tracks that a boolean mask or an index array picks, in its order."""
        return Tracks(
            self.ids[mask],
            self.xyxy[mask],
            self.velocity[mask],
            self.age_s[mask],
            self.scores[mask],
            self.labels[mask],
        )

    @property
    def foot_points(self) -> NDArray[np.float32]:
        """(n, 2) float32: middle of each box's lower edge, as fractions of the picture."""
        return np.column_stack(((self.xyxy[:, 0] + self.xyxy[:, 2]) / 2, self.xyxy[:, 3])).astype(np.float32)
