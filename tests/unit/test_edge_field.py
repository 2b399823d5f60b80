import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.crowd import Floor
from edge.field import Ground, density_field, local_density, weidmann_speed_m_s, worst_cell
from edge.people import People
from tests.support.densest import densest_per_m2

SQUARE = np.array([[0.0, 0.0], [20.0, 0.0], [20.0, 20.0], [0.0, 20.0]])
FLOOR = Floor(SQUARE, 400.0)
GROUND = Ground.lay(SQUARE)
seeds = st.integers(0, 10_000)


def spread(seed: int, n: int, low: float = 0.0, high: float = 20.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (n, 2))


def turned(points: np.ndarray, angle: float, shift: tuple[float, float]) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return points @ np.array([[c, s], [-s, c]]) + shift


def test_weidmann_s_speeds():
    speeds = weidmann_speed_m_s([0.0, 1.75, 5.4, 8.0])
    assert speeds[0] == pytest.approx(1.34)
    assert 1.75 * speeds[1] == pytest.approx(1.22, abs=0.01)  # the largest flow
    assert speeds[2:] == pytest.approx([0, 0], abs=1e-9)


def test_an_even_crowd_is_equally_dense_everywhere_and_at_the_walls_too():
    x, y = np.meshgrid(np.arange(0.25, 20, 0.5), np.arange(0.25, 20, 0.5))
    field = density_field(People.of(np.column_stack((x.ravel(), y.ravel()))), GROUND)
    density = field.density_per_m2[GROUND.inside]
    assert density.min() > 3.9
    assert density.max() < 4.1
    assert np.isnan(field.density_per_m2[~GROUND.inside]).all()


def test_one_person_makes_the_gaussian_of_helbing():
    field = density_field(People.of([[10.25, 10.25]], 1.0, 0.25), GROUND)
    highest, stderr, place = field.highest
    assert highest == pytest.approx(1 / math.pi, rel=1e-3)
    assert stderr == pytest.approx(0.5 / math.pi, rel=1e-3)
    assert place == pytest.approx((10.25, 10.25))


def test_the_field_keeps_the_number_of_people():
    people = spread(1, 200, 3, 17)
    field = density_field(People.of(people), GROUND)
    assert np.nansum(field.density_per_m2) * 0.5**2 == pytest.approx(200, rel=0.01)


def test_the_fields_error_is_that_of_repeated_looks():
    rng = np.random.default_rng(3)
    at = spread(3, 600)
    peaks = []
    for _ in range(80):
        seen = rng.random(600) < 0.8
        peaks.append(density_field(People.of(at, seen / 0.8), GROUND).density_per_m2)
    stated = density_field(People.of(at, 1.0, 0.8 * 0.2 / 0.64), GROUND).stderr_per_m2
    assert np.nanmean(np.std(peaks, axis=0) / stated) == pytest.approx(1.0, abs=0.06)


@given(seeds, st.floats(-3, 3), st.floats(-50, 50), st.floats(-50, 50))
@settings(max_examples=12, deadline=None)
def test_the_field_turns_and_moves_with_the_ground(seed, angle, dx, dy):
    at = spread(seed, 40)
    field = density_field(People.of(at), GROUND)
    ground = Ground.lay(turned(SQUARE, angle, (dx, dy)))
    other = density_field(People.of(turned(at, angle, (dx, dy))), ground)
    np.testing.assert_allclose(other.density_per_m2, field.density_per_m2, atol=1e-6)


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_who_stands_far_away_changes_nothing_here(seed):
    at = spread(seed, 30, 0, 8)
    near = density_field(People.of(at), GROUND).density_per_m2
    more = density_field(People.of(np.vstack((at, [[19.0, 19.0]]))), GROUND).density_per_m2
    left = GROUND.columns < 2
    np.testing.assert_allclose(near[:, left], more[:, left], atol=1e-9)


@pytest.mark.parametrize("bad", [{"radius_m": 0.0}, {"step_m": -1.0}])
def test_lengths_must_be_positive(bad):
    with pytest.raises(ValueError, match="positive"):
        Ground.lay(SQUARE, **bad)


def test_a_ground_needs_corners_and_keeps_a_node_however_narrow():
    with pytest.raises(ValueError, match="three corners"):
        Ground.lay([[0, 0], [1, 1]])
    sliver = Ground.lay([[0, 0], [9, 0], [9, 0.1], [0, 0.1]])
    assert sliver.inside.any()
    assert Ground.lay(SQUARE * 100).share.size < 50_000


@given(seeds, st.integers(1, 700), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_the_order_of_points_means_nothing(seed, n, random):
    at, weight = spread(seed, n), np.random.default_rng(seed).gamma(0.5, 1.0, n)
    order = list(range(n))
    random.shuffle(order)
    cell, other = (worst_cell(People.of(at[k], weight[k]), FLOOR) for k in (slice(None), order))
    assert cell.density_per_m2 == pytest.approx(other.density_per_m2)
    assert cell.centre == other.centre


@given(seeds, st.floats(-3, 3), st.sampled_from([4.0, 7.0, 10.0]))
@settings(max_examples=15, deadline=None)
def test_the_worst_cell_turns_and_moves_with_the_ground(seed, angle, area):
    at = spread(seed, 80, 2, 12)
    cell = worst_cell(People.of(at), FLOOR, area)
    floor = Floor(turned(SQUARE, angle, (500.0, -90.0)), 400.0)
    other = worst_cell(People.of(turned(at, angle, (500.0, -90.0))), floor, area)
    # Cut discs are measured by 256 points that do not turn with the ground.
    assert other.density_per_m2 == pytest.approx(cell.density_per_m2, rel=0.03)


def test_splitting_people_into_parts_of_one_place_changes_nothing():
    at = spread(5, 120)
    whole = worst_cell(People.of(at, 1.0, 0.09), FLOOR)
    parts = worst_cell(People.of(np.repeat(at, 4, axis=0), 0.25, 0.0225), FLOOR)
    assert parts.density_per_m2 == pytest.approx(whole.density_per_m2)
    assert parts.stderr_per_m2 == pytest.approx(whole.stderr_per_m2)


def test_of_a_whole_map_the_few_that_are_tried_are_enough():
    rng = np.random.default_rng(0)
    for seed in range(2):
        at = spread(seed, 3600)
        hill = 0.45 * np.exp(-((at - (6, 14)) ** 2).sum(axis=1) / 18)
        people = People.of(at, rng.gamma(2, (0.05 + hill) / 2))
        tried = worst_cell(people, FLOOR)
        # All of them, with the plain rule.
        inner = at[(np.abs(at - 10) < 8.8).all(axis=1)]
        gap = inner[:, None] - at
        best = ((np.einsum("ijk,ijk->ij", gap, gap) <= 4 / math.pi) @ people.weight).max() / 4
        assert 0.97 * best <= tried.density_per_m2 <= 1.1 * best


def test_the_pick_of_the_highest_lifts_it_by_a_measured_amount():
    """What the stated error does not know: of many equal cells the highest is picked."""
    rng = np.random.default_rng(7)
    at = spread(7, 1200)  # three per m2, as evenly as chance makes it
    truth = densest_per_m2(at, FLOOR)
    cells = []
    for _ in range(40):
        noisy = np.maximum(rng.normal(1.0, 0.3, len(at)), 0)  # a model that is 30 % off for each person
        cells.append(worst_cell(People.of(at, noisy, 0.09), FLOOR))
    lift = np.mean([c.density_per_m2 for c in cells]) - truth
    stated = np.mean([c.stderr_per_m2 for c in cells])
    assert 0.2 < stated < 0.4
    # Measured: the pick makes it higher by 0.5 of the stated standard error, on average.
    assert 0 <= lift < stated
    # At a place that is picked beforehand the error is what is stated, without any lift.
    fixed = cells[0].members
    sums = [np.maximum(rng.normal(1.0, 0.3, len(fixed)), 0).sum() / 4 for _ in range(400)]
    assert np.std(sums) == pytest.approx(stated, rel=0.2)


def test_nobody_and_odd_sizes():
    empty = worst_cell(People.of([]), FLOOR)
    assert (empty.density_per_m2, empty.centre, len(empty.members)) == (0.0, None, 0)
    assert worst_cell(People.of([[1, 1]], 0.0), FLOOR).centre is None
    with pytest.raises(ValueError, match="area_m2"):
        worst_cell(People.of([[1, 1]]), FLOOR, 0.5)


@given(st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_who_is_among_many_is_as_dense_as_the_sum_over_all_says(seed):
    """More than 400 points go by a grid: splitting everybody in two must change next to nothing."""
    rng = np.random.default_rng(seed)
    at, weight = rng.uniform(0, 20, (400, 2)) * rng.uniform(0.3, 1.0, 2), rng.uniform(0.1, 1.5, 400)
    exact = local_density(People.of(at, weight))
    by_grid = local_density(People.of(np.repeat(at, 2, axis=0), np.repeat(weight / 2, 2)))
    assert np.sqrt(np.mean((by_grid[::2] / exact - 1) ** 2)) < 0.07
    assert by_grid.mean() == pytest.approx(exact.mean(), rel=0.01)


def test_nobody_is_nowhere_dense_and_who_is_alone_hardly():
    assert local_density(People.of(np.zeros((0, 2)))).shape == (0,)
    assert local_density(People.of([[3.0, 4.0]])) == pytest.approx([1 / math.pi])
