import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.learner import EVERY_S, LOOKS, Learner
from tests.support.views import noisy, seen

SPAN = range(LOOKS)


def learn(looks, people=lambda _: None):
    learner, learned = Learner(), []
    for k, luma in enumerate(looks):
        learned.append(learner.add(luma, k * EVERY_S, people(k)))
    assert learned[:-1] == [None] * (len(learned) - 1)
    return learned[-1]


def test_who_walks_through_leaves_nothing():
    place = seen()

    def look(k):
        grey = noisy(place, k)
        grey[60:120, 10 * k : 10 * k + 12] = 0
        return grey

    learned = learn(look(k) for k in SPAN)
    assert learned is not None
    assert learned.known.mean() > 0.99
    assert np.abs(learned.grey.astype(int) - place)[learned.known].max() <= 3


def test_what_goes_on_all_the_time_is_not_the_background():
    rng = np.random.default_rng(0)

    def look(k):
        grey = noisy(seen(), k)
        grey[:, :100] = rng.integers(0, 255, (180, 100))
        return grey

    learned = learn(look(k) for k in SPAN)
    assert learned is not None
    assert not learned.known[:, :100].any()
    assert learned.known[:, 100:].mean() > 0.99


@settings(max_examples=10)
@given(
    left=st.floats(-0.2, 1), top=st.floats(-0.2, 1), width=st.floats(0.01, 0.5), height=st.floats(0.01, 0.8)
)
def test_nothing_of_who_stands_there_is_kept(left, top, width, height):
    """A person who never moves, black on a white place: no dark pixel may be left."""
    grey = np.full((180, 320), 250, np.uint8)
    rows = slice(max(0, round(top * 180)), max(0, round((top + height) * 180)))
    columns = slice(max(0, round(left * 320)), max(0, round((left + width) * 320)))
    grey[rows, columns] = 10
    box = np.array([[left, top, left + width, top + height]], np.float32)
    learned = learn((grey for _ in SPAN), lambda _: box)
    assert learned is not None
    assert learned.grey.min() >= 100
    assert not learned.known[rows, columns].any()


def test_where_somebody_stood_for_a_while_the_rest_of_the_time_counts():
    place = seen()

    def look(k):
        grey = noisy(place, k)
        if k < 15:
            grey[60:120, 100:120] = 0
        return grey

    box = np.array([[100 / 320, 60 / 180, 120 / 320, 120 / 180]])
    learned = learn((look(k) for k in SPAN), lambda k: box if k < 15 else None)
    assert learned is not None
    assert learned.known[60:120, 100:120].mean() > 0.95
    assert np.abs(learned.grey.astype(int) - place)[learned.known].max() <= 4


def test_looks_in_quick_succession_count_once():
    learner = Learner()
    assert [learner.add(seen(), 0.1 * k) for k in range(2 * LOOKS)] == [None] * (2 * LOOKS)


def test_it_begins_anew_when_told_when_complete_and_when_time_goes_back():
    learner = Learner()

    def completed(start_s, looks):
        return [learner.add(seen(), start_s + k * EVERY_S) for k in range(looks)][-1] is not None

    assert not completed(1000.0, LOOKS - 1)
    assert not completed(0.0, LOOKS - 1)
    learner.clear()
    assert not completed(2000.0, LOOKS - 1)
    assert completed(2000.0 + (LOOKS - 1) * EVERY_S, 1)
    assert not completed(3000.0, LOOKS - 1)


@pytest.mark.parametrize("size", [(90, 160), (360, 640)])
def test_other_sizes_are_brought_to_one(size):
    learned = learn(np.full(size, 90, np.uint8) for _ in SPAN)
    assert learned is not None
    assert (learned.grey == 90).all()
