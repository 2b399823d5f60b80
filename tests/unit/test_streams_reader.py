"""One camera's thread: what it hands over, what it survives, and that it always ends."""

import itertools
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest
from structlog.testing import capture_logs

from streams.clock import Clock, SystemClock
from streams.errors import OpenError, ReadError, StreamEndedError
from streams.naps import NAP_S, Naps
from streams.packet import Packet, PacketSource, StreamInfo
from streams.reader import NICENESS, Reader, ReaderOptions, ReaderState
from streams.service import FULL, KEYFRAMES, SHED
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl
from tests.support.motion_clip import MotionClip, write_motion
from tests.support.rtsp import PATIENCE_S, CollectingSink, read_all, rises, write_clip

URL = SourceUrl.parse("rtsp://operator:swordfish@camera.example/live")
EVERYTHING = ReaderOptions(SourceOptions(realtime=False), analysed_fps=1000, gate=False)


class QuickClock(SystemClock):
    """The system's clock, but nobody waits for it: waits are kept instead."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        return event.is_set()


class SteppingClock:
    """Each look at it is 40 ms later, as if packets came at 25 a second."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        self.now_s += 0.04
        return self.now_s

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.now_s += timeout_s
        return event.is_set()


@dataclass
class ScriptedSource:
    """Yields packets and raises exceptions as told; at the end of its script it waits to be closed."""

    info: StreamInfo
    script: Sequence[Packet | Exception]
    closed: threading.Event = field(default_factory=threading.Event)
    begun_s: float | None = None

    def packets(self) -> Iterator[Packet]:
        for step in self.script:
            if isinstance(step, Exception):
                raise step
            yield step
        assert self.closed.wait(PATIENCE_S), "nobody closed the source"

    def close(self) -> None:
        self.closed.set()


class ScriptedOpener:
    """Opens one scripted source after the other, or fails to; the last one again and again."""

    def __init__(self, *sources: ScriptedSource | Exception) -> None:
        self.sources = list(sources)
        self.opened: list[ScriptedSource] = []

    def __call__(
        self, url: SourceUrl, options: SourceOptions, *, clock: Clock, stop: threading.Event
    ) -> PacketSource:
        source = self.sources.pop(0) if len(self.sources) > 1 else self.sources[0]
        if isinstance(source, Exception):
            raise source
        self.opened.append(replace(source, closed=threading.Event()))
        return self.opened[-1]


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> tuple[StreamInfo, list[Packet]]:
    path = write_clip(tmp_path_factory.mktemp("clip") / "clip.ts", frames=50)
    source = open_source(SourceUrl.parse(str(path)), SourceOptions(realtime=False))
    packets = read_all(source)
    return StreamInfo("h264", 160, 128), packets


class Running:
    """A reader with a sink, started; its status can be waited for."""

    def __init__(
        self,
        opener: Callable[..., PacketSource],
        options: ReaderOptions,
        clock: Clock,
        prepare: Callable[[Reader], None] = lambda reader: None,
        cpu_s: Callable[[], float] = time.thread_time,
        url: SourceUrl = URL,
    ) -> None:
        self.sink = CollectingSink()
        self.opener = opener
        rng = random.Random(1)
        self.reader = Reader("gate-2", url, options, self.sink, clock, rng, opener=opener, cpu_s=cpu_s)
        prepare(self.reader)
        self.reader.start()

    def until(self, state: ReaderState, reconnects: int = 0, error: str | None = None) -> None:
        """Wait for a state by polling: the reader has no hook for it, and needs none."""
        pause = threading.Event()
        for _ in range(int(PATIENCE_S / 0.005)):
            status = self.reader.status()
            failed = error is None or status.last_error == error
            if status.state == state and status.reconnects >= reconnects and failed:
                return
            pause.wait(0.005)
        pytest.fail(f"never {state}: {self.reader.status()}")


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start(
        *sources: ScriptedSource | Exception, options: ReaderOptions = EVERYTHING, clock: Clock | None = None
    ) -> Running:
        running.append(Running(ScriptedOpener(*sources), options, clock or QuickClock()))
        return running[-1]

    yield start
    for each in running:
        each.reader.stop()


def test_frames_carry_their_times_and_come_at_the_wanted_rate(stream, run) -> None:
    info, packets = stream
    options = ReaderOptions(SourceOptions(realtime=False), analysed_fps=5, gate=False)
    running = run(ScriptedSource(info, packets), options=options)
    frames = running.sink.wait_for(lambda frames: len(frames) == 10 and running.sink.gated == 40)
    assert [frame.pts_s - frames[0].pts_s for frame in frames] == pytest.approx([i / 5 for i in range(10)])
    assert {frame.camera_id for frame in frames} == {"gate-2"}
    assert frames[0].keyframe
    assert all(a.seen_mono_s <= b.seen_mono_s for a, b in itertools.pairwise(frames))
    assert frames[0].seen_utc.tzinfo is UTC
    status = running.reader.status()
    assert (status.state, status.codec, status.width, status.height) == ("up", "h264", 160, 128)
    assert status.last_frame_mono_s is not None
    assert status.last_error is None
    running.reader.stop()
    status = running.reader.status()
    assert status.state == "stopped"
    assert status.packets == status.decoded == 50
    assert (status.decode_errors, status.reconnects, status.timeline_repairs) == (0, 0, 0)


def test_the_thread_bears_the_cameras_name(stream, run) -> None:
    running = run(ScriptedSource(*stream))
    running.until("up")
    assert "gate-2" in {thread.name for thread in threading.enumerate()}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
def test_its_thread_leaves_the_processor_to_analysis(stream, run) -> None:
    running = run(ScriptedSource(*stream))
    running.until("up")
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "gate-2")
    assert os.getpriority(os.PRIO_PROCESS, thread.native_id) >= NICENESS
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < NICENESS


@pytest.mark.parametrize(
    "failure",
    [ReadError("silent"), StreamEndedError("ended"), RuntimeError("a bug"), MemoryError(), KeyError("x")],
)
def test_any_failure_is_retried_and_time_goes_on(stream, run, failure: Exception) -> None:
    info, packets = stream
    broken = ScriptedSource(info, [*packets[:20], failure])
    running = run(broken, OpenError("refused"), ScriptedSource(info, packets))
    running.until("up", reconnects=1)
    frames = running.sink.wait_for(lambda frames: len(frames) >= 60)
    assert rises(frames)
    status = running.reader.status()
    assert status.reconnects == 1
    assert status.last_error == "refused"
    assert status.timeline_repairs == 0


def test_pictures_held_back_at_the_end_of_a_file_are_delivered(stream, run) -> None:
    info, packets = stream
    held_back = ReaderOptions(SourceOptions(realtime=False), analysed_fps=1000, decode_threads=2, gate=False)
    ended = ScriptedSource(info, [*packets, StreamEndedError("ended")])
    running = run(ended, OpenError("refused"), options=held_back)
    running.until("retrying")
    assert len(running.sink.frames) == 50


def test_delays_grow_and_shrink_again_after_success(stream, run) -> None:
    info, packets = stream
    clock = QuickClock()
    failures = [OpenError(f"{attempt}") for attempt in range(6)]
    once = ScriptedSource(info, [*packets[:20], ReadError("broke")])
    running = run(*failures, once, ScriptedSource(info, packets), clock=clock)
    running.until("up", reconnects=1)
    assert len(clock.waits) == 7
    assert clock.waits[5] > 0.9
    assert max(clock.waits) <= 2.0
    assert clock.waits[6] <= 0.25


def test_a_password_in_a_foreign_exception_does_not_get_out(stream, run) -> None:
    foreign = RuntimeError(f"cannot open {URL.full}: swordfish was wrong")
    with capture_logs() as logs:
        running = run(foreign)
        running.until("retrying")
        running.reader.stop()
    status = running.reader.status()
    assert status.last_error is not None
    assert status.last_error.startswith("RuntimeError: cannot open rtsp://***@camera.example/live")
    assert "swordfish" not in f"{status} {logs}"
    assert logs


def test_trouble_is_logged_once_a_second_with_its_count(run) -> None:
    with capture_logs() as logs:
        running = run(OpenError("refused"), clock=SteppingClock())
        running.until("retrying")
        running.reader.stop()
    lines = [line for line in logs if line["event"] == "stream_trouble"]
    assert lines
    assert {line["reason"] for line in lines} == {"refused"}
    assert {line["camera"] for line in lines} == {"gate-2"}
    assert all(line["times"] >= 1 for line in lines)


def test_damaged_packets_are_counted(stream, run) -> None:
    info, packets = stream
    rubbish = av.Packet(b"\x00\x00\x00\x01\x65" + b"\xff" * 60)
    spoilt = Packet(packets[12].pts_s, rubbish.size, False, rubbish)
    running = run(ScriptedSource(info, [*packets[:12], spoilt, *packets[13:]]))
    running.sink.wait_for(lambda frames: len(frames) == 42)
    running.reader.stop()
    status = running.reader.status()
    assert (status.packets, status.decoded, status.decode_errors) == (50, 42, 1)


def test_missing_and_repeated_stamps_are_repaired(stream, run) -> None:
    info, packets = stream
    running = run(ScriptedSource(info, [*packets, *packets]), clock=SteppingClock())
    frames = running.sink.wait_for(lambda frames: len(frames) == 100)
    assert rises(frames)
    assert running.reader.status().timeline_repairs == 1


def test_the_stream_of_a_shed_camera_is_closed_until_it_is_served(stream, run) -> None:
    info, packets = stream
    running = run(ScriptedSource(info, packets), clock=SystemClock())
    running.until("up")
    running.sink.wait_for(lambda frames: len(frames) == 50)
    source = running.opener.opened[0]
    source.closed.set()  # the packets' end, at which it looks up
    running.reader.set_service(SHED)
    running.until("shed")
    assert len(running.opener.opened) == 1
    assert running.reader.status().decoder is None
    running.reader.set_service(FULL)
    running.sink.wait_for(lambda frames: len(frames) == 100)
    assert running.reader.status().reconnects == 0


def test_a_shed_camera_can_be_stopped(stream, run) -> None:
    info, packets = stream
    running = run(ScriptedSource(info, packets))
    running.reader.set_service(SHED)
    running.opener.opened[0].closed.set()
    running.until("shed")
    running.reader.stop()
    running.reader.set_service(SHED)
    running.until("stopped")


def test_a_recording_goes_on_where_it_would_be_when_it_is_served_again(tmp_path: Path) -> None:
    """Its time stamps, too: nothing is repaired."""
    path = write_clip(tmp_path / "clip.mp4", frames=2500)
    options = ReaderOptions(SourceOptions(realtime=True), analysed_fps=1000, gate=False)
    running = Running(open_source, options, SystemClock(), url=SourceUrl.parse(str(path)))
    running.sink.wait_for(lambda frames: len(frames) > 5)
    running.reader.set_service(SHED)
    running.until("shed")
    before = running.sink.frames[-1]
    running.reader.set_service(FULL)
    frames = running.sink.wait_for(lambda frames: frames[-1].pts_s > before.pts_s)
    running.reader.stop()
    after = next(frame for frame in frames if frame.pts_s > before.pts_s)
    assert after.keyframe
    assert after.pts_s - before.pts_s == pytest.approx(after.seen_mono_s - before.seen_mono_s, abs=0.3)
    assert running.reader.status().timeline_repairs == 0


def test_stopping_is_idempotent_and_closes_the_source(stream, run) -> None:
    running = run(ScriptedSource(*stream))
    running.until("up")
    running.reader.stop()
    running.reader.stop()
    assert running.reader.status().state == "stopped"
    assert not any(thread.name == "gate-2" for thread in threading.enumerate())


def test_a_reader_that_never_started_can_be_stopped() -> None:
    reader = Reader("gate-2", URL, EVERYTHING, CollectingSink(), SystemClock(), random.Random(1))
    reader.stop()
    assert reader.status().state == "stopped"


def test_a_stop_while_opening_leaves_nothing_open(stream) -> None:
    """The source comes to life after the stop: it is closed unread."""
    opening = threading.Event()
    source = ScriptedSource(*stream)

    def opener(
        url: SourceUrl, options: SourceOptions, *, clock: Clock, stop: threading.Event
    ) -> PacketSource:
        opening.set()
        assert stop.wait(PATIENCE_S)
        return source

    sink = CollectingSink()
    reader = Reader("gate-2", URL, EVERYTHING, sink, SystemClock(), random.Random(1), opener=opener)
    reader.start()
    assert opening.wait(PATIENCE_S)
    reader.stop()
    assert source.closed.is_set()
    assert sink.frames == []
    assert reader.status().state == "stopped"


def test_a_thread_that_hangs_is_reported_and_left(stream) -> None:
    release = threading.Event()

    def opener(
        url: SourceUrl, options: SourceOptions, *, clock: Clock, stop: threading.Event
    ) -> PacketSource:
        release.wait(PATIENCE_S)
        raise OpenError("at last")

    reader = Reader(
        "gate-2", URL, EVERYTHING, CollectingSink(), SystemClock(), random.Random(1), opener=opener
    )
    reader.start()
    with capture_logs() as logs:
        reader.stop()
    release.set()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["reader_stuck"]
    assert reader.status().state == "stopped"


def test_a_real_file_is_played_again_when_it_ends(tmp_path: Path) -> None:
    url = SourceUrl.parse(str(write_clip(tmp_path / "clip.mp4", frames=20)))
    sink = CollectingSink()
    reader = Reader("gate-2", url, EVERYTHING, sink, QuickClock(), random.Random(1))
    reader.start()
    frames = sink.wait_for(lambda frames: len(frames) >= 60)
    reader.stop()
    assert rises(frames)
    assert reader.status().last_error == f"{url}: the stream ended"


@pytest.mark.parametrize("arguments", [{"analysed_fps": 0}, {"decode_threads": 0}, {"max_lag_s": 0}])
def test_refused_options(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ReaderOptions(**arguments)  # type: ignore[arg-type]


class TimedClock(QuickClock):
    """Host time goes by as the packets do: what is read of the stream is what the clock shows."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@dataclass
class TimedSource(ScriptedSource):
    """Sets the clock to each packet's time."""

    clock: TimedClock = field(default_factory=TimedClock)

    def packets(self) -> Iterator[Packet]:
        for step in super().packets():
            self.clock.now_s = max(self.clock.now_s, step.pts_s or 0.0)
            yield step


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> MotionClip:
    return write_motion(tmp_path_factory.mktemp("visit") / "clip.mp4", ((8.0, 11.0), (18.3, 20.5)), 30.0)


def watch(visit: MotionClip, prepare: Callable[[Reader], None] = lambda reader: None) -> Running:
    """Read a clip to its end as it happens."""
    clock = TimedClock()
    source = TimedSource(visit.info, [*visit.packets, StreamEndedError("ended")], clock=clock)
    opener = ScriptedOpener(source, OpenError("gone"))
    running = Running(opener, ReaderOptions(SourceOptions(realtime=True)), clock, prepare)
    running.until("retrying")
    running.reader.stop()
    return running


def test_an_idle_cameras_packets_are_held_and_it_still_counts_as_seen(visit: MotionClip) -> None:
    running = watch(visit)
    status = running.reader.status()
    assert (status.activity, status.trust) == ("idle", "trusted")
    assert status.auc is not None
    assert status.auc > 0.9
    assert status.held > 0
    assert status.held_bytes > 0
    assert status.undecoded > 100
    assert status.looks >= 4
    assert status.caught_up > 0
    assert status.transitions >= 8
    assert status.overflows == 0
    assert status.last_frame_mono_s == visit.packets[-1].pts_s
    assert status.decoded == len(running.sink.frames) + running.sink.gated
    assert status.packets == len(visit.packets)
    assert any(frame.regions for frame in running.sink.frames if visit.moving(frame.pts_s, -0.5))
    assert all(frame.seen_mono_s <= frame.pts_s + 0.05 for frame in running.sink.frames)


def test_attention_hands_every_keyframe_over(visit: MotionClip) -> None:
    keyframes = [packet.pts_s for packet in visit.packets if packet.keyframe and (packet.pts_s or 0) > 8]
    running = watch(visit, lambda reader: reader.set_attention(True))
    offered = {round(frame.pts_s, 2) for frame in running.sink.frames}
    assert {round(pts_s or 0, 2) for pts_s in keyframes} <= offered


def test_a_service_is_kept_to(visit: MotionClip) -> None:
    running = watch(visit, lambda reader: reader.set_service(KEYFRAMES))
    status = running.reader.status()
    assert status.decoded == 15
    assert status.undecoded + status.held == len(visit.packets) - 15
    assert all(frame.keyframe for frame in running.sink.frames)


class NappingClock(TimedClock):
    """Waits are waited for, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.naps: list[float] = []

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        if timeout_s == NAP_S:
            self.naps.append(self.now_s)
            self.now_s += timeout_s
        return event.is_set()


def nap(visit: MotionClip, url: str = URL.full, transport: str = "tcp") -> NappingClock:
    """Read a clip as it happens, with time for naps."""
    clock = NappingClock()
    source = TimedSource(visit.info, [*visit.packets, StreamEndedError("ended")], clock=clock)
    options = ReaderOptions(SourceOptions(transport, realtime=True))
    opener = ScriptedOpener(source, OpenError("gone"))
    running = Running(
        opener, options, clock, lambda reader: reader.set_service(FULL), url=SourceUrl.parse(url)
    )
    running.until("retrying")
    running.reader.stop()
    assert any(visit.moving(frame.pts_s, -0.5) for frame in running.sink.frames)
    return clock


def test_packets_gather_while_nothing_is_to_be_decoded_and_only_then(visit: MotionClip) -> None:
    naps = nap(visit).naps
    assert len(naps) > 10
    assert not any(9.0 < begun_s < 11.0 for begun_s in naps)
    assert all(later - earlier >= NAP_S for earlier, later in itertools.pairwise(naps))
    # One read must wait between two naps, else nobody knows that nothing was left to read.
    assert all(later - earlier < 3 * NAP_S for earlier, later in itertools.pairwise(naps) if later < 8.0)


def test_datagrams_and_what_carries_no_times_are_not_kept_waiting(visit: MotionClip) -> None:
    assert not nap(visit, transport="udp").naps
    assert not nap(visit, url="http://camera.example/mjpeg").naps


def test_naps_alone_throw_no_reader_back() -> None:
    """Whose limit may be below the length of a nap."""
    assert Naps(URL, SourceOptions(), max_lag_s=0.2).length_s(0.03) == pytest.approx(0.16)
    naps = Naps(URL, SourceOptions(), max_lag_s=0.5)
    assert naps.length_s(0.03) == NAP_S
    assert naps.length_s(0.001) == 0.0


class CountingCpu:
    """A thread's CPU clock: each look at it is a millisecond later."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return 7.0 + self.looks * 1e-3


def test_cpu_is_metered_by_stage_and_adds_up(visit: MotionClip) -> None:
    cpu, clock = CountingCpu(), TimedClock()
    broken = TimedSource(visit.info, [*visit.packets[:400], ReadError("broke")], clock=clock)
    rest = TimedSource(visit.info, [*visit.packets[400:], StreamEndedError("ended")], clock=clock)
    opener = ScriptedOpener(broken, rest, OpenError("gone"))
    options = ReaderOptions(SourceOptions(realtime=True))
    untouched = {"demux": (0.0, 0), "keyframe": (0.0, 0), "decode": (0.0, 0)}

    def prepare(reader: Reader) -> None:
        assert reader.status().spent == untouched

    running = Running(opener, options, clock, prepare, cpu)
    running.until("retrying", reconnects=1, error="gone")
    running.reader.stop()
    status = running.reader.status()
    assert {stage: calls for stage, (_, calls) in status.spent.items()} == {
        "demux": status.packets,
        "keyframe": status.looks,
        "decode": status.decoded - status.looks,
    }
    assert status.packets == len(visit.packets)
    assert status.looks > 0
    # The first look at the thread's clock is its start, the last its end; what two openings took is left out.
    assert sum(ms for ms, _ in status.spent.values()) == pytest.approx(cpu.looks - 1 - 2)
    assert cpu.looks <= 2 * status.packets + 8


def test_how_often_packets_and_keyframes_come_is_told(visit: MotionClip) -> None:
    status = watch(visit).reader.status()
    assert status.fps == pytest.approx(25.0, rel=0.01)
    assert status.keyframe_s == pytest.approx(2.0, rel=0.01)
