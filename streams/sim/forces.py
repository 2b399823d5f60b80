"""The social force model: how people keep apart and make their way, as accelerations on arrays.

Sources: [HM95] Helbing & Molnar, Social force model for pedestrian dynamics, Phys. Rev. E 51 (1995) 4282;
[HFV00] Helbing, Farkas & Vicsek, Simulating dynamical features of escape panic, Nature 407 (2000) 487;
[JHS07] Johansson, Helbing & Shukla, Specification of a microscopic pedestrian model by evolutionary
adjustment to video tracking data, arXiv:0810.4587 (the elliptical repulsion of relative velocities);
[W93] Weidmann, Transporttechnik der Fussgaenger, ETH Zuerich (1993): how walking slows with density.
"""

import math

import numpy as np
from numpy.typing import NDArray

from streams.sim.geometry import Points, Segments, offsets
from streams.sim.near import ALL_BY_ALL_UP_TO, Rows, pairs

RELAXATION_S = 0.5  # [HM95] tau: time to reach the desired velocity
REPULSION_M_S2 = 7.0  # [HM95] V0 / sigma = 2.1 m2/s2 / 0.3 m
REPULSION_RANGE_M = 0.3  # [HM95] sigma
FORESIGHT_S = 0.7  # [JHS07] delta t; its published value is 0.5 s, a little more makes sparse crowds smoother
CONTACT_PER_S2 = 240.0  # [HFV00] k / m is 1500 / s2; softened, so that a step of 0.04 s is stable
FRICTION_PER_S = 3.0
"""Bodies in contact take on each other's velocity; [HFV00] only in sliding, but without it crushes quiver."""
WALL_M_S2 = 50.0  # [HM95] U0 / R = 10 m2/s2 / 0.2 m
WALL_RANGE_M = 0.2  # [HM95] R
MAX_SPEED_RATIO = 1.3  # [HM95] v_max / v0
KEEP_RIGHT_RAD = 0.2
"""People who meet head-on sidestep to the right; it turns every pair's forces alike, so they still cancel."""
REACH_M = 4.0
WALL_REACH_M = 2.0
"""Beyond these the repulsions are below 0.01 m/s2 and not computed."""
CROWD_REACH_M = 1.8
"""In a larger crowd, where people are slower and nearer ones matter more, farther ones are not computed."""
JAM_PER_M2 = 5.4  # [W93] density at which walking ends
STEEPNESS_PER_M2 = 1.913  # [W93]
SIGHT_M = 0.9
"""Range of the Gaussian by which a walker weighs the people ahead."""
UNSEEN = 1.25
"""Ratio of the true density to what the Gaussian finds, as nobody stands in the walker's own place or in
walls; measured in a corridor."""
ROUND_SIGHT_M, ROUND_M, ROUND_M_S2 = 2.6, 1.1, 7.0
"""From how far somebody who lies is seen, how clear of that one people keep, and how hard they turn aside."""
LEAST_GAP_M = 0.28
"""Two bodies' middles do not come nearer: a body is about so deep from chest to back, and gives no more."""


def pair_forces(
    position: Points, velocity: Points, radius: NDArray[np.float64], ease: NDArray[np.float64]
) -> Points:
    """Repulsion and body contact between people; the sum over all people is zero.

    Args:
        position: (n, 2) metres.
        velocity: (n, 2) metres per second.
        radius: (n,) body radius in metres.
        ease: (n,) 0 to 1, how far each is at ease with closeness: two at 1, standing in a crowd, only feel
            contact.

    Returns:
        (n, 2) float64 acceleration in metres per second squared.
    """
    total = np.zeros_like(position)
    first, second = pairs(position, REACH_M if len(position) <= ALL_BY_ALL_UP_TO else CROWD_REACH_M)
    if not len(first):
        return total
    offset = position[first] - position[second]
    distance = np.maximum(np.hypot(offset[:, 0], offset[:, 1]), 1e-6)
    drift = (velocity[second] - velocity[first]) * FORESIGHT_S
    ahead = offset - drift
    distance_ahead = np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-6)
    span = distance + distance_ahead
    minor = np.sqrt(np.maximum(span**2 - np.einsum("pk,pk->p", drift, drift), 1e-6)) / 2
    strength = REPULSION_M_S2 * np.exp(-minor / REPULSION_RANGE_M) * np.minimum(span / (2 * minor), 4.0)
    strength *= 1.0 - np.minimum(ease[first], ease[second])
    push = (offset / distance[:, None] + ahead / distance_ahead[:, None]) / 2 * strength[:, None]
    cos, sin = math.cos(KEEP_RIGHT_RAD), math.sin(KEEP_RIGHT_RAD)
    push = push @ np.array([[cos, sin], [-sin, cos]])
    overlap = np.maximum(radius[first] + radius[second] - distance, 0.0)
    push += offset * (CONTACT_PER_S2 * overlap / distance)[:, None]
    push += np.where(overlap > 0.0, FRICTION_PER_S, 0.0)[:, None] * (velocity[second] - velocity[first])
    for axis in (0, 1):
        total[:, axis] = np.bincount(first, push[:, axis], len(position))
        total[:, axis] -= np.bincount(second, push[:, axis], len(position))
    return total


def go_round(position: Points, to_goal: Points, obstacles: Points) -> Points:
    """What takes people round others who lie or sit in their way, on the nearer side.

    Args:
        position: (n, 2) metres.
        to_goal: (n, 2) metres that everybody still has to go.
        obstacles: (k, 2) metres of those in the way.

    Returns:
        (n, 2) float64 acceleration in metres per second squared, across everybody's way.
    """
    offset = obstacles[None] - position[:, None]
    distance = np.hypot(offset[..., 0], offset[..., 1])
    way = to_goal / np.maximum(np.hypot(to_goal[:, 0], to_goal[:, 1]), 1e-6)[:, None]
    left = np.stack((-way[:, 1], way[:, 0]), axis=1)
    aside = np.einsum("nkc,nc->nk", offset, left)
    concerned = (distance < ROUND_SIGHT_M) & (np.einsum("nkc,nc->nk", offset, way) > -0.2) & (distance > 1e-6)
    lack = np.where(concerned, np.clip(1.0 - np.abs(aside) / ROUND_M, 0.0, 1.0), 0.0)
    push = -np.where(aside < 0.0, -1.0, 1.0) * lack * ROUND_M_S2
    return np.asarray(push.sum(axis=1)[:, None] * left, np.float64)


def slowing(density_ahead: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) share of the free speed that is kept at (n,) persons per m2 ahead, 1 to 0: [W93]."""
    scarce = np.maximum(density_ahead, 0.2)
    return np.maximum(1.0 - np.exp(-STEEPNESS_PER_M2 * (1.0 / scarce - 1.0 / JAM_PER_M2)), 0.0)


def closeness(density_ahead: NDArray[np.float64], push: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) how far each bears others near, 0 to 0.9: the more, the denser it is ahead and the more they push.

    Queues of people who do not push keep apart; in a crush nobody has a say in it. The scale is chosen, not
    measured: it lets crowds get as dense as those that Helbing, Johansson & Al-Abideen (2007) filmed.
    """
    crowded = np.clip((density_ahead - 0.8) / 2.2, 0.0, 1.0)
    return np.asarray(0.9 * crowded * np.clip(push / 0.15, 0.0, 1.0), np.float64)


def density_ahead(position: Points, way: Points) -> NDArray[np.float64]:
    """How dense it is before everybody: the others in a Gaussian of `SIGHT_M`, who are ahead twice.

    Who is straight ahead counts twice, who is beside once, who is behind not at all, so that the first of a
    queue sees free ground and a uniform crowd sees its density.

    Args:
        position: (n, 2) metres.
        way: (n, 2) unit vectors of where each wants to go.

    Returns:
        (n,) persons per square metre, 0 for who is alone.
    """
    first, second = pairs(position, 2.2 * SIGHT_M)
    offset = position[second] - position[first]
    distance = np.maximum(np.hypot(offset[:, 0], offset[:, 1]), 1e-6)
    weight = np.exp(-((distance / SIGHT_M) ** 2)) / (math.pi * SIGHT_M**2)
    towards = offset / distance[:, None]
    seen = np.zeros(len(position))
    for rows, sign in ((first, 1.0), (second, -1.0)):
        share = 1.0 + sign * np.einsum("pk,pk->p", towards, way[rows])
        seen += np.bincount(rows, weight * share, len(position))
    return seen * UNSEEN


def give_way(position: Points, limit: NDArray[np.float64]) -> Points:
    """Move people apart who are nearer than `LEAST_GAP_M`, each by at most (n,) `limit` metres."""
    moved = position
    for _ in range(2):
        first, second = pairs(moved, LEAST_GAP_M)
        if not len(first):
            break
        moved = moved + _apart(moved, first, second)
    shift = moved - position
    length = np.hypot(shift[:, 0], shift[:, 1])
    return np.asarray(position + shift * np.minimum(1.0, limit / np.maximum(length, 1e-9))[:, None])


def _apart(position: Points, first: Rows, second: Rows) -> Points:
    offset = position[first] - position[second]
    distance = np.maximum(np.hypot(offset[:, 0], offset[:, 1]), 1e-6)
    push = offset * (0.4 * (LEAST_GAP_M - distance) / distance)[:, None]
    shift = np.zeros_like(position)
    for axis in (0, 1):
        shift[:, axis] = np.bincount(first, push[:, axis], len(position))
        shift[:, axis] -= np.bincount(second, push[:, axis], len(position))
    return shift


def wall_forces(away: NDArray[np.float64]) -> Points:
    """Repulsion from walls.

    Args:
        away: (n, m, 2) metres from the nearest point of each of m walls to each of n people; infinite for
            a wall that does not concern somebody.

    Returns:
        (n, 2) float64 acceleration in metres per second squared.
    """
    distance = np.maximum(np.hypot(away[..., 0], away[..., 1]), 1e-6)
    near = distance < WALL_REACH_M
    strength = np.where(near, WALL_M_S2 * np.exp(-distance / WALL_RANGE_M) / distance, 0.0)
    return np.asarray(np.einsum("nmk,nm->nk", np.where(near[..., None], away, 0.0), strength), np.float64)


def driving_forces(velocity: Points, desired: Points) -> Points:
    """What takes (n, 2) velocities to the (n, 2) desired ones: (n, 2) metres per second squared."""
    return (desired - velocity) / RELAXATION_S


def keep_out(position: Points, walls: Segments, distance_m: float, concerned: NDArray[np.bool_]) -> Points:
    """Move people away from walls that they came too near to.

    Args:
        position: (n, 2) metres.
        walls: (m, 2, 2) metres.
        distance_m: the least distance.
        concerned: (n, m) which wall concerns whom.

    Returns:
        (n, 2) float64 metres.
    """
    away = offsets(position, walls)
    short = concerned & (np.einsum("nmk,nmk->nm", away, away) < distance_m**2)
    for wall in np.flatnonzero(short.any(axis=0)):
        gap = offsets(position, walls[wall : wall + 1])[:, 0]
        distance = np.maximum(np.hypot(gap[:, 0], gap[:, 1]), 1e-9)
        lack = np.where(concerned[:, wall], np.maximum(distance_m - distance, 0.0), 0.0)
        position = position + gap * (lack / distance)[:, None]
    return position
