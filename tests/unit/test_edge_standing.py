import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.standing import FORGET_S, Standing, step_standing
from streams.blobs import overlap

CAR = (0.2, 0.4, 0.5, 0.6)


def stood(boxes: list[tuple[float, ...] | None], step_s: float = 1.0) -> float:
    """Seconds that what is seen at the last look has stood; one box a look, None: unseen."""
    state, seconds = Standing(), np.zeros(0)
    for k, box in enumerate(boxes):
        seen = np.array([box] if box is not None else np.zeros((0, 4)), np.float32)
        state, seconds = step_standing(state, seen, k * step_s)
    return float(seconds[0])


def moved(box: tuple[float, ...], right: float) -> tuple[float, ...]:
    return box[0] + right, box[1], box[2] + right, box[3]


def test_what_stands_grows_old_though_its_box_wavers():
    rng = np.random.default_rng(1)
    assert stood([tuple(np.array(CAR) + rng.normal(0, 0.01, 4)) for _ in range(61)]) == 60


def test_what_creeps_along_does_not():
    assert stood([moved(CAR, 0.01 * k) for k in range(60)]) < 15


def test_it_may_be_overlooked_but_not_for_long():
    assert stood([CAR, *[None] * int(FORGET_S - 1), CAR]) == FORGET_S
    assert stood([CAR, *[None] * int(FORGET_S + 1), CAR]) == 0
    assert stood([CAR] * 4, step_s=30.0) == 90  # looks are rarer than that


def test_two_that_change_places_begin_anew():
    both = np.array([CAR, moved(CAR, 0.4)], np.float32)
    state, _ = step_standing(Standing(), both, 0.0)
    state, seconds = step_standing(state, both[::-1], 5.0)
    assert seconds.tolist() == [5.0, 5.0]  # nobody is known again: something stands at both places
    assert len(state.spots) == 2


@given(st.permutations(range(5)))
def test_the_order_of_boxes_means_nothing(order):
    boxes = np.array([moved((0.0, 0.2, 0.1, 0.3), 0.18 * k) for k in range(5)], np.float32)
    state, _ = step_standing(Standing(), boxes[:3], 0.0)
    _, seconds = step_standing(state, boxes[list(order)], 7.0)
    assert seconds.tolist() == [7.0 if k < 3 else 0.0 for k in order]


def test_overlap():
    assert overlap(CAR, CAR) == pytest.approx(1)
    assert overlap(CAR, moved(CAR, 0.5)) == 0
    assert overlap((0, 0, 2, 1), (1, 0, 3, 1)) == pytest.approx(1 / 3)
