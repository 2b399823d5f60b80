import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.people import People
from edge.surge import Surge, SurgeLimits, SurgeState, step_surge


def look(rng, n, speed, spread=0.2, scatter=False) -> People:
    at = rng.uniform(-6, 6, (n, 2))
    away = at / np.maximum(np.hypot(*at.T), 0.5)[:, None]
    way = away if scatter else np.tile([1.0, 0.0], (n, 1))
    return People.of(at, velocity=way * np.maximum(rng.normal(speed, spread, n), 0)[:, None])


def drive(phases, fps=2.0, seed=0, noise=0.0) -> list[Surge]:
    """Phases of (seconds, people, speed, scatter)."""
    rng, state, found, t = np.random.default_rng(seed), SurgeState(), [], 0.0
    for seconds, n, speed, scatter in phases:
        for _ in range(round(seconds * fps)):
            people = look(rng, n, speed, scatter=scatter)
            if noise:
                people = People.of(people.at, velocity=people.velocity + rng.normal(0, noise, (n, 2)))
            state, surge = step_surge(state, people, t, noise)
            found.append(surge)
            t += 1 / fps
    return found


@pytest.mark.parametrize("fps", [0.5, 2, 5, 10])
def test_a_crowd_that_suddenly_runs_is_told_at_any_rate(fps):
    found = drive([(20, 30, 1.3, False), (6, 30, 3.0, False)], fps)
    before, after = found[: round(20 * fps)], found[round(20 * fps) :]
    assert not any(s.danger for s in before)
    assert after[-1].danger
    assert next(k for k, s in enumerate(after) if s.danger) <= max(1, 1.5 * fps)
    last = after[-1]
    assert last.running_share > 0.9
    assert last.running_people == pytest.approx(30, abs=2)
    assert last.running_share_before < 0.1
    assert last.acceleration_m_s2 > 0.1
    assert last.speed_m_s == pytest.approx(3.0, abs=0.3)
    assert 0 < last.running_share_stderr < 0.15


def test_scattering_in_a_hurry_is_told():
    found = drive([(20, 30, 0.3, False), (3, 30, 2.1, True)])
    assert found[-1].scattering
    assert found[-1].danger
    assert found[-1].divergence_per_s > 0.2
    assert found[-1].divergence_per_s > 2 * found[-1].divergence_stderr_per_s


@pytest.mark.parametrize(
    "phases",
    [
        [(20, 0, 0, False), (15, 60, 1.5, False)],  # a train has come
        [(20, 30, 0.0, False), (10, 30, 1.4, True)],  # the show is over
        [(40, 30, 3.0, False)],  # a race from the beginning
        [(20, 40, 1.8, False)],  # in a hurry, but walking
        [(20, 0, 0, False), (5, 1, 4.0, False)],  # one runs for the bus
        [(20, 3, 1.2, False), (5, 4, 3.0, False)],  # children
    ],
    ids=["train", "end of a show", "race", "hurry", "one", "few"],
)
def test_what_is_no_surge(phases):
    assert not any(s.danger for s in drive(phases))


def packed(n, per_m2, speed) -> People:
    """A square crowd of so many to the square metre, all going one way."""
    side = math.ceil(math.sqrt(n))
    at = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2)[:n] / math.sqrt(per_m2)
    return People.of(at, velocity=np.tile([speed, 0.0], (n, 1)))


def after_standing(per_m2, speed, n=80) -> Surge:
    state = SurgeState()
    for k in range(60):
        state, surge = step_surge(state, packed(n, per_m2, speed if k > 50 else 0.0), k * 0.2)
    return surge


@pytest.mark.parametrize(("per_m2", "speed"), [(3.0, 1.5), (2.0, 1.6), (0.2, 2.3)])
def test_flight_is_faster_than_anybody_walks_at_that_density(per_m2, speed):
    assert after_standing(per_m2, speed).danger


@pytest.mark.parametrize(("per_m2", "speed"), [(3.0, 0.5), (1.0, 1.2), (0.5, 1.6), (4.5, 1.0)])
def test_a_crowd_that_walks_on_is_none(per_m2, speed):
    """At a green light, at the end of a show; or pushed on in a jam."""
    assert after_standing(per_m2, speed).danger is False


def test_one_runner_in_a_crowd_is_none():
    rng, state = np.random.default_rng(1), SurgeState()
    for k in range(60):
        people = look(rng, 30, 1.2)
        if k > 40:
            people = people.join(People.of([[0, 0]], velocity=[[5.0, 0]]))
        state, surge = step_surge(state, people, k * 0.5)
        assert not surge.danger


def test_a_noisy_tracker_makes_no_runners():
    found = drive([(40, 40, 1.3, False)], noise=0.4)
    assert not any(s.danger for s in found)
    assert found[-1].speed_m_s == pytest.approx(1.33, abs=0.1)
    slips = People.of(np.zeros((20, 2)), velocity=np.tile([30.0, 0.0], (20, 1)))
    assert step_surge(SurgeState(), slips, 0.0)[1].unavailable == "velocities of most people are unknown"


def test_little_history_and_blindness_are_said():
    found = drive([(3, 30, 3.0, False)])
    assert all(s.danger is None for s in found)
    assert found[-1].unavailable == "too little has been seen before"
    assert found[-1].running_share > 0.9
    state, blind = step_surge(SurgeState(), People.of(np.zeros((20, 2))), 0.0)
    assert blind.unavailable == "velocities of most people are unknown"
    assert state.looks == ()
    empty = drive([(10, 0, 0, False)])[-1]
    assert empty.danger is False
    assert empty.acceleration_m_s2 is None


def test_its_memory_stays_small():
    rng, state = np.random.default_rng(2), SurgeState()
    for k in range(700):
        state, _ = step_surge(state, look(rng, 5, 1.0), k / 15)
    assert len(state.looks) < 120


@given(st.integers(0, 999), st.floats(-3, 3))
@settings(max_examples=10, deadline=None)
def test_order_and_frame_mean_nothing(seed, angle):
    rng = np.random.default_rng(seed)
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, s], [-s, c]])
    one = other = SurgeState()
    for k in range(12):
        people = look(rng, 20, 1.0 + k / 4, scatter=True)
        moved = People.of(people.at @ turn + 9, velocity=people.velocity @ turn).select(rng.permutation(20))
        one, a = step_surge(one, people, k * 1.0)
        other, b = step_surge(other, moved, k * 1.0)
    assert a.danger == b.danger
    assert b.divergence_per_s == pytest.approx(a.divergence_per_s)
    assert b.running_share == pytest.approx(a.running_share)


@pytest.mark.parametrize(
    "bad",
    [
        {"hurrying_m_s": 3.0},
        {"recent_s": 40.0},
        {"settle_s": 99.0},
        {"least_people": 1},
        {"least_share": 0.0},
    ],
)
def test_limits_are_checked(bad):
    with pytest.raises(ValueError, match="must"):
        SurgeLimits(**bad)
