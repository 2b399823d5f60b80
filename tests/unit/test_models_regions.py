from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detections import Detections
from models.detector import Detector
from models.letterbox import Letterbox
from models.regions import Gaze, Region, RegionOptions, join, look, plan, to_picture, whole
from models.zoo import find_model, load_detector

HD = (1920, 1080)
OPTIONS = RegionOptions()
NOTHING = np.zeros((0, 4))
PERSON = (0.50, 0.50, 0.52, 0.56)
NEIGHBOUR = (0.53, 0.50, 0.55, 0.57)
FAR_AWAY = (0.05, 0.10, 0.06, 0.14)

unit = st.floats(0, 1, width=32)


@st.composite
def some_boxes(draw, most=6, side=0.3):
    rows = []
    for _ in range(draw(st.integers(0, most))):
        left, top = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.9))
        width, height = draw(st.floats(0.005, side)), draw(st.floats(0.01, side))
        rows.append((left, top, min(left + width, 1.0), min(top + height, 1.0)))
    return np.array(rows, np.float64).reshape(-1, 4)


@st.composite
def some_regions(draw):
    picture = draw(st.tuples(st.integers(64, 4000), st.integers(64, 3000)))
    left, top = (draw(st.integers(0, side - 33)) for side in picture)
    right, bottom = draw(st.integers(left + 32, picture[0])), draw(st.integers(top + 32, picture[1]))
    size = draw(st.tuples(st.sampled_from([32, 64, 256, 416]), st.sampled_from([32, 96, 256, 416])))
    return picture, Region((left, top, right, bottom), size)


sizes = st.sampled_from([HD, (1280, 720), (704, 576), (352, 288), (3840, 2160), (1080, 1920)])
options = st.builds(
    RegionOptions,
    closest=st.sampled_from([1.0, 2.0, 3.0]),
    detail=st.sampled_from([1.0, 2.0]),
    object_px=st.sampled_from([48.0, 64.0]),
)


def detections(*rows, score=0.9):
    xyxy = np.array(rows, np.float32).reshape(-1, 4)
    return Detections(xyxy, np.full(len(xyxy), score, np.float32), np.zeros(len(xyxy), np.int16))


def boxes(*rows):
    return np.array(rows, np.float64).reshape(-1, 4)


def in_picture(region, picture):
    return np.array(region.part) / np.array(picture * 2)


def cost(regions):
    return sum(region.cost for region in regions)


# What is looked at


@given(sizes, some_boxes(), some_boxes(), options)
def test_every_box_lies_in_a_region(picture, motion, objects, chosen):
    regions = plan(picture, motion, objects, chosen)
    parts = [in_picture(region, picture) for region in regions]
    for box in (*motion, *objects):
        assert any(
            (part[:2] <= box[:2] + 1e-6).all() and (part[2:] >= box[2:] - 1e-6).all() for part in parts
        )


@given(sizes, some_boxes(), some_boxes(), options)
def test_regions_lie_in_the_picture_and_never_cost_more_than_it(picture, motion, objects, chosen):
    regions = plan(picture, motion, objects, chosen)
    everything = whole(picture, chosen)
    for region in regions:
        left, top, right, bottom = region.part
        assert 0 <= left < right <= picture[0]
        assert 0 <= top < bottom <= picture[1]
        assert all(side % chosen.stride == 0 for side in region.input_size)
    assert regions == everything or cost(regions) + chosen.run_px * len(regions) < sum(
        region.cost + chosen.run_px for region in everything
    )


@given(sizes, some_boxes(), some_boxes(), options, st.randoms(use_true_random=False))
def test_the_order_of_boxes_changes_nothing(picture, motion, objects, chosen, random):
    def shuffled(rows):
        return rows[random.sample(range(len(rows)), len(rows))]

    assert plan(picture, shuffled(motion), shuffled(objects), chosen) == plan(
        picture, motion, objects, chosen
    )


@given(sizes, some_boxes(), some_boxes(), options)
def test_nothing_is_seen_from_farther_than_in_the_whole_picture(picture, motion, objects, chosen):
    usual = min(416 / picture[0], 416 / picture[1])
    for region in plan(picture, motion, objects, chosen):
        # Parts begin and end at even pixels.
        sides = zip(region.input_size, region.size, strict=True)
        assert all(side / max(full - 4, 1) >= usual * 0.999 for side, full in sides)


def test_where_nothing_moves_and_nobody_is_known_there_is_nothing_to_look_at():
    assert plan(HD, NOTHING, NOTHING, OPTIONS) == ()


def test_boxes_may_be_tuples():
    assert plan(HD, (PERSON,), (), OPTIONS) == plan(HD, boxes(PERSON), NOTHING, OPTIONS)


def test_one_person_costs_a_fraction_of_the_picture():
    (region,) = plan(HD, NOTHING, boxes(PERSON), OPTIONS)
    (everything,) = whole(HD, OPTIONS)
    assert region.cost < everything.cost / 5


def test_a_small_person_is_seen_from_as_close_as_allowed():
    for closest in (1.0, 2.0, 3.0):
        (region,) = plan(HD, NOTHING, boxes(PERSON), replace(OPTIONS, closest=closest))
        scale = region.input_size[0] / region.size[0]
        assert scale == pytest.approx(closest * 416 / 1920, rel=0.05)


def test_no_closer_than_the_pictures_own_pixels():
    (region,) = plan((640, 360), NOTHING, boxes(PERSON), replace(OPTIONS, closest=8.0))
    assert region.input_size[0] <= region.size[0]


def test_people_side_by_side_share_a_region_and_people_apart_do_not():
    assert len(plan(HD, NOTHING, boxes(PERSON, NEIGHBOUR), OPTIONS)) == 1
    assert len(plan(HD, NOTHING, boxes(PERSON, FAR_AWAY), OPTIONS)) == 2


def test_motion_that_a_known_object_explains_adds_nothing():
    inside = (0.505, 0.51, 0.515, 0.55)
    assert plan(HD, boxes(inside), boxes(PERSON), OPTIONS) == plan(HD, NOTHING, boxes(PERSON), OPTIONS)


def test_what_is_too_dear_from_close_is_seen_from_farther_off():
    spread = boxes(*((x, y, x + 0.06, y + 0.06) for x in (0.1, 0.4, 0.8) for y in (0.2, 0.7)))
    regions = plan(HD, NOTHING, spread, OPTIONS)
    gains = [region.input_size[0] / region.size[0] / (416 / 1920) for region in regions]
    assert len(regions) == 6
    assert 1.0 <= max(gains) < 2.5


def test_a_crowd_and_a_whole_picture_in_motion_are_looked_at_as_a_whole():
    crowd = boxes(*((0.01 * i, 0.5, 0.01 * i + 0.02, 0.6) for i in range(40)))
    assert plan(HD, crowd, NOTHING, OPTIONS) == whole(HD, OPTIONS)
    assert plan(HD, boxes((0, 0, 1, 1)), NOTHING, OPTIONS) == whole(HD, OPTIONS)


def test_the_whole_picture_is_what_the_detector_would_take_anyway():
    (everything,) = whole(HD, OPTIONS)
    usual = Letterbox.fit(HD, (416, 416), stride=32)
    assert everything.part == (0, 0, *HD)
    assert everything.input_size == (usual.width, usual.height)


def test_with_detail_the_whole_picture_is_seen_twice():
    usual, closer = whole(HD, replace(OPTIONS, detail=2.0))
    assert usual.part == closer.part == (0, 0, *HD)
    assert (usual.input_size, closer.input_size) == ((416, 256), (832, 480))


# When the whole picture is due


def test_the_whole_picture_comes_first_and_from_time_to_time():
    gaze = Gaze(OPTIONS, whole_every_s=2.0)
    looks = [gaze.regions(HD, NOTHING, boxes(PERSON), k / 5) for k in range(21)]
    assert [k for k, regions in enumerate(looks) if regions == whole(HD, OPTIONS)] == [0, 10, 20]


def test_without_knowledge_of_motion_the_whole_picture_is_looked_at():
    gaze = Gaze(OPTIONS)
    gaze.regions(HD, NOTHING, NOTHING, 0.0)
    assert gaze.regions(HD, None, NOTHING, 0.2) == whole(HD, OPTIONS)


def test_a_look_at_the_whole_picture_for_another_reason_counts():
    gaze = Gaze(OPTIONS, whole_every_s=2.0)
    gaze.regions(HD, NOTHING, NOTHING, 0.0)
    gaze.regions(HD, boxes((0, 0, 1, 1)), NOTHING, 1.8)
    assert gaze.regions(HD, NOTHING, NOTHING, 2.2) == ()


# What a region's detections are in the picture


@given(some_regions(), st.lists(st.tuples(unit, unit, unit, unit), min_size=1, max_size=5))
def test_boxes_come_back_where_they_are_and_never_leave_their_region(drawn, rows):
    picture, region = drawn
    found = np.array([(*np.minimum(r[:2], r[2:]), *np.maximum(r[:2], r[2:])) for r in rows], np.float32)
    placed = to_picture(detections(*found), region, picture)
    part = in_picture(region, picture)
    assert (placed.xyxy >= np.float32(np.tile(part[:2], 2)) - 1e-6).all()
    assert (placed.xyxy <= np.float32(np.tile(part[2:], 2)) + 1e-6).all()
    again = (placed.xyxy - np.tile(part[:2], 2)) / np.tile(part[2:] - part[:2], 2)
    for row in again:
        assert np.abs(found - row).max(1).min() < 1e-2


@given(some_regions())
def test_only_borders_within_the_picture_cut(drawn):
    picture, region = drawn
    left, top, right, bottom = region.part
    for box, ends_with_picture in (
        ((0.0, 0.3, 0.5, 0.7), left == 0),
        ((0.3, 0.0, 0.7, 0.5), top == 0),
        ((0.5, 0.3, 1.0, 0.7), right == picture[0]),
        ((0.3, 0.5, 0.7, 1.0), bottom == picture[1]),
    ):
        assert len(to_picture(detections(box), region, picture)) == int(ends_with_picture)


def test_what_is_whole_stays():
    region = Region((400, 300, 800, 700), (192, 192))
    assert len(to_picture(detections((0.2, 0.2, 0.8, 0.8)), region, HD)) == 1


def test_what_two_regions_see_is_one_object():
    strong, weak = detections((0.4, 0.4, 0.5, 0.6)), detections((0.4, 0.41, 0.5, 0.6), score=0.4)
    other = detections((0.7, 0.4, 0.8, 0.6), score=0.6)
    both = join([weak, other, strong], 0.6)
    assert both.scores.tolist() == pytest.approx([0.9, 0.6])
    assert len(join([], 0.6)) == len(join([Detections.empty()], 0.6)) == 0


# With a network


@dataclass
class Drawing:
    """Pixels that are scaled as a decoded picture's would be."""

    pixels: np.ndarray

    @property
    def width(self):
        return self.pixels.shape[1]

    @property
    def height(self):
        return self.pixels.shape[0]

    def bgr(self, width, height):
        return self.crop((0, 0, self.width, self.height), width, height)

    def crop(self, part, width, height):
        left, top, right, bottom = part
        return cv2.resize(self.pixels[top:bottom, left:right], (width, height), interpolation=cv2.INTER_AREA)


class Finder:
    """A network that finds what is bright: the box around it."""

    def __init__(self):
        self.manifest = find_model("nanodet-g-416-int8").manifest
        self.sizes = []

    def run(self, tensor):
        self.sizes.append(tensor.shape[2:0:-1])
        self.tensor = tensor[0]
        return {}


class BrightDetector(Detector):
    """The detector with `Finder` in place of a trained network."""

    def __init__(self):
        self.finder = Finder()
        super().__init__(find_model("nanodet-g-416-int8"), self.finder)

    def read(self, outputs, box, threshold):
        rows, columns = np.nonzero(self.finder.tensor.max(2) > 128)
        if not len(rows):
            return Detections.empty()
        corners = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        return detections(*box.to_fractions(corners))


@given(st.integers(0, 1800), st.integers(0, 900), st.integers(30, 110), st.integers(40, 170))
def test_an_object_is_found_in_its_region_where_it_is_in_the_picture(left, top, width, height):
    picture = Drawing(np.zeros((1080, 1920, 3), np.uint8))
    picture.pixels[top : top + height, left : left + width] = 255
    truth = np.array((left, top, min(left + width, 1920), min(top + height, 1080))) / (HD * 2)
    detector = BrightDetector()
    regions = plan(HD, boxes(truth), NOTHING, OPTIONS)
    found = look(detector, picture, regions)
    # One pixel of the input is up to five of the picture.
    assert np.abs(found.xyxy[0] - truth).max() < 6 / 1080
    assert detector.finder.sizes == [region.input_size for region in regions]


def test_no_regions_no_look():
    detector = BrightDetector()
    found = look(detector, Drawing(np.zeros((1080, 1920, 3), np.uint8)), ())
    assert len(found) == 0
    assert detector.finder.sizes == []


def test_a_look_at_the_whole_picture_is_the_detectors_own():
    rng = np.random.default_rng(3)
    picture = Drawing(rng.integers(0, 255, (360, 640, 3), np.uint8))
    detector = load_detector("nanodet-g-416-int8")
    alone = detector.detect(picture, 0.01)
    found = look(detector, picture, whole((640, 360), OPTIONS), 0.01)
    assert found.xyxy.tolist() == alone.xyxy.tolist()
    assert found.scores.tolist() == alone.scores.tolist()


# Nonsense


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": 0},
        {"input_size": (400, 416)},
        {"input_size": (0, 32)},
        {"closest": 0.5},
        {"detail": 0.9},
        {"object_px": 0.0},
        {"margin": -0.1},
        {"most": -1},
    ],
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must|cannot|multiple"):
        RegionOptions(**wrong)


@pytest.mark.parametrize("part", [(-1, 0, 5, 5), (5, 0, 5, 5), (0, 6, 5, 5)])
def test_a_region_without_area_is_refused(part):
    with pytest.raises(ValueError, match="area"):
        Region(part, (32, 32))


def test_an_input_without_pixels_and_a_negative_time_are_refused():
    with pytest.raises(ValueError, match="input"):
        Region((0, 0, 1, 1), (0, 32))
    with pytest.raises(ValueError, match="negative"):
        Gaze(OPTIONS, -1.0)
