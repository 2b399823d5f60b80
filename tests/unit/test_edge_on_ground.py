import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ground import GroundPlane
from edge.on_ground import SETTLED_S, ground_velocity, people_of
from models.detections import Tracks
from tests.support.afoot import CAMERA, Crowd, survey, tracks

POINTS = survey()
PLANE = GroundPlane.fit([p["image"] for p in POINTS], [p["ground"] for p in POINTS])

places = st.tuples(st.floats(-4, 4), st.floats(8, 16))
ways = st.tuples(st.floats(-3, 3), st.floats(-3, 3))


@given(st.lists(st.tuples(places, ways), min_size=1, max_size=8))
def test_places_and_velocities_come_back(people):
    at, velocity = (np.array(part, float) for part in zip(*people, strict=True))
    found = people_of(tracks(Crowd(at, velocity)), np.arange(len(at)), np.ones(len(at), np.bool_), PLANE)
    assert found.rows.tolist() == list(range(len(at)))
    assert found.people.at == pytest.approx(at, abs=1e-3)
    assert found.people.velocity == pytest.approx(velocity, abs=5e-3)
    assert found.people.weight.tolist() == [1.0] * len(at)
    assert found.people.variance == pytest.approx(0.09, abs=1e-6)  # of a score of 0.9


def test_velocity_does_not_depend_on_the_picture_s_scale():
    at = np.array([[1.0, 10.0]])
    wide = CAMERA.with_aspect(4 / 3)
    spots = np.array([p["ground"] for p in POINTS])
    plane = GroundPlane.fit(wide.project(spots), spots)
    foot = wide.project(at)
    moved = (wide.project(at + np.array([[1e-4, 2e-4]])) - foot) / 1e-4
    assert ground_velocity(plane, foot, moved) == pytest.approx(np.array([[1.0, 2.0]]), rel=1e-3)


def test_others_young_tracks_and_who_is_beyond_the_horizon():
    seen = tracks(Crowd(np.array([[0.0, 10.0], [1.0, 10.0], [2.0, 10.0]]), np.ones((3, 2))))
    ages = np.array([1.0, SETTLED_S / 2, 1.0], np.float32)
    steep = GroundPlane.fit(
        [[0.1, 0.9], [0.9, 0.9], [0.7, 0.6], [0.3, 0.6]], [[-2, 2], [2, 2], [2, 8], [-2, 8]]
    )
    above = np.array([0.5, 0.05, 0.51, 0.1], np.float32)
    boxes = np.vstack((seen.xyxy[:2], above))
    young = Tracks(seen.ids, boxes, seen.velocity, ages, seen.scores, seen.labels)
    found = people_of(young, np.array([7, 8, 9]), np.array([True, True, True]), steep)
    assert found.people.keys.tolist() == [7, 8]
    assert found.people.moving.tolist() == [True, False]
    found = people_of(young, np.array([7, 8, 9]), np.array([False, True, True]), steep)
    assert found.rows.tolist() == [1]
    assert np.isnan(ground_velocity(steep, np.array([[0.5, 0.05]]), np.ones((1, 2)))).all()
