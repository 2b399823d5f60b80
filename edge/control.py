"""The budget's control loop: once a second from readings to an allocation. No clock and no I/O of its own."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from edge.config import BudgetConfig, CameraConfig, Config
from edge.costs import CostMeter, Stream
from edge.floors import counts_heads, tasks_of, watches_fire
from streams.activity import Activity
from streams.budget import ROTATE_S, plan
from streams.demand import Allocation, CameraCost, Capacity, Demand

IDLE_RESERVE: Final = 0.01
"""Share of time for which a calm camera is planned as active: some wake before the next plan."""
USUAL_S: Final = 600.0
"""How long it takes until what is usual for a camera has changed by 63 %."""
CALM_S: Final = 1.0
"""A camera that fell idle is planned as active ever less, by 63 % in so many seconds."""
IDLE_LOOKS_FPS: Final = 0.05
"""An idle camera's picture is analysed so often, whatever moves."""

LOST_SHARE: Final = 0.1
"""Share of wanted pictures that go unseen in `TROUBLED_STEPS` steps above which the box is overloaded."""
LOST_LEAST: Final = 3
AGE_SHARE: Final = 0.6
"""Or when half of the pictures are older than this share of what is allowed when analysed. Not a tenth: the
first picture after a camera woke is as old as its catching up took, on an empty box too."""
BUSY_SHARE: Final = 0.9
"""Both only while so much of the box or of the inference lane is in use: where there is room, less work
would not help against a stall or against cameras that all send at once."""
TROUBLED_STEPS: Final = 4
"""And over so many steps: cameras that wake at once are soon over, costs that are wrong are not."""
GRACE_S: Final = 30.0
"""Nor so soon after the start: cameras come up and calibrate, and what they cost is not known yet."""
CUT: Final = 0.9
CUT_EVERY_S: Final = 3.0
LEAST_CAPACITY: Final = 0.2
RECOVER_AFTER_S: Final = 10.0
RECOVER_PER_S: Final = 0.01
PROBE_AFTER_S: Final = 60.0
"""Where it was too much once, more is tried only so long after,"""
PROBE_STEP: Final = 0.02
"""this much more, and twice as much each time that it went well."""
REALISED_BOUNDS: Final = (0.6, 1.25)
_REALISED_MEMORY_S: Final = 30.0
_OVERHEAD_MEMORY_S: Final = 30.0
_OVERHEAD_MOST: Final = 0.25


@dataclass(frozen=True, slots=True)
class CameraReading:
    """One camera at a step.

    Attributes:
        up: whether pictures come.
        stream: what its stream is like; None until it has been seen.
        activity: of its gate.
        trusted: whether packet sizes tell motion there; otherwise everything is decoded.
        open_incident: whether an incident is open.
        moving_tracks: moving objects in view.
        attention: whether analysis has objects or open incidents in view, moving or not.
        delivered: pictures analysed since the start.
        lost: wanted pictures that expired or were superseded since the start.
    """

    up: bool
    stream: Stream | None = None
    activity: Activity = "idle"
    trusted: bool = True
    open_incident: bool = False
    moving_tracks: int = 0
    attention: bool = False
    delivered: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class NodeReading:
    """The whole node at a step.

    Attributes:
        cameras: by id; one that is missing counts as not up.
        cpu_s: CPU seconds of the process since its start, all threads.
        lane_s: seconds since the start in which the inference lane was occupied; None where that is unknown.
        box_busy: share of the box's time, 0 to 1, in which all its cores together were not idle, by whomever,
            since the last step; None where that is unknown.
        age_p50_s: median age at the end of analysis of the last seconds' pictures.
    """

    cameras: Mapping[str, CameraReading]
    cpu_s: float
    lane_s: float | None = None
    box_busy: float | None = None
    age_p50_s: float | None = None


def usable_cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """Cores that this process may use: by its affinity, and by its control group's quota (v2)."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        quota, period = limit.read_text().split()[:2]
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or the quota is `max`
        return cores


def capacity_of(budget: BudgetConfig, threads: int, overhead_ms: float, share: float = 1.0) -> Capacity:
    """What may be spent a second.

    Args:
        budget: the configuration's.
        threads: of one inference; there is one inference lane.
        overhead_ms: CPU that the node uses beside its cameras.
        share: of the capacity that is believed to be there.
    """
    cores = budget.cores or usable_cores()
    spend = 1000.0 * budget.target_load * share
    return Capacity(cores * spend, min(cores, threads) / threads * spend, overhead_ms)


def demand_of(
    camera: CameraConfig, stream: Stream, reading: CameraReading, share: float, usual: float = 0.0
) -> Demand:
    """What a camera asks for.

    Args:
        camera: its configuration.
        stream: what its stream is, or is taken to be, like.
        reading: how it is.
        share: of time, 0 to 1, in which it is active.
        usual: share of time, 0 to 1, in which it usually is.
    """
    gated = camera.gate != "off"
    return Demand(
        camera.id,
        camera.analysed_fps,
        {task.name: task.floor_fps for task in tasks_of(camera)},
        camera.priority,
        active_share=share if gated else 1.0,
        decode_share=share if gated and reading.trusted else 1.0,
        usual_share=usual,
        keyframe_fps=stream.keyframe_fps,
        idle_fps=IDLE_LOOKS_FPS,
        open_incident=reading.open_incident,
        moving_tracks=reading.moving_tracks,
        tiles=camera.detail == "high",
        density=counts_heads(camera),
        calm=gated and reading.trusted and reading.activity == "idle" and not reading.attention,
    )


_AWAY: Final = CameraReading(up=False)
_NOTHING: Final = CameraCost(0, 0, 0, 0)


class Headroom:
    """How much of the capacity is really there: cut when pictures go unseen or old, slowly given back.

    Costs are estimates, and others use the box too. So the estimate falls by a tenth of what was in use each
    time that too much was lost, and climbs by a hundredth a second when nothing was for ten seconds; where it
    was too much before, it waits a minute before it tries again, in steps that grow.

    Attributes:
        share: of the capacity, `LEAST_CAPACITY` to 1.
        cuts: how often it was cut.
    """

    def __init__(self) -> None:
        self.share = 1.0
        self.cuts = 0
        self._ceiling = 1.0
        self._trouble_s = -math.inf
        self._cut_s = -math.inf
        self._stepped_s: float | None = None
        self._top_s: float | None = None
        self._stride = PROBE_STEP

    def step(self, now_s: float, used: float, *, trouble: bool) -> float:
        """The share from now on.

        Args:
            now_s: monotonic seconds.
            used: share of the full capacity that the plan in force was predicted to use.
            trouble: whether too much was lost since the last step.
        """
        dt_s = 0.0 if self._stepped_s is None else max(now_s - self._stepped_s, 0.0)
        self._stepped_s = now_s
        if trouble:
            self._trouble_s, self._top_s, self._stride = now_s, None, PROBE_STEP
            if now_s - self._cut_s >= CUT_EVERY_S:
                self._cut_s = now_s
                self.cuts += 1
                before = min(self.share, max(used, LEAST_CAPACITY))
                self._ceiling = max(before * (1 + CUT) / 2, LEAST_CAPACITY)
                self.share = max(before * CUT, LEAST_CAPACITY)
        elif now_s - self._trouble_s >= RECOVER_AFTER_S:
            self.share = min(self.share + RECOVER_PER_S * dt_s, self._ceiling)
            self._probe(now_s)
        return self.share

    def _probe(self, now_s: float) -> None:
        if self.share < self._ceiling or self._ceiling >= 1:
            self._top_s = None
        elif self._top_s is None:
            self._top_s = now_s
        elif now_s - self._top_s >= PROBE_AFTER_S:
            self._ceiling, self._top_s = min(self._ceiling + self._stride, 1.0), None
            self._stride *= 2


class Realised:
    """What plans cost in truth: cameras are not active from plan to plan, and looks may be late or not due.

    While the box is full, what is spent says nothing of what would have been: then the share does not fall.

    Attributes:
        share: of what is planned for cameras, within `REALISED_BOUNDS`; some half a minute's mean.
    """

    def __init__(self) -> None:
        self.share = 1.0

    def step(self, dt_s: float, spent_ms: float, planned_ms: float, *, full: bool) -> None:
        """Take a step in.

        Args:
            dt_s: its length, above 0.
            spent_ms: CPU that cameras used, in whatever time.
            planned_ms: what they were planned to use in the same, before any correction.
            full: whether the box was.
        """
        if planned_ms <= 0 or (full and spent_ms < self.share * planned_ms):
            return
        low, high = REALISED_BOUNDS
        seen = min(max(spent_ms / planned_ms, low), high)
        self.share += (1 - math.exp(-dt_s / _REALISED_MEMORY_S)) * (seen - self.share)


class Turns:
    """How long cameras went without something, so that equals take turns.

    Who gets it back keeps the time it waited for a turn's length: it would lose it at once otherwise.
    """

    def __init__(self) -> None:
        self._without_s: dict[str, float] = {}
        self._turn_s: dict[str, float] = {}

    def step(self, now_s: float, without: Collection[str]) -> None:
        """Note who goes without from now on.

        Args:
            now_s: monotonic seconds, rising.
            without: cameras' ids.
        """
        for camera_id in list(self._without_s):
            if camera_id not in without and now_s - self._turn_s.setdefault(camera_id, now_s) >= ROTATE_S:
                del self._without_s[camera_id], self._turn_s[camera_id]
        for camera_id in without:
            if self._turn_s.pop(camera_id, None) is not None:
                self._without_s[camera_id] = now_s  # its turn was cut short by something more urgent
            self._without_s.setdefault(camera_id, now_s)

    def waited_s(self, camera_id: str, now_s: float) -> float:
        """Seconds that the camera goes without, or had gone when its turn came."""
        begun_s = self._without_s.get(camera_id)
        return 0.0 if begun_s is None else self._turn_s.get(camera_id, now_s) - begun_s


class Controller:
    """Turns readings into allocations.

    Attributes:
        allocation: the last one; None before the first step.
        headroom: how much of the capacity is believed to be there.
        realised: what plans cost in truth.
        usual: share of time in which each camera was active, over some ten minutes.
        overhead_ms: CPU a second that the node uses beside its cameras, as measured.
        used_ms: CPU a second that the process used between the last two steps; None before the second.

    Args:
        config: the node's.
        meter: measured costs. All that cameras cost must be told to it, or it counts as overhead.
    """

    def __init__(self, config: Config, meter: CostMeter) -> None:
        self.allocation: Allocation | None = None
        self.headroom = Headroom()
        self.realised = Realised()
        self.overhead_ms = meter.table.node_ms_per_s
        self.used_ms: float | None = None
        self._budget, self._threads = config.budget, config.model.threads
        self._cameras: Sequence[CameraConfig] = config.cameras
        self._age_most_s = AGE_SHARE * min(camera.max_age_s for camera in config.cameras)
        self._meter = meter
        self._stream = assumed_stream(config.budget)
        self._shares = {camera.id: 1.0 for camera in config.cameras}
        self.usual = {camera.id: config.budget.active_share for camera in config.cameras}
        self._blind, self._shed = Turns(), Turns()
        self._last: _Past | None = None
        self._started_s = 0.0
        self._lately: deque[_Step] = deque(maxlen=TROUBLED_STEPS)
        self._planned_ms = 0.0

    def step(self, now_s: float, reading: NodeReading) -> Allocation:
        """The allocation from now on.

        Args:
            now_s: monotonic seconds, rising.
            reading: how everything is.
        """
        trouble = self._account(now_s, reading)
        full = capacity_of(self._budget, self._threads, self.overhead_ms)
        used = 0.0 if self.allocation is None else self.allocation.cpu_ms / full.cpu_ms
        share = self.headroom.step(now_s, used, trouble=trouble)
        capacity = capacity_of(self._budget, self._threads, self.overhead_ms, share)
        factors = self._meter.factors()
        demands, costs = [], {}
        for camera in self._cameras:
            seen = reading.cameras.get(camera.id, _AWAY)
            stream = seen.stream or self._stream
            demand = demand_of(camera, stream, seen, self._shares[camera.id], self.usual[camera.id])
            stale_s, shed_s = self._blind.waited_s(camera.id, now_s), self._shed.waited_s(camera.id, now_s)
            demands.append(replace(demand, stale_s=stale_s, shed_s=shed_s) if stale_s or shed_s else demand)
            if seen.up:
                fire = watches_fire(camera)
                cost = self._meter.cost(camera.id, stream, factors=factors, fire=fire)
                cost = scaled(cost, self.realised.share)
                costs[camera.id] = with_lane(cost, self._threads)
            else:  # it costs nothing while it is away, and begins with what it had
                costs[camera.id] = _NOTHING
        self.allocation = plan(demands, costs, capacity, self.allocation)
        self._planned_ms = (self.allocation.cpu_ms - self.overhead_ms) / self.realised.share
        self._blind.step(now_s, {short.camera_id for short in self.allocation.below_floor})
        self._shed.step(now_s, {id_ for id_, service in self.allocation.services.items() if service.shed})
        return self.allocation

    def _served(self, camera_id: str) -> bool:
        return self.allocation is not None and not self.allocation.services[camera_id].shed

    def _account(self, now_s: float, reading: NodeReading) -> bool:
        """Learn from what has passed; whether too much was lost."""
        cameras = reading.cameras.values()
        delivered, lost = sum(c.delivered for c in cameras), sum(c.lost for c in cameras)
        now = _Past(now_s, reading.cpu_s, self._meter.total_ms, reading.lane_s or 0.0, delivered, lost)
        before, self._last = self._last, now
        self._started_s = now_s if before is None else self._started_s
        dt_s = 0.0 if before is None else now_s - before.now_s
        for camera in self._cameras:
            seen = reading.cameras.get(camera.id, _AWAY)
            calm = max(self._shares[camera.id] * math.exp(-dt_s / CALM_S), IDLE_RESERVE)
            self._shares[camera.id] = calm if seen.activity == "idle" else 1.0
            if seen.up and seen.trusted and self._served(camera.id):
                weight = 1 - math.exp(-dt_s / USUAL_S)
                self.usual[camera.id] += weight * ((seen.activity != "idle") - self.usual[camera.id])
        if before is None or dt_s <= 0:
            return False
        full = capacity_of(self._budget, self._threads, 0)
        self.used_ms = (now.cpu_s - before.cpu_s) * 1e3 / dt_s
        told_ms = (now.told_ms - before.told_ms) / dt_s
        if told_ms > 0:
            rest = min(max(self.used_ms - told_ms, 0.0), _OVERHEAD_MOST * full.cpu_ms)
            self.overhead_ms += (1 - math.exp(-dt_s / _OVERHEAD_MEMORY_S)) * (rest - self.overhead_ms)
        lane = (now.lane_s - before.lane_s) / dt_s
        own = self.used_ms * self._budget.target_load / full.cpu_ms  # of all cores, not of the target
        busy = 1.0 if reading.box_busy is None else max(own, lane, reading.box_busy)
        spent_ms = max(self.used_ms - self.overhead_ms, 0.0)
        self.realised.step(dt_s, spent_ms, self._planned_ms, full=busy >= BUSY_SHARE)
        old = reading.age_p50_s is not None and reading.age_p50_s > self._age_most_s
        if now_s - self._started_s >= GRACE_S:
            self._lately.append(_Step(lost - before.lost, delivered - before.delivered, busy, old))
        return self._overloaded()

    def _overloaded(self) -> bool:
        steps = self._lately
        if len(steps) < TROUBLED_STEPS or sum(step.busy for step in steps) < BUSY_SHARE * len(steps):
            return False
        gone, analysed = sum(step.gone for step in steps), sum(step.analysed for step in steps)
        too_many = gone >= LOST_LEAST and gone > LOST_SHARE * (gone + analysed)
        return too_many or all(step.old for step in steps)


class _Step(NamedTuple):
    """What happened from one step to the next."""

    gone: int
    analysed: int
    busy: float
    old: bool


class _Past(NamedTuple):
    """What had been counted at the last step."""

    now_s: float
    cpu_s: float
    told_ms: float
    lane_s: float
    delivered: int
    lost: int


def assumed_stream(budget: BudgetConfig) -> Stream:
    """What a stream that nobody has seen is taken to be like."""
    width, height = budget.picture_size
    return Stream(width, height, budget.picture_fps, budget.keyframe_s)


def scaled(cost: CameraCost, share: float) -> CameraCost:
    """A camera's costs times `share`."""
    return CameraCost(
        demux_ms_per_s=cost.demux_ms_per_s * share,
        keyframe_ms_per_s=cost.keyframe_ms_per_s * share,
        decode_ms_per_s=cost.decode_ms_per_s * share,
        look_ms=cost.look_ms * share,
        lane_ms=cost.lane * share,
        tiles_ms=cost.tiles_ms * share,
        density_ms=cost.density_ms * share,
        fire_ms=cost.fire_ms * share,
    )


def with_lane(cost: CameraCost, threads: int) -> CameraCost:
    """A camera's costs with the inference lane's: several threads share the work of a look."""
    if threads == 1:
        return cost
    return replace(cost, lane_ms=cost.look_ms / threads)
