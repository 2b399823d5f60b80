from datetime import datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from edge.analysis import Analysis
from edge.config import CameraConfig
from edge.events import EventContext
from edge.explained import leading, words
from edge.identifiers import Uuid7
from edge.normality_store import NormalityStore
from edge.rules.motion_unusual import NO_GROUND
from edge.site import Site
from edge.watch import CameraWatch
from models.detections import Detections, Tracks
from models.tracker import Tracker

NOW = datetime(2026, 11, 2, 8, tzinfo=ZoneInfo("Asia/Shanghai"))
CLASSES = ("person", "car", "dog")
GROUND = [
    {"image": [x, y], "ground": [(x - 0.5) * 20, (1 - y) * 30]}
    for x in (0.1, 0.5, 0.9)
    for y in (0.3, 0.6, 0.9)
]
QUICK = {"learning_h": 1, "alarms_per_day": 24}
STEP_S = 1.0


def analysis(ground=True, **rule) -> Analysis:
    camera = CameraConfig.model_validate(
        {
            "id": "gate",
            "source": "sim://plaza",
            "ground": GROUND if ground else [],
            "zones": [{"id": "left", "polygon": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}],
            "rules": [{"kind": "motion.unusual", **QUICK, **rule}],
        }
    )
    return Analysis(camera, Site.from_config(camera), CLASSES)


class Street:
    """People who walk from left to right at 1.3 m/s along y = 9 m, one each ten seconds, and others.

    One unit of the picture is 20 m wide and 30 m deep.
    """

    def __init__(self, watched: Analysis, seed: int = 1) -> None:
        self.watched, self.rng = watched, np.random.default_rng(seed)
        self.time_s, self.key = 0.0, 0
        self.walkers: list[list[float]] = []
        self.local = NOW
        self.looks: list = []

    def add(self, x_m=-9.0, y_m=9.0, vx=1.3, vy=0.0, label=0) -> None:
        self.key += 1
        self.walkers.append([self.key, x_m, y_m, vx, vy, label])

    def run(self, seconds: float, busy: bool = True) -> list:
        said = []
        for _ in range(round(seconds / STEP_S)):
            if busy and self.time_s % 10 == 0:
                self.add(
                    y_m=9 + self.rng.normal(0, 0.5), vx=float(np.clip(self.rng.normal(1.3, 0.2), 0.8, 1.9))
                )
            for one in self.walkers:
                one[1] += one[3] * STEP_S
                one[2] += one[4] * STEP_S
            self.walkers = [one for one in self.walkers if abs(one[1]) < 9.5 and 1 < one[2] < 20]
            look = self.watched.update(self.tracks(), self.time_s, local=self.local)
            said += [one for one in look.observations if one.level is not None]
            self.looks.append(look)
            self.time_s += STEP_S
            self.local += timedelta(seconds=STEP_S)
        return said

    def tracks(self) -> Tracks:
        rows = np.array(self.walkers).reshape(-1, 6)
        n = len(rows)
        feet = np.column_stack((rows[:, 1] / 20 + 0.5, 1 - rows[:, 2] / 30)) + self.rng.normal(
            0, 0.002, (n, 2)
        )
        boxes = np.column_stack((feet[:, 0] - 0.02, feet[:, 1] - 0.12, feet[:, 0] + 0.02, feet[:, 1]))
        return Tracks(
            rows[:, 0].astype(np.int64),
            boxes.astype(np.float32),
            np.zeros((n, 2), np.float32),
            np.full(n, 9, np.float32),
            np.full(n, 0.8, np.float32),
            rows[:, 5].astype(np.int16),
        )


def taught(watched: Analysis) -> Street:
    street = Street(watched)
    street.run(5700)
    assert not street.looks[-1].unavailable
    street.walkers.clear()
    return street


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What a street taught, on the disk: the tests take it up instead of learning for hours."""
    store = NormalityStore(tmp_path_factory.mktemp("kept"))
    for ground in (True, False):
        watched = analysis(ground)
        (learner,) = watched.learners
        learner.remember(store, f"gate-{ground}")
        taught(watched)
        learner.keep()
    return store


def street_of(kept, ground=True, **rule) -> Street:
    watched = analysis(ground, **rule)
    (learner,) = watched.learners
    learner.remember(kept, f"gate-{ground}")
    street = Street(watched, seed=2)
    street.local = NOW + timedelta(hours=2.5)
    street.run(5, busy=False)
    return street


def test_it_says_how_much_of_the_learning_is_done():
    street = Street(analysis())
    assert street.run(1800) == []
    assert street.looks[-1].unavailable == {"motion.unusual/view": "learning: 47% of 1 h"}


@pytest.mark.parametrize("ground", [True, False])
def test_who_does_as_all_do_is_not_unusual(kept, ground):
    assert street_of(kept, ground).run(600) == []


ODD = {
    "speed": {"vx": 4.0},
    "way": {"x_m": 9.0, "vx": -1.3},
    "kind": {"label": 1},
    "place": {"y_m": 17.0, "x_m": -6.0, "vx": 1.0},
}


@pytest.mark.parametrize("ground", [True, False])
@pytest.mark.parametrize("quantity", ODD)
def test_what_is_odd_is_told_with_its_reason(kept, quantity, ground):
    street = street_of(kept, ground)
    street.add(**ODD[quantity])
    said = street.run(12, busy=False)
    assert said
    first = said[0]
    assert (first.kind, first.zone, first.level) == ("motion.unusual", "view", 4)
    assert leading(first.measures) == quantity
    assert len(first.boxes) == 1
    assert first.measures["minute_tail_share"] < 0.02
    assert ("cell_x_m" in first.measures) == ground
    assert {"speed": "m/s, where", "way": "degrees, where", "kind": "of a size", "place": "an hour do"}[
        quantity
    ] in words(first.measures)


def test_measures_name_the_value_and_what_is_usual(kept):
    street = street_of(kept)
    street.add(vx=4.0)
    measures = street.run(12, busy=False)[0].measures
    assert measures["speed_m_s"] == pytest.approx(4.0, abs=0.6)
    assert 0.5 < measures["speed_usual_low_m_s"] < 1.3 < measures["speed_usual_high_m_s"] < 2.5
    assert measures["cell_y_m"] == pytest.approx(9.0, abs=2.0)
    assert measures["way_usual_deg"] == 0.0
    assert measures["way_usual_share"] > 0.9


def test_people_who_gather_and_stand_where_all_go_are_not_unusual(kept):
    street = street_of(kept)
    for k in range(40):
        street.add(x_m=-6 + 0.3 * k, y_m=9 + 0.02 * k, vx=0.0)
    assert street.run(200, busy=False) == []


def test_animals_are_not_judged(kept):
    street = street_of(kept)
    street.add(vx=5.0, label=2)
    assert street.run(8, busy=False) == []


def test_other_places_than_its_zone_are_not_judged(kept):
    watched = analysis(zone="left")
    assert watched.update(Tracks.empty(), 0.0).unavailable == {"motion.unusual/left": "learning: 0% of 1 h"}


def learned_minutes(street: Street) -> float:
    (learner,) = street.watched.learners
    return learner.learned.observed_min


def test_nothing_is_learned_while_an_incident_is_open_nor_just_before():
    street = Street(analysis())
    street.run(640)
    before = learned_minutes(street)
    street.run(100)
    street.watched.open_incidents = ("hazard.fall/all",)
    street.run(600)
    street.watched.open_incidents = ()
    street.run(59)
    assert learned_minutes(street) <= before + 2
    street.run(300)
    assert learned_minutes(street) >= before + 3


def test_nothing_is_learned_or_judged_while_the_camera_is_moved(kept):
    street = street_of(kept)
    before = learned_minutes(street)
    street.watched.ground_lost = "moved"
    street.add(vx=4.0)
    assert street.run(600) == []
    assert street.looks[-1].unavailable == {"motion.unusual/view": NO_GROUND}
    assert learned_minutes(street) == before


def test_the_same_oddity_again_and_again_is_told_a_few_times_only(kept):
    street = street_of(kept)
    times = 0
    for _ in range(60):
        street.add(x_m=9.0, vx=-1.3)
        times += bool(street.run(40, busy=False))
        street.walkers.clear()
    assert 1 <= times <= 30


def test_another_calibration_learns_anew(kept):
    watched = analysis(ground=False)
    (learner,) = watched.learners
    learner.remember(kept, "gate-True")
    street = Street(watched)
    street.run(2)
    assert "0%" in street.looks[-1].unavailable["motion.unusual/view"]


def watch(store: NormalityStore) -> CameraWatch:
    detector = SimpleNamespace(name="scripted", sha256="0" * 64, class_names=CLASSES)
    camera = CameraConfig.model_validate(
        {"id": "gate", "source": "sim://plaza", "rules": [{"kind": "motion.unusual", **QUICK}]}
    )
    new_id = Uuid7(lambda: NOW)
    made = CameraWatch(camera, detector, EventContext("n", "000000", new_id, "gate"), Tracker(0.35), new_id)
    made.remember(store)
    return made


def test_a_camera_keeps_what_it_learned_until_it_is_told_to_forget(tmp_path):
    store = NormalityStore(tmp_path)
    one = watch(store)
    for k in range(1500):
        one.update(Detections.empty(), k * 1.0, NOW + timedelta(seconds=k))
    one.close(NOW)
    other = watch(store)
    other.update(Detections.empty(), 0.0, NOW + timedelta(hours=1))
    assert other.unavailable == {"motion.unusual/view": "learning: 38% of 1 h"}
    store.ask_to_forget("gate")
    for k in range(1, 70):
        other.update(Detections.empty(), k * 1.0, NOW + timedelta(hours=1, seconds=k))
    assert other.unavailable == {"motion.unusual/view": "learning: 0% of 1 h"}
    assert list(tmp_path.iterdir()) == []
