"""The ring of packets: whole GOPs, bounded, and everybody gets what they ask for or is told what was lost."""

import itertools
import random
import threading
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clock import SystemClock
from streams.decode import Decoder
from streams.packet import Packet, StreamInfo
from streams.reader import Reader, ReaderOptions
from streams.ring import Follower, Kept, PacketRing
from streams.service import KEYFRAMES
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl
from tests.support.rtsp import PATIENCE_S, CollectingSink, read_all, write_clip

INFO = StreamInfo("h264", 160, 128)
UTC_TIME = datetime(2026, 1, 1, tzinfo=UTC)
RATE = 10


def _put(ring: PacketRing, pts_s: float | None, *, keyframe: bool = False, size: int = 10) -> None:
    ring.put(Packet(pts_s, size, keyframe, av.Packet()), pts_s, pts_s or 0.0, UTC_TIME)


def _filled(pictures: int, gop: int = 5, **bounds: float) -> PacketRing:
    ring = PacketRing(**bounds)  # type: ignore[arg-type]
    ring.opened(INFO)
    for index in range(pictures):
        _put(ring, index / RATE, keyframe=index % gop == 0)
    return ring


def _times(kept: list[Kept]) -> list[float]:
    return [round(one.pts_s, 3) for one in kept if one.pts_s is not None]


def test_a_clip_begins_with_the_keyframe_before_and_ends_where_it_is_told() -> None:
    clip = _filled(30).clip(0.7, 1.2)
    assert _times(clip) == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    assert clip[0].packet.keyframe


def test_a_clip_of_what_is_gone_begins_with_what_is_there() -> None:
    ring = _filled(100, keep_s=2.0)
    clip = ring.clip(0.0, 100.0)
    assert clip[0].packet.keyframe
    assert 0 < clip[0].pts_s <= 9.9 - 2.0  # type: ignore[operator]
    assert _times(clip)[-1] == 9.9


@pytest.mark.parametrize(("first_s", "last_s"), [(10.0, 20.0), (-5.0, -1.0), (2.0, 1.0)])
def test_there_is_no_clip_of_what_was_never_there(first_s: float, last_s: float) -> None:
    assert _filled(30).clip(first_s, last_s) == [] or last_s < first_s


def test_pictures_out_of_order_are_in_the_clip_that_shows_them() -> None:
    ring = PacketRing()
    ring.opened(INFO)
    for index, pts_s in enumerate((0.0, 0.3, 0.1, 0.2, 0.6, 0.4, 0.5)):
        _put(ring, pts_s, keyframe=index == 0)
    assert _times(ring.clip(0.1, 0.2)) == [0.0, 0.3, 0.1, 0.2]


def test_nothing_is_kept_before_a_keyframe_nor_across_connections() -> None:
    ring = PacketRing()
    ring.opened(INFO)
    _put(ring, 0.0)
    assert ring.size == 0
    _put(ring, 0.1, keyframe=True)
    ring.opened(INFO)
    _put(ring, 0.2)
    _put(ring, 0.3, keyframe=True)
    clip = ring.clip(0.0, 1.0)
    assert [(one.opening, one.pts_s) for one in clip] == [(1, 0.1), (2, 0.3)]
    assert ring.info(1).codec == "h264"


def test_what_a_stream_said_goes_with_its_last_packet() -> None:
    ring = _filled(5, keep_s=1.0)
    for opening in range(3):
        ring.opened(INFO)
        for index in range(10):
            _put(ring, 10.0 * (opening + 1) + index, keyframe=True)
    ring.opened(INFO)
    with pytest.raises(KeyError):
        ring.info(1)
    assert ring.info(4).codec == "h264"


def test_a_gop_larger_than_all_there_is_is_dropped_and_counted() -> None:
    ring = _filled(1, max_bytes=35)
    for index in range(1, 9):
        _put(ring, index / RATE)
    assert (ring.overflows, ring.size) == (1, 0)
    assert ring.clip(0.0, 10.0) == []
    _put(ring, 2.0, keyframe=True)
    assert _times(ring.clip(0.0, 10.0)) == [2.0]


def test_packets_without_times_are_kept_but_begin_no_clip() -> None:
    ring = PacketRing()
    ring.opened(INFO)
    _put(ring, None, keyframe=True)
    _put(ring, None)
    assert ring.newest_s is None
    assert ring.clip(0.0, 10.0) == []


@given(
    gops=st.lists(st.integers(1, 12), min_size=1, max_size=20),
    sizes=st.integers(1, 40),
    keep_s=st.floats(0.3, 3.0),
    max_bytes=st.integers(100, 2000),
)
def test_it_never_holds_more_than_it_may_and_always_what_it_should(
    gops: list[int], sizes: int, keep_s: float, max_bytes: int
) -> None:
    ring = PacketRing(keep_s, max_bytes)
    ring.opened(INFO)
    times = itertools.count()
    for length in gops:
        for index in range(length):
            _put(ring, next(times) / RATE, keyframe=index == 0, size=sizes)
            assert ring.size <= max_bytes
    newest_s = (sum(gops) - 1) / RATE
    clip = ring.clip(newest_s - keep_s, newest_s)
    assert not clip or clip[0].packet.keyframe
    if max_bytes >= sizes * (keep_s * RATE + 2 * 12 + 2):
        assert _times(clip)[0] <= max(0.0, newest_s - keep_s) + 1e-6


def test_a_follower_gets_the_newest_gop_and_then_each_packet_once() -> None:
    ring = _filled(12)
    with ring.follow() as follower:
        assert ring.followed
        assert _times(follower.take(0)) == [1.0, 1.1]
        assert follower.take(0) == []
        _put(ring, 1.2)
        _put(ring, 1.3, keyframe=True)
        assert _times(follower.take(0)) == [1.2, 1.3]
    assert not ring.followed


def test_a_follower_that_is_too_slow_goes_on_at_a_keyframe_and_counts() -> None:
    ring = _filled(1, gop=1, keep_s=1.0)
    with ring.follow() as follower:
        follower.take(0)
        for index in range(1, 60):
            _put(ring, index / RATE, keyframe=index % 5 == 0)
        taken = follower.take(0)
        assert taken[0].packet.keyframe
        assert _times(taken) == [5.5, 5.6, 5.7, 5.8, 5.9]
        assert follower.lost == 54


def test_a_follower_that_waits_is_woken() -> None:
    ring = PacketRing()
    ring.opened(INFO)
    taken: list[Kept] = []

    def follow(follower: Follower) -> None:
        taken.extend(follower.take(PATIENCE_S))

    with ring.follow() as follower:
        thread = threading.Thread(target=follow, args=(follower,))
        thread.start()
        _put(ring, 0.0, keyframe=True)
        thread.join(PATIENCE_S)
    assert _times(taken) == [0.0]


@pytest.mark.parametrize("bounds", [{"keep_s": 0.0}, {"max_bytes": 0}])
def test_a_ring_that_keeps_nothing_is_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="keep something"):
        PacketRing(**bounds)


@pytest.mark.parametrize("suffix", [".ts", ".mp4"])
def test_a_reader_keeps_what_it_does_not_decode_and_it_decodes_when_the_stream_is_closed(
    tmp_path: Path, suffix: str
) -> None:
    path = write_clip(tmp_path / f"clip{suffix}", frames=50)
    url, options = SourceUrl.parse(str(path)), SourceOptions(realtime=False)
    expected = read_all(open_source(url, options))
    ring, sink, ended = PacketRing(), CollectingSink(), threading.Event()

    class Quiet(SystemClock):
        def wait(self, event: threading.Event, timeout_s: float) -> bool:
            ended.set()
            return event.wait(PATIENCE_S)

    reader = Reader("gate", url, ReaderOptions(options), sink, Quiet(), random.Random(1), ring=ring)
    reader.set_service(KEYFRAMES)
    reader.start()
    assert ended.wait(PATIENCE_S)
    reader.stop()
    kept = ring.clip(-1.0, 100.0)
    assert [one.packet.pts_s for one in kept] == [one.pts_s for one in expected]
    shown = {frame.pts_s for frame in sink.frames}
    assert shown <= {one.pts_s for one in kept}
    decoder = Decoder(ring.info(kept[0].opening))
    pictures = [picture for one in kept for picture in decoder.decode(one.packet)] + decoder.flush()
    assert len(pictures) == 50
