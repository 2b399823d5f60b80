import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from edge.config import CameraConfig
from edge.envelope import KINDS, fits_measure
from edge.site import Site
from edge.steadiness import DOUBTED, ELSEWHERE, EVERY_S, MOVED, Steadiness
from edge.view_store import Appearance, ViewStore, calibration_key, view_key
from edge.yardstick import LEAST_GROUND_M, MOST_VIEW, Yardstick
from streams.learner import EVERY_S as LEARN_S
from streams.learner import LOOKS
from streams.shift import STILL, Backdrop, Shift
from tests.support.views import CAMERA, EVERYWHERE, noise_only, noisy, seen, shoved, turned

ZONE = [[-4, 8], [4, 8], [4, 16], [-4, 16]]
LEARNT_S = LOOKS * LEARN_S


def camera(zoned: bool = True, **more: object) -> CameraConfig:
    spots = np.array([(x, y) for x in (-4.0, 0.0, 4.0) for y in (8.0, 12.0, 16.0)])
    survey = [
        {"image": image.tolist(), "ground": spot.tolist()}
        for image, spot in zip(CAMERA.project(spots), spots, strict=True)
    ]
    zones = [{"id": "z", "polygon": ZONE, "units": "ground"}] if zoned else []
    return CameraConfig.model_validate(
        {"id": "gate", "source": "x.mp4", "ground": survey, "zones": zones, **more}
    )


def site(zoned: bool = True, **more: object) -> Site:
    return Site.from_config(camera(zoned, **more))


def steadiness(folder=None) -> Steadiness:
    return Steadiness(camera(), site(), None if folder is None else ViewStore(folder))


def watch(steady: Steadiness, look, start_s: float, seconds: float, every_s: float = EVERY_S):
    """Camera time at which it was told, None for never; `look` makes a picture of a number."""
    for k, pts_s in enumerate(np.arange(start_s, start_s + seconds, every_s).tolist()):
        if steady.look(look(k), pts_s) is not None:
            return pts_s
    return None


def still(k: int) -> np.ndarray:
    return noisy(seen(), k)


@pytest.fixture
def learnt(tmp_path) -> Steadiness:
    """A camera that has learned its view, at `LEARNT_S`."""
    steady = steadiness(tmp_path)
    assert watch(steady, still, 0.0, LEARNT_S, LEARN_S) is None
    assert (tmp_path / "gate.view").exists()
    return steady


def through(**turn: float):
    picture = seen("walk", 40, 2.0, turned(**turn))
    return lambda k: noisy(picture, k)


@pytest.mark.parametrize("turn", [{"pan": 1.0}, {"pan": -7.0}, {"tilt": 0.7}, {"tilt": -4.0}, {"zoom": 1.1}])
def test_a_camera_that_is_turned_or_zoomed_is_told_within_seconds(learnt, turn):
    told_s = watch(learnt, through(**turn), LEARNT_S, 40)
    assert told_s is not None
    assert 10.0 <= told_s - LEARNT_S <= 14.0
    assert learnt.moved is not None
    assert learnt.moved.shift is not None
    assert learnt.moved.ground_m > LEAST_GROUND_M
    seen_of_it = learnt.observation()
    assert (seen_of_it.kind, seen_of_it.zone, seen_of_it.level) == ("camera.moved", "view", 3)
    assert seen_of_it.kind in KINDS
    assert all(fits_measure(name) for name in seen_of_it.measures)
    assert seen_of_it.measures["ground_error_m"] == pytest.approx(learnt.moved.ground_m, abs=0.01)


def test_what_moves_no_place_by_more_than_the_calibration_errs_is_nothing(learnt):
    assert watch(learnt, through(pan=0.1), LEARNT_S, 60) is None
    assert learnt.observation().level is None


def test_it_is_over_when_the_camera_is_turned_back(learnt):
    assert watch(learnt, through(pan=2.0), LEARNT_S, 20) is not None
    back_s = LEARNT_S + 20
    with capture_logs() as logs:
        assert learnt.look(still(0), back_s) is not None
        states = [learnt.look(still(k), back_s + k * EVERY_S) for k in range(1, 6)]
    assert states[-2] is not None
    assert states[-1] is None
    assert learnt.observation().level is None
    assert ["again where it did" in log["event"] for log in logs] == [True]


def test_a_camera_turned_while_the_node_was_off_is_noticed(learnt, tmp_path):
    again = steadiness(tmp_path)
    assert watch(again, through(pan=2.0), 0.0, 20) == 10.0


def test_a_new_calibration_is_a_new_beginning(learnt, tmp_path):
    survey = [point.model_dump() for point in camera().ground][:-1]
    config = camera(ground=survey)
    again = Steadiness(config, Site.from_config(config), ViewStore(tmp_path))
    assert watch(again, through(pan=2.0), 0.0, 60) is None


def test_a_damaged_view_is_learned_anew(learnt, tmp_path):
    (tmp_path / "gate.view").write_bytes(b"nonsense")
    with capture_logs() as logs:
        again = steadiness(tmp_path)
    assert [log["log_level"] for log in logs] == ["warning"]
    assert watch(again, through(pan=2.0), 0.0, LEARNT_S, LEARN_S) is None
    assert watch(again, still, LEARNT_S, 40) is not None


@pytest.mark.parametrize(
    "look",
    [
        noise_only,
        lambda k: np.full((180, 320), 3, np.uint8),
        lambda k: shoved(still(k), 30.0 * (k % 2)),
        lambda k: noisy(seen("walk", 40, 2.0, light=12), k),
        lambda k: shoved(still(k), *np.random.default_rng(k).uniform(-1, 1, 2)),
        lambda k: seen("crowding", 150, 2.0) if k % 2 else noise_only(k),
    ],
    ids=["covered", "dark", "shaken", "other light", "vibration", "crowd"],
)
def test_no_alarm_without_a_moved_camera(learnt, look):
    assert watch(learnt, look, LEARNT_S, 240) is None


def test_a_shake_of_some_seconds_is_nothing(learnt):
    assert watch(learnt, through(pan=2.0), LEARNT_S, 9.9) is None
    assert watch(learnt, still, LEARNT_S + 10, 4) is None
    assert watch(learnt, through(pan=2.0), LEARNT_S + 14, 9.9) is None


def test_places_are_not_trusted_from_the_first_look_that_says_it_was_turned(learnt):
    assert learnt.places_lost is None
    learnt.look(through(pan=5.0)(0), LEARNT_S)
    assert learnt.moved is None
    assert learnt.places_lost == learnt.ground_lost == DOUBTED
    learnt.look(still(0), LEARNT_S + EVERY_S)
    assert learnt.places_lost is learnt.ground_lost is None


def test_a_camera_turned_right_away_is_told_once_the_new_view_is_known(learnt):
    told_s = watch(learnt, through(pan=45.0), LEARNT_S, 260)
    assert told_s is not None
    assert told_s - LEARNT_S == pytest.approx((LOOKS - 1) * LEARN_S, abs=LEARN_S)
    assert learnt.moved.shift is None
    observation = learnt.observation()
    assert observation.level == 3
    assert set(observation.measures) == {"agreeing_share"}
    assert watch(learnt, still, told_s + EVERY_S, EVERY_S) is not None
    for k in range(8):
        learnt.look(still(k), told_s + 4 + k * EVERY_S)
    assert learnt.moved is None


def evening(k):
    """Most of the place in the dark: only some tiles are as they were."""
    grey = noisy(seen("walk", 0, 0.5, light=12), k).astype(np.float32)
    grey[:, :190] = 20
    return np.clip(grey, 0, 255).astype(np.uint8)


def test_another_face_of_the_place_is_learned_and_kept(learnt, tmp_path):
    path = tmp_path / "gate.view"
    size = path.stat().st_size
    assert watch(learnt, evening, LEARNT_S, 2 * LEARNT_S, LEARN_S) is None
    assert path.stat().st_size > 1.9 * size
    kept = path.read_bytes()
    # What is known is not learned again, and both faces are told, whichever was last.
    assert watch(learnt, evening, 3 * LEARNT_S, 2 * LEARNT_S, LEARN_S) is None
    assert watch(learnt, still, 5 * LEARNT_S, LEARNT_S, LEARN_S) is None
    assert path.read_bytes() == kept
    assert watch(steadiness(tmp_path), lambda k: shoved(evening(k), 12.0), 0.0, 20) is not None
    assert watch(steadiness(tmp_path), lambda k: shoved(still(k), 12.0), 0.0, 20) is not None


OTHERS = [turned(pan=pan) for pan in (40.0, -40.0, 60.0)]
"""Views that have nothing to do with each other, taken for faces of one place: as day and night may be."""


def with_faces(folder, *faces) -> Steadiness:
    kept = tuple(Appearance(Backdrop(face, EVERYWHERE)) for face in faces)
    ViewStore(folder).save("gate", calibration_key(camera().ground), kept)
    return steadiness(folder)


def test_whichever_face_it_shows_the_place_is_known(tmp_path):
    day, night, rain = seen(), seen(camera=OTHERS[0]), seen(camera=OTHERS[1])
    steady = with_faces(tmp_path, day, night, rain)
    for n, face in enumerate((night, rain, day, night, day)):
        assert watch(steady, lambda k, face=face: noisy(face, k), n * 50.0, 40) is None
    assert watch(steady, lambda k: noisy(shoved(rain, 12.0), k), 2000.0, 60) is not None


def test_of_many_faces_the_first_stays_and_the_oldest_other_goes(tmp_path):
    faces = (seen(), *(seen(camera=other) for other in OTHERS))
    steady = with_faces(tmp_path, *faces)
    assert watch(steady, evening, 0.0, 2 * LEARNT_S, LEARN_S) is None
    kept = ViewStore(tmp_path).load("gate", calibration_key(camera().ground))
    assert len(kept) == 4
    for one, face in zip(kept, (faces[0], *faces[2:]), strict=False):
        assert (one.backdrop.grey == face).all()
    assert kept[3].backdrop.known.any()


def test_minutes_tell_what_no_single_look_does(learnt):
    """Things pass before everything all the time; the place behind is seen by and by, and it is turned."""
    there = seen(camera=turned(pan=2.0))

    def look(k):
        rng = np.random.default_rng(k)
        hidden = np.kron(rng.random((90, 160)) < 0.4, np.ones((2, 2))).astype(bool)
        return np.where(hidden, rng.integers(0, 255, there.shape), noisy(there, k)).astype(np.uint8)

    told_s = watch(learnt, look, LEARNT_S, 260)
    assert told_s is not None
    assert told_s - LEARNT_S > 100
    assert learnt.moved.shift is not None


def test_a_clock_that_is_set_back_does_no_harm(learnt):
    assert watch(learnt, noise_only, LEARNT_S, 60) is None
    assert watch(learnt, through(pan=7.0), 0.0, 60) is not None


def test_a_crowd_that_comes_and_goes_is_no_new_face(learnt, tmp_path):
    kept = (tmp_path / "gate.view").read_bytes()
    crowd = seen("crowding", 150, 2.0)

    def look(k):
        grey = still(k)
        rolled = np.roll(crowd, 37 * k, axis=1)
        grey[60:] = np.where((k + np.arange(320)) % 3 == 0, rolled[60:], grey[60:])
        return grey

    assert watch(learnt, look, LEARNT_S, 3 * LEARNT_S, LEARN_S) is None
    assert (tmp_path / "gate.view").read_bytes() == kept


def test_a_slow_turn_is_not_learned_away(learnt):
    """The view drifts while its look changes: what is learned on the way remembers how far it was off."""

    def look(k):
        grey = shoved(still(k), 0.02 * k).astype(np.float32)
        grey[:, : (k * 10) % 200] *= 0.2
        return np.clip(grey, 0, 255).astype(np.uint8)

    told_s = watch(learnt, look, LEARNT_S, 400 * LEARN_S, LEARN_S)
    assert told_s is not None


def test_a_view_without_anything_in_it_is_said_once():
    steady = steadiness()
    with capture_logs() as logs:
        assert watch(steady, noise_only, 0.0, 3 * LEARNT_S, LEARN_S) is None
    assert ["too little of the place" in log["event"] for log in logs] == [True]


def test_people_whom_the_detector_sees_enter_no_view(tmp_path):
    crowd = seen("crowding", 150, 2.0)
    everywhere = np.array([[0.0, 0.0, 1.0, 1.0]], np.float32)
    steady = steadiness(tmp_path)
    for k in range(2 * LOOKS):
        steady.look(crowd, k * LEARN_S, everywhere)
    assert not (tmp_path / "gate.view").exists()


def test_looks_are_due_every_other_second_and_after_a_step_back():
    steady = steadiness()
    assert steady.due(5.0)
    steady.look(still(0), 5.0)
    assert not steady.due(6.9)
    assert steady.due(7.0)
    assert steady.due(4.0)


def bare(**more: object) -> CameraConfig:
    return CameraConfig.model_validate({"id": "gate", "source": "x.mp4", **more})


def test_a_camera_without_ground_is_watched_by_its_picture(tmp_path):
    config = bare()
    steady = Steadiness(config, Site.from_config(config), ViewStore(tmp_path))
    assert watch(steady, still, 0.0, LEARNT_S, LEARN_S) is None
    assert watch(steady, lambda k: shoved(still(k), 4.0), LEARNT_S, 40) is None  # 1.3 % of the width
    again = Steadiness(config, Site.from_config(config), ViewStore(tmp_path))
    told_s = watch(again, through(pan=3.0), 0.0, 40)
    assert told_s == 10.0
    assert (again.ground_lost, again.places_lost) == (MOVED, ELSEWHERE)
    assert again.observation().measures["right_share"] != 0
    redrawn = bare(zones=[{"id": "z", "polygon": [[0, 0], [1, 0], [1, 1]]}])
    assert view_key(redrawn) != view_key(config)
    fresh = Steadiness(redrawn, Site.from_config(redrawn), ViewStore(tmp_path))
    assert watch(fresh, through(pan=3.0), 0.0, 40) is None


def test_a_view_of_some_looks_serves_until_one_of_minutes_is_learned():
    steady = steadiness()
    assert watch(steady, still, 0.0, 18) is None
    assert watch(steady, through(pan=7.0), 18.0, 20) in (28.0, 30.0)
    assert watch(steady, through(pan=7.0), 38.0, 2 * LEARNT_S, LEARN_S) == 38.0
    for k in range(6):
        steady.look(still(k), 38.0 + 2 * LEARNT_S + 2 * k)
    assert steady.moved is None


def test_a_small_shift_spoils_the_ground_but_no_place_in_the_picture(learnt):
    assert watch(learnt, through(pan=1.0), LEARNT_S, 40) is not None
    assert (learnt.ground_lost, learnt.places_lost) == (MOVED, None)
    assert watch(learnt, through(pan=7.0), LEARNT_S + 40, 40) is not None
    learnt.look(through(pan=7.0)(9), LEARNT_S + 90)
    assert learnt.places_lost == ELSEWHERE


def test_switched_off_it_wants_no_looks():
    config = bare(health={"moved": {"enabled": False}})
    assert not Steadiness(config, Site.from_config(config), None).due(0.0)


def px(right: float, down: float = 0.0) -> Shift:
    return Shift(1.0, complex(right, down))


def test_what_matters_is_metres_at_the_zones_corners():
    rule = Yardstick(site())
    assert rule.ground_m(STILL) == pytest.approx(0, abs=1e-6)
    assert not rule.matters(STILL)
    # 16 m away, 62 degrees wide: a pixel of 320 is 7 cm across, and far more along the view.
    across, along = rule.ground_m(px(2.0)), rule.ground_m(px(0.0, -2.0))
    assert across == pytest.approx(0.14, abs=0.05)
    assert along > 3 * across
    assert rule.matters(px(0.0, -2.0))
    assert not rule.matters(px(2.0))
    assert rule.matters(px(10.0))
    assert rule.ground_m(px(0.0, -200.0)) == math.inf
    assert rule.matters(px(0.0, -200.0))


def test_a_rough_calibration_bears_more():
    shift = px(0.0, -2.0)
    assert Yardstick(site()).matters(shift)
    assert not Yardstick(site(ground_error_m=5.0)).matters(shift)


def test_without_zones_a_share_of_the_picture_matters():
    rule = Yardstick(site(zoned=False))
    assert rule.ground_m(px(100.0)) is None
    assert not rule.matters(px(MOST_VIEW * 320 - 0.1))
    assert rule.matters(px(MOST_VIEW * 320 + 0.1))


@given(right=st.floats(-30, 30), down=st.floats(-30, 30), share=st.floats(0.1, 1))
def test_a_lower_limit_matters_the_sooner(right, down, share):
    rule, shift = Yardstick(site()), px(right, down)
    assert rule.matters(shift, share) >= rule.matters(shift)


def test_the_worst_corner_counts():
    whole = Yardstick(site())
    corners = [Yardstick(replace(site(), zones=(zone,))) for zone in _corners()]
    for shift in itertools.starmap(px, [(3, 0), (0, 3), (-5, -2)]):
        assert whole.ground_m(shift) == pytest.approx(max(one.ground_m(shift) for one in corners), rel=1e-6)


def _corners():
    """Four small zones, one at each corner of the large one."""
    whole = site().zones[0]
    for x, y in ZONE:
        polygon = np.array([[x, y], [x * 0.999, y], [x * 0.999, y + 0.001 * (12 - y)]])
        yield replace(whole, floor=replace(whole.floor, polygon=polygon))
