import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.forecast import Crest, Forecast, Reading, Trend, TrendOptions, forecast, step_crest, step_trend


def linear(seconds):
    return lambda t: 5 * t / seconds


def logistic(tau, part):
    return lambda t: 4 / part / (1 + np.exp(-(t - 4 * tau) / tau))


CURVES = {
    "linear 5 min": (linear(300), 300),
    "linear 8 min": (linear(480), 480),
    "linear 10 min": (linear(600), 600),
    "logistic 2 min half": (logistic(120, 0.5), 960),
    "logistic 2 min two thirds": (logistic(120, 0.65), 960),
    "logistic 3 min half": (logistic(180, 0.5), 1440),
    "logistic 3 min two thirds": (logistic(180, 0.65), 1440),
}


def run(curve, last_s, seed=0, every_s=1.0, *, noise=0.1, scale=4.0, unit=1.0, inflow=False) -> Forecast:
    """What is said at `last_s` of a curve that is seen with noise from time 0 on."""
    rng, options, state = np.random.default_rng(seed), TrendOptions(scale * unit), Trend()
    for t in np.arange(max(0.0, last_s - 600), last_s, every_s):
        true = float(curve(t))
        value = max(true * (1 + noise * rng.normal()), 0.0) * unit
        rate = float(curve(t) - curve(t - 60)) / 60 * unit if inflow and t > 60 else None
        reading = Reading(value, noise * max(true, 0.1) * unit, rate, 0.002 * unit)
        state = step_trend(state, reading, float(t), options)
    return forecast(state, scale * unit, options)


def crossing(curve, seconds) -> float:
    t = np.arange(0, seconds, 0.5)
    return float(np.interp(4.0, curve(t), t))


@pytest.mark.parametrize("name", CURVES)
def test_two_minutes_ahead_it_errs_by_a_quarter_at_most(name):
    curve, seconds = CURVES[name]
    at = crossing(curve, seconds) - 120
    found = [run(curve, at, seed) for seed in range(8)]
    said = [f for f in found if f.minutes is not None]
    assert len(said) >= 7
    errors = [abs(f.minutes - 2) / 2 for f in said]
    assert np.mean(errors) <= 0.25


def test_the_band_holds_the_truth_as_often_as_it_says():
    held = []
    for name, (curve, seconds) in CURVES.items():
        at = crossing(curve, seconds) - 120
        for seed in range(100, 105):
            found = run(curve, at, seed)
            latest = math.inf if found.latest_minutes is None else found.latest_minutes
            held.append((name, found.earliest_minutes <= 2 <= latest))
    assert np.mean([h for _, h in held]) >= 0.75  # 80 of 100 are promised


def test_what_lines_count_helps():
    curve = linear(600)
    plain = [run(curve, 360, seed) for seed in range(8)]
    helped = [run(curve, 360, seed, inflow=True) for seed in range(8)]
    errors = [np.mean([abs((f.minutes or 10) - 2) for f in part]) for part in (plain, helped)]
    assert errors[1] < errors[0]
    widths = [
        np.mean([(f.latest_minutes or 10) - f.earliest_minutes for f in part]) for part in (plain, helped)
    ]
    assert widths[1] < widths[0]


def test_a_steady_crowd_is_not_forecast_to_rise():
    found = [run(lambda t: 2.5 + 0 * t, 600, seed) for seed in range(12)]
    assert sum(f.minutes is not None for f in found) <= 2  # one in ten is what the band allows
    falling = [run(lambda t: 3.5 - t / 600, 600, seed) for seed in range(5)]
    assert all(f.minutes is None and f.probability < 0.5 for f in falling)


def test_what_is_far_is_not_told():
    found = run(lambda t: 1 + t / 3600, 900)
    assert found.minutes is None
    assert found.unavailable == "not surely rising to it"


def test_at_the_onset_nothing_is_said_and_at_the_threshold_it_is_now():
    assert run(linear(300), 40).unavailable == "too little history"
    assert run(linear(300), 40).minutes is None
    assert run(linear(300), 290).minutes == 0.0
    assert run(linear(300), 290).probability == 1.0


def test_a_wild_look_does_not_upset_it():
    options = TrendOptions(4.0)
    calm = wild = Trend()
    for t in range(200):
        reading = Reading(t / 100, 0.1)
        calm = step_trend(calm, reading, t, options)
        wild = step_trend(wild, Reading(9.0, 0.1) if t == 150 else reading, t, options)
    one, other = forecast(calm, 4.0, options), forecast(wild, 4.0, options)
    assert one.minutes == pytest.approx(200 / 60, rel=0.15)
    assert other.minutes == pytest.approx(one.minutes, rel=0.15)


@given(st.integers(0, 99), st.sampled_from([0.01, 30.0, 5000.0]))
@settings(max_examples=5, deadline=None)
def test_units_mean_nothing(seed, unit):
    one, other = (run(linear(480), 260, seed, 2.0, unit=u) for u in (1.0, unit))
    assert other.minutes == pytest.approx(one.minutes, rel=1e-6)


def test_the_rate_of_looks_hardly_matters():
    found = [run(linear(480), 264, 3, every_s, noise=0.02).minutes for every_s in (0.1, 0.5, 2.0)]
    assert found == pytest.approx([2.0] * 3, rel=0.2)


def test_time_that_stands_and_gaps():
    options = TrendOptions(4.0)
    state = step_trend(Trend(), Reading(1.0, 0.1), 0.0, options)
    assert step_trend(state, Reading(3.0, 0.1), 0.0, options) is state
    later = step_trend(state, Reading(3.0, 0.1), 500.0, options)
    assert later.looks == 1
    assert later.began_s == 500.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: TrendOptions(0.0),
        lambda: TrendOptions(1.0, settle_looks=1),
        lambda: Reading(math.nan, 0.1),
        lambda: Reading(1.0, -0.1),
        lambda: Reading(1.0, 0.1, 0.1, 0.0),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ValueError, match=r"must|needs"):
        make()


@given(st.floats(0.05, 4), st.floats(0, 3), st.floats(0.3, 8))
def test_a_crest_tells_the_mean_at_which_the_worst_cell_is_so_dense(mean, excess, goal):
    crest = Crest()
    for t in range(5):
        crest = step_crest(crest, mean, mean + excess * math.sqrt(mean), float(t))
    assert crest.excess == pytest.approx(excess, abs=1e-6)
    at = crest.mean_at(goal)
    assert at + crest.excess * math.sqrt(at) == pytest.approx(goal, rel=1e-6)
    assert step_crest(crest, 9.0, 9.0, 4.0) is crest
    assert Crest().mean_at(goal) == pytest.approx(goal)


def test_a_crest_forgets():
    crest = Crest()
    for t in range(1000):
        crest = step_crest(crest, 1.0, 3.0 if t < 100 else 2.0, float(t))
    assert crest.excess == pytest.approx(1.0, abs=0.01)
