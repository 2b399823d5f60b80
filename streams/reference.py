"""How a small picture compares, tile by tile, with what the camera usually shows: there, unsharp, or gone.

Two bands of detail are told apart: fine (a pixel or two of 320), which defocus and dirt take away first, and
coarse (some ten pixels), which says whether it is the same place at all. Both are measured against the
camera's own reference and against each other, so that neither exposure nor contrast matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

TILES = (16, 9)
"""Columns and rows of tiles, 20 pixels wide and high each."""
LEAST_TILES = 12
"""Tiles with something in them that a reference must have, of 144, to be worth comparing with."""

_SMALL = (80, 45)
_COARSE_SIGMA = 3.0
"""Of the 80 x 45 plane: what is larger than some 25 pixels of 320 is light, not detail."""
_LEAST_FINE = 9.0
"""Mean square of the Laplacian that a tile's detail must have: sensor noise of a deviation of 0.5 has 5."""
_LEAST_COARSE = 4.0
_FAINT = 0.12
"""Contrast below which what is seen through something counts as gone."""
_ELSEWHERE = 0.8
"""What is not the place itself must have less detail yet to count as dull: it had none to lose."""
_KEPT = 0.6
_ALIKE = 0.55
"""Correlation of the coarse band above which a tile shows what it should."""


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """One picture's detail.

    Attributes:
        fine: (180, 320) Laplacian in grey levels.
        coarse: (45, 80) brightness less its surroundings'.
        mean: (9, 16) brightness of the tiles.
        fine_power, coarse_power: (9, 16) mean squares of the tiles.
    """

    fine: Floats
    coarse: Floats
    mean: Floats
    fine_power: Floats
    coarse_power: Floats

    @classmethod
    def of(cls, luma: Plane | Floats) -> Bands:
        """Of a (180, 320) picture."""
        fine = np.asarray(cv2.Laplacian(luma, cv2.CV_32F), np.float32)
        small = cv2.resize(luma, _SMALL, interpolation=cv2.INTER_AREA).astype(np.float32)
        coarse = np.asarray(small - cv2.GaussianBlur(small, (0, 0), _COARSE_SIGMA), np.float32)
        return cls(fine, coarse, tiled(small), tiled(fine * fine), around(coarse * coarse))


def tiled(plane: Floats) -> Floats:
    """Mean of each tile: (9, 16)."""
    return np.asarray(cv2.resize(plane, TILES, interpolation=cv2.INTER_AREA), np.float32)


def around(plane: Floats) -> Floats:
    """Mean of each tile and its eight neighbours, (9, 16): 25 values alone correlate by chance."""
    return np.asarray(cv2.blur(tiled(plane), (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """How a picture's tiles compare with the reference's. (9, 16) each.

    Attributes:
        told: tiles that have enough in them to say something.
        there: of these, those that show what they should, whether sharp or not.
        dull: of these, those whose detail is gone: unsharp, or behind something flat.
        astray: of these, those that show something else, with detail of its own.
        sharpness: fine detail against coarse, 1 as in the reference, 0 for none; 0 where it cannot be told.
        layout: correlation of the tiles' brightness with the reference's, -1 to 1; a share of 0 for none.
    """

    told: Mask
    there: Mask
    dull: Mask
    astray: Mask
    sharpness: Floats
    layout: float

    def share(self, which: Mask) -> float:
        """Of the tiles that say something."""
        return float(np.count_nonzero(which & self.told)) / max(1, int(np.count_nonzero(self.told)))


@dataclass(frozen=True, eq=False)
class Reference:
    """What a camera usually shows.

    Attributes:
        luma: (180, 320) grey levels.
    """

    luma: Floats

    @cached_property
    def bands(self) -> Bands:
        """Its detail."""
        return Bands.of(self.luma)

    @cached_property
    def told(self) -> Mask:
        """(9, 16), tiles with enough in them to say whether it is there and sharp."""
        bands = self.bands
        return (bands.fine_power >= _LEAST_FINE) & (bands.coarse_power >= _LEAST_COARSE)

    @property
    def worth(self) -> bool:
        """Whether there is enough to compare with."""
        return int(np.count_nonzero(self.told)) >= LEAST_TILES

    def kept(self, now: Bands) -> Mask:
        """Which tiles have their fine detail in full, (9, 16), whatever became of the light."""
        then = self.bands
        shared = tiled(now.fine * then.fine) / (then.fine_power + 1e-3)
        return np.asarray((then.fine_power >= _LEAST_FINE) & (shared >= _KEPT), np.bool_)

    def compare(self, now: Bands, dull_below: float) -> Likeness:
        """How a picture's tiles compare with this.

        Args:
            now: the picture's detail.
            dull_below: sharpness, a ratio to the reference's, 0 to 1, below which a tile counts as unsharp.
        """
        then = self.bands
        # There is hardly a picture without a tenth of it plain, where nothing but noise is seen.
        noise = float(np.sort(now.fine_power, axis=None)[now.fine_power.size // 10])
        common = around(now.coarse * then.coarse)
        contrast = common / (then.coarse_power + 1e-3)
        alike = common / np.sqrt(now.coarse_power * then.coarse_power + 1e-3)
        there = (alike >= _ALIKE) & (contrast >= _FAINT)
        fine = then.fine_power + 1e-3
        # By itself: what shakes has its detail, if not at its place. By what is common: noise does not count.
        own = np.sqrt(np.maximum(now.fine_power - noise, 0.0) / fine)
        shared = tiled(now.fine * then.fine) / fine
        detail = np.maximum(own, shared)
        sharpness = detail / np.maximum(contrast, _FAINT)
        told = self.told
        dull = np.where(there, sharpness < dull_below, own < _ELSEWHERE * dull_below)
        return Likeness(
            told,
            told & there,
            told & dull,
            told & ~there & ~dull,
            np.where(there, sharpness, own).astype(np.float32),
            _correlation(now.mean, then.mean),
        )


def _correlation(one: Floats, other: Floats) -> float:
    a, b = one - one.mean(), other - other.mean()
    power = float((a * a).sum() * (b * b).sum())
    return float((a * b).sum()) / power**0.5 if power > 1e-6 else 0.0
