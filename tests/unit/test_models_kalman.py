import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.kalman import BoxFilter, Noise, to_centre, to_corners

BOX = np.array([[0.2, 0.3, 0.3, 0.6], [0.5, 0.1, 0.9, 0.9]])


def states(bank):
    return np.stack((bank.value, bank.rate, bank.var_value, bank.covariance, bank.var_rate))


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=5))
def test_corners_and_centre_are_the_same_box(rows):
    xyxy = np.array(rows)
    assert to_corners(to_centre(xyxy)) == pytest.approx(xyxy)


@given(st.lists(st.floats(0.01, 0.5), min_size=1, max_size=6))
def test_one_long_step_forecasts_like_many_short_ones(steps):
    short, long = BoxFilter.start(BOX, Noise()), BoxFilter.start(BOX, Noise())
    short.rate[:, :2] = long.rate[:, :2] = 0.05
    for step in steps:
        short.predict(step)
    long.predict(sum(steps))
    assert states(short) == pytest.approx(states(long), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("fps", [2.0, 5.0, 25.0])
def test_it_learns_a_steady_motion_at_any_rate(fps):
    bank = BoxFilter.start(BOX[:1], Noise())
    velocity = np.array([0.04, -0.02, 0.04, -0.02])
    for i in range(1, int(4 * fps) + 1):
        bank.predict(1 / fps)
        bank.correct(np.array([0]), BOX[:1] + velocity * i / fps)
    assert bank.rate[0, :2] == pytest.approx([0.04, -0.02], abs=3e-3)
    assert to_corners(bank.value)[0] == pytest.approx(BOX[0] + 4 * velocity, abs=3e-3)


@given(st.lists(st.tuples(st.floats(0.02, 3), st.booleans()), min_size=1, max_size=40))
def test_covariances_stay_positive(history):
    bank = BoxFilter.start(BOX, Noise())
    for step, seen in history:
        bank.predict(step)
        if seen:
            bank.correct(np.array([0, 1]), BOX)
        assert (bank.var_value > 0).all()
        assert (bank.var_rate > 0).all()
        assert (bank.var_value * bank.var_rate - bank.covariance**2 > 0).all()


def test_a_measurement_makes_surer_and_the_unseen_row_keeps_its_state():
    bank = BoxFilter.start(BOX, Noise())
    bank.predict(0.2)
    before = states(bank)
    bank.correct(np.array([1]), BOX[1:])
    after = states(bank)
    assert (after[:, 0] == before[:, 0]).all()
    assert (after[2, 1] < before[2, 1]).all()


def test_distance_is_least_where_the_box_is_expected():
    bank = BoxFilter.start(BOX, Noise())
    distance = bank.distance(np.vstack((BOX, BOX + 0.05)))
    assert distance.shape == (2, 4)
    assert distance.argmin(1).tolist() == [0, 1]
    assert np.diag(distance[:, :2]) == pytest.approx([0, 0])


def test_a_shrinking_box_never_turns_inside_out():
    bank = BoxFilter.start(BOX, Noise())
    bank.rate[:, 2:] = -5.0
    bank.predict(2.0)
    assert (bank.value[:, 2:] > 0).all()


def test_banks_join_and_split():
    first, second = BoxFilter.start(BOX[:1], Noise()), BoxFilter.start(BOX[1:], Noise())
    both = first.join(second)
    assert both.value == pytest.approx(BoxFilter.start(BOX, Noise()).value)
    assert both.select(np.array([False, True])).value == pytest.approx(second.value)
