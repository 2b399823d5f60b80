"""Cameras over real RTSP, and what they do to a node: refuse, fall silent, vanish, change.

The camera is GStreamer's RTSP server. Times are scaled down: an outage of 3 s stands for one of 20 s.
"""

import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streams.clock import SystemClock
from streams.decode import Decoder
from streams.errors import OpenError
from streams.packet import Packet
from streams.reader import Reader, ReaderOptions, ReaderState, ReaderStatus
from streams.sim.serve import ServeError, serve
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl
from tests.support.rtsp import (
    PATIENCE_S,
    CollectingSink,
    camera,
    require_server,
    rises,
    write_certificate,
    write_clip,
)

pytestmark = pytest.mark.rtsp

OPTIONS = SourceOptions(open_timeout_s=10, read_timeout_s=5)
BACK_WITHIN_S = 5.0


class Watch:
    """A started reader and its sink."""

    def __init__(self, text: str, options: SourceOptions = OPTIONS, analysed_fps: float = 25) -> None:
        self.sink = CollectingSink()
        self.reader = Reader(
            "gate-2",
            SourceUrl.parse(text),
            ReaderOptions(options, analysed_fps, gate=False),
            self.sink,
            SystemClock(),
            random.Random(1),
        )
        self.reader.start()

    def until(self, condition: Callable[[ReaderStatus], bool]) -> ReaderStatus:
        pause = threading.Event()
        for _ in range(int(PATIENCE_S / 0.02)):
            if condition(status := self.reader.status()):
                return status
            pause.wait(0.02)
        pytest.fail(f"not in time: {self.reader.status()}")

    def until_state(self, state: ReaderState) -> ReaderStatus:
        return self.until(lambda status: status.state == state)


@pytest.fixture
def watch() -> Iterator[Callable[..., Watch]]:
    watches: list[Watch] = []

    def start(text: str, options: SourceOptions = OPTIONS, **more: float) -> Watch:
        watches.append(Watch(text, options, **more))
        return watches[-1]

    yield start
    for each in watches:
        each.reader.stop()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_server()
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=25)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_is_read_through_several_loops(clip: Path, watch, transport: str) -> None:
    """One second of clip, more than two of stream: no seam shows."""
    with camera({"gate": clip}) as server:
        watching = watch(f"rtsp://127.0.0.1:{server.port}/gate", replace(OPTIONS, transport=transport))
        frames = watching.sink.wait_for(lambda frames: len(frames) >= 60)
        status = watching.reader.status()
    steps = [later.pts_s - earlier.pts_s for earlier, later in itertools.pairwise(frames[2:])]
    assert steps == pytest.approx([0.04] * len(steps), abs=0.005)
    assert (status.state, status.codec, status.width, status.height) == ("up", "h264", 160, 128)
    assert (status.reconnects, status.decode_errors) == (0, 0)
    levels = {round(float(frame.picture.luma(16, 16).mean()), -1) for frame in frames}
    assert len(levels) == 3


def test_the_rate_gate_works_on_camera_time(clip: Path, watch) -> None:
    with camera({"gate": clip}) as server:
        watching = watch(f"rtsp://127.0.0.1:{server.port}/gate", analysed_fps=5)
        frames = watching.sink.wait_for(lambda frames: len(frames) >= 12)[2:]
    assert (frames[-1].pts_s - frames[0].pts_s) / (len(frames) - 1) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("digest", [[], ["--digest"]])
def test_a_password_opens_the_camera_and_shows_nowhere(clip: Path, watch, digest: list[str]) -> None:
    with camera({"gate": clip}, "--user", "operator", "--password", "sword fish", *digest) as server:
        address = f"127.0.0.1:{server.port}/gate"
        with capture_logs() as logs:
            right = watch(f"rtsp://operator:sword%20fish@{address}")
            wrong = watch(f"rtsp://operator:sardines@{address}")
            right.sink.wait_for_more(10)
            status = wrong.until_state("retrying")
            assert status.last_error == (
                f"rtsp://***@{address}: user name or password refused; correct them in the source"
            )
            server.command("drop")
            right.until_state("retrying")
            right.reader.stop()
            wrong.reader.stop()
    everything = f"{logs} {status} {right.reader.status()}"
    for secret in ("sword%20fish", "sword fish", "sardines", "operator:"):
        assert secret not in everything
    assert {line["event"] for line in logs} >= {"stream_up", "stream_trouble"}


def test_tls_is_verified_unless_told_otherwise(clip: Path, watch, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with camera({"gate": clip}, "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        url = f"rtsps://127.0.0.1:{server.port}/gate"
        with pytest.raises(OpenError, match="ca_file"):
            open_source(SourceUrl.parse(url), OPTIONS)
        for options in (replace(OPTIONS, ca_file=certificate), replace(OPTIONS, verify_tls=False)):
            watching = watch(url, options)
            watching.sink.wait_for_more(5)
            watching.reader.stop()


def test_a_missing_stream_says_so(clip: Path) -> None:
    with camera({"gate": clip}) as server, pytest.raises(OpenError, match="no such stream; correct the path"):
        open_source(SourceUrl.parse(f"rtsp://127.0.0.1:{server.port}/other"), OPTIONS)


def test_a_camera_that_was_gone_is_back_soon_after_its_return(clip: Path, watch) -> None:
    with camera({"gate": clip}) as server:
        watching = watch(f"rtsp://127.0.0.1:{server.port}/gate")
        before = watching.sink.wait_for_more(10)
        server.command("drop")
        watching.until_state("retrying")
        threading.Event().wait(3)
        assert watching.reader.status().state == "retrying"
        server.command("restore")
        frames = watching.sink.wait_for_more(10, timeout_s=BACK_WITHIN_S)
        status = watching.reader.status()
    assert status.state == "up"
    assert status.reconnects == 1
    assert status.last_error is not None
    assert rises(frames)
    gap_s = max(later.pts_s - earlier.pts_s for earlier, later in itertools.pairwise(frames))
    assert gap_s >= 3, "the outage must show on the timeline"
    assert len(frames) > len(before)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_stalled_camera_is_noticed_and_opened_again(clip: Path, watch, transport: str) -> None:
    with camera({"gate": clip}) as server:
        options = replace(OPTIONS, transport=transport, open_timeout_s=1, read_timeout_s=1)
        watching = watch(f"rtsp://127.0.0.1:{server.port}/gate", options)
        watching.sink.wait_for_more(10)
        server.command("stall")
        status = watching.until_state("retrying")
        assert status.last_error is not None
        assert status.last_error.endswith("silent for 1 s")
        server.command("resume")
        frames = watching.sink.wait_for_more(10)
        assert watching.reader.status().reconnects >= 1
    assert rises(frames)


@pytest.mark.parametrize(("codec", "name"), [("libx265", "hevc"), ("mjpeg", "mjpeg")])
def test_a_camera_may_change_its_codec(clip: Path, watch, tmp_path: Path, codec: str, name: str) -> None:
    other = write_clip(tmp_path / "other.mkv", codec=codec, size=(320, 240))
    with camera({"gate": clip}) as server:
        watching = watch(f"rtsp://127.0.0.1:{server.port}/gate")
        watching.sink.wait_for_more(10)
        server.command("switch", mount="gate", path=str(other))
        frames = watching.sink.wait_for(lambda frames: frames[-1].picture.width == 320)
        status = watching.until(lambda status: status.codec == name and status.width == 320)
    assert status.reconnects >= 1
    assert rises(frames)


def test_a_camera_may_change_its_size_in_mid_stream(clip: Path, watch, tmp_path: Path) -> None:
    larger = write_clip(tmp_path / "larger.mp4", size=(320, 240))
    with camera({"gate": clip}) as server:
        watching = watch(f"rtsp://127.0.0.1:{server.port}/gate")
        watching.sink.wait_for_more(10)
        server.command("switch", mount="gate", path=str(larger))
        frames = watching.sink.wait_for(lambda frames: frames[-1].picture.width == 320)
        status = watching.reader.status()
    assert (status.width, status.height, status.reconnects) == (320, 240, 0)
    assert rises(frames)


def test_stopping_ends_a_blocked_read(clip: Path, watch) -> None:
    """The read time-out lies far beyond the patience of `stop`."""
    with camera({"gate": clip}) as server:
        watching = watch(f"rtsp://127.0.0.1:{server.port}/gate", replace(OPTIONS, read_timeout_s=60))
        watching.sink.wait_for_more(10)
        server.command("stall")
        with capture_logs() as logs:
            watching.reader.stop()
    assert "reader_stuck" not in {line["event"] for line in logs}
    assert not any(thread.name == "gate-2" for thread in threading.enumerate())


def test_what_is_not_rtsp_is_an_opening_error(watch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(bytes(range(256)) * 64)

        thread = threading.Thread(target=babble)
        thread.start()
        watching = watch(f"rtsp://127.0.0.1:{server.getsockname()[1]}/gate")
        status = watching.until(lambda status: status.last_error is not None)
        thread.join(PATIENCE_S)
    assert status.state == "retrying"


def test_packets_go_on_the_air_and_come_back(clip: Path) -> None:
    """What the simulator does with `--rtsp`: encoded pictures into the server, and out to a client."""
    announced: list[str] = []
    on_air, done = threading.Event(), threading.Event()

    def announce(url: str) -> None:
        announced.append(url)
        on_air.set()

    def packets() -> Iterator[Packet]:
        raw = write_clip(clip.with_suffix(".ts"), frames=50)
        for loop in range(60):
            source = open_source(SourceUrl.parse(str(raw)), SourceOptions(realtime=False))
            for packet in source.packets():
                yield replace(packet, pts_s=loop * 2 + (packet.pts_s or 0.0))
                if done.wait(0.04):
                    return
                if packet.pts_s is not None and packet.pts_s >= 49 / 25:
                    break

    server = threading.Thread(target=serve, args=(packets(), 0), kwargs={"announce": announce})
    server.start()
    try:
        assert on_air.wait(PATIENCE_S)
        source = open_source(SourceUrl.parse(announced[0]), OPTIONS)
        decoder, pictures = Decoder(source.info), 0
        for packet in source.packets():
            pictures += len(decoder.decode(packet))
            if pictures >= 30:
                break
        source.close()
    finally:
        done.set()
        server.join(PATIENCE_S)
    assert not server.is_alive()


def test_commands_that_cannot_be_done_are_refused(clip: Path) -> None:
    with camera({"gate": clip}) as server:
        with pytest.raises(ServeError, match="cannot do 'restore' now"):
            server.command("restore")
        with pytest.raises(ServeError, match="dance"):
            server.command("dance")
        with pytest.raises(ServeError, match="KeyError"):
            server.command("switch", mount="elsewhere", path=str(clip))
