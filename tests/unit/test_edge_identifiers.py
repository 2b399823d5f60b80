"""UUIDv7 and trace context: layout, order, uniqueness."""

import re
import threading
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.identifiers import MAX_UNIX_MS, Uuid7, format_uuid7, traceparent, unix_ms

START = datetime(2026, 11, 22, 8, 15, 3, 210_999, tzinfo=UTC)


class Hands:
    """A wall clock whose hands the test moves."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@given(ms=st.integers(0, MAX_UNIX_MS), rand=st.integers(0, 2**74 - 1))
def test_layout_is_that_of_rfc_9562(ms: int, rand: int) -> None:
    uuid = UUID(format_uuid7(ms, rand))
    assert (uuid.version, uuid.variant) == (7, RFC_4122)
    assert uuid.int >> 80 == ms
    assert (uuid.int >> 64 & 0xFFF, uuid.int & (1 << 62) - 1) == (rand >> 62, rand & (1 << 62) - 1)
    assert str(uuid) == format_uuid7(ms, rand)


@pytest.mark.parametrize(("ms", "rand"), [(-1, 0), (MAX_UNIX_MS + 1, 0), (0, -1), (0, 1 << 74)])
def test_what_does_not_fit_is_refused(ms: int, rand: int) -> None:
    with pytest.raises(ValueError, match="must fit"):
        format_uuid7(ms, rand)


@given(steps_ms=st.lists(st.integers(-9_000, 50), max_size=60), seed=st.integers(0, 2**32))
def test_they_sort_in_the_order_of_their_making(steps_ms: list[int], seed: int) -> None:
    hands, lowest = Hands(), START
    make = Uuid7(hands, Random(seed).getrandbits)
    made = [make()]
    for step in steps_ms:
        # a clock that trembles: never more than nine seconds behind its furthest
        hands.now = max(hands.now + timedelta(milliseconds=step), lowest - timedelta(seconds=9))
        lowest = max(lowest, hands.now)
        made.append(make())
    assert made == sorted(set(made))


def test_the_time_is_the_moment_of_making() -> None:
    made = UUID(Uuid7(Hands())())
    assert made.int >> 80 == unix_ms(START) == 1_795_335_303_210


def test_a_clock_set_right_by_a_large_step_back_is_followed() -> None:
    hands = Hands()
    make = Uuid7(hands)
    make()
    hands.now -= timedelta(days=400)
    assert UUID(make()).int >> 80 == unix_ms(hands.now)


def test_a_random_part_that_is_used_up_borrows_the_next_millisecond() -> None:
    make = Uuid7(Hands(), lambda bits: (1 << bits) - 1)
    first, second = UUID(make()), UUID(make())
    assert second.int >> 80 == (first.int >> 80) + 1


def test_many_threads_never_get_the_same() -> None:
    make, made = Uuid7(Hands()), [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda own=own: own.extend(make() for _ in range(500)), name=f"maker-{n}")
        for n, own in enumerate(made)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len({uuid for own in made for uuid in own}) == 2000


def test_a_naive_time_and_a_time_before_1970_are_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        unix_ms(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test
    with pytest.raises(ValueError, match="1970"):
        unix_ms(datetime(1969, 12, 31, tzinfo=UTC))


@given(seed=st.integers(0, 2**32))
def test_trace_context_is_valid(seed: int) -> None:
    text = traceparent(Random(seed).getrandbits)
    match = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", text)
    assert match
    assert int(match[1], 16)
    assert int(match[2], 16)
    assert int(match[3], 16) & 1


def test_trace_context_is_never_all_zeros() -> None:
    assert traceparent(lambda bits: 0) == f"00-{1:032x}-{1:016x}-01"
