from hypothesis import given
from hypothesis import strategies as st

from edge.hysteresis import Evidence, Wanted, weigh

WANTED = Wanted(5, 10.0)
rows = st.lists(st.sampled_from([True, False, None]), max_size=60)


@given(says=rows, gap_s=st.floats(0.5, 5))
def test_the_state_turns_only_after_a_whole_row(says, gap_s):
    state, row = Evidence(), []
    for k, seen in enumerate(says):
        before, state = state, weigh(state, seen, k * gap_s, WANTED)
        if seen is not None:
            row = [*row, k * gap_s] if seen != before.holds else []
        assert (state.holds != before.holds) == (len(row) >= 5 and row[-1] - row[0] >= 10 - 1e-6)
        if state.holds != before.holds:
            row = []


def test_looks_far_apart_say_nothing_of_what_was_between():
    state = Evidence()
    for k in range(20):
        state = weigh(state, True, k * 200.0, WANTED)
    assert not state.holds
    state = weigh(state, True, 0.0, WANTED)
    assert state.looks == 1


def test_a_single_look_is_enough_where_no_more_is_wanted():
    assert weigh(Evidence(), True, 3.0, Wanted(1, 0.0)) == Evidence(holds=True)
