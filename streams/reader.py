"""One camera's thread: open, read, decode, gate, hand over; and when anything fails, try again."""

import random
import threading
from collections import OrderedDict
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, Protocol

import structlog

from streams.backoff import Backoff
from streams.clock import Clock
from streams.decode import DecodedPicture, Decoder
from streams.errors import StreamEndedError, StreamError
from streams.frame import Frame
from streams.gate import RateGate
from streams.packet import Packet, PacketSource
from streams.source import OpenSource, SourceOptions, open_source
from streams.stats import Tally
from streams.timeline import Timeline
from streams.url import SourceUrl

_log = structlog.get_logger(__name__)

ReaderState = Literal["connecting", "up", "retrying", "stopped"]
STOP_WITHIN_S = 2.0
# Pictures leave the decoder at most this many packets after their own (H.264 allows 16).
_REORDER_LIMIT = 32


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
    """

    source: SourceOptions = field(default_factory=SourceOptions)
    analysed_fps: float = 5.0
    decode_threads: int = 1

    def __post_init__(self) -> None:
        if self.analysed_fps <= 0:
            raise ValueError(f"analysed_fps must be above 0, got {self.analysed_fps}")
        if self.decode_threads < 1:
            raise ValueError(f"decode_threads must be 1 or more, got {self.decode_threads}")


@dataclass(frozen=True, slots=True)
class ReaderStatus:
    """A camera's stream at one moment.

    Attributes:
        state: `up` from the first picture on; `retrying` after a failure, until pictures come again.
        since_mono_s: host monotonic seconds since when it is so.
        last_frame_mono_s: when the last picture was seen, gated or not; None before the first.
        width, height: of the last picture in pixels; None before the first.
        codec: FFmpeg's name, such as `h264`; None before the first opening.
        packets: packets read.
        decoded: pictures that came out of the decoder.
        decode_errors: packets that could not be decoded.
        reconnects: openings after the first that succeeded.
        timeline_repairs: time stamps that were missing, repeated, went back or leapt.
        last_error: why it last failed, free of credentials; None before the first failure.
    """

    state: ReaderState
    since_mono_s: float
    last_frame_mono_s: float | None = None
    width: int | None = None
    height: int | None = None
    codec: str | None = None
    packets: int = 0
    decoded: int = 0
    decode_errors: int = 0
    reconnects: int = 0
    timeline_repairs: int = 0
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """When a packet was read."""

    mono_s: float
    utc: datetime


class Reader:
    """Reads one camera until it is stopped. Whatever fails, of whatever kind, is this camera's own trouble.

    Args:
        camera_id: names the thread and the frames.
        url: where the camera is.
        options: how to read it.
        mailbox: gets the frames.
        clock: stamps frames, paces files and times retries.
        rng: jitter of the retries.
        opener: opens sources.
    """

    def __init__(  # noqa: PLR0913 - the opener is a seam for tests and has a default
        self,
        camera_id: str,
        url: SourceUrl,
        options: ReaderOptions,
        mailbox: FrameSink,
        clock: Clock,
        rng: random.Random,
        *,
        opener: OpenSource = open_source,
    ) -> None:
        self.camera_id = camera_id
        self._url = url
        self._options = options
        self._mailbox = mailbox
        self._clock = clock
        self._opener = opener
        self._backoff = Backoff(rng)
        self._timeline = Timeline()
        self._gate = RateGate(options.analysed_fps)
        self._tally = Tally()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._source: PacketSource | None = None
        self._status = ReaderStatus("connecting", clock.monotonic())
        self._opened_before = False
        self._thread = threading.Thread(target=self._run, name=camera_id, daemon=True)

    def start(self) -> None:
        """Start reading.

        Raises:
            RuntimeError: it was started before.
        """
        self._thread.start()

    def stop(self) -> None:
        """Stop reading and wait for the thread, 2 s at most; harmless when repeated or not started."""
        self._stop.set()
        with self._lock:
            source = self._source
        if source is not None:
            source.close()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_WITHIN_S)
            if self._thread.is_alive():
                _log.error("reader_stuck", camera=self.camera_id, source=self._url.display)
        self._enter("stopped")

    def status(self) -> ReaderStatus:
        """What the stream is doing."""
        with self._lock:
            return self._status

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._session()
            except StreamError as error:
                self._failed(str(error))
            except Exception as error:  # noqa: BLE001 - one camera's crash is that camera's
                self._failed(f"{type(error).__name__}: {self._url.scrub(str(error))}")
        self._report(force=True)
        self._enter("stopped")

    def _failed(self, reason: str) -> None:
        if self._stop.is_set():
            return
        self._enter("retrying", last_error=reason)
        self._tally.add(reason)
        self._report()
        self._clock.wait(self._stop, self._backoff.next_s())

    def _session(self) -> None:
        """From opening the source to its end; returns only when told to stop."""
        source = self._opener(self._url, self._options.source, clock=self._clock, stop=self._stop)
        with closing(source):
            with self._lock:
                self._source = source
            if self._stop.is_set():
                return
            decoder = Decoder(source.info, self._options.decode_threads)
            errors_before = self._status.decode_errors
            self._opened(source.info.codec)
            seen: OrderedDict[float | None, _Seen] = OrderedDict()
            try:
                for packet in source.packets():
                    if self._stop.is_set():
                        return
                    now = self._remember(packet, seen)
                    self._emit(decoder.decode(packet), seen, now)
                    self._count(errors_before + decoder.errors)
            except StreamEndedError:
                self._emit(decoder.flush(), seen, _Seen(self._clock.monotonic(), self._clock.utc()))
                raise

    def _opened(self, codec: str) -> None:
        with self._lock:
            reconnects = self._status.reconnects + self._opened_before
            self._status = replace(self._status, codec=codec, reconnects=reconnects)
        if self._opened_before:
            self._timeline.reconnected()
        self._opened_before = True

    def _remember(self, packet: Packet, seen: OrderedDict[float | None, _Seen]) -> _Seen:
        now = _Seen(self._clock.monotonic(), self._clock.utc())
        seen[packet.pts_s] = now
        if len(seen) > _REORDER_LIMIT:
            seen.popitem(last=False)
        return now

    def _emit(
        self, pictures: list[DecodedPicture], seen: OrderedDict[float | None, _Seen], now: _Seen
    ) -> None:
        for decoded in pictures:
            picture = decoded.picture
            pts_s = self._timeline.stamp(decoded.pts_s, now.mono_s if self._options.source.realtime else None)
            self._pictured(now.mono_s, picture.width, picture.height)
            if self._gate.admit(pts_s):
                own = seen.get(decoded.pts_s, now)
                self._mailbox.offer(
                    Frame(self.camera_id, picture, pts_s, own.mono_s, own.utc, decoded.keyframe)
                )
            else:
                self._mailbox.gate(self.camera_id)

    def _pictured(self, mono_s: float, width: int, height: int) -> None:
        if self._status.state != "up":
            self._enter("up")
            self._backoff.reset()
        with self._lock:
            self._status = replace(
                self._status,
                last_frame_mono_s=mono_s,
                width=width,
                height=height,
                decoded=self._status.decoded + 1,
                timeline_repairs=self._timeline.repairs + self._timeline.repeats,
            )

    def _count(self, decode_errors: int) -> None:
        for _ in range(decode_errors - self._status.decode_errors):
            self._tally.add("packet not decodable")
        with self._lock:
            self._status = replace(
                self._status, packets=self._status.packets + 1, decode_errors=decode_errors
            )
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
        if before.state != state and state in ("up", "stopped"):
            _log.info("stream_" + state, camera=self.camera_id, source=self._url.display)

    def _report(self, *, force: bool = False) -> None:
        now_s = float("inf") if force else self._clock.monotonic()
        for reason, times in self._tally.drain(now_s).items():
            _log.warning("stream_trouble", camera=self.camera_id, reason=reason, times=times)
