"""One camera's memory between pictures. No clock and no I/O of its own: streams and files run the same."""

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from edge.analysis import Analysis, ZoneCount
from edge.config import CameraConfig
from edge.events import Coverage, EventContext, EventDraft, ModelRef, incident_event
from edge.eyesight import Eyesight
from edge.eyesight_rules import SUBJECT
from edge.health import RateMeter
from edge.incidents import Change, Incidents, policies
from edge.looks import Look
from edge.normality_store import NormalityStore
from edge.observation import Observation
from edge.people import People
from edge.precision import RuleVerdicts
from edge.redactor import Sightings
from edge.rule_base import Setting
from edge.scene import UNKNOWN, Scene
from edge.schedule import holds
from edge.site import Site
from edge.steadiness import Steadiness
from edge.stills import Stills
from edge.strictness import strictness
from edge.view_store import ViewStore
from models.detections import Detections, Tracks
from models.detector import Detector
from models.tracker import Tracker

STAYS = frozenset({"hazard.fall", "hazard.fire"})
"""While somebody lies or something burns the camera is looked at, though nothing else may move there."""

NOBODY = -1
"""The class of people where the detector has none."""

MIND_S = 60.0
"""How often a camera asks whether it is to forget what is usual."""

DEGRADED_BELOW = 0.8
"""Share of the configured rate under which an event says that it was seen with less than full attention."""


class CameraWatch:
    """Detections in, events out, for one camera.

    Args:
        camera: its configuration.
        detector: gives the class names, and is named in every event.
        context: who speaks.
        tracker: this camera's own.
        new_id: makes incident ids.
        views: where it keeps how the camera's view looked when it was calibrated; None for nowhere.

    Attributes:
        site: zones, lines and ground plane.
        zones: people by zone at the last look.
        people: everybody in view on the ground at the last look; None where the camera is not calibrated.
        unavailable: why rules could not be judged at the last look, by kind and place.
        open_incidents: as `kind/zone`, at the last look.
        held_back: how often a rule kept trouble quiet, to cool down, by kind and place.
        pts_s: camera time in seconds of the last look.
        peaks: camera time in seconds of the worst look of each open incident, by incident, at the last look.
        attend: told after each look whether somebody is there or something is going on, moving or not, so
            that the camera's reader goes on looking at what stands still; nobody by default.
        timezone: of the place, for schedules; None where a picture's time of day means nothing, as in a clip.
        known: (n, 4) boxes of who or what was there at the last look, fractions of the picture.
        seen_mono_s: host time of the last analysed picture; None before the first.
        sightings: are told what was seen, for who covers people in pictures; None where none are shown.
    """

    def __init__(
        self,
        camera: CameraConfig,
        detector: Detector,
        context: EventContext,
        tracker: Tracker,
        new_id: Callable[[], str],
        views: ViewStore | None = None,
    ) -> None:
        self.camera = camera
        self.site = Site.from_config(camera)
        self.zones: dict[str, ZoneCount] = {}
        self.people: People | None = None
        self.unavailable: dict[str, str] = {}
        self.open_incidents: tuple[str, ...] = ()
        self.held_back: Mapping[str, int] = {}
        self.peaks: Mapping[str, float] = {}
        self.attend: Callable[[bool], None] = lambda _: None
        self.timezone: tzinfo | None = None
        self.seen_mono_s: float | None = None
        self.known: NDArray[np.float32] = np.zeros((0, 4), np.float32)
        self.sightings: Sightings | None = None
        person = Setting(self.site, detector.class_names).person
        self._person = NOBODY if person is None else person
        self._context = context
        self._model = ModelRef(name=detector.name, sha256=detector.sha256)
        self._tracker = tracker
        self._analysis = Analysis(camera, self.site, detector.class_names)
        self._eyesight = Eyesight(camera.health)
        self._steadiness = Steadiness(camera, self.site, views)
        self._stills = Stills(camera, detector.class_names)
        self._incidents = Incidents(camera.id, policies(camera), new_id)
        self._rate = RateMeter()
        self._normality: NormalityStore | None = None
        self._minded_s = -math.inf
        self._looks = 0
        self._stays = False
        self.pts_s = 0.0

    def update(
        self,
        detections: Detections,
        pts_s: float,
        utc: datetime,
        scene: Scene = UNKNOWN,
    ) -> list[EventDraft]:
        """What one picture changes.

        Args:
            detections: of this picture, low scores included.
            pts_s: the picture's time on the camera's clock, above the last one's.
            utc: wall time of the picture, for labels.
            scene: what else the picture shows.
        """
        tracks = self._tracker.update(detections, pts_s)
        self.known = tracks.xyxy
        self._mind(pts_s)
        local = utc.astimezone(self.timezone) if self.timezone is not None else None
        own = self._look_at_itself(scene, pts_s, local)
        self._witness(scene, detections, tracks, pts_s)
        if self._analysis.unseen is None:
            scene = self._stills.look(scene, detections, pts_s)
        scene = replace(scene, found=detections)
        look = self._analysis.update(tracks, pts_s, scene, local)
        self._stays = any(o.kind in STAYS and o.sustained is not None for o in look.observations)
        self.zones = dict(look.zones)
        self.people = look.people
        self.unavailable = dict(look.unavailable)
        self.pts_s = pts_s
        self._looks += 1
        self._rate.read(pts_s, self._looks)
        changes = self._incidents.update((*look.observations, *own), pts_s, utc)
        self.open_incidents = self._analysis.open_incidents = self._incidents.open
        self.peaks = self._incidents.peaks
        self.held_back = self._incidents.held_back
        self.attend(self.attention)
        return self._drafts(changes)

    @property
    def dense(self) -> bool:
        """Whether people could not be followed singly at the last look."""
        return self._analysis.dense

    def checks_view(self, pts_s: float) -> bool:
        """Whether the picture's brightness is wanted, to see what keeps still, or how the camera is."""
        shown = self.sightings is not None  # what differs from the empty place is covered
        return shown or self._stills.due(pts_s) or self._eyesight.due(pts_s) or self._steadiness.due(pts_s)

    def _look_at_itself(self, scene: Scene, pts_s: float, local: datetime | None) -> list[Observation]:
        """Whether the camera sees anything, and looks where it was set up to; what follows for the rules."""
        luma, analysis = scene.luma, self._analysis
        if luma is not None and self._eyesight.due(pts_s):
            self._eyesight.look(luma, pts_s)
            analysis.unseen = self._eyesight.blind
        seen = self._eyesight.observations(local)
        moved = self.camera.health.moved
        if not moved.enabled:
            return seen
        if luma is not None and analysis.unseen is None and self._steadiness.due(pts_s):
            self._steadiness.look(luma, pts_s, self.known)
            analysis.ground_lost = self._steadiness.ground_lost
            if self._steadiness.places_lost and not analysis.places_lost and self.sightings is not None:
                self.sightings.forget()  # the empty place that was learned is not in view any more
            analysis.places_lost = self._steadiness.places_lost
        if holds(moved.schedule, local):
            seen.append(self._steadiness.observation())
        return seen

    def _witness(self, scene: Scene, found: Detections, tracks: Tracks, pts_s: float) -> None:
        """Tell what was seen. A look that makes no sense is none: pictures without any are covered wholly."""
        if self.sightings is None or scene.luma is None:
            return
        with suppress(ValueError):
            self.sightings.take(Look.of(pts_s, scene.luma, found, tracks, self._person, scene.heads))

    def remember(self, store: NormalityStore) -> None:
        """Have rules that learn take up what they learned before, and keep it from now on."""
        self._normality = store
        for learner in self._analysis.learners:
            learner.remember(store, self.camera.id)

    def _mind(self, pts_s: float) -> None:
        """Once a minute: forget what is usual, if somebody asked for that."""
        if self._normality is None or 0.0 <= pts_s - self._minded_s < MIND_S:
            return
        self._minded_s = pts_s
        if self._normality.asked_to_forget(self.camera.id):
            for learner in self._analysis.learners:
                learner.forget()
            self._normality.forgotten(self.camera.id)

    def set_density_factor(self, factor: float) -> None:
        """Multiply the thresholds of density by `factor` from the next look on; safe from any thread."""
        self._analysis.density_factor = factor

    def judge(self, verdicts: Iterable[RuleVerdicts]) -> None:
        """Make rules whose alarms were found false ask for more, within their bounds; safe from any thread.

        Args:
            verdicts: of this camera's rules.
        """
        bounds = {f"{rule.kind}/{rule.subject}": rule for rule in self.camera.rules}
        eyes = {f"{rule.KIND}/{SUBJECT}": rule for rule in self.camera.health.enabled}
        for one in verdicts:
            eye = eyes.get(one.rule)
            if eye is not None:
                self._incidents.set_strictness(
                    (eye.KIND, SUBJECT), strictness(one.true, one.false, eye.strictest)
                )
            rule = bounds.get(one.rule)
            if rule is not None:
                factor = strictness(one.true, one.false, rule.strictest)
                self._analysis.set_strictness(one.rule, factor)
                self._incidents.set_strictness((rule.kind, rule.subject), factor)

    @property
    def attention(self) -> bool:
        """Whether somebody was there at the last look or something is going on, moving or not, or may be."""
        return bool(len(self.known) or self.open_incidents or self._stays or self._eyesight.suspicious)

    def close(self, utc: datetime) -> list[EventDraft]:
        """End what is open, since nobody looks any more, and keep what was learned."""
        for learner in self._analysis.learners:
            learner.keep()
        return self._drafts(self._incidents.close_all(self.pts_s, utc))

    def _drafts(self, changes: list[Change]) -> list[EventDraft]:
        if not changes:
            return []
        fps = self._rate.per_s
        coverage = Coverage(
            analysed_fps=round(fps, 2), degraded=fps < DEGRADED_BELOW * self.camera.analysed_fps
        )
        return [incident_event(self._context, c, model=self._model, coverage=coverage) for c in changes]
