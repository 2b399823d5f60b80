"""A token bucket: never faster than told, and not in drops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.pace import BURST_S, Pace
from tests.support.delivery import Hands


@given(
    per_s=st.floats(0.5, 2000),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 1000)), max_size=40),
)
def test_it_never_lets_through_more_than_the_rate_and_one_burst(
    per_s: float, steps: list[tuple[float, int]]
) -> None:
    hands = Hands()
    pace = Pace(per_s, hands)
    gone = 0
    for seconds, wanted in steps:
        hands.seconds += seconds
        allowed = pace.allowed()
        assert 0 <= allowed <= max(1.0, per_s * BURST_S)
        went = min(allowed, wanted)
        pace.spend(went)
        gone += went
        assert gone <= per_s * hands.seconds + max(1.0, per_s * BURST_S) + 1e-5


@given(per_s=st.floats(0.5, 2000))
def test_who_waits_as_told_gets_the_rate(per_s: float) -> None:
    hands = Hands()
    pace = Pace(per_s, hands)
    gone = 0
    while hands.seconds < 20:
        hands.seconds += pace.wait_s() + 1e-9
        allowed = pace.allowed()
        assert allowed
        pace.spend(allowed)
        gone += allowed
    assert gone >= per_s * 20 * 0.6


def test_it_waits_until_the_trip_is_worth_it() -> None:
    hands = Hands()
    pace = Pace(500, hands)
    assert pace.allowed() == 100
    assert pace.wait_s() == 0
    pace.spend(100)
    assert pace.wait_s() == pytest.approx(0.1)
    hands.seconds += 0.09
    assert pace.allowed() == 0
    hands.seconds += 0.011
    assert pace.allowed() == 50


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        Pace(0, Hands())
