import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.flow import Flow, FlowState, Section, step_flow
from edge.people import People

SECTION = Section(np.array([0.0, 0.0]), np.array([4.0, 0.0]))  # ahead is up
seeds = st.integers(0, 10_000)


def stream(seed: int, rate_per_s: float, seconds: float, speed: float = 1.2, back: float = 0.0) -> np.ndarray:
    """Rows of (time of crossing, x, velocity): a Poisson stream that crosses the section."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(rate_per_s * seconds)
    way = np.where(rng.random(n) < back, -1.0, 1.0)
    return np.column_stack((rng.uniform(0, seconds, n), rng.uniform(0.2, 3.8, n), way * speed))


def seen(rows: np.ndarray, t: float, tracked: bool, reach: float = 6.0) -> People:
    y = (t - rows[:, 0]) * rows[:, 2]
    here = np.abs(y) < reach
    at = np.column_stack((rows[here, 1], y[here]))
    velocity = np.column_stack((np.zeros(here.sum()), rows[here, 2]))
    return People.of(at, 1.0, 0.0, velocity, np.flatnonzero(here) if tracked else None)


def run(rows, fps: float, seconds: float, tracked=True, section=SECTION, change=None) -> Flow:
    state, flow = FlowState(), None
    for t in np.arange(0.0, seconds + 1e-9, 1 / fps):
        people = seen(rows, t, tracked)
        state, flow = step_flow(state, change(people) if change else people, section, float(t))
    assert flow is not None
    return flow


def test_tracks_are_counted_both_ways():
    rows = stream(1, 2.0, 60.0, back=0.25)
    flow = run(rows, 5, 60)
    ahead, back = (rows[:, 2] > 0).sum(), (rows[:, 2] < 0).sum()
    assert flow.ahead_per_m_min == pytest.approx(ahead / 4, abs=0.5)
    assert flow.back_per_m_min == pytest.approx(back / 4, abs=0.5)
    assert flow.net_per_m_min == pytest.approx(flow.ahead_per_m_min - flow.back_per_m_min)
    assert flow.net_per_s == pytest.approx((ahead - back) / 60, abs=0.05)
    assert flow.stderr_per_m_min == pytest.approx(math.sqrt(len(rows)) / 4, rel=0.05)
    assert flow.capacity_share == pytest.approx(len(rows) / 4 / 82, rel=0.05)


@given(seeds, st.booleans())
@settings(max_examples=3, deadline=None)
def test_the_picture_rate_does_not_matter(seed, tracked):
    rows = stream(seed, 2.0, 60.0, back=0.3)
    flows = [run(rows, fps, 60, tracked) for fps in (2, 5, 10)]
    for flow in flows[:-1]:
        assert flow.net_per_m_min == pytest.approx(flows[-1].net_per_m_min, abs=1.0)
        assert flow.capacity_share == pytest.approx(flows[-1].capacity_share, abs=0.03)


@given(seeds)
@settings(max_examples=3, deadline=None)
def test_density_times_speed_agrees_with_counting(seed):
    rows = stream(seed, 3.0, 60.0, back=0.2)
    counted, flux = run(rows, 4, 60), run(rows, 4, 60, tracked=False)
    # People in the strip at the beginning and at the end make the difference.
    assert flux.ahead_per_m_min == pytest.approx(counted.ahead_per_m_min, abs=2.5)
    assert flux.back_per_m_min == pytest.approx(counted.back_per_m_min, abs=2.5)
    assert flux.stderr_per_m_min == pytest.approx(counted.stderr_per_m_min, rel=0.1)


def test_half_tracks_and_half_density_add_up():
    rows = stream(4, 3.0, 60.0)
    whole = run(rows, 4, 60)

    def half(people: People) -> People:
        keys = np.where(people.keys % 2 == 0, people.keys, -1)
        return People.of(people.at, 1.0, 0.0, people.velocity, keys)

    mixed = run(rows, 4, 60, change=half)
    assert mixed.ahead_per_m_min == pytest.approx(whole.ahead_per_m_min, abs=2.0)


def test_the_stated_error_is_poisson_s():
    found = []
    for seed in range(25):
        flow = run(stream(seed, 1.0, 60.0), 1, 60)
        found.append((flow.ahead_per_m_min - 15) / flow.stderr_per_m_min)
    assert np.std(found) == pytest.approx(1.0, abs=0.4)


@given(seeds, st.floats(-3, 3))
@settings(max_examples=4, deadline=None)
def test_turning_the_ground_and_shuffling_people_change_nothing(seed, angle):
    rows = stream(seed, 2.0, 20.0)
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, s], [-s, c]])
    section = Section(SECTION.start @ turn + 7, SECTION.end @ turn + 7)

    def turned(people: People) -> People:
        order = np.random.default_rng(seed).permutation(len(people))
        moved = People.of(people.at @ turn + 7, 1.0, 0.0, people.velocity @ turn, people.keys)
        return moved.select(order)

    flow, other = run(rows, 4, 20), run(rows, 4, 20, section=section, change=turned)
    assert other.ahead_per_m_min == pytest.approx(flow.ahead_per_m_min)
    assert other.density_per_m2 == pytest.approx(flow.density_per_m2)


def test_who_passes_beside_the_section_or_wavers_on_it_is_not_counted():
    state = FlowState()
    for k, y in enumerate([-1, 1, -1, 1, -1]):  # beside it
        people = People.of([[6.0, y]], velocity=[[0, 1]], keys=[1])
        state, flow = step_flow(state, people, SECTION, k * 2.0)
    assert flow.ahead_per_m_min == flow.back_per_m_min == 0
    assert flow.stderr_per_m_min > 0
    state = FlowState()
    for k in range(40):  # ten centimetres to and fro
        people = People.of([[2.0, 0.1 * (-1) ** k]], velocity=[[0, 1]], keys=[1])
        state, flow = step_flow(state, people, SECTION, k * 0.5)
    assert flow.ahead_per_m_min == 0


def test_little_history_gaps_and_unknown_speeds_are_said():
    state, flow = step_flow(FlowState(), People.of([]), SECTION, 0.0)
    assert flow.unavailable == "too little has been seen yet"
    assert flow.ahead_per_m_min is None
    state, flow = step_flow(state, People.of([]), SECTION, 100.0)
    assert flow.observed_s == 0  # a gap is not observed
    x, y = np.meshgrid(np.arange(0.2, 4, 0.4), np.arange(-0.9, 1, 0.4))
    dense = People.of(np.column_stack((x.ravel(), y.ravel())))
    for k in range(20):
        state, flow = step_flow(state, dense, SECTION, 101.0 + k)
    assert flow.unavailable == "velocities of most people are unknown"


def crowd_at(speed: float, per_m2: float) -> People:
    step = 1 / math.sqrt(per_m2)
    x, y = np.meshgrid(np.arange(step / 2, 4, step), np.arange(-1 + step / 2, 1, step))
    at = np.column_stack((x.ravel(), y.ravel()))
    return People.of(at, velocity=np.tile([0.0, speed], (len(at), 1)))


def drive(speeds, per_m2=3.0) -> Flow:
    state = FlowState()
    for k, speed in enumerate(speeds):
        state, flow = step_flow(state, crowd_at(speed, per_m2), SECTION, float(k))
    return flow


def test_stop_and_go_is_waves_or_a_dense_flow_held_up():
    waves = drive([0.6 if (k // 6) % 2 else 0.05 for k in range(48)])
    assert waves.waves == 4
    assert waves.stop_and_go
    held = drive([0.12] * 30)
    assert held.waves == 0
    assert held.stop_and_go
    assert held.speed_m_s == pytest.approx(0.12)
    assert not drive([0.0] * 30).stop_and_go  # a crowd that stands, at a concert
    assert not drive([0.6] * 30, 2.0).stop_and_go  # walks as is to be expected
    assert not drive([0.1] * 30, 0.4).stop_and_go  # not dense


@pytest.mark.parametrize(
    "bad",
    [{"end": np.zeros(2)}, {"capacity_per_m_min": 0.0}, {"band_m": -1.0}, {"capacity_per_m_min": math.nan}],
)
def test_a_section_must_have_width_and_capacity(bad):
    good = {"start": np.zeros(2), "end": np.array([1.0, 0.0])}
    with pytest.raises(ValueError, match=r"section|positive"):
        Section(**{**good, **bad})
