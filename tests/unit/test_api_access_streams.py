"""Answers that go on and on: they hold what is in scope, and end with the right to see them."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from api.access.roles import Grant, Principal
from api.node import _sees, create_app
from api.sse import EventStream, Hidden
from tests.support.access import House, client
from tests.support.api_node import FakeNode, make_events

pytestmark = pytest.mark.asyncio


async def subscribed(node: FakeNode) -> None:
    async with asyncio.timeout(10):
        while not node.board._queues:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)


@pytest.mark.parametrize("revoked", [False, True])
async def test_a_stream_ends_with_its_token(tmp_path: Path, revoked: bool) -> None:
    house, node = House(tmp_path), FakeNode()
    async with client(create_app(node, access=house.access)) as http:
        http.headers["Authorization"] = f"Bearer {house.token('viewer')}"
        asking = asyncio.create_task(http.get("/events"))
        await subscribed(node)
        if revoked:
            house.accounts.change(lambda book: book.without("machine"))
        await node.show(make_events(2))
        if not revoked:
            node.board.close()
        async with asyncio.timeout(10):
            answer = await asking
    assert answer.text.count("data: ") == (0 if revoked else 2)


async def test_events_of_cameras_out_of_scope_are_hidden(tmp_path: Path) -> None:
    access = House(tmp_path).access
    for scope, seen in (("*", [True] * 4), ("gate-2", [True, True, False, False])):
        who = Principal("li", (Grant.parse(f"viewer@{scope}"),), "token")
        sources = ("/nodes/n", "/nodes/n/cameras/gate-2", "/nodes/n/cameras/gate-3", "/nodes/n/cameras/x")
        assert [_sees(access, who, SimpleNamespace(source=source)) for source in sources] == seen  # type: ignore[arg-type]


async def test_what_is_hidden_is_not_told_as_missed() -> None:
    async def none():
        for event in ():
            yield event

    stream = EventStream(none(), after="0")
    first, _, third, _, fifth = make_events(5)
    assert b"missed" not in stream._framed(first)
    assert stream._framed(Hidden(f"{2:020}")) == b""
    assert b"missed" not in stream._framed(third)
    assert b"missed" in stream._framed(fifth)
