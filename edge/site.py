"""What a camera looks at: zones, lines and the ground, checked against each other and the picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from edge.crowd import Floor
from edge.errors import SiteError
from edge.geometry import (
    Floats,
    area_stderr,
    as_points,
    clip_half_plane,
    points_in_polygon,
    polygon_area,
    self_intersects,
)
from edge.ground import GroundPlane, hull_share
from edge.pinhole import Pinhole
from edge.sections import GroundPoint, LineConfig, ZoneConfig

_LEAST_PICTURE_SHARE = 1e-4
_LEAST_GROUND_M2 = 0.25
_EXTRAPOLATED = 0.25
_ROUNDING = 1.05
_FRACTIONS = "give fractions of its width and height, 0 to 1"
_USUAL_ASPECT = 16 / 9
_HIGHEST_M, _LOWEST_M = 150.0, 1.0
"""Cameras hang lower and higher than this only where a survey was not in metres."""


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """An area that is watched.

    Attributes:
        id: from the configuration.
        polygon: (m, 2) float64 corners in `units`.
        units: `image` for fractions of the picture, `ground` for metres.
        floor: its ground in metres; None where the camera has no ground plane.
        visible_share: part of the area that the picture shows, in (0, 1].
        capacity: persons it is declared to hold; None where that is not declared.
    """

    id: str
    polygon: Floats
    units: str
    floor: Floor | None
    visible_share: float = 1.0
    capacity: int | None = None

    def holds(self, feet: Floats, ground: Floats | None) -> NDArray[np.bool_]:
        """Who stands inside: feet (n, 2) fractions and, on a calibrated camera, metres -> (n,) bool."""
        if self.units == "image":
            return points_in_polygon(feet, self.polygon)
        if ground is None:
            raise ValueError(f"zone {self.id!r} is in metres and needs ground points")
        return points_in_polygon(ground, self.polygon)


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line that is watched.

    Attributes:
        id: from the configuration.
        start, end: (2,) float64 each, as fractions of the picture.
        ground: (2, 2) float64, start and end in metres; None where the camera is not calibrated, or an end
            lies above the horizon.
    """

    id: str
    start: Floats
    end: Floats
    ground: Floats | None = None


class Demand(Protocol):
    """A rule, as far as it asks something of the site."""

    def check(self, site: "Site", /) -> None:
        """Refuse a site that cannot give what the rule needs, by a SiteError with the key below the rule."""


class Surveyed(Protocol):
    """A camera's configuration, as far as it says what the camera looks at."""

    @property
    def id(self) -> str:
        """The camera's id."""

    @property
    def ground(self) -> Sequence[GroundPoint]:
        """Surveyed points."""

    @property
    def ground_error_m(self) -> float | None:
        """Standard error of a place on the ground; None: the points tell it."""

    @property
    def ground_area_error(self) -> float | None:
        """Standard error of ground areas, as a share; None: the points tell it."""

    @property
    def zones(self) -> Sequence[ZoneConfig]:
        """Areas."""

    @property
    def lines(self) -> Sequence[LineConfig]:
        """Lines."""

    @property
    def rules(self) -> Sequence[Demand]:
        """What is watched."""


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One camera's zones, lines and ground.

    Attributes:
        zones, lines: in the configuration's order.
        ground: None where the camera is not calibrated.
        ground_error_m: standard error of a place on the ground in metres; None where it cannot be told.
        notes: what is accepted but worth knowing, in plain words.
    """

    zones: tuple[Zone, ...]
    lines: tuple[Line, ...]
    ground: GroundPlane | None
    notes: tuple[str, ...] = ()
    ground_error_m: float | None = None

    @classmethod
    def from_config(cls, camera: Surveyed) -> Self:
        """Fit the ground plane and check all places.

        Raises:
            SiteError: with the key below the camera and its id.
        """
        try:
            plane = _plane(camera)
            doubt = _doubt(camera, plane)
            zones = tuple(_zone(k, zone, plane, doubt) for k, zone in enumerate(camera.zones))
            lines = tuple(_line(k, line, plane) for k, line in enumerate(camera.lines))
            site = cls(zones, lines, plane, _notes(plane, zones, doubt), doubt.place_m)
            for k, rule in enumerate(camera.rules):
                _meet(k, rule, site)
        except SiteError as exc:
            raise SiteError(exc.key, exc.text, camera.id) from None
        return site

    def without_ground(self) -> Self:
        """The same places on a camera that is not calibrated; zones in metres cannot tell who is in them."""
        return replace(
            self,
            zones=tuple(replace(zone, floor=None) for zone in self.zones),
            lines=tuple(replace(line, ground=None) for line in self.lines),
            ground=None,
            ground_error_m=None,
        )

    def zone(self, zone_id: str) -> Zone:
        """The zone with this id.

        Raises:
            KeyError: there is none.
        """
        for zone in self.zones:
            if zone.id == zone_id:
                return zone
        raise KeyError(zone_id)

    def line(self, line_id: str) -> Line:
        """The line with this id.

        Raises:
            KeyError: there is none.
        """
        for line in self.lines:
            if line.id == line_id:
                return line
        raise KeyError(line_id)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Errors of the ground: of a place in metres, None where it cannot be told, and of areas as a share."""

    place_m: float | None
    area: float | None


def _doubt(camera: Surveyed, plane: GroundPlane | None) -> _Doubt:
    """What the configuration says of the ground's errors, else what the surveyed points show."""
    measured = plane.rmse_m if plane is not None and plane.redundancy else None
    declared = camera.ground_error_m
    return _Doubt(measured if declared is None else declared, camera.ground_area_error)


def _plane(camera: Surveyed) -> GroundPlane | None:
    if not camera.ground:
        return None
    for k, point in enumerate(camera.ground):
        if not all(-0.5 <= x <= 1.5 for x in point.image):
            raise SiteError(
                f"ground[{k}].image", f"{_at(point.image)} lies far outside the picture: {_FRACTIONS}"
            )
    return GroundPlane.fit([p.image for p in camera.ground], [p.ground for p in camera.ground])


def _at(point: tuple[float, float] | Floats) -> str:
    return f"[{point[0]:g}, {point[1]:g}]"


def _inside_picture(key: str, points: Floats) -> None:
    for k, (x, y) in enumerate(points):
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise SiteError(
                f"{key}[{k}]",
                f"[{x:g}, {y:g}] lies outside the picture: {_FRACTIONS}",
            )


def _zone(index: int, zone: ZoneConfig, plane: GroundPlane | None, doubt: _Doubt) -> Zone:
    key, corners = f"zones[{index}].polygon", as_points(zone.polygon)
    if zone.units == "image":
        _inside_picture(key, corners)
    least = _LEAST_PICTURE_SHARE if zone.units == "image" else _LEAST_GROUND_M2
    on_a_line = np.linalg.matrix_rank(corners - corners[0], tol=1e-9) < 2
    if on_a_line or (polygon_area(corners) < least and not self_intersects(corners)):
        raise SiteError(key, "has (nearly) no area: give its corners in order around the place")
    if self_intersects(corners):
        raise SiteError(key, "crosses itself: list the corners in order around the zone")
    if plane is None:
        return Zone(zone.id, corners, zone.units, None, 1.0, zone.capacity)
    floor, share = _floor(index, zone, plane, doubt)
    return Zone(zone.id, corners, zone.units, floor, share, zone.capacity)


def _floor(index: int, zone: ZoneConfig, plane: GroundPlane, doubt: _Doubt) -> tuple[Floor, float]:
    """The ground that the camera sees of a zone, and how much of the zone that is."""
    key, corners = f"zones[{index}].polygon", as_points(zone.polygon)
    place_m = doubt.place_m or 0.0
    sigma = place_m / math.sqrt(2)  # of one coordinate
    share, spread = 1.0, 0.0
    if zone.units == "image":
        if not plane.below_horizon(corners).all():
            corner = int(np.flatnonzero(~plane.below_horizon(corners))[0])
            raise SiteError(
                f"{key}[{corner}]", "lies above the horizon, where there is no ground: draw it lower"
            )
        visible = plane.to_ground(corners)
        whole = polygon_area(visible)
        spread = area_stderr(visible, sigma) if doubt.area is None else whole * doubt.area
    else:
        visible, whole = corners, polygon_area(corners)
        for edge in plane.picture_edges():
            visible = clip_half_plane(visible, edge)
        share = polygon_area(visible) / whole
        if share < 0.01:
            raise SiteError(
                key, "lies outside the picture: check its metres against the surveyed points' frame"
            )
        spread = whole * share * (doubt.area or 0.0)  # the metres of its corners are the calibration's
    area = whole * share
    if zone.walkable_m2 is not None:
        if zone.walkable_m2 > whole * _ROUNDING:
            raise SiteError(
                f"zones[{index}].walkable_m2",
                f"{zone.walkable_m2:g} m2 is more than the polygon's {whole:.1f} m2 on the ground",
            )
        area, spread = zone.walkable_m2 * share, 0.0
    return Floor(visible, area, spread, place_m), share


def _line(index: int, line: LineConfig, plane: GroundPlane | None) -> Line:
    key, points = f"lines[{index}].points", as_points(line.points)
    if (points[0] == points[1]).all():
        raise SiteError(key, "starts and ends at the same point: give it two")
    ground: Floats | None = None
    if line.units == "image":
        _inside_picture(key, points)
        if plane is not None and plane.below_horizon(points).all():
            ground = plane.to_ground(points)
    elif plane is not None:
        ground, points = points, plane.to_image(points)
        if not np.isfinite(points).all():
            raise SiteError(key, "reaches behind the camera: check its metres, or end it in view")
        if not _crosses_picture(points):
            raise SiteError(
                key, "lies outside the picture: check its metres against the surveyed points' frame"
            )
    return Line(line.id, points[0], points[1], ground)


def _crosses_picture(points: Floats) -> bool:
    """Whether a segment (2, 2) meets the unit square, by Liang and Barsky's parametric clipping."""
    start, way = points[0], points[1] - points[0]
    low, high = 0.0, 1.0
    for x, dx in zip(start, way, strict=True):
        if dx == 0:
            if not 0 <= x <= 1:
                return False
            continue
        one, other = sorted((-x / dx, (1 - x) / dx))
        low, high = max(low, one), min(high, other)
    return low < high


def _meet(index: int, rule: Demand, site: Site) -> None:
    try:
        rule.check(site)
    except SiteError as exc:
        raise SiteError(f"rules[{index}].{exc.key}", exc.text) from None


def _notes(plane: GroundPlane | None, zones: tuple[Zone, ...], doubt: _Doubt) -> tuple[str, ...]:
    notes = []
    if plane is not None and doubt.place_m is None:
        notes.append("four surveyed points fit any plane: their error cannot be told; survey seven or more")
    pinhole = None if plane is None else Pinhole.from_plane(plane, _USUAL_ASPECT)
    if pinhole is not None and not _LOWEST_M <= pinhole.height_m <= _HIGHEST_M:
        notes.append(
            f"the survey puts the camera {pinhole.height_m:.3g} m above the ground: are its points in metres?"
        )
    if plane is not None and not plane.right_handed:
        notes.append("the survey's y axis runs towards the camera, or two of its points are swapped")
    for zone in zones:
        if zone.floor is None:
            if zone.capacity is not None:
                notes.append(
                    f"zone {zone.id!r}: without ground points there is no density, only a share of capacity"
                )
            continue
        if zone.visible_share < 0.99:
            notes.append(f"zone {zone.id!r}: the picture shows {zone.visible_share:.0%} of it")
        if plane is not None and hull_share(plane, zone.floor.polygon) < _EXTRAPOLATED:
            notes.append(f"zone {zone.id!r} reaches far beyond the surveyed points; its area is uncertain")
    return tuple(notes)
