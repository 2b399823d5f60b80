"""Delays grow, are capped and jittered, and start anew after success."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.backoff import Backoff


@given(st.integers(), st.floats(0.01, 5), st.floats(1, 10), st.integers(1, 60))
def test_delays_lie_between_half_and_the_capped_step(
    seed: int, initial: float, factor: float, count: int
) -> None:
    cap = initial * factor
    backoff = Backoff(random.Random(seed), initial, cap)
    for failure in range(count):
        step = min(cap, initial * 2**failure)
        assert step / 2 <= backoff.next_s() <= step
    backoff.reset()
    assert backoff.next_s() <= initial


def test_it_survives_weeks_of_failures() -> None:
    backoff = Backoff(random.Random(1))
    assert all(0 < backoff.next_s() <= 2.0 for _ in range(5000))


def test_cameras_that_died_together_come_back_apart() -> None:
    assert Backoff(random.Random(1)).next_s() != Backoff(random.Random(2)).next_s()


@pytest.mark.parametrize(("initial", "cap"), [(0, 1), (2, 1)])
def test_refused_arguments(initial: float, cap: float) -> None:
    with pytest.raises(ValueError, match="initial_s <= cap_s"):
        Backoff(random.Random(1), initial, cap)
