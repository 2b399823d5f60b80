"""Two ways to a camera's ground for people who can measure: surveyed points, or a known rectangle."""

import math

import numpy as np
from numpy.typing import ArrayLike

from edge.calibration import Calibration, Setting, camera_of, finish
from edge.errors import SiteError
from edge.geometry import Floats, as_points, polygon_area, self_intersects, turn
from edge.ground import GroundPlane
from edge.pinhole import Pinhole
from edge.plane_error import PlaneError

SIDES_M = (0.5, 500.0)
"""Shortest and longest side of a rectangle."""


def from_points(image: ArrayLike, ground: ArrayLike, setting: Setting | None = None) -> Calibration:
    """From surveyed points.

    Args:
        image: (n, 2) fractions of the picture, n >= 4.
        ground: (n, 2) metres.
        setting: of the picture.

    Raises:
        SiteError: the points fix no plane, one is wrong, or the error is above a bound.
    """
    setting = setting or Setting()
    p = as_points(image)
    _check_in_picture("ground", p)
    plane = GroundPlane.fit(p, ground)
    error = PlaneError.of(plane, setting.aspect, setting.click)
    pinhole, notes = camera_of(plane, setting.aspect, error)
    if plane.redundancy:
        notes.append(_odd_one(*leave_one_out(p, plane.surveyed)))
    if plane.redundancy < 3:
        notes.append(
            f"{len(p)} points: their error is assumed from picking them within {_click_px(setting)}; "
            "with seven points or more it is measured, and a wrong one is found"
        )
    return finish(Calibration(p, plane, pinhole, (), tuple(notes)), error, setting)


def leave_one_out(image: ArrayLike, ground: ArrayLike) -> tuple[Floats, Floats]:
    """How far each point lies from where the others put it, and how well these agree without it.

    Args:
        image: (n, 2) fractions of the picture.
        ground: (n, 2) metres.

    Returns:
        (n,) and (n,) metres; NaN where the others fix no plane without it.
    """
    p, q = as_points(image), as_points(ground)
    apart, rest = np.full(len(p), np.nan), np.full(len(p), np.nan)
    for k in range(len(p)):
        keep = np.arange(len(p)) != k
        try:
            plane = GroundPlane.fit(p[keep], q[keep], math.inf)
        except SiteError:
            continue
        apart[k] = np.linalg.norm(plane.to_ground(p[k : k + 1]) - q[k])
        rest[k] = plane.rmse_m
    return apart, rest


def _odd_one(apart: Floats, rest: Floats) -> str:
    """The point without which the others agree best: the farthest off need not be the wrong one."""
    if not np.isfinite(apart).any():
        return "no point can be checked by the others: each is needed to fix the plane"
    rms, odd = float(np.sqrt(np.nanmean(apart**2))), int(np.nanargmin(rest))
    return (
        f"each point against the others: {rms:.2f} m on average; point {odd + 1} fits worst, it lies "
        f"{apart[odd]:.2f} m from where the others put it"
    )


def from_rectangle(
    corners: ArrayLike, width_m: float, length_m: float, setting: Setting | None = None
) -> Calibration:
    """From the four corners of a rectangle on the ground, in order around it, either way round.

    Args:
        corners: (4, 2) fractions of the picture.
        width_m: the side from the first corner to the second, in metres.
        length_m: the side from the second to the third.
        setting: of the picture.

    Raises:
        SiteError: the corners are of no rectangle, are listed across, or the error is above a bound.
    """
    setting = setting or Setting()
    p = as_points(corners)
    _check_sides(width_m, length_m)
    _check_corners(p)
    plane = GroundPlane.fit(p, _rectangle(p, width_m, length_m))
    error = PlaneError.of(plane, setting.aspect, setting.click)
    _check_turned(p, plane, setting, (width_m, length_m))
    pinhole, notes = camera_of(plane, setting.aspect, error)
    notes.append(f"the error assumes that corners were picked within {_click_px(setting)}")
    return finish(Calibration(p, plane, pinhole, (), tuple(notes)), error, setting)


def _rectangle(p: Floats, width_m: float, length_m: float) -> Floats:
    """Corners on the ground, so that the second axis lies to the left of the first seen from above."""
    ground = np.array([[0, 0], [width_m, 0], [width_m, length_m], [0, length_m]], np.float64)
    clockwise = float(turn(p[0], p[1], p[2])) > 0  # as the picture shows it, y down
    return ground * (1, -1) + (0, length_m) if clockwise else ground


def _check_sides(width_m: float, length_m: float) -> None:
    least, most = SIDES_M
    for name, side in (("width", width_m), ("length", length_m)):
        if not least <= side <= most:
            raise SiteError(
                "rectangle",
                f"has a {name} of {side:g} m; {least:g} to {most:g} m make sense: give metres",
            )


def _check_corners(p: Floats) -> None:
    if len(p) != 4:
        raise SiteError("rectangle", f"needs four corners, got {len(p)}")
    _check_in_picture("rectangle", p)
    for i in range(4):
        for j in range(i):
            if np.abs(p[i] - p[j]).max() < 1e-3:
                raise SiteError("rectangle", f"has corners {j + 1} and {i + 1} at the same point")
    if self_intersects(p):
        order = ([0, 2, 1, 3], [0, 1, 3, 2])
        around = next((o for o in order if not self_intersects(p[o]) and _convex(p[o])), None)
        cure = f"; try the order {', '.join(str(k + 1) for k in around)}" if around else ""
        raise SiteError("rectangle", f"lists its corners across: go around it{cure}")
    if not _convex(p):
        raise SiteError(
            "rectangle",
            "has three corners (nearly) on one line, or one inside the triangle of the others: no camera "
            "sees a rectangle so; pick the corners again",
        )


def _convex(p: Floats) -> bool:
    turns = turn(p, np.roll(p, -1, axis=0), np.roll(p, -2, axis=0))
    least = 0.02 * polygon_area(p)
    return bool((turns > least).all() or (turns < -least).all())


def _check_turned(p: Floats, plane: GroundPlane, setting: Setting, size: tuple[float, float]) -> None:
    """Find width and length that were given the wrong way round: then only the other way fits a camera."""
    width_m, length_m = size
    if math.isclose(width_m, length_m, rel_tol=0.02):
        return
    other = GroundPlane.fit(p, _rectangle(p, length_m, width_m))
    swapped = Pinhole.from_plane(other, setting.aspect)
    given = Pinhole.from_plane(plane, setting.aspect)
    # Seen by a camera with square pixels, a wrong shape is off in a way that no focal length mends.
    if (
        swapped is not None
        and swapped.misfit < 0.05
        and (given is None or given.misfit > 4 * swapped.misfit + 0.1)
    ):
        raise SiteError(
            "rectangle",
            f"of {width_m:g}x{length_m:g} m fits no camera, but {length_m:g}x{width_m:g} m does: the first "
            "number is the side from the first corner to the second",
        )


def _check_in_picture(key: str, p: Floats) -> None:
    for k, (x, y) in enumerate(p):
        if not (-0.5 <= x <= 1.5 and -0.5 <= y <= 1.5):
            raise SiteError(
                key,
                f"has point {k + 1}, [{x:g}, {y:g}], far outside the picture: give fractions of its width "
                "and height, 0 to 1, or pixels together with --pixels WxH",
            )


def _click_px(setting: Setting) -> str:
    return f"{setting.click * 1080:.1f} px of 1080 lines"
