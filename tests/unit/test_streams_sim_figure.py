"""Drawn people: both feet never leave the ground, and what is drawn once serves many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sim import gait
from streams.sim.body import BUILDS, MATERIALS, PHASES, POSES, POSTURES_FROM, Part, body
from streams.sim.figure import FACINGS, LARGE_SIZE, MARGIN_PX, SHADES, SIZE, View, figure
from streams.sim.light import Light, to_yuv
from streams.sim.wardrobe import Outfit, colour_table, outfit

VIEWS = st.builds(
    View,
    build=st.sampled_from(BUILDS),
    pose=st.integers(0, POSTURES_FROM - 1),
    facing=st.integers(0, FACINGS - 1),
    pitch=st.integers(0, 5),
)


@given(phase=st.floats(0.0, 2 * np.pi))
def test_one_foot_is_always_on_the_ground(phase: float) -> None:
    pose = gait.walking(phase)
    assert min(pose.left.ankle[2], pose.right.ankle[2]) == pytest.approx(gait.ANKLE)
    assert max(pose.left.hip[2], pose.right.hip[2]) < 0.6


@given(phase=st.floats(0.0, np.pi))
def test_half_a_stride_later_the_sides_have_swapped(phase: float) -> None:
    now, later = gait.walking(phase), gait.walking(phase + np.pi)
    assert now.left.knee * (1, -1, 1) == pytest.approx(later.right.knee)
    assert now.right.hand * (1, -1, 1) == pytest.approx(later.left.hand)


def test_limbs_keep_their_lengths() -> None:
    for phase in np.linspace(0, 2 * np.pi, 9):
        leg = gait.walking(float(phase)).left
        assert np.linalg.norm(leg.knee - leg.hip) == pytest.approx(gait.THIGH)
        assert np.linalg.norm(leg.ankle - leg.knee) == pytest.approx(gait.SHIN, rel=0.001)


@given(view=VIEWS)
def test_a_figure_is_upright_on_its_anchor(view: View) -> None:
    shape = figure(view.canonical)
    height, width = shape.index.shape
    drawn = np.argwhere(shape.index > 0)
    assert drawn.min() == MARGIN_PX
    assert (height - 1 - drawn[:, 0].max(), width - 1 - drawn[:, 1].max()) == (MARGIN_PX, MARGIN_PX)
    tall = drawn[:, 0].max() - drawn[:, 0].min()
    assert (
        0.93 * shape.upright < tall < 1.04 * shape.upright + 0.45 * SIZE * np.sin(np.radians(view.pitch * 9))
    )
    assert MARGIN_PX < shape.anchor[0] < width - MARGIN_PX
    assert set(np.unique(shape.index // SHADES)) <= set(range(len(MATERIALS)))


def test_the_back_of_a_head_is_hair_and_its_front_is_face() -> None:
    def skin(facing: int) -> int:
        index = figure(View("trousers", PHASES, facing, 1)).index
        return int(np.count_nonzero(index[: SIZE // 7 + MARGIN_PX] // SHADES == MATERIALS.index("skin")))

    assert skin(6) > 3 * skin(0)


def test_figures_are_drawn_once_and_mirrored_ones_not_at_all() -> None:
    view = View("coat", 3, 9, 2)
    assert view.mirrored
    assert view.canonical == View("coat", 11, 3, 2)
    assert figure(view.canonical) is figure(view.canonical)
    assert not View("bag", 3, 9, 2).mirrored
    with pytest.raises(ValueError, match="mirror"):
        figure(view)


def test_near_figures_are_drawn_finer() -> None:
    assert (
        figure(View("hood", 0, 0, 1, large=True)).upright
        == figure(View("hood", 0, 0, 1)).upright * LARGE_SIZE / SIZE
    )


def test_there_are_only_so_many_poses() -> None:
    with pytest.raises(ValueError, match="pose"):
        body("coat", POSES)


def test_every_shade_has_room_for_its_rounding() -> None:
    for build in BUILDS:
        shades = body(build, 0).shades
        assert shades.min() >= 3
        assert shades.max() <= 13
    assert Part.__doc__


@given(seed=st.integers(0, 1000), number=st.integers(0, 10_000))
def test_clothes_are_the_persons_own_and_stay_so(seed: int, number: int) -> None:
    clothes = outfit(seed, number)
    assert clothes == outfit(seed, number)
    assert 1.5 <= clothes.height_m <= 1.92
    table = colour_table(clothes, Light.by_seed(seed), 6).view(np.uint8).reshape(256, 4)
    assert not table[:SHADES].any()
    assert (table[SHADES : len(MATERIALS) * SHADES, 3] == 255).all()
    assert (table[SHADES : len(MATERIALS) * SHADES, 0] >= 16).all()


def test_people_differ() -> None:
    assert len({outfit(1, number) for number in range(30)}) == 30
    assert outfit(1, 0) != outfit(2, 0)


def test_an_outfit_has_a_colour_for_everything() -> None:
    with pytest.raises(ValueError, match="colours"):
        Outfit("coat", 1.7, 1.0, ((0, 0, 0),))


def test_colours_in_video_range() -> None:
    yuv = to_yuv(np.array([(0, 0, 0), (255, 255, 255), (0, 0, 255), (300, -20, 0)], float))
    assert yuv[0].tolist() == [16, 128, 128]
    assert yuv[1].tolist() == [235, 128, 128]
    assert yuv[2].tolist() == [81, 90, 240]
    assert yuv[3].tolist() == to_yuv(np.array([(255.0, 0.0, 0.0)]))[0].tolist()


@given(seed=st.integers(0, 500))
def test_days_differ_within_reason(seed: int) -> None:
    light = Light.by_seed(seed)
    assert np.hypot(*light.towards) == pytest.approx(1.0)
    assert 0.1 < light.shadow < 0.5
    assert 0.4 < light.reach < 1.5
    assert all(0.8 < tint < 1.2 for tint in light.tint)
