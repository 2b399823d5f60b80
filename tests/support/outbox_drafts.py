"""Events of each level for tests of the outbox, and a child process that works on one until it is killed."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import SimpleNamespace

import structlog

from edge.envelope import GapReason
from edge.events import EventContext, EventDraft, gap_events, heartbeat_event, incident_event
from edge.identifiers import Uuid7
from edge.outbox import NO_LEVEL, Outbox

START = datetime(2026, 11, 22, 8, 15, 3, tzinfo=UTC)
NEW_ID = Uuid7(lambda: START, Random(3).getrandbits)
CAMERA = EventContext("xihu-07", "360103", NEW_ID, "gate-2")
NODE = EventContext("xihu-07", "360103", NEW_ID)
PLENTY = 2**30


def draft(level: int | None = 2) -> EventDraft:
    """An event of a level, or a heartbeat."""
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

_made = gap_events(NODE, lambda: START)


def gap(spans: Sequence[tuple[int, int]], reason: GapReason = "outbox_full") -> EventDraft:
    """What reports gaps."""
    return _made(spans, reason)


def work(path: Path, max_bytes: int, seed: int) -> None:
    """Append, send, ask again and report without end, and say after each append which numbers were given."""
    structlog.configure(
        logger_factory=structlog.ReturnLoggerFactory()
    )  # the log would go where the parent reads
    rng = Random(seed)
    outbox = Outbox(path, max_bytes, until="receipted")
    while True:
        level = rng.randint(1, NO_LEVEL)
        events = outbox.append([BY_LEVEL[level]] * rng.randint(1, 7))
        print(level, *(int(event.sequence) for event in events), flush=True)  # noqa: T201 - to the parent
        chance = rng.random()
        if chance < 0.4:
            outbox.sent([row.sequence for row in outbox.fresh(5)])
        elif chance < 0.5:
            first = rng.randint(1, int(events[-1].sequence))
            outbox.ask_again(first, first + 20)
        elif chance < 0.6:
            outbox.report_gaps(gap)
        elif chance < 0.7:
            outbox.sent([row.sequence for row in outbox.replays(5)])


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
