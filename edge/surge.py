"""Surge: many people who suddenly run, or scatter."""

import math
from dataclasses import dataclass

import numpy as np

from edge.field import FREE_SPEED_M_S, local_density, weidmann_speed_m_s
from edge.geometry import Floats
from edge.people import People

_IMPOSSIBLE_M_S = 8.0
"""Nobody in a street is faster for long: such a velocity is a tracker's slip."""
_LEAST_KNOWN = 0.5
_LEAST_LOOKS = 2


@dataclass(frozen=True, slots=True)
class SurgeLimits:
    """From when on it is a surge.

    Nobody walks as fast in a crowd as alone: at three to the square metre, at 0.33 instead of 1.34 m/s
    (Weidmann 1993). Who flees from such a crowd never gets faster than many a walker does alone, but far
    faster than anybody walks there. So who runs is told by the speed above that of walkers at the density
    where each is.

    Attributes:
        running_m_s: who is faster runs. Free walking is 1.34 m/s with a deviation of 0.26 (Weidmann 1993),
            and people begin to run at about 2.0 to 2.2 m/s. Where it is dense, it is as much less as walkers
            are slower there, but never below their free speed.
        hurrying_m_s: who is faster hurries, at any density; only counts towards scattering.
        least_people: persons who must run (or hurry apart), so that a few runners are none.
        least_share: and their share among those in the zone.
        rise_share: by how much the share must exceed what it was before, so that a race passes.
        scatter_per_s: divergence of the motion above which a hurrying crowd scatters: people 10 m apart who
            part at 1 m/s in each direction make 0.2 per second.
        recent_s: looks so far back count as now.
        memory_s: looks so far back are what is compared with.
        settle_s: so much must have been seen before.
    """

    running_m_s: float = 2.1
    hurrying_m_s: float = 1.8
    least_people: float = 10.0
    least_share: float = 0.3
    rise_share: float = 0.2
    scatter_per_s: float = 0.1
    recent_s: float = 1.5
    memory_s: float = 30.0
    settle_s: float = 4.0

    def __post_init__(self) -> None:
        if not FREE_SPEED_M_S < self.hurrying_m_s <= self.running_m_s < _IMPOSSIBLE_M_S:
            raise ValueError("hurrying_m_s must be above 1.34 and not above running_m_s, that below 8 m/s")
        if not (0 < self.recent_s < self.memory_s and 0 <= self.settle_s <= self.memory_s):
            raise ValueError("recent_s must be within 0 and memory_s, settle_s not above it")
        if self.least_people < 2 or not 0 < self.least_share <= 1:
            raise ValueError("least_people must be 2 or more, least_share within 0 and 1")


@dataclass(frozen=True, slots=True)
class SurgeLook:
    """One look, summed up; times are camera times, speeds means over people.

    Attributes:
        pts_s: camera time.
        people: persons whose velocity is known.
        running, hurrying: expected persons above those speeds, for running less what their density slows
            walkers by.
        speed_m_s: mean speed.
        divergence_per_s, divergence_stderr_per_s: of the motion over the ground; NaN where it has none.
    """

    pts_s: float
    people: float
    running: float
    hurrying: float
    speed_m_s: float
    divergence_per_s: float
    divergence_stderr_per_s: float


@dataclass(frozen=True, slots=True)
class SurgeState:
    """The looks of the last tens of seconds, the oldest first."""

    looks: tuple[SurgeLook, ...] = ()


@dataclass(frozen=True, slots=True)
class Surge:
    """What runs in a zone.

    Attributes:
        danger: many suddenly run or scatter; None where it cannot be told.
        running_people: persons who run, expected.
        running_share: among those whose velocity is known, 0 to 1.
        running_share_stderr: its standard error.
        running_share_before: median over the time before; None with too little history.
        speed_m_s: mean speed now.
        acceleration_m_s2: rise of the mean speed against the time before, over the time between.
        divergence_per_s: positive where people part.
        divergence_stderr_per_s: its standard error.
        scattering: they hurry apart.
        unavailable: why `danger` cannot be told; None where it can.
    """

    danger: bool | None = None
    running_people: float = 0.0
    running_share: float | None = None
    running_share_stderr: float | None = None
    running_share_before: float | None = None
    speed_m_s: float | None = None
    acceleration_m_s2: float | None = None
    divergence_per_s: float | None = None
    divergence_stderr_per_s: float | None = None
    scattering: bool = False
    unavailable: str | None = None


def step_surge(
    state: SurgeState,
    people: People,
    pts_s: float,
    noise_m_s: float = 0.0,
    limits: SurgeLimits | None = None,
) -> tuple[SurgeState, Surge]:
    """Judge one look against the last tens of seconds.

    A train's passengers come many at once but walk; one runner is not many; a race runs before as now: none
    is a surge. Velocities must span 0.2 s or more, since a box wavers more than a step in less.

    Args:
        state: from the look before.
        people: in the zone.
        pts_s: camera time, not below the last one's.
        noise_m_s: standard error of one component of a velocity.
        limits: when it is a surge.
    """
    limits = limits or SurgeLimits()
    kept = tuple(k for k in state.looks if pts_s - k.pts_s <= limits.memory_s)
    v = people.velocity
    speed = np.hypot(v[:, 0], v[:, 1])
    known = people.moving & (np.nan_to_num(speed) <= _IMPOSSIBLE_M_S)
    if people.count > 0 and people.weight[known].sum() < _LEAST_KNOWN * people.count:
        return SurgeState(kept), Surge(unavailable="velocities of most people are unknown")
    walking_m_s = weidmann_speed_m_s(local_density(people)[known])
    look = _look(people.select(known), walking_m_s, pts_s, noise_m_s, limits)
    # Half a second is enough to tell a rise: so the memory does not grow with the picture rate.
    looks = (*_thinned(kept, limits), look)
    return SurgeState(looks), _judge(looks, pts_s, limits)


def _thinned(looks: tuple[SurgeLook, ...], limits: SurgeLimits) -> tuple[SurgeLook, ...]:
    """Of the older looks, one each half second."""
    newest = looks[-1].pts_s if looks else 0.0
    kept: list[SurgeLook] = []
    for look in looks:
        if newest - look.pts_s <= limits.recent_s or not kept or look.pts_s - kept[-1].pts_s >= 0.5:
            kept.append(look)
    return tuple(kept)


def _look(
    people: People, walking_m_s: Floats, pts_s: float, noise_m_s: float, limits: SurgeLimits
) -> SurgeLook:
    w, speed = people.weight, np.hypot(people.velocity[:, 0], people.velocity[:, 1])
    total = float(w.sum())
    if total <= 0:
        return SurgeLook(pts_s, 0.0, 0.0, 0.0, 0.0, math.nan, math.nan)
    # A speed's noise lifts it: sqrt(v^2 + sigma^2) on average.
    true = np.sqrt(np.maximum(speed**2 - noise_m_s**2, 0.0))
    divergence, stderr = _divergence(people)
    ahead = true - walking_m_s + FREE_SPEED_M_S
    running = float(w[(ahead > limits.running_m_s) & (true > FREE_SPEED_M_S)].sum())
    hurrying = float(w[true > limits.hurrying_m_s].sum())
    return SurgeLook(pts_s, total, running, hurrying, float((w * true).sum()) / total, divergence, stderr)


def _divergence(people: People) -> tuple[float, float]:
    """Trace of the best linear motion v = a + B x by weighted least squares, and its stderr, per second."""
    w = people.weight
    if len(people) < 5 or w.sum() < 5:
        return math.nan, math.nan
    x = people.at - np.average(people.at, axis=0, weights=w)
    v = people.velocity - np.average(people.velocity, axis=0, weights=w)
    spread = (x * w[:, None]).T @ x
    if np.linalg.det(spread) < 0.25 * float(w.sum()) ** 2:  # all on one line, or within half a metre
        return math.nan, math.nan
    inverse = np.linalg.inv(spread)
    matrix = inverse @ (x * w[:, None]).T @ v
    left = v - x @ matrix
    variance = float((w * (left**2).sum(axis=1)).sum()) / 2 / max(float(w.sum()) - 3, 1.0)
    return float(np.trace(matrix)), math.sqrt(variance * float(np.trace(inverse)))


def _judge(looks: tuple[SurgeLook, ...], pts_s: float, limits: SurgeLimits) -> Surge:
    recent = [k for k in looks if pts_s - k.pts_s <= limits.recent_s]
    before = [k for k in looks if pts_s - k.pts_s > limits.recent_s]
    people, running = _mid([k.people for k in recent]), _mid([k.running for k in recent])
    if people <= 0:
        share, stderr = 0.0, 0.0
    else:
        share = min(running / people, 1.0)
        stderr = math.sqrt(max(share * (1 - share), 0.25 / max(people, 1)) / max(people, 1))
    now = _mid([k.speed_m_s for k in recent])
    parting = [k for k in recent if not math.isnan(k.divergence_per_s)]
    divergence = _mid([k.divergence_per_s for k in parting]) if parting else None
    parting_stderr = _mid([k.divergence_stderr_per_s for k in parting]) if parting else None
    scattering = _scatters(recent, people, divergence, parting_stderr, limits)
    surge = Surge(
        running_people=running,
        running_share=share,
        running_share_stderr=stderr,
        speed_m_s=now,
        divergence_per_s=divergence,
        divergence_stderr_per_s=parting_stderr,
        scattering=scattering,
    )
    return _compared(surge, before, pts_s, limits)


def _scatters(
    recent: list[SurgeLook],
    people: float,
    divergence: float | None,
    stderr: float | None,
    limits: SurgeLimits,
) -> bool:
    hurrying = _mid([k.hurrying for k in recent])
    many = hurrying >= max(limits.least_people, limits.least_share * people)
    if divergence is None or stderr is None:
        return False
    return many and divergence >= limits.scatter_per_s and divergence >= 2 * stderr


def _compared(surge: Surge, before: list[SurgeLook], pts_s: float, limits: SurgeLimits) -> Surge:
    """The same with what was before."""
    values = {name: getattr(surge, name) for name in Surge.__slots__}
    if len(before) < _LEAST_LOOKS or pts_s - before[0].pts_s < limits.settle_s:
        return Surge(**{**values, "unavailable": "too little has been seen before"})
    # Looks without people tell of no running; where nobody was, a crowd that comes running is sudden.
    earlier = _quiet([k.running / k.people if k.people else 0.0 for k in before])
    hurried = _quiet([k.hurrying / k.people if k.people else 0.0 for k in before])
    seen = [k for k in before if k.people]
    share, speed = surge.running_share or 0.0, surge.speed_m_s or 0.0
    acceleration = None
    if seen:
        middle_s = _mid([k.pts_s for k in seen[-len(seen) // 2 :]])
        rise = speed - _mid([k.speed_m_s for k in seen[-len(seen) // 2 :]])
        acceleration = rise / max(pts_s - limits.recent_s / 2 - middle_s, 0.5)
    many = surge.running_people >= limits.least_people and share >= limits.least_share
    sudden = share - earlier >= limits.rise_share
    values.update(
        danger=(many and sudden) or (surge.scattering and hurried < limits.least_share),
        running_share_before=earlier,
        acceleration_m_s2=acceleration,
    )
    return Surge(**values)


def _mid(values: list[float]) -> float:
    return float(np.median(values)) if values else 0.0


def _quiet(values: list[float]) -> float:
    """A low quartile: what was usual before, even when a surge has lasted for half of the memory."""
    return float(np.quantile(values, 0.25))
