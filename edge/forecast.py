"""Forecast: how many minutes until a crowd's measure reaches a threshold, and between which bounds."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edge.geometry import Floats

HORIZON_S = 600.0

BAND_SIGMAS = 1.2816
"""The band holds the truth in 80 of 100: one in ten below it and one above."""

CREST_MEMORY_S = 120.0
"""How fast a zone's `Crest` forgets."""

_NOISE_MEMORY_S = 1.0
"""Errors of looks nearer than this are the same error."""
_GATE = 3.0
_BASE = 0.5
"""Added to the share before the root is taken: the root of 0 would rise without bound."""
_MAX_GAP_S = 60.0
_STEP_S = 5.0


@dataclass(frozen=True, slots=True)
class TrendOptions:
    """How a crowd's measure may change, told of the root of its share of `scale` plus a half.

    Of the root, because a count's scatter is the same everywhere there, and because growth that speeds up
    (people tell people) as well as growth that is steady runs nearly straight.

    Attributes:
        scale: a value that matters, above 0, in units of the measure: the next threshold.
        slope_per_s: how steep the root may be at the beginning, in shares per second.
        bend_per_s2: typical change of its slope, in shares per second squared.
        bend_memory_s: how long a change of slope lasts.
        jitter_per_root_s: disorderly coming and going, a random walk, in shares per root of a second.
        settle_s: so much must have been seen before anything is said.
        settle_looks: and so many looks.
    """

    scale: float
    slope_per_s: float = 0.003
    bend_per_s2: float = 2.5e-6
    bend_memory_s: float = 150.0
    jitter_per_root_s: float = 0.0005
    settle_s: float = 60.0
    settle_looks: int = 10

    def __post_init__(self) -> None:
        numbers = (self.scale, self.slope_per_s, self.bend_per_s2, self.bend_memory_s)
        if not all(math.isfinite(x) and x > 0 for x in numbers):
            raise ValueError(f"scale, slope, bend and bend_memory_s must be positive, got {numbers}")
        if self.jitter_per_root_s < 0 or self.settle_s < 0 or self.settle_looks < 2:
            raise ValueError("jitter and settle_s must not be negative, settle_looks 2 at least")


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """Level, slope and bend of the root of a measure's share of the scale plus a half, with covariance.

    Attributes:
        mean: (3,) share, share per second, share per second squared.
        covariance: (3, 3).
        began_s, looked_s: camera times of the first and the newest look; NaN before the first.
        looks: how many.
        roughness: ratio of squared surprise to what was expected; 1 where the stated errors are honest.
    """

    mean: Floats = field(default_factory=lambda: np.zeros(3))
    covariance: Floats = field(default_factory=lambda: np.zeros((3, 3)))
    began_s: float = math.nan
    looked_s: float = math.nan
    looks: int = 0
    roughness: float = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One look's measure, and how fast it is known to change.

    Attributes:
        value: in the measure's unit, as `TrendOptions.scale` is.
        stderr: its standard error, in units of the measure.
        rate_per_s: its change as counted at the lines around, in its unit per second; None where not counted.
        rate_stderr_per_s: of the rate.
    """

    value: float
    stderr: float
    rate_per_s: float | None = None
    rate_stderr_per_s: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.value) or not self.stderr >= 0:
            raise ValueError(f"a reading needs a finite value and a standard error, got {self}")
        if self.rate_per_s is not None and not (
            math.isfinite(self.rate_per_s) and self.rate_stderr_per_s > 0
        ):
            raise ValueError("a rate must be finite and its standard error positive")


Reason = Literal["too little history", "not surely rising to it"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a measure reaches a threshold.

    Attributes:
        minutes: units of 60 seconds until it does, in the middle; 0 where reached; None where not said.
        earliest_minutes, latest_minutes: bounds of the 80 % band; None is beyond the horizon.
        probability: that it is reached within the horizon.
        unavailable: why nothing is said.
    """

    minutes: float | None = None
    earliest_minutes: float | None = None
    latest_minutes: float | None = None
    probability: float = 0.0
    unavailable: Reason | None = None


def step_trend(state: Trend, reading: Reading, pts_s: float, options: TrendOptions) -> Trend:
    """Take in one look: a Kalman filter for level, slope and a bend that fades, with true time steps.

    A level with a local linear trend (Harvey, Forecasting, Structural Time Series Models, 1989, 2.3.2) whose
    slope changes by a mean-reverting bend, so that growth that speeds up or levels off is followed. A look
    that surprises by more than three deviations counts the less, and errors that prove larger than stated are
    enlarged.

    Args:
        state: from the look before; after a gap of more than a minute it begins anew.
        reading: what was measured.
        pts_s: camera time; a look that is not later changes nothing.
        options: how the measure may change.
    """
    gap_s = pts_s - state.looked_s
    root, variance = _root(reading, options)
    if not state.looks or gap_s > _MAX_GAP_S:
        start = np.diag([variance, options.slope_per_s**2, options.bend_per_s2**2])
        return Trend(np.array([root, 0.0, 0.0]), start, pts_s, pts_s, 1)
    if gap_s <= 0:
        return state
    move, noise = _motion(gap_s, options)
    mean = move @ state.mean
    covariance = move @ state.covariance @ move.T + noise
    stated = variance * max(1.0, _NOISE_MEMORY_S / gap_s)
    surprise = (root - mean[0]) ** 2 / (covariance[0, 0] + stated * state.roughness)
    # Single looks far out must not enlarge it for long, a lasting excess must: bounded steps, slow average.
    share = 1 - math.exp(-gap_s / 30.0)
    roughness = state.roughness * (1 + share * (min(surprise, _GATE**2) - 1))
    error = stated * state.roughness * max(1.0, math.sqrt(surprise) / _GATE)
    mean, covariance = _update(mean, covariance, 0, root, error)
    if reading.rate_per_s is not None:
        # d sqrt(x) = dx / (2 sqrt(x)). The rate is a mean over a minute: so long its looks repeat each other.
        steep = 2 * options.scale * max(float(mean[0]), math.sqrt(_BASE))
        rate_error = (reading.rate_stderr_per_s / steep) ** 2 * max(1.0, 60.0 / gap_s)
        mean, covariance = _update(mean, covariance, 1, reading.rate_per_s / steep, rate_error)
    return Trend(mean, covariance, state.began_s, pts_s, state.looks + 1, min(max(roughness, 1.0), 25.0))


def _root(reading: Reading, options: TrendOptions) -> tuple[float, float]:
    """Root of a reading's share of the scale, and its variance."""
    root = _to_root(reading.value, options)
    return root, (reading.stderr / options.scale / (2 * root)) ** 2 + 0.002**2


def _to_root(value: float, options: TrendOptions) -> float:
    return math.sqrt(max(value, 0.0) / options.scale + _BASE)


def forecast(state: Trend, threshold: float, options: TrendOptions, horizon_s: float = HORIZON_S) -> Forecast:
    """Minutes until the trend reaches a threshold.

    Said only where it is reached within the horizon and the measure surely rises now, its slope above 0 by
    the band's 1.28 standard errors: a crowd that merely wavers is not forecast to rise. Waiting until the
    band's late edge is within the horizon would tell of those alone that noise makes look steep.

    Args:
        state: up to now.
        threshold: above 0, in the measure's unit.
        options: as for `step_trend`.
        horizon_s: no further ahead.
    """
    if state.looks < options.settle_looks or not state.looked_s - state.began_s >= options.settle_s:
        return Forecast(unavailable="too little history")
    goal = _to_root(threshold, options)
    if state.mean[0] >= goal:
        return Forecast(0.0, 0.0, 0.0, 1.0)
    ahead_s = np.arange(0.0, horizon_s + _STEP_S / 2, _STEP_S)
    middle, sigma = _ahead(state, ahead_s, options)
    reached = (middle - goal) / np.maximum(sigma, 1e-12)
    probability = 0.5 * math.erfc(-float(reached.max()) / math.sqrt(2))
    central, early, late = (
        _first(ahead_s, middle + k * sigma, goal) for k in (0.0, BAND_SIGMAS, -BAND_SIGMAS)
    )
    slope, slope_stderr = float(state.mean[1]), math.sqrt(float(state.covariance[1, 1]))
    if central is None or slope < BAND_SIGMAS * slope_stderr:
        return Forecast(None, early, late, probability, "not surely rising to it")
    return Forecast(central, early, late, probability)


@dataclass(frozen=True, slots=True)
class Crest:
    """How far a zone's worst cell rises above its mean density: worst = mean + excess * sqrt(mean).

    People in a cell scatter around their mean number by its root where they come independently of each other
    (Poisson), and cells differ as much where they do not, so that the excess changes little while a place
    fills. It is fitted by least squares with fading memory.

    Attributes:
        product: faded sum of (worst - mean) * sqrt(mean), in persons^1.5 per m^3.
        square: faded sum of mean, in persons per m2.
        looked_s: camera time of the newest look.
    """

    product: float = 0.0
    square: float = 0.0
    looked_s: float = math.nan

    @property
    def excess(self) -> float:
        """In roots of persons per m2; 0 where nobody has been seen."""
        return self.product / self.square if self.square > 0 else 0.0

    def mean_at(self, worst_per_m2: float) -> float:
        """The mean density at which the worst cell has so many persons per m2."""
        root = (math.hypot(self.excess, 2 * math.sqrt(worst_per_m2)) - self.excess) / 2
        return root * root


def step_crest(state: Crest, mean_per_m2: float, worst_per_m2: float, pts_s: float) -> Crest:
    """Take in one look; one that is not later changes nothing."""
    gap_s = pts_s - state.looked_s
    if gap_s <= 0:
        return state
    keep = 0.0 if math.isnan(gap_s) else math.exp(-gap_s / CREST_MEMORY_S)
    weight = 1.0 if math.isnan(gap_s) else min(gap_s, CREST_MEMORY_S)
    above = max(worst_per_m2 - mean_per_m2, 0.0) * math.sqrt(mean_per_m2)
    return Crest(keep * state.product + weight * above, keep * state.square + weight * mean_per_m2, pts_s)


def _motion(seconds: float, options: TrendOptions) -> tuple[Floats, Floats]:
    """How level, slope and bend go on, (3, 3), and the covariance of what comes in between, (3, 3)."""
    memory = options.bend_memory_s
    fade = math.exp(-seconds / memory)
    turn = memory * (1 - fade)
    move = np.array([[1.0, seconds, memory * (seconds - turn)], [0.0, 1.0, turn], [0.0, 0.0, fade]])
    # Fresh bend of variance bend^2 (1 - fade^2) enters evenly; its way into slope and level by the midpoint.
    fresh = options.bend_per_s2**2 * (1 - fade * fade)
    way = np.array([seconds**2 / 6, seconds / 2, 1.0])
    noise = fresh * np.outer(way, way)
    noise[0, 0] += options.jitter_per_root_s**2 * seconds
    return move, noise


def _update(
    mean: Floats, covariance: Floats, row: int, value: float, variance: float
) -> tuple[Floats, Floats]:
    """Kalman's update by one component, in Joseph's form, which stays symmetric and positive."""
    gain = covariance[:, row] / (covariance[row, row] + variance)
    keep = np.eye(3)
    keep[:, row] -= gain
    updated = keep @ covariance @ keep.T + variance * np.outer(gain, gain)
    return mean + gain * (value - mean[row]), (updated + updated.T) / 2


def _ahead(state: Trend, ahead_s: Floats, options: TrendOptions) -> tuple[Floats, Floats]:
    """Level and its standard error after each of (k,) evenly spaced seconds: (k,) and (k,)."""
    move, noise = _motion(float(ahead_s[1] - ahead_s[0]), options)
    mean, covariance = state.mean, state.covariance
    middle, variance = np.empty(len(ahead_s)), np.empty(len(ahead_s))
    for k in range(len(ahead_s)):
        middle[k], variance[k] = mean[0], covariance[0, 0]
        mean, covariance = move @ mean, move @ covariance @ move.T + noise
    return middle, np.sqrt(variance)


def _first(ahead_s: Floats, level: Floats, threshold: float) -> float | None:
    """Minutes after which a curve first reaches the threshold, between its points; None if it does not."""
    above = np.flatnonzero(level >= threshold)
    if not len(above):
        return None
    k = int(above[0])
    if k == 0:
        return 0.0
    share = (threshold - level[k - 1]) / (level[k] - level[k - 1])
    return float(ahead_s[k - 1] + share * (ahead_s[k] - ahead_s[k - 1])) / 60
