"""`motion.unusual`: something moves where, as, which way or as fast as it never does at this camera."""

import math
from typing import Literal

import numpy as np
import structlog
from pydantic import Field

from edge.cells import NOWHERE, Cells
from edge.explained import explained, numbers, words
from edge.geometry import Floats
from edge.normality_store import Learned, NormalityStore
from edge.observation import Observation
from edge.passages import Passages, Seen, Step, due, step
from edge.policy import Policy
from edge.rule_base import WHOLE_VIEW, LearningWatcher, RuleSection, Setting, Watcher
from edge.sections import Hold, Id, Level
from edge.sizes import UNJUDGED, first_sizes, groups, sizes
from edge.unusual import Limits, Unusual
from edge.view import Rows, View

_log = structlog.get_logger(__name__)

_ASPECT = 16 / 9
_HEIGHT_M = 1.6
"""Metres that a box is high, roughly: the scale where there is no ground."""
_CUT_OFF = 0.985
"""A box that reaches farther down is cut off by the picture's edge, and its foot is not there."""
_KEEP_S = 900.0
_LASTS = 5.0
"""An incident lasts while something goes on that is at most so many times as frequent as may begin one."""
_AS_RARE = 3.0
"""Who is nearly as rare as the rarest is shown, too."""
NO_GROUND = "the camera has moved: what is usual on its ground is not known"


class UnusualRule(RuleSection):
    """`motion.unusual`: motion that is not usual at this camera, by what it has learned itself."""

    FLOOR_FPS = 1.0  # who runs through 10 m is seen three times

    kind: Literal["motion.unusual"]
    zone: Id | None = Field(None, description="Empty: the whole picture.")
    level: Level = Field(4, description="Severity.")
    alarms_per_day: float = Field(
        1.0, ge=0.05, le=24, description="False alarms a day that it keeps within, all quantities together."
    )
    learning_h: float = Field(
        48.0, ge=1, le=2000, description="Hours of calm that it must have watched before it tells anything."
    )
    half_life_days: float = Field(
        21.0, ge=1, le=365, description="Days after which what it saw counts half: how slowly it forgets."
    )
    release_s: Hold = Field(10.0, description="Seconds without anything unusual before the incident ends.")

    @property
    def subject(self) -> str:
        """Id of the zone, or `view`."""
        return self.zone if self.zone is not None else WHOLE_VIEW

    @property
    def policy(self) -> Policy:
        """It begins at once: some steps have been waited for."""
        return Policy(release_s=self.release_s, cooldown_s=self.cooldown_s)

    @property
    def limits(self) -> Limits:
        """From when on something is unusual."""
        return Limits(self.alarms_per_day, self.learning_h, self.half_life_days)

    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule."""
        return UnusualWatcher(self, setting)


RULE = UnusualRule


class UnusualWatcher(LearningWatcher):
    """Watches one camera's motion, and learns what is usual there.

    Attributes:
        rarest: the least combined p-value of those in view at the last step, 0 to 1; 1 without anybody.
    """

    def __init__(self, rule: UnusualRule, setting: Setting) -> None:
        self._rule = rule
        self._name = f"{rule.kind}/{rule.subject}"
        self._plane = setting.site.ground
        self._cells = Cells.of(self._plane)
        self._first = first_sizes(setting.class_names)
        self._unusual = Unusual(self._cells, rule.limits)
        self._passages = Passages()
        self._said: Observation | None = None
        self._store: NormalityStore | None = None
        self._kept_s = -math.inf
        self._file = ""
        self._alarm_s = -math.inf
        self.rarest = 1.0

    @property
    def learned(self) -> Learned | None:
        """All that it knows; None before the first look."""
        return self._unusual.learned

    # -- what it knows ------------------------------------------------------------------------------------

    def remember(self, store: NormalityStore, camera_id: str) -> None:
        """Take up what it learned before, and keep what it learns from now on."""
        self._store, self._file = store, f"{camera_id}.{self._rule.subject}"
        self._unusual = Unusual(self._cells, self._rule.limits, store.load(self._file))

    def forget(self) -> None:
        """Forget all that was learned."""
        self._unusual = Unusual(self._cells, self._rule.limits)
        self._passages, self._said = Passages(), None
        if self._store is not None:
            self._store.drop(self._file)
        _log.warning("what is usual there is learned anew", of=self._file or self._name)

    def keep(self) -> None:
        """Keep what was learned, where there is something new."""
        self._unusual.settle()
        learned = self._unusual.learned
        if self._store is not None and learned is not None and self._unusual.changed:
            self._store.save(self._file, learned)
            self._unusual.changed = False

    # -- looking ------------------------------------------------------------------------------------------

    def step(self, view: View) -> list[Observation]:
        """Judge one look, and learn from it where nothing is going on."""
        if self._cells.on_ground and view.site.ground is None:
            self.unavailable = NO_GROUND
            self._passages, self._said = Passages(), None
            self._unusual.look(view.pts_s, view.local, calm=False)
            return []
        if not due(self._passages, view.pts_s):
            return [] if self._said is None else [self._said]
        usual = self._unusual.look(view.pts_s, view.local, calm=not view.open_incidents)
        seen, rows, crowd = self._seen(view)
        self._passages, made = step(self._passages, seen, view.pts_s, usual)
        self.rarest = float(made.p.min(initial=1.0))
        self._unusual.take(made, crowd, view.pts_s)
        self._keep_now_and_then(view.pts_s)
        if not self._unusual.ready:
            self.unavailable = f"learning: {self._unusual.progress:.0%} of {self._rule.learning_h:g} h"
            self._said = None
            return []
        self.unavailable = None
        order = np.argsort(seen.keys, kind="stable")
        self._said = self._judge(view, made, rows[order], crowd)
        return [self._said]

    def _judge(self, view: View, made: Step, rows: Rows, crowd: tuple[float, float]) -> Observation:
        rule, unusual = self._rule, self._unusual
        assert unusual.usual is not None  # noqa: S101 - it is ready
        if not len(rows):
            return Observation(rule.kind, rule.subject, None)
        worst = int(made.p.argmin())
        rarest = float(made.p[worst])
        alarm = unusual.alarms(rarest, self.strictness)
        lasts = self._lasts(view) and unusual.per_day(rarest) <= _LASTS * rule.alarms_per_day
        if not alarm and not lasts:
            return Observation(rule.kind, rule.subject, None)
        measures = explained(self._cells, unusual.usual, made, worst) | numbers(unusual.usual, crowd)
        measures["minute_tail_share"] = float(f"{unusual.p(rarest):.3g}")
        measures["events_per_day"] = round(unusual.per_day(rarest), 3)
        if alarm:
            self._tell(view, rarest, measures)
        hits = rows[made.p <= rarest * _AS_RARE]
        return Observation(
            rule.kind,
            rule.subject,
            rule.level if alarm else None,
            measures,
            confidence=view.surest(hits),
            boxes=view.boxes(hits),
            sustains=rule.level,
        )

    def _lasts(self, view: View) -> bool:
        return 0.0 <= view.pts_s - self._alarm_s <= self._rule.release_s

    def _tell(self, view: View, rarest: float, measures: dict[str, float]) -> None:
        """Count an alarm once, and say in the log what it is."""
        if not self._lasts(view):
            self._unusual.told(rarest)
            _log.info("unusual motion", of=self._file or self._name, why=words(measures))
        self._alarm_s = view.pts_s

    def _seen(self, view: View) -> tuple[Seen, Rows, tuple[float, float]]:
        """Who is judged, their rows in the look, and how many are there and how densely."""
        tracks = view.tracks
        boxes = tracks.xyxy.astype(np.float64)
        first = self._first[tracks.labels]
        judged = view.likely(self._first != UNJUDGED) & (boxes[:, 3] < _CUT_OFF)
        if self._rule.zone is not None:
            judged &= view.inside[self._rule.zone]
        rows = np.flatnonzero(judged)
        at, metres, high_m = self._places(boxes[rows])
        cell = self._cells.find(at)
        there = cell != NOWHERE
        rows, cell = rows[there], cell[there].astype(np.int64)
        size = sizes(first[rows], high_m[there])
        seen = Seen(view.keys[rows], at[there], metres[there], cell, size, groups(size))
        most = float(np.bincount(cell).max(initial=0)) if len(cell) else 0.0
        area = self._cells.side**2 if self._cells.on_ground else math.inf
        return seen, rows, (float(len(rows)), most / area)

    def _places(self, boxes: Floats) -> tuple[Floats, Floats, Floats]:
        """(n, 4) boxes -> (n, 2) places in the cells' unit, (n,) metres of that unit, (n,) metres high."""
        feet = np.column_stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]))
        high = np.maximum(boxes[:, 3] - boxes[:, 1], 1e-3)
        if self._plane is None:
            return feet * (_ASPECT, 1.0), _HEIGHT_M / high, np.full(len(boxes), np.nan)
        wide = np.maximum(boxes[:, 2] - boxes[:, 0], 1e-3)
        spots = np.concatenate((feet, boxes[:, (0, 3)], boxes[:, (2, 3)]))
        at, left, right = self._plane.to_ground(spots).reshape(3, -1, 2)
        # Upright things are as high as they are wide in the picture; a steep view makes them a little lower.
        high_m = np.hypot(*(right - left).T) / (wide * _ASPECT) * high
        return at, np.ones(len(boxes)), high_m

    def _keep_now_and_then(self, pts_s: float) -> None:
        if not 0.0 <= pts_s - self._kept_s < _KEEP_S:
            if self._kept_s != -math.inf:
                self.keep()
            self._kept_s = pts_s
