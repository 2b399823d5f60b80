"""Boxes between looks: where tracks lead, how far they may be off, and whose body is known."""

import numpy as np
import pytest

from edge.bodies import FASTEST, at, below_head
from edge.looks import Look
from tests.support.looks import PERSON, SIZE_PX, look

HEIGHT = PERSON[3] - PERSON[1]


def _moved(x: float) -> tuple[float, float, float, float]:
    return PERSON[0] + x, PERSON[1], PERSON[2] + x, PERSON[3]


def _of(*looks: Look, pts_s: float = 0.0):
    return at(pts_s, list(looks), SIZE_PX)


def test_nobody_was_seen() -> None:
    assert len(_of()) == len(_of(look(0.0))) == 0


def test_a_track_is_in_the_middle_of_two_looks_and_nowhere_else() -> None:
    bodies = _of(look(-0.2, PERSON, tracked=True), look(0.2, _moved(0.1), tracked=True))
    assert len(bodies) == 1
    assert bodies.boxes[0] == pytest.approx(_moved(0.05), abs=1e-6)
    assert bodies.away_s[0] == pytest.approx(0.2)


def test_who_has_no_track_may_be_where_either_look_saw_them() -> None:
    bodies = _of(look(-0.2, PERSON), look(0.2, _moved(0.3)))
    assert sorted(bodies.boxes[:, 0].round(3).tolist()) == pytest.approx([0.4, 0.7])
    assert not bodies.clear.any()


def test_nobody_is_carried_faster_than_people_run() -> None:
    bodies = _of(look(-0.5, PERSON, velocity=(9.0, 0.0), tracked=True))
    way_px = (bodies.boxes[0, 0] - PERSON[0]) * SIZE_PX[0]
    assert way_px == pytest.approx(0.5 * FASTEST * HEIGHT * SIZE_PX[1], rel=1e-3)


def test_of_two_looks_at_a_track_the_newer_counts() -> None:
    bodies = _of(
        look(-0.9, _moved(-0.2), tracked=True), look(-0.4, PERSON, velocity=(0.0, 0.0), tracked=True)
    )
    assert len(bodies) == 1
    assert bodies.boxes[0] == pytest.approx(PERSON, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "clear"),
    [
        ({}, True),
        ({"score": 0.3}, False),
        ({"tracked": False}, False),
        ({"velocity": (0.9, 0.0)}, False),
    ],
    ids=["sure", "unsure", "untracked", "fast"],
)
def test_whose_body_is_known(change: dict[str, object], clear: bool) -> None:
    settings = {"tracked": True, "velocity": (0.0, 0.0), **change}
    bodies = _of(look(-0.3, PERSON, **settings))  # type: ignore[arg-type]
    assert bodies.clear.tolist() == [clear]


def test_who_stands_at_the_lower_edge_is_not_clear() -> None:
    low = (0.4, 0.6, 0.46, 0.99)
    assert not _of(look(0.0, low, velocity=(0.0, 0.0), tracked=True)).clear.any()


def test_a_body_begins_below_all_that_may_be_the_head() -> None:
    bodies = _of(look(-0.3, PERSON, velocity=(0.1, 0.0), tracked=True))
    part = below_head(bodies.boxes, bodies.doubt)
    assert (part[:, 1] >= bodies.boxes[:, 1] + 0.3 * HEIGHT + bodies.doubt * HEIGHT).all()
    assert np.array_equal(bodies.heads[:, 3] <= part[:, 3], [True])
