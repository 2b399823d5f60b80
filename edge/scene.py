"""What a picture shows beside its objects: how large it is, how many heads are where, what moves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.density import HeadMap
from models.detections import Detections
from models.fallen import Place
from models.fire import Flame
from streams.flow import BlockFlow
from streams.still import StillThing

LyingLook = Callable[[Sequence[Place]], NDArray[np.float64]]
"""Probabilities that somebody lies at each of (n,) places: (n,), 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One picture of a place.

    Attributes:
        size_px: width and height; None where they are not known, and then neither is how many pixels a person
            has.
        heads: how many are where; None where they were not counted in this picture.
        motion: since the picture before; None where it was not measured.
        things: what keeps still and was put there or taken away; None where nobody looks for that.
        found: objects in the picture, low scores included; None where only the tracks are known.
        luma: (180, 320) uint8 brightness of the whole picture; None where nobody asked for it.
        flames: fire and smoke; None where this picture was not looked at for them.
        lying: looks at places of the picture and tells the probabilities that somebody lies there; None where
            no rule asks for that.
    """

    size_px: tuple[int, int] | None = None
    heads: HeadMap | None = None
    motion: BlockFlow | None = None
    luma: NDArray[np.uint8] | None = None
    things: tuple[StillThing, ...] | None = None
    found: Detections | None = None
    flames: tuple[Flame, ...] | None = None
    lying: LyingLook | None = None


UNKNOWN = Scene()
"""Nothing but the objects."""
