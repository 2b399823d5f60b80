"""For tests of delivery: events of each level, a clock whose hands the test moves, and patience."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from edge.events import EventContext, EventDraft, heartbeat_event, incident_event
from edge.identifiers import Uuid7

DISTRICT = "360103"
NOW = datetime(2026, 11, 22, 8, 15, 3, tzinfo=UTC)
PATIENCE_S = 30.0

_new_id = Uuid7(lambda: NOW)
NODE = EventContext("xihu-07", DISTRICT, _new_id)
CAMERA = EventContext("xihu-07", DISTRICT, _new_id, "gate-2")


@dataclass
class Incident:
    """What a camera's incident did."""

    level: int
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    kind: str = "hazard.intrusion"
    zone: str = "stage"
    phase: str = "begin"
    confidence: float = 0.9
    started_utc: datetime = NOW
    observed_utc: datetime = NOW
    measures: dict[str, float] = field(default_factory=lambda: {"count": 1.0})
    incident: str = field(default_factory=_new_id)


def draft(level: int | None = None, boxes: int = 0) -> EventDraft:
    """An event of a level, with so many boxes; the node's own without a level."""
    if level is None:
        return heartbeat_event(NODE, NOW, {"uptime_s": 1.0})
    return incident_event(CAMERA, Incident(level, ((0.1234, 0.2345, 0.3456, 0.4567),) * boxes))  # type: ignore[arg-type]


class Hands:
    """A clock whose hands the test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        """Seconds since the test began to count."""
        return self.seconds

    def utc(self) -> datetime:
        """Wall time."""
        return NOW + timedelta(seconds=self.seconds)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Nothing here waits."""
        raise AssertionError("nothing waits on this clock")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes true in other processes and threads."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.002)
