"""Who goes down and stays down, on scripted boxes and scripted looks at the places."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.lying import Lying, Seen, Spot, Upright, distinct, down_s, due, step_looks, step_upright

STANDS = (0.9, 0.4, 0.98, 0.6)
"""Left, top, right, bottom in heights of the picture."""
LIES, NOT = 0.9, 0.05
Box = tuple[float, float, float, float]
Look = list[tuple[int, Box]]
"""Who is followed, each surely seen."""
UP: Look = [(1, STANDS)]
NOBODY: Look = []


def seen(people: Look, score: float = 0.8) -> Seen:
    boxes = np.array([box for _, box in people], float).reshape(-1, 4)
    keys = np.array([key for key, _ in people], np.int64)
    return Seen(keys, boxes, np.full(len(people), score), boxes)


def shifted(by: float) -> Box:
    left, top, right, bottom = STANDS
    return left + by, top, right + by, bottom


class Scripted:
    """Looks and what the model says at each; asks at whichever places are due."""

    def __init__(self, fps: float = 5.0, start_s: float = 0.0) -> None:
        self.state, self.fps, self.start_s = Lying(), fps, start_s
        self.looks = self.asked = 0

    def run(self, people: Look, seconds: float, lies: float = NOT) -> "Scripted":
        for _ in range(round(seconds * self.fps)):
            pts_s = self.start_s + self.looks / self.fps
            self.looks += 1
            self.state = step_upright(self.state, seen(people), pts_s)
            spots = due(self.state)
            self.asked += len(spots)
            self.state = step_looks(self.state, spots, np.full(len(spots), lies))
        return self

    @property
    def down(self) -> float:
        return max((down_s(spot) for spot in self.state.spots), default=0.0)


@pytest.mark.parametrize("fps", [10.0, 5.0, 2.0, 1.0])
def test_who_was_upright_and_lies_there_is_down(fps):
    fallen = Scripted(fps).run(UP, 3.0).run(NOBODY, 8.0, LIES)
    assert fallen.down == pytest.approx(7.0, abs=1.1)


def test_while_somebody_is_upright_no_place_is_looked_at():
    assert Scripted().run(UP, 10.0, LIES).asked == 0


def test_a_place_where_nobody_lies_is_forgotten():
    away = Scripted().run(UP, 3.0).run(NOBODY, 20.0)
    assert not away.state.spots
    assert 5 <= away.asked <= 7, "about once a second, for some six"


def test_whoever_is_upright_again_has_not_fallen():
    stooped = Scripted().run(UP, 3.0).run(NOBODY, 3.0, LIES)
    assert stooped.down > 0
    assert stooped.run(UP, 0.2).down == 0.0


def test_who_bends_or_is_half_hidden_is_looked_at():
    bent = [(1, (0.86, 0.5, 0.98, 0.6))]
    assert Scripted().run(UP, 3.0).run(bent, 6.0, LIES).down == pytest.approx(5.0, abs=1.1)


def test_a_look_that_fails_does_not_end_it_and_several_do():
    down = Scripted().run(UP, 3.0).run(NOBODY, 6.0, LIES)
    assert down.run(NOBODY, 1.0, NOT).down > 0, "somebody walked past before the place"
    assert down.run(NOBODY, 1.0, LIES).down == pytest.approx(7.0, abs=1.1)
    assert down.run(NOBODY, 8.0, NOT).down == 0.0


def test_who_is_seen_to_lie_now_and_then_does_not():
    doubtful = Scripted().run(UP, 3.0)
    for _ in range(10):
        doubtful.run(NOBODY, 1.0, LIES).run(NOBODY, 1.0, NOT)
        assert doubtful.down == 0.0


def test_one_look_upright_or_a_cut_off_box_is_no_beginning():
    assert Scripted(fps=1.0).run(UP, 1.0).run(NOBODY, 9.0, LIES).down == 0.0
    edge = [(1, (0.9, 0.79, 0.98, 0.99))]
    assert Scripted().run(edge, 3.0).run(NOBODY, 9.0, LIES).down == 0.0


def test_a_clock_that_is_set_back_begins_anew():
    down = Scripted(start_s=100.0).run(UP, 3.0).run(NOBODY, 8.0, LIES)
    down.start_s = 0.0
    down.looks = 0
    assert down.run(NOBODY, 1.0, LIES).down == 0.0


def test_only_so_many_places_are_looked_at_in_one_picture_and_none_is_left_out():
    many: Look = [(key, shifted(0.1 * key - 0.8)) for key in range(1, 9)]
    crowd = Scripted().run(many, 2.0)
    rows = []
    for _ in range(10):
        crowd.run(NOBODY, 0.2, LIES)
        rows.append(crowd.asked)
    assert max(np.diff(rows)) <= 4
    assert {spot.key for spot in crowd.state.spots if spot.sights} == set(range(1, 9))


def test_places_of_one_body_count_once():
    def spot(key: int, by: float, score: float) -> Spot:
        return Spot(key, Upright(shifted(by), 0.2, 0.0), looks=4, sights=4, score=4 * score)

    near = [spot(1, 0.0, 0.7), spot(2, 0.05, 0.9), spot(3, 0.5, 0.6)]
    assert [one.key for one in distinct(near)] == [2, 3]


@given(order=st.randoms(use_true_random=False), start_s=st.floats(0.0, 1e6))
def test_neither_order_nor_the_clock_s_zero_matters(order, start_s):
    people: Look = [(1, STANDS), (2, shifted(0.4)), (3, shifted(-0.4))]
    order.shuffle(people)
    one = Scripted(start_s=start_s).run(people, 3.0).run(NOBODY, 8.0, LIES)
    assert one.down == pytest.approx(7.0, abs=1.1)
    assert len(one.state.spots) == 3


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(1, 5), *[st.floats(0.0, 1.0)] * 4), max_size=5), st.floats(0, 1)
        ),
        max_size=40,
    )
)
def test_any_boxes_and_answers_are_borne(rounds):
    state = Lying()
    for k, (boxes, score) in enumerate(rounds):
        people = {key: (a, b, a + c, b + d) for key, a, b, c, d in boxes}
        state = step_upright(state, seen(list(people.items())), k / 5)
        spots = due(state)
        assert len(spots) <= 4
        state = step_looks(state, spots, np.full(len(spots), score))
        assert all(0 <= down_s(spot) <= k / 5 and 0 <= spot.share <= 1 for spot in state.spots)
