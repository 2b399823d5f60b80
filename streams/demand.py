"""What cameras ask of the budget, what they cost, and what they are given: the planner's data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from streams.service import MAX_FPS, Service


class Tier(IntEnum):
    """What steps buy, in the order in which they are granted; the declared degradation is its reverse."""

    KEYFRAMES = 0
    FLOOR = 1
    BUSY_RATE = 2
    DENSITY = 3
    TILES = 4
    QUIET_RATE = 5
    PACE = 6


DEGRADATION: Final = (
    (Tier.PACE, "some keyframes of quiet cameras"),
    (Tier.QUIET_RATE, "analysed rate of quiet cameras"),
    (Tier.TILES, "tiles and larger inputs"),
    (Tier.DENSITY, "density period"),
    (Tier.BUSY_RATE, "analysed rate of busy cameras"),
    (Tier.FLOOR, "keyframes only, or below the floor"),
    (Tier.KEYFRAMES, "shedding by priority"),
)
"""What is given up, first to last, and its name in reports."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one camera would like to have, and how urgently.

    Attributes:
        camera_id: the camera.
        wanted_fps: analysed pictures a second it is configured for, above 0, at most 60.
        floors: by task, the rate in fps below which the task is blind.
        priority: 1..9, 9 is most important.
        active_share: share of time, 0..1, in which the camera is analysed at its granted rate.
        decode_share: share of time in which every picture is decoded; None: the same as `active_share`.
            1 where the activity gate cannot tell.
        usual_share: share of time in which it was active lately. Who is served at all is served so that room
            for this is left: to watch what cannot be looked at when it moves would help nobody.
        keyframe_fps: keyframes a second, the rate that keyframes alone give; 0 where unknown.
        idle_fps: looks a second while nothing moves.
        open_incident: whether an incident is open.
        moving_tracks: moving objects in view.
        stale_s: seconds that the camera went without its floor; kept for a while once it has it again.
        shed_s: the same for its keyframes.
        tiles: whether it is configured to be looked at in tiles.
        density: whether a rule needs its density.
        calm: nothing moves there, nothing that stands matters, and packets would tell if that changed: not
            every keyframe need be looked at.
    """

    camera_id: str
    wanted_fps: float
    floors: Mapping[str, float] = field(default_factory=dict)
    priority: int = 5
    active_share: float = 1.0
    decode_share: float | None = None
    usual_share: float = 0.0
    keyframe_fps: float = 0.0
    idle_fps: float = 0.1
    open_incident: bool = False
    moving_tracks: int = 0
    stale_s: float = 0.0
    shed_s: float = 0.0
    tiles: bool = False
    density: bool = False
    calm: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.wanted_fps <= MAX_FPS:
            raise ValueError(f"wanted_fps of {self.camera_id} must be above 0 and at most {MAX_FPS:g}")
        if not 1 <= self.priority <= 9:
            raise ValueError(f"priority of {self.camera_id} must be in 1..9, not {self.priority}")
        shares = (self.active_share, self.active_share if self.decode_share is None else self.decode_share)
        if not all(0 <= share <= 1 for share in (*shares, self.usual_share)):
            raise ValueError(f"shares of {self.camera_id} must be in 0..1")
        if not all(math.isfinite(value) and value >= 0 for value in (*self.floors.values(), *self._rates())):
            raise ValueError(f"rates and times of {self.camera_id} must be finite and not negative")

    def _rates(self) -> tuple[float, ...]:
        return self.keyframe_fps, self.idle_fps, self.stale_s, self.shed_s, self.moving_tracks

    @property
    def floor_fps(self) -> float:
        """The highest of its tasks' floors."""
        return max(self.floors.values(), default=0.0)

    @property
    def decoded(self) -> float:
        """Share of time in which every picture is decoded."""
        return self.active_share if self.decode_share is None else self.decode_share

    @property
    def urgency(self) -> int:
        """2 with an open incident, 1 with moving tracks, else 0."""
        return 2 if self.open_incident else int(self.moving_tracks > 0)


@dataclass(frozen=True, slots=True)
class CameraCost:
    """What one camera costs, in milliseconds of CPU.

    Attributes:
        demux_ms_per_s: reading its packets, whatever else is done.
        keyframe_ms_per_s: decoding its keyframes alone and comparing them.
        decode_ms_per_s: decoding every picture, motion included.
        look_ms: inference and analysis of one picture.
        lane_ms: how long that occupies the inference lane; None: `look_ms`. Less on an accelerator.
        tiles_ms: what tiles add to a look.
        density_ms: what an estimate of density adds to a look. One each `DENSITY_PERIOD_S` is part of the
            floor where a rule needs density; more of them are granted beside.
        fire_ms: what a look for fire adds, one each `FIRE_PERIOD_S`, never more: part of the floor; 0 where
            no rule asks for it.
    """

    demux_ms_per_s: float
    keyframe_ms_per_s: float
    decode_ms_per_s: float
    look_ms: float
    lane_ms: float | None = None
    tiles_ms: float = 0.0
    density_ms: float = 0.0
    fire_ms: float = 0.0

    def __post_init__(self) -> None:
        values = (self.demux_ms_per_s, self.keyframe_ms_per_s, self.decode_ms_per_s, self.look_ms, self.lane)
        extra = (self.tiles_ms, self.density_ms, self.fire_ms)
        if not all(math.isfinite(ms) and ms >= 0 for ms in (*values, *extra)):
            raise ValueError("costs must be finite and not negative")

    @property
    def lane(self) -> float:
        """How long a look occupies the inference lane, in milliseconds."""
        return self.look_ms if self.lane_ms is None else self.lane_ms


@dataclass(frozen=True, slots=True)
class Capacity:
    """What there is to spend each second.

    Attributes:
        cpu_ms: milliseconds of CPU for everything.
        lane_ms: milliseconds of the inference lanes; infinite where CPU is the only limit.
        overhead_ms: CPU that the node uses whatever the cameras do.
    """

    cpu_ms: float
    lane_ms: float = math.inf
    overhead_ms: float = 0.0

    def __post_init__(self) -> None:
        if not (self.cpu_ms >= 0 and self.lane_ms >= 0 and math.isfinite(self.overhead_ms)):
            raise ValueError("capacity must not be negative, and overhead finite")


class Shortfall(NamedTuple):
    """A task of a camera that gets less than its floor: it is blind, and said to be."""

    camera_id: str
    task: str
    floor_fps: float
    given_fps: float


@dataclass(frozen=True, slots=True)
class Allocation:
    """The planner's answer.

    Attributes:
        services: by camera id, in alphabetical order.
        cpu_ms: predicted CPU per second, all cameras and overhead.
        lane_ms: predicted occupation of the inference lanes per second.
        camera_ms: predicted CPU per second by camera.
        capacity: what it was planned for.
        below_floor: tasks that are blind, by camera and task.
        given_up: by tier, how many cameras went without something of it.
    """

    services: Mapping[str, Service]
    cpu_ms: float
    lane_ms: float
    camera_ms: Mapping[str, float]
    capacity: Capacity
    below_floor: tuple[Shortfall, ...]
    given_up: Mapping[Tier, int]

    @property
    def load(self) -> float:
        """Predicted load as a share of the capacity, of whichever of CPU and lane is scarcer."""
        shares = [
            used / there if there else math.inf
            for used, there in ((self.cpu_ms, self.capacity.cpu_ms), (self.lane_ms, self.capacity.lane_ms))
            if used
        ]
        return max(shares, default=0.0)
