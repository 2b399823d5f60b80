"""The centre's door to Redis or Valkey: a district's events in, receipts and words to the nodes out."""

import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis
import structlog
from redis import exceptions as failures

from api.center.entries import (
    AGAIN,
    Entry,
    Kept,
    NoGroupError,
    Queues,
    Refused,
    StreamAwayError,
    StreamFullError,
    entry_of,
    fields_of,
    quarantined,
    shown,
    text,
)
from api.center.servers import client_of, display, locate, url_fault
from edge.envelope import stream_key
from edge.redis_address import Group

log = structlog.get_logger(__name__)

GROUP = "center"
"""Name of the centre's consumer group."""

KEPT_ENTRIES = 10_000
"""Length to which dead letters and quarantine are trimmed, roughly."""
FEEDBACK_ENTRIES = 10_000
REDRIVEN = 100
"""Entries put back in one go."""
CLAIM = 100
"""Entries taken over in one go; the server looks through ten times as many."""
SPARE_BYTES = 4 * 2**20
"""Room that a server with a limit shall have left; commands on their way count, a node's batch is 1 MiB."""

_MAX_WAIT_S = 2.0
# Any: redis-py types replies by the protocol's version, and keys as everything that it can encode
_Fields = dict[Any, Any]
_Reply = Any


class DistrictStream:
    """A district's keys on one server. Safe from several threads; opens itself when it is used.

    After an error the next use connects anew. Every method raises `StreamAwayError` where the server cannot
    be reached or refuses; the text holds no credentials.
    """

    def __init__(self, url: str, district: str, consumer: str, timeout_s: float = 5.0) -> None:
        """Prepare; nothing is opened yet.

        Args:
            url: of Redis or Valkey, credentials included.
            district: six digits.
            consumer: name of the consumer that reads here, stable from one start to the next.
            timeout_s: seconds for connecting, sending, and each answer.

        Raises:
            StreamAwayError: the URL is malformed.
        """
        if fault := url_fault(url):
            raise StreamAwayError(f"redis.url {fault}")
        self._timeout_s = timeout_s
        self._group = Group.parse(url)
        self._lock = threading.Lock()
        self._found: redis.Redis | None = None if self._group else client_of(url, timeout_s)
        self._events = stream_key(district)
        base = self._events.removesuffix("events")
        self._receipts, self._feedback = f"{base}receipts", f"{base}feedback"
        self._dead, self._quarantine = f"{base}dead", f"{base}quarantine"
        self._consumer = consumer
        self.display_url = self._group.display if self._group else display(self._server)
        """Where it leads, without credentials."""

    @property
    def _server(self) -> "redis.Redis":
        """The server that holds the stream; of a group, it is looked for again after each error."""
        with self._lock:
            if self._found is None:
                assert self._group is not None  # noqa: S101 - a single server is found at birth
                self._found = locate(self._group, self._events, self._timeout_s)
            return self._found

    def _lose(self) -> None:
        """Look for it again with the next use."""
        with self._lock:
            found = self._found
            if self._group is not None:
                self._found = None
        if found is not None:
            # a failover: connections, and the name, may lead elsewhere by now
            found.connection_pool.disconnect()

    def ping(self) -> None:
        """Have the server answer."""
        with self._speaking():
            self._server.ping()

    def ensure_group(self) -> None:
        """Make the group where it is missing, from the stream's first entry on.

        It looks first: a server out of memory refuses to make a group before it says that there is one.
        """
        with self._speaking():
            if self._my_group() is not None:
                return
            try:
                self._server.xgroup_create(self._events, GROUP, id="0", mkstream=True)
            except failures.ResponseError as exc:
                # another worker was faster
                if not str(exc).startswith("BUSYGROUP"):
                    raise

    def own(self, after: str, count: int) -> list[Entry]:
        """Entries after an id that were delivered to this consumer and not acknowledged, oldest first."""
        return self._read(after, count, None)

    def fresh(self, count: int, wait_s: float) -> list[Entry]:
        """Entries never delivered to anybody; waits up to `wait_s` seconds for the first."""
        return self._read(">", count, max(1, round(min(wait_s, _MAX_WAIT_S) * 1000)))

    def claim(self, idle_s: float) -> tuple[list[Entry], int]:
        """Take over what others, or this one, have left lying for `idle_s` seconds.

        Returns:
            The entries, and how many more had been trimmed and are gone from the group by this.
        """
        entries: list[Entry] = []
        trimmed, cursor = 0, "0-0"
        with self._speaking():
            while True:
                reply = self._server.xautoclaim(
                    self._events, GROUP, self._consumer, round(idle_s * 1000), cursor, count=CLAIM
                )
                cursor = text(reply[0])
                entries += [entry_of(raw) for raw in reply[1] if raw[0] is not None]
                trimmed += len(reply[2]) if len(reply) > 2 else 0
                if cursor == "0-0" or len(entries) >= CLAIM:
                    return entries, trimmed

    def acknowledge(self, ids: Sequence[str]) -> None:
        """Tell the group that entries were dealt with."""
        if ids:
            with self._speaking():
                self._server.xack(self._events, GROUP, *ids)

    def bury(self, entry: Entry, reason: str, deliveries: int) -> None:
        """Move an entry to the dead letters."""
        fields: _Fields = {**fields_of(entry), "reason": reason, "entry": entry.id, "deliveries": deliveries}
        with self._speaking():
            self._server.xadd(self._dead, fields, maxlen=KEPT_ENTRIES, approximate=True)
        self.acknowledge([entry.id])

    def quarantine(self, refused: Sequence[Refused]) -> None:
        """Move entries to the quarantine; of a large one, the first 4 KiB and its size."""
        if not refused:
            return
        with self._speaking():
            pipe = self._server.pipeline(transaction=False)
            for one in refused:
                pipe.xadd(self._quarantine, quarantined(one), maxlen=KEPT_ENTRIES, approximate=True)
            # only then acknowledged: a server out of memory refuses the first and would do the second
            pipe.execute()
        self.acknowledge([one.entry.id for one in refused])

    def redrive(self, kind: str) -> tuple[int, int]:
        """Put all dead letters, or all of the quarantine, back for processing.

        Each moves in one step. Where two do this at once, an event may come twice, which has its effect once.

        Args:
            kind: `dead` or `quarantine`.

        Returns:
            How many were put back; and how many were not, for they are not kept whole.
        """
        key = self._dead if kind == "dead" else self._quarantine
        moved = left = 0
        with self._speaking():
            # what is refused again comes back behind these
            newest: _Reply = self._server.xrevrange(key, count=1)
            after = "-"
            while newest:
                page: _Reply = self._server.xrange(key, after, newest[0][0], count=REDRIVEN)
                if not page:
                    break
                after = f"({text(page[-1][0])}"
                for id_, raw in page:
                    entry = entry_of((id_, raw))
                    if entry.body is None or b"bytes" in raw:
                        left += 1
                        continue
                    pipe = self._server.pipeline(transaction=True)
                    pipe.xadd(self._events, {**fields_of(entry), AGAIN: "1"})
                    pipe.xdel(key, id_)
                    pipe.execute()
                    moved += 1
        return moved, left

    def receipt(self, stored_through: Mapping[str, int]) -> None:
        """Tell nodes up to which of their sequence numbers all is stored."""
        if stored_through:
            with self._speaking():
                self._server.hset(
                    self._receipts, mapping={node: str(number) for node, number in stored_through.items()}
                )

    def receipts_held(self) -> int:
        """Nodes that have a receipt; fewer than there should be where the server came back empty."""
        with self._speaking():
            return int(self._server.hlen(self._receipts))

    def tell(self, messages: Sequence[str]) -> None:
        """Send words to nodes, each as JSON: replays, verdicts, profiles."""
        if not messages:
            return
        with self._speaking():
            pipe = self._server.pipeline(transaction=False)
            for message in messages:
                pipe.xadd(self._feedback, {"m": message}, maxlen=FEEDBACK_ENTRIES, approximate=True)
            pipe.execute()

    def queues(self) -> Queues:
        """How much waits."""
        with self._speaking():
            pipe = self._server.pipeline(transaction=False)
            for key in (self._events, self._dead, self._quarantine):
                pipe.xlen(key)
            length, dead, quarantined = pipe.execute()
            mine = self._my_group() or {}
        lag = mine.get("lag", length)
        return Queues(
            length, None if lag is None else int(lag), int(mine.get("pending", 0)), dead, quarantined
        )

    def make_room(self) -> int:
        """Trim what is needed least, on a server out of memory; returns how many entries that were.

        Such a server refuses the nodes' XADD, whose MAXLEN would trim. XTRIM it does not refuse. First goes
        what every worker has stored and acknowledged; where that is nothing, the older half of the
        quarantine; and where the server has no memory to make the group with, so that nobody can take
        anything, the oldest few events, as MAXLEN would have: their nodes are asked for them.
        """
        with self._speaking():
            mine = self._my_group()
            trimmed = 0 if mine is None else self._trim_stored(mine)
            if not trimmed:
                half = self._server.xlen(self._quarantine) // 2
                trimmed = int(self._server.xtrim(self._quarantine, maxlen=half, approximate=False))
            if not trimmed and mine is None:
                left = max(0, self._server.xlen(self._events) - CLAIM)
                trimmed = int(self._server.xtrim(self._events, maxlen=left, approximate=False))
            return trimmed

    def keep_spare(self) -> int:
        """Trim what is stored where a server's limit is near; returns how many entries that were.

        A node's batch is refused for its own size when a few hundred bytes are left, and the centre's small
        writes are not: nobody here would notice. A server that does not tell its memory is left alone.
        """
        with self._speaking():
            try:
                memory: _Fields = self._server.info("memory")
            except failures.NoPermissionError:
                return 0
            limit = int(memory.get("maxmemory", 0))
            if not limit or int(memory["used_memory"]) + SPARE_BYTES <= limit:
                return 0
            mine = self._my_group()
            return 0 if mine is None else self._trim_stored(mine)

    def relieve(self) -> None:
        """Make room, and say so; a server that is away meanwhile is left alone."""
        try:
            trimmed = self.make_room()
        except StreamAwayError:
            return
        log.warning("redis is out of memory; entries needed least were trimmed", entries=trimmed)

    def _trim_stored(self, mine: _Fields) -> int:
        waiting = self._server.xpending(self._events, GROUP)
        first = text(waiting["min"] if waiting["pending"] else mine["last-delivered-id"])
        return int(self._server.xtrim(self._events, minid=first, approximate=False))

    def _my_group(self) -> _Fields | None:
        """What the server knows of the centre's group; None where there is none."""
        try:
            groups: _Reply = self._server.xinfo_groups(self._events)
        except failures.ResponseError as exc:
            if str(exc).startswith("no such key"):
                return None
            raise
        return next((group for group in groups if text(group["name"]) == GROUP), None)

    def dead_letters(self, limit: int, before: str | None = None) -> list[Kept]:
        """The newest dead letters, newest first; with `before`, those older than that entry."""
        return self._newest(self._dead, limit, before)

    def quarantined(self, limit: int, before: str | None = None) -> list[Kept]:
        """The newest entries of the quarantine, newest first; with `before`, those older than that entry."""
        return self._newest(self._quarantine, limit, before)

    def close(self) -> None:
        """Close; twice is safe."""
        with self._lock:
            if self._found is not None:
                self._found.close()

    def _read(self, after: str, count: int, block_ms: int | None) -> list[Entry]:
        with self._speaking():
            reply: _Reply = self._server.xreadgroup(
                GROUP, self._consumer, {self._events: after}, count=count, block=block_ms
            )
        return [entry_of(raw) for _, entries in reply or () for raw in entries]

    def _newest(self, key: str, limit: int, before: str | None) -> list[Kept]:
        with self._speaking():
            raw: _Reply = self._server.xrevrange(key, max=f"({before}" if before else "+", count=limit)
        return [
            Kept(text(id_), {text(name): shown(value) for name, value in fields.items()})
            for id_, fields in raw
        ]

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except (failures.RedisError, OSError) as exc:
            explained = self._explained(exc)
            if self._group is not None or isinstance(exc, failures.ReadOnlyError):
                self._lose()
            raise explained from None

    def _explained(self, exc: Exception) -> StreamAwayError:
        if str(exc).startswith("NOGROUP"):
            return NoGroupError(f"{self.display_url}: the stream's consumer group is gone")
        if isinstance(exc, failures.OutOfMemoryError) or str(exc).startswith("OOM "):
            return StreamFullError(f"{self.display_url} is out of memory")
        for kind, words in _REASONS:
            if isinstance(exc, kind):
                return StreamAwayError(words.format(self.display_url))
        if isinstance(exc, failures.ResponseError):
            word = str(exc).split(" ", 1)[0]
            return StreamAwayError(f"{self.display_url} refuses: {word if word.isupper() else 'error'}")
        if isinstance(exc.__context__, ssl.SSLError):
            return StreamAwayError(f"{self.display_url}: TLS failed: {exc.__context__.reason}")
        return StreamAwayError(f"{self.display_url} cannot be reached")


_REASONS: Sequence[tuple[type[Exception], str]] = (
    (failures.AuthenticationError, "{} refuses the user name or password"),
    (failures.NoPermissionError, "{} forbids this user the command or the stream; check its ACL"),
    (failures.ReadOnlyError, "{} is a replica that only reads"),
    (failures.BusyLoadingError, "{} is loading its data"),
    (failures.MovedError, "{} is a cluster node that does not hold this stream"),
    (failures.TimeoutError, "{} does not answer"),
    (TimeoutError, "{} does not answer"),
)
