"""What the centre's HTTP interface takes and answers, as its OpenAPI description tells."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from api.center import model
from api.center.lifecycle import Action, State, legal
from api.center.refusal import EARLIEST, LATEST
from api.schemas import Answer, Problem

Who = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    Field(description="Who acts: a person's name or badge.", examples=["李华 (031204)"]),
]
Why = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    Field(description="Why; it stands in the history for good.", examples=["现场已核实"]),
]

Code = Annotated[str, Field(pattern=r"^[0-9]{6}([0-9]{3}){0,3}$")]

Moment = Annotated[AwareDatetime, Field(ge=EARLIEST, lt=LATEST)]
"""A time that can be calculated with, as those of events."""

ENTRY_ID = r"^[0-9]{1,20}-[0-9]{1,20}$"


def entry_id(text: str) -> str:
    """The id of a stream's entry: two numbers that Redis can count to, not both 0.

    Raises:
        ValueError: they are not.
    """
    numbers = [int(part) for part in text.split("-")]
    if not any(numbers) or max(numbers) >= 2**64:
        raise ValueError("is the id of no entry")
    return text


ACTING: dict[str, JsonValue] = {
    "action": "accept",
    "version": 3,
    "who": "李华 (031204)",
    "why": "值班员受理",
    "cause": None,
}


class Asked(BaseModel):
    """Base of what is asked: nothing unknown, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wanted(Asked):
    """Which cases are meant; what is left out does not matter."""

    state: list[State] | None = Field(None, description="Any of these states.")
    open: bool | None = Field(None, description="Not ended, or ended.")
    level: list[Annotated[int, Field(ge=1, le=4)]] | None = Field(None, description="Any of these levels.")
    kind: str | None = Field(
        None,
        pattern=r"^[a-z]{1,20}(\.[a-z_]{1,40})?$",
        description="A kind such as crowd.density, or a family such as crowd.",
    )
    within: Code | None = Field(None, description="Places in this region.")
    region: Code | None = Field(None, description="The region that is responsible.")
    department: str | None = Field(
        None, pattern=r"^[a-z][a-z0-9_]{0,39}$", description="A department's code."
    )
    late: bool | None = Field(None, description="Missed the deadline of its stage.")
    escalated: bool | None = Field(None, description="Escalated (提级).")
    supervised: bool | None = Field(None, description="Supervised (督办).")
    calm: bool | None = Field(None, description="All its incidents have ended.")
    since: Moment | None = Field(None, description="Opened at this time or later.")
    until: Moment | None = Field(None, description="Opened before this time.")

    def query(self) -> model.CaseQuery:
        """The same for the store."""
        given = self.model_dump(exclude={"state", "level"}, exclude_none=True)
        states = frozenset(self.state) if self.state else None
        return model.CaseQuery(states=states, levels=frozenset(self.level) if self.level else None, **given)


class WantedPage(Wanted):
    """Which cases, and which page of them."""

    before: int | None = Field(None, ge=1, le=2**62, description="`next` of the page before.")
    limit: int = Field(100, ge=1, le=model.MAX_PAGE, description="How many at most.")


class Acting(Asked):
    """An act on a case."""

    model_config = ConfigDict(json_schema_extra={"examples": [ACTING]})

    action: Action = Field(description="What is done; a case's `legal` says what may be.")
    version: int = Field(ge=1, description="The version that the actor saw; else the answer is 409.")
    who: Who
    why: Why
    cause: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Why the alarm was false, a code of /triage; needed to reject."
    )


class Admitting(Asked):
    """A node's key to admit."""

    key: str = Field(
        min_length=43,
        max_length=64,
        description="The node's Ed25519 public key: 64 hexadecimal digits, or base64.",
        examples=["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"],
    )
    who: Who
    why: Why


class Deciding(Asked):
    """Who decides, and why."""

    who: Who
    why: Why


class Surging(Asked):
    """A change between the usual profile and that for surges (平战结合)."""

    on: bool = Field(description="True for the surge profile, false for the usual one.")
    who: Who
    why: Why


class Conflict(Problem):
    """Somebody else changed the case meanwhile."""

    version: int = Field(description="The case's version now; look at it before acting again.")


class Place(Answer):
    """Where a case is."""

    name: str = Field(description="Of the site, as the node calls it.")
    code: str = Field(description="Of the grid, 15 digits, or of the district, 6 digits.")
    longitude: float | None = Field(description="Degrees, WGS 84.")
    latitude: float | None = Field(description="Degrees, WGS 84.")


class CaseEvent(Answer):
    """An event of a case."""

    n: int = Field(description="The centre's number of it, in the order of coming.")
    node: str
    sequence: int = Field(description="The node's number of it; with the node, the order.")
    id: str = Field(description="CloudEvents id.")
    incident: str
    phase: str = Field(description="begin, update or end.")
    level: int = Field(description="1 (red, most severe) to 4 (blue).")
    observed: datetime = Field(description="By the node's clock.")
    received: datetime = Field(description="By the centre's clock.")
    clock_skew_s: float | None = Field(
        description="Seconds that the event's time is ahead of its reception; null within an hour."
    )
    event: dict[str, Any] = Field(description="The CloudEvent as it was signed.")


class Record(Answer):
    """A row of the history; none ever changes."""

    id: int
    case: int | None
    at: datetime
    who: str
    action: str
    before: str | None
    after: str | None
    why: str
    detail: str = Field(description="JSON of what else there is to know.")
    hash: str = Field(description="SHA-256 over the last row's hash and this row.")


class Case(Answer):
    """One matter that the centre follows."""

    id: int
    version: int = Field(description="An act names the version it saw.")
    state: State
    suspended_from: State | None = Field(description="Where a suspended case returns to.")
    escalated: bool
    supervised: bool
    legal: tuple[Action, ...] = Field(description="What may be done with it now.")
    kind: str
    category: str
    category_name: str
    department: str
    department_name: str
    level: int = Field(description="1 (red, most severe) to 4 (blue), the most severe so far (系统提示).")
    region: str = Field(description="Code of the region that is responsible now.")
    region_name: str
    told: tuple[str, ...] = Field(description="Codes of all regions that were told.")
    place: Place
    opened: datetime
    first: datetime
    last: datetime
    due: datetime | None = Field(description="When its stage must be over; null when suspended or ended.")
    late: bool = Field(description="It missed the deadline of its stage.")
    missed: int = Field(description="Deadlines missed so far.")
    calm: bool = Field(description="All its incidents have ended.")
    incidents: int
    event_count: int
    verdict: bool | None = Field(description="True after closing, false after rejecting.")
    cause: str | None = Field(description="Why the alarm was false.")


class WholeCase(Case):
    """A case with its cameras and history."""

    cameras: tuple[str, ...]
    history: tuple[Record, ...]


class CaseEvents(Answer):
    """A page of a case's events, in their nodes' order."""

    events: tuple[CaseEvent, ...]
    next: int | None = Field(description="Give it as `after` to get the next page; null on the last.")


class Cases(Answer):
    """A page of cases, newest first."""

    cases: tuple[Case, ...]
    next: int | None = Field(description="Give it as `before` to get the next page; null on the last.")


class Region(Answer):
    """A region."""

    code: str
    name: str
    depth: Literal["district", "street", "community", "grid"]
    parent: str | None = Field(description="Code of the region it lies in.")


class Duty(Answer):
    """Whose matter a kind of case is."""

    kind: str
    category: str
    department: str


class Urgency(Answer):
    """What a level asks for."""

    level: int
    told: tuple[str, ...] = Field(description="Depths of the regions that are told at once.")
    deadline_min: dict[str, float] = Field(description="Minutes that a case may stay in each stage.")


class Triage(Answer):
    """The tables of triage (分流处置)."""

    kinds: tuple[Duty, ...]
    levels: tuple[Urgency, ...]
    profiles: dict[str, float] = Field(description="Share of each deadline that holds, by profile.")
    causes: dict[str, str] = Field(description="Why an alarm was false, for people.")
    names: dict[str, str] = Field(description="Categories and departments, for people.")


class Key(Answer):
    """A node's public key."""

    id: str = Field(description="First 16 hexadecimal digits of its SHA-256.")
    public: str = Field(description="64 hexadecimal digits.")
    admitted: datetime
    admitted_by: str
    revoked: datetime | None
    revoked_by: str | None


class Hole(Answer):
    """Numbers of a node that neither came nor were reported lost."""

    first: int
    last: int


class Node(Answer):
    """A node as the centre knows it."""

    id: str
    keys: tuple[Key, ...]
    heard: datetime | None = Field(description="When it was heard last; null where never.")
    stored_through: int = Field(description="Its numbers 1 to this are all stored or reported lost.")
    holes: tuple[Hole, ...] = Field(description="What it was asked to send again, oldest first; 100 at most.")


class Surge(Answer):
    """The profile that holds now."""

    profile: Literal["usual", "surge"]


class Kept(Answer):
    """An entry of the dead letters or of the quarantine, untouched; never treat it as safe to show."""

    id: str
    fields: dict[str, str]


class KeptPage(Answer):
    """Entries, newest first."""

    entries: tuple[Kept, ...]
    next: str | None = Field(description="Give it as `before` to get the next page; null on the last.")


class Indicators(Answer):
    """The four indicators (四全), shares from 0 to 1; null where there is nothing to divide by."""

    coverage: float | None = Field(description="全域覆盖: share of the tasks' time that was not blind.")
    sharing: float | None = Field(description="全网共享: share of created events that are stored.")
    availability: float | None = Field(description="全时可用: share of nodes heard within two heartbeats.")
    control: float | None = Field(description="全程可控: share of cases that met every deadline.")


class StageTime(Answer):
    """How long cases stayed in a stage."""

    stage: State
    count: int
    p50_s: float
    p90_s: float


class Precision(Answer):
    """Verdicts on a rule's incidents."""

    camera: str
    rule: str
    true: int
    false: int
    share: float = Field(description="Share of incidents that were true, 0 to 1.")


class CameraAlarms(Answer):
    """A camera's false alarms."""

    camera: str
    false: int
    per_day: float = Field(description="How many times a day it gave a false alarm.")


class Numbers(Answer):
    """How well it all works."""

    since: datetime
    until: datetime
    indicators: Indicators
    stages: tuple[StageTime, ...]
    precision: tuple[Precision, ...]
    false_alarms: tuple[CameraAlarms, ...]
    false_alarms_per_camera_day: float | None = Field(description="Over all cameras' watched days.")
    opened: int
    ended: int


def case_fields(case: model.Case, triage: model.Triage, regions: model.RegionTree) -> dict[str, Any]:
    """A case's fields as `Case` has them."""
    standing = case.standing
    region = regions.find(case.region)
    return {
        **{name: getattr(case, name) for name in _PLAIN},
        "state": standing.state,
        "suspended_from": standing.suspended_from,
        "escalated": standing.escalated,
        "supervised": standing.supervised,
        "legal": legal(standing),
        "category_name": triage.names.get(case.category, case.category),
        "department_name": triage.names.get(case.department, case.department),
        "region_name": region.name if region else case.region,
        "place": Place.model_validate(case.place),
    }


_PLAIN = tuple(
    name
    for name in Case.model_fields
    if name
    not in {
        "state",
        "suspended_from",
        "escalated",
        "supervised",
        "legal",
        "category_name",
        "department_name",
        "region_name",
        "place",
    }
)


def event_of(event: model.CaseEvent) -> CaseEvent:
    """An event of a case, its body as JSON."""
    named = {name: getattr(event, name) for name in CaseEvent.model_fields if name != "event"}
    return CaseEvent(**named, event=json.loads(event.body))
