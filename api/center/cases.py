"""A case and what it consists of: its place, events and history, and how to ask for cases."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from api.center.instants import aware
from api.center.lifecycle import Standing, State

MAX_PAGE = 1000
"""Cases, or events, that one query gives at most."""

ChangeKind = Literal["opened", "event", "raised", "acted", "escalated"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a case is.

    Attributes:
        name: of the site, as the node calls it.
        code: of the grid (15 digits) where the site says it, else of the district (6).
        longitude, latitude: degrees, WGS 84; None where the site does not say.
    """

    name: str
    code: str
    longitude: float | None = None
    latitude: float | None = None


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """An event of a case.

    Attributes:
        n: the centre's number of it, in the order of coming.
        node, sequence: its order by its node.
        id: CloudEvents id.
        incident: of which it speaks.
        phase: begin, update or end.
        level: 1 to 4.
        observed, received: by the node's and by the centre's clock.
        clock_skew_s: seconds that the event's time is ahead of its reception (negative: behind); None where
            that is less than an hour.
        body: the JSON as it was signed.
    """

    n: int
    node: str
    sequence: int
    id: str
    incident: str
    phase: str
    level: int
    observed: datetime
    received: datetime
    clock_skew_s: float | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A row of the history: who did what, when and why. Nothing of it ever changes.

    Attributes:
        id: from 1, without gaps.
        case: None where it concerns no case (keys, surge mode).
        at: by the centre's clock.
        who: a person's name, or `system`.
        action: an `Action`, or open, raise, admit, revoke, surge.
        before, after: the case's main state; None without a case.
        why: the reason given.
        detail: JSON of what else there is to know.
        hash: SHA-256 over the last row's hash and this row.
    """

    id: int
    case: int | None
    at: datetime
    who: str
    action: str
    before: str | None
    after: str | None
    why: str
    detail: str
    hash: str


@dataclass(frozen=True, slots=True)
class Case:
    """One matter that the centre follows: incidents of a kind at a place and time.

    Attributes:
        id: from 1.
        version: rises with every act and whenever it grows more severe; an edit names the one it saw.
        standing: state and flags.
        kind: of its incidents, such as `crowd.density`.
        category, department: codes from the triage table.
        level: the most severe so far, 1 to 4.
        region: code of the region that is responsible now.
        told: codes of all regions that were told.
        place: of its first incident.
        opened: when it was opened, by the centre's clock.
        first, last: when its first and latest event were seen.
        due: when the stage it is in must be over; None when suspended or ended.
        late: the deadline of this stage was missed, and it was escalated for that.
        missed: deadlines missed so far.
        calm: all of its incidents have ended; that closes nothing.
        incidents, event_count: how many.
        verdict: True after closing, False after rejecting.
        cause: of the false alarm, a code from the triage table.
        cameras: that saw it; only where a single case was asked for.
        history: oldest first; only where a single case was asked for.
    """

    id: int
    version: int
    standing: Standing
    kind: str
    category: str
    department: str
    level: int
    region: str
    told: tuple[str, ...]
    place: Place
    opened: datetime
    first: datetime
    last: datetime
    due: datetime | None
    late: bool
    missed: int
    calm: bool
    incidents: int
    event_count: int
    verdict: bool | None = None
    cause: str | None = None
    cameras: tuple[str, ...] = ()
    history: tuple[Record, ...] = ()

    def __post_init__(self) -> None:
        if self.level not in (1, 2, 3, 4):
            raise ValueError(f"level must be 1 to 4, got {self.level}")
        aware(opened=self.opened, first=self.first, last=self.last, due=self.due)

    @property
    def state(self) -> State:
        """The main state."""
        return self.standing.state


@dataclass(frozen=True, slots=True)
class CaseQuery:
    """Which cases; what is left out does not matter. Newest first.

    Attributes:
        states: any of these.
        open: not ended (True) or ended (False).
        levels: any of these.
        kind: exactly, or a family such as `crowd`.
        within: code of a region; cases whose place lies in it.
        region: code of the region that is responsible.
        department: code.
        late, escalated, supervised, calm: as they stand.
        since, until: opened in this time, `until` excluded.
        before: id that a case must be below: where the next page begins.
        limit: how many at most.
    """

    states: frozenset[State] | None = None
    open: bool | None = None
    levels: frozenset[int] | None = None
    kind: str | None = None
    within: str | None = None
    region: str | None = None
    department: str | None = None
    late: bool | None = None
    escalated: bool | None = None
    supervised: bool | None = None
    calm: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    limit: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_PAGE:
            raise ValueError(f"limit must be 1 to {MAX_PAGE}, got {self.limit}")
        aware(since=self.since, until=self.until)


@dataclass(frozen=True, slots=True)
class Change:
    """That something became of a case, for those who watch.

    Attributes:
        id: rises; ask for what comes after the last one seen.
        at: when.
        case, version: which, and its version then.
        what: opened, event, raised, acted or escalated.
        level: 1 to 4, then.
        state: then.
    """

    id: int
    at: datetime
    case: int
    version: int
    what: ChangeKind
    level: int
    state: State
