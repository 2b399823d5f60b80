"""Running a node with its HTTP interface: ports, signals, time limits, failures."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from api import serve as serving
from api.errors import CommandError
from api.serve import Outcome, RunningNode, serve
from edge.config import Config
from tests.support.api_node import STATUS, FakeNode, make_events

pytestmark = pytest.mark.asyncio


def config(port: int = 0, host: str = "127.0.0.1") -> Config:
    return Config.model_validate(
        {"http": {"host": host, "port": port}, "cameras": [{"id": "gate-2", "source": "sim://plaza"}]}
    )


class Run:
    """A node being served, and what the watcher was told."""

    def __init__(self, for_s: float | None = None) -> None:
        self.up = asyncio.Event()
        self.url = ""
        self.node: FakeNode
        self.task = asyncio.create_task(serve(config(), self.open, self.watch, for_s))

    @asynccontextmanager
    async def open(self, config: Config) -> AsyncIterator[FakeNode]:
        async with FakeNode.open(config) as self.node:
            yield self.node

    async def watch(self, _node: RunningNode, url: str) -> None:
        self.url = url
        self.up.set()
        await asyncio.Event().wait()

    async def outcome(self) -> Outcome:
        async with asyncio.timeout(20):
            return await self.task

    async def ready(self) -> httpx.Response:
        """Wait until the interface answers."""
        async with asyncio.timeout(20), httpx.AsyncClient(timeout=20) as http:
            await self.up.wait()
            return await http.get(self.url + "healthz")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    run = Run()
    assert (await run.ready()).status_code == 200
    os.kill(os.getpid(), number)
    assert (await run.outcome()).status == STATUS
    assert run.node.closed
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


async def test_it_ends_by_itself_and_counts_events() -> None:
    run = Run(for_s=1.0)
    await run.ready()
    await run.node.show(make_events(3))
    assert (await run.outcome()).events == {"org.sharpeyes.node.heartbeat.v1": 3}


async def test_an_open_event_stream_does_not_hold_the_exit() -> None:
    run = Run()
    await run.ready()
    async with httpx.AsyncClient(timeout=20) as http, http.stream("GET", run.url + "events") as stream:
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith(":")
        os.kill(os.getpid(), signal.SIGTERM)
        rest = [line async for line in lines]
    assert not [line for line in rest if line.startswith("data:")]
    await run.outcome()


async def test_events_reach_a_reader_over_the_wire() -> None:
    run = Run()
    await run.ready()
    async with httpx.AsyncClient(timeout=20) as http, http.stream("GET", run.url + "events") as stream:
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith(":")
        await run.node.show(make_events(1))
        assert f"id: {1:020}" in [await anext(lines) for _ in range(3)]
    run.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run.task


async def test_a_node_that_dies_ends_the_program_with_its_reason() -> None:
    run = Run()
    await run.ready()
    run.node.death.set_exception(OSError("disk is gone"))
    with pytest.raises(OSError, match="disk is gone"):
        await run.outcome()
    assert run.node.closed


async def test_a_node_that_stops_by_itself_is_a_failure() -> None:
    run = Run()
    await run.ready()
    run.node.death.set_result(None)
    with pytest.raises(CommandError, match="stopped by itself"):
        await run.outcome()


async def test_a_failing_watcher_leaves_the_node_running() -> None:
    async def watch(node: RunningNode, url: str) -> None:
        raise OSError("the terminal is gone")

    outcome = await serve(config(), FakeNode.open, watch, for_s=0.3)
    assert outcome.status == STATUS


async def test_a_signal_while_starting_stops_the_start() -> None:
    cancelled = []

    @asynccontextmanager
    async def slow(config: Config) -> AsyncIterator[FakeNode]:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
            yield FakeNode(config)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def watch(node: RunningNode, url: str) -> None:
        raise AssertionError("never up")

    async with asyncio.timeout(10):
        assert await serve(config(), slow, watch) == Outcome(None)
    assert cancelled


async def test_a_second_signal_forces_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    forced = []
    monkeypatch.setattr(serving, "_end_after", lambda seconds, code: forced.append(code))
    monkeypatch.setattr(serving._Stopper, "APART_S", 0.0)
    leaving = asyncio.Event()

    @asynccontextmanager
    async def sticky(config: Config) -> AsyncIterator[FakeNode]:
        yield FakeNode(config)
        leaving.set()
        await asyncio.Event().wait()

    async def watch(node: RunningNode, url: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    task = asyncio.create_task(serve(config(), sticky, watch))
    async with asyncio.timeout(10):
        await leaving.wait()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(CommandError, match="forced") as error:
            await task
    assert forced == [130]
    assert error.value.code == 130


async def test_one_request_that_is_sent_twice_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving._Stopper, "APART_S", 3600.0)

    async def watch(node: RunningNode, url: str) -> None:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(10):
        assert (await serve(config(), FakeNode.open, watch)).status == STATUS


async def test_a_taken_port_is_named_before_anything_starts() -> None:
    started = []

    @asynccontextmanager
    async def opened(config: Config) -> AsyncIterator[FakeNode]:
        started.append(True)
        yield FakeNode(config)

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=rf"port {port} on 127\.0\.0\.1 is taken.*--port"):
            await serve(config(port), opened, Run.watch)  # type: ignore[arg-type]
    assert not started


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
async def test_an_address_of_another_machine_is_named(host: str) -> None:
    with pytest.raises(CommandError, match="is not an address of this machine"):
        serving.listen(host, 0)


async def test_a_privileged_port_is_explained() -> None:
    text = serving._why_not_listening(PermissionError(13, "Permission denied"), "127.0.0.1", 80)
    assert "above 1023" in text
    assert "No buffer" in serving._why_not_listening(OSError(105, "No buffer"), "127.0.0.1", 80)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("0.0.0.0", "http://127.0.0.1:"),  # noqa: S104
        ("::1", "http://[::1]:"),
        ("::", "http://[::1]:"),
    ],
)
async def test_the_page_has_an_address_that_a_browser_takes(host: str, url: str) -> None:
    try:
        sock = serving.listen(host, 0)
    except CommandError:
        pytest.skip(f"no {host} on this machine")
    with sock:
        assert serving.url_of(sock).startswith(url)
