"""Postures: bodies keep on the ground at any angle, people keep where they are, falls are told of."""

import copy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sim import gait
from streams.sim.bearing import Hold
from streams.sim.body import BUILDS, POSES, POSTURES_FROM, body
from streams.sim.clip import write_clip
from streams.sim.figure import FACINGS, MARGIN_PX, View, figure
from streams.sim.geometry import inside
from streams.sim.lens import Lens
from streams.sim.places import PLACES
from streams.sim.postures import (
    FALLS,
    LAST_FALL,
    POSTURE_POSES,
    POSTURES,
    STEPS,
    bent,
    posture_pose,
)
from streams.sim.scene import Moment, Scene, Stage
from streams.sim.spec import SceneSpec
from streams.sim.truth import Truth, TruthEvent
from streams.sim.witness import Witness
from streams.sim.world import TICK_S, Crowd, Stop, World

PLAZA = PLACES["plaza"]
SIZE = (640, 360)


def pose_of(posture: str, progress: float = 1.0, number: int = 0) -> int:
    return POSTURES_FROM + posture_pose(POSTURES.index(posture), progress, number)


def span(pose: int) -> np.ndarray:
    """(3,) how far a body reaches along each axis, in body heights."""
    shape = body("trousers", pose)
    low = (shape.centres - shape.radii[:, None]).min(axis=0)
    return np.asarray((shape.centres + shape.radii[:, None]).max(axis=0) - low)


@given(pose=st.integers(POSTURES_FROM, POSES - 1), build=st.sampled_from(BUILDS))
def test_every_body_touches_the_ground_and_is_over_its_point(pose: int, build: str) -> None:
    shape = body(build, pose)
    assert (shape.centres[:, 2] - shape.radii).min() == pytest.approx(0.0, abs=1e-9)
    assert np.hypot(*shape.centres[:, :2].mean(axis=0)) < 0.45
    assert np.abs(shape.centres).max() < 1.1


@given(pose=st.integers(0, POSTURE_POSES - 1))
def test_limbs_keep_their_lengths(pose: int) -> None:
    joints = bent(pose)
    for side in (joints.left, joints.right):
        assert np.linalg.norm(side.knee - side.hip) == pytest.approx(gait.THIGH)
        assert np.linalg.norm(side.ankle - side.knee) == pytest.approx(gait.SHIN)
        assert np.linalg.norm(side.hand - side.elbow) == pytest.approx(gait.FOREARM)


@pytest.mark.parametrize("fall", FALLS)
@pytest.mark.parametrize("number", [0, 1])
def test_who_has_fallen_lies(fall: str, number: int) -> None:
    along, across, high = span(pose_of(fall, number=number))
    assert high < 0.42
    assert max(along, across) > 0.75
    assert span(pose_of(fall, 0.1, number))[2] > 0.8


def test_falls_go_where_they_are_said_to_go() -> None:
    heads = {fall: body("trousers", pose_of(fall)).centres[_head_ball()] for fall in FALLS}
    assert heads["fall_forward"][0] > 0.3
    assert heads["fall_back"][0] < -0.3
    assert heads["fall_left"][1] > 0.3
    assert heads["fall_right"][1] < -0.3


def _head_ball() -> int:
    """The ball that is the highest of a body that is nearly upright."""
    return int(body("trousers", pose_of("bend", 0.1)).centres[:, 2].argmax())


@pytest.mark.parametrize(
    ("posture", "low", "high"),
    [("sit", 0.65, 0.9), ("sit_ground", 0.4, 0.7), ("crouch", 0.45, 0.85), ("bend", 0.55, 0.85)],
)
def test_who_sits_or_bends_is_lower_but_does_not_lie(posture: str, low: float, high: float) -> None:
    for number in (0, 1):
        assert low < span(pose_of(posture, number=number))[2] < high


def test_getting_up_begins_where_the_fall_ended() -> None:
    for fall in FALLS:
        lying, rising = (body("trousers", pose_of(name)) for name in (fall, fall.replace("fall", "rise")))
        assert lying.centres == pytest.approx(rising.centres)


def test_each_step_of_a_posture_is_a_pose_of_its_own() -> None:
    poses = {
        posture_pose(kind, (step + 1) / STEPS, number)
        for kind in range(1, len(POSTURES))
        for step in range(STEPS)
        for number in (0, 1)
    }
    assert poses == set(range(POSTURE_POSES))
    assert posture_pose(1, 0.0, 0) == posture_pose(1, 0.01, 0)
    for kind in (0, len(POSTURES)):
        with pytest.raises(ValueError, match="kind"):
            posture_pose(kind, 0.5, 0)


@given(
    pose=st.integers(POSTURES_FROM, POSES - 1), facing=st.integers(0, FACINGS - 1), pitch=st.integers(0, 7)
)
def test_the_whole_figure_is_drawn(pose: int, facing: int, pitch: int) -> None:
    view = View("backpack", pose, facing, pitch)
    assert not view.mirrored
    shape = figure(view)
    drawn = np.argwhere(shape.index > 0)
    assert drawn.min() == MARGIN_PX
    # What is cut off by the edge it is drawn up to would be there in full rows.
    assert (shape.index[MARGIN_PX] > 0).mean() < 0.5


def test_a_hold_goes_down_stays_and_gets_up() -> None:
    hold = Hold("fall_back", 10.0, 0.5, 20.0, 3.0, (1.0, 2.0), (0.0, 0.4), (0.0, 0.0))
    progress = [hold.at(10.0 + k / 20)[1] for k in range(11)]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0.0, 1.0)
    assert hold.at(25.0) == (2, 1.0)
    kind, left = hold.at(32.0)
    assert POSTURES[kind] == "rise_back"
    assert left == pytest.approx(0.5)
    assert hold.at(hold.over_s) == (0, 0.0)
    assert hold.place(99.0) == pytest.approx((1.0, 2.4))
    with pytest.raises(ValueError, match="positive"):
        Hold("sit", 0.0, 0.0, 1.0, 1.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))


def test_somebody_turns_before_sitting_down_the_short_way() -> None:
    hold = Hold("sit", 0.0, 2.0, 5.0, 1.0, (0.0, 0.0), (0.0, 0.0), (3.0, -3.0))
    turned = [hold.heading(k / 10) for k in range(10)]
    assert turned[0] == 3.0
    assert turned[-1] % (2 * np.pi) == pytest.approx(-3.0 % (2 * np.pi))
    assert all(3.0 <= heading < 3.5 for heading in turned)


def one_walker() -> tuple[Scene, Stage, World, list[int]]:
    world = World(PLAZA.walls, PLAZA.courtesy)
    stage = Stage(PLAZA, world, np.random.default_rng(1), None)
    scene = Scene(PLAZA, world, ())
    return scene, stage, world, [stage.send((-4.0, 14.0), Stop((1.0, 14.0)), speed=1.3)]


def test_who_is_down_stays_there_whoever_comes_and_then_goes_on() -> None:
    scene, stage, _, (number,) = one_walker()
    scene.at(1.0)
    stage.hold(number, "fall_forward", (0.6, 12.0, 2.0), drift=(0.8, 0.0))
    for k in range(4):
        stage.send((1.0 + k, 14.1), Stop((-6.0, 14.0)), speed=1.3, free=True)
    lies = scene.at(2.0)
    for time_s in np.arange(2.0, 13.0, 0.5):
        moment = scene.at(float(time_s))
        row = moment.number.tolist().index(number)
        assert POSTURES[moment.posture[row]] == "fall_forward"
        assert moment.ground[row] == pytest.approx(lies.ground[0])
    assert len(moment) == 1, "the others have got past"
    up = scene.at(16.0)
    assert (up.posture[0], up.progress[0]) == (0, 0.0)
    assert up.ground[0, 0] > lies.ground[0, 0]
    scene.at(22.0)
    assert stage.where(number) is None
    with pytest.raises(ValueError, match="nobody"):
        stage.hold(number, "sit", (1.0, 1.0, 1.0))


def test_a_moment_without_postures_is_upright() -> None:
    moment = Moment(0.0, np.arange(2), np.zeros((2, 2)), np.zeros(2), np.zeros(2), np.zeros((2, 2)))
    assert moment.posture.tolist() == [0, 0]
    assert moment.progress.tolist() == [0.0, 0.0]
    assert moment.stature.tolist() == [1.0, 1.0]


def shown(posture: str, progress: float = 1.0, stature: float = 1.0) -> tuple[float, float]:
    """Width and height in pixels of somebody who faces to the right, twelve metres before the camera."""
    moment = Moment(
        0.0, np.array([3]), np.array([[0.0, 12.0]]), np.zeros(1), np.zeros(1), np.zeros((1, 2)),
        np.array([POSTURES.index(posture)]), np.array([progress]), np.array([stature]),
    )  # fmt: skip
    spec = SceneSpec("walk", "plaza", 1, (1280, 720))
    (one,) = Lens(spec).shoot(moment, visibility=True).people
    left, top, right, bottom = one.box
    return right - left, bottom - top


def test_who_lies_is_wide_and_flat_and_children_are_small() -> None:
    wide, high = shown("upright", 0.0)
    lying_wide, lying_high = shown("fall_forward")
    assert high > 2.0 * wide
    assert lying_wide > 2.0 * lying_high
    assert lying_wide == pytest.approx(1.2 * high, rel=0.3)
    assert shown("upright", 0.0, 0.65)[1] == pytest.approx(0.65 * high, rel=0.06)


def watched(spec: SceneSpec) -> tuple[tuple[TruthEvent, ...], list[tuple[float, Crowd]]]:
    """The truth of a scene, and copies of its people five times a second."""
    scene, witness, looks = spec.scene(), Witness(spec.where), []

    def look(time_s: float, crowd: Crowd) -> None:
        if round(time_s / TICK_S) % 5 == 0:
            looks.append((time_s, copy.deepcopy(crowd)))

    scene.observe(witness)
    scene.observe(look)
    end_s = (spec.seconds or 0.0) - 0.1
    scene.at(end_s)
    return witness.events(end_s), looks


@pytest.mark.parametrize("place", PLACES)
def test_falls_are_told_of_from_impact_on(place: str) -> None:
    events, looks = watched(SceneSpec("fall", place, 4, seconds=36.0, people=2))
    assert {event.kind for event in events} == {"hazard.fall"}
    zone, seen = PLACES[place].crowd, 0
    for time_s, crowd in looks:
        down = (crowd.posture >= 1) & (crowd.posture <= LAST_FALL) & (crowd.progress == 1.0)
        for at in crowd.position[down]:
            seen += 1
            assert any(one.begin_s - 0.05 <= time_s <= one.end_s for one in events)
            assert inside(at[None], zone.corners).all()
    assert seen > 50
    assert all(one.zone == zone.id and one.end_s - one.begin_s > 15.0 for one in events)


def test_seeds_fall_every_way_and_some_get_up() -> None:
    ways, ended = set(), []
    for seed in range(9):
        events, looks = watched(SceneSpec("fall", "plaza", seed, seconds=50.0, people=0))
        ended += [event.end_s < 49.0 for event in events]
        ways |= {int(kind) for _, crowd in looks for kind in crowd.posture if 1 <= kind <= LAST_FALL}
    assert ways == {1, 2, 3, 4}
    assert 0.1 < np.mean(ended) < 0.9


def test_what_looks_like_a_fall_is_there_and_no_event() -> None:
    events, looks = watched(SceneSpec("distractors", "plaza", 1, seconds=220.0, people=0))
    assert events == ()
    seen = {POSTURES[kind] for _, crowd in looks for kind in crowd.posture}
    assert seen == {"upright", "sit", "sit_ground", "crouch", "bend"}
    assert sum(int((crowd.stature < 0.9).sum()) for _, crowd in looks) > 50


def test_passers_by_do_not_gather_round_who_lies() -> None:
    _, looks = watched(SceneSpec("fall", "plaza", 0, seconds=50.0, people=12))
    near = []
    for _, crowd in looks:
        down = (crowd.posture >= 1) & (crowd.posture <= LAST_FALL) & (crowd.progress == 1.0)
        for at in crowd.position[down]:
            gap = np.hypot(*(crowd.position - at).T)
            near.append(int((gap < 1.3).sum()) - 1)
    assert np.mean(near) < 0.8


def test_a_clip_tells_who_lies(tmp_path: Path) -> None:
    spec = SceneSpec("fall", "plaza", 3, (160, 90), 5.0, 30.0, 2)
    truth = write_clip(spec, tmp_path / "a.mp4", tmp_path / "a.json")
    postures = {person.posture for frame in truth.frames for person in frame.people}
    assert postures & set(FALLS)
    assert None in postures
    assert [event.kind for event in truth.events] == ["hazard.fall"]
    assert Truth.load(tmp_path / "a.json") == truth
