"""One camera's thread: open, read, decode, gate, hand over; and when anything fails, try again."""

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Literal, Protocol

import structlog

from streams.activity import GateOptions
from streams.backoff import Backoff
from streams.clock import Clock
from streams.decode import Decoder
from streams.errors import StreamEndedError, StreamError
from streams.frame import Frame
from streams.gated import GateCounts, GatedDecoder, Seen, Shown
from streams.lag import BEHIND_S, Lag
from streams.meter import Meter
from streams.naps import Naps
from streams.packet import Packet, PacketSource
from streams.ring import PacketRing
from streams.service import Service
from streams.source import OpenSource, SourceOptions, open_source
from streams.stats import Tally
from streams.url import SourceUrl

_log = structlog.get_logger(__name__)

ReaderState = Literal["connecting", "up", "retrying", "shed", "stopped"]
STOP_WITHIN_S = 2.0
WAITED_S = 0.01
"""A packet that took so long to come did not lie ready."""
NICENESS = 5
"""Of readers' threads, where threads have one of their own (Linux): each gets a third of what analysis gets
while the box is full. A look that took 2.8 times its CPU time takes 1.9 times as long: pictures age less."""


class FrameSink(Protocol):
    """Where decoded frames go: the mailbox, as a reader sees it."""

    def offer(self, frame: Frame) -> None:
        """Leave a frame for analysis."""
        ...

    def gate(self, camera_id: str) -> None:
        """Count a decoded frame that is not wanted."""
        ...


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """How a camera is read.

    Attributes:
        source: how it is opened.
        analysed_fps: pictures per second of camera time handed over, at most; above 0.
        decode_threads: threads of the decoder, 1 or more.
        gate: whether packets of an idle camera are left undecoded, and its pictures not handed over.
        loop_filter: whether the decoder smooths edges of blocks; detection does without, see `Decoder`.
        hardware: `off`, `auto`, or the kind of device to decode on where that is possible.
        max_lag_s: above this lag packets are left undecoded; no more than the age at which frames expire.
        niceness: of its thread, 0..19, where threads have one of their own.
    """

    source: SourceOptions = field(default_factory=SourceOptions)
    analysed_fps: float = 5.0
    decode_threads: int = 1
    gate: bool = True
    loop_filter: bool = False
    hardware: str = "off"
    max_lag_s: float = BEHIND_S
    niceness: int = NICENESS

    def __post_init__(self) -> None:
        if self.analysed_fps <= 0:
            raise ValueError(f"analysed_fps must be above 0, got {self.analysed_fps}")
        if self.decode_threads < 1:
            raise ValueError(f"decode_threads must be 1 or more, got {self.decode_threads}")
        if not 0 <= self.niceness <= 19:
            raise ValueError(f"niceness must be in 0..19, got {self.niceness}")
        if self.max_lag_s <= 0:
            raise ValueError(f"max_lag_s must be above 0, got {self.max_lag_s}")


@dataclass(frozen=True, slots=True)
class ReaderStatus(GateCounts):
    """A camera's stream at one moment, and what its gate did.

    Attributes:
        state: `up` from the first picture on; `retrying` after a failure, until pictures come again; `shed`
            while the plan gives the camera up: its stream is closed.
        since_mono_s: host monotonic seconds since when it is so.
        last_frame_mono_s: when the last picture came, decoded or held undecoded; None before the first.
        width, height: of the last picture in pixels; None before the first.
        codec: FFmpeg's name, such as `h264`; None before the first opening.
        decoder: `software`, or the kind of device that decodes; None while the stream is not open.
        packets: packets read.
        decoded: pictures that came out of the decoder.
        decode_errors: packets that could not be decoded.
        reconnects: openings after the first that succeeded, but for those after the camera was shed.
        timeline_repairs: time stamps that were missing, repeated, went back or leapt.
        last_error: why it last failed, free of credentials; None before the first failure.
        spent: by stage, CPU milliseconds of the reader's own thread since it started, and calls. `keyframe`:
            keyframes decoded alone and compared. `decode`: pictures decoded in the run and to catch up,
            compared where that was due. `demux`: packets, and all else that the thread does but opening. With
            `decode_threads` above 1, the decoder's other threads come on top.
        lag_s: seconds by which it is behind now.
    """

    state: ReaderState
    since_mono_s: float
    last_frame_mono_s: float | None = None
    width: int | None = None
    height: int | None = None
    codec: str | None = None
    decoder: str | None = None
    packets: int = 0
    decoded: int = 0
    decode_errors: int = 0
    reconnects: int = 0
    timeline_repairs: int = 0
    last_error: str | None = None
    spent: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    lag_s: float = 0.0


_COUNTED = tuple(each.name for each in fields(GateCounts))


class Reader:
    """Reads one camera until it is stopped. Whatever fails, of whatever kind, is this camera's own trouble.

    Args:
        camera_id: names the thread and the frames.
        url: where the camera is.
        options: how to read it.
        mailbox: gets the frames.
        clock: stamps frames, paces files and times retries.
        rng: jitter of the retries.
        ring: gets every packet, decoded or not; None: nobody wants them.
        opener: opens sources.
        cpu_s: CPU seconds of the thread that asks.
    """

    def __init__(  # noqa: PLR0913 - the last two are seams for tests and have defaults
        self,
        camera_id: str,
        url: SourceUrl,
        options: ReaderOptions,
        mailbox: FrameSink,
        clock: Clock,
        rng: random.Random,
        *,
        ring: PacketRing | None = None,
        opener: OpenSource = open_source,
        cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self.camera_id = camera_id
        self._url = url
        self._options = options
        self._mailbox = mailbox
        self._clock = clock
        self._ring = ring
        self._opener = opener
        self._backoff = Backoff(rng)
        self._gated = GatedDecoder(
            options.analysed_fps, GateOptions(enabled=options.gate), realtime=options.source.realtime
        )
        # What is read as fast as it goes has no time of its own to be behind of.
        self._lag = Lag(options.max_lag_s) if options.source.realtime else None
        self._meter = Meter(("demux", "keyframe", "decode"), cpu_s)
        self._naps = Naps(url, options.source, options.max_lag_s)
        self._tally = Tally()
        self._stop = threading.Event()
        self._served = threading.Event()
        self._served.set()
        self._lock = threading.Lock()
        self._source: PacketSource | None = None
        self._decoder: Decoder | None = None
        self._status = ReaderStatus("connecting", clock.monotonic())
        self._opened_before = self._shed_before = False
        self._begun_s: float | None = None
        self._packets = self._decoded = self._errors = 0
        self._last_frame_mono_s: float | None = None
        self._size: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self._run, name=camera_id, daemon=True)

    def start(self) -> None:
        """Start reading.

        Raises:
            RuntimeError: it was started before.
        """
        self._thread.start()

    def stop(self) -> None:
        """Stop reading and wait for the thread, 2 s at most; harmless when repeated or not started."""
        with self._lock:
            self._stop.set()
            self._served.set()
            source = self._source
        if source is not None:
            source.close()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_WITHIN_S)
            if self._thread.is_alive():
                _log.error("reader_stuck", camera=self.camera_id, source=self._url.display)
        self._enter("stopped")

    def set_service(self, level: Service) -> None:
        """Keep to what the planner allots, from the next packet on; from any thread.

        The stream of a camera that is shed is closed until it is served again: reading what is not looked at
        would take from those that are served, and let nobody see more.
        """
        self._gated.gate.service = level
        with self._lock:
            if level.shed and not self._stop.is_set():
                self._served.clear()
            else:
                self._served.set()

    def set_attention(self, attention: bool) -> None:
        """Say that analysis has open incidents or tracks here: what stands still is looked at, too.

        While it is set, every keyframe of an idle camera is handed over, and where those are more than 2.2 s
        apart, the newest picture that often. From any thread.
        """
        self._gated.gate.attention = attention

    def status(self) -> ReaderStatus:
        """What the stream is doing."""
        counts, timeline, size = self._gated.counts(), self._gated.timeline, self._size
        decoder = self._decoder
        with self._lock:
            status = self._status
        return replace(
            status,
            last_frame_mono_s=self._last_frame_mono_s,
            width=size[0] if size else None,
            height=size[1] if size else None,
            decoder=decoder.device if decoder else None,
            packets=self._packets,
            decoded=self._decoded,
            decode_errors=self._errors,
            timeline_repairs=timeline.repairs + timeline.repeats,
            spent=self._meter.spent,
            lag_s=self._lag.lag_s if self._lag is not None else 0.0,
            **{name: getattr(counts, name) for name in _COUNTED},  # `asdict` takes ten times as long
        )

    def _run(self) -> None:
        _yield_to_others(self._options.niceness)
        self._meter.begin()
        while not self._stop.is_set():
            try:
                if self._served.is_set():
                    self._session()
                else:
                    self._stay_shed()
            except StreamError as error:
                self._failed(str(error))
            except Exception as error:  # noqa: BLE001 - one camera's crash is that camera's
                self._failed(f"{type(error).__name__}: {self._url.scrub(str(error))}")
        self._report(force=True)
        self._meter.add("demux", 0)
        self._enter("stopped")

    def _stay_shed(self) -> None:
        """Hold nothing of the stream, and wait until the camera is served again, or the end."""
        self._gated.closed()
        self._decoder = None
        if self._lag is not None:
            self._lag.lost()
        self._enter("shed")
        self._served.wait()
        if not self._stop.is_set():
            self._enter("connecting")
            self._shed_before = True

    def _failed(self, reason: str) -> None:
        if self._stop.is_set():
            return
        self._enter("retrying", last_error=reason)
        self._tally.add(reason)
        self._report()
        self._clock.wait(self._stop, self._backoff.next_s())

    def _session(self) -> None:
        """From opening the source to its end; returns only when told to stop, or when the camera is shed."""
        options = replace(self._options.source, begun_s=self._begun_s)
        self._begun_s = None
        source = self._opener(self._url, options, clock=self._clock, stop=self._stop)
        with closing(source):
            with self._lock:
                self._source = source
            if self._stop.is_set():
                return
            decoder = self._decoder = Decoder(
                source.info,
                self._options.decode_threads,
                loop_filter=self._options.loop_filter,
                hardware=self._options.hardware,
            )
            errors_before = self._errors
            self._opened(source, decoder)
            self._meter.begin()  # opening is no part of what a packet costs
            asked_s = self._clock.monotonic()
            try:
                for packet in source.packets():
                    if self._stop.is_set() or not self._served.is_set():
                        self._begun_s = source.begun_s
                        return
                    self._meter.add("demux", 1)
                    now = self._now()
                    ready = now.mono_s - asked_s < WAITED_S
                    shown = self._taken(packet, now, ready=ready)
                    self._keep(packet, now)
                    self._emit(shown, now)
                    self._count(now, errors_before + decoder.errors)
                    self._rest(now.mono_s - asked_s)
                    asked_s = self._clock.monotonic()
            except StreamEndedError:
                self._meter.add("demux", 0)
                now = self._now()
                self._emit(self._metered(self._gated.finish(now)), now)
                raise

    def _keep(self, packet: Packet, now: Seen) -> None:
        """Put a packet into the ring; after it was taken in, as that may set the camera's clock right."""
        if self._ring is None:
            return
        raw_s, offset_s = packet.pts_s, self._gated.timeline.offset_s
        pts_s = None if raw_s is None or offset_s is None else raw_s + offset_s
        self._ring.put(packet, pts_s, now.mono_s - (self._lag.lag_s if self._lag else 0.0), now.utc)

    def _rest(self, read_s: float) -> None:
        if self._ring is not None and self._ring.followed:
            return  # who watches live would see it stop and leap
        if self._gated.resting and not (self._lag is not None and self._lag.behind):
            nap_s = self._naps.length_s(read_s)
            if nap_s > 0:
                self._clock.wait(self._stop, nap_s)

    def _taken(self, packet: Packet, now: Seen, *, ready: bool) -> list[Shown]:
        """The pictures that a packet gave; none where it came so late that newer ones wait to be read."""
        lag = self._lag
        late = lag is not None and lag.packet(packet.pts_s, now.mono_s, keyframe=packet.keyframe, ready=ready)
        if lag is not None and lag.lag_s > 0:
            now = Seen(now.mono_s - lag.lag_s, now.utc - timedelta(seconds=lag.lag_s))
        if late:
            self._gated.pass_over(packet, now)
            return []
        return self._metered(self._gated.feed(packet, now))

    def _metered(self, pictures: list[Shown]) -> list[Shown]:
        """Book what decoding took; if the decoder was left alone, it goes with the next packet's reading."""
        work = self._gated.work
        if work is not None:
            self._meter.add(work, 1 if work == "keyframe" else len(pictures))
        return pictures

    def _now(self) -> Seen:
        return Seen(self._clock.monotonic(), self._clock.utc())

    def _opened(self, source: PacketSource, decoder: Decoder) -> None:
        again = self._opened_before
        self._gated.opened(decoder, again=again, onwards=source.begun_s is not None)
        if self._ring is not None:
            self._ring.opened(source.info)
        if self._lag is not None:
            self._lag.lost()
        with self._lock:
            reconnects = self._status.reconnects + (again and not self._shed_before)
            self._status = replace(self._status, codec=source.info.codec, reconnects=reconnects)
        self._opened_before = True

    def _emit(self, pictures: list[Shown], now: Seen) -> None:
        if not pictures:
            return
        self._last_frame_mono_s = now.mono_s
        self._decoded += len(pictures)
        if self._status.state != "up":
            self._enter("up")
            self._shed_before = False
            self._backoff.reset()
        for shown in pictures:
            decoded, seen, motion = shown.picture, shown.seen, shown.motion
            if decoded is not None:
                self._size = (decoded.picture.width, decoded.picture.height)
            if decoded is None or not shown.wanted:
                self._mailbox.gate(self.camera_id)
                continue
            self._mailbox.offer(
                Frame(
                    self.camera_id,
                    decoded.picture,
                    shown.pts_s,
                    seen.mono_s,
                    seen.utc,
                    decoded.keyframe,
                    motion.boxes() if motion is not None else None,
                )
            )

    def _count(self, now: Seen, decode_errors: int) -> None:
        """After each packet; plain attributes, as `status` puts them together when somebody asks."""
        for _ in range(decode_errors - self._errors):
            self._tally.add("packet not decodable")
        self._errors = decode_errors
        self._packets += 1
        if self._gated.holding and self._status.state == "up":
            self._last_frame_mono_s = now.mono_s
        self._report()

    def _enter(self, state: ReaderState, *, last_error: str | None = None) -> None:
        with self._lock:
            before = self._status
            if before.state == "stopped" or (before.state == state and last_error is None):
                return
            since_s = before.since_mono_s if before.state == state else self._clock.monotonic()
            self._status = replace(
                before, state=state, since_mono_s=since_s, last_error=last_error or before.last_error
            )
        # Turns of shed cameras come every few seconds and are told by the plan's metrics.
        told = state == "stopped" or (state == "up" and not self._shed_before)
        if before.state != state and told:
            _log.info("stream_" + state, camera=self.camera_id, source=self._url.display)

    def _report(self, *, force: bool = False) -> None:
        now_s = float("inf") if force else self._clock.monotonic()
        for reason, times in self._tally.drain(now_s).items():
            _log.warning("stream_trouble", camera=self.camera_id, reason=reason, times=times)


def _yield_to_others(niceness: int) -> None:
    if sys.platform == "linux":  # elsewhere it would be the whole process
        with suppress(OSError):  # one that runs nicer already may not be made less so
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
