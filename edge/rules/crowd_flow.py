"""`crowd.flow`: persons per metre and minute through a line against its capacity, and stop-and-go."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from edge.crowd import most_severe
from edge.errors import SiteError
from edge.flow import CAPACITY_PER_M_MIN, WINDOW_S, Flow, FlowState, Section, around, step_flow
from edge.observation import Observation
from edge.rule_base import (
    Setting,
    Severity,
    Steady,
    Watcher,
    person_needed,
    rising,
    rounded,
    verdict,
    without_ground,
)
from edge.sections import Id, Level
from edge.site import Site
from edge.view import View


class FlowRule(Steady):
    """`crowd.flow`: persons per metre and minute through a line, against what it can take.

    82 persons per metre and minute on the level is the Green Guide's rate and Fruin's highest walkway flow;
    its service level E begins at 66, four fifths of that. Stairs take 66.
    """

    FLOOR_FPS = 2.0  # who walks 1.5 m/s must be seen on both sides, at most a second apart
    PLACE: ClassVar[Literal["zone", "line"]] = "line"

    kind: Literal["crowd.flow"]
    line: Id
    capacity_per_m_min: float = Field(
        CAPACITY_PER_M_MIN,
        gt=0,
        le=1000,
        description="Persons per metre and minute that it takes; stairs: 66.",
    )
    capacity_shares: tuple[float, float, float, float] = Field(
        (0.8, 0.9, 1.0, 1.2), description="Shares of that capacity at which levels 4, 3, 2, 1 begin."
    )
    stop_and_go_level: Level | None = Field(
        2, description="Severity of a dense crowd that moves in waves or is held up; empty: not watched."
    )
    window_s: float = Field(WINDOW_S, ge=10, le=600, description="Seconds over which the flow is counted.")

    @model_validator(mode="after")
    def _shares_rise(self) -> Self:
        rising(self.capacity_shares, "capacity_shares must be positive and rise")
        return self

    @property
    def subject(self) -> str:
        """Id of the line."""
        return self.line

    def check(self, site: Site) -> None:
        """Refuse a line without ground.

        Raises:
            SiteError: it is one; with the key below the rule.
        """
        self.section_at(site)

    def section_at(self, site: Site) -> Section:
        """The line on the ground.

        Raises:
            SiteError: it has none; with the key below the rule.
        """
        if site.ground is None:
            raise SiteError("line", without_ground(self.kind, self.line))
        ends = site.line(self.line).ground
        if ends is None:
            text = "reaches above the horizon, where there is no ground: draw it where people's feet are"
            raise SiteError("line", f"{self.line!r} {text}")
        return Section(ends[0], ends[1], self.capacity_per_m_min)

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        person_needed(setting)
        return _Flow(self, setting.site)


RULE = FlowRule


class _Flow(Watcher):
    def __init__(self, rule: FlowRule, site: Site) -> None:
        self._rule = rule
        self._section = rule.section_at(site)
        # A survey laid out as a map is turned over in the picture, whose y axis points down.
        self._ahead_is_right = site.ground is not None and not site.ground.right_handed
        self._state = FlowState()

    def step(self, view: View) -> list[Observation]:
        rule, people = self._rule, view.people
        if people is None:
            return []
        self._state, flow = step_flow(self._state, people, self._section, view.pts_s, rule.window_s)
        self.unavailable = flow.unavailable
        if flow.unavailable is not None or flow.capacity_share is None:
            return []
        severity = Severity.of(flow.capacity_share, rule.capacity_shares, rule.keep)
        if flow.stop_and_go and rule.stop_and_go_level is not None:
            held_up = rule.stop_and_go_level
            severity = Severity(most_severe(severity.level, held_up), most_severe(severity.sustains, held_up))
        near = np.flatnonzero(around(people, self._section))
        return [verdict(rule, view, severity, self._measures(flow), "capacity_share", view.tracks_of(near))]

    def _measures(self, flow: Flow) -> dict[str, float]:
        ways = (flow.ahead_per_m_min, flow.back_per_m_min)
        right, left = ways if self._ahead_is_right else ways[::-1]
        return {
            **rounded(2, right_per_m_min=right, left_per_m_min=left, stderr_per_m_min=flow.stderr_per_m_min),
            **rounded(
                4, capacity_share=flow.capacity_share, capacity_stderr_share=flow.capacity_share_stderr
            ),
            **rounded(3, density_per_m2=flow.density_per_m2, speed_m_s=flow.speed_m_s),
            "waves_count": float(flow.waves),
            "stop_and_go_count": float(flow.stop_and_go),
        }
