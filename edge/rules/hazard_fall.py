"""`hazard.fall`: somebody goes down and stays down."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from edge.lying import SURE, Lying, Seen, Spot, distinct, down_s, due, step_looks, step_upright
from edge.observation import Box, Observation
from edge.policy import Policy
from edge.rule_base import Setting, Watcher, ZoneRule, person_needed
from edge.sections import Hold, Level
from edge.view import MAX_BOXES, View
from models.fallen import Place

_FRESH_S, _LASTS_S, _LOOKS = 1.5, 3.0, 1.5
"""Who was last seen to lie there longer ago than the first, in seconds or in looks, begins no incident, and
longer than the second, keeps none up."""
_WIDE, _ABOVE, _BELOW = 0.6, 0.5, 0.25
"""What is marked around the foot of who stood there, in their heights."""


class FallRule(ZoneRule):
    """`hazard.fall`: somebody goes down and stays down."""

    FLOOR_FPS = 2.0  # at 1 two of 32 falls are lost, and some are told of after 26 s

    FALLEN: ClassVar[bool] = True

    kind: Literal["hazard.fall"]
    level: Level = Field(2, description="Severity.")
    min_down_s: Hold = Field(5.0, description="Seconds that somebody must stay down before it counts.")
    release_s: Hold = Field(5.0, description="Seconds without anybody who lies, before the incident ends.")

    @property
    def policy(self) -> Policy:
        """It begins at once: `min_down_s` has been waited for."""
        return Policy(release_s=self.release_s, cooldown_s=self.cooldown_s, evidence_s=self.min_down_s)

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        person_needed(setting)
        return _Fall(self, setting)


RULE = FallRule


class _Fall(Watcher):
    def __init__(self, rule: FallRule, setting: Setting) -> None:
        self._rule = rule
        self._zone = setting.site.zone(rule.zone)
        self._plane = setting.site.ground
        self._person = setting.person
        self._state = Lying()

    def step(self, view: View) -> list[Observation]:
        rule, before_s = self._rule, self._state.looked_s
        self._state = self._looked(step_upright(self._state, self._seen(view), view.pts_s), view)
        looks_s = _LOOKS * (view.pts_s - before_s)
        there = [
            spot
            for spot in self._state.spots
            if spot.since_s is not None
            and view.pts_s - spot.seen_s <= max(_LASTS_S, looks_s)
            and self._holds(spot, view.aspect)
        ]
        fresh = [
            spot
            for spot in there
            if down_s(spot) >= rule.min_down_s - 1e-6 and view.pts_s - spot.seen_s <= max(_FRESH_S, looks_s)
        ]
        shown = distinct(fresh or there)
        measures = {
            "count": float(len(shown)),
            "down_s": round(max((down_s(spot) for spot in shown), default=0.0), 1),
        }
        return [
            Observation(
                rule.kind,
                rule.zone,
                rule.level if fresh else None,
                measures,
                confidence=max((spot.sureness for spot in shown), default=1.0),
                boxes=tuple(_marked(spot, view.aspect) for spot in shown[:MAX_BOXES]),
                sustains=rule.level if there else None,
                yardstick="down_s",
            )
        ]

    def _looked(self, state: Lying, view: View) -> Lying:
        """After a look at those places at which one is due."""
        spots = due(state) if view.lying is not None else ()
        if not spots or view.lying is None:
            return state
        places = [
            Place((spot.stood.foot[0] / view.aspect, spot.stood.foot[1]), spot.stood.height) for spot in spots
        ]
        return step_looks(state, spots, view.lying(places))

    def _seen(self, view: View) -> Seen:
        """What the rule looks at, in heights of the picture."""
        scale = np.array((view.aspect, 1.0, view.aspect, 1.0))
        rows, found = np.flatnonzero(view.persons), view.found
        sure = np.asarray((found.labels == self._person) & (found.scores >= SURE), np.bool_)
        return Seen(
            view.keys[rows],
            view.tracks.xyxy[rows].astype(np.float64) * scale,
            view.tracks.scores[rows].astype(np.float64),
            found.xyxy[sure].astype(np.float64) * scale,
        )

    def _holds(self, spot: Spot, aspect: float) -> bool:
        """Whether who lies there stood in the zone."""
        foot = np.array([(spot.stood.foot[0] / aspect, spot.stood.foot[1])])
        ground = self._plane.to_ground(foot) if self._plane is not None else None
        return bool(self._zone.holds(foot, ground).any())


def _marked(spot: Spot, aspect: float) -> Box:
    """The place as fractions of the picture."""
    (x, y), tall = spot.stood.foot, spot.stood.height
    left, right = (x - _WIDE * tall) / aspect, (x + _WIDE * tall) / aspect
    corners = max(left, 0.0), max(y - _ABOVE * tall, 0.0), min(right, 1.0), min(y + _BELOW * tall, 1.0)
    a, b, c, d = (round(value, 4) for value in corners)
    return a, b, c, d
