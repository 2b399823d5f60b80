"""Which incidents are one case: same kind, same or neighbouring place, close in time. Pure.

Every incident has marks (its grid, its camera, its cell on the map), all with its kind, by which a database
finds those that may be near; `near` then decides. So the search never looks at all open cases.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from api.center.tables import MergeOptions

EARTH_M = 6_371_008.8
"""Mean radius of the Earth, R1 of IUGG."""
_DEGREE_M = math.pi * EARTH_M / 180
_SLACK = 1.0001
"""Cells are so much larger than the radius: more than all rounding."""


class Sighting(NamedTuple):
    """Where, when and of what kind an incident was seen.

    Attributes:
        kind: such as `crowd.density`.
        camera: `node/camera`.
        grid: 15 digits; None where the site does not say.
        longitude, latitude: degrees; None where the site does not say.
        at_ms: when.
    """

    kind: str
    camera: str
    grid: str | None
    longitude: float | None
    latitude: float | None
    at_ms: int


class Mark(NamedTuple):
    """A place that a case was seen at, under one key.

    Attributes:
        key: kind and grid, camera or cell.
        longitude, latitude: degrees of the camera; only of a cell.
    """

    key: str
    longitude: float | None = None
    latitude: float | None = None


def marks(sighting: Sighting, options: MergeOptions) -> Iterator[Mark]:
    """Under which keys an incident's case is to be found from now on."""
    kind = sighting.kind
    yield Mark(f"{kind}|c|{sighting.camera}")
    if sighting.grid is not None:
        yield Mark(f"{kind}|g|{sighting.grid}")
    if options.radius_m and sighting.longitude is not None and sighting.latitude is not None:
        row, column = _cell(sighting.longitude, sighting.latitude, options.radius_m)
        yield Mark(_cell_key(kind, options, row, column), sighting.longitude, sighting.latitude)


def searched(sighting: Sighting, options: MergeOptions) -> Iterator[str]:
    """Under which keys a case may be that an incident belongs to; cells are to be checked by `near`."""
    kind = sighting.kind
    yield f"{kind}|c|{sighting.camera}"
    yield from (f"{kind}|c|{camera}" for camera in sorted(options.beside(sighting.camera)))
    if sighting.grid is not None:
        yield f"{kind}|g|{sighting.grid}"
    if options.radius_m and sighting.longitude is not None and sighting.latitude is not None:
        middle, _ = _cell(sighting.longitude, sighting.latitude, options.radius_m)
        for row in (middle - 1, middle, middle + 1):
            column = _column(sighting.longitude, row, options.radius_m)
            yield from (_cell_key(kind, options, row, column + k) for k in (-1, 0, 1))


def near(sighting: Sighting, mark: Mark, options: MergeOptions) -> bool:
    """Whether a mark that was found under one of the searched keys is near indeed."""
    if mark.longitude is None or mark.latitude is None:
        return True
    if sighting.longitude is None or sighting.latitude is None:
        return False
    there_m = metres(sighting.longitude, sighting.latitude, mark.longitude, mark.latitude)
    return there_m <= options.radius_m


def in_time(at_ms: int, first_ms: int, last_ms: int, options: MergeOptions) -> bool:
    """Whether a moment lies within the window around a case's time."""
    window_ms = round(options.window_s * 1000)
    return first_ms - window_ms <= at_ms <= last_ms + window_ms


def metres(longitude_a: float, latitude_a: float, longitude_b: float, latitude_b: float) -> float:
    """Distance of two places on the Earth in metres, by the haversine formula; all angles in degrees.

    Example:
        >>> round(metres(115.9, 28.68, 115.9, 28.69))
        1112
    """
    a, b = math.radians(latitude_a), math.radians(latitude_b)
    across = math.sin(math.radians(longitude_b - longitude_a) / 2) ** 2
    h = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * across
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(h)))


def _cell_key(kind: str, options: MergeOptions, row: int, column: int) -> str:
    # the size belongs to the key: after another radius was configured, cells of old cases mean nothing
    return f"{kind}|m{options.radius_m:g}|{row}|{column}"


def _cell(longitude: float, latitude: float, radius_m: float) -> tuple[int, int]:
    row = math.floor(latitude * _DEGREE_M / (radius_m * _SLACK))
    return row, _column(longitude, row, radius_m)


def _column(longitude: float, row: int, radius_m: float) -> int:
    """The column of a row's cells.

    These and those of the rows beside it are nowhere narrower than the radius, so
    what is near lies in the next cell at most; no cell crosses the 180th meridian.
    """
    size_m = radius_m * _SLACK
    latitude = min(89.0, max(abs(row - 1), abs(row + 2)) * size_m / _DEGREE_M)
    return math.floor(longitude * _DEGREE_M * math.cos(math.radians(latitude)) / size_m)
