"""From packets to wanted pictures: nothing that moves is missed, and all is accounted for."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.activity import GateOptions
from streams.decode import Decoder
from streams.gated import GatedDecoder, Seen, Shown
from streams.gop import GopBuffer
from streams.packet import Packet, StreamInfo
from streams.picture import AvPicture
from streams.service import KEYFRAMES, SHED, Service
from tests.support.motion_clip import (
    B_FRAMES,
    CBR,
    HEVC,
    HEVC_OPEN_GOP,
    OPEN_GOP,
    VBR,
    MotionClip,
    write_motion,
)

SPANS = ((8.0, 11.0), (18.3, 20.5), (29.3, 31.0))
SECONDS = 36.0
FPS = 25
UTC_NOW = datetime(2026, 1, 1, tzinfo=UTC)
VARIABLE = {
    "vbr": VBR,
    "b-frames": B_FRAMES,
    "open-gop": OPEN_GOP,
    "hevc": HEVC,
    "hevc-open-gop": HEVC_OPEN_GOP,
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], MotionClip]:
    made: dict[str, MotionClip] = {}

    def make(name: str) -> MotionClip:
        if name not in made:
            coding = {**VARIABLE, "cbr": CBR, "long-gop": VBR}[name]
            path = tmp_path_factory.mktemp(name) / "clip.mp4"
            made[name] = write_motion(path, SPANS, SECONDS, coding, gop=250 if name == "long-gop" else 50)
        return made[name]

    return make


class Line:
    """A gated decoder with its books."""

    def __init__(self, info: StreamInfo, fps: float = 5.0, options: GateOptions | None = None) -> None:
        self.gated = GatedDecoder(fps, options or GateOptions(), realtime=False)
        self.decoder = Decoder(info)
        self.gated.opened(self.decoder, again=False)
        self.shown: list[Shown] = []
        self.largest = 0

    def play(self, packets: list[Packet]) -> "Line":
        for packet in packets:
            self.shown += self.gated.feed(packet, Seen(packet.pts_s or 0.0, UTC_NOW))
            self.largest = max(self.largest, self.gated.counts().held_bytes)
        return self

    @property
    def wanted(self) -> list[Shown]:
        return [shown for shown in self.shown if shown.wanted]


def _delay_s(clip: MotionClip, line: Line, span: int) -> float:
    begin_s, end_s = clip.spans[span]
    return min(s.pts_s for s in line.wanted if begin_s <= s.pts_s <= end_s) - begin_s


@pytest.mark.parametrize("name", VARIABLE)
def test_variable_bit_rate_is_left_undecoded_while_nothing_moves_and_wakes_in_time(
    clip: Callable[[str], MotionClip], name: str
) -> None:
    played = clip(name)
    line = Line(played.info).play(played.packets)
    counts = line.gated.counts()
    assert counts.trust == "trusted"
    assert counts.undecoded > 150
    assert counts.looks >= 5
    assert counts.caught_up >= 10
    assert all(_delay_s(played, line, span) <= 0.3 for span in (1, 2))
    for begin_s, end_s in played.spans:
        during = [s for s in line.wanted if begin_s <= s.pts_s <= end_s]
        assert len(during) >= (end_s - begin_s - 0.3) * 5 - 1
    assert line.decoder.errors == 0


@pytest.mark.parametrize("name", VARIABLE)
def test_pictures_come_once_each_in_their_order_and_are_what_full_decoding_shows(
    clip: Callable[[str], MotionClip], name: str
) -> None:
    """Nothing grey, torn or leading gets through: each picture is equal to that of an ungated decoder."""
    played = clip(name)
    decoder = Decoder(played.info)
    full = {round(p.pts_s or 0, 3): p for packet in played.packets for p in decoder.decode(packet)}
    line = Line(played.info).play(played.packets)
    times = [shown.pts_s for shown in line.shown]
    assert all(b > a for a, b in itertools.pairwise(times))
    assert line.gated.timeline.repeats == line.gated.timeline.repairs == 0
    for shown in line.wanted:
        assert shown.picture is not None
        expected = full[round(shown.picture.pts_s or 0, 3)].picture.luma(320, 192).astype(int)
        got = shown.picture.picture.luma(320, 192).astype(int)
        assert abs(got - expected).max() <= 2


def test_constant_bit_rate_is_decoded_whole(clip: Callable[[str], MotionClip]) -> None:
    played = clip("cbr")
    line = Line(played.info).play(played.packets)
    counts = line.gated.counts()
    assert (counts.trust, counts.undecoded, counts.held) == ("cannot_tell", 0, 0)
    assert len(line.shown) == len(played.packets)
    assert all(_delay_s(played, line, span) <= 0.3 for span in range(3))


def test_rare_keyframes(clip: Callable[[str], MotionClip]) -> None:
    """Ten seconds from keyframe to keyframe: what is held may be long, yet motion is seen at once."""
    played = clip("long-gop")
    line = Line(played.info).play(played.packets)
    assert line.gated.counts().trust == "trusted"
    assert all(_delay_s(played, line, span) <= 0.3 for span in (1, 2))


def test_a_full_buffer_is_decoded_instead_of_dropped(
    clip: Callable[[str], MotionClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.gated.GopBuffer", lambda: GopBuffer(max_packets=10, max_bytes=4000))
    played = clip("vbr")
    line = Line(played.info).play(played.packets)
    counts = line.gated.counts()
    assert line.largest <= 4000
    assert counts.overflows == 0
    assert counts.trust == "trusted"
    assert all(_delay_s(played, line, span) <= 0.3 for span in (1, 2))


def test_switched_off_every_picture_is_decoded_and_wanted_at_its_rate(
    clip: Callable[[str], MotionClip],
) -> None:
    played = clip("vbr")
    line = Line(played.info, options=GateOptions(enabled=False)).play(played.packets)
    assert len(line.shown) == len(played.packets)
    assert len(line.wanted) == pytest.approx(SECONDS * 5, abs=1)
    assert all(shown.motion is None for shown in line.shown)


def test_only_keyframes_when_the_planner_says_so(clip: Callable[[str], MotionClip]) -> None:
    played = clip("b-frames")
    line = Line(played.info)
    line.gated.gate.service = KEYFRAMES
    line.play(played.packets)
    assert len(line.shown) == sum(packet.keyframe for packet in played.packets)
    assert all(shown.picture is not None and shown.picture.keyframe for shown in line.shown)
    assert len(line.wanted) >= 3
    line.gated.gate.service = SHED
    before = len(line.shown)
    line.play(played.packets)
    assert len(line.shown) == before


def test_fewer_pictures_when_the_planner_says_so_and_back(clip: Callable[[str], MotionClip]) -> None:
    played = clip("vbr")
    line = Line(played.info)
    line.gated.gate.service = Service(1.0)
    line.play(played.packets[: 10 * FPS])
    assert len(line.wanted) <= 11
    line.gated.gate.service = Service(10.0)
    line.play(played.packets[10 * FPS : 11 * FPS])
    assert len([s for s in line.wanted if s.pts_s > 10]) == pytest.approx(5, abs=1)  # as configured, no more


def test_b_pictures_are_left_out_where_few_are_wanted(clip: Callable[[str], MotionClip]) -> None:
    played = clip("b-frames")
    line = Line(played.info, fps=2.0).play(played.packets[: 8 * FPS])
    assert len(line.shown) < 6.5 * FPS
    assert len(line.wanted) >= 4
    assert all(b.pts_s > a.pts_s for a, b in itertools.pairwise(line.shown))


def test_what_was_held_tells_when_it_was_read(clip: Callable[[str], MotionClip]) -> None:
    played = clip("vbr")
    line = Line(played.info).play(played.packets)
    assert all(shown.seen.mono_s == shown.pts_s for shown in line.shown)


def test_catching_up_keeps_no_picture_but_the_newest(
    clip: Callable[[str], MotionClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counted(AvPicture):
        """Knows how many there are."""

        __slots__ = ()
        alive = most = 0

        def __init__(self, frame: av.VideoFrame) -> None:
            super().__init__(frame)
            Counted.alive += 1
            Counted.most = max(Counted.most, Counted.alive)

        def __del__(self) -> None:
            Counted.alive -= 1

    monkeypatch.setattr("streams.decode.AvPicture", Counted)
    played = clip("vbr")
    line = Line(played.info)
    longest = 0
    for packet in played.packets:
        shown = line.gated.feed(packet, Seen(packet.pts_s or 0.0, UTC_NOW))
        longest = max(longest, len(shown))
        assert all(b.pts_s > a.pts_s for a, b in itertools.pairwise(shown))
        assert [one.picture is not None for one in shown[-1:]] == [True] * len(shown[-1:])
        assert not any(one.wanted or one.picture for one in shown[:-1])
        del shown
    assert longest >= 10
    assert line.gated.counts().caught_up >= 10
    assert Counted.most <= 2  # the one that is replaced, and the one that replaces it
    assert Counted.alive == 0


def test_a_new_stream_goes_on_with_what_was_learnt(clip: Callable[[str], MotionClip]) -> None:
    played = clip("vbr")
    line = Line(played.info).play(played.packets)
    last_s = line.shown[-1].pts_s
    line.gated.opened(Decoder(StreamInfo("h264", 320, 192, played.info.template)), again=True)
    line.play(played.packets[:100])
    assert line.gated.counts().trust == "trusted"
    assert line.shown[-1].pts_s > last_s


def test_the_end_gives_what_the_decoder_holds_back(clip: Callable[[str], MotionClip]) -> None:
    played = clip("b-frames")
    line = Line(played.info).play(played.packets[:40])
    before = len(line.shown)
    assert len(line.gated.finish(Seen(0.0, UTC_NOW))) >= 1
    assert line.gated.finish(Seen(0.0, UTC_NOW)) == []
    assert before + 3 >= 40


def test_nothing_is_fed_before_it_is_open(clip: Callable[[str], MotionClip]) -> None:
    gated = GatedDecoder(5.0, GateOptions(), realtime=True)
    with pytest.raises(RuntimeError, match="open"):
        gated.feed(clip("vbr").packets[0], Seen(0.0, UTC_NOW))
    assert gated.finish(Seen(0.0, UTC_NOW)) == []


def _late(line: Line, packets: list[Packet]) -> None:
    for packet in packets:
        line.gated.pass_over(packet, Seen(packet.pts_s or 0.0, UTC_NOW))


def test_what_is_passed_over_is_caught_up_from_the_newest_keyframe(
    clip: Callable[[str], MotionClip],
) -> None:
    """Three seconds come too late: those since the last keyframe are decoded with the next packet."""
    played = clip("vbr")
    line = Line(played.info).play(played.packets[:60])
    _late(line, played.packets[60:135])
    assert line.gated.work is None
    assert len(line.shown) == 60
    counts = line.gated.counts()
    assert (counts.late, counts.held) == (40, 35)  # the keyframes are at 50, 100, ...
    line.play(played.packets[135:137])
    assert [shown.wanted for shown in line.shown[60:-2]] == [False] * 35
    assert line.gated.counts().late == 40
    assert line.gated.counts().held == 0
    assert line.shown[-2].pts_s == played.packets[135].pts_s
    assert line.decoder.errors == 0


def test_passing_over_goes_on_in_the_run(clip: Callable[[str], MotionClip]) -> None:
    played = clip("vbr")
    line = Line(played.info).play(played.packets[:60])
    _late(line, played.packets[60:70])
    line.play(played.packets[70:71])
    assert line.gated.counts().late == 0
    assert len(line.shown) == 71
    assert line.decoder.errors == line.decoder.skipped == 0


def test_what_is_passed_over_before_a_keyframe_is_late(clip: Callable[[str], MotionClip]) -> None:
    played = clip("vbr")
    line = Line(played.info).play(played.packets[:60])
    _late(line, played.packets[60:100])
    line.play(played.packets[100:110])
    assert line.gated.counts().late == line.gated.counts().undecoded == 40
    assert len(line.shown) == 70
    assert line.decoder.errors == line.decoder.skipped == 0


def test_an_idle_camera_leaves_nothing_undecoded_for_being_late(clip: Callable[[str], MotionClip]) -> None:
    """Its packets would not have been decoded anyway, but for the keyframes that were to be looked at."""
    played = clip("vbr")
    line = Line(played.info).play(played.packets[: 15 * FPS])
    assert line.gated.counts().activity == "idle"
    _late(line, played.packets[15 * FPS : 18 * FPS])
    line.play(played.packets[18 * FPS : 20 * FPS])
    assert 1 <= line.gated.counts().late <= 2
    assert _delay_s(played, line, 1) <= 0.3


def test_motion_in_what_is_passed_over_wakes_the_camera(clip: Callable[[str], MotionClip]) -> None:
    played = clip("vbr")
    line = Line(played.info).play(played.packets[: 18 * FPS])
    assert line.gated.counts().activity == "idle"
    _late(line, played.packets[18 * FPS : 19 * FPS])
    assert line.gated.counts().activity == "waking"
    line.play(played.packets[19 * FPS : 19 * FPS + 1])
    assert line.shown[-1].wanted
    assert line.gated.counts().caught_up > FPS


def test_passing_over_is_bounded_too(
    clip: Callable[[str], MotionClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.gated.GopBuffer", lambda: GopBuffer(max_packets=10))
    played = clip("vbr")
    line = Line(played.info).play(played.packets[:60])
    _late(line, played.packets[60:80])
    counts = line.gated.counts()
    assert (counts.overflows, counts.late, counts.held) == (1, 20, 0)
    line.play(played.packets[80:120])
    assert len(line.shown) == 60 + 20
    assert line.decoder.errors == 0
    with pytest.raises(RuntimeError, match="open"):
        GatedDecoder(5.0, GateOptions(), realtime=True).pass_over(played.packets[0], Seen(0.0, UTC_NOW))


DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["drop", "repeat", "no-stamp", "same-stamp", "leap", "late", "attend", "serve"]),
        st.integers(0, 899),
        st.integers(1, 60),
    ),
    max_size=8,
)


def _damaged(packets: list[Packet], damage: list[tuple[str, int, int]]) -> list[Packet]:
    spoilt = list(packets)
    for what, at, count in damage:
        part = spoilt[at : at + count]
        if what == "drop":
            part = []
        elif what == "repeat":
            part = [*part, *part]
        elif what == "no-stamp":
            part = [replace(packet, pts_s=None) for packet in part]
        elif what == "same-stamp":
            part = [replace(packet, pts_s=1.0) for packet in part]
        elif what == "leap":
            part = [replace(packet, pts_s=(packet.pts_s or 0.0) + 1e6) for packet in part]
        spoilt[at : at + count] = part
    return spoilt


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["vbr", "open-gop", "hevc"]), DAMAGE)
def test_whatever_a_stream_does_the_books_balance(
    clip: Callable[[str], MotionClip], name: str, damage: list[tuple[str, int, int]]
) -> None:
    played = clip(name)
    packets = _damaged(played.packets, damage)
    line = Line(StreamInfo(played.info.codec, 0, 0, played.info.template))
    attended = [at for what, at, _ in damage if what == "attend"]
    served = [at for what, at, _ in damage if what == "serve"]
    late = {at + k for what, at, count in damage if what == "late" for k in range(count)}
    for index, packet in enumerate(packets):
        if index in attended:
            line.gated.gate.attention = not line.gated.gate.attention
        if index in served:
            line.gated.gate.service = (KEYFRAMES, Service(2.0), SHED)[index % 3]
        if index in late:
            _late(line, [packet])
        else:
            line.play([packet])
        counts = line.gated.counts()
        assert counts.held_bytes <= 8 * 2**20
    assert all(b.pts_s > a.pts_s for a, b in itertools.pairwise(line.shown))
    assert len(line.shown) + counts.held + counts.undecoded <= 2 * len(packets)
    assert counts.overflows == 0
    assert counts.late <= counts.undecoded
