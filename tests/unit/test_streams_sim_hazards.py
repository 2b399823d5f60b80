"""Hazards in scenes: what is true of them by the zones' rules, and that scripts bring them about."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from api.cli import app
from streams.errors import SourceUrlError
from streams.sim import hazards
from streams.sim.clip import scene_truth, write_clip
from streams.sim.geometry import edges, inside, passed
from streams.sim.grounds import GROUNDS, places_with, with_uses
from streams.sim.marshal import ABANDONED_S, OBSTRUCTION_S, Marshal
from streams.sim.places import PLACES, Use, Zone
from streams.sim.render import Renderer
from streams.sim.scenario import SCENARIOS, build
from streams.sim.spec import SceneSpec
from streams.sim.things import CYCLES, VEHICLES, Kind, Thing
from streams.sim.truth import Truth, TruthEvent

ACTS = {act.name: act for act in hazards.ACTS}
KINDS = {
    "wrongway": "hazard.wrongway",
    "abandoned": "hazard.abandoned",
    "removed": "hazard.removed",
    "obstruction": "hazard.obstruction",
    "forbidden": "hazard.forbidden_object",
}
PLAYED = [(name, place) for name in KINDS for place in places_with(ACTS[name].use)]
STEP_S = 0.2
People = dict[int, tuple[float, float]]


def judged(use: Use, looks: Iterable[tuple[People, tuple[Thing, ...]]]) -> tuple[TruthEvent, ...]:
    """What a marshal of the plaza's zone for `use` says of people and things at every `STEP_S`."""
    marshal, time_s = Marshal(with_uses(PLACES["plaza"], (use,))), 0.0
    for k, (people, things) in enumerate(looks):
        time_s = k * STEP_S
        spots = np.array(list(people.values()), np.float64).reshape(-1, 2)
        crowd = SimpleNamespace(number=np.array(list(people), np.int64), position=spots)
        marshal(time_s, crowd, things)  # type: ignore[arg-type]
    return marshal.events(time_s)


def walk(*spots: tuple[float, float], speed: float = 1.4) -> list[tuple[float, float]]:
    """Places at every `STEP_S` on a way."""
    way = [np.array(spots[0])]
    for spot in spots[1:]:
        gap = np.array(spot) - way[-1]
        steps = max(1, round(float(np.hypot(*gap)) / (speed * STEP_S)))
        way += [way[-1] + gap / steps * (k + 1) for k in range(steps)]
    return [(float(x), float(y)) for x, y in way]


def steps(seconds: float) -> int:
    return round(seconds / STEP_S) + 1


def of_people(way: list[tuple[float, float]]) -> tuple[TruthEvent, ...]:
    return judged("one_way", [({5: spot}, ()) for spot in way])


def test_who_goes_against_the_way_does_so_from_where_they_turned() -> None:
    (event,) = of_people(walk((8.0, 10.0), (-8.0, 10.0)))
    assert (event.kind, event.zone) == ("hazard.wrongway", "one-way")
    assert event.begin_s == pytest.approx(3.5 / 1.4, abs=0.5)
    assert event.end_s == pytest.approx(12.8 / 1.4, abs=0.5)
    (turned,) = of_people(walk((-8.0, 10.0), (2.0, 10.0), (-8.0, 10.0)))
    assert turned.begin_s == pytest.approx(10.0 / 1.4, abs=0.4)
    (twice,) = of_people(walk((8.0, 10.0), (-2.0, 10.0), (8.0, 10.0)))
    assert twice.end_s == pytest.approx((10.0 + 0.8) / 1.4, abs=0.6)


@pytest.mark.parametrize(
    "way",
    [
        walk((-8.0, 10.0), (8.0, 10.0)),
        walk((0.0, 4.0), (0.5, 14.0)),
        walk((2.0, 7.0), (-0.4, 13.0)),
        walk((-8.0, 10.0), (0.0, 10.0), (-1.2, 10.2), (0.2, 10.0), (-1.0, 9.8), (8.0, 10.0)),
        walk((8.0, 14.0), (-8.0, 14.0)),
    ],
    ids=["along", "across", "slanting", "to and fro", "beside it"],
)
def test_who_goes_along_across_or_beside_does_nothing_wrong(way) -> None:
    assert of_people(way) == ()


def test_a_cyclist_against_the_way_counts_and_a_dog_or_what_is_carried_does_not() -> None:
    def told(kind: Kind) -> list[str]:
        looks = [({}, (Thing(0, kind, spot, 3.1),)) for spot in walk((8.0, 10.0), (-8.0, 10.0))]
        return [event.kind for event in judged("one_way", looks)]

    assert told("bicycle") == told("car") == ["hazard.wrongway"]
    assert told("dog") == told("bag") == []


def parked(
    kind: Kind, ground: tuple[float, float], stands_s: float
) -> list[tuple[People, tuple[Thing, ...]]]:
    """Something comes, and then stands for so long."""
    looks: list[tuple[People, tuple[Thing, ...]]] = [({}, ()), ({}, (Thing(3, kind, ground, 0.0),))]
    looks += [({}, (Thing(3, kind, ground, 0.0, parked_s=k * STEP_S),)) for k in range(1, steps(stands_s))]
    return [*looks, ({}, ()), ({}, ())]


def test_what_stands_in_the_fire_lane_too_long_stood_there_from_its_stop() -> None:
    (event,) = judged("fire_lane", parked("van", (1.0, 20.5), OBSTRUCTION_S + 2.0))
    assert (event.kind, event.zone) == ("hazard.obstruction", "fire-lane")
    assert event.begin_s == pytest.approx(STEP_S, abs=0.01)
    assert event.end_s - event.begin_s == pytest.approx(OBSTRUCTION_S + 2.0, abs=2.1 * STEP_S)


@pytest.mark.parametrize(
    ("kind", "ground", "stands_s"),
    [("bus", (1.0, 20.5), OBSTRUCTION_S - 2.0), ("dog", (1.0, 20.5), 50.0), ("car", (1.0, 17.6), 50.0)],
    ids=["shortly", "a dog", "beside it"],
)
def test_what_does_not_obstruct(kind: Kind, ground: tuple[float, float], stands_s: float) -> None:
    assert judged("fire_lane", parked(kind, ground, stands_s)) == ()


def test_two_vehicles_one_after_the_other_are_one_obstruction() -> None:
    first, second = Thing(0, "car", (-5.0, 20.5), 0.0), Thing(1, "car", (5.0, 20.5), 0.0)
    looks = []
    for k in range(steps(80.0)):
        time_s = k * STEP_S
        standing = [
            Thing(one.number, one.kind, one.ground, 0.0, parked_s=time_s - begin)
            for one, begin, end in ((first, 1.0, 41.0), (second, 35.0, 75.0))
            if begin < time_s < end
        ]
        looks.append(({}, tuple(standing)))
    (event,) = judged("fire_lane", looks)
    assert (event.begin_s, event.end_s) == pytest.approx((1.0, 75.0), abs=2 * STEP_S)


def test_a_cycle_among_people_is_forbidden_and_short_gaps_are_none() -> None:
    way = [*walk((-9.0, 10.0), (6.0, 10.0)), *walk((6.0, 10.0), (-9.0, 10.0))]
    events = judged("people_only", [({}, (Thing(0, "bicycle", spot, 0.0),)) for spot in way])
    assert [event.kind for event in events] == ["hazard.forbidden_object"] * 2
    assert events[0].zone == "footway"
    brief = [*walk((-9.0, 10.0), (2.4, 10.0)), *walk((2.4, 10.0), (-9.0, 10.0))]
    assert len(judged("people_only", [({}, (Thing(0, "motorcycle", spot, 0.0),)) for spot in brief])) == 1
    assert judged("people_only", [({3: spot}, (Thing(0, "suitcase", spot, 0.0),)) for spot in way]) == ()


def test_a_bag_that_lies_long_enough_was_left_from_when_it_was_put_down() -> None:
    (event,) = judged("watched", parked("bag", (0.0, 12.0), ABANDONED_S + 5.0))
    assert (event.kind, event.zone) == ("hazard.abandoned", "watched")
    assert event.begin_s == pytest.approx(STEP_S, abs=0.01)
    assert judged("watched", parked("bag", (0.0, 12.0), ABANDONED_S - 2.0)) == ()
    assert judged("watched", parked("bag", (9.0, 12.0), ABANDONED_S + 5.0)) == ()
    assert judged("watched", parked("bicycle", (0.0, 12.0), ABANDONED_S + 5.0)) == ()


def test_what_was_there_from_the_beginning_is_not_left_but_can_be_taken_away() -> None:
    box, bag = Thing(0, "box", (0.0, 12.0), 0.0), Thing(1, "bag", (-2.0, 12.0), 0.0)
    assert judged("watched", [({}, (box, bag))] * steps(60.0)) == ()
    carried = Thing(0, "box", (0.1, 12.0), 0.0, up_m=0.9)
    moved = Thing(1, "bag", (-2.0, 12.5), 0.0)
    looks = [({}, (box, bag))] * 10 + [({}, (carried, bag))] * 10 + [({}, (moved,))] * 10
    first, second = judged("watched", looks)
    assert {first.kind, second.kind} == {"hazard.removed"}
    assert (first.begin_s, second.begin_s) == pytest.approx((10 * STEP_S, 20 * STEP_S))
    assert first.end_s == second.end_s == pytest.approx(29 * STEP_S)
    far = Thing(0, "box", (9.0, 12.0), 0.0)
    assert judged("watched", [({}, (far,))] * 10 + [({}, ())] * 10) == ()


def test_a_place_without_such_zones_has_nothing_to_tell() -> None:
    marshal = Marshal(PLACES["plaza"])
    marshal(0.0, SimpleNamespace(), (Thing(0, "car", (0.0, 20.0), 0.0),))  # type: ignore[arg-type]
    assert marshal.events(10.0) == ()


@pytest.mark.parametrize("place", sorted(GROUNDS))
def test_zones_are_in_the_picture_and_clear_of_walls(place: str) -> None:
    where = PLACES[place]
    for zone in GROUNDS[place].values():
        image = where.camera.project(zone.corners)
        assert ((image > 0.0) & (image < 1.0)).all(), zone.id
        for start, end in edges(zone.corners):
            assert not passed(start[None], end[None], where.walls).any(), zone.id
        if zone.towards is not None:
            assert np.hypot(*zone.towards) == pytest.approx(1.0)


def test_a_direction_is_for_one_way_zones() -> None:
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    with pytest.raises(ValueError, match="direction"):
        Zone("a", corners, "one_way")
    with pytest.raises(ValueError, match="direction"):
        Zone("a", corners, "plain", (1.0, 0.0))


@pytest.mark.parametrize(("name", "place"), PLAYED)
def test_what_the_scenario_is_about_happens_in_its_zone_and_nothing_else_of_the_kind(
    name: str, place: str
) -> None:
    spec = SceneSpec(name, place, seed=2, seconds=60.0, people=0)
    events = [event for event in scene_truth(spec) if event.kind in KINDS.values()]
    assert {event.kind for event in events} == {KINDS[name]}
    assert {event.zone for event in events} == {GROUNDS[place][ACTS[name].use].id}
    assert all(0.0 < event.begin_s <= event.end_s < 60.0 for event in events)
    assert len(events) <= 6


@pytest.mark.parametrize(("name", "place"), [("abandoned", "plaza"), ("obstruction", "gate")])
def test_a_clip_too_short_has_only_what_looks_like_it(name: str, place: str) -> None:
    spec = SceneSpec(name, place, seed=3, seconds=40.0, people=0)
    scene, kinds = spec.scene(), set()
    for time_s in np.arange(0.0, 40.0, 0.5):
        kinds |= {thing.kind for thing in scene.at(float(time_s)).things if thing.parked_s > 4.0}
    assert kinds & (VEHICLES | set(hazards.GOODS))
    assert all(event.kind != KINDS[name] for event in scene_truth(spec))


def test_passers_by_keep_out_of_a_one_way_zone() -> None:
    plot, place = SCENARIOS["wrongway"], "gate"
    scene = build("wrongway", place=place, seed=1, people=40, seconds=30.0)
    corners = GROUNDS[place]["one_way"].corners
    alone = build("wrongway", place=place, seed=1, people=0, seconds=30.0)
    for time_s in (6.0, 18.0, 29.0):
        crowds = [inside(one.at(time_s).ground, corners).sum() for one in (scene, alone)]
        assert crowds[0] <= crowds[1] + 2
    assert plot.uses == ("one_way",)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_same_seed_gives_the_same_things(name: str) -> None:
    one, other = (build(name, place="plaza", seed=7, seconds=60.0, people=2).at(14.0) for _ in range(2))
    assert one.things == other.things
    assert np.array_equal(one.ground, other.ground)


def test_everything_that_a_day_brings_comes() -> None:
    """Distractors too: dogs, cyclists who only pass, suitcases pulled, vehicles that stop shortly."""
    seen: set[Kind] = set()
    ridden = False
    for name, seed in (("forbidden", 1), ("forbidden", 4), ("obstruction", 2), ("wrongway", 3)):
        scene = build(name, place="plaza", seed=seed, seconds=None, people=0)
        for time_s in range(0, 80, 2):
            things = scene.at(float(time_s)).things
            seen |= {thing.kind for thing in things}
            ridden |= any(thing.ridden for thing in things)
    assert ridden
    assert seen >= {"dog", "suitcase", *CYCLES}
    assert seen & VEHICLES


@pytest.mark.parametrize("name", ["abandoned", "removed"])
def test_a_short_clip_does_not_wait_for_somebody_from_afar(name: str) -> None:
    scene = build(name, place="gate", seed=5, seconds=30.0, people=0)
    moments = [scene.at(float(time_s)) for time_s in np.arange(0.0, 30.0, 0.5)]
    standing = [{thing.number for thing in one.things if thing.parked_s > 0} for one in moments]
    assert any(one != standing[0] for one in standing[1:])


def test_where_there_is_no_such_zone_the_scenario_does_not_play() -> None:
    with pytest.raises(SourceUrlError, match="plaza or gate or platform"):
        SceneSpec("forbidden", "stadium")
    with pytest.raises(SourceUrlError, match="not at passage"):
        build("abandoned", place="passage")


def test_the_clips_truth_tells_zones_things_and_boxes(tmp_path: Path) -> None:
    spec = SceneSpec("obstruction", "gate", seed=1, size=(320, 180), fps=4.0, seconds=12.0, people=2)
    truth = write_clip(spec, tmp_path / "a.mp4", tmp_path / "a.json")
    assert Truth.load(tmp_path / "a.json") == truth
    assert [zone.id for zone in truth.zones][2:] == ["fire-lane"]
    looks = [
        (frame.pts_s, thing) for frame in truth.frames for thing in frame.things if thing.kind in VEHICLES
    ]
    camera = Renderer(spec.where, 1, spec.size).camera
    for _, thing in looks:
        left, top, right, bottom = thing.box
        (x, _), *_ = camera.project(np.array([thing.ground])).tolist()
        assert 0.0 <= left <= right <= 1.0
        assert 0.0 <= top <= bottom <= 1.0
        assert left - 0.02 <= np.clip(x, 0.0, 1.0) <= right + 0.02
        assert 0.0 <= thing.visible <= 1.0
    whole = [thing for _, thing in looks if thing.visible > 0.9]
    assert whole
    assert max(thing.parked_s for _, thing in looks) > 3.0


def test_the_command_line_tells_a_one_way_zones_direction(tmp_path: Path) -> None:
    out, truth = tmp_path / "a.mp4", tmp_path / "a.json"
    arguments = ["simulate", "wrongway", "--place", "platform", "--seconds", "1", "--size", "160x96"]
    result = CliRunner().invoke(app, [*arguments, "--fps", "5", "--out", str(out), "--truth", str(truth)])
    assert result.exit_code == 0, result.output
    zones = {zone["id"]: zone for zone in json.loads(truth.read_text())["zones"]}
    assert zones["one-way"]["towards"] == [0.0, 1.0]
    assert len(zones["one-way"]["image"]) == 4
    assert all("towards" not in zone for name, zone in zones.items() if name != "one-way")
