"""Motion is told from noise, light and things that stay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.motion import LUMA_SIZE, Motion, MotionLook, MotionOptions

WIDTH, HEIGHT = LUMA_SIZE
STEP_S = 0.2
MOVING = 0.0008


class Scene:
    """A textured place with noise, a lamp, and a person."""

    def __init__(self, noise: float = 1.0) -> None:
        self.rng = np.random.Generator(np.random.PCG64(7))
        self.place = np.kron(self.rng.uniform(60, 190, (HEIGHT // 10, WIDTH // 10)), np.ones((10, 10)))
        self.noise = noise
        self.motion = Motion()
        self.time_s = 0.0

    def look(self, person: float | None = None, gain: float = 1.0, offset: float = 0.0) -> MotionLook:
        luma = self.place * gain + offset + self.rng.normal(0.0, self.noise, self.place.shape)
        if person is not None:
            luma[40:54, int(person) : int(person) + 5] = 15
        self.time_s += STEP_S
        return self.motion.look(np.clip(luma, 0, 255).astype(np.uint8), self.time_s)


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0, 6.0])
def test_a_still_scene_is_still_whatever_its_noise(noise: float) -> None:
    scene = Scene(noise)
    looks = [scene.look() for _ in range(100)]
    assert max(look.moved for look in looks) < MOVING / 2
    assert max(look.changed for look in looks) < MOVING / 2


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
def test_a_small_person_who_walks_is_seen_where_she_is(noise: float) -> None:
    scene = Scene(noise)
    for _ in range(20):
        scene.look()
    looks = [scene.look(person=60 + 2 * step) for step in range(10)]
    assert all(look.moved >= MOVING for look in looks)
    left, top, right, bottom = looks[-1].boxes()[0]
    assert left < (78 + 2.5) / WIDTH < right
    assert top < 47 / HEIGHT < bottom
    assert right - left < 0.2


def test_who_stands_still_differs_from_the_background_but_does_not_move() -> None:
    scene = Scene()
    for _ in range(20):
        scene.look()
    looks = [scene.look(person=80) for _ in range(25)]
    assert looks[0].moved >= MOVING
    assert looks[-1].moved < MOVING / 3
    assert looks[-1].changed >= MOVING


def test_what_stays_becomes_background_in_time() -> None:
    scene = Scene()
    for _ in range(20):
        scene.look()
    looks = [scene.look(person=80) for _ in range(600)]
    assert looks[-1].changed < MOVING


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 25.0), (0.75, 0.0), (1.2, -10.0)])
def test_light_is_no_motion(gain: float, offset: float) -> None:
    scene = Scene()
    for _ in range(20):
        scene.look()
    stepped = [scene.look(gain=gain, offset=offset) for _ in range(5)]
    flicker = [scene.look(offset=4.0 * (step % 2)) for step in range(20)]
    assert max(look.moved for look in stepped + flicker) < MOVING
    assert scene.look(person=80, gain=gain, offset=offset).moved >= MOVING


def test_another_scene_is_an_upheaval_once() -> None:
    scene = Scene()
    for _ in range(5):
        scene.look()
    scene.place = np.rot90(scene.place, 2).copy()
    look = scene.look()
    assert look.upheaval
    assert (look.moved, look.changed) == (1.0, 1.0)
    assert look.boxes() == ((0.0, 0.0, 1.0, 1.0),)
    after = scene.look()
    assert not after.upheaval
    assert after.moved < MOVING


def test_the_first_picture_tells_nothing() -> None:
    look = Scene().look()
    assert (look.moved, look.changed, look.age_s, look.boxes()) == (0.0, 0.0, 0.0, ())


def test_another_size_begins_anew() -> None:
    motion = Motion()
    motion.look(np.full((90, 160), 50, np.uint8), 0.0)
    assert motion.look(np.full((45, 80), 200, np.uint8), 1.0) == MotionLook(0.0, 0.0)


def test_time_that_goes_back_does_no_harm() -> None:
    scene = Scene()
    for _ in range(10):
        scene.look()
    scene.time_s = -50.0
    assert scene.look().age_s == 0.0
    for _ in range(5):
        look = scene.look()
    assert 0.0 < look.age_s <= 0.9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_any_pictures_give_shares_and_boxes_within_the_picture(seed: int, steps: list[float]) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    motion, time_s = Motion(), 0.0
    for step_s in steps:
        time_s += step_s
        flat = rng.integers(0, 256) if rng.random() < 0.3 else rng.integers(0, 256, (18, 32))
        look = motion.look(np.broadcast_to(flat, (18, 32)).astype(np.uint8), time_s)
        assert 0.0 <= look.moved <= 1.0
        assert 0.0 <= look.changed <= 1.0
        assert len(look.boxes()) <= 32
        for left, top, right, bottom in look.boxes():
            assert 0.0 <= left < right <= 1.0
            assert 0.0 <= top < bottom <= 1.0


@pytest.mark.parametrize("options", [{"still_s": 0}, {"stay_s": -1}, {"compare_s": 0}])
def test_refused_options(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        MotionOptions(**options)
