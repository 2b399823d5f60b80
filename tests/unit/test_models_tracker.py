import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detections import Detections
from models.tracker import Tracker, TrackerOptions, assign


def seen(*boxes, score=0.8, label=0):
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(xyxy, np.full(len(xyxy), score, np.float32), np.full(len(xyxy), label, np.int16))


def person(x, y=0.4):
    return (x, y, x + 0.05, y + 0.25)


def tracker(seed=1, **options):
    return Tracker(rng=np.random.default_rng(seed), options=TrackerOptions(**options))


def walk(follower, seconds, fps, start=0.1, speed=0.1, first=0):
    """One person walks; returns the tracks of each picture."""
    return [
        follower.update(seen(person(start + speed * i / fps)), i / fps)
        for i in range(first, int(seconds * fps) + 1)
    ]


@st.composite
def pictures(draw):
    count = draw(st.integers(2, 12))
    gaps = draw(st.lists(st.floats(0.02, 0.8), min_size=count, max_size=count))
    looks = []
    for pts_s in np.cumsum(gaps):
        rows = draw(
            st.lists(
                st.tuples(st.floats(0, 0.9), st.floats(0, 0.7), st.floats(0.1, 1), st.integers(0, 2)),
                max_size=6,
                unique=True,
            )
        )
        xyxy = np.array([(x, y, x + 0.08, y + 0.25) for x, y, _, _ in rows], np.float32).reshape(-1, 4)
        scores = np.array([row[2] for row in rows], np.float32)
        looks.append((float(pts_s), Detections(xyxy, scores, np.array([row[3] for row in rows], np.int16))))
    return looks


@settings(max_examples=50)
@given(pictures())
def test_ids_are_unique_in_a_picture_and_never_come_back(looks):
    follower = tracker(lost_s=0.3)
    last_seen = {}
    for pts_s, detections in looks:
        tracks = follower.update(detections, pts_s)
        ids = tracks.ids.tolist()
        assert len(set(ids)) == len(ids) <= len(detections)
        assert ((tracks.xyxy >= 0) & (tracks.xyxy <= 1)).all()
        assert (tracks.age_s > 0).all()
        for identity in ids:
            # Pictures are at most 0.8 s apart, and one missed picture is always forgiven.
            assert pts_s - last_seen.get(identity, pts_s) <= 2 * 0.8 + 1e-6
            last_seen[identity] = pts_s


@settings(max_examples=50)
@given(pictures(), st.randoms(use_true_random=False))
def test_the_order_of_detections_changes_nothing(looks, random):
    one, other = tracker(7), tracker(7)
    for pts_s, detections in looks:
        order = list(range(len(detections)))
        random.shuffle(order)
        a = one.update(detections, pts_s)
        b = other.update(detections.select(np.array(order, np.intp)), pts_s)
        assert a.ids.tolist() == b.ids.tolist()
        assert a.xyxy == pytest.approx(b.xyxy)
        assert a.velocity == pytest.approx(b.velocity)


@settings(max_examples=20)
@given(st.floats(2, 25), st.floats(0.02, 0.2))
def test_the_rate_of_pictures_changes_neither_identity_nor_speed(fps, speed):
    history = walk(tracker(), 3, fps, speed=speed)
    assert {identity for tracks in history for identity in tracks.ids.tolist()} == set(
        history[-1].ids.tolist()
    )
    assert len(history[-1]) == 1
    assert history[-1].velocity[0] == pytest.approx([speed, 0], abs=0.25 * speed)
    assert history[-1].age_s[0] == pytest.approx(int(3 * fps) / fps, abs=1e-4)


def test_irregular_pictures_are_followed():
    follower, rng, now_s = tracker(), np.random.default_rng(3), 0.0
    ids = set()
    for _ in range(60):
        now_s += rng.uniform(0.04, 0.5)
        ids |= set(follower.update(seen(person(0.05 + 0.03 * now_s)), now_s).ids.tolist())
    assert len(ids) == 1


def test_two_trackers_never_share_ids():
    ids = set()
    for seed in range(20):
        made = {i for tracks in walk(tracker(seed), 1, 5) for i in tracks.ids.tolist()}
        assert len(made) == 1
        assert not made & ids
        ids |= made
    anonymous = [walk(Tracker(), 1, 5)[-1].ids[0] for _ in range(2)]
    assert anonymous[0] != anonymous[1]


def test_the_same_seed_gives_the_same_ids():
    assert walk(tracker(4), 1, 5)[-1].ids.tolist() == walk(tracker(4), 1, 5)[-1].ids.tolist()


def test_a_track_is_confirmed_by_its_second_detection_and_not_by_a_flash():
    follower = tracker()
    assert len(follower.update(seen(person(0.1)), 0.0)) == 0
    assert len(follower.update(seen(person(0.1)), 0.04)) == 0
    assert len(follower.update(seen(person(0.1)), 0.12)) == 1
    flash = tracker()
    flash.update(seen(person(0.1)), 0.0)
    flash.update(Detections.empty(), 0.2)
    flash.update(Detections.empty(), 0.4)
    assert len(flash.update(seen(person(0.1)), 0.6)) == 0


def test_only_what_is_seen_in_this_picture_is_returned_and_a_gap_keeps_the_id():
    follower = tracker()
    before = walk(follower, 1, 10)[-1]
    assert len(follower.update(Detections.empty(), 1.5)) == 0
    after = follower.update(seen(person(0.1 + 0.1 * 2.4)), 2.4)
    assert after.ids.tolist() == before.ids.tolist()


def test_too_long_a_gap_makes_a_new_track():
    follower = tracker()
    before = walk(follower, 1, 10)[-1]
    follower.update(Detections.empty(), 2.0)
    follower.update(Detections.empty(), 3.5)
    again = walk(follower, 5, 10, first=40)
    assert len(again[-1]) == 1
    assert before.ids[0] not in {identity for tracks in again for identity in tracks.ids.tolist()}


def test_an_unsure_detection_keeps_a_track_but_starts_none():
    follower = tracker()
    walk(follower, 1, 10)
    assert len(follower.update(seen(person(0.21), score=0.2), 1.1)) == 1
    assert len(follower.update(seen(person(0.22), score=0.05), 1.2)) == 0
    nobody = tracker()
    for i in range(10):
        assert len(nobody.update(seen(person(0.1), score=0.3), i / 10)) == 0


def test_two_who_cross_keep_their_ids():
    follower = tracker()
    for i in range(41):
        t = i / 10
        boxes = (person(0.1 + 0.1 * t, 0.40), person(0.5 - 0.1 * t, 0.48))
        tracks = follower.update(seen(*boxes), t)
        if i == 5:
            first = tracks.ids[np.argsort(tracks.xyxy[:, 0])]
    last = tracks.ids[np.argsort(tracks.xyxy[:, 0])]
    assert last.tolist() == first.tolist()[::-1]


def test_a_person_never_becomes_a_thing():
    follower = tracker()
    before = walk(follower, 1, 10)[-1]
    for i in range(11, 16):
        tracks = follower.update(seen(person(0.2), label=2), i / 10)
    assert tracks.labels.tolist() == [2]
    assert tracks.ids[0] != before.ids[0]


def test_a_wavering_label_follows_the_majority():
    follower = tracker()
    labels = [2, 2, 2, 7, 2, 7, 7, 7, 7, 7, 7]
    history = [follower.update(seen(person(0.3), label=label), i / 5) for i, label in enumerate(labels)]
    assert len({tracks.ids[0] for tracks in history[1:]}) == 1
    assert history[4].labels[0] == 2
    assert history[-1].labels[0] == 7


def test_groups_may_be_given():
    follower = Tracker(rng=np.random.default_rng(0), groups=(0, 0))
    for i in range(3):
        tracks = follower.update(seen(person(0.3), label=i % 2), i / 5)
    assert len(tracks) == 1
    assert tracks.age_s[0] == pytest.approx(0.4)


def test_a_double_of_a_followed_box_starts_no_track():
    follower = tracker()
    for i in range(5):
        tracks = follower.update(seen((0.3, 0.3, 0.4, 0.6), (0.302, 0.3, 0.402, 0.6)), i / 5)
    assert 1 <= len(tracks) <= 2
    single = tracker()
    single.update(seen((0.3, 0.3, 0.4, 0.6)), 0.0)
    for i in range(1, 6):
        tracks = single.update(seen((0.3, 0.3, 0.4, 0.6), (0.302, 0.3, 0.402, 0.6)), i / 5)
    assert len(tracks) == 1


def test_time_must_move_on():
    follower = tracker()
    follower.update(Detections.empty(), 1.0)
    with pytest.raises(ValueError, match="time must move on"):
        follower.update(Detections.empty(), 1.0)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0])
def test_a_threshold_outside_its_range_is_refused(threshold):
    with pytest.raises(ValueError, match="start_threshold"):
        Tracker(threshold)


def test_pairs_are_taken_by_falling_affinity():
    rows, columns = assign(np.array([[0.9, 0.8], [0.85, 0.1]]), 0.2)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])
    rows, columns = assign(np.zeros((0, 3)), 0.2)
    assert len(rows) == len(columns) == 0
