"""Axes: even steps that people read easily, and from values to places."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from edge.geometry import Floats

_TIME_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
_DAY_S = 86400


def nice_step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5, 10, ... (times any power of ten) that divides a span into so many at most.

    Args:
        span: any unit, above 0.
        most: steps, 1 or more.

    >>> nice_step(7.3, 5), nice_step(0.9, 4), nice_step(412, 6)
    (2.0, 0.5, 100.0)
    """
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(k * power for k in (1.0, 2.0, 5.0, 10.0) if k * power >= rough * (1 - 1e-9))


def time_step(span_s: float, most: int) -> float:
    """The smallest usual step of a clock in seconds that divides a time into so many at most.

    >>> time_step(60, 8), time_step(5400, 8)
    (10, 900)
    """
    for step in _TIME_STEPS_S:
        if step * most >= span_s:
            return step
    return math.ceil(span_s / most / _DAY_S) * _DAY_S


def ticks(low: float, high: float, step: float) -> list[float]:
    """Multiples of a step within a range of the same unit, both ends included.

    >>> ticks(0.5, 2.0, 0.5)
    [0.5, 1.0, 1.5, 2.0]
    """
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 9) for k in range(first, last + 1)]


def ceiling(value: float, most: int = 6) -> float:
    """The end of an axis from 0 that holds a value, in its unit, and ends with a tick; 1 for nothing.

    >>> ceiling(5.2), ceiling(0.31), ceiling(0.0)
    (6.0, 0.4, 1.0)
    """
    if not value > 0:
        return 1.0
    step = nice_step(value, most)
    return round(math.ceil(value / step - 1e-9) * step, 9)


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle with an axis of time and one of values from 0.

    Attributes:
        left, top, width, height: in the drawing's units.
        begin_s, end_s: times at its left and right.
        high: value at its top, in the measure's unit.
    """

    left: float
    top: float
    width: float
    height: float
    begin_s: float
    end_s: float
    high: float = 1.0

    @property
    def right(self) -> float:
        """Its right side, in the drawing's units."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower side, in the drawing's units."""
        return self.top + self.height

    def x(self, seconds: ArrayLike) -> Floats:
        """Where times lie, any shape, in the drawing's units."""
        share = (np.asarray(seconds, np.float64) - self.begin_s) / (self.end_s - self.begin_s)
        place: Floats = self.left + self.width * np.clip(share, 0.0, 1.0)
        return place

    def y(self, values: ArrayLike) -> Floats:
        """Where values lie, any shape, in the drawing's units."""
        share = np.asarray(values, np.float64) / self.high
        place: Floats = self.bottom - self.height * np.clip(share, 0.0, 1.0)
        return place
