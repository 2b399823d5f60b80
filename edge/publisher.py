"""From the outbox to Redis, in order, until each event is acknowledged: at least once, never not at all."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import structlog

from edge.envelope import stream_key
from edge.errors import EdgeError
from edge.outbox import Outbox
from edge.redis_link import RedisLink
from streams.backoff import Backoff

log = structlog.get_logger(__name__)

BATCH = 256
"""Events sent in one go; as many may arrive twice when the connection breaks before the answers."""

PING_S = 5.0
"""Seconds without events after which Redis is asked whether it is still there."""


@dataclass(frozen=True, slots=True)
class PublisherOptions:
    """How patient the publisher is.

    Attributes:
        timeout_s: seconds for connecting, sending, and each answer.
        retry_s: seconds before the first retry, at most.
        retry_cap_s: seconds between later retries, at most.
        ping_s: seconds without events before a sign of life is asked for.
    """

    timeout_s: float = 5.0
    retry_s: float = 0.1
    retry_cap_s: float = 3.0
    ping_s: float = PING_S


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """How publishing goes.

    Attributes:
        connected: whether the last exchange with Redis went well.
        last_error: why not, without credentials; None when connected.
        published: events that Redis stored and the outbox let go, since the start.
        failures: exchanges that failed since the start.
    """

    connected: bool = False
    last_error: str | None = None
    published: int = 0
    failures: int = 0


class Publisher:
    """Hands the outbox's events to a district's stream. Start it in the loop that shall run it.

    One error in a batch acknowledges what was stored and retries the rest, after a back-off with jitter. An
    event may arrive twice, after a connection that broke in between; its source and id tell.
    """

    def __init__(
        self,
        outbox: Outbox,
        url: str,
        district: str,
        max_entries: int,
        options: PublisherOptions | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Prepare; nothing is sent before `start`.

        Args:
            outbox: where the events wait.
            url: of Redis, credentials included.
            district: six digits; names the stream.
            max_entries: length to which Redis may trim the stream, roughly.
            options: time-outs and retries.
            rng: jitter of the retries.

        Raises:
            PublishError: the URL is malformed.
        """
        self._options = options or PublisherOptions()
        self._outbox = outbox
        self._link = RedisLink(url, self._options.timeout_s)
        self._key = stream_key(district)
        self._max_entries = max_entries
        self._backoff = Backoff(
            rng or random.Random(),  # noqa: S311 - jitter, no secret
            self._options.retry_s,
            self._options.retry_cap_s,
        )
        self._status = PublisherStatus()
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def display_url(self) -> str:
        """Where events go, without credentials."""
        return self._link.display_url

    def status(self) -> PublisherStatus:
        """How it goes."""
        return self._status

    def start(self) -> None:
        """Begin to publish, in the running loop."""
        if self._task is not None:
            raise RuntimeError("the publisher was started before")
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # an append after the loop's end finds nobody to wake: the next start publishes it
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake.set)

        self._outbox.listen(wake)
        self._task = loop.create_task(self._run(), name="publisher")

    async def wait(self) -> None:
        """Wait until publishing has ended; raises what ended it if that was no `stop`."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self, timeout_s: float = 2.0) -> None:
        """Send what waits, for `timeout_s` at most and without retries, then close; twice is safe."""
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=timeout_s)
            if not done:
                self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._link.close()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _run(self) -> None:
        while True:
            # before looking: what is appended after the look sets it again
            self._wake.clear()
            try:
                idle = await self._send_batch() < BATCH
                if idle and not self._stopping.is_set():
                    await self._rest()
            except EdgeError as exc:
                self._note(str(exc))
                idle = True
                if not self._stopping.is_set():
                    await _wait(self._stopping, self._backoff.next_s())
            if idle and self._stopping.is_set() and not self._wake.is_set():
                return

    async def _send_batch(self) -> int:
        """Send the oldest waiting events; returns how many Redis stored.

        Raises:
            PublishError: not all of them.
            OutboxError: the disk refuses.
        """
        rows = await asyncio.to_thread(self._outbox.pending, BATCH)
        if not rows:
            return 0
        stored, trouble = await self._link.append(self._key, [row.body for row in rows], self._max_entries)
        if stored:
            await asyncio.to_thread(self._outbox.acknowledge, [rows[index].sequence for index in stored])
            self._status = replace(self._status, published=self._status.published + len(stored))
        if trouble is not None:
            raise trouble
        self._note(None)
        return len(stored)

    async def _rest(self) -> None:
        """Wait for an append; ask Redis for a sign of life when none comes for long, and at the start."""
        patience_s = self._options.ping_s if self._status.connected else 0.0
        if not await _wait(self._wake, patience_s):
            await self._link.ping()
            self._note(None)

    def _note(self, error: str | None) -> None:
        before = self._status
        if error is None:
            self._backoff.reset()
            self._status = replace(before, connected=True, last_error=None)
            if not before.connected:
                log.info("events reach redis", url=self.display_url)
            return
        self._status = replace(before, connected=False, last_error=error, failures=before.failures + 1)
        if error != before.last_error:
            log.warning("events do not reach redis; they wait in the outbox", reason=error)


async def _wait(event: asyncio.Event, timeout_s: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
    return event.is_set()
