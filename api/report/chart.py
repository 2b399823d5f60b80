"""People and density of a zone over time, with thresholds, and incidents below."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from api.report import palette
from api.report.drawing import Sheet, Stroke, text_width
from api.report.gather import Curve, Gathering, Trace
from api.report.lanes import draw_lanes, lanes_height, lanes_of, shade
from api.report.scales import Panel, ceiling, nice_step, ticks, time_step
from api.report.timeline import Span
from api.report.words import Words, clock, number, with_error
from edge.rules.crowd_density import DensityRule
from edge.site import Zone

WIDTH = 960.0
LEFT, RIGHT = 44.0, 76.0
"""Beside the plots: for the values, and for the thresholds' names."""

_COUNT_HEIGHT, _DENSITY_HEIGHT = 96.0, 124.0
_APART = 13.0
"""Least distance of two labels' baselines."""

_WORST_NAME = Words("worst 4 m² cell", "最密 4 m²")
_MEAN_NAME = Words("mean of the zone", "区域平均")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a zone's `crowd.density` rule compares with: persons per m2 and persons, each by level."""

    per_m2: tuple[tuple[int, float], ...] = ()
    persons: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of(cls, zone: Zone, rules: Iterable[object]) -> "Thresholds":
        """Those of a zone, none where no rule watches its density."""
        for rule in rules:
            if isinstance(rule, DensityRule) and rule.zone == zone.id:
                shares = rule.capacity_shares if zone.capacity is not None else ()
                persons = tuple(
                    (level, share * (zone.capacity or 0))
                    for level, share in zip((4, 3, 2, 1), shares, strict=False)
                )
                return cls(steps_of(rule) if zone.floor is not None else (), persons)
        return cls()


def steps_of(rule: DensityRule) -> tuple[tuple[int, float], ...]:
    """A rule's thresholds in persons per m2, by level, rising."""
    steps = (rule.blue_per_m2, rule.yellow_per_m2, rule.orange_per_m2, rule.red_per_m2)
    return tuple(zip((4, 3, 2, 1), steps, strict=True))


def zone_card(gathered: Gathering, zone: Zone, thresholds: Thresholds) -> Sheet:
    """All that is known of one zone over time."""
    trace = gathered.traces[zone.id]
    name = Words("Zone ", "区域 ") + zone.id
    card = Sheet(WIDTH, 0, name, "zone")
    card.text(0, 20, name, size=16, bold=True, role="zone")
    if not trace.looks:
        card.text(0, 44, _nothing(gathered), colour=palette.QUIET, role="nothing")
        card.height = 60
        return card
    card.text(0, 40, _summary(trace), size=12.5, colour=palette.QUIET, role="summary")
    lanes = lanes_of(gathered.spans, lambda place: place == zone.id)
    if trace.count.value == 0 and not lanes.rows:
        card.height = 52
        return card
    plots = [_count_plot(gathered, trace, thresholds.persons)]
    if trace.density.pts_s is not None:
        plots.append(_density_plot(gathered, trace, thresholds.per_m2))
    top = 54.0
    for plot in plots:
        top = _draw(card, gathered, plot, (top, lanes.spans))
    begin_s, end_s = gathered.times
    axis = Panel(LEFT, top, WIDTH - LEFT - RIGHT, lanes_height(lanes), begin_s, end_s)
    time_grid(card, axis)
    draw_lanes(card, axis, lanes)
    time_labels(card, axis)
    card.height = axis.bottom + 40
    return card


def other_card(gathered: Gathering) -> Sheet | None:
    """Incidents that belong to no zone: lines, and the camera itself; None where there were none."""
    zones = gathered.traces.keys()
    lanes = lanes_of(gathered.spans, lambda place: place not in zones)
    if not lanes.spans and not lanes.moments:
        return None
    name = Words("Lines and camera", "界线与摄像机")
    card = Sheet(WIDTH, 0, name, "others")
    card.text(0, 20, name, size=16, bold=True)
    begin_s, end_s = gathered.times
    height = lanes_height(lanes, named=True)
    axis = Panel(LEFT, 32, WIDTH - LEFT - RIGHT, height, begin_s, end_s)
    time_grid(card, axis)
    draw_lanes(card, axis, lanes, named=True)
    time_labels(card, axis)
    card.height = axis.bottom + 40
    return card


def _nothing(gathered: Gathering) -> Words:
    if not gathered.looks:
        return Words("The clip has no picture that could be analysed.", "视频中没有可分析的画面。")
    return Words(
        "Nobody was counted: the detector knows no persons. Choose another: sharpeyes models list",
        "未计数：检测模型不识别人。请更换模型：sharpeyes models list",
    )


def _summary(trace: Trace) -> Words:
    peak = trace.count
    if peak.value == 0:
        return Words("Nobody was here.", "无人。")
    mean, most = number(trace.mean_count), with_error(peak.value, peak.stderr)
    at = clock(peak.pts_s or 0.0)
    words = Words(
        f"{mean} people on average, at most {most} at {at}", f"平均 {mean} 人，最多 {most} 人（{at}）"
    )
    if trace.density.pts_s is not None and trace.density.value > 0:
        worst = trace.density
        value, at = with_error(worst.value, worst.stderr), clock(worst.pts_s or 0.0)
        words += Words(f"  ·  worst cell {value} per m² at {at}", f"  ·  最密处 {value} 人/m²（{at}）")
    return words


@dataclass(frozen=True, slots=True)
class _Plot:
    """Curves of one unit, the most important one last, with their colours and names; `least` ends an axis."""

    role: str
    title: Words
    curves: Sequence[tuple[Curve, str, Words]]
    thresholds: Sequence[tuple[int, float]]
    unit: str
    height: float
    least: float


def _count_plot(gathered: Gathering, trace: Trace, thresholds: Sequence[tuple[int, float]]) -> _Plot:
    curve = trace.counts(gathered.bins)
    name = Words("people", "人数")
    title = Words("People in the zone", "区域内人数")
    return _Plot("count", title, [(curve, palette.COUNT, name)], thresholds, "", _COUNT_HEIGHT, 4.0)


def _density_plot(gathered: Gathering, trace: Trace, thresholds: Sequence[tuple[int, float]]) -> _Plot:
    curves = [
        (trace.mean_density(gathered.bins), palette.MEAN, _MEAN_NAME),
        (trace.worst_density(gathered.bins), palette.WORST, _WORST_NAME),
    ]
    title = Words("Persons per m²", "密度（人/m²）")
    return _Plot("density", title, curves, thresholds, "/m²", _DENSITY_HEIGHT, 0.4)


def _draw(card: Sheet, gathered: Gathering, plot: _Plot, place: tuple[float, Sequence[Span]]) -> float:
    """Draw a plot whose title begins at a height, on its zone's incidents; where the next may begin."""
    top, spans = place
    begin_s, end_s = gathered.times
    panel = Panel(LEFT, top + 24, WIDTH - LEFT - RIGHT, plot.height, begin_s, end_s)
    panel = replace(panel, high=_high(plot))
    card.text(0, top + 11, plot.title, size=12.5, bold=True, role="axis")
    _legend(card, plot, top + 11)
    shade(card, panel, spans)
    time_grid(card, panel)
    step = nice_step(panel.high, 4)
    for value in ticks(0, panel.high, step):
        y = float(panel.y(value))
        card.path([(panel.left, y), (panel.right, y)], Stroke(palette.GRID if value else palette.EDGE))
        card.text(panel.left - 7, y + 4, number(value), size=11.5, anchor="end", colour=palette.QUIET)
    for curve, colour, _ in plot.curves:
        _band(card, panel, curve, colour)
    _thresholds(card, panel, plot)
    for curve, colour, name in plot.curves:
        main = curve is plot.curves[-1][0]
        _line(card, panel, curve, (Stroke(colour, 1.8 if main else 1.4), name))
    return panel.bottom + 14


def _high(plot: _Plot) -> float:
    """The axis' end: over the curves, and so that the next threshold above them is seen."""
    peak = max(float((curve.values + curve.stderr).max(initial=0.0)) for curve, _, _ in plot.curves)
    above = [step for _, step in plot.thresholds if step > peak]
    first = min((step for _, step in plot.thresholds), default=0.0)
    top = max(peak, first)
    if above and above[0] <= 1.5 * top:
        top = above[0]
    return ceiling(max(top * 1.04, plot.least))


def _legend(card: Sheet, plot: _Plot, y: float) -> None:
    band = Words("± 1 standard error", "± 1 倍标准误差")
    entries = [(name, colour) for _, colour, name in reversed(plot.curves)] + [(band, plot.curves[-1][1])]
    widths = [max(text_width(words.en, 11.5), text_width(words.zh, 11.5)) + 38 for words, _ in entries]
    x = WIDTH - RIGHT - sum(widths) + 14
    for (words, colour), width in zip(entries, widths, strict=True):
        if words is band:
            card.rect(x, y - 9, x + 18, y + 1, fill=colour, opacity=0.22)
        else:
            card.path([(x, y - 4), (x + 18, y - 4)], Stroke(colour, 2.4))
        card.text(x + 24, y, words, size=11.5, colour=palette.QUIET, role="legend")
        x += width


def _parts(gathered_gap_s: float, curve: Curve) -> list[Curve]:
    """A curve in parts, cut where nobody looked for longer than usual."""
    cuts = np.flatnonzero(np.diff(curve.pts_s) > gathered_gap_s) + 1
    split = (np.split(values, cuts) for values in (curve.pts_s, curve.values, curve.stderr))
    return [Curve(*part) for part in zip(*split, strict=True) if len(part[0])]


def _gap_s(curve: Curve) -> float:
    """Time between two points that is longer than usual."""
    return 4.0 * float(np.median(np.diff(curve.pts_s))) if len(curve.pts_s) > 1 else 1.0


def _band(card: Sheet, panel: Panel, curve: Curve, colour: str) -> None:
    for part in _parts(_gap_s(curve), curve):
        if not part.stderr.any():
            continue
        x = panel.x(part.pts_s)
        if len(x) == 1:
            x = x[0] + np.array([-3.0, 3.0])
        low = np.broadcast_to(panel.y(part.values - part.stderr), x.shape)
        high = np.broadcast_to(panel.y(part.values + part.stderr), x.shape)
        outline = np.vstack((np.column_stack((x, high)), np.column_stack((x, low))[::-1]))
        card.path(outline, fill=colour, opacity=0.22, closed=True, role="band")


def _line(card: Sheet, panel: Panel, curve: Curve, style: tuple[Stroke, Words]) -> None:
    stroke, name = style
    for part in _parts(_gap_s(curve), curve):
        x, y = panel.x(part.pts_s), panel.y(part.values)
        if len(x) == 1:
            card.circle(float(x[0]), float(y[0]), 3.2, fill=stroke.colour, role="line", title=name)
        else:
            card.path(np.column_stack((x, y)), stroke, role="line", title=name)


def _thresholds(card: Sheet, panel: Panel, plot: _Plot) -> None:
    shown = [(level, step) for level, step in plot.thresholds if step <= panel.high]
    floor = panel.bottom + 4
    for level, step in shown:
        y = float(panel.y(step))
        stroke = Stroke(palette.LEVELS[level], 1.4, palette.DASHES[level])
        card.path([(panel.left, y), (panel.right, y)], stroke, role=f"threshold l{level}")
        floor = min(y + 4, floor - _APART)
        level_mark(card, panel.right + 6, floor, level, f"{number(step)}{plot.unit}")


def level_mark(card: Sheet, x: float, y: float, level: int, text: str) -> None:
    """A level's number on its colour, and a text beside it, on one baseline; in the drawing's units."""
    card.rect(x, y - 10, x + 19, y + 2.5, fill=palette.LEVELS[level])
    card.text(
        x + 9.5, y - 0.5, f"L{level}", size=10, anchor="middle", colour=palette.ON_LEVEL[level], bold=True
    )
    card.text(x + 23, y, text, size=11, role=f"threshold l{level}")


def time_grid(card: Sheet, panel: Panel) -> None:
    """Light lines at round times."""
    for second in _seconds(panel):
        x = float(panel.x(second))
        card.path([(x, panel.top), (x, panel.bottom)], Stroke(palette.GRID))


def time_labels(card: Sheet, panel: Panel) -> None:
    """The axis of time below a panel."""
    card.path([(panel.left, panel.bottom), (panel.right, panel.bottom)], Stroke(palette.EDGE))
    tenths = panel.end_s - panel.begin_s < 6
    for second in _seconds(panel):
        x = float(panel.x(second))
        card.path([(x, panel.bottom), (x, panel.bottom + 4)], Stroke(palette.EDGE))
        text = clock(second, tenths=tenths)
        card.text(x, panel.bottom + 17, text, size=11.5, anchor="middle", colour=palette.QUIET, role="time")
    unit = Words("time in the clip", "视频时间")
    card.text(panel.right + 6, panel.bottom + 30, unit, size=11.5, anchor="end", colour=palette.QUIET)


def _seconds(panel: Panel) -> list[float]:
    span = panel.end_s - panel.begin_s
    return ticks(panel.begin_s, panel.end_s, time_step(span, 10))
