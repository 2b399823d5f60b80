"""From the tracks of one look to what they mean at this camera's zones and lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from edge import continuity
from edge.blend import Blend, Held
from edge.config import CameraConfig
from edge.errors import RuleError, SiteError
from edge.geometry import Floats
from edge.observation import Observation
from edge.on_ground import people_of
from edge.people import People
from edge.rule_base import LearningWatcher, Setting, Watcher
from edge.rules import AnyRule
from edge.scene import UNKNOWN, Scene
from edge.schedule import holds
from edge.site import Site
from edge.stillness import Stillness, step_stillness
from edge.view import UNKNOWN_NOISE, USUAL_ASPECT, HeightsPx, View
from models.detections import Tracks

OFF_SCHEDULE = "outside its schedule"
"""Why a rule is not judged at this time of day."""


@dataclass(frozen=True, slots=True)
class ZoneCount:
    """People in a zone at one look.

    Attributes:
        count: persons inside.
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
        observations: one of each rule that could be judged; of a line rule only when it is crossed.
        zones: people by zone id; empty where the detector knows no persons.
        unavailable: why the others could not be judged, by kind and place as `crowd.pressure/plaza`.
        people: everybody in view on the ground; None where the camera is not calibrated.
    """

    observations: tuple[Observation, ...]
    zones: Mapping[str, ZoneCount]
    unavailable: Mapping[str, str]
    people: People | None = None


class Analysis:
    """The rules of one camera, with the little that they remember between looks."""

    def __init__(self, camera: CameraConfig, site: Site, class_names: Sequence[str]) -> None:
        """Bind a camera's rules to its site and to a detector's classes.

        Raises:
            RuleError: a rule asks for what the detector does not know, or the site cannot give.
        """
        self.density_factor = 1.0
        """What the thresholds of `crowd.density` are multiplied by; below 1 while trouble is expected."""
        self.ground_lost: str | None = None
        """Why places on the ground are not to be trusted at present; None while they are. Until then nobody
        is placed on it, and rules that need it say this instead."""
        self.unseen: str | None = None
        """Why nothing can be seen at present; None while it can. Until then nothing is judged or counted."""
        self.places_lost: str | None = None
        """Why zones and lines are not to be trusted at present, not even in the picture; None while they are.
        Until then no rule of one is judged, and nobody counted there."""
        self.open_incidents: Sequence[str] = ()
        """The camera's incidents that were open at the look before: nothing is learned meanwhile."""
        setting = Setting(site, tuple(class_names))
        self._site = site
        self._flat = site.without_ground()
        self._on_ground = {f"{r.kind}/{r.subject}" for r in camera.rules if _refuses(r, self._flat)}
        places = {zone.id for zone in site.zones} | {line.id for line in site.lines}
        self._placed = {f"{r.kind}/{r.subject}" for r in camera.rules if r.subject in places}
        self._person = setting.person
        self._watchers = {
            f"{rule.kind}/{rule.subject}": _bound(k, rule, setting, camera.id)
            for k, rule in enumerate(camera.rules)
        }
        self._schedules = {f"{rule.kind}/{rule.subject}": rule.schedule for rule in camera.rules}
        self._continuity = continuity.Continuity()
        self._stillness = Stillness()
        self._blend = Blend(site.ground) if site.ground is not None else None
        self._heads = Held()

    def set_strictness(self, rule: str, factor: float) -> None:
        """Have a rule, named by kind and place, be `factor` times surer than usual, 1 or more."""
        self._watchers[rule].strictness = factor

    @property
    def learners(self) -> tuple[LearningWatcher, ...]:
        """Rules that learn what is usual there."""
        return tuple(one for one in self._watchers.values() if isinstance(one, LearningWatcher))

    @property
    def dense(self) -> bool:
        """Whether people could not be followed singly at the last look."""
        return self._blend is not None and self._blend.dense and self.ground_lost is None

    def update(
        self, tracks: Tracks, pts_s: float, scene: Scene = UNKNOWN, local: datetime | None = None
    ) -> Look:
        """Judge one look.

        Args:
            tracks: confirmed and seen in this picture, all classes.
            pts_s: camera time in seconds, not below the last look's.
            scene: what else the picture shows.
            local: the time of day there; None where nobody knows, and then every schedule holds.
        """
        if self.unseen is not None:
            return Look((), {}, dict.fromkeys(self._watchers, self.unseen))
        view = self._view(tracks, pts_s, replace(scene, heads=self._heads.last(scene.heads, pts_s)))
        calm = not self.open_incidents and self.ground_lost is None
        view = replace(view, local=local, calm=calm)
        observations, unavailable = [], {}
        for name, watcher in self._watchers.items():
            if self.ground_lost is not None and name in self._on_ground:
                unavailable[name] = self.ground_lost
                continue
            if self.places_lost is not None and name in self._placed:
                unavailable[name] = self.places_lost
                continue
            if not holds(self._schedules[name], local):
                unavailable[name] = OFF_SCHEDULE
                continue
            observations += watcher.step(view)
            if watcher.unavailable is not None:
                unavailable[name] = watcher.unavailable
        counts = self._counts(view) if self.places_lost is None else {}
        return Look(tuple(observations), counts, unavailable, view.people)

    def _view(self, tracks: Tracks, pts_s: float, scene: Scene) -> View:
        self._continuity, keys = continuity.step(self._continuity, tracks, pts_s)
        plane = self._site.ground
        feet = tracks.foot_points.astype(np.float64)
        ground = plane.to_ground(feet) if plane is not None else None
        persons = _persons(tracks, self._person)
        grounded, noise, heights, site = None, UNKNOWN_NOISE, None, self._site
        if self.ground_lost is not None:
            site = self._flat
        elif plane is not None and self._blend is not None:
            found = people_of(tracks, keys, persons, plane)
            self._stillness, noise = step_stillness(self._stillness, found.people, pts_s)
            grounded, noise = self._blend.join(found, tracks, scene, noise)
            heights = self._blend.heights_px(scene.size_px)
        return View(
            site=site,
            tracks=tracks,
            keys=keys,
            pts_s=pts_s,
            inside={zone.id: zone.holds(feet, ground) for zone in self._site.zones},
            persons=persons,
            grounded=grounded,
            heads=scene.heads if grounded is None else None,
            density_factor=self.density_factor,
            noise=noise,
            person_px=heights,
            stature=_statures(tracks, ground, heights, scene.size_px),
            things=scene.things,
            flames=scene.flames,
            lying=scene.lying,
            detections=scene.found,
            aspect=USUAL_ASPECT if scene.size_px is None else scene.size_px[0] / scene.size_px[1],
        )

    def _counts(self, view: View) -> dict[str, ZoneCount]:
        if self._person is None:
            return {}
        counts = {}
        for zone in self._site.zones:
            density, (count, stderr) = view.density(zone.id), view.counted(zone.id)
            found = ZoneCount(round(count), count_stderr=stderr)
            if density is not None:
                found = ZoneCount(
                    round(count),
                    density.mean_per_m2,
                    density.worst.density_per_m2,
                    stderr,
                    density.stderr_per_m2,
                )
            counts[zone.id] = found
        return counts


def _bound(index: int, rule: AnyRule, setting: Setting, camera: str) -> Watcher:
    try:
        return rule.watch(setting)
    except RuleError as exc:
        raise RuleError(f"rules[{index}].{exc.key}", exc.text, camera) from None


def _statures(
    tracks: Tracks, ground: Floats | None, heights: HeightsPx | None, size_px: tuple[int, int] | None
) -> Floats | None:
    if ground is None or heights is None or size_px is None:
        return None
    tall = heights(ground) / size_px[1]
    boxes = tracks.xyxy[:, 3] - tracks.xyxy[:, 1]
    return np.where(tall > 0, boxes / np.maximum(tall, 1e-9), np.nan).astype(np.float64)


def _refuses(rule: AnyRule, site: Site) -> bool:
    """Whether a rule cannot be judged at a site."""
    try:
        rule.check(site)
    except SiteError:
        return True
    return False


def _persons(tracks: Tracks, person: int | None) -> NDArray[np.bool_]:
    if person is None:
        return np.zeros(len(tracks), np.bool_)
    return np.asarray(tracks.labels == person, np.bool_)
