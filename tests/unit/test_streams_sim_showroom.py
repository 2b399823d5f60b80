"""Drawn things: they fill their footprint, are where the camera says, cast shadows, hide and are hidden."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.sim import goods
from streams.sim.light import Light
from streams.sim.places import PLACES
from streams.sim.render import Renderer
from streams.sim.scene import Moment
from streams.sim.showroom import PALETTES, STRIDE_M, Showroom, body
from streams.sim.solid import Solid, face, hull, outline, solid_shadow, solid_sprite
from streams.sim.things import CYCLES, FOOTPRINTS, VEHICLES, Thing

SIZE = (640, 360)
PLAZA = PLACES["plaza"]
KINDS = sorted(FOOTPRINTS)
NOBODY = np.zeros((0, 2))
CAMERA = PLAZA.camera.with_aspect(SIZE[0] / SIZE[1])
LIGHT = Light.by_seed(1)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(PLAZA, 1, SIZE, sensor_noise=False)


def moment(*things: Thing, people: tuple[tuple[float, float], ...] = ()) -> Moment:
    n = len(people)
    return Moment(
        time_s=1.0,
        number=np.arange(n),
        ground=np.array(people, np.float64).reshape(-1, 2),
        heading=np.full(n, 0.3),
        walked=np.arange(n) * 0.4,
        velocity=np.zeros((n, 2)),
        things=things,
    )


def luma(yuv: np.ndarray) -> np.ndarray:
    return yuv[: SIZE[1]].astype(int)


def changed(renderer: Renderer, thing: Thing) -> np.ndarray:
    """(h, w): where the picture is another with the thing."""
    empty, with_it = renderer.shoot(moment()), renderer.shoot(moment(thing))
    return np.abs(luma(with_it.yuv) - luma(empty.yuv)) > 12


@pytest.mark.parametrize("kind", KINDS)
def test_a_thing_stands_on_the_ground_and_fills_its_footprint(kind) -> None:
    solid = body(Thing(0, kind, (0.0, 0.0), 0.0), seed=1)
    low = (solid.points - solid.radii[:, None]).min(axis=0)
    high = (solid.points + solid.radii[:, None]).max(axis=0)
    length, width = FOOTPRINTS[kind]
    assert low[2] == pytest.approx(0.0, abs=0.13)
    assert high[0] - low[0] == pytest.approx(length, rel=0.25, abs=0.1)
    assert high[1] - low[1] == pytest.approx(width, rel=0.45, abs=0.1)
    assert (high[:2] + low[:2]) / 2 == pytest.approx((0.0, 0.0), abs=0.1 * length)
    assert 0.2 < high[2] < 3.2


@pytest.mark.parametrize("kind", sorted(CYCLES))
def test_who_rides_sits_above_the_cycle(kind) -> None:
    alone, ridden = (body(Thing(0, kind, (0.0, 0.0), 0.0, ridden=ridden), 1) for ridden in (False, True))
    assert ridden.points[:, 2].max() > alone.points[:, 2].max() + 0.3
    assert len(ridden.counts) > len(alone.counts)


@pytest.mark.parametrize("kind", [*sorted(VEHICLES), "box", "suitcase"])
def test_faces_look_outwards(kind) -> None:
    """A ray from within hits faces from behind: most of them, as wheels and mirrors stand out."""
    solid = body(Thing(0, kind, (0.0, 0.0), 0.0), 1)
    middles = np.add.reduceat(solid.points, solid.starts) / solid.counts[:, None]
    flat = solid.normals.any(axis=1)
    outwards = np.einsum("nk,nk->n", middles - middles.mean(axis=0), solid.normals)[flat] > 0
    assert outwards.mean() > 0.8


@settings(max_examples=25)
@given(
    kind=st.sampled_from(KINDS),
    x=st.floats(-5.0, 5.0),
    y=st.floats(11.0, 22.0),
    heading=st.floats(-math.pi, math.pi),
)
def test_it_is_drawn_where_the_camera_sees_it(renderer, kind, x: float, y: float, heading: float) -> None:
    thing = Thing(3, kind, (x, y), heading)
    (shown,) = renderer.shoot(moment(thing)).things
    left, top, right, bottom = shown.box
    feet = renderer.camera.project(thing.base) * SIZE
    assert feet[:, 0].min() == pytest.approx(left, abs=0.25 * (right - left) + 4)
    assert feet[:, 0].max() == pytest.approx(right, abs=0.25 * (right - left) + 4)
    assert feet[:, 1].max() == pytest.approx(bottom, abs=0.2 * (bottom - top) + 4)
    rows, columns = np.nonzero(changed(renderer, thing))
    assert columns.min() <= left + 0.3 * (right - left) + 3
    assert columns.max() >= right - 0.3 * (right - left) - 3
    assert rows.min() >= min(top, 0.0) - 2 or rows.min() == pytest.approx(top, abs=3)


def test_a_shadow_falls_beside_it(renderer: Renderer) -> None:
    thing = Thing(0, "box", (0.0, 14.0), 0.0)
    dark = changed(renderer, thing)
    (shown,) = renderer.shoot(moment(thing)).things
    left, top, right, bottom = (round(edge) for edge in shown.box)
    dark[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = False
    assert dark.sum() > 20
    assert shown.shadow is not None
    assert shown.shadow[2].min() < 200


def test_what_is_nearer_is_larger_and_hides_what_is_behind(renderer: Renderer) -> None:
    near, far = Thing(0, "car", (0.0, 12.0), 0.0), Thing(1, "box", (0.0, 16.0), 0.0)
    shot = renderer.shoot(moment(near, far), visibility=True)
    assert [one.thing.number for one in shot.things] == [1, 0]
    assert shot.things_visible[0] < 0.5
    assert shot.things_visible[1] == 1.0


def test_people_behind_a_car_are_hidden_and_people_before_it_hide_it(renderer: Renderer) -> None:
    car = Thing(0, "car", (0.0, 14.0), 0.0)
    shot = renderer.shoot(moment(car, people=((0.0, 15.4), (0.0, 12.6), (5.0, 14.0))), visibility=True)
    seen = {one.row: share for one, share in zip(shot.people, shot.visible, strict=True)}
    assert seen[0] < 0.65
    assert seen[1] == 1.0
    assert seen[2] == 1.0
    assert 0.5 < shot.things_visible[0] < 0.99


@pytest.mark.parametrize("x", [-4.4, -2.0, 0.0, 2.0, 4.4])
def test_all_along_a_bus_the_near_side_is_before_it_and_the_far_side_behind(
    renderer: Renderer, x: float
) -> None:
    """One depth would not do: at a slant, its far end is farther away than who is behind its near end."""
    bus = Thing(0, "bus", (0.0, 18.0), 0.35)
    along = np.array([math.cos(0.35), math.sin(0.35)])
    left = np.array([-along[1], along[0]])
    spots = [tuple((np.array(bus.ground) + along * x + left * side).tolist()) for side in (2.2, -2.2)]
    behind, before = (renderer.shoot(moment(bus, people=(spot,)), visibility=True) for spot in spots)
    assert behind.visible[0] < 0.8
    assert before.visible[0] == 1.0


def test_what_is_out_of_sight_is_not_drawn(renderer: Renderer) -> None:
    things = (Thing(0, "car", (0.0, -20.0), 0.0), Thing(1, "car", (90.0, 20.0), 0.0))
    shot = renderer.shoot(moment(*things), visibility=True)
    assert shot.things == ()
    assert np.array_equal(shot.yuv, renderer.shoot(moment()).yuv)


def test_what_is_just_beyond_the_edge_has_no_picture_but_a_box(renderer: Renderer) -> None:
    shot = renderer.shoot(moment(Thing(0, "car", (-13.5, 16.0), 0.0)), visibility=True)
    (shown,) = shot.things
    assert shown.box[2] < 0 or shown.sprite is not None
    assert shot.things_visible[0] < 0.5


def test_what_stands_still_is_drawn_once_and_what_moves_anew() -> None:
    room = Showroom(CAMERA, LIGHT, 1, SIZE, 16)
    parked = Thing(0, "van", (0.0, 14.0), 0.2)
    (first,) = room.show([parked], NOBODY)
    (second,) = room.show([replace(parked, parked_s=4.0)], NOBODY)
    assert second.sprite is first.sprite
    assert second.thing.parked_s == 4.0
    (moved,) = room.show([replace(parked, ground=(0.3, 14.0))], NOBODY)
    assert moved.sprite is not first.sprite
    assert room.show([], NOBODY) == []


def test_colours_are_the_things_own_and_the_days() -> None:
    def paint(number: int, seed: int) -> tuple[float, ...]:
        return tuple(body(Thing(number, "bag", (0.0, 0.0), 0.0), seed).colours[0])

    assert paint(0, 1) == paint(0, 1)
    assert len({paint(number, 1) for number in range(30)}) == len(PALETTES["bag"])
    assert {paint(4, seed) for seed in range(30)} == set(PALETTES["bag"])


def test_a_dog_strides() -> None:
    poses = [
        body(Thing(0, "dog", (0.0, 0.0), 0.0, moved_m=STRIDE_M * share), 1).points
        for share in (0.0, 0.25, 1.0)
    ]
    assert np.abs(poses[0] - poses[1]).max() > 0.05
    assert np.array_equal(poses[0], poses[2])


def test_what_is_carried_is_above_the_ground() -> None:
    solid = body(Thing(0, "bag", (0.0, 0.0), 0.0, up_m=0.4), 1)
    assert (solid.points[:, 2] - solid.radii).min() == pytest.approx(0.4, abs=0.05)


@given(heading=st.floats(-7.0, 7.0), x=st.floats(-9.0, 9.0), y=st.floats(0.0, 30.0), up_m=st.floats(0.0, 1.0))
def test_a_solid_keeps_its_shape_wherever_it_stands(heading: float, x: float, y: float, up_m: float) -> None:
    solid = goods.box((100.0, 100.0, 100.0))
    put = solid.standing((x, y), heading, up_m)
    gaps = np.linalg.norm(solid.points[:, None] - solid.points, axis=2)
    assert np.linalg.norm(put.points[:, None] - put.points, axis=2) == pytest.approx(gaps, abs=1e-9)
    assert put.points[:, 2] == pytest.approx(solid.points[:, 2] + up_m)
    assert np.linalg.norm(put.normals, axis=1) == pytest.approx(np.ones(len(put.normals)))


def test_gloss_mirrors_the_sky_and_the_sun_lights_what_faces_it() -> None:

    def brightness(gloss: float, *, up: bool = True) -> float:
        corners = [(-2.0, 14.0, 0.5), (2.0, 14.0, 0.5), (2.0, 17.0, 0.5), (-2.0, 17.0, 0.5)]
        if not up:
            corners = [(-2.0, 14.0, 0.0), (2.0, 14.0, 0.0), (2.0, 14.0, 2.0), (-2.0, 14.0, 2.0)]
        sprite = solid_sprite(Solid.of([face(corners, (80.0, 80.0, 80.0), gloss)]), CAMERA, LIGHT, SIZE, 0)
        assert sprite is not None
        return float(sprite.luma[sprite.luma_clear == 0].mean())

    assert brightness(0.9) > brightness(0.0) + 10
    assert brightness(0.0) > brightness(0.0, up=False)


def test_balls_of_a_few_pixels_are_drawn_plainly() -> None:
    small = Solid.of([hull([(0.0, 15.0, 1.0, 0.02), (0.4, 15.0, 1.0, 0.02)], (60.0, 60.0, 60.0))])
    large = Solid.of([hull([(0.0, 9.0, 1.0, 0.6), (0.4, 9.0, 1.0, 0.6)], (60.0, 60.0, 60.0))])
    tones = [
        len(np.unique(sprite.luma[sprite.luma_clear == 0]))
        for sprite in (solid_sprite(one, CAMERA, LIGHT, SIZE, 0) for one in (small, large))
        if sprite is not None
    ]
    assert tones[0] <= 1 < tones[1]


def test_behind_the_camera_is_nothing() -> None:
    behind = body(Thing(0, "car", (0.0, -30.0), 0.0), 1)
    aside = body(Thing(0, "car", (400.0, 20.0), 0.0), 1)
    assert outline(behind, CAMERA, SIZE) is None
    for solid in (behind, aside):
        assert solid_sprite(solid, CAMERA, LIGHT, SIZE, 16) is None
        assert solid_shadow(solid, CAMERA, LIGHT, SIZE) is None


def test_a_thing_is_of_a_known_kind_and_only_cycles_are_ridden() -> None:
    with pytest.raises(ValueError, match="one of bag, suitcase"):
        Thing(0, "boat", (0.0, 0.0), 0.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a dog"):
        Thing(0, "dog", (0.0, 0.0), 0.0, ridden=True)
