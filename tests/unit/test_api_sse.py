"""Server-sent events at the ASGI seam: readers that leave, that are slow, that come back."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.sse import EventStream, Numbered, frame, gap
from tests.support.api_node import FakeNode, make_events

pytestmark = pytest.mark.asyncio
SCOPE: dict[str, Any] = {"type": "http", "method": "GET"}


class Client:
    """Collects what is sent; leaves when told."""

    def __init__(self, *, fails: bool = False) -> None:
        self.body = b""
        self.got = asyncio.Event()
        self.leave = asyncio.Event()
        self.fails = fails

    async def receive(self) -> dict[str, Any]:
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.body += message.get("body", b"")
        self.got.set()
        if self.fails and b"id: " in message.get("body", b""):
            raise ConnectionResetError

    async def until(self, wanted: bytes) -> None:
        async with asyncio.timeout(10):
            while wanted not in self.body:
                self.got.clear()
                await self.got.wait()


def events_of(node: FakeNode, closed: list[bool]) -> AsyncGenerator[Numbered]:
    async def wrapped() -> AsyncGenerator[Numbered]:
        try:
            async for event in node.board.subscribe():
                yield event
        finally:
            closed.append(True)

    return wrapped()


async def test_a_reader_that_leaves_ends_its_subscription() -> None:
    node, client, closed = FakeNode(), Client(), []
    serving = asyncio.create_task(EventStream(events_of(node, closed))(SCOPE, client.receive, client.send))
    await client.until(b"retry")
    await node.show(make_events(1))
    await client.until(b"id: ")
    client.leave.set()
    async with asyncio.timeout(10):
        await serving
    assert closed


async def test_a_broken_connection_ends_it_quietly() -> None:
    node, client, closed = FakeNode(), Client(fails=True), []
    serving = asyncio.create_task(EventStream(events_of(node, closed))(SCOPE, client.receive, client.send))
    await client.until(b"retry")
    await node.show(make_events(1))
    async with asyncio.timeout(10):
        await serving
    assert closed


async def test_a_defect_in_the_source_is_not_swallowed() -> None:
    async def broken() -> AsyncGenerator[Numbered]:
        raise LookupError("defect")
        yield

    client = Client()
    with pytest.raises(LookupError, match="defect"):
        await EventStream(broken())(SCOPE, client.receive, client.send)


async def test_a_quiet_stream_is_kept_alive() -> None:
    node, client, closed = FakeNode(), Client(), []
    stream = EventStream(events_of(node, closed), keep_alive_s=0.01)
    serving = asyncio.create_task(stream(SCOPE, client.receive, client.send))
    await client.until(b": still here\n\n: still here\n\n")
    await node.show(make_events(1))
    await client.until(b"id: ")
    node.board.close()
    await serving


async def test_a_slow_reader_is_told_what_it_missed() -> None:
    node, client, closed = FakeNode(queue=2), Client(), []
    go = asyncio.Event()
    send: Callable[[Any], Awaitable[None]] = client.send

    async def slow(message: Any) -> None:
        await send(message)
        if b"id: " in message.get("body", b""):
            await go.wait()

    serving = asyncio.create_task(EventStream(events_of(node, closed))(SCOPE, client.receive, slow))
    await client.until(b"retry")
    events = make_events(9)
    await node.show(events[:1])
    await client.until(frame(events[0]))
    await node.show(events[1:8])
    go.set()
    await client.until(frame(events[2]))
    await node.show(events[8:])
    await client.until(gap(3, 9) + frame(events[8]))
    node.board.close()
    await serving
    assert node.board.missed == 5


async def test_head_gets_no_body() -> None:
    node, client, closed = FakeNode(), Client(), []
    await EventStream(events_of(node, closed))({**SCOPE, "method": "HEAD"}, client.receive, client.send)
    assert client.body == b""


@given(after=st.integers(0, 10**19), missing=st.integers(1, 1000))
async def test_gaps_are_numbered_like_events(after: int, missing: int) -> None:
    text = gap(after, after + missing + 1).decode()
    assert f"{after:020}" in text
    assert f"{after + missing + 1:020}" in text
    assert text.endswith("\n\n")
