"""The pinhole camera: what goes to the picture comes back to the same ground."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sim.camera import Camera
from streams.sim.places import PLACES

CAMERAS = st.builds(
    Camera,
    height_m=st.floats(2.0, 15.0),
    tilt_deg=st.floats(5.0, 70.0),
    hfov_deg=st.floats(30.0, 100.0),
    yaw_deg=st.floats(-180.0, 180.0),
    aspect=st.sampled_from((16 / 9, 4 / 3, 9 / 16)),
    position_m=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)


@given(camera=CAMERAS, x=st.floats(0.0, 1.0), y=st.floats(0.0, 1.0))
def test_image_to_ground_and_back(camera: Camera, x: float, y: float) -> None:
    ground = camera.to_ground(np.array([[x, y]]))
    if np.isfinite(ground).all() and np.abs(ground).max() < 1e4:
        assert camera.project(ground)[0] == pytest.approx((x, y), abs=1e-6)
        assert camera.depth(ground)[0] > 0


@given(camera=CAMERAS, x=st.floats(-8, 8), ahead=st.floats(1.0, 40.0))
def test_ground_to_image_and_back_by_homography(camera: Camera, x: float, ahead: float) -> None:
    yaw = np.radians(camera.yaw_deg)
    right, level = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
    ground = (np.array(camera.position_m) + right * x + level * ahead)[None]
    image = camera.project(ground)
    homogeneous = camera.homography @ np.array([*image[0], 1.0])
    assert homogeneous[:2] / homogeneous[2] == pytest.approx(ground[0], abs=1e-5)
    assert camera.homography[2, 2] == 1.0


def test_the_optical_axis_meets_the_ground_in_the_middle() -> None:
    camera = Camera(height_m=5.0, tilt_deg=45.0, hfov_deg=60.0)
    assert camera.project(np.array([[0.0, 5.0]]))[0] == pytest.approx((0.5, 0.5))
    assert camera.depth(np.array([[0.0, 5.0]]))[0] == pytest.approx(5.0 * np.sqrt(2))


def test_left_is_left_far_is_up_and_tall_is_up() -> None:
    camera = PLACES["plaza"].camera
    left, right, far, near = camera.project(np.array([(-2.0, 12.0), (2.0, 12.0), (0.0, 20.0), (0.0, 9.0)]))
    assert left[0] < 0.5 < right[0]
    assert far[1] < near[1]
    foot, head = camera.project(np.array([(1.0, 12.0, 0.0), (1.0, 12.0, 1.7)]))
    assert head[1] < foot[1]


def test_yaw_turns_to_the_left() -> None:
    camera = Camera(height_m=5.0, tilt_deg=20.0, hfov_deg=60.0, yaw_deg=90.0)
    assert camera.project(np.array([[-10.0, 0.0]]))[0, 0] == pytest.approx(0.5)


def test_what_is_behind_or_above_the_horizon_has_no_image() -> None:
    camera = Camera(height_m=5.0, tilt_deg=20.0, hfov_deg=60.0)
    assert np.isnan(camera.project(np.array([[0.0, -10.0]]))).all()
    assert np.isnan(camera.to_ground(np.array([[0.5, -2.0]]))).all()


def test_another_aspect_keeps_the_horizontal_view() -> None:
    camera = PLACES["gate"].camera
    point = np.array([[3.0, 12.0]])
    assert camera.with_aspect(4 / 3).project(point)[0, 0] == pytest.approx(camera.project(point)[0, 0])


@pytest.mark.parametrize(
    ("field", "value"),
    [("height_m", 0.0), ("tilt_deg", 0.0), ("tilt_deg", 90.0), ("hfov_deg", 180.0), ("aspect", 0.0)],
)
def test_impossible_cameras_are_refused(field: str, value: float) -> None:
    good = {"height_m": 5.0, "tilt_deg": 20.0, "hfov_deg": 60.0, "aspect": 1.5}
    with pytest.raises(ValueError, match=field):
        Camera(**{**good, field: value})


def test_points_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(n, 2\) or \(n, 3\)"):
        PLACES["plaza"].camera.project(np.zeros((2, 4)))


@pytest.mark.parametrize("place", PLACES.values(), ids=lambda place: place.name)
def test_zones_and_lines_of_every_place_are_in_the_picture(place) -> None:
    for shape in (*(zone.corners for zone in place.zones), place.line.ends):
        image = place.camera.project(shape)
        assert ((image > -0.02) & (image < 1.02)).all()
