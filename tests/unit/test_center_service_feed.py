"""Changes as they come: nobody misses one, one look serves all."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from api.center.errors import StoreAwayError
from api.center.feed import Feed, Told
from api.center.lifecycle import State
from api.center.model import Change
from api.sse import Missed

pytestmark = pytest.mark.asyncio
UTC_0 = datetime(2026, 11, 22, 8, 15, tzinfo=UTC)


class Log:
    def __init__(self, count: int = 0) -> None:
        self.all: list[Change] = []
        self.failures: list[Exception] = []
        self.looks = 0
        self.grow(count)

    def grow(self, count: int) -> None:
        for _ in range(count):
            self.all.append(Change(len(self.all) + 1, UTC_0, 7, 1, "event", 3, State.REPORTED))

    def changes(self, after: int, limit: int) -> Sequence[Change]:
        if self.failures:
            raise self.failures.pop(0)
        return self.all[after : after + min(limit, 3)]

    def newest(self) -> int:
        self.looks += 1
        if self.failures:
            raise self.failures.pop(0)
        return len(self.all)


async def take(stream, count: int) -> list[int]:
    async with asyncio.timeout(20):
        return [int((await anext(stream)).sequence) for _ in range(count)]


async def test_from_an_id_on_and_then_as_they_come() -> None:
    log = Log(8)
    feed = Feed(log.changes, log.newest, 0.001)
    stream = feed.follow(2)
    assert await take(stream, 6) == [3, 4, 5, 6, 7, 8]
    coming = asyncio.create_task(take(stream, 2))
    log.grow(2)
    assert await coming == [9, 10]
    await feed.close()
    assert [told async for told in stream] == []
    await feed.close()


async def test_from_now_on() -> None:
    log = Log(8)
    feed = Feed(log.changes, log.newest, 0.001)
    stream = feed.follow()
    coming = asyncio.create_task(take(stream, 1))
    while log.looks < 3:  # noqa: ASYNC110 - looked at by a thread
        await asyncio.sleep(0.001)
    log.grow(1)
    assert await coming == [9]
    await stream.aclose()
    await feed.close()


async def test_nobody_looks_where_nobody_reads_and_later_readers_are_served() -> None:
    log = Log(1)
    feed = Feed(log.changes, log.newest, 0.001)
    stream = feed.follow(0)
    assert await take(stream, 1) == [1]
    await stream.aclose()
    async with asyncio.timeout(20):
        await feed._looking
    looks = log.looks
    log.grow(1)
    await asyncio.sleep(0.01)
    assert log.looks == looks
    again = feed.follow(1)
    assert await take(again, 1) == [2]
    await feed.close()
    await again.aclose()


async def test_a_database_that_is_away_ends_no_reader() -> None:
    log = Log(2)
    log.failures = [StoreAwayError("away"), StoreAwayError("away")]
    feed = Feed(log.changes, log.newest, 0.001)
    stream = feed.follow(0)
    assert await take(stream, 2) == [1, 2]
    log.failures = [StoreAwayError("away")] * 3
    log.grow(1)
    assert await take(stream, 1) == [3]
    await feed.close()
    await stream.aclose()


async def test_after_an_older_database_was_put_back_that_is_told() -> None:
    log = Log(8)
    feed = Feed(log.changes, log.newest, 0.001)
    stream = feed.follow(10**19)
    async with asyncio.timeout(20):
        assert await anext(stream) == Missed(10**19, 9)
        log.grow(1)
        assert await take(stream, 1) == [9]
        # it is put back while somebody reads
        del log.all[4:]
        assert await anext(stream) == Missed(9, 5)
        log.grow(2)
        assert await take(stream, 2) == [5, 6]
    await feed.close()
    await stream.aclose()


async def test_changes_that_were_all_forgotten_are_told_of() -> None:
    log = Log(8)
    feed = Feed(lambda after, limit: log.changes(max(after, 8), limit), log.newest, 0.001)
    stream = feed.follow(3)
    async with asyncio.timeout(20):
        assert await anext(stream) == Missed(3, 9)
        log.grow(1)
        assert await take(stream, 1) == [9]
    await feed.close()
    await stream.aclose()


async def test_a_page_that_is_ahead_of_the_newest_goes_not_back() -> None:
    log = Log(2)
    feed = Feed(log.changes, lambda: min(log.newest(), 1 + log.looks // 3), 0.001)
    stream = feed.follow(0)
    log.grow(4)
    assert await take(stream, 6) == [1, 2, 3, 4, 5, 6]
    await feed.close()
    await stream.aclose()


async def test_what_is_sent() -> None:
    told = Told(Change(42, UTC_0, 7, 3, "acted", 2, State.ACCEPTED))
    assert told.sequence == "00000000000000000042"
    assert told.to_json() == (
        b'{"id":42,"at":"2026-11-22T08:15:00Z","case":7,"version":3,"what":"acted","level":2,"state":"ACCEPTED"}'
    )
