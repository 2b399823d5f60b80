import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.errors import OutboxError
from edge.events import EventContext, heartbeat_event
from edge.identifiers import Uuid7
from edge.metrics import Metrics
from edge.outbox import Outbox
from edge.saver import Saver

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CONTEXT = EventContext("n", "000000", Uuid7(lambda: NOW))


class Patience:
    """A clock whose waits return at once and are counted; it may call somebody meanwhile."""

    def __init__(self, meanwhile=lambda: None) -> None:
        self.waits = 0
        self._meanwhile = meanwhile

    def monotonic(self) -> float:
        return 0.0

    def utc(self) -> datetime:
        return NOW

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits += 1
        self._meanwhile()
        return event.is_set()


class FullDisk:
    """An outbox that refuses so many times, then works."""

    def __init__(self, outbox: Outbox, refusals: float) -> None:
        self._outbox = outbox
        self.refusals = refusals

    def append(self, drafts):
        if self.refusals > 0:
            self.refusals -= 1
            raise OutboxError("the disk is full")
        return self._outbox.append(drafts)


@pytest.fixture
def outbox(tmp_path: Path):
    with Outbox(tmp_path / "outbox.db", 2**20) as opened:
        yield opened


def drafts(count: int):
    return [heartbeat_event(CONTEXT, NOW, {"cameras": float(k)}) for k in range(count)]


def test_events_are_kept_counted_and_told_in_order(outbox):
    told, metrics = [], Metrics()
    Saver(outbox, told.extend, metrics, Patience(), threading.Event()).save(drafts(3))
    assert [event.sequence[-1] for event in told] == ["1", "2", "3"]
    assert [row.sequence for row in outbox.fresh()] == [1, 2, 3]
    assert b'type="org.sharpeyes.node.heartbeat.v1"} 3.0' in metrics.text()[0]


def test_nothing_to_save_touches_no_disk(outbox):
    disk = FullDisk(outbox, refusals=float("inf"))
    Saver(disk, lambda _: None, Metrics(), Patience(), threading.Event()).save([])


def test_a_full_disk_makes_the_line_wait_and_loses_nothing(outbox):
    told, clock = [], Patience()
    saver = Saver(FullDisk(outbox, refusals=5), told.extend, Metrics(), clock, threading.Event())
    saver.save(drafts(2))
    assert clock.waits == 5
    assert len(told) == len(outbox.fresh()) == 2
    assert not saver.blocked


def test_a_node_that_stops_is_not_held_by_a_full_disk(outbox):
    stop, blocked = threading.Event(), []
    saver = Saver(FullDisk(outbox, float("inf")), blocked.extend, Metrics(), Patience(stop.set), stop)
    saver.save(drafts(1))
    assert saver.blocked
    assert blocked == []
    assert outbox.fresh() == []
