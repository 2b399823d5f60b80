"""The empty place is learned where nobody is, and nobody becomes part of it while they are found."""

import numpy as np
import pytest

from edge.backdrop import ABSORB_S, LEARN_S, SHAPE, Backdrop

EMPTY = np.random.default_rng(3).integers(60, 160, SHAPE).astype(np.uint8)
NOBODY = np.zeros(SHAPE, bool)


def _noisy(luma: np.ndarray, rng: np.random.Generator, light: float = 0.0) -> np.ndarray:
    return np.clip(luma + rng.normal(light, 0.5, SHAPE), 0, 255).astype(np.uint8)


def _learned(seconds: float, start: Backdrop | None = None, **look: np.ndarray) -> Backdrop:
    rng = np.random.default_rng(1)
    luma, occupied = look.get("luma", EMPTY), look.get("occupied", NOBODY)
    backdrop = start or Backdrop.unknown(_noisy(luma, rng), 0.0)
    first_s = backdrop.pts_s
    while backdrop.pts_s < first_s + seconds:
        backdrop = backdrop.learn(_noisy(luma, rng), occupied, backdrop.pts_s + 0.5)
    return backdrop


def _with_somebody(part: tuple[slice, slice] = np.s_[80:120, 100:120]) -> np.ndarray:
    luma = EMPTY.copy()
    luma[part] = 20
    return luma


def test_all_is_strange_until_it_is_learned() -> None:
    assert Backdrop.unknown(EMPTY, 0.0).strange(EMPTY)[0].all()
    assert _learned(LEARN_S / 2).strange(EMPTY)[0].all()
    assert _learned(LEARN_S + 2).strange(EMPTY)[0].mean() < 0.001


def test_somebody_new_is_strange_and_nothing_else() -> None:
    surely, possibly = _learned(LEARN_S + 7).strange(_with_somebody())
    assert surely[80:120, 100:120].mean() > 0.97
    surely[78:122, 98:122] = False
    assert surely.mean() < 0.002
    assert not (surely & ~possibly).any()


def test_where_somebody_was_found_nothing_is_learned() -> None:
    occupied = NOBODY.copy()
    occupied[70:130, 90:130] = True
    backdrop = _learned(10 * LEARN_S, luma=_with_somebody(), occupied=occupied)
    assert not backdrop.known[70:130, 90:130].any()
    assert backdrop.known[:60].all()


def test_what_is_put_down_stays_strange_for_long_then_belongs_there() -> None:
    place = _learned(LEARN_S + 7)
    soon = _learned(ABSORB_S / 2, place, luma=_with_somebody())
    assert soon.strange(_with_somebody())[0][80:120, 100:120].mean() > 0.95
    late = _learned(1.5 * ABSORB_S, place, luma=_with_somebody())
    assert late.strange(_with_somebody())[0].mean() < 0.01


def test_who_passes_by_does_not_keep_a_place_from_being_learned() -> None:
    rng, backdrop = np.random.default_rng(2), Backdrop.unknown(EMPTY, 0.0)
    for k in range(1, round(8 * LEARN_S)):
        passing = _with_somebody() if k % 4 == 0 else EMPTY
        backdrop = backdrop.learn(_noisy(passing, rng), NOBODY, k / 2)
    assert backdrop.known.all()
    assert np.abs(backdrop.level - EMPTY)[80:120, 100:120].mean() < 3


def test_a_cloud_over_all_is_no_change() -> None:
    brighter = np.clip(EMPTY.astype(int) + 12, 0, 255).astype(np.uint8)
    assert _learned(LEARN_S + 7).strange(brighter)[0].mean() < 0.001


def test_time_that_went_back_and_other_shapes() -> None:
    assert not _learned(LEARN_S + 7).learn(EMPTY, NOBODY, 1.0).known.any()
    with pytest.raises(ValueError, match="luma must be"):
        Backdrop.unknown(EMPTY[:-1], 0.0)
    with pytest.raises(ValueError, match="occupied must be"):
        _learned(1).learn(EMPTY, NOBODY[1:], 9.0)
