"""A crowd on the ground out of detections and a density map."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.fusion import APART_PER_M2, TOGETHER_PER_M2, WINDOW_M, Fused, Raster, fuse
from edge.ground import GroundPlane
from edge.on_ground import LOOSE, Grounded
from edge.people import People
from edge.pinhole import HEAD_M, Pinhole
from models.density import HeadMap

ROWS, COLUMNS = 32, 56
ASPECT = 16 / 9


def camera(height_m: float = 7.0, reach_m: float = 22.0, width_m: float = 8.0) -> Pinhole:
    """One that looks down the y axis from the origin."""
    tilt, focal = 0.55, 1.1

    def seen(x: float, y: float) -> tuple[float, float]:
        forward = y * np.cos(tilt) + height_m * np.sin(tilt)
        down = height_m * np.cos(tilt) - y * np.sin(tilt)
        return 0.5 + focal * x / forward / ASPECT, 0.5 + focal * down / forward

    ground = [(x, y) for x in (-width_m, 0.0, width_m) for y in (5.0, 11.0, reach_m)]
    found = Pinhole.from_plane(GroundPlane.fit([seen(*at) for at in ground], ground), ASPECT)
    assert found is not None
    return found


CAMERA = camera()
RASTER = Raster.lay(CAMERA, ROWS, COLUMNS)


def stderr(fused: Fused, some: np.ndarray | None = None) -> float:
    """Standard error of the number of people in some of the points, or in all."""
    rows = np.r_[np.arange(fused.detected), np.full(len(fused.people) - fused.detected, LOOSE)]
    chosen = np.ones(len(fused.people), bool) if some is None else some
    return Grounded(fused.people, rows, fused.shared).stderr(np.flatnonzero(chosen))


@dataclass
class Scene:
    """People on a square of the ground, all of whose heads the map sees."""

    at: np.ndarray

    @classmethod
    def of(cls, per_m2: float, seed: int = 3, near: float = 7.0, side: float = 8.0) -> "Scene":
        rng = np.random.default_rng(seed)
        count = round(per_m2 * side**2)
        return cls(rng.uniform((-side / 2, near), (side / 2, near + side), (count, 2)))

    def heads(self) -> np.ndarray:
        return CAMERA.to_image_at(self.at, HEAD_M)

    def map(self, shared: float = 0.05) -> HeadMap:
        counts = np.zeros((ROWS, COLUMNS), np.float32)
        at = self.heads()
        cells = (at[:, 1] * ROWS).astype(int), (at[:, 0] * COLUMNS).astype(int)
        np.add.at(counts, cells, 1.0)
        return HeadMap(counts, (0.3 * counts + (shared * counts) ** 2 + 1e-6).astype(np.float32), shared)

    def found(self, every: int = 1) -> tuple[People, np.ndarray]:
        rows = np.arange(0, len(self.at), every)
        people = People.of(
            self.at[rows], 1.0, 0.1, np.tile((0.3, -0.1), (len(rows), 1)), np.arange(len(rows))
        )
        return people, self.heads()[rows]


def test_cells_cover_the_ground_that_they_see() -> None:
    seen = RASTER.area_m2 > 0
    assert seen.any()
    by_cell = np.bincount(RASTER.cell, RASTER.share, ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    np.testing.assert_allclose(by_cell[seen], 1.0)
    assert not by_cell[~seen].any()
    # the points of a cell lie below heads that are seen there, evenly about its middle
    points = RASTER.points[RASTER.cell == 20 * COLUMNS + 30]
    seen_at = CAMERA.to_image_at(points, HEAD_M)
    np.testing.assert_allclose(seen_at.mean(axis=0), (30.5 / COLUMNS, 20.5 / ROWS), atol=1e-9)
    assert (np.abs(seen_at - seen_at.mean(axis=0)) * (COLUMNS, ROWS) < 0.5).all()


def test_no_point_stands_for_more_than_a_step() -> None:
    high, wide = (
        RASTER.points[RASTER.cell == 8 * COLUMNS + 30],
        RASTER.points[RASTER.cell == 31 * COLUMNS + 30],
    )
    assert len(high) > len(wide)
    for points in (high, wide):
        away = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(len(points))
        assert len(points) == 1 or away.min() <= 0.5


def test_the_horizon_is_no_ground() -> None:
    flat = camera(height_m=3.0)
    area = Raster.lay(flat, ROWS, COLUMNS).area_m2
    assert np.isfinite(area).all()


@pytest.mark.parametrize("per_m2", [2.0, 4.0, 7.0])
def test_an_even_crowd_has_its_density_inside(per_m2: float) -> None:
    scene = Scene.of(per_m2)
    density = RASTER.density(scene.map().counts)
    inner = np.array([[x, y] for x in (-1.5, 0.0, 1.5) for y in (9.5, 11.0, 12.5)])
    at = CAMERA.to_image_at(inner, HEAD_M)
    found = density[(at[:, 1] * ROWS).astype(int), (at[:, 0] * COLUMNS).astype(int)]
    assert found.mean() == pytest.approx(per_m2, rel=0.15)
    assert WINDOW_M < 4.0


@pytest.mark.parametrize("every", [1, 3, 10])
def test_where_people_hide_each_other_the_map_counts(every: int) -> None:
    scene = Scene.of(4.0)
    fused = fuse(*scene.found(every), scene.map(), RASTER)
    assert fused.people.count == pytest.approx(len(scene.at), rel=0.05)
    assert 0 < stderr(fused) < 0.15 * len(scene.at)


def test_whom_the_detector_misses_the_map_counts_in_a_loose_crowd_too() -> None:
    scene = Scene.of(0.6)
    missed = fuse(*scene.found(3), scene.map(), RASTER)
    assert missed.people.count == pytest.approx(len(scene.at), rel=0.1)
    nobody = People.of(np.zeros((0, 2))), np.zeros((0, 2))
    assert fuse(*nobody, scene.map(), RASTER).people.count == pytest.approx(len(scene.at), rel=0.1)


def test_where_people_stand_apart_detections_count() -> None:
    scene = Scene.of(0.15)
    noise = HeadMap(scene.map().counts + np.float32(0.01), np.full((ROWS, COLUMNS), 0.05, np.float32), 0.05)
    near = scene.at[:, 1] < 9.5  # beyond, people are seen small
    fused = fuse(*scene.found(), noise, RASTER)
    weights = fused.people.weight[: fused.detected]
    assert weights[near] == pytest.approx(1.0)


def test_nobody_counts_twice_on_the_way_between() -> None:
    for per_m2 in np.linspace(APART_PER_M2, TOGETHER_PER_M2, 5):
        scene = Scene.of(float(per_m2))
        fused = fuse(*scene.found(), scene.map(), RASTER)
        assert fused.people.count == pytest.approx(len(scene.at), rel=0.1)


def test_an_empty_picture_holds_nobody() -> None:
    nothing = HeadMap(np.zeros((ROWS, COLUMNS), np.float32), np.full((ROWS, COLUMNS), 1e-3, np.float32), 0.1)
    fused = fuse(People.of(np.zeros((0, 2))), np.zeros((0, 2)), nothing, RASTER)
    assert (fused.people.count, fused.detected, len(fused.people)) == (0.0, 0, 0)
    assert stderr(fused) == 0.0


def test_a_loose_crowd_moves_as_those_who_were_found_in_it_and_a_dense_one_as_nobody_knows() -> None:
    scene = Scene.of(0.9)
    fused = fuse(*scene.found(2), scene.map(), RASTER)
    of_map = fused.people.select(np.arange(fused.detected, len(fused.people)))
    assert of_map.moving.mean() > 0.1
    np.testing.assert_allclose(of_map.velocity[of_map.moving], [[0.3, -0.1]] * of_map.moving.sum())
    scene = Scene.of(4.0)
    fused = fuse(*scene.found(8), scene.map(), RASTER)
    of_map = fused.people.select(np.arange(fused.detected, len(fused.people)))
    assert of_map.weight[of_map.moving].sum() < 0.1 * of_map.count
    still = fuse(People.of(np.zeros((0, 2))), np.zeros((0, 2)), scene.map(), RASTER)
    assert not still.people.moving.any()


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_order_of_detections_changes_nothing(random: object) -> None:
    scene = Scene.of(1.2)
    people, heads = scene.found(2)
    order = np.arange(len(people))
    random.shuffle(order)  # type: ignore[attr-defined]
    one, other = (
        fuse(people, heads, scene.map(), RASTER),
        fuse(people.select(order), heads[order], scene.map(), RASTER),
    )
    assert one.people.count == pytest.approx(other.people.count)
    assert stderr(one) == pytest.approx(stderr(other))
    np.testing.assert_allclose(one.people.weight[order], other.people.weight[: len(order)])


def test_what_all_of_the_map_has_in_common_does_not_average_out() -> None:
    scene = Scene.of(5.0)
    none = People.of(np.zeros((0, 2))), np.zeros((0, 2))
    fused = fuse(*none, scene.map(shared=0.2), RASTER)
    assert isinstance(fused, Fused)
    assert stderr(fused) > 0.2 * fused.people.count * 0.99
    half = fused.people.at[:, 0] < 0
    assert stderr(fused, half) < stderr(fused)


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="raster"):
        fuse(People.of(np.zeros((1, 2))), np.zeros((2, 2)), Scene.of(1.0).map(), RASTER)
