"""The shape of an event: CloudEvents 1.0 in JSON, closed, without identities, at most 64 KiB.

The models here and `schema/event.v1.json` say the same; a test holds them together.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from edge.errors import EventError

MAX_BYTES = 64 * 1024
"""Upper bound of an event's JSON in bytes. The limits of the models below keep every event under it."""

MAX_BOXES = 1000
"""Boxes an event carries; 1000 of them take 32 KiB at most, everything else less than 16 KiB."""

MAX_LEDGER_BYTES = 48 * 1024
"""Size of the JSON of an event's ledger; what does not fit goes into further events."""

MAX_ROWS = 1024
"""Rows of an event's ledger."""

KINDS: tuple[str, ...] = (
    *(f"crowd.{n}" for n in ("density", "flow", "counterflow", "pressure", "surge", "forecast")),
    *(f"hazard.{n}" for n in ("intrusion", "line", "wrongway", "fall", "abandoned", "removed")),
    *(f"hazard.{n}" for n in ("obstruction", "forbidden_object", "fire")),
    *(f"camera.{n}" for n in ("offline", "frozen", "dark", "blurred", "covered", "moved")),
    "motion.unusual",
    *(f"node.{n}" for n in ("heartbeat", "coverage", "gap")),
)
"""Family and name of everything this node can say; the table is closed."""

TYPES: Mapping[str, str] = {kind: f"org.sharpeyes.{kind}.v1" for kind in KINDS}
"""CloudEvents type by kind."""

IDENTITY_WORDS = frozenset(
    {"face", "faces", "plate", "plates", "person", "track", "tracks", "reid", "gait", "identity", "id", "ids"}
    | {"gender", "sex", "age", "ages", "ethnicity", "race", "skin", "emotion", "emotions", "clothing", "name"}
    | {"embedding", "embeddings", "biometric", "biometrics"}
)
"""Words that no measure's name and no property of the schema may hold: places are watched, not people."""

UNITS = "s|s2|ms|min|m|m2|px|fps|deg|bytes|share|ratio"
COUNTED = "count|cameras|persons|events|incidents|crossings|boxes|frames|zones"
MEASURE_NAME = rf"^(?:[a-z][a-z0-9]*_)*(?:(?:{COUNTED})(?:_[a-z][a-z0-9]*)*|{UNITS})$"
"""A measure's name ends in its unit (`density_mean_per_m2`) or says what is counted (`cameras_up`)."""

STREAM_FIELD = "ce"
"""Field of a stream entry that holds the event's JSON."""

_ID = r"[a-z0-9][a-z0-9._-]{0,62}"
_HEX64 = r"^[0-9a-f]{64}$"
_UUID7 = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_TRACE = r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
_URI = r"^[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{1,512}$"
_TIME = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$"
)
LARGEST = 1e15
"""Bound of a measure's size: whole numbers below it are exact in every JSON reader."""

MAX_NUMBER = 10**15
"""Bound of sequence numbers inside of an event: exact in every JSON reader."""

MAX_SPANS = 512
"""Spans of sequence numbers that one event reports as given up."""

T = TypeVar("T")


def stream_key(district: str) -> str:
    """Key of a district's event stream; the braces keep a district on one slot of a Redis Cluster.

    Example:
        >>> stream_key("360103")
        'sharpeyes:{360103}:events'
    """
    return f"sharpeyes:{{{district}}}:events"


def rfc3339(utc: datetime) -> str:
    """An aware time as RFC 3339 in UTC with milliseconds, rounded down.

    Example:
        >>> rfc3339(datetime(2026, 11, 22, 8, 15, 3, 210_999, tzinfo=UTC))
        '2026-11-22T08:15:03.210Z'
    """
    if utc.tzinfo is None:
        raise ValueError("utc must be aware of its time zone")
    return utc.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def schema_text() -> str:
    """The JSON Schema of an event, as shipped with the package."""
    return (files("edge") / "schema" / "event.v1.json").read_text("utf-8")


def explain(exc: ValidationError) -> str:
    """The first thing that is wrong, with its place; quotes no value."""
    first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'event'}: {first['msg']}"


def fits_measure(name: str) -> bool:
    """Whether a measure's name carries its unit and speaks of no identity."""
    try:
        _MEASURE_NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _in_calendar(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def _not_null(value: T) -> T:
    if value is None:
        raise ValueError("null is not allowed; leave the key out")
    return value


def _nonzero_trace(text: str) -> str:
    _, trace, span, _ = text.split("-")
    if not int(trace, 16) or not int(span, 16):
        raise ValueError("trace and span ids must not be all zeros")
    return text


def _known_type(text: str) -> str:
    if text not in TYPES.values():
        raise ValueError("is not a type of this schema")
    return text


def _no_identity(name: str) -> str:
    if found := sorted(IDENTITY_WORDS.intersection(name.split("_"))):
        raise ValueError(f"{found[0]!r} speaks of people, not of places")
    return name


def _rounded(boxes: tuple[tuple[float, float, float, float], ...]) -> tuple[object, ...]:
    # a ten-thousandth is under half a pixel in 4K, and bounds the event's size
    return tuple((round(a, 4), round(b, 4), round(c, 4), round(d, 4)) for a, b, c, d in boxes)


Time = Annotated[str, Field(pattern=_TIME), AfterValidator(_in_calendar)]
Uuid = Annotated[str, Field(pattern=_UUID7)]
Identifier = Annotated[str, Field(pattern=f"^{_ID}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Box = tuple[Fraction, Fraction, Fraction, Fraction]
Boxes = Annotated[tuple[Box, ...], Field(max_length=MAX_BOXES), AfterValidator(_rounded)]
Measure = Annotated[int | float, Field(ge=-LARGEST, le=LARGEST)]
MeasureName = Annotated[str, Field(pattern=MEASURE_NAME, max_length=63), AfterValidator(_no_identity)]
Measures = Annotated[dict[MeasureName, Measure], Field(max_length=64)]
NotNull = AfterValidator(_not_null)
_MEASURE_NAME: TypeAdapter[str] = TypeAdapter(MeasureName)


class Closed(BaseModel):
    """Base of all parts of an event: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Site(Closed):
    """Where it happened, as the centre knows the place."""

    name: str = Field(max_length=100)
    district: str = Field(pattern=r"^[0-9]{6}$")
    grid: Annotated[str | None, Field(pattern=r"^[0-9]{15}$"), NotNull] = None
    gb28181: Annotated[str | None, Field(pattern=r"^[0-9]{20}$"), NotNull] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180), NotNull] = None
    latitude: Annotated[float | None, Field(ge=-90, le=90), NotNull] = None


class Evidence(Closed):
    """Where redacted pictures of it can be fetched until they expire."""

    snapshot: Annotated[str | None, Field(pattern=_URI), NotNull] = None
    clip: Annotated[str | None, Field(pattern=_URI), NotNull] = None
    sha256: str = Field(pattern=_HEX64)
    redacted: Literal[True]
    expires: Time


class ModelRef(Closed):
    """The model that saw it."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    sha256: str = Field(pattern=_HEX64)


class Coverage(Closed):
    """How well the camera was watched at the time."""

    analysed_fps: float = Field(ge=0, le=1000)
    degraded: bool


class IncidentData(Closed):
    """What `crowd.*`, `hazard.*`, `camera.*` and `motion.*` events say.

    `level` is 1 (red, most severe) to 4 (blue); `boxes` are left, top, right, bottom as fractions of the
    picture, without identities.
    """

    incident: Uuid
    phase: Literal["begin", "update", "end"]
    level: Literal[1, 2, 3, 4]
    site: Site
    started: Time
    observed: Time
    zone: Identifier
    measures: Measures
    confidence: float = Field(ge=0, le=1)
    boxes: Boxes
    evidence: Annotated[Evidence | None, NotNull] = None
    model: Annotated[ModelRef | None, NotNull] = None
    coverage: Annotated[Coverage | None, NotNull] = None


GapReason = Literal["outbox_full", "outbox_aged", "outbox_replaced", "stream_trimmed"]

Millis = Annotated[int, Field(ge=1, le=10**12)]
Number = Annotated[int, Field(ge=1, le=MAX_NUMBER)]
TaskName = Annotated[str, Field(pattern=rf"^[a-z]+\.[a-z_]+/{_ID}$", max_length=95)]
Lack = Literal["reduced", "camera_slow", "failing", "overload"]
Absence = Literal["starting", "connecting", "camera_offline", "shed", "stopped"]


class CoveredMs(Closed):
    """Milliseconds by state and, in it, by reason. Only what took time is named."""

    analysed: Annotated[dict[Literal["at_rate", "idle_watched"], Millis] | None, NotNull] = None
    degraded: Annotated[dict[Lack, Millis] | None, NotNull] = None
    blind: Annotated[dict[Absence | Lack, Millis] | None, NotNull] = None


class LedgerRow(Closed):
    """Tasks of one camera that shared a fate; the milliseconds add up to the ledger's span."""

    camera: Identifier
    tasks: tuple[TaskName, ...] = Field(min_length=1, max_length=128)
    ms: CoveredMs


class LedgerData(Closed):
    """How a span of wall time before the event was covered; `part` of `parts` events that say so together."""

    span_ms: Millis
    part: int = Field(ge=1, le=1024)
    parts: int = Field(ge=1, le=1024)
    rows: tuple[LedgerRow, ...] = Field(min_length=1, max_length=MAX_ROWS)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if len(self.model_dump_json(exclude_none=True)) > MAX_LEDGER_BYTES:
            raise ValueError(f"is larger than {MAX_LEDGER_BYTES} bytes; split it into parts")
        return self


class GapData(Closed):
    """Sequence numbers whose events the node cannot deliver any more, as first and last of each span.

    `events` is how many numbers that are. The centre may have some of these events nevertheless.
    """

    ranges: tuple[tuple[Number, Number], ...] = Field(min_length=1, max_length=MAX_SPANS)
    events: Number

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        before = 0
        for first, last in self.ranges:
            if not before < first <= last:
                raise ValueError("ranges must ascend and not overlap")
            before = last
        if self.events != sum(last - first + 1 for first, last in self.ranges):
            raise ValueError("events must be how many numbers the ranges cover")
        return self


class NodeData(Closed):
    """What `node.*` events say: the node's own numbers; they belong to no incident and have no level."""

    district: str = Field(pattern=r"^[0-9]{6}$")
    measures: Measures
    reason: Annotated[GapReason | None, NotNull] = None
    ledger: Annotated[LedgerData | None, NotNull] = None
    gap: Annotated[GapData | None, NotNull] = None


def _which(data: object) -> str:
    told = "incident" in data if isinstance(data, dict) else isinstance(data, IncidentData)
    return "incident" if told else "node"


Data = Annotated[
    Annotated[IncidentData, Tag("incident")] | Annotated[NodeData, Tag("node")], Discriminator(_which)
]


class EventDraft(Closed):
    """An event before the outbox gives it its sequence number."""

    specversion: Literal["1.0"]
    id: Uuid
    source: str = Field(pattern=rf"^/nodes/{_ID}(/cameras/{_ID})?$")
    type: Annotated[str, AfterValidator(_known_type)]
    subject: Identifier
    time: Time
    datacontenttype: Literal["application/json"]
    dataschema: Literal["urn:sharpeyes:schema:event:v1"]
    traceparent: Annotated[str, Field(pattern=_TRACE), AfterValidator(_nonzero_trace)]
    data: Data

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type.startswith("org.sharpeyes.node."):
            if not isinstance(self.data, NodeData):
                raise ValueError("a node event carries the node's data")
            if (self.type == TYPES["node.coverage"]) != (self.data.ledger is not None):
                raise ValueError("node.coverage, and no other event, carries a ledger")
            if self.type != TYPES["node.gap"] and self.data.gap is not None:
                raise ValueError("no event but node.gap carries a gap")
        elif not isinstance(self.data, IncidentData) or "/cameras/" not in self.source:
            raise ValueError("an incident carries an incident's data and comes from a camera")
        return self

    @property
    def kind(self) -> str:
        """Family and name, such as `crowd.density`."""
        return self.type.removeprefix("org.sharpeyes.").removesuffix(".v1")

    @property
    def level(self) -> int | None:
        """Severity 1 (most severe) to 4; None for the node's own events."""
        return self.data.level if isinstance(self.data, IncidentData) else None


class Event(EventDraft):
    """An event as it is sent. `sequence` counts per node without gaps: 20 digits, from 1."""

    sequence: str = Field(pattern=r"^[0-9]{20}$")

    @classmethod
    def number(cls, draft: EventDraft, sequence: int) -> "Event":
        """The draft with its place in the node's sequence, from 1."""
        if not 0 < sequence < 10**20:
            raise ValueError(f"sequence must be from 1 to 20 digits, got {sequence}")
        # the draft was validated at its birth: not again on the way to disk
        return Event.model_construct(**draft.__dict__, sequence=f"{sequence:020}")

    @classmethod
    def from_json(cls, body: bytes | str) -> Self:
        """Read an event as another node may have sent it.

        Raises:
            EventError: it is too large, no JSON, or breaks the schema. The text quotes nothing of it.
        """
        if len(body) > MAX_BYTES:
            raise EventError(f"event has {len(body)} bytes, more than {MAX_BYTES}")
        try:
            return cls.model_validate_json(body)
        except ValidationError as exc:
            raise EventError(explain(exc)) from None

    def to_json(self) -> bytes:
        """Compact UTF-8 JSON, at most 64 KiB."""
        return self.model_dump_json(exclude_none=True).encode()
