"""Bicycles and motorcycles, of tubes and rings, in metres; with somebody on them where they are ridden.

Frame: x forward from the middle, y to the left, z up from the ground.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

from streams.sim.solid import Colour, Part, Solid, hull

_RUBBER: Colour = (40.0, 38.0, 38.0)
_STEEL: Colour = (150.0, 150.0, 148.0)
_BLACK: Colour = (34.0, 33.0, 33.0)
_ENGINE: Colour = (84.0, 84.0, 84.0)
_SKIN: Colour = (120.0, 150.0, 196.0)
_LAMP: Colour = (214.0, 216.0, 214.0)
_TAIL: Colour = (36.0, 30.0, 170.0)
Spot = tuple[float, float, float]


def _tube(radius: float, colour: Colour, *spots: Spot, gloss: float = 0.0) -> Iterator[Part]:
    for start, end in pairwise(spots):
        yield hull([(*start, radius), (*end, radius)], colour, gloss)


def _round(
    x: float, z: float, radius: float, thick: float, colour: Colour, count: int = 18
) -> Iterator[Part]:
    """A ring upright along the way."""
    spots = [
        (x + radius * math.cos(2 * math.pi * k / count), 0.0, z + radius * math.sin(2 * math.pi * k / count))
        for k in range(count + 1)
    ]
    yield from _tube(thick, colour, *spots)


def _wheel(x: float, radius: float, thick: float, spokes: int = 9) -> Iterator[Part]:
    yield from _round(x, radius, radius - thick, thick, _RUBBER)
    yield from _round(x, radius, radius - 2.6 * thick, 0.5 * thick, _STEEL, 12)
    for k in range(spokes):
        angle = 2 * math.pi * (k + 0.3) / spokes
        rim = (
            x + (radius - 2 * thick) * math.cos(angle),
            0.0,
            radius + (radius - 2 * thick) * math.sin(angle),
        )
        yield from _tube(0.003, (120.0, 120.0, 120.0), (x, 0.0, radius), rim)
    yield from _tube(0.025, _STEEL, (x, -0.04, radius), (x, 0.04, radius))


def bicycle(paint: Colour, *, ridden: bool = False) -> Solid:
    """A bicycle of 1.75 m."""
    back, front, low = (-0.52, 0.0, 0.34), (0.54, 0.0, 0.34), (-0.07, 0.0, 0.29)
    seat, head, neck = (-0.2, 0.0, 0.78), (0.36, 0.0, 0.82), (0.39, 0.0, 0.72)
    parts = [*_wheel(-0.52, 0.34, 0.022), *_wheel(0.54, 0.34, 0.022)]
    parts += [*_tube(0.022, paint, low, seat, head, gloss=0.2), *_tube(0.026, paint, low, neck, gloss=0.2)]
    for side in (0.05, -0.05):
        parts += _tube(0.012, paint, low, (back[0], side, back[2]), (seat[0], 0.3 * side, seat[2] - 0.06))
        parts += _tube(0.014, paint, neck, (front[0], side, front[2]))
    parts += [
        *_tube(0.018, _STEEL, seat, (-0.235, 0.0, 0.92)),
        *_tube(0.018, _BLACK, head, (0.34, 0.0, 0.98)),
    ]
    parts.append(
        hull([(-0.36, 0.06, 0.95, 0.04), (-0.36, -0.06, 0.95, 0.04), (-0.1, 0.0, 0.95, 0.022)], _BLACK)
    )
    parts += _tube(
        0.014,
        _STEEL,
        (0.2, 0.29, 1.02),
        (0.34, 0.16, 1.0),
        (0.36, 0.0, 0.98),
        (0.34, -0.16, 1.0),
        (0.2, -0.29, 1.02),
    )
    for side in (1.0, -1.0):
        parts += _tube(0.02, _BLACK, (0.22, 0.28 * side, 1.02), (0.12, 0.3 * side, 1.02))
    parts += [*_round(-0.07, 0.29, 0.09, 0.012, _STEEL, 10)]
    parts += _tube(
        0.012, _STEEL, (0.02, 0.1, 0.15), (-0.07, 0.06, 0.29), (-0.07, -0.06, 0.29), (-0.16, -0.1, 0.43)
    )
    for x, y, z in ((0.02, 0.14, 0.15), (-0.16, -0.14, 0.43)):
        parts.append(hull([(x - 0.05, y, z, 0.018), (x + 0.05, y, z, 0.018)], _BLACK))
    parts += _tube(0.01, _STEEL, (-0.2, 0.0, 0.7), (-0.72, 0.0, 0.7), back)  # carrier
    for side in (0.06, -0.06):
        parts += _tube(0.012, _STEEL, (-0.28, side, 0.71), (-0.74, side, 0.71))
    parts += [hull([(-0.76, 0.0, 0.66, 0.03)], _TAIL), hull([(0.46, 0.0, 0.86, 0.04)], _LAMP)]
    if ridden:
        parts += rider((-0.24, 1.0), (0.2, 0.28, 1.04), (0.02, 0.12, 0.2), (110.0, 84.0, 70.0))
    return Solid.of(parts)


def motorcycle(paint: Colour, *, ridden: bool = False) -> Solid:
    """A motorcycle of 2.1 m."""
    parts = [*_chassis(), *_bodywork(paint)]
    if ridden:
        parts += rider((-0.2, 0.9), (0.24, 0.36, 1.04), (0.0, 0.2, 0.34), (70.0, 64.0, 60.0), helmet=True)
    return Solid.of(parts)


def _chassis() -> list[Part]:
    """Wheels, fork and engine of a motorcycle."""
    parts = list[Part]()
    for x, thick in ((-0.68, 0.075), (0.72, 0.06)):
        parts += [*_round(x, 0.31, 0.31 - thick, thick, _RUBBER), *_round(x, 0.31, 0.16, 0.018, _STEEL, 12)]
        parts += _tube(0.06, _STEEL, (x, -0.05, 0.31), (x, 0.05, 0.31))
        for k in range(5):
            angle = 2 * math.pi * k / 5
            parts += _tube(
                0.014,
                _STEEL,
                (x, 0.0, 0.31),
                (x + 0.18 * math.cos(angle), 0.0, 0.31 + 0.18 * math.sin(angle)),
            )
    for side in (1.0, -1.0):
        parts += _tube(0.03, _STEEL, (0.72, 0.09 * side, 0.31), (0.46, 0.09 * side, 0.88))
        parts += _tube(0.03, _ENGINE, (-0.68, 0.1 * side, 0.31), (-0.12, 0.1 * side, 0.42))
        parts += _tube(0.02, _STEEL, (-0.6, 0.12 * side, 0.36), (-0.46, 0.12 * side, 0.68))
    parts.append(
        hull(
            [
                (0.22, 0.13, 0.3, 0.1),
                (0.22, -0.13, 0.3, 0.1),
                (-0.14, 0.13, 0.36, 0.12),
                (-0.14, -0.13, 0.36, 0.12),
            ],
            _ENGINE,
        )
    )
    parts.append(
        hull(
            [(0.16, 0.07, 0.55, 0.1), (0.16, -0.07, 0.55, 0.1), (0.02, 0.0, 0.5, 0.1)], (120.0, 120.0, 118.0)
        )
    )
    return parts


def _bodywork(paint: Colour) -> list[Part]:
    """Exhaust, tank, seat, lamps and handlebar of a motorcycle."""
    parts = list[Part]()
    parts += _tube(0.05, _STEEL, (0.3, -0.16, 0.26), (-0.2, -0.18, 0.26))
    parts += _tube(0.065, _STEEL, (-0.3, -0.19, 0.29), (-0.8, -0.2, 0.4))
    parts.append(
        hull([(0.32, 0.07, 0.82, 0.13), (0.32, -0.07, 0.82, 0.13), (-0.04, 0.0, 0.76, 0.11)], paint, 0.35)
    )
    parts.append(
        hull(
            [
                (-0.06, 0.06, 0.75, 0.08),
                (-0.06, -0.06, 0.75, 0.08),
                (-0.62, 0.05, 0.81, 0.075),
                (-0.62, -0.05, 0.81, 0.075),
            ],
            _BLACK,
        )
    )
    parts.append(
        hull([(-0.5, 0.04, 0.72, 0.07), (-0.5, -0.04, 0.72, 0.07), (-0.86, 0.0, 0.8, 0.05)], paint, 0.35)
    )
    parts += [hull([(0.52, 0.06, 0.86, 0.1), (0.52, -0.06, 0.86, 0.1), (0.42, 0.0, 0.95, 0.09)], paint, 0.35)]
    parts += [
        hull([(0.61, 0.0, 0.86, 0.085)], _LAMP, 0.0, 0.1),
        hull([(-0.9, 0.05, 0.78, 0.035), (-0.9, -0.05, 0.78, 0.035)], _TAIL),
    ]
    parts.append(
        hull([(0.5, 0.03, 0.62, 0.07), (0.95, 0.03, 0.58, 0.05), (0.72, 0.03, 0.66, 0.06)], paint, 0.3)
    )
    parts.append(hull([(-0.9, 0.04, 0.6, 0.05), (-0.98, 0.0, 0.42, 0.04), (-0.7, 0.0, 0.66, 0.05)], _BLACK))
    parts += _tube(
        0.018,
        _BLACK,
        (0.22, 0.38, 1.0),
        (0.36, 0.2, 1.04),
        (0.42, 0.0, 0.99),
        (0.36, -0.2, 1.04),
        (0.22, -0.38, 1.0),
    )
    for side in (1.0, -1.0):
        parts += [*_tube(0.012, _BLACK, (0.3, 0.28 * side, 1.02), (0.34, 0.36 * side, 1.2))]
        parts.append(hull([(0.34, 0.34 * side, 1.22, 0.04), (0.34, 0.42 * side, 1.22, 0.04)], _BLACK))
    return parts


def rider(
    seat: tuple[float, float], hand: Spot, foot: Spot, clothes: Colour, *, helmet: bool = False
) -> Iterator[Part]:
    """Somebody who sits at (x, z) `seat`; `hand` and `foot` of the left side."""
    x, z = seat
    neck = (x + 0.24, 0.0, z + 0.5)
    yield hull(
        [
            (x, 0.08, z, 0.11),
            (x, -0.08, z, 0.11),
            (x + 0.2, 0.15, z + 0.42, 0.09),
            (x + 0.2, -0.15, z + 0.42, 0.09),
        ],
        clothes,
    )
    dark: Colour = (0.6 * clothes[0], 0.55 * clothes[1], 0.5 * clothes[2])
    for side in (1.0, -1.0):
        knee = (x + 0.38, 0.14 * side, z - 0.22 - 0.1 * side)
        end = (foot[0], foot[1] * side, foot[2] + (0.0 if side > 0 or helmet else 0.26))
        yield hull([(x, 0.09 * side, z, 0.09), (*knee, 0.07)], dark)
        yield hull([(*knee, 0.065), (end[0], end[1], end[2] + 0.05, 0.05)], dark)
        yield hull([(end[0] - 0.05, end[1], end[2], 0.04), (end[0] + 0.14, end[1], end[2], 0.035)], _BLACK)
        shoulder = (x + 0.22, 0.18 * side, z + 0.42)
        elbow = ((shoulder[0] + hand[0]) / 2, 0.26 * side, (shoulder[2] + hand[2]) / 2 - 0.08)
        yield hull([(*shoulder, 0.06), (*elbow, 0.048)], clothes)
        yield hull([(*elbow, 0.045), (hand[0], hand[1] * side, hand[2], 0.04)], clothes)
    yield hull([(*neck, 0.055), (neck[0] + 0.04, 0.0, neck[2] + 0.1, 0.06)], _SKIN)
    if helmet:
        yield hull(
            [(neck[0] + 0.05, 0.0, neck[2] + 0.2, 0.14), (neck[0] + 0.09, 0.0, neck[2] + 0.16, 0.12)],
            _LAMP,
            0.3,
        )
        yield hull(
            [(neck[0] + 0.16, 0.05, neck[2] + 0.19, 0.05), (neck[0] + 0.16, -0.05, neck[2] + 0.19, 0.05)],
            _BLACK,
            0.4,
        )
        return
    yield hull([(neck[0] + 0.07, 0.0, neck[2] + 0.18, 0.1)], _SKIN)
    yield hull(
        [(neck[0] + 0.03, 0.0, neck[2] + 0.22, 0.105), (neck[0] + 0.0, 0.0, neck[2] + 0.16, 0.09)],
        (36.0, 34.0, 40.0),
    )
