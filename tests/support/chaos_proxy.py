"""A TCP proxy of the tests' own, between a client and a server, that can do what networks do."""

import asyncio
import random
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

HOST = "127.0.0.1"
PIECE = 16_384

T = TypeVar("T")


class _Link:
    """A connection from end to end."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near, self.far = near, far
        self.lost = False

    def cut(self) -> None:
        """Drop it at both ends, with a reset."""
        for writer in (self.near, self.far):
            writer.transport.abort()


class Proxy:
    """Passes bytes to and fro, in a thread of its own; use it as a context. Its methods are for any thread.

    Attributes:
        port: where clients connect.
        cuts: connections that were cut in the midst of an answer.
    """

    def __init__(self, upstream: int, rng: random.Random | None = None) -> None:
        self._upstream = upstream
        self._rng = rng or random.Random(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._socket = socket.create_server((HOST, 0))
        self.port = int(self._socket.getsockname()[1])
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = self._passing = True
        self._delay_s = 0.0
        self._bytes_per_s: float | None = None
        self._scissors = 0.0
        self.cuts = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- what happens to the network ----------------------------------------------------------------------

    def lead_to(self, port: int) -> None:
        """New connections lead to another server; those that are open are dropped."""

        def act() -> None:
            self._upstream = port
            self._drop()

        self._now(act)

    def cut(self) -> None:
        """Connections are dropped, new ones refused."""

        def act() -> None:
            self._open = False
            self._drop()

        self._now(act)

    def swallow(self) -> None:
        """Nothing arrives any more, and nobody is told; what is open now will never work again."""

        def act() -> None:
            self._passing = False
            for link in self._links:
                link.lost = True

        self._now(act)

    def slow(self, delay_s: float = 0.0, bytes_per_s: float | None = None) -> None:
        """What is sent arrives later, and in small pieces."""

        def act() -> None:
            self._delay_s, self._bytes_per_s = delay_s, bytes_per_s

        self._now(act)

    def snip(self, chance: float) -> None:
        """With this chance for each piece of an answer, half of it arrives and the connection is dropped."""

        def act() -> None:
            self._scissors = chance

        self._now(act)

    def heal(self) -> None:
        """Be an ordinary network again."""

        def act() -> None:
            self._open = self._passing = True
            self._delay_s, self._bytes_per_s, self._scissors = 0.0, None, 0.0

        self._now(act)

    # -- in the loop --------------------------------------------------------------------------------------

    def _call(self, act: Callable[[], Awaitable[T]]) -> T:
        async def acting() -> T:
            return await act()

        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(30)

    def _now(self, act: Callable[[], None]) -> None:
        async def acting() -> None:
            act()

        self._call(acting)

    async def _begin(self) -> None:
        self._server = await asyncio.start_server(self._welcome, sock=self._socket)

    async def _end(self) -> None:
        self._server.close()
        self._drop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drop(self) -> None:
        for link in self._links:
            link.cut()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.CancelledError):
            await self._connect(reader, writer)
        writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            return
        far_reader, far_writer = await asyncio.open_connection(HOST, self._upstream)
        link = _Link(writer, far_writer)
        link.lost = not self._passing
        self._links.add(link)
        pumps = (
            asyncio.ensure_future(self._pump(link, reader, far_writer, answers=False)),
            asyncio.ensure_future(self._pump(link, far_reader, writer, answers=True)),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            link.cut()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, link: _Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while data := await source.read(PIECE):
            if link.lost:
                continue
            if answers and self._scissors and self._rng.random() < self._scissors:
                sink.write(data[: len(data) // 2])
                await sink.drain()
                self.cuts += 1
                return
            await self._pass(data, sink)
        if link.lost:
            # the end of a connection is lost, too
            await asyncio.Event().wait()

    async def _pass(self, data: bytes, sink: asyncio.StreamWriter) -> None:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        if self._bytes_per_s is None:
            sink.write(data)
            await sink.drain()
            return
        step = max(1, round(self._bytes_per_s / 20))
        for at in range(0, len(data), step):
            sink.write(data[at : at + step])
            await sink.drain()
            await asyncio.sleep(step / self._bytes_per_s)
