import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.against import BLINK_S, LEAST_LOOKS, PERSON_M_S, VEHICLE_M_S, Walkers, Ways, step_against

EAST = np.array([1.0, 0.0])
KEY = np.array([7])


def walk(
    places: list[tuple[float, float] | None],
    fps: float = 5.0,
    axis=EAST,
    scale: float = 1.0,
    firm=True,
    fastest_m_s: float = VEHICLE_M_S,
):
    """Metres gone back, and seconds, at the last look of one who is seen at these places."""
    state, back_m, seconds = Ways(), np.zeros(1), np.zeros(1)
    for k, place in enumerate(places):
        keys = KEY if place is not None else KEY[:0]
        at = np.array([place] if place is not None else np.zeros((0, 2)), float)
        fastest = np.full(len(keys), fastest_m_s)
        walkers = Walkers(keys, at, np.full(len(keys), scale), np.full(len(keys), firm), fastest)
        state, back_m, seconds = step_against(state, walkers, axis, k / fps)
    return (float(back_m[0]), float(seconds[0])) if len(back_m) else (0.0, 0.0)


def line(start: float, end: float, steps: int) -> list[tuple[float, float]]:
    return [(float(x), 0.0) for x in np.linspace(start, end, steps)]


def test_who_goes_the_allowed_way_is_never_behind():
    assert walk(line(0, 10, 30)) == (0.0, 0.0)


def test_who_goes_against_it_is_behind_by_what_it_has_gone():
    back_m, seconds = walk(line(10, 4, 21))
    assert back_m == pytest.approx(6.0)
    assert seconds == pytest.approx(4.0)


def test_faint_looks_prove_less():
    assert walk(line(10, 4, 9), firm=False) == (0.0, 0.0)
    assert walk(line(10, 4, 21), firm=False)[0] == pytest.approx(6.0)


def test_who_turns_round_counts_from_where_it_turned():
    assert walk(line(0, 8, 20) + line(8, 5, 10))[0] == pytest.approx(3.0)
    assert walk(line(8, 5, 10) + line(5, 9, 10)) == (0.0, 0.0)


def test_across_is_not_against():
    aside = [(-0.05 * k, 0.3 * k) for k in range(20)]
    assert walk(aside) == (0.0, 0.0)


def test_a_leap_or_a_long_absence_begins_anew():
    assert walk([*line(0, 2, 5), (-60.0, 0.0), (-60.1, 0.0)]) == (0.0, 0.0)
    gap = [None] * math.ceil(BLINK_S * 5 + 1)
    assert walk([(9.0, 0.0), *gap, (4.0, 0.0), (3.9, 0.0), (3.8, 0.0)]) == (0.0, 0.0)


def test_a_person_s_hop_is_no_step_neither_back_nor_forth():
    hops = [(9.0, 0.0), (7.5, 0.0), (7.4, 0.0), (6.0, 0.0), (5.9, 0.0), (4.5, 0.0), (4.4, 0.0)]
    assert walk(hops)[0] == pytest.approx(4.6)
    assert walk(hops, fastest_m_s=PERSON_M_S)[0] == pytest.approx(0.3)
    gone = [*line(10, 8, 10), (9.6, 0.0), (8.1, 0.0), *line(7.8, 6, 10)]
    assert walk(gone, fastest_m_s=PERSON_M_S)[0] == pytest.approx(4.0, abs=0.2)


def test_few_looks_make_no_way_but_slow_ones_do():
    assert walk([(9.0, 0.0), (7.0, 0.0), (5.0, 0.0)])[0] == 0.0
    assert LEAST_LOOKS == 3
    assert walk([(9.0 - 2.6 * k, 0.0) for k in range(4)], fps=0.5)[0] == pytest.approx(7.8)


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=30),
    st.floats(-math.pi, math.pi),
    st.floats(0.01, 100),
)
def test_neither_turn_nor_scale_of_the_frame_matters(steps, angle, unit):
    places = np.cumsum(np.array(steps) * (0.1, 0.073), axis=0)
    c, s = math.cos(angle), math.sin(angle)
    turned = places @ np.array([[c, s], [-s, c]]) / unit
    here, there = (
        walk([tuple(p) for p in places]),
        walk([tuple(p) for p in turned], axis=np.array([c, s]), scale=unit),
    )
    assert there[1] == pytest.approx(here[1], abs=1e-6) or here[0] < 1e-6
    assert there[0] == pytest.approx(here[0], rel=1e-6, abs=1e-6)
