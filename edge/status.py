"""What the node says about itself: snapshots for the HTTP interface, free of secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

CameraState = Literal["connecting", "up", "retrying", "shed", "stopped"]

Profile = Literal["usual", "surge"]
"""Which thresholds hold: those of every day, or sharper ones while the centre expects trouble (平战结合)."""


@dataclass(frozen=True, slots=True)
class ZoneStatus:
    """People in a zone at the last look.

    Attributes:
        id: the zone's id.
        count: persons whose foot point is inside.
        density_mean_per_m2: persons per m2 of walkable ground; None where the camera is not calibrated.
        density_worst_cell_per_m2: the same in the worst 4 m2 cell.
        count_stderr: standard error of the count in persons.
    """

    id: str
    count: int
    density_mean_per_m2: float | None = None
    density_worst_cell_per_m2: float | None = None
    count_stderr: float = 0.0


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One camera as operators see it.

    Attributes:
        id: the camera's id.
        name: the place's name.
        source: the URL of the analysed stream, without credentials.
        state: of the stream.
        error: why the stream is not up, without credentials; None when it is.
        width, height: of the decoded picture in pixels; None before the first.
        codec: name such as `h264`.
        received_fps: pictures decoded a second over the last seconds.
        analysed_fps: pictures analysed a second over the last seconds.
        frame_age_s: seconds since the last analysed picture was seen; None before the first.
        frames: counts by fate: decoded, gated, superseded, expired, delivered, waiting.
        reconnects: how often the stream was opened again.
        zones: people by zone.
        incidents: kinds of the open incidents, with their zones, as `kind/zone`.
        calibrated: whether the camera has a ground plane.
        decoder: `software`, or the kind of device that decodes; None before the first opening.
        unavailable: why rules could not be judged at the last look, by `kind/zone`.
        held_back: how often trouble came within a rule's cool-down and was kept quiet, by `kind/zone`.
    """

    id: str
    name: str
    source: str
    state: CameraState
    error: str | None
    width: int | None
    height: int | None
    codec: str | None
    received_fps: float
    analysed_fps: float
    frame_age_s: float | None
    frames: Mapping[str, int]
    reconnects: int
    zones: tuple[ZoneStatus, ...]
    incidents: tuple[str, ...]
    calibrated: bool
    decoder: str | None = None
    unavailable: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    held_back: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The whole node.

    Attributes:
        id: the node's name.
        version: of the program.
        started_utc: when it started.
        uptime_s: seconds since then.
        detector: name of the model, and `provider` that runs it.
        redis: where events go, without credentials; `redis_up` whether that works now.
        outbox_pending: events not yet acknowledged by Redis.
        events_published: events acknowledged since the start.
        cameras: in the configuration's order.
        profile: which thresholds hold, as the centre has said.
        density: name of the model that counts heads; None where no camera watches crowds, or it is off.
        fire: name of the model that sees fire; None where no camera watches for it.
        fallen: name of the model that tells who lies; None where no camera watches for that.
    """

    id: str
    version: str
    started_utc: datetime
    uptime_s: float
    detector: str
    provider: str
    redis: str
    redis_up: bool
    outbox_pending: int
    events_published: int
    cameras: tuple[CameraStatus, ...]
    profile: Profile = "usual"
    density: str | None = None
    fire: str | None = None
    fallen: str | None = None


@dataclass(frozen=True, slots=True)
class FeedbackStatus:
    """What came from the centre.

    Attributes:
        connected: whether the last look went well and was allowed.
        last_error: why not, without credentials; None when connected.
        receipted: the highest number of the centre's receipts; 0 before the first.
        messages: to this node since the start, by kind; `malformed` for those that are none of the schema,
            `unknown` for verdicts on rules that this node does not have.
        profile: which thresholds hold.
    """

    connected: bool = False
    last_error: str | None = None
    receipted: int = 0
    messages: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    profile: Profile = "usual"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the node does its work, with what is missing in plain words."""

    ready: bool
    missing: tuple[str, ...] = ()
