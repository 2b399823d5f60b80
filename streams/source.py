"""The one door to PyAV's containers: an address in, packets out, errors translated."""

from __future__ import annotations

import errno
import math
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol, cast
from urllib.parse import urlsplit

import av
import av.error
import structlog
from av.container import InputContainer

from streams.clock import Clock, SystemClock
from streams.errors import OpenError, ReadError, StreamEndedError
from streams.interrupt import interruptible
from streams.packet import Packet, PacketSource, StreamInfo
from streams.reach import Network, barred
from streams.url import SourceUrl

_log = structlog.get_logger(__name__)

# What a network peer may make FFmpeg open: never a local file, a pipe, or a protocol nested in another.
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,tcp,udp",
    "rtsps": "rtsps,rtsp,rtp,srtp,tls,tcp,udp",
    "http": "http,https,tls,tcp",
    "https": "https,tls,tcp",
    "file": "file",
}
# Playlists (hls, dash, concat, sdp) are left out: they make FFmpeg fetch what they name.
_FORMATS = (
    "rtsp,mpjpeg,mjpeg,jpeg_pipe,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo"
    ",h264,hevc,m4v,obu,ivf,ogg,asf,wtv,nut,yuv4mpegpipe"
)
# A recording that plays as a camera waits for no reader that fell behind, any more than a camera would; only
# when it is as late as this has the host itself stood still, and the recording with it.
_PACING_LIMIT_S = 10.0
_LEAP_S = 2.0
# Formats without times of their own: FFmpeg pretends that every camera sends 25 pictures a second.
_TIMELESS = frozenset({"mpjpeg", "mjpeg", "jpeg_pipe"})
_MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How a source is opened and read.

    Attributes:
        transport: how RTSP carries the video; `udp` falls behind on loss, `tcp` on congestion.
        open_timeout_s: seconds from the first connection to the stream's description.
        read_timeout_s: seconds without a packet after which the stream counts as broken.
        realtime: a file or simulation plays at its own pace, like a camera; else as fast as it is read.
        verify_tls: whether the server of rtsps:// or https:// must have a valid certificate.
        ca_file: certificates to trust instead of the system's, PEM: say, a camera's self-signed one.
        begun_s: host monotonic seconds at which a recording that plays in real time had begun: it goes on
            from where it would be by now. None, or one that is over: from its beginning.
        networks: where cameras may be; empty: everywhere but where none can be, see `streams.reach`.
    """

    transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: float = 5.0
    read_timeout_s: float = 5.0
    realtime: bool = True
    verify_tls: bool = True
    ca_file: Path | None = None
    begun_s: float | None = None
    networks: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        for name, value in (
            ("open_timeout_s", self.open_timeout_s),
            ("read_timeout_s", self.read_timeout_s),
        ):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {value}")
        if self.transport not in ("tcp", "udp"):
            raise ValueError(f"transport must be tcp or udp, got {self.transport!r}")


class OpenSource(Protocol):
    """What opens a source: `open_source`, or a test's stand-in."""

    def __call__(
        self, url: SourceUrl, options: SourceOptions, *, clock: Clock, stop: threading.Event
    ) -> PacketSource:
        """Open `url`."""
        ...


def open_source(
    url: SourceUrl,
    options: SourceOptions,
    *,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
) -> PacketSource:
    """Open a stream; blocks until its description is there.

    Args:
        url: where it is.
        options: how to open and read it.
        clock: paces files and simulations; the system's unless given.
        stop: once set, opening and reading end within about 0.1 s.

    Raises:
        OpenError: not reachable, refused, not in time, or not a video stream.
        SourceUrlError: the simulated scene does not exist.
    """
    clock = clock or SystemClock()
    if url.scheme == "sim":
        from streams.sim.source import open_sim

        return open_sim(url.full, options.realtime, clock)
    return ContainerSource(url, options, clock, stop or threading.Event())


class ContainerSource:
    """A camera or file that FFmpeg reads.

    Attributes:
        damaged: packets that were empty or that FFmpeg marked as corrupt.

    Raises:
        OpenError: not reachable, refused, not in time, or not a video stream.
    """

    def __init__(self, url: SourceUrl, options: SourceOptions, clock: Clock, stop: threading.Event) -> None:
        self.damaged = 0
        self._url = url
        self._options = options
        self._clock = clock
        self._stop = stop
        self._closing = threading.Event()
        self._reading = threading.Lock()
        self._container = self._open()
        video = self._container.streams.video
        if not video:
            self._container.close()
            raise OpenError(f"{url}: has no video; name the address of a video stream")
        self._stream = video[0]
        self._container_format = self._container.format.name
        context = cast("av.VideoCodecContext | None", self._stream.codec_context)
        if context is None:
            self._container.close()
            raise OpenError(f"{url}: its codec has no decoder; set the camera to H.264 or H.265")
        duration_s = None if url.live or not self._container.duration else self._container.duration / 1e6
        self.info = StreamInfo(context.name, context.width, context.height, self._stream, duration_s)
        self._pace = None
        if options.realtime and not url.live:
            self._pace = _Pace(clock, stop, self._resumed(options.begun_s, duration_s))

    @property
    def begun_s(self) -> float | None:
        """Host monotonic seconds of time zero of a recording that plays in real time; else None."""
        return self._pace.start_s if self._pace is not None else None

    def _resumed(self, begun_s: float | None, duration_s: float | None) -> float | None:
        """Go to the first keyframe that is not due yet; None where the recording begins anew."""
        time_base = self._stream.time_base
        if begun_s is None or duration_s is None or time_base is None:
            return None
        due_s = self._clock.monotonic() - begun_s
        if not 0 < due_s < float((self._stream.start_time or 0) * time_base) + duration_s:
            return None
        try:
            self._container.seek(math.ceil(due_s / time_base), backward=False, stream=self._stream)
        except av.FFmpegError:  # no keyframe is left, or the format has no index
            return None
        return begun_s

    def _stopping(self) -> bool:
        return self._stop.is_set() or self._closing.is_set()

    def _open(self) -> InputContainer:
        url, options = self._url, self._options
        # `file:` keeps FFmpeg from reading a path such as `concat:a|b` as a protocol.
        address = f"file:{url.full}" if url.scheme == "file" else url.full
        started_s = time.monotonic()
        if url.live:
            self._check_reach()
        try:
            with interruptible(self._stopping):
                return av.open(
                    address,
                    timeout=(options.open_timeout_s, options.read_timeout_s),
                    container_options=_container_options(url, options),
                )
        except av.FFmpegError as error:  # its text holds the URL with the password
            took_s = time.monotonic() - started_s
            reason = _reason(error, url, took_s, options.open_timeout_s)
        except (OSError, ValueError, UnicodeError) as error:
            reason = type(error).__name__
        raise OpenError(f"{url}: {'stopped while opening' if self._stopping() else reason}")

    def _check_reach(self) -> None:
        """Whether that address may be asked at all."""
        try:
            address = barred(urlsplit(self._url.full).hostname or "", self._options.networks)
        except OSError:
            return  # FFmpeg will not find it either, and says so
        if address is not None:
            raise OpenError(
                f"{self._url}: {address} is not where a camera may be; "
                "correct the source, or node.camera_networks"
            )

    def packets(self) -> Iterator[Packet]:
        """Packets in decoding order; ends without an error after `close` or a stop.

        Raises:
            ReadError: the stream broke or went silent.
            StreamEndedError: it ended of its own accord.
        """
        demux = self._container.demux(self._stream) if not self._closing.is_set() else iter(())
        timeless = self._url.live and self._container_format in _TIMELESS
        while not self._stopping():
            payload = self._read(demux)
            if payload is None:
                break
            if payload.is_corrupt or payload.size == 0:
                self.damaged += 1
            if payload.size == 0:
                continue
            if timeless:
                payload.time_base = _MICROSECOND
                payload.pts = payload.dts = round(self._clock.monotonic() * 1e6)
            packet = _packet(payload)
            if self._pace is not None:
                self._pace.wait(_decoding_time(payload, packet))
            yield packet

    def _read(self, demux: Iterator[av.Packet[av.VideoStream]]) -> av.Packet[av.VideoStream] | None:
        """The next packet; None when told to stop. The lock keeps `close` out while FFmpeg is at work."""
        started_s = time.monotonic()
        try:
            with self._reading, interruptible(self._stopping):
                payload = None if self._stopping() else next(demux, None)
        except av.FFmpegError as error:
            if self._stopping():
                return None
            limit_s = self._options.read_timeout_s
            reason = _reason(error, self._url, time.monotonic() - started_s, limit_s)
            raise ReadError(f"{self._url}: {reason}") from None
        if self._stopping():
            return None
        # PyAV ends with an empty packet without times, to flush decoders.
        if payload is None or (payload.size == 0 and payload.dts is None and payload.pos in (None, -1)):
            raise StreamEndedError(f"{self._url}: the stream ended")
        return payload

    def close(self) -> None:
        """Free the stream; safe to call twice and from another thread, which waits for a read to end."""
        self._closing.set()
        with self._reading:
            self._container.close()


def _container_options(url: SourceUrl, options: SourceOptions) -> dict[str, str]:
    chosen = {"protocol_whitelist": _PROTOCOLS[url.scheme], "format_whitelist": _FORMATS}
    if url.scheme in ("rtsp", "rtsps"):
        chosen |= {
            "rtsp_transport": options.transport,
            "allowed_media_types": "video",
            # Wait at most this long (microseconds) for a UDP packet that came out of order.
            "max_delay": "200000",
            # A 1080p keyframe is a burst of some 200 packets; the kernel's default loses its end.
            "buffer_size": str(4 * 2**20),
        }
    if url.live:
        # The description says what is needed to decode; so little probing is enough.
        # `fflags nobuffer` would be a mistake: it throws away what was probed, the first keyframe with it.
        chosen["probesize"] = "32" if url.scheme.startswith("rtsp") else str(2**18)
    if url.scheme in ("http", "https"):
        chosen["max_redirects"] = "0"  # to wherever the camera says: its address is what was configured
    if url.scheme in ("rtsps", "https"):
        chosen["tls_verify"] = str(int(options.verify_tls))
        ca_file = options.ca_file or ssl.get_default_verify_paths().cafile
        if ca_file is not None:
            chosen["ca_file"] = str(ca_file)
    return chosen


def _packet(payload: av.Packet[av.VideoStream]) -> Packet:
    pts_s = float(payload.pts * payload.time_base) if payload.pts is not None else None
    return Packet(pts_s, payload.size, payload.is_keyframe, payload)


def _decoding_time(payload: av.Packet[av.VideoStream], packet: Packet) -> float | None:
    return float(payload.dts * payload.time_base) if payload.dts is not None else packet.pts_s


def _reason(error: av.FFmpegError, url: SourceUrl, took_s: float, limit_s: float) -> str:
    """What went wrong and what helps, without FFmpeg's copy of the URL."""
    kinds: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
        (av.error.HTTPUnauthorizedError, "user name or password refused; correct them in the source"),
        (av.error.HTTPForbiddenError, "access forbidden; give this user the right to see the stream"),
        (av.error.HTTPNotFoundError, "no such stream; correct the path"),
        (ConnectionRefusedError, "connection refused; is the camera on, and the port right?"),
        (ConnectionResetError, "the connection was reset"),
        (FileNotFoundError, "no such file"),
        (PermissionError, "permission denied"),
        (IsADirectoryError, "is a directory, not a file"),
        (av.error.ProtocolNotFoundError, "asked for a protocol that is not allowed here"),
        ((av.error.InvalidDataError, av.error.ArgumentError), "not a video stream that can be read"),
    )
    # A time-out comes as ExitError, or dressed up as whatever the demuxer was in the middle of.
    if isinstance(error, av.error.ExitError) or took_s >= limit_s:
        return f"silent for {limit_s:g} s"
    for kind, text in kinds:
        if isinstance(error, kind):
            return text
    secured = url.scheme in ("rtsps", "https")
    if error.errno == errno.EIO and secured:  # so FFmpeg calls an unknown host and an untrusted certificate
        return "no trusted connection; is the host right? a certificate of the camera's own goes into ca_file"
    if error.errno == errno.EIO and url.scheme == "http":
        return "cannot be reached, or points elsewhere, which is not followed; is the address right?"
    if error.errno == errno.EIO:
        return "cannot be reached; is the host right?"
    return str(error.strerror)


class _Pace:
    """Lets a recording go by as fast as it was recorded.

    Attributes:
        start_s: host monotonic seconds of the recording's time zero; None before its first packet.
    """

    def __init__(self, clock: Clock, stop: threading.Event, start_s: float | None) -> None:
        self.start_s = start_s
        self._clock = clock
        self._stop = stop
        self._last_s: float | None = None

    def wait(self, time_s: float | None) -> None:
        """Wait until `time_s` of the recording is due; where its times leap, it goes on without a gap."""
        if time_s is None:
            return
        now_s = self._clock.monotonic()
        if self.start_s is None:
            self.start_s = now_s - time_s
        elif self._last_s is not None and abs(time_s - self._last_s) > _LEAP_S:
            self.start_s += self._last_s - time_s
        self._last_s = time_s
        delay_s = self.start_s + time_s - now_s
        if delay_s > 0:
            self._clock.wait(self._stop, delay_s)
        elif -delay_s > _PACING_LIMIT_S:
            self.start_s = now_s - time_s
