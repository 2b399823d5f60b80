import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.strictness import LEAST_JUDGED, strictness

counts = st.integers(0, 500)
bounds = st.floats(1, 5)


@given(counts, counts, bounds)
def test_it_stays_within_its_bounds(true, false, strictest):
    assert 1.0 <= strictness(true, false, strictest) <= strictest


@given(counts, counts, bounds)
def test_a_false_alarm_never_makes_it_milder_nor_a_true_one_stricter(true, false, strictest):
    now = strictness(true, false, strictest)
    if true + false >= LEAST_JUDGED:
        assert strictness(true, false + 1, strictest) >= now
        assert strictness(true + 1, false, strictest) <= now


def test_few_verdicts_and_good_rules_change_nothing():
    assert strictness(0, LEAST_JUDGED - 1, 3.0) == 1.0
    assert strictness(95, 5, 3.0) == 1.0


def test_how_strict():
    assert strictness(5, 5, 2.0) == pytest.approx(1 + (0.9 - 0.5) / 0.45)
    assert strictness(0, 20, 2.0) == 2.0
    assert strictness(0, 20, 1.0) == 1.0
