"""Decoding on a device: what is not there falls back, what fails is left, and the decoder keeps its word."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available
from structlog.testing import capture_logs

from streams import hardware
from streams.clock import SystemClock
from streams.decode import Decoder
from streams.hardware import AUTO, OFF, SOFTWARE, Accelerated, accelerated, given_up, trouble
from streams.packet import Packet, StreamInfo
from streams.reader import Reader, ReaderOptions
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl
from tests.support.rtsp import CollectingSink, read_all, write_clip


@pytest.fixture(autouse=True)
def _said_nothing_yet() -> Iterator[None]:
    hardware._tell.cache_clear()
    yield
    hardware._tell.cache_clear()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[StreamInfo, list[Packet]]:
    path = write_clip(tmp_path_factory.mktemp("clip") / "clip.h264", frames=40, b_frames=2)
    source = open_source(SourceUrl.parse(str(path)), SourceOptions(realtime=False))
    packets = read_all(source)
    return StreamInfo(source.info.codec, 0, 0), packets


def absent() -> str:
    """A device that this build can use for H.264, and this machine lacks."""
    for config in Codec("h264", "r").hardware_configs:
        name = config.device_type.name
        try:
            HWAccel(name).create(Codec("h264", "r"))
        except (av.FFmpegError, OSError):
            return name
    pytest.skip("every device that this build of FFmpeg knows is there")


class Device:
    """Stands for a decoder on a device: a real one in software that fails as it is told.

    `says(index, packet)` may raise in place of the packet's decoding, or return False to show nothing.
    """

    def __init__(self, says: Callable[[int, Any], object] = lambda *_: True, shows: str = "yuv420p") -> None:
        self.__dict__["_real"] = av.CodecContext.create("h264", "r")
        self.__dict__["_says"] = says
        self.__dict__["_fed"] = 0
        self.__dict__["accelerated"] = Accelerated(self, "engine", shows)  # type: ignore[arg-type]

    def decode(self, payload: Any) -> list[Any]:
        self.__dict__["_fed"] += 1
        said = self._says(self._fed - 1, payload)
        frames = self._real.decode(payload)
        return frames if said else []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_real"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_real"], name, value)

    def decoder(self, info: StreamInfo) -> Decoder:
        return Decoder(info, hardware="engine", accelerate=lambda *_: self.accelerated)


def _refuse(*_: object) -> bool:
    raise av.error.ExternalError(-542398533, "device lost")


def _shown(decoder: Decoder, packets: list[Packet]) -> list[float | None]:
    return [p.pts_s for packet in packets for p in decoder.decode(packet)] + [
        p.pts_s for p in decoder.flush()
    ]


class TestOpening:
    def test_without_a_wish_there_is_none(self) -> None:
        assert accelerated("h264", OFF) is None

    def test_a_device_that_is_not_there_is_said_once_and_software_decodes(
        self, clip: tuple[StreamInfo, list[Packet]]
    ) -> None:
        device, (info, packets) = absent(), clip
        with capture_logs() as logs:
            decoders = [Decoder(info, hardware=device) for _ in range(3)]
        assert [decoder.device for decoder in decoders] == [SOFTWARE] * 3
        (line,) = logs
        assert (line["event"], line["log_level"], line["decoder"]) == (
            "hardware_decoding_unavailable",
            "warning",
            SOFTWARE,
        )
        assert line["reason"].startswith(f"{device}: the device does not open (")
        assert len(_shown(decoders[0], packets)) == len(packets)
        assert trouble("h264", device) in line["reason"]

    @pytest.mark.parametrize("unknown", ["nonsense", "cud", ""])
    def test_a_name_that_the_build_does_not_know_is_not_taken_for_any(self, unknown: str) -> None:
        assert "knows no" in trouble("h264", unknown)
        assert accelerated("h264", unknown) is None

    def test_a_codec_that_no_device_decodes(self) -> None:
        device = hwdevices_available()[0]
        assert trouble("rawvideo", device) == "its FFmpeg decoders take no rawvideo"
        assert accelerated("rawvideo", AUTO) is None

    def test_a_decoder_of_the_device_s_own_is_found(self) -> None:
        found = {
            device: [name for name, _ in hardware._decoders("hevc", device)] for device in ("qsv", "cuda")
        }
        known = Codec("hevc", "r").hardware_configs
        assert found["cuda"][:1] == ["hevc"] * any(config.device_type.name == "cuda" for config in known)
        assert found["qsv"] in ([], ["hevc_qsv"], ["hevc", "hevc_qsv"])

    def test_another_decoder_of_the_same_codec_does_not_hide_the_device(self) -> None:
        """AV1 is mostly decoded by libdav1d, which knows no device; FFmpeg's own does."""
        assert list(hardware._decoders("libdav1d", "cuda")) == list(hardware._decoders("av1", "cuda"))

    def test_auto_takes_what_opens_and_asks_for_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        there = Device().accelerated
        monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["qsv", "cuda", "drm"])
        tried = []

        def opened(codec: str, device: str) -> Accelerated | str:
            tried.append(device)
            return there if device == "qsv" else "none"

        monkeypatch.setattr(hardware, "_opened", opened)
        assert accelerated("h264", AUTO) is there
        assert tried == ["cuda", "qsv"]
        assert trouble("h264", AUTO) == trouble("h264", OFF) == ""

    def test_a_device_that_opens_at_the_second_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """CUDA's primary context may belong to somebody else; one of its own then does."""
        asked = []

        class Context:
            is_hwaccel = True

        def create(_name: str, _mode: str, accel: HWAccel) -> Context:
            asked.append(accel.options)
            if accel.options:
                raise av.error.OSError(95, "Operation not supported")
            return Context()

        monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["cuda"])
        monkeypatch.setattr(hardware, "_decoders", lambda *_: iter([("h264", "cuda")]))
        monkeypatch.setattr(hardware.av.CodecContext, "create", create, raising=False)
        monkeypatch.setattr(hardware.av, "VideoCodecContext", Context)
        found = accelerated("h264", "cuda")
        assert found is not None
        assert (found.device, found.pixel_format, asked) == ("cuda", "cuda", [{"primary_ctx": "1"}, {}])


class TestDecoding:
    def test_on_a_device_it_is_the_decoder_it_was(self, clip: tuple[StreamInfo, list[Packet]]) -> None:
        info, packets = clip
        decoder, plain = Device().decoder(info), Decoder(info)
        assert decoder.device == "engine"
        assert _shown(decoder, packets) == _shown(plain, packets)
        for packet in packets:
            if packet.keyframe:
                assert [p.pts_s for p in decoder.keyframe(packet)] == [packet.pts_s]
        decoder.prefer_references(True)
        assert len(_shown(decoder, packets)) < len(packets)
        assert (decoder.device, decoder.errors) == ("engine", 0)

    def test_a_device_that_refuses_the_first_keyframe_loses_nothing(
        self, clip: tuple[StreamInfo, list[Packet]]
    ) -> None:
        info, packets = clip
        decoder = Device(_refuse).decoder(info)
        with capture_logs() as logs:
            shown = _shown(decoder, packets)
        assert len(shown) == len(packets)
        assert (decoder.device, decoder.errors) == (SOFTWARE, 0)
        assert [line["reason"] for line in logs] == ["engine: it cannot decode the stream"]

    def test_a_stream_joined_between_keyframes_is_no_fault_of_the_device(
        self, clip: tuple[StreamInfo, list[Packet]]
    ) -> None:
        info, packets = clip
        joined = packets[4:]
        decoder = Device().decoder(info)
        assert _shown(decoder, joined) == _shown(Decoder(info), joined)
        assert decoder.device == "engine"

    def test_a_damaged_packet_is_no_fault_of_the_device_but_a_dead_one_is_left(
        self, clip: tuple[StreamInfo, list[Packet]]
    ) -> None:
        info, packets = clip

        def now_and_then(index: int, payload: Any) -> bool:
            return index != 12 or _refuse()

        decoder = Device(now_and_then).decoder(info)
        _shown(decoder, packets)
        assert (decoder.device, decoder.errors) == ("engine", 1)

        def dies(index: int, payload: Any) -> bool:
            return index < 12 or _refuse()

        decoder = Device(dies).decoder(info)
        pictures = [len(decoder.decode(packet)) for packet in packets * 2]
        assert (decoder.device, decoder.errors) == (SOFTWARE, 2)
        lost = [index for index, packet in enumerate(packets * 2) if packet.keyframe][1:4]
        assert sum(pictures[: lost[2]]) <= lost[0]
        assert sum(pictures[lost[2] :]) >= len(packets * 2) - lost[2] - 4

    def test_a_device_that_shows_nothing_is_left(self, clip: tuple[StreamInfo, list[Packet]]) -> None:
        info, packets = clip
        decoder = Device(lambda *_: False).decoder(info)
        decoder.prefer_references(True)
        for packet in packets * 2:
            decoder.decode(packet)
        assert decoder.device == SOFTWARE
        few = sum(len(decoder.decode(packet)) for packet in packets)
        assert 0 < few < len(packets) - 5  # what was asked for still holds

    def test_what_ffmpeg_takes_back_into_software_is_told(
        self, clip: tuple[StreamInfo, list[Packet]]
    ) -> None:
        info, packets = clip
        decoder = Device(shows="surface").decoder(info)
        with capture_logs() as logs:
            assert len(_shown(decoder, packets)) == len(packets)
        assert decoder.device == SOFTWARE
        assert [line["reason"] for line in logs] == ["engine: FFmpeg found the stream beyond it"]

    def test_what_fails_at_the_end_of_the_stream(self, clip: tuple[StreamInfo, list[Packet]]) -> None:
        info, packets = clip

        def at_the_end(_index: int, payload: Any) -> bool:
            return payload is not None or _refuse()

        decoder = Device(at_the_end).decoder(info)
        decoder.decode(packets[0])
        assert decoder.flush() == []
        assert decoder.keyframe(packets[0])
        assert decoder.device == SOFTWARE

    def test_one_line_for_one_reason(self) -> None:
        with capture_logs() as logs:
            for _ in range(3):
                given_up("engine", "h264", "gone")
                given_up("engine", "hevc", "gone")
        assert len(logs) == 2


def test_a_reader_says_what_decodes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=50)
    sink = CollectingSink()
    options = ReaderOptions(SourceOptions(realtime=False), gate=False, hardware=absent())
    reader = Reader("gate", SourceUrl.parse(str(path)), options, sink, SystemClock(), random.Random(1))
    assert reader.status().decoder is None
    reader.start()
    try:
        sink.wait_for_more(1)
        assert reader.status().decoder == SOFTWARE
    finally:
        reader.stop()
