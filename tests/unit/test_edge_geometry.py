import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.geometry import (
    area_stderr,
    as_points,
    clip_half_plane,
    edge_distance,
    line_offset,
    line_position,
    points_in_polygon,
    polygon_area,
    self_intersects,
    signed_area,
)

SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1)]
ARROW = [(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)]  # concave
coordinate = st.floats(-50, 50, allow_nan=False)
points = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=30)


@st.composite
def stars(draw: st.DrawFn) -> np.ndarray:
    """Simple polygons: corners at rising angles around a centre."""
    n = draw(st.integers(3, 12))
    radii = draw(st.lists(st.floats(0.5, 5), min_size=n, max_size=n))
    angles = 2 * math.pi * (np.arange(n) + 0.3) / n
    return np.column_stack((radii * np.cos(angles), radii * np.sin(angles)))


def inside_by_angle(point: np.ndarray, polygon: np.ndarray) -> bool:
    """An independent oracle: the angles to the corners add up to a full turn inside, to nothing outside."""
    ways = polygon - point
    angles = np.arctan2(ways[:, 1], ways[:, 0])
    turns = np.diff(np.append(angles, angles[0]))
    return abs(((turns + math.pi) % (2 * math.pi) - math.pi).sum()) > math.pi


def test_edges_and_corners_are_inside():
    assert points_in_polygon([(0.5, 0.5), (0, 0.3), (1, 1), (0.5, 1)], SQUARE).all()
    assert not points_in_polygon([(1.01, 0.5), (-0.2, 0), (0.5, -0.1)], SQUARE).any()


def test_a_box_clipped_at_the_picture_stands_in_a_zone_that_ends_there():
    zone = [(0.1, 0.3), (0.7, 0.3), (0.7, 1.0), (0.1, 1.0)]
    assert points_in_polygon(np.array([[0.3, 1.0], [0.7, 0.6]], np.float32), zone).all()


def test_what_is_not_a_number_is_outside():
    assert not points_in_polygon([(math.nan, 0.5), (0.5, math.nan)], SQUARE).any()


def test_no_points_no_answer():
    assert points_in_polygon([], SQUARE).shape == (0,)
    assert edge_distance([], SQUARE).shape == (0,)
    assert signed_area([]) == 0


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [[1.0, 2.0, 3.0]]])
def test_other_shapes_are_refused(wrong):
    with pytest.raises(ValueError, match=r"\(n, 2\)"):
        as_points(wrong)


@given(stars(), points)
def test_inside_agrees_with_the_winding_angle(polygon, candidates):
    p = np.array([c for c in candidates if edge_distance([c], polygon)[0] > 1e-3])
    expected = [inside_by_angle(x, polygon) for x in p]
    assert points_in_polygon(p, polygon).tolist() == expected


@given(stars(), points, st.floats(-5, 5), st.floats(0.1, 10))
def test_inside_does_not_depend_on_place_scale_or_direction(polygon, candidates, shift, scale):
    p = np.array(candidates)
    p = p[edge_distance(p, polygon) > 1e-3]
    moved = points_in_polygon(p * scale + shift, (polygon * scale + shift)[::-1])
    assert (moved == points_in_polygon(p, polygon)).all()


def test_areas():
    assert polygon_area(SQUARE) == 1
    assert signed_area(SQUARE[::-1]) == -1
    assert polygon_area(ARROW) == pytest.approx(10)
    far = np.array(SQUARE) + 4e6  # a national grid's coordinates
    assert polygon_area(far) == pytest.approx(1, abs=1e-9)


@given(stars(), st.floats(0.001, 0.02))
def test_area_stderr_is_the_spread_of_surveyed_areas(polygon, sigma):
    rng = np.random.default_rng(1)
    areas = [polygon_area(polygon + rng.normal(0, sigma, polygon.shape)) for _ in range(300)]
    assert area_stderr(polygon, sigma) == pytest.approx(np.std(areas), rel=0.25)


@pytest.mark.parametrize(
    ("polygon", "crosses"),
    [
        (SQUARE, False),
        (ARROW, False),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], True),
        ([(0, 0), (2, 0), (1, 0), (1, 1)], True),  # folds back
        ([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)], True),  # touches its own edge
        ([(0, 0), (1, 0), (0, 1)], False),
    ],
)
def test_self_intersection(polygon, crosses):
    assert self_intersects(polygon) is crosses
    assert self_intersects(polygon[::-1]) is crosses


@given(stars())
def test_stars_do_not_cross_themselves(polygon):
    assert not self_intersects(polygon)


@given(stars(), st.floats(-math.pi, math.pi), st.floats(-3, 3))
def test_the_two_halves_of_a_cut_make_the_whole(polygon, angle, offset):
    half = np.array([math.cos(angle), math.sin(angle), offset])
    one, other = clip_half_plane(polygon, half), clip_half_plane(polygon, -half)
    assert polygon_area(one) + polygon_area(other) == pytest.approx(polygon_area(polygon), rel=1e-9, abs=1e-9)


def test_a_cut_that_leaves_nothing():
    assert clip_half_plane(SQUARE, (1, 0, -2)).shape == (0, 2)


def test_right_of_a_line_is_right_as_the_picture_shows_it():
    up = ((0.5, 0.9), (0.5, 0.1))  # upwards in the picture
    assert line_offset([(0.7, 0.5), (0.3, 0.5), (0.5, 0.2)], *up).tolist() == pytest.approx([0.16, -0.16, 0])


@given(st.floats(-2, 3), st.floats(0.1, 5), st.floats(-4, 4))
def test_where_a_way_meets_a_line(position, height, slant):
    way = ((position - slant, -height), (position + slant, height))
    assert line_position(*way, (0, 0), (1, 0)) == pytest.approx(position, abs=1e-9)


def test_a_way_along_a_line_meets_it_nowhere():
    assert math.isnan(line_position((0, 1), (1, 1), (0, 0), (1, 0)))
