"""Flow: persons per metre and minute through a line on the ground, and whether it stops and goes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edge.field import weidmann_speed_m_s
from edge.geometry import Floats, line_offset, line_position
from edge.people import People

CAPACITY_PER_M_MIN = 82.0
"""UK Guide to Safety at Sports Grounds (Green Guide): persons per metre and minute on the level; also Fruin's
highest walkway flow."""

STAIRS_PER_M_MIN = 66.0
"""The same guide, on stairs."""

WINDOW_S = 60.0

BREAKDOWN_PER_M_S = 0.8
"""Helbing, Johansson, Al-Abideen (PRE 75, 046109, 2007): stop-and-go waves began when the outflow fell below
this many persons per metre and second."""

DENSE_PER_M2 = 1.0
"""Only from here on does a low flow mean that it is held up."""

_MARGIN_M = 0.15
"""A foot point wavers by about this: who is nearer to the line is on neither side."""
_LOST_S = 2.0
_MAX_STEP_S = 5.0
_STANDING_M_S, _WALKING_M_S = 0.2, 0.4
_WAVES = 2
_CREEP_PER_M_S = 0.05
_LEAST_KNOWN = 0.5
_LEAST_S = 5.0
_EPS_S = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """A line across a way, on the ground.

    Attributes:
        start, end: (2,) float64 metres. Ahead is where `edge.geometry.line_offset` is positive.
        capacity_per_m_min: persons per metre of width and minute that it can take, above 0.
        band_m: half the depth of the strip around it in which density and speed are read.
    """

    start: Floats
    end: Floats
    capacity_per_m_min: float = CAPACITY_PER_M_MIN
    band_m: float = 1.0

    def __post_init__(self) -> None:
        if not self.width_m > 0:
            raise ValueError("a section's ends must lie apart")
        if not (self.capacity_per_m_min > 0 and self.band_m > 0):
            raise ValueError("capacity_per_m_min and band_m must be positive")

    @property
    def width_m(self) -> float:
        """Its length in metres: the width of the way."""
        return float(np.hypot(*(self.end - self.start)))

    @property
    def ahead(self) -> Floats:
        """Unit vector across it, (2,)."""
        x, y = (self.end - self.start) / self.width_m
        return np.array([-y, x])


@dataclass(frozen=True, slots=True)
class FlowSide:
    """One track with regard to a section.

    Attributes:
        settled: 1 ahead of it, -1 behind, 0 not known yet.
        at: (x, y) metres where it was last seen.
        offset_m: how far ahead of the section's endless line that is.
        through: whether it last changed side between the section's ends.
        seen_s: camera time.
    """

    settled: int
    at: tuple[float, float]
    offset_m: float
    through: bool
    seen_s: float


@dataclass(frozen=True, slots=True)
class FlowLook:
    """What one look adds.

    Attributes:
        pts_s: camera time.
        lasted_s: seconds since the look before, as far as they count as observed.
        ahead, back: persons who crossed since, expected.
        ahead_variance, back_variance: theirs, in persons squared.
        density_per_m2: persons per m2 in the strip.
        speed_m_s: their mean speed; NaN where it is unknown.
    """

    pts_s: float
    lasted_s: float
    ahead: float
    back: float
    ahead_variance: float
    back_variance: float
    density_per_m2: float
    speed_m_s: float


@dataclass(frozen=True, slots=True)
class FlowState:
    """Sides of tracks by key, the window's looks, the oldest first, and the time of the last."""

    sides: Mapping[int, FlowSide] = field(default_factory=lambda: MappingProxyType({}))
    looks: tuple[FlowLook, ...] = ()
    looked_s: float | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """Flow through a section over the window; `None` where `unavailable` says why.

    Attributes:
        ahead_per_m_min, back_per_m_min: persons per metre and minute, each way.
        net_per_m_min: ahead less back.
        stderr_per_m_min: standard error of `net_per_m_min` and of both ways' sum, by Poisson's law and the
            errors of density and speed.
        capacity_share: both ways' sum over the capacity.
        capacity_share_stderr: its standard error.
        net_per_s: persons per second through the whole width, ahead less back; with `net_stderr_per_s` what
            a forecast takes.
        net_stderr_per_s: its standard error.
        density_per_m2: persons per m2 in the strip, mean over the last ten seconds.
        speed_m_s: mean speed there; None where unknown.
        waves: how often the crowd in the strip stood and walked again, while it was dense.
        stop_and_go: dense, and either walks in waves or is held up: flows at less than 0.8 persons per metre
            and second and at less than half of the speed to be expected. A crowd that only stands does not.
        observed_s: seconds of the window that were looked at.
        unavailable: why there is no flow.
    """

    ahead_per_m_min: float | None = None
    back_per_m_min: float | None = None
    net_per_m_min: float | None = None
    stderr_per_m_min: float | None = None
    capacity_share: float | None = None
    capacity_share_stderr: float | None = None
    net_per_s: float | None = None
    net_stderr_per_s: float | None = None
    density_per_m2: float = 0.0
    speed_m_s: float | None = None
    waves: int = 0
    stop_and_go: bool = False
    observed_s: float = 0.0
    unavailable: str | None = None


def step_flow(
    state: FlowState, people: People, section: Section, pts_s: float, window_s: float = WINDOW_S
) -> tuple[FlowState, Flow]:
    """Count tracks that cross, and add the flow of those without a track as density times speed.

    Everybody is either a track or part of the density, so the two add up: tracks by their crossings, points
    without a key by the sum of weight times speed across the line over the strip's depth, which is the
    integral of rho v dx along the line.

    Args:
        state: from the look before.
        people: around the section, the farther from it the better for tracks seen seldom.
        section: where.
        pts_s: camera time, not below the last one's.
        window_s: over so many seconds, above 0.
    """
    gone_s = 0.0 if state.looked_s is None else max(pts_s - state.looked_s, 0.0)
    lasted_s = gone_s if gone_s <= _MAX_STEP_S + _EPS_S else 0.0
    sides, ahead, back = _cross(state, people.select(people.tracked), section, pts_s, lasted_s)
    strip = people.select(around(people, section))
    flux = _flux(strip.select(~strip.tracked), section, lasted_s)
    density = strip.count / (2 * section.band_m * section.width_m)
    look = FlowLook(
        pts_s=pts_s,
        lasted_s=lasted_s,
        ahead=ahead + flux[0],
        back=back + flux[1],
        ahead_variance=ahead + flux[2],
        back_variance=back + flux[3],
        density_per_m2=density,
        speed_m_s=_mean_speed(strip),
    )
    looks = (*(k for k in state.looks if k.pts_s > pts_s - window_s + _EPS_S), look)
    return FlowState(MappingProxyType(sides), looks, pts_s), _sum_up(looks, section, pts_s)


def around(people: People, section: Section) -> NDArray[np.bool_]:
    """Who stands in the strip around a section: (n,) bool."""
    offset, along = _strip(people.at, section)
    near: NDArray[np.bool_] = (np.abs(offset) <= section.band_m) & (along >= 0) & (along <= 1)
    return near


def _strip(at: Floats, section: Section) -> tuple[Floats, Floats]:
    """(n,) metres ahead of the section, and (n,) place along it: 0 at its start, 1 at its end."""
    way = section.end - section.start
    along: Floats = (at - section.start) @ way / section.width_m**2
    return line_offset(at, section.start, section.end) / section.width_m, along


def _cross(
    state: FlowState, people: People, section: Section, pts_s: float, lasted_s: float
) -> tuple[dict[int, FlowSide], float, float]:
    """Sides after this look, and persons that crossed ahead and back."""
    sides = {
        key: side
        for key, side in state.sides.items()
        if pts_s - side.seen_s <= _LOST_S or side.seen_s == state.looked_s
    }
    crossed = {1: 0.0, -1: 0.0}
    offsets, _ = _strip(people.at, section)
    for key, at, offset, weight in zip(
        people.keys.tolist(), people.at.tolist(), offsets.tolist(), people.weight.tolist(), strict=True
    ):
        here = (1 if offset > 0 else -1) if abs(offset) > _MARGIN_M else 0
        old = sides.get(key, FlowSide(here, (at[0], at[1]), offset, False, pts_s))
        through = old.through
        if (old.offset_m > 0) != (offset > 0):
            where = line_position(np.array(old.at), np.array(at), section.start, section.end)
            through = 0 <= where <= 1
        if here == -old.settled and here and through and lasted_s > 0:
            crossed[here] += weight
        sides[key] = FlowSide(here or old.settled, (at[0], at[1]), offset, through, pts_s)
    return sides, crossed[1], crossed[-1]


def _flux(loose: People, section: Section, lasted_s: float) -> tuple[float, float, float, float]:
    """Persons without a track who crossed ahead and back, expected, and the variances of both.

    Points whose speed is unknown are taken to move as the others in the strip do.
    """
    known = loose.moving
    total = loose.count
    if total <= 0 or lasted_s <= 0 or loose.weight[known].sum() < _LEAST_KNOWN * total:
        return 0.0, 0.0, 0.0, 0.0
    share = total / float(loose.weight[known].sum())
    across = loose.velocity[known] @ section.ahead
    crossing = across * lasted_s / (2 * section.band_m)  # persons crossed for each person in the strip
    ways = []
    for way in (np.maximum(crossing, 0.0), np.maximum(-crossing, 0.0)):
        persons = float((loose.weight[known] * way).sum()) * share
        moved = persons / max(float(loose.weight[known][way > 0].sum()) * share, 1e-12)
        # A person is in the strip for 1 / moved looks: below 1 some pass unseen, which adds to the scatter;
        # above, the same weights' errors come again in every one of these looks.
        poisson = persons * max(1.0, moved)
        weighing = float((loose.variance[known] * way**2).sum()) * share**2 * max(1.0, 1 / max(moved, 1e-3))
        ways.append((persons, poisson + weighing))
    return ways[0][0], ways[1][0], ways[0][1], ways[1][1]


def _mean_speed(strip: People) -> float:
    known = strip.moving
    weight = strip.weight[known]
    if weight.sum() <= 0 or weight.sum() < _LEAST_KNOWN * strip.count:
        return math.nan
    return float(np.average(np.hypot(*strip.velocity[known].T), weights=weight))


def _sum_up(looks: tuple[FlowLook, ...], section: Section, pts_s: float) -> Flow:
    observed_s = sum(k.lasted_s for k in looks)
    fresh = [k for k in looks if pts_s - k.pts_s <= 10.0]
    density = float(np.mean([k.density_per_m2 for k in fresh]))
    speeds = [k.speed_m_s for k in fresh if not math.isnan(k.speed_m_s)]
    speed = float(np.mean(speeds)) if speeds else None
    waves = _count_waves(looks)
    if observed_s < _LEAST_S:
        return Flow(
            density_per_m2=density,
            speed_m_s=speed,
            waves=waves,
            observed_s=observed_s,
            unavailable="too little has been seen yet",
        )
    blind = sum(k.lasted_s for k in looks if math.isnan(k.speed_m_s) and k.density_per_m2 > DENSE_PER_M2)
    if blind > _LEAST_KNOWN * observed_s:
        return Flow(
            density_per_m2=density, observed_s=observed_s, unavailable="velocities of most people are unknown"
        )
    ahead, back = sum(k.ahead for k in looks), sum(k.back for k in looks)
    # Nobody seen to cross does not mean that nobody ever does: one person's error is the least.
    stderr = math.sqrt(max(sum(k.ahead_variance + k.back_variance for k in looks), 1.0))
    per_m_min = 60 / (observed_s * section.width_m)
    total = (ahead + back) * per_m_min
    return Flow(
        ahead_per_m_min=ahead * per_m_min,
        back_per_m_min=back * per_m_min,
        net_per_m_min=(ahead - back) * per_m_min,
        stderr_per_m_min=stderr * per_m_min,
        capacity_share=total / section.capacity_per_m_min,
        capacity_share_stderr=stderr * per_m_min / section.capacity_per_m_min,
        net_per_s=(ahead - back) / observed_s,
        net_stderr_per_s=stderr / observed_s,
        density_per_m2=density,
        speed_m_s=speed,
        waves=waves,
        stop_and_go=waves >= _WAVES or _held_up(total / 60, density, speed),
        observed_s=observed_s,
    )


def _held_up(flow_per_m_s: float, density_per_m2: float, speed_m_s: float | None) -> bool:
    if density_per_m2 < DENSE_PER_M2 or not _CREEP_PER_M_S <= flow_per_m_s < BREAKDOWN_PER_M_S:
        return False
    expected = max(float(weidmann_speed_m_s(density_per_m2)), _WALKING_M_S)
    return speed_m_s is not None and speed_m_s < expected / 2


def _count_waves(looks: tuple[FlowLook, ...]) -> int:
    """How often the dense crowd in the strip stood, then walked: by two limits, so that noise is no wave."""
    waves, stood = 0, False
    for look in looks:
        if look.density_per_m2 < DENSE_PER_M2 or math.isnan(look.speed_m_s):
            continue
        if look.speed_m_s < _STANDING_M_S:
            stood = True
        elif look.speed_m_s > _WALKING_M_S and stood:
            waves, stood = waves + 1, False
    return waves
