"""Tracks and counted heads put together, look by look."""

import numpy as np
import pytest

from edge.analysis import Analysis
from edge.blend import HEADS_LAST_S, Blend
from edge.config import CameraConfig
from edge.ground import GroundPlane
from edge.on_ground import Grounded
from edge.people import People
from edge.pinhole import Pinhole
from edge.scene import Scene
from edge.site import Site
from edge.view import UNKNOWN_NOISE
from models.density import HeadMap
from models.detections import Tracks
from streams.flow import BlockFlow
from streams.sim.camera import Camera
from tests.support.afoot import CAMERA, SIZE_PX, Crowd, camera, tracks

ROWS, COLUMNS = 32, 56
DENSITY = {"kind": "crowd.density", "zone": "z"}
NOBODY = tracks(Crowd(np.zeros((0, 2)), np.zeros((0, 2))))


def head_map(ground: np.ndarray) -> HeadMap:
    """A map that sees every head."""
    at = CAMERA.project(np.column_stack((ground, np.full(len(ground), 1.6))))
    counts = np.zeros((ROWS, COLUMNS), np.float32)
    np.add.at(counts, ((at[:, 1] * ROWS).astype(int), (at[:, 0] * COLUMNS).astype(int)), 1.0)
    return HeadMap(counts, (0.2 * counts + (0.1 * counts) ** 2 + 1e-6).astype(np.float32), 0.1)


def crowd(per_m2: float) -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.uniform((-3, 9), (3, 15), (round(36 * per_m2), 2))


def analysis(**more: object) -> Analysis:
    config = camera(DENSITY, **more)
    return Analysis(config, Site.from_config(config), ("person", "car"))


def seen(scene_: Scene, pts_s: float = 0.0, found: Tracks = NOBODY, watch: Analysis | None = None) -> float:
    look = (watch or analysis()).update(found, pts_s, scene_)
    return look.zones["z"].count


def test_a_crowd_that_no_detector_sees_is_counted() -> None:
    ground = crowd(4.0)
    look = analysis().update(NOBODY, 0.0, Scene(SIZE_PX, head_map(ground)))
    zone = look.zones["z"]
    assert zone.count == pytest.approx(len(ground), rel=0.1)
    assert zone.density_mean_per_m2 == pytest.approx(4.0, rel=0.1)
    assert zone.density_worst_cell_per_m2 > 4.0
    # what all of the map has in common does not average out
    assert zone.count_stderr > 0.09 * zone.count
    assert zone.density_stderr_per_m2 > 0.09 * zone.density_mean_per_m2
    (density,) = look.observations
    assert density.level in {1, 2}


def test_the_last_count_holds_for_a_while_and_no_longer() -> None:
    ground, watch = crowd(4.0), analysis()
    assert seen(Scene(SIZE_PX, head_map(ground)), 10.0, watch=watch) > 100
    assert watch.dense
    assert seen(Scene(SIZE_PX), 10.0 + HEADS_LAST_S, watch=watch) > 100
    assert seen(Scene(SIZE_PX), 10.1 + HEADS_LAST_S, watch=watch) == 0
    assert not watch.dense


def test_without_the_picture_s_size_detections_count() -> None:
    assert seen(Scene(None, head_map(crowd(4.0)))) == 0


def test_who_stands_apart_is_a_detection() -> None:
    ground = np.array([[-2.0, 10.0], [2.0, 10.5], [0.0, 12.5]])
    found = tracks(Crowd(ground, np.zeros((3, 2))))
    look = analysis().update(found, 0.0, Scene(SIZE_PX, head_map(ground)))
    assert look.zones["z"].count == 3
    assert not analysis().dense


def test_a_dense_crowd_moves_as_its_heads_are_seen_to() -> None:
    ground = crowd(4.0)
    config = camera(DENSITY)
    site = Site.from_config(config)
    pinhole = Pinhole.from_plane(site.ground, SIZE_PX[0] / SIZE_PX[1])
    rows, columns = 36, 64
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    middles = np.column_stack((x.ravel(), y.ravel()))
    went = pinhole.to_image_at(pinhole.to_ground_at(middles) + np.array([0.0, 0.1])) - middles
    velocity = np.nan_to_num(went / 0.2).reshape(rows, columns, 2).astype(np.float32)
    valid = np.isfinite(went).all(axis=1).reshape(rows, columns)
    flow = BlockFlow(velocity, np.full_like(velocity, 1e-4), valid, np.zeros_like(valid), 0.2)
    watch = Analysis(config, site, ("person", "car"))
    people = watch.update(NOBODY, 0.0, Scene(SIZE_PX, head_map(ground), flow)).people
    assert people is not None
    moving = people.velocity[people.moving]
    assert len(moving) > 0.9 * len(people)
    np.testing.assert_allclose(np.median(moving, axis=0), [0.0, 0.5], atol=0.03)


def test_the_flow_s_noise_is_in_metres() -> None:
    ground = crowd(4.0)
    config = camera(DENSITY)
    site = Site.from_config(config)
    assert site.ground is not None
    errors = np.full((36, 64, 2), 0.01, np.float32)  # of the picture, a second
    flow = BlockFlow(np.zeros_like(errors), errors, np.ones((36, 64), bool), np.zeros((36, 64), bool), 0.2)
    plane = Blend(site.ground)
    nobody = Grounded(People.of(np.zeros((0, 2))), np.zeros(0, np.intp))
    _, noise = plane.join(nobody, NOBODY, Scene(SIZE_PX, head_map(ground), flow), UNKNOWN_NOISE)
    pinhole = Pinhole.from_plane(site.ground, SIZE_PX[0] / SIZE_PX[1])
    at = pinhole.to_image_at(np.array([[0.0, 12.0]]))
    sides = [pinhole.to_ground_at(at + step) - (0.0, 12.0) for step in ([[0.01, 0.0]], [[0.0, 0.01]])]
    expected = sum(float((side**2).sum()) for side in sides)
    assert noise.variance_m2_per_s2 == pytest.approx(expected, rel=0.3)
    _, alone = plane.join(nobody, NOBODY, Scene(SIZE_PX, head_map(ground)), UNKNOWN_NOISE)
    assert alone is UNKNOWN_NOISE


def test_a_share_of_capacity_counts_heads_where_there_is_no_ground() -> None:
    camera_ = CameraConfig.model_validate(
        {
            "id": "gate",
            "source": "x.mp4",
            "zones": [{"id": "z", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "capacity": 100}],
            "rules": [DENSITY],
        }
    )
    watch = Analysis(camera_, Site.from_config(camera_), ("person",))
    ground = crowd(4.0)
    look = watch.update(NOBODY, 0.0, Scene(SIZE_PX, head_map(ground)))
    assert look.zones["z"].count == pytest.approx(len(ground), abs=1)
    assert look.observations[0].level == 1
    few = watch.update(NOBODY, 10.0, Scene(SIZE_PX, head_map(ground[:1])))
    assert few.zones["z"].count <= 1


def test_a_count_that_wavers_is_smoothed() -> None:
    ground, watch = crowd(3.0), analysis()
    counted = [seen(Scene(SIZE_PX, head_map(ground[k % 2 * 11 :])), 0.5 * k, watch=watch) for k in range(12)]
    assert max(counted[4:]) - min(counted[4:]) < 0.5 * 11
    emptied = [seen(Scene(SIZE_PX, head_map(ground[:0])), 6.0 + 0.5 * k, watch=watch) for k in range(8)]
    assert emptied[0] > 0.25 * counted[-1]
    assert emptied[-1] < 0.1 * counted[-1]


@pytest.mark.parametrize("size_px", [(320, 180), (640, 360), (3840, 2160)])
def test_how_large_the_picture_is_changes_nothing(size_px: tuple[int, int]) -> None:
    heads = head_map(crowd(3.0))
    one = analysis().update(NOBODY, 0.0, Scene(size_px, heads))
    other = analysis().update(NOBODY, 0.0, Scene(SIZE_PX, heads))
    assert one.zones == other.zones
    assert one.observations == other.observations


@pytest.mark.parametrize("height_m", [1.2, 1.65, 1.75, 2.5])
def test_a_camera_no_higher_than_people_counts_detections_alone(height_m: float) -> None:
    low = Camera(height_m=height_m, tilt_deg=10.0, hfov_deg=70.0)
    spots = np.array([(x, y) for x in (-3.0, 0.0, 3.0) for y in (5.0, 9.0, 14.0)])
    plane = GroundPlane.fit(low.project(spots), spots)
    heads = HeadMap(np.full((ROWS, COLUMNS), 0.1, np.float32), np.full((ROWS, COLUMNS), 0.1, np.float32), 0.1)
    nobody = Grounded(People.of(np.zeros((0, 2))), np.zeros(0, np.intp))
    blend = Blend(plane)
    joined, _ = blend.join(nobody, NOBODY, Scene(SIZE_PX, heads), UNKNOWN_NOISE)
    assert (len(joined.people) > 0) == (height_m > 2)
    assert (blend.heights_px(SIZE_PX) is not None) == (height_m > 2)
