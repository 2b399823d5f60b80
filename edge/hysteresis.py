"""A state that turns round only when looks in a row, over some seconds, say the contrary: a pure step."""

from dataclasses import dataclass

_FORGETS_S = 120.0
"""Two looks farther apart say nothing of what was between them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What it takes to turn a state round.

    Attributes:
        looks: of one row.
        seconds: from the row's first to its last.
    """

    looks: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the looks have shown so far.

    Attributes:
        holds: whether it is so.
        looks: of the present row that says the contrary.
        first_s, last_s: camera times of that row's first and last look.
    """

    holds: bool = False
    looks: int = 0
    first_s: float = 0.0
    last_s: float = 0.0


def weigh(state: Evidence, seen: bool | None, pts_s: float, wanted: Wanted) -> Evidence:
    """What one look changes.

    Args:
        state: before.
        seen: what the look says; None where it could not be told, which changes nothing.
        pts_s: camera time.
        wanted: looks and seconds of a row that turns it round.
    """
    if seen is None:
        return state
    if seen == state.holds:
        return Evidence(state.holds)
    if not state.looks or not 0.0 <= pts_s - state.last_s <= _FORGETS_S:
        looks, first_s = 1, pts_s
    else:
        looks, first_s = state.looks + 1, state.first_s
    if looks >= wanted.looks and pts_s - first_s >= wanted.seconds - 1e-6:
        return Evidence(seen)
    return Evidence(state.holds, looks, first_s, pts_s)
