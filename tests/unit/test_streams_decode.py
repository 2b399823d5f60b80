"""The decoder survives what streams throw at it."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.decode import DecodedPicture, Decoder
from streams.errors import ReadError
from streams.packet import Packet, StreamInfo
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl
from tests.support.rtsp import read_all, write_clip


def _packets(path: Path) -> tuple[StreamInfo, list[Packet]]:
    """Byte-stream packets with in-band parameter sets, as a camera sends them."""
    source = open_source(SourceUrl.parse(str(path)), SourceOptions(realtime=False))
    packets = read_all(source)
    return source.info, packets


def _clip(folder: Path, name: str = "clip.h264", **kind: object) -> tuple[StreamInfo, list[Packet]]:
    return _packets(write_clip(folder / name, **kind))  # type: ignore[arg-type]


def _in_band(info: StreamInfo) -> StreamInfo:
    return StreamInfo(info.codec, 0, 0)


def _spoilt(packet: Packet, data: bytes) -> Packet:
    payload = av.Packet(data)
    payload.pts, payload.time_base = packet.payload.pts, packet.payload.time_base or Fraction(1, 25)
    return Packet(packet.pts_s, len(data), packet.keyframe, payload)


def _level(decoded: DecodedPicture) -> float:
    return float(decoded.picture.luma(16, 16).mean())


def test_every_picture_comes_out(tmp_path: Path) -> None:
    info, packets = _clip(tmp_path, "clip.mp4", b_frames=2, frames=30)
    decoder = Decoder(info)
    pictures = [picture for packet in packets for picture in decoder.decode(packet)] + decoder.flush()
    times = [picture.pts_s for picture in pictures]
    assert times == pytest.approx([index / 25 for index in range(30)])
    assert pictures[0].keyframe
    assert _level(pictures[0]) < _level(pictures[15]) < _level(pictures[-1])
    assert decoder.errors == decoder.skipped == 0


def test_rubbish_is_counted_and_decoding_goes_on_at_the_next_keyframe(tmp_path: Path) -> None:
    info, packets = _clip(tmp_path, frames=40)
    decoder = Decoder(_in_band(info))
    packets[13] = _spoilt(packets[13], b"\x00\x00\x00\x01\x65" + b"\xff" * 60)
    counts = [len(decoder.decode(packet)) for packet in packets]
    assert decoder.errors == 1
    assert decoder.skipped == 6
    assert sum(counts[:13]) == 13
    assert counts[13:20] == [0] * 7
    assert sum(counts[20:]) + len(decoder.flush()) == 20


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20), st.booleans())
def test_no_bytes_break_it(rubbish: list[bytes], framed: bool) -> None:
    decoder = Decoder(StreamInfo("h264", 0, 0))
    for data in rubbish:
        payload = av.Packet(b"\x00\x00\x01" + data if framed else data)
        decoder.decode(Packet(None, payload.size, True, payload))
    decoder.flush()


def test_an_empty_packet_does_not_end_the_stream(tmp_path: Path) -> None:
    info, packets = _clip(tmp_path, frames=20)
    decoder = Decoder(_in_band(info))
    decoded = 0
    for packet in packets:
        assert decoder.decode(Packet(None, 0, False, av.Packet())) == []
        decoded += len(decoder.decode(packet))
    assert decoded + len(decoder.flush()) == 20


def test_joining_between_keyframes_waits_for_one(tmp_path: Path) -> None:
    info, packets = _clip(tmp_path, frames=30)
    decoder = Decoder(_in_band(info))
    pictures = [picture for packet in packets[4:] for picture in decoder.decode(packet)] + decoder.flush()
    assert pictures
    assert pictures[0].keyframe


def test_a_change_of_size_just_changes_the_pictures(tmp_path: Path) -> None:
    info, small = _clip(tmp_path, "small.h264", frames=20)
    _, large = _clip(tmp_path, "large.h264", frames=20, size=(320, 240))
    decoder = Decoder(_in_band(info))
    pictures = [picture for packet in small + large for picture in decoder.decode(packet)] + decoder.flush()
    sizes = [(picture.picture.width, picture.picture.height) for picture in pictures]
    assert sizes == [(160, 128)] * 20 + [(320, 240)] * 20


def test_another_codec_behind_the_same_stream_is_given_up(tmp_path: Path) -> None:
    _, packets = _clip(tmp_path, "clip.mkv", codec="mjpeg", frames=10)
    decoder = Decoder(StreamInfo("h264", 0, 0))
    with pytest.raises(ReadError, match="not decodable"):
        [decoder.decode(packet) for _ in range(1000) for packet in packets]


def test_without_marked_keyframes_it_resumes_some_time(tmp_path: Path) -> None:
    info, packets = _clip(tmp_path, frames=20)
    decoder = Decoder(_in_band(info))
    decoder.decode(_spoilt(packets[0], b"\x00\x00\x00\x01\x65" + b"\xff" * 60))
    unmarked = [Packet(packet.pts_s, packet.size, False, packet.payload) for packet in packets]
    assert sum(len(decoder.decode(packet)) for _ in range(60) for packet in unmarked) > 0


def test_parameters_from_a_template(tmp_path: Path) -> None:
    info, packets = _clip(tmp_path, "clip.mp4", frames=10)
    assert isinstance(info.template, av.VideoStream)
    assert info.template.codec_context is not None
    parameters = StreamInfo(info.codec, info.width, info.height, info.template.codec_context)
    decoder = Decoder(parameters, threads=2)
    assert sum(len(decoder.decode(packet)) for packet in packets) + len(decoder.flush()) == 10


@pytest.mark.parametrize("codec", ["no-such-codec", "aac"])
def test_unknown_codecs_are_read_errors(codec: str) -> None:
    with pytest.raises(ReadError, match=codec):
        Decoder(StreamInfo(codec, 0, 0))
