"""The rule `hazard.fall` on scripted boxes, and on pictures of a simulated place."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.analysis import Analysis
from edge.config import ModelConfig
from edge.errors import RuleError
from edge.incidents import Change, Incidents, policies
from edge.scene import Scene
from edge.site import Site
from models.detections import Detections
from models.fallen import Place
from models.tracker import Tracker
from models.zoo import load_detector, load_fallen
from streams.picture import AvPicture
from streams.sim.clip import scene_truth
from streams.sim.encode import video_frame
from streams.sim.lens import Lens
from streams.sim.spec import SceneSpec
from tests.support.afoot import CAMERA, EPOCH, SIZE_PX, camera

RULE = {"kind": "hazard.fall", "zone": "z"}
NAMES = ("person", "car")
PERSON = 0
RATES = [10.0, 5.0, 2.0, 1.0]
Found = tuple[tuple[float, ...], float, int]


def standing(at=(0.0, 12.0), tall: float = 1.7) -> tuple[float, ...]:
    """The box of somebody who stands there: fractions of the picture."""
    (foot,), (head,) = CAMERA.project(np.array([at])), CAMERA.project(np.array([[*at, tall]]))
    half = (foot[1] - head[1]) * 0.15
    return float(foot[0] - half), float(head[1]), float(foot[0] + half), float(foot[1])


STOOD = standing()
FELL_S, UP_S = 3.0, 20.0


def upright_until_it_falls(t: float) -> list[Found]:
    return [] if FELL_S <= t < UP_S else [(STOOD, 0.8, PERSON)]


class Told:
    """Says at every place that somebody lies there from the fall until they are up."""

    def __init__(self, lies: bool = True) -> None:
        self.lies, self.now_s = lies, 0.0
        self.places: list[Place] = []

    def __call__(self, places: Sequence[Place]) -> NDArray[np.float64]:
        self.places += places
        return np.full(len(places), 0.9 if self.lies and FELL_S <= self.now_s < UP_S else 0.1)


def play(scene, seconds: float, fps: float, told: Told | None = None, **keys) -> list[tuple[float, Change]]:
    """What begins, goes on and ends, with its time."""
    config = camera({**RULE, **keys})
    watch = Analysis(config, Site.from_config(config), NAMES)
    tracker = Tracker(0.35, np.random.default_rng(1))
    incidents, changes = Incidents("gate", policies(config), lambda: "i"), []
    told = told or Told()
    for t in (np.arange(round(seconds * fps)) / fps).tolist():
        told.now_s = t
        found = scene(t)
        detections = Detections(
            np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
            np.array([score for _, score, _ in found], np.float32),
            np.array([label for _, _, label in found], np.int16),
        )
        seen = Scene(SIZE_PX, found=detections, lying=told)
        view = watch.update(tracker.update(detections, t), t, seen)
        changes += [(t, c) for c in incidents.update(view.observations, t, EPOCH + timedelta(seconds=t))]
    return changes


@pytest.mark.parametrize("fps", RATES)
def test_a_fall_begins_and_ends_once(fps):
    told = play(upright_until_it_falls, 40.0, fps)
    assert [change.phase for _, change in told if change.phase != "update"] == ["begin", "end"]
    (at_s, begin), (over_s, _) = told[0], told[-1]
    assert at_s == pytest.approx(FELL_S + 5.5, abs=1 / fps + 0.3), "five seconds after the first look"
    assert UP_S + 5.0 <= over_s <= UP_S + 8.0
    assert (begin.level, begin.measures["count"]) == (2, 1.0)
    assert begin.measures["down_s"] >= 5.0
    ((left, top, right, bottom),) = begin.boxes
    foot = (STOOD[0] + STOOD[2]) / 2, STOOD[3]
    assert left < foot[0] < right
    assert top < foot[1] < bottom


@pytest.mark.parametrize("fps", RATES)
def test_who_vanishes_and_does_not_lie_there_did_not_fall(fps):
    assert not play(upright_until_it_falls, 40.0, fps, Told(lies=False))


def test_the_place_is_where_the_foot_was_and_as_high_as_who_stood_there():
    told = Told()
    play(upright_until_it_falls, 10.0, 5.0, told)
    for place in told.places:
        assert place.foot == pytest.approx(((STOOD[0] + STOOD[2]) / 2, STOOD[3]), abs=0.01)
        assert place.tall == pytest.approx(STOOD[3] - STOOD[1], rel=0.1)


def test_without_a_model_s_look_nothing_is_told():
    config = camera(RULE)
    watch, tracker = (
        Analysis(config, Site.from_config(config), NAMES),
        Tracker(0.35, np.random.default_rng(1)),
    )
    for k in range(60):
        box = np.array([STOOD] if k < 15 else [], np.float32).reshape(-1, 4)
        one = Detections(box, np.full(len(box), 0.8, np.float32), np.zeros(len(box), np.int16))
        (observation,) = watch.update(tracker.update(one, k / 5), k / 5, Scene(SIZE_PX)).observations
        assert observation.level is None


@pytest.mark.parametrize("fps", RATES)
def test_a_child_who_runs_by_does_not_fall(fps):
    def runs(t: float) -> list[Found]:
        x = -6 + 2.5 * t
        return [(standing((x, 12.0), 1.1), 0.8, PERSON)] if x < 6 else []

    assert not play(runs, 12.0, fps)


def test_who_falls_outside_the_zone_is_not_told():
    aside = standing((5.5, 12.0))
    assert not play(lambda t: [] if t >= 3 else [(aside, 0.8, PERSON)], 20.0, 5.0)


def test_how_long_is_set_and_grows_with_the_centre_s_verdicts():
    told = play(upright_until_it_falls, 30.0, 5.0, min_down_s=8.0)
    assert told[0][0] == pytest.approx(FELL_S + 8.5, abs=0.41)
    (rule,) = camera(RULE).rules
    assert rule.policy.hold_of(2, 2.0) == pytest.approx(5.0), "twice as sure: five seconds more"


def test_a_detector_without_people_is_refused():
    config = camera(RULE)
    with pytest.raises(RuleError, match="needs a detector that knows 'person'"):
        Analysis(config, Site.from_config(config), ("car", "bus"))


def test_a_drawn_fall_is_told():
    """Through the detector and the tracker, as a camera's pictures go."""
    spec = SceneSpec("fall", "plaza", seed=102, fps=5.0, seconds=30.0)
    (fall,) = (event for event in scene_truth(spec) if event.kind == "hazard.fall")
    detector, fallen = load_detector(ModelConfig().detector), load_fallen(ModelConfig().fallen)
    tracker = Tracker(ModelConfig().threshold, np.random.default_rng(1))
    zone = {"id": "z", "units": "ground", "polygon": spec.where.crowd.polygon}
    spots = spec.where.crowd.corners
    survey = [
        {"image": image.tolist(), "ground": spot.tolist()}
        for image, spot in zip(spec.where.camera.project(spots), spots, strict=True)
    ]
    config = camera(RULE, zone=zone, ground=survey, lines=[])
    watch = Analysis(config, Site.from_config(config), detector.class_names)
    scene, lens, begun = spec.scene(), Lens(spec), []
    for k in range(round(spec.fps * (fall.begin_s + 8.0))):
        shot = lens.shoot(scene.at(k / spec.fps))
        picture = AvPicture(video_frame(shot.yuv, k / spec.fps))
        found = detector.detect(picture)
        seen = Scene(spec.size, found=found, lying=partial(fallen.look, picture))
        look = watch.update(tracker.update(found, k / spec.fps), k / spec.fps, seen)
        begun += [k / spec.fps for one in look.observations if one.level is not None]
    assert fall.begin_s + 3.4 <= begun[0] <= fall.begin_s + 8.0
