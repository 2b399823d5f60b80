"""Whether somebody lies where somebody stood: a small network that looks at the place itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.classifier import Classifier
from models.errors import ManifestError
from models.manifest import FALLEN, ClassifierHead, ModelFile
from models.regions import CroppingPicture
from models.session import Session

SPAN = 2.4
"""Sides of what is looked at, in heights of who stood there."""
ABOVE = 0.05
"""It is centred so much above their foot, in heights."""
_GREY = 114


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody stood.

    Attributes:
        foot: (x, y) of their foot, fractions of the picture.
        tall: their height, a fraction of the picture's; above 0.
    """

    foot: tuple[float, float]
    tall: float

    def __post_init__(self) -> None:
        if not (math.isfinite(sum(self.foot)) and 0.0 < self.tall < math.inf):
            raise ValueError(f"a place needs a finite foot and a height above 0, got {self}")


class FallenModel:
    """A model that tells who lies, ready to look at places. Used from one thread at a time."""

    def __init__(self, model: ModelFile, session: Session) -> None:
        """Raises ManifestError when it is no such model."""
        check(model)
        manifest = model.manifest
        self.name, self.sha256 = manifest.name, manifest.sha256
        self.session = session
        self._classifier = Classifier(model, session)
        self._side = manifest.input.size[0]
        self._class = manifest.classes.index(FALLEN)

    def look(self, picture: CroppingPicture, places: Sequence[Place]) -> NDArray[np.float64]:
        """Probabilities that somebody lies at each of (n,) places: (n,), 0 to 1.

        Raises:
            SessionError: inference fails, or the outputs are not what the manifest says.
        """
        scores = np.zeros(len(places))
        for row, place in enumerate(places):
            foot = place.foot[0] * picture.width, place.foot[1] * picture.height
            pixels = cut(picture, foot, place.tall * picture.height, self._side)
            scores[row] = self._classifier(_Cut(pixels))[self._class]
        return np.clip(scores, 0.0, 1.0)


def check(model: ModelFile) -> None:
    """Raises ManifestError unless a model tells who lies."""
    manifest = model.manifest
    if not isinstance(manifest.head, ClassifierHead) or FALLEN not in manifest.classes:
        raise ManifestError(f"{manifest.name} does not tell who lies: no classifier with a class {FALLEN!r}")
    if manifest.input.size[0] != manifest.input.size[1]:
        raise ManifestError(f"{manifest.name}: input.size: a model that tells who lies looks at squares")


def cut(
    picture: CroppingPicture, foot: tuple[float, float] | NDArray[np.float64], tall: float, side: int
) -> NDArray[np.uint8]:
    """The square around a place: (side, side, 3) uint8, blue first; grey beyond the picture.

    Args:
        picture: the pixels.
        foot: of who stood there, in its pixels.
        tall: their height, in its pixels; above 0.
        side: of what is returned, in pixels.
    """
    canvas = np.full((side, side, 3), _GREY, np.uint8)
    half = SPAN * tall / 2
    left, top = foot[0] - half, foot[1] - ABOVE * tall - half
    ends = (left, top, left + 2 * half, top + 2 * half)
    low = max(round(ends[0]), 0), max(round(ends[1]), 0)
    high = min(round(ends[2]), picture.width), min(round(ends[3]), picture.height)
    scale = side / (2 * half)
    inner = zip((*low, *high), (left, top) * 2, strict=True)
    a, b, c, d = (min(max(round((value - origin) * scale), 0), side) for value, origin in inner)
    if high[0] > low[0] and high[1] > low[1] and c > a and d > b:
        canvas[b:d, a:c] = picture.crop((*low, *high), c - a, d - b)
    return canvas


class _Cut:
    """Pixels of the right size, as a picture."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels
        self.height, self.width = pixels.shape[:2]

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        assert (width, height) == (self.width, self.height)  # noqa: S101 - cut to the input's size
        return self._pixels
