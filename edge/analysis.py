"""From the tracks of one look to what they mean at this camera's zones and lines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge import continuity
from edge.config import CameraConfig, DensityRule, IntrusionRule, LineRule, suggestion
from edge.crowd import Density, density, level_of, most_severe
from edge.errors import RuleError
from edge.geometry import Floats
from edge.hazards import SURE, Crossings, Presence, step_crossings, step_presence
from edge.observation import Box, Observation
from edge.people import People
from edge.site import Site, Zone
from models.detections import Tracks

PERSON_CLASSES = ("person", "pedestrian")
"""Classes that crowd measures count; the first that the detector knows."""

MAX_BOXES = 64


@dataclass(frozen=True, slots=True)
class ZoneCount:
    """People in a zone at one look.

    Attributes:
        count: persons whose foot point is inside.
        density_mean_per_m2: over its walkable area; None where the camera is not calibrated.
        density_worst_cell_per_m2: in the worst 4 m2; None likewise.
        count_stderr: standard error of the count in persons.
        density_stderr_per_m2: standard error of the mean density; None where there is none.
    """

    count: int
    density_mean_per_m2: float | None = None
    density_worst_cell_per_m2: float | None = None
    count_stderr: float = 0.0
    density_stderr_per_m2: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a camera says.

    Attributes:
        observations: one of each rule; of a line rule only when it is crossed.
        zones: people by zone id; empty where the detector knows no persons.
        people: everybody in view on the ground; None where the camera is not calibrated.
    """

    observations: tuple[Observation, ...]
    zones: Mapping[str, ZoneCount]
    people: People | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Crowd:
    """People in one zone: rows of the look's tracks, and their density where the ground is known."""

    zone: Zone
    rows: NDArray[np.intp]
    density: Density | None
    stderr: float

    @property
    def counted(self) -> ZoneCount:
        if self.density is None:
            return ZoneCount(len(self.rows), count_stderr=self.stderr)
        found = self.density
        return ZoneCount(
            len(self.rows),
            found.mean_per_m2,
            found.worst_cell_per_m2,
            found.count_stderr,
            found.stderr_per_m2,
        )


class Analysis:
    """The rules of one camera, with the little that they remember between looks."""

    def __init__(self, camera: CameraConfig, site: Site, class_names: Sequence[str]) -> None:
        """Bind a camera's rules to its site and to a detector's classes.

        Raises:
            RuleError: a rule names a class that the detector does not know.
        """
        self.density_factor = 1.0
        """What the thresholds of `crowd.density` are multiplied by; below 1 while trouble is expected."""
        self._site = site
        self._rules = camera.rules
        self._counts = [_counts(camera, k, class_names) for k in range(len(camera.rules))]
        self._person = _person(class_names)
        self._continuity = continuity.Continuity()
        self._presence: dict[int, Presence] = {}
        self._crossings: dict[int, Crossings] = {}

    def update(self, tracks: Tracks, pts_s: float) -> Look:
        """Judge one look.

        Args:
            tracks: confirmed and seen in this picture, all classes.
            pts_s: camera time in seconds, not below the last look's.
        """
        self._continuity, keys = continuity.step(self._continuity, tracks, pts_s)
        feet = tracks.foot_points.astype(np.float64)
        ground = self._site.ground.to_ground(feet) if self._site.ground is not None else None
        inside = {zone.id: zone.holds(feet, ground) for zone in self._site.zones}
        crowds = self._crowds(tracks, inside, ground)
        observations = []
        factor = self.density_factor
        for k, rule in enumerate(self._rules):
            if isinstance(rule, DensityRule):
                observations.append(_density_observation(rule, crowds[rule.zone], tracks, factor))
            elif isinstance(rule, IntrusionRule):
                observations.append(self._intrusion(k, rule, inside[rule.zone], tracks, keys, pts_s))
            else:
                observations.extend(self._line(k, rule, tracks, keys, pts_s))
        counts = {zone_id: crowd.counted for zone_id, crowd in crowds.items()}
        return Look(tuple(observations), counts, self._people(tracks, ground))

    def _people(self, tracks: Tracks, ground: Floats | None) -> People | None:
        if self._person is None or ground is None:
            return None
        rows = np.flatnonzero((tracks.labels == self._person) & np.isfinite(ground).all(axis=1))
        return People.of(ground[rows], variance=_doubt(tracks.scores[rows]))

    def _crowds(
        self, tracks: Tracks, inside: Mapping[str, NDArray[np.bool_]], ground: Floats | None
    ) -> dict[str, _Crowd]:
        if self._person is None:
            return {}
        crowds, persons = {}, tracks.labels == self._person
        for zone in self._site.zones:
            rows = np.flatnonzero(inside[zone.id] & persons)
            measured = None
            if zone.floor is not None and ground is not None:
                measured = density(ground[rows], tracks.scores[rows], zone.floor)
            stderr = math.sqrt(float(_doubt(tracks.scores[rows]).sum()))
            crowds[zone.id] = _Crowd(zone, rows, measured, stderr)
        return crowds

    def _intrusion(
        self,
        k: int,
        rule: IntrusionRule,
        inside: NDArray[np.bool_],
        tracks: Tracks,
        keys: NDArray[np.int64],
        pts_s: float,
    ) -> Observation:
        counted = inside & self._counts[k][tracks.labels]
        self._presence[k], seconds = step_presence(self._presence.get(k, Presence()), keys, counted, pts_s)
        # Times of pictures are sums of floats: a second made of five fifths must count as one.
        rows = np.flatnonzero(seconds >= rule.min_presence_s - 1e-6)
        if not len(rows):
            # Somebody who has just come, or whose track has just been found again, begins nothing, but the
            # zone is not empty either: what has begun goes on.
            passing = np.flatnonzero(counted)
            return Observation(
                rule.kind,
                rule.zone,
                None,
                {"count": float(len(passing)), "presence_s": 0.0},
                boxes=_boxes(tracks, passing),
                sustains=rule.level if len(passing) else None,
                yardstick="count",
            )
        return Observation(
            rule.kind,
            rule.zone,
            rule.level,
            {"count": float(len(rows)), "presence_s": round(float(seconds[rows].max()), 2)},
            confidence=_unit(tracks.scores[rows].max()),
            boxes=_boxes(tracks, rows),
            yardstick="count",
        )

    def _line(
        self, k: int, rule: LineRule, tracks: Tracks, keys: NDArray[np.int64], pts_s: float
    ) -> list[Observation]:
        line = self._site.line(rule.line)
        rows = np.flatnonzero(self._counts[k][tracks.labels])
        self._crossings[k], crossed = step_crossings(
            self._crossings.get(k, Crossings()),
            keys[rows],
            tracks.xyxy[rows],
            tracks.scores[rows] >= SURE,
            (line.start, line.end),
            pts_s,
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
        return [
            Observation(
                rule.kind,
                rule.line,
                rule.level,
                measures,
                confidence=_unit(tracks.scores[hits].max()),
                boxes=_boxes(tracks, hits),
                instant=True,
            )
        ]


def _density_observation(rule: DensityRule, crowd: _Crowd, tracks: Tracks, factor: float) -> Observation:
    """Density where the ground is known, share of capacity where that is declared; the worse of the two.

    All thresholds are multiplied by `factor`; an event that was judged by other ones than usual says so.
    """
    measures = {"count": float(len(crowd.rows))}
    if factor != 1:
        measures["threshold_ratio"] = factor
    yardstick, boxed = "count", crowd.rows
    levels: list[int | None] = []
    sustained: list[int | None] = []
    keep = 1 - rule.hysteresis
    if crowd.zone.capacity is not None:
        share = len(crowd.rows) / crowd.zone.capacity
        measures["capacity_share"] = round(share, 4)
        yardstick = "capacity_share"
        shares = [s * factor for s in rule.capacity_shares]
        levels.append(level_of(share, shares))
        sustained.append(level_of(share, [s * keep for s in shares]))
    if crowd.density is not None:
        worst = crowd.density.worst_cell_per_m2
        measures["density_worst_cell_per_m2"] = round(worst, 3)
        measures["density_mean_per_m2"] = round(crowd.density.mean_per_m2, 4)
        measures["density_stderr_per_m2"] = round(crowd.density.stderr_per_m2, 4)
        yardstick = "density_worst_cell_per_m2"
        boxed = crowd.rows[crowd.density.worst_cell]
        usual = (rule.blue_per_m2, rule.yellow_per_m2, rule.orange_per_m2, rule.red_per_m2)
        steps = [step * factor for step in usual]
        levels.append(level_of(worst, steps))
        sustained.append(level_of(worst, [s * keep for s in steps]))
    level = most_severe(*levels)
    return Observation(
        rule.kind,
        rule.zone,
        level,
        measures,
        confidence=_unit(tracks.scores[crowd.rows].mean()) if len(crowd.rows) else 1.0,
        boxes=_boxes(tracks, boxed) if most_severe(*sustained) is not None else (),
        sustains=most_severe(*sustained),
        yardstick=yardstick,
    )


def _doubt(scores: NDArray[np.float32]) -> Floats:
    """Variance of each detection as a person with its score's probability: (n,) -> (n,)."""
    score: Floats = np.clip(scores.astype(np.float64), 0.0, 1.0)
    return score * (1 - score)


def _unit(score: np.floating | float) -> float:
    return min(max(float(score), 0.0), 1.0)


def _boxes(tracks: Tracks, rows: NDArray[np.intp]) -> tuple[Box, ...]:
    """The boxes of these rows, the surest first, no more than an event should carry."""
    surest = sorted(rows, key=lambda row: (-float(tracks.scores[row]), tuple(tracks.xyxy[row].tolist())))
    boxes = (tuple(round(float(x), 4) for x in tracks.xyxy[row]) for row in surest[:MAX_BOXES])
    return tuple((left, top, right, bottom) for left, top, right, bottom in boxes)


def _person(class_names: Sequence[str]) -> int | None:
    return next((class_names.index(name) for name in PERSON_CLASSES if name in class_names), None)


def _counts(camera: CameraConfig, k: int, class_names: Sequence[str]) -> NDArray[np.bool_]:
    """Whether a rule counts each class: (classes,) bool.

    Raises:
        RuleError: the detector does not know a class.
    """
    rule = camera.rules[k]
    if isinstance(rule, DensityRule):
        if (person := _person(class_names)) is None:
            text = f"needs a detector that knows 'person'; this one knows {_known(class_names)}"
            raise RuleError(f"rules[{k}].kind", text, camera.id)
        return np.array([i == person for i in range(len(class_names))], np.bool_)
    for i, name in enumerate(rule.classes):
        if name not in class_names:
            near = suggestion(name, class_names)
            hint = near if "mean" in near else ""
            text = f"the detector knows no {name!r}{hint}; it knows {_known(class_names)}"
            raise RuleError(f"rules[{k}].classes[{i}]", text, camera.id)
    return np.array([name in rule.classes for name in class_names], np.bool_)


def _known(class_names: Sequence[str]) -> str:
    shown = ", ".join(class_names[:12])
    return f"{shown} and {len(class_names) - 12} more" if len(class_names) > 12 else shown
