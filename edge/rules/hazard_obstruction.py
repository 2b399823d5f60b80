"""`hazard.obstruction`: something stands in a fire lane or before an exit for longer than it may."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge.observation import Box, Observation
from edge.rule_base import Setting, Watcher, counted
from edge.sections import Hold, Level
from edge.standing import Standing, step_standing
from edge.still_rule import FRESH_S, Places, StillRule
from edge.view import View
from streams.blobs import overlap, within
from streams.still import StillThing

Floats = NDArray[np.float32]

_SAME = 0.3
_FAINT, _SHOWN = 0.15, 0.15
"""A detection too faint for a track counts where so much of it is seen to have been put there."""


class ObstructionRule(StillRule):
    """`hazard.obstruction`: vehicles or other things stand in a zone for longer than they may.

    Vehicles are what the detector finds as such, standing from the beginning or not; other things are what
    the background shows to have been put there.
    """

    FLOOR_FPS = 0.5  # as for what was put down
    STILL: ClassVar[bool] = True

    kind: Literal["hazard.obstruction"]
    classes: tuple[str, ...] = Field(
        ("car", "bus", "truck", "train", "motorcycle", "bicycle"),
        min_length=1,
        description="Classes of vehicles.",
    )
    level: Level = Field(2, description="Severity.")
    min_age_s: Hold = Field(60.0, description="Seconds that it may stand there.")
    smallest_m: float = Field(0.4, ge=0, le=50, description="Narrower things do not count; needs ground.")
    largest_m: float = Field(15.0, gt=0, le=50, description="Wider things do not count; needs ground.")

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        return _Obstruction(self, setting)


RULE = ObstructionRule


class _Obstruction(Watcher):
    def __init__(self, rule: ObstructionRule, setting: Setting) -> None:
        self._rule = rule
        self._vehicles = counted(
            tuple(name for name in rule.classes if name in setting.class_names) or rule.classes, setting
        )
        self._places = Places(rule, setting)
        self._standing = Standing()

    def step(self, view: View) -> list[Observation]:
        rule, tracks = self._rule, view.tracks
        rows = np.flatnonzero(view.inside[rule.zone] & self._vehicles[tracks.labels])
        put = [thing for thing in view.things or () if thing.put]
        boxes = np.concatenate((tracks.xyxy[rows], self._faint(view, tracks.xyxy[rows], put)))
        self._standing, seconds = step_standing(self._standing, boxes, view.pts_s)
        standing = [(_box(box), float(age_s)) for box, age_s in zip(boxes, seconds, strict=True)]
        # What the detector knows is told once, by its box; the background sees the same.
        other = [
            (thing.box, view.pts_s - thing.since_s)
            for thing in put
            if view.pts_s - thing.seen_s <= FRESH_S
            and self._places.holds(thing.box)
            and all(within(thing.box, box) < _SAME for box, _ in standing)
        ]
        long = [(box, age_s) for box, age_s in (*standing, *other) if age_s >= rule.min_age_s - 1e-6]
        oldest_s = max((age_s for _, age_s in (*standing, *other)), default=0.0)
        return [
            Observation(
                rule.kind,
                rule.zone,
                rule.level if long else None,
                {"count": float(len(long)), "oldest_s": round(oldest_s, 1)},
                boxes=tuple(box for box, _ in long),
                yardstick="oldest_s",
            )
        ]

    def _faint(self, view: View, sure: Floats, put: Sequence[StillThing]) -> Floats:
        """Boxes of vehicles that are hardly found, but are seen to be new there."""
        found, boxes = view.found, list[Floats]()
        faint = self._vehicles[found.labels] & (found.scores >= _FAINT)
        for box in found.xyxy[faint][np.argsort(-found.scores[faint], kind="stable")]:
            known = any(overlap(box, other) > _SAME for other in (*sure, *boxes))
            shown = sum(within(box, thing.box) for thing in put)
            if not known and shown >= _SHOWN and self._places.holds(_box(box)):
                boxes.append(box)
        return np.array(boxes, np.float32).reshape(-1, 4)


def _box(row: NDArray[np.float32]) -> Box:
    left, top, right, bottom = (round(float(value), 4) for value in row)
    return left, top, right, bottom
