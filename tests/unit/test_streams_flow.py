import cv2
import numpy as np
import pytest

from streams.flow import LONGEST_S, FlowMeter
from streams.sim.render import Renderer
from streams.sim.spec import SceneSpec

SIZE = np.array([320.0, 180.0])


def texture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random((400, 600)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return cv2.normalize(smooth, None, 20, 230, cv2.NORM_MINMAX)


def pair(dx: float, dy: float, seed: int = 0, sigma: float = 1.4) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy pictures of a texture that moves by so many pixels."""
    rng, whole = np.random.default_rng(seed + 1), texture(seed)
    moved = cv2.warpAffine(whole, np.array([[1, 0, dx], [0, 1, dy]], np.float32), (600, 400))
    cut = [part[100:280, 100:420] for part in (whole, moved)]
    first, second = (np.clip(p + rng.normal(0, sigma, p.shape), 0, 255).astype(np.uint8) for p in cut)
    return first, second


@pytest.mark.parametrize("shift", [(0, 0), (0.3, 0), (1, 0.5), (2, -1), (5, 3), (9, -4)])
def test_a_shifted_texture_moves_as_it_was_shifted(shift):
    flow = FlowMeter().measure(*pair(*shift), 0.2)
    assert flow.valid.mean() > 0.5
    error = (flow.velocity * 0.2 * SIZE - shift)[flow.valid]  # in pixels
    rms = float(np.sqrt((error**2).mean()))
    assert rms < 0.05 + 0.03 * np.hypot(*shift)
    stated = float(np.sqrt(((flow.stderr * 0.2 * SIZE)[flow.valid] ** 2).mean()))
    assert 0.5 < stated / rms < 3


def test_velocities_follow_true_time():
    before, after = pair(2, 1)
    one, other = (FlowMeter().measure(before, after, s) for s in (0.1, 0.2))
    np.testing.assert_allclose(one.velocity, 2 * other.velocity, rtol=1e-5)
    assert FlowMeter().measure(before, after, 0.0) is None
    assert FlowMeter().measure(before, after, LONGEST_S + 0.1) is None


def test_what_has_no_texture_is_not_valid():
    before, after = pair(2, 0)
    before[:, :160] = after[:, :160] = 128
    flow = FlowMeter().measure(before, after, 0.2)
    assert not flow.valid[:, :30].any()
    assert flow.valid[:, 36:].mean() > 0.5
    got = flow.at(np.array([[0.2, 0.5], [0.75, 0.5], [1.5, 0.5], [np.nan, 0.5], [1.0, 1.0]]))
    assert np.isnan(got[[0, 2, 3]]).all()


def test_what_stands_shows_the_noise():
    before, after = pair(0, 0)
    moved_before, moved_after = pair(6, 0, seed=4)
    before[:, :100], after[:, :100] = moved_before[:, :100], moved_after[:, :100]
    flow = FlowMeter().measure(before, after, 0.2)
    assert flow.still[:, 26:].mean() > 0.8
    assert flow.still[:, :18].mean() < 0.1
    noise = flow.still_velocities()
    assert len(noise) == len(flow.still_places()) > 500
    assert flow.still_places()[:, 0].min() > 0.28
    assert 0 < (noise.std(axis=0) * 0.2 * SIZE).max() < 0.1


def test_a_cut_is_not_taken_for_motion():
    flow = FlowMeter().measure(pair(0, 0, 1)[0], pair(0, 0, 2)[0], 0.2)
    assert flow.valid.mean() < 0.35


def test_a_grid_that_does_not_divide_the_picture():
    flow = FlowMeter((30, 17)).measure(*pair(2, 1), 0.2)
    assert flow.velocity.shape == (17, 30, 2)
    error = (flow.velocity * 0.2 * SIZE - (2, 1))[flow.valid]
    assert np.abs(np.median(error, axis=0)).max() < 0.1


def test_sizes_are_checked():
    small = np.zeros((20, 40), np.uint8)
    for before, after, grid, text in (
        (small, small, (4, 4), "32 pixels"),
        (np.zeros((64, 64), np.uint8), np.zeros((64, 65), np.uint8), (4, 4), "one size"),
        (np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8), (64, 36), "too small"),
    ):
        with pytest.raises(ValueError, match=text):
            FlowMeter(grid).measure(before, after, 0.2)
    with pytest.raises(ValueError, match="grid"):
        FlowMeter((0, 3))


def test_simulated_people_move_as_is_true():
    """Measured: people of 15 pixels, errors of half a pixel in the median, a fifth of a walker's way."""
    errors, ways, known, people = [], [], 0, 0
    for seed in (3, 4):
        spec = SceneSpec("crowding", "plaza", seed=seed, size=(640, 360), fps=10, seconds=60.0)
        scene, renderer = spec.scene(), Renderer(spec.where, seed, (640, 360))
        for at_s in (12.0, 20.0):
            first = scene.at(at_s)
            shots = [renderer.shoot(first)]
            second = scene.at(at_s + 0.2)
            shots.append(renderer.shoot(second, visibility=True))
            greys = [cv2.resize(s.yuv[:360], (320, 180), interpolation=cv2.INTER_AREA) for s in shots]
            flow = FlowMeter().measure(greys[0], greys[1], 0.2)
            rows = {int(number): row for row, number in enumerate(first.number)}
            for one, visible in zip(shots[1].people, shots[1].visible, strict=True):
                number = int(second.number[one.row])
                if number not in rows or visible < 0.4:
                    continue
                ends = (first.ground[rows[number]], second.ground[one.row])
                start, end = (renderer.camera.project(p[None])[0] for p in ends)
                left, top, right, bottom = np.array(one.box) / (640, 360, 640, 360)
                chest = np.array([(left + right) / 2, top + (bottom - top) * 0.3]) - (end - start)
                people += 1
                velocity = flow.at(chest[None])[0]
                if not np.isnan(velocity).any():
                    known += 1
                    errors.append(velocity * 0.2 * SIZE - (end - start) * SIZE)
                    ways.append(np.hypot(*((end - start) * SIZE)))
    assert known > 0.5 * people > 20
    assert np.median(np.hypot(*np.array(errors).T)) < 0.5 + 0.25 * np.mean(ways)
