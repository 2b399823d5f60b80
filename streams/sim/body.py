"""Bodies: clothed shapes around a pose, as balls in space whose convex hulls are the parts."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streams.sim import gait
from streams.sim.postures import POSTURE_POSES, Bent, bent

Vector = NDArray[np.float64]
Ball = tuple[Vector, float]

MATERIALS = ("nothing", "skin", "hair", "top", "bottom", "shoes", "bag", "shirt")
SKIN, HAIR, TOP, BOTTOM, SHOES, BAG, SHIRT = range(1, 8)

PHASES = 16
"""Poses 0 to 15 are phases of a stride; the ways of standing follow, then postures."""
POSTURES_FROM = PHASES + gait.STANDING_KINDS
"""After the ways of standing come the postures of who is not upright."""
POSES = POSTURES_FROM + POSTURE_POSES

Build = Literal["trousers", "coat", "skirt", "backpack", "bag", "hood"]
BUILDS: tuple[Build, ...] = ("trousers", "coat", "skirt", "backpack", "bag", "hood")

FRONT, LEFT, UP = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
NEARER = 0.12
"""Clothes over a limb are sorted as if so much nearer, in body heights, on the side that is seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A body part: the convex hull around balls.

    Attributes:
        centres: (n, 3) body heights, frame as in `gait`.
        radii: (n,) body heights.
        material: index into `MATERIALS`.
        shade: 3 dark to 13 light, which leaves room to round it with darker and lighter.
        over: drawn over what is about as near.
        head: face, hair or what covers it.
    """

    centres: Vector
    radii: Vector
    material: int
    shade: int
    over: bool = False
    head: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """All parts of a body in one table; each part owns some balls in a row.

    Attributes:
        centres, radii: (balls, 3) and (balls,) body heights.
        starts, counts: (parts,) first ball and number of balls of each part.
        materials, shades, over, head: (parts,) as in `Part`.
    """

    centres: Vector
    radii: Vector
    starts: NDArray[np.intp]
    counts: NDArray[np.intp]
    materials: NDArray[np.intp]
    shades: NDArray[np.intp]
    over: NDArray[np.bool_]
    head: NDArray[np.bool_]

    @classmethod
    def of(cls, parts: list[Part]) -> "Body":
        """The parts in a table."""
        counts = np.array([len(part.radii) for part in parts], np.intp)
        return cls(
            np.concatenate([part.centres for part in parts]),
            np.concatenate([part.radii for part in parts]),
            np.cumsum(counts) - counts,
            counts,
            np.array([part.material for part in parts], np.intp),
            np.array([part.shade for part in parts], np.intp),
            np.array([part.over for part in parts], np.bool_),
            np.array([part.head for part in parts], np.bool_),
        )


@lru_cache(maxsize=len(BUILDS) * POSES)
def body(build: Build, pose: int) -> Body:
    """A body in one of `POSES` poses."""
    if not 0 <= pose < POSES:
        raise ValueError(f"pose must be 0 to {POSES - 1}, got {pose}")
    if pose >= POSTURES_FROM:
        return Body.of(_bent_parts(bent(pose - POSTURES_FROM), build))
    joints = gait.walking(2 * math.pi * pose / PHASES) if pose < PHASES else gait.standing(pose - PHASES)
    base = (joints.left.hip + joints.right.hip) / 2
    up = np.array([math.sin(joints.lean), 0.0, math.cos(joints.lean)])
    parts = [*_trunk(base, up, build), *_head(base, up, build), *_below(joints, base, build)]
    for side in (joints.left, joints.right):
        parts += _limbs(side, build)
    return Body.of(parts)


def _bent_parts(joints: Bent, build: Build) -> list[Part]:
    """The trunk leans on the hips, then all turns over; the hips stay above the ground point."""
    base = (joints.left.hip + joints.right.hip) / 2
    limbs = [_limbs(side, build) for side in (joints.left, joints.right)]
    upper = [
        *_trunk(base, UP, build),
        *_head(base, UP, build),
        *(part for side in limbs for part in side[3:]),
    ]
    lower = [*_below(joints, base, build), *(part for side in limbs for part in side[:3])]
    lean, over = _turn(joints.lean, 0.0), _turn(joints.pitch, joints.roll)
    turned = [
        replace(part, centres=(part.centres - base) @ matrix.T)
        for parts, matrix in ((upper, over @ lean), (lower, over))
        for part in parts
    ]
    low = min(float((part.centres[:, 2] - part.radii).min()) for part in turned)
    return [replace(part, centres=part.centres - (0.0, 0.0, low)) for part in turned]


def _turn(pitch: float, roll: float) -> Vector:
    """(3, 3) rotation forward, then to the left."""
    forward = np.array(
        [[math.cos(pitch), 0.0, math.sin(pitch)], [0.0, 1.0, 0.0], [-math.sin(pitch), 0.0, math.cos(pitch)]]
    )
    aside = np.array(
        [[1.0, 0.0, 0.0], [0.0, math.cos(roll), math.sin(roll)], [0.0, -math.sin(roll), math.cos(roll)]]
    )
    return np.asarray(aside @ forward, np.float64)


def _part(material: int, shade: int, *balls: Ball, over: bool = False) -> Part:
    centres = np.array([centre for centre, _ in balls])
    return Part(centres, np.array([radius for _, radius in balls]), material, shade, over)


def _limbs(side: gait.Side, build: Build) -> list[Part]:
    legs, thin = (SKIN, 0.85) if build == "skirt" else (BOTTOM, 1.0)
    heel = side.ankle + (side.ankle - side.toe) * (0.3, 0.3, 0.0) - (0.0, 0.0, 0.018)
    return [
        _part(legs, 9, (side.hip, 0.054), (side.knee, 0.038 * thin)),
        _part(legs, 8, (side.knee, 0.038 * thin), (side.ankle, 0.026 * thin)),
        _part(SHOES, 8, (heel, 0.02), (side.toe, 0.016), (side.ankle, 0.022)),
        _part(TOP, 8, (side.shoulder, 0.034), (side.elbow, 0.029)),
        _part(TOP, 8, (side.elbow, 0.029), (side.hand, 0.021)),
        _part(SKIN, 9, (side.hand, 0.02), (side.hand + (side.hand - side.elbow) * 0.22, 0.016)),
    ]


def _trunk(base: Vector, up: Vector, build: Build) -> list[Part]:
    chest, waist = base + up * 0.22, base + up * 0.09
    shoulders = base + up * (gait.SHOULDER - gait.HIP - 0.006)
    torso = [
        (middle + LEFT * sign * half + FRONT * ahead, radius)
        for middle, half, ahead, radius in (
            (shoulders, 0.075, 0.0, 0.038),
            (chest, 0.052, 0.012, 0.058),
            (waist, 0.042, 0.005, 0.053),
            (base, 0.046, 0.0, 0.05),
        )
        for sign in (1.0, -1.0)
    ]
    parts = [_part(TOP, 9, *torso)]
    if build != "hood":
        collar = shoulders + FRONT * 0.03 + up * 0.012
        parts.append(_part(SHIRT, 9, (chest + FRONT * 0.066 + up * 0.05, 0.012), (collar, 0.026)))
    if build == "backpack":
        back = chest - FRONT * 0.1
        parts.append(_part(BAG, 8, (back + up * 0.07, 0.06), (back - up * 0.09, 0.065)))
    if build == "bag":
        at = base - LEFT * 0.12 - up * 0.02
        handles = ((at + FRONT * 0.05, 0.035), (at - FRONT * 0.05, 0.035), (at - up * 0.07, 0.05))
        parts.append(_part(BAG, 8, *handles, over=True))
    return parts


def _below(joints: gait.Pose | Bent, base: Vector, build: Build) -> list[Part]:
    """Trousers' seat, a coat's tails, or a skirt."""
    hips = [(base + LEFT * sign * 0.05, 0.053) for sign in (1.0, -1.0)]
    if build not in ("coat", "skirt"):
        return [_part(BOTTOM, 8, *hips)]
    hem = [
        (joint * 0.85 + base * 0.15 + (0.0, 0.0, 0.04), 0.062)
        for joint in (joints.left.knee, joints.right.knee)
    ]
    return [_part(TOP if build == "coat" else BOTTOM, 8, *hips, *hem, over=True)]


def _head(base: Vector, up: Vector, build: Build) -> list[Part]:
    neck, head = base + up * (gait.NECK - gait.HIP), base + up * (gait.HEAD - gait.HIP)
    cover = TOP if build == "hood" else HAIR
    front, back = FRONT * 0.022, FRONT * 0.02
    parts = [
        _part(
            cover, 8, (head + up * 0.012 - FRONT * 0.014, 0.056), (head - up * 0.022 - FRONT * 0.022, 0.048)
        ),
        _part(SKIN, 10, (head + front, 0.046), (head - up * 0.032 + FRONT * 0.026, 0.034)),
        _part(cover, 9, (head + up * 0.038 + FRONT * 0.008, 0.045), (head + up * 0.042 - back, 0.044)),
    ]
    if build in ("skirt", "bag"):
        parts.append(_part(HAIR, 8, (head - FRONT * 0.03, 0.05), (neck - FRONT * 0.05 - up * 0.02, 0.04)))
    throat = _part(SKIN, 7, (neck - up * 0.01, 0.03), (head - up * 0.03 + FRONT * 0.01, 0.032))
    return [throat, *(replace(part, head=True) for part in parts)]
