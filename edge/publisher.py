"""From the outbox to Redis until each event is stored there: at least once, never not at all.

Events that were never sent go first, the most severe of them before others; what the centre asked for again
follows at a bounded rate, with what room they leave.
"""

import asyncio
import base64
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import structlog

from edge.envelope import STREAM_FIELD, stream_key
from edge.errors import EdgeError
from edge.outbox import Outbox, Pending
from edge.pace import Pace
from edge.redis_link import RedisLink
from edge.tasks import cancel
from streams.backoff import Backoff
from streams.clock import Clock, SystemClock

log = structlog.get_logger(__name__)

BATCH = 512
"""Events sent in one go; as many may arrive twice when the connection breaks before the answers, and an event
of level 1 waits for as many at most."""

LEAST_BATCH = 16
"""Events sent in one go when larger batches did not get through in time."""

BATCH_BYTES = 2**20
"""Size of the events sent in one go; one that is larger goes alone."""

PING_S = 5.0
"""Seconds without events after which Redis is asked whether it is still there."""

REPLAY_PER_S = 500.0
"""Events a second that are sent again at the centre's wish."""


class Signs(Protocol):
    """What signs events: `edge.signing.Signer`."""

    @property
    def key_id(self) -> str:
        """Which key signs."""
        ...

    def sign(self, body: bytes) -> bytes:
        """The signature over an event's JSON, 64 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Destination:
    """Where events go.

    Attributes:
        url: of Redis, credentials included.
        district: six digits; names the stream.
        max_entries: length to which Redis may trim the stream, roughly.
    """

    url: str = field(repr=False)
    district: str
    max_entries: int


@dataclass(frozen=True, slots=True)
class PublisherOptions:
    """How patient the publisher is.

    Attributes:
        timeout_s: seconds for connecting, sending, and each answer.
        retry_s: seconds before the first retry, at most.
        retry_cap_s: seconds between later retries, at most.
        ping_s: seconds without events before a sign of life is asked for.
        replay_per_s: events a second of what could not be sent before, and of what the centre asks for
            again, at most; events that just happened and those of level 1 do not wait for them.
    """

    timeout_s: float = 5.0
    retry_s: float = 0.1
    retry_cap_s: float = 3.0
    ping_s: float = PING_S
    replay_per_s: float = REPLAY_PER_S


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """How publishing goes.

    Attributes:
        connected: whether the last exchange with Redis went well.
        last_error: why not, without credentials; None when connected.
        published: events that Redis stored and the outbox knows it, since the start.
        replayed: how many of them were sent again at the centre's wish.
        failures: exchanges that failed since the start.
    """

    connected: bool = False
    last_error: str | None = None
    published: int = 0
    replayed: int = 0
    failures: int = 0


class _Outgoing(NamedTuple):
    """An event on its way: its number, the stream entry's fields, and whether it is sent again."""

    sequence: int
    fields: Mapping[bytes, bytes]
    again: bool


class Publisher:
    """Hands the outbox's events to a district's stream. Start it in the loop that shall run it.

    One error in a batch settles what was stored and retries the rest, after a back-off with jitter. An event
    may arrive twice, after a connection that broke in between; its source and id tell. Only one batch is in
    memory, however many events wait.
    """

    def __init__(
        self,
        outbox: Outbox,
        destination: Destination,
        options: PublisherOptions | None = None,
        *,
        signer: Signs | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Prepare; nothing is sent before `start`.

        Args:
            outbox: where the events wait.
            destination: where they go.
            options: time-outs, retries and rates.
            signer: signs each event; without one a centre refuses them.
            clock: host time, for the rate of replays.
            rng: jitter of the retries.

        Raises:
            PublishError: the URL is malformed.
        """
        self._options = options or PublisherOptions()
        self._outbox = outbox
        self._link = RedisLink(destination.url, self._options.timeout_s)
        self._key = stream_key(destination.district)
        self._max_entries = destination.max_entries
        self._signer = signer
        self._pace = Pace(self._options.replay_per_s, clock or SystemClock())
        self._backoff = Backoff(
            rng or random.Random(),  # noqa: S311 - jitter, no secret
            self._options.retry_s,
            self._options.retry_cap_s,
        )
        self._status = PublisherStatus()
        self._most = BATCH
        self._stored: list[_Outgoing] = []
        self._more_later = False
        self._backlog = 0  # up to this number events waited when Redis was reached
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
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
        self._loop = asyncio.get_running_loop()
        self._outbox.listen(self.wake)
        self._task = self._loop.create_task(self._run(), name="publisher")

    def wake(self) -> None:
        """Have it look into the outbox at once; from any thread."""
        if self._loop is not None:
            # an append after the loop's end finds nobody to wake: the next start publishes it
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake.set)

    async def wait(self) -> None:
        """Wait until publishing has ended; raises what ended it if that was no `stop`."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self, timeout_s: float = 2.0) -> None:
        """Send what waits, for `timeout_s` at most and without retries, then close; twice is safe."""
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)
            await cancel(self._task)
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
                idle = not await self._turn()
                if idle and not self._stopping.is_set():
                    await self._rest()
            except EdgeError as exc:
                self._note(str(exc))
                idle = True
                if not self._stopping.is_set():
                    await _wait(self._stopping, self._backoff.next_s())
            if idle and self._stopping.is_set() and not self._wake.is_set():
                return

    async def _turn(self) -> bool:
        """Send the next batch; whether there was one.

        Raises:
            PublishError: Redis did not store all of it.
            OutboxError: the disk refuses.
        """
        # one visit to a thread for the last batch's end and the next one's beginning
        batch = await asyncio.to_thread(self._settle_and_take)
        if not batch:
            return False
        stored, trouble = await self._link.append(
            self._key, [event.fields for event in batch], self._max_entries
        )
        self._stored = [batch[index] for index in stored]
        if trouble is not None:
            self._most = max(LEAST_BATCH, self._most // 4)
            await asyncio.to_thread(self._settle)
            raise trouble
        self._most = min(BATCH, self._most * 2)
        self._note(None)
        return True

    def _settle(self) -> None:
        """Let the outbox know what Redis stored; if its disk refuses, the next turn tries again."""
        if not self._stored:
            return
        self._outbox.sent([event.sequence for event in self._stored])
        stored, self._stored, before = self._stored, [], self._status
        self._status = replace(
            before,
            published=before.published + len(stored),
            replayed=before.replayed + sum(event.again for event in stored),
        )

    def _settle_and_take(self) -> list[_Outgoing]:
        """The next events, ready to be sent: what just happened, then what is late."""
        self._settle()
        rows = [(row, False) for row in self._outbox.fresh(self._most, after=self._backlog)]
        late = self._late(self._most - len(rows))
        batch: list[_Outgoing] = []
        size = 0
        for row, again in rows + late:
            size += len(row.body)
            if batch and size > BATCH_BYTES:
                break
            batch.append(_Outgoing(row.sequence, self._fields(row.body), again))
        if not self._stopping.is_set():
            self._pace.spend(max(0, len(batch) - len(rows)))
        return batch

    def _late(self, room: int) -> list[tuple[Pending, bool]]:
        """What waited when Redis was reached, then what is asked for again (True), at their pace.

        The centre takes events in turn: at full speed a day's would be there before the next one of now.
        """
        if self._stopping.is_set():  # the last moments are not for sparing anybody
            return [(row, False) for row in self._outbox.backlog(room, through=self._backlog)] if room else []
        late: list[tuple[Pending, bool]] = []
        if allowed := min(room, self._pace.allowed()):
            late += [(row, False) for row in self._outbox.backlog(allowed, through=self._backlog)]
        if allowed > len(late):
            late += [(row, True) for row in self._outbox.replays(allowed - len(late))]
        self._more_later = len(late) == allowed
        return late

    def _fields(self, body: bytes) -> Mapping[bytes, bytes]:
        if self._signer is None:
            return {_BODY: body}
        signature = base64.b64encode(self._signer.sign(body))
        return {_BODY: body, _SIGNATURE: signature, _KEY: self._signer.key_id.encode()}

    async def _rest(self) -> None:
        """Wait for an append, or until more may be sent again.

        Ask Redis for a sign of life when neither comes for long, and at the start.
        """
        if self._status.connected and self._more_later:
            await _wait(self._wake, self._pace.wait_s())
            return
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
                self._backlog = self._outbox.counts().newest
                log.info("events reach redis", url=self.display_url)
            return
        self._status = replace(before, connected=False, last_error=error, failures=before.failures + 1)
        if error != before.last_error:
            log.warning("events do not reach redis; they wait in the outbox", reason=error)


_BODY, _SIGNATURE, _KEY = STREAM_FIELD.encode(), b"sig", b"key"


async def _wait(event: asyncio.Event, timeout_s: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
    return event.is_set()
