"""A camera that plays a script to whoever connects, and whether a node can bear it."""

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import psutil

from streams.clock import SystemClock
from streams.errors import StreamError
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl

LIMIT_S = 1.0
OPTIONS = SourceOptions(open_timeout_s=LIMIT_S, read_timeout_s=LIMIT_S)
MUCH = 200 * 2**20
"""Bytes that no camera may make a node take."""
Script = Callable[[socket.socket, threading.Event], None]


@contextmanager
def hostile(script: Script) -> Iterator[int]:
    """A camera that plays a script to each who connects."""
    stop = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    open_: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def play(connection: socket.socket) -> None:
        with closing(connection):
            try:
                script(connection, stop)
                while connection.recv(4096):  # until the node leaves
                    pass
            except (OSError, StopIteration):
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            open_.append(connection)
            threads.append(threading.Thread(target=play, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield server.getsockname()[1]
    finally:
        stop.set()
        with closing(server):
            server.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for connection in open_:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def bears(script: Script, scheme: str) -> list[str]:
    """Open such a camera and read from it for a moment; the errors that this ended with.

    Raises:
        AssertionError: it had to be stopped, told a secret, or took much memory.
    """
    errors: list[str] = []
    process = psutil.Process()
    before = process.memory_info().rss
    stop = threading.Event()
    timer = threading.Timer(20.0, stop.set)  # as the node would when it is stopped; by far not needed
    timer.start()
    with hostile(script) as port:
        url = SourceUrl.parse(f"{scheme}://operator:swordfish@127.0.0.1:{port}/live")
        try:
            source = open_source(url, OPTIONS, clock=SystemClock(), stop=stop)
        except StreamError as error:
            errors.append(str(error))
        else:
            with closing(source):
                taken = time.monotonic()
                try:
                    for number, _ in enumerate(source.packets()):
                        if number > 50 or time.monotonic() - taken > 3.0:
                            break
                except StreamError as error:
                    errors.append(str(error))
    timer.cancel()
    assert not stop.is_set(), "it had to be stopped"
    assert not [text for text in errors if "swordfish" in text]
    gc.collect()  # what an error still holds is let go sooner or later
    assert process.memory_info().rss - before < MUCH
    return errors
