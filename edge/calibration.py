"""What a calibration of the ground is, how well it is known, and when that is not enough.

Every way ends in points for the configuration's `ground:` section, so that nothing else has to know the way,
and in an honest error. Two bounds refuse a calibration:

- a place among the points it was made of is known worse than `edge.ground.MAX_ERROR_M` (0.3 m), where there
  are such points;
- the ground area at the far end of what is watched is known worse than `MAX_AREA_ERROR` (20 %). A density is
  as uncertain as its area, and the narrowest step between two danger levels is from 4 to 5 per m2, 25 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.errors import SiteError
from edge.geometry import Floats
from edge.ground import MAX_ERROR_M, GroundPlane
from edge.pinhole import Pinhole
from edge.plane_error import CLICK, PlaneError, in_words

MAX_AREA_ERROR = 0.2
"""Highest accepted relative standard error of ground areas."""
CELL_M = 2.0
"""Side of the smallest cell on which densities are told, 4 m2."""
_LENS = 0.15
"""The focal length may differ by so much from the lens's, or by three standard errors if that is more."""
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
        together: whether places are off together, as those of a camera whose scale is unsure are, and not
            each on its own, as surveyed points are.
    """

    image: Floats
    plane: GroundPlane
    pinhole: Pinhole | None
    spots: tuple[Spot, ...]
    notes: tuple[str, ...] = ()
    together: bool = False

    @property
    def area_error(self) -> float:
        """Largest relative standard error of areas among the spots, a share."""
        return max(spot.area_error for spot in self.spots)

    @property
    def place_stderr_m(self) -> float:
        """Standard error of a place in the middle of what is watched against places around it, in metres.

        Where all are off together, places a cell apart (`CELL_M`) are off against each other by no more than
        the area's relative error of that.
        """
        return self.spots[0].area_error * CELL_M if self.together else self.spots[0].place_stderr_m


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
        aspect: its width over its height, a ratio.
        click: standard error of picking a point, as a share of the picture's height.
        watched: (m, 2) fractions, corners of the zones; none: the points themselves.
        check: a distance to check by.
        hfov_deg: horizontal field of view in degrees to check by, as on the lens's data sheet.
    """

    aspect: float = 16 / 9
    click: float = CLICK
    watched: Floats | None = None
    check: Distance | None = None
    hfov_deg: float | None = None


def camera_of(plane: GroundPlane, aspect: float, error: PlaneError) -> tuple[Pinhole | None, list[str]]:
    """The whole camera, or None and a note that says why the view does not tell it.

    Args:
        plane: the ground.
        aspect: the picture's width over its height, a ratio.
        error: of the plane.
    """
    try:
        return Pinhole.solve(plane, aspect, error), []
    except SiteError as exc:
        return None, [f"the ground {exc.text}; heads cannot be put onto the ground without the camera"]


def finish(found: Calibration, error: PlaneError, setting: Setting) -> Calibration:
    """Say how well places are known, check by lens and distance, and refuse what is above a bound.

    Args:
        found: without its spots yet.
        error: of its plane.
        setting: what is watched, and what to check by.

    Raises:
        SiteError: the error is above a bound, or a check fails.
    """
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
    if setting.hfov_deg is not None and found.pinhole is not None:
        _check_lens(found.pinhole, setting.hfov_deg)
    if setting.check is not None:
        found = _checked(found, error, setting.check)
    refuse_above_bound(found.spots)
    return found


def _check_lens(camera: Pinhole, hfov_deg: float) -> None:
    focal = camera.aspect / 2 / math.tan(math.radians(hfov_deg) / 2)
    if abs(math.log(camera.focal / focal)) > max(_LENS, 3 * camera.focal_error):
        raise SiteError(
            "ground",
            f"is seen {camera.hfov_deg:.0f} degrees wide if the metres are right, but the lens sees "
            f"{hfov_deg:g}: are width and length swapped, or the picture cropped?",
        )


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
