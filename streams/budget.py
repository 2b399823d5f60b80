"""The frame budget: which service level each camera gets, as a pure function of demands, costs and capacity.

A camera's way up is a chain of steps: keyframes, analysed rates up to its safety floor, density with every
look, tiles, and rates above the floor. All steps of all cameras stand in one order, the declared order of
degradation read backwards, and are granted in that order while they fit; room too small for a step goes to
what comes after it. So what is given up first is what stands last, and equals get the same within one step.
Rates above the floor have a concave value, log(1 + fps) times a weight, so among them the greedy choice by
marginal value per cost is best up to one step.

Hysteresis: a step that is held may use more of the capacity than a new one, and its value counts for a
quarter more; noise of 5 % in the costs therefore moves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.demand import DEGRADATION, Allocation, CameraCost, Capacity, Demand, Shortfall, Tier, given_fps
from streams.service import LADDER_FPS, SHED, Service

LAST_RESORT: Final = 1.12
"""Keyframes and floors that are held may use this multiple of the capacity before they are given up."""
ENTRY: Final = 0.9
"""What is above the floors is newly granted up to this share of the capacity, and held up to all of it."""
STICKINESS: Final = 1.25
"""How much more value per cost a new rate must bring before it displaces one that is held."""
ROTATE_S: Final = 30.0
"""Among equals that cannot all be served, one that went without for so long goes before the others."""
DENSITY_PERIOD_FPS: Final = 0.5
"""How often density is estimated where it is not estimated with every look."""
_SPACING: Final = 1.3
# Rungs closer than this to the wanted rate are left out, and each rung's value per cost is at least so much
# less than the rung below has: more than STICKINESS, so that no camera keeps two rungs more than its equal.
_EPS: Final = 1e-9

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
        columns = attrgetter(
            "wanted_fps", "floor_fps", "priority", "active_share", "decoded", "keyframe_fps",
            "idle_fps", "urgency", "stale_s", "tiles", "density",
        )  # fmt: skip
        rows = np.array([columns(d) for d in self.demands], np.float64).reshape(-1, 11).T
        self.wanted, self.floor, self.priority, self.share, self.decoded = rows[:5]
        self.keyframe_fps = np.minimum(rows[5], self.wanted)
        self.idle_fps, self.urgency, self.stale_s = np.minimum(rows[6], self.wanted), rows[7], rows[8]
        self.tiles, self.density = rows[9] > 0, rows[10] > 0
        prices = attrgetter(
            "demux_ms_per_s", "keyframe_ms_per_s", "decode_ms_per_s", "look_ms", "lane", "tiles_ms",
            "density_ms",
        )  # fmt: skip
        paid = np.array([prices(costs[id_]) for id_ in self.ids], np.float64).reshape(-1, 7).T
        self.demux, self.keyframe, self.decode, self.look, self.lane, self.tiles_ms, self.density_ms = paid
        before = previous.services if previous is not None else {}
        self.before = [before.get(id_, SHED) for id_ in self.ids]
        held = [(not s.shed, s.fps, s.tiles, s.density) for s in self.before]
        self.held_any, self.held_fps, self.held_tiles, self.held_density = (
            np.array(held, np.float64).reshape(-1, 4).T
        )


@dataclass(frozen=True, slots=True)
class _Steps:
    """All steps of all cameras, in the order of granting, as plain lists for the loop that grants them."""

    camera: list[int]
    tier: list[int]
    held: list[bool]
    rung: list[int]
    """Place in the camera's chain of rates, from 1; 0 for keyframes, and for density and tiles."""
    fps: list[float]
    cpu: list[float]
    """CPU of the step itself; of tiles and density per look."""
    looks: list[float]
    """Looks a second that the step adds."""


def _steps(table: _Table) -> _Steps:
    n = len(table.ids)
    columns = [_keyframe_steps(table), *_rate_steps(table), *_extra_steps(table)]
    keep, key, tier, held, rung, fps, cpu, looks = (
        np.concatenate(parts) for parts in zip(*columns, strict=True)
    )
    camera = np.tile(np.arange(n), len(columns))
    wanted = np.flatnonzero(keep > 0)
    # One integer a step sorts far faster than seven columns: tier, then the key, then the camera's place.
    packed = (tier[wanted].astype(np.int64) << 60) | (key[wanted].astype(np.int64) << 20) | camera[wanted]
    order = wanted[np.argsort(packed, kind="stable")]
    return _Steps(
        camera[order].tolist(), tier[order].astype(int).tolist(), (held[order] > 0).tolist(),
        rung[order].astype(int).tolist(), fps[order].tolist(), cpu[order].tolist(), looks[order].tolist(),
    )  # fmt: skip


_Column = tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats, Floats]
"""Whether there is such a step, sort key, tier, whether held, rung, fps, CPU, looks; one row a camera."""


def _safety_key(table: _Table, rung: int, held: Floats, *, rotate: bool) -> Floats:
    """Priority first, then urgency, the rung, who went without for long, who has it already: 18 bits."""
    turns = np.minimum(table.stale_s // ROTATE_S, 255) if rotate else np.zeros(len(table.ids))
    key = (9 - table.priority) * 4 + (2 - table.urgency)
    return np.asarray((key * 8 + rung) * 512 + (255 - turns) * 2 + (held <= 0), np.float64)


def _value_key(ratio: Floats, rung: int) -> Floats:
    """Falling value per cost, on a logarithmic scale fine enough that only equals are equal: 37 bits."""
    scaled = np.round((64.0 - np.log2(np.clip(ratio, 2.0**-60, 2.0**60))) * 2**27)
    return np.asarray(scaled * 8 + rung, np.float64)


def _keyframe_steps(table: _Table) -> _Column:
    zero = np.zeros(len(table.ids))
    looks = table.share * table.keyframe_fps + (1 - table.share) * table.idle_fps
    cpu = table.keyframe + looks * table.look
    key = _safety_key(table, 0, table.held_any, rotate=True)
    return zero + 1, key, zero, table.held_any, zero, zero, cpu, looks


def _rate_steps(table: _Table) -> list[_Column]:
    """One column a rung: the ladder's rates below the wanted one, then that."""
    zero = np.zeros(len(table.ids))
    tier_above = np.where(table.urgency > 0, float(Tier.BUSY_RATE), float(Tier.QUIET_RATE))
    weight = 2.0 ** ((table.priority - 5) / 2 + table.urgency)
    below, at, best = table.keyframe_fps, zero, zero + np.inf
    columns: list[_Column] = []
    for rung, fps in enumerate((*LADDER_FPS[1:], math.inf), 1):
        level = np.minimum(fps, table.wanted)
        there = (level > below + _EPS) & ((level == table.wanted) | (level * _SPACING < table.wanted))
        looks = table.share * (level - below)
        decode = table.decoded * np.maximum(table.decode - table.keyframe, 0)
        cpu = np.where(at == 0, decode, 0) + looks * table.look
        held = np.where(table.held_fps >= level - _EPS, table.held_any, 0.0)
        ratio = weight * np.log((1 + level) / (1 + below)) / np.maximum(cpu, _EPS)
        best = np.where(there, np.minimum(best / _SPACING, ratio), best)
        key = np.where(
            below < table.floor - _EPS,
            _safety_key(table, rung, held, rotate=True),
            _value_key(best * np.where(held > 0, STICKINESS, 1.0), rung),
        )
        tier = np.where(below < table.floor - _EPS, float(Tier.FLOOR), tier_above)
        at = at + there
        columns.append((zero + there, key, tier, held, at, level, cpu, looks))
        below = np.where(there, level, below)
    return columns


def _extra_steps(table: _Table) -> list[_Column]:
    zero = np.zeros(len(table.ids))
    return [
        (zero + wanted, _safety_key(table, 0, held, rotate=False), zero + tier, held, zero, zero, ms, zero)
        for tier, wanted, held, ms in (
            (Tier.DENSITY, table.density, table.held_density, table.density_ms),
            (Tier.TILES, table.tiles, table.held_tiles, table.tiles_ms),
        )
    ]


_RATES: Final = frozenset({Tier.BUSY_RATE, Tier.QUIET_RATE})
_RESTS_ON: Final[Mapping[int, frozenset[Tier]]] = {
    Tier.KEYFRAMES: frozenset(Tier),
    Tier.FLOOR: frozenset(Tier),
    Tier.BUSY_RATE: _RATES,
    Tier.QUIET_RATE: _RATES,
    Tier.DENSITY: frozenset(),
    Tier.TILES: frozenset(),
}
"""What a camera is refused too when it is refused a step of a tier."""


class _Grants:
    """What each camera has been granted so far, and what that uses."""

    def __init__(self, table: _Table, capacity: Capacity) -> None:
        n = len(table.ids)
        self.camera_ms: list[float] = table.demux.tolist()
        self.cpu = capacity.overhead_ms + math.fsum(self.camera_ms)
        self.lane = 0.0
        self.rung = [-1] * n
        self.fps = [0.0] * n
        self.looks = [0.0] * n
        self.tiles = [False] * n
        self.density = [False] * n
        self.given_up: dict[Tier, set[int]] = {tier: set() for tier, _ in DEGRADATION}
        self._blocked: list[frozenset[Tier]] = [frozenset()] * n
        self._extra_ms = [0.0] * n
        self._lane_ms: list[float] = table.lane.tolist()
        self._lane_share: list[float] = np.where(
            table.look > 0, table.lane / np.maximum(table.look, _EPS), 1.0
        ).tolist()
        self._density_base: list[float] = np.minimum(table.share * DENSITY_PERIOD_FPS, 1).tolist()
        self._limits = [self._limit(capacity, tier) for tier in Tier]

    @staticmethod
    def _limit(capacity: Capacity, tier: Tier) -> tuple[tuple[float, float], tuple[float, float]]:
        """(CPU, lane) up to which a step of the tier is newly granted, and is held."""
        new, held = (1.0, LAST_RESORT) if tier <= Tier.FLOOR else (ENTRY, 1.0)
        return (capacity.cpu_ms * new, capacity.lane_ms * new), (
            capacity.cpu_ms * held,
            capacity.lane_ms * held,
        )

    def run(self, steps: _Steps) -> None:
        """Grant in order what fits. What does not fit is passed over, with all that rests on it."""
        rows = zip(
            steps.camera, steps.tier, steps.held, steps.rung, steps.fps, steps.cpu, steps.looks, strict=True
        )
        for camera, tier, held, rung, fps, cpu, looks in rows:
            if tier in self._blocked[camera]:
                self.given_up[Tier(tier)].add(camera)
                continue
            step_ms, lane_ms = self._cost(camera, tier, cpu, looks)
            cpu_limit, lane_limit = self._limits[tier][held]
            if self.cpu + step_ms > cpu_limit or self.lane + lane_ms > lane_limit:
                self.given_up[Tier(tier)].add(camera)
                self._blocked[camera] |= _RESTS_ON[tier]
                continue
            self._grant(camera, tier, (rung, fps, cpu, looks))
            self.cpu += step_ms
            self.lane += lane_ms
            self.camera_ms[camera] += step_ms

    def _cost(self, camera: int, tier: int, cpu: float, looks: float) -> tuple[float, float]:
        if tier == Tier.TILES:
            extra = self.looks[camera] * cpu
        elif tier == Tier.DENSITY:
            extra = max(self.looks[camera] - self._density_base[camera], 0.0) * cpu
        else:
            extra = cpu + looks * self._extra_ms[camera]
            lane_looks = looks * (self._lane_ms[camera] + self._extra_ms[camera] * self._lane_share[camera])
            return extra, lane_looks
        return extra, extra * self._lane_share[camera]

    def _grant(self, camera: int, tier: int, step: tuple[int, float, float, float]) -> None:
        rung, fps, cpu, looks = step
        if tier == Tier.TILES:
            self.tiles[camera] = True
            self._extra_ms[camera] += cpu
        elif tier == Tier.DENSITY:
            self.density[camera] = True
            self._extra_ms[camera] += cpu
        else:
            self.rung[camera], self.fps[camera] = rung, fps
            self.looks[camera] += looks

    def service(self, camera: int) -> Service:
        """The level that the camera's grants make."""
        if self.rung[camera] < 0:
            return SHED
        return _service(self.fps[camera], self.tiles[camera], self.density[camera])


def plan(
    demands: Sequence[Demand],
    costs: Mapping[str, CameraCost],
    capacity: Capacity,
    previous: Allocation | None = None,
) -> Allocation:
    """The best service levels that fit.

    Keyframes and floors are granted while they fit the capacity, by priority; if they are held already they
    may use `LAST_RESORT` times as much before they are given up. Everything else is granted up to `ENTRY` of
    the capacity and held up to all of it. Reading packets costs what it costs, of shed cameras too.

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
    services = {id_: grants.service(camera) for camera, id_ in enumerate(table.ids)}
    below = [
        Shortfall(demand.camera_id, task, floor, given)
        for demand, service in zip(table.demands, services.values(), strict=True)
        if (given := given_fps(demand, service)) < demand.floor_fps - _EPS
        for task, floor in sorted(demand.floors.items())
        if given < floor - _EPS
    ]
    return Allocation(
        services=services,
        cpu_ms=grants.cpu,
        lane_ms=grants.lane,
        camera_ms=dict(zip(table.ids, grants.camera_ms, strict=True)),
        capacity=capacity,
        below_floor=tuple(below),
        given_up={tier: len(grants.given_up[tier]) for tier, _ in DEGRADATION},
    )
