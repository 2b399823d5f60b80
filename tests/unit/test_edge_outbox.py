"""The outbox: gap-free numbers, nothing lost by a kill, eviction in order, every number accounted for."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.envelope import EventDraft, GapReason, NodeData
from edge.errors import OutboxError
from edge.events import Event
from edge.outbox import MAX_ASKED, Outbox, Until
from edge.outbox_gaps import lacking, spans_of
from tests.support.outbox_drafts import BY_LEVEL, PLENTY, START, draft, gap

DAY = timedelta(days=1)


class Hands:
    """A clock whose hands the test moves: time passes with `now`, and `set_to` only sets the wall's."""

    def __init__(self) -> None:
        self.now = START
        self._set_by = timedelta(0)

    def set_to(self, now: datetime) -> None:
        self._set_by += now - self.now
        self.now = now

    def utc(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return (self.now - self._set_by).timestamp()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        raise AssertionError("the outbox never waits")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node" / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with Outbox(path, PLENTY) as opened:
        yield opened


@pytest.fixture
def kept(path: Path) -> Iterator[Outbox]:
    """One whose events stay until the centre's receipt."""
    with Outbox(path, PLENTY, until="receipted") as opened:
        yield opened


def numbers(outbox: Outbox, limit: int = 100_000) -> list[int]:
    """Events never sent."""
    return sorted(row.sequence for row in outbox.fresh(limit))


def again(outbox: Outbox) -> list[int]:
    return [row.sequence for row in outbox.replays(100_000)]


def all_kept(outbox: Outbox) -> list[int]:
    return [sequence for (sequence,) in outbox._file.execute("SELECT sequence FROM events ORDER BY sequence")]


def given_up(outbox: Outbox) -> list[tuple[int, int]]:
    """Spans that were given up, reported or not."""
    return outbox._gaps.covering(1, max(1, outbox.counts().newest))


def size_of(level: int, sequence: int = 1) -> int:
    return len(Event.number(BY_LEVEL[level], sequence).to_json())


def told(events: list[Event]) -> list[tuple[str | None, list[list[int]]]]:
    """Reason and spans of reports."""
    found: list[tuple[str | None, list[list[int]]]] = []
    for event in events:
        assert event.kind == "node.gap"
        assert isinstance(event.data, NodeData)
        assert event.data.gap is not None
        found.append((event.data.reason, [list(span) for span in event.data.gap.ranges]))
    return found


def test_events_get_numbers_from_one_and_the_most_severe_go_first(outbox: Outbox) -> None:
    events = outbox.append([draft(4), draft(1)]) + outbox.append([draft(None), draft(4), draft(1)])
    assert [event.sequence for event in events] == [f"{n:020}" for n in range(1, 6)]
    waiting = outbox.fresh()
    assert [row.sequence for row in waiting] == [2, 5, 1, 4, 3]
    assert [Event.from_json(row.body) for row in waiting] == [events[n - 1] for n in (2, 5, 1, 4, 3)]
    assert [row.sequence for row in outbox.fresh(2)] == [2, 5]
    assert outbox.append([]) == []
    assert outbox.replays() == []


def test_what_redis_stored_is_gone_and_counted(outbox: Outbox) -> None:
    outbox.append([draft() for _ in range(5)])
    assert outbox.sent([2, 3, 99]) == 2
    assert outbox.sent([2]) == 0
    assert numbers(outbox) == [1, 4, 5]
    counts = outbox.counts()
    assert (counts.created, counts.acknowledged, counts.pending, counts.sent) == (5, 2, 3, 0)
    assert counts.bytes == sum(len(row.body) for row in outbox.fresh())
    assert counts.newest == 5


def test_what_waits_for_a_receipt_stays_until_then(kept: Outbox) -> None:
    kept.append([draft() for _ in range(5)])
    assert kept.sent([1, 2, 3, 5]) == 4
    assert kept.sent([1, 2]) == 0
    counts = kept.counts()
    assert (counts.acknowledged, counts.pending, counts.sent) == (0, 1, 4)
    assert numbers(kept) == [4]
    assert kept.receipted(3) == 3
    assert kept.receipted(3) == kept.receipted(2) == 0
    assert all_kept(kept) == [4, 5]
    counts = kept.counts()
    assert (counts.acknowledged, counts.pending, counts.sent, counts.bytes) == (3, 1, 1, 2 * size_of(2))


def test_a_receipt_covers_what_was_never_answered_for(kept: Outbox) -> None:
    """The connection broke between Redis' storing and its answer: the event is pending here, known there."""
    kept.append([draft() for _ in range(3)])
    assert kept.receipted(2) == 2
    assert numbers(kept) == [3]


def test_many_receipted_events_go_in_small_steps(kept: Outbox) -> None:
    for _ in range(5):
        kept.append([draft(4)] * 700)
    assert kept.receipted(3400) == 3400
    assert kept.counts().pending == 100


def test_going_back_to_keeping_until_stored_lets_go_of_what_was_sent(path: Path) -> None:
    with Outbox(path, PLENTY, until="receipted") as outbox:
        outbox.append([draft() for _ in range(2500)])
        outbox.sent(range(1, 2400, 2))
    with Outbox(path, PLENTY, until="stored") as outbox:
        counts = outbox.counts()
        assert (counts.acknowledged, counts.pending, counts.sent) == (1200, 1300, 0)
        assert numbers(outbox)[:2] == [2, 4]


def test_the_sequence_survives_deletion_and_restart(path: Path) -> None:
    with Outbox(path, PLENTY) as first:
        first.append([draft(4) for _ in range(3)])
        first.sent([1, 2, 3])
    assert sorted(child.name for child in path.parent.iterdir()) == ["outbox.db", "outbox.seq"]
    with Outbox(path, PLENTY) as second:
        assert second.append([draft()])[0].sequence == f"{4:020}"
        counts = second.counts()
    assert (counts.created, counts.acknowledged, counts.pending) == (4, 3, 1)
    assert {child.stat().st_mode & 0o777 for child in path.parent.iterdir()} == {0o600}


def test_the_oldest_age_is_that_of_what_was_never_sent(path: Path) -> None:
    hands = Hands()
    with Outbox(path, PLENTY, hands, until="receipted") as outbox:
        assert outbox.counts().oldest_age_s == 0
        outbox.append([draft(4)])
        hands.now += timedelta(seconds=30)
        outbox.append([draft(1)])
        assert outbox.counts().oldest_age_s == 30
        outbox.sent([1])
        assert outbox.counts().oldest_age_s == 0
        outbox.ask_again(1, 1)
        assert outbox.counts().oldest_age_s == 0
        hands.now -= timedelta(days=1)
        assert outbox.counts().oldest_age_s == 0


def test_whoever_listens_is_woken_when_there_is_something_to_send(kept: Outbox) -> None:
    seen: list[tuple[list[int], list[int]]] = []
    kept.listen(lambda: seen.append((numbers(kept), again(kept))))
    kept.append([draft(), draft()])
    kept.append([])
    kept.sent([1, 2])
    kept.ask_again(5, 9)
    kept.ask_again(1, 1)
    kept.report_gaps(gap)
    assert seen == [([1, 2], []), ([], [1])]


# Asked for again


def test_what_the_centre_lacks_is_sent_again(kept: Outbox) -> None:
    kept.append([draft(4)] * 10)
    kept.sent(range(1, 9))
    assert kept.ask_again(3, 9) == 6
    assert again(kept) == [3, 4, 5, 6, 7, 8]
    assert numbers(kept) == [9, 10]
    assert (kept.counts().pending, kept.counts().sent) == (8, 2)
    # the second question finds them waiting already
    assert kept.ask_again(3, 9) == 0
    assert kept.sent([3, 4]) == 2
    assert again(kept) == [5, 6, 7, 8]
    assert kept.receipted(10) == 10
    assert again(kept) == []
    assert given_up(kept) == []


def test_what_cannot_be_sent_again_becomes_a_gap(outbox: Outbox) -> None:
    outbox.append([draft(4)] * 9)
    outbox.sent([2, 3, 5])
    assert outbox.ask_again(1, 1_000_000) == 0
    assert told(outbox.report_gaps(gap)) == [("outbox_replaced", [[2, 3], [5, 5]])]
    # it is known now: asking again changes nothing
    assert outbox.ask_again(1, 9) == 0
    outbox.sent(numbers(outbox))
    assert outbox.report_gaps(gap) == []


def test_numbers_that_were_receipted_or_never_given_are_not_asked_for(kept: Outbox) -> None:
    kept.append([draft()] * 4)
    kept.receipted(3)
    assert kept.ask_again(1, 3) == kept.ask_again(5, 99) == kept.ask_again(4, 2) == 0
    assert given_up(kept) == []


def test_one_question_covers_so_many_numbers_and_no_more(kept: Outbox) -> None:
    kept._file.execute("UPDATE tally SET newest = 50000")
    kept._tally.newest = 50_000
    kept._file.reserve(50_000)
    assert kept.ask_again(1, 10**15) == 0
    assert given_up(kept) == [(1, MAX_ASKED)]
    assert kept.ask_again(MAX_ASKED // 2, 30_000) == 0
    assert given_up(kept) == [(1, MAX_ASKED + MAX_ASKED // 2 - 1)]


# Receipts of another life


def test_a_receipt_for_numbers_never_given_here_deletes_nothing(path: Path) -> None:
    """The box was replaced, its directory is empty, and the centre remembers the old one's events."""
    with Outbox(path, PLENTY, until="receipted") as outbox:
        outbox.append([draft()] * 5)
        outbox.sent([1])
        with structlog.testing.capture_logs() as logs:
            assert outbox.receipted(70_000) == 0
        assert logs[0]["log_level"] == "error"
        assert numbers(outbox) == [2, 3, 4, 5]
        assert outbox.append([draft()])[0].sequence == f"{70_001:020}"
        # of these no receipt will tell: Redis' word is enough
        assert outbox.sent([2, 70_001]) == 2
        assert all_kept(outbox) == [3, 4, 5, 70_001]
        assert outbox.ask_again(1, 70_000) == 0
    with Outbox(path, PLENTY, until="receipted") as outbox:
        assert outbox.receipted(70_000) == 0
        assert outbox.receipted(70_001) == 1
        assert all_kept(outbox) == [3, 4, 5]
        counts = outbox.counts()
        assert (counts.created, counts.acknowledged, counts.pending) == (6, 3, 3)


def test_an_old_copy_does_not_give_numbers_twice(path: Path) -> None:
    with Outbox(path, PLENTY, until="receipted") as outbox:
        outbox.append([draft()] * 5)
    # the copy knows 5 numbers; the side file knows that up to 10,000 may have been given
    with Outbox(path, PLENTY, until="receipted") as outbox:
        outbox.receipted(8000)
        assert outbox.append([draft()])[0].sequence == f"{10_001:020}"
        assert told(outbox.report_gaps(gap)) == [("outbox_replaced", [[8001, 10_000]])]


@pytest.mark.parametrize("receipt", [-1, 10**15 + 1, 2**63])
def test_a_receipt_beyond_all_reason_is_left_alone(kept: Outbox, receipt: int) -> None:
    kept.append([draft()])
    with structlog.testing.capture_logs() as logs:
        assert kept.receipted(receipt) == 0
    assert logs[0]["log_level"] == "error"
    assert kept.append([draft()])[0].sequence == f"{2:020}"


# Eviction and age


def test_the_least_severe_goes_first_and_the_oldest_within_a_level(path: Path) -> None:
    size = {level: len(Event.number(one, 1).to_json()) for level, one in BY_LEVEL.items()}
    with Outbox(path, sum(size.values())) as outbox:
        outbox.append([BY_LEVEL[level] for level in (4, 1, 5, 3, 2)])
        with structlog.testing.capture_logs() as logs:
            outbox.append([BY_LEVEL[1]])  # as large as a 4, larger than a heartbeat: both go
        assert numbers(outbox) == [2, 4, 5, 6]
        assert outbox.evicted() == {1: 0, 2: 0, 3: 0, 4: 1, 5: 1}
        assert logs[0]["by_level"] == {4: 1, 5: 1}
        assert [event.sequence[-1] for event in outbox.append([BY_LEVEL[2], BY_LEVEL[3]])] == ["7", "8"]
        assert numbers(outbox) == [2, 5, 6, 7]
        assert given_up(outbox) == [(1, 1), (3, 4), (8, 8)]


def test_an_event_less_severe_than_all_that_wait_does_not_push_them_out(path: Path) -> None:
    with Outbox(path, 3 * size_of(1)) as outbox:
        outbox.append([BY_LEVEL[1]] * 3)
        assert outbox.append([BY_LEVEL[5]])[0].sequence == f"{4:020}"
        assert numbers(outbox) == [1, 2, 3]
        assert outbox.append([BY_LEVEL[1]])[0].sequence == f"{5:020}"
        assert numbers(outbox) == [2, 3, 5]
        assert given_up(outbox) == [(1, 1), (4, 4)]


def test_what_is_too_old_is_given_up_and_reported(path: Path) -> None:
    hands = Hands()
    with Outbox(path, PLENTY, hands, max_age_s=3600, until="receipted") as outbox:
        outbox.append([draft(1)] * 3)
        outbox.sent([1])
        hands.now += timedelta(minutes=30)
        outbox.append([draft(4)] * 2)
        assert outbox.expire() == 0
        hands.now += timedelta(minutes=30, milliseconds=1)
        assert outbox.expire() == 3
        assert all_kept(outbox) == [4, 5]
        assert outbox.counts().evicted[1] == 3
        assert told(outbox.report_gaps(gap)) == [("outbox_aged", [[1, 3]])]


def test_many_old_events_go_in_small_steps(path: Path) -> None:
    hands = Hands()
    with Outbox(path, PLENTY, hands, max_age_s=3600) as outbox:
        for _ in range(5):
            outbox.append([draft(4)] * 700)
        hands.now += DAY
        assert outbox.expire() == 3500
        assert given_up(outbox) == [(1, 3500)]


@pytest.mark.parametrize("wrong", [datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC), START + 40 * 365 * DAY])
def test_a_clock_that_was_wrong_makes_nothing_old_and_nothing_immortal(path: Path, wrong: datetime) -> None:
    hands = Hands()
    hands.set_to(wrong)
    with Outbox(path, PLENTY, hands, max_age_s=3600) as outbox:
        hands.now += timedelta(hours=1)
        outbox.append([draft(1)] * 2)
        outbox.expire()
        hands.set_to(START)
        outbox.append([draft(1)])
        assert outbox.expire() == 0
        assert numbers(outbox) == [1, 2, 3]
        hands.now += timedelta(hours=1, seconds=1)
        assert outbox.expire() == 3


def test_a_clock_that_leaps_ahead_ages_nothing(path: Path) -> None:
    hands = Hands()
    with Outbox(path, PLENTY, hands, max_age_s=3600) as outbox:
        hands.now += timedelta(hours=2)
        outbox.append([draft(1)] * 3)
        hands.set_to(hands.now + 40 * DAY)
        assert outbox.expire() == 0
        hands.now += timedelta(minutes=59)
        assert outbox.expire() == 0
        hands.now += timedelta(minutes=2)
        assert outbox.expire() == 3


def test_nothing_is_given_up_for_its_age_before_the_clock_had_time_to_be_set(path: Path) -> None:
    hands = Hands()
    with Outbox(path, PLENTY, hands) as outbox:
        outbox.append([draft(1)])
    hands.set_to(START + 40 * DAY)
    with Outbox(path, PLENTY, hands) as outbox:
        assert outbox.expire() == 0
        hands.set_to(START)
        hands.now += timedelta(hours=2)
        assert outbox.expire() == 0


# Reports of gaps


def test_neighbours_are_one_span_and_one_report_waits_at_a_time(path: Path) -> None:
    with Outbox(path, 6 * size_of(1)) as outbox:
        for _ in range(30):
            outbox.append([BY_LEVEL[5]])
        (span,) = given_up(outbox)
        assert span[0] == 1
        (report,) = outbox.report_gaps(gap)
        assert told([report]) == [("outbox_full", [[*span]])]
        # it waits to be sent; what is lost meanwhile is told by the next one
        for _ in range(9):
            outbox.append([BY_LEVEL[5]])
        assert outbox.report_gaps(gap) == []
        outbox.sent([int(report.sequence)])
        ((reason, later),) = told(outbox.report_gaps(gap))
        assert reason == "outbox_full"
        assert len(later) <= 2
        assert later[0][0] == span[1] + 1


def test_each_reason_has_a_report_of_its_own(path: Path) -> None:
    hands = Hands()
    with Outbox(path, PLENTY, hands, max_age_s=60) as outbox:
        outbox.append([draft()] * 2)
        hands.now += timedelta(minutes=2)
        outbox.expire()
        outbox.append([draft()] * 3)
        outbox.sent([4])
        outbox.ask_again(1, 5)
        events = outbox.report_gaps(gap)
        assert told(events) == [("outbox_aged", [[1, 2]]), ("outbox_replaced", [[4, 4]])]
        assert [int(event.sequence) for event in events] == [6, 7]
        assert outbox.report_gaps(gap) == []


def test_a_report_holds_512_spans_and_the_next_one_the_rest(outbox: Outbox) -> None:
    outbox.append([draft(4)] * 1300)
    outbox.sent(range(1, 1300, 2))
    outbox.ask_again(1, 1300)
    first = outbox.report_gaps(gap)
    assert told(first) == [("outbox_replaced", [[n, n] for n in range(1, 1024, 2)])]
    outbox.sent([1301])
    assert told(outbox.report_gaps(gap)) == [("outbox_replaced", [[n, n] for n in range(1025, 1300, 2)])]


def test_a_report_that_is_given_up_itself_comes_again(path: Path) -> None:
    with Outbox(path, 4 * size_of(1)) as outbox:
        outbox.append([BY_LEVEL[5]] * 8)
        assert outbox.counts().evicted[5] > 0
        lost = given_up(outbox)
        outbox.sent(numbers(outbox))
        assert len(outbox.report_gaps(gap)) == 1
        outbox.append([BY_LEVEL[1]] * 4)
        # the report went before any alarm; its spans wait again, and its own number with them
        assert numbers(outbox) == [10, 11, 12, 13]
        assert given_up(outbox) == [*lost, (9, 9)]
        assert outbox.report_gaps(gap) == []
        assert outbox.append([BY_LEVEL[1]])[0].sequence == f"{14:020}"  # an attempt uses no number
        outbox.sent(numbers(outbox))
        assert told(outbox.report_gaps(gap))[0][1] == [[*lost[0]], [9, 10]]


def test_reports_give_way_to_nothing_but_alarms(path: Path) -> None:
    with Outbox(path, 6 * size_of(1), until="receipted") as outbox:
        outbox.append([BY_LEVEL[5]] * 8 + [BY_LEVEL[1]])
        outbox.sent(numbers(outbox))
        outbox.append([BY_LEVEL[5]])
        (report,) = outbox.report_gaps(gap)
        before = outbox.counts().evicted[5]
        outbox.append([BY_LEVEL[5]] * 20)
        assert int(report.sequence) in all_kept(outbox)
        assert outbox.counts().evicted[5] > before


def test_a_report_that_was_receipted_is_done_with(path: Path) -> None:
    with Outbox(path, 6 * size_of(1), until="receipted") as outbox:
        outbox.append([BY_LEVEL[5]] * 30)
        (report,) = outbox.report_gaps(gap)
        outbox.sent([int(report.sequence)])
        assert given_up(outbox) != []
        outbox.receipted(outbox.counts().newest)
        assert given_up(outbox) == []
        assert outbox.report_gaps(gap) == []


def test_a_maker_that_fails_changes_nothing(path: Path) -> None:
    def broken(spans: object, reason: GapReason) -> EventDraft:
        raise ValueError(reason)

    with Outbox(path, 3 * size_of(1)) as outbox:
        outbox.append([BY_LEVEL[4]] * 6)
        outbox.sent(numbers(outbox))
        with pytest.raises(ValueError, match="outbox_full"):
            outbox.report_gaps(broken)
        assert given_up(outbox) == [(1, 3)]
        assert told(outbox.report_gaps(gap)) == [("outbox_full", [[1, 3]])]


# Every number is accounted for, whatever happens in whatever order

levels = st.lists(st.sampled_from(sorted(BY_LEVEL)), min_size=1, max_size=6)
shares = st.floats(0, 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), levels),
        st.tuples(st.just("send"), st.integers(0, 6)),
        st.tuples(st.just("replay"), st.integers(0, 6)),
        st.tuples(st.just("receipt"), shares),
        st.tuples(st.just("ask"), st.tuples(shares, shares)),
        st.tuples(st.sampled_from(["report", "expire", "restart"]), st.none()),
    ),
    max_size=20,
)


class Life:
    """An outbox, and what a test must know of it."""

    def __init__(self, path: Path, max_bytes: int, until: Until) -> None:
        self.hands = Hands()
        self.open: Callable[[], Outbox] = lambda: Outbox(
            path, max_bytes, self.hands, max_age_s=3600, until=until
        )
        self.outbox = self.open()
        self.created = 0
        self.acknowledged: set[int] = set()

    def step(self, what: str, how: object) -> None:
        before = set(all_kept(self.outbox))
        evicted = sum(self.outbox.evicted().values())
        appended: list[Event] = []
        if what == "append":
            appended = self.outbox.append([BY_LEVEL[level] for level in how])  # type: ignore[attr-defined]
        elif what == "send":
            self.outbox.sent([row.sequence for row in self.outbox.fresh(how)])  # type: ignore[arg-type]
        elif what == "replay":
            self.outbox.sent([row.sequence for row in self.outbox.replays(how)])  # type: ignore[arg-type]
        elif what == "receipt":
            self.outbox.receipted(round(self.created * how))  # type: ignore[operator]
        elif what == "ask":
            first, last = sorted(1 + round(self.created * share) for share in how)  # type: ignore[attr-defined]
            self.outbox.ask_again(first, last)
        elif what == "report":
            appended = self.outbox.report_gaps(gap)
            told(appended)
        elif what == "expire":
            self.hands.now += timedelta(minutes=25)
            self.outbox.expire()
        else:
            self.outbox.close()
            self.outbox = self.open()
        for event in appended:
            self.created += 1
            assert int(event.sequence) == self.created
        if sum(self.outbox.evicted().values()) == evicted:
            self.acknowledged |= before - set(all_kept(self.outbox))


@settings(max_examples=60)
@given(steps=steps, room=st.integers(1, 30), until=st.sampled_from(["stored", "receipted"]))
def test_created_is_acknowledged_and_pending_and_sent_and_evicted(
    steps: list[tuple[str, object]], room: int, until: Until
) -> None:
    max_bytes = room * size_of(1)
    with TemporaryDirectory() as folder:
        life = Life(Path(folder) / "outbox.db", max_bytes, until)
        try:
            for what, how in steps:
                life.step(what, how)
                counts, kept = life.outbox.counts(), all_kept(life.outbox)
                assert counts.created == counts.newest == life.created
                evicted = sum(counts.evicted.values())
                assert counts.created == counts.acknowledged + counts.pending + counts.sent + evicted
                assert counts.acknowledged == len(life.acknowledged)
                assert counts.pending == len(numbers(life.outbox)) + len(again(life.outbox))
                assert counts.pending + counts.sent == len(kept)
                sizes = life.outbox._file.execute("SELECT coalesce(sum(length(body)), 0) FROM events")
                assert counts.bytes == sizes.fetchone()[0] <= max_bytes
                # kept, or handed on, or known as a gap: nothing else can become of a number
                gone = {n for first, last in given_up(life.outbox) for n in range(first, last + 1)}
                assert gone.isdisjoint(kept)
                receipted = range(1, life.outbox._tally.receipted + 1)
                assert gone.union(kept, life.acknowledged, receipted) == set(range(1, life.created + 1))
        finally:
            life.outbox.close()


spans = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair))))


@given(first=st.integers(1, 60), length=st.integers(1, 40), present=spans)
def test_what_is_lacking_is_what_no_span_covers(
    first: int, length: int, present: list[tuple[int, int]]
) -> None:
    covered = {n for start, end in present for n in range(start, end + 1)}
    wanted = [n for n in range(first, first + length) if n not in covered]
    assert lacking(first, first + length - 1, sorted(present)) == spans_of(wanted)


def test_two_threads_share_it_without_losing_anything(outbox: Outbox) -> None:
    woken = threading.Semaphore(0)
    outbox.listen(woken.release)
    got: list[int] = []

    def publish() -> None:
        while len(got) < 200:
            assert woken.acquire(timeout=20)
            rows = [row.sequence for row in outbox.fresh(16)]
            got.extend(rows)
            outbox.sent(rows)
            if rows:
                woken.release()

    reader = threading.Thread(target=publish, name="publisher")
    reader.start()
    for n in range(100):
        outbox.append([BY_LEVEL[1 + n % 5]] * 2)
    reader.join(30)
    assert sorted(got) == list(range(1, 201))
    assert outbox.counts().pending == 0


# However many events wait, nothing looks at all of them


def acts(outbox: Outbox, queued: int) -> dict[str, Callable[[], object]]:
    """Everything that is done with an outbox while it runs."""
    return {
        "append": lambda: outbox.append([BY_LEVEL[1], BY_LEVEL[4]]),
        "fresh": lambda: outbox.fresh(8),
        "sent": lambda: outbox.sent([row.sequence for row in outbox.fresh(8)]),
        "ask_again": lambda: outbox.ask_again(queued // 2, queued // 2 + 8),
        "replays": lambda: outbox.replays(8),
        "counts": outbox.counts,
        "receipted": lambda: outbox.receipted(8),
        "expire": outbox.expire,
        "evict": lambda: evict_a_little(outbox),
        "report_gaps": lambda: outbox.report_gaps(gap),
    }


def evict_a_little(outbox: Outbox) -> None:
    with outbox._change() as tally:
        outbox._rows.evict(tally, 3000)


def effort(path: Path, queued: int) -> dict[str, int]:
    """Hundreds of steps of SQLite's machine that each act takes with so many events in each state."""
    spent: dict[str, int] = {}
    with Outbox(path, PLENTY, until="receipted") as outbox:
        for n in range(0, queued, 500):
            outbox.append([BY_LEVEL[1 + n // 500 % 5]] * 500)
        outbox.sent(range(100, queued // 3))
        outbox.ask_again(200, min(queued // 4, 300))
        ticks = [0]

        def tick() -> None:
            ticks[0] += 1

        outbox._file._db.set_progress_handler(tick, 100)
        for name, act in acts(outbox, queued).items():
            ticks[0] = 0
            act()
            spent[name] = ticks[0]
    return spent


def test_the_effort_does_not_grow_with_what_waits(tmp_path: Path) -> None:
    few, many = effort(tmp_path / "few.db", 1500), effort(tmp_path / "many.db", 15_000)
    assert many.keys() == few.keys()
    for name, spent in many.items():
        assert spent <= 2 * few[name] + 10, name


def test_every_query_finds_its_rows_by_an_index(path: Path) -> None:
    seen: list[str] = []
    with Outbox(path, PLENTY, until="receipted") as outbox:
        outbox.append([BY_LEVEL[level] for level in (1, 2, 3, 4, 5)] * 20)
        outbox._file._db.set_trace_callback(seen.append)
        for act in acts(outbox, 100).values():
            act()
        outbox._file._db.set_trace_callback(None)
        queries = {text for text in seen if text.lstrip().split()[0] in {"SELECT", "UPDATE", "DELETE"}}
        assert len(queries) > 10
        for text in queries:
            for *_, detail in outbox._file.execute(f"EXPLAIN QUERY PLAN {text}").fetchall():
                assert "TEMP B-TREE" not in detail, text
                if detail.startswith("SCAN") and "json_each" not in detail and "CONSTANT" not in detail:
                    # in the order of an index, and not further than the limit
                    assert "LIMIT" in text or "tally" in detail, text


def test_a_closed_outbox_says_so(path: Path) -> None:
    outbox = Outbox(path, PLENTY)
    outbox.close()
    outbox.close()
    with pytest.raises(OutboxError, match="is closed"):
        outbox.append([draft()])
