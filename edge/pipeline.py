"""The line on one screen: frame → detections → tracks → observations → incidents → events in the outbox."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Event as Flag
from typing import Protocol

import structlog

from edge.census import Census, Wish
from edge.costs import Stage
from edge.events import EventDraft
from edge.metrics import Metrics
from edge.scene import Scene
from edge.sight import Glance
from edge.spent import Spent
from edge.watch import CameraWatch
from models.detections import Detections
from streams.clock import Clock
from streams.frame import Frame
from streams.service import Service
from streams.stats import Tally

log = structlog.get_logger(__name__)

PATIENCE_S = 0.2
"""How long the line waits for a frame before it looks whether it is to stop."""


class FrameSource(Protocol):
    """Where the line takes its frames from: the mailbox, which decides whose turn it is."""

    def take_many(self, limit: int, timeout_s: float) -> list[Frame]:
        """The next frames to analyse, each of another camera; empty when none came in time."""
        ...


class FrameSight(Protocol):
    """What finds objects in pictures."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    @property
    def batch(self) -> int:
        """How many pictures it takes at once, at most."""
        ...

    def look(self, glances: Sequence[Glance]) -> list[Detections]:
        """Objects in each picture, low scores included."""
        ...


class Attention(Protocol):
    """How much the line may spend: the budget, as the line sees it."""

    def service(self, camera_id: str) -> Service | None:
        """What a camera is granted; None before the first plan."""
        ...

    def looked(self, camera_id: str, spent: Spent, age_s: float, *, closely: bool = False) -> None:
        """Tell what a picture has taken, and how old it was afterwards."""
        ...

    def counted(self, camera_id: str, spent: Spent, stage: Stage = "density") -> None:
        """Tell what counting heads or looking for fire has taken, which `looked` is not told of."""
        ...


Keep = Callable[[str, Sequence[EventDraft], float, Mapping[str, float]], None]
"""Hears of a camera's incidents: its id, events of a look, the look's camera time, and by open incident that
of its worst look."""


def _keeps_nothing(*_: object) -> None:
    """Of whom nobody keeps evidence."""


class Pipeline:
    """Analyses frames one after the other until told to stop. One camera's failure stays its own.

    Attributes:
        failures: frames by camera whose analysis failed.
    """

    def __init__(  # noqa: PLR0913 - it is where all parts meet
        self,
        frames: FrameSource,
        sight: FrameSight,
        watches: Mapping[str, CameraWatch],
        save: Callable[[Sequence[EventDraft]], None],
        metrics: Metrics,
        *,
        census: Census,
        attention: Attention,
        clock: Clock,
        keep: Keep = _keeps_nothing,
    ) -> None:
        self.failures: Counter[str] = Counter()
        self._frames = frames
        self._sight = sight
        self._watches = watches
        self._save = save
        self._metrics = metrics
        self._census = census
        self._attention = attention
        self._clock = clock
        self._keep = keep
        self._tally = Tally()

    def run(self, stop: Flag) -> None:
        """Analyse until `stop` is set, then end the incidents that are open."""
        while not stop.is_set():
            frames = self._frames.take_many(self._sight.batch, PATIENCE_S)
            if frames:
                self.look(frames)
            for trouble, times in self._tally.drain(self._clock.monotonic()).items():
                log.warning("analysis failed", trouble=trouble, times=times)
        for id_, watch in self._watches.items():
            drafts = watch.close(self._clock.utc())
            self._keep(id_, drafts, watch.pts_s, {})
            self._save(drafts)

    def look(self, frames: Sequence[Frame]) -> None:
        """The way of frames of different cameras, from pixels to events on disk."""
        began = _Mark(self._clock)
        glances = [self._glance(frame) for frame in frames]
        try:
            found = self._sight.look(glances)
        except Exception as exc:  # noqa: BLE001 - whatever one camera's picture breaks, the others go on
            if len(frames) == 1:
                self._failed(frames[0], exc)
            else:
                for frame in frames:
                    self.look([frame])
            return
        each = _Mark(self._clock).since(began, len(frames))
        for glance, detections in zip(glances, found, strict=True):
            self._metrics.observe_stage(self._sight.name, "infer", each.host_s)
            self._analyse(glance, detections, each)

    def _glance(self, frame: Frame) -> Glance:
        service = self._attention.service(frame.camera_id)
        closely = service is not None and service.tiles
        return Glance(frame, self._watches[frame.camera_id].known, closely)

    def _analyse(self, glance: Glance, detections: Detections, before: Spent) -> None:
        frame = glance.frame
        watch = self._watches[frame.camera_id]
        try:
            scene, seen = self._scene(frame, watch)
            scene = self._with_flames(frame, scene)
            before = Spent(before.host_s + seen.host_s, before.cpu_ms + seen.cpu_ms)
            began = _Mark(self._clock)
            drafts = watch.update(detections, frame.pts_s, frame.seen_utc, scene)
        except Exception as exc:  # noqa: BLE001 - as above
            self._failed(frame, exc)
            return
        watch.seen_mono_s = frame.seen_mono_s
        spent, age_s = _Mark(self._clock).since(began), self._clock.monotonic() - frame.seen_mono_s
        self._metrics.observe_stage(self._sight.name, "analyse", spent.host_s)
        self._metrics.observe_frame_age(age_s)
        both = Spent(before.host_s + spent.host_s, before.cpu_ms + spent.cpu_ms)
        self._attention.looked(frame.camera_id, both, age_s, closely=glance.closely)
        self._keep(frame.camera_id, drafts, frame.pts_s, watch.peaks)
        if drafts:
            self._save(drafts)
            self._metrics.observe_frame_to_event(self._clock.monotonic() - frame.seen_mono_s)

    def _scene(self, frame: Frame, watch: CameraWatch) -> tuple[Scene, Spent]:
        """Heads and motion, where they are due, and what belongs to the look of what that took.

        A count has a period of its own, so that its cost is booked apart.
        """
        service = self._attention.service(frame.camera_id)
        every_look = service is not None and service.density
        began = _Mark(self._clock)
        wish = Wish(every_look, watch.dense, watch.checks_view(frame.pts_s))
        scene = self._census.look(frame.camera_id, frame.picture, frame.pts_s, wish)
        spent = _Mark(self._clock).since(began)
        if scene.heads is None:
            return scene, spent
        self._metrics.observe_stage(self._census.name, "density", spent.host_s)
        self._attention.counted(frame.camera_id, spent)
        return scene, Spent(0.0, 0.0)

    def _with_flames(self, frame: Frame, scene: Scene) -> Scene:
        """The scene with what burns in it, where that is due; booked apart, as it has a period of its own."""
        fires = self._census.fires
        if fires is None or not fires.due(frame.camera_id, frame.pts_s):
            return scene
        began = _Mark(self._clock)
        scene = replace(scene, flames=fires.look(frame.camera_id, frame.picture, frame.pts_s))
        spent = _Mark(self._clock).since(began)
        self._metrics.observe_stage(fires.name, "fire", spent.host_s)
        self._attention.counted(frame.camera_id, spent, "fire")
        return scene

    def _failed(self, frame: Frame, exc: Exception) -> None:
        self.failures[frame.camera_id] += 1
        self._tally.add(f"{frame.camera_id}: {type(exc).__name__}: {exc}")


class _Mark:
    """A moment, by the host's clock and by what this thread has used of the processor."""

    __slots__ = ("_cpu_s", "_host_s")

    def __init__(self, clock: Clock) -> None:
        self._host_s = clock.monotonic()
        self._cpu_s = time.thread_time()

    def since(self, earlier: "_Mark", share: int = 1) -> Spent:
        """What has passed since another moment, divided among so many."""
        return Spent((self._host_s - earlier._host_s) / share, (self._cpu_s - earlier._cpu_s) * 1e3 / share)
