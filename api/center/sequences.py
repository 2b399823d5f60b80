"""The account of a node's sequence numbers: what came, what was reported lost, what is missing. Pure.

Numbers begin at 1 and leave none out, so what is missing is known without being told. Kept are the holes
(what neither came nor was reported) and the lost (reported, and not come nevertheless), as spans; all else up
to the highest number is stored.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

LARGEST = 10**18
"""The highest number that is believed; beyond it no database counts."""


class Span(NamedTuple):
    """Numbers from `first` to `last`, inclusive; `since_ms` is when they were first missed."""

    first: int
    last: int
    since_ms: int = 0

    @property
    def size(self) -> int:
        """How many."""
        return self.last - self.first + 1


@dataclass(slots=True)
class Account:
    """A node's account, or the part of it that a step needs.

    `holes` and `lost` need to hold only the spans that the numbers of the next steps touch.

    Attributes:
        top: the highest number heard of.
        stored: how many numbers came.
        gone: how many were reported lost and did not come.
        repeated: how many events came under a number that had come before.
        holes, lost: spans, ascending and disjoint.
    """

    top: int = 0
    stored: int = 0
    gone: int = 0
    repeated: int = 0
    holes: list[Span] = field(default_factory=list)
    lost: list[Span] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """How many numbers are in holes, all of them."""
        return self.top - self.stored - self.gone

    def has(self, number: int) -> bool:
        """Whether a number came already."""
        return number <= self.top and _find(self.holes, number) is None and _find(self.lost, number) is None

    def store(self, number: int, now_ms: int) -> bool:
        """Enter a number that came; returns False where it had come before.

        Raises:
            ValueError: no node counts so far.
        """
        _believable(number, number)
        if number == self.top + 1:  # the usual case
            self.top = number
        elif number > self.top:
            self.holes.append(Span(self.top + 1, number - 1, now_ms))
            self.top = number
        elif not self._refound(number):
            return False
        self.stored += 1
        return True

    def lose(self, first: int, last: int, now_ms: int) -> int:
        """Enter numbers that the node reports lost; returns how many of them are not here.

        Raises:
            ValueError: no node counts so far.
        """
        _believable(first, last)
        newly = _cut(self.holes, first, last)
        if last > self.top:
            if first > self.top + 1:
                self.holes.append(Span(self.top + 1, first - 1, now_ms))
            newly.append(Span(max(first, self.top + 1), last))
            self.top = last
        for span in newly:
            _join(self.lost, span)
        count = sum(span.size for span in newly)
        self.gone += count
        return count

    def _refound(self, number: int) -> bool:
        if _cut(self.holes, number, number):
            return True
        if _cut(self.lost, number, number):
            self.gone -= 1
            return True
        return False


def through(account: Account) -> int:
    """Up to which number all came or was reported lost, of an account that holds all of its spans."""
    return account.holes[0].first - 1 if account.holes else account.top


def _believable(first: int, last: int) -> None:
    if not 1 <= first <= last <= LARGEST:
        raise ValueError(f"sequence numbers go upwards from 1 to {LARGEST}")


def _find(spans: list[Span], number: int) -> int | None:
    """Index of the span that holds a number."""
    at = bisect_right(spans, number, key=lambda span: span.first) - 1
    return at if at >= 0 and spans[at].last >= number else None


def _cut(spans: list[Span], first: int, last: int) -> list[Span]:
    """Take the numbers `first` to `last` out of the spans; returns what was taken."""
    start = bisect_left(spans, first, key=lambda span: span.last)
    end = bisect_right(spans, last, key=lambda span: span.first)
    taken: list[Span] = []
    kept: list[Span] = []
    for span in spans[start:end]:
        taken.append(Span(max(first, span.first), min(last, span.last), span.since_ms))
        if span.first < first:
            kept.append(Span(span.first, first - 1, span.since_ms))
        if span.last > last:
            kept.append(Span(last + 1, span.last, span.since_ms))
    spans[start:end] = kept
    return taken


def _join(spans: list[Span], new: Span) -> None:
    """Put numbers in that no span holds; spans that touch become one."""
    at = bisect_left(spans, new.first, key=lambda span: span.first)
    first, last = new.first, new.last
    end = at
    if at < len(spans) and spans[at].first == last + 1:
        last, end = spans[at].last, at + 1
    if at > 0 and spans[at - 1].last == first - 1:
        at, first = at - 1, spans[at - 1].first
    spans[at:end] = [Span(first, last)]


def extent(numbers: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The lowest and highest of some ranges; with the neighbours that new spans might join."""
    pairs = list(numbers)
    return min(first for first, _ in pairs) - 1, max(last for _, last in pairs) + 1
