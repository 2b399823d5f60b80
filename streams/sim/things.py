"""Things in a scene: what kinds there are, how large they are, and where one is."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from streams.sim.geometry import Points

Kind = Literal["bag", "suitcase", "box", "bicycle", "motorcycle", "car", "van", "bus", "truck", "dog"]
Point = tuple[float, float]

FOOTPRINTS: Mapping[Kind, tuple[float, float]] = MappingProxyType(
    {
        "bag": (0.56, 0.34),
        "suitcase": (0.26, 0.46),
        "box": (0.54, 0.4),
        "bicycle": (1.76, 0.6),
        "motorcycle": (2.1, 0.8),
        "car": (4.26, 1.8),
        "van": (5.2, 1.96),
        "bus": (10.6, 2.54),
        "truck": (6.7, 2.36),
        "dog": (1.1, 0.3),
    }
)
"""Length and width in metres."""

VEHICLES: frozenset[Kind] = frozenset({"car", "van", "bus", "truck"})
CYCLES: frozenset[Kind] = frozenset({"bicycle", "motorcycle"})


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing at one time.

    Attributes:
        number: counts up from 0 in its scene, never used twice.
        kind: what it is.
        ground: (x, y) metres of its middle.
        heading: radians counter-clockwise from the x axis, the way its front points.
        moved_m: how far it has come, which drives a dog's gait.
        parked_s: seconds it has stood still without being carried; 0 while it moves.
        ridden: whether somebody sits on a cycle.
        up_m: how far above the ground it is carried.
    """

    number: int
    kind: Kind
    ground: Point
    heading: float
    moved_m: float = 0.0
    parked_s: float = 0.0
    ridden: bool = False
    up_m: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in FOOTPRINTS:
            raise ValueError(f"kind must be one of {', '.join(FOOTPRINTS)}, got {self.kind!r}")
        if self.ridden and self.kind not in CYCLES:
            raise ValueError(f"only cycles are ridden, not a {self.kind}")

    @property
    def base(self) -> Points:
        """(4, 2) float64 metres: corners of its footprint, counter-clockwise."""
        length, width = FOOTPRINTS[self.kind]
        return base(self.ground, self.heading, length, width)


def base(ground: Point, heading: float, length: float, width: float) -> Points:
    """(4, 2) float64 metres: corners of a rectangle around `ground`, counter-clockwise."""
    along = np.array([np.cos(heading), np.sin(heading)]) * length / 2
    left = np.array([-np.sin(heading), np.cos(heading)]) * width / 2
    return np.array([-along - left, along - left, along + left, -along + left]) + ground
