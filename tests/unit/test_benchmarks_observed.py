"""What is concluded from a watched run: times, recall, and whether work queued."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.clips import Footage, Happening
from benchmarks.observed import Look, Observation, Told, match, quantile, queued, recall
from benchmarks.scenes import Clip


def _look(camera: str, pts_s: float, *, zero_s: float = 0.0, seen: float = 0.0, age: float = 0.05) -> Look:
    at_s = zero_s + pts_s + seen
    return Look(camera, pts_s, at_s, at_s, zero_s + pts_s + age)


def _told(incident: str, phase: str, pts_s: float, told_s: float, kind: str = "hazard.line") -> Told:
    return Told("a", kind, "line", phase, incident, pts_s, told_s - 0.01, told_s)


def _footage(*happenings: Happening) -> Footage:
    return Footage(Clip(Path(), None), Path(), happenings, ())


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_is_a_value_that_enough_others_do_not_exceed(values: list[float], share: float) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


@given(st.lists(st.floats(0, 1e3), min_size=1))
def test_quantiles_rise(values: list[float]) -> None:
    shares = [0.1, 0.5, 0.95, 0.99, 1.0]
    assert all(a <= b for a, b in pairwise(quantile(values, share) for share in shares))


def test_nothing_has_no_quantile() -> None:
    assert math.isnan(quantile([], 0.5))


def test_a_reader_that_reads_late_does_not_hide_it() -> None:
    looks = [_look("a", 0.0, zero_s=100.0, age=0.1), _look("a", 4.0, zero_s=100.0, seen=1.5, age=1.6)]
    seen = Observation(100.0, 110.0, 1.0, 10.0, looks)
    assert seen.zeros() == {"a": 100.0}
    assert seen.ages_s() == pytest.approx([0.1, 1.6])


def test_delays_count_from_the_picture_and_only_within_the_measured_while() -> None:
    looks = [_look("a", pts_s, zero_s=100.0) for pts_s in (0.0, 2.0, 8.0)]
    told = [_told("1", "begin", 2.0, 102.2), _told("1", "end", 8.0, 111.0)]
    seen = Observation(101.0, 110.0, 1.0, 10.0, looks, told)
    assert seen.delays_s() == pytest.approx([0.2])
    assert [look.pts_s for look in seen.measured()] == [2.0, 8.0]


def test_an_incident_matches_what_it_overlaps_and_only_once() -> None:
    due = [Happening("hazard.line", "line", 10.0, 10.0), Happening("hazard.line", "line", 11.0, 11.0)]
    told = [Happening("hazard.line", "line", 11.5, 11.5)]
    found = match("a", due, due, told)
    assert (found.happened, found.found, found.told, found.true) == (2, 1, 1, 1)
    assert found.missed == ("a hazard.line 11.0 s",)
    assert found.share == 0.5


@pytest.mark.parametrize(
    "told",
    [
        Happening("hazard.intrusion", "line", 10.0, 10.0),
        Happening("hazard.line", "other", 10.0, 10.0),
        Happening("hazard.line", "line", 12.1, 12.1),
        Happening("hazard.line", "line", 7.0, 7.9),
    ],
)
def test_another_kind_place_or_time_is_no_match(told: Happening) -> None:
    due = [Happening("hazard.line", "line", 10.0, 10.0)]
    found = match("a", due, due, [told])
    assert (found.found, found.true) == (0, 0)


def test_recall_asks_only_for_whole_visits_that_were_watched_to_their_end() -> None:
    shown = _footage(
        Happening("hazard.line", "line", 1.0, 1.0),  # before the measured while
        Happening("hazard.line", "line", 10.0, 10.0),
        Happening("hazard.line", "line", 20.0, 20.0, whole=False),
        Happening("hazard.line", "line", 29.0, 29.0),  # too late to be told within it
    )
    told = [_told("1", "begin", 10.4, 110.6), _told("1", "end", 10.4, 110.6)]
    told += [_told("2", "begin", 20.4, 120.6), _told("2", "end", 20.4, 120.6)]
    seen = Observation(105.0, 130.0, 1.0, 25.0, [_look("a", 0.0, zero_s=100.0)], told)
    found = recall(seen, {"a": shown})
    assert (found.happened, found.found, found.told, found.true) == (1, 1, 2, 2)
    everything = recall(seen, {"a": shown}, {"a": (0.0, 60.0)})
    assert (everything.happened, everything.found) == (3, 1)


def test_an_incident_without_an_end_lasts() -> None:
    shown = _footage(Happening("hazard.intrusion", "line", 10.0, 15.0))
    told = [_told("1", "begin", 4.0, 104.1, "hazard.intrusion")]
    seen = Observation(100.0, 130.0, 1.0, 30.0, [_look("a", 0.0, zero_s=100.0)], told)
    assert recall(seen, {"a": shown}).share == 1.0


def test_a_camera_without_any_look_has_found_nothing() -> None:
    seen = Observation(100.0, 130.0, 1.0, 30.0)
    found = recall(seen, {"a": _footage(Happening("hazard.line", "line", 10.0, 10.0))})
    assert (found.happened, found.found, found.share) == (1, 0, 0.0)


def test_work_queues_when_ages_grow_and_not_when_they_are_high() -> None:
    def run(ages: list[float]) -> Observation:
        looks = [_look("a", float(k), zero_s=100.0, age=age) for k, age in enumerate(ages)]
        return Observation(100.0, 130.0, 1.0, 30.0, looks)

    assert not queued(run([0.1] * 30))
    assert not queued(run([0.9] * 30))
    assert queued(run([0.1 + 0.1 * k for k in range(27)]))
    assert not queued(run([]))


def test_an_observation_survives_its_file(tmp_path: Path) -> None:
    seen = Observation(1.0, 2.0, 0.5, 4.0, [_look("a", 1.0)], [_told("1", "begin", 1.0, 2.0)], [10.0], [5])
    seen.save(tmp_path / "seen.json")
    assert Observation.load(tmp_path / "seen.json") == seen
    assert seen.cost == 0.125


def test_processes_side_by_side_add_up() -> None:
    one = Observation(1.0, 5.0, 2.0, 4.0, [_look("a", 1.0)], [], [10.0, 11.0], [3, 3], {"decode": 1.0})
    other = Observation(
        2.0, 6.0, 1.0, 8.0, [_look("b", 1.0)], [], [20.0], [4, 4], {"decode": 2.0, "infer": 1.0}
    )
    both = one + other
    assert (both.begin_s, both.end_s, both.cpu_s, both.video_s) == (2.0, 5.0, 3.0, 12.0)
    assert both.stages == {"decode": 3.0, "infer": 1.0}
    assert (both.memory_mb, both.files) == ([30.0], [7, 7])
    assert len(both.looks) == 2
