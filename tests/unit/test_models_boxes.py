import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.boxes import area, covered, iou, suppress

coordinate = st.floats(-50, 450, width=32)


@st.composite
def boxes(draw, most=25):
    rows = draw(
        st.lists(st.tuples(coordinate, coordinate, st.floats(1, 200), st.floats(1, 200)), max_size=most)
    )
    found = np.array(rows, np.float32).reshape(-1, 4)
    found[:, 2:] += found[:, :2]
    return found


@st.composite
def candidates(draw):
    xyxy = draw(boxes())
    scores = draw(
        st.lists(st.floats(0.0625, 1, width=32), min_size=len(xyxy), max_size=len(xyxy), unique=True)
    )
    labels = draw(st.lists(st.integers(0, 3), min_size=len(xyxy), max_size=len(xyxy)))
    return xyxy, np.array(scores, np.float32), np.array(labels, np.int16)


@given(boxes(), boxes())
def test_overlap_is_symmetric_and_a_share(a, b):
    overlap = iou(a, b)
    assert overlap.shape == (len(a), len(b))
    assert ((overlap >= 0) & (overlap <= 1 + 1e-12)).all()
    assert overlap == pytest.approx(iou(b, a).T)
    assert np.diag(iou(a, a)) == pytest.approx(np.ones(len(a)))


def test_what_a_box_covers_of_another():
    a = np.array([(0, 0, 4, 2), (5, 5, 5, 5)], np.float32)
    assert covered(a, np.array([(1, 0, 2, 9), (-9, -9, 9, 9), (7, 7, 8, 8)], np.float32)) == pytest.approx(
        np.array([(0.25, 1.0, 0.0), (0.0, 0.0, 0.0)])
    )
    assert covered(a[:0], a).shape == (0, 2)


def test_overlap_of_known_boxes():
    a = np.array([[0, 0, 2, 2]], np.float32)
    b = np.array([[1, 1, 3, 3], [0, 0, 2, 1], [5, 5, 6, 6], [1, 1, 1, 1], [3, 3, 1, 1]], np.float32)
    assert iou(a, b)[0].tolist() == pytest.approx([1 / 7, 0.5, 0, 0, 0])
    assert area(b).tolist() == [4, 2, 1, 0, 0]


@given(candidates(), st.floats(0.1, 0.9))
def test_what_stays_does_not_overlap_and_what_goes_had_a_better_neighbour(found, max_iou):
    xyxy, scores, labels = found
    kept = suppress(xyxy, scores, labels, max_iou)
    assert (np.diff(scores[kept]) <= 0).all()
    same = labels[:, None] == labels[None]
    overlap = iou(xyxy, xyxy) * same
    np.fill_diagonal(overlap, 0)
    assert (overlap[np.ix_(kept, kept)] <= max_iou + 1e-4).all()
    for gone in set(range(len(xyxy))) - set(kept.tolist()):
        better = kept[scores[kept] >= scores[gone]]
        assert (overlap[gone, better] > max_iou - 1e-4).any()


@given(candidates(), st.randoms(use_true_random=False))
def test_the_order_of_candidates_changes_nothing(found, random):
    order = list(range(len(found[0])))
    random.shuffle(order)
    shuffled = tuple(column[order] for column in found)
    assert {order[i] for i in suppress(*shuffled, 0.5)} == set(suppress(*found, 0.5).tolist())


def test_classes_do_not_suppress_each_other_even_beyond_the_border():
    xyxy = np.array([[-40, -40, 10, 10], [-40, -40, 10, 10]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    assert suppress(xyxy, scores, np.array([0, 1], np.int16), 0.5).tolist() == [0, 1]
    assert suppress(xyxy, scores, np.array([1, 1], np.int16), 0.5).tolist() == [0]
