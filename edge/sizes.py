"""What something is, as far as its motion is judged by it: person, cycle, vehicle or other, and how high."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats

PERSON, TALL, CYCLE, CAR, VAN, TRUCK, LOW, HIGH = range(8)
FOOT, WHEELS = range(2)
UNJUDGED = -1
"""Size of what is not judged: animals, what people carry, and what stands around."""

_FIRST = {"person": PERSON, "pedestrian": PERSON, "bicycle": CYCLE, "motorcycle": CYCLE, "tricycle": CYCLE}
_FIRST |= {"car": CAR, "van": CAR, "bus": CAR, "truck": CAR}
_FIRST |= {"train": LOW, "forklift": LOW, "tractor": LOW, "cart": LOW, "boat": LOW, "airplane": LOW}
_TALL_M, _VAN_M, _TRUCK_M, _HIGH_M = 2.4, 2.0, 2.8, 1.5


def first_sizes(class_names: Sequence[str]) -> NDArray[np.int64]:
    """The least size of each of a detector's classes, `UNJUDGED` for those that are none: (classes,)."""
    return np.array([_FIRST.get(name, UNJUDGED) for name in class_names], np.int64)


def sizes(first: NDArray[np.int64], high_m: Floats) -> NDArray[np.int64]:
    """(n,) least sizes and metres high, NaN where nobody knows -> (n,) sizes."""
    high = np.nan_to_num(high_m, nan=0.0)
    vehicle = CAR + (high >= _VAN_M) + (high >= _TRUCK_M)
    found = np.where(first == CAR, vehicle, first)
    found = np.where((first == PERSON) & (high >= _TALL_M), TALL, found)
    return np.where((first == LOW) & (high >= _HIGH_M), HIGH, found)


def groups(size: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) sizes -> (n,) `FOOT` for people, `WHEELS` for all else."""
    return np.where(size >= CYCLE, WHEELS, FOOT)
