import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.still import Known, StillOptions, StillWatch

WIDTH, HEIGHT = 320, 180
BAG = (150, 90, 162, 104)
"""Left, top, right, bottom in pixels."""
BOX = (BAG[0] / WIDTH, BAG[1] / HEIGHT, BAG[2] / WIDTH, BAG[3] / HEIGHT)


def ground(seed: int = 0) -> np.ndarray:
    """Paving: soft blotches and lines, grey levels 90 to 170."""
    rng = np.random.default_rng(seed)
    blotches = cv2.resize(rng.uniform(100, 160, (18, 32)).astype(np.float32), (WIDTH, HEIGHT))
    blotches[::24] -= 25
    blotches[:, ::40] -= 25
    return blotches


def bag(picture: np.ndarray, box=BAG, grey: float = 40.0) -> np.ndarray:
    made = picture.copy()
    made[box[1] : box[3], box[0] : box[2]] = grey
    return made


class Camera:
    """Looks once a second at what it is shown, with noise."""

    def __init__(self, seed: int = 0, sigma: float = 1.5, **options: float) -> None:
        self.watch = StillWatch(StillOptions(**options))
        self.rng = np.random.default_rng(seed)
        self.sigma = sigma
        self.now_s = 0.0

    def show(self, picture: np.ndarray, seconds: float, known: Known | None = None, step_s: float = 1.0):
        things = self.watch.things
        for _ in range(round(seconds / step_s)):
            noisy = picture + self.rng.normal(0, self.sigma, picture.shape)
            luma = np.clip(noisy, 0, 255).astype(np.uint8)
            things = self.watch.look(luma, self.now_s, known)
            self.now_s += step_s
        return things


@pytest.mark.parametrize("step_s", [0.2, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("grey", [40.0, 230.0])
def test_what_is_put_down_is_found_with_its_place_and_age(step_s, grey):
    camera = Camera()
    assert camera.show(ground(), 60, step_s=step_s) == ()
    put_s = camera.now_s
    (thing,) = camera.show(bag(ground(), grey=grey), 30, step_s=step_s)
    assert thing.box == pytest.approx(BOX, abs=0.02)
    assert abs(thing.since_s - put_s) <= step_s
    assert thing.put
    assert thing.contrast > 30


def test_what_is_taken_away_is_told_from_what_is_put_down():
    camera = Camera()
    camera.show(bag(ground()), 60)
    (thing,) = camera.show(ground(), 20)
    assert not thing.put
    assert camera.show(bag(ground()), 10) == ()


def test_nothing_is_found_that_is_gone_before_it_settles():
    camera = Camera()
    camera.show(ground(), 60)
    for k in range(30):
        left = 20 + 8 * k
        assert camera.show(bag(ground(), (left, 60, left + 12, 100)), 1) == ()


def test_people_are_left_out_and_what_stands_behind_them_keeps_its_age():
    camera = Camera()
    camera.show(ground(), 60)
    somebody = Known(alive=[(0.45, 0.3, 0.56, 0.7)])
    before = camera.show(bag(ground()), 20)
    hidden = ground()
    hidden[50:130, 144:180] = 30
    assert [thing.box for thing in camera.show(hidden, 20, somebody)] == [before[0].box]
    (after,) = camera.show(bag(ground()), 10)
    assert after.since_s == before[0].since_s
    assert camera.show(hidden, 70, somebody) == ()


def test_who_stands_still_from_the_beginning_is_no_thing_when_gone():
    camera = Camera()
    there = Known(alive=[(100 / WIDTH, 60 / HEIGHT, 120 / WIDTH, 140 / HEIGHT)])
    camera.show(bag(ground(), (100, 60, 120, 140)), 60, there)
    assert camera.show(ground(), 60) == ()


def test_what_is_put_down_soon_after_the_camera_began_is_found():
    camera = Camera()
    camera.show(ground(), 5)
    (thing,) = camera.show(bag(ground()), 60)
    assert thing.put
    assert thing.since_s == pytest.approx(5.0)
    assert camera.show(ground(), 30) == ()


def test_what_was_there_at_the_first_looks_and_left_is_not_missed():
    camera = Camera()
    camera.show(bag(ground()), 4)
    assert camera.show(ground(), 60) == ()


@pytest.mark.parametrize("stirs", [False, True])
def test_a_thing_that_looks_like_somebody_is_found_once_it_shows_no_life(stirs):
    camera = Camera()
    camera.show(ground(), 30)
    maybe = Known(doubtful=[BOX])
    for second in range(30):
        grey = 40.0 + (30.0 * (second % 3) if stirs else 0.0)
        things = camera.show(bag(ground(), grey=grey), 1, maybe)
    assert len(things) == (0 if stirs else 1)


def test_what_is_only_ever_seen_beside_somebody_is_theirs():
    camera = Camera()
    camera.show(ground(), 30)
    owner = Known(alive=[(BOX[2], BOX[1] - 0.2, BOX[2] + 0.05, BOX[3])])
    assert camera.show(bag(ground()), 30, owner) == ()
    (thing,) = camera.show(bag(ground()), 1)
    assert thing.since_s == pytest.approx(30.0)
    assert [one.since_s for one in camera.show(bag(ground()), 10, owner)] == [thing.since_s]


def test_a_vehicle_is_never_background_before_the_place_is_known():
    camera = Camera()
    camera.show(ground(), 2)
    vehicle = bag(ground(), (60, 60, 140, 110))
    known = Known(things=[(60 / WIDTH, 60 / HEIGHT, 140 / WIDTH, 110 / HEIGHT)])
    camera.show(vehicle, 40, known)
    assert camera.show(ground(), 60) == ()


def test_what_comes_to_the_same_place_is_not_as_old_as_what_has_left():
    camera = Camera()
    camera.show(ground(), 30)
    camera.show(bag(ground()), 30)
    camera.show(ground(), 5)
    (thing,) = camera.show(bag(ground()), 10)
    assert thing.since_s == pytest.approx(65.0)


def test_a_shadow_and_another_exposure_are_no_things():
    camera = Camera()
    camera.show(ground(), 60)
    shaded = ground()
    shaded[40:150, 60:160] *= 0.7
    assert camera.show(shaded, 30) == ()
    assert camera.show(ground() + 30, 30) == ()
    assert camera.show(ground() * 0.5, 20) == ()


def test_another_view_is_learnt_and_says_nothing_meanwhile():
    camera = Camera()
    camera.show(ground(), 60)
    assert camera.show(ground(7)[::-1] + 60 * (np.arange(WIDTH) % 50 > 25), 20) == ()
    assert camera.watch.unsettled
    camera.show(ground(7)[::-1] + 60 * (np.arange(WIDTH) % 50 > 25), 60)
    assert not camera.watch.unsettled
    assert camera.watch.things == ()


def test_what_lies_there_for_long_becomes_the_background():
    camera = Camera(absorb_s=50.0)
    camera.show(ground(), 60)
    assert len(camera.show(bag(ground()), 40)) == 1
    assert camera.show(bag(ground()), 20) == ()


def test_time_that_goes_back_begins_anew():
    camera = Camera()
    camera.show(ground(), 60)
    assert len(camera.show(bag(ground()), 20)) == 1
    camera.now_s = 5.0
    assert camera.show(bag(ground()), 40) == ()


@given(st.integers(0, 1000), st.floats(0, 6), st.sampled_from([(1, 1), (64, 48), (320, 180), (1280, 720)]))
@settings(max_examples=12, deadline=None)
def test_noise_is_no_thing_whatever_the_size(seed, sigma, size):
    watch, rng = StillWatch(), np.random.default_rng(seed)
    place = cv2.resize(ground(seed), size)
    for second in range(40):
        noisy = np.clip(place + rng.normal(0, sigma, place.shape), 0, 255).astype(np.uint8)
        assert watch.look(noisy, float(second)) == ()


def test_options_are_checked():
    with pytest.raises(ValueError, match="positive"):
        StillOptions(settled_s=0)


@pytest.mark.parametrize("way", [-1.0, 1.0])
def test_a_shadow_that_came_slowly_behind_somebody_is_no_thing(way):
    """The background goes with the light, but not where somebody stands: once they leave, a patch is left."""
    camera, place, shade = Camera(), (0.42, 0.4, 0.52, 0.7), np.zeros((HEIGHT, WIDTH))
    camera.show(130.0 + shade, 60)
    for _ in range(400):
        shade[:, 90:200] += 0.2 * way
        camera.show(130.0 + shade, 1, Known(alive=[place]))
    assert camera.show(130.0 + shade, 60) == ()
