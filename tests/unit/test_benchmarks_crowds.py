"""The crowd benchmark: what counts as found, as false and as late, and that recordings tell the truth."""

import json
import math
import sys

import numpy as np
import pytest

from benchmarks import common, crowds, crowds_scenes
from benchmarks.crowds_filling import filling
from benchmarks.crowds_scenes import play, record, spec_of
from benchmarks.crowds_score import Alarm, alarms_of, judge, misses, moment_found, summary
from benchmarks.crowds_seen import Minutes, Seen, Told, indices, tracks_of, watch
from streams.sim.clip import crowd_truth
from streams.sim.truth import TruthEvent

DENSITY = "crowd.density"


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Nothing is taken from, or left for, other runs."""
    monkeypatch.setattr(crowds_scenes, "FOLDER", tmp_path / "crowds")
    monkeypatch.setattr(common, "RESULTS", tmp_path / "results")


@pytest.fixture(scope="module")
def crowding():
    """A crowd that gets as dense as red within 18 s."""
    spec = spec_of("crowding", 100, 18.0)
    return play(spec, spec.scene())


def told(*story, kind=DENSITY, incident="1"):
    """Changes of one incident: time, level, phase."""
    return [Told(at_s, incident, kind, "plaza", level, phase) for at_s, level, phase in story]


def test_a_recording_is_the_scene_s_truth_and_is_kept(crowding, monkeypatch):
    truth = crowd_truth(crowding.spec)
    assert [one.begin_s for one in crowding.moments] == [one.begin_s for one in truth.moments]
    assert crowding.looks[: len(truth.looks)] == truth.looks
    first = record(crowding.spec)
    monkeypatch.setattr(crowds_scenes, "play", None)
    again = record(crowding.spec)
    assert (again.looks, again.moments) == (first.looks, first.moments)
    assert np.abs(again.at - crowding.at).max() < 1e-3
    number, at = again.people(40)
    velocity, age_s = again.velocity(40)
    assert len(number) == len(at) == len(velocity) == again.looks[40].count or len(number) > 0
    assert age_s.max() == pytest.approx(0.4)
    assert np.nanmax(np.hypot(*velocity.T)) < 3.5


def test_looks_are_taken_at_the_rate_that_is_asked_for(crowding):
    assert indices(crowding, 5) == list(range(len(crowding.times)))
    assert np.diff(crowding.times[indices(crowding, 1)]) == pytest.approx(1.0)
    assert len(indices(crowding, 2)) == 36 + 1


def test_a_perfect_tracker_sees_feet_where_they_are(crowding):
    number, at = crowding.people(60)
    velocity, age_s = crowding.velocity(60)
    camera = crowding.spec.where.camera
    tracks = tracks_of(camera, number, at, velocity, age_s)
    rows = np.searchsorted(number, tracks.ids)
    assert camera.to_ground(tracks.foot_points.astype(float)) == pytest.approx(at[rows], abs=0.02)


def test_the_rules_find_a_crowd_that_is_truly_dangerous(crowding):
    result = judge(crowding, watch(crowding, 2.0))
    figures = summary([result])
    assert figures["worst_mape"] < 0.02
    assert (figures["precision"], figures["calm_alarms"]) == (1.0, 0)
    assert [m.delay_s for m in result.moments if m.delay_s is not None and m.delay_s > 5] == []


def test_alarms_last_while_they_have_their_level_or_a_more_severe_one():
    story = told((1, 4, "begin"), (3, 2, "update"), (5, 1, "update"), (8, 3, "update"), (9, 2, "update"))
    assert [(a.level, a.begin_s, a.end_s) for a in alarms_of(story)] == [
        (2, 3, 8), (2, 9, math.inf), (1, 5, 8)
    ]  # fmt: skip
    assert alarms_of(told((1, 3, "begin"), (9, 3, "end"))) == []
    surge = told((1, 1, "begin"), (9, 1, "end"), kind="crowd.surge")
    assert [(a.level, a.end_s) for a in alarms_of(surge)] == [(2, 9)]  # a surge has no levels in the truth


def test_a_moment_is_found_by_an_alarm_in_its_time():
    moment = TruthEvent(DENSITY, "plaza", 10.0, 20.0, level=1)

    def found(begin_s, end_s, level=1, kind=DENSITY):
        got = moment_found(moment, [Alarm(kind, "plaza", level, begin_s, end_s)])
        return got.found, got.found_same, got.delay_s

    assert found(12, 30) == (True, True, 2.0)
    assert found(5, 11) == (True, True, 0.0)
    assert found(25, 30) == (True, True, 15.0)
    assert found(12, 30, level=2) == (True, False, math.inf)
    assert found(12, 30, kind="crowd.surge") == (True, False, 2.0)
    assert found(26, 30) == found(1, 9) == (False, False, math.inf)


def test_an_alarm_without_danger_is_false_and_a_miss_is_told(crowding):
    kind = "crowd.surge"  # nobody runs
    result = judge(crowding, Seen(told=told((0, 2, "begin"), (0.2, 2, "end"), kind=kind)))
    assert [alarm.right for alarm in result.alarms] == [False]
    assert summary([result])["recall"] == 0.0
    assert {row["what"] for row in misses([result])} == {"false", "missed"}


def test_errors_are_those_of_the_same_look(crowding):
    true = crowding.looks
    seen = Seen(
        [x.time_s for x in true], [1.1 * x.worst_cell_per_m2 for x in true], [x.mean_per_m2 for x in true]
    )
    figures = summary([judge(crowding, seen)])
    assert (figures["worst_mape"], figures["worst_bias"]) == (pytest.approx(0.1), pytest.approx(0.1))
    assert figures["mean_mape"] == pytest.approx(0)
    assert figures["looks"] == sum(x.worst_cell_per_m2 >= 2 for x in true)


def test_forecasts_are_held_against_the_crossing_that_came():
    crowd = filling(3)
    worst = np.array([look.worst_cell_per_m2 for look in crowd.looks])
    assert worst[60] <= 2
    assert worst.max() > 5.5
    assert not crowd.calm
    at_s = next(t for t, w in zip(crowd.times, worst, strict=True) if w >= 5.0)
    seen = Seen(list(crowd.times), list(worst), list(worst))
    seen.forecasts = [Minutes(t, {5.0: (at_s - t) / 60 * 1.2}) for t in seen.times]
    figures = summary([judge(crowd, seen)])
    assert (figures["crossings"], figures["forecast_mape"]) == (1, pytest.approx(0.2, abs=0.1))
    seen.forecasts = [Minutes(t, {5.0: None}) for t in seen.times]
    assert summary([judge(crowd, seen)])["forecasts"] == 0


def test_the_command_line_prints_figures(monkeypatch, capsys, crowding):
    monkeypatch.setattr(crowds, "record", lambda _: crowding)
    command = (
        "crowds --perception positions --seeds 1 --first-seed 100 --scenarios crowding --plot out --json"
    )
    monkeypatch.setattr(sys, "argv", command.split())
    crowds.main()
    shown = json.loads(capsys.readouterr().out)
    assert shown["all"]["recall"] == 1.0
    assert (common.RESULTS / "crowds-positions.json").exists()
    assert (common.RESULTS / "out.png").exists()


@pytest.mark.parametrize("wrong", ["--fps 9", "--seeds 0", "--scenarios filling", "--scenarios picnic"])
def test_what_cannot_be_measured_is_refused(monkeypatch, wrong):
    monkeypatch.setattr(sys, "argv", ["crowds", *wrong.split()])
    with pytest.raises(SystemExit) as refused:
        crowds.main()
    assert refused.value.code == 2
