"""What measures of a crowd share: the floor it stands on, the size of a cell, the level of a value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.geometry import Floats

CELL_M2 = 4.0
"""Ground area of a cell: the smallest on which crowd research states dangerous densities."""

CELL_RADIUS_M = math.sqrt(CELL_M2 / math.pi)


@dataclass(frozen=True, slots=True, eq=False)
class Floor:
    """A zone's ground as density needs it.

    Attributes:
        polygon: (m, 2) float64 metres, the part of the zone that the camera sees.
        area_m2: walkable area of that part.
        area_stderr_m2: its standard error.
        position_stderr_m: standard error of a foot point on the ground.
    """

    polygon: Floats
    area_m2: float
    area_stderr_m2: float = 0.0
    position_stderr_m: float = 0.0

    def __post_init__(self) -> None:
        if not self.area_m2 > 0:
            raise ValueError(f"area_m2 must be positive, got {self.area_m2}")


def level_of(value: float, steps: Sequence[float]) -> int | None:
    """Severity of a value against the thresholds of levels 4, 3, 2, 1, rising; None below the first.

    The units of value and thresholds are the same, whatever they are.

    >>> level_of(3.2, (2.0, 3.0, 4.0, 5.0))
    3
    """
    reached = sum(value >= step for step in steps)
    return 5 - reached if reached else None


def most_severe(*levels: int | None) -> int | None:
    """The lowest number among the levels, None where all are calm."""
    return min((level for level in levels if level is not None), default=None)
