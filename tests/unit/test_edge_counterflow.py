import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.counterflow import RADIUS_M, Counterflow, CounterflowLimits, Ways, counterflow, step_ways
from edge.field import Ground
from edge.people import People

HALL = np.array([[0.0, 0.0], [16.0, 0.0], [16.0, 6.0], [0.0, 6.0]])
GROUND = Ground.lay(HALL, RADIUS_M)
seeds = st.integers(0, 10_000)


def hall(seed: int, per_m2: float, speed: float, weak: float, n: int | None = None) -> People:
    rng = np.random.default_rng(seed)
    n = n or round(per_m2 * 96)
    at = rng.uniform((0, 0), (16, 6), (n, 2))
    way = np.where(rng.random(n) < weak, -1.0, 1.0)
    velocity = np.column_stack((way * speed, np.zeros(n))) + rng.normal(0, 0.05, (n, 2))
    return People.of(at, 1.0, 0.1, velocity)


def test_dense_opposed_and_slowed_is_a_danger():
    found = counterflow(hall(1, 3.0, 0.25, 0.45), GROUND)
    assert found.danger
    assert found.density_per_m2 > 2
    assert 0.2 < found.weak_share <= 0.5
    assert 0 < found.weak_share_stderr < 0.2
    assert found.density_stderr_per_m2 > 0
    assert found.speed_m_s == pytest.approx(0.26, abs=0.03)
    assert found.opposed_per_m_s > 0.1
    assert min(abs(found.axis_deg), 180 - abs(found.axis_deg)) < 15
    assert 0 <= found.place[0] <= 16


@pytest.mark.parametrize(
    "people",
    [
        hall(2, 0.8, 0.25, 0.45),  # not dense
        hall(2, 3.0, 0.25, 0.0),  # one way
        hall(2, 2.2, 0.9, 0.45),  # nobody is slowed: lanes work
        hall(2, 3.0, 0.02, 0.45),  # all stand
        People.of([[8, 3], [8.4, 3.2]], velocity=[[1, 0], [-1, 0]]),  # two pass each other
        People.of([]),
    ],
    ids=["sparse", "one way", "fluent", "standing", "two", "nobody"],
)
def test_one_of_the_three_missing_is_none(people):
    found = counterflow(people, GROUND)
    assert found.danger is False
    assert found.unavailable is None


def test_two_who_pass_within_a_crowd_of_standing_people_are_none():
    rng = np.random.default_rng(3)
    at = rng.uniform((0, 0), (16, 6), (300, 2))
    velocity = rng.normal(0, 0.03, (300, 2))
    velocity[:2] = [[0.4, 0], [-0.4, 0]]
    assert not counterflow(People.of(at, velocity=velocity), GROUND).danger


def test_opposition_in_one_corner_of_a_calm_hall_is_found():
    people = hall(4, 0.3, 1.2, 0.0)
    rng = np.random.default_rng(4)
    at = rng.uniform((11, 1), (15, 5), (56, 2))
    way = np.where(np.arange(56) % 2, 1.0, -1.0)
    knot = People.of(at, velocity=np.column_stack((np.zeros(56), 0.3 * way)))
    found = counterflow(people.join(knot), GROUND)
    assert found.danger
    assert 10.5 < found.place[0] < 15.5
    assert abs(abs(found.axis_deg) - 90) < 20


def same(a: Counterflow, b: Counterflow, abs_: float = 1e-6) -> None:
    assert a.danger == b.danger
    for name in ("weak_share", "density_per_m2", "speed_m_s", "opposed_per_m_s"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), abs=abs_)


@given(seeds, st.floats(-3, 3), st.floats(-40, 40))
@settings(max_examples=6, deadline=None)
def test_order_and_frame_mean_nothing(seed, angle, shift):
    people = hall(seed, 3.0, 0.25, 0.4)
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, s], [-s, c]])
    order = np.random.default_rng(seed).permutation(len(people))
    moved = People.of(people.at @ turn + shift, 1.0, 0.1, people.velocity @ turn).select(order)
    same(counterflow(people, GROUND), counterflow(moved, Ground.lay(HALL @ turn + shift, RADIUS_M)), 1e-4)


@given(seeds)
@settings(max_examples=5, deadline=None)
def test_somebody_far_away_changes_nothing(seed):
    people = hall(seed, 3.0, 0.25, 0.4)
    near = people.select(people.at[:, 0] < 6)
    far = People.of([[15.9, 5.9]], velocity=[[0.0, 0.0]])
    same(counterflow(near, GROUND), counterflow(near.join(far), GROUND))


def test_unknown_velocities_are_said():
    people = hall(5, 3.0, 0.25, 0.4)
    blind = People.of(people.at)
    assert counterflow(blind, GROUND).unavailable == "velocities of most people are unknown"
    assert counterflow(blind, GROUND).danger is None


@pytest.mark.parametrize(
    "bad",
    [
        {"density_per_m2": 0},
        {"weak_share": 0.6},
        {"slowed_ratio": 0},
        {"standing_m_s": -1},
        {"least_people": 1},
    ],
)
def test_limits_are_checked(bad):
    with pytest.raises(ValueError, match=r"must|not below"):
        CounterflowLimits(**bad)


def test_who_is_pushed_to_and_fro_has_no_way():
    at = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    state = Ways()
    for k in range(31):
        t, push = k * 0.1, 0.1 * (-1) ** k
        walked = at + np.array([[push, 0.0], [0.5 * t, 0.0], [0.0, 0.0]])
        velocity = [[20 * push, 0.0], [0.5, 0.0], [0.3, 0.0]]
        people = People.of(walked, velocity=velocity, keys=[7, 8, -1])
        state, steady = step_ways(state, people, t)
    assert steady.velocity == pytest.approx(np.array([[0.0, 0.0], [0.5, 0.0], [0.3, 0.0]]), abs=1e-6)
    assert set(state.footprints) == {7, 8}
    assert all(len(past) <= 22 for past in state.footprints.values())
    state, _ = step_ways(state, People.of(at[:1], keys=[9]), 4.0)
    assert set(state.footprints) == {9}


def test_a_few_who_cross_a_standing_crowd_are_no_streams():
    xs, ys = np.meshgrid(np.arange(0.25, 6, 0.5), np.arange(0.25, 6, 0.5))
    at = np.column_stack((xs.ravel(), ys.ravel()))
    velocity = np.zeros_like(at)
    velocity[::8], velocity[4::8] = (0.0, 0.4), (0.0, -0.4)
    ground = Ground.lay([[0, 0], [6, 0], [6, 6], [0, 6]], RADIUS_M)
    found = counterflow(People.of(at, velocity=velocity), ground)
    assert found.danger is False
    assert found.weak_share == pytest.approx(0.125, abs=0.06)
