"""From what is seen in the picture to people on the ground."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats
from edge.ground import GroundPlane
from edge.people import People
from models.detections import Tracks

SETTLED_S = 0.4
"""A younger track's velocity is a guess from one or two boxes: it is unknown."""

LOOSE = -1
"""Row of a point that no track stands behind."""


@dataclass(frozen=True, slots=True, eq=False)
class Grounded:
    """People, and the tracks behind them.

    Attributes:
        people: on the ground.
        rows: (n,) row of each in the look's tracks; `LOOSE` for points without one.
        shared: standard error that all points without a track have in common, as a fraction of them.
    """

    people: People
    rows: NDArray[np.intp]
    shared: float = 0.0

    def stderr(self, members: NDArray[np.intp]) -> float:
        """Standard error of the number of people in (k,) of the points, in persons."""
        own = math.sqrt(float(self.people.variance[members].sum()))
        return math.hypot(own, self.common_stderr(members))

    def common_stderr(self, members: NDArray[np.intp]) -> float:
        """Standard error in persons that the points without a track among (k,) of them have in common."""
        loose = members[self.rows[members] == LOOSE]
        return self.shared * float(self.people.weight[loose].sum())


def people_of(
    tracks: Tracks, keys: NDArray[np.int64], persons: NDArray[np.bool_], plane: GroundPlane
) -> Grounded:
    """People where the tracks' feet are, each one person with the variance s(1 - s) of its score s.

    Args:
        tracks: of one look.
        keys: (n,) distinct numbers of the tracks.
        persons: (n,) which of them are people; who seems to stand beyond the horizon is left out.
        plane: the ground.
    """
    feet = tracks.foot_points.astype(np.float64)
    ground = plane.to_ground(feet)
    rows = np.flatnonzero(persons & ~np.isnan(ground).any(axis=1))
    velocity = ground_velocity(plane, feet[rows], tracks.velocity[rows].astype(np.float64))
    velocity[tracks.age_s[rows] < SETTLED_S] = np.nan
    score = np.clip(tracks.scores[rows].astype(np.float64), 0.0, 1.0)
    return Grounded(People.of(ground[rows], 1.0, score * (1 - score), velocity, keys[rows]), rows)


def ground_velocity(plane: GroundPlane, points: Floats, velocity: Floats) -> Floats:
    """Velocity on the ground of points that move in the picture, by the homography's Jacobian there.

    With p' = (a p + t) / w and w = c p + d, the Jacobian is (a - p' c) / w.

    Args:
        plane: the ground.
        points: (n, 2) fractions.
        velocity: (n, 2) picture widths and heights per second.

    Returns:
        (n, 2) metres per second; NaN from the horizon up.
    """
    matrix = plane.matrix
    weight = np.where(plane.below_horizon(points), points @ matrix[2, :2] + matrix[2, 2], np.nan)
    at = plane.to_ground(points)
    turned = velocity @ matrix[:2, :2].T - at * (velocity @ matrix[2, :2])[:, None]
    moved: Floats = turned / weight[:, None]
    return moved
