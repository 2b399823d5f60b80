"""`hazard.fire`: something burns or smokes in a zone, by a model of fire that the configuration names."""

from typing import ClassVar, Literal

from pydantic import Field

from edge.flames import Alight, Vote, step_alight, votes, within
from edge.observation import Observation
from edge.policy import Policy
from edge.rule_base import Setting, Watcher, ZoneRule
from edge.sections import Hold, Level
from edge.view import MAX_BOXES, View
from models.fire import Flame

UNLOOKED = "no picture has been looked at for fire lately"
"""Why nothing can be said of fire."""

_STALE_S = 20.0
"""For so long a look counts as the last word: cameras at rest are looked at every eight seconds at least."""


class FireRule(ZoneRule):
    """`hazard.fire`: something burns or smokes in a zone."""

    FLOOR_FPS = 0.5  # it is looked for once in two seconds, whatever the rate
    FIRE: ClassVar[bool] = True

    kind: Literal["hazard.fire"]
    what: tuple[Literal["fire", "smoke"], ...] = Field(
        ("fire", "smoke"),
        min_length=1,
        max_length=2,
        description="What counts; left out: all the model knows.",
    )
    level: Level = Field(1, description="Severity.")
    min_score: float = Field(0.5, ge=0.1, lt=1, description="The model's score from which something counts.")
    min_presence_s: float = Field(
        6.0, ge=0, le=600, description="Seconds between the first and the last look that show it."
    )
    min_share: float = Field(
        0.6, ge=0.5, le=1, description="Share of the looks in that time, three at least, that must show it."
    )
    release_s: Hold = Field(20.0, description="Seconds without any before the incident ends.")

    @property
    def policy(self) -> Policy:
        """It begins at once: `min_presence_s` has been waited for."""
        return Policy(release_s=self.release_s, cooldown_s=self.cooldown_s, evidence_s=self.min_presence_s)

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        return _Fire(self, setting)


RULE = FireRule


class _Fire(Watcher):
    def __init__(self, rule: FireRule, setting: Setting) -> None:
        self._rule = rule
        self._zone = setting.site.zone(rule.zone)
        self._plane = setting.site.ground
        self._state = Alight()
        self._last: tuple[float, Observation] | None = None

    def step(self, view: View) -> list[Observation]:
        if view.flames is not None:
            self._last = (view.pts_s, self._judge(view.flames, view.pts_s))
        elif self._last is not None and not 0 <= view.pts_s - self._last[0] <= _STALE_S:
            self._last = None
        self.unavailable = UNLOOKED if self._last is None else None
        return [] if self._last is None else [self._last[1]]

    def _judge(self, flames: tuple[Flame, ...], pts_s: float) -> Observation:
        rule = self._rule
        here = [flame for flame in flames if self._counts(flame)]
        self._state = step_alight(self._state, here, pts_s, rule.min_presence_s)
        found = votes(self._state, rule.min_presence_s, rule.min_share)
        borne = [vote for vote in found if vote.looks]
        shown = sorted(borne or found, key=lambda vote: -vote.flame.score)
        return Observation(
            rule.kind,
            rule.zone,
            rule.level if borne else None,
            _measures(shown),
            confidence=shown[0].flame.score if shown else 1.0,
            boxes=tuple(dict.fromkeys(_rounded(vote.flame) for vote in shown))[:MAX_BOXES],
            sustains=rule.level if shown else None,
            yardstick="present_s",
        )

    def _counts(self, flame: Flame) -> bool:
        rule = self._rule
        if flame.what not in rule.what or flame.score < rule.min_score:
            return False
        # What a classifier was asked about a zone is of that zone alone; a detector's box lies where it lies.
        if flame.place is not None:
            return flame.place == rule.zone
        return within(flame.box, self._zone, self._plane)


def _measures(shown: list[Vote]) -> dict[str, float]:
    measures = {
        "count": float(len({vote.flame.box for vote in shown})),
        "present_s": round(max((vote.present_s for vote in shown), default=0.0), 1),
        "looks_share": round(max((vote.share for vote in shown), default=0.0), 3),
    }
    for what in ("fire", "smoke"):
        scores = [vote.flame.score for vote in shown if vote.flame.what == what]
        if scores:
            measures[f"{what}_score_share"] = round(max(scores), 3)
    return measures


def _rounded(flame: Flame) -> tuple[float, float, float, float]:
    left, top, right, bottom = (round(value, 4) for value in flame.box)
    return left, top, right, bottom
