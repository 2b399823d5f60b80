"""What the HTTP interface answers, as it is described under /docs. Nothing here can hold a secret."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.manifest import Manifest
from edge.status import CameraState


class Answer(BaseModel):
    """Base of all answers: read from the status snapshots of `edge.status` by attribute."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"] = Field("ok", description="Always `ok`; a dead process does not answer.")


class Ready(Answer):
    """Whether the node does its work."""

    ready: bool = Field(description="True when cameras are analysed and events can leave.")
    missing: tuple[str, ...] = Field((), description="What is missing, in plain words.")


class Zone(Answer):
    """People in a zone at the last look."""

    id: str = Field(description="The zone's id in the configuration.")
    count: int = Field(ge=0, description="Persons whose foot point is inside.")
    density_mean_per_m2: float | None = Field(
        None, description="Persons per m² of walkable ground; null where the camera is not calibrated."
    )
    density_worst_cell_per_m2: float | None = Field(
        None, description="Persons per m² in the worst 4 m² cell; null where the camera is not calibrated."
    )
    count_stderr: float = Field(0.0, ge=0, description="Standard error of the count in persons.")


class Camera(Answer):
    """One camera as operators see it."""

    id: str = Field(description="The camera's id in the configuration.")
    name: str = Field(description="Name of the place.")
    source: str = Field(description="URL of the stream that is analysed, without credentials.")
    state: CameraState = Field(
        description="State of the stream; `shed`: closed, as the frame budget gives the camera up."
    )
    error: str | None = Field(description="Why the stream is not up; null when it is.")
    width: int | None = Field(description="Width of the decoded picture in pixels; null before the first.")
    height: int | None = Field(description="Height of the decoded picture in pixels; null before the first.")
    codec: str | None = Field(description="Name of the codec, such as `h264`.")
    received_fps: float = Field(ge=0, description="Pictures decoded a second over the last seconds.")
    analysed_fps: float = Field(ge=0, description="Pictures analysed a second over the last seconds.")
    frame_age_s: float | None = Field(
        description="Seconds since the last analysed picture was seen; null before the first."
    )
    frames: dict[str, int] = Field(
        description="Pictures by fate: decoded = gated + superseded + expired + delivered + waiting."
    )
    reconnects: int = Field(ge=0, description="How often the stream was opened again.")
    zones: tuple[Zone, ...] = Field(description="People by zone.")
    incidents: tuple[str, ...] = Field(description="Open incidents as `kind/zone`.")
    calibrated: bool = Field(description="Whether surveyed points give this camera a ground plane.")
    decoder: str | None = Field(
        description="`software`, or the kind of device that decodes; null before the stream was opened."
    )
    unavailable: dict[str, str] = Field(
        default_factory=dict,
        description="Why rules could not be judged at the last look, by `kind/zone`.",
    )
    held_back: dict[str, int] = Field(
        default_factory=dict,
        description="How often trouble came within a rule's cool-down and was kept quiet, by `kind/zone`.",
    )


class Node(Answer):
    """The node itself."""

    id: str = Field(description="The node's name, part of every event's source.")
    version: str = Field(description="Version of the program.")
    started_utc: datetime = Field(description="When it started, UTC.")
    uptime_s: float = Field(ge=0, description="Seconds since then.")
    detector: str = Field(description="Name of the model.")
    density: str | None = Field(
        None, description="Name of the model that counts heads; null where no camera watches crowds."
    )
    fire: str | None = Field(
        None, description="Name of the model that sees fire; null where no camera watches for it."
    )
    fallen: str | None = Field(
        None, description="Name of the model that tells who lies; null where no camera watches for that."
    )
    provider: str = Field(description="What runs the model, such as `CPUExecutionProvider`.")
    redis: str = Field(description="Where events go, without credentials.")
    redis_up: bool = Field(description="Whether that works now.")
    outbox_pending: int = Field(ge=0, description="Events not yet acknowledged by Redis.")
    events_published: int = Field(ge=0, description="Events acknowledged since the start.")
    profile: Literal["usual", "surge"] = Field(description="Which thresholds hold, as the centre has said.")


class SignedManifest(BaseModel):
    """A manifest as it was signed; docs/evidence.md says how to check it."""

    manifest: Manifest = Field(description="What was made of which incident.")
    sha256: str = Field(description="Of the manifest's JSON, keys in this order and without spaces.")
    key: str = Field(description="Id of the node's key, 16 hex digits.")
    signature: str = Field(description="Ed25519 over that hash, base64.")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field("about:blank", description="URI of the kind of error.")
    title: str = Field(description="The HTTP status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What went wrong and, where known, the cure.")
