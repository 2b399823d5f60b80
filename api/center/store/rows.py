"""A case as its row: changed in memory, written back at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import sqlalchemy as sa

from api.center.cases import Case, Place
from api.center.instants import from_ms
from api.center.lifecycle import ENDS, Standing, State
from api.center.schema import cases
from api.center.store.statements import Lookup


@dataclass(slots=True)
class CaseRow:
    """All columns of `schema.cases`, in their order; angles in degrees."""

    id: int
    version: int
    state: State
    suspended_from: State | None
    escalated: bool
    supervised: bool
    kind: str
    category: str
    department: str
    level: int
    region: str
    told: str
    place: str
    code: str
    longitude: float | None
    latitude: float | None
    opened_ms: int
    ended_ms: int | None
    first_ms: int
    last_ms: int
    stage_ms: int
    spent_ms: int
    due_ms: int | None
    left_ms: int | None
    late: bool
    missed: int
    active: int
    incidents: int
    events: int
    verdict: bool | None = None
    cause: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing can be done with it any more."""
        return self.state in ENDS

    @property
    def standing(self) -> Standing:
        """Where it stands in its life."""
        return Standing(self.state, self.suspended_from, self.escalated, self.supervised)

    def stand(self, standing: Standing) -> None:
        """Take over where it stands now."""
        self.state, self.suspended_from = standing.state, standing.suspended_from
        self.escalated, self.supervised = standing.escalated, standing.supervised

    def stay_ms(self, now_ms: int) -> int:
        """How long it has been in its stage, without suspensions."""
        if self.state is State.SUSPENDED:
            return self.spent_ms
        return self.spent_ms + max(0, now_ms - self.stage_ms)

    def values(self) -> dict[str, object]:
        """The row to insert."""
        return {name: getattr(self, name) for name in COLUMNS}

    def update(self, names: Iterable[str]) -> dict[str, object]:
        """Parameters of an update of some columns."""
        return {"b_id": self.id, **{name: getattr(self, name) for name in names}}

    def case(self) -> Case:
        """What the centre shows of it."""
        return Case(
            id=self.id,
            version=self.version,
            standing=self.standing,
            kind=self.kind,
            category=self.category,
            department=self.department,
            level=self.level,
            region=self.region,
            told=tuple(self.told.split()),
            place=Place(self.place, self.code, self.longitude, self.latitude),
            opened=from_ms(self.opened_ms),
            first=from_ms(self.first_ms),
            last=from_ms(self.last_ms),
            due=None if self.due_ms is None else from_ms(self.due_ms),
            late=self.late,
            missed=self.missed,
            calm=self.active == 0,
            incidents=self.incidents,
            event_count=self.events,
            verdict=self.verdict,
            cause=self.cause,
        )


SEEN: Final = ("first_ms", "last_ms", "active", "incidents", "events")
"""Columns that an event changes which makes nothing more severe; no index holds them."""

COLUMNS: Final = tuple(field.name for field in fields(CaseRow))
FIXED: Final = frozenset({"id", "kind", "place", "code", "longitude", "latitude", "opened_ms"})
ALL: Final = tuple(name for name in COLUMNS if name not in FIXED)
"""Columns that may change."""


def _updating(names: Sequence[str]) -> sa.Update:
    return (
        sa.update(cases)
        .where(cases.c.id == sa.bindparam("b_id"))
        .values({name: sa.bindparam(name) for name in names})
    )


SAVE_SEEN: Final = _updating(SEEN)
SAVE_ALL: Final = _updating(ALL)
ADD: Final = sa.insert(cases)
_BY_ID = Lookup(lambda among: sa.select(cases).where(among(cases.c.id, "ids")))


def read_row(row: Sequence[Any]) -> CaseRow:
    """A row of `select(cases)`."""
    case = CaseRow(*row)
    case.state = State(case.state)
    if case.suspended_from is not None:
        case.suspended_from = State(case.suspended_from)
    return case


def read_rows(connection: sa.Connection, ids: Iterable[int]) -> dict[int, CaseRow]:
    """Cases by number; unknown ones are left out."""
    return {row.id: read_row(row) for row in _BY_ID.rows(connection, {"ids": set(ids)})}
