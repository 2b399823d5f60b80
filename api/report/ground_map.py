"""Density on the ground, seen from above: the mean of the clip, and the worst moment."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from api.report import palette
from api.report.chart import WIDTH, level_mark
from api.report.drawing import Label, Sheet, Stroke, text_width
from api.report.gather import Gathering
from api.report.scales import ceiling, nice_step, ticks
from api.report.spread import Spread
from api.report.words import Words, clock, number, with_error
from edge.crowd import CELL_RADIUS_M
from edge.field import Ground
from edge.geometry import Floats, clip_half_plane
from edge.ground import GroundPlane
from edge.site import Line, Site

BANDS = 32
"""Colours of the scale."""

_PLOT_WIDTH, _PLOT_HEIGHT = 372.0, 400.0
_FIRST, _SECOND, _BAR = 40.0, 468.0, 868.0
"""Left sides of the two maps and of the scale of colours."""
_TOP = 58.0
_LEAST_ASPECT = 0.4
"""Long strips of ground are shown with some of what lies beside them."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Thresholds on the scale of colours: persons per m2 by level, and in words whose they are."""

    per_m2: tuple[tuple[int, float], ...]
    whose: Words


@dataclass(frozen=True, slots=True)
class _Scale:
    """Colours from 0 to `high` persons per m2."""

    high: float

    def band(self, density: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
        """Number of the colour, any shape; -1 where the density is NaN."""
        bands = np.clip(np.nan_to_num(density, nan=0.0) / self.high * BANDS, 0, BANDS - 1).astype(np.intp)
        return np.where(np.isnan(density), -1, bands)


@dataclass(frozen=True, slots=True, eq=False)
class _Map:
    """A piece of ground on the sheet.

    Attributes:
        left, top: its corner on the sheet.
        low, high: (2,) metres, its corners on the ground.
        scale: drawing units per metre.
        up: whether the ground's second axis runs up on the sheet.
    """

    left: float
    top: float
    low: Floats
    high: Floats
    scale: float
    up: bool

    @property
    def right(self) -> float:
        return self.left + float(self.high[0] - self.low[0]) * self.scale

    @property
    def bottom(self) -> float:
        return self.top + float(self.high[1] - self.low[1]) * self.scale

    def place(self, points: Floats) -> Floats:
        """Where points of the ground lie on the sheet: (..., 2) metres -> (..., 2)."""
        x = self.left + (points[..., 0] - self.low[0]) * self.scale
        across = self.high[1] - points[..., 1] if self.up else points[..., 1] - self.low[1]
        return np.stack((x, self.top + across * self.scale), axis=-1)


def ground_maps(gathered: Gathering, marks: Marks) -> Sheet:
    """Both maps with their scale; the camera must be calibrated and have a zone.

    Raises:
        ValueError: it is not, or has none.
    """
    site, spread = gathered.site, gathered.spread
    if site.ground is None or spread is None:
        raise ValueError("a map needs a ground plane and a zone")
    title = Words("Density on the ground", "地面密度分布")
    card = Sheet(WIDTH, 0, title, "map")
    card.text(0, 20, title, size=16, bold=True)
    scale = _Scale(_top(spread, marks))
    low, high = _extent(spread, site)
    per_m = min(_PLOT_WIDTH / (high[0] - low[0]), _PLOT_HEIGHT / (high[1] - low[1]))
    maps = [_Map(left, _TOP, low, high, float(per_m), site.ground.right_handed) for left in (_FIRST, _SECOND)]
    heading = Words(f"Mean of {spread.looks} looks", f"{spread.looks} 次观测的平均")
    _panel(card, maps[0], gathered, (spread.mean, scale, heading))
    worst = spread.worst
    if worst is None:
        text = Words("Nobody was seen on this ground.", "地面上未见到人。")
        card.text(maps[1].left, _TOP + 30, text, colour=palette.QUIET, role="nobody")
    else:
        heading = Words("Worst moment, at ", "最密时刻 ") + clock(worst.pts_s)
        _panel(card, maps[1], gathered, (worst.fields, scale, heading))
        _worst(card, maps[1], spread)
    _colour_bar(card, scale, marks)
    card.height = max(maps[0].bottom + 52, _TOP + 240)
    for line in _captions(gathered, marks):
        card.text(0, card.height, line, size=11.5, colour=palette.QUIET, role="caption")
        card.height += 17
    return card


def why_none(site: Site, camera: str) -> tuple[Words, ...]:
    """Why there is no map, and what to do about it."""
    if site.ground is None:
        return (
            Words(
                "No density and no map: this camera's ground is not calibrated, so there are no metres.",
                "无密度、无分布图：该摄像机的地面未标定，没有米制坐标。",
            ),
            Words(
                f"Cure: sharpeyes calibrate CONFIG --camera {camera} --points survey.csv",
                f"办法：sharpeyes calibrate CONFIG --camera {camera} --points survey.csv",
            ),
            Words(
                "(or --rectangle with --size, or --walkers); put what it prints into the configuration.",
                "（或 --rectangle 加 --size，或 --walkers），把输出写进配置。",
            ),
        )
    return (
        Words(
            "No map: this camera has no zone, so nobody is counted.", "无分布图：该摄像机没有区域，不计数。"
        ),
        Words("Cure: give it `zones` in the configuration.", "办法：在配置中为它添加 zones。"),
    )


def _top(spread: Spread, marks: Marks) -> float:
    """End of the scale: over all that is drawn, and over the first threshold."""
    fields = [*spread.mean, *(spread.worst.fields if spread.worst else ())]
    peak = max(float(np.nanmax(field)) for field in fields)
    first = min((step for _, step in marks.per_m2), default=0.0)
    return ceiling(max(peak, 1.25 * first, 0.5), 8)


def _extent(spread: Spread, site: Site) -> tuple[Floats, Floats]:
    """Corners of the ground that is drawn: all zones, lines near them, and a margin."""
    corners = np.concatenate([ground.polygon for ground in spread.grounds])
    low, high = corners.min(axis=0), corners.max(axis=0)
    reach = float((high - low).max()) / 2
    for line in site.lines:
        ends = _on_ground(site, line)
        near = ends[(ends >= low - reach).all(axis=1) & (ends <= high + reach).all(axis=1)]
        corners = np.concatenate((corners, near))
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = high - low
    margin = np.maximum(0.06 * size.max(), 0.4) + np.maximum(_LEAST_ASPECT * size.max() - size, 0.0) / 2
    return low - margin, high + margin


def _on_ground(site: Site, line: Line) -> Floats:
    """Places along a line in metres, (n, 2): near the horizon its ends may be far away or nowhere."""
    share = np.linspace(0, 1, 200)[:, None]
    if site.ground is None:
        return np.zeros((0, 2))
    points = site.ground.to_ground(line.start * (1 - share) + line.end * share)
    return points[np.isfinite(points).all(axis=1)]


def _panel(
    card: Sheet, view: _Map, gathered: Gathering, what: tuple[Sequence[Floats], _Scale, Words]
) -> None:
    fields, scale, heading = what
    site, spread = gathered.site, gathered.spread
    assert site.ground is not None  # noqa: S101 - see `ground_maps`
    assert spread is not None  # noqa: S101
    card.text(view.left, view.top - 12, heading, size=12.5, bold=True, role="heading")
    frame = np.array([view.low, [view.high[0], view.low[1]], view.high, [view.low[0], view.high[1]]])
    seen = frame
    for edge in site.ground.picture_edges():
        seen = clip_half_plane(seen, edge)
    if len(seen) > 2:
        card.path(view.place(seen), fill=palette.SEEN, closed=True, role="seen")
    for ground, field in reversed(list(zip(spread.grounds, fields, strict=True))):
        _cells(card, view, ground, scale.band(field))
    labels = _Labels(view)
    for zone in sorted(site.zones, key=lambda zone: zone.id):
        if zone.floor is not None:
            outline = view.place(zone.floor.polygon)
            name = Words.same(zone.id)
            card.path(outline, Stroke(palette.INK, 1.4), closed=True, role="zone", title=name)
    for line in site.lines:
        _line(card, view, line.id, _on_ground(site, line))
    for zone in sorted(site.zones, key=lambda zone: zone.id):
        if zone.floor is not None:
            labels.put(card, zone.id, view.place(zone.floor.polygon))
    _camera(card, view, site.ground)
    card.path(view.place(frame), Stroke(palette.EDGE), closed=True)
    _axes(card, view)


def _cells(
    card: Sheet, view: _Map, ground: Ground, bands: np.ndarray[tuple[int, ...], np.dtype[np.intp]]
) -> None:
    """Runs of equal colour along the rows of a zone's places, each as one area."""
    half = np.array([_spacing(ground.columns), _spacing(ground.rows)]) / 2
    change = np.diff(bands, axis=1, prepend=-2) != 0
    runs: dict[int, list[Floats]] = {}
    for row in range(len(bands)):
        begins = np.flatnonzero(change[row])
        for begin, end in zip(begins, [*begins[1:], bands.shape[1]], strict=True):
            band = int(bands[row, begin])
            if band < 0:
                continue
            left, right = ground.columns[begin] - half[0], ground.columns[end - 1] + half[0]
            low, high = ground.rows[row] - half[1], ground.rows[row] + half[1]
            corners = np.array([[left, low], [right, low], [right, high], [left, high]])
            runs.setdefault(band, []).append(view.place(corners @ ground.frame + ground.origin))
    colours = palette.density_colours(BANDS)
    for band in sorted(runs):
        card.cells(np.stack(runs[band]), colours[band], "density")


def _spacing(nodes: Floats) -> float:
    """Distance of a grid's places along one axis; of a single one that of half the Gaussian's reach."""
    return float(nodes[1] - nodes[0]) if len(nodes) > 1 else 0.5


def _line(card: Sheet, view: _Map, name: str, points: Floats) -> None:
    """A watched line through (n, 2) metres, with its name at the right end of what lies in the map."""
    inside = (points >= view.low).all(axis=1) & (points <= view.high).all(axis=1)
    if inside.sum() < 2:
        return
    drawn = view.place(points[inside][[0, -1]])
    card.path(drawn, Stroke(palette.PAPER, 4.5))
    card.path(drawn, Stroke(palette.COUNT, 2.4), role="watched-line", title=Words.same(name))
    x, y = (float(v) for v in drawn[int(np.argmax(drawn[:, 0]))])
    width = text_width(name, 11)
    anchor, x = ("start", x + 5) if x + 5 + width < view.right else ("end", min(x, view.right) - 5)
    card.text(x, y - 5, name, size=11, anchor=anchor, colour=palette.COUNT, bold=True, halo=True, role="line")


class _Labels:
    """Zones' names where they do not lie over each other."""

    def __init__(self, view: _Map) -> None:
        self._view = view
        self._taken: list[tuple[float, float, float, float]] = []

    def put(self, card: Sheet, text: str, outline: Floats) -> None:
        """Write a name into its zone, (m, 2) on the sheet, or nowhere: the outline has it as its title."""
        low, high = outline.min(axis=0), outline.max(axis=0)
        middle = (low + high) / 2
        places = [
            (float(middle[0]), y, "middle")
            for y in (low[1] + 15, high[1] - 6, low[1] - 4, high[1] + 13, middle[1])
        ]
        places += [(low[0] + 5, low[1] + 15, "start"), (high[0] - 5, high[1] - 6, "end")]
        for x, y, anchor in places:
            label = Label(float(x), float(y), Words.same(text), 11, anchor, halo=True, role="zone-name")
            if self._free(label.box):
                self._taken.append(label.box)
                card.marks.append(label)
                return

    def _free(self, box: tuple[float, float, float, float]) -> bool:
        view = self._view
        if box[0] < view.left or box[2] > view.right or box[1] < view.top or box[3] > view.bottom:
            return False
        return all(
            box[2] < other[0] or other[2] < box[0] or box[3] < other[1] or other[3] < box[1]
            for other in self._taken
        )


def _camera(card: Sheet, view: _Map, plane: GroundPlane) -> None:
    """An arrow from where the picture's lower edge lies, or from the map's nearest border, into the view."""
    foot, ahead = plane.to_ground([[0.5, 1.0], [0.5, 0.9]])
    if not np.isfinite((*foot, *ahead)).all():
        return
    at = view.place(np.clip(foot, view.low, view.high))
    way = view.place(ahead) - view.place(foot)
    way /= max(float(np.hypot(*way)), 1e-9)
    side = np.array([-way[1], way[0]])
    tip = at + 15 * way
    shape = np.array([tip, at - 7 * side, at + 4 * way, at + 7 * side])
    title = Words("The camera looks this way", "摄像机朝此方向")
    card.path(shape, Stroke(palette.PAPER, 2), fill=palette.INK, closed=True, title=title, role="camera")


def _axes(card: Sheet, view: _Map) -> None:
    """Metres along both axes, and a bar of round length."""
    for axis in (0, 1):
        low, high = float(view.low[axis]), float(view.high[axis])
        most = max(2, int((high - low) * view.scale / 48))
        for metre in ticks(low, high, nice_step(high - low, most)):
            corner = view.low.copy()
            corner[axis] = metre
            x, y = (float(v) for v in view.place(corner))
            if axis == 0:
                card.path([(x, view.bottom), (x, view.bottom + 4)], Stroke(palette.EDGE))
                card.text(x, view.bottom + 16, _metres(metre), **_TICK, anchor="middle")
            else:
                card.path([(view.left - 4, y), (view.left, y)], Stroke(palette.EDGE))
                card.text(view.left - 7, y + 4, _metres(metre), **_TICK, anchor="end")
    length = nice_step(float(view.high[0] - view.low[0]), 6)
    right, y = view.right, view.bottom + 29
    left = right - length * view.scale
    bar = [(left, y - 4), (left, y + 4), (left, y), (right, y), (right, y + 4), (right, y - 4)]
    card.path(bar, Stroke(palette.INK, 1.6), role="scale-bar")
    card.text(left - 6, y + 4, f"{_metres(length)} m", size=11.5, anchor="end", role="scale-bar")


_TICK = {"size": 11, "colour": palette.QUIET, "role": "metres"}


def _metres(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def _worst(card: Sheet, view: _Map, spread: Spread) -> None:
    """A ring around the worst cell, as large as it is, with its density."""
    worst = spread.worst
    if worst is None:
        return
    x, y = (float(v) for v in view.place(np.array(worst.cell.centre)))
    radius = max(CELL_RADIUS_M * view.scale, 4.0)
    card.circle(x, y, radius, Stroke(palette.PAPER, 4.5))
    title = Words("The worst 4 m² cell", "最密的 4 m²")
    card.circle(x, y, radius, Stroke(palette.RING, 2.4), role="worst-cell", title=title)
    text = f"{with_error(worst.cell.density_per_m2, worst.cell.stderr_per_m2)} /m²"
    width = text_width(text, 12) + radius + 6
    anchor, side = ("start", 1) if x + width < view.right else ("end", -1)
    y = min(max(y + 4, view.top + 14), view.bottom - 6)
    card.text(x + side * (radius + 5), y, text, anchor=anchor, bold=True, halo=True, role="worst-cell")


def _colour_bar(card: Sheet, scale: _Scale, marks: Marks) -> None:
    top, bottom = _TOP, _TOP + 180.0
    unit = Words("persons/m²", "人/m²")
    card.text(WIDTH, top - 12, unit, size=11.5, anchor="end", colour=palette.QUIET, role="unit")
    step = (bottom - top) / BANDS
    for band, colour in enumerate(palette.density_colours(BANDS)):
        y = bottom - (band + 1) * step
        left, right = _BAR + 50, _BAR + 66
        card.cells(np.array([[(left, y), (right, y), (right, y + step), (left, y + step)]]), colour, "scale")
    card.rect(_BAR + 50, top, _BAR + 66, bottom, stroke=Stroke(palette.EDGE))
    for value in ticks(0, scale.high, nice_step(scale.high, 8)):
        y = bottom - value / scale.high * (bottom - top)
        card.path([(_BAR + 66, y), (_BAR + 69, y)], Stroke(palette.QUIET))
        card.text(_BAR + 72, y + 4, number(value), size=11, role="scale")
    floor = math.inf
    for level, value in marks.per_m2:
        if value > scale.high:
            break
        y = bottom - value / scale.high * (bottom - top)
        card.path(
            [(_BAR + 44, y), (_BAR + 66, y)], Stroke(palette.LEVELS[level], 2), role=f"threshold l{level}"
        )
        floor = min(y + 4, floor - 13)
        level_mark(card, _BAR + 22, floor, level, "")


def _captions(gathered: Gathering, marks: Marks) -> Iterable[Words]:
    yield Words(
        "From above, in metres. Colours: local density, weighted by a Gaussian of 1 m (Helbing 2007).",
        "俯视，单位米。颜色：局部密度，以 1 m 高斯核加权（Helbing 2007）。",
    )
    yield Words(
        "Ring: the worst 4 m² cell, whose density levels are judged by. Grey: seen by the camera, which looks"
        " along the arrow.",
        "圆环：最密的 4 m²，级别按它判定。灰色：摄像机可见范围，箭头为其朝向。",
    )
    yield marks.whose
    if gathered.site.ground is not None and not gathered.site.ground.right_handed:
        yield Words(
            "The survey's second axis points to the right of its first: the map is drawn with it downwards.",
            "测量坐标系第二轴在第一轴右侧：图中第二轴朝下。",
        )
