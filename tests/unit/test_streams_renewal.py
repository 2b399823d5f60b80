import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.renewal import Renewal, Standstill, tiled
from tests.support.views import seen

PLACE = seen()


def noisy(seed: int, sigma: float = 1.0, place: np.ndarray = PLACE) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, place.shape)
    return np.clip(np.rint(place + noise), 0, 255).astype(np.uint8)


def run(renewal: Renewal, looks, start_s: float = 0.0, every_s: float = 1.0) -> list[Standstill | None]:
    return [renewal.look(luma, start_s + k * every_s) for k, luma in enumerate(looks)]


def skipping(seconds: int, gop: int, seed: int = 0, sigma: float = 1.0) -> list[np.ndarray]:
    """As an encoder shows a calm place: anew with each keyframe, and in between as before."""
    return [noisy(seed + k // gop, sigma) for k in range(seconds)]


def sure(told: list[Standstill | None]) -> list[int]:
    return [k for k, one in enumerate(told) if one is not None and one.sure and one.share >= 0.8]


def clocked(luma: np.ndarray, k: int) -> np.ndarray:
    luma = luma.copy()
    luma[4:14, 60:110] = np.random.default_rng(k).integers(0, 255, (10, 50))
    return luma


@pytest.mark.parametrize("clock", [False, True])
def test_a_picture_that_repeats_itself_is_told_with_a_running_clock_or_without(clock):
    renewal = Renewal()
    assert not sure(run(renewal, [noisy(k) for k in range(30)]))
    assert renewal.known
    frozen = [clocked(PLACE, k) if clock else PLACE for k in range(20)]
    told = sure(run(renewal, frozen, 30.0))
    assert told
    assert 6 <= told[0] <= 9
    assert told[-1] == 19
    back = run(renewal, [noisy(k) for k in range(100, 110)], 50.0)
    assert not sure(back)
    assert back[-1] is not None
    assert back[-1].share < 0.1


@pytest.mark.parametrize("gop", [2, 4, 5])
def test_an_encoder_that_leaves_a_calm_place_as_it_was_is_no_frozen_camera(gop):
    renewal = Renewal()
    assert not sure(run(renewal, skipping(300, gop)))
    assert renewal.known


def test_where_keyframes_are_far_apart_it_takes_longer():
    renewal = Renewal()
    assert not sure(run(renewal, skipping(120, 10)))
    told = sure(run(renewal, [PLACE] * 60, 120.0))
    assert told
    assert 12 <= told[0] <= 30


def test_a_place_without_any_noise_tells_nothing():
    renewal = Renewal()
    assert not sure(run(renewal, [PLACE] * 300))
    assert not renewal.known


def test_calm_after_a_shower_is_no_frozen_camera():
    renewal = Renewal()
    rain = [noisy(k, 3.0) for k in range(60)]
    told = run(renewal, [*rain, *[noisy(1000 + k, 1.0) for k in range(150)]])
    assert not sure(told)
    assert told[75] is not None
    assert told[75].share > 0.8  # and yet it is not sure
    assert told[-1] is not None
    assert told[-1].share < 0.1  # and has learned that it is calm


def test_lamps_that_are_switched_begin_anew():
    renewal = Renewal()
    run(renewal, [noisy(k) for k in range(30)])
    dim = np.asarray(PLACE // 2, np.uint8)
    assert run(renewal, [noisy(k, 0.5, dim) for k in range(5)], 30.0) == [None] * 5
    assert not renewal.known


@pytest.mark.parametrize("then_s", [-5.0, 200.0])
def test_a_leap_of_time_begins_anew(then_s):
    renewal = Renewal()
    run(renewal, [noisy(k) for k in range(30)])
    assert renewal.look(noisy(1), then_s) is None
    assert not renewal.known


@pytest.mark.parametrize("window_s", [0.0, -1.0, float("nan")])
def test_a_window_must_be_positive(window_s):
    with pytest.raises(ValueError, match="positive"):
        Renewal(window_s)


@settings(max_examples=25, deadline=None)
@given(every_s=st.floats(0.2, 20), sigma=st.floats(0.5, 3), count=st.integers(1, 40))
def test_whatever_the_rate_noise_is_never_frozen(every_s, sigma, count):
    assert not sure(run(Renewal(), [noisy(k, sigma) for k in range(count)], 0.0, every_s))


def test_tiles_are_means():
    plane = np.zeros((180, 320), np.uint8)
    plane[20:40, 40:60] = 200
    means = tiled(plane)
    assert means.shape == (9, 16)
    assert means[1, 2] == 200
    assert means.sum() == 200


def test_lighting_that_changes_is_no_standstill_though_what_is_judged_keeps_still():
    """Most of the picture always moves, so only a corner is judged; that corner is repeated."""

    def moving(luma: np.ndarray, k: int) -> np.ndarray:
        luma = luma.copy()
        luma[60:, :] = np.clip(PLACE[60:].astype(int) + 5 * (k % 2), 0, 255)
        return luma

    renewal = Renewal()
    assert not sure(run(renewal, [moving(noisy(k), k) for k in range(30)]))
    assert renewal.known
    assert not sure(run(renewal, [moving(PLACE, k) for k in range(40)], 30.0))
