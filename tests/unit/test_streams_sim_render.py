"""The picture: people are where the camera model says, hidden by who is nearer, and the same every time."""

import hashlib

import cv2
import numpy as np
import pytest

from streams.sim.canvas import Canvas, Sprite, window
from streams.sim.places import PLACES
from streams.sim.render import Renderer
from streams.sim.scenario import build
from streams.sim.scene import Moment

SIZE = (640, 360)
PLAZA = PLACES["plaza"]


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(PLAZA, 1, SIZE, sensor_noise=False)


def _moment(*ground: tuple[float, float], time_s: float = 1.0, speed: float = 1.3) -> Moment:
    n = len(ground)
    return Moment(
        time_s=time_s,
        number=np.arange(n),
        ground=np.array(ground, np.float64).reshape(-1, 2),
        heading=np.full(n, 0.3),
        walked=np.arange(n) * 0.4,
        velocity=np.tile((speed, 0.0), (n, 1)),
    )


def _luma(yuv: np.ndarray) -> np.ndarray:
    return yuv[: SIZE[1]].astype(int)


def test_a_person_is_drawn_within_the_box_and_on_the_foot_point(renderer: Renderer) -> None:
    empty = renderer.shoot(_moment())
    shot = renderer.shoot(_moment((0.5, 14.0)), visibility=True)
    (person,) = shot.people
    left, top, right, bottom = person.box
    foot, head = renderer.camera.project(np.array([(0.5, 14.0, 0.0), (0.5, 14.0, 1.7)])) * SIZE
    assert (left + right) / 2 == pytest.approx(foot[0], abs=6)
    assert bottom == pytest.approx(foot[1], abs=4)
    assert bottom - top == pytest.approx(foot[1] - head[1], rel=0.15)
    changed = np.abs(_luma(shot.yuv) - _luma(empty.yuv)) > 12
    upper = np.argwhere(changed[: int((top + bottom) / 2)])
    assert upper[:, 1].min() >= left - 2
    assert upper[:, 1].max() <= right + 2
    assert upper[:, 0].min() == pytest.approx(top, abs=2)
    assert shot.visible == (1.0,)


def test_nearer_people_are_larger(renderer: Renderer) -> None:
    near, far = (renderer.shoot(_moment((0.0, distance))).people[0].box for distance in (10.0, 22.0))
    assert near[3] - near[1] > 1.8 * (far[3] - far[1])


def test_who_is_nearer_hides_who_is_behind(renderer: Renderer) -> None:
    shot = renderer.shoot(_moment((0.0, 15.0), (0.02, 14.5)), visibility=True)
    shares = {one.row: share for one, share in zip(shot.people, shot.visible, strict=True)}
    assert shares[1] == 1.0
    assert shares[0] < 0.5


def test_furniture_hides_too(renderer: Renderer) -> None:
    behind = renderer.shoot(_moment((3.2, 24.0)), visibility=True)
    before = renderer.shoot(_moment((3.2, 21.8)), visibility=True)
    assert behind.visible[0] < 0.85
    assert before.visible[0] == 1.0


def test_who_is_half_out_of_the_picture_is_half_visible(renderer: Renderer) -> None:
    edge = renderer.camera.to_ground(np.array([[0.0, 0.6]]))[0]
    shot = renderer.shoot(_moment((float(edge[0]), float(edge[1]))), visibility=True)
    assert 0.2 < shot.visible[0] < 0.8
    assert shot.people[0].box[0] < 0


def test_who_is_far_out_of_the_picture_is_not_in_it(renderer: Renderer) -> None:
    assert renderer.shoot(_moment((-40.0, 15.0), (0.0, -3.0))).people == ()


def test_a_shadow_darkens_the_ground(renderer: Renderer) -> None:
    empty, shot = renderer.shoot(_moment()), renderer.shoot(_moment((0.0, 12.0)))
    x0, y0, x1, y1 = (round(v) for v in shot.people[0].shadow_box)
    difference = (_luma(shot.yuv) - _luma(empty.yuv))[max(y0, 0) : y1, max(x0, 0) : x1]
    assert np.count_nonzero(difference < -8) > 40


def test_legs_move_with_the_distance_walked_and_stand_when_standing(renderer: Renderer) -> None:
    poses = []
    for walked in (0.0, 0.3, 0.6):
        moment = _moment((0.0, 12.0))
        moment.walked[:] = walked
        poses.append(renderer.shoot(moment).people[0].view.pose)
    assert len(set(poses)) == 3
    assert renderer.shoot(_moment((0.0, 12.0), speed=0.0)).people[0].view.pose >= 16


def test_the_same_seed_gives_the_same_pixels_and_another_does_not() -> None:
    def digest(seed: int) -> str:
        scene, renderer = build("walk", seed=seed), Renderer(PLAZA, seed, (320, 180))
        pixels = [renderer.shoot(scene.at(t)).yuv.tobytes() for t in (0.0, 0.4, 3.0)]
        return hashlib.sha256(b"".join(pixels)).hexdigest()

    assert digest(3) == digest(3)
    assert digest(3) != digest(4)


def test_what_was_drawn_before_changes_nothing() -> None:
    warm, cold = Renderer(PLAZA, 2, (320, 180)), Renderer(PLAZA, 2, (320, 180))
    scene = build("crowding", seed=2, seconds=40.0)
    for time_s in np.arange(0.0, 12.0, 1.0):
        moment = scene.at(float(time_s))
        warm.shoot(moment)
    assert np.array_equal(warm.shoot(moment).yuv, cold.shoot(moment).yuv)


def test_noise_lies_on_a_still_scene_and_changes() -> None:
    noisy, still = Renderer(PLAZA, 1, SIZE), Renderer(PLAZA, 1, SIZE, sensor_noise=False)
    first, second = (noisy.shoot(_moment(time_s=t)).yuv for t in (1.0, 1.1))
    clean = _luma(still.shoot(_moment()).yuv)
    assert 0.8 < np.std(_luma(first) - clean) < 2.5
    assert abs(np.mean(_luma(first) - clean)) < 0.3
    assert not np.array_equal(first, second)


def test_a_day_full_of_people_keeps_memory_bounded() -> None:
    renderer = Renderer(PLAZA, 1, SIZE)
    scene = build("walk", seed=1, people=30)
    for time_s in np.arange(0.0, 30.0, 0.5):
        moment = scene.at(float(time_s))
        renderer.shoot(moment)
    assert len(renderer._wardrobe) == len(moment) < moment.number.max()
    assert renderer._paint_bytes <= 16 * 2**20


def test_every_place_looks_like_one() -> None:
    for place in PLACES.values():
        yuv = Renderer(place, 1, (320, 180)).shoot(_moment()).yuv
        assert 60 < yuv[:180].mean() < 190
        assert yuv[:180].std() > 15


def test_an_odd_size_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        Renderer(PLAZA, 1, (641, 360))


def test_a_sprite_covers_blends_and_is_cut_at_the_edge() -> None:
    buffer = np.full((96, 64), 100, np.uint8)
    canvas = Canvas(buffer)
    layers = np.zeros((8, 8, 4), np.uint8)
    layers[:, 4:] = (200, 90, 160, 255)
    sprite = Sprite.from_layers(layers, -4, 62)
    cut = sprite.within((64, 64))
    assert cut is not None
    canvas.lay(cut)
    assert buffer[62:64, :4].tolist() == [[200] * 4] * 2
    assert buffer[62, 4] == 100
    assert (canvas.u[31, :2].tolist(), canvas.v[31, :2].tolist()) == ([90, 90], [160, 160])
    assert Sprite.from_layers(layers, 64, 0).within((64, 64)) is None


def test_sprites_and_canvases_are_even() -> None:
    with pytest.raises(ValueError, match="even"):
        Sprite.from_layers(np.zeros((3, 4, 4), np.uint8), 0, 0)
    with pytest.raises(ValueError, match="even"):
        Canvas(np.zeros((98, 64), np.uint8))


def test_a_window_is_even_and_within() -> None:
    assert window((10.3, 10.3, 20.7, 20.7), (64, 64)) == (8, 8, 16, 16)
    assert window((-9.0, 50.0, 5.0, 90.0), (64, 64)) == (0, 48, 8, 16)
    assert window((-90.0, 0.0, -50.0, 9.0), (64, 64)) is None


def test_pictures_have_colour(renderer: Renderer) -> None:
    bgr = cv2.cvtColor(renderer.shoot(_moment((0.0, 12.0))).yuv, cv2.COLOR_YUV2BGR_I420)
    assert np.ptp(bgr.astype(int), axis=2).max() > 60


def test_head_pixels_lie_at_the_head_and_are_hidden_by_who_is_nearer(renderer: Renderer) -> None:
    alone = renderer.shoot(_moment((0.5, 14.0)), heads=True)
    assert alone.heads is not None
    rows, columns = np.nonzero(alone.heads == 0)
    left, top, right, bottom = alone.people[0].box
    middle = renderer.camera.project(np.array([(0.5, 14.0, 0.935 * 1.7)]))[0] * SIZE
    assert 0.004 < len(rows) / ((right - left) * (bottom - top)) < 0.25
    assert rows.min() >= top - 2
    assert rows.max() < top + 0.25 * (bottom - top)
    assert (columns.mean(), rows.mean()) == pytest.approx(middle, abs=0.05 * (bottom - top))

    behind = renderer.shoot(_moment((0.5, 14.0), (0.5, 13.9)), heads=True)
    assert behind.heads is not None
    farthest = next(k for k, one in enumerate(behind.people) if one.row == 0)
    assert 0 <= (behind.heads == farthest).sum() < len(rows)
    assert (behind.heads == 1 - farthest).sum() > 0


def test_heads_are_told_at_the_pictures_edge_and_only_when_asked_for(renderer: Renderer) -> None:
    edge = renderer.camera.project(np.array([(0.0, 10.0)]))[0]
    assert 0 < edge[0] < 1
    crowd = [(x, 10.0) for x in np.linspace(-9.0, 9.0, 37)]
    shot = renderer.shoot(_moment(*crowd), heads=True)
    assert shot.heads is not None
    assert shot.heads.shape == SIZE[::-1]
    assert {-1} < set(np.unique(shot.heads).tolist()) <= {-1, *range(len(shot.people))}
    assert renderer.shoot(_moment(*crowd)).heads is None


def test_telling_heads_changes_no_pixel(renderer: Renderer) -> None:
    moment = _moment((0.5, 14.0), (2.0, 9.0))
    assert np.array_equal(renderer.shoot(moment).yuv, renderer.shoot(moment, heads=True).yuv)
