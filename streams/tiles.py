"""A picture's edges by their direction, and where tiles of them are found in another picture.

Directions are doubled so that a step up and a step down are one: light that rises, fades or comes from
another side changes the edges' strength and sign, not their place (orientation correlation: Fitch et al.,
BMVC 2002).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Edges = NDArray[np.float32]
Places = NDArray[np.complex128]
"""Right and down as one complex number, in pixels."""

LUMA_SIZE = (320, 180)
"""Width and height at which views are compared."""

TILE = 48
_COLUMNS, _ROWS = 9, 5
_LEAST_GREY = 2.0
"""Grey levels a pixel below which an edge is noise."""
_LEAST_ENERGY = 40.0
"""Sum of squared edge weights of a tile that has something to be matched: about 50 pixels of clear edge."""
_NEAR = 4
"""Pixels around a peak of the correlation that belong to it."""
_UNIQUE = 0.8
"""A tile whose own correlation is that high elsewhere, along one straight edge say, cannot be placed."""
_PEAK = 5.5
"""Deviations by which a peak must stand out. Of 2304 values of pure noise the highest is at 3.5 to 4.5."""
_SECOND = 0.85
_FARTHEST_PX = 18
"""A tile that went farther shows too little of itself, and half a tile right is half a tile left, too."""


def edges_of(grey: NDArray[np.uint8], known: Mask | None) -> Edges:
    """Doubled directions of the edges, (180, 320, 2) float32, of length 0 (none) to 1 (clear)."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.8).astype(np.float32)
    x = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    y = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    strength = x * x + y * y
    # Noise raises the median, as most of a picture is flat; a dense texture may not hide the clear edges.
    usual = float(np.median(strength[::4, ::4]))
    weight = 1.0 / (strength + min(max(_LEAST_GREY**2, 4 * usual), 64.0))
    edges = np.stack(((x * x - y * y) * weight, 2 * x * y * weight), axis=2)
    if known is not None:
        # A pixel's gradient asks its neighbours too.
        edges *= cv2.erode(known.astype(np.uint8), np.ones((5, 5), np.uint8))[..., None]
    return np.ascontiguousarray(edges, np.float32)


def _corners() -> NDArray[np.intp]:
    width, height = LUMA_SIZE
    x = np.linspace(0, width - TILE, _COLUMNS).round().astype(np.intp)
    y = np.linspace(0, height - TILE, _ROWS).round().astype(np.intp)
    return np.array([(a, b) for b in y for a in x], np.intp)


_CORNERS = _corners()
MIDDLES: Places = _CORNERS[:, 0] + 1j * _CORNERS[:, 1] + (1 + 1j) * (TILE / 2 - 0.5)
"""Of the 45 tiles: (45,) in a picture of `LUMA_SIZE`."""


def spectra(edges: Edges) -> list[Edges]:
    """Of each tile of (180, 320, 2) edges, (48, 48, 2), in the order of `MIDDLES`."""
    return [spectrum(edges[y : y + TILE, x : x + TILE]) for x, y in _CORNERS]


def spectrum(edges: Edges) -> Edges:
    """Fourier transform of (height, width, 2) edges, taken as complex numbers: the same shape."""
    return np.asarray(cv2.dft(np.ascontiguousarray(edges)), np.float32)


def correlation(now: Edges, then: Edges) -> NDArray[np.float32]:
    """Real part of the cyclic correlation of two spectra, (h, w, 2) each: how well they fit where, (h, w)."""
    product = cv2.mulSpectrums(now, then, 0, conjB=True)
    plane = cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
    return np.asarray(plane[..., 0], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """The background's tiles.

    Attributes:
        spectra: of each, (48, 48, 2).
        usable: (45,) bool, which of them can be placed.
    """

    spectra: list[Edges]
    usable: Mask

    @classmethod
    def of(cls, edges: Edges) -> Tiles:
        """Tiles of a picture's edges, (180, 320, 2)."""
        parts = spectra(edges)
        own = np.stack([correlation(one, one) for one in parts])
        first, second, _ = _peaks(own)
        return cls(parts, (own[:, 0, 0] >= _LEAST_ENERGY) & (second < _UNIQUE * first))


def _peaks(surfaces: Edges) -> tuple[Edges, Edges, NDArray[np.intp]]:
    """Of each (48, 48) surface the highest value, the highest away from it, and the first's row, column."""
    count = len(surfaces)
    where = surfaces.reshape(count, -1).argmax(axis=1)
    row, column = np.divmod(where, TILE)
    first = surfaces.reshape(count, -1)[np.arange(count), where]
    apart = np.arange(TILE)
    far_y = _cyclic(apart[None] - row[:, None]) > _NEAR
    far_x = _cyclic(apart[None] - column[:, None]) > _NEAR
    far = far_y[:, :, None] | far_x[:, None, :]
    second = np.where(far, surfaces, -np.inf).max(axis=(1, 2))
    return first, second, np.column_stack((row, column))


def _cyclic(distance: NDArray[np.intp]) -> NDArray[np.intp]:
    around: NDArray[np.intp] = np.abs((distance + TILE // 2) % TILE - TILE // 2)
    return around


def found(then: Tiles, now: list[Edges]) -> tuple[NDArray[np.intp], Places]:
    """Which of the usable tiles are found near where they were, and by how much they are displaced.

    Args:
        then: tiles of the background.
        now: `spectra` of a picture.

    Returns:
        (k,) rows of `MIDDLES`, and (k,) displacements.
    """
    rows = np.flatnonzero(then.usable)
    if not len(rows):
        return rows, np.zeros(0, np.complex128)
    surfaces = np.stack([correlation(now[k], then.spectra[k]) for k in rows])
    first, second, at = _peaks(surfaces)
    told = (first > _PEAK * surfaces.std(axis=(1, 2))) & (second < _SECOND * first)
    told &= _cyclic(at).max(axis=1) <= _FARTHEST_PX
    return rows[told], _refined(surfaces[told], at[told])


def _refined(surfaces: NDArray[np.float32], at: NDArray[np.intp]) -> Places:
    """Displacements by parabolas through the peaks: complex, right and down, pixels."""
    k, (row, column) = np.arange(len(at)), at.T

    def vertex(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float64]:
        curve = before + after - 2 * surfaces[k, row, column]
        return np.clip(
            np.where(curve < 0, (before - after) / np.where(curve < 0, 2 * curve, 1), 0), -0.5, 0.5
        )

    x = vertex(surfaces[k, row, column - 1], surfaces[k, row, (column + 1) % TILE])
    y = vertex(surfaces[k, row - 1, column], surfaces[k, (row + 1) % TILE, column])
    half = TILE // 2
    centred = (at + half) % TILE - half
    return np.asarray(centred[:, 1] + x + 1j * (centred[:, 0] + y), np.complex128)
