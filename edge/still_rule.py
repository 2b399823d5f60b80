"""Rules of things that keep still in a zone, by two models of the background."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from edge.observation import Box, Observation
from edge.policy import Policy
from edge.rule_base import Setting, Watcher, ZoneRule
from edge.sections import Hold, Level
from edge.view import View

UNSETTLED = "the picture has changed as a whole, or is not known yet"
"""Why nothing can be said of things that keep still."""

FRESH_S = 2.0
"""What is hidden for longer keeps an incident up, but does not begin one: it may have been taken."""


class StillRule(ZoneRule):
    """Keys of a rule of things that keep still. Who put them there is not followed; only their age counts.

    Attributes:
        PUT: whether it is of what was put there; False: of what was taken away.
    """

    FLOOR_FPS = 0.5  # what lies there for a minute is there at the next look, too
    STILL: ClassVar[bool] = True
    PUT: ClassVar[bool] = True

    level: Level = Field(3, description="Severity.")
    min_age_s: Hold = Field(60.0, description="Seconds that it must keep still before it counts.")
    smallest_m: float = Field(0.2, ge=0, le=50, description="Narrower things do not count; needs ground.")
    largest_m: float = Field(2.0, gt=0, le=50, description="Wider things do not count; needs ground.")
    release_s: Hold = Field(10.0, description="Seconds without it before the incident ends.")

    @property
    def policy(self) -> Policy:
        """It begins at once: `min_age_s` has been waited for."""
        return Policy(release_s=self.release_s, cooldown_s=self.cooldown_s, evidence_s=self.min_age_s)

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        return _StillWatcher(self, setting)


class Places:
    """Which still things stand in a zone and are of a size that counts."""

    def __init__(self, rule: "StillRule", setting: Setting) -> None:
        """Bind a rule's zone and sizes to a site."""
        self._rule = rule
        self._zone = setting.site.zone(rule.zone)
        self._plane = setting.site.ground

    def holds(self, box: Box) -> bool:
        """Whether one with this box does, by the middle of its lower edge."""
        left, _, right, bottom = box
        base = np.array([(left, bottom), ((left + right) / 2, bottom), (right, bottom)])
        ground = self._plane.to_ground(base) if self._plane is not None else None
        if not self._zone.holds(base[1:2], None if ground is None else ground[1:2])[0]:
            return False
        if ground is None or not np.isfinite(ground).all():
            return True
        width_m = float(np.hypot(*(ground[2] - ground[0])))
        return self._rule.smallest_m <= width_m <= self._rule.largest_m


class _StillWatcher(Watcher):
    def __init__(self, rule: StillRule, setting: Setting) -> None:
        self._rule = rule
        self._places = Places(rule, setting)

    def step(self, view: View) -> list[Observation]:
        rule = self._rule
        self.unavailable = UNSETTLED if view.things is None else None
        if view.things is None:
            return []
        here = [thing for thing in view.things if thing.put == rule.PUT and self._places.holds(thing.box)]
        ages_s = [view.pts_s - thing.since_s for thing in here]
        old = [thing for thing, age_s in zip(here, ages_s, strict=True) if age_s >= rule.min_age_s - 1e-6]
        seen = any(view.pts_s - thing.seen_s <= FRESH_S for thing in old)
        measures = {"count": float(len(old)), "oldest_s": round(max(ages_s, default=0.0), 1)}
        return [
            Observation(
                rule.kind,
                rule.zone,
                rule.level if seen else None,
                measures,
                boxes=tuple(thing.box for thing in old),
                sustains=rule.level if old else None,
                yardstick="oldest_s",
            )
        ]
