"""Cars, vans, buses and trucks: bodies lofted over cross-sections, on wheels, in metres.

Frame: x forward from the middle, y to the left, z up from the ground.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streams.sim.camera import Points
from streams.sim.solid import Colour, Part, Solid, face

GLASS: Colour = (72.0, 62.0, 46.0)
RUBBER: Colour = (38.0, 36.0, 36.0)
_UNDER: Colour = (30.0, 30.0, 30.0)
_RIM: Colour = (168.0, 168.0, 166.0)
_CHROME: Colour = (196.0, 194.0, 190.0)
_HEADLAMP: Colour = (226.0, 228.0, 226.0)
_TAIL: Colour = (34.0, 30.0, 168.0)
_AMBER: Colour = (40.0, 130.0, 230.0)
_PLATE: Colour = (205.0, 210.0, 212.0)
_ON_BODY_M = 4.0
"""What is fixed on the body is drawn as if so much nearer: after it, as it is always outermost."""

PAINTS: tuple[Colour, ...] = (
    (226.0, 226.0, 224.0),
    (178.0, 176.0, 174.0),
    (62.0, 60.0, 58.0),
    (112.0, 108.0, 104.0),
    (150.0, 82.0, 40.0),
    (44.0, 40.0, 156.0),
    (74.0, 96.0, 58.0),
    (120.0, 160.0, 190.0),
)


@dataclass(frozen=True, slots=True)
class _Section:
    """A cross-section: half-widths and heights at one x.

    Attributes:
        x, belt_z, top_z: metres; the belt is where the windows begin.
        half, top_half: half the width at the belt and at the roof's or bonnet's edge.
        sill_z: underside.
        side, top: what is from here to the next section: `p` painted, `g` glass, `d` dark.
    """

    x: float
    belt_z: float
    top_z: float
    half: float
    top_half: float
    sill_z: float = 0.2
    side: str = "p"
    top: str = "p"


def _ring(section: _Section) -> Points:
    """(13, 3) from the right sill over the roof to the left sill; 5 to 7 are the top."""
    s, rise = section, section.top_z - section.belt_z
    low, high = s.belt_z + 0.1 * rise, s.belt_z + 0.9 * rise
    half = [
        (0.94 * s.half, s.sill_z),
        (s.half, s.sill_z + 0.45 * (s.belt_z - s.sill_z)),
        (0.975 * s.half, s.belt_z),
        (s.half + (s.top_half - s.half) * 0.12 - 0.02 * s.half, low),
        (s.half + (s.top_half - s.half) * 0.88 - 0.02 * s.half, high),
        (0.66 * s.top_half, s.belt_z + 0.98 * rise),
    ]
    ring = [(s.x, -y, z) for y, z in half] + [(s.x, 0.0, s.top_z)] + [(s.x, y, z) for y, z in reversed(half)]
    return np.array(ring)


def _loft(sections: list[_Section], paint: Colour, lower: Colour | None = None) -> Iterator[Part]:
    """The skin over sections from the rear to the front."""
    rings = [_ring(section) for section in sections]
    colours = {"p": paint, "g": GLASS, "d": _UNDER}
    for (back, front), section in zip(pairwise(rings), sections[:-1], strict=True):
        for k in range(12):
            if k in (3, 8):
                tone = section.side
            elif k in (4, 5, 6, 7):
                tone = section.top
            else:
                tone = "p"
            colour = lower if lower and k in (0, 11) else colours[tone]
            corners = np.array((back[k], front[k], front[k + 1], back[k + 1]))
            yield face(corners, colour, 0.45 if tone == "g" else 0.28)
    for ring, turn in ((rings[-1], 1), (rings[0], -1)):
        for k in range(6):
            corners = ring[[k, 12 - k, 11 - k, k + 1] if k < 5 else [5, 7, 6]]
            yield face(corners[::turn], paint, 0.2)


def _disc(
    middle: tuple[float, float, float], radius: float, colour: Colour, lift_m: float, count: int = 16
) -> Part:
    """A disc upright along the vehicle, seen from the side it is on."""
    x, y, z = middle
    angle = np.arange(count) * (2 * np.pi / count) * (-1.0 if y > 0 else 1.0)
    ring = np.column_stack((x + radius * np.cos(angle), np.full(count, y), z + radius * np.sin(angle)))
    return face(ring, colour, 0.0, lift_m)


def wheel(x: float, half: float, radius: float, width: float = 0.2) -> Iterator[Part]:
    """Both wheels of an axle at `x`, their outsides `half` from the middle, `radius` and `width`: metres."""
    angle = np.arange(13) * (2 * np.pi / 12)
    tread = np.column_stack((x + radius * np.cos(angle), radius + radius * np.sin(angle)))
    for side in (1.0, -1.0):
        outer, inner = side * half, side * (half - width)
        for (x0, z0), (x1, z1) in pairwise(tread):
            corners = [(x0, outer, z0), (x0, inner, z0), (x1, inner, z1), (x1, outer, z1)]
            yield face(corners if side > 0 else corners[::-1], RUBBER)
        lift = _ON_BODY_M + 1.0
        arch = np.linspace(0.12, np.pi - 0.12, 12)
        ring = [(x + 1.16 * radius * math.cos(a), outer, radius + 1.16 * radius * math.sin(a)) for a in arch]
        yield face(ring[::-1] if side > 0 else ring, _UNDER, 0.0, lift)
        yield _disc((x, outer * 1.005, radius), radius, RUBBER, lift + 0.05)
        yield _disc((x, outer * 1.01, radius), 0.64 * radius, _RIM, lift + 0.1)
        for k in range(5):
            a = 2 * math.pi * (k + 0.5) / 5
            gap_x, gap_z = x + 0.38 * radius * math.cos(a), radius + 0.38 * radius * math.sin(a)
            yield _disc((gap_x, outer * 1.012, gap_z), 0.14 * radius, (92.0, 90.0, 88.0), lift + 0.15, 6)
        yield _disc((x, outer * 1.012, radius), 0.12 * radius, _CHROME, lift + 0.15, 8)


def plate(
    x: float, y: tuple[float, float], z: tuple[float, float], colour: Colour, gloss: float = 0.1
) -> Part:
    """A rectangle across, metres, fixed on the front (`x` positive) or the rear; `gloss` 0 to 1."""
    (y0, y1), (z0, z1) = y, z
    corners = [(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)]
    return face(corners if x > 0 else corners[::-1], colour, gloss, _ON_BODY_M)


def flank(
    y: float, x: tuple[float, float], z: tuple[float, float], colour: Colour, gloss: float = 0.1
) -> Iterator[Part]:
    """Rectangles along, fixed on both sides at `y` metres from the middle."""
    (x0, x1), (z0, z1) = x, z
    for side in (1.0, -1.0):
        corners = [(x0, side * y, z0), (x1, side * y, z0), (x1, side * y, z1), (x0, side * y, z1)]
        yield face(corners[::-1] if side > 0 else corners, colour, gloss, _ON_BODY_M)


def _both(x: float, y: tuple[float, float], z: tuple[float, float], colour: Colour) -> Iterator[Part]:
    yield plate(x, y, z, colour, 0.3)
    yield plate(x, (-y[1], -y[0]), z, colour, 0.3)


def _floor(length: float, half: float, z: float) -> Iterator[Part]:
    """What is dark below the body."""
    for side in (1.0, -1.0):
        corners = [(-length / 2, side * half, 0.14), (length / 2, side * half, 0.14),
                   (length / 2, side * half, z), (-length / 2, side * half, z)]  # fmt: skip
        yield face(corners[::-1] if side > 0 else corners, _UNDER)
    for x in (length / 2, -length / 2):
        corners = [(x, -half, 0.14), (x, half, 0.14), (x, half, z), (x, -half, z)]
        yield face(corners if x > 0 else corners[::-1], _UNDER)


def _mirrors(x: float, half: float, z: float, colour: Colour, size: float = 1.0) -> Iterator[Part]:
    for side in (1.0, -1.0):
        y0, y1, z1 = side * half, side * (half + 0.2 * size), z + 0.16 * size
        low, high = min(y0, y1), max(y0, y1)
        yield face([(x, low, z), (x, high, z), (x, high, z1), (x, low, z1)], colour, 0.1, 0.1)
        yield face([(x, low, z), (x, low, z1), (x, high, z1), (x, high, z)], _UNDER, 0.3, 0.1)


def _handles(half: float, places: tuple[float, ...], z: float) -> Iterator[Part]:
    for x in places:
        yield from flank(half, (x, x + 0.16), (z, z + 0.035), _CHROME)


def car(paint: Colour) -> Solid:
    """A hatchback of 4.2 m."""
    s = _Section
    sections = [
        s(-2.08, 0.80, 0.86, 0.70, 0.6, 0.26),
        s(-2.0, 0.94, 1.06, 0.82, 0.68, 0.2, top="g"),
        s(-1.62, 0.97, 1.40, 0.88, 0.64, 0.2, side="g"),
        s(-1.2, 0.96, 1.47, 0.89, 0.65, side="g"),
        s(-0.42, 0.95, 1.51, 0.90, 0.66, side="d"),
        s(-0.34, 0.95, 1.51, 0.90, 0.66, side="g"),
        s(0.38, 0.94, 1.48, 0.90, 0.65, top="g", side="g"),
        s(0.56, 0.94, 1.40, 0.90, 0.66, top="g"),
        s(1.2, 0.93, 1.04, 0.89, 0.76),
        s(1.8, 0.84, 0.93, 0.86, 0.74),
        s(2.04, 0.72, 0.80, 0.78, 0.68, 0.2),
        s(2.13, 0.60, 0.66, 0.68, 0.6, 0.24),
    ]
    parts = [
        *_floor(3.4, 0.7, 0.3),
        *_loft(sections, paint),
        *wheel(-1.28, 0.9, 0.34),
        *wheel(1.28, 0.9, 0.34),
    ]
    parts += [
        *_both(2.12, (0.36, 0.76), (0.6, 0.76), _HEADLAMP),
        *_both(-2.09, (0.46, 0.78), (0.72, 0.98), _TAIL),
    ]
    parts += [
        *_both(2.13, (0.5, 0.66), (0.36, 0.44), _HEADLAMP),
        plate(2.14, (-0.36, 0.36), (0.6, 0.72), _UNDER),
    ]
    parts += [
        plate(2.15, (-0.34, 0.34), (0.655, 0.675), _CHROME),
        plate(2.14, (-0.48, 0.48), (0.34, 0.46), _UNDER),
    ]
    parts += [
        plate(2.16, (-0.25, 0.25), (0.47, 0.57), _PLATE),
        plate(-2.12, (-0.26, 0.26), (0.58, 0.69), _PLATE),
    ]
    parts += [
        plate(-2.11, (-0.66, 0.66), (0.28, 0.44), _UNDER),
        plate(-2.115, (-0.1, 0.1), (0.82, 0.86), _CHROME),
    ]
    parts += [*_mirrors(0.82, 0.88, 0.93, paint), *_handles(0.905, (-0.98, -0.06), 0.82)]
    parts += [
        *flank(0.9, (-1.9, 1.9), (0.24, 0.34), _UNDER),
        *flank(0.905, (-0.95, 0.95), (0.44, 0.47), _UNDER),
    ]
    parts += flank(0.86, (1.72, 1.98), (0.66, 0.78), _HEADLAMP)
    parts += flank(0.87, (-1.98, -1.8), (0.74, 0.96), _TAIL)
    for x in (-0.38, 0.74, -1.16):
        parts += flank(0.903, (x, x + 0.02), (0.36, 0.93), tuple(0.55 * c for c in paint))  # type: ignore[arg-type]
    return Solid.of(parts)


def van(paint: Colour) -> Solid:
    """A delivery van of 5.2 m."""
    s = _Section
    sections = [
        s(-2.62, 1.2, 2.14, 0.88, 0.8, 0.36),
        s(-2.56, 1.2, 2.22, 0.95, 0.83),
        s(-2.4, 1.2, 2.22, 0.97, 0.85, side="g"),
        s(-1.3, 1.2, 2.22, 0.97, 0.85, side="d"),
        s(-1.2, 1.2, 2.22, 0.97, 0.85, side="g"),
        s(0.3, 1.2, 2.22, 0.97, 0.85, side="p"),
        s(0.4, 1.16, 2.22, 0.97, 0.85, side="g"),
        s(1.16, 1.12, 2.12, 0.97, 0.82, side="g", top="g"),
        s(1.35, 1.1, 1.98, 0.97, 0.82, top="g"),
        s(1.95, 1.08, 1.30, 0.95, 0.84),
        s(2.42, 0.94, 1.08, 0.9, 0.8, 0.28),
        s(2.58, 0.72, 0.78, 0.78, 0.7, 0.32),
    ]
    parts = [
        *_floor(4.4, 0.75, 0.34),
        *_loft(sections, paint),
        *wheel(-1.6, 0.97, 0.35),
        *wheel(1.65, 0.97, 0.35),
    ]
    parts += [
        *_both(2.53, (0.48, 0.84), (0.72, 0.98), _HEADLAMP),
        *_both(-2.63, (0.74, 0.87), (0.9, 1.4), _TAIL),
    ]
    parts += [
        plate(2.59, (-0.46, 0.46), (0.52, 0.8), _UNDER),
        plate(2.595, (-0.4, 0.4), (0.66, 0.69), _CHROME),
        *flank(0.975, (-2.4, 1.9), (0.36, 0.46), _UNDER),
        plate(2.6, (-0.26, 0.26), (0.4, 0.5), _PLATE),
    ]
    parts += [
        *_both(-2.63, (0.06, 0.66), (1.36, 1.9), GLASS),
        plate(-2.635, (-0.26, 0.26), (0.62, 0.73), _PLATE),
    ]
    parts += [*_mirrors(1.42, 0.96, 1.1, _UNDER, 1.5), *_handles(0.98, (0.5,), 0.98)]
    seam: Colour = (0.6 * paint[0], 0.6 * paint[1], 0.6 * paint[2])
    for x in (-0.75, 0.44, 1.4):
        parts += flank(0.975, (x, x + 0.02), (0.4, 1.15), seam)
    return Solid.of(parts)


def bus(paint: Colour) -> Solid:
    """A city bus of 10.5 m."""
    s = _Section
    sections = [
        s(-5.25, 1.15, 2.8, 1.16, 1.08, 0.36),
        s(-5.15, 1.15, 2.95, 1.25, 1.16, 0.3),
        s(0.0, 1.15, 2.98, 1.26, 1.18, 0.3),
        s(5.05, 1.15, 2.95, 1.25, 1.16, 0.3),
        s(5.25, 1.1, 2.8, 1.18, 1.08, 0.32),
    ]
    pale: Colour = (222.0, 222.0, 220.0)
    parts = [
        *_floor(9.4, 1.0, 0.34),
        *_loft(_fine(sections, 1.2), paint),
        *wheel(-2.7, 1.26, 0.48),
        *wheel(2.75, 1.26, 0.48),
    ]
    starts = np.arange(-4.9, 4.2, 1.3)
    for x in starts.tolist():
        parts += flank(1.262, (x, x + 1.22), (1.3, 2.42), GLASS, 0.4)
    parts += flank(1.262, (-5.1, 5.0), (2.5, 2.62), pale)
    parts += flank(1.262, (-5.1, 5.0), (0.5, 0.62), pale)
    for x in (-0.45, 3.9):  # doors, on the right
        for leaf in (0.0, 0.55):
            corners = [
                (x + leaf, -1.27, 0.42),
                (x + leaf + 0.5, -1.27, 0.42),
                (x + leaf + 0.5, -1.27, 2.42),
                (x + leaf, -1.27, 2.42),
            ]
            parts.append(face(corners, GLASS, 0.4, _ON_BODY_M))
    parts += [
        plate(5.26, (-1.08, 1.08), (1.18, 2.36), GLASS, 0.4),
        plate(5.27, (-0.85, 0.85), (2.45, 2.72), _UNDER),
    ]
    parts += [
        plate(5.28, (-0.62, 0.5), (2.51, 2.66), _AMBER),
        *_both(5.27, (0.72, 1.06), (0.62, 0.82), _HEADLAMP),
    ]
    parts += [
        plate(5.275, (-0.26, 0.26), (0.46, 0.58), _PLATE),
        plate(-5.26, (-0.9, 0.9), (1.5, 2.35), GLASS, 0.4),
    ]
    parts += [
        *_both(-5.27, (0.92, 1.1), (0.9, 1.4), _TAIL),
        plate(-5.265, (-0.75, 0.75), (0.6, 1.25), _UNDER),
    ]
    parts += _mirrors(5.3, 1.2, 1.9, _UNDER, 1.8)
    return Solid.of(parts)


def truck(paint: Colour) -> Solid:
    """A box truck of 7.2 m."""
    s = _Section
    cab = [
        s(1.75, 1.3, 2.42, 1.08, 0.98, 0.5),
        s(1.85, 1.3, 2.5, 1.1, 1.0, 0.5),
        s(2.02, 1.3, 2.5, 1.1, 1.0, 0.5, side="g"),
        s(2.9, 1.28, 2.46, 1.1, 0.98, 0.42, side="g", top="g"),
        s(3.12, 1.26, 2.3, 1.1, 0.98, 0.42, top="g"),
        s(3.5, 1.2, 1.36, 1.06, 0.98, 0.4),
        s(3.58, 1.0, 1.1, 1.0, 0.92, 0.42),
    ]
    load: Colour = (224.0, 222.0, 218.0)
    box = [s(-3.1, 1.9, 2.75, 1.17, 1.17, 0.95), s(1.6, 1.9, 2.75, 1.17, 1.17, 0.95)]
    grey: Colour = (112.0, 110.0, 108.0)
    parts = [*_floor(6.0, 0.5, 0.95), *_loft(_fine(box, 1.2), load), *_loft(cab, paint)]
    parts += [*wheel(-1.9, 1.12, 0.46, 0.45), *wheel(2.55, 1.1, 0.46)]
    parts += [
        *_both(3.59, (0.6, 0.98), (0.6, 0.82), _HEADLAMP),
        plate(3.59, (-0.55, 0.55), (0.66, 1.04), _UNDER),
    ]
    parts += [plate(3.6, (-0.5, 0.5), (z, z + 0.03), _CHROME) for z in (0.74, 0.84, 0.94)]
    parts += [plate(3.61, (-1.0, 1.0), (0.4, 0.58), grey), plate(3.62, (-0.26, 0.26), (0.44, 0.54), _PLATE)]
    parts += [*_both(-3.12, (0.8, 1.14), (0.62, 0.8), _TAIL), plate(-3.12, (-1.15, 1.15), (0.46, 0.56), grey)]
    parts += [*_both(-3.13, (0.3, 0.34), (1.0, 2.62), grey), *_both(-3.13, (0.7, 0.74), (1.0, 2.62), grey)]
    parts += [
        plate(-3.13, (-0.02, 0.02), (0.97, 2.7), _UNDER),
        *_both(-3.12, (0.72, 1.1), (0.12, 0.46), _UNDER),
    ]
    parts += [plate(-3.125, (-0.26, 0.26), (0.64, 0.74), _PLATE), *_mirrors(3.2, 1.1, 1.5, _UNDER, 2.0)]
    parts += [*flank(1.0, (-0.9, 1.5), (0.5, 0.9), grey), *flank(1.06, (2.0, 2.05), (0.5, 2.3), _UNDER)]
    parts += [
        *flank(1.175, (-3.05, 1.55), (0.95, 1.06), grey),
        *flank(1.175, (-3.05, 1.55), (2.62, 2.7), grey),
    ]
    for x in np.arange(-2.5, 1.4, 0.65).tolist():
        parts += flank(1.173, (x, x + 0.03), (1.06, 2.62), (186.0, 184.0, 180.0))
    parts += flank(1.178, (-2.3, 0.6), (1.6, 2.15), paint)
    return Solid.of(parts)


def _fine(sections: list[_Section], step_m: float) -> list[_Section]:
    """More sections in between, as smaller faces sort better by their depth."""
    out = []
    for a, b in pairwise(sections):
        count = max(1, math.ceil((b.x - a.x) / step_m))
        for k in range(count):
            t = k / count
            x, belt_z, top_z, half, top_half, sill_z = (
                getattr(a, name) * (1 - t) + getattr(b, name) * t
                for name in ("x", "belt_z", "top_z", "half", "top_half", "sill_z")
            )
            out.append(_Section(x, belt_z, top_z, half, top_half, sill_z, a.side, a.top))
    return [*out, sections[-1]]
