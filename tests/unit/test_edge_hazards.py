import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.hazards import BLINK_S, FORGIVE_S, Crossings, Presence, step_crossings, step_presence

KEY = np.array([7])
ACROSS = (np.array([0.2, 0.5]), np.array([0.8, 0.5]))  # to the right: downwards is right of it


def stay(times_inside: list[tuple[float, bool | None]]) -> list[float]:
    """Seconds inside at each look; None: not seen at all."""
    state, seconds = Presence(), []
    for t, inside in times_inside:
        keys = KEY if inside is not None else KEY[:0]
        state, s = step_presence(state, keys, np.array([inside] if inside is not None else [], bool), t)
        seconds.append(float(s[0]) if len(s) else math.nan)
    return seconds


def test_presence_is_counted_in_true_seconds():
    assert stay([(0, True), (0.5, True), (3.0, True)]) == [0, 0.5, 3.0]


def test_a_short_loss_or_step_outside_is_forgiven():
    seconds = stay([(0, True), (0.2, True), (0.4, None), (0.6, False), (1.6, True)])
    assert seconds[-1] == pytest.approx(1.6)
    assert all(math.isnan(s) for s in seconds[2:4])


def test_a_longer_one_begins_anew():
    assert stay([(0, True), (0.2, False), (FORGIVE_S + 0.1, True)])[-1] == 0


def test_pictures_far_apart_still_make_a_presence():
    assert stay([(0, True), (4, True), (8, True)])[-1] == 8


def test_presence_forgets():
    state = Presence()
    for k in range(100):
        state, _ = step_presence(state, np.array([k]), np.array([True]), k * 2.0)
    assert len(state.stays) <= 2


def box(x: float, y: float, height: float = 0.2) -> np.ndarray:
    """A person whose foot is at x, y."""
    return np.array([[x - height / 6, y - height, x + height / 6, y]], np.float32)


SURE = np.array([True])


def walk(
    feet: list[tuple[float, float]], line=ACROSS, height: float = 0.2, step_s: float = 0.2, unsure=()
) -> list[int]:
    state, crossed = Crossings(), []
    for k, (x, y) in enumerate(feet):
        sure = np.array([k not in unsure])
        state, found = step_crossings(state, KEY, box(x, y, height), sure, line, k * step_s)
        crossed += [int(c) for c in found if c]
    return crossed


def way(y0: float, y1: float, n: int, x: float = 0.5) -> list[tuple[float, float]]:
    return [(x, y) for y in np.linspace(y0, y1, n)]


@pytest.mark.parametrize("n", [4, 5, 50])
def test_a_crossing_counts_once_however_often_one_looks(n):
    assert walk(way(0.3, 0.7, n)) == [1]
    assert walk(way(0.7, 0.3, n)) == [-1]


def test_there_and_back_are_two():
    assert walk(way(0.3, 0.7, 9) + way(0.7, 0.3, 9)) == [1, -1]


def test_the_other_way_round_the_line_is_the_other_direction():
    assert walk(way(0.3, 0.7, 9), ACROSS[::-1]) == [-1]


def test_past_the_end_of_the_line_is_no_crossing():
    assert walk(way(0.3, 0.7, 9, x=0.9)) == []
    round_the_end = [(0.7, 0.4), (0.9, 0.45), (0.9, 0.55), (0.7, 0.6), (0.7, 0.4), (0.7, 0.3)]
    assert walk(round_the_end) == [-1]


def test_wavering_on_the_line_is_no_crossing():
    assert walk([(0.5, 0.495), (0.5, 0.505)] * 20) == []
    assert walk([*way(0.4, 0.5, 5), *[(0.5, 0.495), (0.5, 0.505)] * 20, *way(0.5, 0.4, 5)]) == []


def test_who_wavers_and_goes_through_crosses_once():
    assert walk([*way(0.4, 0.5, 5), *[(0.5, 0.495), (0.5, 0.505)] * 20, *way(0.5, 0.6, 5)]) == [1]


def test_who_turns_up_on_the_line_has_not_crossed_it():
    assert walk(way(0.5, 0.7, 9)) == []


def test_a_box_that_swallows_a_neighbour_for_one_look_has_not_crossed():
    assert walk([(0.5, 0.4), (0.5, 0.4), (0.5, 0.6), (0.5, 0.4), (0.5, 0.4)]) == []


def test_weak_detections_do_not_say_on_which_side_somebody_stands():
    feet = [(0.5, 0.4), (0.5, 0.4), (0.5, 0.6), (0.5, 0.6), (0.5, 0.6), (0.5, 0.4)]
    assert walk(feet, unsure={2, 3, 4}) == []
    assert walk(feet) == [1]


def test_after_a_long_absence_nothing_is_known():
    assert walk([(0.5, 0.3), (0.5, 0.7)], step_s=BLINK_S + 1) == []


def test_nobody():
    state, crossed = step_crossings(Crossings(), KEY[:0], np.zeros((0, 4), np.float32), SURE[:0], ACROSS, 0.0)
    assert crossed.shape == (0,)
    assert state.sides == {}


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=60),
    st.floats(0.02, 0.4),
)
def test_directions_alternate_on_a_line_that_spans_the_picture(feet, height):
    crossed = walk(feet, (np.array([-9.0, 0.5]), np.array([9.0, 0.5])), height)
    assert all(a == -b for a, b in pairwise(crossed))


@given(
    st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)), min_size=2, max_size=30), st.floats(0.3, 3)
)
def test_the_picture_s_shape_does_not_matter(feet, stretch):
    """Fractions of a wider picture: everything shrinks along x, and nothing else may change."""
    state, other = Crossings(), Crossings()
    slanted = (np.array([0.2, 0.3]), np.array([0.7, 0.8]))
    scale = np.array([stretch, 1.0])
    for k, (x, y) in enumerate(feet):
        seen = box(x, y).astype(np.float64)
        state, found = step_crossings(state, KEY, seen, SURE, slanted, k * 0.2)
        line = (slanted[0] * scale, slanted[1] * scale)
        other, expected = step_crossings(other, KEY, seen * np.tile(scale, 2), SURE, line, k * 0.2)
        assert found.tolist() == expected.tolist()
