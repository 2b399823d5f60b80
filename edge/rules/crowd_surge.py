"""`crowd.surge`: many people who suddenly run, or scatter."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from edge.crowd import level_of, most_severe
from edge.errors import SiteError
from edge.observation import Observation
from edge.rule_base import (
    WHOLE_VIEW,
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
from edge.sections import Hold, Id, Level
from edge.site import Site
from edge.surge import Surge, SurgeLimits, SurgeState, step_surge
from edge.view import View

_RISE_SHARE = 0.2
"""So much more than before must run."""


class SurgeRule(Steady):
    """`crowd.surge`: many people suddenly run or scatter, in a zone or the whole view.

    Free walking is 1.34 m/s with a deviation of 0.26 (Weidmann 1993); people begin to run at 2.0 to 2.2 m/s.
    Where it is dense walkers are slower, and so are runners: see `surge.SurgeLimits`.
    """

    FLOOR_FPS = 2.0  # who runs 3 m/s moves by 1.5 m between two looks; tracks break beyond

    kind: Literal["crowd.surge"]
    zone: Id | None = Field(None, description="Empty: everybody in the picture.")
    running_m_s: float = Field(2.1, ge=1.8, lt=8, description="Who is faster runs; where it is dense, less.")
    running_shares: tuple[float, float, float, float] = Field(
        (0.15, 0.2, 0.3, 0.6), description="Shares of people who run at which levels 4, 3, 2, 1 begin."
    )
    least_people: float = Field(10.0, ge=2, le=1000, description="Persons who must run: a few are no surge.")
    scatter_level: Level | None = Field(
        2, description="Severity of people who hurry apart; empty: not watched."
    )
    hold_s: Hold = Field(0.5, description="Seconds a level must last before the incident begins or rises.")
    release_s: Hold = Field(10.0, description="Seconds of calm before it ends or falls.")

    @model_validator(mode="after")
    def _shares_rise(self) -> Self:
        rising(self.running_shares, "running_shares must be positive and rise")
        if self.running_shares[-1] > 1:
            raise ValueError("running_shares must be at most 1")
        return self

    @property
    def subject(self) -> str:
        """Id of the zone, or `view`."""
        return self.zone if self.zone is not None else WHOLE_VIEW

    @property
    def limits(self) -> SurgeLimits:
        """From when on it is a surge."""
        least = self.running_shares[0]
        return SurgeLimits(
            running_m_s=self.running_m_s,
            least_people=self.least_people,
            least_share=least,
            rise_share=min(_RISE_SHARE, least),
        )

    def check(self, site: Site) -> None:
        """Refuse places without ground.

        Raises:
            SiteError: it is one; with the key below the rule.
        """
        if self.zone is None and site.ground is None:
            raise SiteError("kind", without_ground(self.kind, self.subject))
        if self.zone is not None and site.zone(self.zone).floor is None:
            raise SiteError("zone", without_ground(self.kind, self.zone))

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        person_needed(setting)
        return _Surge(self)


RULE = SurgeRule


class _Surge(Watcher):
    def __init__(self, rule: SurgeRule) -> None:
        self._rule = rule
        self._limits = rule.limits
        self._state = SurgeState()
        self._troubled = False

    def step(self, view: View) -> list[Observation]:
        rule, members = self._rule, view.members_of(self._rule.zone)
        people = view.people_in(rule.zone)
        variance = view.noise.variance_m2_per_s2
        noise_m_s = math.sqrt(variance / 2) if math.isfinite(variance) else 0.0
        self._state, found = step_surge(self._state, people, view.pts_s, noise_m_s, self._limits)
        self.unavailable = found.unavailable
        if found.danger is None:
            return []
        severity = self._judge(found)
        self._troubled = not severity.calm
        measures = {"count": round(people.count, 2), **_measures(found)}
        return [verdict(rule, view, severity, measures, "running_share", view.tracks_of(members))]

    def _judge(self, found: Surge) -> Severity:
        """A surge begins suddenly; once begun it lasts for as long as people run."""
        rule, share = self._rule, found.running_share or 0.0
        level = None
        if found.danger:
            level = most_severe(
                level_of(share, rule.running_shares), rule.scatter_level if found.scattering else None
            )
        if level is None and not self._troubled:
            return Severity()
        running = Severity.of(share, rule.running_shares, rule.keep).sustains
        return Severity(level, most_severe(level, running))


def _measures(found: Surge) -> dict[str, float]:
    return {
        **rounded(2, persons_running=found.running_people),
        **rounded(
            4,
            running_share=found.running_share,
            running_stderr_share=found.running_share_stderr,
            running_before_share=found.running_share_before,
        ),
        **rounded(3, speed_m_s=found.speed_m_s, acceleration_m_s2=found.acceleration_m_s2),
        **rounded(
            4, divergence_per_s=found.divergence_per_s, divergence_stderr_per_s=found.divergence_stderr_per_s
        ),
    }
