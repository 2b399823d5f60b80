"""The calibrated ground as seen, drawn as lines only: a metre grid, and how tall people look."""

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from api.errors import USAGE, CommandError
from edge.calibration import Calibration
from edge.geometry import Floats
from edge.ground import GroundPlane

Drawing = NDArray[np.uint8]

_PAPER, _FINE, _BOLD = (250, 250, 250), (226, 220, 214), (176, 160, 144)
_INK, _PERSON, _POINT, _ZONE = (60, 50, 44), (40, 110, 20), (30, 60, 200), (200, 120, 20)
_MOST_LINES = 120
_EVERY_M = 5
_LEAST = 0.06
"""People who look smaller, as a fraction of the picture's height, are not marked: they would overlap."""
_SHIFT = 4
"""Binary digits behind the point that lines are drawn with."""


def draw(found: Calibration, size: tuple[int, int], zones: tuple[Floats, ...] = ()) -> Drawing:
    """Lines on a plain background: a grid of metres, every fifth bold, and people 1.7 m tall every 5 m.

    Args:
        found: the calibration.
        size: width and height in pixels.
        zones: polygons, (m, 2) fractions of the picture each.

    Returns:
        (height, width, 3) uint8 BGR.
    """
    picture: Drawing = np.full((size[1], size[0], 3), _PAPER, np.uint8)
    low, high = _extent(found.plane)
    step = max(1, math.ceil(float((high - low).max()) / _MOST_LINES))
    for bold in (False, True):
        _grid(picture, found.plane, (low, high), (step * _EVERY_M if bold else step, bold))
    for zone in zones:
        corners = np.round(zone * size * 2**_SHIFT).astype(np.int32)
        cv2.polylines(picture, [corners], True, _ZONE, 2, cv2.LINE_AA, _SHIFT)
    _people(picture, found, (low, high), step * _EVERY_M)
    for x, y in found.image * size:
        cv2.drawMarker(picture, (round(x), round(y)), _POINT, cv2.MARKER_TILTED_CROSS, 12, 2, cv2.LINE_AA)
    _legend(picture, found, step)
    return picture


def write(path: Path, picture: Drawing) -> None:
    """Write a picture, (height, width, 3) uint8 BGR, as PNG.

    Raises:
        CommandError: the name does not end in .png.
        OSError: it cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise CommandError(f"{path}: --picture writes PNG: give a name that ends in .png", USAGE)
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise CommandError(f"{path}: the picture cannot be encoded")
    path.write_bytes(data.tobytes())


def _extent(plane: GroundPlane) -> tuple[Floats, Floats]:
    """Whole metres around the ground that is drawn: where the picture shows it, not beyond reason."""
    v, u = np.meshgrid(np.linspace(0, 1, 41), np.linspace(0, 1, 9))
    points = np.column_stack((u.ravel(), v.ravel()))
    points = points[plane.below_horizon(points)]
    own = float(np.nanmax(plane.area_scale(plane.to_image(plane.surveyed))))
    # Ground that is 9 times as coarse as the farthest point's is drawn too small to read.
    near = points[plane.area_scale(points) < 9 * own]
    ground = plane.to_ground(near)
    return np.floor(ground.min(axis=0)), np.ceil(ground.max(axis=0))


def _grid(
    picture: Drawing, plane: GroundPlane, extent: tuple[Floats, Floats], kind: tuple[int, bool]
) -> None:
    (low, high), (step, bold) = extent, kind
    colour, width = (_BOLD, 2) if bold else (_FINE, 1)
    for axis in (0, 1):
        along = np.linspace(low[1 - axis], high[1 - axis], 200)
        for place in np.arange(math.ceil(low[axis] / step) * step, high[axis] + 1e-9, step):
            line = np.empty((len(along), 2))
            line[:, axis], line[:, 1 - axis] = place, along
            _polyline(picture, plane.to_image(line), colour, width)


def _polyline(picture: Drawing, line: Floats, colour: tuple[int, int, int], width: int) -> None:
    """Draw what of a line lies in or near the picture; the rest would leave the integers' range."""
    size = (picture.shape[1], picture.shape[0])
    near = np.asarray(np.isfinite(line).all(axis=1) & (np.abs(np.nan_to_num(line) - 0.5) < 2).all(axis=1))
    for part in np.split(np.arange(len(line)), np.flatnonzero(~near)):
        part = part[near[part]]  # noqa: PLW2901 - the point that splits belongs to neither part
        if len(part) > 1:
            points = np.round(line[part] * size * 2**_SHIFT).astype(np.int32)
            cv2.polylines(picture, [points], False, colour, width, cv2.LINE_AA, _SHIFT)


def _people(picture: Drawing, found: Calibration, extent: tuple[Floats, Floats], step: int) -> None:
    camera = found.pinhole
    if camera is None or camera.height_m <= 1.75:
        return
    low, high = extent
    columns, rows = (
        np.arange(math.ceil(low[k] / step) * step, high[k] + 1e-9, step, dtype=np.float64) for k in (0, 1)
    )
    feet = np.array([(x, y) for x in columns for y in rows]).reshape(-1, 2)
    size = np.array([picture.shape[1], picture.shape[0]])
    below, above = found.plane.to_image(feet) * size, camera.to_image_at(feet, 1.7) * size
    tall = camera.person_px(feet, picture.shape[0])
    for foot, head, px in zip(below, above, tall, strict=True):
        inside = np.isfinite((*foot, *head)).all() and (foot >= 0).all() and (foot < size).all()
        if not inside or px < _LEAST * size[1] or np.abs(head).max() > 1e5:
            continue
        ends = [(round(p[0]), round(p[1])) for p in (foot, head)]
        cv2.line(picture, ends[0], ends[1], _PERSON, 2, cv2.LINE_AA)
        cv2.circle(picture, ends[1], max(2, round(px * 0.06)), _PERSON, -1, cv2.LINE_AA)
        _text(picture, f"{px:.0f}", (ends[0][0] + 4, ends[0][1] - 3), _PERSON)


def _legend(picture: Drawing, found: Calibration, step: int) -> None:
    lines = [f"lines every {step} m, bold every {step * _EVERY_M} m; green: 1.7 m people, px tall"]
    if found.pinhole is not None:
        camera = found.pinhole
        lines.append(
            f"camera {camera.height_m:.1f} m high, {camera.tilt_deg:.0f} deg down, "
            f"{camera.hfov_deg:.0f} deg wide"
        )
    for k, line in enumerate(lines):
        _text(picture, line, (10, 22 + 20 * k), _INK)


def _text(picture: Drawing, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    for ink, width in ((_PAPER, 4), (colour, 1)):
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, width, cv2.LINE_AA)
