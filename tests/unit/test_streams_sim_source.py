"""The simulated camera: paced by its clock, never late, decodable from any keyframe."""

import threading
from datetime import UTC, datetime
from itertools import islice, pairwise

import av
import pytest

from streams.errors import SourceUrlError, StreamEndedError
from streams.packet import PacketSource
from streams.sim.places import PLACES
from streams.sim.source import open_sim
from streams.sim.spec import SceneSpec, parse_address

SMALL = "sim://plaza?size=160x90&fps=10&seed=1"


class HandClock:
    """Time passes by waiting, and by `cost_s` each time somebody asks."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.cost_s = 0.0

    def monotonic(self) -> float:
        self.now_s += self.cost_s
        return self.now_s

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.now_s += timeout_s
        return event.is_set()


def test_a_packet_source() -> None:
    source: PacketSource = open_sim(SMALL, False, HandClock())
    assert (source.info.codec, source.info.width, source.info.height) == ("h264", 160, 90)
    source.close()


def test_pictures_come_in_real_time() -> None:
    clock = HandClock()
    packets = open_sim(SMALL, True, clock).packets()
    arrivals = [(clock.now_s - 100.0, packet.pts_s) for packet in islice(packets, 20)]
    assert [pts for _, pts in arrivals] == pytest.approx([k / 10 for k in range(20)])
    assert [at for at, _ in arrivals] == pytest.approx([k / 10 for k in range(20)])


def test_a_slow_renderer_skips_pictures_and_keeps_the_scenes_time() -> None:
    clock = HandClock()
    packets = open_sim(SMALL, True, clock).packets()
    next(packets)
    clock.cost_s = 0.25
    late = []
    for packet in islice(packets, 12):
        late.append(clock.now_s - 100.0 - packet.pts_s)
    assert max(late) < 0.25
    assert packet.pts_s > 2.0


def test_a_host_that_stood_still_is_not_caught_up() -> None:
    clock = HandClock()
    packets = open_sim(SMALL, True, clock).packets()
    first = next(packets)
    clock.now_s += 3600.0
    second, third = next(packets), next(packets)
    assert second.pts_s - first.pts_s == pytest.approx(0.1)
    assert third.pts_s - second.pts_s == pytest.approx(0.1)


def test_packets_decode_from_every_keyframe_without_other_parameters() -> None:
    # Ten pictures a second, and a keyframe every four seconds at least.
    packets = list(islice(open_sim(SMALL, False, HandClock()).packets(), 70))
    assert [k for k, packet in enumerate(packets) if packet.keyframe] == [0, 40]
    assert all(packet.size == packet.payload.size > 0 for packet in packets)
    for start in (0, 40):
        decoder = av.CodecContext.create("h264", "r")
        frames = [frame for packet in packets[start:] for frame in decoder.decode(packet.payload)]
        frames += decoder.decode(None)
        assert len(frames) == len(packets) - start
        assert (frames[0].width, frames[0].height) == (160, 90)
    assert all(later.pts_s > earlier.pts_s for earlier, later in pairwise(packets))


def test_a_scene_with_an_end_ends() -> None:
    packets = open_sim(SMALL + "&seconds=1", False, HandClock()).packets()
    times = []
    with pytest.raises(StreamEndedError, match="over"):
        times.extend(packet.pts_s for packet in packets)
    with pytest.raises(StreamEndedError):
        times += [packet.pts_s for packet in open_sim(SMALL + "&seconds=1", True, HandClock()).packets()]


def test_a_late_camera_does_not_run_past_the_end() -> None:
    clock = HandClock()
    packets = open_sim(SMALL + "&seconds=1", True, clock).packets()
    next(packets)
    clock.now_s += 5.0
    with pytest.raises(StreamEndedError, match="over"):
        next(packets)


def test_a_loop_begins_again_while_the_clock_goes_on() -> None:
    source = open_sim(SMALL + "&seconds=0.5&loop=1", False, HandClock())
    times = [packet.pts_s for packet in islice(source.packets(), 12)]
    assert times == pytest.approx([k / 10 for k in range(12)])


def test_closing_ends_it_at_once_and_twice_is_safe() -> None:
    source = open_sim(SMALL, True, HandClock())
    packets = source.packets()
    next(packets)
    source.close()
    source.close()
    with pytest.raises(StreamEndedError, match="closed"):
        next(packets)


def test_an_address_says_everything() -> None:
    address = parse_address("sim://gate?scenario=line&seed=7&size=640x360&fps=25&seconds=60&people=3&loop=1")
    assert address.spec == SceneSpec("line", "gate", 7, (640, 360), 25.0, 60.0, 3)
    assert address.loop
    assert address.spec.where is PLACES["gate"]
    assert address.spec.pictures == 1500


def test_an_address_may_say_nothing() -> None:
    assert parse_address("sim://plaza").spec == SceneSpec()
    assert parse_address("sim://").spec == SceneSpec()
    assert parse_address("sim://plaza/").spec.pictures is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("rtsp://plaza", "sim://"),
        ("sim://moon", "unknown place 'moon'; there are gate, passage, platform, plaza"),
        ("sim://plaza?scenario=riot", "bottleneck, counterflow, crowding, "),
        ("sim://plaza?speed=3", "unknown parameter 'speed'; there are scenario, seed, size"),
        ("sim://plaza?seed=1&seed=2", "twice"),
        ("sim://plaza?seed=x", "seed must be a number"),
        ("sim://plaza?seed=-1", "seed"),
        ("sim://plaza?size=big", "1280x720"),
        ("sim://plaza?size=641x360", "even"),
        ("sim://plaza?size=32x32", "64x64"),
        ("sim://plaza?fps=0", "fps must be 1 to 60"),
        ("sim://plaza?fps=nan", "finite"),
        ("sim://plaza?seconds=0", "seconds"),
        ("sim://plaza?people=9999", "people"),
        ("sim://plaza?loop=yes&seconds=3", "loop must be 0 or 1"),
        ("sim://plaza?loop=1", "needs seconds"),
        ("sim://plaza/north", "sim://PLACE"),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_what_can(url: str, message: str) -> None:
    with pytest.raises(SourceUrlError, match=message.replace("?", r"\?")):
        open_sim(url, True, HandClock())
