"""The account of numbers: the same for any order of arrival, with duplicates and gaps."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.center.sequences import LARGEST, Account, Span, through


def definition(came: set[int], reported: set[int]) -> int:
    """`stored_through` as the contract defines it."""
    number = 0
    while number + 1 in came | reported:
        number += 1
    return number


numbers = st.integers(1, 40)
ranges = st.tuples(numbers, st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
steps = st.lists(numbers | ranges, max_size=40)


@given(steps)
def test_the_account_equals_its_definition(arrivals: list[int | tuple[int, int]]) -> None:
    account = Account()
    came, reported = set[int](), set[int]()
    for at_ms, step in enumerate(arrivals):
        if isinstance(step, int):
            assert account.store(step, at_ms) is (step not in came)
            came.add(step)
        else:
            named = set(range(step[0], step[1] + 1))
            assert account.lose(*step, at_ms) == len(named - came - reported)
            reported |= named
    heard = came | reported
    top = max(heard, default=0)
    assert account.top == top
    assert account.stored == len(came)
    assert account.gone == len(reported - came)
    assert account.missing == top - len(heard)
    assert through(account) == definition(came, reported)
    assert spread(account.holes) == set(range(1, top + 1)) - heard
    assert spread(account.lost) == reported - came
    assert all(account.has(number) is (number in came) for number in range(1, 60))
    for spans in (account.holes, account.lost):
        assert all(a.last < b.first for a, b in pairwise(spans))
        assert all(span.first <= span.last for span in spans)
    assert all(a.last + 1 < b.first for a, b in pairwise(account.lost))


def spread(spans: list[Span]) -> set[int]:
    return {number for span in spans for number in range(span.first, span.last + 1)}


@given(steps, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(arrivals: list[int | tuple[int, int]], rng: object) -> None:
    other = list(arrivals)
    rng.shuffle(other)  # type: ignore[attr-defined]
    accounts = []
    for order in (arrivals, other):
        account = Account()
        for step in order:
            account.store(step, 0) if isinstance(step, int) else account.lose(*step, 0)
        accounts.append(account)
    assert accounts[0] == accounts[1]


def test_a_hole_keeps_its_age_while_it_shrinks() -> None:
    account = Account()
    account.store(10, 5)
    account.store(20, 7)
    account.store(4, 9)
    assert account.holes == [Span(1, 3, 5), Span(5, 9, 5), Span(11, 19, 7)]
    assert account.lose(1, 9, 11) == 8
    assert (through(account), account.missing, account.gone) == (10, 9, 8)
    assert account.lost == [Span(1, 3), Span(5, 9)]
    assert account.store(2, 13)
    assert account.lost == [Span(1, 1), Span(3, 3), Span(5, 9)]


def test_a_gap_beyond_what_was_heard_counts_it_as_created() -> None:
    account = Account()
    assert account.lose(3, 10_000, 0) == 9_998
    assert (account.top, account.missing, through(account)) == (10_000, 2, 0)


def test_what_no_node_can_count_is_refused() -> None:
    account = Account()
    for wrong in (0, -1, LARGEST + 1):
        with pytest.raises(ValueError, match="from 1"):
            account.store(wrong, 0)
    for first, last in ((0, 3), (5, 4), (1, LARGEST + 1)):
        with pytest.raises(ValueError, match="from 1"):
            account.lose(first, last, 0)
    assert account == Account()
    assert account.store(LARGEST, 0)
    assert account.missing == LARGEST - 1
