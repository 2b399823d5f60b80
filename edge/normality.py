"""What is usual at a camera: where things of which size go, which way and how fast, at each hour of the week.

Nothing here knows one passer-by from another: counts by cell and hour are all that is left of anybody. What
was long ago counts for less, by forward decay (Cormode et al. 2009): a visit weighs 2^(time / half-life), so
that all sums stay right without being touched.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edge.cells import Cells
from edge.geometry import Floats
from edge.rarity import mass_p, ranked_p, shrunk, tail_p

HOURS = 168
SIZES, GROUPS, WAYS = 8, 2, 8
SPEEDS_M_S = np.array(
    [0.4, 0.8, 1.1, 1.4, 1.7, 2.0, 2.4, 2.9, 3.5, 4.5, 6.0, 9.0, 13.0, 19.0, 28.0], np.float64
)
"""Edges of the bins of speed; who is slower than the first stands."""
FASTEST = len(SPEEDS_M_S)
EDGES_M_S = np.concatenate(([0.0], SPEEDS_M_S, [1.5 * SPEEDS_M_S[-1]]))
"""Edges of the same bins, with those of the first and the last."""
NUMBERS = np.array([0.5, 1.5, 2.5, 4, 6, 9, 13, 18, 25, 35, 50, 70, 100, 140, 200], np.float64)
"""Edges of the bins of how many are there."""
DENSITIES = np.array(
    [0.05, 0.1, 0.2, 0.3, 0.45, 0.65, 0.9, 1.2, 1.6, 2.1, 2.7, 3.4, 4.2, 5.1, 6.1], np.float64
)
"""Edges of the bins of how many a square metre are where they stand closest."""

_KIND = slice(0, SIZES)
_WAY = slice(SIZES, SIZES + GROUPS * WAYS)
_SPEED = slice(_WAY.stop, _WAY.stop + GROUPS * (FASTEST + 1))
_HELD = _SPEED.stop
COLUMNS = _HELD + 1

_IDLE, _LOOKS = 0, 1
_NUMBER = slice(2, 2 + len(NUMBERS) + 1)
_DENSITY = slice(_NUMBER.stop, _NUMBER.stop + len(DENSITIES) + 1)
SCALARS = _DENSITY.stop

REBASE = 12.0
"""Half-lives after which weights are written anew, before they grow too large for their bytes."""

_NEAR, _ALL, _BESIDE = 200.0, 40.0, 20.0
"""Visits that other hours, the whole week and the cells around may stand for in a cell at most."""
_PLACE_NEAR, _PLACE_ALL = 2000.0, 500.0
_SPEEDS_ANYWHERE = 100.0
_OTHER_DAYS, _NEXT_HOUR = 0.3, 0.5
_CENTRE = 0.5
_ROUGHLY = 1.1
"""Shares that differ by less are the same."""
_LEAST_SPREAD_M_S = 0.25
STRIDE, STRIDES = 0.25, 129
"""How fast something is counts in quarters of the spread above the middle, up to 32."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What was seen in some minutes, to be learned.

    Attributes:
        cell, size, group, way, speed: (n,) of each visit to a cell; way and speed are bins, -1 unknown.
        held: (m,) cells in which somebody was, once a sample.
        samples: how many of these.
        idle_min: minutes in which nobody came.
        numbers, densities: (k,) bins of one each minute.
    """

    cell: NDArray[np.int64]
    size: NDArray[np.int64]
    group: NDArray[np.int64]
    way: NDArray[np.int64]
    speed: NDArray[np.int64]
    held: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    samples: int = 0
    idle_min: float = 0.0
    numbers: tuple[int, ...] = ()
    densities: tuple[int, ...] = ()

    def join(self, other: "Batch") -> "Batch":
        """Both together."""
        arrays = ("cell", "size", "group", "way", "speed", "held")
        joined = {n: np.concatenate((getattr(self, n), getattr(other, n))) for n in arrays}
        return Batch(
            **joined,
            samples=self.samples + other.samples,
            idle_min=self.idle_min + other.idle_min,
            numbers=self.numbers + other.numbers,
            densities=self.densities + other.densities,
        )

    def page(self, cells: int, weight: float) -> NDArray[np.float32]:
        """The batch as a page, each visit counting `weight`: (cells * COLUMNS + SCALARS,)."""
        page = np.zeros(cells * COLUMNS + SCALARS, np.float32)
        body, rest = page[:-SCALARS].reshape(cells, COLUMNS), page[-SCALARS:]
        np.add.at(body, (self.cell, _KIND.start + self.size), weight)
        known = self.way >= 0
        columns = _WAY.start + self.group * WAYS + self.way
        np.add.at(body, (self.cell[known], columns[known]), weight)
        known = self.speed >= 0
        columns = _SPEED.start + self.group * (FASTEST + 1) + self.speed
        np.add.at(body, (self.cell[known], columns[known]), weight)
        np.add.at(body[:, _HELD], self.held, weight)
        rest[_IDLE], rest[_LOOKS] = self.idle_min * weight, self.samples * weight
        np.add.at(rest, _NUMBER.start + np.array(self.numbers, np.int64), weight)
        np.add.at(rest, _DENSITY.start + np.array(self.densities, np.int64), weight)
        return page


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """What is usual at one hour, ready to be asked.

    Attributes:
        place_p: (cells,) of being there at all.
        kind_p: (cells, SIZES) of being of that size there.
        way_p: (cells, GROUPS, WAYS) of going that way there.
        speed_p: (GROUPS, 129) of being so many spreads above the middle speed, or more.
        middle_m_s, spread_m_s: (cells, GROUPS) the median speed, and what nine of ten are below it.
        number_p, density_p: (bins + 1,) of being at least as many in view, and as dense.
        kinds, ways, speeds: the counts behind, by cell.
        held: (cells,) share of the time in which somebody is there.
        visits_per_h: (cells,) visits an hour.
    """

    place_p: Floats
    kind_p: Floats
    way_p: Floats
    speed_p: Floats
    middle_m_s: Floats
    spread_m_s: Floats
    number_p: Floats
    density_p: Floats
    kinds: Floats
    ways: Floats
    speeds: Floats
    held: Floats
    visits_per_h: Floats


Pages = Mapping[int, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Normality:
    """All that is known of a camera's usual motion.

    Attributes:
        key: of the cells it was counted by.
        cells: how many.
        landmark_s: Unix time at which a visit weighs 1.
        half_life_s: after which it weighs half.
        pages: by hour of the week, Monday's first being 0, packed counts.
        week: (cells * 57 + 34,) the sum of all.
    """

    key: str
    cells: int
    landmark_s: float
    half_life_s: float
    pages: Pages
    week: Floats

    @classmethod
    def empty(cls, cells: Cells, now_s: float, half_life_s: float) -> "Normality":
        """Nothing is known yet."""
        week = np.zeros(len(cells) * COLUMNS + SCALARS)
        return cls(cells.key, len(cells), now_s, half_life_s, MappingProxyType({}), week)

    def page(self, hour: int) -> Floats:
        """(cells * COLUMNS + SCALARS,) counts of an hour of the week, in the landmark's weights."""
        packed = self.pages.get(hour % HOURS)
        return np.zeros_like(self.week) if packed is None else unpack(packed)

    def learned(self, batches: Mapping[int, Batch], now_s: float) -> "Normality":
        """With what was seen, by hour of the week."""
        base = self if (now_s - self.landmark_s) / self.half_life_s < REBASE else self.rebased(now_s)
        weight = 2.0 ** min((now_s - base.landmark_s) / base.half_life_s, REBASE)
        pages, week = dict(base.pages), base.week.copy()
        for hour, batch in batches.items():
            more = batch.page(self.cells, weight)
            pages[hour % HOURS] = pack(base.page(hour) + more)
            week += more
        return replace(base, pages=MappingProxyType(pages), week=week)

    def rebased(self, now_s: float) -> "Normality":
        """The same, with a landmark at `now_s`."""
        factor = 0.5 ** ((now_s - self.landmark_s) / self.half_life_s)
        pages = {hour: pack(unpack(packed) * factor) for hour, packed in self.pages.items()}
        return replace(self, landmark_s=now_s, pages=MappingProxyType(pages), week=self.week * factor)

    def merged(self, other: "Normality") -> "Normality":
        """What both know together.

        Raises:
            ValueError: their cells differ.
        """
        if self.key != other.key:
            raise ValueError(f"cells {self.key} are not {other.key}")
        there = other.rebased(self.landmark_s)
        hours = {*self.pages, *there.pages}
        pages = {hour: pack(self.page(hour) + there.page(hour)) for hour in sorted(hours)}
        return replace(self, pages=MappingProxyType(pages), week=self.week + there.week)

    def usual(self, hour: int, now_s: float, cells: Cells) -> Usual:
        """What is usual at an hour of the week: by own counts, filled up by hours like it and the week."""
        weight = 0.5 ** ((now_s - self.landmark_s) / self.half_life_s)
        own = self.page(hour) * weight
        near = self._near(hour) * weight
        week = self.week * weight
        parts = [self._split(page) for page in (own, near, week)]
        bodies, rests = [body for body, _ in parts], [rest for _, rest in parts]
        kinds, own_kinds = _filled(cells, [body[:, _KIND] for body in bodies])
        ways, own_ways = _filled(cells, [_grouped(body[:, _WAY]) for body in bodies])
        speeds, own_speeds = _filled(cells, [_grouped(body[:, _SPEED]) for body in bodies])
        speeds = shrunk(speeds, np.broadcast_to(own_speeds.sum(axis=0), speeds.shape), _SPEEDS_ANYWHERE)
        middle, spread = _spreads(speeds)
        visits = [body[:, _KIND].sum(axis=1) for body in bodies]
        minutes = sum(float(rest[_NUMBER].sum()) for rest in rests[:2])
        return Usual(
            place_p=_place(cells, visits, [float(rest[_IDLE]) for rest in rests]),
            kind_p=_share_p(kinds, own_kinds, 1.0),
            way_p=_share_p(_turned(ways), own_ways, _CENTRE),
            speed_p=_stride_p(own_speeds, middle, spread),
            middle_m_s=middle,
            spread_m_s=spread,
            number_p=tail_p(_rest(rests, _NUMBER)),
            density_p=tail_p(_rest(rests, _DENSITY)),
            kinds=kinds,
            ways=ways,
            speeds=speeds,
            held=(bodies[0] + bodies[1])[:, _HELD] / max(float(rests[0][_LOOKS] + rests[1][_LOOKS]), 1.0),
            visits_per_h=(visits[0] + visits[1]) / max(minutes / 60.0, 1.0),
        )

    def _near(self, hour: int) -> Floats:
        """Counts of hours like this one, itself left out: next to it, and on other days."""
        total = np.zeros_like(self.week)
        weekend = hour // 24 >= 5
        for other in self.pages:
            apart = (other - hour + 12) % 24 - 12
            if other == hour or abs(apart) > 1:
                continue
            like = 1.0 if (other // 24 >= 5) == weekend else _OTHER_DAYS
            total += self.page(other) * (like * (_NEXT_HOUR if apart else 1.0))
        return total

    def _split(self, page: Floats) -> tuple[Floats, Floats]:
        return page[:-SCALARS].reshape(self.cells, COLUMNS), page[-SCALARS:]


def _grouped(columns: Floats) -> Floats:
    return columns.reshape(len(columns), GROUPS, -1)


def _filled(cells: Cells, parts: list[Floats]) -> tuple[Floats, Floats]:
    """Own counts, filled up by other hours and the week, then by the cells around; and before the latter."""
    own, near, week = parts
    hours = shrunk(shrunk(own, near, _NEAR), week, _ALL)
    return shrunk(hours, cells.around(hours), _BESIDE), hours


def _turned(ways: Floats) -> Floats:
    """Ways next to one that was gone are nearly as usual: (..., WAYS) -> (..., WAYS)."""
    beside = (np.roll(ways, 1, axis=-1) + np.roll(ways, -1, axis=-1)) * (1 - _CENTRE) / 2
    found: Floats = ways * _CENTRE + beside
    return found


def _share_p(counts: Floats, own: Floats, one: float) -> Floats:
    """p-values by the share that a kind has in its cell, ranked among all that was seen in any cell.

    Args:
        counts: (..., k) of each cell, filled up.
        own: (..., k) what was seen in it.
        one: what one more would add to its count.
    """
    mass = counts.sum(axis=-1, keepdims=True)
    shares = np.where(mass > 0, counts / np.maximum(mass, 1e-9), 1.0)
    # The one who is asked for belongs to those who are counted, as each of them does.
    asked = (counts + one) / (mass + 1.0) * _ROUGHLY
    return ranked_p(shares, own, asked)


def _spreads(speeds: Floats) -> tuple[Floats, Floats]:
    """(cells, GROUPS, bins) -> median, and the way up to the ninth tenth: (cells, GROUPS) in m/s each."""
    below = np.cumsum(speeds, axis=-1)
    mass = below[..., -1:]
    found = []
    for share in (0.5, 0.9):
        k = (below < share * mass).sum(axis=-1).clip(0, FASTEST)
        before = np.take_along_axis(below - speeds, k[..., None], axis=-1)[..., 0]
        inside = np.take_along_axis(speeds, k[..., None], axis=-1)[..., 0]
        part = np.clip((share * mass[..., 0] - before) / np.maximum(inside, 1e-9), 0.0, 1.0)
        found.append(EDGES_M_S[k] + part * (EDGES_M_S[k + 1] - EDGES_M_S[k]))
    return found[0], np.maximum(found[1] - found[0], _LEAST_SPREAD_M_S)


def _stride_p(own: Floats, middle: Floats, spread: Floats) -> Floats:
    """(GROUPS, STRIDES) p-values of lying so many spreads above the middle, or more."""
    mids = (EDGES_M_S[:-1] + EDGES_M_S[1:]) / 2
    strides = (mids - middle[..., None]) / spread[..., None]
    asked: Floats = STRIDE * np.arange(STRIDES, dtype=np.float64)
    return np.stack([ranked_p(-strides[:, g], own[:, g], -asked) for g in range(GROUPS)])


def _place(cells: Cells, visits: list[Floats], idle_min: list[float]) -> Floats:
    """p-value of somebody's being in each cell; that nobody comes for a minute counts as well."""
    own, near, week = (np.append(v, i) for v, i in zip(visits, idle_min, strict=True))
    all_ = shrunk(shrunk(own, near, _PLACE_NEAR), week, _PLACE_ALL)
    counts = all_[:-1]
    # Who goes along the edge of a way is not off it: a cell is as usual as half of those around it make it.
    around = cells.around(np.ones(len(counts)))
    smooth = (2 * counts + cells.around(counts)) / (2 + around)
    return mass_p(smooth, np.asarray(all_[-1]))


def _rest(rests: list[Floats], part: slice) -> Floats:
    own, near, week = (rest[part] for rest in rests)
    return shrunk(shrunk(own, near, 600.0), week, 60.0)


def pack(page: NDArray[np.floating]) -> bytes:
    """A page (n,) in few bytes: half precision of its largest number, deflated; most of it is 0."""
    top = float(page.max(initial=0.0)) or 1.0
    return np.float64(top).tobytes() + zlib.compress((page / top).astype(np.float16).tobytes(), 1)


def unpack(packed: bytes) -> Floats:
    """The page (n,) that was packed, each number within a two-thousandth of itself."""
    top = float(np.frombuffer(packed[:8], np.float64)[0])
    found: Floats = np.frombuffer(zlib.decompress(packed[8:]), np.float16).astype(np.float64) * top
    return found


def ways_of(velocity: Floats) -> NDArray[np.int64]:
    """(n, 2) velocities -> (n,) bins of their direction, each 45 degrees, the first along the first axis."""
    angle = np.arctan2(velocity[:, 1], velocity[:, 0])
    found: NDArray[np.int64] = np.round(angle / (2 * math.pi / WAYS)).astype(np.int64) % WAYS
    return found
