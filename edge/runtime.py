"""The node: builds every part, runs them, and closes them in reverse."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from threading import Event as Flag
from threading import Thread
from zoneinfo import ZoneInfo

import structlog

from edge.board import EventBoard
from edge.books import Books
from edge.broker import MAX_ENTRIES, EmbeddedBroker
from edge.census import Census, open_census
from edge.config import CameraConfig, Config
from edge.delivery import Delivery
from edge.errors import BrokerError, EdgeError
from edge.events import Event, EventContext
from edge.evidence_service import EvidenceService
from edge.governor import Governor
from edge.health import Health, Pulse
from edge.identifiers import Uuid7
from edge.live import LiveHub
from edge.metrics import Faults, Metrics, NodeSample
from edge.normality_store import NORMALITY, NormalityStore
from edge.opening import address, source_options
from edge.pictures import CameraPictures
from edge.pipeline import Pipeline
from edge.precision import RuleVerdicts
from edge.saver import Saver
from edge.seen import gather
from edge.sight import Sight
from edge.status import CameraStatus, NodeStatus, Profile, Readiness, ZoneStatus
from edge.view_store import ViewStore
from edge.watch import CameraWatch
from models.detector import Detector
from models.tracker import Tracker
from models.zoo import load_detector
from streams.budget import PROTECTED
from streams.clock import Clock, SystemClock
from streams.mailbox import Mailbox
from streams.reader import NICENESS, Reader, ReaderOptions
from streams.service import KEYFRAMES

log = structlog.get_logger(__name__)

HEALTH_PERIOD_S = 0.5
JOIN_S = 2.0
VIEWS = "views"
"""Folder of the data folder for how cameras' views looked when they were calibrated."""
SWITCH_S, CROWDED_SWITCH_S = 0.0005, 0.005
"""How long a thread may keep the interpreter while others want it: usually, and before the first plan, when
all cameras are open. Python's own 5 ms are what threads that decode 25 pictures a second then wait, several
times for each: with 64 cameras on two cores, a tenth of the time readers were 0.9 s behind or more, and with
0.5 ms 0.2 to 0.5 s. But who waits wakes up as often to ask again: 196 threads left no time for anything."""
CATCH_UP_S = 1.0
"""Who wakes decodes a whole GOP and is behind by that: on a busy box by most of a second, for a moment."""


class Node:
    """A running node. Open it with `async with Node.open(config) as node`; leaving closes everything.

    Attributes:
        config: what it was started with.
        board: the newest events.
        evidence: redacted pictures of incidents; there after the start.
        live: live view of the cameras.
        pictures: by camera, what is needed to show something of it.
        redis_url: where events go, credentials included; show `status().redis` instead.
    """

    redis_url: str
    evidence: EvidenceService
    _detector: Detector
    _census: Census
    _pipeline: Pipeline
    _saver: Saver

    def __init__(self, config: Config, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self.config = config
        self.board: EventBoard[Event] = EventBoard(loop)
        self._clock, self._loop = clock, loop
        self._started_utc, self._started_s = clock.utc(), clock.monotonic()
        self._stop = Flag()
        self._failure: asyncio.Future[None] = loop.create_future()
        self._new_id = Uuid7(clock.utc)
        self._metrics = Metrics()
        self._broker = None if config.redis.url else EmbeddedBroker(config.node.data_dir)
        self._mailbox = Mailbox({camera.id: camera.max_age_s for camera in config.cameras}, clock)
        self.pictures: Mapping[str, CameraPictures] = {
            camera.id: CameraPictures.of(config.privacy, config.evidence, camera) for camera in config.cameras
        }
        self.live = LiveHub(
            self.pictures,
            {camera.id: [zone.polygon for zone in camera.zones] for camera in config.cameras},
            config.live,
            self._metrics.count_redaction_failure,
            time.thread_time,
        )
        self._readers = {camera.id: self._reader(camera) for camera in config.cameras}
        self._watches: dict[str, CameraWatch] = {}
        self._views = ViewStore(config.node.data_dir / VIEWS)
        self._normality = NormalityStore(config.node.data_dir / NORMALITY)
        self._speaker = EventContext(config.node.id, config.node.district, self._new_id)
        self._delivery = Delivery(
            config,
            self._speaker,
            clock,
            told=self._told,
            set_profile=self._set_profile,
            judged=self._judge,
        )
        self._books = Books(config, self._speaker, clock)
        self._governor = Governor(config, self._readers, self._mailbox, clock)
        self._health = Health(
            {camera.id: (camera, self._context(camera)) for camera in config.cameras},
            self._speaker,
            config.node.heartbeat_s,
            self._started_s,
            self._new_id,
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config, clock: Clock | None = None) -> AsyncIterator["Node"]:
        """Start a node and keep it running until the block is left.

        Raises:
            EdgeError, ModelError, StreamError: with the thing and the cure; nothing is left running.
        """
        node = cls(config, clock or SystemClock(), asyncio.get_running_loop())
        async with AsyncExitStack() as stack:
            stack.callback(sys.setswitchinterval, sys.getswitchinterval())
            sys.setswitchinterval(CROWDED_SWITCH_S)
            await node._start(stack)
            yield node

    async def failed(self) -> None:
        """Wait until something essential dies; raises what killed it."""
        await asyncio.shield(self._failure)

    # -- building -----------------------------------------------------------------------------------------

    def _context(self, camera: CameraConfig) -> EventContext:
        node = self.config.node
        return EventContext(node.id, node.district, self._new_id, camera.id, camera.place)

    def _reader(self, camera: CameraConfig) -> Reader:
        return Reader(
            camera.id,
            address(camera),
            ReaderOptions(
                source_options(camera, realtime=True, networks=self.config.node.camera_networks),
                camera.analysed_fps,
                gate=camera.gate == "auto",
                hardware=self.config.node.hardware_decode,
                max_lag_s=camera.max_age_s + CATCH_UP_S,
                niceness=0 if camera.priority >= PROTECTED else NICENESS,
            ),
            self._mailbox,
            self._clock,
            random.Random(),  # noqa: S311 - jitter of retries, no secret
            ring=self.pictures[camera.id].ring,
        )

    def _evidence(self) -> EvidenceService:
        cameras = {camera.id: self._context(camera) for camera in self.config.cameras}
        for id_ in cameras:
            self._metrics.count_redaction_failure(id_, 0)
        withheld = self._metrics.count_redaction_failure
        return EvidenceService(self.config, self.pictures, cameras, self._saver.save, withheld, self._clock)

    def _watch(self, camera: CameraConfig) -> CameraWatch:
        tracker = Tracker(self.config.model.threshold)
        watch = CameraWatch(camera, self._detector, self._context(camera), tracker, self._new_id, self._views)
        watch.attend = self._readers[camera.id].set_attention
        watch.remember(self._normality)
        watch.sightings = self.pictures[camera.id].sightings
        watch.timezone = ZoneInfo(self.config.node.timezone)
        return watch

    async def _start(self, stack: AsyncExitStack) -> None:
        """Start part after part; what is started first is closed last."""
        model = self.config.model
        self._delivery.open(stack)
        stack.push_async_callback(asyncio.to_thread, self._stop_broker)
        stack.push_async_callback(asyncio.to_thread, self._stop_readers)
        for reader in self._readers.values():  # opening a stream takes longest, so it comes first
            reader.set_service(KEYFRAMES)  # until the first plan: all cameras begin at once
            reader.start()
        self._detector, self._census, self.redis_url, _ = await asyncio.gather(
            asyncio.to_thread(load_detector, model.detector, model.providers, model.threads),
            asyncio.to_thread(open_census, self.config),
            asyncio.to_thread(self._start_broker),
            asyncio.to_thread(self._delivery.prepare),
        )
        self._saver = Saver(self._delivery.outbox, self.board.post, self._metrics, self._clock, self._stop)
        self._watches.update((camera.id, self._watch(camera)) for camera in self.config.cameras)
        await self._delivery.connect(stack, self.redis_url, self._max_entries())
        self.evidence = self._evidence()
        await asyncio.to_thread(self.evidence.start)
        stack.push_async_callback(asyncio.to_thread, self.evidence.stop)
        stack.push_async_callback(asyncio.to_thread, self._close_books)
        self._start_pipeline(stack)
        self._metrics.watch(self._sample)
        for essential in (self._tend(), self._delivery.ended()):
            task = asyncio.create_task(essential, name="tending")
            task.add_done_callback(self._essential_ended)
            stack.push_async_callback(_cancelled, task)
        stack.callback(self.board.close)

    def _start_broker(self) -> str:
        if self._broker is None:
            assert self.config.redis.url is not None  # noqa: S101 - one of the two is there, see __init__
            return self.config.redis.url.get_secret_value()
        self._broker.start()
        return self._broker.url

    def _max_entries(self) -> int:
        wanted = self.config.redis.max_entries
        return wanted if self._broker is None else min(wanted, MAX_ENTRIES)

    def _told(self, events: Sequence[Event]) -> None:
        self._saver.told(events)

    def _set_profile(self, profile: Profile) -> None:
        factor = self.config.surge.density_factor if profile == "surge" else 1.0
        for watch in self._watches.values():
            watch.set_density_factor(factor)

    def _judge(self, verdicts: Sequence[RuleVerdicts]) -> None:
        for id_, watch in self._watches.items():
            watch.judge(one for one in verdicts if one.camera == id_)

    def _start_pipeline(self, stack: AsyncExitStack) -> None:
        self._pipeline = Pipeline(
            self._mailbox,
            Sight(self._detector),
            self._watches,
            self._saver.save,
            self._metrics,
            census=self._census,
            attention=self._governor,
            clock=self._clock,
            keep=self.evidence.told,
        )
        thread = Thread(target=self._run_pipeline, name="pipeline", daemon=True)
        stack.push_async_callback(asyncio.to_thread, self._stop_pipeline, thread)
        thread.start()

    # -- running ------------------------------------------------------------------------------------------

    def _run_pipeline(self) -> None:
        try:
            self._pipeline.run(self._stop)
        except BaseException as exc:
            log.exception("the pipeline died")
            with suppress(RuntimeError):  # the loop may be gone by then
                self._loop.call_soon_threadsafe(self._fail, exc)

    async def _tend(self) -> None:
        """Twice a second: the cameras' pulses, heartbeat, budget, gaps, the embedded server's life."""
        while True:
            await asyncio.to_thread(self._tend_once)
            await asyncio.sleep(HEALTH_PERIOD_S)

    def _tend_once(self) -> None:
        seen = gather(self._readers, self._mailbox)
        pulses = {
            id_: Pulse(reader.last_frame_mono_s, frames.decoded, frames.delivered, reader.state == "shed")
            for id_, (reader, frames) in seen.items()
        }
        self._saver.save(self._health.step(pulses, self._clock.monotonic(), self._clock.utc()))
        plan = self._governor.step(seen, self._watches)
        if plan is not None:
            sys.setswitchinterval(SWITCH_S)
        self._saver.save(self._books.step(seen, self._governor.services, self._pipeline.failures))
        self._delivery.tend()
        if self._broker is not None and not self._broker.running and not self._stop.is_set():
            try:
                self._broker.restart()
            except BrokerError as exc:
                log.error("embedded server does not start again; events wait in the outbox", error=str(exc))

    def _essential_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._fail(exc)

    def _fail(self, exc: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_exception(EdgeError(f"the node cannot go on: {type(exc).__name__}: {exc}"))
            self._failure.exception()  # whether anybody waits for it or not

    # -- ending -------------------------------------------------------------------------------------------

    def _stop_pipeline(self, thread: Thread) -> None:
        self._stop.set()
        self._mailbox.close()
        thread.join(JOIN_S)
        if thread.is_alive():
            log.error("the pipeline did not end in time")

    def _close_books(self) -> None:
        self._saver.save(self._books.close())
        self._governor.keep()

    def _stop_readers(self) -> None:
        threads = [Thread(target=reader.stop) for reader in self._readers.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _stop_broker(self) -> None:
        if self._broker is not None:
            self._broker.stop()

    # -- telling ------------------------------------------------------------------------------------------

    def status(self) -> NodeStatus:
        """What the node says about itself now; free of secrets."""
        delivered = self._delivery.sample()
        return NodeStatus(
            id=self.config.node.id,
            version=version("sharpeyes"),
            started_utc=self._started_utc,
            uptime_s=self._clock.monotonic() - self._started_s,
            detector=self._detector.name,
            provider=self._detector.session.providers[0],
            redis=self._delivery.display_url,
            redis_up=delivered.publisher.connected,
            outbox_pending=delivered.outbox.pending,
            events_published=delivered.publisher.published,
            cameras=tuple(self._camera_status(camera) for camera in self.config.cameras),
            profile=delivered.feedback.profile,
            density=self._census.name or None,
            fire=self._census.fires.name if self._census.fires is not None else None,
            fallen=self._census.fallen.name if self._census.fallen is not None else None,
        )

    def _camera_status(self, camera: CameraConfig) -> CameraStatus:
        reader, watch = self._readers[camera.id].status(), self._watches[camera.id]
        received, analysed = self._health.rates(camera.id)
        age_s = None if watch.seen_mono_s is None else self._clock.monotonic() - watch.seen_mono_s
        zones = ((id_, count) for id_, count in watch.zones.items())
        return CameraStatus(
            id=camera.id,
            name=camera.place.name,
            source=address(camera).display,
            state=reader.state,
            error=None if reader.state in ("up", "shed") else reader.last_error,
            width=reader.width,
            height=reader.height,
            codec=reader.codec,
            received_fps=received,
            analysed_fps=analysed,
            frame_age_s=age_s,
            frames=asdict(self._mailbox.counts(camera.id)),
            reconnects=reader.reconnects,
            zones=tuple(
                ZoneStatus(
                    id_, z.count, z.density_mean_per_m2, z.density_worst_cell_per_m2, round(z.count_stderr, 2)
                )
                for id_, z in zones
            ),
            incidents=(*watch.open_incidents, *self._health.open_incidents(camera.id)),
            calibrated=watch.site.ground is not None,
            decoder=reader.decoder,
            unavailable=watch.unavailable,
            held_back=watch.held_back,
        )

    def readiness(self) -> Readiness:
        """Whether the node does its work, and all that is missing in plain words.

        It does while at least one camera is seen and events can be kept; a camera or a Redis that is away
        for a while takes nothing from the others.
        """
        cameras = {id_: reader.status().state for id_, reader in self._readers.items()}
        missing = [f"camera {id_} is {state}" for id_, state in cameras.items() if state != "up"]
        publisher = self._delivery.status()
        if not publisher.connected:
            missing.append(f"redis: {publisher.last_error or 'not reached yet'}; events wait in the outbox")
        if self._saver.blocked:
            missing.append("the outbox: its disk refuses events, so analysis waits")
        return Readiness("up" in cameras.values() and not self._saver.blocked, tuple(missing))

    def _sample(self) -> NodeSample:
        faults, readers = {}, {}
        delivered = self._delivery.sample()
        for id_, reader in self._readers.items():
            seen = readers[id_] = reader.status()
            faults[id_] = Faults(seen.decode_errors, seen.timeline_repairs, self._pipeline.failures[id_])
        return NodeSample(
            self.status(),
            delivered.outbox,
            faults,
            self._detector.sha256,
            readers,
            self._governor.plan,
            coverage=self._books.totals(),
            replayed=delivered.publisher.replayed,
            feedback=delivered.feedback,
            verdicts=delivered.verdicts,
            evidence=self.evidence.sample(),
            live=self.live.counts(),
        )

    def metrics(self) -> tuple[bytes, str]:
        """The metrics in Prometheus' text format, and its content type."""
        return self._metrics.text()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
