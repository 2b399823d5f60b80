"""Forecast: how many minutes until a crowd's measure reaches a threshold, and between which bounds."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edge.geometry import Floats

HORIZON_S = 600.0

BAND_SIGMAS = 1.2816
"""The band holds the truth in 80 of 100: one in ten below it and one above."""

_NOISE_MEMORY_S = 1.0
"""Errors of looks nearer than this are the same error."""
_GATE = 3.0
_MAX_GAP_S = 60.0
_STEP_S = 5.0


@dataclass(frozen=True, slots=True)
class TrendOptions:
    """How a crowd's measure may change; all in shares of `scale` so that its unit does not matter.

    Attributes:
        scale: a value that matters, above 0, in the measure's unit: the next threshold.
        slope_share_per_s: how steep it may be at the beginning: 0.004 grows from 0 to the threshold in 4 min.
        bend_share_per_s2: typical change of the slope per second. A logistic growth with a time constant of 3
            minutes has 0.003 / 1000 at most.
        bend_memory_s: how long a change of slope lasts.
        jitter_share_per_root_s: disorderly coming and going, which adds up like a random walk.
        settle_s: so much must have been seen before anything is said.
        settle_looks: and so many looks.
    """

    scale: float
    slope_share_per_s: float = 0.004
    bend_share_per_s2: float = 1.5e-5
    bend_memory_s: float = 90.0
    jitter_share_per_root_s: float = 0.002
    settle_s: float = 60.0
    settle_looks: int = 10

    def __post_init__(self) -> None:
        numbers = (self.scale, self.slope_share_per_s, self.bend_share_per_s2, self.bend_memory_s)
        if not all(math.isfinite(x) and x > 0 for x in numbers):
            raise ValueError(f"scale, slope, bend and bend_memory_s must be positive, got {numbers}")
        if self.jitter_share_per_root_s < 0 or self.settle_s < 0 or self.settle_looks < 2:
            raise ValueError("jitter and settle_s must not be negative, settle_looks 2 at least")


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """Level, slope and bend of a measure, with their covariance.

    Attributes:
        mean: (3,) in units of the measure, per second, per second squared.
        covariance: (3, 3).
        began_s, looked_s: camera times of the first and the newest look; NaN before the first.
        looks: how many.
        roughness: mean squared surprise over what was expected; 1 where the stated errors are honest.
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


Reason = Literal["too little history", "not rising to it", "not surely within the horizon"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a measure reaches a threshold.

    Attributes:
        minutes: until it does, by the middle of the forecast; 0 where it is reached; None where not said.
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
    if not state.looks or gap_s > _MAX_GAP_S:
        variance = reading.stderr**2 + (0.01 * options.scale) ** 2
        spread = (options.slope_share_per_s * options.scale) ** 2
        bend = (options.bend_share_per_s2 * options.scale) ** 2
        return Trend(np.array([reading.value, 0.0, 0.0]), np.diag([variance, spread, bend]), pts_s, pts_s, 1)
    if gap_s <= 0:
        return state
    move, noise = _motion(gap_s, options)
    mean = move @ state.mean
    covariance = move @ state.covariance @ move.T + noise
    repeats = max(1.0, _NOISE_MEMORY_S / gap_s)
    least = (0.002 * options.scale) ** 2
    stated = (reading.stderr**2 + least) * repeats
    surprise = (reading.value - mean[0]) ** 2 / (covariance[0, 0] + stated * state.roughness)
    # Single looks far out must not enlarge it for long, a lasting excess must: bounded steps, slow average.
    share = 1 - math.exp(-gap_s / 30.0)
    roughness = state.roughness * (1 + share * (min(surprise, _GATE**2) - 1))
    error = stated * state.roughness * max(1.0, math.sqrt(surprise) / _GATE)
    mean, covariance = _update(mean, covariance, 0, reading.value, error)
    if reading.rate_per_s is not None:
        # The rate is a mean over a window of a minute: its looks repeat one another for as long.
        rate_error = reading.rate_stderr_per_s**2 * max(1.0, 60.0 / gap_s)
        mean, covariance = _update(mean, covariance, 1, reading.rate_per_s, rate_error)
    return Trend(mean, covariance, state.began_s, pts_s, state.looks + 1, min(max(roughness, 1.0), 25.0))


def forecast(state: Trend, threshold: float, options: TrendOptions, horizon_s: float = HORIZON_S) -> Forecast:
    """Minutes until the trend reaches a threshold.

    Said only where the band's lower edge reaches it within the horizon as well, that is where it is reached
    in 9 of 10 cases: a crowd that merely wavers is not forecast to rise.

    Args:
        state: up to now.
        threshold: in the measure's unit.
        options: as for `step_trend`.
        horizon_s: no further ahead.
    """
    if state.looks < options.settle_looks or not state.looked_s - state.began_s >= options.settle_s:
        return Forecast(unavailable="too little history")
    if state.mean[0] >= threshold:
        return Forecast(0.0, 0.0, 0.0, 1.0)
    ahead_s = np.arange(0.0, horizon_s + _STEP_S / 2, _STEP_S)
    middle, sigma = _ahead(state, ahead_s, options)
    reached = (middle - threshold) / np.maximum(sigma, 1e-12 * options.scale)
    probability = 0.5 * math.erfc(-float(reached.max()) / math.sqrt(2))
    central, early, late = (
        _first(ahead_s, middle + k * sigma, threshold) for k in (0.0, BAND_SIGMAS, -BAND_SIGMAS)
    )
    if central is None:
        return Forecast(None, early, late, probability, "not rising to it")
    if late is None:
        return Forecast(None, early, late, probability, "not surely within the horizon")
    return Forecast(central, early, late, probability)


def _motion(seconds: float, options: TrendOptions) -> tuple[Floats, Floats]:
    """How level, slope and bend go on, (3, 3), and the covariance of what comes in between, (3, 3)."""
    memory = options.bend_memory_s
    fade = math.exp(-seconds / memory)
    turn = memory * (1 - fade)
    move = np.array([[1.0, seconds, memory * (seconds - turn)], [0.0, 1.0, turn], [0.0, 0.0, fade]])
    # Fresh bend of variance bend^2 (1 - fade^2) enters evenly; its way into slope and level by the midpoint.
    fresh = (options.bend_share_per_s2 * options.scale) ** 2 * (1 - fade * fade)
    way = np.array([seconds**2 / 6, seconds / 2, 1.0])
    noise = fresh * np.outer(way, way)
    noise[0, 0] += (options.jitter_share_per_root_s * options.scale) ** 2 * seconds
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
