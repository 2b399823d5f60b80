"""Runs a node and its HTTP interface in one asyncio loop, until a signal, a time limit, or a failure."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

import structlog

from api.door import GRACE_S, open_node_door
from api.errors import USAGE, CommandError
from edge.access_config import open_door
from edge.config import Config
from edge.status import NodeStatus, Readiness

if TYPE_CHECKING:
    from api.evidence import Keeps
    from edge.events import Event
    from edge.live import LiveHub

log = structlog.get_logger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EventBoard(Protocol):
    """What is needed of the node's board."""

    def recent(self, limit: int = 50) -> "list[Event]":
        """The newest events, oldest first."""
        ...

    def subscribe(self, after: str | None = None) -> "AsyncGenerator[Event]":
        """Events from now on."""
        ...

    def close(self) -> None:
        """End every subscription."""
        ...


class RunningNode(Protocol):
    """What is needed of `edge.runtime.Node`."""

    @property
    def board(self) -> EventBoard:
        """The newest events."""
        ...

    def status(self) -> NodeStatus:
        """The node and its cameras now."""
        ...

    def readiness(self) -> Readiness:
        """Whether the node does its work."""
        ...

    def metrics(self) -> tuple[bytes, str]:
        """Body and content type for Prometheus."""
        ...

    @property
    def live(self) -> "LiveHub":
        """Live view of the cameras."""
        ...

    @property
    def evidence(self) -> "Keeps":
        """What is kept of incidents."""
        ...

    async def failed(self) -> None:
        """Ends, or raises, only when something essential died."""
        ...


OpenNode = Callable[[Config], AbstractAsyncContextManager[RunningNode]]
Watch = Callable[[RunningNode, str], Awaitable[None]]
"""Runs beside the node, with its page's URL, and is cancelled at the end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        status: the last snapshot before the node was closed; None if it was stopped before it had started.
        events: how many events of each type.
    """

    status: NodeStatus | None
    events: Counter[str] = field(default_factory=Counter)


async def serve(config: Config, open_node: OpenNode, watch: Watch, for_s: float | None = None) -> Outcome:
    """Run until SIGINT, SIGTERM or SIGHUP, or for `for_s` seconds from the moment the node is up.

    The port is taken before anything else starts. A second Ctrl-C forces the way out.

    Raises:
        CommandError: the port cannot be had or may not be opened, something essential died, or the way out
            was forced.
    """
    if fault := open_door(config.http, config.tls, config.access):
        raise CommandError(f"http.host {config.http.host} {fault}", USAGE)
    with listen(config.http.host, config.http.port) as sock, _Stopper() as stopper:
        try:
            async with AsyncExitStack() as stack:
                with stopper.interrupting():
                    node = await stack.enter_async_context(open_node(config))
                if stopper.stopped.is_set():
                    return Outcome(None)
                return await _Session(node, sock, config, stopper.stopped).run(watch, for_s)
        except asyncio.CancelledError:
            if not stopper.forced:
                raise
            raise CommandError("the way out was forced; what was not sent waits in the outbox", 130) from None


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket.

    Raises:
        CommandError: the address cannot be had; says which and what to do.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise CommandError(
            f"http.host {host!r} is not an address of this machine; 127.0.0.1 always is", USAGE
        ) from None
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise CommandError(_why_not_listening(error, host, port)) from None
    return sock


def _why_not_listening(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is taken; stop what uses it, or choose another with --port or http.port "
            "(0 takes a free one)"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs a privilege; choose one above 1023 (--port, or http.port)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; correct http.host (127.0.0.1 always is one)"
    return f"cannot listen on {host}, port {port}: {error.strerror}"


def url_of(sock: socket.socket, *, tls: bool = False) -> str:
    """Where a browser on this machine finds the page served on `sock`."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 # nosec B104
    return f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}/"


class _Stopper:
    """Signals: the first asks to stop, a second Ctrl-C cancels, and if that takes a second, the process ends.

    Shells and `timeout` send one request twice, to the process and to its group: only a Ctrl-C that comes
    `APART_S` later is a second one.
    """

    APART_S = 0.3

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self.forced = False
        self._starting = False
        self._first_s = 0.0

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in SIGNALS:
            self._loop.add_signal_handler(number, self._on_signal, number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in SIGNALS:
            self._loop.remove_signal_handler(number)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """While starting, the first signal interrupts at once; the cancellation ends here."""
        self._starting = True
        try:
            yield
        except asyncio.CancelledError:
            if not self.stopped.is_set() or self._task is None:
                raise
            self._task.uncancel()
        finally:
            self._starting = False

    def _on_signal(self, number: int) -> None:
        if not self.stopped.is_set():
            self.stopped.set()
            self._first_s = self._loop.time()
            if self._task is not None and self._starting:
                self._task.cancel()
        elif number == signal.SIGINT and self._loop.time() - self._first_s > self.APART_S and not self.forced:
            self.forced = True
            threading.Thread(target=_end_after, args=(1.0, 128 + number), daemon=True).start()
            if self._task is not None:
                self._task.cancel()


def _end_after(seconds: float, code: int) -> None:
    threading.Event().wait(seconds)
    os._exit(code)


class _Session:
    """One run of a node that is up."""

    def __init__(
        self, node: RunningNode, sock: socket.socket, config: Config, stopped: asyncio.Event
    ) -> None:
        self._node, self._sock, self._config, self._stopped = node, sock, config, stopped
        self._events: Counter[str] = Counter()

    async def run(self, watch: Watch, for_s: float | None) -> Outcome:
        url = url_of(self._sock, tls=self._config.tls.on)
        ends = asyncio.create_task(self._stopped.wait())
        dies = asyncio.create_task(self._node.failed())
        tally = asyncio.create_task(self._tally())
        aside = asyncio.create_task(_unharmed(watch(self._node, url)))
        http: asyncio.Task[None] | None = None
        shown: asyncio.Task[None] | None = None
        try:
            # Half a second of imports: beside the first pictures, not before them.
            door = await asyncio.to_thread(open_node_door, self._node, self._config, url)
            server = door.server
            http = asyncio.create_task(server.serve(sockets=[self._sock]))
            shown = asyncio.create_task(door.keep_certificate())
            await asyncio.wait((ends, dies, http), timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
            status = self._node.status()
            self._node.board.close()
            server.should_exit = True
            await asyncio.wait((http, tally), timeout=GRACE_S + 0.5)
            if dies.done():
                _raise_cause(dies)
            if http.done():
                http.result()
            return Outcome(status, self._events)
        finally:
            await _cancel(ends, dies, tally, aside, *(task for task in (http, shown) if task))

    async def _tally(self) -> None:
        async with contextlib.aclosing(self._node.board.subscribe("0")) as events:
            async for event in events:
                self._events[event.type] += 1


def _raise_cause(dies: "asyncio.Task[None]") -> None:
    cause = dies.exception()
    if cause is not None:
        raise cause
    raise CommandError("the node stopped by itself; its log says why")


async def _unharmed(watch: Awaitable[None]) -> None:
    """A watcher that fails (a closed terminal, say) does not take the node with it."""
    try:
        await watch
    except Exception:
        log.exception("watcher failed")


async def _cancel(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
