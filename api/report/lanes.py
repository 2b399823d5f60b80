"""Incidents over time: one lane for each kind and place, coloured and numbered by level."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from api.report import palette
from api.report.drawing import Sheet, Stroke
from api.report.scales import Panel
from api.report.timeline import Moments, Span, Spans
from api.report.words import LEVELS, Words, clock, kind_words

_NAME, _BAR, _GAP = 16.0, 18.0, 6.0
_LEAST_WIDTH = 1.5
"""A short incident is still seen."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """Incidents of some places."""

    spans: tuple[Span, ...]
    moments: tuple[Moments, ...]

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Kind and place of each lane, in the order of their first incidents, moments last."""
        seen = dict.fromkeys((span.kind, span.zone) for span in self.spans)
        return [*seen, *((moments.kind, moments.zone) for moments in self.moments)]


def lanes_of(spans: Spans, wanted: Callable[[str], bool]) -> Lanes:
    """The incidents of those places that are wanted, by their ids."""
    return Lanes(
        tuple(span for span in spans.all if wanted(span.zone)),
        tuple(moments for moments in spans.moments.values() if wanted(moments.zone)),
    )


def lanes_height(lanes: Lanes, *, named: bool = False) -> float:
    """How much room they take, in the drawing's units."""
    rows = len(lanes.rows)
    return rows * (_NAME + _BAR + _GAP) + (0.0 if rows or named else 2.0)


def shade(card: Sheet, panel: Panel, spans: Sequence[Span]) -> None:
    """Tint the times of incidents in a plot."""
    for span in spans:
        for begin, end, level in span.parts(panel.end_s):
            left, right = _sides(panel, begin, end)
            colour = palette.LEVELS[level]
            card.rect(left, panel.top, right, panel.bottom, fill=colour, opacity=0.13, role=f"shade l{level}")


def draw_lanes(card: Sheet, panel: Panel, lanes: Lanes, *, named: bool = False) -> None:
    """Draw all lanes below each other from the panel's top on, with their places' names if wanted."""
    top = panel.top
    for kind, place in lanes.rows:
        spans = [span for span in lanes.spans if (span.kind, span.zone) == (kind, place)]
        moments = [m for m in lanes.moments if (m.kind, m.zone) == (kind, place)]
        name = kind_words(kind) + (f" · {place}" if named else "")
        if spans:
            name += _told(spans)
        for each in moments:
            name += Words(f" · {each.total} times", f" · {each.total} 次")
        card.text(panel.left, top + _NAME - 4, name, size=11.5, colour=palette.QUIET, role="lane")
        bottom = top + _NAME + _BAR
        for span in spans:
            _bar(card, panel, span, bottom)
        for each in moments:
            _strokes(card, panel, each, bottom)
        card.path([(panel.left, bottom), (panel.right, bottom)], Stroke(palette.EDGE))
        top = bottom + _GAP


def _told(spans: Sequence[Span]) -> Words:
    worst = LEVELS[min(span.worst for span in spans)]
    if len(spans) == 1:
        return Words(f" · at worst {worst.en}", f" · 最高 {worst.zh}")
    return Words(f" · {len(spans)} incidents, at worst {worst.en}", f" · {len(spans)} 起，最高 {worst.zh}")


def _bar(card: Sheet, panel: Panel, span: Span, bottom: float) -> None:
    first = span.levels[0][0]
    if span.started_s < first:
        left, right = panel.x([span.started_s, first])
        card.path([(left, bottom - 2), (right, bottom - 2)], Stroke(palette.INK, 2.0, (2, 2)), role="before")
    for begin, end, level in span.parts(panel.end_s):
        left, right = _sides(panel, begin, end)
        title = kind_words(span.kind) + f" {span.zone} " + LEVELS[level] + f" {clock(begin)} – {clock(end)}"
        # Higher where it is worse: red and orange differ for everybody.
        top = bottom - _BAR + 2.0 * (level - 1)
        colour = palette.LEVELS[level]
        card.rect(left, top, right, bottom, fill=colour, title=title, role=f"incident l{level}")
        if right - left >= 20:
            text = f"L{level}"
            middle, ink = (left + right) / 2, palette.ON_LEVEL[level]
            card.text(middle, bottom - 2.5, text, size=10, anchor="middle", colour=ink, bold=True)
    if span.cut or span.end_s is None:
        x = float(panel.x(panel.end_s)) + 3
        arrow = [(x, bottom - _BAR / 2 - 5), (x + 7, bottom - _BAR / 2), (x, bottom - _BAR / 2 + 5)]
        title = Words("still open when the clip ended", "视频结束时尚未结束")
        card.path(arrow, fill=palette.QUIET, closed=True, title=title, role="open")


def _strokes(card: Sheet, panel: Panel, moments: Moments, bottom: float) -> None:
    """A stroke for each bin in which something happened, higher for more."""
    rows = np.flatnonzero(moments.counts)
    for row, at in zip(rows, moments.at(rows), strict=True):
        share = float(moments.counts[row] / moments.counts.max())
        x, top = float(panel.x(at)), bottom - _BAR * (0.5 + 0.5 * share)
        title = kind_words(moments.kind) + f" {clock(float(at))} × {moments.counts[row]:.0f}"
        stroke = Stroke(palette.LEVELS[moments.level], 2.0)
        card.path([(x, top), (x, bottom)], stroke, title=title, role=f"moment l{moments.level}")


def _sides(panel: Panel, begin_s: float, end_s: float) -> tuple[float, float]:
    left, right = (float(x) for x in panel.x([begin_s, end_s]))
    if right - left < _LEAST_WIDTH:
        left = max(panel.left, right - _LEAST_WIDTH)
        right = left + _LEAST_WIDTH
    return left, right
