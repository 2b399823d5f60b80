"""Files and silent servers behind the one door; no address's secret comes back out of it."""

import base64
import http.server
import itertools
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest

from streams.clock import SystemClock
from streams.decode import Decoder
from streams.errors import OpenError, ReadError, SourceUrlError, StreamError
from streams.source import ContainerSource, SourceOptions, open_source
from streams.url import SourceUrl
from tests.support.rtsp import PATIENCE_S, read_all, write_clip

FAST = SourceOptions(realtime=False)


class PacingClock:
    """Time passes only by waiting, and the waits are kept."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        self.now_s += timeout_s
        return event.is_set()


def _open(path: Path, options: SourceOptions = FAST, **more: object) -> ContainerSource:
    source = open_source(SourceUrl.parse(str(path)), options, **more)  # type: ignore[arg-type]
    assert isinstance(source, ContainerSource)
    return source


def test_a_file_gives_its_packets_and_ends(tmp_path: Path) -> None:
    source = _open(write_clip(tmp_path / "clip.mp4", frames=30))
    assert (source.info.codec, source.info.width, source.info.height) == ("h264", 160, 128)
    packets = read_all(source)
    source.close()
    source.close()
    assert [packet.pts_s for packet in packets] == pytest.approx([index / 25 for index in range(30)])
    assert [index for index, packet in enumerate(packets) if packet.keyframe] == [0, 10, 20]
    assert all(packet.size == packet.payload.size > 0 for packet in packets)
    assert source.damaged == 0


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx265"),
        ("a.mkv", "mjpeg"),
        ("a.avi", "mpeg4"),
        ("a.ts", "libx264"),
        ("a.h264", "libx264"),
    ],
)
def test_containers_and_codecs(tmp_path: Path, name: str, codec: str) -> None:
    assert len(read_all(_open(write_clip(tmp_path / name, codec=codec, frames=12)))) == 12


def test_a_file_played_as_a_camera_keeps_its_pace(tmp_path: Path) -> None:
    clock = PacingClock()
    path = write_clip(tmp_path / "clip.mp4", frames=30, b_frames=2)
    read_all(_open(path, SourceOptions(realtime=True), clock=clock))
    assert sum(clock.waits) == pytest.approx(29 / 25, abs=0.1)
    assert max(clock.waits) == pytest.approx(1 / 25, abs=0.001)


def test_a_file_played_as_a_camera_does_not_wait_for_its_reader(tmp_path: Path) -> None:
    """Who was busy for three seconds finds what was played meanwhile, at once, and then the old schedule."""
    clock = PacingClock()
    path = write_clip(tmp_path / "clip.mp4", frames=150)
    source = _open(path, SourceOptions(realtime=True), clock=clock)
    offsets = []
    for index, packet in enumerate(itertools.islice(source.packets(), 150)):
        offsets.append(clock.now_s - (packet.pts_s or 0.0))
        if index == 20:
            clock.now_s += 3.0
    assert offsets[0] == pytest.approx(offsets[-1], abs=0.001)
    assert max(offsets) - offsets[0] == pytest.approx(3.0 - 0.04, abs=0.001)
    assert len(clock.waits) == pytest.approx(150 - 75, abs=3)


def test_a_host_that_stood_still_goes_on_where_it_was(tmp_path: Path) -> None:
    clock = PacingClock()
    source = _open(write_clip(tmp_path / "clip.mp4"), SourceOptions(realtime=True), clock=clock)
    for index, _ in enumerate(itertools.islice(source.packets(), 50)):
        if index == 20:
            clock.now_s += 60.0
    assert sum(clock.waits) == pytest.approx(48 / 25, abs=0.01)


def test_a_leap_in_a_recording_is_no_pause(tmp_path: Path) -> None:
    clock = PacingClock()
    path = write_clip(tmp_path / "clip.ts")
    written = tmp_path / "leap.ts"
    with av.open(str(path)) as read, av.open(str(written), "w") as container:
        stream = container.add_stream_from_template(read.streams.video[0])
        for index, packet in enumerate(read.demux(video=0)):
            if packet.size:
                assert packet.pts is not None
                packet.pts = packet.dts = packet.pts + (index >= 25) * 90_000 * 60
                packet.stream = stream
                container.mux(packet)
    source = _open(written, SourceOptions(realtime=True), clock=clock)
    assert len(read_all(source)) == 50
    assert sum(clock.waits) == pytest.approx(2.0, abs=0.2)


def test_as_fast_as_it_goes_waits_for_nothing(tmp_path: Path) -> None:
    clock = PacingClock()
    read_all(_open(write_clip(tmp_path / "clip.mp4"), clock=clock))
    assert clock.waits == []


def test_a_file_played_as_a_camera_goes_on_where_it_would_be(tmp_path: Path) -> None:
    """Keyframes are 0.4 s apart; what is due 5.03 s after the beginning begins with that of 5.2 s."""
    clock = PacingClock()
    path = write_clip(tmp_path / "clip.mp4", frames=250, b_frames=2)
    source = _open(path, SourceOptions(realtime=True), clock=clock)
    first = next(source.packets())
    begun_s = source.begun_s
    source.close()
    assert begun_s is not None
    clock.now_s = begun_s + 5.03
    onwards = _open(path, SourceOptions(realtime=True, begun_s=begun_s), clock=clock)
    assert onwards.begun_s == begun_s
    packets = list(itertools.islice(onwards.packets(), 30))
    assert (first.keyframe, first.pts_s) == (True, 0.0)
    assert (packets[0].keyframe, packets[0].pts_s) == (True, pytest.approx(5.2))
    assert clock.now_s - begun_s == pytest.approx(5.2 + 29 / 25, abs=0.1)


@pytest.mark.parametrize(("elapsed_s", "name"), [(10.5, "clip.mp4"), (1.0, "clip.h264")])
def test_a_file_that_cannot_go_on_begins_anew(tmp_path: Path, elapsed_s: float, name: str) -> None:
    """As it is over, or does not say how long it is."""
    clock = PacingClock()
    path = write_clip(tmp_path / name, frames=250)
    clock.now_s = 500.0 + elapsed_s
    source = _open(path, SourceOptions(realtime=True, begun_s=500.0), clock=clock)
    assert source.begun_s is None
    packet = next(source.packets())
    assert packet.keyframe
    assert packet.pts_s in (0.0, None)


def test_stop_and_close_end_the_packets_without_an_error(tmp_path: Path) -> None:
    path, stop = write_clip(tmp_path / "clip.mp4"), threading.Event()
    source = _open(path, stop=stop)
    seen = 0
    for _ in source.packets():
        seen += 1
        if seen == 3:
            stop.set()
    assert seen == 3
    closed = _open(path)
    packets = closed.packets()
    next(packets)
    closed.close()
    assert list(packets) == []
    assert list(closed.packets()) == []


def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts")
    path.write_bytes(path.read_bytes()[:-3000])
    assert 0 < len(read_all(_open(path))) < 50


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_bytes(b"nothing of the kind" * 100), "not a video stream"),
        (lambda path: path.write_text("ffconcat version 1.0\nfile /etc/hostname\n"), "not a video stream"),
        (
            lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n"),
            "not a video stream",
        ),
    ],
)
def test_what_cannot_be_opened_says_why(tmp_path: Path, make: object, says: str) -> None:
    path = tmp_path / "source"
    make(path)  # type: ignore[operator]
    with pytest.raises(OpenError, match=says):
        _open(path)


def test_a_path_is_never_taken_for_a_protocol(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts")
    with pytest.raises(OpenError, match="no such file"):
        open_source(SourceUrl.parse(f"concat:{path}|{path}"), FAST)


def test_an_audio_file_has_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    with pytest.raises(OpenError, match="has no video"):
        _open(path)


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https"])
def test_a_server_that_never_answers_is_given_up(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = SourceUrl.parse(f"{scheme}://operator:swordfish@127.0.0.1:{port}/live?token=abcdef")
        with pytest.raises(OpenError, match=r"silent for 0\.3 s") as caught:
            open_source(url, SourceOptions(open_timeout_s=0.3))
    assert "swordfish" not in repr(caught.value)
    assert "abcdef" not in repr(caught.value)
    assert caught.value.__context__ is None  # a traceback would print it


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http"])
def test_a_stop_ends_a_blocked_opening(scheme: str) -> None:
    """The time-out is far beyond the test's patience: only the stop can end it."""
    stop, failed = threading.Event(), []
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = SourceUrl.parse(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/live")

        def opening() -> None:
            try:
                open_source(url, SourceOptions(open_timeout_s=60), stop=stop)
            except StreamError as error:
                failed.append(str(error))

        thread = threading.Thread(target=opening)
        thread.start()
        connection, _ = server.accept()
        with connection:
            stop.set()
            thread.join(10)
        assert not thread.is_alive()
    assert failed == [f"{url}: stopped while opening"]


def test_refused_connections_name_the_cure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(OpenError, match="connection refused; is the camera on"):
        open_source(SourceUrl.parse(f"rtsp://127.0.0.1:{port}/live"), SourceOptions())


def test_simulated_scenes_come_from_the_simulator() -> None:
    source = open_source(SourceUrl.parse("sim://plaza?seed=3&seconds=1"), FAST, clock=SystemClock())
    packets = source.packets()
    packet = next(packets)
    source.close()
    assert packet.keyframe
    assert source.info.codec == "h264"
    with pytest.raises(SourceUrlError, match="no-such-place"):
        open_source(SourceUrl.parse("sim://no-such-place"), FAST)


@pytest.mark.parametrize(
    "arguments", [{"open_timeout_s": 0}, {"read_timeout_s": float("inf")}, {"transport": "pigeon"}]
)
def test_refused_options(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        SourceOptions(**arguments)  # type: ignore[arg-type]


class MotionJpegCamera(http.server.BaseHTTPRequestHandler):
    """Pushes JPEG pictures for as long as anybody looks, to whoever knows the password."""

    pictures: tuple[bytes, ...] = ()
    credentials = "Basic " + base64.b64encode(b"operator:swordfish").decode()

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != self.credentials:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for picture in self.pictures:
            self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\n")
            self.wfile.write(f"Content-Length: {len(picture)}\r\n\r\n".encode() + picture + b"\r\n")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def motion_jpeg(tmp_path: Path) -> Iterator[int]:
    """The port of a Motion JPEG camera."""
    clip = read_all(_open(write_clip(tmp_path / "clip.mkv", codec="mjpeg", frames=20)))
    camera = type("Camera", (MotionJpegCamera,), {"pictures": tuple(bytes(each.payload) for each in clip)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), camera) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(PATIENCE_S)


def test_motion_jpeg_over_http_gets_the_times_at_which_it_came(motion_jpeg: int) -> None:
    clock = PacingClock()
    url = SourceUrl.parse(f"http://operator:swordfish@127.0.0.1:{motion_jpeg}/video")
    source = open_source(url, SourceOptions(), clock=clock)
    decoder, pictures, came = Decoder(source.info), [], []
    packets = source.packets()
    for _ in range(10):
        clock.now_s += 0.3
        came.append(clock.now_s)
        pictures += decoder.decode(next(packets))
    source.close()
    assert [picture.pts_s for picture in pictures] == pytest.approx(came, abs=1e-5)
    assert (pictures[0].picture.width, pictures[0].picture.height) == (160, 128)


def test_a_wrong_password_over_http_names_the_cure(motion_jpeg: int) -> None:
    url = SourceUrl.parse(f"http://operator:sardines@127.0.0.1:{motion_jpeg}/video")
    with pytest.raises(OpenError, match="user name or password refused") as caught:
        open_source(url, SourceOptions())
    assert "sardines" not in str(caught.value)


def test_a_camera_that_falls_silent_is_a_read_error(tmp_path: Path) -> None:
    """An MPEG transport stream over HTTP that stops in the middle without an end."""
    data = write_clip(tmp_path / "clip.ts").read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = SourceUrl.parse(f"http://127.0.0.1:{server.getsockname()[1]}/live")
        done = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + data)
                done.wait(PATIENCE_S)

        thread = threading.Thread(target=serve)
        thread.start()
        source = open_source(url, SourceOptions(read_timeout_s=0.3))
        with pytest.raises(ReadError, match=r"silent for 0\.3 s"):
            list(source.packets())
        source.close()
        done.set()
        thread.join(PATIENCE_S)


def test_empty_and_corrupt_packets_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _open(write_clip(tmp_path / "clip.mp4"))
    whole = read_all(source)[0].payload
    whole.is_corrupt = True
    script = iter([av.Packet(), whole, av.Packet(), None])
    monkeypatch.setattr(source, "_read", lambda demux: next(script))
    assert [packet.payload for packet in source.packets()] == [whole]
    assert source.damaged == 3
