"""The newest events for whoever looks: a bounded ring, bounded subscriptions. The outbox keeps them safe."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Generic, Protocol, TypeVar


class Posted(Protocol):
    """What the board holds: an event that knows its sequence number and its JSON."""

    @property
    def sequence(self) -> str:
        """The event's sequence number, 20 digits."""
        ...

    def to_json(self) -> bytes:
        """The event as compact JSON."""
        ...


E = TypeVar("E", bound=Posted)


class EventBoard(Generic[E]):
    """The newest events, oldest first. `post` comes from any thread, the rest from the loop's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, keep: int = 200, queue: int = 256) -> None:
        self._loop = loop
        self._ring: deque[E] = deque(maxlen=keep)
        self._queue = queue
        self._queues: set[asyncio.Queue[E | None]] = set()
        self._closed = False
        self.missed = 0
        """Events that slow subscribers did not get; they can ask again with the last sequence they saw."""

    def post(self, events: Sequence[E]) -> None:
        """Show events, from any thread; never blocks and never fails the caller."""
        if events and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._show, tuple(events))

    def recent(self, limit: int = 50) -> list[E]:
        """The newest `limit` events, oldest first."""
        return list(self._ring)[-limit:] if limit > 0 else []

    async def subscribe(self, after: str | None = None) -> AsyncGenerator[E]:
        """Every event from now on; with `after`, first those on the board with a higher sequence."""
        queue: asyncio.Queue[E | None] = asyncio.Queue(self._queue)
        backlog = [e for e in self._ring if after is not None and e.sequence > after]
        if self._closed:
            return
        self._queues.add(queue)
        try:
            for event in backlog:
                yield event
            while (event_or_end := await queue.get()) is not None:
                yield event_or_end
        finally:
            self._queues.discard(queue)

    def close(self) -> None:
        """End every subscription."""
        self._closed = True
        for queue in self._queues:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    def _show(self, events: tuple[E, ...]) -> None:
        self._ring.extend(events)
        for queue in self._queues:
            for event in events:
                if queue.full():
                    self.missed += 1
                else:
                    queue.put_nowait(event)
