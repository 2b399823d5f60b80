"""Where a detector looks: regions on a CPU, batches on a GPU, whole pictures where neither can be had."""

from datetime import UTC, datetime

import numpy as np
import pytest

from edge.sight import Glance, Sight
from models.detector import Detector
from models.zoo import load_detector
from streams.frame import Frame
from streams.picture import ArrayPicture

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NOBODY = np.zeros((0, 4), np.float32)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector("nanodet-g-416-int8", ("cpu",))


class Session:
    """The real one, noting its inputs; accelerated if the test says so."""

    def __init__(self, detector: Detector, *, accelerated: bool = False) -> None:
        self._real = detector.session
        self.batches, self.accelerated = self._real.batches, accelerated
        self.shapes = []

    def run(self, tensor):
        self.shapes.append(tensor.shape[:3])
        return self._real.run(tensor)


@pytest.fixture
def spied(detector: Detector, monkeypatch: pytest.MonkeyPatch):
    def spy(**options) -> tuple[Sight, Session]:
        session = Session(detector, **options)
        monkeypatch.setattr(detector, "session", session)
        return Sight(detector), session

    return spy


def frame(pts_s: float, regions=None, camera: str = "gate", size: tuple[int, int] = (1280, 720)) -> Frame:
    noise = np.random.default_rng(round(pts_s * 10)).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return Frame(camera, ArrayPicture(noise), pts_s, pts_s, NOW, regions=regions)


SMALL = ((0.5, 0.5, 0.53, 0.58),)


def test_the_whole_picture_from_time_to_time_and_what_moves_in_between(spied) -> None:
    sight, session = spied()
    for step in range(11):
        sight.look([Glance(frame(step / 5, SMALL), NOBODY)])
    assert session.shapes[0] == session.shapes[10] == (1, 256, 416)
    assert all(shape[1] * shape[2] < 256 * 416 / 2 for shape in session.shapes[1:10])


def test_where_motion_is_not_measured_all_is_looked_at(spied) -> None:
    sight, session = spied()
    for step in range(4):
        sight.look([Glance(frame(step / 5), NOBODY)])
    assert session.shapes == [(1, 256, 416)] * 4


def test_who_stands_still_is_looked_at_too(spied) -> None:
    sight, session = spied()
    known = np.array([[0.1, 0.2, 0.14, 0.4]], np.float32)
    sight.look([Glance(frame(0.0, ()), known)])
    sight.look([Glance(frame(0.2, ()), known)])
    sight.look([Glance(frame(0.4, ()), NOBODY)])
    assert len(session.shapes) == 2  # nothing moves and nobody is known: nothing to look at


def test_a_closer_look_comes_on_top(spied) -> None:
    sight, session = spied()
    sight.look([Glance(frame(0.0, SMALL), NOBODY, closely=True)])
    assert session.shapes == [(1, 256, 416), (1, 480, 832)]


def test_each_camera_has_its_own_turn_of_whole_pictures(spied) -> None:
    sight, session = spied()
    for camera in ("gate", "door"):
        sight.look([Glance(frame(0.0, SMALL, camera), NOBODY)])
    assert session.shapes == [(1, 256, 416)] * 2


def test_a_batch_sees_what_single_looks_see(spied, detector: Detector) -> None:
    sight, session = spied(accelerated=True)
    assert sight.batch > 1
    frames = [frame(0.0), frame(0.2, camera="door"), frame(0.4, camera="yard", size=(640, 640))]
    found = sight.look([Glance(f, NOBODY) for f in frames])
    assert session.shapes == [(2, 256, 416), (1, 416, 416)]
    for each, seen in zip(frames, found, strict=True):
        alone = detector.detect(each.picture)
        assert seen.xyxy == pytest.approx(alone.xyxy, abs=1e-4)
        assert seen.scores == pytest.approx(alone.scores, abs=1e-4)


def test_on_a_cpu_pictures_go_one_by_one(spied) -> None:
    sight, _ = spied()
    assert sight.batch == 1
