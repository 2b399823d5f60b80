import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.continuity import BRIDGE_S, Continuity, step
from models.detections import Tracks


def people(
    *rows: tuple[int, float, float], velocity=(0.0, 0.0), label: int = 0, height: float = 0.3
) -> Tracks:
    """Tracks of id, foot x, foot y."""
    n = len(rows)
    boxes = [(x - height / 6, y - height, x + height / 6, y) for _, x, y in rows]
    return Tracks(
        ids=np.array([r[0] for r in rows], np.int64),
        xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        velocity=np.tile(np.array(velocity, np.float32), (n, 1)),
        age_s=np.ones(n, np.float32),
        scores=np.full(n, 0.8, np.float32),
        labels=np.full(n, label, np.int16),
    )


def keys(*looks: tuple[float, Tracks]) -> list[list[int]]:
    state, found = Continuity(), []
    for t, tracks in looks:
        state, k = step(state, tracks, t)
        found.append(k.tolist())
    return found


def test_a_number_keeps_its_key():
    assert keys((0, people((5, 0.2, 0.5))), (1, people((5, 0.9, 0.9)))) == [[0], [0]]


def test_a_new_number_at_the_same_place_takes_over():
    assert keys((0, people((5, 0.5, 0.8))), (0.4, people((9, 0.51, 0.8)))) == [[0], [0]]


def test_it_takes_over_where_the_lost_one_was_going():
    moving = {"velocity": (0.2, 0.0)}
    looks = (0, people((5, 0.3, 0.8), **moving)), (1.0, people((9, 0.5, 0.8), **moving))
    assert keys(*looks) == [[0], [0]]
    assert keys(looks[0], (1.0, people((9, 0.3, 0.8), **moving))) == [[0], [1]]


def test_another_place_size_or_class_is_another():
    first = (0.0, people((5, 0.5, 0.8)))
    for other in (people((9, 0.8, 0.8)), people((9, 0.5, 0.8), height=0.6), people((9, 0.5, 0.8), label=2)):
        assert keys(first, (0.2, other)) == [[0], [1]]


def test_after_the_bridge_is_over_it_is_another():
    assert keys((0, people((5, 0.5, 0.8))), (BRIDGE_S + 0.1, people((9, 0.5, 0.8)))) == [[0], [1]]


def test_who_is_still_there_is_not_taken_over():
    assert keys((0, people((5, 0.5, 0.8))), (0.2, people((5, 0.5, 0.8), (9, 0.5, 0.8)))) == [[0], [0, 1]]


def test_a_number_that_comes_back_after_its_key_was_taken_is_new():
    looks = [(0, people((5, 0.5, 0.8))), (0.2, people((9, 0.5, 0.8)))]
    assert keys(*looks, (0.4, people((9, 0.5, 0.8), (5, 0.5, 0.8))))[-1] == [0, 1]


def test_the_nearer_takes_it_whatever_the_order():
    first = (0, people((5, 0.5, 0.8)))
    assert keys(first, (0.2, people((8, 0.55, 0.8), (9, 0.5, 0.8)))) == [[0], [1, 0]]
    assert keys(first, (0.2, people((9, 0.5, 0.8), (8, 0.55, 0.8)))) == [[0], [0, 1]]


def test_boxes_without_size_are_never_joined():
    assert keys((0, people((5, 0.5, 0.8), height=0.0)), (0.2, people((9, 0.5, 0.8)))) == [[0], [1]]


spots = st.tuples(st.integers(0, 8), st.floats(0, 1), st.floats(0, 1))
looks = st.lists(st.lists(spots, max_size=6, unique_by=lambda s: s[0]), max_size=25)


@given(looks, st.floats(0.05, 2))
def test_keys_are_distinct_and_the_memory_small(rows, step_s):
    state = Continuity()
    for k, row in enumerate(rows):
        state, found = step(state, people(*row), k * step_s)
        assert len(set(found.tolist())) == len(row)
        assert len(state.traces) <= 9
        assert len({t.key for t in state.traces.values()}) == len(state.traces)
