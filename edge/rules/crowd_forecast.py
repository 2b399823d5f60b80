"""`crowd.forecast`: minutes until a zone's density reaches a level."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import Field

from edge.density_levels import DensityLevels, Pace, step_pace
from edge.field import ZoneDensity
from edge.forecast import (
    HORIZON_S,
    Crest,
    Forecast,
    Reading,
    Trend,
    TrendOptions,
    forecast,
    step_crest,
    step_trend,
)
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
from edge.site import Site
from edge.view import View

EVERY_S = 1.0
"""Looks within so long are averaged: their errors are the same, and a forecast is for minutes."""


FILLS_PER_M2_S = 0.5 / 60
"""How fast places fill that become dangerous within minutes: a person per two m2 each minute."""


class ForecastRule(DensityLevels, CrowdRule):
    """`crowd.forecast`: minutes until the worst cell's density reaches the next levels, from its net inflow.

    What is followed is the zone's mean density, which changes as people come and go; the worst cell's own
    course is that of a few people. How far it is above the mean is measured beside.

    It is one level milder than what it forecasts: red within the lead is orange, though yellow comes before.
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
        return _Forecaster(self, setting.site)


RULE = ForecastRule


@dataclass(slots=True)
class _Second:
    """Looks that are averaged.

    Attributes:
        began_s: camera time of the first.
        means: persons per m2 of the zone.
        variances: of these.
        worsts: persons per m2 in the worst cell.
    """

    began_s: float
    means: list[float] = field(default_factory=list)
    variances: list[float] = field(default_factory=list)
    worsts: list[float] = field(default_factory=list)


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
    def __init__(self, rule: ForecastRule, site: Site) -> None:
        area_m2 = rule.floor_at(site).area_m2
        self._rule = rule
        # One person more or less makes 1 / area: a look tells no finer.
        self._grain = 1 / (12 * area_m2**2)
        # Who comes comes by chance: the mean of a place that fills is a random walk of Poisson's variance.
        walk = math.sqrt(FILLS_PER_M2_S / area_m2) / (2 * rule.blue_per_m2)
        self._options = TrendOptions(rule.blue_per_m2, jitter_per_root_s=walk)
        self._trend, self._crest = Trend(), Crest()
        self._pace = Pace()
        self._second: _Second | None = None
        self._ahead: tuple[_Ahead, ...] = ()

    def step(self, view: View) -> list[Observation]:
        rule = self._rule
        density = view.density(rule.zone, rule.cell_m2)
        if density is None:
            return []
        worst = density.worst
        crowd = view.people_in(rule.zone).select(worst.members)
        self._pace = step_pace(self._pace, crowd, view.pts_s, view.noise, rule)
        self._look(view, density)
        if self.unavailable is not None:
            return []
        rows = view.tracks_of(view.members_of(rule.zone)[worst.members])
        measures = {
            "count": round(density.count, 2),
            "density_worst_cell_per_m2": round(worst.density_per_m2, 3),
            **self._measures(),
        }
        return [verdict(rule, view, self._severity(), measures, "density_worst_cell_per_m2", rows)]

    def _look(self, view: View, density: ZoneDensity) -> None:
        now_s = view.pts_s
        if self._second is not None and now_s - self._second.began_s >= EVERY_S - 1e-6:
            self._take(self._second, view.density_factor)
            self._second = None
        if self._second is None:
            self._second = _Second(now_s)
        self._second.means.append(density.mean_per_m2)
        self._second.variances.append(density.stderr_per_m2**2 + self._grain)
        self._second.worsts.append(density.worst.density_per_m2)

    def _take(self, second: _Second, factor: float) -> None:
        mean, worst = float(np.mean(second.means)), float(np.mean(second.worsts))
        reading = Reading(mean, math.sqrt(float(np.mean(second.variances))))
        self._trend = step_trend(self._trend, reading, second.began_s, self._options)
        self._crest = step_crest(self._crest, mean, worst, second.began_s)
        self._ahead = self._beyond(worst, factor)
        known = all(ahead.found.unavailable != "too little history" for ahead in self._ahead)
        self.unavailable = None if known else "too little history"

    def _beyond(self, value: float, factor: float) -> tuple[_Ahead, ...]:
        """The levels that are not reached yet, the next one first."""
        steps = self._rule.steps(self._pace.stands(self._rule), factor)
        horizon_s = max(HORIZON_S, 120 * self._rule.lead_min)
        trend, options, mean_at = self._trend, self._options, self._crest.mean_at
        # A cell's count goes by whole persons: it is there when the smooth course lacks half a person.
        half = 0.5 / self._rule.cell_m2
        return tuple(
            _Ahead(4 - k, step, forecast(trend, mean_at(max(step - half, half)), options, horizon_s))
            for k, step in enumerate(steps)
            if value < step
        )

    def _within(self, ease: float) -> int | None:
        """One level milder than the most severe one within the lead."""
        lead_min = self._rule.lead_min / ease
        near = (a.level for a in self._ahead if a.found.minutes is not None and a.found.minutes <= lead_min)
        return min((min(level + 1, 4) for level in near), default=None)

    def _severity(self) -> Severity:
        return Severity(self._within(1.0), self._within(self._rule.keep))

    def _measures(self) -> dict[str, float]:
        trend, scale = self._trend, self._options.scale
        # The root of the share of the scale rises by `slope`: so the measure rises by 2 root slope scale.
        rise = 2 * scale * float(trend.mean[0] * trend.mean[1]) * 60
        measures = rounded(3, rise_per_m2_min=rise)
        if not self._ahead:
            return measures
        following, red = self._ahead[0], self._ahead[-1]
        found = following.found
        return {
            **measures,
            **rounded(3, red_threshold_per_m2=red.threshold_per_m2),
            **rounded(
                2,
                time_to_red_min=red.found.minutes,
                time_to_red_earliest_min=red.found.earliest_minutes,
                time_to_red_latest_min=red.found.latest_minutes,
            ),
            **rounded(3, threshold_per_m2=following.threshold_per_m2, probability_share=found.probability),
            **rounded(
                2,
                time_to_level_min=found.minutes,
                time_to_level_earliest_min=found.earliest_minutes,
                time_to_level_latest_min=found.latest_minutes,
            ),
        }
