"""Reading the stream along: from the end or from before, across a restart, past what is no event."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis.asyncio
import structlog.testing

from edge.broker import EmbeddedBroker
from edge.errors import PublishError
from edge.events import Event, EventContext, heartbeat_event, stream_key
from edge.identifiers import Uuid7
from edge.redis_link import RefusedError
from edge.tail import tail

pytestmark = pytest.mark.asyncio

NOW = datetime(2026, 11, 22, 8, 15, 3, tzinfo=UTC)
NODE = EventContext("xihu-07", "360103", Uuid7(lambda: NOW))
KEY = stream_key("360103")


def event(number: int) -> Event:
    return Event.number(heartbeat_event(NODE, NOW, {"uptime_s": number}), number)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path / "data", port=0) as running:
        yield running


@pytest.fixture
async def server(broker: EmbeddedBroker) -> AsyncIterator["redis.asyncio.Redis[Any]"]:
    async with redis.asyncio.Redis.from_url(broker.url) as client:
        yield client


async def add(server: Any, *numbers: int) -> None:
    for number in numbers:
        await server.xadd(KEY, {"ce": event(number).to_json()})


async def take(events: AsyncIterator[Event], count: int) -> list[int]:
    async with asyncio.timeout(20):
        return [int((await anext(events)).sequence) for _ in range(count)]


async def follow(server: Any, events: AsyncIterator[Event]) -> asyncio.Task[list[int]]:
    """Ask for one event, and return once the server has seen the question."""
    task = asyncio.create_task(take(events, 1))
    async with asyncio.timeout(20):
        while not (await server.info("clients"))["blocked_clients"]:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.002)
    return task


async def test_it_begins_with_the_newest_and_goes_on(broker: EmbeddedBroker, server: Any) -> None:
    await add(server, *range(1, 8))
    async with aclosing(tail(broker.url, "360103", last=3)) as events:
        assert await take(events, 3) == [5, 6, 7]
        await add(server, 8, 9)
        assert await take(events, 2) == [8, 9]
        waiting = await follow(server, events)
        await add(server, 10)
        assert await waiting == [10]


@pytest.mark.parametrize("before", [(), (1, 2)])
async def test_it_begins_at_the_end(broker: EmbeddedBroker, server: Any, before: tuple[int, ...]) -> None:
    await add(server, *before)
    async with aclosing(tail(broker.url, "360103")) as events:
        waiting = await follow(server, events)
        await add(server, 3, 4)
        assert await waiting == [3]
        assert await take(events, 1) == [4]


async def test_a_restart_of_the_server_skips_nothing(broker: EmbeddedBroker, server: Any) -> None:
    await server.config_set("appendfsync", "always")
    await add(server, 1)
    troubles: list[str] = []
    async with aclosing(tail(broker.url, "360103", last=1, on_trouble=troubles.append)) as events:
        assert await take(events, 1) == [1]
        await add(server, 2)
        waiting = asyncio.create_task(take(events, 2))
        psutil.Process(broker.pid).kill()
        await asyncio.to_thread(broker.restart)
        async with redis.asyncio.Redis.from_url(broker.url) as again:
            await add(again, 3)
        assert await waiting == [2, 3]
    assert set(troubles) <= {
        f"{broker.display_url} cannot be reached",
        f"{broker.display_url} is loading its data",
    }
    assert troubles


async def test_what_is_no_event_is_logged_and_left_out(broker: EmbeddedBroker, server: Any) -> None:
    await server.xadd(KEY, {"other": "field"})
    await server.xadd(KEY, {"ce": "{"})
    document = json.loads(event(1).to_json())
    document["data"]["face"] = "no"
    await server.xadd(KEY, {"ce": json.dumps(document)})
    await add(server, 2)
    with structlog.testing.capture_logs() as logs:
        async with aclosing(tail(broker.url, "360103", last=9)) as events:
            assert await take(events, 1) == [2]
    assert [entry["log_level"] for entry in logs] == ["warning"] * 3
    assert "face" in logs[-1]["reason"]


async def test_a_refusal_ends_it_with_the_reason(broker: EmbeddedBroker) -> None:
    async with aclosing(tail(broker.display_url, "360103")) as events:
        with pytest.raises(RefusedError, match="refuses the user name or password"):
            await anext(events)
    with pytest.raises(PublishError, match="malformed"):
        await anext(tail("http://127.0.0.1", "360103"))


async def test_without_a_server_it_keeps_trying_and_says_why() -> None:
    told = asyncio.Event()
    troubles: list[str] = []

    def trouble(reason: str) -> None:
        troubles.append(reason)
        if len(troubles) == 2:
            told.set()

    async with aclosing(tail("redis://:secret@127.0.0.1:1/0", "360103", on_trouble=trouble)) as events:
        waiting = asyncio.ensure_future(anext(events))
        async with asyncio.timeout(20):
            await told.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert troubles[:2] == ["redis://127.0.0.1:1/0 cannot be reached"] * 2


async def test_without_anybody_to_tell_it_keeps_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []

    async def tired(seconds: float) -> None:
        tries.append(seconds)
        if len(tries) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr("edge.tail.asyncio.sleep", tired)
    with pytest.raises(asyncio.CancelledError):
        await anext(tail("redis://127.0.0.1:1/0", "360103"))
    assert len(tries) == 3
