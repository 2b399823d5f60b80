import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.shift import LEAST_TILES, STILL, Backdrop, Shift, apart, measure
from streams.sim.camera import Camera
from tests.support import views
from tests.support.views import CAMERA, EVERYWHERE, noise_only, noisy, seen, shoved, turned

SPOTS = np.array([[0.5, 0.5], [0.3, 0.6], [0.7, 0.6], [0.5, 0.8]])


@pytest.fixture(scope="module")
def backdrop() -> Backdrop:
    return Backdrop(seen(), EVERYWHERE)


def truly(camera: Camera) -> np.ndarray:
    return camera.project(CAMERA.to_ground(SPOTS))


def wrong_px(shift: Shift, camera: Camera) -> float:
    return float(np.linalg.norm((shift.at(SPOTS) - truly(camera)) * (320, 180), axis=1).max())


@pytest.mark.parametrize("people", [0, 40, 150])
def test_same_view_is_unshifted_with_people_before_it(backdrop, people):
    plot = "crowding" if people > 100 else "walk"
    match = measure(backdrop, seen(plot, people, 2.0))
    assert match.shift is not None
    assert abs(match.shift.right) * 320 < 0.3
    assert abs(match.shift.down) * 180 < 0.3
    assert match.shift.scale == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("light", [5, 9, 12])
def test_another_hour_of_the_day_is_no_shift(backdrop, light):
    match = measure(backdrop, seen("walk", 40, 2.0, light=light))
    assert match.shift is not None
    assert np.abs(match.shift.at(SPOTS) - SPOTS).max() * 320 < 0.5


def lamp(luma: np.ndarray) -> np.ndarray:
    """Infrared with its lamp beside the lens and reversed contrast."""
    y, x = np.mgrid[-1:1:180j, -1:1:320j]
    return noisy((200 - 0.6 * luma) * np.exp(-1.5 * (x**2 + y**2)), 1, 5.0)


def squeezed(luma: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", luma, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], cv2.IMREAD_GRAYSCALE)


@pytest.mark.parametrize(
    "worse",
    [
        lamp,
        squeezed,
        lambda g: noisy(40 + 0.25 * (g - 100.0), 2, 4.0),
        lambda g: cv2.GaussianBlur(g, (0, 0), 1),
    ],
    ids=["infrared", "compression", "night", "blur"],
)
def test_worse_pictures_are_no_shift(backdrop, worse):
    match = measure(backdrop, worse(seen("walk", 40, 2.0)))
    assert match.shift is not None
    assert np.abs(match.shift.at(SPOTS) - SPOTS).max() * 320 < 0.7


@pytest.mark.parametrize(
    ("camera", "within_px"),
    [
        (turned(pan=0.25), 0.5),
        (turned(pan=-1.0), 1.0),
        (turned(pan=3.0), 3.0),
        (turned(pan=7.0), 7.0),
        (turned(tilt=0.5), 0.6),
        (turned(tilt=-2.0), 1.5),
        (turned(tilt=5.0), 3.0),
        (turned(zoom=1.05), 1.5),
        (turned(zoom=1.25), 1.5),
        (turned(zoom=0.9), 1.5),
    ],
)
def test_turned_and_zoomed_cameras_are_measured(backdrop, camera, within_px):
    match = measure(backdrop, seen("walk", 40, 2.0, camera))
    assert match.shift is not None
    assert wrong_px(match.shift, camera) < within_px


@pytest.mark.parametrize("degrees", [-12.0, -3.0, 1.0, 8.0])
def test_a_roll_is_told_in_degrees(backdrop, degrees):
    matrix = cv2.getRotationMatrix2D((160, 90), -degrees, 1)
    rolled = cv2.warpAffine(seen("walk", 40, 2.0), matrix, (320, 180), borderMode=cv2.BORDER_REFLECT)
    match = measure(backdrop, rolled)
    assert match.shift is not None
    assert match.shift.rotation_deg == pytest.approx(degrees, abs=0.5)
    assert match.shift.scale == pytest.approx(1, abs=0.02)


@settings(max_examples=15, deadline=None)
@given(right=st.floats(-15, 15), down=st.floats(-15, 15), gain=st.floats(0.5, 1.4), offset=st.floats(-20, 20))
def test_any_small_shift_is_found_in_any_exposure(right, down, gain, offset):
    exposed = np.clip(seen("walk", 40, 2.0) * gain + offset, 0, 255).astype(np.uint8)
    match = measure(Backdrop(seen(), EVERYWHERE), shoved(exposed, right, down))
    assert match.shift is not None
    assert match.shift.right * 320 == pytest.approx(right, abs=0.6)
    assert match.shift.down * 180 == pytest.approx(down, abs=0.6)


@pytest.mark.parametrize("seed", range(4))
def test_a_covered_or_dark_picture_is_unknown(backdrop, seed):
    assert measure(backdrop, noise_only(seed)).shift is None
    assert measure(backdrop, np.full((180, 320), seed, np.uint8)).shift is None


def test_another_place_is_unknown_and_agrees_with_nothing(backdrop):
    match = measure(backdrop, seen(camera=turned(pan=60.0)))
    assert match.shift is None
    assert match.share <= 0.1


def test_a_background_of_nothing_asks_no_tile_and_knows_nothing():
    empty = Backdrop(noisy(np.full((180, 320), 60, np.uint8), 0, 0.7), EVERYWHERE)
    match = measure(empty, seen())
    assert empty.asked < LEAST_TILES
    assert (match.shift, match.share) == (None, 0.0)


def test_places_that_are_not_known_are_not_asked():
    half = EVERYWHERE.copy()
    half[:, 160:] = False
    known = Backdrop(seen(), half)
    assert 0 < known.asked < Backdrop(seen(), EVERYWHERE).asked
    # Whatever goes on in the other half, nobody looks.
    other = seen().copy()
    other[:, 160:] = noise_only()[:, 160:]
    match = measure(known, shoved(other, 5.0))
    assert match.shift is not None
    assert match.shift.right * 320 == pytest.approx(5.0, abs=0.5)


def test_a_hint_finds_what_is_not_sought(backdrop):
    moved = seen("walk", 40, 2.0, turned(pan=7.0))
    found = measure(backdrop, moved).shift
    assert found is not None
    assert measure(backdrop, moved, seek=False).shift is None
    again = measure(backdrop, moved, hint=found, seek=False)
    assert again.shift is not None
    assert wrong_px(again.shift, turned(pan=7.0)) < 7
    # A hint that does not hold any more is no reason to miss the view where it was.
    back = measure(backdrop, seen("walk", 40, 2.0), hint=found, seek=False)
    assert back.shift is not None
    assert abs(back.shift.right) * 320 < 0.3


def test_other_sizes_are_brought_to_one(backdrop):
    large = cv2.resize(seen("walk", 40, 2.0), (640, 360), interpolation=cv2.INTER_LINEAR)
    match = measure(backdrop, np.asarray(large, np.uint8))
    assert match.shift is not None
    assert abs(match.shift.right) * 320 < 0.5


def test_the_same_look_gives_the_same_answer(backdrop):
    picture = seen("crowding", 150, 2.0, turned(tilt=1.0))
    assert measure(backdrop, picture) == measure(Backdrop(seen(), EVERYWHERE), picture)


complexes = st.complex_numbers(max_magnitude=50, allow_nan=False)
turns = st.builds(
    lambda zoom, angle: zoom * complex(math.cos(angle), math.sin(angle)), st.floats(0.5, 2), st.floats(-1, 1)
)
shifts = st.builds(Shift, turns, complexes)


@given(first=shifts, then=shifts, x=st.floats(0, 1), y=st.floats(0, 1))
def test_shifts_chain(first, then, x, y):
    point = np.array([[x, y]])
    assert then.after(first).at(point) == pytest.approx(then.at(first.at(point)), abs=1e-9)
    assert STILL.after(first) == first
    assert STILL.at(point) == pytest.approx(point)
    assert apart(first, then) == pytest.approx(apart(then, first))
    assert apart(first, first) == 0


def test_shifts_are_apart_by_their_worst_corner_in_widths():
    assert apart(STILL, Shift(1.0, 3.2 + 0j)) == pytest.approx(0.01)
    assert apart(STILL, Shift(1.0, 3.2j)) == pytest.approx(0.01)
    assert apart(STILL, Shift(1.01)) == pytest.approx(0.01 * math.hypot(320, 180) / 320)


@pytest.mark.parametrize(
    ("grey", "known"),
    [
        (np.zeros((90, 160), np.uint8), EVERYWHERE),
        (np.zeros((180, 320), np.float32), EVERYWHERE),
        (np.zeros((180, 320), np.uint8), EVERYWHERE[:90]),
        (np.zeros((180, 320), np.uint8), np.ones((180, 320), np.uint8)),
    ],
)
def test_a_background_of_another_shape_is_refused(grey, known):
    with pytest.raises(ValueError, match="must be"):
        Backdrop(grey, known)


@pytest.mark.shared
@pytest.mark.parametrize("clip", ["plaza.avi", "one-by-one-person-detection.mp4", "car-detection.mp4"])
@pytest.mark.parametrize("right_px", [3.0, 12.0, 40.0])
def test_real_footage_shifted_by_hand(clip, right_px):
    """Two of these cameras drift by themselves, by 5 and 6 of 320 pixels: what is added is to be found."""
    greys = views.footage(clip)
    reference = Backdrop(greys[-12], EVERYWHERE)
    for grey in greys[-6:]:
        alone, shifted = measure(reference, grey).shift, measure(reference, shoved(grey, right_px)).shift
        assert alone is not None
        assert shifted is not None
        assert (shifted.right - alone.right) * 320 == pytest.approx(right_px, abs=1)
        assert (shifted.down - alone.down) * 180 == pytest.approx(0, abs=1)


@pytest.mark.shared
def test_a_camera_that_stands_still_for_minutes_does_so():
    greys = views.footage("one-by-one-person-detection.mp4")
    for grey in greys[1:]:
        match = measure(Backdrop(greys[0], EVERYWHERE), grey)
        assert match.shift is not None
        assert np.abs(match.shift.at(SPOTS) - SPOTS).max() * 320 < 0.3
