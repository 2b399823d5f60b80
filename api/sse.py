"""Events as server-sent events: numbered, resumable, bounded, and ended by whoever ends first."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

KEEP_ALIVE_S = 15.0
"""A comment this often keeps proxies from closing a quiet stream."""
RETRY_MS = 2000
"""How long a browser waits before it asks again."""


class Numbered(Protocol):
    """What is sent: something that knows its sequence number and its JSON."""

    @property
    def sequence(self) -> str:
        """20 digits, gap-free within a node."""
        ...

    def to_json(self) -> bytes:
        """One line of JSON."""
        ...


@dataclass(frozen=True, slots=True)
class Missed:
    """In place of events that cannot be sent: those between two numbers.

    Attributes:
        after: the last that the reader saw.
        before: the next that it will get; not above `after` where the numbers begin again.
    """

    after: int
    before: int


@dataclass(frozen=True, slots=True)
class Hidden:
    """In place of an event that the reader may not see, so that its number is not reported as missed.

    Attributes:
        sequence: 20 digits.
    """

    sequence: str


def frame(event: Numbered) -> bytes:
    """One event in the wire format of server-sent events; its id is the sequence number."""
    return b"id: %b\ndata: %b\n\n" % (event.sequence.encode(), event.to_json())


def gap(after: int, before: int) -> bytes:
    """Says that the events between two sequence numbers were not sent: never silently."""
    return b'event: missed\ndata: {"after":"%020d","before":"%020d"}\n\n' % (after, before)


class EventStream(Response):
    """Streams `events` until they end, the reader leaves, or the server stops.

    A reader that is too slow loses events at the bounded subscription, never holds them in memory, and is
    told by an event named `missed`, since sequence numbers have no gaps. `after` is the last it saw.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[Numbered | Missed | Hidden],
        after: str | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._last = None if after is None else int(after)
        self._keep_alive_s = keep_alive_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        async with contextlib.aclosing(self._events):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                await self._until_gone(receive, send)
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_gone(self, receive: Receive, send: Send) -> None:
        pumping = asyncio.create_task(self._pump(send))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((pumping, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pumping, leaving):
                task.cancel()
            results = await asyncio.gather(pumping, leaving, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result

    async def _pump(self, send: Send) -> None:
        async def put(body: bytes) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": True})

        await put(b": events follow\nretry: %d\n\n" % RETRY_MS)
        coming = asyncio.ensure_future(anext(self._events))
        try:
            while True:
                # Not wait_for: cancelling anext would end the subscription.
                done, _ = await asyncio.wait((coming,), timeout=self._keep_alive_s)
                if not done:
                    await put(b": still here\n\n")
                    continue
                try:
                    event = coming.result()
                except StopAsyncIteration:
                    return
                if framed := self._framed(event):
                    await put(framed)
                coming = asyncio.ensure_future(anext(self._events))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    def _framed(self, event: Numbered | Missed | Hidden) -> bytes:
        last = self._last
        if isinstance(event, Missed):
            self._last = event.before - 1
            return gap(event.after, event.before)
        self._last = number = int(event.sequence)
        before = gap(last, number) if last is not None and number > last + 1 else b""
        return before if isinstance(event, Hidden) else before + frame(event)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
