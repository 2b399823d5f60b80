"""One camera's sense of what is usual: what it learns when, and from when on something is unusual."""

import math
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from edge.cells import Cells
from edge.normality import DENSITIES, FASTEST, HOURS, NUMBERS, SPEEDS_M_S, Batch, Normality, Usual, ways_of
from edge.normality_store import Learned
from edge.passages import STANDS_M_S, Step
from edge.rarity import DAY_MIN, Tail, fading, score_bin

MINUTE_S = 60.0
SAMPLE_S = 10.0
LONGEST_STEP_S = 15.0
"""Between two looks at a calm scene pass no more than 12 s; of what was in a longer gap nobody knows."""
REFRESH_MIN = 10.0
"""How often what is usual is worked out anew; each new hour as well."""
RECENT_DAYS = 1.0
BURST = 3.0
"""Alarms that a day may have above the declared rate: a change for good must not go on alarming."""
WARM = 0.5
"""Share of the time to be learned in which only what is usual is learned, not how rare the rarest is."""

_INT = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on it is unusual.

    Attributes:
        alarms_per_day: how often a day something may be called unusual that is not.
        least_h: hours that must be learned before anything is.
        half_life_days: days after which what was seen counts half.
    """

    alarms_per_day: float = 1.0
    least_h: float = 48.0
    half_life_days: float = 21.0

    @property
    def half_life_s(self) -> float:
        """The same in seconds."""
        return self.half_life_days * 86400.0


@dataclass(slots=True)
class _Minute:
    """A minute that is being looked at: visits as rows of (cell, size, group, way, speed)."""

    hour: int
    observed_s: float = 0.0
    sampled_s: float = -math.inf
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    held: list[NDArray[np.int64]] = field(default_factory=list)
    rarest: float = 1.0
    number: float = 0.0
    density: float = 0.0
    looks: int = 0

    def batch(self) -> Batch:
        rows = np.concatenate(self.rows) if self.rows else np.zeros((0, 5), np.int64)
        looks = max(self.looks, 1)
        cell, size, group, way, speed = rows.T
        return Batch(
            cell=cell,
            size=size,
            group=group,
            way=way,
            speed=speed,
            held=np.concatenate(self.held) if self.held else _INT,
            samples=len(self.held),
            idle_min=0.0 if len(rows) else self.observed_s / MINUTE_S,
            numbers=(int(np.searchsorted(NUMBERS, self.number / looks)),),
            densities=(int(np.searchsorted(DENSITIES, self.density)),),
        )


class Unusual:
    """Learns minute by minute, and tells how rare something is. No clock of its own; for one thread.

    A minute is learned only after the next one has passed without any incident, too: trouble has begun
    before it is told of.

    Args:
        cells: of the camera.
        limits: when something is unusual.
        learned: from before; None, or of other cells, for nothing.

    Attributes:
        usual: what is usual now; None until an hour is known.
        changed: whether there is something that was not kept yet.
    """

    def __init__(self, cells: Cells, limits: Limits, learned: Learned | None = None) -> None:
        self.usual: Usual | None = None
        self.changed = False
        self._cells = cells
        self._limits = limits
        self._learned = learned if learned is not None and learned.normality.key == cells.key else None
        self._minute: _Minute | None = None
        self._waiting: list[_Minute] = []
        self._ripe: dict[int, Batch] = {}
        self._asked: tuple[int, float] | None = None
        self._looked_s: float | None = None
        self._now_s = 0.0

    @property
    def learned(self) -> Learned | None:
        """All that is known; None before the first look."""
        return self._learned

    @property
    def progress(self) -> float:
        """Share of what must be learned first, 0 to 1."""
        if self._learned is None:
            return 0.0
        least = self._limits.least_h * 60.0
        known = min(self._learned.observed_min / least, 1.0)
        # A rate of one a day cannot be told from less than a day of scores.
        needed = max(DAY_MIN / self._limits.alarms_per_day - 1.0, 1.0)
        return min(known, WARM + (1 - WARM) * min(self._learned.tail.minutes / needed, 1.0))

    @property
    def ready(self) -> bool:
        """Whether enough was learned."""
        return self.progress >= 1.0

    def look(self, pts_s: float, local: datetime | None, *, calm: bool) -> Usual | None:
        """Begin a look; what is usual at this hour comes back, None before anything is known.

        Args:
            pts_s: camera time.
            local: time of day there; None where nobody knows: then all hours are one.
            calm: whether nothing is going on, so that it may be learned from.
        """
        hour = local.weekday() * 24 + local.hour if local is not None else 0
        now_s = local.timestamp() if local is not None else pts_s
        self._now_s = now_s
        if self._learned is None:
            known = Normality.empty(self._cells, now_s, self._limits.half_life_s)
            self._learned = Learned(known, Tail.empty(), Tail.empty(), 0.0, now_s)
        step_s = 0.0 if self._looked_s is None else pts_s - self._looked_s
        self._looked_s = pts_s
        if not calm:
            self._minute, self._waiting = None, []
        elif self._minute is None:
            self._minute = _Minute(hour)
        else:
            self._minute.observed_s += step_s if 0.0 <= step_s <= LONGEST_STEP_S else 0.0
            if self._minute.observed_s >= MINUTE_S or self._minute.hour != hour:
                self._turn(hour)
        self._refresh(hour, now_s)
        return self.usual

    def take(self, step: Step, numbers: tuple[float, float], pts_s: float) -> None:
        """Take in what a look shows, where it is learned from.

        Args:
            step: of those in view.
            numbers: how many are in view, and in the densest cell, a square metre.
            pts_s: camera time.
        """
        minute = self._minute
        if minute is None:
            return
        if step.entered.any():
            minute.rows.append(_rows(step))
        if not 0.0 <= pts_s - minute.sampled_s < SAMPLE_S:
            minute.sampled_s = pts_s
            minute.held.append(np.unique(step.seen.cell))
        minute.looks += 1
        minute.number += numbers[0]
        minute.density = max(minute.density, numbers[1])
        minute.rarest = min(minute.rarest, float(step.p.min(initial=1.0)))

    def p(self, p: float) -> float:
        """Of a combined p-value: the share of minutes that have something as rare, by what was seen here."""
        return 1.0 if self._learned is None else self._learned.tail.p(p)

    def per_day(self, p: float) -> float:
        """On how many minutes of a day something is to be expected that is as rare."""
        return self.p(p) * DAY_MIN

    def alarms(self, p: float, strictness: float = 1.0) -> bool:
        """Whether a combined p-value is so rare that it is unusual.

        Args:
            p: combined over quantities and steps, 0 to 1.
            strictness: how many times rarer than usual it must be, 1 or more.
        """
        if self._learned is None or not self.ready:
            return False
        rate = self._limits.alarms_per_day / strictness
        lately = float(self._learned.recent.counts[score_bin(p) :].sum())
        return self._learned.tail.per_day(p) <= rate + 1e-9 and lately < rate * RECENT_DAYS + BURST

    def told(self, p: float) -> None:
        """Something was called unusual: that is counted, so that the rate is kept, but it is not learned."""
        if self._learned is not None:
            self._fade(self._now_s)
            self._learned = replace(
                self._learned, tail=self._learned.tail.add(p), recent=self._learned.recent.add(p)
            )
            self.changed = True

    def settle(self) -> None:
        """Have what is known hold all that was learned so far; minutes that still wait are left out."""
        if self._learned is not None and self._ripe:
            normality = self._learned.normality.learned(self._ripe, self._now_s)
            self._learned, self._ripe = replace(self._learned, normality=normality), {}

    # -- learning -----------------------------------------------------------------------------------------

    def _turn(self, hour: int) -> None:
        """A minute is over: the one before it can be learned."""
        if self._minute is not None:
            self._waiting.append(self._minute)
        self._minute = _Minute(hour)
        while len(self._waiting) > 1:
            self._learn(self._waiting.pop(0))

    def _learn(self, minute: _Minute) -> None:
        assert self._learned is not None  # noqa: S101 - a minute begins with a look
        self._fade(self._now_s)
        warm = self._learned.observed_min < WARM * self._limits.least_h * 60.0
        known = self._learned
        batch, ripe = minute.batch(), self._ripe.get(minute.hour)
        self._ripe[minute.hour] = batch if ripe is None else ripe.join(batch)
        self._learned = replace(
            known,
            tail=known.tail if warm else known.tail.add(minute.rarest),
            observed_min=known.observed_min + minute.observed_s / MINUTE_S,
        )
        self.changed = True

    def _fade(self, now_s: float) -> None:
        known = self._learned
        if known is None or now_s <= known.faded_s:
            return
        gone_s = now_s - known.faded_s
        self._learned = replace(
            known,
            tail=known.tail.faded(fading(gone_s, self._limits.half_life_s)),
            recent=known.recent.faded(fading(gone_s, RECENT_DAYS * 86400.0)),
            faded_s=now_s,
        )

    def _refresh(self, hour: int, now_s: float) -> None:
        assert self._learned is not None  # noqa: S101 - see look
        if self._asked is not None:
            then, then_s = self._asked
            if then == hour and 0.0 <= now_s - then_s < REFRESH_MIN * 60.0:
                return
        self._asked = (hour, now_s)
        self.settle()
        self.usual = self._learned.normality.usual(hour % HOURS, now_s, self._cells)


def _rows(step: Step) -> NDArray[np.int64]:
    """(k, 5) of those who entered a cell: cell, size, group, way or -1, speed."""
    new, seen = step.entered, step.seen
    speed = step.speed[new]
    ways = np.where(speed >= STANDS_M_S, ways_of(step.velocity[new]), -1)
    fast = np.minimum(np.searchsorted(SPEEDS_M_S, speed, side="right"), FASTEST)
    return np.column_stack((seen.cell[new], seen.size[new], seen.group[new], ways, fast)).astype(np.int64)
