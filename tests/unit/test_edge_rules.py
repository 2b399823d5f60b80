"""Each crowd rule on people who walk over a plane: reached, released, calm where there is no danger."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.analysis import Look
from edge.crowd import level_of
from edge.scene import Scene
from tests.support.afoot import (
    NOBODY,
    SIZE_PX,
    Crowd,
    analysis,
    grid,
    looks,
    play,
    together,
    tracks,
    walking,
)

DENSITY = {"kind": "crowd.density", "zone": "z"}
FLOW = {"kind": "crowd.flow", "line": "l"}
COUNTERFLOW = {"kind": "crowd.counterflow", "zone": "z"}
PRESSURE = {"kind": "crowd.pressure", "zone": "z", "velocity_noise_m_s": 0.0}
SURGE = {"kind": "crowd.surge", "zone": "z"}
FORECAST = {"kind": "crowd.forecast", "zone": "z", "lead_min": 2}
RATES = pytest.mark.parametrize("fps", [1, 2, 5])


def still(at: np.ndarray) -> Crowd:
    return Crowd(at, np.zeros_like(at))


def begun(told: list) -> tuple[float, int]:
    """When the only incident began and the most severe level that it reached."""
    begins = [t for t, change in told if change.phase == "begin"]
    assert len(begins) == 1, [(t, c.phase, c.level) for t, c in told]
    return begins[0], min(change.level for _, change in told)


def ended(told: list) -> float:
    (end,) = [t for t, change in told if change.phase == "end"]
    return end


def last(rule: dict, scene, seconds: float, fps: float = 5, **more) -> Look:
    return looks(analysis(rule, **more), scene, seconds, fps)[-1]


# --- density


MOVING = (2.0, 3.0, 4.0, 5.0)
DENSE = grid(3.6)
"""Its worst cell holds 3.5 per m2: level 3 while it moves, 4 while it stands."""


@RATES
def test_a_crowd_that_walks_is_judged_as_moving_and_released(fps):
    def scene(t: float) -> Crowd:
        return walking(DENSE, (0.0, 0.5), t) if t < 15 else NOBODY

    told = play({**DENSITY, "urgent_hold_s": 5}, scene, 30, fps)
    when, _ = begun(told)
    assert when == pytest.approx(5, abs=1 / fps)
    assert ended(told) == pytest.approx(25, abs=2 / fps)
    measures = told[0][1].measures
    assert told[0][1].level in (2, 3)  # a lattice on the move fits a disc now better, now worse
    assert measures["density_mean_per_m2"] == pytest.approx(3.36, rel=0.02)
    assert measures["speed_m_s"] == pytest.approx(0.5, abs=0.02)
    assert measures["standing_s"] == 0


@RATES
def test_the_same_density_is_milder_for_those_who_have_stood(fps):
    told = play({**DENSITY, "hysteresis": 0}, lambda _: still(DENSE), 30, fps)
    assert [change.level for _, change in told] == [3, 4]  # nobody knows at first that they stand
    assert [t for t, _ in told] == pytest.approx([5, 20], abs=1 / fps)
    assert told[-1][1].measures["standing_s"] == pytest.approx(20, abs=1 / fps)


def test_a_crowd_that_sets_off_is_judged_as_moving_at_once():
    watch = analysis({**DENSITY, "standing_after_s": 3})
    (stood,) = looks(watch, lambda _: still(DENSE), 6, 5)[-1].observations
    assert stood.level == 4
    (moves,) = looks(watch, lambda t: walking(DENSE, (0.0, 0.6), t - 6), 1, 5, start_s=6)[-1].observations
    assert moves.level == level_of(moves.measures["density_worst_cell_per_m2"], MOVING) == 3


def test_of_unknown_speed_it_is_a_moving_crowd():
    watch, seen = analysis({**DENSITY, "standing_after_s": 3}), tracks(still(DENSE))
    young = replace(seen, age_s=np.zeros_like(seen.age_s))
    for t in range(12):
        (observation,) = watch.update(young, t / 2, Scene(SIZE_PX)).observations
    assert observation.level == 3
    assert "speed_m_s" not in observation.measures


def test_larger_cells_are_calmer():
    at = np.vstack((grid(6.0, (-1, 1), (11, 13)), grid(0.5)))
    one, other = (
        last({**DENSITY, "cell_m2": cell}, lambda _: still(at), 1).observations[0] for cell in (4, 10)
    )
    assert one.measures["density_worst_cell_per_m2"] > 4.5 > other.measures["density_worst_cell_per_m2"]


@RATES
def test_severe_density_is_told_of_sooner(fps):
    told = play(DENSITY, lambda _: still(grid(6.0)), 8, fps)
    assert [(t, change.level) for t, change in told] == [(pytest.approx(2, abs=1 / fps), 1)]


# --- flow


@RATES
def test_more_than_a_gate_can_take(fps):
    lane = grid(1.25, (-2, 2))

    def scene(t: float) -> Crowd:
        return walking(lane, (0.0, 1.2), t) if t < 60 else NOBODY

    told = play(FLOW, scene, 150, fps)
    when, level = begun(told)
    assert 9 <= when <= 20  # after five seconds of watching and five of hold
    assert level == 2
    measures = told[0][1].measures
    # Away from the camera: to the left of a line that runs to the right, as the picture shows it.
    assert measures["left_per_m_min"] == pytest.approx(84, rel=0.15)
    assert measures["right_per_m_min"] == 0
    assert measures["capacity_share"] == pytest.approx(84 / 82, rel=0.15)
    assert measures["stop_and_go_count"] == 0
    assert 60 < ended(told) < 100


def test_ways_are_named_as_the_picture_shows_them():
    lane = grid(1.25, (-2, 2))
    seen = last(FLOW, lambda t: walking(lane, (0.0, -1.2), t), 20)
    (observation,) = seen.observations
    assert observation.measures["right_per_m_min"] > 60
    assert observation.measures["left_per_m_min"] == 0


@RATES
def test_stop_and_go(fps):
    queue = grid(3.0, (-2, 2))

    def scene(t: float) -> Crowd:
        walked = 0.5 * (t // 20 * 8 + min(t % 20, 8))  # eight seconds of walking, twelve of standing
        speed = 0.5 if t % 20 < 8 else 0.0
        moved = walking(queue, (0.0, 0.5), walked / 0.5)
        return Crowd(moved.at, np.tile((0.0, speed), (len(queue), 1)), moved.keys)

    told = play(FLOW, scene, 75, fps)
    _, level = begun(told)
    assert level == 2
    assert told[-1][1].measures["stop_and_go_count"] == 1


def test_stairs_take_less():
    lane = grid(1.0, (-2, 2))
    level, stairs = (
        last({**FLOW, **more}, lambda t: walking(lane, (0.0, 1.1), t), 30).observations[0]
        for more in ({}, {"capacity_per_m_min": 66})
    )
    assert (level.level, stairs.level) == (4, 2)


# --- counterflow


def opposed(t: float, speed: float = 0.35) -> Crowd:
    at = grid(3.6)
    lanes = np.round((at[:, 0] + 4) / 3.6**-0.5 - 0.5).astype(int) % 2 == 0
    return together(walking(at[lanes], (0.0, speed), t), walking(at[~lanes], (0.0, -speed), t))


@RATES
def test_streams_against_each_other(fps):
    told = play(COUNTERFLOW, lambda t: opposed(t) if t < 20 else NOBODY, 45, fps)
    when, level = begun(told)
    assert when == pytest.approx(5, abs=1 / fps)
    assert level in (3, 4)
    measures = told[0][1].measures
    assert measures["weak_stream_share"] == pytest.approx(0.5, abs=0.15)
    assert measures["speed_m_s"] == pytest.approx(0.35, abs=0.02)
    assert ended(told) == pytest.approx(30, abs=2 / fps)


def test_one_stream_is_no_counterflow():
    at = grid(3.6)
    assert play(COUNTERFLOW, lambda t: walking(at, (0.0, 0.35), t), 20, 5) == []


def test_counterflow_lasts_while_it_is_only_just_lost():
    watch = analysis({**COUNTERFLOW, "slowed_ratio": 0.7})
    (begun,) = looks(watch, opposed, 2, 5)[-1].observations
    assert begun.level == 3
    faster = (0.72 / 0.7) * begun.measures["speed_m_s"] * 0.7 / begun.measures["speed_ratio"]
    (lasting,) = looks(watch, lambda t: opposed(t, faster), 2, 5, start_s=2)[-1].observations
    assert lasting.level is None
    assert lasting.sustains in (2, 3)  # the densest place of those that were eased

    fresh = last(COUNTERFLOW, lambda t: opposed(t, faster), 2)
    assert (fresh.observations[0].level, fresh.observations[0].sustains) == (None, None)


# --- pressure


def shaken(per_m2: float, shake_m_s: float):
    at = grid(per_m2)

    def scene(t: float) -> Crowd:
        rng = np.random.default_rng(round(t * 1000))
        return Crowd(at, rng.normal(0, shake_m_s, at.shape))

    return scene


@RATES
def test_a_shaken_crowd_is_under_pressure(fps):
    trouble, calm = shaken(4.0, 0.1), shaken(4.0, 0.01)
    told = play(PRESSURE, lambda t: trouble(t) if t < 20 else calm(t), 70, fps)
    when, level = begun(told)
    assert 10 <= when <= 15
    assert level == 1
    measures = told[0][1].measures
    assert 0.06 < measures["pressure_per_s2"] < 0.14  # 4 * 2 * 0.1^2 = 0.08, of the worst place
    assert measures["density_per_m2"] >= 3
    assert measures["velocity_noise_m_s"] == 0
    assert 35 < ended(told) < 70


def test_where_there_is_room_people_may_walk_as_they_like():
    assert play(PRESSURE, shaken(1.5, 0.8), 30, 2) == []
    sparse = Crowd(at := grid(1.0, (-3, -1)), np.random.default_rng(1).normal(0, 0.8, at.shape))
    both = together(sparse, still(grid(5.0, (1.5, 3))))
    assert play(PRESSURE, lambda _: both, 30, 2) == []


def test_pressure_says_why_it_cannot_be_measured():
    scene = shaken(4.0, 0.1)
    measured = {**PRESSURE, "velocity_noise_m_s": None}
    told = last(measured, scene, 3)
    assert told.unavailable == {"crowd.pressure/z": "the velocities' noise is unknown"}
    assert told.observations == ()
    watch = analysis(PRESSURE)
    look = watch.update(tracks(scene(0.0)), 0.0)
    assert look.unavailable == {"crowd.pressure/z": "how tall people are in the picture is unknown"}
    look = watch.update(tracks(scene(0.2)), 0.2, Scene((128, 72)))
    assert look.unavailable == {"crowd.pressure/z": "people are under 20 pixels high"}
    look = watch.update(tracks(NOBODY), 0.4, Scene(SIZE_PX))
    assert (look.unavailable, look.observations[0].level) == ({}, None)


def test_noise_is_measured_on_those_who_stand_alone():
    alone = grid(0.25)
    rng = np.random.default_rng(3)
    watch = analysis({**PRESSURE, "velocity_noise_m_s": None})
    looks(watch, lambda _: Crowd(alone, rng.normal(0, 0.05, alone.shape)), 12, 5)
    crowd = grid(4.0)
    keys = np.arange(1000, 1000 + len(crowd))
    seen = looks(watch, lambda _: Crowd(crowd, rng.normal(0, 0.05, crowd.shape), keys), 20, 2, start_s=12)
    (observation,) = seen[-1].observations
    assert observation.measures["velocity_noise_m_s"] == pytest.approx(0.05, rel=0.2)
    assert observation.level is None  # shaken by noise alone, which would be 0.02 per s2


# --- surge


def runners(t: float) -> Crowd:
    """They walk, run for four seconds, and walk again."""
    at = grid(0.8)
    way = 1.0 * t if t < 10 else 10 + 3.5 * (min(t, 14) - 10) + 1.0 * max(t - 14, 0)
    moved = walking(at, (0.0, 1.0), way)
    speed = 3.5 if 10 <= t < 14 else 1.0
    return Crowd(moved.at, np.tile((0.0, speed), (len(at), 1)), moved.keys)


@RATES
@pytest.mark.parametrize("rule", [SURGE, {"kind": "crowd.surge"}])
def test_many_who_suddenly_run(rule, fps):
    told = play(rule, runners, 40, fps)
    when, level = begun(told)
    assert 10 <= when <= 13.1
    assert level == 1
    begin = told[0][1]
    assert begin.zone == rule.get("zone", "view")
    assert begin.measures["running_share"] > 0.6
    assert begin.measures["running_before_share"] == 0
    assert 20 < ended(told) < 30


def test_a_race_is_no_surge():
    at = grid(0.8)
    assert play(SURGE, lambda t: walking(at, (0.0, 3.5), t), 30, 5) == []


def test_they_scatter():
    wide = grid(0.6)
    middle = wide.mean(axis=0)
    at = middle + (wide - middle) * 0.4

    def scene(t: float) -> Crowd:
        away = (at - middle) / np.maximum(np.hypot(*(at - middle).T), 0.1)[:, None]
        return still(at) if t < 8 else Crowd(at + away * 2.0 * (t - 8), away * 2.0)

    told = play({**SURGE, "running_m_s": 2.3, "hold_s": 0}, scene, 12, 5)
    assert begun(told)[1] == 2
    assert told[0][1].measures["divergence_per_s"] > 0.1


# --- forecast


def filling(t: float) -> Crowd:
    """Evenly from 1 to 3 persons per m2 in four minutes; then it stays."""
    k = np.arange(round(36 * (1.0 + min(t, 240) / 120)))
    spread = (np.outer(k, (0.7548776662466927, 0.5698402909980532)) + 0.5) % 1  # Roberts' R2 sequence
    return Crowd(spread * 6 + (-3, 9), np.tile((0.0, 0.3), (len(k), 1)))


@RATES
def test_it_fills(fps):
    told = play(FORECAST, filling, 100, fps)
    when, level = begun(told)
    assert 60 <= when <= 90
    assert level in (3, 4)
    begin = told[0][1].measures
    assert begin["rise_per_m2_min"] == pytest.approx(0.5, rel=0.5)
    assert begin["time_to_level_earliest_min"] <= begin["time_to_level_min"]


def test_minutes_come_true():
    seen = [look.observations for look in looks(analysis(FORECAST), filling, 240, 1)]
    (told,) = seen[100]
    goal = told.measures["threshold_per_m2"]
    truly = next(t for t, (o,) in enumerate(seen[100:]) if o.measures["density_worst_cell_per_m2"] >= goal)
    assert truly > 30
    assert told.measures["time_to_level_min"] == pytest.approx(truly / 60, abs=0.75)  # of a few persons
    assert told.measures["time_to_level_earliest_min"] <= truly / 60


def test_red_is_told_from_afar():
    seen = [
        look.observations[0] for look in looks(analysis({**FORECAST, "lead_min": 10}), filling, 90, 1)[70:]
    ]
    told = next(o for o in seen if "time_to_red_min" in o.measures)
    assert told.measures["red_threshold_per_m2"] == 5.0
    assert told.measures["time_to_red_min"] > told.measures["time_to_level_min"]
    assert min(o.level for o in seen if o.level is not None) == 2  # one milder than red


def test_a_crowd_that_stays_as_it_is_is_not_forecast_to_rise():
    at = grid(1.5)
    assert play(FORECAST, lambda t: walking(at, (0.0, 0.3), t), 150, 1) == []


def test_the_forecast_ends_when_it_no_longer_fills():
    told = play(FORECAST, lambda t: filling(min(t, 100)), 400, 1)
    assert begun(told)[0] <= 110
    assert ended(told) < 400


def test_a_forecast_needs_history():
    seen = last(FORECAST, filling, 20, 2)
    assert seen.unavailable == {"crowd.forecast/z": "too little history"}


# --- all of them


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 3.5))
def test_the_order_of_tracks_does_not_matter(seed, per_m2):
    rules = (DENSITY, FLOW, COUNTERFLOW, PRESSURE, SURGE, {"kind": "crowd.surge"}, FORECAST)
    one, other = analysis(*rules), analysis(*rules)
    rng = np.random.default_rng(seed)
    n = round(36 * per_m2)
    at = np.column_stack((rng.uniform(-3, 3, n), rng.uniform(9, 15, n)))
    v = rng.normal(0, 0.6, at.shape)
    for k in range(6):
        crowd = Crowd(at + v * k * 0.5, v)
        seen = tracks(crowd, scores=rng.uniform(0.3, 1.0, len(at)))
        order = rng.permutation(len(seen))
        pictured = Scene(SIZE_PX)
        first = one.update(seen, k * 0.5, pictured)
        second = other.update(seen.select(order), k * 0.5, pictured)
        assert first.unavailable == second.unavailable
        for a, b in zip(first.observations, second.observations, strict=True):
            assert (a.kind, a.zone, a.level, a.sustains, a.boxes) == (
                b.kind, b.zone, b.level, b.sustains, b.boxes
            )  # fmt: skip
            assert dict(a.measures) == pytest.approx(dict(b.measures), rel=1e-3, abs=1e-4)


def test_an_empty_scene_is_calm():
    rules = (DENSITY, FLOW, COUNTERFLOW, PRESSURE, SURGE, FORECAST)
    watch = analysis(*rules)
    for look in looks(watch, lambda _: NOBODY, 70, 1):
        assert all(o.level is None and o.sustains is None and not o.boxes for o in look.observations)
    assert look.unavailable == {}
    assert len(look.observations) == len(rules)


@pytest.mark.parametrize("seed", range(2))
def test_people_who_go_about_their_business_are_calm(seed):
    """Half a person per m2, both ways, each at a pace of their own, seen with a tracker's noise."""
    rng = np.random.default_rng(seed)
    at = np.column_stack((rng.uniform(-3, 3, 18), rng.uniform(9, 15, 18)))
    pace = rng.normal(1.34, 0.26, 18) * rng.choice((-1, 1), 18)

    def scene(t: float) -> Crowd:
        each = [walking(at[k : k + 1], (0.0, pace[k]), t) for k in range(18)]
        crowd = together(*each)
        return replace(crowd, velocity=crowd.velocity + rng.normal(0, 0.15, crowd.velocity.shape))

    # Independent walkers meet by chance; no rule holds that for its time.
    rules = (DENSITY, FLOW, COUNTERFLOW, PRESSURE, SURGE, FORECAST)
    assert [told for rule in rules for told in play(rule, scene, 100, 2)] == []
