"""Time in a fixed number of bins that grow wider as the clip goes on, and the incidents in it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from edge.envelope import IncidentData
from edge.geometry import Floats
from edge.offline import EPOCH, Step

BINS = 600
"""As many as a report has room for; every two become one when they are full."""

MAX_SPANS = 2000
"""Incidents that are drawn. What comes beyond them is counted."""
MAX_CHANGES = 10_000
"""Changes of level that are drawn, of all incidents."""

_ENDED = "incidents_ended_by_shutdown"


class Bins:
    """Stretches of equal time from the first look on.

    Attributes:
        width_s: of each, doubled as often as the clip outgrows them.
        begin_s, end_s: first and last look; 0 before the first.
        looks: (BINS,) float64 how often somebody looked.
    """

    def __init__(self, width_s: float) -> None:
        """Empty bins of this width in seconds."""
        self.width_s = width_s
        self.begin_s = self.end_s = 0.0
        self.looks: Floats = np.zeros(BINS)
        self._times: Floats = np.zeros(BINS)
        self._begun = False

    def place(self, pts_s: float) -> tuple[int, int]:
        """The bin of a time not before the last one's, and how often every two bins became one for it."""
        if not self._begun:
            self._begun, self.begin_s = True, pts_s
        halvings = 0
        while (at := self._index(pts_s)) >= BINS:
            self.width_s *= 2
            self.looks, self._times = halved(self.looks), halved(self._times)
            halvings += 1
        return at, halvings

    def add(self, at: int, pts_s: float) -> None:
        """Count a look in a bin."""
        self.end_s = max(self.end_s, pts_s)
        self.looks[at] += 1
        self._times[at] += pts_s

    def pts_s(self, rows: NDArray[np.intp]) -> Floats:
        """Mean time of the looks in bins that are not empty: (n,) -> (n,) seconds."""
        times: Floats = self._times[rows] / self.looks[rows]
        return times

    def _index(self, pts_s: float) -> int:
        # Times are sums of floats: a look on a bin's edge must not fall into the one before.
        return max(0, int((pts_s - self.begin_s) / self.width_s + 1e-6))


def halved(values: Floats) -> Floats:
    """Sums of every two bins, and as many empty ones behind: (n,) -> (n,)."""
    return np.concatenate((values.reshape(-1, 2).sum(axis=1), np.zeros(len(values) // 2)))


@dataclass(slots=True)
class Span:
    """One incident.

    Attributes:
        kind, zone: what, and in which zone or line.
        started_s: when the trouble was first seen, before it had lasted long enough to be told.
        levels: when it was told at which level: seconds and 1 to 4; the first is its beginning.
        end_s: when it ended; None while it has not.
        cut: whether it ended only because the clip did.
    """

    kind: str
    zone: str
    started_s: float
    levels: list[tuple[float, int]]
    end_s: float | None = None
    cut: bool = False

    @property
    def worst(self) -> int:
        """The most severe level it had."""
        return min(level for _, level in self.levels)

    def parts(self, end_s: float) -> Iterator[tuple[float, float, int]]:
        """Begin, end and level of each part at one level; one that is open goes to `end_s`."""
        last = end_s if self.end_s is None else self.end_s
        ends = [at for at, _ in self.levels[1:]] + [last]
        for (begin, level), end in zip(self.levels, ends, strict=True):
            yield begin, end, level


@dataclass(slots=True)
class Moments:
    """What begins and ends in a moment, such as a line that is crossed.

    Attributes:
        kind, zone: what, and in which zone or line.
        level: its severity, the worst.
        total: how often.
        counts: (BINS,) how often in each bin.
    """

    kind: str
    zone: str
    level: int
    total: int = 0
    counts: Floats = field(default_factory=lambda: np.zeros(BINS))
    _times: Floats = field(default_factory=lambda: np.zeros(BINS))

    def add(self, at: int, pts_s: float, level: int) -> None:
        """Count one, in the bin at this place."""
        self.total += 1
        self.level = min(self.level, level)
        self.counts[at] += 1
        self._times[at] += pts_s

    def at(self, rows: NDArray[np.intp]) -> Floats:
        """Mean time of those in bins that are not empty: (n,) -> (n,) seconds."""
        times: Floats = self._times[rows] / self.counts[rows]
        return times

    def halve(self) -> None:
        """Let every two bins become one."""
        self.counts, self._times = halved(self.counts), halved(self._times)


class Spans:
    """The incidents of a clip.

    Attributes:
        all: those that last, in the order of their beginnings.
        moments: those that do not, by kind and zone.
        omitted: how many more there were than are drawn.
    """

    def __init__(self, bins: Bins) -> None:
        """No incident yet; moments fall into these bins."""
        self.all: list[Span] = []
        self.moments: dict[tuple[str, str], Moments] = {}
        self.omitted = 0
        self._bins = bins
        self._open: dict[str, Span] = {}
        self._changes = 0

    def add(self, step: Step) -> None:
        """Take in the events of one step."""
        told = [(event.kind, event.data) for event in step.events if isinstance(event.data, IncidentData)]
        ended = {data.incident for _, data in told if data.phase == "end"}
        for kind, data in told:
            if data.phase != "begin":
                self._go_on(data, step.pts_s)
            elif data.incident in ended:
                self._moment(kind, data, step.pts_s)
            else:
                self._begin(kind, data, step.pts_s)

    def halve(self) -> None:
        """Let every two bins become one."""
        for moments in self.moments.values():
            moments.halve()

    def _begin(self, kind: str, data: IncidentData, pts_s: float) -> None:
        if len(self.all) >= MAX_SPANS or self._changes >= MAX_CHANGES:
            self.omitted += 1
            return
        started_s = (datetime.fromisoformat(data.started) - EPOCH).total_seconds()
        span = Span(kind, data.zone, min(started_s, pts_s), [(pts_s, data.level)])
        self.all.append(span)
        self._open[data.incident] = span

    def _go_on(self, data: IncidentData, pts_s: float) -> None:
        span = self._open.get(data.incident)
        if span is None:
            return
        if data.phase == "end":
            span.end_s, span.cut = pts_s, _ENDED in data.measures
            del self._open[data.incident]
        elif data.level != span.levels[-1][1] and self._changes < MAX_CHANGES:
            span.levels.append((pts_s, data.level))
            self._changes += 1

    def _moment(self, kind: str, data: IncidentData, pts_s: float) -> None:
        key = (kind, data.zone)
        moments = self.moments.setdefault(key, Moments(kind, data.zone, data.level))
        moments.add(self._bins.place(pts_s)[0], pts_s, data.level)
