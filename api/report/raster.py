"""Drawings as pixels, by OpenCV with its own fonts, Chinese too: no plotting library, no system fonts."""

from collections.abc import Iterator, Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from api.report import palette
from api.report.drawing import Cells, Label, Mark, Path, Sheet, Stroke
from api.report.words import Language
from edge.geometry import Floats

Painted = NDArray[np.uint8]
Colour = tuple[int, int, int]

_SHIFT = 4
"""Binary digits behind the point that OpenCV draws with."""
_MOST = 60_000
"""The most pixels a side that are painted; OpenCV's coordinates end at 2^31 / 2^`_SHIFT`."""
_WEIGHT = 400
_HALO = tuple((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0))


def paint(drawings: Sequence[Sheet], language: Language, scale: float = 2.0, margin: float = 20) -> Painted:
    """Paint drawings below each other.

    Args:
        drawings: what to paint, one at least.
        language: of the texts.
        scale: pixels per unit of the drawings, as a factor.
        margin: left free around them, in units of the drawings.

    Returns:
        (height, width, 3) uint8 BGR.
    """
    width = max(drawing.width for drawing in drawings) + 2 * margin
    height = sum(drawing.height for drawing in drawings) + 2 * margin
    scale = min(scale, _MOST / max(width, height))
    picture: Painted = np.full((round(height * scale), round(width * scale), 3), 255, np.uint8)
    painter, top = _Painter(picture, scale, language), margin
    for drawing in drawings:
        painter.at = np.array([margin, top])
        for mark in drawing.marks:
            painter.draw(mark)
        top += drawing.height
    return picture


class _Painter:
    """Marks onto a picture."""

    def __init__(self, picture: Painted, scale: float, language: Language) -> None:
        self.at = np.zeros(2)
        self._picture, self._scale, self._language = picture, scale, language
        self._font = _font()

    def draw(self, mark: Mark) -> None:
        if isinstance(mark, Label):
            self._label(mark)
        elif isinstance(mark, Cells):
            quads = [self._places(quad) for quad in mark.quads]
            for quad in quads:
                cv2.fillPoly(self._picture, [quad], _bgr(mark.fill), cv2.LINE_8, _SHIFT)
        elif len(mark.points):
            self._path(mark)

    def _places(self, points: Floats) -> NDArray[np.int32]:
        # OpenCV's pixels are centred on whole numbers, the drawings' on halves.
        places = ((points + self.at) * self._scale - 0.5) * 2**_SHIFT
        fixed: NDArray[np.int32] = np.round(places).astype(np.int32)
        return fixed

    def _path(self, path: Path) -> None:
        places = self._places(path.points)
        if path.fill:
            self._fill(places, _bgr(path.fill), path.opacity)
        if path.stroke:
            points = np.vstack((path.points, path.points[:1])) if path.closed else path.points
            self._outline(points, path.stroke)

    def _fill(self, places: NDArray[np.int32], colour: Colour, opacity: float) -> None:
        if opacity >= 1:
            cv2.fillPoly(self._picture, [places], colour, cv2.LINE_AA, _SHIFT)
            return
        low = np.maximum(places.min(axis=0) // 2**_SHIFT - 1, 0)
        high = places.max(axis=0) // 2**_SHIFT + 2
        part = self._picture[low[1] : high[1], low[0] : high[0]]
        if not part.size:
            return
        over = part.copy()
        cv2.fillPoly(over, [places - low.astype(np.int32) * 2**_SHIFT], colour, cv2.LINE_AA, _SHIFT)
        cv2.addWeighted(over, opacity, part, 1 - opacity, 0, dst=part)

    def _outline(self, points: Floats, stroke: Stroke) -> None:
        width = max(1, round(stroke.width * self._scale))
        for part in _dashed(points, stroke.dashes):
            cv2.polylines(
                self._picture, [self._places(part)], False, _bgr(stroke.colour), width, cv2.LINE_AA, _SHIFT
            )

    def _label(self, label: Label) -> None:
        x, y = (np.array([label.x, label.y]) + self.at) * self._scale
        if label.halo:
            for dx, dy in _HALO:
                self._write(label, x + dx * self._scale, y + dy * self._scale, palette.PAPER)
        self._write(label, x, y, label.colour)

    def _write(self, label: Label, x: float, y: float, colour: str) -> None:
        text, size = label.text.of(self._language), max(1, round(label.size * self._scale))
        left, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), self._font, size, _WEIGHT)
        x -= left + {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
        # The font has one weight: bold is twice, a little apart.
        for shift in (0, max(1, round(0.03 * size))) if label.bold else (0,):
            at = (round(float(x)) + shift, round(float(y)))
            cv2.putText(self._picture, text, at, _bgr(colour), self._font, size, _WEIGHT)


@cache
def _font() -> cv2.FontFace:
    """WenQuanYi Micro Hei, which OpenCV brings: Latin and Chinese; unpacking it takes a while."""
    return cv2.FontFace("uni")


def _bgr(colour: str) -> Colour:
    red, green, blue = palette.rgb(colour)
    return blue, green, red


def _dashed(points: Floats, dashes: tuple[float, ...]) -> Iterator[Floats]:
    """The drawn parts of a polyline, (n, 2) -> (m, 2) each."""
    if not dashes or len(points) < 2:
        yield points
        return
    steps = np.hypot(*np.diff(points, axis=0).T)
    reached = np.concatenate(([0.0], np.cumsum(steps)))
    start, k = 0.0, 0
    while start < reached[-1]:
        end = min(start + dashes[k % len(dashes)], float(reached[-1]))
        if k % 2 == 0:
            within = (reached > start) & (reached < end)
            ends = [[np.interp(at, reached, points[:, axis]) for axis in (0, 1)] for at in (start, end)]
            yield np.vstack((ends[0], points[within], ends[1]))
        start, k = end, k + 1
