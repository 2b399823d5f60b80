"""Rules of what stands in a zone where it may not be."""

import numpy as np
from pydantic import Field

from edge.hazards import Presence, step_presence
from edge.observation import Observation
from edge.policy import Policy
from edge.rule_base import Setting, Watcher, ZoneRule, counted
from edge.sections import Hold, Level
from edge.view import View


class PresenceRule(ZoneRule):
    """Keys of a rule of objects of some classes in a zone; their foot points count."""

    FLOOR_FPS = 1.0  # the shortest presence that usually counts lasts a second

    classes: tuple[str, ...] = Field(("person",), min_length=1, description="Object classes that count.")
    level: Level = Field(2, description="Severity.")
    min_presence_s: Hold = Field(1.0, description="Seconds inside before it counts.")
    release_s: Hold = Field(5.0, description="Seconds of emptiness before the incident ends.")

    @property
    def policy(self) -> Policy:
        """It begins at once: `min_presence_s` has been waited for."""
        return Policy(release_s=self.release_s, cooldown_s=self.cooldown_s, evidence_s=self.min_presence_s)

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        return _Present(self, setting)


class _Present(Watcher):
    def __init__(self, rule: PresenceRule, setting: Setting) -> None:
        self._rule = rule
        self._counted = counted(rule.classes, setting)
        self._presence = Presence()

    def step(self, view: View) -> list[Observation]:
        rule = self._rule
        here = view.inside[rule.zone] & self._counted[view.tracks.labels]
        sure = here & view.likely(self._counted)
        self._presence, seconds = step_presence(self._presence, view.keys, sure, view.pts_s)
        # Times of pictures are sums of floats: a second made of five fifths must count as one.
        rows = np.flatnonzero(seconds >= rule.min_presence_s - 1e-6)
        if not len(rows):
            # Somebody who has just come, or whose track has just been found again, begins nothing, but the
            # zone is not empty either: what has begun goes on.
            passing = np.flatnonzero(here)
            calm = Observation(
                rule.kind,
                rule.zone,
                None,
                {"count": float(len(passing)), "presence_s": 0.0},
                boxes=view.boxes(passing),
                sustains=rule.level if len(passing) else None,
                yardstick="count",
            )
            return [calm]
        troubled = Observation(
            rule.kind,
            rule.zone,
            rule.level,
            {"count": float(len(rows)), "presence_s": round(float(seconds[rows].max()), 2)},
            confidence=view.surest(rows),
            boxes=view.boxes(rows),
            yardstick="count",
        )
        return [troubled]
