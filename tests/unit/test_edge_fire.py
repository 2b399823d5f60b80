"""The rule `hazard.fire`: on scripted looks, and on real pictures with a real, tiny network."""

import json

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.cli import app
from edge.analysis import Analysis
from edge.census import open_census
from edge.config import CameraConfig, Config
from edge.envelope import fits_measure
from edge.errors import RuleError
from edge.fires import Fires
from edge.flames import parts_of, same
from edge.incidents import Incidents, policies
from edge.scene import Scene
from edge.site import Site
from models.detections import Tracks
from models.fire import Flame
from models.zoo import load_fire
from streams.picture import ArrayPicture
from streams.service import FIRE_PERIOD_S
from tests.support.afoot import EPOCH, survey
from tests.support.fire_models import write_fire

ZONE = {"id": "z", "polygon": [[0.5, 0.2], [0.9, 0.2], [0.9, 0.9], [0.5, 0.9]]}
RULE = {"kind": "hazard.fire", "zone": "z"}
SPOT, ELSEWHERE, OUTSIDE = (0.6, 0.4, 0.7, 0.5), (0.75, 0.7, 0.85, 0.8), (0.1, 0.4, 0.2, 0.5)


def camera(*rules: dict, **more: object) -> CameraConfig:
    given = {"id": "gate", "source": "x.mp4", "zones": [ZONE], "rules": list(rules) or [RULE], **more}
    return CameraConfig.model_validate(given)


class Watched:
    """One camera's rule of fire, and the incidents that it makes of what the test says is seen."""

    def __init__(self, **keys: object) -> None:
        self.config = camera({**RULE, **keys})
        self.analysis = Analysis(self.config, Site.from_config(self.config), ("person",))
        self.incidents = Incidents("gate", policies(self.config), iter(map(str, range(99))).__next__)
        self.changes = []
        self.measures = {}

    def see(self, pts_s: float, flames: tuple[Flame, ...] | None) -> None:
        look = self.analysis.update(Tracks.empty(), pts_s, Scene(flames=flames))
        self.unavailable = dict(look.unavailable)
        for one in look.observations:
            self.measures = dict(one.measures)
            assert all(map(fits_measure, one.measures))
        self.changes += self.incidents.update(look.observations, pts_s, EPOCH)

    def run(self, script, fps: float = 0.5, start_s: float = 0.0) -> "Watched":
        """A script of looks one period apart, in between pictures that nobody looks at for fire."""
        between = max(1, round(fps * FIRE_PERIOD_S))
        for k, flames in enumerate(script):
            for j in range(between):
                pts_s = start_s + FIRE_PERIOD_S * (k + j / between)
                self.see(pts_s, flames if j == 0 else None)
        return self

    @property
    def told(self) -> list[tuple[str, float]]:
        return [(c.phase, c.level) for c in self.changes if c.phase != "update"]


def flame(box=SPOT, score: float = 0.9, what: str = "fire", place: str | None = None) -> tuple[Flame, ...]:
    return (Flame(what, score, box, place),)


@pytest.mark.parametrize("fps", [10, 5, 2, 1, 0.5])
def test_what_burns_for_six_seconds_is_told_at_any_rate_from_the_floor_on(fps):
    watched = Watched()
    watched.run([()] * 3 + [flame()] * 3, fps)
    assert watched.told == []
    watched.run([flame()], fps, start_s=12.0)
    assert watched.told == [("begin", 1)]
    begin = watched.changes[0]
    assert begin.boxes == (SPOT,)
    assert begin.confidence == 0.9
    assert begin.measures["present_s"] == 6.0
    watched.run([()] * 11, fps, start_s=14.0)
    assert watched.told == [("begin", 1), ("end", 1)]


def test_one_look_in_five_that_fails_keeps_no_fire_quiet():
    assert Watched().run([flame(), flame(), (), flame(), flame()]).told == [("begin", 1)]


@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.sampled_from([0.0, 1.0, 6.0, 30.0]),
    st.sampled_from([0.5, 0.6, 1]),
)
def test_one_flicker_never_alarms(before, after, wait_s, share):
    watched = Watched(min_presence_s=wait_s, min_share=share)
    assert watched.run([()] * before + [flame(score=1.0)] + [()] * after).told == []


@given(st.lists(st.floats(0, 0.5, exclude_max=True), max_size=30))
def test_nothing_below_the_threshold_alarms(scores):
    watched = Watched().run([flame(score=score) for score in scores])
    assert watched.told == []
    assert watched.measures.get("count", 0.0) == 0.0


@given(st.lists(st.booleans(), max_size=30))
def test_an_alarm_has_looks_that_bear_it_out(script):
    seen = [flame() if one else () for one in script]
    spans = [
        script[i:j]
        for i in range(len(script))
        for j in range(i + 4, len(script) + 1)
        if script[i] and script[j - 1]
    ]
    borne_out = any(sum(span) >= 0.6 * len(span) for span in spans)
    assert bool(Watched().run(seen).told) == borne_out


def test_what_moves_on_is_no_fire():
    boxes = [(0.5 + 0.05 * k, 0.4, 0.54 + 0.05 * k, 0.5) for k in range(8)]
    assert Watched().run([flame(box) for box in boxes]).told == []
    assert Watched().run([flame(SPOT), flame(ELSEWHERE), flame((0.5, 0.8, 0.55, 0.85))] * 4).told == []


def test_a_flame_in_its_growing_smoke_is_one_fire():
    script = [flame((0.6, 0.6 - 0.05 * k, 0.7, 0.7), what="smoke") for k in range(3)]
    assert Watched().run([*script, flame((0.62, 0.62, 0.66, 0.68))]).told == [("begin", 1)]
    assert same((0.0, 0.0, 1.0, 1.0), SPOT)
    assert not same((0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 0.5))


@pytest.mark.parametrize(
    ("keys", "seen"),
    [
        ({}, flame(OUTSIDE)),
        ({"what": ["smoke"]}, flame()),
        ({"what": ["fire"]}, flame(what="smoke")),
        ({"min_score": 0.95}, flame()),
        ({"min_presence_s": 60}, flame()),
        ({}, flame(place="other")),
    ],
)
def test_what_does_not_count_is_not_told(keys, seen):
    assert Watched(**keys).run([seen] * 12).told == []


@pytest.mark.parametrize("box", [(0.45, 0.4, 0.6, 0.5), (0.6, 0.0, 0.7, 0.25), (0.0, 0.0, 1.0, 1.0)])
def test_what_reaches_into_the_zone_counts(box):
    assert Watched().run([flame(box)] * 4).told == [("begin", 1)]


def test_what_a_classifier_saw_in_the_zone_s_part_is_the_zone_s():
    assert Watched().run([flame(OUTSIDE, place="z")] * 4).told == [("begin", 1)]


def test_keyframes_of_a_camera_at_rest_are_enough():
    watched = Watched()
    for k in range(3):
        watched.see(8.0 * k, flame())
    assert watched.told == [("begin", 1)]


def test_without_a_look_nothing_is_said_and_that_is_told():
    watched = Watched()
    watched.see(0.0, None)
    assert "no picture has been looked at for fire" in watched.unavailable["hazard.fire/z"]
    watched.see(1.0, ())
    watched.see(20.0, None)
    assert not watched.unavailable
    watched.see(21.5, None)
    assert watched.unavailable


def test_a_clock_that_was_set_back_forgets_what_was_before():
    watched = Watched().run([flame()] * 3, start_s=1000.0)
    assert watched.run([flame()] * 3).told == []
    assert watched.run([flame()], start_s=6.0).told == [("begin", 1)]


def red_from(left: float, size=(160, 90), colour=(20, 20, 230)) -> ArrayPicture:
    """A grey picture, of which a strip as wide as a fifth is red."""
    pixels = np.full((size[1], size[0], 3), 110, np.uint8)
    start = round(left * size[0])
    pixels[:, start : start + size[0] // 5] = colour
    return ArrayPicture(pixels)


def fires(folder, *rules: dict, **changes: str) -> Fires:
    return Fires(load_fire(str(write_fire(folder, **changes)), ("cpu",)), [camera(*rules)])


def test_a_classifier_looks_at_the_zone_alone_and_says_in_which_part(tmp_path):
    looks = fires(tmp_path)
    assert looks.look("gate", red_from(0.1), 0.0) == ()
    (found,) = looks.look("gate", red_from(0.5), 2.0)
    assert (found.what, found.place, found.box) == ("fire", "z", (0.5, 0.2, 0.9, 0.9))
    whole = {**ZONE, "polygon": [[0, 0], [1, 0], [1, 0.5], [0, 0.5]]}
    wide = Fires(load_fire(str(tmp_path / "reddish.toml"), ("cpu",)), [camera(zones=[whole])])
    (found,) = wide.look("gate", red_from(0.04), 0.0)
    assert found.box == (0.0, 0.0, 0.25, 0.5)


@pytest.mark.parametrize(("most", "parts"), [(1, 1), (2, 2), (16, 4)])
def test_a_wide_zone_is_looked_at_in_parts(most, parts):
    wide = camera(zones=[{"id": "z", "polygon": [[0, 0.4], [1, 0.4], [1, 0.8], [0, 0.8]]}])
    made = parts_of(Site.from_config(wide).zone("z"), None, (160, 90), most)
    assert len(made) == parts
    assert (made[0][:2], made[-1][2:]) == ((0.0, 0.4), (1.0, 0.8))


def test_parts_without_any_of_the_zone_are_left_out():
    corner = camera(
        zones=[{"id": "z", "polygon": [[0, 0], [0, 0.3], [0.05, 0.3], [0.05, 0.05], [1, 0.05], [1, 0]]}]
    )
    made = parts_of(Site.from_config(corner).zone("z"), None, (160, 90), 16)
    assert 0 < len(made) <= 6


def test_a_zone_in_metres_is_looked_at_where_the_picture_shows_it():
    metres = {"id": "z", "polygon": [[-3, 9], [3, 9], [3, 15], [-3, 15]], "units": "ground"}
    site = Site.from_config(camera(zones=[metres], ground=survey()))
    ((left, top, right, bottom),) = parts_of(site.zone("z"), site.ground, (1280, 720), 1)
    assert 0.1 < left < 0.45
    assert 0.55 < right < 0.9
    assert 0.1 < top < 0.5 < bottom < 0.9


@given(st.sampled_from([1.0, 2.0, 5.0, 10.0, 25.0]))
def test_a_camera_is_looked_at_once_a_period_and_others_never(fps):
    class Model:
        name, by_parts, tiles, asked = "scripted", False, 1, 0
        spec = type("Spec", (), {"known": frozenset({"fire", "smoke"})})

        def look(self, _picture, _places):
            self.asked += 1
            return ()

    model = Model()
    other = camera({"kind": "hazard.intrusion", "zone": "z"}, id="other")
    looks = Fires(model, [camera(), other])  # type: ignore[arg-type]
    for k in range(round(20 * fps)):
        for id_ in ("gate", "other"):
            if looks.due(id_, k / fps):
                looks.look(id_, red_from(0.0), k / fps)
    assert model.asked == 20 / FIRE_PERIOD_S
    assert looks.due("gate", 3.0)


def config(folder, *rules: dict, **model: object) -> dict:
    asked = {"detector": "nanodet-g-416-int8", "providers": ["cpu"], **model}
    cameras = [{"id": "gate", "source": "x.mp4", "zones": [ZONE], "rules": list(rules) or [RULE]}]
    (folder / "node.yaml").write_text(json.dumps({"model": asked, "cameras": cameras}))
    return {"model": asked, "cameras": cameras}


def checked(folder):
    return CliRunner().invoke(app, ["check", str(folder / "node.yaml")])


def test_check_refuses_the_rule_without_a_model(tmp_path):
    config(tmp_path)
    result = checked(tmp_path)
    assert result.exit_code == 2
    assert "cameras[0].rules[0].kind: needs a model of fire" in " ".join(result.stderr.split())
    assert "name it as model.fire" in " ".join(result.stderr.split())


def test_check_refuses_a_model_that_is_none_and_what_it_cannot_tell(tmp_path):
    config(tmp_path, fire="nanodet-g-416-int8")
    assert "is no model of fire" in " ".join(checked(tmp_path).stderr.split())
    config(tmp_path, fire="flames")
    assert "model.fire: no model 'flames'" in " ".join(checked(tmp_path).stderr.split())
    path = str(write_fire(tmp_path, fire="fire = ['flames']"))
    config(tmp_path, {**RULE, "what": ["fire", "smoke"]}, fire=path)
    result = checked(tmp_path)
    assert "cameras[0].rules[0].what: reddish knows no smoke; it knows fire" in " ".join(
        result.stderr.split()
    )
    config(tmp_path, fire=path)
    assert checked(tmp_path).exit_code == 0


def test_a_node_loads_it_where_a_rule_asks_and_not_elsewhere(tmp_path):
    path = str(write_fire(tmp_path, fire="fire = ['flames']"))
    census = open_census(Config.model_validate(config(tmp_path, fire=path)))
    assert census.fires is not None
    assert (census.name, census.fires.name) == ("", "reddish")
    plain = {"kind": "hazard.intrusion", "zone": "z"}
    assert open_census(Config.model_validate(config(tmp_path, plain, fire=path))).fires is None
    with pytest.raises(RuleError, match=r"rules\[0\].what: reddish knows no smoke"):
        open_census(Config.model_validate(config(tmp_path, {**RULE, "what": ["smoke"]}, fire=path)))


def clip(path, begins_s: float, ends_s: float, seconds: float = 40.0, fps: int = 5):
    """A grey scene in which the zone's part is red for a while."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for k in range(round(seconds * fps)):
            left = 0.6 if begins_s <= k / fps < ends_s else 0.1
            pixels = red_from(left, (160, 96)).bgr(160, 96)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.mark.parametrize(("lasts_s", "told"), [(14.0, ["begin", "end"]), (2.0, [])])
def test_a_clip_is_analysed_offline(tmp_path, lasts_s, told):
    source = clip(tmp_path / "clip.mp4", 4.0, 4.0 + lasts_s)
    config(tmp_path, {**RULE, "release_s": 10}, fire=str(write_fire(tmp_path)))
    events = tmp_path / "events.jsonl"
    arguments = ["analyse", str(source), "--config", str(tmp_path / "node.yaml"), "--events", str(events)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    rows = [json.loads(line) for line in events.read_text().splitlines()]
    phases = [row["data"]["phase"] for row in rows if row["type"] == "org.sharpeyes.hazard.fire.v1"]
    assert [phase for phase in phases if phase != "update"] == told
