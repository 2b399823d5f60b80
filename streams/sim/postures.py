"""How bodies hold themselves that do not stand upright: falling and lying, sitting, crouching, bending.

A posture is a way from upright to its end through a few key poses, whose angles are interpolated. Angles are
in radians in the body's frame as in `gait`: of a limb forward of hanging down, and away from the body.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streams.sim import gait

Vector = NDArray[np.float64]
Posture = Literal[
    "fall_forward", "fall_back", "fall_left", "fall_right", "sit", "sit_ground", "crouch", "bend"
]
Limb = tuple[float, float, float, float]
"""The upper part's angle forward and away, then the lower part's."""

FALLS: tuple[Posture, ...] = ("fall_forward", "fall_back", "fall_left", "fall_right")
POSTURES: tuple[str, ...] = (
    "upright",
    *FALLS,
    "sit",
    "sit_ground",
    "crouch",
    "bend",
    *(fall.replace("fall", "rise") for fall in FALLS),
)
"""By their numbers in `Moment.posture`; who gets up after a fall rises, with progress from 1 back to 0."""
VARIANTS = 2
STEPS = 8
"""Drawn steps of the way from upright to a posture's end."""
POSTURE_POSES = (len(POSTURES) - 1) * VARIANTS * STEPS
FIRST_FALL, LAST_FALL = 1, len(FALLS)
FIRST_RISE = len(POSTURES) - len(FALLS)


@dataclass(frozen=True, slots=True)
class Key:
    """A pose on the way.

    Attributes:
        at: share of the way, 0 to 1.
        legs, arms: the left and the right one; arms as if the trunk did not lean.
        lean: the trunk's angle forward of the legs' upright, in radians.
        pitch, roll: the whole body's angles forward and to the left, in radians.
        toes: 0 feet at a right angle to the shins, 1 stretched: factor.
    """

    at: float
    legs: tuple[Limb, Limb]
    arms: tuple[Limb, Limb]
    lean: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    toes: float = 0.0


@dataclass(frozen=True, slots=True)
class Bent:
    """A body's joints before the trunk leans and the body turns over: see `Key` for the angles."""

    left: gait.Side
    right: gait.Side
    lean: float
    pitch: float
    roll: float


_HANG: Limb = (0.03, 0.08, 0.22, 0.0)
_STAND = Key(0.0, ((0.03, 0.0, -0.02, 0.0), (-0.03, 0.0, -0.06, 0.0)), (_HANG, _HANG), 0.03)
_THROWN: Limb = (1.0, 0.5, 1.7, 0.2)


def _fall(pitch: float, roll: float, legs: tuple[Limb, Limb], arms: tuple[Limb, Limb]) -> tuple[Key, ...]:
    buckled = ((0.65, 0.1, -0.45, 0.1), (0.3, 0.1, -0.65, 0.1))
    return (
        _STAND,
        Key(0.35, buckled, (_THROWN, _THROWN), 0.15 * (pitch >= 0), 0.28 * pitch, 0.28 * roll),
        Key(0.75, buckled, arms, 0.0, 0.75 * pitch, 0.75 * roll, 0.4),
        Key(1.0, legs, arms, 0.0, pitch, roll, 0.8),
    )


def _mirrored(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """The same to the other side."""
    return tuple(
        Key(key.at, key.legs[::-1], key.arms[::-1], key.lean, key.pitch, -key.roll, key.toes) for key in keys
    )


_FLAT = math.pi / 2
_PRONE = (
    _fall(
        _FLAT,
        0.0,
        ((-0.05, 0.12, -0.1, 0.12), (-0.02, 0.3, -0.45, 0.3)),
        ((2.95, 0.6, 3.15, -0.3), (-0.1, 0.6, 0.0, 0.3)),
    ),
    _fall(
        _FLAT,
        0.0,
        ((0.0, 0.2, 0.0, 0.15), (-0.02, 0.1, -0.08, 0.1)),
        ((2.9, 0.9, 3.15, -0.6), (2.95, 0.5, 3.15, -0.2)),
    ),
)
_SUPINE = (
    _fall(
        -_FLAT,
        0.0,
        ((0.55, 0.15, -0.6, 0.1), (0.03, 0.2, 0.0, 0.2)),
        ((0.1, 0.8, 0.1, 0.6), (0.3, 0.5, 1.0, -0.9)),
    ),
    _fall(
        -_FLAT,
        0.0,
        ((0.0, 0.25, 0.0, 0.2), (0.06, 0.1, -0.02, 0.1)),
        ((0.1, 1.2, 0.15, 1.4), (2.9, 0.6, 3.0, 0.4)),
    ),
)
_ON_SIDE = (
    _fall(
        0.0,
        _FLAT,
        ((0.55, 0.0, -0.35, 0.0), (0.9, 0.05, -0.2, 0.0)),
        ((1.3, 0.0, 2.0, 0.0), (0.9, -0.1, 1.5, -0.1)),
    ),
    _fall(
        0.0,
        _FLAT,
        ((0.15, 0.0, -0.1, 0.0), (0.4, 0.0, -0.4, 0.0)),
        ((2.6, 0.0, 3.0, 0.0), (0.3, -0.1, 0.7, -0.1)),
    ),
)
_SITTING = (
    (
        _STAND,
        Key(0.5, ((0.9, 0.05, -0.5, 0.0),) * 2, ((0.5, 0.1, 0.9, 0.0),) * 2, 0.65),
        Key(1.0, ((1.5, 0.12, -0.05, 0.0), (1.5, 0.12, 0.05, 0.0)), ((0.5, 0.1, 1.25, -0.15),) * 2, 0.1),
    ),
    (
        _STAND,
        Key(0.5, ((0.9, 0.05, -0.5, 0.0),) * 2, ((0.5, 0.1, 0.9, 0.0),) * 2, 0.65),
        Key(
            1.0,
            ((1.45, 0.2, 0.2, 0.1), (1.5, 0.1, -0.3, 0.0)),
            ((0.9, 0.1, 1.6, -0.2), (0.4, 0.1, 1.2, -0.1)),
            0.35,
        ),
    ),
)
_SQUAT = Key(0.5, ((1.6, 0.15, -0.8, 0.1), (1.5, 0.15, -0.9, 0.1)), ((0.9, 0.2, 1.2, 0.0),) * 2, 0.8)
_ON_GROUND = (
    (
        _STAND,
        _SQUAT,
        Key(1.0, ((2.25, 0.12, 0.75, 0.0), (2.15, 0.12, 0.85, 0.0)), ((1.0, 0.15, 1.6, -0.25),) * 2, 0.3),
    ),
    (
        _STAND,
        _SQUAT,
        Key(
            1.0,
            ((1.62, 0.2, 1.5, 0.15), (2.1, 0.12, 0.8, 0.0)),
            ((-0.4, 0.25, -0.3, 0.1), (0.9, 0.1, 1.5, -0.1)),
            -0.12,
        ),
    ),
)
_KNEELING = Key(
    1.0,
    ((1.7, 0.1, -0.1, 0.0), (0.12, 0.05, -1.5, 0.0)),
    ((1.35, 0.0, 1.5, -0.1), (1.5, 0.05, 1.6, -0.1)),
    1.0,
)
_CROUCHING = (
    (
        _STAND,
        Key(0.5, ((0.9, 0.1, -0.3, 0.0), (0.3, 0.05, -0.9, 0.0)), ((0.7, 0.1, 1.0, 0.0),) * 2, 0.8),
        _KNEELING,
    ),
    (
        _STAND,
        Key(1.0, ((1.85, 0.15, -0.65, 0.1), (1.75, 0.15, -0.7, 0.1)), ((1.3, 0.05, 1.5, -0.1),) * 2, 0.85),
    ),
)
_BENDING = (
    (
        _STAND,
        Key(
            1.0,
            ((0.1, 0.05, -0.1, 0.0), (0.05, 0.05, -0.12, 0.0)),
            ((1.5, 0.05, 1.55, 0.0), (1.2, 0.1, 1.3, 0.0)),
            1.5,
        ),
    ),
    (
        _STAND,
        Key(
            1.0,
            ((0.8, 0.1, -0.45, 0.0), (0.6, 0.1, -0.55, 0.0)),
            ((1.2, 0.05, 1.35, 0.0), (0.5, 0.1, 1.0, 0.0)),
            1.1,
        ),
    ),
)
_FALLING = (_PRONE, _SUPINE, _ON_SIDE, tuple(_mirrored(keys) for keys in _ON_SIDE))


def _rise(fall: tuple[Key, ...]) -> tuple[Key, ...]:
    """From lying over sitting and kneeling to upright, told backwards as progress goes from 1 to 0."""
    sitting, kneeling = replace(_ON_GROUND[0][-1], at=0.75), replace(_KNEELING, at=0.4, lean=0.7)
    return _STAND, kneeling, sitting, fall[-1]


_WAYS: tuple[tuple[tuple[Key, ...], ...], ...] = (
    *_FALLING,
    _SITTING,
    _ON_GROUND,
    _CROUCHING,
    _BENDING,
    *(tuple(_rise(keys) for keys in ways) for ways in _FALLING),
)


def posture_pose(kind: int, progress: float, number: int) -> int:
    """Which of `POSTURE_POSES` the person `number` shows; `progress` is 0 to 1, and not quite upright.

    Raises:
        ValueError: the kind is upright or none of `POSTURES`.
    """
    if not 1 <= kind < len(POSTURES):
        raise ValueError(f"kind must be 1 to {len(POSTURES) - 1}, got {kind}")
    step = min(max(math.ceil(progress * STEPS), 1), STEPS) - 1
    return ((kind - 1) * VARIANTS + number % VARIANTS) * STEPS + step


@lru_cache(maxsize=POSTURE_POSES)
def bent(pose: int) -> Bent:
    """The joints of one of `POSTURE_POSES`."""
    way, step = divmod(pose, STEPS)
    kind, variant = divmod(way, VARIANTS)
    key = _between(_WAYS[kind][variant], (step + 1) / STEPS)
    left, right = (
        _side(sign, leg, arm, key.toes)
        for sign, leg, arm in zip((1.0, -1.0), key.legs, key.arms, strict=True)
    )
    return Bent(left, right, key.lean, key.pitch, key.roll)


def _between(keys: tuple[Key, ...], at: float) -> Key:
    after = next(place for place, key in enumerate(keys) if key.at >= at - 1e-9)
    one, other = keys[max(after - 1, 0)], keys[after]
    share = (at - one.at) / (other.at - one.at) if other is not one else 1.0

    def mixed(a: float, b: float) -> float:
        return a + (b - a) * share

    def limbs(a: tuple[Limb, Limb], b: tuple[Limb, Limb]) -> tuple[Limb, Limb]:
        left, right = ([mixed(x, y) for x, y in zip(*pair, strict=True)] for pair in zip(a, b, strict=True))
        return (left[0], left[1], left[2], left[3]), (right[0], right[1], right[2], right[3])

    return Key(
        at,
        limbs(one.legs, other.legs),
        limbs(one.arms, other.arms),
        *(mixed(getattr(one, name), getattr(other, name)) for name in ("lean", "pitch", "roll", "toes")),
    )


def _towards(sign: float, forward: float, away: float) -> Vector:
    """Unit vector of a limb at these angles; `sign` is 1 for the left side."""
    flat = math.cos(away)
    return np.array([math.sin(forward) * flat, sign * math.sin(away), -math.cos(forward) * flat])


def _side(sign: float, leg: Limb, arm: Limb, toes: float) -> gait.Side:
    hip = np.array([0.0, sign * gait.HIP_HALF, gait.HIP])
    knee = hip + gait.THIGH * _towards(sign, *leg[:2])
    ankle = knee + gait.SHIN * _towards(sign, *leg[2:])
    toe = ankle + 0.118 * _towards(sign, leg[2] + math.pi / 2 - 0.22 - 0.9 * toes, 0.15)
    shoulder = np.array([0.015, sign * gait.SHOULDER_HALF, gait.SHOULDER])
    elbow = shoulder + gait.UPPER_ARM * _towards(sign, *arm[:2])
    hand = elbow + gait.FOREARM * _towards(sign, *arm[2:])
    return gait.Side(hip, knee, ankle, toe, shoulder, elbow, hand)
