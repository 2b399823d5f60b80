"""How far a fixed camera's view has shifted against a background of it: pure measurement on small greys.

Tiles of edges are matched on their own, so that people before some of them spoil only these; what the tiles
say counts when one similarity explains enough of them.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.tiles import (
    LUMA_SIZE,
    MIDDLES,
    Edges,
    Mask,
    Places,
    Tiles,
    edges_of,
    found,
    spectra,
    spectrum,
)

Plane = NDArray[np.uint8]
Points = NDArray[np.float64]

LEAST_TILES = 6
"""Tiles that a background must have at least, of 45; with fewer no shift is ever told."""

_TOLERANCE_PX = 1.5
_BENT = 0.3
"""A turned camera shifts the picture's middle and its corners by shares that differ about so much."""
_MOST_BENT_PX = 8.0
_LEAST_APART_PX = 60.0
_LEAST_AGREEING = 5
_LEAST_SHARE = 0.15
_LEAST_VOTES = 0.5
_COARSE = 2
_POSES = (
    *((1.0, degrees) for degrees in (0.0, -5.0, 5.0, -10.0, 10.0, -15.0, 15.0)),
    *((zoom, 0.0) for zoom in (0.7, 0.8, 0.9, 1.12, 1.26, 1.42)),
)
"""Zooms and turns in degrees from which the whole picture is looked for."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A similarity that takes places of the background's picture to where they are seen now.

    Attributes:
        turn: scale and rotation as one complex number, 1 for none, in pixels of `LUMA_SIZE`.
        step: complex, right and down, pixels of `LUMA_SIZE`.
    """

    turn: complex = 1.0
    step: complex = 0.0

    def at(self, points: Points) -> Points:
        """Where (n, 2) fractions of the background's picture are seen now, in fractions: (n, 2)."""
        z = (points[:, 0] * LUMA_SIZE[0] + 1j * points[:, 1] * LUMA_SIZE[1]) * self.turn + self.step
        return np.column_stack((z.real / LUMA_SIZE[0], z.imag / LUMA_SIZE[1]))

    def after(self, other: Shift) -> Shift:
        """First `other`, then this one."""
        return Shift(self.turn * other.turn, self.turn * other.step + self.step)

    @property
    def right(self) -> float:
        """How far the picture's middle is shifted to the right, in picture widths."""
        return float(self.at(np.array([[0.5, 0.5]]))[0, 0]) - 0.5

    @property
    def down(self) -> float:
        """How far the picture's middle is shifted downwards, in picture heights."""
        return float(self.at(np.array([[0.5, 0.5]]))[0, 1]) - 0.5

    @property
    def rotation_deg(self) -> float:
        """Turn about the line of sight in degrees, clockwise as seen in the picture, -180 to 180."""
        return math.degrees(math.atan2(self.turn.imag, self.turn.real))

    @property
    def scale(self) -> float:
        """Ratio of lengths now to lengths then: above 1 for a closer view."""
        return abs(self.turn)

    @property
    def _matrix(self) -> NDArray[np.float64]:
        a, b = self.turn.real, self.turn.imag
        return np.array([[a, -b, self.step.real], [b, a, self.step.imag]])


STILL = Shift()


def apart(one: Shift, other: Shift) -> float:
    """How far two shifts put the picture's corners apart, at most, as a share of the picture's width."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    way = (one.at(corners) - other.at(corners)) * (1.0, LUMA_SIZE[1] / LUMA_SIZE[0])
    return float(np.hypot(way[:, 0], way[:, 1]).max())


@dataclass(frozen=True, slots=True)
class Match:
    """What a picture says of the view.

    Attributes:
        shift: the similarity that explains the tiles; None where too few agree on one: unknown.
        asked: tiles of the background that can be placed.
        voting: of these, those found in the picture, somewhere.
        agreeing: of these, those that `shift` explains, or else the most that any explains.
    """

    shift: Shift | None
    asked: int
    voting: int
    agreeing: int

    @property
    def share(self) -> float:
        """Agreeing tiles of those asked, 0 to 1: how sure it is."""
        return self.agreeing / self.asked if self.asked else 0.0


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A camera's background.

    Attributes:
        grey: (180, 320) uint8.
        known: (180, 320) bool, where it is the background; elsewhere `grey` says nothing.
    """

    grey: Plane
    known: Mask
    _kept: dict[Shift, Tiles] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        shape = LUMA_SIZE[::-1]
        if self.grey.shape != shape or self.grey.dtype != np.uint8:
            raise ValueError(f"grey must be {shape} uint8, got {self.grey.shape} {self.grey.dtype}")
        if self.known.shape != shape or self.known.dtype != np.bool_:
            raise ValueError(f"known must be {shape} bool, got {self.known.shape} {self.known.dtype}")

    @property
    def asked(self) -> int:
        """Tiles that can be placed, 0 to 45; below 6 no shift is ever told."""
        return int(self._tiles.usable.sum())

    @cached_property
    def _tiles(self) -> Tiles:
        return Tiles.of(edges_of(self.grey, self.known))

    @cached_property
    def _poses(self) -> tuple[tuple[Shift, Edges], ...]:
        """Spectra at half the size, turned and zoomed about the middle, to be found anywhere."""
        poses = []
        middle = complex(LUMA_SIZE[0] / 2, LUMA_SIZE[1] / 2)
        for zoom, degrees in _POSES:
            turn = zoom * cmath.exp(1j * math.radians(degrees))
            pose = Shift(turn, middle - turn * middle)
            poses.append((pose, spectrum(_halved(self._seen(pose)))))
        return tuple(poses)

    def _posed(self, pose: Shift) -> Tiles:
        """Tiles as seen after a shift; the last ones are kept, as a camera that was moved stays so."""
        if pose == STILL:
            return self._tiles
        if pose not in self._kept:
            self._kept.clear()
            self._kept[pose] = Tiles.of(self._seen(pose))
        return self._kept[pose]

    def _seen(self, pose: Shift) -> Edges:
        """The edges of the background as they would be seen after a shift."""
        grey = cv2.warpAffine(self.grey, pose._matrix, LUMA_SIZE, flags=cv2.INTER_LINEAR)
        known = cv2.warpAffine(self.known.astype(np.uint8), pose._matrix, LUMA_SIZE, flags=cv2.INTER_NEAREST)
        return edges_of(np.asarray(grey, np.uint8), known > 0)


def measure(
    backdrop: Backdrop, luma: Plane, known: Mask | None = None, *, hint: Shift = STILL, seek: bool = True
) -> Match:
    """How the view of a picture has shifted against a background.

    Takes 2 to 3 ms, twice that with a hint that does not hold, and 20 ms more where it has to seek.

    Args:
        backdrop: of the camera.
        luma: (height, width) uint8 of the same field of view, any size; best is `LUMA_SIZE`.
        known: (180, 320) bool, where `luma` may be looked at; None for everywhere.
        hint: the shift last found, looked at first.
        seek: look for the view anywhere where it is neither unshifted nor as the hint says.
    """
    if luma.shape != backdrop.grey.shape:
        luma = np.asarray(cv2.resize(luma, LUMA_SIZE, interpolation=cv2.INTER_AREA), np.uint8)
    now = edges_of(luma, known)
    here = spectra(now)
    unmoved = _explain(STILL, backdrop._tiles, here)
    if hint != STILL:
        hinted = _explain(hint, backdrop._posed(hint), here)
        if hinted.shift is not None and hinted.agreeing > unmoved.agreeing:
            return hinted
    if unmoved.asked < LEAST_TILES or unmoved.shift is not None or not seek:
        return unmoved
    for pose in _poses(backdrop, now):
        turned = _explain(pose, Tiles.of(backdrop._seen(pose)), here)
        if turned.shift is not None:
            # Once more from there: tiles that lie right show their whole content to each other.
            better = _explain(turned.shift, backdrop._posed(turned.shift), here)
            return better if better.agreeing >= turned.agreeing else turned
    return unmoved


def _explain(pose: Shift, then: Tiles, now: list[Edges]) -> Match:
    """Find each tile near where a pose puts it, and what similarity explains most of them."""
    asked = int(then.usable.sum())
    if asked < LEAST_TILES:
        return Match(None, asked, 0, 0)
    rows, offsets = found(then, now)
    seen = MIDDLES[rows]
    shift, agreeing = _similarity((seen - pose.step) / pose.turn, seen + offsets)
    sure = agreeing >= max(_LEAST_AGREEING, _LEAST_SHARE * asked, _LEAST_VOTES * len(rows))
    return Match(shift if sure else None, asked, len(rows), agreeing)


def _similarity(origin: Places, seen: Places) -> tuple[Shift, int]:
    """The similarity that explains most pairs, and how many. All pairs of tiles are tried: nothing is random.

    Args:
        origin: (n,) complex places in the background.
        seen: (n,) complex places now.
    """
    if len(origin) < 2:
        return STILL, len(origin)
    tolerance = _TOLERANCE_PX + min(_BENT * float(np.median(np.abs(seen - origin))), _MOST_BENT_PX)
    way = seen - origin
    inside = np.abs(way - np.median(way.real) - 1j * np.median(way.imag)) <= tolerance
    if not inside.all():
        inside = _most_agreeing(origin, seen, tolerance)
    for _ in range(2):
        shift = _least_squares(origin[inside], seen[inside])
        inside = np.abs(shift.turn * origin + shift.step - seen) <= tolerance
        if inside.sum() < 2:
            return STILL, int(inside.sum())
    return _least_squares(origin[inside], seen[inside]), int(inside.sum())


def _most_agreeing(origin: Places, seen: Places, tolerance: float) -> Mask:
    """Which places the best similarity through two of them, or shift by one of them, explains: (n,)."""
    i, j = np.triu_indices(len(origin), 1)
    apart = np.abs(origin[i] - origin[j]) >= _LEAST_APART_PX
    i, j = i[apart], j[apart]
    turn = (seen[i] - seen[j]) / (origin[i] - origin[j])
    possible = (np.abs(turn) > 0.6) & (np.abs(turn) < 1.7) & (turn.real > 0)
    turn, i = turn[possible], i[possible]
    turn, step = np.append(turn, np.ones(len(origin))), np.append(seen[i] - turn * origin[i], seen - origin)
    fits = np.abs(turn[:, None] * origin + step[:, None] - seen) <= tolerance
    best: Mask = fits[int(fits.sum(axis=1).argmax())]
    return best


def _least_squares(origin: Places, seen: Places) -> Shift:
    a, b = origin - origin.mean(), seen - seen.mean()
    power = float((np.abs(a) ** 2).sum())
    turn = complex((a.conj() * b).sum() / power) if power > _LEAST_APART_PX**2 else 1.0
    return Shift(turn, complex(seen.mean() - turn * origin.mean()))


def _halved(edges: Edges) -> Edges:
    size = (LUMA_SIZE[0] // _COARSE, LUMA_SIZE[1] // _COARSE)
    return np.asarray(cv2.resize(edges, size, interpolation=cv2.INTER_AREA), np.float32)


def _poses(backdrop: Backdrop, now: Edges) -> list[Shift]:
    """Roughly how the whole picture has shifted, turned and zoomed: the four likeliest."""
    here = spectrum(_halved(now))
    likely = []
    for pose, then in backdrop._poses:
        product = cv2.mulSpectrums(here, then, 0, conjB=True)
        # Half whitened: the large shapes of a picture make broad hills, on which the true peak drowns.
        size = np.sqrt(np.hypot(product[..., :1], product[..., 1:]) + 1e-9)
        surface = cv2.dft(np.asarray(product / size, np.float32), flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)[
            ..., 0
        ]
        _, peak, _, (x, y) = cv2.minMaxLoc(surface)
        height, width = surface.shape
        x, y = (x + width // 2) % width - width // 2, (y + height // 2) % height - height // 2
        sharpness = (peak - float(surface.mean())) / max(float(surface.std()), 1e-9)
        likely.append((sharpness, Shift(1.0, complex(x, y) * _COARSE).after(pose)))
    likely.sort(key=lambda one: -one[0])
    return [pose for _, pose in likely[:4]]
