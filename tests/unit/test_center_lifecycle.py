"""The life of a case: only what the table allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.center.errors import IllegalError
from api.center.lifecycle import ENDS, OPEN, STAGES, TRANSITIONS, Action, Standing, State, legal, step

WAY = (
    Action.ACCEPT,
    Action.DISPATCH,
    Action.HANDLE,
    Action.REPORT_BACK,
    Action.VERIFY,
    Action.CLOSE,
)


def run(*actions: Action, standing: Standing | None = None) -> Standing:
    standing = standing or Standing()
    for action in actions:
        standing = step(standing, action)
    return standing


def test_the_way_from_reported_to_closed() -> None:
    states = [Standing().state, *(run(*WAY[:n]).state for n in range(1, len(WAY) + 1))]
    assert states == [*STAGES, State.CLOSED]


def test_verification_may_reopen_the_handling() -> None:
    assert run(*WAY[:5], Action.REOPEN).state is State.HANDLING


def test_a_suspended_case_returns_to_where_it_was() -> None:
    suspended = run(*WAY[:3], Action.SUSPEND)
    assert (suspended.state, suspended.suspended_from) == (State.SUSPENDED, State.HANDLING)
    assert step(suspended, Action.RESUME) == run(*WAY[:3])
    assert step(suspended, Action.VOID).ended
    with pytest.raises(IllegalError, match="is not legal for a case that is SUSPENDED"):
        step(suspended, Action.CLOSE)


def test_escalated_and_supervised_are_beside_the_state() -> None:
    standing = run(Action.ESCALATE, Action.SUPERVISE, Action.ACCEPT, Action.ESCALATE)
    assert standing == Standing(State.ACCEPTED, escalated=True, supervised=True)
    assert not run(Action.RELEASE, standing=standing).supervised
    with pytest.raises(IllegalError):
        step(standing, Action.SUPERVISE)
    with pytest.raises(IllegalError):
        step(Standing(), Action.RELEASE)


def test_what_has_ended_stays_so() -> None:
    for end in ENDS:
        assert legal(Standing(end)) == ()
        for action in Action:
            with pytest.raises(IllegalError, match="nothing: it has ended"):
                step(Standing(end), action)


def test_the_error_names_what_is_legal() -> None:
    with pytest.raises(
        IllegalError, match="close is not legal for a case that is REPORTED; legal is accept,"
    ):
        step(Standing(), Action.CLOSE)


def test_only_a_suspended_case_knows_where_it_returns_to() -> None:
    for wrong in ((State.SUSPENDED, None), (State.ACCEPTED, State.HANDLING), (State.SUSPENDED, State.CLOSED)):
        with pytest.raises(ValueError, match=r"suspended case|cannot return"):
            Standing(*wrong)


def test_every_open_state_can_be_reached_and_left() -> None:
    reached, waiting = set[Standing](), [Standing()]
    while waiting:
        standing = waiting.pop()
        if standing not in reached:
            reached.add(standing)
            waiting += [step(standing, action) for action in legal(standing)]
    assert {standing.state for standing in reached} == set(State)
    assert all(legal(standing) for standing in reached if standing.state in OPEN)


@given(st.lists(st.sampled_from(Action), max_size=30))
def test_the_lifecycle_never_leaves_its_table(actions: list[Action]) -> None:
    standing = Standing()
    for action in actions:
        allowed = action in legal(standing)
        try:
            after = step(standing, action)
        except IllegalError:
            assert not allowed
            continue
        assert allowed
        if action in TRANSITIONS:
            sources, target = TRANSITIONS[action]
            assert standing.state in sources
            assert after.state is target
        elif action is Action.RESUME:
            assert after.state is standing.suspended_from
        else:
            assert after.state is standing.state
        assert not standing.ended
        assert after.escalated or not standing.escalated
        standing = after
