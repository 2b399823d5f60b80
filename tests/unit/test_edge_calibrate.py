import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.calibrate import from_points, from_rectangle, leave_one_out
from edge.calibration import Distance, Setting
from edge.config import CameraConfig
from edge.errors import SiteError
from edge.site import Site
from streams.sim.camera import Camera
from streams.sim.places import PLACES

PLAZA = PLACES["plaza"].camera
TURNED = Camera(6.0, 25.0, 70.0, yaw_deg=25.0)
GROUND = np.array([[-4, 8], [4, 8], [5, 12], [-6, 13], [0, 10], [8, 18], [-8, 20], [0, 22]], np.float64)
IMAGE = PLAZA.project(GROUND)
COURT = np.array([[-4, 9], [4, 9], [4, 14], [-4, 14]], np.float64)


def text(call, *arguments) -> str:
    with pytest.raises(SiteError) as caught:
        call(*arguments)
    return str(caught.value)


def survey(seed: int = 0, noise: float = 0.03) -> np.ndarray:
    return GROUND + np.random.default_rng(seed).normal(0, noise, GROUND.shape)


def test_a_survey_tells_camera_error_and_each_point_against_the_others():
    found = from_points(IMAGE, survey())
    assert found.pinhole.height_m == pytest.approx(5.0, abs=0.1)
    assert found.spots[0].distance_m == pytest.approx(12, abs=2)
    assert found.spots[1].place_stderr_m > found.spots[0].place_stderr_m
    assert found.spots[1].person_height < found.spots[0].person_height
    assert any("each point against the others" in note for note in found.notes)
    assert not any("assumed" in note for note in found.notes)
    assert found.place_stderr_m == found.spots[0].place_stderr_m


def test_leaving_one_out_finds_the_wrong_one():
    ground = survey()
    ground[3] += (0.14, 0.14)
    apart, rest = leave_one_out(IMAGE, ground)
    assert int(np.nanargmin(rest)) == 3
    assert apart[3] > 0.15
    assert any("point 4 fits worst" in note for note in from_points(IMAGE, ground).notes)
    assert np.isnan(leave_one_out(IMAGE[:4], ground[:4])[0]).all()
    bad = survey()
    bad[2] += (2.0, 1.5)
    assert "ground[2]" in text(from_points, IMAGE, bad)


def test_four_points_assume_how_well_they_were_picked():
    few = from_points(IMAGE[[0, 1, 5, 6]], GROUND[[0, 1, 5, 6]])
    assert any("4 points" in note for note in few.notes)
    rough = from_points(IMAGE[[0, 1, 5, 6]], GROUND[[0, 1, 5, 6]], Setting(click=0.003))
    assert rough.area_error == pytest.approx(2 * few.area_error, rel=0.01)


@given(
    st.sampled_from((PLAZA, TURNED)),
    st.integers(0, 3),
    st.booleans(),
    st.floats(3, 8),
    st.floats(3, 8),
)
def test_a_rectangle_gives_the_ground_wherever_one_begins(camera, first, backwards, width, length):
    corners = np.array([[-2, 8], [width - 2, 8], [width - 2, 8 + length], [-2, 8 + length]])
    order = np.roll(np.arange(4), -first)
    order = order[::-1] if backwards else order
    sides = [float(np.linalg.norm(corners[order[k + 1]] - corners[order[k]])) for k in (0, 1)]
    found = from_rectangle(camera.project(corners[order]), *sides, Setting(click=0.0002))
    assert found.pinhole.height_m == pytest.approx(camera.height_m, rel=1e-3)
    assert found.pinhole.hfov_deg == pytest.approx(camera.hfov_deg, rel=1e-3)
    assert found.plane.right_handed
    here, there = found.plane.to_ground(camera.project(np.array([[0.0, 9.0], [3.0, 11.0]])))
    assert np.linalg.norm(there - here) == pytest.approx(math.hypot(3, 2), rel=1e-4)


def test_a_rectangles_error_is_that_of_its_clicks():
    image, click = PLAZA.project(COURT), 0.0015
    told = from_rectangle(image, 8, 5, Setting(click=click, watched=IMAGE))
    rng, at = np.random.default_rng(0), np.array([spot.image for spot in told.spots])
    areas = []
    for _ in range(60):
        noisy = image + rng.normal(0, click, (4, 2)) / (PLAZA.aspect, 1)
        areas.append(np.log(from_rectangle(noisy, 8, 5, Setting(click=1e-5)).plane.area_scale(at)))
    expected = np.std(areas, axis=0)
    assert [spot.area_error for spot in told.spots] == pytest.approx(list(expected), rel=0.35)


BOX = [[0.1, 0.9], [0.9, 0.9], [0.7, 0.5], [0.3, 0.5]]


@pytest.mark.parametrize(
    ("corners", "sides", "words"),
    [
        ([BOX[0], BOX[0], *BOX[2:]], (8, 5), "corners 1 and 2 at the same point"),
        ([BOX[0], BOX[2], BOX[1], BOX[3]], (8, 5), "try the order 1, 3, 2, 4"),
        ([[0.1, 0.9], [0.5, 0.7], [0.9, 0.5], [0.3, 0.5]], (8, 5), "on one line"),
        ([[0.1, 0.9], [0.9, 0.9], [0.5, 0.4], [0.5, 0.7]], (8, 5), "inside the triangle"),
        (BOX[:3], (8, 5), "needs four corners, got 3"),
        ([[100, 900], *BOX[1:]], (8, 5), "--pixels"),
        (BOX, (0, 5), "width of 0 m"),
        (BOX, (8, -5), "length of -5 m"),
        (BOX, (8, 8000), "length of 8000 m"),
        (BOX, (math.nan, 5), "width of nan m"),
    ],
)
def test_what_is_no_rectangle_is_told(corners, sides, words):
    assert words in text(from_rectangle, corners, *sides)


def test_sides_the_wrong_way_round_are_told_where_the_view_can():
    corners = np.array([[-3, 9], [5, 9], [5, 14], [-3, 14]], np.float64) @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    image = PLAZA.project(corners + np.array((5.0, 3.0)))
    assert from_rectangle(image, 8, 5).pinhole.hfov_deg == pytest.approx(62, abs=0.1)
    assert "but 8x5 m does" in text(from_rectangle, image, 5, 8)
    # Seen along its sides both ways round fit a camera: only the lens tells.
    along = PLAZA.project(COURT)
    assert from_rectangle(along, 5, 8).pinhole.hfov_deg < 45
    assert "swapped" in text(from_rectangle, along, 5, 8, Setting(hfov_deg=62))
    assert from_rectangle(along, 8, 5, Setting(hfov_deg=60)).pinhole is not None


def test_a_distance_checks():
    ends = PLAZA.project(np.array([[-2.0, 10.0], [2.0, 10.0]]))

    def by(length: float) -> Setting:
        return Setting(check=Distance(tuple(ends[0]), tuple(ends[1]), length))

    image = PLAZA.project(COURT)
    assert any("check of 4 m comes out as 4.00 m" in n for n in from_rectangle(image, 8, 5, by(4)).notes)
    assert from_rectangle(image, 8, 5, by(4.2)).area_error == pytest.approx(0.095, abs=0.01)
    assert "25% off" in text(from_rectangle, image, 8, 5, by(3.2))
    assert "distance in metres" in text(from_rectangle, image, 8, 5, by(0))
    sky = Setting(check=Distance((0.1, 0.01), (0.2, 0.5), 3.0))
    assert "above the horizon" in text(from_rectangle, image, 8, 5, sky)


def test_above_the_bounds_is_refused_with_the_cure():
    distant = PLAZA.project(np.array([[-15, 35], [15, 35], [15, 55], [-15, 55]]))
    assert "at most 0.3 m" in text(from_rectangle, distant, 30, 20, Setting(click=0.003))
    near = PLAZA.project(np.array([[-1, 8], [1, 8], [1, 10], [-1, 10]]))
    far = Setting(watched=np.array([[0.2, 0.2], [0.8, 0.2], [0.5, 0.9]]))
    assert "at most ±20% is accepted" in text(from_rectangle, near, 2, 2, far)
    sky = Setting(watched=np.array([[0.2, 0.01], [0.8, 0.2], [0.5, 0.9]]))
    assert "horizon below [0.2, 0.01]" in text(from_rectangle, near, 2, 2, sky)


def test_from_straight_above_there_is_a_ground_but_no_camera():
    square = [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]
    found = from_rectangle(square, 0.6 * 16, 0.6 * 9)
    assert found.pinhole is None
    assert math.isnan(found.spots[0].distance_m)
    assert math.isnan(found.spots[0].person_height)
    assert "straight above" in found.notes[0]


POINTS = [
    {"image": tuple(p), "ground": tuple(q)}
    for p, q in zip(IMAGE[:4].tolist(), GROUND[:4].tolist(), strict=True)
]
ZONE = {"id": "all", "polygon": ((0.3, 0.6), (0.7, 0.6), (0.7, 0.8), (0.3, 0.8))}


def site(**changes) -> Site:
    camera = {"id": "a", "source": "sim://plaza", "ground": POINTS, "zones": (ZONE,), **changes}
    return Site.from_config(CameraConfig.model_validate(camera))


def test_the_configuration_keeps_the_error():
    bare, told = site(), site(ground_error_m=0.1, ground_area_error=0.09)
    assert (bare.ground_error_m, told.ground_error_m) == (None, 0.1)
    assert bare.zones[0].floor.area_stderr_m2 == 0
    floor = told.zones[0].floor
    assert floor.area_stderr_m2 == pytest.approx(0.09 * floor.area_m2)
    assert floor.position_stderr_m == 0.1
    assert any("cannot be told" in note for note in bare.notes)
    assert not any("cannot be told" in note for note in told.notes)
    metres = {"id": "all", "units": "ground", "polygon": ((-2, 9), (2, 9), (2, 12), (-2, 12))}
    floor = site(zones=(metres,), ground_area_error=0.09).zones[0].floor
    assert floor.area_stderr_m2 == pytest.approx(0.09 * floor.area_m2)
    declared = site(zones=({**ZONE, "walkable_m2": 3.0},), ground_area_error=0.09)
    assert declared.zones[0].floor.area_stderr_m2 == 0


def test_an_error_belongs_to_points():
    with pytest.raises(ValueError, match="whose error it is"):
        site(ground=(), zones=(), ground_error_m=0.1)
