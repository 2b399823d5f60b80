"""Runs a centre, with its workers, rounds and HTTP interface, until a signal, a time limit, or a failure."""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import reduce
from importlib.metadata import version

import structlog

from api.access.gate import Rules
from api.access.opening import open_access, open_sign_on
from api.access.roles import Role
from api.center.app import create_app
from api.center.config import CenterConfig
from api.center.crew import Crew, added
from api.center.desk import Desk
from api.center.entries import Queues, StreamAwayError
from api.center.errors import CenterError
from api.center.exports import load_gbt31000
from api.center.feed import Feed
from api.center.metrics import Metrics, Sample
from api.center.model import Numbers
from api.center.opening import open_store, open_stream, regions_of, triage_of
from api.center.store import Store
from api.center.stream import DistrictStream
from api.center.tender import Tender
from api.center.worker import Tally
from api.door import GRACE_S, Door, Shown, host_names, http_server, invite, page_of
from api.serve import SIGNALS, listen, url_of
from streams.clock import SystemClock

log = structlog.get_logger(__name__)

NUMBERS_S = 30.0
"""Seconds for which the metrics' numbers of the last day hold."""


async def serve_center(config: CenterConfig, for_s: float | None = None) -> Tally:
    """Run until SIGINT, SIGTERM or SIGHUP, or for `for_s` seconds; returns what the workers have done.

    The port is taken before anything else starts. A second signal ends the process at once: what was not
    stored by then was not acknowledged, and comes again.

    Raises:
        CommandError: the port cannot be had.
        ConfigError: a table is wrong.
        CenterError: the database cannot be opened.
    """
    with listen(config.http.host, config.http.port) as sock, contextlib.ExitStack() as stack:
        stopped = _stopped_by_signals()
        store = await asyncio.to_thread(open_store, config)
        stack.callback(store.close)
        stream = open_stream(config, "desk")
        stack.callback(stream.close)
        tender = Tender(stream, store, config.center.escalate_every_s)
        stack.enter_context(_tending(tender))
        crew = stack.enter_context(Crew(config))
        feed = Feed(store.changes, store.last_change)
        desk = _desk(config, store, stream, feed, _Sampler(store, stream, crew), tender)
        url = url_of(sock, tls=config.tls.on)
        door = await asyncio.to_thread(_door, config, desk, url)
        server = door.server
        http = asyncio.create_task(server.serve(sockets=[sock]))
        shown = asyncio.create_task(door.keep_certificate())
        log.info("the centre is up", url=url, redis=stream.display_url, workers=config.center.workers)
        waiting = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait((waiting, http), timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
            await feed.close()
            server.should_exit = True
            await asyncio.wait((http,), timeout=GRACE_S + 0.5)
            if http.done():
                http.result()
        finally:
            for task in (waiting, http, shown):
                task.cancel()
            await asyncio.gather(waiting, http, shown, return_exceptions=True)
            # workers first, while the store is open; in a thread, since they may take seconds
            await asyncio.to_thread(stack.close)
        return reduce(added, crew.tallies(), Tally())


def _door(config: CenterConfig, desk: Desk, url: str) -> Door:
    """What serves the centre, as `api.door.open_node_door` does a node."""
    clock = SystemClock()
    data_dir = config.center.data_dir
    shown = Shown.open(config.tls, config.http, data_dir, clock) if config.tls.on else None
    rules = Rules(
        config.access.users,
        config.tls.on,
        unit=config.access.unit,
        open_role=Role.ADMIN,
        shared_token=desk.token,
    )
    access = open_access(config.access, data_dir, rules, clock)
    invite(access, page_of(config.http, config.tls, url))
    app = create_app(desk, host_names(config.http), access, open_sign_on(config.access, clock))
    return Door(http_server(app, shown.context if shown else None), shown)


def _stopped_by_signals() -> asyncio.Event:
    """Set by the first signal; the next one acts as it does by default."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopped.set()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    return stopped


@contextlib.contextmanager
def _tending(tender: Tender) -> Iterator[None]:
    stopping = threading.Event()
    thread = threading.Thread(target=tender.run, args=(stopping,), name="tender")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _desk(
    config: CenterConfig,
    store: Store,
    stream: DistrictStream,
    feed: Feed,
    sampler: "_Sampler",
    tender: Tender,
) -> Desk:
    def missing() -> tuple[str, ...]:
        return tuple(dict.fromkeys((*sampler.missing(), *([tender.trouble] if tender.trouble else ()))))

    return Desk(
        store=store,
        stream=stream,
        feed=feed,
        triage=triage_of(config),
        regions=regions_of(config),
        gbt31000=load_gbt31000(config.tables.gbt31000),
        missing=missing,
        metrics=Metrics(sampler.sample).text,
        token=config.http.token.get_secret_value() if config.http.token else None,
        version=version("sharpeyes"),
    )


class _Sampler:
    """The centre at the moment of a scrape; the costly numbers are kept for a while."""

    def __init__(self, store: Store, stream: DistrictStream, crew: Crew) -> None:
        self._store, self._stream, self._crew = store, stream, crew
        self._lock = threading.Lock()
        self._numbers: Numbers | None = None
        self._counted_s = -float("inf")

    def sample(self) -> Sample:
        tally = reduce(added, self._crew.tallies(), Tally())
        return Sample(tally, len(self._crew.pids), self._crew.restarts(), self._queues(), self._lately())

    def missing(self) -> tuple[str, ...]:
        """What keeps the workers from their work."""
        found = [tally.trouble for tally in self._crew.tallies() if tally.trouble]
        if len(self._crew.pids) < len(self._crew.tallies()):
            found.append("a worker's process is not running")
        return tuple(found)

    def _queues(self) -> Queues | None:
        try:
            return self._stream.queues()
        except StreamAwayError:
            return None

    def _lately(self) -> Numbers | None:
        with self._lock:
            if time.monotonic() - self._counted_s > NUMBERS_S:
                now = datetime.now(UTC)
                try:
                    self._numbers = self._store.numbers(now - timedelta(days=1), now)
                except CenterError:
                    self._numbers = None
                    return None
                self._counted_s = time.monotonic()
            return self._numbers
