"""Streams as bad cameras and networks send them, through the reader and the mailbox: bounded, counted, alive.

Time is injected: a packet comes when the script says so, analysis takes what waits whenever a packet was
worked off, and after every packet the books are compared.
"""

import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streams.clock import Clock
from streams.errors import OpenError, StreamEndedError
from streams.frame import Frame
from streams.gop import MAX_BYTES, MAX_PACKETS
from streams.mailbox import FrameCounts, Mailbox
from streams.packet import Packet, PacketSource, StreamInfo
from streams.reader import Reader, ReaderOptions, ReaderStatus
from streams.service import KEYFRAMES, Service
from streams.source import SourceOptions
from streams.url import SourceUrl
from tests.support.motion_clip import B_FRAMES, OPEN_GOP, VBR, MotionClip, write_motion
from tests.support.rtsp import PATIENCE_S

URL = SourceUrl.parse("rtsp://camera.example/live")
CAMERA = "gate-2"
MAX_AGE_S = 0.5
START_S = 500.0
SPANS = ((6.0, 9.0), (15.0, 18.0))
SECONDS = 24.0
TIME_BASE = Fraction(1, 90_000)
MOTION = MotionClip | None


class HandClock:
    """Host time that goes on only when told."""

    def __init__(self) -> None:
        self.now_s = START_S

    def monotonic(self) -> float:
        return self.now_s

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.now_s, UTC)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.is_set()


@dataclass
class Line:
    """A reader, its mailbox and an analysis that takes what waits after each packet.

    Args:
        script: when each packet comes, in seconds from the start, and the packet.
        busy_s: host seconds that each decoded picture takes.
    """

    info: StreamInfo
    script: Iterable[tuple[float, Packet]]
    service: Service | None = None
    busy_s: float = 0.0
    clock: HandClock = field(default_factory=HandClock)
    frames: list[tuple[float, Frame]] = field(default_factory=list)
    lags_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    most_held: int = 0
    most_bytes: int = 0
    opened: bool = False
    begun_s: float | None = None

    def __post_init__(self) -> None:
        self.mailbox = Mailbox({CAMERA: MAX_AGE_S}, self.clock)
        options = ReaderOptions(SourceOptions(realtime=True), max_lag_s=MAX_AGE_S)
        self.reader = Reader(CAMERA, URL, options, self, self.clock, random.Random(1), opener=self.open)
        self.finished = threading.Event()

    # What the reader hands frames to.
    def offer(self, frame: Frame) -> None:
        self.clock.now_s += self.busy_s
        self.mailbox.offer(frame)

    def gate(self, camera_id: str) -> None:
        self.clock.now_s += self.busy_s
        self.mailbox.gate(camera_id)

    # What the reader opens.
    def open(
        self, url: SourceUrl, options: SourceOptions, *, clock: Clock, stop: threading.Event
    ) -> PacketSource:
        if self.opened:
            self.finished.set()
            stop.wait(PATIENCE_S)
            raise OpenError("gone")
        self.opened = True
        return self

    def packets(self) -> Iterator[Packet]:
        for comes_s, packet in self.script:
            self.clock.now_s = max(self.clock.now_s, START_S + comes_s) + 0.0005
            yield packet
            self.compare()
        raise StreamEndedError("ended")

    def close(self) -> None:
        """Nothing is held."""

    def compare(self) -> None:
        status, before = self.reader.status(), self.mailbox.counts(CAMERA)
        if status.decoded != before.decoded:
            self.wrong.append(f"decoded {status.decoded}, but {before}")
        if before.waiting > 1 or status.held > MAX_PACKETS or status.held_bytes > MAX_BYTES:
            self.wrong.append(f"not bounded: {before}, {status}")
        self.most_held = max(self.most_held, status.held)
        self.most_bytes = max(self.most_bytes, status.held_bytes)
        self.lags_s.append(status.lag_s)
        frame = self.mailbox.take(0.0)
        if frame is not None:
            self.frames.append((self.clock.now_s, frame))

    def run(self) -> "Line":
        if self.service is not None:
            self.reader.set_service(self.service)
        self.reader.start()
        assert self.finished.wait(3 * PATIENCE_S), self.reader.status()
        self.reader.stop()
        self.compare()
        assert self.wrong == []
        status, counts = self.status, self.counts
        assert status.last_error == "ended"
        assert status.decoded == counts.gated + counts.superseded + counts.expired + counts.delivered
        assert all(b.pts_s > a.pts_s for (_, a), (_, b) in itertools.pairwise(self.frames))
        assert all(now_s >= frame.seen_mono_s for now_s, frame in self.frames)
        return self

    @property
    def status(self) -> ReaderStatus:
        return self.reader.status()

    @property
    def counts(self) -> FrameCounts:
        return self.mailbox.counts(CAMERA)

    def longest_gap_s(self, begin_s: float, end_s: float) -> float:
        """The longest that analysis got nothing between two moments from the start."""
        times = [now_s - START_S for now_s, _ in self.frames if begin_s <= now_s - START_S <= end_s]
        return max(b - a for a, b in itertools.pairwise([begin_s, *times, end_s]))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., MotionClip]:
    made: dict[tuple[str, int], MotionClip] = {}

    def make(name: str = "vbr", gop: int = 50) -> MotionClip:
        if (name, gop) not in made:
            path = tmp_path_factory.mktemp(name) / "clip.mp4"
            coding = {"vbr": VBR, "b-frames": B_FRAMES, "open-gop": OPEN_GOP}[name]
            made[name, gop] = write_motion(path, SPANS, SECONDS, coding, gop=gop)
        return made[name, gop]

    return make


def live(packets: list[Packet], fps: float = 25.0) -> list[tuple[float, Packet]]:
    """Each packet as soon as the camera has it."""
    return [(index / fps, packet) for index, packet in enumerate(packets)]


def stamped(packet: Packet, pts_s: float | None) -> Packet:
    """The same picture with another time, for the decoder too."""
    payload = av.Packet(bytes(packet.payload))
    payload.time_base, payload.is_keyframe = TIME_BASE, packet.keyframe
    payload.pts = payload.dts = None if pts_s is None else round(pts_s * 90_000)
    return replace(
        packet, pts_s=None if payload.pts is None else float(payload.pts * TIME_BASE), payload=payload
    )


def restamped(
    played: MotionClip, stamp: Callable[[int], float | None], fps: float = 25.0
) -> list[tuple[float, Packet]]:
    return live([stamped(packet, stamp(k)) for k, packet in enumerate(played.packets)], fps)


@pytest.mark.parametrize(("name", "gop"), [("vbr", 250), ("b-frames", 50), ("open-gop", 250)])
def test_rare_keyframes_and_reordered_pictures(clip: Callable[..., MotionClip], name: str, gop: int) -> None:
    played = clip(name, gop)
    line = Line(played.info, live(played.packets)).run()
    assert line.status.decode_errors == line.status.timeline_repairs == line.status.late == 0
    assert max(line.lags_s) < 0.25
    for begin_s, end_s in SPANS:
        assert line.longest_gap_s(begin_s, end_s) <= 0.5
    assert line.counts.expired == line.counts.superseded == 0


def test_a_gop_that_does_not_fit_is_counted_and_forgotten(
    clip: Callable[..., MotionClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keyframes alone are wanted, and what is held between them grows beyond the bound."""
    monkeypatch.setattr("streams.gop.GopBuffer.fits", lambda buffer, packet: len(buffer) < 100)
    played = clip("vbr", 250)
    line = Line(played.info, live(played.packets), service=KEYFRAMES).run()
    assert line.most_held == 100
    assert line.status.overflows == 2
    assert line.status.undecoded + line.status.held == len(played.packets) - 3
    assert [frame.keyframe for _, frame in line.frames] == [True] * len(line.frames)


def test_variable_frame_rate(clip: Callable[..., MotionClip]) -> None:
    """From 50 pictures a second to one, as they come: idle, a picture is shown every 12 + 20 s at least."""
    rng, played = random.Random(5), clip()
    steps = [rng.choice((0.02, 0.04, 0.1, 0.4, 1.0)) for _ in played.packets]
    times = list(itertools.accumulate(steps))
    script = [(t, stamped(p, t)) for t, p in zip(times, played.packets, strict=True)]
    line = Line(played.info, script).run()
    assert line.status.decode_errors == line.status.timeline_repairs == line.status.late == 0
    assert max(line.lags_s) < 0.01
    assert line.longest_gap_s(0.0, times[-1]) <= 33.0
    shown = [frame.pts_s for _, frame in line.frames]
    assert set(np.round(shown, 3)) <= set(np.round(times, 3))


WRONG: dict[str, Callable[[int], float | None]] = {
    "absent": lambda _: None,
    "absent now and then": lambda k: None if k % 7 == 3 else k / 25,
    "always the same": lambda _: 3.0,
    "each twice": lambda k: k // 2 * 2 / 25,
    "beginning anew": lambda k: k % 90 / 25,
    "falling": lambda k: 1000.0 - k / 25,
    "leaping": lambda k: k / 25 + 40_000.0 * (k // 60 % 2),
    "half as fast": lambda k: k / 50,
    "shuffled": lambda k: (k + (k * 7919) % 40) / 25,
    "far beyond": lambda k: 9e12 / 90_000 + k / 25,
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_time_stamps_blind_nobody(clip: Callable[..., MotionClip], name: str) -> None:
    """Motion is shown as it comes, but for a moment, and times rise; what was repaired is counted."""
    line = Line(clip().info, restamped(clip(), WRONG[name])).run()
    assert line.status.decode_errors == 0
    assert line.status.packets == len(clip().packets)
    assert line.status.late <= (130 if name == "half as fast" else 30)
    for begin_s, end_s in SPANS:
        assert line.longest_gap_s(begin_s, end_s) <= 2.0
    if name not in ("half as fast", "far beyond"):
        assert line.status.timeline_repairs > 0


def test_pictures_of_8k(tmp_path: Path) -> None:
    """One of them is 50 MB: besides the waiting one only the decoder's own are there, and few packets fit."""
    played = _huge(tmp_path / "huge.mp4")
    line = Line(played.info, live(played.packets), service=KEYFRAMES).run()
    assert (line.status.width, line.status.height) == (7680, 4320)
    assert sum(packet.size for packet in played.packets) > MAX_BYTES
    assert 0 < line.most_bytes <= MAX_BYTES
    assert line.status.overflows >= 1
    assert line.counts.delivered >= 1


def _huge(path: Path) -> MotionClip:
    rng = np.random.Generator(np.random.PCG64(1))
    noise = rng.integers(0, 256, (4320, 7680), np.uint8)
    chroma = np.full((2160, 7680), 128, np.uint8)
    packets = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "40"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 7680, 4320, "yuv420p", 3
        for index in range(4):
            yuv = np.vstack((np.roll(noise, 64 * index, 1), chroma))
            frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        extradata = stream.codec_context.extradata
    template = av.CodecContext.create("h264", "r")
    template.extradata = extradata
    made = [
        Packet(float((one.pts or 0) * one.time_base), one.size, one.is_keyframe, one)
        for one in packets
        if one.time_base is not None
    ]
    return MotionClip(StreamInfo("h264", 7680, 4320, template), made, ())


def stalled(packets: list[Packet], begin_s: float, end_s: float) -> list[tuple[float, Packet]]:
    """The network stands still between two moments, and delivers everything at once then."""
    return [(end_s if begin_s <= t < end_s else t, packet) for t, packet in live(packets)]


def test_a_burst_after_a_stall_is_not_worked_off_one_by_one(clip: Callable[..., MotionClip]) -> None:
    """While something moves, ten seconds are held back; then the newest is shown, and told to be new."""
    played = clip()
    line = Line(played.info, stalled(played.packets, 6.5, 16.5)).run()
    status = line.status
    assert max(line.lags_s) == pytest.approx(10.0, abs=0.3)
    assert line.lags_s[-1] < 0.05
    assert status.late >= 200
    assert status.decoded <= len(played.packets) - 200
    assert status.timeline_repairs == 0
    assert line.longest_gap_s(16.5, 18.0) <= 0.3
    burst = [frame for now_s, frame in line.frames if now_s - START_S >= 16.5]
    assert all(frame.seen_mono_s > START_S + 15.9 for frame in burst)
    assert line.counts.expired == 0


def test_a_host_that_cannot_keep_up_sees_less_but_nothing_old(clip: Callable[..., MotionClip]) -> None:
    """Decoding takes half again as long as the stream: what is shown is fresh, as it says itself."""
    played = clip()
    line = Line(played.info, live(played.packets), service=Service(5.0), busy_s=0.06).run()
    first_s = played.packets[0].pts_s or 0.0
    ages_s = [now_s - START_S - (frame.pts_s - first_s) for now_s, frame in line.frames]
    told_s = [now_s - frame.seen_mono_s for now_s, frame in line.frames]
    assert line.status.late > 50
    assert max(line.lags_s) <= MAX_AGE_S + 0.2
    assert max(ages_s) <= MAX_AGE_S + 0.3
    assert np.allclose(ages_s, told_s, atol=0.2)
    for begin_s, end_s in SPANS:
        assert line.longest_gap_s(begin_s, end_s) <= 2.5
