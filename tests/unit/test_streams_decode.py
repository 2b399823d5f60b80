"""The decoder survives what streams throw at it."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.decode import DecodedPicture, Decoder
from streams.errors import ReadError
from streams.packet import Packet, StreamInfo
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl
from tests.support.motion_clip import HEVC_OPEN_GOP, OPEN_GOP, write_motion
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


def test_a_keyframe_is_shown_at_once_even_by_a_decoder_that_reorders(tmp_path: Path) -> None:
    """Alone, again and again; and where it can, the decoder goes on from there."""
    for codec, b_frames in (("libx264", 0), ("libx264", 2), ("libx265", 2)):
        kind = {"codec": codec, "b_frames": b_frames, "frames": 40}
        info, packets = _clip(tmp_path, f"{codec}-{b_frames}.mp4", **kind)
        decoder = Decoder(info)
        for packet in packets:
            if packet.keyframe:
                pictures = decoder.keyframe(packet)
                assert [picture.pts_s for picture in pictures] == [packet.pts_s]
                assert pictures[0].keyframe
        assert decoder.continuous is (b_frames == 0)
        assert decoder.errors == 0


def test_it_goes_on_after_a_lone_keyframe_or_from_it_again(tmp_path: Path) -> None:
    for b_frames in (0, 2):
        info, packets = _clip(tmp_path, f"{b_frames}.mp4", b_frames=b_frames, frames=30)
        decoder = Decoder(info)
        assert len(decoder.keyframe(packets[0])) == 1
        rest = packets[1:] if decoder.continuous else packets
        shown = sum(len(decoder.decode(packet)) for packet in rest) + len(decoder.flush())
        assert shown == len(rest)


def test_after_a_restart_it_waits_for_a_keyframe(tmp_path: Path) -> None:
    info, packets = _clip(tmp_path, frames=30)
    decoder = Decoder(_in_band(info))
    decoder.decode(packets[0])
    decoder.restart()
    pictures = [picture for packet in packets[4:] for picture in decoder.decode(packet)]
    assert pictures[0].keyframe
    assert decoder.skipped == 6


def test_a_keyframe_that_is_none_shows_nothing(tmp_path: Path) -> None:
    info, packets = _clip(tmp_path, frames=30)
    decoder = Decoder(_in_band(info))
    rubbish = _spoilt(packets[0], b"\x00\x00\x00\x01\x65" + b"\xff" * 60)
    assert decoder.keyframe(Packet(0.0, rubbish.size, True, rubbish.payload)) == []
    assert decoder.errors == 1


def test_lone_keyframes_of_a_reordering_decoder_are_no_barren_stream(tmp_path: Path) -> None:
    info, packets = _clip(tmp_path, "clip.mp4", b_frames=2, frames=20)
    decoder = Decoder(info)
    assert sum(len(decoder.keyframe(packets[0])) for _ in range(1600)) == 1600


def test_leading_pictures_of_an_open_gop_are_not_shown(tmp_path: Path) -> None:
    for coding in (OPEN_GOP, HEVC_OPEN_GOP):
        clip = write_motion(tmp_path / f"{coding[0]}.mp4", ((0.0, 4.0),), 4.0, coding, gop=26, size=(160, 96))
        at = [index for index, packet in enumerate(clip.packets) if packet.keyframe][1]
        keyframe_s = clip.packets[at].pts_s
        assert keyframe_s is not None
        leading = [p for p in clip.packets[at + 1 :] if p.pts_s is not None and p.pts_s < keyframe_s]
        assert leading
        decoder = Decoder(clip.info)
        decoder.restart()
        pictures = [p for packet in clip.packets[at:] for p in decoder.decode(packet)] + decoder.flush()
        assert min(p.pts_s for p in pictures if p.pts_s is not None) == keyframe_s
        assert len(pictures) == len(clip.packets) - at - len(leading)


def test_only_pictures_that_others_refer_to(tmp_path: Path) -> None:
    info, packets = _clip(tmp_path, "clip.mp4", b_frames=2, frames=60)
    decoder = Decoder(info)
    decoder.prefer_references(True)
    few = sum(len(decoder.decode(packet)) for packet in packets[:30]) + len(decoder.flush())
    assert 8 <= few <= 22
    decoder.prefer_references(False)
    assert sum(len(decoder.decode(packet)) for packet in packets[30:]) + len(decoder.flush()) == 30


def test_without_the_loop_filter_pictures_hardly_differ(tmp_path: Path) -> None:
    clip = write_motion(tmp_path / "clip.mp4", ((0.0, 2.0),), 2.0)
    shown = []
    for loop_filter in (True, False):
        decoder = Decoder(clip.info, loop_filter=loop_filter)
        shown.append([p.picture.luma(320, 192) for packet in clip.packets for p in decoder.decode(packet)])
    differences = [np.abs(a.astype(int) - b).mean() for a, b in zip(*shown, strict=True)]
    assert 0 < max(differences) < 3


def test_a_picture_larger_than_any_camera_s_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.decode.MAX_PIXELS", 160 * 128 - 1)
    source = open_source(
        SourceUrl.parse(str(write_clip(tmp_path / "clip.ts"))), SourceOptions(realtime=False)
    )
    decoder = Decoder(StreamInfo("h264", 0, 0))
    assert not [picture for packet in read_all(source) for picture in decoder.decode(packet)]
    assert decoder.errors > 0
