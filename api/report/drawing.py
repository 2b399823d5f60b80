"""A drawing as a list of marks: one layout, written as SVG or painted as pixels."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from api.report import palette
from api.report.words import Words
from edge.geometry import Floats, as_points

Anchor = str
"""Of a label: `start`, `middle` or `end` of the text lies at its x."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """How a line is drawn: colour, width and dashes (on, off, ...) in the drawing's units."""

    colour: str
    width: float = 1.0
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """A line or an area.

    Attributes:
        points: (n, 2) in the drawing's units, x to the right, y down.
        stroke: how its outline is drawn; None for no outline.
        fill: colour of its inside; None for none.
        opacity: of the inside, 0 to 1.
        closed: whether the outline returns to its start.
        role: what it shows, as the SVG's class; tests and style sheets find it by that.
        title: what a browser tells under the pointer.
    """

    points: Floats
    stroke: Stroke | None = None
    fill: str | None = None
    opacity: float = 1.0
    closed: bool = False
    role: str = ""
    title: Words | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Areas of one colour that touch each other: no seams may show.

    Attributes:
        quads: (n, 4, 2) corners in the drawing's units.
        fill: their colour.
        role: what they show.
    """

    quads: Floats
    fill: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A text.

    Attributes:
        x, y: where its baseline begins, has its middle or ends, in the drawing's units.
        text: in both languages.
        size: of the letters, in the same units.
        anchor: see `Anchor`.
        colour: of the letters.
        bold: whether they are.
        halo: whether paper shows around them, on coloured ground.
        role: what it says.
    """

    x: float
    y: float
    text: Words
    size: float = 12.0
    anchor: Anchor = "start"
    colour: str = palette.INK
    bold: bool = False
    halo: bool = False
    role: str = ""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """About the space it takes in either language: left, top, right, bottom."""
        width = max(text_width(self.text.en, self.size), text_width(self.text.zh, self.size))
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.y - 0.85 * self.size, left + width, self.y + 0.25 * self.size


Mark = Path | Cells | Label

_THIN = frozenset(" .,:;|!'()[]ijlftr·/-")


@dataclass(slots=True)
class Sheet:
    """Marks on a sheet, later ones over earlier ones.

    Attributes:
        width, height: of the sheet, in units that are pixels at the usual size.
        title: what it shows, for those who cannot see it.
        role: what it is.
        marks: in the order of drawing.
    """

    width: float
    height: float
    title: Words
    role: str = ""
    marks: list[Mark] = field(default_factory=list)

    def path(self, points: ArrayLike, stroke: Stroke | None = None, **more: object) -> None:
        """Add a line or an area through (n, 2) points; see `Path`."""
        self.marks.append(Path(as_points(points), stroke, **more))  # type: ignore[arg-type]

    def rect(self, left: float, top: float, right: float, bottom: float, **more: object) -> None:
        """Add a rectangle; see `Path`."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.path(corners, closed=True, **more)  # type: ignore[arg-type]

    def circle(self, x: float, y: float, radius: float, stroke: Stroke | None = None, **more: object) -> None:
        """Add a circle, as a polygon of 48 corners; see `Path`."""
        turn = np.arange(48) * (2 * np.pi / 48)
        points = np.column_stack((x + radius * np.cos(turn), y + radius * np.sin(turn)))
        self.path(points, stroke, closed=True, **more)

    def cells(self, quads: Floats, fill: str, role: str = "") -> None:
        """Add areas of one colour, (n, 4, 2) in the drawing's units; see `Cells`."""
        self.marks.append(Cells(quads, fill, role))

    def text(self, x: float, y: float, text: Words | str, **more: object) -> None:
        """Add a text at a place in the drawing's units; see `Label`."""
        words = Words.same(text) if isinstance(text, str) else text
        self.marks.append(Label(x, y, words, **more))  # type: ignore[arg-type]


def text_width(text: str, size: float) -> float:
    """About how wide a text is, in the units of `size`: enough to see what overlaps.

    >>> text_width("m", 10) < text_width("密", 10)
    True
    """
    wide = sum(ord(letter) >= 0x2E80 for letter in text)
    thin = sum(letter in _THIN for letter in text)
    return size * (wide + 0.32 * thin + 0.58 * (len(text) - wide - thin))
