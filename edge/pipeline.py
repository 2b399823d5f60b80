"""The line on one screen: frame → detections → tracks → observations → incidents → events in the outbox."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from threading import Event as Flag
from typing import Protocol

import structlog

from edge.events import EventDraft
from edge.metrics import Metrics
from edge.watch import CameraWatch
from models.detections import Detections
from streams.clock import Clock
from streams.frame import Frame, Picture
from streams.stats import Tally

log = structlog.get_logger(__name__)

PATIENCE_S = 0.2
"""How long the line waits for a frame before it looks whether it is to stop."""


class FrameSource(Protocol):
    """Where the line takes its frames from: the mailbox, which decides whose turn it is."""

    def take(self, timeout_s: float) -> Frame | None:
        """The next frame to analyse, or None when none came in time."""
        ...


class FrameDetector(Protocol):
    """What finds objects in a picture."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    def detect(self, picture: Picture) -> Detections:
        """Objects in the picture, low scores included."""
        ...


class Pipeline:
    """Analyses frames one after the other until told to stop. One camera's failure stays its own.

    Attributes:
        failures: frames by camera whose analysis failed.
    """

    def __init__(
        self,
        frames: FrameSource,
        detector: FrameDetector,
        watches: Mapping[str, CameraWatch],
        save: Callable[[Sequence[EventDraft]], None],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.failures: Counter[str] = Counter()
        self._frames = frames
        self._detector = detector
        self._watches = watches
        self._save = save
        self._metrics = metrics
        self._clock = clock
        self._tally = Tally()

    def run(self, stop: Flag) -> None:
        """Analyse until `stop` is set, then end the incidents that are open."""
        while not stop.is_set():
            frame = self._frames.take(PATIENCE_S)
            if frame is not None:
                self.look(frame)
            for trouble, times in self._tally.drain(self._clock.monotonic()).items():
                log.warning("analysis failed", trouble=trouble, times=times)
        for watch in self._watches.values():
            self._save(watch.close(self._clock.utc()))

    def look(self, frame: Frame) -> None:
        """One frame's way, from pixels to events on disk."""
        watch = self._watches[frame.camera_id]
        started_s = self._clock.monotonic()
        try:
            detections = self._detector.detect(frame.picture)
            inferred_s = self._clock.monotonic()
            drafts = watch.update(detections, frame.pts_s, frame.seen_utc)
        except Exception as exc:  # noqa: BLE001 - whatever one camera's picture breaks, the others go on
            self.failures[frame.camera_id] += 1
            self._tally.add(f"{frame.camera_id}: {type(exc).__name__}: {exc}")
            return
        analysed_s = self._clock.monotonic()
        watch.seen_mono_s = frame.seen_mono_s
        self._metrics.observe_stage(self._detector.name, "infer", inferred_s - started_s)
        self._metrics.observe_stage(self._detector.name, "analyse", analysed_s - inferred_s)
        self._metrics.observe_frame_age(analysed_s - frame.seen_mono_s)
        if drafts:
            self._save(drafts)
            self._metrics.observe_frame_to_event(self._clock.monotonic() - frame.seen_mono_s)
