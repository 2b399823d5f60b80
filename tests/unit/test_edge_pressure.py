import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.field import Ground
from edge.people import People
from edge.pressure import Noise, Pressure, PressureState, step_pressure, velocity_noise

SQUARE = np.array([[0.0, 0.0], [8.0, 0.0], [8.0, 8.0], [0.0, 8.0]])
GROUND = Ground.lay(SQUARE)


def look(rng: np.random.Generator, per_m2: float, shake: float, noise: float = 0.0) -> People:
    """People that all drift, each shaken by so many m/s a component, and measured with noise."""
    n = round(per_m2 * 64)
    at = rng.uniform(0, 8, (n, 2))
    velocity = np.array([0.4, 0.1]) + rng.normal(0, math.hypot(shake, noise), (n, 2))
    return People.of(at, 1.0, 0.05, velocity)


def drive(seed, per_m2, shake, noise=0.0, known=None) -> Pressure:
    rng, state = np.random.default_rng(seed), PressureState()
    for t in np.arange(0, 20.0, 1.0):
        people = look(rng, per_m2, shake, noise)
        state, found = step_pressure(state, people, GROUND, float(t), known or Noise())
    return found


def test_a_shaken_crowd_has_the_pressure_of_the_formula():
    shake = math.sqrt(0.04 / 4 / 2)  # P = 4 * 2 * shake^2
    found = drive(1, 4.0, shake)
    assert found.unavailable is None
    assert found.mean_per_s2 == pytest.approx(0.04, rel=0.1)
    assert 0.03 < found.worst_per_s2 < 0.075
    assert 0 < found.stderr_per_s2 < 0.015
    assert found.density_per_m2 > 2


def test_a_marching_crowd_has_none():
    found = drive(2, 4.0, 0.0)
    assert found.worst_per_s2 < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_noise_that_is_known_is_no_pressure(seed):
    sigma = 0.1
    found = drive(seed, 4.0, 0.0, sigma, known=Noise(2 * sigma**2, 0.002))
    assert found.worst_per_s2 - 2 * found.stderr_per_s2 < 0.01
    assert found.mean_per_s2 < 0.006
    assert drive(seed, 4.0, 0.0, sigma).mean_per_s2 > 0.06  # what it would be otherwise


def test_noise_is_measured_on_things_that_stand():
    rng = np.random.default_rng(5)
    v = rng.normal(0, 0.2, (400, 2))
    v[:20] += 3.0  # somebody walks through
    v[20:30] = np.nan
    variance, stderr = velocity_noise(v)
    assert variance == pytest.approx(0.08, rel=0.25)
    assert 0.004 < stderr < 0.02
    assert velocity_noise(v[:3]) == (math.inf, math.inf)
    estimates = [velocity_noise(rng.normal(0, 0.2, (100, 2))) for _ in range(200)]
    spread = np.std([e[0] for e in estimates]) / np.mean([e[1] for e in estimates])
    assert spread == pytest.approx(1.0, abs=0.2)


def test_it_is_unavailable_with_a_reason():
    rng = np.random.default_rng(6)
    people = look(rng, 4.0, 0.05)
    blind = People.of(people.at)
    thin = look(rng, 0.2, 0.05)
    cases = [
        (people, Noise(), 15.0, "people are under 20 pixels high"),
        (blind, Noise(), None, "velocities of most people are unknown"),
        (People.of([[1, 1]], velocity=[[0, 0]]), Noise(), None, "too few people"),
        (people, Noise(math.inf), None, "the velocities' noise is unknown"),
        (thin, Noise(), None, "too few people near each other"),
    ]
    for who, noise, px, reason in cases:
        _, found = step_pressure(PressureState(), who, GROUND, 0.0, noise, px)
        assert found == Pressure(unavailable=reason)
    with pytest.raises(ValueError, match="negative"):
        Noise(-1.0)


def test_the_average_forgets_after_a_gap():
    rng = np.random.default_rng(7)
    state, wild = step_pressure(PressureState(), look(rng, 4.0, 0.3), GROUND, 0.0, Noise())
    _, near = step_pressure(state, look(rng, 4.0, 0.0), GROUND, 1.0, Noise())
    _, late = step_pressure(state, look(rng, 4.0, 0.0), GROUND, 60.0, Noise())
    assert near.mean_per_s2 > 0.5 * wild.mean_per_s2
    assert late.mean_per_s2 < 1e-6


def test_the_picture_rate_does_not_matter():
    """The same shaking, seen at other rates: each person's velocity wanders within a second."""
    means = {}
    for fps in (2, 10):
        rng, state = np.random.default_rng(8), PressureState()
        at = rng.uniform(0, 8, (256, 2))
        phase, period = rng.uniform(0, 2 * math.pi, (256, 2)), rng.uniform(0.7, 1.5, (256, 2))
        for t in np.arange(0, 20, 1 / fps):
            v = 0.1 * np.sin(2 * math.pi * t / period + phase)
            state, found = step_pressure(state, People.of(at, velocity=v), GROUND, float(t), Noise())
        means[fps] = found
    assert means[2].mean_per_s2 == pytest.approx(4 * 0.01, rel=0.1)
    assert means[10].mean_per_s2 == pytest.approx(means[2].mean_per_s2, rel=0.05)
    assert means[10].worst_per_s2 == pytest.approx(means[2].worst_per_s2, rel=0.2)


@given(st.integers(0, 999), st.floats(-3, 3))
@settings(max_examples=8, deadline=None)
def test_order_and_frame_mean_nothing(seed, angle):
    rng = np.random.default_rng(seed)
    people = look(rng, 4.0, 0.08)
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, s], [-s, c]])
    moved = People.of(people.at @ turn - 30, 1.0, 0.05, people.velocity @ turn)
    moved = moved.select(rng.permutation(len(people)))
    _, one = step_pressure(PressureState(), people, GROUND, 0.0, Noise())
    _, other = step_pressure(PressureState(), moved, Ground.lay(SQUARE @ turn - 30), 0.0, Noise())
    assert other.worst_per_s2 == pytest.approx(one.worst_per_s2, rel=1e-3)
    assert other.stderr_per_s2 == pytest.approx(one.stderr_per_s2, rel=1e-3)
