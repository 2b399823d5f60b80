"""Levels of density: two sets of thresholds, and which of them a crowd is judged by."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from edge.crowd import CELL_M2
from edge.people import People
from edge.pressure import Noise
from edge.rule_base import Steady, rising
from edge.sections import Hold

_MEMORY_S = 2.0
"""Time constant of a crowd's speed: a sway is no walk."""
_LEAST_KNOWN = 0.5

Steps = tuple[float, float, float, float]


class MovingLevels(Steady):
    """Keys of a rule that judges the density of a crowd that moves, or means to.

    Moving crowds fail earlier than standing ones: Still (Introduction to crowd science, 2014) puts their
    critical density at about 4 per m2.
    """

    blue_per_m2: float = Field(2.0, gt=0, description="Density at which level 4 begins, moving crowds.")
    yellow_per_m2: float = Field(3.0, gt=0, description="Level 3.")
    orange_per_m2: float = Field(4.0, gt=0, description="Level 2.")
    red_per_m2: float = Field(5.0, gt=0, description="Level 1.")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        rising(self.moving_steps, "thresholds must rise from blue to red")
        return self

    @property
    def moving_steps(self) -> Steps:
        """Thresholds of levels 4, 3, 2, 1 in persons per m2, for a crowd that moves."""
        return self.blue_per_m2, self.yellow_per_m2, self.orange_per_m2, self.red_per_m2


class DensityLevels(MovingLevels):
    """Keys of a rule that judges the density of any crowd, in the worst cell.

    Standing: Fruin's queue level F is about 3.6 (involuntary contact 3.57), the Green Guide's maximum 4.7,
    and dangerous forces begin at 5.55 (Fruin, The causes and prevention of crowd disasters, 1993).
    """

    standing_blue_per_m2: float = Field(3.0, gt=0, description="Level 4, standing crowds.")
    standing_yellow_per_m2: float = Field(3.6, gt=0, description="Level 3.")
    standing_orange_per_m2: float = Field(4.7, gt=0, description="Level 2.")
    standing_red_per_m2: float = Field(5.5, gt=0, description="Level 1.")
    standing_below_m_s: float = Field(
        0.1, ge=0, le=1, description="A crowd stands whose mean speed is below; 0: none ever does."
    )
    standing_after_s: Hold = Field(
        10.0, description="And has been for so long; till then it is a moving one."
    )
    cell_m2: float = Field(CELL_M2, ge=4, le=10, description="Ground area of the worst cell in m2.")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        rising(self._standing, "thresholds must rise from standing_blue to standing_red")
        return self

    @property
    def _standing(self) -> Steps:
        return (
            self.standing_blue_per_m2,
            self.standing_yellow_per_m2,
            self.standing_orange_per_m2,
            self.standing_red_per_m2,
        )

    def steps(self, standing: bool, factor: float = 1.0) -> tuple[float, ...]:
        """Thresholds of levels 4, 3, 2, 1 in persons per m2, times `factor`.

        For a standing crowd never below those of a moving one.
        """
        pairs = zip(self.moving_steps, self._standing, strict=True)
        return tuple(factor * (max(moving, stood) if standing else moving) for moving, stood in pairs)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a crowd has moved.

    Attributes:
        speed_m_s: mean speed over the last seconds; None where it is unknown.
        slow_since_s: camera time since when it is below the limit; None where it is not.
        looked_s: camera time of the last look.
    """

    speed_m_s: float | None = None
    slow_since_s: float | None = None
    looked_s: float = -math.inf

    @property
    def standing_s(self) -> float:
        """For how many seconds the crowd has stood; 0 for one that moves."""
        return 0.0 if self.slow_since_s is None else self.looked_s - self.slow_since_s

    def stands(self, levels: DensityLevels) -> bool:
        """Whether the crowd is a standing one."""
        return self.slow_since_s is not None and self.standing_s >= levels.standing_after_s - 1e-6


def step_pace(state: Pace, people: People, pts_s: float, noise: Noise, levels: DensityLevels) -> Pace:
    """Follow how fast a crowd moves; of unknown speed it moves, as those thresholds are the stricter ones.

    Args:
        state: from the look before.
        people: of the place that is judged.
        pts_s: camera time, not below the last one's.
        noise: of the velocities; it would make everybody walk.
        levels: limits.
    """
    speed = _speed(people, noise)
    if speed is None:
        return Pace(None, None, pts_s)
    if state.speed_m_s is not None:
        share = -math.expm1(-max(pts_s - state.looked_s, 0.0) / _MEMORY_S)
        speed = state.speed_m_s + share * (speed - state.speed_m_s)
    if not speed < levels.standing_below_m_s:
        return Pace(speed, None, pts_s)
    return Pace(speed, pts_s if state.slow_since_s is None else state.slow_since_s, pts_s)


def _speed(people: People, noise: Noise) -> float | None:
    known = people.moving
    weight = people.weight[known]
    if weight.sum() <= 0 or weight.sum() < _LEAST_KNOWN * people.count:
        return None
    variance = noise.variance_m2_per_s2 if math.isfinite(noise.variance_m2_per_s2) else 0.0
    squares = (people.velocity[known] ** 2).sum(axis=1)
    return float(np.average(np.sqrt(np.maximum(squares - variance, 0.0)), weights=weight))
