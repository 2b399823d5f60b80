"""Receipts, replays, deadlines and words, by a clock that the test sets."""

import json
import random
import threading
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.center import tender as module
from api.center.entries import StreamAwayError, StreamFullError
from api.center.errors import StoreAwayError
from api.center.model import Feedback, Hole
from api.center.tender import ASK_CAP_S, ASK_NUMBERS, ASK_S, Replays, Tender

NOW = datetime(2026, 11, 22, 8, 15, tzinfo=UTC)


class Redis:
    def __init__(self) -> None:
        self.receipts: dict[str, int] = {}
        self.writings: list[dict[str, int]] = []
        self.told: list[dict] = []
        self.away: list[Exception] = []
        self.pings = 0
        self.relieved = self.spared = 0

    def keep_spare(self) -> int:
        self.spared += 1
        return 0

    def relieve(self) -> None:
        self.relieved += 1

    def ping(self) -> None:
        self.pings += 1
        if self.away:
            raise self.away.pop(0)

    def receipt(self, through: dict[str, int]) -> None:
        self.writings.append(dict(through))
        self.receipts.update(through)

    def receipts_held(self) -> int:
        return len(self.receipts)

    def tell(self, messages: Sequence[str]) -> None:
        self.told += [json.loads(message) for message in messages]


class Office:
    def __init__(self) -> None:
        self.through = {"a": 5, "b": 7}
        self.heard_at = {"a": NOW, "b": NOW - timedelta(minutes=5)}
        self.missing: list[Hole] = []
        self.due: list[Feedback] = []
        self.sent: list[int] = []
        self.looked: list[datetime] = []
        self.surging = False

    def in_surge(self) -> bool:
        return self.surging

    def stored_through(self, nodes: Collection[str]) -> dict[str, int]:
        return {node: self.through[node] for node in nodes}

    def heard(self) -> dict[str, datetime]:
        return self.heard_at

    def holes(self, older_than_s: float, limit: int) -> list[Hole]:
        return self.missing

    def overdue(self, now: datetime) -> list[object]:
        self.looked.append(now)
        return [object()]

    def verdicts_due(self) -> list[Feedback]:
        return self.due

    def verdicts_sent(self, ids: Sequence[int]) -> None:
        self.sent += ids
        self.due = [message for message in self.due if message.id not in ids]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def make(**more) -> tuple[Tender, Redis, Office]:
    redis, office = Redis(), Office()
    return Tender(redis, office, rng=random.Random(3), utc=lambda: NOW, **more), redis, office


def test_receipts_for_all_at_the_start_then_for_those_heard_lately(clock: list[float]) -> None:
    tender, redis, office = make()
    tender.round()
    assert redis.writings == [{"a": 5, "b": 7}]
    tender.round()
    assert len(redis.writings) == 1
    clock[0] += 5
    office.through = {"a": 6, "b": 7}
    tender.round()
    assert redis.writings[1:] == [{"a": 6}]


def test_receipts_for_all_when_the_server_came_back_empty(clock: list[float]) -> None:
    tender, redis, _ = make()
    tender.round()
    redis.receipts.clear()
    clock[0] += 5
    tender.round()
    assert redis.writings == [{"a": 5, "b": 7}] * 2


def test_receipts_for_all_after_a_lost_connection(clock: list[float]) -> None:
    tender, redis, office = make()
    tender.round()
    redis.away = [StreamAwayError("gone")]
    stopping = threading.Event()
    rounds = iter(range(2))

    def looked(*_: object) -> list[Feedback]:
        if next(rounds, None) == 1:
            stopping.set()
        clock[0] += 0.1
        return []

    office.verdicts_due = looked
    runner = threading.Thread(target=tender.run, args=(stopping,))
    runner.start()
    runner.join(20)
    assert not runner.is_alive()
    assert redis.writings == [{"a": 5, "b": 7}] * 2
    assert tender.trouble is None


def test_a_server_full_of_what_nobody_notices_is_given_room(clock: list[float]) -> None:
    """No event comes through, so no worker writes: the tender's own words find it full."""
    tender, redis, office = make()
    redis.away = [StreamFullError("out of memory")]
    stopping = threading.Event()
    rounds = iter(range(2))

    def looked(*_: object) -> list[Feedback]:
        if next(rounds, None) == 1:
            stopping.set()
        clock[0] += 0.1
        return []

    office.verdicts_due = looked
    runner = threading.Thread(target=tender.run, args=(stopping,))
    runner.start()
    runner.join(20)
    assert not runner.is_alive()
    assert (redis.relieved, redis.spared) == (1, 2)


def test_deadlines_are_looked_at_even_without_redis(clock: list[float]) -> None:
    tender, redis, office = make(escalate_every_s=10)
    redis.away = [StreamAwayError("gone")] * 2
    with pytest.raises(StreamAwayError):
        tender.round()
    with pytest.raises(StreamAwayError):
        tender.round()
    assert office.looked == [NOW]
    clock[0] += 10
    tender.round()
    assert office.looked == [NOW, NOW]


def test_trouble_is_told(clock: list[float]) -> None:
    tender, _, office = make()
    stopping = threading.Event()

    def away(nodes: Collection[str]) -> dict[str, int]:
        stopping.set()
        raise StoreAwayError("the disk is full")

    office.stored_through = away
    tender.run(stopping)
    assert tender.trouble == "the disk is full"


def test_words_are_sent_once(clock: list[float]) -> None:
    tender, redis, office = make()
    office.due = [Feedback(1, "a", '{"kind":"verdict"}'), Feedback(2, "*", '{"kind":"profile"}')]
    tender.round()
    tender.round()
    assert redis.told[1:] == [{"kind": "verdict"}, {"kind": "profile"}]
    assert office.sent == [1, 2]


def test_the_profile_is_told_at_the_start_and_again_each_minute(clock: list[float]) -> None:
    tender, redis, office = make()
    usual = {"node": "*", "kind": "profile", "profile": "usual", "time": "2026-11-22T08:15:00.000Z"}
    told = []
    for office.surging in (False, False, True, True, False, False):
        tender.round()
        tender.round()
        told.append({**usual, "profile": "surge" if office.surging else "usual"})
        clock[0] += 60
    # the usual one, too: a node that missed the end of the surge would hold on to it
    assert redis.told == told


def test_a_defect_ends_no_rounds(clock: list[float]) -> None:
    tender, redis, office = make()
    stopping = threading.Event()
    failures = iter([ZeroDivisionError()])

    def overdue(now: datetime) -> list[object]:
        if (failure := next(failures, None)) is not None:
            raise failure
        stopping.set()
        return []

    office.overdue = overdue
    runner = threading.Thread(target=tender.run, args=(stopping,))
    runner.start()
    runner.join(20)
    assert not runner.is_alive()
    assert redis.pings == 1


def test_holes_are_asked_for(clock: list[float]) -> None:
    tender, redis, office = make()
    office.missing = [Hole("a", 3, 4), Hole("b", 1, 5000), Hole("a", 9, 9)]
    tender.round()
    assert redis.told[1:] == [
        {"node": "a", "kind": "replay", "first": 3, "last": 9},
        {"node": "b", "kind": "replay", "first": 1, "last": 1000},
    ]


def test_patience_doubles_and_progress_is_followed_at_once() -> None:
    replays = Replays()
    hole = [Hole("a", 1, 1000)]
    asked_s = [s for s in range(400) if replays.due(hole, float(s))]
    assert asked_s == [0, 5, 15, 35, 75, 135, 195, 255, 315, 375]
    assert replays.due([Hole("a", 1001, 2000)], 376.0) == [Hole("a", 1001, 2000)]
    assert replays.due([Hole("a", 1001, 2000)], 380.0) == []
    # something came of the last round: patience begins anew
    assert replays.due([Hole("a", 1001, 2000)], 381.0) == [Hole("a", 1001, 2000)]
    # closed, and a new one long after
    assert replays.due([], 382.0) == []
    assert replays.due([Hole("a", 5, 5)], 383.0) == [Hole("a", 5, 5)]


def test_a_hole_that_nobody_can_fill_keeps_no_other_waiting() -> None:
    """A node that fills whatever it is asked for, but one number."""
    replays = Replays()
    missing = set(range(1, 5001))
    asked: list[tuple[int, Hole]] = []
    for second in range(60):
        holes = [Hole("a", first, last) for first, last in _ranges(missing)]
        for request in replays.due(holes, float(second)):
            asked.append((second, request))
            missing -= set(range(request.first, request.last + 1)) - {7}
    assert missing == {7}
    assert asked[:3] == [(0, Hole("a", 1, 1000)), (5, Hole("a", 1001, 2000)), (6, Hole("a", 2001, 3000))]
    again_s = [second for second, request in asked[5:]]
    assert all(request == Hole("a", 7, 7) for _, request in asked[5:])
    assert len(again_s) < 6
    # what gets lost meanwhile is asked for at once, whatever the patience with the old one
    request = replays.due([Hole("a", 7, 7), Hole("a", 6000, 6001)], 60.0)
    assert request == [Hole("a", 6000, 6001)]


def _ranges(numbers: set[int]) -> list[tuple[int, int]]:
    firsts = sorted(n for n in numbers if n - 1 not in numbers)
    lasts = sorted(n for n in numbers if n + 1 not in numbers)
    return list(zip(firsts, lasts, strict=True))


@given(st.sets(st.integers(1, 20_000), min_size=1, max_size=40), st.integers(0, 39))
def test_every_number_is_asked_for_whatever_cannot_be_filled(numbers: set[int], turn: int) -> None:
    replays = Replays()
    wanted = sorted(numbers)[turn % len(numbers)]
    holes = [Hole("a", first, last) for first, last in _ranges(numbers)]
    asked = [hole for second in range(5 * len(numbers) + 1) for hole in replays.due(holes, float(second))]
    assert any(hole.first <= wanted <= hole.last for hole in asked)
    assert all(hole.last - hole.first < ASK_NUMBERS for hole in asked)


def test_a_silent_node_is_asked_seldom_and_at_once_when_it_is_back(clock: list[float]) -> None:
    tender, redis, office = make()
    office.missing = [Hole("b", 1, 5000)]
    for _ in range(1200):
        tender.round()
        clock[0] += 1
    asked = [word for word in redis.told if word["kind"] == "replay"]
    assert [word["first"] for word in asked] == [1, 1001]
    office.heard_at["b"] = NOW
    tender.round()
    assert redis.told[-1]["first"] == 2001


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 5000), st.integers(0, 3000)),
        min_size=1,
        max_size=20,
    )
)
def test_a_request_begins_with_the_oldest_hole_and_is_bounded(raw) -> None:
    holes = sorted((Hole(node, first, first + more) for node, first, more in raw), key=lambda h: h.first)
    asked = Replays().due(holes, 0.0)
    assert {one.node for one in asked} == {hole.node for hole in holes}
    for one in asked:
        mine = [hole for hole in holes if hole.node == one.node]
        assert one.first == mine[0].first
        assert one.last - one.first < ASK_NUMBERS
        assert one.last <= max(hole.last for hole in mine)
        # what the oldest hole has, as far as a request goes, is asked for
        assert one.last >= min(mine[0].last, one.first + ASK_NUMBERS - 1)


def test_the_contract_stands() -> None:
    assert (ASK_S, ASK_CAP_S, ASK_NUMBERS) == (5.0, 60.0, 1000)
