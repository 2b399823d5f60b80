import math

import numpy as np
import pytest

from edge.calibrate_walkers import from_walks
from edge.calibration import MAX_AREA_ERROR, Calibration
from edge.errors import SiteError
from edge.pinhole import Pinhole
from edge.walkers import WalkerLog
from streams.sim.camera import Camera
from streams.sim.places import PLACES
from tests.support.walkers import Crowd, tracks, walk

PLAZA = PLACES["plaza"].camera
HIGH = Camera(9.0, 35.0, 70.0, yaw_deg=40.0)
LOW = Camera(3.2, 12.0, 80.0, aspect=4 / 3)


def calibrated(camera: Camera, crowd: Crowd, seed: int = 0, hfov_deg: float | None = None) -> Calibration:
    return from_walks(walk(camera, crowd, seed), np.random.default_rng(0), hfov_deg)


def area_off(found: Calibration, camera: Camera) -> np.ndarray:
    """Relative error of areas at the spots."""
    at = np.array([spot.image for spot in found.spots])
    matrix = camera.homography
    true = abs(np.linalg.det(matrix) / (at @ matrix[2, :2] + matrix[2, 2]) ** 3)
    return found.plane.area_scale(at) / true - 1


@pytest.mark.parametrize("odd", [0.0, 0.3])
@pytest.mark.parametrize("camera", [PLAZA, LOW, HIGH], ids=["plaza", "low", "high"])
def test_walkers_tell_the_ground_whoever_else_is_there(camera, odd):
    camera = Camera(camera.height_m, camera.tilt_deg, camera.hfov_deg, aspect=camera.aspect)
    found = calibrated(camera, Crowd(people=120, odd=odd))
    told = np.array([spot.area_error for spot in found.spots])
    assert (np.abs(area_off(found, camera)) < 2.5 * told).all()
    assert found.area_error < MAX_AREA_ERROR
    assert found.pinhole.height_m == pytest.approx(camera.height_m, rel=0.12)
    assert found.plane.redundancy == 5
    assert found.plane.rmse_m < 0.01


def test_the_error_is_honest_over_crowds():
    """30 % outliers; what nobody can see, the mean stature, is drawn as the result assumes."""
    scores, areas = [], []
    for seed in range(8):
        mean = 1.70 * math.exp(np.random.default_rng(seed).normal(0, 0.024))
        found = calibrated(PLAZA, Crowd(people=60, odd=0.3, stature_m=mean), seed)
        off = area_off(found, PLAZA)
        areas.append(off[0])
        scores.append(off[0] / found.spots[0].area_error)
    assert np.sqrt(np.mean(np.square(scores))) < 1.5
    assert np.sqrt(np.mean(np.square(areas))) < 0.12


def test_a_known_lens_makes_the_error_smaller():
    free = calibrated(PLAZA, Crowd())
    told = calibrated(PLAZA, Crowd(), hfov_deg=PLAZA.hfov_deg)
    assert told.pinhole.focal_error < free.pinhole.focal_error
    assert told.area_error < free.area_error
    assert told.pinhole.hfov_deg == pytest.approx(PLAZA.hfov_deg, abs=2.5)


def test_the_same_walks_give_the_same():
    one, other = calibrated(PLAZA, Crowd(people=30)), calibrated(PLAZA, Crowd(people=30))
    assert (one.plane.matrix == other.plane.matrix).all()
    assert one.spots == other.spots


def test_a_camera_that_hangs_askew_is_seen_to():
    """Turn the picture by 2 degrees: the horizon sinks to one side."""
    walks = walk(PLAZA, Crowd(people=120))
    angle = math.radians(2)
    x = math.cos(angle) * walks.x - math.sin(angle) * walks.y
    y = math.sin(angle) * walks.x + math.cos(angle) * walks.y
    turned = type(walks)(
        walks.walker, walks.time_s, x, y, walks.size, walks.walkers, walks.seen, walks.aspect
    )
    found = from_walks(turned, np.random.default_rng(0))
    assert abs(found.pinhole.roll_deg) == pytest.approx(2, abs=0.8)


def test_people_all_shorter_than_assumed_bring_everything_closer():
    found = calibrated(PLAZA, Crowd(people=120, stature_m=1.6), hfov_deg=PLAZA.hfov_deg)
    assert found.pinhole.height_m == pytest.approx(5.0 * 1.7 / 1.6, rel=0.05)


def text(walks, **options) -> str:
    with pytest.raises(SiteError) as caught:
        from_walks(walks, np.random.default_rng(0), **options)
    return caught.value.text


def test_nobody_few_and_one_distance_are_told():
    assert "nobody was seen" in text(WalkerLog(16 / 9).walks())
    assert "are needed: watch for longer" in text(walk(PLAZA, Crowd(people=8)))
    assert "about one distance" in text(walk(PLAZA, Crowd(depth_m=(13.9, 14.1), across=True, people=40)))


def test_what_is_unsure_is_refused_with_the_cure():
    unsure = walk(Camera(5.0, 17.0, 62.0), Crowd(people=24, noise=0.03, depth_m=(11.0, 15.0)), 5)
    watched = np.array([[0.1, 0.22], [0.9, 0.22], [0.5, 0.9]])
    assert "--hfov" in text(unsure, watched=watched)


def test_zones_above_the_horizon_are_told():
    walks = walk(PLAZA, Crowd())
    assert "horizon" in text(walks, watched=np.array([[0.1, 0.02], [0.9, 0.02], [0.5, 0.9]]))


def test_nonsense_is_no_camera():
    walks = walk(PLAZA, Crowd())
    sizes = walks.size * np.exp(np.random.default_rng(0).normal(0, 1.0, walks.walkers))[walks.walker]
    wild = type(walks)(
        walks.walker, walks.time_s, walks.x, walks.y, sizes, walks.walkers, walks.seen, walks.aspect
    )
    assert "agree" in text(wild) or "known to" in text(wild)


def box(x: float, foot: float, tall: float, wide: float = 0.4) -> np.ndarray:
    half = tall * wide / 2 * 9 / 16
    return np.array([x - half, foot - tall, x + half, foot])


def log_of(*boxes_at: tuple[float, list[np.ndarray]]) -> WalkerLog:
    log = WalkerLog(16 / 9)
    for pts_s, boxes in boxes_at:
        log.add(tracks(list(range(1, len(boxes) + 1)), boxes), pts_s)
    return log


def test_boxes_that_lie_are_left_out():
    whole, cut = box(0.5, 0.8, 0.2), box(0.7, 1.0, 0.2)
    hidden, before = box(0.31, 0.7, 0.2), box(0.3, 0.78, 0.25)
    log = log_of((0.0, [whole, cut, hidden, before]))
    assert log.looks == 2
    assert log.people == 4
    assert log_of((0.0, [])).looks == 0
    other = WalkerLog(16 / 9)
    other.add(tracks([1], [whole], label=2), 0.0)
    assert (other.looks, other.people) == (0, 0)


def moving(wide: float, step: float, looks: int = 30) -> WalkerLog:
    return log_of(*((k / 5, [box(0.2 + step * k, 0.8, 0.2, wide)]) for k in range(looks)))


def test_only_who_walks_upright_serves():
    assert moving(0.4, 0.015).walks().walkers == 1
    assert moving(0.4, 0.0).walks().walkers == 0  # stands, sits, or is a poster
    assert moving(0.9, 0.015).walks().walkers == 0  # a bicycle
    assert moving(0.4, 0.015, looks=3).walks().walkers == 0
    walks = moving(0.4, 0.003, looks=200).walks()
    assert walks.counts.tolist() == [12]
    assert np.diff(walks.time_s).max() < 5
    assert walks.size == pytest.approx(0.2, abs=1e-3)
    assert walks.y == pytest.approx(0.3, abs=1e-3)


def test_a_picture_has_sides():
    with pytest.raises(ValueError, match="aspect"):
        WalkerLog(0)


def test_the_virtual_points_give_the_camera_back():
    found = calibrated(PLAZA, Crowd())
    again = Pinhole.from_plane(found.plane, 16 / 9)
    assert again.height_m == pytest.approx(found.pinhole.height_m)
    assert again.focal == pytest.approx(found.pinhole.focal)
    assert found.together
    assert found.place_stderr_m == pytest.approx(2 * found.spots[0].area_error)
