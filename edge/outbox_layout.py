"""How the outbox lies in its file: tables, order of severity, and the books that are kept of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from edge.envelope import TYPES, EventDraft, GapReason

VERSION = 2
"""Layout of the file, kept in `user_version`."""

NO_LEVEL = 5
"""Where events without a level (`node.*`) stand in counts by level: below 4."""

SENT = 1
"""State of an event that Redis stored; 0 if it was never sent, 2 if it was asked for again."""

GAP_RANK, OWN_RANK = 5, 6
"""Ranks of events without a level. Others have their level's; the highest is evicted first."""

FULL: Final[GapReason] = "outbox_full"
AGED: Final[GapReason] = "outbox_aged"
REPLACED: Final[GapReason] = "outbox_replaced"

# gaps: numbers given up and not yet reported. told: reported by the event `sequence`, which is still kept
_REST = """
CREATE INDEX events_fresh ON events (rank, sequence) WHERE state = 0;
CREATE INDEX events_again ON events (sequence) WHERE state = 2;
CREATE TABLE gaps (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE told (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, reason TEXT NOT NULL, sequence INTEGER NOT NULL
);
CREATE INDEX told_by_event ON told (sequence);
CREATE TABLE tally (
    newest INTEGER NOT NULL,
    created INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    receipted INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    synced INTEGER NOT NULL,
    evicted_1 INTEGER NOT NULL,
    evicted_2 INTEGER NOT NULL,
    evicted_3 INTEGER NOT NULL,
    evicted_4 INTEGER NOT NULL,
    evicted_5 INTEGER NOT NULL
)"""

CREATE = f"""
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    state INTEGER NOT NULL DEFAULT 0,
    rank INTEGER NOT NULL,
    size INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX events_by_severity ON events (rank DESC, sequence, size);
{_REST}"""
"""Makes an empty file's tables; the tally gets its row afterwards."""

_RANKS_OF_1 = """
ALTER TABLE events RENAME COLUMN level TO rank;
UPDATE events SET rank = 6 WHERE rank = 5;
"""

MIGRATE_1 = _RANKS_OF_1 + _REST
"""Brings layout 1 here; its table `totals` is still to be read into the tally, and dropped."""

INSERT_TALLY = "INSERT INTO tally VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

UPDATE_TALLY = """
UPDATE tally SET newest = ?, created = ?, acknowledged = ?, pending = ?, sent = ?, bytes = ?, receipted = ?,
floor = ?, synced = ?, evicted_1 = ?, evicted_2 = ?, evicted_3 = ?, evicted_4 = ?, evicted_5 = ?"""


@dataclass(slots=True)
class Tally:
    """The books: one row, written in each transaction that changes them.

    created = acknowledged + pending + sent + evicted.

    Attributes:
        newest: the newest sequence number; higher than `created` where numbers were left out.
        created: events appended to this file.
        acknowledged: events handed on for good.
        pending: events that wait: never sent, or asked for again.
        sent: events stored by Redis that wait for the centre's receipt.
        bytes: size of the JSON of all that is kept.
        receipted: up to here the centre has everything, or knows that it is lost.
        floor: receipts do not speak of numbers up to here: they count those of an outbox that was lost.
        synced: rises by one whenever something must be written to be synced.
        evicted: events given up, by level 1 to 5.
    """

    newest: int = 0
    created: int = 0
    acknowledged: int = 0
    pending: int = 0
    sent: int = 0
    bytes: int = 0
    receipted: int = 0
    floor: int = 0
    synced: int = 0
    evicted: list[int] = field(default_factory=lambda: [0] * NO_LEVEL)

    @classmethod
    def of(cls, row: Sequence[int]) -> Self:
        """The books from their row in the file."""
        newest, created, acknowledged, pending, sent, size, receipted, floor, synced, *evicted = row
        return cls(newest, created, acknowledged, pending, sent, size, receipted, floor, synced, evicted)

    def row(self) -> tuple[int, ...]:
        """The books as their row in the file."""
        return (
            *(self.newest, self.created, self.acknowledged, self.pending, self.sent, self.bytes),
            *(self.receipted, self.floor, self.synced),
            *self.evicted,
        )

    def copy(self) -> Self:
        """The same, to be changed."""
        return replace(self, evicted=list(self.evicted))


def rank_of(draft: EventDraft) -> int:
    """Where an event stands: its level, then reports of gaps, then the node's other events."""
    return draft.level or (GAP_RANK if draft.type == TYPES["node.gap"] else OWN_RANK)


def level_of(rank: int) -> int:
    """The level under which a rank is counted: 1 to 4, or `NO_LEVEL`."""
    return min(rank, NO_LEVEL)


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """What went through the outbox since its file was made.

    created = acknowledged + pending + sent + evicted.

    Attributes:
        created: events appended.
        acknowledged: events that were handed on for good.
        pending: events that wait: never sent, or asked for again.
        bytes: size of the JSON of all events that are kept.
        oldest_age_s: seconds since the oldest event that was never sent was appended; 0 when there is none.
        evicted: events given up for want of space or for their age, by level; 5 stands for the node's own.
        sent: events that Redis stored and the centre has not receipted yet.
        newest: sequence number of the newest event.
    """

    created: int
    acknowledged: int
    pending: int
    bytes: int
    oldest_age_s: float
    evicted: Mapping[int, int]
    sent: int = 0
    newest: int = 0
