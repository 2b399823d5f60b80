"""Clips: the file decodes to what the truth says, and the truth survives being written."""

import json
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from streams.errors import SourceUrlError
from streams.sim.clip import scene_truth, write_clip
from streams.sim.encode import Encoder, EncoderOptions
from streams.sim.places import PLACES
from streams.sim.spec import SceneSpec
from streams.sim.truth import Truth, TruthEvent, TruthFrame, TruthPerson, TruthShape

SPEC = SceneSpec("intrusion", "plaza", seed=2, size=(320, 180), fps=12.5, seconds=14.0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> tuple[Path, Path, Truth, list[tuple[int, int]]]:
    folder = tmp_path_factory.mktemp("clip")
    done: list[tuple[int, int]] = []
    truth = write_clip(SPEC, folder / "a.mp4", folder / "a.json", lambda k, n: done.append((k, n)))
    return folder / "a.mp4", folder / "a.json", truth, done


def test_the_clip_has_every_picture_at_its_time(clip) -> None:
    path, _, truth, done = clip
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [frame.pts * frame.time_base for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 320, 180)
        assert not stream.codec_context.has_b_frames
    assert len(times) == len(truth.frames) == 175
    assert [float(t) for t in times] == pytest.approx([frame.pts_s for frame in truth.frames], abs=1e-4)
    assert done == [(k + 1, 175) for k in range(175)]


def test_the_index_comes_first_so_that_the_clip_can_be_streamed(clip) -> None:
    head = clip[0].read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")


def test_a_keyframe_comes_every_gop(clip) -> None:
    with av.open(str(clip[0])) as container:
        keys = [
            k for k, packet in enumerate(p for p in container.demux(video=0) if p.size) if packet.is_keyframe
        ]
    assert keys == [0, 50, 100, 150]


def test_the_truth_survives_being_written(clip) -> None:
    _, path, truth, _ = clip
    assert Truth.load(path) == truth
    assert json.loads(path.read_text())["version"] == 1


def test_the_homography_brings_feet_to_the_ground(clip) -> None:
    truth = clip[2]
    errors = []
    for frame in truth.frames[::10]:
        for person in frame.people:
            left, top, right, bottom = person.box
            if person.visible > 0.95 and top > 0 and bottom < 0.99:
                foot = truth.to_ground(np.array([[(left + right) / 2, bottom]]))[0]
                errors.append(float(np.hypot(*(foot - person.ground))))
    assert len(errors) > 20
    assert np.median(errors) < 0.45


def test_zones_and_lines_are_as_the_place_declares_them(clip) -> None:
    truth, place = clip[2], PLACES["plaza"]
    assert [zone.id for zone in truth.zones] == [zone.id for zone in place.zones]
    for shape in (*truth.zones, *truth.lines):
        assert truth.to_ground(np.array(shape.image)) == pytest.approx(np.array(shape.ground), abs=0.001)


def test_events_are_those_of_the_scene(clip) -> None:
    truth = clip[2]
    assert truth.events == scene_truth(SPEC)
    assert [event.kind for event in truth.events] == ["hazard.intrusion"]


def test_boxes_and_visibility_are_shares(clip) -> None:
    people = [person for frame in clip[2].frames for person in frame.people]
    assert len(people) > 300
    assert any(person.visible < 0.9 for person in people)
    assert np.mean([person.visible > 0.9 for person in people]) > 0.5


def test_density_by_picture(clip) -> None:
    truth = clip[2]
    densities = truth.densities("plaza")
    assert len(densities) == len(truth.frames)
    assert all(0 <= d.mean_per_m2 <= d.worst_cell_per_m2 or d.count == 0 for d in densities)
    with pytest.raises(KeyError):
        truth.densities("moon")


def test_the_same_scene_writes_the_same_bytes(tmp_path: Path) -> None:
    spec = SceneSpec("line", "gate", seed=1, size=(160, 90), fps=10, seconds=1.5)
    truths = [write_clip(spec, tmp_path / f"{k}.mp4") for k in range(2)]
    assert truths[0] == truths[1]
    assert (tmp_path / "0.mp4").read_bytes() == (tmp_path / "1.mp4").read_bytes()


def test_an_endless_scene_makes_no_clip(tmp_path: Path) -> None:
    with pytest.raises(SourceUrlError, match="seconds"):
        write_clip(SceneSpec(), tmp_path / "x.mp4")
    with pytest.raises(SourceUrlError, match="seconds"):
        scene_truth(SceneSpec())


def test_encoding_for_another_scene_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="encoding"):
        write_clip(SPEC, tmp_path / "x.mp4", encoding=EncoderOptions((640, 360), 25.0))


def test_bit_rate_follows_what_is_asked_for() -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(16, 235, (270, 320), dtype=np.uint8) for _ in range(30)]

    def size(options: EncoderOptions) -> int:
        encoder = Encoder(options)
        packets = [p for k, yuv in enumerate(pictures) for p in encoder.encode(yuv, k / 10)]
        packets += encoder.finish()
        assert len(packets) == 30
        assert [p.pts for p in packets] == [p.dts for p in packets]
        return sum(packet.size for packet in packets)

    free = size(EncoderOptions((320, 180), 10.0, "file", 20.0))
    bound = size(EncoderOptions((320, 180), 10.0, "file", 20.0, max_kbit_s=400))
    assert bound < free / 2


@pytest.mark.parametrize("wrong", [{"crf": 60}, {"gop": 0}, {"max_kbit_s": 0}])
def test_impossible_encodings_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EncoderOptions((320, 180), 10.0, **wrong)


def test_a_truth_file_must_be_one(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match="not a truth file"):
        Truth.load(path)
    path.write_text('{"version": 1, "place": "plaza"}')
    with pytest.raises(ValueError, match="whole truth"):
        Truth.load(path)


def test_impossible_truths_are_refused() -> None:
    with pytest.raises(ValueError, match="box"):
        TruthPerson(1, (0.0, 0.0), (0.5, 0.0, 0.4, 1.0), 1.0)
    with pytest.raises(ValueError, match="visible"):
        TruthPerson(1, (0.0, 0.0), (0.1, 0.0, 0.4, 1.0), 1.5)
    with pytest.raises(ValueError, match="before it begins"):
        TruthEvent("hazard.line", "a", 2.0, 1.0)


def test_an_empty_truth_survives_too(tmp_path: Path) -> None:
    shape = TruthShape("z", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)), ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
    eye = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    truth = Truth("plaza", "walk", 1, 25.0, 64, 64, eye, (shape,), (), (TruthFrame(0.0, ()),), ())
    truth.save(tmp_path / "t.json")
    assert Truth.load(tmp_path / "t.json") == truth
    assert [list(pair) for pair in pairwise(truth.densities("z"))] == []
