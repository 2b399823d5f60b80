"""`hazard.fall`: somebody goes down and stays down."""

from typing import Literal

import numpy as np
from pydantic import Field

from edge.lying import Lying, Seen, Spot, down_s, step_lying
from edge.observation import Box, Observation
from edge.policy import Policy
from edge.rule_base import Setting, Watcher, ZoneRule, person_needed
from edge.sections import Hold, Level
from edge.view import MAX_BOXES, View

_FRESH_S = 1.5
"""Who lies there and was not seen for longer keeps the incident up, but does not begin one."""
_OVER_S = 10.0


class FallRule(ZoneRule):
    """`hazard.fall`: somebody goes down and stays down."""

    FLOOR_FPS = 5.0  # of falls that are told at 5, two thirds and fewer are left at 2 and 1

    kind: Literal["hazard.fall"]
    level: Level = Field(2, description="Severity.")
    min_down_s: Hold = Field(4.0, description="Seconds that somebody must stay down before it counts.")
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
        rule = self._rule
        self._state = step_lying(self._state, self._seen(view), view.pts_s)
        seconds = [(down_s(spot, view.pts_s), spot) for spot in self._state.spots]
        lying = [
            (down, spot)
            for down, spot in seconds
            if down >= rule.min_down_s - 1e-6
            and view.pts_s - spot.seen_s <= _OVER_S
            and self._holds(spot, view.aspect)
        ]
        fresh = [(down, spot) for down, spot in lying if view.pts_s - spot.seen_s <= _FRESH_S]
        shown = fresh or lying
        measures = {
            "count": float(len(_apart(shown, view.aspect))),
            "down_s": round(max((down for down, _ in shown), default=0.0), 1),
        }
        return [
            Observation(
                rule.kind,
                rule.zone,
                rule.level if fresh else None,
                measures,
                confidence=max((spot.share for _, spot in shown), default=1.0),
                boxes=tuple(_apart(shown, view.aspect)),
                sustains=rule.level if lying else None,
                yardstick="down_s",
            )
        ]

    def _seen(self, view: View) -> Seen:
        """What the rule looks at, in heights of the picture."""
        scale = np.array((view.aspect, 1.0, view.aspect, 1.0))
        rows, found = np.flatnonzero(view.persons), view.found
        return Seen(
            view.keys[rows],
            view.tracks.xyxy[rows].astype(np.float64) * scale,
            view.tracks.scores[rows].astype(np.float64),
            found.xyxy.astype(np.float64) * scale,
            found.scores.astype(np.float64),
            np.asarray(found.labels == self._person, np.bool_),
        )

    def _holds(self, spot: Spot, aspect: float) -> bool:
        """Whether it lies in the zone, or who lies there stood in it."""
        boxes = [spot.box] if spot.stood is None else [spot.box, spot.stood[1].box]
        feet = np.array([((left + right) / 2 / aspect, bottom) for left, _, right, bottom in boxes])
        ground = self._plane.to_ground(feet) if self._plane is not None else None
        return bool(self._zone.holds(feet, ground).any())


def _apart(lying: list[tuple[float, Spot]], aspect: float) -> list[Box]:
    """Boxes as fractions of the picture, the surest first; of those that overlap only one."""
    boxes: list[Box] = []
    for _, spot in sorted(lying, key=lambda one: (-one[1].share, one[1].box)):
        left, top, right, bottom = spot.box
        middle = (left + right) / 2 / aspect, (top + bottom) / 2
        if any(a <= middle[0] <= c and b <= middle[1] <= d for a, b, c, d in boxes):
            continue
        fractions = (max(left / aspect, 0.0), max(top, 0.0), min(right / aspect, 1.0), min(bottom, 1.0))
        a, b, c, d = (round(value, 4) for value in fractions)
        boxes.append((a, b, c, d))
    return boxes[:MAX_BOXES]
