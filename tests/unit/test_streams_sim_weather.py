"""Weather: told by a line of text, seen where and when it is to be, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import SourceUrlError
from streams.sim.lens import Lens
from streams.sim.spec import SceneSpec, parse_address
from streams.sim.weather import OVERLAYS, TURN_S, Spell, amounts, parse_weather

SIZE = (320, 180)


def pictures(weather: str, times: list[float], seed: int = 3, fault: str = "") -> list[np.ndarray]:
    """An empty place, so that only the weather moves."""
    spec = SceneSpec("walk", "plaza", seed, SIZE, 10.0, people=0, weather=weather, fault=fault)
    lens, scene = Lens(spec), spec.scene()
    return [lens.shoot(scene.at(time_s)).yuv.astype(int) for time_s in times]


def luma(picture: np.ndarray) -> np.ndarray:
    return picture[: SIZE[1]]


def moved(weather: str, seed: int = 3) -> float:
    """Share of pixels that change within half a second beyond what noise does."""
    first, later = pictures(weather, [20.0, 20.5], seed)
    return float((np.abs(luma(first) - luma(later)) > 9).mean())


def test_a_line_of_text_says_what_comes() -> None:
    assert parse_weather("") == ()
    assert parse_weather("rain,insects:0.5@20,trees@3-9") == (
        Spell("rain"),
        Spell("insects", 20.0, strength=0.5),
        Spell("trees", 3.0, 9.0),
    )
    assert parse_address("sim://gate?weather=rain:2").spec.spells == (Spell("rain", strength=2.0),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frogs", "unknown weather 'frogs'; there are rain, trees"),
        ("rain@9-2", "end after it begins"),
        ("rain:hard", "only one way"),
        ("rain:9", "strength"),
        ("rain;trees", "weather looks like"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(text: str, message: str) -> None:
    with pytest.raises(SourceUrlError, match=message):
        SceneSpec(weather=text)


@given(begin_s=st.floats(0.0, 50.0), lasts_s=st.floats(0.5, 50.0), time_s=st.floats(0.0, 150.0))
def test_a_spell_comes_and_goes(begin_s: float, lasts_s: float, time_s: float) -> None:
    spell = Spell("rain", begin_s, begin_s + lasts_s)
    assert 0.0 <= spell.share(time_s) <= 1.0
    if not begin_s <= time_s <= begin_s + lasts_s:
        assert spell.share(time_s) == 0.0
    assert spell.share(begin_s + lasts_s / 2) == pytest.approx(1.0)


@given(seed=st.integers(0, 99))
def test_changing_weather_shows_each_kind_in_each_round(seed: int) -> None:
    spells = parse_weather("changing")
    lap = [amounts(spells, (number + 0.5) * TURN_S, seed) for number in range(len(OVERLAYS))]
    assert sorted(kind for found in lap for kind in found) == sorted(OVERLAYS)
    assert all(len(amounts(spells, time_s, seed)) <= 2 for time_s in np.arange(0.0, 200.0, 3.0))


@pytest.mark.parametrize("kind", OVERLAYS)
def test_all_of_it_moves(kind: str) -> None:
    plain = moved("")
    assert plain < 0.001
    assert max(moved(kind, seed) for seed in (1, 2, 3)) > 0.004


@pytest.mark.parametrize("kind", OVERLAYS)
def test_the_same_seed_gives_the_same_weather_from_any_time_on(kind: str) -> None:
    first = pictures(kind, [0.0, 3.0, 6.2])[-1]
    assert np.array_equal(first, pictures(kind, [6.2])[0])
    assert not np.array_equal(first, pictures(kind, [6.2], seed=4)[0])


def test_before_it_comes_the_picture_is_untouched() -> None:
    plain, rainy = pictures("", [1.0, 9.0]), pictures("rain@5", [1.0, 9.0])
    assert np.array_equal(plain[0], rainy[0])
    assert not np.array_equal(plain[1], rainy[1])


def test_rain_is_streaks_and_a_veil() -> None:
    plain, rainy = (luma(pictures(kind, [1.0])[0]) for kind in ("", "rain"))
    assert plain.std() * 0.95 > np.percentile(rainy, 95) - np.percentile(rainy, 50) > 5
    assert ((rainy - plain) > 15).mean() > 0.002


def test_trees_shade_the_ground_and_hang_into_a_corner() -> None:
    plain, shaded = (luma(pictures(kind, [1.0])[0]) for kind in ("", "trees"))
    corners = [np.s_[:40, :40], np.s_[:40, -40:]]
    assert max(np.abs(shaded[corner] - plain[corner]).mean() for corner in corners) > 25
    assert (plain[90:] - shaded[90:] > 10).mean() > 0.01
    assert np.abs(shaded[-30:, 140:180] - plain[-30:, 140:180]).mean() < 25


def test_headlights_sweep_over_a_dusky_place() -> None:
    times = [0.5 * k for k in range(60)]
    means = np.array([luma(picture).mean() for picture in pictures("headlights", times)])
    day = luma(pictures("", [0.0])[0]).mean()
    assert np.median(means) < 0.7 * day
    assert (means > np.median(means) + 4).sum() >= 3


def test_an_insect_on_the_lens_is_dark_and_small() -> None:
    plain, bitten = (luma(pictures(kind, [4.0])[0]) for kind in ("", "insects"))
    hidden = plain - bitten > 25
    assert 0.0008 < hidden.mean() < 0.03


def test_insects_fly_by() -> None:
    seen = np.array([luma(picture) for picture in pictures("insects", [0.2 * k for k in range(30)])])
    # The one on the glass keeps to its part of the picture: what is dark far from it only for once flew by.
    dark = np.median(seen, axis=0) - seen > 20
    once = (dark.sum(axis=0) == 1) & (dark.any(axis=0))
    assert 0.001 < once.mean() < 0.1


def test_weather_goes_on_over_a_moved_camera_and_faults_come_last() -> None:
    still = pictures("trees", [3.0, 3.5], fault="moved:turn@1,freeze@3")
    assert np.array_equal(*still)
    assert not np.array_equal(still[0], pictures("trees", [3.0])[0])


def test_each_scenario_has_its_own_weather_unless_told_otherwise() -> None:
    assert SceneSpec("walk").spells == ()
    assert SceneSpec("distractors").spells == (Spell("changing"),)
    assert SceneSpec("distractors", weather="rain").spells == (Spell("rain"),)
