import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.crowd import CELL_M2, CELL_RADIUS_M, Floor, level_of, most_severe
from edge.field import ZoneDensity, worst_cell, zone_density
from edge.geometry import polygon_area
from edge.people import People
from tests.support.densest import densest_per_m2

HALL = np.array([(0, 0), (20, 0), (20, 10), (0, 10)], float)
FLOOR = Floor(HALL, 200.0)
spot = st.tuples(st.floats(0, 20), st.floats(0, 10))
crowds = st.lists(spot, min_size=1, max_size=40).map(np.array)


def density(people, floor: Floor = FLOOR, scores=1.0) -> ZoneDensity:
    s = np.asarray(scores, float)
    return zone_density(People.of(people, 1.0, s * (1 - s)), floor)


def test_an_empty_hall():
    empty = density([])
    assert (empty.count, empty.mean_per_m2, empty.stderr_per_m2, empty.worst.density_per_m2) == (0, 0, 0, 0)
    assert empty.worst.members.tolist() == []


def test_one_person_has_four_square_metres():
    assert density([(10, 5)]).worst.density_per_m2 == pytest.approx(0.25)


def test_eight_around_a_spot_make_two_per_square_metre():
    ring = 0.5 * np.array(
        [(math.cos(a), math.sin(a)) for a in np.linspace(0, 2 * math.pi, 8, endpoint=False)]
    )
    found = density(np.vstack((np.add(ring, (6, 5)), [(15, 5)])))
    assert found.worst.density_per_m2 == pytest.approx(2.0)
    assert found.worst.members.tolist() == list(range(8))
    assert (found.count, found.mean_per_m2) == (9, 9 / 200)


@pytest.mark.parametrize(("at", "share"), [((10.0, 0.0), 0.5), ((0.0, 0.0), 0.5), ((10.0, 0.5), None)])
def test_against_a_wall_only_the_floor_counts(at, share):
    people = np.tile(at, (6, 1))
    if share is None:  # a disc cut 0.5 m from its centre
        angle = math.acos(0.5 / CELL_RADIUS_M)
        share = 1 - (angle - math.sin(angle) * math.cos(angle)) / math.pi
    assert density(people).worst.density_per_m2 == pytest.approx(6 / (CELL_M2 * share), rel=0.02)


def test_a_zone_smaller_than_half_a_cell_is_its_own_cell():
    booth = Floor(np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float), 1.0)
    assert density([(0.5, 0.5)] * 3, booth).worst.density_per_m2 == pytest.approx(3, rel=0.05)


def test_an_even_crowd_has_everywhere_about_its_mean():
    x, y = np.meshgrid(np.arange(0.25, 20, 0.5), np.arange(0.25, 10, 0.5))
    people = np.column_stack((x.ravel(), y.ravel()))
    found = density(people)
    assert found.mean_per_m2 == pytest.approx(4.0)
    assert found.worst.density_per_m2 == pytest.approx(4.0, rel=0.45)


@given(crowds)
def test_the_worst_cell_is_the_worst(people):
    found = worst_cell(People.of(people), FLOOR)
    assert found.density_per_m2 == pytest.approx(densest_per_m2(people, FLOOR), rel=0.05)
    assert found.stderr_per_m2 == 0


@given(crowds, st.randoms(use_true_random=False))
def test_the_order_of_people_does_not_matter(people, random):
    order = list(range(len(people)))
    random.shuffle(order)
    one, other = density(people), density(people[order])
    assert one.worst.density_per_m2 == other.worst.density_per_m2
    members = {tuple(p) for p in people[one.worst.members]}
    assert members == {tuple(p) for p in people[order][other.worst.members]}


@given(crowds, st.floats(-math.pi, math.pi), st.floats(-1000, 1000), st.booleans())
def test_the_survey_s_axes_do_not_matter(people, angle, shift, mirrored):
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, -s], [s, c]]) @ np.diag([1, -1 if mirrored else 1])
    moved = Floor(HALL @ turn.T + shift, 200.0)
    there = density(people @ turn.T + shift, moved)
    here = density(people)
    assert there.worst.density_per_m2 == pytest.approx(here.worst.density_per_m2, rel=0.05)
    assert there.mean_per_m2 == here.mean_per_m2


@given(crowds, spot)
def test_one_more_person_never_makes_it_safer(people, newcomer):
    before = density(people)
    after = density(np.vstack((people, [newcomer])))
    assert after.worst.density_per_m2 >= before.worst.density_per_m2 * (1 - 1e-12)
    assert after.mean_per_m2 > before.mean_per_m2


def test_the_standard_error_joins_detection_edge_and_area():
    people = np.array([(5.0, 5.0), (10.0, 5.0), (15.0, 0.05)])
    assert density(people).stderr_per_m2 == 0
    assert density(people, FLOOR, [0.5, 0.5, 1]).stderr_per_m2 == pytest.approx(math.sqrt(0.5) / 200)
    edge = Floor(HALL, 200.0, position_stderr_m=0.1)
    assert density(people, edge).stderr_per_m2 == pytest.approx(0.5 / 200)
    area = Floor(HALL, 200.0, area_stderr_m2=20.0)
    assert density(people, area).stderr_per_m2 == pytest.approx(0.1 * 3 / 200)


def test_a_floor_has_an_area():
    with pytest.raises(ValueError, match="positive"):
        Floor(HALL, 0.0)
    assert polygon_area(HALL) == 200


@pytest.mark.parametrize(("value", "level"), [(1.99, None), (2, 4), (3, 3), (4.5, 2), (5, 1), (9, 1)])
def test_levels(value, level):
    assert level_of(value, (2, 3, 4, 5)) == level


def test_most_severe():
    assert most_severe(None, 3, 2, None) == 2
    assert most_severe(None, None) is None
