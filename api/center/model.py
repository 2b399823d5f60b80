"""What the centre speaks of: events received, cases, keys and numbers. Frozen, validated at birth.

Times are aware and in UTC. Cameras are written `node/camera`, rules `kind/zone`.
"""

from dataclasses import dataclass, fields
from datetime import datetime

from api.center.cases import MAX_PAGE, Case, CaseEvent, CaseQuery, Change, Place, Record
from api.center.errors import (
    CenterError,
    ConflictError,
    IllegalError,
    NotFoundError,
    PoisonError,
    StoreAwayError,
)
from api.center.instants import aware
from api.center.lifecycle import Action, Standing, State
from api.center.numbers import CameraAlarms, Indicators, Numbers, Precision, StageTime
from api.center.tables import Depth, Duty, MergeOptions, Region, RegionTree, Triage, Urgency
from edge.envelope import Event

__all__ = [
    "MAX_PAGE",
    "SYSTEM",
    "Action",
    "CameraAlarms",
    "Case",
    "CaseEvent",
    "CaseQuery",
    "CenterError",
    "Change",
    "ConflictError",
    "Depth",
    "Duty",
    "Feedback",
    "Hole",
    "IllegalError",
    "Indicators",
    "Key",
    "Ledger",
    "MergeOptions",
    "NotFoundError",
    "Numbers",
    "Outcome",
    "Place",
    "PoisonError",
    "Precision",
    "Received",
    "Record",
    "Region",
    "RegionTree",
    "StageTime",
    "Standing",
    "State",
    "StoreAwayError",
    "StoreOptions",
    "Triage",
    "Urgency",
    "Verified",
]

SYSTEM = "system"
"""Who acts where no person does."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How long the store keeps what it may forget, and what it expects of nodes.

    Attributes:
        inbox_days: days that the keys of events stay, by which a duplicate is known. After that an event is
            still known by its number, and by its id, which rises with its node's clock. So of a node that
            counts anew with its clock set back, events from before the forgotten ones are duplicates.
        events_days: days that the events of ended cases stay.
        quiet_days: days after which a new incident joins no case that nobody has ended and nothing came of.
        changes_days: days that `changes` reaches back.
        covered_days: days that the hours of the nodes' coverage ledgers stay.
        heartbeat_s: seconds between a node's heartbeats; it is available if heard within two of them.
    """

    inbox_days: int = 30
    events_days: int = 180
    quiet_days: int = 1
    changes_days: int = 1
    covered_days: int = 800
    heartbeat_s: float = 60.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Received:
    """An event that was checked and is to be stored.

    Attributes:
        event: what `body` says.
        body: the JSON exactly as it was signed.
        entry: id of the stream's entry.
        received: when the centre took it.
    """

    event: Event
    body: bytes
    entry: str
    received: datetime

    def __post_init__(self) -> None:
        aware(received=self.received)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event.

    Attributes:
        fresh: False for a duplicate, which changed nothing.
        case: the case it belongs to; None for the node's own events and for duplicates.
        opened: it opened the case.
        level: of the case after it, 1 to 4; None without a case.
    """

    fresh: bool
    case: int | None = None
    opened: bool = False
    level: int | None = None

    def __post_init__(self) -> None:
        if self.opened and (self.case is None or not self.fresh):
            raise ValueError("only a fresh event can open a case")


@dataclass(frozen=True, slots=True)
class Key:
    """A node's public key.

    Attributes:
        node: whose it is.
        id: first 16 hexadecimal digits of SHA-256 over the raw key.
        public: Ed25519, 32 bytes.
        admitted, admitted_by: when and by whom.
        revoked, revoked_by: None while it is valid.
    """

    node: str
    id: str
    public: bytes
    admitted: datetime
    admitted_by: str
    revoked: datetime | None = None
    revoked_by: str | None = None

    def __post_init__(self) -> None:
        aware(admitted=self.admitted, revoked=self.revoked)
        if len(self.public) != 32:
            raise ValueError(f"an Ed25519 public key has 32 bytes, got {len(self.public)}")


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers of a node that neither came nor were reported lost.

    Attributes:
        node: whose they are.
        first, last: inclusive, from 1.
    """

    node: str
    first: int
    last: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last:
            raise ValueError(f"a hole goes from 1 or more upwards, got {self.first} to {self.last}")


@dataclass(frozen=True, slots=True)
class Ledger:
    """A node's account: created = stored + gaps + missing.

    Attributes:
        node: whose it is.
        created: the highest number heard of; numbers begin at 1 and leave none out.
        stored: numbers whose event is stored.
        gaps: numbers that the node reported lost, and that did not come nevertheless.
        missing: all others; they are asked for.
        repeated: events that came under a number that another event has; counted in no other field.
        through: 1 to this are all stored or reported lost.
    """

    node: str
    created: int
    stored: int
    gaps: int
    missing: int
    repeated: int
    through: int

    def __post_init__(self) -> None:
        if self.created != self.stored + self.gaps + self.missing:
            raise ValueError(f"the account of {self.node} does not add up")


@dataclass(frozen=True, slots=True)
class Feedback:
    """A message that waits to be sent to nodes.

    Attributes:
        id: to say that it was sent.
        node: its id, or `*` for all of the district.
        body: the message's JSON.
    """

    id: int
    node: str
    body: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What checking the history found.

    Attributes:
        rows: that it has.
        first_broken: id of the first row that was changed, left out or added; None when all is well.
        head: hash of the last row. Kept elsewhere, it also tells whether the whole chain was replaced.
    """

    rows: int
    first_broken: int | None
    head: str = ""

    @property
    def intact(self) -> bool:
        """Whether nothing was changed."""
        return self.first_broken is None
