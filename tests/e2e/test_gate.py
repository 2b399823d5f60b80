"""The gate in the whole line: what happens is told as without it, from far fewer pictures."""

from collections.abc import Iterator

import pytest

from benchmarks import scenes
from benchmarks.gate import Case, Playing, encoding, told
from models.zoo import load_detector
from streams.sim.spec import SceneSpec

CASE = Case(SceneSpec("quiet", "plaza", 4, (640, 360), 12.5, 36.0), 24.0, "hazard.intrusion")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Iterator[scenes.Clip]:
    """An empty place, a visit, and the empty place again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "CACHE", tmp_path_factory.mktemp("clips"))
        yield scenes.clip(CASE.spec, None, encoding(CASE))


def test_the_same_is_told_from_fewer_pictures(clip: scenes.Clip) -> None:
    camera = scenes.camera(clip, [{"kind": CASE.rule}])
    detector = load_detector("nanodet-g-416-int8")
    scores, looks = [], []
    for gate in (False, True):
        events, looked = told(clip.path, camera, detector, gate=gate)
        scores.append(scenes.score(clip.truth, scenes.incidents(events), [CASE.rule]))
        looks.append(looked)
    detector.close()
    assert scores[0].true >= 1
    assert scores[1] == scores[0]
    assert scores[1].recall == 1.0
    assert looks[1] < 0.75 * looks[0]


def test_a_quiet_place_is_hardly_decoded(clip: scenes.Clip) -> None:
    playing = Playing(clip.path, gate=True)
    shown = sum(1 for _ in playing.play(2))
    counts = playing.gated.counts()
    assert counts.trust == "trusted"
    assert shown < 0.75 * 2 * len(playing.packets)
    assert shown + counts.undecoded + counts.held == 2 * len(playing.packets)
