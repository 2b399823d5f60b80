import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.analysis import Analysis, Look
from edge.config import CameraConfig
from edge.errors import RuleError
from edge.incidents import Incidents, policies
from edge.site import Site
from edge.view import MAX_BOXES
from models.detections import Tracks

CLASSES = ("person", "bicycle", "car")
SQUARE = [[0.2, 0.4], [0.8, 0.4], [0.8, 1.0], [0.2, 1.0]]
SHARED = Path(__file__).parents[3] / "shared"


def camera(rules: list[dict], **more: object) -> CameraConfig:
    zone = {"id": "z", "polygon": SQUARE, **more.pop("zone", {})}
    line = {"id": "l", "points": [[0.0, 0.5], [1.0, 0.5]]}
    return CameraConfig.model_validate(
        {"id": "gate", "source": "x.mp4", "zones": [zone], "lines": [line], "rules": rules, **more}
    )


def analysis(*rules: dict, classes: tuple[str, ...] = CLASSES, **more: object) -> Analysis:
    config = camera(list(rules), **more)
    return Analysis(config, Site.from_config(config), classes)


def tracks(
    feet: list[tuple[float, float]], labels: list[int] | None = None, ids: list[int] | None = None
) -> Tracks:
    n = len(feet)
    boxes = [(x - 0.02, max(y - 0.2, 0), x + 0.02, y) for x, y in feet]
    return Tracks(
        ids=np.array(ids if ids is not None else range(n), np.int64),
        xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        velocity=np.zeros((n, 2), np.float32),
        age_s=np.ones(n, np.float32),
        scores=np.linspace(0.5, 0.9, n, dtype=np.float32),
        labels=np.array(labels if labels is not None else [0] * n, np.int16),
    )


INTRUSION = {"kind": "hazard.intrusion", "zone": "z"}
LINE = {"kind": "hazard.line", "line": "l"}
DENSITY = {"kind": "crowd.density", "zone": "z"}
# A picture of 10 m by 10 m, seen from straight above.
GROUND = [
    {"image": [x, y], "ground": [10 * x, 10 * (1 - y)]}
    for x, y in [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9), (0.5, 0.5)]
]


def test_an_empty_look():
    look = analysis(INTRUSION, LINE).update(Tracks.empty(), 0.0)
    assert [(o.kind, o.level) for o in look.observations] == [("hazard.intrusion", None)]
    assert look.zones["z"].count == 0


def test_intrusion_after_the_least_presence():
    watch = analysis({**INTRUSION, "min_presence_s": 1.0, "level": 1})
    levels = [watch.update(tracks([(0.5, 0.8), (0.1, 0.8)]), 0.2 * k).observations[0].level for k in range(7)]
    assert levels == [None] * 5 + [1, 1]


def test_who_has_just_come_begins_nothing_but_keeps_up_what_has_begun():
    watch = analysis({**INTRUSION, "min_presence_s": 1.0, "level": 1})
    (seen,) = watch.update(tracks([(0.5, 0.8)]), 0.0).observations
    assert (seen.level, seen.sustains, seen.measures["count"], len(seen.boxes)) == (None, 1, 1, 1)
    (seen,) = watch.update(tracks([(0.1, 0.8)]), 0.2).observations
    assert (seen.level, seen.sustains, seen.measures["count"], seen.boxes) == (None, None, 0, ())


def test_intrusion_tells_how_long_and_where():
    watch = analysis(INTRUSION)
    for k in range(7):
        watch.update(tracks([(0.5, 0.8), (0.1, 0.8)]), 0.2 * k)
    seen = watch.update(tracks([(0.5, 0.8), (0.1, 0.8)]), 1.4).observations[0]
    assert seen.measures == {"count": 1.0, "presence_s": 1.4}
    assert seen.confidence == pytest.approx(0.5)
    assert seen.boxes == ((0.48, 0.6, 0.52, 0.8),)


def test_intrusion_survives_a_change_of_the_tracker_s_number():
    watch = analysis(INTRUSION)
    watch.update(tracks([(0.5, 0.8)], ids=[1]), 0.0)
    watch.update(tracks([(0.5, 0.8)], ids=[1]), 0.6)
    watch.update(tracks([]), 0.8)
    assert watch.update(tracks([(0.51, 0.8)], ids=[2]), 1.2).observations[0].level == 2


def test_only_the_rule_s_classes_count():
    watch = analysis({**INTRUSION, "classes": ["car", "bicycle"], "min_presence_s": 0})
    look = watch.update(tracks([(0.5, 0.8), (0.5, 0.9), (0.6, 0.9)], labels=[0, 1, 2]), 0.0)
    assert look.observations[0].measures["count"] == 2
    assert look.zones["z"].count == 1


@pytest.mark.parametrize(("direction", "expected"), [("right", 1), ("left", 1), ("both", 2)])
def test_crossings_of_one_look_are_one_observation(direction, expected):
    watch = analysis({**LINE, "direction": direction})
    assert watch.update(tracks([(0.3, 0.3), (0.6, 0.9)]), 0.0).observations == ()
    assert watch.update(tracks([(0.3, 0.9), (0.6, 0.3)]), 0.5).observations == ()
    (seen,) = watch.update(tracks([(0.3, 0.9), (0.6, 0.3)]), 0.7).observations
    assert seen.measures == {"crossings": expected, "crossings_right": 1, "crossings_left": 1}
    assert (seen.instant, seen.zone, len(seen.boxes)) == (True, "l", expected)


def test_density_on_calibrated_ground():
    watch = analysis({**DENSITY, "blue_per_m2": 1.4, "yellow_per_m2": 1.6}, ground=GROUND)
    huddle = [(0.5 + 0.01 * k, 0.7) for k in range(6)]
    look = watch.update(tracks([*huddle, (0.3, 0.5), (0.05, 0.5)]), 0.0)
    (seen,) = look.observations
    assert seen.level == 4
    assert seen.measures["count"] == 7
    assert seen.measures["density_worst_cell_per_m2"] == 1.5
    assert seen.measures["density_mean_per_m2"] == pytest.approx(7 / 36, abs=1e-4)
    assert seen.measures["density_stderr_per_m2"] > 0
    assert "capacity_share" not in seen.measures
    assert len(seen.boxes) == 6
    assert look.zones["z"].density_worst_cell_per_m2 == pytest.approx(1.5)
    assert look.zones["z"].density_mean_per_m2 == pytest.approx(7 / 36)


def test_hysteresis_keeps_a_level_that_is_only_just_lost():
    watch = analysis({**DENSITY, "blue_per_m2": 1.4, "yellow_per_m2": 1.6}, ground=GROUND)
    huddle = [(0.5 + 0.01 * k, 0.7) for k in range(5)]  # 1.25 per m2
    (seen,) = watch.update(tracks(huddle), 0.0).observations
    assert (seen.level, seen.sustains) == (None, 4)
    (seen,) = watch.update(tracks(huddle[:4]), 0.2).observations
    assert (seen.level, seen.sustains, seen.boxes) == (None, None, ())


def test_without_ground_the_share_of_capacity_is_watched():
    watch = analysis(DENSITY, zone={"capacity": 10})
    people = [(0.3 + 0.02 * k, 0.8) for k in range(9)]
    look = watch.update(tracks(people), 0.0)
    (seen,) = look.observations
    assert (seen.level, seen.measures) == (3, {"count": 9, "capacity_share": 0.9})
    assert look.zones["z"].density_mean_per_m2 is None


def test_with_both_the_worse_counts():
    watch = analysis(DENSITY, ground=GROUND, zone={"capacity": 4})
    (seen,) = watch.update(
        tracks([(0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.3, 0.9), (0.7, 0.5)]), 0.0
    ).observations
    assert (seen.level, seen.measures["capacity_share"]) == (1, 1.25)
    assert seen.measures["density_worst_cell_per_m2"] < 1


def test_while_trouble_is_expected_density_is_judged_by_sharper_thresholds():
    watch = analysis(
        {**DENSITY, "blue_per_m2": 1.4, "yellow_per_m2": 1.6}, ground=GROUND, zone={"capacity": 10}
    )
    huddle = tracks([(0.5 + 0.01 * k, 0.7) for k in range(5)])  # 1.25 per m2, half of the capacity
    (seen,) = watch.update(huddle, 0.0).observations
    assert (seen.level, "threshold_ratio" in seen.measures) == (None, False)
    watch.density_factor = 0.8
    (seen,) = watch.update(huddle, 0.2).observations
    assert (seen.level, seen.measures["threshold_ratio"]) == (4, 0.8)  # 1.12 and 1.28 per m2 by now
    watch.density_factor = 0.5
    (seen,) = watch.update(huddle, 0.4).observations
    assert (seen.level, seen.measures["capacity_share"]) == (2, 0.5)
    watch.density_factor = 1.0
    (seen,) = watch.update(huddle, 0.6).observations
    assert (seen.level, "threshold_ratio" in seen.measures) == (None, False)


def test_no_event_carries_hundreds_of_boxes():
    watch = analysis(DENSITY, zone={"capacity": 10})
    (seen,) = watch.update(tracks([(0.3 + k / 1000, 0.8) for k in range(200)]), 0.0).observations
    assert len(seen.boxes) == MAX_BOXES


def test_classes_that_the_detector_does_not_know():
    with pytest.raises(
        RuleError, match=r"camera 'gate': rules\[1\]\.classes\[1\]: .*'persn'; did you mean 'person'"
    ):
        analysis(LINE, {**INTRUSION, "classes": ["car", "persn"]})
    with pytest.raises(RuleError, match=r"'elephant'; it knows person, bicycle, car"):
        analysis({**INTRUSION, "classes": ["elephant"]})
    with pytest.raises(RuleError, match="and 8 more"):
        analysis({**INTRUSION, "classes": ["elephant"]}, classes=tuple(f"c{k}" for k in range(20)))
    with pytest.raises(RuleError, match=r"rules\[0\]\.kind.*'person'"):
        analysis(DENSITY, zone={"capacity": 4}, classes=("car",))


def test_a_detector_without_persons_counts_none():
    watch = analysis({**INTRUSION, "classes": ["car"]}, classes=("car",))
    assert watch.update(tracks([(0.5, 0.8)]), 0.0).zones == {}


def test_pedestrians_are_persons():
    watch = analysis(classes=("car", "pedestrian"))
    assert watch.update(tracks([(0.5, 0.8)], labels=[1]), 0.0).zones["z"].count == 1


spots = st.lists(st.tuples(st.floats(0.05, 0.95), st.floats(0.1, 1.0)), max_size=12)


@given(st.lists(spots, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_tracks_does_not_matter(looks, random):
    one, other = (analysis(INTRUSION, LINE, DENSITY, ground=GROUND, zone={"capacity": 5}) for _ in range(2))

    def outline(look: Look) -> list[tuple]:
        return [(o.kind, o.level, o.sustains, dict(o.measures)) for o in look.observations]

    for k, feet in enumerate(looks):
        seen = tracks(feet)
        order = list(range(len(feet)))
        random.shuffle(order)
        shuffled = seen.select(np.array(order, np.intp))
        assert outline(one.update(seen, k * 0.4)) == outline(other.update(shuffled, k * 0.4))


@pytest.mark.shared
@pytest.mark.slow
def test_six_visits_are_six_incidents():
    """Somebody walks in, stands at a desk and walks out, six times; looked at once a second."""
    clip = SHARED / "media" / "one-by-one-person-detection.mp4"
    if not clip.exists():
        pytest.skip("needs ../shared/media")
    import av

    from models.tracker import Tracker
    from models.zoo import load_detector
    from streams.picture import AvPicture

    config = CameraConfig.model_validate(
        {
            "id": "desk",
            "source": "desk.mp4",
            "zones": [{"id": "desk", "polygon": [[0.48, 0.8], [0.72, 0.8], [0.72, 1.0], [0.48, 1.0]]}],
            "rules": [{"kind": "hazard.intrusion", "zone": "desk", "min_presence_s": 1.0, "release_s": 3.0}],
        }
    )
    detector = load_detector("nanodet-g-416-int8")
    tracker = Tracker(rng=np.random.default_rng(1))
    watch = Analysis(config, Site.from_config(config), detector.class_names)
    numbers = itertools.count(1)
    incidents = Incidents("desk", policies(config), lambda: f"i{next(numbers)}")
    start, changes = datetime(2026, 11, 22, tzinfo=UTC), []
    with av.open(str(clip)) as container:
        for k, frame in enumerate(container.decode(video=0)):
            if k % 10 == 0:
                look = watch.update(tracker.update(detector.detect(AvPicture(frame)), frame.time), frame.time)
                changes += incidents.update(
                    look.observations, frame.time, start + timedelta(seconds=frame.time)
                )
    detector.close()
    begins = [(c.started_utc - start).total_seconds() for c in changes if c.phase == "begin"]
    assert begins == pytest.approx([8, 25, 52, 77, 94, 126], abs=2)
    assert [c.phase for c in changes if c.phase != "update"] == ["begin", "end"] * 6


LOST = "the camera has moved"
COUNTED = {"zone": {"capacity": 4}}


def test_a_lost_ground_puts_nobody_anywhere_and_says_why():
    watcher = analysis(
        {"kind": "crowd.pressure", "zone": "z"},
        {"kind": "crowd.surge"},
        {"kind": "crowd.flow", "line": "l"},
        DENSITY,
        INTRUSION,
        LINE,
        ground=GROUND,
    )
    crowd = tracks([(0.3 + 0.05 * k, 0.6) for k in range(8)])
    assert watcher.update(crowd, 0.0).people is not None
    watcher.ground_lost = LOST
    look = watcher.update(crowd, 0.2)
    assert look.people is None
    assert look.unavailable == dict.fromkeys(
        ("crowd.pressure/z", "crowd.surge/view", "crowd.flow/l", "crowd.density/z"), LOST
    )
    # Who is in the picture's part of a zone is still counted, but not put on square metres.
    assert {seen.kind for seen in look.observations} == {"hazard.intrusion"}
    assert look.zones["z"].count == 8
    assert look.zones["z"].density_mean_per_m2 is None


def test_a_share_of_capacity_needs_no_ground():
    watcher = analysis(DENSITY, ground=GROUND, **COUNTED)
    watcher.ground_lost = LOST
    look = watcher.update(tracks([(0.3 + 0.05 * k, 0.6) for k in range(5)]), 0.0)
    assert look.unavailable == {}
    (seen,) = look.observations
    assert seen.level == 1
    assert set(seen.measures) == {"count", "capacity_share"}


def test_zones_in_metres_are_still_told_when_the_ground_is_lost():
    watcher = analysis(
        INTRUSION, ground=GROUND, zone={"polygon": [[2, 0], [8, 0], [8, 6], [2, 6]], "units": "ground"}
    )
    watcher.ground_lost = LOST
    assert watcher.update(tracks([(0.5, 0.6), (0.1, 0.9)]), 0.0).zones["z"].count == 1


def test_the_ground_comes_back():
    watcher = analysis(DENSITY, ground=GROUND)
    crowd = tracks([(0.3, 0.6)])
    before = watcher.update(crowd, 0.0)
    watcher.ground_lost = LOST
    watcher.update(crowd, 0.2)
    watcher.ground_lost = None
    after = watcher.update(crowd, 0.4)
    assert after.unavailable == before.unavailable == {}
    assert after.people is not None
    assert after.zones["z"].density_mean_per_m2 == before.zones["z"].density_mean_per_m2
