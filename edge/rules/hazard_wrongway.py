"""`hazard.wrongway`: somebody goes against a zone's direction."""

import math
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from edge.against import PERSON_M_S, VEHICLE_M_S, Walkers, Ways, step_against
from edge.geometry import Floats
from edge.observation import Observation
from edge.policy import Policy
from edge.rule_base import Setting, Watcher, ZoneRule, counted
from edge.sections import Hold, Level, Point
from edge.view import FIRM, Rows, View

_ASPECT = 16 / 9
_HEIGHTS_M = 1.6
"""Metres that a box is high, roughly, for people and cars alike: the scale where there is no ground."""
_CUT_OFF = 0.985
"""A box that reaches farther down is cut off by the picture's edge, and its foot is not there."""


class WrongwayRule(ZoneRule):
    """`hazard.wrongway`: people or vehicles go against a zone's direction."""

    FLOOR_FPS = 2.0  # who walks through a zone of 5 m is seen some six times

    kind: Literal["hazard.wrongway"]
    way: tuple[Point, Point] = Field(
        description="An arrow along which one may go, from and to: fractions of the picture."
    )
    classes: tuple[str, ...] = Field(
        ("person", "bicycle", "motorcycle", "car", "bus", "truck"),
        min_length=1,
        description="Object classes that count.",
    )
    level: Level = Field(2, description="Severity.")
    min_back_m: float = Field(
        2.5, gt=0, le=100, description="Metres that must be gone against the way; without ground, roughly."
    )
    release_s: Hold = Field(5.0, description="Seconds without anybody who does, before the incident ends.")

    @model_validator(mode="after")
    def _points_somewhere(self) -> Self:
        (x0, y0), (x1, y1) = self.way
        if math.hypot(x1 - x0, y1 - y0) < 0.01:
            raise ValueError("way: its two points must lie apart, from where to where one may go")
        return self

    @property
    def policy(self) -> Policy:
        """It begins at once: `min_back_m` has been waited for."""
        return Policy(release_s=self.release_s, cooldown_s=self.cooldown_s, evidence_s=1.0)

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        return _Wrongway(self, setting)


RULE = WrongwayRule


class _Wrongway(Watcher):
    def __init__(self, rule: WrongwayRule, setting: Setting) -> None:
        self._rule = rule
        known = tuple(name for name in rule.classes if name in setting.class_names)
        self._counted = counted(known or rule.classes, setting)
        self._plane = setting.site.ground
        arrow = np.array(rule.way, np.float64)
        if self._plane is not None:
            on_ground = self._plane.to_ground(arrow)
            if np.isfinite(on_ground).all():
                arrow = on_ground
            else:
                self._plane = None  # the arrow points into the sky
        if self._plane is None:
            arrow = arrow * (_ASPECT, 1.0)
        way = arrow[1] - arrow[0]
        self._axis: Floats = way / np.hypot(*way)
        self._state = Ways()

    def step(self, view: View) -> list[Observation]:
        rule, tracks = self._rule, view.tracks
        here = view.inside[rule.zone] & self._counted[tracks.labels]
        sure = view.likely(self._counted) & (tracks.xyxy[:, 3] < _CUT_OFF)
        rows = np.flatnonzero(here & sure)
        at, scales = self._places(view, rows)
        firm = ((tracks.scores >= FIRM) & ~view.overlapped)[rows]
        fastest_m_s = np.where(view.persons[rows], PERSON_M_S, VEHICLE_M_S)
        walkers = Walkers(view.keys[rows], at, scales, firm, fastest_m_s)
        self._state, back_m, seconds = step_against(self._state, walkers, self._axis, view.pts_s)
        wrong = back_m >= rule.min_back_m * self.strictness
        # Who has been told of and is still behind goes on, though it may stand or turn round.
        behind = rows[back_m >= rule.min_back_m / 2]
        hits = rows[wrong]
        shown = hits if len(hits) else behind
        measures = {
            "count": float(len(hits)),
            "back_m": round(float(back_m.max(initial=0.0)), 2),
            "against_s": round(float(seconds[wrong].max(initial=0.0)), 2),
        }
        return [
            Observation(
                rule.kind,
                rule.zone,
                rule.level if len(hits) else None,
                measures,
                confidence=view.surest(shown) if len(shown) else 1.0,
                boxes=view.boxes(shown),
                sustains=rule.level if len(shown) else None,
                yardstick="back_m",
            )
        ]

    def _places(self, view: View, rows: Rows) -> tuple[Floats, Floats]:
        """(n, 2) places of these tracks, and (n,) metres per unit there."""
        feet = view.tracks.foot_points[rows].astype(np.float64)
        if self._plane is not None:
            return self._plane.to_ground(feet), np.ones(len(rows))
        boxes = view.tracks.xyxy[rows]
        heights = np.maximum(boxes[:, 3] - boxes[:, 1], 1e-3).astype(np.float64)
        return feet * (_ASPECT, 1.0), _HEIGHTS_M / heights
