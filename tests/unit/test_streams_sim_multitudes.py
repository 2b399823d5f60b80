"""Scenes with hundreds of people: they get as dense as they should, pass no wall, stay calm where told to."""

import numpy as np
import pytest

from streams.errors import SourceUrlError
from streams.sim.clip import crowd_truth, scene_truth
from streams.sim.geometry import passed
from streams.sim.places import PLACES, Fence
from streams.sim.scenario import CALM_EVERY, SCENARIOS, build
from streams.sim.spec import SceneSpec, parse_address
from streams.sim.world import TICK_S

CROWDS = [
    ("crowding", "plaza", 24.0),
    ("counterflow", "passage", 28.0),
    ("surge", "plaza", 16.0),
    ("bottleneck", "stadium", 40.0),
    ("evacuation", "stadium", 16.0),
]
"""Each long enough for all that its scenario should show, and no longer; a calm crowd that must gather in
less than 24 s becomes too dense to be calm."""


@pytest.fixture(scope="module")
def truths():
    return {name: crowd_truth(SceneSpec(name, place, 2, seconds=s, fps=5)) for name, place, s in CROWDS}


@pytest.mark.parametrize(
    ("name", "worst"), [("crowding", 1), ("counterflow", 2), ("bottleneck", 3), ("evacuation", 1)]
)
def test_a_crowd_reaches_every_level_of_danger(truths, name: str, worst: int) -> None:
    reached = [moment for moment in truths[name].moments if moment.kind == "crowd.density"]
    levels = range(4, worst - 1, -1)
    begins = [min(m.begin_s for m in reached if m.level == level) for level in levels]
    assert begins == sorted(begins)
    assert 3.0 <= max(look.worst_cell_per_m2 for look in truths[name].looks) <= 9.0


def test_two_streams_meet_against_each_other(truths) -> None:
    assert {m.level for m in truths["counterflow"].moments if m.kind == "crowd.counterflow"} >= {4, 3, 2}
    (flow,) = truths["counterflow"].flows
    assert min(len(flow.right_s), len(flow.left_s)) > 20


def test_a_crowd_that_runs_is_a_surge(truths) -> None:
    (surge,) = (moment for moment in truths["surge"].moments if moment.kind == "crowd.surge")
    assert surge.people >= 10
    assert surge.end_s - surge.begin_s < 12.0


def test_a_gate_passes_about_what_gates_pass(truths) -> None:
    gate = truths["bottleneck"].flows[0]
    through = [at for at in gate.right_s if 20.0 <= at < 40.0]
    assert 0.5 <= len(through) / 20.0 / gate.width_m <= 1.6


def test_all_who_leave_go_out_by_the_gates(truths) -> None:
    flows = truths["evacuation"].flows
    assert sum(len(flow.right_s) for flow in flows) > 100
    assert sum(len(flow.left_s) for flow in flows) <= 5


@pytest.mark.parametrize(("name", "place", "seconds"), CROWDS)
def test_calm_seeds_stay_calm(name: str, place: str, seconds: float) -> None:
    truth = crowd_truth(SceneSpec(name, place, CALM_EVERY - 1, seconds=seconds, fps=5))
    assert truth.moments == ()
    assert max(look.count for look in truth.looks) >= 5


@pytest.mark.parametrize(("name", "place", "at_s"), [("evacuation", "stadium", 3.0), ("surge", "gate", 6.0)])
def test_the_same_seed_is_the_same_crowd(name: str, place: str, at_s: float) -> None:
    one, other = (build(name, place=place, seed=6, seconds=25.0, people=150).at(at_s) for _ in range(2))
    assert np.array_equal(one.number, other.number)
    assert np.array_equal(one.ground, other.ground)
    assert np.array_equal(one.velocity, other.velocity)


def test_five_hundred_pass_no_wall_and_do_not_melt_into_each_other() -> None:
    scene = build("evacuation", place="stadium", seed=1, seconds=30.0, people=500)
    walls, gaps = scene.place.walls, []

    def watch(time_s: float, crowd) -> None:
        assert not passed(crowd.before, crowd.position, walls).any()
        if round(time_s / TICK_S) % 25 == 0 and len(crowd) > 1:
            away = np.hypot(*(crowd.position[:, None] - crowd.position).T)
            gaps.append(float((away + np.eye(len(crowd)) * 9).min()))

    scene.observe(watch)
    assert len(scene.at(0.0)) == 500
    scene.at(6.0)
    assert min(gaps) > 0.2


def test_an_endless_crowd_comes_again() -> None:
    scene = build("surge", place="plaza", seed=5, people=12)
    assert len(scene.at(1.0)) > 8
    assert len(scene.at(155.0)) > 3


@pytest.mark.parametrize("name", ["counterflow", "bottleneck", "evacuation"])
def test_a_scenario_with_a_home_plays_only_there(name: str) -> None:
    home = SCENARIOS[name].home
    with pytest.raises(SourceUrlError, match=f"plays at {home}, not at gate"):
        SceneSpec(name, "gate")
    with pytest.raises(SourceUrlError, match="plays at"):
        build(name, place="gate")
    assert parse_address(f"sim://?scenario={name}").spec.place == home


def test_nobody_walks_where_a_crowd_scene_has_no_passers_by() -> None:
    assert scene_truth(SceneSpec("evacuation", "stadium", 4, seconds=5.0)) == ()


def test_a_fence_is_drawn_in_pieces_and_goes_along_an_axis() -> None:
    panels = Fence((0.0, 0.0), (5.0, 0.0)).panels
    assert len(panels) == 3
    assert all(panel.kind == "fence" for panel in panels)
    with pytest.raises(ValueError, match="along x or y"):
        Fence((0.0, 0.0), (1.0, 1.0))


def test_gates_lie_in_the_fence_with_the_yard_on_their_left() -> None:
    place = PLACES["stadium"]
    middle = np.array(place.yard).mean(axis=0)
    for gate in place.gates:
        (x0, y0), (x1, y1) = gate.points
        assert (x1 - x0) * (middle[1] - y0) - (y1 - y0) * (middle[0] - x0) > 0
