"""The whole line on simulated clips, against what is true of them."""

from collections.abc import Iterator

import pytest

from benchmarks import scenes
from edge.config import ModelConfig, NodeConfig
from edge.envelope import IncidentData
from edge.events import Event
from edge.offline import Models, Step, analyse
from models.detector import Detector
from models.zoo import load_detector
from streams.sim.spec import SceneSpec

SIZE, LARGER = (640, 360), (960, 540)


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    loaded = load_detector("nanodet-g-416-int8")
    yield loaded
    loaded.close()


@pytest.fixture(autouse=True, scope="module")
def _clips_of_their_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "CACHE", tmp_path_factory.mktemp("clips"))
        yield


def look(detector: Detector, spec: SceneSpec, rules) -> tuple[scenes.Clip, list[Step]]:
    clip = scenes.clip(spec)
    return clip, list(analyse(scenes.camera(clip, rules), NodeConfig(), ModelConfig(), Models(detector)))


def told(steps: list[Step]) -> list[tuple[float, Event]]:
    return [(step.pts_s, event) for step in steps for event in step.events]


def test_intrusions_are_told_when_they_happen_and_only_then(detector):
    clip, steps = look(
        detector, SceneSpec("intrusion", "plaza", 1, SIZE, 10.0, 48.0), [{"kind": "hazard.intrusion"}]
    )
    true = [event for event in clip.truth.events if event.kind == "hazard.intrusion"]
    assert len(true) >= 2
    score = scenes.score(clip.truth, scenes.incidents(told(steps)), ["hazard.intrusion"])
    assert (score.recall, score.precision) == (1.0, 1.0)
    late = [i.begin_s - t.begin_s for i, t in zip(scenes.incidents(told(steps)), true, strict=True)]
    assert all(-0.5 <= s <= 3.0 for s in late)


def test_crossings_are_told_with_their_direction(detector):
    clip, steps = look(detector, SceneSpec("line", "gate", 1, LARGER, 10.0, 30.0), [{"kind": "hazard.line"}])
    true = [event for event in clip.truth.events if event.kind == "hazard.line"]
    assert len(true) >= 2
    score = scenes.score(clip.truth, scenes.incidents(told(steps)), ["hazard.line"])
    assert (score.recall, score.precision) == (1.0, 1.0)
    begun = [e.data for _, e in told(steps) if isinstance(e.data, IncidentData) and e.data.phase == "begin"]
    assert ["right" if data.measures["crossings_right"] else "left" for data in begun] == [
        e.direction for e in true
    ]


def test_a_crowd_is_told_while_it_is_dense(detector):
    rule = {
        "kind": "crowd.density",
        "blue_per_m2": 1.0,
        "yellow_per_m2": 1.75,
        "orange_per_m2": 3,
        "hold_s": 3,
    }
    clip, steps = look(detector, SceneSpec("crowding", "platform", 3, SIZE, 10.0, 40.0), [rule])
    score = scenes.score(clip.truth, scenes.incidents(told(steps)), ["crowd.density"])
    assert score.true >= 1
    assert (score.recall, score.precision) == (1.0, 1.0)


def test_people_who_walk_by_are_no_event(detector):
    rules = [{"kind": "hazard.intrusion"}, {"kind": "hazard.line"}, {"kind": "crowd.density"}]
    clip, steps = look(detector, SceneSpec("walk", "plaza", 4, SIZE, 10.0, 30.0), rules)
    assert clip.truth.events == ()
    assert told(steps) == []
    assert max(zone.count for step in steps for zone in step.zones.values()) >= 1


def test_the_same_clip_gives_the_same_bytes(detector):
    spec = SceneSpec("intrusion", "plaza", 1, SIZE, 10.0, 48.0)
    runs = [
        [e.to_json() for _, e in told(look(detector, spec, [{"kind": "hazard.intrusion"}])[1])]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert runs[0]
