"""Things go their way: they stop where they are told to, wait for people, and people walk around them."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streams.sim import detour
from streams.sim.geometry import edges
from streams.sim.things import FOOTPRINTS, Thing, base
from streams.sim.traffic import CREEP_M_S, FORESIGHT_S, HARD_BRAKING_M_S2, PATIENCE_S, Traffic
from streams.sim.world import TICK_S, Crowd, Stop, World

NOBODY = Crowd()
NO_WALLS = np.zeros((0, 2, 2))
ROOM = edges(np.array([(-30.0, -30.0), (30.0, -30.0), (30.0, 30.0), (-30.0, 30.0)]))
METRES = st.floats(-12.0, 12.0)
RECTANGLES = st.tuples(METRES, METRES, st.floats(-4.0, 4.0), st.floats(0.3, 5.0), st.floats(0.3, 1.5))


def crowd_of(*spots: tuple[float, float]) -> Crowd:
    world = World(NO_WALLS, NO_WALLS)
    for spot in spots:
        world.enter(spot, [Stop(spot, until_s=900.0)], speed=1.3)
    return world.crowd


def drive(
    traffic: Traffic, seconds: float, crowd: Crowd = NOBODY, start_s: float = 0.0
) -> list[Thing | None]:
    """The first thing after each step."""
    seen = []
    for k in range(1, round(seconds / TICK_S) + 1):
        traffic.step(start_s + k * TICK_S, crowd)
        seen.append(traffic.get(0))
    return seen


def test_a_car_comes_stops_as_long_as_told_and_leaves() -> None:
    traffic = Traffic()
    stops = (Stop((0.0, 5.0), wait_s=6.0), Stop((20.0, 5.0)))
    assert traffic.drive("car", (-20.0, 5.0), stops, 5.0, 0.0, ridden=False) == 0
    seen = [thing for thing in drive(traffic, 30.0) if thing is not None]
    assert traffic.get(0) is None
    assert len(traffic) == 0
    standing = [thing for thing in seen if thing.parked_s > 0]
    assert {thing.ground for thing in standing} == {standing[0].ground}
    assert standing[0].ground == pytest.approx((0.0, 5.0), abs=0.1)
    assert standing[-1].parked_s == pytest.approx(6.0, abs=2 * TICK_S)
    assert seen[-1].ground[0] == pytest.approx(20.0, abs=0.5)
    assert all(thing.heading == 0.0 for thing in seen)


@settings(max_examples=20)
@given(
    stops=st.lists(st.tuples(METRES, METRES, st.sampled_from((0.0, 0.0, 1.0))), min_size=1, max_size=5),
    speed=st.floats(0.8, 8.0),
    kind=st.sampled_from(("car", "bus", "bicycle", "dog")),
)
def test_nothing_jumps_or_goes_too_fast_and_all_come_to_the_end(stops, speed: float, kind) -> None:
    way = [(-14.0, 0.0), *((x, y) for x, y, _ in stops)]
    assume(all(math.dist(one, other) > 0.5 for one, other in pairwise(way)))
    traffic = Traffic()
    traffic.drive(
        kind, way[0], tuple(Stop((x, y), wait_s=wait) for x, y, wait in stops), speed, 0.0, ridden=False
    )
    before, before_m_s = traffic.get(0), speed
    for thing in drive(traffic, 400.0):
        if thing is None:
            break
        assert before is not None
        moved_m_s = (thing.moved_m - before.moved_m) / TICK_S
        assert -1e-9 <= moved_m_s <= speed + 1e-6
        assert math.dist(thing.ground, before.ground) <= speed * TICK_S * 1.01 + 1e-5
        assert moved_m_s >= before_m_s - HARD_BRAKING_M_S2 * TICK_S - 0.06 / TICK_S
        before, before_m_s = thing, moved_m_s
    assert traffic.get(0) is None


def test_corners_are_cut_but_stops_are_not() -> None:
    traffic = Traffic()
    stops = (Stop((0.0, 0.0)), Stop((0.0, 10.0), wait_s=2.0), Stop((10.0, 10.0)))
    traffic.drive("bicycle", (-10.0, 0.0), stops, 3.0, 0.0, ridden=True)
    spots = np.array([thing.ground for thing in drive(traffic, 40.0) if thing is not None])
    assert np.hypot(*spots.T).min() > 1.0
    assert np.hypot(*(spots - (0.0, 10.0)).T).min() < 0.1


def test_it_waits_for_people_in_front_then_creeps_on() -> None:
    traffic = Traffic()
    traffic.drive("car", (-20.0, 0.0), (Stop((20.0, 0.0)),), 5.0, 0.0, ridden=False)
    crowd = crowd_of((0.0, 0.3))
    seen = drive(traffic, 4.0 + PATIENCE_S + 3.0, crowd)
    front = FOOTPRINTS["car"][0] / 2
    waiting = [thing for thing in seen if thing is not None and thing.parked_s > 1.0]
    assert waiting
    assert waiting[0].ground[0] + front < -0.3
    assert seen[-1] is not None
    assert seen[-1].ground[0] > waiting[0].ground[0]
    crept = (seen[-1].moved_m - seen[-10].moved_m) / (9 * TICK_S)  # type: ignore[union-attr]
    assert crept == pytest.approx(CREEP_M_S, abs=0.05)


def test_a_dog_waits_for_nobody_and_people_beside_the_way_stop_nobody() -> None:
    for kind, spot in (("dog", (0.0, 0.0)), ("car", (0.0, 2.0))):
        traffic = Traffic()
        traffic.drive(kind, (-8.0, 0.0), (Stop((8.0, 0.0)),), 4.0, 0.0, ridden=False)
        assert all(thing is None or thing.parked_s == 0 for thing in drive(traffic, 6.0, crowd_of(spot)))
        assert traffic.get(0) is None


def test_what_a_drive_needs() -> None:
    traffic = Traffic()
    for stops, speed, message in (
        ((), 1.0, "needs stops"),
        ((Stop((1.0, 0.0)),), 0.0, "positive speed"),
        ((Stop((0.0, 0.0)),), 1.0, "away from its start"),
    ):
        with pytest.raises(ValueError, match=message):
            traffic.drive("car", (0.0, 0.0), stops, speed, 0.0, ridden=False)
    assert len(traffic) == 0


def test_what_is_put_stands_until_it_is_taken() -> None:
    traffic = Traffic()
    number = traffic.put("box", (1.0, 2.0), 0.5, 0.0)
    seen = drive(traffic, 2.0)
    assert seen[-1] == Thing(number, "box", (1.0, 2.0), 0.5, parked_s=2.0)
    traffic.take(number)
    assert traffic.things == ()
    with pytest.raises(KeyError):
        traffic.take(number)
    assert traffic.put("bag", (0.0, 0.0), 0.0, 2.0) == number + 1


def test_a_bag_is_carried_put_down_and_taken_up_again() -> None:
    world, traffic = World(ROOM, NO_WALLS), Traffic()
    person = world.enter((0.0, 0.0), [Stop((4.0, 0.0), wait_s=4.0), Stop((25.0, 0.0))], speed=1.3)
    bag = traffic.carry("bag", person, (0.0, 0.3), 0.4, world.crowd)
    grounds = []
    for k in range(1, 260):
        world.step()
        traffic.step(world.time_s, world.crowd)
        if k == 90:
            traffic.lay(bag, world.time_s)
        if k == 160:
            traffic.pick_up(bag, person, (0.0, 0.3), 0.4)
        thing = traffic.get(bag)
        assert thing is not None
        grounds.append(thing.ground)
        assert thing.parked_s == pytest.approx(max(0.0, (k - 90) * TICK_S) if k < 160 else 0.0, abs=1e-6)
        assert thing.up_m == (0.0 if 90 <= k < 160 else 0.4)
    assert len(set(grounds[90:158])) == 1
    assert grounds[89][0] > 3.0
    assert math.dist(grounds[-1], world.crowd.position[0]) == pytest.approx(0.3, abs=0.01)
    while len(world.crowd):
        world.step()
        traffic.step(world.time_s, world.crowd)
    assert traffic.get(bag) is None  # it left with who carried it


def test_nobody_carries_nothing() -> None:
    traffic = Traffic()
    with pytest.raises(ValueError, match="number 7"):
        traffic.carry("bag", 7, (0.0, 0.3), 0.4, NOBODY)
    assert len(traffic) == 0
    with pytest.raises(KeyError):
        traffic.lay(0, 1.0)
    with pytest.raises(KeyError):
        traffic.pick_up(0, 1, (0.0, 0.0), 0.0)


def test_between_two_steps_it_is_between_two_places_and_turns_the_short_way() -> None:
    traffic = Traffic()
    stops = (Stop((-4.0, 0.4)), Stop((-9.0, -0.4)))  # heading passes from below pi to above minus pi
    traffic.drive("dog", (0.0, 0.0), stops, 4.0, 0.0, ridden=False)
    traffic.put("box", (3.0, 3.0), 0.0, 0.0)
    before = traffic.things
    for k in range(1, 50):
        traffic.step(k * TICK_S, NOBODY)
        after, between = traffic.things, traffic.between(0.5)
        assert between[0].ground == pytest.approx(np.add(before[0].ground, after[0].ground) / 2)
        turned = abs(math.remainder(between[0].heading - after[0].heading, 2 * math.pi))
        assert turned <= abs(math.remainder(before[0].heading - after[0].heading, 2 * math.pi)) + 1e-9
        assert between[1].ground == (3.0, 3.0)
        before = after


def test_obstacles_are_what_stands_or_drives_and_where_it_will_be() -> None:
    world, traffic = World(ROOM, NO_WALLS), Traffic()
    person = world.enter((0.0, 0.0), [Stop((4.0, 0.0), until_s=90.0)], speed=1.3)
    assert traffic.obstacles.shape == (0, 5)
    traffic.carry("suitcase", person, (-0.4, 0.2), 0.0, world.crowd)
    traffic.drive("dog", (5.0, 5.0), (Stop((9.0, 9.0)),), 2.0, 0.0, ridden=False)
    traffic.put("box", (3.0, -3.0), 0.0, 0.0)
    traffic.drive("car", (0.0, 9.0), (Stop((20.0, 9.0)),), 5.0, 0.0, ridden=False)
    box, car = traffic.obstacles
    assert box == pytest.approx((3.0, -3.0, 0.0, 0.27, 0.2))
    reach = FORESIGHT_S * 5.0
    assert car[3] == pytest.approx((FOOTPRINTS["car"][0] + reach) / 2)
    assert car[0] + car[3] == pytest.approx(FOOTPRINTS["car"][0] / 2 + reach)


@given(rectangle=RECTANGLES, spots=st.lists(st.tuples(METRES, METRES), min_size=1, max_size=8))
def test_a_reachable_point_is_outside_and_near(rectangle, spots) -> None:
    points, table = np.array(spots), np.array([rectangle])
    moved = detour.reachable(points, table)
    assert np.isfinite(moved).all()
    again = detour.reachable(moved, table, detour.CLEAR_M - 1e-6)
    assert again == pytest.approx(moved, abs=1e-9)
    far = np.hypot(*(points - rectangle[:2]).T) > math.hypot(rectangle[3], rectangle[4]) + 1.0
    assert np.array_equal(moved[far], points[far])


@settings(max_examples=30)
@given(rectangle=RECTANGLES, start=st.tuples(METRES, METRES), goal=st.tuples(METRES, METRES))
def test_who_goes_where_the_detour_says_gets_there_and_through_nothing(rectangle, start, goal) -> None:
    table = np.array([rectangle])
    here, there = detour.reachable(np.array([start, goal]), table, 0.45)
    for _ in range(400):
        aim = detour.around(here[None], there[None], table)[0]
        way = aim - here
        here = here + way * min(1.0, 0.2 / max(float(np.hypot(*way)), 1e-9))
        inner = detour.reachable(here[None], table, 0.0)[0]
        assert inner == pytest.approx(here, abs=0.02)
        if np.hypot(*(there - here)) < 0.25:
            break
    assert np.hypot(*(there - here)) < 0.25


def test_sides_and_rays_of_a_rectangle() -> None:
    rectangle = np.array([0.0, 10.0, math.pi / 2, 2.0, 1.0])  # 4 m along y, 2 m along x
    sides = detour.sides(rectangle[None])
    assert sides.shape == (4, 2, 2)
    assert np.abs(sides[..., 0]).max() == pytest.approx(1.0)
    assert sides[..., 1].min() == pytest.approx(8.0)
    points = np.array([(0.0, 14.0), (0.0, 4.0), (5.0, 10.0)])
    shares = detour.rays(np.zeros(2), points, rectangle, 0.0)
    assert shares == pytest.approx((8 / 14, 2.0, np.inf))


@pytest.mark.parametrize("heading", [0.0, 0.7, math.pi / 2])
def test_people_walk_around_a_parked_car(heading: float) -> None:
    world, traffic = World(ROOM, NO_WALLS), Traffic()
    traffic.put("car", (0.0, 0.0), heading, 0.0)
    for k in range(6):
        world.enter((-8.0, k - 2.5), [Stop((8.0, 2.5 - k), until_s=60.0)], speed=1.4)
    world.enter((-8.0, 4.0), [Stop((0.1, 0.0), until_s=60.0)], speed=1.4)  # whose goal is taken
    corners = base((0.0, 0.0), heading, *FOOTPRINTS["car"])
    middle = np.array([(*corners.mean(axis=0), heading, *(np.array(FOOTPRINTS["car"]) / 2))])
    for _ in range(400):
        world.obstacles = traffic.obstacles
        world.step()
        traffic.step(world.time_s, world.crowd)
        inner = detour.reachable(world.crowd.position, middle, 0.0)
        assert inner == pytest.approx(world.crowd.position, abs=1e-9)
    assert (world.crowd.position[:6, 0] > 7.0).all()
    assert world.crowd.standing[6]
    assert np.hypot(*world.crowd.position[6]) < 3.0
