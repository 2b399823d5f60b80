"""Footage arranged out of one visit: the share of activity, the order, and what is true of it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.clips import GOP, GOP_S, busy_groups, happenings, loop_of, sequence
from streams.sim.truth import Truth, TruthEvent, TruthFrame, TruthPerson

BUSY = [False, False, True, True, True, False, False]


def _truth() -> Truth:
    """A clip of the groups above: somebody is there from 4 to 10 s, and in the zone from 5 to 9 s."""
    person = TruthPerson(1, (0.0, 0.0), (0.1, 0.1, 0.2, 0.3), 1.0)
    frames = tuple(
        TruthFrame(k / 25, (person,) if BUSY[k // GOP] and k % GOP else ()) for k in range(len(BUSY) * GOP)
    )
    event = TruthEvent("hazard.intrusion", "zone", 5.0, 9.0)
    return Truth("plaza", "quiet", 1, 25.0, 1920, 1080, ((1.0,),), (), (), frames, (event,))


@given(
    idle=st.integers(1, 6),
    visit=st.integers(1, 9),
    rest=st.integers(0, 6),
    share=st.floats(0.02, 1.0),
)
def test_a_loop_has_the_visit_once_in_order_and_the_share_asked_for(
    idle: int, visit: int, rest: int, share: float
) -> None:
    busy = [False] * idle + [True] * visit + [False] * rest
    loop = loop_of(busy, share)
    assert loop[:visit] == list(range(idle, idle + visit))
    assert not any(busy[k] for k in loop[visit:])
    assert visit / share - 0.51 <= len(loop) <= visit / share + 0.51


def test_the_empty_place_goes_on_where_the_visit_ended() -> None:
    assert loop_of(BUSY, 3 / 8) == [2, 3, 4, 5, 6, 0, 1, 5]


def test_without_activity_only_the_empty_place_is_left() -> None:
    assert loop_of(BUSY, 0.0) == [0, 1, 5, 6]


@pytest.mark.parametrize(("busy", "share"), [([False], 0.5), ([True], 0.5), (BUSY, 1.5), (BUSY, -0.1)])
def test_what_cannot_be_arranged_is_refused(busy: list[bool], share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        loop_of(busy, share)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.floats(0, 0.999), st.floats(2.0, 300.0))
def test_a_file_goes_round_the_loop_without_a_gap(loop: list[int], phase: float, seconds: float) -> None:
    groups = sequence(loop, phase, seconds)
    assert len(groups) * GOP_S >= seconds
    begin = int(phase * len(loop))
    assert groups == [loop[(begin + k) % len(loop)] for k in range(len(groups))]


def test_who_is_seen_makes_a_group_busy() -> None:
    assert busy_groups(_truth()) == BUSY


def test_events_move_with_their_visit() -> None:
    loop = loop_of(BUSY, 3 / 7)
    groups = sequence(loop, 0.0, 2 * len(loop) * GOP_S)
    found = happenings(_truth(), groups, loop)
    assert [(one.begin_s, one.end_s, one.whole) for one in found] == [(1.0, 5.0, True), (15.0, 19.0, True)]


def test_a_visit_that_is_cut_is_not_whole() -> None:
    loop = loop_of(BUSY, 3 / 7)
    groups = sequence(loop, 1 / 7, len(loop) * GOP_S)
    found = happenings(_truth(), groups, loop)
    assert [(one.begin_s, one.end_s, one.whole) for one in found] == [
        (0.0, 3.0, False),  # its first group is not shown at first ...
        (13.0, 14.0, False),  # ... but at the end, where the rest is missing
    ]


def test_visits_that_follow_each_other_at_once_are_two() -> None:
    loop = loop_of(BUSY, 1.0)
    found = happenings(_truth(), sequence(loop, 0.0, 12.0), loop)
    assert [(one.begin_s, one.end_s) for one in found] == [(1.0, 5.0), (7.0, 11.0)]
    assert all(later.begin_s > earlier.end_s for earlier, later in pairwise(found))
