"""Plane geometry that zones, lines and walls rest on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sim.geometry import area, clearance, crossings, edges, inside, offsets, side

SQUARE = np.array([(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)])
L_SHAPE = np.array([(0.0, 0.0), (4.0, 0.0), (4.0, 1.0), (1.0, 1.0), (1.0, 4.0), (0.0, 4.0)])
COORDINATE = st.floats(-6.0, 6.0)
LINE = np.array([(0.0, 0.0), (0.0, 10.0)])


@given(x=COORDINATE, y=COORDINATE)
def test_inside_an_l_is_inside_one_of_its_bars(x: float, y: float) -> None:
    expected = (0 < x < 4 and 0 < y < 1) or (0 < x < 1 and 0 < y < 4)
    if min(abs(x - e) for e in (0, 1, 4)) > 1e-9 and min(abs(y - e) for e in (0, 1, 4)) > 1e-9:
        assert bool(inside(np.array([[x, y]]), L_SHAPE)[0]) == expected


def test_areas() -> None:
    assert area(SQUARE) == 16.0
    assert area(L_SHAPE[::-1]) == 7.0


@given(x=COORDINATE, y=COORDINATE)
def test_offset_is_the_shortest_way_to_a_segment(x: float, y: float) -> None:
    segment = np.array([[(0.0, 0.0), (3.0, 1.0)]])
    offset = offsets(np.array([[x, y]]), segment)[0, 0]
    along = np.linspace(0, 1, 2001)[:, None] * (3.0, 1.0)
    assert np.hypot(*offset) == pytest.approx(np.hypot(*(np.array((x, y)) - along).T).min(), abs=1e-3)


def test_clearance_of_a_path() -> None:
    path = np.array([(-1.0, 5.0), (6.0, 5.0)])
    assert clearance(path, edges(SQUARE)) == pytest.approx(1.0, abs=0.01)
    assert clearance(path, np.zeros((0, 2, 2))) == float("inf")


@given(x0=COORDINATE, x1=COORDINATE, y=st.floats(0.5, 9.5))
def test_crossing_and_coming_back_cancel(x0: float, x1: float, y: float) -> None:
    before, after = np.array([[x0, y]]), np.array([[x1, y]])
    there, back = crossings(before, after, LINE)[0], crossings(after, before, LINE)[0]
    assert there + back == 0
    assert (there != 0) == ((x0 < 0) != (x1 < 0))


def test_right_is_from_the_left_side_to_the_right_side() -> None:
    assert side(np.array([[-1.0, 5.0]]), *LINE)[0] > 0
    assert crossings(np.array([[-1.0, 5.0]]), np.array([[1.0, 5.0]]), LINE)[0] == 1


def test_passing_beyond_the_ends_is_no_crossing() -> None:
    assert crossings(np.array([[-1.0, 10.5]]), np.array([[1.0, 10.5]]), LINE)[0] == 0
    assert crossings(np.array([[-1.0, -0.5]]), np.array([[1.0, -0.5]]), LINE)[0] == 0
