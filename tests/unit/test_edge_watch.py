from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from edge.config import CameraConfig
from edge.events import EventContext
from edge.identifiers import Uuid7
from edge.precision import RuleVerdicts
from edge.redactor import Sightings
from edge.scene import Scene
from edge.still_rule import UNSETTLED
from edge.watch import CameraWatch
from models.detections import Detections
from models.tracker import Tracker
from tests.support.views import noisy, seen, turned

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DETECTOR = SimpleNamespace(name="scripted", sha256="0" * 64, class_names=("person", "car"))


def watch(**rule) -> CameraWatch:
    camera = CameraConfig.model_validate(
        {
            "id": "gate",
            "source": "sim://plaza",
            "zones": [{"id": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
            "lines": [{"id": "door", "points": [[0.5, 1.0], [0.5, 0.0]]}],
            "rules": [rule],
        }
    )
    new_id = Uuid7(lambda: NOW)
    context = EventContext("n", "000000", new_id, "gate")
    return CameraWatch(camera, DETECTOR, context, Tracker(0.35, np.random.default_rng(1)), new_id)


def somebody(x: float, score: float = 0.9) -> Detections:
    box = np.array([[x - 0.05, 0.4, x + 0.05, 0.8]], np.float32)
    return Detections(box, np.array([score], np.float32), np.zeros(1, np.int16))


def begun(watch: CameraWatch, way, seconds: float = 8.0, score: float = 0.9) -> float | None:
    """When the first incident began, of somebody who is at `way(t)` five times a second."""
    for k in range(round(5 * seconds)):
        t = k / 5
        if watch.update(somebody(way(t), score), t, NOW + timedelta(seconds=t)):
            return t
    return None


def verdicts(rule: str, true: int, false: int) -> list[RuleVerdicts]:
    return [RuleVerdicts("gate", rule, true, false)]


def test_false_alarms_make_a_rule_wait_within_its_bounds():
    rule = {"kind": "hazard.intrusion", "zone": "all", "min_presence_s": 2.0}
    begin_s = []
    for strictest, found in ((2.0, (0, 0)), (2.0, (0, 30)), (1.0, (0, 30)), (2.0, (99, 1))):
        one = watch(**rule, strictest=strictest)
        one.judge(verdicts("hazard.intrusion/all", *found))
        begin_s.append(begun(one, lambda _: 0.5))
    usual = begin_s[0]
    assert begin_s == [usual, pytest.approx(usual + 2.0), usual, usual]


def test_a_line_then_wants_to_be_surer():
    rule = {"kind": "hazard.line", "line": "door"}
    for doubted, score, told in ((False, 0.5, True), (True, 0.5, False), (True, 0.9, True)):
        one = watch(**rule)
        one.judge(verdicts("hazard.line/door", 0, 30 if doubted else 0))
        assert (begun(one, lambda t: 0.2 + 0.1 * t, score=score) is not None) == told


def test_outside_its_hours_a_rule_is_not_judged_and_says_so():
    rule = {"kind": "hazard.intrusion", "zone": "all", "min_presence_s": 1.0, "release_s": 2.0}
    one = watch(**rule, schedule=[{"begin": "08:00", "end": "08:01"}])
    one.timezone = ZoneInfo("Asia/Shanghai")
    told = []
    for k in range(5 * 70):
        t = k / 5
        moment = NOW + timedelta(seconds=t)  # 08:00 in the morning there
        told += [(draft.data.phase, t) for draft in one.update(somebody(0.5), t, moment)]
    phases = [phase for phase, _ in told]
    assert (phases[0], phases[-1]) == ("begin", "end")
    assert 60 < told[-1][1] < 63
    assert one.unavailable == {"hazard.intrusion/all": "outside its schedule"}
    asleep = watch(**rule, schedule=[{"days": ["mon"]}])
    assert begun(asleep, lambda _: 0.5) is not None  # nobody told it what time it is
    asleep = watch(**rule, schedule=[{"days": ["mon"]}])
    asleep.timezone = ZoneInfo("Asia/Shanghai")
    assert begun(asleep, lambda _: 0.5) is None


FLOOR = np.clip(np.random.default_rng(3).normal(120, 25, (45, 80)), 0, 255).astype(np.uint8)
GROUND = np.repeat(np.repeat(FLOOR, 4, axis=0), 4, axis=1)
NOBODY = Detections.empty()


def bagged(grey: int = 20) -> np.ndarray:
    luma = GROUND.copy()
    luma[100:116, 150:166] = grey
    return luma


def played(one: CameraWatch, acts, fps: float = 1.0, found: Detections = NOBODY) -> list[tuple[str, float]]:
    """(phase, time) of what is told while each (picture, seconds) is shown."""
    told, t = [], 0.0
    for luma, seconds in acts:
        for _ in range(round(seconds * fps)):
            wanted = one.checks_view(t)
            scene = Scene(size_px=(320, 180), luma=luma if wanted else None)
            drafts = one.update(found, t, NOW + timedelta(seconds=t), scene)
            told += [(draft.data.phase, t) for draft in drafts]
            t += 1 / fps
    return told


@pytest.mark.parametrize("fps", [10, 5, 2, 1, 0.5])
def test_what_is_put_down_and_what_is_taken_away(fps):
    acts = ((GROUND, 60), (bagged(), 80), (GROUND, 60))
    (begin, *_, end) = played(watch(kind="hazard.abandoned", zone="all", min_age_s=30.0), acts, fps)
    assert begin[0] == "begin"
    assert 89 <= begin[1] <= 96
    assert end[0] == "end"
    assert 149 <= end[1] <= 158
    taken = ((bagged(), 60), (GROUND, 60))
    (begin, *_) = played(watch(kind="hazard.removed", zone="all", min_age_s=10.0), taken, fps)
    assert begin[0] == "begin"
    assert 69 <= begin[1] <= 76


def test_somebody_who_stands_still_is_nothing_that_was_put_down():
    somebody = Detections(
        np.array([[150 / 320, 100 / 180, 166 / 320, 116 / 180]], np.float32),
        np.array([0.6], np.float32),
        np.zeros(1, np.int16),
    )
    stirring = [(bagged(20 + 15 * (second % 3)), 1) for second in range(200)]
    one = watch(kind="hazard.abandoned", zone="all", min_age_s=30.0)
    assert played(one, ((GROUND, 60), *stirring), found=somebody) == []


def car(x: float) -> Detections:
    box = np.array([[x - 0.1, 0.4, x + 0.1, 0.7]], np.float32)
    return Detections(box, np.array([0.9], np.float32), np.ones(1, np.int16))


@pytest.mark.parametrize("fps", [10, 5, 2, 1, 0.5])
def test_a_vehicle_may_stop_but_not_stand(fps):
    one = watch(kind="hazard.obstruction", zone="all", min_age_s=30.0)
    told = []
    for k in range(round(130 * fps)):
        t = k / fps
        x = 0.2 + 0.1 * t if t < 3 else 0.5 if t < 20 else 0.5 + 0.05 * min(t - 20, 6) if t < 60 else 0.8
        told += [(d.data.phase, t) for d in one.update(car(x), t, NOW + timedelta(seconds=t))]
    (begin, *_) = told
    assert begin[0] == "begin"
    assert 54 <= begin[1] <= 60  # it stands at 0.8 from 26 s on


def test_other_things_obstruct_too():
    one = watch(kind="hazard.obstruction", zone="all", min_age_s=30.0)
    (begin, *_) = played(one, ((GROUND, 60), (bagged(), 60)))
    assert begin[0] == "begin"
    assert 89 <= begin[1] <= 96


def test_while_everything_has_changed_a_still_rule_says_so():
    one = watch(kind="hazard.abandoned", zone="all")
    played(one, ((GROUND, 60), (255 - GROUND, 5)))
    assert one.unavailable == {"hazard.abandoned/all": UNSETTLED}


def test_verdicts_on_what_is_no_rule_here_change_nothing():
    one = watch(kind="hazard.intrusion", zone="all", min_presence_s=2.0)
    one.judge(verdicts("hazard.intrusion/elsewhere", 0, 30))
    one.judge(verdicts("camera.offline/gate", 0, 30))
    assert begun(one, lambda _: 0.5) == begun(
        watch(kind="hazard.intrusion", zone="all", min_presence_s=2.0), lambda _: 0.5
    )


def eyed(**more: object) -> CameraWatch:
    camera = CameraConfig.model_validate(
        {
            "id": "gate",
            "source": "sim://plaza",
            "zones": [{"id": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
            "rules": [{"kind": "hazard.intrusion", "zone": "all"}],
            **more,
        }
    )
    new_id = Uuid7(lambda: NOW)
    context = EventContext("n", "000000", new_id, "gate")
    return CameraWatch(camera, DETECTOR, context, Tracker(0.35, np.random.default_rng(1)), new_id)


def noisy_place(k: int) -> np.ndarray:
    return noisy(seen("walk", 40, 0.5 + k % 8), k, 1.0)


def shown(one: CameraWatch, look, begin_s: int, seconds: int, found: Detections = NOBODY) -> list[str]:
    """Kind and phase of what is told meanwhile; a look a second, only where one is wanted."""
    told = []
    for k in range(begin_s, begin_s + seconds):
        scene = Scene((1280, 720), luma=look(k) if one.checks_view(float(k)) else None)
        drafts = one.update(found, float(k), NOW + timedelta(seconds=k), scene)
        told += [f"{draft.kind} {draft.data.phase}" for draft in drafts]
    return told


def black(k: int) -> np.ndarray:
    return noisy(np.full((180, 320), 18, np.uint8), k, 0.5)


def test_while_the_picture_is_dark_no_rule_is_judged_and_it_says_why():
    one = eyed()
    assert shown(one, noisy_place, 0, 30) == []
    assert not one.attention
    assert shown(one, black, 30, 1) == []
    assert one.attention  # a suspicion: keyframes are all wanted now
    assert shown(one, black, 31, 12, somebody(0.5)) == [
        "hazard.intrusion begin",
        "camera.dark begin",
        "hazard.intrusion end",
    ]
    assert one.unavailable == {"hazard.intrusion/all": "the picture is dark"}
    assert one.open_incidents == ("camera.dark/view",)
    assert one.zones == {}
    assert shown(one, noisy_place, 43, 10) == ["camera.dark end"]
    assert one.unavailable == {}
    assert one.zones["all"].count == 0


def test_zones_of_a_camera_that_looks_elsewhere_are_suspended():
    one = eyed()
    elsewhere = seen("walk", 40, 2.0, turned(pan=-12.0))
    assert shown(one, noisy_place, 0, 30) == []
    assert shown(one, lambda k: noisy(elsewhere, k, 1.0), 30, 20) == ["camera.moved begin"]
    assert "draw them again" in one.unavailable["hazard.intrusion/all"]
    assert one.zones == {}
    assert shown(one, noisy_place, 50, 20)[-1] == "camera.moved end"
    assert one.unavailable == {}


def test_what_is_switched_off_is_not_watched_for():
    off = {name: {"enabled": False} for name in ("dark", "covered", "blurred", "frozen", "moved")}
    one = eyed(health=off)
    assert not one.checks_view(0.0)
    assert shown(one, black, 0, 30) == []


def test_verdicts_on_the_camera_s_own_alarms_make_it_wait_longer():
    begun_s = []
    for false in (0, 30):
        one = eyed()
        one.judge(verdicts("camera.dark/view", 0, false))
        shown(one, noisy_place, 0, 30)
        begun_s.append(next(k for k in range(30, 60) if shown(one, black, k, 1)))
    assert begun_s == [34, 38]


def test_it_is_told_at_its_hours():
    one = eyed(health={"dark": {"schedule": [{"begin": "08:00", "end": "08:01"}]}})
    one.timezone = ZoneInfo("Asia/Shanghai")  # 08:00 in the morning there
    assert shown(one, noisy_place, 0, 20) == []
    told = shown(one, black, 20, 60)
    assert (told[0], told[-1]) == ("camera.dark begin", "camera.dark end")
    assert one.unavailable == {"hazard.intrusion/all": "the picture is dark"}


def test_a_step_back_in_brightness_is_survived():
    one = eyed()
    for k, luma in enumerate((np.zeros((180, 320), np.uint8), np.full((180, 320), 255, np.uint8)) * 20):
        one.update(NOBODY, float(k), NOW, Scene(luma=luma))
    assert one.open_incidents in ((), ("camera.dark/view",))


def test_it_tells_what_it_saw_to_who_covers_people():
    one = eyed()
    one.sightings = sightings = Sightings()
    assert one.checks_view(0.0)
    luma = np.full((180, 320), 90, np.uint8)
    for k in range(3):
        one.update(somebody(0.5), k / 5, NOW, Scene((1280, 720), luma=luma))
    witnessed = sightings.around(0.4, live=True)
    assert [look.pts_s for look in witnessed.looks] == [0.0, 0.2, 0.4]
    assert [len(look) for look in witnessed.looks] == [1, 1, 1]
    one.update(somebody(0.5), 0.6, NOW, Scene((1280, 720)))
    assert len(sightings.around(0.6, live=True).looks) == 3
