"""Flames and smoke, by a classifier of parts of a picture or a detector in the whole of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.classifier import Classifier
from models.detector import Detector
from models.errors import ManifestError
from models.manifest import FIRES, ClassifierHead, Fire, FireSpec, ModelFile
from models.regions import CroppingPicture
from models.session import Session

LEAST_SCORE = 0.1
"""What scores less is not worth telling."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the picture, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Flame:
    """Fire or smoke in one picture.

    Attributes:
        what: which of the two.
        score: the model's, 0 to 1.
        box: where, as fractions of the picture; of a classifier the part that it looked at.
        place: name of the place that this is a part of; None where the whole picture was looked at.
    """

    what: Fire
    score: float
    box: Box
    place: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"score must be within 0 and 1, got {self.score}")
        left, top, right, bottom = self.box
        if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
            raise ValueError(f"box must be left, top, right, bottom within 0 and 1, got {self.box}")


class FireModel:
    """A model of fire, ready to look at pictures. Used from one thread at a time.

    Attributes:
        by_parts: whether it looks at parts of a picture, since it cannot tell where in one something is.
        tiles: into how many parts a place may be divided for that, at most.
    """

    def __init__(self, model: ModelFile, session: Session) -> None:
        """Raises ManifestError when the manifest does not say what means fire or smoke."""
        manifest = model.manifest
        self.name = manifest.name
        self.sha256 = manifest.sha256
        self.spec = spec_of(model)
        self.tiles = self.spec.tiles
        self.session = session
        head = manifest.head
        self.by_parts = isinstance(head, ClassifierHead)
        self._detector = None if self.by_parts else Detector(model, session)
        self._classify = Classifier(model, session) if self.by_parts else None
        members = {what: np.isin(manifest.classes, getattr(self.spec, what)) for what in FIRES}
        self._members = {what: mask for what, mask in members.items() if mask.any()}

    def look(self, picture: CroppingPicture, places: Mapping[str, Sequence[Box]]) -> tuple[Flame, ...]:
        """What burns or smokes in a picture, the surest first, from a score of 0.1.

        Args:
            picture: the pixels.
            places: parts to look at, by the place they belong to; a detector looks at the whole picture.

        Raises:
            SessionError: inference fails, or the outputs are not what the manifest says.
        """
        if self._detector is not None:
            found = self._in_whole(self._detector, picture)
        else:
            found = [
                flame for place, parts in places.items() for box in parts
                for flame in self._in_part(picture, box, place)
            ]  # fmt: skip
        return tuple(sorted(found, key=lambda flame: -flame.score))

    def _in_whole(self, detector: Detector, picture: CroppingPicture) -> list[Flame]:
        found = detector.detect(picture, LEAST_SCORE)
        flames = []
        for xyxy, score, label in zip(found.xyxy, found.scores, found.labels, strict=True):
            left, top, right, bottom = (float(value) for value in xyxy)
            flames += [
                Flame(what, min(max(float(score), 0.0), 1.0), (left, top, right, bottom))
                for what, members in self._members.items()
                if members[label]
            ]
        return flames

    def _in_part(self, picture: CroppingPicture, box: Box, place: str) -> list[Flame]:
        assert self._classify is not None  # noqa: S101 - one of the two is there, see __init__
        scores = self._classify(_Part(picture, box))
        best = {what: self._classify.joined(scores[members]) for what, members in self._members.items()}
        return [Flame(what, score, box, place) for what, score in best.items() if score >= LEAST_SCORE]

    def close(self) -> None:
        """Nothing outlives the object; here so that an exit stack can hold it."""


def spec_of(model: ModelFile) -> FireSpec:
    """What a model's classes mean; raises ManifestError when its manifest does not say."""
    if model.manifest.fire is None:
        raise ManifestError(
            f"{model.manifest.name} is no model of fire: {model.path} has no section [fire], which says "
            f"which of its classes mean fire or smoke"
        )
    return model.manifest.fire


class _Part:
    """A part of a picture, as a picture; one pixel wide and high at least."""

    def __init__(self, picture: CroppingPicture, box: Box) -> None:
        wide, high = picture.width, picture.height
        left, top = min(int(box[0] * wide), wide - 1), min(int(box[1] * high), high - 1)
        right, bottom = max(left + 1, round(box[2] * wide)), max(top + 1, round(box[3] * high))
        self._picture = picture
        self._part = (left, top, right, bottom)
        self.width, self.height = right - left, bottom - top

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        return self._picture.crop(self._part, width, height)
