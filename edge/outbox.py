"""The events' waiting room: what is appended here is on disk and stays until it is handed on, or reported.

The file is in `edge.outbox_file`, its events in `edge.outbox_rows`, numbers given up in `edge.outbox_gaps`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import Literal, Self, TypeVar, cast

import structlog

from edge.envelope import MAX_NUMBER, MAX_SPANS, Event, EventDraft, GapReason
from edge.identifiers import unix_ms
from edge.leaps import Leaps
from edge.outbox_file import OutboxDamagedError, OutboxFile, OutboxFullError
from edge.outbox_gaps import Gaps, Span, lacking, spans_of
from edge.outbox_layout import AGED, GAP_RANK, NO_LEVEL, OWN_RANK, REPLACED, OutboxCounts, Tally
from edge.outbox_rows import Pending, Rows
from streams.clock import Clock, SystemClock

__all__ = ["NO_LEVEL", "GapMaker", "Outbox", "OutboxCounts", "Pending", "Until"]

log = structlog.get_logger(__name__)

Until = Literal["stored", "receipted"]
"""How long an event is kept: until Redis stored it, or until the centre's receipt covers it."""

GapMaker = Callable[[Sequence[Span], GapReason], EventDraft]
"""Makes the event that reports numbers given up, at most 512 spans of them, ascending."""

MAX_AGE_S = 30 * 86_400.0
"""Seconds after which events are given up, unless configured otherwise."""

MAX_ASKED = 10_000
"""Numbers that one question of the centre can cover; the rest is left to its next one."""

_DURABLE_LEVELS = (1, 2)
_URGENT, _OTHERS = (1,), range(2, OWN_RANK + 1)
_CHUNK = 1000
_EXPIRE_ROWS = 10_000
_SHARES = (16, 12, 8, 4, 2, 1)

T = TypeVar("T")


class _NoRoomError(Exception):
    """A report of gaps would push out what it must not."""


class Outbox:
    """Appends, shows and deletes events; safe from any thread.

    Events of levels 1 and 2 are on the disk when `append` returns, others at the latest when `fresh` shows
    them. So a number that was once sent is never given to another event, even after a power cut.

    When more than `max_bytes` are kept, the least severe go first, the oldest first within a level; reports
    of gaps go after the node's other events. What is given up, for want of space or for its age, is
    reported: see `report_gaps`.

    A damaged file is moved aside, at the start or whenever the damage shows, and a new one goes on with
    higher numbers. A full disk gives up the least severe, too.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        clock: Clock | None = None,
        *,
        max_age_s: float = MAX_AGE_S,
        until: Until = "stored",
    ) -> None:
        """Open the file, or make it.

        Args:
            path: the file; its directory is made when missing.
            max_bytes: bound of the kept events' JSON; the file is about a quarter larger.
            clock: wall time of appending; the host's own by default.
            max_age_s: seconds after which an event is given up.
            until: when an event may be deleted.

        Raises:
            OutboxError: with the file and the cure.
        """
        self._max_bytes = max_bytes
        self._max_age_ms = int(max_age_s * 1000)
        self._until = until
        self._clock = clock or SystemClock()
        self._lock = Lock()
        self._wake: Callable[[], None] = lambda: None
        self._file = OutboxFile(path, self._clock)
        self._gaps = Gaps(self._file)
        self._rows = Rows(self._file, self._gaps)
        self._tally = self._file.tally
        self._durable = 0
        self._leaps = Leaps(self._clock, max_age_s)
        # the last receipt heard, which is lower than the highest where a centre lost its database
        self._claimed = 0
        if until == "stored" and self._tally.sent:
            self._do(self._let_go_of_sent)

    def listen(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when there is something new to send, on that thread; it must return at once."""
        self._wake = wake

    def append(self, drafts: Sequence[EventDraft]) -> list[Event]:
        """Give each draft its number and keep all of them, or none.

        Raises:
            OutboxError: the disk refuses; nothing was kept and no number used.
        """
        if not drafts:
            return []
        full = any(draft.level in _DURABLE_LEVELS for draft in drafts)

        def act() -> list[Event]:
            self._file.synchronise(full)
            self._file.reserve(self._tally.newest + len(drafts))
            with self._change() as tally:
                events = self._rows.insert(tally, drafts, self._now_ms())
                self._rows.evict(tally, tally.bytes - self._max_bytes)
            return events

        events = self._do(act, self._make_room)
        self._wake()
        return events

    def fresh(self, limit: int = 256, *, after: int = 0) -> list[Pending]:
        """Never sent events that should not wait, at most `limit`; all are on the disk.

        These are all of level 1, and of the others those numbered above `after`: most severe first, then the
        oldest.
        """

        def show() -> list[Pending]:
            urgent = self._rows.fresh(_URGENT, 1, MAX_NUMBER, limit)
            return urgent + self._rows.fresh(_OTHERS, after + 1, MAX_NUMBER, limit - len(urgent))

        return self._do(lambda: self._on_disk(show()))

    def backlog(self, limit: int = 256, *, through: int) -> list[Pending]:
        """Never sent events below level 1 numbered up to `through`, in the same order; all on the disk."""
        return self._do(lambda: self._on_disk(self._rows.fresh(_OTHERS, 1, through, limit)))

    def replays(self, limit: int = 256) -> list[Pending]:
        """Events that were asked for again, the oldest first, at most `limit`; all on the disk."""
        return self._do(lambda: self._on_disk(self._rows.again(limit)))

    def sent(self, sequences: Iterable[int]) -> int:
        """Redis stored these events; returns how many of them waited for that.

        Kept until stored, they are deleted; kept until receipted, they stay, marked as sent.
        """
        chosen = list(sequences)

        def act() -> int:
            self._file.synchronise(False)
            with self._change() as tally:
                if self._until == "stored":
                    return self._rows.acknowledge(tally, chosen)
                marked = self._rows.mark_sent(tally, [one for one in chosen if one > tally.floor])
                # of the others no receipt will tell: Redis' word is the last
                return marked + self._rows.acknowledge(tally, [one for one in chosen if one <= tally.floor])

        return self._do(act)

    def receipted(self, through: int) -> int:
        """The centre has all events up to a number, or knows that they are lost; returns how many went.

        A receipt for numbers that were never given speaks of an outbox that this node has lost with its
        whole directory. Nothing is deleted for it then; numbering goes on above it.
        """
        if not 0 <= through <= MAX_NUMBER:
            log.error("the centre's receipt is none", receipt=through)
            return 0
        self._do(lambda: self._note_receipt(through))
        gone = 0
        while chunk := self._do(lambda: self._let_go_of_receipted(through)):
            gone += chunk
        return gone

    def ask_again(self, first: int, last: int) -> int:
        """The centre lacks these events: those that are kept are to be sent again; returns how many.

        Numbers that are neither kept nor receipted nor known as gaps become gaps. What the last receipt
        covers is receipted: one lower than before comes from a centre that lost its database. Only the first
        10,000 are looked at.
        """
        again = self._do(lambda: self._ask_again(first, last))
        if again:
            self._wake()
        return again

    def expire(self) -> int:
        """Give up events older than the bound, about 10,000 in one go; returns how many.

        Not in the first hour, in which a wrong clock may be set right; and time by which the clock was set
        forward lately is no age.
        """
        gone, ahead_ms = 0, self._leaps.ahead_ms()
        if ahead_ms is not None:
            expire = partial(self._expire, ahead_ms)
            while gone < _EXPIRE_ROWS and (chunk := self._do(expire)):
                gone += chunk
        self._do(self._file.lay_ballast)
        return gone

    def report_gaps(self, make: GapMaker) -> list[Event]:
        """Append events that report what was given up, at most 512 spans; in one transaction with noting so.

        There is nothing to report while an earlier report was not sent yet, or while there is no room for
        one beside what is more severe; gaps grow together meanwhile. A report that is given up itself comes
        again.

        Args:
            make: makes an event for spans of one reason; must not use the outbox.

        Raises:
            OutboxError: the disk refuses; nothing is lost.
        """
        events = self._do(lambda: self._report(make))
        if events:
            self._wake()
        return events

    def counts(self) -> OutboxCounts:
        """What went through, and what is kept."""
        return self._do(self._count)

    def evicted(self) -> Mapping[int, int]:
        """Events given up, by level 1 to 4; 5 stands for the node's own."""
        with self._lock:
            return _by_level(self._tally)

    def close(self) -> None:
        """Put everything on disk and let go of the file; twice is safe."""
        with self._lock, self._file.explained():
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # what follows runs under the lock

    def _do(self, act: Callable[[], T], make_room: Callable[[], None] | None = None) -> T:
        """Act on the file; when the disk is full or the file damaged, mend that once and act again."""
        with self._lock:
            try:
                with self._file.explained():
                    return act()
            except OutboxFullError:
                mend = make_room or self._file.relieve
            except OutboxDamagedError as exc:
                mend = partial(self._begin_anew, exc)
            with self._file.explained():
                mend()
                return act()

    def _begin_anew(self, why: OutboxDamagedError) -> None:
        self._file.replace(why)
        self._tally = self._file.tally
        self._durable = 0

    def _make_room(self) -> None:
        """Give up a sixteenth of what is kept; the file's free pages then take new events.

        More than that, where they lie so scattered that they leave fewer pages than notes of their gaps take.
        """
        self._file.relieve()
        for share in _SHARES:
            try:
                with self._file.explained(), self._change() as tally:
                    self._rows.evict(tally, tally.bytes // share + 1)
                break
            except OutboxFullError:
                if share == _SHARES[-1]:
                    raise
        self._file.lay_ballast()

    @contextmanager
    def _change(self) -> Iterator[Tally]:
        """A transaction with a copy of the books: file and books change together, or not at all."""
        before, tally = self._tally, self._tally.copy()
        with self._file.transaction():
            yield tally
            self._file.save(tally)
        self._tally = tally
        if self._file.full_sync:
            self._durable = tally.newest
        if tally.evicted != before.evicted:
            gone = Counter(_by_level(tally))
            gone.subtract(_by_level(before))
            log.error("events given up", by_level=dict(+gone), pending=tally.pending, sent=tally.sent)

    def _now_ms(self) -> int:
        return unix_ms(self._clock.utc())

    def _on_disk(self, rows: list[Pending]) -> list[Pending]:
        if any(row.sequence > self._durable for row in rows):
            self._file.synchronise(True)
            with self._change() as tally:
                # a commit that changes nothing would write nothing, and so sync nothing
                tally.synced += 1
        return rows

    def _note_receipt(self, through: int) -> None:
        self._claimed = through
        if through <= self._tally.receipted:
            return
        self._file.synchronise(False)
        if through > self._tally.newest:
            self._overtake(through)
        with self._change() as tally:
            tally.receipted = through
            self._gaps.forget(through)

    def _overtake(self, through: int) -> None:
        """Go on above numbers of an outbox of which nothing is left here."""
        start = max(through, self._file.reserved)
        self._file.reserve(start)
        log.error(
            "the centre has events that this outbox never saw: its directory was lost or is an old copy",
            newest=self._tally.newest,
            receipt=through,
            goes_on_above=start,
        )
        self._let_go_of_sent()
        with self._change() as tally:
            tally.floor, tally.newest = tally.newest, start
            if start > through:
                self._gaps.add([(through + 1, start)], REPLACED)

    def _let_go_of_sent(self) -> None:
        """Let go of all that Redis stored: no receipt will come. Looks at every event, in a rare case."""
        after = 0
        while sent := self._rows.sent_after(after, _CHUNK):
            after = sent[-1]
            with self._change() as tally:
                self._rows.acknowledge(tally, sent)

    def _let_go_of_receipted(self, through: int) -> int:
        first, last = self._tally.floor + 1, min(through, self._tally.receipted)
        chosen = self._rows.between(first, last, _CHUNK)
        if not chosen:
            return 0
        self._file.synchronise(False)
        with self._change() as tally:
            return self._rows.acknowledge(tally, chosen)

    def _ask_again(self, first: int, last: int) -> int:
        first = max(first, self._claimed + 1)
        last = min(last, self._tally.newest, first + MAX_ASKED - 1)
        if first > last:
            return 0
        kept = spans_of(self._rows.between(first, last, MAX_ASKED))
        missing = lacking(first, last, sorted([*kept, *self._gaps.covering(first, last)]))
        self._file.synchronise(False)
        with self._change() as tally:
            self._gaps.add(missing, REPLACED)
            return self._rows.mark_again(tally, (first, last))

    def _expire(self, ahead_ms: int) -> int:
        now_ms = self._now_ms()
        old, strange = self._rows.aged(now_ms, self._max_age_ms + ahead_ms, _CHUNK)
        if old or strange:
            self._file.synchronise(False)
            with self._change() as tally:
                self._rows.give_up(tally, old, AGED)
                self._rows.restamp(strange, now_ms)
        return len(old)

    def _report(self, make: GapMaker) -> list[Event]:
        if not self._gaps.any() or self._rows.waits(GAP_RANK):
            return []
        by_reason: dict[GapReason, list[Span]] = {}
        for first, last, reason in self._gaps.oldest(MAX_SPANS):
            by_reason.setdefault(cast("GapReason", reason), []).append((first, last))
        drafts = [make(spans, reason) for reason, spans in by_reason.items()]
        self._file.synchronise(False)
        self._file.reserve(self._tally.newest + len(drafts))
        try:
            return self._append_reports(drafts, by_reason)
        except _NoRoomError:
            return []

    def _append_reports(
        self, drafts: Sequence[EventDraft], by_reason: Mapping[GapReason, Sequence[Span]]
    ) -> list[Event]:
        with self._change() as tally:
            events = self._rows.insert(tally, drafts, self._now_ms())
            for event, (reason, spans) in zip(events, by_reason.items(), strict=True):
                self._gaps.tell(spans, reason, int(event.sequence))
            # nothing of a level gives way to a report, or reports would push each other out for ever
            self._rows.evict(tally, tally.bytes - self._max_bytes, OWN_RANK)
            if tally.bytes > self._max_bytes:
                raise _NoRoomError
        return events

    def _count(self) -> OutboxCounts:
        tally, oldest_ms = self._tally, self._rows.oldest_fresh_ms()
        return OutboxCounts(
            created=tally.created,
            acknowledged=tally.acknowledged,
            pending=tally.pending,
            bytes=tally.bytes,
            oldest_age_s=0.0 if oldest_ms is None else max(0.0, (self._now_ms() - oldest_ms) / 1000),
            evicted=_by_level(tally),
            sent=tally.sent,
            newest=tally.newest,
        )


def _by_level(tally: Tally) -> Mapping[int, int]:
    return MappingProxyType(dict(enumerate(tally.evicted, 1)))
