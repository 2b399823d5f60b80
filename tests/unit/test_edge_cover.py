"""Heads are covered wherever they may be, and everything is where too little is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.backdrop import SHAPE, Backdrop
from edge.bodies import at
from edge.cover import RIM, CoverOptions, Witnessed, crowded, occupied, plan
from edge.grid import GRID, painted
from edge.looks import Look
from edge.privacy import CameraPrivacyConfig, PrivacyConfig
from models.density import HeadMap
from models.detections import Detections, Tracks
from tests.support.looks import EMPTY, PERSON, SIZE_PX, learned, look, shown

Box = tuple[float, float, float, float]
OPTIONS, PEOPLE = CoverOptions(), CoverOptions("people")
PLACE = learned()


def _plan(
    *looks: Look, luma: np.ndarray = EMPTY, pts_s: float = 0.0, options: CoverOptions = OPTIONS
) -> np.ndarray:
    """What is covered, but for the rim, which always is."""
    return plan(options, Witnessed(looks, PLACE), luma, pts_s, SIZE_PX) & ~RIM


def _head(box: Box) -> np.ndarray:
    left, top, right, bottom = box
    return painted([(left, top, right, top + 0.15 * (bottom - top))])


def _legs(box: Box) -> np.ndarray:
    left, top, right, bottom = box
    return painted([(left, top + 0.6 * (bottom - top), right, bottom)], inside=True)


def _moved(box: Box, x: float, y: float = 0.0) -> Box:
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def test_an_empty_place_is_open_but_for_its_rim() -> None:
    assert not _plan(look(0.0)).any()
    assert np.array_equal(plan(OPTIONS, Witnessed((look(0.0),), PLACE), EMPTY, 0.0, SIZE_PX), RIM)
    assert RIM.mean() < 0.04


def test_the_head_of_who_is_followed_is_covered_and_the_body_open() -> None:
    looks = look(-0.5, PERSON, tracked=True), look(0.0, PERSON, tracked=True)
    covered = _plan(*looks, luma=shown(PERSON))
    assert covered[_head(PERSON)].all()
    assert not covered[_legs(PERSON)].any()
    assert covered.mean() < 0.03


def test_whole_people_where_that_is_wanted() -> None:
    looks = look(-0.5, PERSON, tracked=True), look(0.0, PERSON, tracked=True)
    covered = _plan(*looks, luma=shown(PERSON), options=PEOPLE)
    assert covered[painted([PERSON])].all()


def test_an_unsure_box_in_front_of_the_same_grey_is_covered_too() -> None:
    """Somebody as grey as the place, found with the least score: nothing else tells of them."""
    covered = _plan(look(0.0, PERSON, luma=EMPTY, score=0.1))
    assert covered[_head(PERSON)].all()


def test_what_nobody_found_is_covered_wholly() -> None:
    covered = _plan(look(0.0), luma=shown(PERSON))
    assert covered[painted([PERSON])].all()
    assert covered.mean() < 0.06


@pytest.mark.parametrize(
    "box",
    [(0.3, 0.5, 0.45, 0.58), (0.40, 0.30, 0.47, 0.46), (0.4, 0.3, 0.408, 0.33)],
    ids=["lying", "sitting", "far away"],
)
def test_who_lies_sits_or_is_small_is_covered_whole(box: Box) -> None:
    covered = _plan(look(-0.5, box, tracked=True), look(0.0, box, tracked=True), luma=shown(box))
    assert covered[painted([box])].all()


def test_between_two_looks_a_head_is_in_the_middle() -> None:
    looks = look(-0.25, PERSON, tracked=True), look(0.25, _moved(PERSON, 0.2), tracked=True)
    middle = _moved(PERSON, 0.1)
    covered = _plan(*looks, luma=EMPTY)
    assert covered[_head(middle)].all()


def test_after_the_last_look_a_head_goes_on() -> None:
    last = look(-0.5, PERSON, velocity=(0.3, 0.0), tracked=True)
    covered = _plan(last, luma=EMPTY)
    for way in (0.0, 0.07, 0.15):
        assert covered[_head(_moved(PERSON, way))].all()


def test_whoever_runs_off_where_nobody_foretold_it_is_covered_wholly() -> None:
    there = _moved(PERSON, 0.25, 0.05)
    covered = _plan(look(-0.5, PERSON, tracked=True), luma=shown(there))
    assert covered[painted([there])].all()


def test_somebody_faint_is_covered_within_reach_of_who_was_seen() -> None:
    """Half of what makes a difference elsewhere makes one here: who ran on is as likely faint as not."""
    beside, far = _moved(PERSON, 0.08), _moved(PERSON, -0.38)
    luma = shown(beside, far, tone=121)
    covered = _plan(look(-0.5, PERSON, velocity=(0.1, 0.0), tracked=True), luma=luma)
    assert covered[_head(beside)].all()
    assert not covered[_head(far)].any()


def test_a_body_is_covered_when_the_head_is_not_where_it_was_foretold() -> None:
    looks = look(-0.5, PERSON, tracked=True), look(0.0, PERSON, tracked=True)
    crouching = (0.38, 0.44, 0.48, 0.60)
    covered = _plan(*looks, luma=shown(crouching))
    assert covered[painted([crouching])].all()


def test_who_comes_in_before_somebody_is_covered() -> None:
    looks = look(-0.5, PERSON, tracked=True), look(0.0, PERSON, tracked=True)
    nearer = (0.39, 0.52, 0.48, 0.98)
    covered = _plan(*looks, luma=shown(PERSON, nearer))
    assert covered[painted([nearer])].all()


def test_who_stands_before_another_leaves_no_body_open() -> None:
    other = _moved(PERSON, 0.02, 0.08)
    looks = look(-0.5, PERSON, other, tracked=True), look(0.0, PERSON, other, tracked=True)
    covered = _plan(*looks, luma=shown(PERSON, other))
    assert covered[painted([PERSON, other])].all()


def test_a_crowd_is_covered_wholesale() -> None:
    crowd = [_moved(PERSON, 0.02 * k, 0.01 * (k % 2)) for k in range(5)]
    assert crowded(look(0.0, *crowd, score=0.15))[painted(crowd)].all()
    assert not crowded(look(0.0, PERSON, _moved(PERSON, 0.3))).any()
    counts = np.zeros((32, 56), np.float32)
    counts[10, 20] = 0.5
    counted = replace(look(0.0), heads=HeadMap(counts, counts + 1.0, 0.1))
    covered = _plan(counted)
    assert covered[painted([(20 / 56, 10 / 32, 21 / 56, 11 / 32)])].all()
    assert occupied(counted).any()


def test_masks_are_always_covered() -> None:
    options = CoverOptions(masks=(((0.1, 0.1), (0.3, 0.1), (0.3, 0.3), (0.1, 0.3)),))
    covered = _plan(look(0.0), options=options)
    assert covered[painted([(0.1, 0.1, 0.3, 0.3)], inside=True)].all()
    assert covered.mean() == pytest.approx(0.04, abs=0.01)


@pytest.mark.parametrize(
    ("looks", "pts_s"),
    [
        ((), 0.0),
        ((look(-1.01),), 0.0),
        ((look(1.5),), 0.0),
        ((look(0.0), look(-0.5)), 0.0),
        ((look(0.0), look(0.0)), 0.0),
        ((look(0.0),), float("nan")),
        ((look(0.0),), float("inf")),
    ],
    ids=["none", "too old", "too new", "disorder", "twice", "no time", "for ever"],
)
def test_everything_is_covered_where_looks_do_not_tell(looks: tuple[Look, ...], pts_s: float) -> None:
    assert plan(OPTIONS, Witnessed(looks, PLACE), EMPTY, pts_s, SIZE_PX).all()


def test_everything_is_covered_while_the_place_is_not_learned() -> None:
    assert plan(OPTIONS, Witnessed((look(0.0),)), EMPTY, 0.0, SIZE_PX).all()
    assert plan(OPTIONS, Witnessed((look(0.0),), Backdrop.unknown(EMPTY, 0.0)), EMPTY, 0.0, SIZE_PX).all()


unit = st.floats(0.0, 0.8)
people = st.lists(
    st.tuples(unit, unit, st.floats(0.005, 0.15), st.floats(0.01, 0.4)).map(
        lambda b: (b[0], b[1], min(1.0, b[0] + b[2]), min(1.0, b[1] + b[3]))
    ),
    max_size=6,
)
speeds = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))


@settings(deadline=None, max_examples=40)
@given(people, speeds, st.floats(0.0, 0.9), st.floats(0.0, 0.9))
def test_what_is_thought_possible_grows_with_time(
    boxes: list[Box], velocity: tuple[float, float], one_s: float, more_s: float
) -> None:
    """The farther from the look, the more is covered: doubt, reach and the way since then only grow."""
    sooner, later = sorted((one_s, one_s + more_s))
    seen = look(0.0, *boxes, velocity=velocity, tracked=True)
    a, b = at(sooner, [seen], SIZE_PX), at(later, [seen], SIZE_PX)
    assert (b.doubt >= a.doubt - 1e-9).all()
    for name in ("heads", "people", "reach"):
        small, large = getattr(a, name), getattr(b, name)
        assert (large[:, :2] <= small[:, :2] + 1e-6).all()
        assert (large[:, 2:] >= small[:, 2:] - 1e-6).all()


@settings(deadline=None, max_examples=40)
@given(people, people, st.booleans())
def test_heads_that_were_found_are_covered_and_people_cover_more(
    boxes: list[Box], others: list[Box], tracked: bool
) -> None:
    looks = look(-0.4, *others, tracked=tracked), look(0.0, *boxes, tracked=tracked)
    luma = shown(*boxes)
    heads, whole = (_plan(*looks, luma=luma, options=options) for options in (OPTIONS, PEOPLE))
    for box in boxes:
        assert heads[_head(box) & ~RIM].all()
        assert whole[painted([box]) & ~RIM].all()
    assert not (heads & ~whole & ~_strange(luma)).any()


def _strange(luma: np.ndarray) -> np.ndarray:
    everything = Witnessed((look(0.0),), PLACE)
    return plan(OPTIONS, everything, luma, 0.0, SIZE_PX) & ~RIM


@settings(deadline=None, max_examples=30)
@given(people, people)
def test_one_more_found_person_uncovers_at_most_the_own_body(boxes: list[Box], more: list[Box]) -> None:
    """Unsure boxes only ever add: what an untracked one adds takes nothing away."""
    fewer = _plan(look(0.0, *boxes, tracked=False), luma=shown(*boxes, *more))
    all_ = _plan(look(0.0, *boxes, *more, tracked=False), luma=shown(*boxes, *more))
    assert not (fewer & ~all_).any()


def test_looks_are_made_of_what_detector_and_tracker_found() -> None:
    found = Detections(
        np.array([PERSON, _moved(PERSON, 0.3), (0.1, 0.1, 0.3, 0.2)], np.float32),
        np.array([0.8, 0.2, 0.9], np.float32),
        np.array([0, 0, 2], np.int16),
    )
    tracks = Tracks(
        np.array([7, 8]),
        np.array([_moved(PERSON, 0.005), _moved(PERSON, -0.3)], np.float32),
        np.array([(0.1, 0.0), (0.2, 0.0)], np.float32),
        np.ones(2, np.float32),
        np.array([0.8, 0.5], np.float32),
        np.zeros(2, np.int16),
    )
    made = Look.of(1.0, EMPTY, found, tracks, 0)
    assert made.tracks.tolist() == [7, -1, 8]
    assert len(made) == 3
    assert np.isnan(made.velocity[1]).all()
    assert made.boxes[0].tolist() == pytest.approx(PERSON)


@pytest.mark.parametrize(
    "change",
    [
        {"scores": np.zeros(3, np.float32)},
        {"pts_s": float("nan")},
        {"boxes": np.full((1, 4), np.nan, np.float32)},
        {"luma": EMPTY.astype(float)},
    ],
)
def test_looks_that_are_none(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(look(0.0, PERSON), **change)


def test_options_that_are_none() -> None:
    for wrong in ("off", "", None, "Heads"):
        with pytest.raises(ValueError, match="heads or people"):
            CoverOptions(wrong)  # type: ignore[arg-type]
    for seconds in (0.0, 2.1, float("nan"), -1.0):
        with pytest.raises(ValueError, match="max_gap_s"):
            CoverOptions(max_gap_s=seconds)
    with pytest.raises(ValueError, match="luma must be"):
        _plan(look(0.0), luma=np.zeros((90, 160), np.uint8))


def test_options_come_from_the_configuration() -> None:
    node = PrivacyConfig(cover="people", blind_after_s=0.5)
    assert CoverOptions.of(node, CameraPrivacyConfig()) == CoverOptions("people", (), 0.5)
    triangle = ((0.1, 0.1), (0.3, 0.1), (0.3, 0.3))
    camera = CameraPrivacyConfig(cover="heads", masks=(triangle,), blind_after_s=2.0)
    assert CoverOptions.of(node, camera) == CoverOptions("heads", (triangle,), 2.0)
    assert CoverOptions.of(node, camera).shade.shape == GRID
    assert EMPTY.shape == SHAPE
