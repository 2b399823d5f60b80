"""Crowd pressure: how violently a dense crowd is shaken from within."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from edge.field import Ground, Kernel, density_field
from edge.geometry import Floats, as_points
from edge.people import People

WARN_PER_S2 = 0.02
"""Helbing, Johansson, Al-Abideen (PRE 75, 046109, 2007): turbulence in the Mina film began at about this."""

PEAK_PER_S2 = 0.04
"""And the fatal accident was at about this, ten minutes later; the same paper."""

LEAST_PERSON_PX = 20.0
"""Below this height in pixels a person's velocity is mostly the tracker's noise."""

MEMORY_S = 10.0
"""Time constant over which pressure is averaged. A look alone is no measurement: twenty people's variance is
known to a third, and the highest of many such places lies well above all of them."""

TOO_FEW, TOO_FEW_NEAR = "too few people", "too few people near each other"
"""Reasons that say there is no pressure, rather than that it cannot be measured."""

_LEAST_PEOPLE = 6.0
_LEAST_KNOWN = 0.5
_CLOSE_S = 20.0


def velocity_noise(velocity: ArrayLike) -> tuple[float, float]:
    """What a tracker or optical flow makes of things that stand still.

    Args:
        velocity: (n, 2) metres per second, measured on static points; NaN where there is none.

    Returns:
        Variance in m2/s2, both components together, and its standard error. By the median absolute deviation,
        which some moving points among them do not lift. Infinite with fewer than five points.
    """
    v = as_points(velocity)
    v = v[~np.isnan(v).any(axis=1)]
    if len(v) < 5:
        return math.inf, math.inf
    # The factor of consistency for Gaussian noise; a deviation's own error is 1.17 sigma / sqrt(n) then.
    sigma = 1.4826 * np.median(np.abs(v - np.median(v, axis=0)), axis=0)
    variance = float((sigma**2).sum())
    return variance, float(2 * 1.17 * math.sqrt(float((sigma**4).sum()) / len(v)))


@dataclass(frozen=True, slots=True)
class Noise:
    """How noisy the velocities are.

    Attributes:
        variance_m2_per_s2: of both components together, as of `velocity_noise`, 0 or more.
        stderr_m2_per_s2: its standard error: common to all places, so no average lowers it.
    """

    variance_m2_per_s2: float = 0.0
    stderr_m2_per_s2: float = 0.0

    def __post_init__(self) -> None:
        if not (self.variance_m2_per_s2 >= 0 and self.stderr_m2_per_s2 >= 0):
            raise ValueError("noise must not be negative")


@dataclass(frozen=True, slots=True, eq=False)
class PressureState:
    """Averages at the ground's nodes.

    Attributes:
        mean: (ny, nx) pressure in 1/s2, not clipped; NaN where there was none.
        variance: (ny, nx) of `mean` by the people's scatter, in 1/s4.
        noise: (ny, nx) error in 1/s2 that the noise's own error makes.
        looked_s: camera time of the last look that measured.
    """

    mean: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    variance: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    noise: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    looked_s: float = -math.inf


@dataclass(frozen=True, slots=True)
class Pressure:
    """Pressure in a zone.

    Attributes:
        worst_per_s2: at the place where it is surest to be high (mean less one standard error); None where it
            cannot be measured.
        stderr_per_s2: standard error there.
        mean_per_s2: over all places where it can be measured, weighted by people.
        density_per_m2: persons per m2 at the worst place at this look.
        place: (x, y) metres.
        unavailable: why there is no number; None where there is one.
    """

    worst_per_s2: float | None = None
    stderr_per_s2: float | None = None
    mean_per_s2: float | None = None
    density_per_m2: float | None = None
    place: tuple[float, float] | None = None
    unavailable: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One look's pressure at the nodes, NaN where too few are near: see `PressureState`."""

    mean: Floats
    variance: Floats
    noise: Floats
    density: Floats


def step_pressure(
    state: PressureState,
    people: People,
    ground: Ground,
    pts_s: float,
    noise: Noise,
    person_px: ArrayLike | None = None,
) -> tuple[PressureState, Pressure]:
    """P = rho * Var(v), both local with Gaussian weights (Helbing et al., see `WARN_PER_S2`).

    The noise's variance is subtracted before averaging over time and clipping at 0, so that noise alone
    averages to none. Velocities of neighbouring points must be measured apart: flow blocks wider than a
    person average the shaking away.

    Args:
        state: from the look before; a new one after a change of the ground.
        people: in the zone.
        ground: the zone.
        pts_s: camera time, not below the last one's.
        noise: of the velocities.
        person_px: (n,) height of a person in pixels at each point; None where all are large enough.
    """
    large = np.ones(len(people), np.bool_)
    if person_px is not None:
        large = np.broadcast_to(np.asarray(person_px, np.float64), (len(people),)) >= LEAST_PERSON_PX
    reason = _missing(people, large, noise)
    if reason is not None:
        return state, Pressure(unavailable=reason)
    look = _look(people, large & people.moving, ground, noise)
    state = _average(state, look, pts_s)
    return state, _worst(state, look.density, ground)


def _missing(people: People, large: np.ndarray, noise: Noise) -> str | None:
    if people.count < _LEAST_PEOPLE:
        return TOO_FEW
    if people.weight[large].sum() < _LEAST_KNOWN * people.count:
        return f"people are under {LEAST_PERSON_PX:g} pixels high"
    if people.weight[large & people.moving].sum() < _LEAST_KNOWN * people.count:
        return "velocities of most people are unknown"
    if not math.isfinite(noise.variance_m2_per_s2):
        return "the velocities' noise is unknown"
    return None


def _look(people: People, known: np.ndarray, ground: Ground, noise: Noise) -> _Look:
    kernel = Kernel(ground, people.at)
    whole = math.pi * ground.radius_m**2 * ground.share
    density = kernel.sum(people.weight) / whole
    w = np.where(known, people.weight, 0.0)
    v = np.where(known[:, None], people.velocity, 0.0)
    if known.any():
        v = v - np.average(
            v[known], axis=0, weights=np.maximum(w[known], 1e-12)
        )  # keeps digits of the squares
    v = np.where(known[:, None], v, 0.0)
    # A person spread over many cells is still one person: cells lighter than one count as parts of it.
    total, squares = kernel.sum(w), kernel.sum_squared(w * np.maximum(w, 1.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        number = total**2 / squares
        drift = (kernel.sum(w * v[:, 0]) ** 2 + kernel.sum(w * v[:, 1]) ** 2) / total**2
        spread = kernel.sum(w * (v**2).sum(axis=1)) / total - drift
        spread *= number / (number - 1)
        enough = (number >= _LEAST_PEOPLE) & (total >= _LEAST_KNOWN * density * whole) & ground.inside
        # A sum of two equal Gaussian components' variances: Var(S) = S^2 / (n - 1).
        scatter = spread**2 / (number - 1) * density**2
        weighing = kernel.sum_squared(people.variance) / whole**2 * (spread - noise.variance_m2_per_s2) ** 2
    mean = np.where(enough, density * (spread - noise.variance_m2_per_s2), np.nan)
    variance = np.where(enough, scatter + weighing, np.nan)
    return _Look(mean, variance, np.where(enough, density * noise.stderr_m2_per_s2, np.nan), density)


def _average(state: PressureState, look: _Look, pts_s: float) -> PressureState:
    """Exponential average in real time; looks within a second see the same shaking."""
    gone_s = pts_s - state.looked_s
    if state.mean.shape != look.mean.shape or gone_s > _CLOSE_S:
        return PressureState(look.mean, look.variance, look.noise, pts_s)
    share = -math.expm1(-max(gone_s, 0.0) / MEMORY_S)
    new, old = ~np.isnan(look.mean), ~np.isnan(state.mean)
    both = new & old
    kept, come = 1 - share, share
    # So many looks a second tell no more than one of them.
    merged = kept**2 * state.variance + come**2 * look.variance * max(1.0, 1 / max(gone_s, 1e-3))
    return PressureState(
        np.where(both, kept * state.mean + come * look.mean, np.where(new, look.mean, np.nan)),
        np.where(both, merged, np.where(new, look.variance, np.nan)),
        np.where(new, look.noise, np.nan),
        pts_s,
    )


def where_dense(state: PressureState, people: People, ground: Ground, least_per_m2: float) -> Pressure:
    """The pressure where it is a danger: people who walk about where there is room vary in velocity, too.

    Args:
        state: of a look at the same ground.
        people: of that look, in the zone.
        ground: the zone.
        least_per_m2: places that are less dense do not count.
    """
    density = density_field(people, ground).density_per_m2
    if state.mean.shape != density.shape:
        return Pressure(unavailable=TOO_FEW_NEAR)
    dense = np.nan_to_num(density) >= least_per_m2
    mean = np.where(dense, state.mean, np.nan)
    return _worst(PressureState(mean, state.variance, state.noise, state.looked_s), density, ground)


def _worst(state: PressureState, density: Floats, ground: Ground) -> Pressure:
    if np.isnan(state.mean).all():
        return Pressure(unavailable=TOO_FEW_NEAR)
    stderr = np.sqrt(state.variance + state.noise**2)
    row, column = np.unravel_index(int(np.nanargmax(state.mean - stderr)), stderr.shape)
    at = (int(row), int(column))
    measured = ~np.isnan(state.mean)
    mean = float(np.average(state.mean[measured], weights=np.maximum(density[measured], 1e-9)))
    return Pressure(
        worst_per_s2=max(float(state.mean[at]), 0.0),
        stderr_per_s2=float(stderr[at]),
        mean_per_s2=max(mean, 0.0),
        density_per_m2=float(density[at]),
        place=ground.place(*at),
    )
