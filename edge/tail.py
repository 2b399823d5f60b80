"""Reads a district's stream as it grows, for people and local tools; takes nothing out of it."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable

import structlog

from edge.envelope import Event, stream_key
from edge.errors import EventError, PublishError
from edge.redis_link import Entry, RedisLink, RefusedError
from streams.backoff import Backoff

log = structlog.get_logger(__name__)

WAIT_S = 2.0
"""Seconds that one question to Redis waits for new entries; a lost connection shows after a few more."""

_COUNT = 500


async def tail(
    url: str,
    district: str,
    *,
    last: int = 0,
    timeout_s: float = 5.0,
    on_trouble: Callable[[str], None] | None = None,
    rng: random.Random | None = None,
) -> AsyncGenerator[Event]:
    """Events of a district: the newest `last` of the stream, then each one as it arrives, without end.

    A lost connection is opened again where it broke off: nothing is skipped and nothing comes twice, unless
    the stream was trimmed or emptied meanwhile. Entries that are no events of this schema are logged and
    left out. Close it (`contextlib.aclosing`) to close its connection.

    Args:
        url: of Redis, credentials included.
        district: six digits.
        last: how many events to begin with.
        timeout_s: of connecting and of an answer.
        on_trouble: told the reason, without credentials, whenever the connection is lost.
        rng: jitter of the retries.

    Raises:
        PublishError: the URL is malformed, or Redis refuses the user, the password or the stream.
    """
    key = stream_key(district)
    link = RedisLink(url, timeout_s)
    backoff = Backoff(rng or random.Random(), 0.1, 2.0)  # noqa: S311 - jitter, no secret
    after: str | None = None
    try:
        while True:
            try:
                if after is None:
                    # at least one, to learn where the stream ends: "$" would forget it between two questions
                    entries = await link.newest(key, max(last, 1))
                    after = entries[-1].id if entries else "0-0"
                    entries = entries[-last:] if last > 0 else []
                else:
                    entries = await link.read(key, after, _COUNT, WAIT_S)
                    after = entries[-1].id if entries else after
            except RefusedError:
                raise
            except PublishError as exc:
                if on_trouble is not None:
                    on_trouble(str(exc))
                await asyncio.sleep(backoff.next_s())
                continue
            backoff.reset()
            for event in filter(None, map(_event, entries)):
                yield event
    finally:
        await link.close()


def _event(entry: Entry) -> Event | None:
    if entry.body is None:
        log.warning("stream entry without an event", entry=entry.id)
        return None
    try:
        return Event.from_json(entry.body)
    except EventError as exc:
        log.warning("stream entry is no event of this schema", entry=entry.id, reason=str(exc))
        return None
