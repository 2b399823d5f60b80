"""The workers' processes: started, watched over, started again, and ended with the centre however it ends."""

import multiprocessing
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Self

import structlog

from api.center.config import CenterConfig
from api.center.errors import CenterError
from api.center.worker import Tally, Worker, WorkerOptions

log = structlog.get_logger(__name__)

REPORT_S = 0.5
"""Seconds between a worker's reports."""
STOP_S = 5.0
"""Seconds that a worker has to end; what it was at is still pending then, and comes again."""
AGAIN_S = 1.0
"""Seconds before a worker that died is started again."""


class Crew:
    """`workers` processes that take events in; use it as a context.

    Each ends when its pipe to this process does, so none outlives a centre that is killed.
    """

    def __init__(self, config: CenterConfig) -> None:
        self._config = config
        self._mates = [_Mate(config, index) for index in range(config.center.workers)]
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._run, name="crew", daemon=True)

    def __enter__(self) -> Self:
        for mate in self._mates:
            mate.start()
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._watch.join()
        for mate in self._mates:
            mate.release()
        for mate in self._mates:
            mate.join()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that live."""
        return tuple(pid for mate in self._mates if (pid := mate.pid) is not None)

    def tallies(self) -> Sequence[Tally]:
        """What each has done since the centre's start, as last reported."""
        return [mate.tally() for mate in self._mates]

    def restarts(self) -> int:
        """How often a worker died and was started again."""
        return sum(mate.restarts for mate in self._mates)

    def _run(self) -> None:
        while not self._stopping.is_set():
            for mate in self._mates:
                mate.listen()
            self._stopping.wait(REPORT_S / 2)


class _Mate:
    """One worker's process, seen from the centre."""

    def __init__(self, config: CenterConfig, index: int) -> None:
        self._config, self._index = config, index
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._latest = Tally(trouble="a worker is starting")
        self._former = Tally()
        self._died_s: float | None = None
        self._lock = threading.Lock()
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=work, args=(self._config, self._index, theirs), name=f"worker-{self._index}", daemon=True
        )
        self._process.start()
        # ours to close: the worker's end must be the last one
        theirs.close()
        self._pipe = ours

    def listen(self) -> None:
        """Take in reports; start it again where it died."""
        if self._pipe is not None:
            try:
                while self._pipe.poll():
                    tally = self._pipe.recv()
                    with self._lock:
                        self._latest = tally
            except (EOFError, OSError):
                self._bury()
        elif self._died_s is not None and time.monotonic() - self._died_s >= AGAIN_S:
            self._died_s = None
            self.restarts += 1
            self.start()

    def tally(self) -> Tally:
        with self._lock:
            return added(self._former, self._latest)

    def release(self) -> None:
        """Ask it to end."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def join(self) -> None:
        process = self._process
        if process is None:
            return
        process.join(STOP_S)
        if process.is_alive():
            log.warning("worker killed: it did not end in time", worker=self._index)
            process.kill()
            process.join()

    def _bury(self) -> None:
        self.release()
        self.join()
        code = self._process.exitcode if self._process is not None else None
        log.error("worker died; it is started again", worker=self._index, exit_code=code)
        with self._lock:
            self._former = added(self._former, self._latest)
            self._former.trouble = None
            self._latest = Tally(trouble="a worker died; it is started again")
        self._died_s = time.monotonic()


def added(one: Tally, other: Tally) -> Tally:
    """Both together; the trouble is `other`'s, or else `one`'s."""
    seconds = dict(one.seconds)
    for stage, spent_s in other.seconds.items():
        seconds[stage] = seconds.get(stage, 0.0) + spent_s
    return Tally(
        Counter(one.events) + Counter(other.events),
        Counter(one.refused) + Counter(other.refused),
        seconds,
        one.batches + other.batches,
        one.redis_failures + other.redis_failures,
        one.database_failures + other.database_failures,
        other.trouble or one.trouble,
    )


def work(config: CenterConfig, index: int, pipe: Connection) -> None:
    """What a worker's process does: work until the other end of `pipe` is closed, or SIGTERM."""
    from api import logs
    from api.center.opening import keyring, open_store, open_stream
    from edge.signing import verify

    logs.configure()
    stopping = threading.Event()
    # Ctrl-C goes to all processes of a terminal: the centre ends its workers itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    redis = config.redis
    options = WorkerOptions(redis.batch, redis.claim_idle_s, redis.max_deliveries)
    try:
        store, stream = open_store(config), open_stream(config, str(index))
    except CenterError as exc:
        log.error("a worker cannot start", worker=index, reason=str(exc))
        sys.exit(1)
    worker = Worker(stream, store, lambda: keyring(store, config), verify, options)
    reporter = threading.Thread(target=_report, args=(worker, pipe, stopping), daemon=True)
    reporter.start()
    try:
        worker.run(stopping)
    finally:
        stopping.set()
        reporter.join()
        stream.close()
        store.close()


def _report(worker: Worker, pipe: Connection, stopping: threading.Event) -> None:
    """Report now and then; the end of the pipe is the centre's end."""
    try:
        while not stopping.is_set():
            pipe.send(worker.tally())
            if pipe.poll(REPORT_S):
                # nobody writes to us: what can be read is the end
                pipe.recv()
        pipe.send(worker.tally())
    except (EOFError, OSError):
        stopping.set()
