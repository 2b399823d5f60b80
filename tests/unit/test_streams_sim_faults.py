"""Camera faults: told by a line of text, seen in the pictures when the truth says so, gone afterwards."""

import math
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clock import SystemClock
from streams.errors import SourceUrlError, StreamEndedError
from streams.sim.clip import scene_truth, write_clip
from streams.sim.faults import FAULTS, Fault, Uplink, fault_events, parse_faults
from streams.sim.lens import Lens
from streams.sim.source import open_sim
from streams.sim.spec import SceneSpec, parse_address
from streams.sim.spoiling import Spoiler, planes, shift, turned, warped

SIZE = (320, 180)
TRUTHS = {
    "freeze": "camera.frozen",
    "dark": "camera.dark",
    "blurred": "camera.blurred",
    "covered": "camera.covered",
    "moved": "camera.moved",
}


def pictures(fault: str, times: list[float], seed: int = 3) -> list[np.ndarray]:
    spec = SceneSpec("walk", "plaza", seed, SIZE, 10.0, people=4, fault=fault)
    lens, scene = Lens(spec), spec.scene()
    return [lens.shoot(scene.at(time_s)).yuv for time_s in times]


def sharpness(yuv: np.ndarray) -> float:
    """Without the sensor's noise, which no lens takes away."""
    return float((np.abs(np.diff(yuv[: SIZE[1]].astype(float), axis=1)) > 8).mean())


def test_a_line_of_text_says_what_is_wrong_and_when() -> None:
    assert parse_faults("") == ()
    assert parse_faults("dark") == (Fault("dark"),)
    assert parse_faults("blurred:0.5@20,moved:tilt@30-40.5") == (
        Fault("blurred", 20.0, strength=0.5),
        Fault("moved", 30.0, 40.5, "tilt"),
    )
    assert parse_address("sim://gate?fault=freeze:clock@2-5").spec.faults == (
        Fault("freeze", 2.0, 5.0, "clock"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("melted", "unknown fault 'melted'; there are freeze, dark"),
        ("dark@5-3", "end after it begins"),
        ("dark@x", "a fault looks like"),
        ("covered:paper", "there are hand, cloth, spray"),
        ("noise:loud", "only one way"),
        ("noise:9", "strength"),
        ("dark,", "a fault looks like"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(text: str, message: str) -> None:
    with pytest.raises(SourceUrlError, match=message):
        SceneSpec(fault=text)


@given(
    kind=st.sampled_from(FAULTS),
    begin_s=st.floats(0.0, 50.0),
    lasts_s=st.floats(0.1, 50.0),
    time_s=st.floats(0.0, 200.0),
)
def test_a_fault_is_there_in_full_while_its_truth_says_so(kind, begin_s, lasts_s, time_s) -> None:
    fault = Fault(kind, begin_s, begin_s + lasts_s)
    assert 0.0 <= fault.share(time_s) <= 1.0
    for event in fault_events((fault,), 200.0):
        assert event.kind == TRUTHS[kind]
        if event.begin_s + 0.001 < time_s < event.end_s - 0.001:
            assert fault.share(time_s) == pytest.approx(1.0)
    if time_s < begin_s or time_s > fault.end_s + fault.fall_s:
        assert fault.share(time_s) == 0.0


def test_truth_ends_with_the_clip_and_leaves_out_what_comes_later() -> None:
    faults = parse_faults("covered@20,freeze@3,dark@90,noise@1")
    events = fault_events(faults, 30.0)
    assert [(event.kind, event.zone, event.begin_s, event.end_s) for event in events] == [
        ("camera.frozen", "", 3.0, 30.0),
        ("camera.covered", "", 20.0 + faults[0].rise_s, 30.0),
    ]
    assert math.isinf(faults[0].end_s)


def test_a_scene_tells_of_its_camera_too() -> None:
    spec = SceneSpec("intrusion", "plaza", 2, SIZE, 5.0, 14.0, fault="dark@3-6")
    assert {event.kind for event in scene_truth(spec)} == {"hazard.intrusion", "camera.dark"}


def test_frozen_pictures_are_identical_and_then_go_on() -> None:
    before, *frozen, after = pictures("freeze@1-2", [0.9, 1.0, 1.5, 1.9, 2.0])
    assert all(np.array_equal(picture, frozen[0]) for picture in frozen)
    assert not np.array_equal(before, frozen[0])
    assert not np.array_equal(after, frozen[0])


def test_a_clock_may_go_on_over_a_frozen_picture() -> None:
    first, later = pictures("freeze:clock@1", [1.2, 3.2])
    changed = np.argwhere(first != later)
    assert len(changed)
    assert changed[:, 0].max() < 0.1 * SIZE[1]
    assert changed[:, 1].max() < 0.5 * SIZE[0]


def test_a_new_lap_is_not_frozen_by_the_last() -> None:
    spoiler = Spoiler(parse_faults("freeze@1-2"), SIZE, 1)
    first, second = (np.full((270, 320), tone, np.uint8) for tone in (60, 90))
    assert spoiler.spoil(first, 1.5) is first
    assert np.array_equal(spoiler.spoil(second, 1.6), first)
    assert spoiler.spoil(second, 0.1) is second


def test_dark_is_dark_and_has_its_noise() -> None:
    (dark,) = pictures("dark@1", [1.5])
    assert dark[: SIZE[1]].mean() < 25
    assert 0.3 < dark[: SIZE[1]].std() < 8
    gradual = [picture[: SIZE[1]].mean() for picture in pictures("dark:gradual@1-40", [0.5, 6.0, 12.0])]
    assert gradual[0] > gradual[1] + 30 > gradual[2] + 60


def test_defocus_takes_the_edges_and_strength_tells_how_much() -> None:
    sharp, half, blurred = (pictures(fault, [3.0])[0] for fault in ("", "blurred:0.5@0", "blurred:2@0"))
    assert sharpness(blurred) < 0.97 * sharpness(half) < 0.95 * sharpness(sharp)
    assert blurred[: SIZE[1]].mean() == pytest.approx(sharp[: SIZE[1]].mean(), abs=3)


@pytest.mark.parametrize("way", ["hand", "cloth", "spray"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_cover_hides_most_of_the_picture(way: str, seed: int) -> None:
    plain, covered = (pictures(fault, [3.0], seed)[0] for fault in ("", f"covered:{way}@0"))
    open_, hidden = (picture[: SIZE[1]].astype(int) for picture in (plain, covered))
    assert (np.abs(open_ - hidden) > 8).mean() > 0.6
    assert sharpness(covered) < 0.8 * sharpness(plain)


def test_a_cover_comes_from_a_side() -> None:
    plain, coming = (pictures(fault, [1.3])[0] for fault in ("", "covered:cloth@1"))
    differs = (np.abs(plain[: SIZE[1]].astype(int) - coming[: SIZE[1]]) > 8).mean(axis=0)
    assert abs(differs[:40].mean() - differs[-40:].mean()) > 0.5


@pytest.mark.parametrize("way", ["turn", "tilt"])
def test_a_moved_camera_shows_what_the_homography_says(way: str) -> None:
    spec = SceneSpec("walk", "plaza", 4, SIZE, 10.0, people=0, fault=f"moved:{way}@0")
    (fault,) = spec.faults
    (plain,), (moved,) = pictures("", [0.0], 4), pictures(spec.fault, [0.0], 4)
    camera = spec.where.camera
    expected = warped(plain, shift(camera, fault, 4))
    middle = np.s_[60:120, 110:210]
    off = np.abs(expected[middle].astype(int) - moved[middle]).mean()
    assert off < 0.5 * np.abs(plain[middle].astype(int) - moved[middle]).mean()
    assert turned(camera, fault, 4) != camera


def test_pictures_of_any_clip_can_be_moved() -> None:
    plain = pictures("", [0.0])[0]
    moved = Spoiler(parse_faults("moved:turn@0"), SIZE, 3).spoil(plain, 1.0)
    assert moved.shape == plain.shape
    assert np.abs(moved.astype(int) - plain).mean() > 5


def test_noise_is_new_in_each_picture() -> None:
    plain = np.full((270, 320), 120, np.uint8)
    spoiler = Spoiler(parse_faults("noise"), SIZE, 3)
    first, second = (planes(spoiler.spoil(plain, at))[0].astype(int) for at in (1.0, 1.1))
    assert 12 < first.std() < 20
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1


def test_the_same_faults_give_the_same_pictures() -> None:
    faults = "noise,covered@0.2,dark:gradual@0.5"
    for one, other in zip(pictures(faults, [0.0, 0.6, 1.1]), pictures(faults, [0.0, 0.6, 1.1]), strict=True):
        assert np.array_equal(one, other)


def test_a_bad_line_loses_some_packets_and_spoils_others() -> None:
    line = Uplink(parse_faults("loss:2@10-90"), 1)
    sent = bytes(range(256)) * 4
    arrived = [line.carry(sent, k / 10) for k in range(1000)]
    assert all(one == sent for one in arrived[:100] + arrived[900:])
    middle = arrived[100:900]
    assert 20 < sum(one is None for one in middle) < 70
    spoilt = [one for one in middle if one not in (None, sent)]
    assert 20 < len(spoilt) < 70
    assert all(len(one) == len(sent) and one[:512] == sent[:512] for one in spoilt)


def test_a_stream_with_losses_goes_on() -> None:
    source = open_sim("sim://plaza?size=160x90&fps=10&seconds=12&fault=loss:4@1", False, SystemClock())
    packets = []
    with pytest.raises(StreamEndedError):
        packets.extend(source.packets())
    assert 90 < len(packets) < 120
    decoder = av.CodecContext.create("h264", "r")
    decoded = 0
    for packet in packets:
        try:
            decoded += len(decoder.decode(packet.payload))
        except av.FFmpegError:
            continue
    assert decoded > 60


def test_a_clip_with_faults(tmp_path: Path) -> None:
    spec = SceneSpec("walk", "gate", 1, (160, 90), 10.0, 4.0, 2, fault="freeze@1-2,loss:4@2-3")
    truth = write_clip(spec, tmp_path / "a.mp4", tmp_path / "a.json")
    assert [event.kind for event in truth.events] == ["camera.frozen"]
    assert len(truth.frames) == 40
    with av.open(str(tmp_path / "a.mp4")) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    assert 30 < len(sizes) < 40
    assert max(sizes[11:20]) < 200
