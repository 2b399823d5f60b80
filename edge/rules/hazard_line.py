"""`hazard.line`: something crosses a line."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from edge.hazards import Crossings, step_crossings
from edge.observation import Observation
from edge.rule_base import RuleSection, Setting, Watcher, counted
from edge.sections import Id, Level
from edge.view import FIRM, SURE, View


class LineRule(RuleSection):
    """`hazard.line`: something crosses a line."""

    FLOOR_FPS = 2.0  # who walks 1.5 m/s must be seen on both sides, at most a second apart
    PLACE: ClassVar[Literal["zone", "line"]] = "line"

    kind: Literal["hazard.line"]
    line: Id
    direction: Literal["right", "left", "both"] = Field("both", description="Which crossings count.")
    classes: tuple[str, ...] = Field(("person",), min_length=1, description="Object classes that count.")
    level: Level = Field(3, description="Severity.")

    @property
    def subject(self) -> str:
        """Id of the line."""
        return self.line

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        return _Line(self, setting)


RULE = LineRule

_SUREST = 0.6
"""No verdict makes a line ask for a higher score: at most half of the people reach it."""


class _Line(Watcher):
    def __init__(self, rule: LineRule, setting: Setting) -> None:
        self._rule = rule
        self._counted = counted(rule.classes, setting)
        self._crossings = Crossings()
        line = setting.site.line(rule.line)
        self._ends = (line.start, line.end)

    def step(self, view: View) -> list[Observation]:
        """One observation of all who crossed at this look; none where nobody did."""
        rule, tracks = self._rule, view.tracks
        rows = np.flatnonzero(self._counted[tracks.labels])
        sure = view.likely(self._counted) & (tracks.scores >= min(SURE * self.strictness, _SUREST))
        trust = np.where(tracks.scores >= FIRM, 1.0, 0.5) * sure
        self._crossings, crossed = step_crossings(
            self._crossings,
            view.keys[rows],
            tracks.xyxy[rows],
            trust[rows],
            self._ends,
            view.pts_s,
        )
        right, left = int((crossed == 1).sum()), int((crossed == -1).sum())
        wanted = {"right": 1, "left": -1, "both": 0}[rule.direction]
        hits = rows[(crossed != 0) & ((crossed == wanted) | (wanted == 0))]
        if not len(hits):
            return []
        measures = {
            "crossings": float(len(hits)),
            "crossings_right": float(right),
            "crossings_left": float(left),
        }
        hit = Observation(
            rule.kind,
            rule.line,
            rule.level,
            measures,
            confidence=view.surest(hits),
            boxes=view.boxes(hits),
            instant=True,
        )
        return [hit]
