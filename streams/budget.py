"""The frame budget: which service level each camera gets, as a pure function of demands, costs and capacity.

A camera's way up is a chain of steps: keyframes (of a calm camera only some), analysed rates up to its safety
floor, density with every look, tiles, rates above the floor, and the rest of a calm camera's keyframes. All
steps of all cameras stand in one order, the declared order of degradation read backwards, and are granted in
that order while they fit; room too small for a step goes to what comes after it. So what is given up first is
what stands last, and equals get the same within one step.

While keyframes are granted, room is kept for what the cameras that get them usually want; then it is free for
those that move. So of ten times too many cameras a tenth is watched well, in turns.

Rates above the floor have a concave value, log(1 + fps) times a weight, so among them the greedy choice by
marginal value per cost is best up to one step.

Hysteresis: a step that is held may use more of the capacity than a new one, and its value counts for a
quarter more; noise of 5 % in the costs therefore moves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.demand import DEGRADATION, Allocation, CameraCost, Capacity, Demand, Shortfall, Tier
from streams.service import DENSITY_PERIOD_S, LADDER_FPS, PACE_SLACK, PACES_S, SHED, Service

LAST_RESORT: Final = 1.12
"""Keyframes and floors that are held may use this multiple of the capacity before they are given up."""
ENTRY: Final = 0.9
"""What is above the floors is newly granted up to this share of the capacity, and held up to all of it."""
STICKINESS: Final = 1.25
"""How much more value per cost a new rate must bring before it displaces one that is held."""
ROTATE_S: Final = 30.0
"""Among equals that cannot all be served, one that went without for so long goes before the others."""
PROTECTED: Final = 8
"""From this priority on a camera's floor goes before anybody else's keyframes: others are shed for it."""
_SPACING: Final = 1.3
# Rungs closer than this to the wanted rate are left out, and each rung's value per cost is at least so much
# less than the rung below has: more than STICKINESS, so that no camera keeps two rungs more than its equal.
COUNTS_FPS: Final = 1 / DENSITY_PERIOD_S
_EPS: Final = 1e-9
_LATER: Final = 2.0**18
# Above all bits of a safety key. Floors of calm cameras come before the others': they cost next to nothing,
# and without them packets could not wake the camera.

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


_service = lru_cache(maxsize=4096)(Service)


class _Table:
    """Demands and costs as columns, sorted by camera id, so that the order they came in means nothing."""

    def __init__(
        self, demands: Sequence[Demand], costs: Mapping[str, CameraCost], previous: Allocation | None
    ) -> None:
        self.demands = sorted(demands, key=attrgetter("camera_id"))
        self.ids = [demand.camera_id for demand in self.demands]
        if len(set(self.ids)) != len(self.ids):
            raise ValueError("two demands for one camera")
        rows = _columns(map(_ASKED, self.demands), 13)
        self.wanted, self.priority, self.share = rows[:3]
        self.protected = self.priority >= PROTECTED
        self.keyframe_fps, self.idle_fps = np.minimum(rows[3], self.wanted), np.minimum(rows[4], self.wanted)
        self.urgency = np.where(rows[5] > 0, 2.0, np.where(rows[6] > 0, 1.0, 0.0))
        self.stale_s, self.shed_s, self.tiles, self.density = rows[7], rows[8], rows[9] > 0, rows[10] > 0
        self.decoded = np.array([demand.decode_share for demand in self.demands], np.float64)  # None: NaN
        self.decoded = np.where(np.isnan(self.decoded), self.share, self.decoded)
        self.floor = np.array([max(d.floors.values(), default=0.0) for d in self.demands], np.float64)
        priced = [costs[id_] for id_ in self.ids]
        paid = _columns(map(_PAID, priced), 7)
        self.demux, self.keyframe, self.decode, self.look, self.tiles_ms, self.density_ms = paid[:6]
        # Heads counted, and looks for fire, a second where that is granted no oftener: on keyframes alone, at
        # a rate, and idle.
        self.counts = np.minimum(np.stack((self.keyframe_fps, self.wanted, self.idle_fps)), COUNTS_FPS)
        self.count_ms = self.density * self.density_ms + paid[6]
        self.reserve = self._reserve(rows[12])
        lane = np.array([cost.lane_ms for cost in priced], np.float64)
        self.lane = np.where(np.isnan(lane), self.look, lane)
        self.paced, self.paces = self._paces(rows[11] > 0)
        before = previous.services if previous is not None else {}
        held = _columns((_HELD(before.get(id_, SHED)) for id_ in self.ids), 5)
        self.held_any, self.held_fps = 1 - held[0], held[1]
        self.held_tiles, self.held_density, self.held_pace_s = held[2], held[3], held[4]
        if previous is not None:
            self._spread_turns()

    def _spread_turns(self) -> None:
        """Whose turn has come does not come all at once: to open streams costs more than to watch them.

        As many a step as end their turn in the mean, the most important and longest shed first.
        """
        waiting = np.flatnonzero((self.shed_s >= ROTATE_S) & (self.held_any <= 0))
        most = math.ceil(float(self.held_any.sum()) / ROTATE_S) or 1
        order = np.lexsort((-self.shed_s[waiting], -self.priority[waiting]))
        self.shed_s[waiting[order[most:]]] = 0.0

    def _reserve(self, usual: Floats) -> Floats:
        """CPU a second that each camera's floor usually takes, where everything must be decoded always.

        Protected floors are granted beside keyframes: of these, what they usually take beyond what they do.
        """
        looks = np.minimum(self.floor, self.wanted) - self.keyframe_fps
        looking = np.where(self.protected, np.maximum(usual - self.share, 0.0), usual)
        decoding = np.where(self.decoded > self.share, self.decoded * ~self.protected, looking)
        ms = decoding * np.maximum(self.decode - self.keyframe, 0.0)
        ms += looking * (looks * self.look + (self.counts[1] - self.counts[0]) * self.count_ms)
        reserve: Floats = np.where(looks > _EPS, ms, 0.0)
        return reserve

    def _paces(self, calm: Bools) -> tuple[Bools, Floats]:
        """Whose keyframes may be thinned, and to what share of them at each pace, worst first (paces, n).

        Not where a floor rests on keyframes alone: there packets are not looked at, so nothing would wake the
        camera. Nor where the floor is protected: what packets do not tell, the next keyframe shows.
        """
        spacing = [
            np.maximum(np.ceil(PACE_SLACK * pace_s * self.keyframe_fps - _EPS), 1) for pace_s in PACES_S
        ]
        shares = 1 / np.stack(spacing)
        slowest = self.keyframe_fps * shares[0]
        decoded = np.minimum(self.floor, self.wanted) > self.keyframe_fps + _EPS
        safe = decoded | (self.floor <= slowest + _EPS)
        paced = calm & safe & (shares[0] < 1) & ~self.protected
        return paced, np.where(paced, shares, 1.0)


_ASKED = attrgetter(
    "wanted_fps", "priority", "active_share", "keyframe_fps", "idle_fps", "open_incident", "moving_tracks",
    "stale_s", "shed_s", "tiles", "density", "calm", "usual_share",
)  # fmt: skip
_PAID = attrgetter(
    "demux_ms_per_s", "keyframe_ms_per_s", "decode_ms_per_s", "look_ms", "tiles_ms", "density_ms", "fire_ms"
)
_HELD = attrgetter("shed", "fps", "tiles", "density", "pace_s")


def _columns(rows: Iterable[tuple[float, ...]], width: int) -> Floats:
    """Rows as columns (width, n)."""
    return np.fromiter(chain.from_iterable(rows), np.float64).reshape(-1, width).T


@dataclass(frozen=True, slots=True)
class _Steps:
    """All steps of all cameras in the order of granting.

    Attributes:
        camera: place of the camera in the table.
        tier: what the step buys.
        held: whether the camera had it before, or has waited for its floor so long that it is its turn.
        fps: the rate that it reaches; of keyframes, the place of their pace.
        cpu: milliseconds of CPU a second, of the step itself; of density and tiles, of one look.
        looks: looks a second that it adds.
    """

    camera: Ints
    tier: Ints
    held: Bools
    fps: Floats
    cpu: Floats
    looks: Floats


_Column = tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats]
"""Whether there is such a step, sort key, tier, whether held, fps, CPU, looks; one row a camera."""


def _steps(table: _Table) -> _Steps:
    columns = [_keyframe_steps(table), *_rate_steps(table), *_extra_steps(table), *_pace_steps(table)]
    there, key, tier, held, fps, cpu, looks = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    camera = np.tile(np.arange(len(table.ids)), len(columns))
    wanted = np.flatnonzero(there)
    # One integer a step sorts far faster than seven columns: tier, then the key, then the camera's place.
    packed = (tier[wanted].astype(np.int64) << 60) | (key[wanted].astype(np.int64) << 20) | camera[wanted]
    order = wanted[np.argsort(packed)]
    waited_s = np.where(fps > 0, table.stale_s[camera], table.shed_s[camera])
    held = (held > 0) | ((tier <= Tier.FLOOR) & (waited_s >= ROTATE_S))
    return _Steps(
        camera[order],
        tier[order].astype(np.int64),
        held[order],
        fps[order],
        cpu[order],
        looks[order],
    )


def _safety_key(table: _Table, rung: int, held: Floats, waited_s: Floats | float = 0.0) -> Floats:
    """18 bits: priority, open incident, rung, who went without for long, moving tracks, who has it already.

    Long neglect stands before moving tracks, because a camera that is shed shows none.
    """
    turns = np.minimum(waited_s // ROTATE_S, 255)
    rank = (9 - table.priority) * 2 + (table.urgency < 2)
    return np.asarray(
        ((rank * 8 + rung) * 256 + (255 - turns)) * 4 + (table.urgency < 1) * 2 + (held <= 0), float
    )


def _value_key(ratio: Floats, rung: int) -> Floats:
    """Falling value per cost, on a logarithmic scale fine enough that only equals are equal: 37 bits."""
    scaled = np.round((64.0 - np.log2(np.clip(ratio, 2.0**-60, 2.0**60))) * 2**27)
    return np.asarray(scaled * 8 + rung, np.float64)


def _keyframe_steps(table: _Table) -> _Column:
    zero = np.zeros(len(table.ids))
    looks = table.share * table.keyframe_fps + (1 - table.share) * table.idle_fps
    counts = table.share * table.counts[0] + (1 - table.share) * table.counts[2]
    cpu = table.demux + table.keyframe * table.paces[0] + looks * table.look + counts * table.count_ms
    key = _safety_key(table, 0, table.held_any, table.shed_s)
    return zero + 1, key, zero, table.held_any, zero, cpu, looks


def _rate_steps(table: _Table) -> list[_Column]:
    """One column a rung: the ladder's rates below the wanted one, then that."""
    zero = np.zeros(len(table.ids))
    tier_floor = np.where(table.protected, float(Tier.KEYFRAMES), float(Tier.FLOOR))
    tier_above = np.where(table.urgency > 0, float(Tier.BUSY_RATE), float(Tier.QUIET_RATE))
    weight = 2.0 ** ((table.priority - 5) / 2 + table.urgency)
    below, decoded, best = table.keyframe_fps, zero > 0, zero + np.inf
    columns: list[_Column] = []
    for rung, fps in enumerate((*LADDER_FPS[1:], math.inf), 1):
        level = np.minimum(fps, table.wanted)
        there = (level > below + _EPS) & ((level == table.wanted) | (level * _SPACING < table.wanted))
        looks = table.share * (level - below)
        decode = table.decoded * np.maximum(table.decode - table.keyframe * table.paces[0], 0)
        counting = table.share * (table.counts[1] - table.counts[0]) * table.count_ms
        cpu = np.where(decoded, 0, decode + counting) + looks * table.look
        held = np.where(table.held_fps >= level - _EPS, table.held_any, 0.0)
        ratio = weight * np.log((1 + level) / (1 + below)) / np.maximum(cpu, _EPS)
        best = np.where(there, np.minimum(best / _SPACING, ratio), best)
        safety = _safety_key(table, rung, held, table.stale_s)
        safety += _LATER * ~(table.paced | table.protected)
        key = np.where(
            below < table.floor - _EPS,
            safety,
            _value_key(best * np.where(held > 0, STICKINESS, 1.0), rung),
        )
        tier = np.where(below < table.floor - _EPS, tier_floor, tier_above)
        columns.append((zero + there, key, tier, held, level, cpu, looks))
        decoded = decoded | there
        below = np.where(there, level, below)
    return columns


def _extra_steps(table: _Table) -> list[_Column]:
    zero = np.zeros(len(table.ids))
    return [
        (zero + wanted, _safety_key(table, 0, held), zero + tier, held, zero, ms, zero)
        for tier, wanted, held, ms in (
            (Tier.DENSITY, table.density, table.held_density, table.density_ms),
            (Tier.TILES, table.tiles, table.held_tiles, table.tiles_ms),
        )
    ]


def _pace_steps(table: _Table) -> list[_Column]:
    """The rest of a calm camera's keyframes, one column a pace."""
    zero = np.zeros(len(table.ids))
    columns: list[_Column] = []
    for rung in range(1, len(PACES_S)):
        more = table.paces[rung] - table.paces[rung - 1]
        held = table.held_any * (table.held_pace_s <= PACES_S[rung])
        key = _safety_key(table, rung, held)
        columns.append(
            (zero + (more > _EPS), key, zero + Tier.PACE, held, zero + rung, table.keyframe * more, zero)
        )
    return columns


class _Grants:
    """What each camera has been granted so far, and what that uses."""

    def __init__(self, table: _Table, capacity: Capacity) -> None:
        n = len(table.ids)
        self.cpu = capacity.overhead_ms
        self.lane = 0.0
        self.camera_ms = np.zeros(n)
        self.served, self.tiles, self.density = (np.zeros(n, np.bool_) for _ in range(3))
        self.fps, self.looks = np.zeros(n), np.zeros(n)
        self.pace = np.zeros(n, np.int64)
        self.given_up: dict[Tier, int] = {}
        self._capacity = capacity
        self._below_floor = np.zeros(n, np.bool_)
        self._extra_ms = np.zeros(n)
        self._reserve = table.reserve
        self._counts = table.counts * np.stack((table.share, table.share, 1 - table.share))
        self._lane_ms, self._rests = table.lane, 1 - table.decoded
        self._lane_share = np.divide(table.lane, table.look, out=np.ones(n), where=table.look > 0)

    def run(self, steps: _Steps) -> None:
        """Grant in order what fits. What does not fit is passed over, with all that rests on it."""
        ends = np.searchsorted(steps.tier, np.arange(len(Tier) + 1))
        for tier in Tier:
            span = slice(ends[tier], ends[tier + 1])
            camera, fps, looks = steps.camera[span], steps.fps[span], steps.looks[span]
            cpu, lane = self._prices(tier, camera, steps.cpu[span], looks)
            reserve = np.where((tier == Tier.KEYFRAMES) & (fps == 0), self._reserve[camera], 0.0)
            granted = self._fitting(tier, camera, steps.held[span], (cpu + reserve, lane))
            self.cpu -= float(reserve[granted].sum())
            refused = camera[~granted]
            if tier <= Tier.FLOOR:
                self._below_floor[refused] = True
                floors = np.unique(camera[~granted & (fps > 0)]).size  # protected ones stand among keyframes
                self.given_up[Tier.FLOOR] = self.given_up.get(Tier.FLOOR, 0) + int(floors)
                refused = camera[~granted & (fps == 0)]
            if tier != Tier.FLOOR:
                self.given_up[tier] = int(np.unique(refused).size)
            camera = camera[granted]
            np.add.at(self.camera_ms, camera, cpu[granted])
            if tier == Tier.PACE:
                np.maximum.at(self.pace, camera, fps[granted].astype(np.int64))
            elif tier in (Tier.DENSITY, Tier.TILES):
                (self.tiles if tier == Tier.TILES else self.density)[camera] = True
                self._extra_ms[camera] += steps.cpu[span][granted]
            else:
                self.served[camera] = True
                np.maximum.at(self.fps, camera, fps[granted])
                np.add.at(self.looks, camera, looks[granted])

    def _prices(self, tier: Tier, camera: Ints, cpu: Floats, looks: Floats) -> tuple[Floats, Floats]:
        """CPU and lane, in milliseconds a second, of each step of a tier."""
        if tier in (Tier.TILES, Tier.DENSITY):
            paid = self._counts[:, camera] if tier == Tier.DENSITY else np.zeros((3, len(camera)))
            active = np.where(self.fps[camera] > 0, paid[1], paid[0])
            cpu = cpu * np.maximum(self.looks[camera] - active - paid[2], 0.0)
            return cpu, cpu * self._lane_share[camera]
        if tier == Tier.PACE:  # where everything is decoded anyway, keyframes cost nothing
            return cpu * np.where(self.fps[camera] > 0, self._rests[camera], 1.0), cpu * 0.0
        extra = looks * self._extra_ms[camera]
        return cpu + extra, looks * self._lane_ms[camera] + extra * self._lane_share[camera]

    def _fitting(self, tier: Tier, camera: Ints, held: Bools, prices: tuple[Floats, Floats]) -> Bools:
        """Which steps of a tier are granted; adds them to what is used."""
        new, kept = (1.0, LAST_RESORT) if tier <= Tier.FLOOR else (ENTRY, 1.0)
        granted = np.zeros(len(camera), np.bool_)
        open_ = np.flatnonzero(~self._below_floor[camera])
        cpu, lane = prices[0][open_], prices[1][open_]
        share = np.where(held[open_], kept, new)
        cpu_limit, lane_limit = share * self._capacity.cpu_ms, share * self._capacity.lane_ms
        # All that fits without a gap at once; from the first step that does not fit on, one by one.
        fits = (self.cpu + np.cumsum(cpu) <= cpu_limit) & (self.lane + np.cumsum(lane) <= lane_limit)
        first = len(fits) if fits.all() else int(np.argmin(fits))
        self.cpu += float(cpu[:first].sum())
        self.lane += float(lane[:first].sum())
        granted[open_[:first]] = True
        rest = open_[first:]
        cheapest = np.minimum.accumulate(cpu[first:][::-1])[::-1]  # of this step and all after it
        columns = (
            rest,
            camera[rest],
            cpu[first:],
            lane[first:],
            cpu_limit[first:],
            lane_limit[first:],
            cheapest,
        )
        most = kept * self._capacity.cpu_ms
        refused: set[int] = set()
        for place, id_, cpu_ms, lane_ms, cpu_most, lane_most, least in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            if self.cpu + least > most:
                break
            if id_ in refused or self.cpu + cpu_ms > cpu_most or self.lane + lane_ms > lane_most:
                refused.add(id_)
                continue
            self.cpu += cpu_ms
            self.lane += lane_ms
            granted[place] = True
        return granted


def plan(
    demands: Sequence[Demand],
    costs: Mapping[str, CameraCost],
    capacity: Capacity,
    previous: Allocation | None = None,
) -> Allocation:
    """The best service levels that fit.

    Keyframes and floors are granted while they fit the capacity, by priority; if they are held already, or it
    is their turn, they may use `LAST_RESORT` times as much before they are given up. Everything else is
    granted up to `ENTRY` of the capacity and held up to all of it. A camera that is shed costs nothing.

    Args:
        demands: one a camera, in any order.
        costs: by camera id, for each demand.
        capacity: what there is to spend a second.
        previous: the last allocation; what it granted is held rather than new.

    Raises:
        ValueError: two demands are for one camera.
        KeyError: a camera has no costs.
    """
    table = _Table(demands, costs, previous)
    grants = _Grants(table, capacity)
    grants.run(_steps(table))
    paced_s = np.where(table.paced & grants.served, np.array(PACES_S)[grants.pace], 0.0)
    keyframes = table.keyframe_fps * np.take_along_axis(table.paces, grants.pace[None], 0)[0]
    given = np.where(grants.served, np.maximum(grants.fps, keyframes), 0.0)
    levels = zip(
        grants.served.tolist(),
        grants.fps.tolist(),
        grants.tiles.tolist(),
        grants.density.tolist(),
        paced_s.tolist(),
        strict=True,
    )
    return Allocation(
        services={
            id_: _service(fps, tiles, density, pace_s=pace_s) if served else SHED
            for id_, (served, fps, tiles, density, pace_s) in zip(table.ids, levels, strict=True)
        },
        cpu_ms=grants.cpu,
        lane_ms=grants.lane,
        camera_ms=dict(zip(table.ids, grants.camera_ms.tolist(), strict=True)),
        capacity=capacity,
        below_floor=tuple(_shortfalls(table, given)),
        given_up={tier: grants.given_up[tier] for tier, _ in DEGRADATION},
    )


def _shortfalls(table: _Table, given: Floats) -> list[Shortfall]:
    short = np.flatnonzero(given < table.floor - _EPS)
    return [
        Shortfall(table.ids[camera], task, floor_fps, fps)
        for camera, fps in zip(short.tolist(), given[short].tolist(), strict=True)
        for task, floor_fps in table.demands[camera].floors.items()
        if fps < floor_fps - _EPS
    ]
