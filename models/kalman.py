"""A constant-velocity Kalman filter for many boxes at once, in true seconds.

Centre x, centre y, width and height each follow their own filter of two states, value and rate: process
and measurement noise are diagonal, so the eight-state filter that trackers commonly use falls apart into
four without any loss, and a bank of n boxes is a few operations on (n, 4) arrays. Process noise is that of
a white random acceleration (Bar-Shalom, Li, Kirubarajan: Estimation with Applications to Tracking and
Navigation, 2001, section 6.2.2), so the forecast over one long step equals that over many short ones.

Noise is relative to the box: a near person jitters and accelerates by more of the picture than a far one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviations as shares of the box's width (x, width) or height (y, height).

    Attributes:
        measured: of a detection, for centre and size.
        rate: of the unknown rate at birth, per second, for centre and size.
        acceleration: spectral density's square root, per s^1.5, for centre and size.

    The defaults are those with the best identities (IDF1) and fewest switches in `benchmarks/tracker.py`,
    searched on other seeds than it runs; a third more or less of any of them changes little.
    """

    measured: tuple[float, float] = (0.08, 0.12)
    rate: tuple[float, float] = (1.5, 0.2)
    acceleration: tuple[float, float] = (1.4, 0.1)


def to_centre(xyxy: NDArray[np.floating]) -> Floats:
    """(n, 4) left, top, right, bottom -> (n, 4) float64 centre x, centre y, width, height."""
    low, high = np.asarray(xyxy[:, :2], np.float64), np.asarray(xyxy[:, 2:], np.float64)
    return np.hstack(((low + high) / 2, high - low))


def to_corners(values: Floats) -> Floats:
    """(n, 4) centre x, centre y, width, height -> (n, 4) float64 left, top, right, bottom."""
    half = values[:, 2:] / 2
    return np.hstack((values[:, :2] - half, values[:, :2] + half))


@dataclass(slots=True, eq=False)
class BoxFilter:
    """The filters of n boxes; columns are centre x, centre y, width, height.

    Attributes:
        value: (n, 4) float64, fractions of the picture.
        rate: (n, 4) float64, fractions per second.
        var_value, covariance, var_rate: (n, 4) float64, the three distinct entries of each 2 x 2 covariance.
        noise: shared by all.
    """

    value: Floats
    rate: Floats
    var_value: Floats
    covariance: Floats
    var_rate: Floats
    noise: Noise

    @classmethod
    def start(cls, xyxy: NDArray[np.floating], noise: Noise) -> "BoxFilter":
        """Filters born from boxes (n, 4), standing still for all that is known."""
        value = to_centre(xyxy)
        zero = np.zeros_like(value)
        size = _scale(value)
        return cls(
            value, zero, (size * _pair(noise.measured)) ** 2, zero, (size * _pair(noise.rate)) ** 2, noise
        )

    def predict(self, dt_s: float) -> None:
        """Move all boxes `dt_s` seconds ahead. A size never falls below a tenth of what it was."""
        density = (_scale(self.value) * _pair(self.noise.acceleration)) ** 2
        smallest = 0.1 * self.value[:, 2:]
        self.value = self.value + self.rate * dt_s
        self.value[:, 2:] = np.maximum(self.value[:, 2:], smallest)
        self.var_value = (
            self.var_value + dt_s * (2 * self.covariance + dt_s * self.var_rate) + density * dt_s**3 / 3
        )
        self.covariance = self.covariance + dt_s * self.var_rate + density * dt_s**2 / 2
        self.var_rate = self.var_rate + density * dt_s

    def distance(self, xyxy: NDArray[np.floating]) -> Floats:
        """Squared Mahalanobis distance of each box (m, 4) from each forecast: (n, m) float64."""
        spread = self.var_value + (_scale(self.value) * _pair(self.noise.measured)) ** 2
        difference = to_centre(xyxy)[None] - self.value[:, None]
        return np.asarray((difference**2 / spread[:, None]).sum(2))

    def correct(self, rows: NDArray[np.intp], xyxy: NDArray[np.floating]) -> None:
        """Take in one measured box (k, 4) for each of the `rows` (k,)."""
        measured = to_centre(xyxy)
        var = self.var_value[rows]
        covariance = self.covariance[rows]
        total = var + (_scale(measured) * _pair(self.noise.measured)) ** 2
        surprise = measured - self.value[rows]
        self.value[rows] += var / total * surprise
        self.rate[rows] += covariance / total * surprise
        self.var_rate[rows] -= covariance**2 / total
        self.var_value[rows] = var - var**2 / total
        self.covariance[rows] = covariance - var * covariance / total

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "BoxFilter":
        """A bank with copies of the picked boxes."""
        return BoxFilter(
            self.value[rows],
            self.rate[rows],
            self.var_value[rows],
            self.covariance[rows],
            self.var_rate[rows],
            self.noise,
        )

    def join(self, other: "BoxFilter") -> "BoxFilter":
        """A bank with the other's boxes after these."""
        return BoxFilter(
            np.concatenate((self.value, other.value)),
            np.concatenate((self.rate, other.rate)),
            np.concatenate((self.var_value, other.var_value)),
            np.concatenate((self.covariance, other.covariance)),
            np.concatenate((self.var_rate, other.var_rate)),
            self.noise,
        )


def _scale(value: Floats) -> Floats:
    """(n, 4): width, height, width, height."""
    return np.tile(value[:, 2:], 2)


def _pair(shares: tuple[float, float]) -> Floats:
    return np.repeat(np.array(shares), 2)
