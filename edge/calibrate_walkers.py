"""A camera's ground from people who walk by: enough of them, at enough distances, or a clear refusal."""

import math
from dataclasses import replace

import numpy as np

from edge.calibration import Calibration, describe, ends_of, refuse_above_bound
from edge.errors import SiteError
from edge.geometry import Floats
from edge.ground import GroundPlane
from edge.pinhole import STATURE_M, Pinhole
from edge.walker_fit import View, WalkerFit, fit_walks
from edge.walkers import Walks

LEAST_WALKERS = 15
"""Fewer leave the mean stature unsure by more than 0.055 / sqrt(15) = 1.4 %, and outliers untold."""
LEAST_RANGE = 0.25
"""Sizes must differ by this much (log, middle 80 %): 28 % between near and far. Less shows no horizon."""
_COLUMNS, _ROWS = (0.1, 0.5, 0.9), 3
_NEAR = 0.95


def from_walks(
    walks: Walks,
    rng: np.random.Generator,
    hfov_deg: float | None = None,
    watched: Floats | None = None,
) -> Calibration:
    """The ground on which the walkers are adults, as nine virtual points over it.

    Args:
        walks: who walked where, how tall they looked.
        rng: of the bootstrap; the same gives the same.
        hfov_deg: the camera's horizontal field of view in degrees, where it is known.
        watched: (m, 2) fractions, corners of the zones; none: where people walked.

    Raises:
        SiteError: nobody walked, too few did, all at one distance, or the error is above the bound.
    """
    _check_walks(walks)
    fit = fit_walks(walks, rng, hfov_deg)
    _check_fit(walks, fit)
    image = _points(walks, fit.view)
    x, y = _centred(image, walks.aspect)
    ground = np.column_stack(fit.view.ground(x, y))
    if not np.isfinite(ground).all():
        raise SiteError("walkers", "contradict each other: some walk above the horizon that the others show")
    plane = GroundPlane.fit(image, np.round(ground, 3))
    camera = _camera(plane, walks.aspect, fit)
    area = _walked(walks) if watched is None or not len(watched) else watched
    places = np.stack(ends_of(plane, area))
    px, py = _centred(places, walks.aspect)
    spots = describe(plane, camera, places, fit.place_stderr_m(px, py), fit.area_error(px, py))
    cure = "watch for longer (--minutes), tell the lens (--hfov DEGREES), or use --rectangle or --points"
    refuse_above_bound(spots, cure)
    return Calibration(image, plane, camera, spots, _notes(walks, fit, hfov_deg), together=True)


def _check_walks(walks: Walks) -> None:
    if not walks.seen:
        raise SiteError(
            "walkers", "nobody was seen: choose a time when people walk by, or use --rectangle or --points"
        )
    if walks.walkers < LEAST_WALKERS:
        raise SiteError(
            "walkers",
            f"only {walks.walkers} of {walks.seen} people walked by upright and in full view, "
            f"{LEAST_WALKERS} are needed: watch for longer (--minutes), or at a busier time",
        )
    low, high = np.quantile(np.log(walks.size), (0.1, 0.9))
    if high - low < LEAST_RANGE:
        raise SiteError(
            "walkers",
            f"all were at about one distance: the nearest look only {math.exp(high - low) - 1:.0%} taller "
            "than the farthest, which shows no horizon; wait for people nearer and farther away, or use "
            "--rectangle or --points",
        )


def _check_fit(walks: Walks, fit: WalkerFit) -> None:
    if fit.used < max(LEAST_WALKERS * 0.7, walks.walkers / 2):
        raise SiteError(
            "walkers",
            f"only {fit.used} of {walks.walkers} agree on any view of the ground: is it level, and do adults "
            "walk there? use --rectangle or --points",
        )


def _centred(image: Floats, aspect: float) -> tuple[Floats, Floats]:
    return (image[:, 0] - 0.5) * aspect, image[:, 1] - 0.5


def _walked(walks: Walks) -> Floats:
    """Corners of where people walked, as fractions: (4, 2)."""
    left, right = np.quantile(walks.x / walks.aspect + 0.5, (0.05, 0.95))
    top, bottom = np.quantile(walks.y + 0.5, (0.05, 0.95))
    return np.array([[left, bottom], [right, bottom], [right, top], [left, top]])


def _points(walks: Walks, view: View) -> Floats:
    """Nine points from the lower edge to the farthest walkers, clear of the horizon: (9, 2)."""
    sink = max(view.horizon + 0.5 + math.tan(view.roll) * (c - 0.5) * walks.aspect for c in _COLUMNS)
    far = max(float(np.quantile(walks.y, 0.02)) + 0.5, sink + 0.2 * (_NEAR - sink))
    rows = np.linspace(min(far, _NEAR - 0.2), _NEAR, _ROWS)
    return np.round([(column, row) for row in rows for column in _COLUMNS], 4)


def _camera(plane: GroundPlane, aspect: float, fit: WalkerFit) -> Pinhole:
    """The fitted camera with the fit's errors: those of the virtual points say nothing."""
    height_stderr_m, tilt_stderr_deg, focal_error = fit.stderr()
    return replace(
        Pinhole.solve(plane, aspect),
        focal_error=focal_error,
        height_stderr_m=height_stderr_m,
        tilt_stderr_deg=tilt_stderr_deg,
    )


def _notes(walks: Walks, fit: WalkerFit, hfov_deg: float | None) -> tuple[str, ...]:
    notes = [
        (
            f"{fit.used} of {walks.seen} people served: upright, whole, walking, and as tall as adults; "
            f"their heights spread {fit.spread:.1%} around the assumed mean of {STATURE_M:g} m"
        ),
    ]
    if hfov_deg is None and fit.stderr()[2] > 0.08:
        notes.append(
            "the focal length is the least known; --hfov DEGREES from the lens's data sheet makes this better"
        )
    if fit.used < 0.8 * walks.walkers:
        notes.append(f"{walks.walkers - fit.used} of {walks.walkers} walkers were too short or too tall")
    return tuple(notes)
