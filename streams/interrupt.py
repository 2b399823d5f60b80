"""Ending a blocked PyAV call from outside.

FFmpeg asks an interrupt callback about ten times a second while it waits for the network. PyAV owns that
callback, and compares `time.monotonic()` with its time-out there; it offers no other way in, and closing a
container while another thread reads from it is not safe. So the name `time` in PyAV's container module is
bound to the clock below: in a thread that has been told to stop, it runs past every time-out. Should a later
PyAV look elsewhere for the time, nothing breaks but the haste: calls then end at their own time-out, and
`tests/e2e/test_rtsp.py` says so.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from types import ModuleType
from typing import Any

_LEAP_S = 1e6


class _InterruptibleTime:
    """The `time` module with a `monotonic` that leaps ahead at each call in a thread that shall stop.

    PyAV takes the start of a time-out from the same clock. That is the first call of a read, which therefore
    never leaps: PyAV refuses to work with a start in the future, and closing the container later would look
    at it again. Opening takes a second start half-way; so each call leaps beyond the one before.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._local = threading.local()
        self._leaps = count(1)

    def __getattr__(self, name: str) -> Any:  # it stands in for a module
        return getattr(self._module, name)

    def monotonic(self) -> float:
        now = time.monotonic()
        stopping: Callable[[], bool] | None = getattr(self._local, "stopping", None)
        if stopping is None:
            return now
        first, self._local.started = not self._local.started, True
        return now if first or not stopping() else now + _LEAP_S * next(self._leaps)

    @contextmanager
    def until(self, stopping: Callable[[], bool]) -> Iterator[None]:
        self._local.stopping, self._local.started = stopping, False
        try:
            yield
        finally:
            self._local.stopping = None


def _install() -> _InterruptibleTime:
    from av.container import core

    current = vars(core).get("time")
    if isinstance(current, _InterruptibleTime):
        return current
    shim = _InterruptibleTime(time)
    core.time = shim  # type: ignore[attr-defined]
    return shim


_time = _install()


def interruptible(stopping: Callable[[], bool]) -> AbstractContextManager[None]:
    """While it lasts, PyAV calls of this thread end within about 0.1 s once `stopping()` is true.

    The calls then raise `av.FFmpegError` of some kind; which one depends on where FFmpeg was waiting.
    """
    return _time.until(stopping)
