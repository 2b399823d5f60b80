"""The configuration's shape: data only, frozen, every key with its unit and limits."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from edge import profiles
from edge.access_config import AccessConfig, HttpConfig, TlsConfig, open_door
from edge.evidence_config import EvidenceConfig
from edge.eyesight_rules import HealthConfig
from edge.live_config import LiveConfig
from edge.privacy import CameraPrivacyConfig, PrivacyConfig
from edge.rules import Rule
from edge.sections import (
    Fault,
    FaultsError,
    GroundPoint,
    Id,
    LineConfig,
    Place,
    Section,
    ZoneConfig,
    suggestion,
)

_Pixels = Annotated[int, Field(ge=16, le=16384)]
PictureSize = tuple[_Pixels, _Pixels]


def _repeated(section: str, what: str, ids: list[str]) -> list[Fault]:
    return [
        Fault((section, k, "id"), f"{what} {id_!r} is used twice, first in {section}[{ids.index(id_)}]")
        for k, id_ in enumerate(ids)
        if ids.index(id_) < k
    ]


def _bare_off(value: object) -> object:
    """YAML 1.1 reads a bare `off` as false."""
    return "off" if value is False else value


class NodeConfig(Section):
    """Who this node is."""

    id: Id = Field("node-1", description="Name of the node, part of every event's source.")
    district: str = Field(
        "000000", pattern=r"^\d{6}$", description="GB/T 2260 code, 6 digits; names the stream."
    )
    data_dir: Path = Field(Path("data"), description="Outbox and embedded server live here.")
    heartbeat_s: float = Field(60.0, ge=1, le=3600, description="Seconds between node.heartbeat events.")
    coverage_s: float = Field(60.0, ge=1, le=3600, description="Seconds that one node.coverage event covers.")
    timezone: str = Field("Asia/Shanghai", description="IANA name of the zone that rules' schedules are in.")
    hardware_decode: Literal["auto", "off", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va", "vulkan"] = (
        Field(
            "off", description="Device that decodes; auto: the first that opens. Without one, software does."
        )
    )

    camera_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), max_length=64, description="Where cameras may be, as in 10.0.0.0/8; empty: anywhere."
    )

    _off = field_validator("hardware_decode", mode="before")(_bare_off)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            near = suggestion(value, available_timezones())
            hint = near if "mean" in near else "; write it as in Asia/Shanghai"
            raise ValueError(f"there is no time zone {value!r}{hint}")
        return value


class RedisConfig(Section):
    """Where events go. Without a URL an embedded Valkey server is started."""

    url: SecretStr | None = Field(
        None,
        description="redis://, rediss:// or unix:// URL, or of a group: redis+sentinel://, redis+cluster://;"
        " empty: embedded Valkey.",
    )
    max_entries: int = Field(1_000_000, ge=1000, description="Approximate length of the stream (MAXLEN ~).")
    replay_per_s: float = Field(
        500.0,
        ge=1,
        le=100_000,
        description="Late events a second, at most: what waited for Redis, what the centre asks for.",
    )


class OutboxConfig(Section):
    """The events' waiting room on disk."""

    max_bytes: int = Field(
        512 * 2**20, ge=2**20, description="Upper bound of the waiting events' size in bytes."
    )
    until: Literal["stored", "receipted"] = Field(
        "stored", description="Keep events until Redis stored them, or until a centre receipted them."
    )
    max_age_s: float = Field(
        2_592_000.0, ge=60, le=10**9, description="Older events are given up; a node.gap says so."
    )


class SurgeConfig(Section):
    """What the centre's surge profile changes (平战结合): a sharper look while it expects trouble."""

    density_factor: float = Field(
        0.8,
        ge=0.1,
        le=1,
        description="Thresholds of crowd.density and crowd.forecast, and capacity shares, times this.",
    )


class ModelConfig(Section):
    """The detector, the head counter, the models of fire and of who lies, and where they run."""

    detector: str = Field(
        "nanodet-g-416-int8", description="Name from `sharpeyes models list`, or a TOML manifest's path."
    )
    density: str | None = Field(
        "heads-448-int8",
        description="Counts heads where crowds are watched: a name or a manifest's path; null: nothing does.",
    )
    fallen: str | None = Field(
        "fallen-112-fp32",
        description="Tells who lies for hazard.fall: a name or a manifest's path; null: nothing does.",
    )
    fire: str | None = Field(
        None,
        description="Sees fire and smoke for hazard.fire: a name or a manifest's path; null: nothing does.",
    )
    threshold: float = Field(0.35, gt=0, lt=1, description="Detections below this score start no track.")
    providers: tuple[str, ...] = Field(
        (), description="ONNX Runtime providers in order; empty: the best there is."
    )
    threads: int = Field(1, ge=1, le=64, description="Threads of one inference.")


class BudgetConfig(Section):
    """How much of the box the cameras may use, and what `sharpeyes plan` takes for granted of them."""

    cores: float | None = Field(None, gt=0, le=1024, description="Cores to use; empty: all there are.")
    target_load: float = Field(0.9, ge=0.1, le=0.95, description="Share of these cores to plan for.")
    picture_size: PictureSize = Field(
        (1920, 1080), description="Width and height of a stream that has not been seen yet."
    )
    sub_picture_size: PictureSize = Field((640, 360), description="The same for a camera's sub stream.")
    picture_fps: float = Field(25.0, gt=0, le=240, description="Its pictures a second.")
    keyframe_s: float = Field(2.0, gt=0, le=60, description="Seconds between its keyframes.")
    active_share: float = Field(0.1, ge=0, le=1, description="Share of time in which something moves there.")


_SOURCE_WANTED = "an address, or `main`, the large picture, and `sub` to analyse"


class SourceConfig(Section):
    """Where a camera's streams are: one for all, or a large one and a small one, which is analysed."""

    main: SecretStr = Field(description="The large picture; analysed and shown if there is no other.")
    sub: SecretStr | None = Field(
        None, description="A smaller picture of the same view, to be analysed and shown."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_or_two(cls, value: object) -> object:
        """One address stands for `main`."""
        if isinstance(value, str | SecretStr):
            return {"main": value}
        if value is None or value == {}:
            raise ValueError(f"is empty: {_SOURCE_WANTED}")
        if not isinstance(value, Mapping | SourceConfig):
            raise ValueError(f"must be text or a section: {_SOURCE_WANTED}")  # noqa: TRY004 - pydantic's way
        if isinstance(value, Mapping) and set(value) == {"sub"}:
            raise FaultsError([Fault(("main",), "is missing: name the large picture that `sub` belongs to")])
        return value

    @property
    def analysed(self) -> SecretStr:
        """The address that analysis reads."""
        return self.main if self.sub is None else self.sub


class CameraConfig(Section):
    """One camera: its stream, its place, and what to watch there."""

    id: Id
    source: SourceConfig = Field(
        description="rtsp://, rtsps://, http(s)://, file path or sim:// URL; or two of them, main and sub."
    )
    transport: Literal["tcp", "udp"] = Field("tcp", description="RTSP transport.")
    tls_verify: bool = Field(
        True, description="Whether the certificate behind rtsps:// or https:// must be valid."
    )
    tls_ca_file: Path | None = Field(
        None, description="Certificates to trust instead of the system's, PEM: a camera's own."
    )
    open_timeout_s: float = Field(5.0, gt=0, le=60, description="Seconds to open the stream.")
    read_timeout_s: float = Field(
        5.0, gt=0, le=60, description="Seconds without a packet before reconnecting."
    )
    offline_after_s: float = Field(
        10.0, ge=1, le=3600, description="Seconds without a picture before camera.offline."
    )
    analysed_fps: float = Field(5.0, gt=0, le=60, description="Pictures analysed a second, at most.")
    max_age_s: float = Field(0.5, gt=0, le=10, description="Older pictures are dropped unseen.")
    priority: int = Field(5, ge=1, le=9, description="Who is served first when not all can be: 9 before 1.")
    gate: Literal["auto", "off"] = Field(
        "auto",
        description="auto: while nothing moves, decode and analyse keyframes only. off: everything, always.",
    )
    detail: Literal["usual", "high"] = Field(
        "usual",
        description="high: for large scenes, looked at from closer as well; dear, and given up early.",
    )
    place: Place = Place()
    ground: tuple[GroundPoint, ...] = Field((), max_length=64, description="Surveyed points, four or more.")
    ground_error_m: float | None = Field(
        None, gt=0, le=10, description="Standard error of a place on the ground; empty: the points tell it."
    )
    ground_area_error: float | None = Field(
        None,
        gt=0,
        le=0.2,
        description="Standard error of ground areas, as a share; empty: the points tell it.",
    )
    profile: str | None = Field(
        None,
        description="Kind of place, whose values hold for keys that a rule leaves out; empty: the defaults.",
    )
    zones: tuple[ZoneConfig, ...] = Field((), max_length=64)
    lines: tuple[LineConfig, ...] = Field((), max_length=64)
    rules: tuple[Rule, ...] = Field((), max_length=128)
    health: HealthConfig = Field(HealthConfig(), description="What is watched for on the camera itself.")
    privacy: CameraPrivacyConfig = Field(
        CameraPrivacyConfig(), description="What is covered in pictures that leave the node."
    )

    _off = field_validator("gate", mode="before")(_bare_off)

    @field_validator("profile")
    @classmethod
    def _known_profile(cls, value: str | None) -> str | None:
        if value is not None and value not in profiles.profiles():
            raise ValueError(f"there is no profile {value!r}{suggestion(value, profiles.profiles())}")
        return value

    @field_validator("rules", mode="before")
    @classmethod
    def _profiled(cls, value: object, info: ValidationInfo) -> object:
        return profiles.apply(info.data.get("profile"), value)

    @model_validator(mode="after")
    def _references(self) -> Self:
        faults = [*self._doubles(), *self._strangers()]
        if 0 < len(self.ground) < 4:
            text = f"needs four surveyed points or more, got {len(self.ground)}"
            faults.append(Fault(("ground",), text))
        if not self.ground:
            units = [("zones", k, zone.units) for k, zone in enumerate(self.zones)]
            units += [("lines", k, line.units) for k, line in enumerate(self.lines)]
            errors = [n for n in ("ground_error_m", "ground_area_error") if getattr(self, n) is not None]
            faults += [Fault((name,), "needs the ground points whose error it is") for name in errors]
            text = "ground units need surveyed ground points"
            faults += [Fault((name, k, "units"), text) for name, k, unit in units if unit == "ground"]
        if faults:
            raise FaultsError(faults)
        return self

    def _doubles(self) -> list[Fault]:
        faults = _repeated("zones", "zone id", [zone.id for zone in self.zones])
        faults += _repeated("lines", "line id", [line.id for line in self.lines])
        subjects = [(rule.kind, rule.subject) for rule in self.rules]
        for k, (kind, subject) in enumerate(subjects):
            if (first := subjects.index((kind, subject))) < k:
                # An incident is known by kind and place: two rules would speak of the same incident.
                text = f"rules[{first}] watches {subject!r} for {kind} already; join the two"
                faults.append(Fault(("rules", k, "kind"), text))
        return faults

    def _strangers(self) -> list[Fault]:
        places = {"zone": [zone.id for zone in self.zones], "line": [line.id for line in self.lines]}
        faults = []
        for k, rule in enumerate(self.rules):
            key, known = rule.PLACE, places[rule.PLACE]
            place = getattr(rule, key)
            if place is not None and place not in known:
                text = f"{place!r} is no {key} of this camera{suggestion(place, known)}"
                faults.append(Fault(("rules", k, key), text))
            elif place is None and rule.subject in (*places["zone"], *places["line"]):
                text = f"without one it watches the whole picture as {rule.subject!r}, which is a place here"
                faults.append(Fault(("rules", k, key), text))
        return faults


class Config(Section):
    """The whole configuration of a node."""

    node: NodeConfig = NodeConfig()
    redis: RedisConfig = RedisConfig()
    outbox: OutboxConfig = OutboxConfig()
    http: HttpConfig = HttpConfig()
    tls: TlsConfig = TlsConfig()
    access: AccessConfig = AccessConfig()
    model: ModelConfig = ModelConfig()
    budget: BudgetConfig = BudgetConfig()
    surge: SurgeConfig = SurgeConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    live: LiveConfig = LiveConfig()
    cameras: tuple[CameraConfig, ...] = Field(min_length=1, max_length=1024)

    @model_validator(mode="after")
    def _distinct_cameras(self) -> Self:
        if faults := _repeated("cameras", "camera id", [camera.id for camera in self.cameras]):
            raise FaultsError(faults)
        return self

    @model_validator(mode="after")
    def _door_is_shut(self) -> Self:
        if fault := open_door(self.http, self.tls, self.access):
            raise FaultsError([Fault(("http", "host"), fault)])
        return self

    @model_validator(mode="after")
    def _models_are_there(self) -> Self:
        """Nothing stands in for a model that is left out: a rule without it would be blind."""
        fire = "needs a model of fire, and none ships: add one (docs/models.md) and name it as model.fire"
        fallen = "needs a model that tells who lies: name one as model.fallen, or leave that key out"
        faults = [
            Fault(("cameras", k, "rules", j, "kind"), text)
            for k, camera in enumerate(self.cameras)
            for j, rule in enumerate(camera.rules)
            for asks, model, text in (
                (rule.FIRE, self.model.fire, fire),
                (rule.FALLEN, self.model.fallen, fallen),
            )
            if asks and model is None
        ]
        if faults:
            raise FaultsError(faults)
        return self


SECRET_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")
"""How a configuration refers to a secret: `${env:NAME}` or `${file:/path}`; resolved by the loader."""
