"""What the analysis saw of a picture, as far as covering people needs it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.boxes import iou
from models.density import HeadMap
from models.detections import Detections, Tracks

UNTRACKED = -1
_SAME_IOU = 0.5
"""A detection and a track that overlap by as much are the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One analysed picture. Numbers of tracks live in memory only and leave with the look.

    Attributes:
        pts_s: camera time of the picture.
        luma: (180, 320) uint8, its brightness, small.
        boxes: (n, 4) float32, people: left, top, right, bottom as fractions of the picture, unsure ones too.
        scores: (n,) float32, 0 to 1.
        velocity: (n, 2) float32, of the boxes' middles in picture widths and heights a second; NaN: unknown.
        tracks: (n,) int64, by which a person is found again in another look; `UNTRACKED` for none.
        heads: the head counter's map; None where it did not look.

    Raises:
        ValueError: shapes differ, or the time or a box is not finite.
    """

    pts_s: float
    luma: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    velocity: NDArray[np.float32]
    tracks: NDArray[np.int64]
    heads: HeadMap | None = None

    def __post_init__(self) -> None:
        n = len(self.boxes)
        wanted = {"boxes": (n, 4), "scores": (n,), "velocity": (n, 2), "tracks": (n,)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must be {shape}, got {getattr(self, name).shape}")
        if self.luma.ndim != 2 or self.luma.dtype != np.uint8:
            raise ValueError(f"luma must be (h, w) uint8, got {self.luma.shape} {self.luma.dtype}")
        if not (np.isfinite(self.pts_s) and np.isfinite(self.boxes).all()):
            raise ValueError("the time and the boxes of a look must be finite")

    @classmethod
    def of(
        cls,
        pts_s: float,
        luma: NDArray[np.uint8],
        found: Detections,
        tracks: Tracks,
        person: int,
        heads: HeadMap | None = None,
    ) -> Self:
        """A look from what a detector and a tracker made of a picture.

        Args:
            pts_s: camera time.
            luma: (180, 320) uint8.
            found: objects, low scores included.
            tracks: of this picture.
            person: label of people.
            heads: the head counter's map, where it looked.
        """
        seen, known = found.select(found.labels == person), tracks.select(tracks.labels == person)
        velocity = np.full((len(seen), 2), np.nan, np.float32)
        ids = np.full(len(seen), UNTRACKED, np.int64)
        alone = np.ones(len(known), np.bool_)
        if len(seen) and len(known):
            overlap = iou(known.xyxy, seen.xyxy)
            best = overlap.argmax(axis=1)
            same = overlap[np.arange(len(known)), best] >= _SAME_IOU
            velocity[best[same]], ids[best[same]], alone = known.velocity[same], known.ids[same], ~same
        left = known.select(alone)
        return cls(
            pts_s,
            luma,
            np.concatenate((seen.xyxy, left.xyxy)),
            np.concatenate((seen.scores, left.scores)),
            np.concatenate((velocity, left.velocity)),
            np.concatenate((ids, left.ids)),
            heads,
        )

    def __len__(self) -> int:
        return len(self.boxes)
