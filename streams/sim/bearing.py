"""Who is not upright, and for how long: down, held, up again. While it lasts nobody walks."""

import math
from dataclasses import dataclass

from streams.sim.postures import FIRST_FALL, FIRST_RISE, LAST_FALL, POSTURES, Posture

_TURNS_S = 0.5
"""Somebody turns round so fast before sitting down, at most by as much as sitting down takes."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One posture of one person.

    Attributes:
        posture: what the person does.
        begin_s: scene time of its beginning.
        down_s, hold_s, up_s: seconds it takes to get there, to stay and to get up; `hold_s` may be infinite.
        start: (x, y) metres of the person at the beginning.
        drift: (x, y) metres that the person moves on the way down.
        headings: radians before and after the person has turned, counter-clockwise from the x axis.

    Raises:
        ValueError: a time is not positive.
    """

    posture: Posture
    begin_s: float
    down_s: float
    hold_s: float
    up_s: float
    start: tuple[float, float]
    drift: tuple[float, float]
    headings: tuple[float, float]

    def __post_init__(self) -> None:
        if not (self.down_s > 0 and self.hold_s >= 0 and self.up_s > 0):
            raise ValueError(f"times must be positive, got {self.down_s}, {self.hold_s} and {self.up_s} s")

    @property
    def over_s(self) -> float:
        """Scene time at which the person is upright again."""
        return self.begin_s + self.down_s + self.hold_s + self.up_s

    def at(self, time_s: float) -> tuple[int, float]:
        """Number in `POSTURES` and progress from 0 to 1 at a scene time."""
        kind = POSTURES.index(self.posture)
        falls = FIRST_FALL <= kind <= LAST_FALL
        since_s = time_s - self.begin_s
        if since_s < self.down_s:
            share = min(max(since_s / self.down_s, 0.0), 1.0)
            # Who falls gets faster and faster, who sits down does it smoothly.
            return kind, share**1.6 if falls else share * share * (3.0 - 2.0 * share)
        left_s = self.over_s - time_s
        if left_s > self.up_s:
            return kind, 1.0
        rising = FIRST_RISE + kind - FIRST_FALL if falls else kind
        return (rising, left_s / self.up_s) if left_s > 0.0 else (0, 0.0)

    def place(self, time_s: float) -> tuple[float, float]:
        """(x, y) metres at a scene time."""
        share = min(max((time_s - self.begin_s) / self.down_s, 0.0), 1.0)
        return self.start[0] + self.drift[0] * share, self.start[1] + self.drift[1] * share

    def heading(self, time_s: float) -> float:
        """Radians counter-clockwise from the x axis at a scene time."""
        before, after = self.headings
        share = min(max((time_s - self.begin_s) / min(_TURNS_S, self.down_s), 0.0), 1.0)
        return before + share * ((after - before + math.pi) % (2.0 * math.pi) - math.pi)
