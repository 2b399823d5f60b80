import numpy as np
import pytest

from edge.people import NOBODY, People


def test_people_are_made_of_whatever_is_known():
    people = People.of([[0, 0], [1, 2]])
    assert len(people) == 2
    assert people.count == 2
    assert people.count_stderr == 0
    assert not people.moving.any()
    assert (people.keys == NOBODY).all()
    assert len(People.of([])) == 0


def test_counts_and_errors_add_up():
    people = People.of([[0, 0], [1, 2]], [0.5, 2.0], [0.09, 0.16], [[1, 0], [np.nan, np.nan]], [4, NOBODY])
    assert people.count == 2.5
    assert people.count_stderr == pytest.approx(0.5)
    assert people.moving.tolist() == [True, False]
    assert people.tracked.tolist() == [True, False]
    joined = people.join(People.of([[9, 9]], keys=[5]))
    assert joined.keys.tolist() == [4, NOBODY, 5]
    assert joined.select(joined.tracked).at.tolist() == [[0, 0], [9, 9]]
    assert joined.select(np.array([2])).at.tolist() == [[9, 9]]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"at": np.zeros((2, 3))}, "at must be"),
        ({"at": np.zeros((2, 2), np.float32)}, "at must be"),
        ({"weight": np.zeros(3)}, "weight must be"),
        ({"keys": np.zeros(2, np.int32)}, "keys must be"),
        ({"at": np.array([[0, 0], [np.nan, 0]])}, "beyond the horizon"),
        ({"weight": np.array([1.0, -1.0])}, "weight must be finite"),
        ({"variance": np.array([1.0, np.inf])}, "variance must be finite"),
        ({"velocity": np.array([[0, np.nan], [0, 0]])}, "both components"),
        ({"velocity": np.array([[0, np.inf], [0, 0]])}, "both components"),
        ({"keys": np.array([3, 3])}, "distinct"),
        ({"keys": np.array([3, -2])}, "distinct"),
    ],
)
def test_what_cannot_be_is_refused(changed, text):
    good = {
        "at": np.zeros((2, 2)),
        "weight": np.ones(2),
        "variance": np.zeros(2),
        "velocity": np.zeros((2, 2)),
        "keys": np.array([1, NOBODY]),
    }
    People(**good)
    with pytest.raises(ValueError, match=text):
        People(**{**good, **changed})
