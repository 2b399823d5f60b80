"""How a walking or standing body holds its limbs: joints in space, in units of body height.

Body frame: x forward, y to the left, z up; the ground is z = 0 under the body. Proportions follow the
usual anthropometric shares of stature (Drillis & Contini 1966, in Winter, Biomechanics and Motor Control
of Human Movement, 4th ed., figure 4.1); angles over the stride approximate Winter's normal gait curves.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

HIP, KNEE, ANKLE = 0.53, 0.285, 0.039
SHOULDER, NECK, HEAD = 0.818, 0.845, 0.932
THIGH, SHIN, UPPER_ARM, FOREARM = 0.245, 0.246, 0.186, 0.165
HIP_HALF, SHOULDER_HALF = 0.052, 0.108

STATURE_M = 1.7
STRIDE_M = 1.45
"""Ground covered by one whole cycle, two steps, of somebody `STATURE_M` tall."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side's joints, each (3,) in units of body height."""

    hip: Vector
    knee: Vector
    ankle: Vector
    toe: Vector
    shoulder: Vector
    elbow: Vector
    hand: Vector


@dataclass(frozen=True, slots=True)
class Pose:
    """A body's joints: the left and the right side, and how far the trunk leans forward in radians."""

    left: Side
    right: Side
    lean: float


def walking(phase: float) -> Pose:
    """Pose at a phase of the stride, radians; at 0 the left thigh passes under the body, swinging forward."""
    return _grounded(
        _side(1, _leg_angles(phase), _arm_angles(phase)),
        _side(-1, _leg_angles(phase + math.pi), _arm_angles(phase + math.pi)),
        lean=0.05,
    )


def standing(kind: int) -> Pose:
    """One of four ways to stand: arms down, weight shifted, a hand raised to the chest, hands in front."""
    legs = ((0.02, 0.03), (-0.02, 0.03)) if kind % 2 == 0 else ((0.1, 0.22), (-0.03, 0.02))
    relaxed, raised, folded = (0.03, 0.18, 0.06), (0.35, 1.9, 0.05), (0.15, 1.25, -0.12)
    arms = ((relaxed, relaxed), (relaxed, (0.0, 0.3, 0.12)), (raised, relaxed), (folded, folded))[kind % 4]
    return _grounded(_side(1, legs[0], arms[0]), _side(-1, legs[1], arms[1]), lean=0.02)


STANDING_KINDS = 4


def _leg_angles(phase: float) -> tuple[float, float]:
    """Thigh's angle forward of the vertical, and the knee's bend, in radians."""
    thigh = 0.09 + 0.38 * math.sin(phase)
    swing = max(0.0, math.cos(phase + 0.35)) ** 1.6
    return thigh, 0.12 + 0.85 * swing + 0.10 * max(0.0, -math.sin(phase))


def _arm_angles(phase: float) -> tuple[float, float, float]:
    """Upper arm's angle forward, the elbow's bend, and the arm's angle away from the body, in radians."""
    swing = -math.sin(phase)
    return 0.42 * swing - 0.05, 0.28 + 0.22 * max(0.0, swing), 0.08


def _side(sign: int, leg: tuple[float, float], arm: tuple[float, float, float]) -> Side:
    hip = np.array([0.0, sign * HIP_HALF, HIP])
    thigh, bend = leg
    knee = hip + THIGH * np.array([math.sin(thigh), 0.0, -math.cos(thigh)])
    shin = thigh - bend
    ankle = knee + SHIN * np.array([math.sin(shin), sign * 0.01, -math.cos(shin)])
    pitch = max(-0.9, min(0.35, 0.8 * shin))
    toe = ankle + np.array([0.115 * math.cos(pitch), sign * 0.02, 0.115 * math.sin(pitch) - 0.028])
    forward, elbow_bend, away = arm
    shoulder = np.array([0.015, sign * SHOULDER_HALF, SHOULDER])
    elbow = shoulder + UPPER_ARM * np.array([math.sin(forward), sign * math.sin(away), -math.cos(forward)])
    fore = forward + elbow_bend
    hand = elbow + FOREARM * np.array(
        [math.sin(fore), -sign * 0.3 * math.sin(elbow_bend / 2), -math.cos(fore)]
    )
    return Side(hip, knee, ankle, toe, shoulder, elbow, hand)


def _grounded(left: Side, right: Side, lean: float) -> Pose:
    """Lower or lift the body so that the lower foot is on the ground."""
    drop = min(left.ankle[2], right.ankle[2]) - ANKLE
    shift = np.array([0.0, 0.0, -drop])

    def moved(side: Side) -> Side:
        return Side(*(getattr(side, name) + shift for name in Side.__slots__))

    return Pose(moved(left), moved(right), lean)
