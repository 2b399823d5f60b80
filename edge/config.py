"""The configuration's shape: data only, frozen, every key with its unit and limits."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Point = tuple[float, float]
Level = Annotated[int, Field(ge=1, le=4)]
Hold = Annotated[float, Field(ge=0, le=3600)]
_Pixels = Annotated[int, Field(ge=16, le=16384)]
PictureSize = tuple[_Pixels, _Pixels]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not fit together: path below the section, and what is wrong in plain words."""

    path: tuple[str | int, ...]
    text: str


class FaultsError(ValueError):
    """All that does not fit together in a section; the loader tells each with its line."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{'.'.join(map(str, fault.path))}: {fault.text}" for fault in faults))


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to add to an error about an unknown word: the nearest known one, or all of them.

    >>> suggestion("plazza", ["plaza", "gate"])
    "; did you mean 'plaza'?"
    >>> suggestion("x", ["plaza", "gate"])
    '; known: plaza, gate'
    """
    names = list(known)
    if near := difflib.get_close_matches(word, names, 1):
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def _repeated(section: str, what: str, ids: list[str]) -> list[Fault]:
    return [
        Fault((section, k, "id"), f"{what} {id_!r} is used twice, first in {section}[{ids.index(id_)}]")
        for k, id_ in enumerate(ids)
        if ids.index(id_) < k
    ]


def _distinct(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if len(set(points)) != len(points):
        raise ValueError("has the same point twice")
    return points


def _bare_off(value: object) -> object:
    """YAML 1.1 reads a bare `off` as false."""
    return "off" if value is False else value


Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=64), AfterValidator(_distinct)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NodeConfig(Section):
    """Who this node is."""

    id: Id = Field("node-1", description="Name of the node, part of every event's source.")
    district: str = Field(
        "000000", pattern=r"^\d{6}$", description="GB/T 2260 code, 6 digits; names the stream."
    )
    data_dir: Path = Field(Path("data"), description="Outbox and embedded server live here.")
    heartbeat_s: float = Field(60.0, ge=1, le=3600, description="Seconds between node.heartbeat events.")
    coverage_s: float = Field(60.0, ge=1, le=3600, description="Seconds that one node.coverage event covers.")
    hardware_decode: Literal["auto", "off", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va", "vulkan"] = (
        Field(
            "off", description="Device that decodes; auto: the first that opens. Without one, software does."
        )
    )

    _off = field_validator("hardware_decode", mode="before")(_bare_off)


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
        0.8, ge=0.1, le=1, description="crowd.density thresholds and capacity shares times this."
    )


class HttpConfig(Section):
    """The node's HTTP interface."""

    host: str = Field("127.0.0.1", description="Address to bind to.")
    port: int = Field(8080, ge=0, le=65535, description="Port; 0 takes a free one.")


class ModelConfig(Section):
    """The detector and where it runs."""

    detector: str = Field(
        "nanodet-g-416-int8", description="Name from `sharpeyes models list`, or a TOML manifest's path."
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


class Place(Section):
    """Where a camera hangs, as the centre knows it."""

    name: str = Field("", max_length=100, description="Name of the place.")
    grid: str | None = Field(None, pattern=r"^\d{15}$", description="15-digit grid code.")
    gb28181: str | None = Field(None, pattern=r"^\d{20}$", description="20-digit GB/T 28181 device id.")
    longitude: float | None = Field(None, ge=-180, le=180, description="Degrees, WGS 84.")
    latitude: float | None = Field(None, ge=-90, le=90, description="Degrees, WGS 84.")


class GroundPoint(Section):
    """A surveyed point: where it is in the picture and on the ground."""

    image: Point = Field(description="Fractions of the picture's width and height.")
    ground: Point = Field(description="Metres on the ground, any flat frame.")


class ZoneConfig(Section):
    """An area, as a polygon in the picture or on the ground."""

    id: Id
    polygon: Polygon = Field(description="Corners, as fractions of the picture (image) or metres (ground).")
    units: Literal["image", "ground"] = "image"
    walkable_m2: float | None = Field(None, gt=0, description="Walkable area in m2 if less than the polygon.")
    capacity: int | None = Field(None, ge=1, description="Persons the place is declared to hold.")


class LineConfig(Section):
    """A line with a direction: crossing from its left to its right side is `right`."""

    id: Id
    points: tuple[Point, Point] = Field(description="Start and end.")
    units: Literal["image", "ground"] = "image"


class DensityRule(Section):
    """`crowd.density`: persons per square metre against danger levels, or share of a declared capacity."""

    kind: Literal["crowd.density"]
    zone: Id
    blue_per_m2: float = Field(2.0, gt=0, description="Worst cell at which level 4 begins.")
    yellow_per_m2: float = Field(3.0, gt=0, description="Level 3.")
    orange_per_m2: float = Field(4.0, gt=0, description="Level 2.")
    red_per_m2: float = Field(5.0, gt=0, description="Level 1.")
    capacity_shares: tuple[float, float, float, float] = Field(
        (0.8, 0.9, 1.0, 1.2), description="Shares of the zone's capacity at which levels 4, 3, 2, 1 begin."
    )
    hysteresis: float = Field(
        0.15, ge=0, lt=1, description="Share by which a value must fall below a level before that is lost."
    )
    hold_s: Hold = Field(5.0, description="Seconds a level must last before the incident begins or rises.")
    release_s: Hold = Field(10.0, description="Seconds of calm before it ends or falls.")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        steps = (self.blue_per_m2, self.yellow_per_m2, self.orange_per_m2, self.red_per_m2)
        if sorted(set(steps)) != list(steps):
            raise ValueError("thresholds must rise from blue to red")
        if sorted(set(self.capacity_shares)) != list(self.capacity_shares) or self.capacity_shares[0] <= 0:
            raise ValueError("capacity_shares must be positive and rise")
        return self


class IntrusionRule(Section):
    """`hazard.intrusion`: somebody stands in a zone where nobody may be."""

    kind: Literal["hazard.intrusion"]
    zone: Id
    classes: tuple[str, ...] = Field(("person",), min_length=1, description="Object classes that count.")
    level: Level = Field(2, description="Severity.")
    min_presence_s: Hold = Field(1.0, description="Seconds inside before it counts.")
    release_s: Hold = Field(5.0, description="Seconds of emptiness before the incident ends.")


class LineRule(Section):
    """`hazard.line`: something crosses a line."""

    kind: Literal["hazard.line"]
    line: Id
    direction: Literal["right", "left", "both"] = Field("both", description="Which crossings count.")
    classes: tuple[str, ...] = Field(("person",), min_length=1, description="Object classes that count.")
    level: Level = Field(3, description="Severity.")


AnyRule = DensityRule | IntrusionRule | LineRule
Rule = Annotated[AnyRule, Field(discriminator="kind")]


def subject_of(rule: AnyRule) -> str:
    """Id of the zone or line that a rule watches."""
    return rule.line if isinstance(rule, LineRule) else rule.zone


_SOURCE_WANTED = "an address, or `main` for evidence and `sub` to analyse"


class SourceConfig(Section):
    """Where a camera's streams are: one for all, or a large one for evidence and a small one to analyse."""

    main: SecretStr = Field(
        description="The large picture, kept for evidence; analysed if there is no other."
    )
    sub: SecretStr | None = Field(None, description="A smaller picture of the same view, to be analysed.")

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
    zones: tuple[ZoneConfig, ...] = Field((), max_length=64)
    lines: tuple[LineConfig, ...] = Field((), max_length=64)
    rules: tuple[Rule, ...] = Field((), max_length=128)

    _off = field_validator("gate", mode="before")(_bare_off)

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
        subjects = [(rule.kind, subject_of(rule)) for rule in self.rules]
        for k, (kind, subject) in enumerate(subjects):
            if (first := subjects.index((kind, subject))) < k:
                # An incident is known by kind and place: two rules would speak of the same incident.
                text = f"rules[{first}] watches {subject!r} for {kind} already; join the two"
                faults.append(Fault(("rules", k, "kind"), text))
        return faults

    def _strangers(self) -> list[Fault]:
        zones, lines = [zone.id for zone in self.zones], [line.id for line in self.lines]
        faults = []
        for k, rule in enumerate(self.rules):
            key, known = ("line", lines) if isinstance(rule, LineRule) else ("zone", zones)
            subject = subject_of(rule)
            if subject not in known:
                text = f"{subject!r} is no {key} of this camera{suggestion(subject, known)}"
                faults.append(Fault(("rules", k, key), text))
        return faults


class Config(Section):
    """The whole configuration of a node."""

    node: NodeConfig = NodeConfig()
    redis: RedisConfig = RedisConfig()
    outbox: OutboxConfig = OutboxConfig()
    http: HttpConfig = HttpConfig()
    model: ModelConfig = ModelConfig()
    budget: BudgetConfig = BudgetConfig()
    surge: SurgeConfig = SurgeConfig()
    cameras: tuple[CameraConfig, ...] = Field(min_length=1, max_length=1024)

    @model_validator(mode="after")
    def _distinct_cameras(self) -> Self:
        if faults := _repeated("cameras", "camera id", [camera.id for camera in self.cameras]):
            raise FaultsError(faults)
        return self


SECRET_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")
"""How a configuration refers to a secret: `${env:NAME}` or `${file:/path}`; resolved by the loader."""
