import math

import numpy as np
import pytest

from edge.people import People
from edge.stillness import SAMPLES, Stillness, step_stillness

APART = np.stack(np.meshgrid(np.arange(6) * 3.0, np.arange(2) * 3.0), axis=-1).reshape(-1, 2)


def drive(at: np.ndarray, sigma: float, seconds: float, way=(0.0, 0.0), fps: float = 5.0):
    rng, state, noise = np.random.default_rng(1), Stillness(), None
    for t in np.arange(0, seconds, 1 / fps):
        velocity = np.array(way) + rng.normal(0, sigma, at.shape)
        moved = at + np.array(way) * t
        people = People.of(moved, velocity=velocity, keys=np.arange(len(at)))
        state, noise = step_stillness(state, people, float(t))
    return state, noise


@pytest.mark.parametrize("fps", [1, 5, 10])
def test_people_who_stand_alone_tell_the_noise(fps):
    state, noise = drive(APART, 0.1, 30, fps=fps)
    assert noise.variance_m2_per_s2 == pytest.approx(0.02, rel=0.35)
    assert len(state.samples) == SAMPLES


def test_walkers_and_crowds_tell_nothing():
    for at, way in ((APART, (0.5, 0.0)), (APART / 4, (0.0, 0.0))):
        assert drive(at, 0.1, 20, way)[1].variance_m2_per_s2 == math.inf


def test_few_samples_tell_nothing_and_what_is_known_is_kept():
    state, noise = drive(APART[:2], 0.1, 10)
    assert len(state.samples) == 12
    assert noise.variance_m2_per_s2 == math.inf
    state, noise = drive(APART, 0.1, 30)
    nobody = People.of(np.zeros((0, 2)))
    state, later = step_stillness(state, nobody, 1000.0)
    assert later == noise
    assert state.anchors == {}


def test_who_has_no_velocity_yet_is_left_out():
    state = Stillness()
    for t in np.arange(0, 20, 0.5):
        state, noise = step_stillness(state, People.of(APART, keys=np.arange(len(APART))), float(t))
    assert state.samples == ()
    assert noise.variance_m2_per_s2 == math.inf
