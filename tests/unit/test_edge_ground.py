import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.errors import SiteError
from edge.geometry import polygon_area
from edge.ground import GroundPlane, hull_share

SPOTS = np.array(
    [[0.2, 0.45], [0.8, 0.5], [0.85, 0.9], [0.1, 0.85], [0.5, 0.6], [0.3, 0.7], [0.7, 0.75], [0.4, 0.95]]
)


def homography(height: float = 6.0, tilt: float = 30.0, focal: float = 1.0, yaw: float = 0.0) -> np.ndarray:
    """Ground metres to picture fractions of a 16:9 pinhole camera; focal length in picture heights."""
    c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    a, b = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    rotation = np.array([[1, 0, 0], [0, -s, -c], [0, c, -s]]) @ np.array([[a, -b, 0], [b, a, 0], [0, 0, 1]])
    inner = np.array([[focal * 9 / 16, 0, 0.5], [0, focal, 0.5], [0, 0, 1]])
    return inner @ np.column_stack((rotation[:, 0], rotation[:, 1], -rotation @ [0, 0, height]))


def ground_of(image: np.ndarray, h: np.ndarray) -> np.ndarray:
    q = np.column_stack((image, np.ones(len(image)))) @ np.linalg.inv(h).T
    return q[:, :2] / q[:, 2:]


H = homography()
TRUE = ground_of(SPOTS, H)


def key_of(image: np.ndarray, ground: np.ndarray) -> str:
    with pytest.raises(SiteError) as caught:
        GroundPlane.fit(image, ground)
    return caught.value.key


cameras = st.builds(homography, st.floats(3, 15), st.floats(20, 75), st.floats(0.8, 2), st.floats(-180, 180))


@given(cameras, st.integers(4, 8), st.booleans())
def test_exact_points_give_the_camera_back(h, n, mirrored):
    ground = ground_of(SPOTS, h) * ([1, -1] if mirrored else [1, 1])
    weights = np.linalg.inv(h)[2] @ np.column_stack((SPOTS, np.ones(len(SPOTS)))).T
    assume((np.sign(weights) == np.sign(weights[0])).all())
    assume(np.ptp(ground, axis=0).max() < 200)
    corner = np.linalg.inv(h) @ [0.5, 1, 1]
    assume(np.sign(corner[2]) == np.sign(weights[0]))
    plane = GroundPlane.fit(SPOTS[:n], ground[:n])
    assert plane.redundancy == n - 4
    assert plane.max_error_m < 1e-5
    assert plane.to_ground(SPOTS) == pytest.approx(ground, abs=1e-4)
    assert plane.to_image(ground) == pytest.approx(SPOTS, abs=1e-6)
    assert plane.right_handed is not mirrored


def test_the_error_is_that_of_the_survey():
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(60):
        plane = GroundPlane.fit(SPOTS, TRUE + rng.normal(0, 0.03, TRUE.shape))
        errors.append(plane.rmse_m)
        assert plane.to_ground(SPOTS[:5]) == pytest.approx(TRUE[:5], abs=0.3)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(0.03 * math.sqrt(2), rel=0.15)


def test_four_points_say_that_they_measure_nothing():
    plane = GroundPlane.fit(SPOTS[:4], TRUE[:4])
    assert (plane.redundancy, plane.rmse_m) == (0, 0.0)


@pytest.mark.parametrize("wrong", range(8))
def test_the_one_wrong_point_is_named(wrong):
    ground = TRUE + np.random.default_rng(wrong).normal(0, 0.02, TRUE.shape)
    ground[wrong] += (1.5, 1.0)
    assert key_of(SPOTS, ground) == f"ground[{wrong}]"


def test_a_large_error_of_few_points_is_refused_with_its_size():
    ground = TRUE[:6].copy()
    ground[4] += (2.0, 0.0)
    with pytest.raises(SiteError, match=r"error is \d\.\d\d m, at most 0\.3 m.*seven points or more"):
        GroundPlane.fit(SPOTS[:6], ground)


def test_a_laxer_limit_lets_it_pass():
    ground = TRUE.copy()
    ground[6] += (0.5, 0.0)
    assert GroundPlane.fit(SPOTS, ground, max_error_m=2.0).rmse_m > 0.1


@pytest.mark.parametrize("n", [4, 5, 8])
def test_swapped_neighbours_are_named(n):
    order = np.arange(n)
    order[[1, 2]] = 2, 1
    with pytest.raises(SiteError, match=r"ground\[\d\].*swapped"):
        GroundPlane.fit(SPOTS[:n], TRUE[order])


def test_a_point_above_the_horizon_is_named():
    image = SPOTS.copy()
    image[4] = (0.5, -0.3)  # the horizon is at -0.077
    key = key_of(image, np.vstack((TRUE[:4], ground_of(image[4:5], H), TRUE[5:])))
    assert key == "ground[4]"


@pytest.mark.parametrize(
    "image",
    [
        SPOTS[[0, 0, 1, 2]],
        [[0.1, 0.5], [0.5, 0.5], [0.9, 0.5], [0.3, 0.5]],
        [[0.1, 0.5], [0.5, 0.501], [0.9, 0.5], [0.5, 0.9]],
        [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.9, 0.9]],
    ],
)
def test_points_that_fix_no_plane_are_refused(image):
    image = np.array(image)
    assert key_of(image, ground_of(image, H)) == "ground"


def test_too_few_points_or_a_picture_upside_down():
    assert key_of(SPOTS[:3], TRUE[:3]) == "ground"
    upper = np.array([[0.2, 0.1], [0.8, 0.1], [0.7, 0.5], [0.3, 0.55]])
    below = ground_of(1 - upper, homography(tilt=5))
    assert key_of(upper, below) == "ground"


def test_above_the_horizon_there_is_no_ground():
    plane = GroundPlane.fit(SPOTS, TRUE)
    sky = np.array([[0.5, -0.2], [0.5, 0.7]])
    assert plane.below_horizon(sky).tolist() == [False, True]
    assert np.isnan(plane.to_ground(sky)[0]).all()
    assert np.isnan(plane.area_scale(sky)[0])
    assert np.isnan(plane.to_image([(0.0, -50.0)])).all()  # behind the camera


@given(st.floats(0.1, 0.9), st.floats(0.3, 0.9))
def test_area_scale_is_the_ground_under_a_small_square(x, y):
    plane = GroundPlane.fit(SPOTS, TRUE)
    side = 1e-4
    square = np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]])
    area = polygon_area(plane.to_ground(square)) / side**2
    assert plane.area_scale(square.mean(axis=0, keepdims=True))[0] == pytest.approx(area, rel=1e-3)


def test_picture_edges_hold_what_the_picture_shows():
    plane = GroundPlane.fit(SPOTS, TRUE)
    shown = np.column_stack((TRUE, np.ones(len(TRUE)))) @ plane.picture_edges().T
    assert (shown >= 0).all()
    beyond = np.append(plane.to_ground([(1.2, 0.6)])[0], 1.0)
    assert (plane.picture_edges() @ beyond >= 0).tolist() == [True, False, True, True]


def test_hull_share_tells_extrapolation():
    plane = GroundPlane.fit(SPOTS, TRUE)
    assert hull_share(plane, TRUE) == pytest.approx(1)
    assert hull_share(plane, TRUE * 10) == pytest.approx(0.01)
