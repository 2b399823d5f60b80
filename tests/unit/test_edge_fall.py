"""The rule `hazard.fall` on scripted boxes, and on pictures of a simulated place."""

from datetime import timedelta

import numpy as np
import pytest

from edge.analysis import Analysis
from edge.config import ModelConfig
from edge.errors import RuleError
from edge.incidents import Change, Incidents, policies
from edge.scene import Scene
from edge.site import Site
from models.detections import Detections
from models.tracker import Tracker
from models.zoo import load_detector
from streams.picture import AvPicture
from streams.sim.clip import scene_truth
from streams.sim.encode import video_frame
from streams.sim.lens import Lens
from streams.sim.spec import SceneSpec
from tests.support.afoot import CAMERA, EPOCH, SIZE_PX, analysis, camera

RULE = {"kind": "hazard.fall", "zone": "z"}
NAMES = ("person", "car")
PERSON, CAR = 0, 1
RATES = [10.0, 5.0, 2.0, 1.0]
Found = tuple[tuple[float, ...], float, int]


def standing(at=(0.0, 12.0), tall: float = 1.7) -> tuple[float, ...]:
    """The box of somebody who stands there: fractions of the picture."""
    (foot,), (head,) = CAMERA.project(np.array([at])), CAMERA.project(np.array([[*at, tall]]))
    half = (foot[1] - head[1]) * 0.15
    return float(foot[0] - half), float(head[1]), float(foot[0] + half), float(foot[1])


def low(box: tuple[float, ...], high: float, wide: float) -> tuple[float, ...]:
    """Something low and wide at the same foot, in heights of the one who stood."""
    left, top, right, bottom = box
    tall, middle = bottom - top, (left + right) / 2
    half = wide * tall * SIZE_PX[1] / SIZE_PX[0] / 2
    return middle - half, bottom - high * tall, middle + half, bottom


STOOD = standing()
LIES: Found = (low(STOOD, 0.35, 1.0), 0.25, CAR)


def falls(t: float, fell_s: float = 3.0, up_s: float = 20.0) -> list[Found]:
    return [LIES] if fell_s <= t < up_s else [(STOOD, 0.8, PERSON)]


def play(scene, seconds: float, fps: float, **keys) -> list[tuple[float, Change]]:
    """What begins, goes on and ends, with its time."""
    config = camera({**RULE, **keys})
    watch = Analysis(config, Site.from_config(config), NAMES)
    tracker = Tracker(0.35, np.random.default_rng(1))
    incidents, told = Incidents("gate", policies(config), lambda: "i"), []
    for t in (np.arange(round(seconds * fps)) / fps).tolist():
        found = scene(t)
        detections = Detections(
            np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
            np.array([score for _, score, _ in found], np.float32),
            np.array([label for _, _, label in found], np.int16),
        )
        view = watch.update(tracker.update(detections, t), t, Scene(SIZE_PX, found=detections))
        told += [(t, c) for c in incidents.update(view.observations, t, EPOCH + timedelta(seconds=t))]
    return told


@pytest.mark.parametrize("fps", RATES)
def test_a_fall_begins_and_ends_once(fps):
    told = play(falls, 40.0, fps)
    assert [change.phase for _, change in told if change.phase != "update"] == ["begin", "end"]
    (at_s, begin), (over_s, _) = told[0], told[-1]
    assert at_s == pytest.approx(7.0, abs=1 / fps), "four seconds after the fall"
    assert 20.0 + 5.0 <= over_s <= 36.0
    assert (begin.level, begin.measures["count"]) == (2, 1.0)
    assert begin.measures["down_s"] >= 4.0
    (box,) = begin.boxes
    assert box == pytest.approx(LIES[0], abs=0.02)


@pytest.mark.parametrize("fps", RATES)
def test_who_sits_crouches_or_bends_does_not_fall(fps):
    sits = (low(STOOD, 0.58, 0.5), 0.6, PERSON)
    crouches = (low(STOOD, 0.5, 0.4), 0.5, PERSON)
    bends = (low(STOOD, 0.55, 0.7), 0.4, PERSON)
    upright = (STOOD, 0.8, PERSON)
    for act, lasts_s in ((sits, 30.0), (crouches, 9.0), (bends, 2.5)):
        assert not play(lambda t, act=act, s=lasts_s: [act if 3 <= t < 3 + s else upright], 40.0, fps)


@pytest.mark.parametrize("fps", RATES)
def test_a_child_who_runs_by_does_not_fall(fps):
    def runs(t: float) -> list[Found]:
        x = -6 + 2.5 * t
        return [(standing((x, 12.0), 1.1), 0.8, PERSON)] if x < 6 else []

    assert not play(runs, 12.0, fps)


def test_who_falls_outside_the_zone_is_not_told():
    aside = standing((5.5, 12.0))
    lies = (low(aside, 0.35, 1.0), 0.25, CAR)
    assert not play(lambda t: [lies] if t >= 3 else [(aside, 0.8, PERSON)], 20.0, 5.0)


def test_how_long_is_set_and_grows_with_the_centre_s_verdicts():
    told = play(falls, 30.0, 5.0, min_down_s=8.0)
    assert told[0][0] == pytest.approx(11.0, abs=0.21)
    (rule,) = camera(RULE).rules
    assert rule.policy.hold_of(2, 2.0) == pytest.approx(4.0), "twice as sure: four seconds more"


def test_tracks_alone_do_where_low_scores_are_not_known():
    """A track that goes on while who is followed goes down and lies."""
    watch = analysis(RULE)
    tracker = Tracker(0.35, np.random.default_rng(1))
    levels = []
    for k in range(60):
        box, score, label = (STOOD, 0.8, PERSON) if k < 15 else (LIES[0], 0.5, PERSON)
        one = Detections(
            np.array([box], np.float32), np.array([score], np.float32), np.array([label], np.int16)
        )
        (observation,) = watch.update(tracker.update(one, k / 5), k / 5, Scene(SIZE_PX)).observations
        levels.append(observation.level)
    assert levels[:30] == [None] * 30
    assert levels[-1] == 2


def test_a_detector_without_people_is_refused():
    config = camera(RULE)
    with pytest.raises(RuleError, match="needs a detector that knows 'person'"):
        Analysis(config, Site.from_config(config), ("car", "bus"))


def test_a_drawn_fall_is_told():
    """Through the detector and the tracker, as a camera's pictures go."""
    spec = SceneSpec("fall", "plaza", seed=102, fps=5.0, seconds=30.0)
    (fall,) = (event for event in scene_truth(spec) if event.kind == "hazard.fall")
    detector = load_detector(ModelConfig().detector)
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
    for k in range(round(spec.fps * (fall.begin_s + 5.5))):
        shot = lens.shoot(scene.at(k / spec.fps))
        found = detector.detect(AvPicture(video_frame(shot.yuv, k / spec.fps)))
        look = watch.update(tracker.update(found, k / spec.fps), k / spec.fps, Scene(spec.size, found=found))
        begun += [k / spec.fps for one in look.observations if one.level is not None]
    assert fall.begin_s + 3.0 <= begun[0] <= fall.begin_s + 5.0
