"""The outbox: numbers without gaps, nothing lost by a kill, errors with a cure."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
import structlog.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import OutboxError
from edge.events import Event, EventContext, EventDraft, heartbeat_event, incident_event
from edge.identifiers import Uuid7
from edge.outbox import NO_LEVEL, Outbox

START = datetime(2026, 11, 22, 8, 15, 3, tzinfo=UTC)
NEW_ID = Uuid7(lambda: START, Random(3).getrandbits)
CAMERA = EventContext("xihu-07", "360103", NEW_ID, "gate-2")
NODE = EventContext("xihu-07", "360103", NEW_ID)
PLENTY = 2**30


def draft(level: int | None = 2) -> EventDraft:
    if level is None:
        return heartbeat_event(NODE, START, {"uptime_s": 1})
    change = SimpleNamespace(
        incident=NEW_ID(),
        phase="begin",
        kind="hazard.intrusion",
        zone="platform",
        level=level,
        started_utc=START,
        observed_utc=START,
        measures={"count": 1},
        confidence=0.9,
        boxes=(),
    )
    return incident_event(CAMERA, change)


BY_LEVEL = {level or NO_LEVEL: draft(level) for level in (1, 2, 3, 4, None)}


class Hands:
    """A wall clock whose hands the test moves."""

    def __init__(self) -> None:
        self.now = START

    def utc(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.now.timestamp()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        raise AssertionError("the outbox never waits")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node" / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with Outbox(path, PLENTY) as opened:
        yield opened


def numbers(outbox: Outbox, limit: int = 10_000, after: int = 0) -> list[int]:
    return [row.sequence for row in outbox.pending(limit, after)]


def test_events_get_numbers_from_one_and_wait_in_order(outbox: Outbox) -> None:
    events = outbox.append([draft(1), draft(4)]) + outbox.append([draft(None)])
    assert [event.sequence for event in events] == [f"{n:020}" for n in (1, 2, 3)]
    waiting = outbox.pending()
    assert [Event.from_json(row.body) for row in waiting] == events
    assert numbers(outbox, limit=2) == [1, 2]
    assert numbers(outbox, after=2) == [3]
    assert outbox.append([]) == []


def test_acknowledged_events_are_gone_and_counted(outbox: Outbox) -> None:
    outbox.append([draft() for _ in range(5)])
    assert outbox.acknowledge([2, 3, 99]) == 2
    assert outbox.acknowledge([2]) == 0
    assert numbers(outbox) == [1, 4, 5]
    counts = outbox.counts()
    assert (counts.created, counts.acknowledged, counts.pending) == (5, 2, 3)
    assert counts.bytes == sum(len(row.body) for row in outbox.pending())


def test_the_sequence_survives_deletion_and_restart(path: Path) -> None:
    with Outbox(path, PLENTY) as first:
        first.append([draft(4) for _ in range(3)])
        first.acknowledge([1, 2, 3])
    with Outbox(path, PLENTY) as second:
        assert second.append([draft()])[0].sequence == f"{4:020}"
        counts = second.counts()
    assert (counts.created, counts.acknowledged, counts.pending) == (4, 3, 1)
    assert sorted(child.name for child in path.parent.iterdir()) == ["outbox.db"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_oldest_age_follows_the_clock(path: Path) -> None:
    hands = Hands()
    with Outbox(path, PLENTY, hands) as outbox:
        assert outbox.counts().oldest_age_s == 0
        outbox.append([draft()])
        hands.now += timedelta(seconds=30)
        outbox.append([draft()])
        assert outbox.counts().oldest_age_s == 30
        outbox.acknowledge([1])
        assert outbox.counts().oldest_age_s == 0
        hands.now -= timedelta(days=1)
        assert outbox.counts().oldest_age_s == 0


def test_whoever_listens_is_woken_after_the_append(outbox: Outbox) -> None:
    seen: list[list[int]] = []
    outbox.listen(lambda: seen.append(numbers(outbox)))
    outbox.append([draft(), draft()])
    outbox.append([])
    assert seen == [[1, 2]]


# Eviction


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


def test_an_event_less_severe_than_all_that_wait_does_not_push_them_out(path: Path) -> None:
    with Outbox(path, 3 * len(Event.number(BY_LEVEL[1], 1).to_json())) as outbox:
        outbox.append([BY_LEVEL[1]] * 3)
        assert outbox.append([BY_LEVEL[5]])[0].sequence == f"{4:020}"
        assert numbers(outbox) == [1, 2, 3]
        assert outbox.append([BY_LEVEL[1]])[0].sequence == f"{5:020}"
        assert numbers(outbox) == [2, 3, 5]


levels = st.lists(st.sampled_from(sorted(BY_LEVEL)), min_size=1, max_size=6)
steps = st.lists(levels | st.integers(0, 4) | st.just("restart"), max_size=14)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, room=st.integers(1, 30))
def test_created_is_acknowledged_and_pending_and_evicted(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[int] | int | str], room: int
) -> None:
    path = tmp_path_factory.mktemp("outbox") / "outbox.db"
    max_bytes = room * len(Event.number(BY_LEVEL[1], 1).to_json())
    created = acknowledged = 0
    waiting: dict[int, int] = {}
    outbox = Outbox(path, max_bytes)
    try:
        for step in steps:
            if isinstance(step, list):
                for event in outbox.append([BY_LEVEL[level] for level in step]):
                    created += 1
                    assert int(event.sequence) == created
                    waiting[created] = event.level or NO_LEVEL
            elif isinstance(step, int):
                acknowledged += outbox.acknowledge(numbers(outbox, limit=step))
            else:
                outbox.close()
                outbox = Outbox(path, max_bytes)
            counts = outbox.counts()
            left = set(numbers(outbox))
            assert counts.created == created
            assert counts.acknowledged == acknowledged
            assert counts.pending == len(left)
            assert counts.created == counts.acknowledged + counts.pending + sum(counts.evicted.values())
            assert counts.bytes == sum(len(row.body) for row in outbox.pending(1000)) <= max_bytes
            assert left <= set(waiting)
    finally:
        outbox.close()


def test_a_full_disk_gives_up_the_least_severe_and_goes_on(path: Path) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([BY_LEVEL[4]] * 200 + [BY_LEVEL[1]] * 200)
        limit_pages(outbox)
        events = [outbox.append([BY_LEVEL[1]])[0] for _ in range(60)]
        counts = outbox.counts()
        assert counts.created == 460
        assert events[-1].sequence == f"{460:020}"
        assert counts.evicted[4] > 0
        assert counts.evicted[1] == 0
        assert counts.created == counts.pending + sum(counts.evicted.values())


def limit_pages(outbox: Outbox) -> None:
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")


def test_a_disk_without_any_room_refuses_and_uses_no_number(path: Path) -> None:
    with Outbox(path, PLENTY) as outbox:
        limit_pages(outbox)
        with pytest.raises(OutboxError, match="the disk is full"):
            outbox.append([BY_LEVEL[1]] * 50)
        assert outbox.counts().created == 0
        assert outbox.append([BY_LEVEL[1]])[0].sequence == f"{1:020}"


# Durability


def commits(path: Path, act: Callable[[Outbox], object]) -> tuple[bool, bool]:
    """Whether an act wrote a commit, and whether commits were synced to the disk at its end."""
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft(4)])
        log = path.with_name(path.name + "-wal")
        before = log.read_bytes()
        act(outbox)
        return log.read_bytes() != before, outbox._db.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_severe_events_are_synced_at_once_and_others_before_they_are_shown(path: Path) -> None:
    assert commits(path, lambda outbox: outbox.append([draft(1)])) == (True, True)
    assert commits(path, lambda outbox: outbox.append([draft(4), draft(2)])) == (True, True)
    assert commits(path, lambda outbox: outbox.append([draft(3), draft(None)])) == (True, False)
    # showing is what syncs them, by a commit that changes something: others SQLite would skip
    assert commits(path, lambda outbox: outbox.pending()) == (True, True)
    assert commits(path, lambda outbox: outbox.pending() and outbox.append([draft(1)])) == (True, True)


def test_what_was_synced_is_not_synced_again(path: Path) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft(1)])
        log = path.with_name(path.name + "-wal")
        before = log.read_bytes()
        assert len(outbox.pending()) == len(outbox.pending()) == 1
        assert log.read_bytes() == before


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_edge_outbox import BY_LEVEL, PLENTY, Outbox
outbox = Outbox(Path({path!r}), PLENTY)
print("ready", flush=True)
n = 0
while True:
    n += 1
    for event in outbox.append([BY_LEVEL[1 + n % 5]] * (1 + n % 7)):
        print("created", int(event.sequence), flush=True)
    if n % 3 == 0:
        rows = [row.sequence for row in outbox.pending(5)]
        outbox.acknowledge(rows)
        print("acknowledged", *rows, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 40, 333])
def test_a_kill_loses_nothing_and_leaves_no_gap(path: Path, lines: int) -> None:
    code = CHILD.format(tests=str(Path(__file__).parent), path=str(path))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    created, acknowledged = 0, set[int]()
    with child:
        assert child.stdout
        for n, line in enumerate(child.stdout):
            word, *rest = line.split()
            if word == "created":
                created = max(created, int(rest[0]))
            elif word == "acknowledged":
                acknowledged |= set(map(int, rest))
            if n == lines:
                child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    with Outbox(path, PLENTY) as outbox:
        counts, left = outbox.counts(), numbers(outbox, limit=1_000_000)
        assert counts.created >= created
        assert counts.acknowledged >= len(acknowledged)
        assert counts.created == counts.acknowledged + counts.pending
        assert acknowledged.isdisjoint(left)
        # acknowledged in order from 1 on: what is left is the unbroken rest
        assert left == list(range(counts.acknowledged + 1, counts.created + 1))
        assert outbox.append([draft()])[0].sequence == f"{counts.created + 1:020}"


def test_two_threads_share_it_without_losing_anything(outbox: Outbox) -> None:
    woken = threading.Semaphore(0)
    outbox.listen(woken.release)
    got: list[int] = []

    def publish() -> None:
        while len(got) < 200:
            assert woken.acquire(timeout=20)
            rows = numbers(outbox, limit=16)
            got.extend(rows)
            outbox.acknowledge(rows)
            if rows:
                woken.release()

    reader = threading.Thread(target=publish, name="publisher")
    reader.start()
    for n in range(100):
        outbox.append([BY_LEVEL[1 + n % 5]] * 2)
    reader.join(30)
    assert got == list(range(1, 201))
    assert outbox.counts().pending == 0


# Errors name the file and the cure


def test_a_second_node_on_the_same_file_is_refused(path: Path, outbox: Outbox) -> None:
    with pytest.raises(OutboxError, match=r"outbox\.db is in use: another node"):
        Outbox(path, PLENTY)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are not the events you are looking for" * 100)
    with pytest.raises(OutboxError, match=r"outbox\.db is damaged; move it"):
        Outbox(path, PLENTY)


@pytest.mark.parametrize("start", [100, 4096, 3 * 4096])
def test_a_damaged_file_is_refused_at_the_start(path: Path, start: int) -> None:
    with Outbox(path, PLENTY) as outbox:
        outbox.append([draft() for _ in range(50)])
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 4096)
    with pytest.raises(OutboxError, match="is damaged"):
        Outbox(path, PLENTY)


def test_a_file_without_its_totals_is_refused(path: Path) -> None:
    Outbox(path, PLENTY).close()
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM totals WHERE name = 'created'")
    db.close()
    with pytest.raises(OutboxError, match="is damaged"):
        Outbox(path, PLENTY)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    Outbox(path, PLENTY).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(OutboxError, match="layout 2 of a newer version"):
        Outbox(path, PLENTY)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutboxError, match="cannot be opened"):
        Outbox(tmp_path / "file" / "outbox.db", PLENTY)
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(OutboxError, match="cannot be opened"):
        Outbox(tmp_path / "outbox.db", PLENTY)


def test_a_place_without_write_ahead_logs_is_refused(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    # a database in memory cannot keep a log either, as some network file systems
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda _, **kwargs: real(":memory:", **kwargs))
    with pytest.raises(OutboxError, match="local disk"):
        Outbox(path, PLENTY)


def test_a_closed_outbox_says_so(path: Path) -> None:
    outbox = Outbox(path, PLENTY)
    outbox.close()
    outbox.close()
    with pytest.raises(OutboxError, match="is closed"):
        outbox.append([draft()])
