"""When heads are counted and motion is measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.census import Census, Wish
from models.density import DensityModel, HeadMap
from models.zoo import load_density
from streams.picture import ArrayPicture
from streams.service import DENSITY_PERIOD_S

NOISE = np.random.default_rng(3).integers(0, 255, (180, 320, 3)).astype(np.uint8)
STILL = ArrayPicture(NOISE)


class Counter:
    """Counts how often it is asked."""

    name = "scripted"

    def __init__(self) -> None:
        self.asked = 0

    def count(self, picture: object) -> HeadMap:
        self.asked += 1
        return HeadMap(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32), 0.0)


def census(*cameras: str) -> tuple[Census, Counter]:
    counter = Counter()
    return Census(counter, frozenset(cameras)), counter  # type: ignore[arg-type]


@given(st.sampled_from([1.0, 2.0, 5.0, 10.0, 25.0]))
def test_heads_are_counted_once_a_period(fps: float) -> None:
    looks, counter = census("a")
    for k in range(round(20 * fps)):
        looks.look("a", STILL, k / fps)
    assert counter.asked == 20 / DENSITY_PERIOD_S


def test_or_at_every_look_where_that_is_granted() -> None:
    looks, counter = census("a")
    found = [looks.look("a", STILL, 0.2 * k, Wish(heads=True)).heads for k in range(10)]
    assert counter.asked == 10
    assert None not in found


def test_each_camera_has_a_period_of_its_own() -> None:
    looks, counter = census("a", "b")
    for k in range(5):
        looks.look("ab"[k % 2], STILL, 0.2 * k)
    assert counter.asked == 2


def test_a_clock_that_was_set_back_delays_no_count() -> None:
    looks, counter = census("a")
    looks.look("a", STILL, 1000.0)
    looks.look("a", STILL, 1.0)
    assert counter.asked == 2


@pytest.mark.parametrize("model", [None, Counter()])
def test_who_watches_no_crowd_is_not_counted(model: DensityModel | None) -> None:
    looks = Census(model, frozenset())
    scene = looks.look("a", STILL, 0.0, Wish(heads=True, motion=True))
    assert (scene.size_px, scene.heads, scene.motion) == ((320, 180), None, None)
    assert not looks.due("a", 0.0, every_look=True)


def test_motion_is_measured_from_the_second_dense_look_on() -> None:
    looks, _ = census("a")
    moved = ArrayPicture(np.ascontiguousarray(np.roll(NOISE, 4, axis=1)))
    assert looks.look("a", STILL, 0.0, Wish(motion=True)).motion is None
    motion = looks.look("a", moved, 0.2, Wish(motion=True)).motion
    assert motion is not None
    assert float(np.median(motion.velocity[..., 0][motion.valid])) == pytest.approx(4 / 320 / 0.2, rel=0.2)
    assert looks.look("a", STILL, 0.4).motion is None
    assert looks.look("a", STILL, 0.6, Wish(motion=True)).motion is None


def test_the_real_model_finds_nobody_on_grey() -> None:
    looks = Census(load_density("heads-448-int8"), frozenset({"a"}))
    heads = looks.look("a", ArrayPicture(np.full((360, 640, 3), 114, np.uint8)), 0.0).heads
    assert heads is not None
    assert heads.total < 1.0


def test_brightness_is_shown_to_who_asks_whether_crowds_are_watched_or_not() -> None:
    for looks in (census("a")[0], census()[0]):
        assert looks.look("a", STILL, 0.0).luma is None
        luma = looks.look("a", STILL, 0.2, Wish(luma=True)).luma
        assert luma is not None
        assert luma.shape == (180, 320)
