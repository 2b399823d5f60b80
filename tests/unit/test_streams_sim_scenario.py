"""What happens in the scenarios, seen from where people truly are."""

from itertools import pairwise

import numpy as np
import pytest

from streams.errors import SourceUrlError
from streams.sim.clip import scene_truth
from streams.sim.density import density
from streams.sim.geometry import inside
from streams.sim.places import PLACES, Zone
from streams.sim.scenario import SCENARIOS, build
from streams.sim.spec import SceneSpec

EVERYWHERE = pytest.mark.parametrize("place", sorted(PLACES))


def _events(scenario: str, place: str, seconds: float, seed: int = 1):
    return scene_truth(SceneSpec(scenario, place, seed, seconds=seconds))


@EVERYWHERE
def test_when_people_only_walk_nothing_happens(place: str) -> None:
    assert _events("walk", place, 25.0) == ()


@EVERYWHERE
def test_intruders_come_one_at_a_time_again_and_again(place: str) -> None:
    events = _events("intrusion", place, 80.0, seed=5)
    assert {event.kind for event in events} == {"hazard.intrusion"}
    assert 2 <= len(events) <= 3
    assert all(event.people == 1 for event in events)
    assert all(event.end_s - event.begin_s > 3.0 for event in events)
    assert all(later.begin_s - earlier.end_s > 6.0 for earlier, later in pairwise(events))
    assert events[0].begin_s < 8.0


@EVERYWHERE
def test_a_short_clip_has_one_whole_intrusion(place: str) -> None:
    (event,) = _events("intrusion", place, 20.0)
    assert 0.0 < event.begin_s < event.end_s < 19.0


@EVERYWHERE
def test_the_line_is_crossed_both_ways(place: str) -> None:
    events = _events("line", place, 60.0)
    assert {event.kind for event in events} == {"hazard.line"}
    assert {event.direction for event in events} == {"left", "right"}
    assert len(events) >= 3
    assert all(event.begin_s == event.end_s for event in events)


@EVERYWHERE
def test_a_short_clip_has_a_crossing(place: str) -> None:
    assert len(_events("line", place, 15.0)) >= 1


@EVERYWHERE
def test_a_crowd_builds_up_to_danger_and_dissolves(place: str) -> None:
    (event,) = _events("crowding", place, 75.0)
    assert event.kind == "crowd.density"
    assert event.zone == PLACES[place].crowd.id
    assert 5.5 <= event.worst_cell_per_m2 <= 8.0
    assert 2.0 < event.begin_s < 30.0
    assert 50.0 < event.end_s < 74.0


def test_a_short_clip_has_a_whole_crowd() -> None:
    (event,) = _events("crowding", "plaza", 24.0)
    assert event.worst_cell_per_m2 >= 3.5
    assert event.end_s < 23.9


def test_an_endless_scene_gathers_a_crowd_again() -> None:
    scene = build("crowding", seed=2, people=0)
    zone = scene.place.crowd.corners
    worst = [density(scene.at(t).ground, zone).worst_cell_per_m2 for t in (1.0, 48.0, 76.0, 123.0)]
    assert worst[0] < 1.5
    assert worst[1] >= 4.0
    assert worst[2] < 2.0
    assert worst[3] >= 4.0


@EVERYWHERE
def test_a_quiet_place_is_empty_but_for_one_visit(place: str) -> None:
    spec = SceneSpec("quiet", place, 1, seconds=40.0)
    assert len(scene_truth(spec)) == 1
    scene = spec.scene()
    people = [len(scene.at(time_s)) for time_s in np.arange(0.0, 40.0, 0.5)]
    assert max(people) == 1
    assert not any(people[:15])
    assert not any(people[-10:])


def test_a_quiet_place_has_both_kinds_of_visits_with_long_pauses_between() -> None:
    events = _events("quiet", "plaza", 640.0)
    assert [event.kind for event in events] == ["hazard.intrusion", "hazard.line"] * 2
    assert all(later.begin_s - earlier.end_s > 100.0 for earlier, later in pairwise(events))


def test_events_agree_with_positions() -> None:
    spec = SceneSpec("intrusion", "gate", seed=4, seconds=60.0)
    events = scene_truth(spec)
    scene = spec.scene()
    zone = scene.place.restricted.corners
    for time_s in np.arange(0.0, 59.9, 0.2):
        occupied = bool(inside(scene.at(float(time_s)).ground, zone).any())
        near_edge = any(min(abs(time_s - e.begin_s), abs(time_s - e.end_s)) < 0.1 for e in events)
        assert near_edge or occupied == any(e.begin_s <= time_s < e.end_s for e in events)


def test_the_picture_rate_does_not_change_the_walk() -> None:
    slow, fast = build("line", seed=8), build("line", seed=8)
    for k in range(300):
        fast.at(k / 30)
    for k in range(50):
        slow.at(k / 5)
    one, other = slow.at(10.0), fast.at(10.0)
    assert np.array_equal(one.number, other.number)
    assert np.array_equal(one.ground, other.ground)


def test_the_same_seed_is_the_same_walk_and_another_is_not() -> None:
    first, again, other = (build("walk", seed=seed).at(12.0) for seed in (3, 3, 4))
    assert np.array_equal(first.ground, again.ground)
    assert first.ground.shape != other.ground.shape or not np.allclose(first.ground, other.ground)


def test_between_two_steps_people_are_between_two_places() -> None:
    scene = build("walk", seed=1)
    before, between, after = (scene.at(t).ground for t in (5.00, 5.02, 5.04))
    assert between == pytest.approx((before + after) / 2, abs=1e-9)


def test_time_only_goes_on() -> None:
    scene = build("walk")
    scene.at(2.0)
    with pytest.raises(ValueError, match="already"):
        scene.at(1.0)


def test_as_many_people_as_asked_for() -> None:
    crowds = [len(build("walk", seed=1, people=people).at(15.0)) for people in (0, 12, 120)]
    assert crowds[0] == 0
    assert 4 <= crowds[1] <= 24
    assert 70 <= crowds[2] <= 170


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "riot"}, ", ".join(sorted(SCENARIOS))),
        ({"name": "walk", "place": "moon"}, "gate, passage, platform, plaza, stadium"),
        ({"name": "walk", "people": 1000}, "people"),
        ({"name": "walk", "seconds": 0.0}, "seconds"),
        ({"name": "walk", "seed": -1}, "seed"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(arguments, message: str) -> None:
    with pytest.raises(SourceUrlError, match=message):
        build(**arguments)


def test_every_scenario_says_what_it_is() -> None:
    assert set(SCENARIOS) >= {"walk", "intrusion", "line", "crowding"}
    assert all(scenario.title for scenario in SCENARIOS.values())


def test_a_zone_needs_an_area() -> None:
    with pytest.raises(ValueError, match="three corners"):
        Zone("thin", ((0.0, 0.0), (1.0, 1.0)))


def test_density_of_a_known_crowd() -> None:
    zone = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)])
    people = np.array([(5.0, 5.0), (5.2, 5.0), (5.0, 5.2), (9.0, 1.5), (20.0, 20.0)])
    found = density(people, zone)
    assert (found.count, found.mean_per_m2) == (4, 0.04)
    assert found.worst_cell_per_m2 == pytest.approx(0.75)
    assert density(np.zeros((0, 2)), zone).worst_cell_per_m2 == 0.0


def test_beyond_the_edge_of_a_zone_nobody_can_stand() -> None:
    zone = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)])
    at_wall = density(np.array([(5.0, 0.01)]), zone).worst_cell_per_m2
    in_corner = density(np.array([(0.01, 0.01)]), zone).worst_cell_per_m2
    assert at_wall == pytest.approx(0.5, rel=0.05)
    assert in_corner == pytest.approx(0.5, rel=0.01)
