"""`crowd.forecast`: minutes until a zone's density reaches a level."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import Field

from edge.density_levels import DensityLevels, Pace, step_pace
from edge.forecast import HORIZON_S, Forecast, Reading, Trend, TrendOptions, forecast, step_trend
from edge.observation import Observation
from edge.rule_base import (
    CrowdRule,
    Setting,
    Severity,
    Watcher,
    person_needed,
    rounded,
    verdict,
)
from edge.sections import Hold
from edge.view import View

EVERY_S = 1.0
"""Looks within so long are averaged: their errors are the same, and a forecast is for minutes."""


class ForecastRule(DensityLevels, CrowdRule):
    """`crowd.forecast`: minutes until the worst cell's density reaches the next level, from its net inflow.

    It is one level milder than what it forecasts: red within the lead is orange.
    """

    FLOOR_FPS = 0.5  # as density, whose course it follows

    kind: Literal["crowd.forecast"]
    lead_min: float = Field(
        5.0, gt=0, le=30, description="Units of 60 seconds: warns of what is at most so far ahead."
    )
    hold_s: Hold = Field(10.0, description="Seconds a level must last before the incident begins or rises.")
    release_s: Hold = Field(30.0, description="Seconds of calm before it ends or falls.")

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        person_needed(setting)
        return _Forecaster(self)


RULE = ForecastRule


@dataclass(slots=True)
class _Second:
    """Looks that are averaged.

    Attributes:
        began_s: camera time of the first.
        densities: persons per m2 in the worst cell.
        variances: of these.
    """

    began_s: float
    densities: list[float] = field(default_factory=list)
    variances: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A level that is ahead.

    Attributes:
        level: 4 to 1.
        threshold_per_m2: where it begins.
        found: when it is reached.
    """

    level: int
    threshold_per_m2: float
    found: Forecast


class _Forecaster(Watcher):
    def __init__(self, rule: ForecastRule) -> None:
        self._rule = rule
        self._options = tuple(TrendOptions(step) for step in rule.moving_steps)
        self._trends = [Trend() for _ in self._options]
        self._pace = Pace()
        self._second: _Second | None = None
        self._ahead: _Ahead | None = None

    def step(self, view: View) -> list[Observation]:
        rule = self._rule
        density = view.density(rule.zone, rule.cell_m2)
        if density is None:
            return []
        worst = density.worst
        crowd = view.people_in(rule.zone).select(worst.members)
        self._pace = step_pace(self._pace, crowd, view.pts_s, view.noise, rule)
        # One person more or less makes 1 / cell: a look tells no finer.
        variance = worst.stderr_per_m2**2 + 1 / (12 * rule.cell_m2**2)
        self._look(view, worst.density_per_m2, variance)
        if self.unavailable is not None:
            return []
        rows = view.tracks_of(view.members_of(rule.zone)[worst.members])
        measures = {
            "count": round(density.count, 2),
            "density_worst_cell_per_m2": round(worst.density_per_m2, 3),
            **self._measures(),
        }
        return [verdict(rule, view, self._severity(), measures, "density_worst_cell_per_m2", rows)]

    def _look(self, view: View, density_per_m2: float, variance: float) -> None:
        now_s = view.pts_s
        if self._second is not None and now_s - self._second.began_s >= EVERY_S - 1e-6:
            self._take(self._second, view.density_factor)
            self._second = None
        if self._second is None:
            self._second = _Second(now_s)
        self._second.densities.append(density_per_m2)
        self._second.variances.append(variance)

    def _take(self, second: _Second, factor: float) -> None:
        reading = Reading(float(np.mean(second.densities)), math.sqrt(float(np.mean(second.variances))))
        pairs = zip(self._trends, self._options, strict=True)
        self._trends = [step_trend(trend, reading, second.began_s, options) for trend, options in pairs]
        self._ahead = self._next(reading.value, factor)
        known = self._ahead is None or self._ahead.found.unavailable != "too little history"
        self.unavailable = None if known else "too little history"

    def _next(self, value: float, factor: float) -> _Ahead | None:
        """The next level; None above all."""
        steps = self._rule.steps(self._pace.stands(self._rule), factor)
        k = next((k for k, step in enumerate(steps) if value < step), None)
        if k is None:
            return None
        horizon_s = max(HORIZON_S, 120 * self._rule.lead_min)
        return _Ahead(4 - k, steps[k], forecast(self._trends[k], steps[k], self._options[k], horizon_s))

    def _within(self, found: Forecast, ease: float) -> bool:
        return found.minutes is not None and found.minutes <= self._rule.lead_min / ease

    def _severity(self) -> Severity:
        if self._ahead is None:
            return Severity()
        level = min(self._ahead.level + 1, 4)
        return Severity(
            level if self._within(self._ahead.found, 1.0) else None,
            level if self._within(self._ahead.found, self._rule.keep) else None,
        )

    def _measures(self) -> dict[str, float]:
        trend, scale = self._trends[0], self._options[0].scale
        # The root of the share of the scale rises by `slope`: so the measure rises by 2 root slope scale.
        rise = 2 * scale * float(trend.mean[0] * trend.mean[1]) * 60
        measures = rounded(3, rise_per_m2_min=rise)
        if self._ahead is None:
            return measures
        found = self._ahead.found
        return {
            **measures,
            **rounded(3, threshold_per_m2=self._ahead.threshold_per_m2, probability_share=found.probability),
            **rounded(
                2,
                time_to_level_min=found.minutes,
                time_to_level_earliest_min=found.earliest_minutes,
                time_to_level_latest_min=found.latest_minutes,
            ),
        }
