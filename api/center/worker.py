"""One worker: takes a district's events from Redis into the database, each once in effect."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import structlog

from api.center.entries import Entry, Refusals, Refused, StreamAwayError, StreamFullError
from api.center.errors import PoisonError, StoreAwayError
from api.center.model import Outcome, Received
from api.center.refusal import Keyring, NotTakenError, Verify, judge, node_of
from api.center.stream import CLAIM, DistrictStream
from edge.envelope import Event
from streams.backoff import Backoff

log = structlog.get_logger(__name__)

KEYS_S = 5.0
"""Seconds for which a look at the admitted keys holds."""
KEYS_AGAIN_S = 0.5
"""Seconds after which an entry by an unknown key has them looked up again."""
RECEIPTS_S = 0.5
"""Seconds between two writings of receipts."""
WAIT_S = 1.0
"""Seconds that a read waits for events; a stop takes as long at most where there are none."""

FAILURES = 10_000
"""Events whose failures a worker counts; the server's own count grows with each lost connection, too."""

OUTCOMES = ("stored", "duplicate", "poison", "dead", "trimmed")
"""What can become of an entry that is not refused; poison is counted at each try."""
STAGES = ("read", "check", "store", "acknowledge")

_BY_KEY = ("unknown_node", "wrong_key", "unsigned")
"""Refusals that a key admitted meanwhile would undo."""


class Inbox(Protocol):
    """What a worker needs of the store."""

    def receive(self, items: Sequence[Received]) -> Sequence[Outcome]:
        """Store events and their effects in one transaction."""
        ...

    def stored_through(self, nodes: Collection[str]) -> Mapping[str, int]:
        """By node, of some, the number up to which all is stored or reported lost."""
        ...

    def give_up(self, node: str, number: int) -> None:
        """Count a number as lost: its event became a dead letter."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works.

    Attributes:
        batch: entries taken in one transaction.
        claim_idle_s: seconds after which it takes over what another left lying.
        max_deliveries: times that an event's processing may fail; then it becomes a dead letter.
        retry_s: seconds before the first retry, at most, when Redis or the database is away.
        retry_cap_s: seconds between later retries, at most.
    """

    batch: int = 256
    claim_idle_s: float = 60.0
    max_deliveries: int = 5
    retry_s: float = 0.1
    retry_cap_s: float = 3.0


@dataclass(slots=True)
class Tally:
    """What a worker has done since its start; plain data that goes from process to process.

    Attributes:
        events: entries by outcome: stored, duplicate, poison (its processing failed), dead, trimmed.
        refused: entries by the reason of their refusal.
        seconds: time by stage: read (waiting included), check, store, acknowledge.
        batches: transactions.
        redis_failures: times that Redis was found away.
        database_failures: times that the database was found away.
        trouble: why it does not get on now; None where it does.
    """

    events: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    batches: int = 0
    redis_failures: int = 0
    database_failures: int = 0
    trouble: str | None = None

    def copy(self) -> "Tally":
        """The same at this moment."""
        return Tally(
            Counter(self.events),
            Counter(self.refused),
            dict(self.seconds),
            self.batches,
            self.redis_failures,
            self.database_failures,
            self.trouble,
        )


class Worker:
    """Reads with the group, checks, stores, acknowledges, in this order; run it in a thread of its own.

    Whatever fails, what was not stored was not acknowledged, and comes again: after a lost connection it
    begins with what was delivered to it before. What comes twice has its effect once: the store sees to it.
    """

    def __init__(
        self,
        stream: DistrictStream,
        inbox: Inbox,
        keyring: Callable[[], Keyring],
        verify: Verify,
        options: WorkerOptions | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Prepare.

        Args:
            stream: where events come from; the worker is its only reader.
            inbox: where they go.
            keyring: looks up who may speak; may raise `StoreAwayError`.
            verify: checks a signature.
            options: batches and patience.
            rng: jitter of the retries.
        """
        self._stream = stream
        self._inbox = inbox
        self._look_up = keyring
        self._verify = verify
        self._options = options or WorkerOptions()
        rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._redis_backoff = Backoff(rng, self._options.retry_s, self._options.retry_cap_s)
        self._database_backoff = Backoff(rng, self._options.retry_s, self._options.retry_cap_s)
        self._keyring = Keyring({})
        self._looked_s = self._claimed_s = self._receipted_s = -float("inf")
        self._touched: set[str] = set()
        self._failures: dict[tuple[str, str], int] = {}
        self._refusals = Refusals()
        self._taken: dict[str, Entry] = {}
        self._tally = Tally(trouble="a worker has not begun yet")

    def tally(self) -> Tally:
        """What was done so far; from any thread."""
        return self._tally.copy()

    def run(self, stopping: threading.Event) -> None:
        """Work until `stopping` is set."""
        while not stopping.is_set():
            try:
                self._serve(stopping)
            except StreamAwayError as exc:
                self._tally.redis_failures += 1
                self._note(str(exc))
                if isinstance(exc, StreamFullError):
                    self._stream.relieve()
                stopping.wait(self._redis_backoff.next_s())
            except StoreAwayError as exc:
                self._database_away(str(exc), stopping)
            except Exception as exc:
                # the store tells which event it is where it is one; all others come again
                log.exception("a worker's defect")
                self._database_away(f"defect, {type(exc).__name__}", stopping)

    def _serve(self, stopping: threading.Event) -> None:
        """Work until `stopping` is set, or Redis or the database is away."""
        self._refresh_keys(KEYS_S)
        self._stream.ensure_group()
        self._catch_up(stopping)
        self._note(None)
        while not stopping.is_set():
            self._take_over(stopping)
            with self._timed("read"):
                entries = self._stream.fresh(self._options.batch, self._patience_s())
            self._redis_backoff.reset()
            self._note(None)
            self._take(entries, stopping)
            self._write_receipts()

    def _catch_up(self, stopping: threading.Event) -> None:
        """Take what was delivered to this worker before and never acknowledged."""
        after = "0"
        while not stopping.is_set() and (entries := self._stream.own(after, self._options.batch)):
            self._take(entries, stopping)
            after = entries[-1].id

    def _take_over(self, stopping: threading.Event) -> None:
        """Now and then, take what others left lying, and what failed here."""
        now_s = time.monotonic()
        if now_s - self._claimed_s < self._options.claim_idle_s / 2:
            return
        self._claimed_s = now_s
        more = True
        while more and not stopping.is_set():
            entries, trimmed = self._stream.claim(self._options.claim_idle_s)
            self._count_trimmed(trimmed)
            self._take(entries, stopping)
            more = len(entries) >= CLAIM

    def _take(self, entries: Sequence[Entry], stopping: threading.Event) -> None:
        """Deal with entries to the end; when this returns early, they are still pending."""
        self._taken = {entry.id: entry for entry in entries}
        trimmed = [entry.id for entry in entries if entry.trimmed]
        self._stream.acknowledge(trimmed)
        self._count_trimmed(len(trimmed))
        with self._timed("check"):
            items, refused = self._judged([entry for entry in entries if not entry.trimmed])
        self._store(items, stopping)
        self._refuse(refused)

    def _refuse(self, refused: Sequence[Refused]) -> None:
        """Put entries into the quarantine; on a server out of memory they stay pending, and come again."""
        if not refused:
            return
        fresh = self._refusals.fresh(refused, time.monotonic())
        if not self._fits(lambda: self._stream.quarantine(fresh)):
            return
        self._refusals.note(fresh, time.monotonic())
        self._stream.acknowledge([one.entry.id for one in refused])
        self._tally.refused.update(Counter(one.reason for one in refused))
        if fresh:
            reasons = Counter(one.reason for one in fresh)
            log.warning("events refused; they are in the quarantine", **reasons)

    def _judged(self, entries: Sequence[Entry]) -> tuple[list[Received], list[Refused]]:
        """What can be stored, and what is refused."""
        items: list[Received] = []
        refused: list[Refused] = []
        now = datetime.now(UTC)
        if entries:
            self._refresh_keys(KEYS_S)
        for entry in entries:
            try:
                event = self._judge(entry)
            except NotTakenError as exc:
                refused.append(Refused(entry, exc.reason, exc.detail))
            else:
                items.append(Received(event, entry.body or b"", entry.id, now))
        return items, refused

    def _judge(self, entry: Entry) -> Event:
        try:
            return judge(entry.body, entry.signature, entry.key, self._keyring, self._verify)
        except NotTakenError as exc:
            if exc.reason not in _BY_KEY or not self._refresh_keys(KEYS_AGAIN_S):
                raise
        return judge(entry.body, entry.signature, entry.key, self._keyring, self._verify)

    def _refresh_keys(self, age_s: float) -> bool:
        """Look up the admitted keys where the last look is older; whether that was done."""
        now_s = time.monotonic()
        if now_s - self._looked_s < age_s:
            return False
        self._keyring = self._look_up()
        self._looked_s = now_s
        return True

    def _store(self, items: Sequence[Received], stopping: threading.Event) -> None:
        """Store and acknowledge; an event that cannot be processed is left out of its batch."""
        waiting = list(items)
        while waiting and not stopping.is_set():
            try:
                with self._timed("store"):
                    outcomes = self._inbox.receive(waiting)
            except StoreAwayError as exc:
                self._database_away(str(exc), stopping)
            except PoisonError as exc:
                self._fail(waiting.pop(exc.index), exc.reason)
            else:
                self._finish(waiting, outcomes)
                return

    def _finish(self, items: Sequence[Received], outcomes: Sequence[Outcome]) -> None:
        self._database_backoff.reset()
        with self._timed("acknowledge"):
            self._stream.acknowledge([item.entry for item in items])
        fresh = sum(outcome.fresh for outcome in outcomes)
        self._tally.batches += 1
        self._tally.events["stored"] += fresh
        self._tally.events["duplicate"] += len(items) - fresh
        # of a duplicate too: its node may have missed the first receipt
        self._touched.update(node_of(item.event.source) for item in items)

    def _fail(self, item: Received, reason: str) -> None:
        """Leave an event pending, to be tried again, or bury it after too many tries."""
        self._tally.events["poison"] += 1
        key = (item.event.source, item.event.id)
        tries = self._failures.pop(key, 0) + 1
        log.warning("an event cannot be processed", entry=item.entry, reason=reason, tries=tries)
        last = tries > self._options.max_deliveries
        if not last or not self._fits(lambda: self._stream.bury(self._taken[item.entry], reason, tries)):
            self._failures[key] = tries
            if len(self._failures) > FAILURES:
                # the one that failed last the longest ago
                del self._failures[next(iter(self._failures))]
            return
        self._tally.events["dead"] += 1
        node = node_of(item.event.source)
        # after that it is kept there: its node need not keep it, and all that came later, any longer
        self._inbox.give_up(node, int(item.event.sequence))
        self._touched.add(node)

    def _write_receipts(self) -> None:
        now_s = time.monotonic()
        if not self._touched or now_s - self._receipted_s < RECEIPTS_S:
            return
        through = self._inbox.stored_through(self._touched)
        if self._fits(lambda: self._stream.receipt(through)):
            self._touched.clear()
        self._receipted_s = now_s

    def _patience_s(self) -> float:
        return RECEIPTS_S if self._touched else WAIT_S

    def _fits(self, write: Callable[[], None]) -> bool:
        """Write to Redis; where it is out of memory, make room: events can still be taken meanwhile."""
        try:
            write()
        except StreamFullError:
            self._stream.relieve()
            return False
        return True

    def _database_away(self, reason: str, stopping: threading.Event) -> None:
        self._tally.database_failures += 1
        self._note(reason)
        stopping.wait(self._database_backoff.next_s())

    def _note(self, trouble: str | None) -> None:
        if trouble == self._tally.trouble:
            return
        self._tally.trouble = trouble
        if trouble is None:
            log.info("events are taken in", redis=self._stream.display_url)
        else:
            log.warning("events wait", reason=trouble)

    def _count_trimmed(self, number: int) -> None:
        if number:
            self._tally.events["trimmed"] += number
            log.warning("redis trimmed events before they were stored; their nodes are asked", events=number)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began_s = time.perf_counter()
        try:
            yield
        finally:
            spent_s = time.perf_counter() - began_s
            self._tally.seconds[stage] = self._tally.seconds.get(stage, 0.0) + spent_s
