"""The life of a case: its states, what may be done in each, and what comes of it. Pure data and functions.

上报 REPORTED → 受理 ACCEPTED → 派遣 DISPATCHED → 处置 HANDLING → 反馈 FEEDBACK → 核查
VERIFYING → 结案 CLOSED.

A case goes on while it is escalated (提级) or supervised (督办): these are flags beside its state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from api.center.errors import IllegalError


class State(StrEnum):
    """Where a case stands."""

    REPORTED = "REPORTED"
    ACCEPTED = "ACCEPTED"
    DISPATCHED = "DISPATCHED"
    HANDLING = "HANDLING"
    FEEDBACK = "FEEDBACK"
    VERIFYING = "VERIFYING"
    CLOSED = "CLOSED"
    REJECTED = "REJECTED"
    VOIDED = "VOIDED"
    SUSPENDED = "SUSPENDED"


class Action(StrEnum):
    """What people do with a case; `escalate` is also what a missed deadline does."""

    ACCEPT = "accept"
    DISPATCH = "dispatch"
    HANDLE = "handle"
    REPORT_BACK = "report_back"
    VERIFY = "verify"
    CLOSE = "close"
    REOPEN = "reopen"
    REJECT = "reject"
    VOID = "void"
    SUSPEND = "suspend"
    RESUME = "resume"
    ESCALATE = "escalate"
    SUPERVISE = "supervise"
    RELEASE = "release"


STAGES: Final = (
    State.REPORTED,
    State.ACCEPTED,
    State.DISPATCHED,
    State.HANDLING,
    State.FEEDBACK,
    State.VERIFYING,
)
"""States with a deadline, in their order."""

ENDS: Final = frozenset({State.CLOSED, State.REJECTED, State.VOIDED})
"""States that nothing leaves."""

OPEN: Final = frozenset(State) - ENDS

_ALL_STAGES = frozenset(STAGES)

TRANSITIONS: Final[Mapping[Action, tuple[frozenset[State], State]]] = MappingProxyType(
    {
        Action.ACCEPT: (frozenset({State.REPORTED}), State.ACCEPTED),
        Action.DISPATCH: (frozenset({State.ACCEPTED}), State.DISPATCHED),
        Action.HANDLE: (frozenset({State.DISPATCHED}), State.HANDLING),
        Action.REPORT_BACK: (frozenset({State.HANDLING}), State.FEEDBACK),
        Action.VERIFY: (frozenset({State.FEEDBACK}), State.VERIFYING),
        Action.CLOSE: (frozenset({State.VERIFYING}), State.CLOSED),
        Action.REOPEN: (frozenset({State.VERIFYING}), State.HANDLING),
        Action.REJECT: (_ALL_STAGES, State.REJECTED),
        Action.VOID: (OPEN, State.VOIDED),
        Action.SUSPEND: (_ALL_STAGES - {State.REPORTED}, State.SUSPENDED),
    }
)
"""The table of legal transitions: by action, the states it starts from and the one it leads to."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a case stands in its life.

    Attributes:
        state: the main state.
        suspended_from: where it returns to; only of a suspended case.
        escalated: a region above took notice, by a person's act or a missed deadline.
        supervised: somebody above watches over it.
    """

    state: State = State.REPORTED
    suspended_from: State | None = None
    escalated: bool = False
    supervised: bool = False

    def __post_init__(self) -> None:
        if (self.state is State.SUSPENDED) != (self.suspended_from is not None):
            raise ValueError("a suspended case, and no other, knows where it returns to")
        if self.suspended_from is not None and self.suspended_from not in _ALL_STAGES:
            raise ValueError(f"a case cannot return to {self.suspended_from}")

    @property
    def ended(self) -> bool:
        """Whether nothing can be done with it any more."""
        return self.state in ENDS


def step(standing: Standing, action: Action) -> Standing:
    """What becomes of a case when somebody acts.

    Raises:
        IllegalError: the action is not legal where the case stands; the text names the legal ones.

    Example:
        >>> step(Standing(), Action.ACCEPT).state
        <State.ACCEPTED: 'ACCEPTED'>
    """
    if action not in legal(standing):
        allowed = ", ".join(legal(standing)) or "nothing: it has ended"
        raise IllegalError(f"{action} is not legal for a case that is {standing.state}; legal is {allowed}")
    if action is Action.ESCALATE:
        return replace(standing, escalated=True)
    if action in (Action.SUPERVISE, Action.RELEASE):
        return replace(standing, supervised=action is Action.SUPERVISE)
    if action is Action.RESUME:
        assert standing.suspended_from is not None  # noqa: S101 - `legal` has looked
        return replace(standing, state=standing.suspended_from, suspended_from=None)
    target = TRANSITIONS[action][1]
    return replace(
        standing, state=target, suspended_from=standing.state if target is State.SUSPENDED else None
    )


def legal(standing: Standing) -> tuple[Action, ...]:
    """What may be done with a case, in the table's order."""
    return tuple(action for action in Action if _is_legal(standing, action))


def _is_legal(standing: Standing, action: Action) -> bool:
    if standing.ended:
        return False
    if action is Action.ESCALATE:
        return True
    if action is Action.SUPERVISE:
        return not standing.supervised
    if action is Action.RELEASE:
        return standing.supervised
    if action is Action.RESUME:
        return standing.state is State.SUSPENDED
    return standing.state in TRANSITIONS[action][0]
