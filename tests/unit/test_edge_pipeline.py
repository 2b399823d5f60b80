"""The line's own duties: order, isolation, ending. Detector and frames misbehave on script."""

import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from edge.census import Census
from edge.config import CameraConfig
from edge.costs import Stage
from edge.events import EventContext
from edge.identifiers import Uuid7
from edge.metrics import Metrics
from edge.pipeline import Pipeline
from edge.spent import Spent
from edge.watch import CameraWatch
from models.detections import Detections
from models.fire import Flame
from models.tracker import Tracker
from streams.clock import SystemClock
from streams.frame import Frame
from streams.picture import ArrayPicture
from streams.service import Service

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PICTURE = ArrayPicture(np.zeros((36, 64, 3), np.uint8))
SOMEBODY = Detections(
    np.array([[0.4, 0.4, 0.6, 0.9]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int16)
)


class Sight:
    """Sees what the script says: detections, or an error to raise; of a batch, the first error."""

    name = "scripted"
    sha256 = "0" * 64
    class_names = ("person",)

    def __init__(self, script, batch: int = 1) -> None:
        self._script = list(script)
        self.batch = batch
        self.glances = []

    def look(self, glances):
        self.glances.append(glances)
        steps = [self._script[round(glance.frame.pts_s / 0.2)] for glance in glances]
        for step in steps:
            if isinstance(step, Exception):
                raise step
        return steps


class Frames:
    """Hands out frames, then sets the flag."""

    def __init__(self, frames, stop: threading.Event) -> None:
        self._frames = list(frames)
        self._stop = stop

    def take_many(self, limit: int, timeout_s: float) -> list[Frame]:
        given, self._frames = self._frames[:limit], self._frames[limit:]
        if not given:
            self._stop.set()
        return given


class Attention:
    """Grants what the test says, and notes what it is told."""

    def __init__(self, service: Service | None = None) -> None:
        self._service = service
        self.told = []
        self.counts: list[tuple[str, str]] = []

    def service(self, camera_id: str) -> Service | None:
        return self._service

    def counted(self, camera_id: str, spent: Spent, stage: Stage = "density") -> None:
        assert spent.host_s >= 0
        self.counts.append((camera_id, stage))

    def looked(self, camera_id: str, spent: Spent, age_s: float, *, closely: bool = False) -> None:
        assert spent.cpu_ms >= 0
        assert spent.host_s >= 0
        self.told.append((camera_id, closely))


def watch(camera_id: str, detector: Sight) -> CameraWatch:
    camera = CameraConfig.model_validate(
        {
            "id": camera_id,
            "source": "sim://plaza",
            "zones": [{"id": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
            "rules": [
                {"kind": "hazard.intrusion", "zone": "all", "min_presence_s": 0.5},
                {"kind": "hazard.fire", "zone": "all"},
            ],
        }
    )
    new_id = Uuid7(lambda: NOW)
    context = EventContext("n", "000000", new_id, camera_id)
    return CameraWatch(camera, detector, context, Tracker(0.35, np.random.default_rng(1)), new_id)


class Fires:
    """Sees fire in every picture, or fails on each."""

    name = "flames"

    def __init__(self, *, fails: bool) -> None:
        self._fails = fails
        self._looked_s = -9.0

    def due(self, _camera_id: str, pts_s: float) -> bool:
        return pts_s - self._looked_s >= 2.0

    def look(self, _camera_id: str, _picture, pts_s: float) -> tuple[Flame, ...]:
        self._looked_s = pts_s
        if self._fails:
            raise ValueError("bad scores")
        return (Flame("fire", 0.9, (0.4, 0.4, 0.6, 0.6)),)


def run(script, cameras=("a",), batch: int = 1, service: Service | None = None, fires: Fires | None = None):
    stop, saved, metrics = threading.Event(), [], Metrics()
    sight, attention = Sight(script, batch), Attention(service)
    watches = {id_: watch(id_, sight) for id_ in cameras}
    frames = [
        Frame(cameras[k % len(cameras)], PICTURE, 0.2 * k, 0.2 * k, NOW + timedelta(seconds=0.2 * k))
        for k in range(len(script))
    ]
    pipeline = Pipeline(
        Frames(frames, stop),
        sight,
        watches,
        saved.extend,
        metrics,
        census=Census(None, frozenset(), fires),
        attention=attention,
        clock=SystemClock(),
    )
    pipeline.run(stop)
    said = [(draft.source.rsplit("/", 1)[1], draft.data.phase) for draft in saved]
    return said, pipeline, metrics, (watches, sight, attention, saved)


def test_what_is_seen_becomes_an_event_and_what_is_open_ends_with_the_line():
    said, pipeline, metrics, (watches, _, _, _) = run([SOMEBODY] * 20)
    assert said == [("a", "begin"), ("a", "end")]
    assert not pipeline.failures
    assert watches["a"].open_incidents == ("hazard.intrusion/all",)
    text = metrics.text()[0].decode()
    assert 'sharpeyes_inference_duration_seconds_count{model="scripted",stage="infer"} 20.0' in text
    assert "sharpeyes_frame_to_event_seconds_count 1.0" in text


def test_fire_is_looked_for_at_a_rate_of_its_own_and_booked_apart():
    nobody = Detections.empty()
    said, pipeline, metrics, (watches, _, attention, _) = run([nobody] * 40, fires=Fires(fails=False))
    assert said == [("a", "begin"), ("a", "end")]
    assert watches["a"].attention, "what burns is looked at, though nothing else moves there"
    assert attention.counts == [("a", "fire")] * 4
    assert len(attention.told) == 40
    assert not pipeline.failures
    assert 'model="flames",stage="fire"} 4.0' in metrics.text()[0].decode()


def test_a_model_of_fire_that_always_fails_spoils_one_picture_a_period():
    said, pipeline, _, (watches, _, _, _) = run([SOMEBODY] * 40, fires=Fires(fails=True))
    assert pipeline.failures == {"a": 4}
    assert said == [("a", "begin"), ("a", "end")]
    assert "fire" in watches["a"].unavailable["hazard.fire/all"]


def test_one_camera_s_failures_are_its_own():
    script = [ValueError("bad tensor") if k % 2 else SOMEBODY for k in range(40)]
    said, pipeline, _, _ = run(script, cameras=("good", "bad"))
    assert said == [("good", "begin"), ("good", "end")]
    assert dict(pipeline.failures) == {"bad": 20}


def test_a_batch_that_fails_is_looked_at_one_by_one():
    script = [ValueError("bad tensor") if k % 2 else SOMEBODY for k in range(40)]
    said, pipeline, _, (_, sight, attention, _) = run(script, cameras=("good", "bad"), batch=2)
    assert [len(glances) for glances in sight.glances[:3]] == [2, 1, 1]
    assert said == [("good", "begin"), ("good", "end")]
    assert dict(pipeline.failures) == {"bad": 20}
    assert attention.told == [("good", False)] * 20


def test_who_is_known_and_what_is_granted_goes_with_the_next_picture():
    _, _, _, (_, sight, attention, _) = run([SOMEBODY] * 3, service=Service(5.0, tiles=True))
    known = [glance.known.tolist() for (glance,) in sight.glances]
    assert known[0] == []
    assert known[-1] == pytest.approx(SOMEBODY.xyxy)
    assert all(glance.closely for (glance,) in sight.glances)
    assert attention.told == [("a", True)] * 3


def test_events_name_their_model_and_how_well_was_watched():
    *_, (_, _, _, saved) = run([SOMEBODY] * 20)
    data = saved[-1].data
    assert (data.model.name, data.model.sha256) == ("scripted", "0" * 64)
    assert data.coverage.analysed_fps == pytest.approx(5.0)
    assert not data.coverage.degraded
