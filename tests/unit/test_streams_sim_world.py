"""People under social forces: nobody passes a wall, nobody flies, and the same seed walks the same way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.sim import forces
from streams.sim.geometry import edges, inside
from streams.sim.near import pairs
from streams.sim.world import MAX_SPEED_M_S, TICK_S, WALL_GAP_M, Stop, World

ROOM = np.array([(0.0, 0.0), (6.0, 0.0), (6.0, 6.0), (0.0, 6.0)])
NO_WALLS = np.zeros((0, 2, 2))
PEOPLE = st.lists(
    st.tuples(st.floats(0.5, 5.5), st.floats(0.5, 5.5), st.floats(-4, 10), st.floats(-4, 10)),
    min_size=1,
    max_size=25,
)


@given(people=PEOPLE)
def test_forces_between_people_cancel(people) -> None:
    table = np.array(people)
    ease = np.zeros(len(table))
    push = forces.pair_forces(table[:, :2], table[:, 2:] / 4, np.full(len(table), 0.2), ease)
    assert push.sum(axis=0) == pytest.approx((0.0, 0.0), abs=1e-6 * max(1.0, float(np.abs(push).max())))
    assert np.isfinite(push).all()


def test_two_people_push_each_other_apart_and_less_when_far() -> None:
    def push(gap: float) -> float:
        at = np.array([(0.0, 0.0), (gap, 0.0)])
        return float(forces.pair_forces(at, np.zeros((2, 2)), np.full(2, 0.2), np.zeros(2))[1, 0])

    assert push(0.3) > push(0.6) > push(1.2) > 0
    assert push(5.0) == 0


def test_people_at_ease_only_feel_contact() -> None:
    at = np.array([(0.0, 0.0), (0.6, 0.0)])
    calm = forces.pair_forces(at, np.zeros((2, 2)), np.full(2, 0.2), np.ones(2))
    assert np.abs(calm).max() == 0
    at[1, 0] = 0.3
    assert forces.pair_forces(at, np.zeros((2, 2)), np.full(2, 0.2), np.ones(2))[1, 0] == pytest.approx(24.0)


@settings(max_examples=15, deadline=None)
@given(people=PEOPLE)
def test_nobody_leaves_a_room_whose_walls_stand_or_goes_too_fast(people) -> None:
    world, taken = World(edges(ROOM), NO_WALLS), np.zeros((0, 2))
    for x, y, goal_x, goal_y in people:
        # Nobody begins within somebody else: those would be put apart at once, faster than anybody goes.
        if (np.hypot(*(taken - (x, y)).T) > 2 * forces.LEAST_GAP_M).all():
            taken = np.vstack((taken, (x, y)))
            world.enter((x, y), [Stop((goal_x, goal_y), until_s=100.0)], speed=1.5)
    for _ in range(100):
        world.step()
        assert inside(world.crowd.position, ROOM).all()
        moved = world.crowd.position - world.crowd.before
        speed = np.hypot(moved[:, 0], moved[:, 1]) / TICK_S
        touching = np.minimum(world.crowd.position, 6 - world.crowd.position).min(axis=1) < 2 * WALL_GAP_M
        assert (speed[~touching] <= 1.5 * forces.MAX_SPEED_RATIO + 1e-3).all()
        assert (speed <= MAX_SPEED_M_S + 2 * WALL_GAP_M / TICK_S).all()


def test_courtesy_walls_hold_those_who_are_not_free() -> None:
    fence = np.array([[(2.0, -5.0), (2.0, 5.0)]])
    world = World(NO_WALLS, fence)
    for y, free in ((-1.0, False), (1.0, True)):
        world.enter((0.0, y), [Stop((4.0, y), until_s=20.0)], speed=1.3, free=free)
    for _ in range(150):
        world.step()
    held, passed = world.crowd.position[:, 0]
    assert held < 2.0 < passed


def test_an_errand_walks_waits_and_ends() -> None:
    world = World(NO_WALLS, NO_WALLS)
    number = world.enter((0.0, 0.0), [Stop((3.0, 0.0), wait_s=2.0), Stop((3.0, 3.0))], speed=1.0)
    assert number == 0
    stood, there = 0, 0.0
    while len(world.crowd) and world.ticks < 1000:
        world.step()
        if len(world.crowd) and world.crowd.standing[0]:
            stood += 1
            there = float(np.hypot(*(world.crowd.position[0] - (3.0, 0.0))))
    assert stood * TICK_S == pytest.approx(2.0, abs=2 * TICK_S)
    assert there < 0.2
    assert 6.0 < world.time_s < 12.0
    assert world.enter((0.0, 0.0), [Stop((1.0, 0.0))], speed=1.0) == 1


def test_who_cannot_get_there_gives_up_in_time() -> None:
    world = World(edges(ROOM), NO_WALLS)
    world.enter((3.0, 3.0), [Stop((20.0, 3.0), until_s=4.0), Stop((3.0, 3.0), until_s=60.0)], speed=1.3)
    for _ in range(round(10.0 / TICK_S)):
        world.step()
    assert np.hypot(*(world.crowd.position[0] - (3.0, 3.0))) < 0.5


def test_walkers_face_where_they_go_and_keep_facing_so_when_they_stand() -> None:
    world = World(NO_WALLS, NO_WALLS)
    world.enter((0.0, 0.0), [Stop((0.0, 4.0), wait_s=30.0)], speed=1.3)
    for _ in range(200):
        world.step()
    assert world.crowd.standing[0]
    assert world.crowd.heading[0] == pytest.approx(np.pi / 2, abs=0.15)
    assert world.crowd.walked[0] == pytest.approx(4.0, abs=0.3)


def test_people_who_meet_head_on_pass_each_other() -> None:
    world = World(NO_WALLS, NO_WALLS)
    world.enter((0.0, 0.0), [Stop((10.0, 0.0))], speed=1.3)
    world.enter((10.0, 0.0), [Stop((0.0, 0.0))], speed=1.3)
    nearest = 10.0
    while len(world.crowd) == 2 and world.ticks < 500:
        nearest = min(nearest, float(np.hypot(*(world.crowd.position[0] - world.crowd.position[1]))))
        world.step()
    assert world.time_s < 12.0
    assert nearest > 0.35


def weidmann(per_m2: float) -> float:
    return 1.34 * (1.0 - np.exp(-1.913 * (1.0 / per_m2 - 1.0 / 5.4)))


@pytest.mark.parametrize("per_m2", [0.5, 1.0, 2.0, 4.0])
def test_in_a_corridor_speed_falls_with_density_as_weidmann_measured(per_m2: float) -> None:
    length, width, rng = 16.0, 3.0, np.random.default_rng(1)
    world = World(np.array([[(-40.0, 0.0), (90.0, 0.0)], [(-40.0, width), (90.0, width)]]), NO_WALLS)
    columns = max(1, round(2.6 * per_m2**0.5))
    far = Stop((200.0, 0.2), across=(200.0, width - 0.2))
    for k in range(count := round(per_m2 * length * width)):
        at = ((k // columns + 0.5) * length * columns / count, 0.2 + (k % columns + 0.5) * 2.6 / columns)
        speed = float(np.clip(rng.normal(1.34, 0.26), 0.9, 1.8))
        world.enter((at[0], at[1] + rng.normal(0, 0.03)), [far], speed=speed, push=0.0)
    seen = []
    for tick in range(400):
        world.step()
        crowd = world.crowd
        over = crowd.position[:, 0] > length
        crowd.position[over, 0] -= length
        if tick >= 200 and tick % 10 == 0:
            here = (crowd.position[:, 0] > 4.0) & (crowd.position[:, 0] < 10.0)
            seen.append((here.sum() / (6.0 * width), float(crowd.velocity[here, 0].mean())))
    density, speed = np.mean(seen, axis=0)
    assert speed == pytest.approx(weidmann(density), abs=0.17)


def test_bodies_do_not_melt_into_each_other_however_many_push() -> None:
    rng = np.random.default_rng(4)
    world = World(edges(ROOM), NO_WALLS)
    for x, y in rng.uniform(0.5, 5.5, (150, 2)):
        world.enter((x, y), [Stop((3.0, 3.0), until_s=99.0)], speed=1.3, push=0.5)
    for _ in range(200):
        world.step()
    assert inside(world.crowd.position, ROOM).all()
    away = np.hypot(*(world.crowd.position[:, None] - world.crowd.position).T)
    assert (away + 9 * np.eye(150)).min() > 0.24


@pytest.mark.parametrize("count", [10, 200])
def test_pairs_are_all_who_are_near_each_other(count: int) -> None:
    points = np.random.default_rng(count).uniform(0, 9, (count, 2))
    first, second = pairs(points, 1.1)
    found = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    away = np.hypot(*(points[:, None] - points).T)
    assert found == {frozenset(pair) for pair in np.argwhere((away < 1.1) & (away > 0)).tolist()}
    assert len(first) == len(found)


def test_anywhere_across_a_gate_will_do() -> None:
    world = World(NO_WALLS, NO_WALLS)
    world.enter((0.0, 1.5), [Stop((5.0, 0.0), across=(5.0, 3.0)), Stop((9.0, 1.5), speed=2.0)], speed=1.0)
    highest = 0.0
    while len(world.crowd):
        world.step()
        highest = max([highest, *np.hypot(*world.crowd.velocity.T)])
        assert (np.abs(world.crowd.position[:, 1] - 1.5) < 0.2).all()
    assert highest == pytest.approx(2.0, abs=0.1)
    with pytest.raises(ValueError, match="push"):
        world.enter((0.0, 0.0), [Stop((1.0, 0.0))], speed=1.0, push=1.5)


@pytest.mark.parametrize(
    ("stops", "speed", "message"),
    [([], 1.0, "stop"), ([Stop((1.0, 1.0))], 0.0, "speed"), ([Stop((1.0, 1.0))], 9.0, "speed")],
)
def test_impossible_people_are_refused(stops, speed: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        World(NO_WALLS, NO_WALLS).enter((0.0, 0.0), stops, speed=speed)


def test_walls_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="courtesy"):
        World(NO_WALLS, np.zeros((3, 2)))
