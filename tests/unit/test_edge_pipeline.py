"""The line's own duties: order, isolation, ending. Detector and frames misbehave on script."""

import threading
from collections import deque
from datetime import UTC, datetime, timedelta

import numpy as np

from edge.config import CameraConfig
from edge.events import EventContext
from edge.identifiers import Uuid7
from edge.metrics import Metrics
from edge.pipeline import Pipeline
from edge.watch import CameraWatch
from models.detections import Detections
from models.tracker import Tracker
from streams.clock import SystemClock
from streams.frame import Frame
from streams.picture import ArrayPicture

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PICTURE = ArrayPicture(np.zeros((36, 64, 3), np.uint8))
SOMEBODY = Detections(
    np.array([[0.4, 0.4, 0.6, 0.9]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int16)
)


class Detector:
    """Sees what the script says: detections, or an error to raise."""

    name = "scripted"
    sha256 = "0" * 64
    class_names = ("person",)

    def __init__(self, script) -> None:
        self._script = deque(script)

    def detect(self, picture, threshold: float = 0.1) -> Detections:
        step = self._script.popleft()
        if isinstance(step, Exception):
            raise step
        return step


class Frames:
    """Hands out frames, then sets the flag."""

    def __init__(self, frames, stop: threading.Event) -> None:
        self._frames = deque(frames)
        self._stop = stop

    def take(self, timeout_s: float) -> Frame | None:
        if self._frames:
            return self._frames.popleft()
        self._stop.set()
        return None


def watch(camera_id: str, detector: Detector) -> CameraWatch:
    camera = CameraConfig.model_validate(
        {
            "id": camera_id,
            "source": "sim://plaza",
            "zones": [{"id": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
            "rules": [{"kind": "hazard.intrusion", "zone": "all", "min_presence_s": 0.5}],
        }
    )
    new_id = Uuid7(lambda: NOW)
    context = EventContext("n", "000000", new_id, camera_id)
    return CameraWatch(camera, detector, context, Tracker(0.35, np.random.default_rng(1)), new_id)


def run(script, cameras=("a",), looks: int | None = None):
    stop, saved, metrics = threading.Event(), [], Metrics()
    detector = Detector(script)
    watches = {id_: watch(id_, detector) for id_ in cameras}
    frames = [
        Frame(cameras[k % len(cameras)], PICTURE, 0.2 * k, 0.2 * k, NOW + timedelta(seconds=0.2 * k))
        for k in range(looks if looks is not None else len(script))
    ]
    pipeline = Pipeline(Frames(frames, stop), detector, watches, saved.extend, metrics, SystemClock())
    pipeline.run(stop)
    return [(draft.source.rsplit("/", 1)[1], draft.data.phase) for draft in saved], pipeline, metrics, watches


def test_what_is_seen_becomes_an_event_and_what_is_open_ends_with_the_line():
    said, pipeline, metrics, watches = run([SOMEBODY] * 20)
    assert said == [("a", "begin"), ("a", "end")]
    assert not pipeline.failures
    assert watches["a"].open_incidents == ("hazard.intrusion/all",)
    text = metrics.text()[0].decode()
    assert 'sharpeyes_inference_duration_seconds_count{model="scripted",stage="infer"} 20.0' in text
    assert "sharpeyes_frame_to_event_seconds_count 1.0" in text


def test_one_camera_s_failures_are_its_own():
    script = [ValueError("bad tensor") if k % 2 else SOMEBODY for k in range(40)]
    said, pipeline, _, _ = run(script, cameras=("good", "bad"))
    assert said == [("good", "begin"), ("good", "end")]
    assert dict(pipeline.failures) == {"bad": 20}


def test_events_name_their_model_and_how_well_was_watched():
    stop, saved = threading.Event(), []
    detector = Detector([SOMEBODY] * 20)
    frames = [Frame("a", PICTURE, 0.2 * k, 0.2 * k, NOW) for k in range(20)]
    Pipeline(
        Frames(frames, stop), detector, {"a": watch("a", detector)}, saved.extend, Metrics(), SystemClock()
    ).run(stop)
    data = saved[-1].data
    assert (data.model.name, data.model.sha256) == ("scripted", "0" * 64)
    assert data.coverage.analysed_fps == 5.0
    assert not data.coverage.degraded
