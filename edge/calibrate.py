"""Three ways to a camera's ground: surveyed points, a known rectangle, or people who walk by.

Each ends in points for the configuration's `ground:` section, so that nothing else has to know the way, and
in an honest error. Two bounds refuse a calibration:

- a place among the points it was made of is known worse than `edge.ground.MAX_ERROR_M` (0.3 m), where there
  are such points;
- the ground area at the far end of what is watched is known worse than `MAX_AREA_ERROR` (20 %). A density is
  as uncertain as its area, and the narrowest step between two danger levels is from 4 to 5 per m2, 25 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from edge.errors import SiteError
from edge.geometry import Floats, as_points, polygon_area, self_intersects, turn
from edge.ground import MAX_ERROR_M, GroundPlane
from edge.pinhole import Pinhole
from edge.plane_error import CLICK, PlaneError, in_words

MAX_AREA_ERROR = 0.2
"""Highest accepted relative standard error of ground areas."""
SIDES_M = (0.5, 500.0)
"""Shortest and longest side of a rectangle."""
_OFF = 0.1
"""A checked distance may be off by so much, as a share, or by three standard errors if that is more."""


@dataclass(frozen=True, slots=True)
class Spot:
    """How well the ground is known at one place.

    Attributes:
        name: which place, in words.
        image: (x, y) fractions of the picture.
        distance_m: from the point below the camera; NaN where the camera's place is not known.
        place_stderr_m: standard error of the place in metres.
        area_error: relative standard error of a small area there, a share; a density's is the same.
        person_height: of somebody 1.7 m tall who stands there, as a fraction of the picture's height; NaN
            where the camera is not known.
    """

    name: str
    image: tuple[float, float]
    distance_m: float
    place_stderr_m: float
    area_error: float
    person_height: float


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A ground plane with its error.

    Attributes:
        image: (n, 2) float64 fractions of the picture, points of the plane.
        plane: fitted to them; its `surveyed` are the same points in metres.
        pinhole: the whole camera; None where the view does not tell.
        spots: how well places are known: in the middle of what is watched, and at its far end.
        notes: what is accepted but worth knowing, in plain words.
    """

    image: Floats
    plane: GroundPlane
    pinhole: Pinhole | None
    spots: tuple[Spot, ...]
    notes: tuple[str, ...] = ()

    @property
    def area_error(self) -> float:
        """Largest relative standard error of areas among the spots, a share."""
        return max(spot.area_error for spot in self.spots)

    @property
    def place_stderr_m(self) -> float:
        """Standard error of a place in the middle of what is watched, in metres."""
        return self.spots[0].place_stderr_m


@dataclass(frozen=True, slots=True)
class Distance:
    """A measured distance that checks a calibration: two points in fractions of the picture, and metres."""

    start: tuple[float, float]
    end: tuple[float, float]
    length_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """What is known of the picture before it is calibrated.

    Attributes:
        aspect: its width over its height.
        click: standard error of picking a point, in picture heights.
        watched: (m, 2) fractions, corners of the zones; none: the points themselves.
        check: a distance to check by.
    """

    aspect: float = 16 / 9
    click: float = CLICK
    watched: Floats | None = None
    check: Distance | None = None


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
    pinhole, notes = _camera(plane, setting.aspect, error)
    if plane.redundancy:
        apart = leave_one_out(p, plane.surveyed)
        worst = int(np.nanargmax(apart)) if np.isfinite(apart).any() else 0
        rms = float(np.sqrt(np.nanmean(apart**2))) if np.isfinite(apart).any() else math.nan
        notes.append(
            f"each point against the others: {rms:.2f} m on average, point {worst + 1} is farthest off "
            f"with {apart[worst]:.2f} m"
        )
    if plane.redundancy < 3:
        notes.append(
            f"{len(p)} points: their error is assumed from picking them within {_click_px(setting)}; "
            "with seven points or more it is measured, and a wrong one is found"
        )
    return _finish(Calibration(p, plane, pinhole, (), tuple(notes)), error, setting)


def leave_one_out(image: ArrayLike, ground: ArrayLike) -> Floats:
    """How far each point lies from where the others put it.

    Args:
        image: (n, 2) fractions of the picture.
        ground: (n, 2) metres.

    Returns:
        (n,) metres; NaN where the others fix no plane without it.
    """
    p, q = as_points(image), as_points(ground)
    apart = np.full(len(p), np.nan)
    for k in range(len(p)):
        keep = np.arange(len(p)) != k
        try:
            plane = GroundPlane.fit(p[keep], q[keep], math.inf)
        except SiteError:
            continue
        apart[k] = np.linalg.norm(plane.to_ground(p[k : k + 1]) - q[k])
    return apart


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
    pinhole, notes = _camera(plane, setting.aspect, error)
    notes.append(f"the error assumes that corners were picked within {_click_px(setting)}")
    return _finish(Calibration(p, plane, pinhole, (), tuple(notes)), error, setting)


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


def _camera(plane: GroundPlane, aspect: float, error: PlaneError) -> tuple[Pinhole | None, list[str]]:
    try:
        return Pinhole.solve(plane, aspect, error), []
    except SiteError as exc:
        return None, [f"the ground {exc.text}; heads cannot be put onto the ground without the camera"]


def _finish(found: Calibration, error: PlaneError, setting: Setting) -> Calibration:
    """Say how well places are known, check by the distance, and refuse what is above a bound."""
    own = error.place_stderr_m(np.vstack((found.image, found.image.mean(axis=0))))
    if not float(np.max(own)) <= MAX_ERROR_M:
        worst = int(np.argmax(np.nan_to_num(own, nan=np.inf)))
        which = f"point {worst + 1}" if worst < len(found.image) else "their middle"
        raise SiteError(
            "ground",
            f"is known at {which} to {_metres(own[worst])} only, at most {MAX_ERROR_M:g} m is accepted: take "
            "points nearer to the camera or farther apart, or pick them in a larger picture",
        )
    spots = _spots(found, error, setting)
    found = replace(found, spots=spots)
    if setting.check is not None:
        found = _checked(found, error, setting.check)
    refuse_above_bound(found.spots)
    return found


def _metres(value: float) -> str:
    return f"{value:.2f} m" if math.isfinite(value) else "no accuracy"


def _spots(found: Calibration, error: PlaneError, setting: Setting) -> tuple[Spot, ...]:
    area = found.image if setting.watched is None or not len(setting.watched) else setting.watched
    middle, far = ends_of(found.plane, area)
    places = np.stack((middle, far))
    stderr, areas = error.place_stderr_m(places), error.area_error(places)
    return describe(found.plane, found.pinhole, places, stderr, areas)


def ends_of(plane: GroundPlane, area: Floats) -> tuple[Floats, Floats]:
    """Middle of an area in the picture and its far end: (m, 2) fractions -> (2,) and (2,) fractions.

    Raises:
        SiteError: a corner sees no ground.
    """
    if not plane.below_horizon(area).all():
        k = int(np.flatnonzero(~plane.below_horizon(area))[0])
        x, y = area[k]
        raise SiteError("ground", f"has its horizon below [{x:g}, {y:g}], which is to be watched")
    return area.mean(axis=0), area[int(np.argmax(plane.area_scale(area)))]


def describe(
    plane: GroundPlane, pinhole: Pinhole | None, places: Floats, place_stderr_m: Floats, area_error: Floats
) -> tuple[Spot, ...]:
    """Spots in the middle and at the far end.

    Args:
        plane: the ground.
        pinhole: the camera, if known.
        places: (2, 2) fractions of the picture.
        place_stderr_m: (2,) metres.
        area_error: (2,) shares.
    """
    ground = plane.to_ground(places)
    distance = height = np.full(len(places), np.nan)
    if pinhole is not None:
        distance = np.linalg.norm(ground - pinhole.position_m, axis=1)
        if pinhole.height_m > 1.75:
            height = pinhole.person_height(ground)
    names = ("in the middle", "at the far end")
    return tuple(
        Spot(
            name,
            (float(places[k, 0]), float(places[k, 1])),
            float(distance[k]),
            float(place_stderr_m[k]),
            float(area_error[k]),
            float(height[k]),
        )
        for k, name in enumerate(names)
    )


def refuse_above_bound(spots: Sequence[Spot], cure: str = "") -> None:
    """Refuse a calibration whose areas are known worse than `MAX_AREA_ERROR` at any of the spots.

    Raises:
        SiteError: with the cure.
    """
    for spot in spots:
        if not spot.area_error <= MAX_AREA_ERROR:
            known = in_words(spot.area_error) if math.isfinite(spot.area_error) else "nothing"
            raise SiteError(
                "ground",
                f"areas {spot.name} of what is watched are known to {known}, at most "
                f"±{MAX_AREA_ERROR:.0%} is accepted: "
                + (cure or "survey points out there as well, or draw the zones nearer to the camera"),
            )


def _checked(found: Calibration, error: PlaneError, check: Distance) -> Calibration:
    """Compare with a measured distance; what it is off counts as the error if that is more."""
    if not check.length_m > 0:
        raise SiteError("check", f"must be a distance in metres, got {check.length_m:g}")
    ends = np.array([check.start, check.end])
    if not found.plane.below_horizon(ends).all():
        raise SiteError("check", "has an end above the horizon, where there is no ground")

    def length(matrix: Floats) -> Floats:
        w = ends @ matrix[2, :2] + matrix[2, 2]
        ground = (ends @ matrix[:2, :2].T + matrix[:2, 2]) / w[:, None]
        return np.asarray(np.linalg.norm(ground[1] - ground[0]))

    seen = float(length(found.plane.matrix))
    off, doubt = abs(seen / check.length_m - 1), float(error.stderr(length)) / check.length_m
    if off > max(_OFF, 3 * doubt):
        raise SiteError(
            "check",
            f"of {check.length_m:g} m comes out as {seen:.2f} m, {off:.0%} off: measure both again",
        )
    note = f"the check of {check.length_m:g} m comes out as {seen:.2f} m"
    spots = tuple(replace(spot, area_error=max(spot.area_error, 2 * off)) for spot in found.spots)
    return replace(found, spots=spots, notes=(*found.notes, note))
