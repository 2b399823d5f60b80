"""What a report needs of a clip, gathered look by look in memory that does not grow with its length."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from api.report.spread import Cell, Spread
from api.report.timeline import BINS, Bins, Spans
from edge.analysis import ZoneCount
from edge.field import worst_cell
from edge.geometry import Floats, points_in_polygon
from edge.offline import Step
from edge.people import People
from edge.site import Site, Zone

_COUNT, _COUNT_VARIANCE, _MEAN, _MEAN_VARIANCE = range(4)


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest value, its standard error, and when: seconds of the clip; never, if there was none."""

    value: float = 0.0
    stderr: float = 0.0
    pts_s: float | None = None

    def higher(self, value: float, stderr: float, pts_s: float) -> "Peak":
        """This one, or a higher value; of equal ones the first."""
        return Peak(value, stderr, pts_s) if self.pts_s is None or value > self.value else self


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One value over time, a point for each stretch of time in which somebody looked.

    Attributes:
        pts_s: (n,) seconds of the clip, the mean time of the looks.
        values: (n,) in the value's unit.
        stderr: (n,) standard error of one look, in the value's unit.
    """

    pts_s: Floats
    values: Floats
    stderr: Floats


@dataclass(slots=True)
class Trace:
    """One zone over time, in `BINS` bins; its arrays are (measures, bins).

    Attributes:
        id: of the zone.
        looks: how often it was looked at.
        count, density: the most people at once, and the worst cell in persons per m2.
    """

    id: str
    looks: int = 0
    count: Peak = field(default_factory=Peak)
    density: Peak = field(default_factory=Peak)
    _people: float = 0.0
    _sums: Floats = field(default_factory=lambda: np.zeros((4, BINS)))
    _worst: Floats = field(default_factory=lambda: np.full((2, BINS), np.nan))

    def add(self, at: int, pts_s: float, counted: ZoneCount, worst_stderr: float) -> None:
        """Take in one look, into the bin at this place; the error is the worst cell's, in persons per m2."""
        self.looks += 1
        self._people += counted.count
        self.count = self.count.higher(counted.count, counted.count_stderr, pts_s)
        self._sums[_COUNT, at] += counted.count
        self._sums[_COUNT_VARIANCE, at] += counted.count_stderr**2
        worst = counted.density_worst_cell_per_m2
        if worst is None or counted.density_mean_per_m2 is None:
            return
        self.density = self.density.higher(worst, worst_stderr, pts_s)
        self._sums[_MEAN, at] += counted.density_mean_per_m2
        self._sums[_MEAN_VARIANCE, at] += (counted.density_stderr_per_m2 or 0.0) ** 2
        if not self._worst[0, at] >= worst:
            self._worst[:, at] = worst, worst_stderr

    def halve(self) -> None:
        """Let every two bins become one."""
        self._sums = _widened(self._sums.reshape(4, -1, 2).sum(axis=2), 0.0)
        pairs = self._worst.reshape(2, -1, 2)
        second = np.nan_to_num(pairs[0, :, 1], nan=-1.0) > np.nan_to_num(pairs[0, :, 0], nan=-1.0)
        self._worst = _widened(np.where(second, pairs[..., 1], pairs[..., 0]), np.nan)

    @property
    def mean_count(self) -> float:
        """Persons at a look, on average."""
        return self._people / self.looks if self.looks else 0.0

    def counts(self, bins: Bins) -> Curve:
        """People over time, the mean of each stretch."""
        return self._mean(bins, _COUNT, _COUNT_VARIANCE)

    def mean_density(self, bins: Bins) -> Curve:
        """Persons per m2 of the zone over time, the mean of each stretch."""
        return self._mean(bins, _MEAN, _MEAN_VARIANCE)

    def worst_density(self, bins: Bins) -> Curve:
        """Persons per m2 in the worst cell over time, the highest of each stretch."""
        rows = np.flatnonzero((bins.looks > 0) & ~np.isnan(self._worst[0]))
        return Curve(bins.pts_s(rows), self._worst[0, rows], self._worst[1, rows])

    def _mean(self, bins: Bins, value: int, variance: int) -> Curve:
        rows = np.flatnonzero(bins.looks > 0)
        looks = bins.looks[rows]
        return Curve(
            bins.pts_s(rows), self._sums[value, rows] / looks, np.sqrt(self._sums[variance, rows] / looks)
        )


def _widened(half: Floats, empty: float) -> Floats:
    rest = np.full((half.shape[0], BINS - half.shape[1]), empty)
    return np.concatenate((half, rest), axis=1)


class Gathering:
    """A clip, as far as its report tells of it.

    Attributes:
        site: zones, lines and ground.
        bins: how time is cut.
        traces: by zone id, of the site's zones.
        spans: incidents.
        spread: density on the ground; None where the camera is not calibrated or has no zone.
        looks: pictures analysed.
        counted: whether anybody could be counted: false where the detector knows no persons.
    """

    def __init__(self, site: Site, analysed_fps: float) -> None:
        """Nothing seen yet.

        Args:
            site: of the camera.
            analysed_fps: pictures a second that it is looked at.
        """
        self.site = site
        self.bins = Bins(1 / analysed_fps)
        self.traces = {zone.id: Trace(zone.id) for zone in site.zones}
        self.spans = Spans(self.bins)
        floors = [zone for zone in site.zones if zone.floor is not None]
        self.spread = Spread(floors) if floors else None
        self.looks = 0
        self.counted = False

    def add(self, step: Step) -> None:
        """Take in one step of the analysis."""
        if step.looked:
            self._look(step)
        self.spans.add(step)

    def _look(self, step: Step) -> None:
        at, halvings = self.bins.place(step.pts_s)
        for _ in range(halvings):
            for trace in self.traces.values():
                trace.halve()
            self.spans.halve()
        self.bins.add(at, step.pts_s)
        self.looks += 1
        self.counted = self.counted or bool(step.zones)
        worst = _worst_cells(self.site.zones, step.zones, step.people)
        for zone_id, counted in step.zones.items():
            if zone_id in self.traces:
                cell = worst.get(zone_id)
                self.traces[zone_id].add(at, step.pts_s, counted, cell.stderr_per_m2 if cell else 0.0)
        if self.spread is not None and step.people is not None:
            self.spread.add(step.people, step.pts_s, worst.values())

    @property
    def times(self) -> tuple[float, float]:
        """First and last look, in seconds of the clip; a little apart where there was one or none."""
        first, last = self.bins.begin_s, self.bins.end_s
        return (first, last) if last > first else (first, first + 1.0)


def _worst_cells(
    zones: Iterable[Zone], counts: Mapping[str, ZoneCount], people: People | None
) -> dict[str, Cell]:
    if people is None:
        return {}
    cells = {}
    for zone in zones:
        counted = counts.get(zone.id)
        if zone.floor is None or counted is None or counted.density_worst_cell_per_m2 is None:
            continue
        inside = people.select(points_in_polygon(people.at, zone.floor.polygon))
        cell = worst_cell(inside, zone.floor)
        if cell.centre is not None and math.isfinite(cell.stderr_per_m2):
            # The density is the one that the rules judge; where it is and how sure come from the points.
            density = counted.density_worst_cell_per_m2
            cells[zone.id] = Cell(zone.id, density, cell.stderr_per_m2, cell.centre)
    return cells
