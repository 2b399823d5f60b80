"""Drawings as SVG: text escaped, nothing fetched, both languages in it."""

import html
import re
from collections.abc import Iterator

import numpy as np

from api.report.drawing import Cells, Label, Mark, Path, Sheet, Stroke
from api.report.palette import PAPER
from api.report.words import Words
from edge.geometry import Floats

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 does not allow, even escaped."""


def escape(text: str) -> str:
    r"""Text as it may stand in HTML, XML and their quoted attributes.

    >>> escape('<b>"&\x00')
    '&lt;b&gt;&quot;&amp;�'
    """
    return html.escape(_FORBIDDEN.sub("\ufffd", text), quote=True)


def in_both(words: Words, tag: str, attributes: str = "") -> str:
    """Text as an element, or as one of each language of which the page shows one."""
    if words.en == words.zh:
        return f"<{tag}{attributes}>{escape(words.en)}</{tag}>"
    return "".join(
        f'<{tag}{attributes} class="{language}" lang="{language}">{escape(words.of(language))}</{tag}>'
        for language in ("en", "zh")
    )


def write(drawing: Sheet) -> str:
    """A drawing as one SVG element."""
    width, height = _figure(drawing.width), _figure(drawing.height)
    role = f' class="{escape(drawing.role)}"' if drawing.role else ""
    title = escape(f"{drawing.title.en} {drawing.title.zh}")
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
            f' aria-label="{title}"{role}>'
        )
    ]
    for mark in drawing.marks:
        lines.extend(_mark(mark))
    return "\n".join((*lines, "</svg>"))


def _mark(mark: Mark) -> Iterator[str]:
    if isinstance(mark, Label):
        yield _label(mark)
    elif isinstance(mark, Cells):
        yield (
            f'<path{_role(mark.role)} d="{"".join(map(_outline, mark.quads))}" fill="{mark.fill}"'
            f' stroke="{mark.fill}" stroke-width=".7"/>'
        )
    else:
        yield _path(mark)


def _path(path: Path) -> str:
    if not len(path.points):
        return ""
    fill = f' fill="{path.fill}"' if path.fill else ' fill="none"'
    if path.fill and path.opacity < 1:
        fill += f' fill-opacity="{_figure(path.opacity, 2)}"'
    shape = f'd="{_outline(path.points, closed=path.closed)}"{fill}{_stroke(path.stroke)}'
    if path.title is None:
        return f"<path{_role(path.role)} {shape}/>"
    title = escape(path.title.en if path.title.en == path.title.zh else f"{path.title.en} {path.title.zh}")
    return f"<path{_role(path.role)} {shape}><title>{title}</title></path>"


def _stroke(stroke: Stroke | None) -> str:
    if stroke is None:
        return ""
    dashes = f' stroke-dasharray="{" ".join(map(_figure, stroke.dashes))}"' if stroke.dashes else ""
    return f' stroke="{stroke.colour}" stroke-width="{_figure(stroke.width)}"{dashes}'


def _label(label: Label) -> str:
    attributes = f' x="{_figure(label.x)}" y="{_figure(label.y)}" font-size="{_figure(label.size)}"'
    attributes += f' fill="{label.colour}"'
    if label.anchor != "start":
        attributes += f' text-anchor="{label.anchor}"'
    if label.bold:
        attributes += ' font-weight="600"'
    if label.halo:
        attributes += f' stroke="{PAPER}" stroke-width="3" stroke-linejoin="round" paint-order="stroke"'
    if label.role:
        attributes += f' data-role="{escape(label.role)}"'
    return in_both(label.text, "text", attributes)


def _role(role: str) -> str:
    return f' class="{escape(role)}"' if role else ""


def _outline(points: Floats, *, closed: bool = True) -> str:
    steps = "L".join(f"{_figure(x)} {_figure(y)}" for x, y in np.asarray(points).tolist())
    return f"M{steps}{'Z' if closed else ''}"


def _figure(value: float, digits: int = 1) -> str:
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
