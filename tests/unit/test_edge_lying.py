import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.lying import Lying, Seen, Spot, down_s, step_lying

STANDS = (0.9, 0.4, 0.98, 0.6)
"""Left, top, right, bottom in heights of the picture."""
LIES = (0.84, 0.54, 1.04, 0.61)
SITS = (0.89, 0.49, 0.99, 0.6)
SURE, FAINT = 0.8, 0.2
Box = tuple[float, float, float, float]
Look = tuple[list[tuple[int, Box]], list[tuple[Box, float, bool]]]
"""Who is followed, and what was found: box, score, and whether it is of the class of people."""


def look(*people: tuple[int, Box], things: list[tuple[Box, float, bool]] | None = None) -> Look:
    return list(people), [*((box, SURE, True) for _, box in people), *(things or [])]


def seen(one: Look) -> Seen:
    people, found = one
    return Seen(
        np.array([key for key, _ in people], np.int64),
        np.array([box for _, box in people], float).reshape(-1, 4),
        np.full(len(people), SURE),
        np.array([box for box, _, _ in found], float).reshape(-1, 4),
        np.array([score for _, score, _ in found], float),
        np.array([person for _, _, person in found], np.bool_),
    )


def longest(looks: list[Look], fps: float = 5.0, start_s: float = 0.0) -> float:
    """Seconds for which somebody has been lying at the last look."""
    state = Lying()
    for k, one in enumerate(looks):
        state = step_lying(state, seen(one), start_s + k / fps)
    return lying(state)


def lying(state: Lying) -> float:
    return max((down_s(spot, state.looked_s) for spot in state.spots), default=0.0)


UP = look((1, STANDS))
DOWN = look(things=[(LIES, FAINT, False)])
NOBODY = look()


@pytest.mark.parametrize("fps", [10.0, 5.0, 2.0, 1.0])
def test_who_was_upright_and_lies_there_is_down_since_then(fps):
    looks = [UP] * max(3, round(2 * fps)) + [DOWN] * (round(5 * fps) + 1)
    assert longest(looks, fps) == pytest.approx(5.0)


def test_who_lies_towards_the_camera_is_told_by_the_foot_that_plunged():
    forth = (0.89, 0.56, 1.0, 0.67)
    down = look(things=[(forth, 0.6, True)])
    assert longest([UP] * 10 + [down] * 21) == pytest.approx(4.0)
    there = look(things=[(SITS, 0.6, True)])
    assert longest([UP] * 10 + [there] * 21) == 0.0, "who sits stays where the feet are"


def test_who_sits_is_not_down_though_the_legs_lie():
    there = look((1, SITS), things=[(LIES, FAINT, False)])
    assert longest([UP] * 10 + [there] * 40) == 0.0


def test_what_was_there_before_is_nobody_who_fell():
    bag = [(LIES, FAINT, False)]
    past = [look((1, (0.9 + 0.03 * k, 0.4, 0.98 + 0.03 * k, 0.6)), things=bag) for k in range(-10, 10)]
    assert longest([look(things=bag)] * 15 + past + [look(things=bag)] * 30) == 0.0


def test_what_appears_where_nobody_stood_is_nobody():
    assert longest([NOBODY] * 10 + [DOWN] * 30) == 0.0
    far = look((1, (0.2, 0.4, 0.28, 0.6)))
    assert longest([far] * 10 + [DOWN] * 30) == 0.0


def test_who_walks_on_has_only_passed_by_what_appears():
    on = [
        look((1, (0.9 + 0.02 * k, 0.4, 0.98 + 0.02 * k, 0.6)), things=[(LIES, FAINT, False)])
        for k in range(30)
    ]
    assert longest([UP] * 10 + on) == 0.0


def test_who_is_hidden_by_a_passer_by_is_down_all_the_time():
    before = look((2, (0.85, 0.45, 1.03, 0.75)))
    looks = [UP] * 10 + [DOWN] * 12 + [before] * 10 + [DOWN] * 3
    assert longest(looks) == pytest.approx(4.8)


def test_who_is_seen_now_and_then_is_not_told():
    assert longest([UP] * 10 + [DOWN, NOBODY, NOBODY] * 10) == 0.0


def test_who_gets_up_is_down_no_more():
    looks = [UP] * 10 + [DOWN] * 25
    assert longest(looks) > 0.0
    assert longest(looks + [UP] * 60) == 0.0


def test_one_look_upright_or_a_cut_off_box_tells_no_height():
    assert longest([UP] + [DOWN] * 30) == 0.0
    edge, low = (0.9, 0.79, 0.98, 0.99), (0.84, 0.92, 1.04, 0.99)
    assert longest([look((1, edge))] * 10 + [look(things=[(low, FAINT, False)])] * 30) == 0.0


def test_a_long_pause_between_looks_forgets_nobody():
    assert longest([UP] * 3 + [DOWN] * 4, fps=0.5) == pytest.approx(6.0)


@given(order=st.randoms(use_true_random=False), start_s=st.floats(0.0, 1e6))
def test_neither_order_nor_the_clock_s_zero_matters(order, start_s):
    others = [((0.3, 0.2, 0.36, 0.35), 0.5, True), ((1.4, 0.6, 1.5, 0.7), 0.12, False), (LIES, FAINT, False)]
    looks = []
    for one in [UP] * 10 + [NOBODY] * 25:
        found = [*one[1], *(others if one is NOBODY else others[:2])]
        order.shuffle(found)
        looks.append((one[0], found))
    assert longest(looks, start_s=start_s) == pytest.approx(4.8, abs=1e-3)


@given(
    st.lists(
        st.lists(st.tuples(*[st.floats(0.0, 1.0)] * 4, st.floats(0.1, 1.0), st.booleans()), max_size=6),
        max_size=12,
    )
)
def test_any_boxes_are_borne_and_nobody_is_down_for_longer_than_there_were_looks(rounds):
    state = Lying()
    for k, boxes in enumerate(rounds):
        found = [((a, b, a + c, b + d), score, person) for a, b, c, d, score, person in boxes]
        people = [(i, box) for i, (box, _, person) in enumerate(found) if person]
        state = step_lying(state, seen((people, found)), k / 5)
        assert len(state.spots) <= 256
        assert all(isinstance(spot, Spot) and 0 < spot.share <= 1 for spot in state.spots)
    assert 0.0 <= lying(state) <= len(rounds) / 5
