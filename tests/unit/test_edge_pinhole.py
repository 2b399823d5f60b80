import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.errors import SiteError
from edge.geometry import polygon_area
from edge.ground import GroundPlane
from edge.pinhole import HEAD_M, Pinhole
from edge.plane_error import PlaneError, in_words
from streams.sim.camera import Camera
from streams.sim.places import PLACES

SPOTS = np.array(
    [[0.1, 0.6], [0.9, 0.65], [0.85, 0.95], [0.1, 0.9], [0.5, 0.7], [0.3, 0.8], [0.7, 0.75], [0.5, 0.97]]
)


def top_of(camera: Camera) -> float:
    """Row well below the horizon, or the picture's first ones."""
    focal = camera.focal * camera.aspect
    return max(0.05, 0.5 - focal * math.tan(math.radians(camera.tilt_deg)) + 0.15 * focal)


cameras = st.builds(
    Camera,
    height_m=st.floats(2.5, 20),
    tilt_deg=st.floats(10, 80),
    hfov_deg=st.floats(25, 110),
    yaw_deg=st.floats(-180, 180),
    aspect=st.sampled_from((16 / 9, 4 / 3, 1.0, 9 / 16)),
    position_m=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
).filter(lambda camera: top_of(camera) < 0.8)


def spots_of(camera: Camera) -> np.ndarray:
    """Points of the picture that see near ground, spread over what there is of it."""
    top = top_of(camera)
    return SPOTS * (1, 0) + np.outer((SPOTS[:, 1] - 0.6) / 0.37 * (0.98 - top) + top, (0, 1))


def plane_of(camera: Camera, mirrored: bool = False) -> tuple[GroundPlane, np.ndarray]:
    image = spots_of(camera)
    ground = camera.to_ground(image)
    return GroundPlane.fit(image, ground * ((1, -1) if mirrored else (1, 1))), image


@given(cameras, st.booleans())
def test_exact_points_tell_the_whole_camera(camera, mirrored):
    plane, _ = plane_of(camera, mirrored)
    found = Pinhole.from_plane(plane, camera.aspect)
    assert found is not None
    flip = (1, -1) if mirrored else (1, 1)
    assert found.focal == pytest.approx(camera.focal * camera.aspect, rel=1e-4)
    assert found.hfov_deg == pytest.approx(camera.hfov_deg, rel=1e-4)
    assert found.height_m == pytest.approx(camera.height_m, rel=1e-4)
    assert found.tilt_deg == pytest.approx(camera.tilt_deg, abs=0.01)
    assert found.roll_deg == pytest.approx(0, abs=0.02)
    assert found.misfit < 1e-3
    assert found.position_m == pytest.approx(np.array(camera.position_m) * flip, abs=0.01)


@given(cameras, st.floats(0.0, 2.2))
def test_points_above_the_ground_go_there_and_back(camera, height_m):
    plane, image = plane_of(camera)
    found = Pinhole.from_plane(plane, camera.aspect)
    assert found is not None
    ground = camera.to_ground(image)
    above = camera.project(np.column_stack((ground, np.full(len(ground), height_m))))
    assume(np.isfinite(above).all())
    seen = plane.below_horizon(above)  # heads stand out over the horizon of a low camera
    assert found.to_image_at(ground, height_m)[seen] == pytest.approx(above[seen], abs=1e-4)
    near = seen & (np.abs(above - 0.5).max(axis=1) < 1)
    assert found.to_ground_at(above, height_m)[near] == pytest.approx(ground[near], rel=1e-3, abs=0.02)
    p = np.column_stack((above, np.ones(len(above)))) @ found.plane_at(height_m).T
    assert (p[:, :2] / p[:, 2:])[near] == pytest.approx(ground[near], rel=1e-3, abs=0.02)


@given(cameras)
def test_people_are_as_tall_as_the_camera_sees_them(camera):
    plane, image = plane_of(camera)
    found = Pinhole.from_plane(plane, camera.aspect)
    assert found is not None
    ground = camera.to_ground(image)
    tops = camera.project(np.column_stack((ground, np.full(len(ground), 1.7))))
    rise = (tops - image) * (camera.aspect, 1)
    seen = np.isfinite(tops).all(axis=1)
    tall = found.person_height(ground)
    assert tall[seen] == pytest.approx(np.hypot(*rise[seen].T), rel=1e-3)
    assert found.person_px(ground, 720)[seen] == pytest.approx(tall[seen] * 720)


@pytest.mark.parametrize("place", PLACES.values(), ids=lambda place: place.name)
def test_the_simulators_cameras_are_told(place):
    plane, _ = plane_of(place.camera)
    found = Pinhole.from_plane(plane, place.camera.aspect)
    assert found is not None
    assert found.height_m == pytest.approx(place.camera.height_m, rel=1e-6)
    assert found.hfov_deg == pytest.approx(place.camera.hfov_deg, rel=1e-6)


def test_heads_put_onto_the_foot_plane_thin_the_crowd_as_said():
    rng = np.random.default_rng(7)
    for _ in range(1000):
        camera = Camera(rng.uniform(3, 20), rng.uniform(15, 60), rng.uniform(30, 100))
        square = rng.uniform(-2, 2, 2) + np.array((0, camera.height_m * 1.5))
        corners = square + np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
        heads = camera.project(np.column_stack((corners, np.full(4, HEAD_M))))
        ratio = 1 / polygon_area(camera.to_ground(heads))
        assert ratio == pytest.approx((1 - HEAD_M / camera.height_m) ** 2, rel=1e-9)
    plaza = Pinhole.from_plane(plane_of(PLACES["plaza"].camera)[0], 16 / 9)
    assert plaza is not None
    assert plaza.foot_plane_bias() == pytest.approx(0.46, abs=0.005)


@pytest.mark.parametrize(("height", "tilt", "hfov"), [(5, 17, 62), (8, 35, 80), (4, 25, 45)])
def test_the_error_is_honest(height, tilt, hfov):
    """Of 80 noisy surveys the truth lies as far from the result as the result says."""
    camera = Camera(height, tilt, hfov)
    image = spots_of(camera)
    ground = camera.to_ground(image)
    rng = np.random.default_rng(int(height))
    scores = []
    for _ in range(80):
        plane = GroundPlane.fit(image, ground + rng.normal(0, 0.02, ground.shape), math.inf)
        found = Pinhole.solve(plane, camera.aspect, PlaneError.with_ground_error(plane, 0.02))
        scores.append(
            (
                math.log(found.focal / camera.focal / camera.aspect) / found.focal_error,
                (found.height_m - height) / found.height_stderr_m,
                (found.tilt_deg - tilt) / found.tilt_stderr_deg,
            )
        )
    assert np.std(scores, axis=0) == pytest.approx(np.ones(3), abs=0.25)
    assert np.mean(scores, axis=0) == pytest.approx(np.zeros(3), abs=0.35)


def test_errors_of_places_and_areas_are_honest():
    camera = PLACES["plaza"].camera
    image = np.array([[0.1, 0.4], [0.9, 0.45], [0.95, 0.9], [0.05, 0.95]])
    ground, wanted = camera.to_ground(image), np.array([[0.5, 0.6], [0.3, 0.42]])
    rng = np.random.default_rng(1)
    places, areas = [], []
    for _ in range(300):
        clicks = image + rng.normal(0, 0.002, image.shape) / (camera.aspect, 1)
        plane = GroundPlane.fit(clicks, ground)
        places.append(plane.to_ground(wanted))
        areas.append(np.log(plane.area_scale(wanted)))
    error = PlaneError.of(GroundPlane.fit(image, ground), camera.aspect, click=0.002)
    spread = np.sqrt(np.var(places, axis=0).sum(axis=1))
    assert error.place_stderr_m(wanted) == pytest.approx(spread, rel=0.15)
    assert error.area_error(wanted) == pytest.approx(np.std(areas, axis=0), rel=0.15)


def test_enough_points_tell_their_own_error():
    camera = PLACES["gate"].camera
    image = spots_of(camera)
    rng = np.random.default_rng(2)
    told, true = [], []
    for _ in range(100):
        plane = GroundPlane.fit(image, camera.to_ground(image) + rng.normal(0, 0.05, image.shape))
        told.append(PlaneError.of(plane, camera.aspect).place_stderr_m([[0.5, 0.8]])[0])
        true.append(np.linalg.norm(plane.to_ground([[0.5, 0.8]]) - camera.to_ground(np.array([[0.5, 0.8]]))))
    assert np.sqrt(np.mean(np.square(told))) == pytest.approx(np.sqrt(np.mean(np.square(true))), rel=0.25)


def reason(plane: GroundPlane, aspect: float = 16 / 9) -> str:
    assert Pinhole.from_plane(plane, aspect) is None
    with pytest.raises(SiteError) as caught:
        Pinhole.solve(plane, aspect)
    return caught.value.text


def test_views_that_do_not_tell_say_why():
    above = SPOTS * (16 / 9, -1) * 10
    assert "straight above" in reason(GroundPlane.fit(SPOTS, above))
    far = np.column_stack((SPOTS[:, 0] * 16 / 9, -SPOTS[:, 1] * 3)) * 10  # oblique, and rays parallel
    assert "perspective" in reason(GroundPlane.fit(SPOTS, far)) or "no camera" in reason(
        GroundPlane.fit(SPOTS, far)
    )


def test_noise_that_hides_the_perspective_is_told():
    camera = Camera(60.0, 40.0, 3.0)
    image = SPOTS * (1, 0.9)
    plane = GroundPlane.fit(image, camera.to_ground(image))
    assert Pinhole.from_plane(plane, camera.aspect) is not None
    with pytest.raises(SiteError, match="too little perspective"):
        Pinhole.solve(plane, camera.aspect, PlaneError.with_ground_error(plane, 0.05))


def test_a_stretched_ground_fits_no_camera():
    camera = PLACES["plaza"].camera
    image = spots_of(camera)
    plane = GroundPlane.fit(image, camera.to_ground(image) * (1, 2.5))
    found = Pinhole.from_plane(plane, camera.aspect)
    assert found is None or found.misfit > 0.02 or found.hfov_deg != pytest.approx(camera.hfov_deg, rel=0.1)


def test_nothing_hangs_above_the_camera():
    found = Pinhole.from_plane(plane_of(PLACES["plaza"].camera)[0], 16 / 9)
    assert found is not None
    for call in (found.plane_at, lambda h: found.to_ground_at([[0.5, 0.9]], h)):
        with pytest.raises(ValueError, match=r"hangs 5\.00 m high"):
            call(5.5)
    with pytest.raises(ValueError, match="aspect"):
        Pinhole.from_plane(found.plane, 0)


@settings(max_examples=25)
@given(st.floats(0, 0.99))
def test_words_for_an_error_are_never_too_kind(share):
    words = in_words(share)
    assert words == "under ±1 %" or float(words.strip("± %")) >= share * 100 - 0.5
