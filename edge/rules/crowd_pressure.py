"""`crowd.pressure`: how violently a dense crowd is shaken from within."""

import math
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from edge.field import Ground
from edge.observation import Observation
from edge.people import People
from edge.pressure import (
    PEAK_PER_S2,
    TOO_FEW,
    TOO_FEW_NEAR,
    WARN_PER_S2,
    Noise,
    Pressure,
    PressureState,
    step_pressure,
    where_dense,
)
from edge.rule_base import (
    CrowdRule,
    Setting,
    Severity,
    Watcher,
    person_needed,
    rounded,
    verdict,
)
from edge.sections import Hold, Level
from edge.site import Site
from edge.view import View

_NEAR_M = 2.0
_SURE = 2.0
"""A pressure below so many of its standard errors may be none."""


class PressureRule(CrowdRule):
    """`crowd.pressure`: density times variance of velocity, where it is dense.

    Helbing, Johansson, Al-Abideen (PRE 75, 046109, 2007): turbulence began at about 0.02 per s2, the accident
    happened at about 0.04. Where there is room people may walk as they like, so sparser places do not count.
    """

    FLOOR_FPS = 2.0  # below that, pushes of a second or less fall between two looks

    kind: Literal["crowd.pressure"]
    warn_per_s2: float = Field(WARN_PER_S2, gt=0, description="Pressure at which `warn_level` begins.")
    critical_per_s2: float = Field(PEAK_PER_S2, gt=0, description="Pressure at which level 1 begins.")
    warn_level: Level = Field(2, description="Severity from warn_per_s2 on.")
    least_per_m2: float = Field(3.0, gt=0, description="Only places at least so dense count.")
    velocity_noise_m_s: float | None = Field(
        None,
        ge=0,
        le=2,
        description="Deviation of each component of a standing person's velocity; empty: measured on those "
        "who stand alone.",
    )
    hold_s: Hold = Field(10.0, description="Seconds a level must last before the incident begins or rises.")
    release_s: Hold = Field(20.0, description="Seconds of calm before it ends or falls.")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.critical_per_s2 <= self.warn_per_s2:
            raise ValueError("critical_per_s2 must be above warn_per_s2")
        return self

    def level_of(self, found: Pressure, ease: float = 1.0) -> int | None:
        """Severity of a pressure; None for what may be noise.

        `ease` is a factor of the thresholds, below 1 for one that goes on.
        """
        value, stderr = found.worst_per_s2, found.stderr_per_s2
        if value is None or stderr is None or value < _SURE * stderr:
            return None
        if value >= self.critical_per_s2 * ease:
            return 1
        return self.warn_level if value >= self.warn_per_s2 * ease else None

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        person_needed(setting)
        return _Pressure(self, setting.site)


RULE = PressureRule


class _Pressure(Watcher):
    def __init__(self, rule: PressureRule, site: Site) -> None:
        self._rule = rule
        self._ground = Ground.lay(rule.floor_at(site).polygon)
        self._state = PressureState()
        self._troubled = False

    def step(self, view: View) -> list[Observation]:
        rule, people = self._rule, view.people_in(self._rule.zone)
        noise = view.noise
        if rule.velocity_noise_m_s is not None:
            noise = Noise(2 * rule.velocity_noise_m_s**2)
        # Without heights everybody is too small: then the reason is told as what it is.
        tall = view.person_px(people.at) if view.person_px is not None else np.zeros(len(people))
        self._state, found = step_pressure(self._state, people, self._ground, view.pts_s, noise, tall)
        self.unavailable = None if found.unavailable in (TOO_FEW, TOO_FEW_NEAR) else found.unavailable
        if self.unavailable is not None:
            if view.person_px is None:
                self.unavailable = "how tall people are in the picture is unknown"
            return []
        severity, shown = Severity(), Pressure()
        if found.unavailable is None:
            severity, shown = self._judge(people)
        self._troubled = not severity.calm
        rows = view.tracks_of(view.members_of(rule.zone)[_near(people, shown)])
        measures = {"count": round(people.count, 2), **_measures(shown, noise)}
        return [verdict(rule, view, severity, measures, "pressure_per_s2", rows)]

    def _judge(self, people: People) -> tuple[Severity, Pressure]:
        rule = self._rule
        shown = where_dense(self._state, people, self._ground, rule.least_per_m2)
        severity = Severity(rule.level_of(shown), rule.level_of(shown, rule.keep))
        if severity.level is None and self._troubled:
            eased = where_dense(self._state, people, self._ground, rule.least_per_m2 * rule.keep)
            return Severity(None, rule.level_of(eased, rule.keep)), eased
        return severity, shown


def _near(people: People, found: Pressure) -> np.ndarray:
    if found.place is None:
        return np.zeros(0, np.intp)
    return np.flatnonzero(np.hypot(*(people.at - found.place).T) <= _NEAR_M)


def _measures(found: Pressure, noise: Noise) -> dict[str, float]:
    known = math.isfinite(noise.variance_m2_per_s2)
    return {
        **rounded(5, pressure_per_s2=found.worst_per_s2, pressure_stderr_per_s2=found.stderr_per_s2),
        **rounded(3, density_per_m2=found.density_per_m2),
        **rounded(3, velocity_noise_m_s=math.sqrt(noise.variance_m2_per_s2 / 2) if known else None),
    }
