"""The step after which nothing is lost: events go to disk, or the line waits until they can."""

from collections.abc import Callable, Sequence
from threading import Event as Flag
from typing import Protocol

import structlog

from edge.errors import OutboxError
from edge.events import Event, EventDraft
from edge.metrics import Metrics
from streams.clock import Clock

log = structlog.get_logger(__name__)

RETRY_S = 0.5


class EventStore(Protocol):
    """Where events are kept until the centre has them."""

    def append(self, drafts: Sequence[EventDraft]) -> list[Event]:
        """Give each its sequence number and keep them, all or none."""
        ...


class Saver:
    """Appends events to the outbox from any thread, then tells whoever looks.

    While the disk refuses, the caller waits here: analysis stands still, frames are superseded and
    counted upstream, and no event is dropped.
    """

    def __init__(
        self,
        outbox: EventStore,
        tell: Callable[[Sequence[Event]], None],
        metrics: Metrics,
        clock: Clock,
        stop: Flag,
    ) -> None:
        self._outbox = outbox
        self._tell = tell
        self._metrics = metrics
        self._clock = clock
        self._stop = stop
        self.blocked = False
        """Whether the disk refuses events right now."""

    def save(self, drafts: Sequence[EventDraft]) -> None:
        """Keep events; returns when they are on disk, or when the node stops without a disk to write to."""
        if not drafts:
            return
        while True:
            stopping = self._stop.is_set()
            try:
                events = self._outbox.append(drafts)
            except OutboxError as exc:
                self.blocked = True
                log.error("events cannot be saved", error=str(exc), waiting=len(drafts), lost=stopping)
                if stopping:
                    return
                self._clock.wait(self._stop, RETRY_S)
                continue
            break
        self.blocked = False
        self.told(events)

    def told(self, events: Sequence[Event]) -> None:
        """Tell of events that are on disk already."""
        for event in events:
            self._metrics.count_event(event.type, event.level)
        self._tell(events)
