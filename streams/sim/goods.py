"""What people carry and put down, and their dogs, in metres.

Frame: x forward from the middle, y to the left, z up from the ground.
"""

import math
from itertools import pairwise

from streams.sim.solid import Colour, Part, Solid, face, hull

_BLACK: Colour = (32.0, 31.0, 31.0)
_METAL: Colour = (150.0, 150.0, 150.0)


def bag(paint: Colour) -> Solid:
    """A travelling bag of 0.55 m with two handles."""
    x, y = 0.2, 0.09
    body = [
        (sx * x, sy * y, z, r) for sx in (1, -1) for sy in (1, -1) for z, r in ((0.08, 0.08), (0.26, 0.07))
    ]
    dark: Colour = (0.6 * paint[0], 0.6 * paint[1], 0.6 * paint[2])
    parts = [hull(body, paint)]
    for sx, sy in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        strap = [(sx * 0.12, sy * 0.165, 0.06, 0.015), (sx * 0.12, sy * 0.1, 0.33, 0.015)]
        parts.append(hull(strap, dark, 0.0, 0.15))
    parts.append(hull([(-0.22, 0.0, 0.335, 0.012), (0.22, 0.0, 0.335, 0.012)], _BLACK, 0.0, 0.1))
    for side in (0.07, -0.07):
        arc = [(0.12 * math.cos(a), side, 0.32 + 0.14 * math.sin(a)) for a in (0.0, 0.7, 1.57, 2.44, 3.14)]
        parts += [hull([(*one, 0.013), (*other, 0.013)], dark) for one, other in pairwise(arc)]
    return Solid.of(parts)


def suitcase(paint: Colour) -> Solid:
    """An upright suitcase of 0.68 m on wheels, its handle drawn out."""
    corners = [(sx * 0.09, sy * 0.19, z, 0.035) for sx in (1, -1) for sy in (1, -1) for z in (0.1, 0.64)]
    dark: Colour = (0.7 * paint[0], 0.7 * paint[1], 0.7 * paint[2])
    parts: list[Part] = [hull(corners, paint, 0.2)]
    for side in (0.19, 0.095, 0.0, -0.095, -0.19):
        for x in (0.127, -0.127):
            rib = [
                (x, side - 0.012, 0.12),
                (x, side + 0.012, 0.12),
                (x, side + 0.012, 0.62),
                (x, side - 0.012, 0.62),
            ]
            parts.append(face(rib if x > 0 else rib[::-1], dark, 0.0, 0.3))
    for sx in (1, -1):
        parts += [hull([(sx * 0.08, sy * 0.17, 0.035, 0.035)], _BLACK) for sy in (1, -1)]
    for side in (0.08, -0.08):
        parts.append(hull([(-0.08, side, 0.66, 0.01), (-0.08, side, 1.0, 0.01)], _METAL))
    parts.append(hull([(-0.08, 0.09, 1.0, 0.02), (-0.08, -0.09, 1.0, 0.02)], _BLACK))
    return Solid.of(parts)


def box(paint: Colour) -> Solid:
    """A cardboard box of 0.5 m with its tape."""
    x, y, z = 0.27, 0.2, 0.36
    top = [(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)]
    low = [(a, b, 0.0) for a, b, _ in top]
    parts = [face(top, paint)]
    parts += [face([low[k], low[(k + 1) % 4], top[(k + 1) % 4], top[k]], paint) for k in range(4)]
    tape: Colour = (130.0, 170.0, 190.0)
    parts.append(face([(-x, -0.03, z), (x, -0.03, z), (x, 0.03, z), (-x, 0.03, z)], tape, 0.3, 0.5))
    return Solid.of(parts)


def dog(paint: Colour, phase: float = 0.0) -> Solid:
    """A dog of 0.6 m at the shoulder, 1.1 m long; `phase` 0 to 1 of its stride."""
    dark: Colour = (0.6 * paint[0], 0.6 * paint[1], 0.6 * paint[2])
    parts = [
        hull([(0.26, 0.0, 0.47, 0.14), (0.02, 0.0, 0.48, 0.125), (0.28, 0.0, 0.4, 0.12)], paint),
        hull([(0.02, 0.0, 0.5, 0.115), (-0.3, 0.0, 0.52, 0.11)], paint),
        hull([(0.32, 0.0, 0.54, 0.1), (0.47, 0.0, 0.72, 0.075)], paint),
        hull([(0.48, 0.0, 0.76, 0.085), (0.55, 0.0, 0.75, 0.07)], paint),
        hull([(0.56, 0.0, 0.73, 0.055), (0.69, 0.0, 0.7, 0.036)], paint),
        hull([(0.72, 0.0, 0.715, 0.02)], _BLACK, 0.0, 0.05),
        hull([(-0.38, 0.0, 0.56, 0.035), (-0.52, 0.0, 0.68, 0.03), (-0.56, 0.0, 0.8, 0.022)], paint),
    ]
    for side in (0.07, -0.07):
        parts.append(hull([(0.45, side, 0.82, 0.03), (0.43, 1.4 * side, 0.72, 0.025)], dark))
        parts.append(hull([(0.6, 0.7 * side, 0.77, 0.012)], _BLACK, 0.0, 0.05))
    for x, side, offset in ((0.28, 0.085, 0.0), (0.28, -0.085, 0.5), (-0.3, 0.085, 0.5), (-0.3, -0.085, 0.0)):
        swing = 0.13 * math.sin(2 * math.pi * (phase + offset))
        lift = 0.05 * max(0.0, math.cos(2 * math.pi * (phase + offset)))
        bend = 0.03 if x > 0 else -0.06
        knee, paw = (x + 0.5 * swing + bend, side, 0.26 + lift), (x + swing, side, 0.035 + lift)
        thick = 0.07 if x > 0 else 0.09
        parts.append(hull([(x, side, 0.45, thick), (*knee, 0.045)], paint))
        parts.append(hull([(*knee, 0.042), (*paw, 0.03), (paw[0] + 0.05, side, paw[2] - 0.01, 0.025)], paint))
    return Solid.of(parts)
