"""`crowd.counterflow`: streams that press against each other where it is dense and both are slowed."""

from typing import Literal

import numpy as np
from pydantic import Field

from edge.counterflow import RADIUS_M, Counterflow, CounterflowLimits, Ways, counterflow, step_ways
from edge.density_levels import MovingLevels
from edge.field import Ground
from edge.observation import Observation
from edge.rule_base import (
    CrowdRule,
    Setting,
    Severity,
    Urgent,
    Watcher,
    person_needed,
    rounded,
    verdict,
)
from edge.site import Site
from edge.view import View

_NEAR_M = 2.0


class CounterflowRule(Urgent, MovingLevels, CrowdRule):
    """`crowd.counterflow`: opposed streams at one place, dense and slowed.

    Levels by the density there, with the thresholds of moving crowds (Still 2014), as such a crowd means to
    move even where it is jammed.
    """

    FLOOR_FPS = 1.0  # streams last for many seconds; tracks must survive between two looks

    kind: Literal["crowd.counterflow"]
    weak_stream_share: float = Field(
        0.2, gt=0, le=0.5, description="Least share of the weaker stream among all who are near."
    )
    slowed_ratio: float = Field(
        0.7, gt=0, le=1, description="Highest mean speed, over that expected of one stream (Weidmann 1993)."
    )

    def limits(self, ease: float = 1.0) -> CounterflowLimits:
        """When it is a danger; `ease` is a factor, below 1 for one that goes on."""
        return CounterflowLimits(
            density_per_m2=self.blue_per_m2 * ease,
            weak_share=self.weak_stream_share * ease,
            slowed_ratio=self.slowed_ratio / ease,
        )

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        person_needed(setting)
        return _Counterflow(self, setting.site)


RULE = CounterflowRule


class _Counterflow(Watcher):
    def __init__(self, rule: CounterflowRule, site: Site) -> None:
        self._rule = rule
        self._ground = Ground.lay(rule.floor_at(site).polygon, RADIUS_M)
        self._limits, self._eased = rule.limits(), rule.limits(rule.keep)
        self._ways = Ways()
        self._troubled = False

    def step(self, view: View) -> list[Observation]:
        rule = self._rule
        self._ways, people = step_ways(self._ways, view.people_in(rule.zone), view.pts_s)
        found = counterflow(people, self._ground, self._limits)
        self.unavailable = found.unavailable
        if found.danger is None:
            return []
        severity = Severity()
        if not found.danger and self._troubled:
            eased = counterflow(people, self._ground, self._eased)
            if eased.danger and eased.density_per_m2 is not None:
                found = eased
                severity = Severity(
                    None, Severity.of(eased.density_per_m2, rule.moving_steps, rule.keep).sustains
                )
        elif found.danger and found.density_per_m2 is not None:
            severity = Severity.of(found.density_per_m2, rule.moving_steps, rule.keep)
        self._troubled = not severity.calm
        near = np.zeros(0, np.intp)
        if found.place is not None:
            near = np.flatnonzero(np.hypot(*(people.at - found.place).T) <= _NEAR_M)
        rows = view.tracks_of(view.members_of(rule.zone)[near])
        measures = {"count": round(people.count, 2), **_measures(found)}
        return [verdict(rule, view, severity, measures, "density_per_m2", rows)]


def _measures(found: Counterflow) -> dict[str, float]:
    return {
        **rounded(4, weak_stream_share=found.weak_share, weak_stream_stderr_share=found.weak_share_stderr),
        **rounded(
            3,
            density_per_m2=found.density_per_m2,
            density_stderr_per_m2=found.density_stderr_per_m2,
            speed_m_s=found.speed_m_s,
            speed_ratio=found.speed_ratio,
            opposed_per_m_s=found.opposed_per_m_s,
        ),
        **rounded(1, axis_deg=found.axis_deg),
    }
