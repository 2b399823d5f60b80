"""The outbox's events in their file: written, found, handed on and given up, with the books kept."""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from edge.envelope import Event, EventDraft, GapReason
from edge.outbox_file import OutboxFile
from edge.outbox_gaps import Gaps, Span, spans_of
from edge.outbox_layout import FULL, GAP_RANK, OWN_RANK, SENT, Tally, level_of, rank_of

_EVICT_ROWS = 64
_DAY_MS = 86_400_000
_CLOCK_SET_MS = 1_577_836_800_000  # 2020: a box without a battery starts its clock before that

# states are written out: 0 never sent, 1 sent, 2 asked for again. Which index serves is not left to SQLite,
# which knows nothing of how many events are in which state
_INSERT = "INSERT INTO events (sequence, rank, size, created_ms, body) VALUES (?, ?, ?, ?, ?)"
_SHOW_FRESH = (
    "SELECT sequence, body FROM events INDEXED BY events_fresh WHERE state = 0 AND rank = ?"
    " AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?"
)
_SHOW_AGAIN = (
    "SELECT sequence, body FROM events INDEXED BY events_again WHERE state = 2 ORDER BY sequence LIMIT ?"
)
_OLDEST_OF_RANK = (
    "SELECT sequence FROM events INDEXED BY events_fresh WHERE state = 0 AND rank = ?"
    " ORDER BY sequence LIMIT 1"
)
_SENT_AFTER = "SELECT sequence FROM events WHERE sequence > ? AND state = 1 ORDER BY sequence LIMIT ?"
_LEAST = (
    "SELECT sequence, size FROM events INDEXED BY events_by_severity WHERE rank >= ?"
    " ORDER BY rank DESC, sequence LIMIT ?"
)
_TAKE_OUT = (
    "DELETE FROM events WHERE sequence IN (SELECT value FROM json_each(?))"
    " RETURNING sequence, rank, state, size"
)
_MARK_SENT = (
    "UPDATE events SET state = 1 WHERE sequence IN (SELECT value FROM json_each(?)) AND state IN (0, 2)"
)
_MARK_AGAIN = "UPDATE events SET state = 2 WHERE sequence BETWEEN ? AND ? AND state = 1"
_RESTAMP = "UPDATE events SET created_ms = ? WHERE sequence IN (SELECT value FROM json_each(?))"


class Pending(NamedTuple):
    """An event to be sent: its number and its JSON."""

    sequence: int
    body: bytes


class Rows:
    """The events of a file. What changes something runs within its owner's transaction, on its books."""

    def __init__(self, file: OutboxFile, gaps: Gaps) -> None:
        """Work on a file, and note its gaps."""
        self._file = file
        self._gaps = gaps

    def insert(self, tally: Tally, drafts: Sequence[EventDraft], now_ms: int) -> list[Event]:
        """Give drafts the next numbers, and keep them as of `now_ms`, milliseconds since 1970."""
        events = [Event.number(draft, tally.newest + n) for n, draft in enumerate(drafts, 1)]
        bodies = [event.to_json() for event in events]
        self._file.execute_many(
            _INSERT,
            (
                (tally.newest + n, rank_of(event), len(body), now_ms, body)
                for n, (event, body) in enumerate(zip(events, bodies, strict=True), 1)
            ),
        )
        tally.newest += len(events)
        tally.created += len(events)
        tally.pending += len(events)
        tally.bytes += sum(map(len, bodies))
        return events

    def fresh(self, ranks: Iterable[int], first: int, last: int, limit: int) -> list[Pending]:
        """Events of some ranks never sent, numbers `first` to `last`: rank after rank, the oldest first."""
        found: list[Pending] = []
        for rank in ranks:
            if len(found) == limit:
                break
            rows = self._file.execute(_SHOW_FRESH, (rank, first, last, limit - len(found)))
            found += [Pending(*row) for row in rows]
        return found

    def again(self, limit: int) -> list[Pending]:
        """Events asked for again, the oldest first."""
        return [Pending(*row) for row in self._file.execute(_SHOW_AGAIN, (limit,))]

    def oldest_fresh_ms(self) -> int | None:
        """When the oldest event that was never sent was appended, in milliseconds since 1970."""
        found = (self._file.execute(_OLDEST_OF_RANK, (rank,)).fetchone() for rank in range(1, OWN_RANK + 1))
        oldest = min((row[0] for row in found if row), default=None)
        if oldest is None:
            return None
        row = self._file.execute("SELECT created_ms FROM events WHERE sequence = ?", (oldest,)).fetchone()
        return int(row[0])

    def waits(self, rank: int) -> bool:
        """Whether an event of this rank was never sent."""
        return self._file.execute(_OLDEST_OF_RANK, (rank,)).fetchone() is not None

    def between(self, first: int, last: int, limit: int) -> list[int]:
        """Numbers of kept events from `first` to `last`, the lowest `limit` of them."""
        rows = self._file.execute(
            "SELECT sequence FROM events WHERE sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?",
            (first, last, limit),
        )
        return [sequence for (sequence,) in rows]

    def sent_after(self, after: int, limit: int) -> list[int]:
        """Numbers of events marked as sent, above `after`; looks at all others on the way."""
        return [sequence for (sequence,) in self._file.execute(_SENT_AFTER, (after, limit))]

    def aged(self, now_ms: int, max_age_ms: int, limit: int) -> tuple[list[int], list[int]]:
        """Of the oldest `limit` events: those of more than an age, and those stamped by a clock gone wrong.

        Args:
            now_ms: the time, in milliseconds since 1970.
            max_age_ms: the age in milliseconds.
            limit: how many to look at.
        """
        old: list[int] = []
        strange: list[int] = []
        if now_ms >= _CLOCK_SET_MS:
            rows = self._file.execute(
                "SELECT sequence, created_ms FROM events ORDER BY sequence LIMIT ?", (limit,)
            )
            for sequence, created_ms in rows:
                if not _CLOCK_SET_MS <= created_ms <= now_ms + _DAY_MS:
                    strange.append(sequence)
                elif created_ms < now_ms - max_age_ms:
                    old.append(sequence)
                else:
                    break
            rows.close()
        return old, strange

    def restamp(self, sequences: Sequence[int], now_ms: int) -> None:
        """Have the age of events count from `now_ms`, milliseconds since 1970."""
        self._file.execute(_RESTAMP, (now_ms, json.dumps(sequences)))

    def mark_sent(self, tally: Tally, sequences: Sequence[int]) -> int:
        """Redis stored these; returns how many waited for it."""
        marked = self._file.execute(_MARK_SENT, (json.dumps(sequences),)).rowcount
        tally.sent += marked
        tally.pending -= marked
        return marked

    def mark_again(self, tally: Tally, span: Span) -> int:
        """What was sent of a span is to be sent again; returns how many."""
        again = self._file.execute(_MARK_AGAIN, span).rowcount
        tally.sent -= again
        tally.pending += again
        return again

    def acknowledge(self, tally: Tally, sequences: Sequence[int]) -> int:
        """Let go of events that were handed on for good; returns how many were there."""
        gone = self._take_out(tally, sequences)
        tally.acknowledged += len(gone)
        self._gaps.settle([sequence for sequence, rank in gone if rank == GAP_RANK])
        return len(gone)

    def give_up(self, tally: Tally, sequences: Sequence[int], reason: GapReason) -> None:
        """Delete events that can be kept no longer, and note the gaps they leave."""
        self._note(tally, self._take_out(tally, sequences), reason)

    def _note(self, tally: Tally, gone: list[tuple[int, int]], reason: GapReason) -> None:
        """Note the gaps that events have left, by their numbers and ranks."""
        gone.sort()
        for _, rank in gone:
            tally.evicted[level_of(rank) - 1] += 1
        self._gaps.add(spans_of(sequence for sequence, _ in gone), reason)
        if reports := [sequence for sequence, rank in gone if rank == GAP_RANK]:
            self._gaps.revive(reports)
            self._gaps.forget(tally.receipted)

    def evict(self, tally: Tally, excess: int, least: int = 1) -> None:
        """Give up the least severe, down to rank `least`, until `excess` bytes or all of it are gone."""
        gone: list[tuple[int, int]] = []
        while excess > 0:
            chosen: list[int] = []
            for sequence, size in self._file.execute(_LEAST, (least, _EVICT_ROWS)).fetchall():
                if excess > 0:
                    chosen.append(sequence)
                    excess -= size
            if not chosen:
                break
            gone += self._take_out(tally, chosen)
        # at last: on a full disk, the pages that they leave may be all there is for the notes
        self._note(tally, gone, FULL)

    def _take_out(self, tally: Tally, sequences: Sequence[int]) -> list[tuple[int, int]]:
        """Delete events; number and rank of those that were there."""
        rows = self._file.execute(_TAKE_OUT, (json.dumps(sequences),)).fetchall()
        sent = sum(state == SENT for _, _, state, _ in rows)
        tally.sent -= sent
        tally.pending -= len(rows) - sent
        tally.bytes -= sum(size for _, _, _, size in rows)
        return [(sequence, rank) for sequence, rank, _, _ in rows]
