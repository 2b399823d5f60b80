"""A camera from walking people of assumed height: robust fit, and honest errors by bootstrap.

How tall an upright person looks depends on where in the picture the foot stands, and through that on the
horizon, the camera's height in statures and, weakly, on the focal length (Hoiem, Efros and Hebert 2008 use
the first two; the third is in the curvature). What sizes hardly tell is the focal length of a long lens:
there a near small place and a far large one look alike. Walking helps: people walk as fast across the
picture as towards it, so a focal length with which they do not is wrong. Only that is used of their speed,
not how fast it is. What nothing here can tell is the mean stature itself: if everybody is 5 % shorter than
assumed, everything is 5 % closer. That error is part of the result.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Floats
from edge.walkers import Walks

STATURE_M = 1.70
"""Mean height of adults, shoes included."""
STATURE_SPREAD = 0.055
"""Relative spread of adults' heights, with what a box adds: 8 to 10 cm of 1.70 m."""
STATURE_ERROR = 0.024
"""Relative standard error of the assumed mean: populations and shoes differ by 4 cm."""
BODY_M = 0.15
"""A box ends at the sole nearest to the camera; the top of the head, where it begins, is so much farther."""
BODY_ERROR_M = 0.05
BOX_SLOPE = 0.03
"""Standard error of how detectors' boxes grow too little or too much, per e-fold of their size: measured
0.02 to 0.06 for the shipped detector on simulated cameras."""
LOOK_SPREAD = 0.08
"""Relative spread of one walker's chunk sizes: gait, detector, tracker."""
SPEED_M_S, SPEED_DOUBT, SPEED_SPREAD = 1.34, 0.2, 0.25
"""Mean speed with its relative doubt, and people's relative spread (Weidmann 1993: 1.34 and 0.26 m/s)."""
STEP_CHUNKS = 2
HFOV_DEG, FOCAL_DOUBT = 65.0, 0.5
"""Where nobody says better, lenses see so many degrees, with a relative error of the focal length."""
HFOV_ERROR = 0.03
"""Relative standard error of the focal length where the field of view was given: data sheets round it."""
ROLL_DOUBT = math.radians(1.5)
"""Cameras hang level within so much, as a standard error."""
BOOTSTRAPS = 60
_CUT = 3.0
"""Tukey's biweight gives no weight from so many spreads on: children, sitting people, hidden feet."""
_STEPS = 12
_FAR = 3.0
"""Residual in log size where a view has no ground at all."""


@dataclass(frozen=True, slots=True)
class View:
    """A camera over the ground point (0, 0) that looks along y.

    Attributes:
        focal: focal length as a ratio to the picture's height.
        horizon: row of the horizon at the middle column, as a share of the height below the centre.
        height_m: above the ground.
        roll: radians by which the horizon sinks to the right, with its sign.
    """

    focal: float
    horizon: float
    height_m: float
    roll: float = 0.0

    @property
    def tilt(self) -> float:
        """How far it looks down, in radians."""
        return math.atan(-self.horizon / self.focal)

    def ground(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Ground metres to the right and forward of the camera, of points in picture heights from the centre.

        Args:
            x: (n,) to the right.
            y: (n,) down.

        Returns:
            (n,) and (n,) metres; NaN from the horizon up.
        """
        c, s = math.cos(self.roll), math.sin(self.roll)
        across, down = c * x + s * y, c * y - s * x
        t, f = self.tilt, self.focal
        steep = f * math.sin(t) + down * math.cos(t)
        steep = np.where(steep > 1e-6, steep, np.nan)
        depth = self.height_m * f / steep
        return across * depth / f, self.height_m * (f * math.cos(t) - down * math.sin(t)) / steep

    def area(self, x: Floats, y: Floats) -> Floats:
        """Ground m2 per squared picture height at points as in `ground`: (n,), (n,) -> (n,) m2."""
        c, s = math.cos(self.roll), math.sin(self.roll)
        t, f = self.tilt, self.focal
        steep = f * math.sin(t) + (c * y - s * x) * math.cos(t)
        scale: Floats = self.height_m**2 * f / np.where(steep > 1e-6, steep, np.nan) ** 3
        return scale

    def size(self, x: Floats, y: Floats, stature_m: float, body_m: float) -> Floats:
        """How tall people of this height look whose boxes end at these points.

        Args:
            x: (n,) as in `ground`.
            y: (n,) as in `ground`.
            stature_m: how tall they are.
            body_m: how much farther than its nearest sole the top of a head is.

        Returns:
            (n,) picture heights; NaN where they cannot stand.
        """
        _, forward = self.ground(x, y)
        t = self.tilt
        down = self.height_m - stature_m
        away = forward + body_m
        ahead = away * math.cos(t) + down * math.sin(t)
        top = self.focal * (down * math.cos(t) - away * math.sin(t)) / np.where(ahead > 0.1, ahead, np.nan)
        c, s = math.cos(self.roll), math.sin(self.roll)
        size: Floats = (c * y - s * x - top) * c
        return np.where(size > 1e-6, size, np.nan)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What is assumed of people and cameras; a bootstrap draws other ones that are as credible."""

    log_focal: float
    focal_doubt: float
    log_speed: float = math.log(SPEED_M_S)
    roll: float = 0.0
    stature_m: float = STATURE_M
    body_m: float = BODY_M
    box_slope: float = 0.0

    def drawn(self, rng: np.random.Generator) -> "_Terms":
        one = rng.normal(size=6)
        return _Terms(
            self.log_focal + self.focal_doubt * one[0],
            self.focal_doubt,
            self.log_speed + SPEED_DOUBT * one[1],
            self.roll + ROLL_DOUBT * one[2],
            self.stature_m * math.exp(STATURE_ERROR * one[3]),
            max(0.0, self.body_m + BODY_ERROR_M * one[4]),
            BOX_SLOPE * one[5],
        )


class _Problem:
    """Residuals of a view: its parameters are log focal, horizon, log height, roll, log speed."""

    def __init__(self, walks: Walks, terms: _Terms, votes: Floats) -> None:
        self.walks, self.terms, self.votes = walks, terms, votes
        self.counts = walks.counts
        later = np.flatnonzero(walks.walker[STEP_CHUNKS:] == walks.walker[:-STEP_CHUNKS])
        self.start, self.end = later, later + STEP_CHUNKS
        self.stepper = walks.walker[later]
        self.steps = np.maximum(np.bincount(self.stepper, minlength=walks.walkers), 1)[self.stepper]
        self.took_s = walks.time_s[self.end] - walks.time_s[self.start]
        log_size = np.log(walks.size)
        self.observed = log_size + terms.box_slope * (log_size - np.median(log_size))

    def residuals(self, p: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """In standard errors: within walkers, between walkers, of their speeds, and of what is assumed."""
        walks, terms = self.walks, self.terms
        view = view_of(p)
        told = np.log(view.size(walks.x, walks.y, terms.stature_m, terms.body_m))
        off = _known(self.observed - told)
        mean = np.bincount(walks.walker, off, walks.walkers) / self.counts
        within = (off - mean[walks.walker]) / LOOK_SPREAD
        between = mean / np.sqrt(STATURE_SPREAD**2 + LOOK_SPREAD**2 / self.counts)
        right, forward = view.ground(walks.x, walks.y)
        way = np.hypot(right[self.end] - right[self.start], forward[self.end] - forward[self.start])
        pace = np.log(np.maximum(way / self.took_s, 0.05))
        speed = _known(pace - p[4]) / SPEED_SPREAD
        assumed = np.array(
            [
                (p[0] - terms.log_focal) / terms.focal_doubt,
                (p[3] - terms.roll) / ROLL_DOUBT,
                (p[4] - terms.log_speed) / SPEED_DOUBT,
            ]
        )
        return within, between, speed, assumed

    def weights(self, parts: tuple[Floats, Floats, Floats, Floats]) -> Floats:
        """Roots of all residuals' weights, by Tukey's biweight."""
        within, between, speed, assumed = parts
        adult = _tukey(between) * self.votes
        return np.sqrt(
            np.concatenate(
                (
                    _tukey(within) * self.votes[self.walks.walker],
                    adult,
                    _tukey(speed) * self.votes[self.stepper] / self.steps,
                    np.ones(len(assumed)),
                )
            )
        )

    def cost(self, p: Floats) -> float:
        """Robust cost: Tukey's, bounded for each residual."""
        within, between, speed, assumed = self.residuals(p)
        return float(
            _tukey_cost(within).sum()
            + _tukey_cost(between).sum()
            + (_tukey_cost(speed) / self.steps).sum()
            + (assumed**2).sum() / 2
        )

    def refine(self, p: Floats, steps: int = _STEPS) -> Floats:
        """Iteratively reweighted Gauss-Newton from `p`, in bounded steps."""
        for _ in range(steps):
            parts = self.residuals(p)
            root, here = self.weights(parts), np.concatenate(parts)
            jacobian = np.empty((len(here), len(p)))
            for k in range(len(p)):
                moved = p.copy()
                moved[k] += 1e-5
                jacobian[:, k] = (np.concatenate(self.residuals(moved)) - here) / 1e-5
            weighted = jacobian * root[:, None]
            normal = weighted.T @ weighted + 1e-9 * np.eye(len(p))
            step = np.linalg.solve(normal, -weighted.T @ (here * root))
            step *= min(1.0, float((_REACH / np.maximum(np.abs(step), 1e-12)).min()))
            p = p + step
            if (np.abs(step) < 1e-4).all():
                break
        return p


_REACH = np.array([0.3, 0.3, 0.3, 0.05, 0.3])


def _known(residual: Floats) -> Floats:
    return np.where(np.isfinite(residual), residual, _FAR)


def _tukey(u: Floats) -> Floats:
    weight: Floats = np.maximum(1 - (u / _CUT) ** 2, 0.0) ** 2
    return weight


def _tukey_cost(u: Floats) -> Floats:
    cost: Floats = _CUT**2 / 6 * (1 - np.maximum(1 - (u / _CUT) ** 2, 0.0) ** 3)
    return cost


def view_of(p: Floats) -> View:
    """The view of parameters (5,): log focal, horizon, log height, roll, log speed (unused), no unit."""
    return View(math.exp(p[0]), float(p[1]), math.exp(p[2]), float(p[3]))


@dataclass(frozen=True, slots=True, eq=False)
class WalkerFit:
    """A view with as many others that are as credible.

    Attributes:
        view: the best one.
        drawn: credible other ones.
        used: walkers that count as upright adults, of those in the walks.
        spread: robust relative spread of their heights around the assumed mean, a share.
        speed_m_s: their mean speed.
    """

    view: View
    drawn: tuple[View, ...]
    used: int
    spread: float
    speed_m_s: float

    def area_error(self, x: Floats, y: Floats) -> Floats:
        """Relative standard error of ground areas: points (n,), (n,) picture heights -> (n,) shares."""
        logs = np.log([view.area(x, y) for view in self.drawn])
        return _deviation(logs, np.log(self.view.area(x, y)))

    def place_stderr_m(self, x: Floats, y: Floats) -> Floats:
        """Standard error of places on the ground seen from the camera's foot: (n,), (n,) -> (n,) metres."""
        here = np.stack(self.view.ground(x, y))
        there = np.array([np.stack(view.ground(x, y)) for view in self.drawn])
        error: Floats = np.hypot(*_deviation(there, here))
        return error

    def stderr(self) -> tuple[float, float, float]:
        """Standard errors of height in metres, of tilt in degrees, of the focal length as a share."""
        heights = np.log([view.height_m for view in self.drawn])
        tilts = np.array([view.tilt for view in self.drawn])
        focals = np.log([view.focal for view in self.drawn])
        return (
            float(_deviation(heights, np.log(self.view.height_m))) * self.view.height_m,
            math.degrees(float(_deviation(tilts, np.asarray(self.view.tilt)))),
            float(_deviation(focals, np.log(self.view.focal))),
        )


def _deviation(values: Floats, centre: Floats) -> Floats:
    """Spread of credible values (b, ...) around the best: infinite where one in ten is none."""
    finite = np.isfinite(values)
    off = np.where(finite, values - centre, 0.0)
    spread = np.sqrt((off**2).sum(axis=0) / np.maximum(finite.sum(axis=0), 1))
    deviation: Floats = np.where(finite.mean(axis=0) > 0.9, spread, np.inf)
    return deviation


def focal_of(hfov_deg: float, aspect: float) -> float:
    """Focal length in picture heights of a horizontal field of view in degrees at a ratio of sides."""
    return aspect / 2 / math.tan(math.radians(hfov_deg) / 2)


def fit_walks(walks: Walks, rng: np.random.Generator, hfov_deg: float | None = None) -> WalkerFit:
    """The camera under which the walkers are adults who walk.

    Args:
        walks: enough of them, at several distances; nothing is checked here.
        rng: of the bootstrap.
        hfov_deg: horizontal field of view where it is known.
    """
    known = hfov_deg is not None
    focal = focal_of(hfov_deg if hfov_deg is not None else HFOV_DEG, walks.aspect)
    terms = _Terms(math.log(focal), HFOV_ERROR if known else FOCAL_DOUBT)
    problem = _Problem(walks, terms, np.ones(walks.walkers))
    starts = sorted((problem.cost(p), k, p) for k, p in enumerate(_starts(problem, known)))
    refined = [problem.refine(p) for _, _, p in starts[:4]]
    best = min(refined, key=problem.cost)
    between = problem.residuals(best)[1]
    adults = _tukey(between) > 0
    drawn = []
    for _ in range(BOOTSTRAPS):
        votes = np.bincount(rng.integers(walks.walkers, size=walks.walkers), minlength=walks.walkers)
        other = _Problem(walks, terms.drawn(rng), votes.astype(np.float64))
        drawn.append(view_of(other.refine(best, 4)))
    spread = float(np.median(np.abs(between[adults]))) * STATURE_SPREAD / 0.6745 if adults.any() else math.inf
    return WalkerFit(view_of(best), tuple(drawn), int(adults.sum()), spread, math.exp(best[4]))


def _starts(problem: _Problem, known: bool) -> list[Floats]:
    """Parameters over all lenses and horizons, each with the height at which most walkers are adults."""
    walks, terms = problem.walks, problem.terms
    lenses = [terms.log_focal] if known else list(terms.log_focal + np.linspace(-1.0, 1.4, 7))
    top = float(np.quantile(walks.y, 0.02))
    found = []
    for log_focal in lenses:
        for above in np.geomspace(0.02, 2.0, 12):
            p = np.array([log_focal, top - above, math.log(5.0), 0.0, terms.log_speed])
            for _ in range(3):  # sizes go nearly, not quite, with stature over camera height
                told = np.log(view_of(p).size(walks.x, walks.y, terms.stature_m, terms.body_m))
                off = problem.observed - told
                if not np.isfinite(off).mean() > 0.9:
                    break
                p[2] = np.clip(p[2] - _mode(off[np.isfinite(off)]), math.log(1.8), math.log(100.0))
            else:
                found.append(p)
    return found


def _mode(values: Floats) -> float:
    """Where most values lie, by halving the sample (Robertson and Cryer 1974) down to a tenth."""
    ordered: NDArray[np.float64] = np.sort(values)
    least = max(3, len(ordered) // 10)
    while len(ordered) > least:
        half = max(len(ordered) // 2, least)
        widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
        first = int(widths.argmin())
        if half == len(ordered):
            break
        ordered = ordered[first : first + half]
    return float(np.median(ordered))
