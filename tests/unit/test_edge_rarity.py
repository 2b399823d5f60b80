import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge.rarity import BINS, Tail, all_of, any_of, fading, mass_p, score_bin, shrunk, tail_p

COUNTS = arrays.arrays(np.float64, 6, elements=st.floats(0, 500))
P = st.floats(1e-6, 1.0)


def share_below(ps: np.ndarray, alpha: float) -> float:
    return float((ps <= alpha).mean())


@pytest.mark.parametrize("seed", range(3))
def test_p_values_of_usual_things_are_no_rarer_than_they_say(seed):
    rng = np.random.default_rng(seed)
    kinds = rng.dirichlet(np.full(30, 0.3))
    ps = []
    for _ in range(1500):
        seen = rng.choice(30, 200, p=kinds)
        ps.append(mass_p(np.bincount(seen, minlength=30).astype(float))[rng.choice(30, p=kinds)])
    for alpha in (0.02, 0.05, 0.1, 0.3):
        assert share_below(np.array(ps), alpha) <= alpha + 3 * np.sqrt(alpha / 1500)


def test_p_values_of_speeds_are_uniform():
    rng = np.random.default_rng(4)
    edges = np.linspace(-3, 3, 61)
    ps = []
    for _ in range(2000):
        counts = np.bincount(np.searchsorted(edges, rng.normal(size=400)), minlength=62).astype(float)
        ps.append(tail_p(counts)[np.searchsorted(edges, rng.normal())])
    for alpha in (0.05, 0.2, 0.5, 0.8):
        assert share_below(np.array(ps), alpha) == pytest.approx(alpha, abs=0.05)


@given(COUNTS)
def test_what_is_more_frequent_is_more_usual(counts):
    p = mass_p(counts)
    order = np.argsort(counts)
    assert (np.diff(p[order]) >= -1e-12).all()
    assert (p > 0).all()
    assert (p <= 1).all()
    for a, b in ((0, 1), (2, 5)):
        if counts[a] == counts[b]:
            assert p[a] == p[b]


@given(COUNTS)
def test_what_is_higher_is_no_more_usual(counts):
    p = tail_p(counts)
    assert p[0] == pytest.approx(1.0)
    assert (np.diff(p) <= 1e-12).all()
    assert p[-1] == pytest.approx(1 / (1 + counts.sum()))


def test_that_nobody_comes_makes_one_who_does_rare():
    busy, idle = (mass_p(np.array([5.0, 0.0]), np.array(spare)) for spare in (0.0, 994.0))
    assert busy.tolist() == [1.0, pytest.approx(1 / 6)]
    assert idle.tolist() == [pytest.approx(0.006), pytest.approx(0.001)]


def test_little_evidence_is_filled_up_by_wider_circles_and_much_is_not():
    wider = np.array([100.0, 300.0])
    assert shrunk(np.zeros(2), wider, 40).tolist() == [10.0, 30.0]
    assert shrunk(np.zeros(2), wider / 100, 40).tolist() == [1.0, 3.0]
    much = shrunk(np.array([9000.0, 1000.0]), wider, 40)
    assert much[0] / much.sum() == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("dependence", [0.0, 0.5, 0.95, 1.0])
def test_combined_p_values_hold_however_they_depend_on_each_other(dependence):
    rng = np.random.default_rng(5)
    common, own = rng.random((20000, 1)), rng.random((20000, 6))
    p = np.where(rng.random((20000, 6)) < dependence, common, own)
    for combine in (any_of, all_of):
        for alpha in (0.01, 0.05, 0.2):
            assert share_below(combine(p), alpha) <= alpha + 0.006


def test_what_lasts_is_rarer_than_what_flickers():
    assert all_of(np.full((1, 6), 1e-3))[0] == pytest.approx(np.e * 1e-3)
    assert all_of(np.array([[1e-3, 1, 1, 1, 1, 1]]))[0] > 0.8


def test_unknown_values_say_nothing():
    assert any_of(np.array([[0.01, np.nan], [np.nan, np.nan]])).tolist() == [0.01, 1.0]
    assert all_of(np.array([[0.01, np.nan], [np.nan, np.nan]])).tolist() == [
        pytest.approx(np.e * 0.01),
        1.0,
    ]


@given(st.lists(P, max_size=40), P, P)
def test_a_tail_is_monotone_and_counts_what_it_saw(seen, a, b):
    tail = Tail.empty()
    for p in seen:
        tail = tail.add(p)
    assert tail.minutes == len(seen)
    assert tail.p(min(a, b)) <= tail.p(max(a, b))
    assert tail.p(a) >= (1 + sum(p <= a for p in seen)) / (1 + len(seen)) - 1e-12
    assert tail.merged(tail).minutes == 2 * len(seen)


def test_a_tail_of_usual_minutes_keeps_the_rate():
    rng = np.random.default_rng(1)
    days, alarms = 150, 0
    for _ in range(days):
        tail = Tail(
            np.bincount([score_bin(p) for p in rng.beta(0.6, 1.0, 2000)], minlength=BINS).astype(float)
        )
        alarms += sum(tail.per_day(p) <= 1.0 for p in rng.beta(0.6, 1.0, 1440))
    assert alarms / days <= 1.0


def test_tails_fade_and_refuse_nonsense():
    tail = Tail.empty().add(0.5).add(1e-3).faded(0.5)
    assert tail.minutes == 1.0
    assert (fading(0, 5), fading(10, 5), fading(-3, 5)) == (1.0, 0.25, 1.0)
    with pytest.raises(ValueError, match="above 0"):
        score_bin(0.0)
    with pytest.raises(ValueError, match="finite"):
        Tail(np.full(BINS, np.nan))
    assert score_bin(1e-300) == BINS - 1
