"""One connection to Redis or Valkey that tells nothing but its address in errors: the door to redis-py.

Where several servers are named, it finds the one that holds the stream each time it connects: the sentinels'
master, or the owner of the key's slot in a cluster.
"""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from redis import exceptions as failures
from redis.asyncio.connection import ConnectionPool

from edge.envelope import STREAM_FIELD
from edge.errors import PublishError
from edge.redis_address import Group, Host
from edge.redis_route import Route, host_of
from edge.redis_wire import appends, command, joined

_FIELD = STREAM_FIELD.encode()
_ASKING = command("ASKING")

_HOPS = 4
"""Times that one request follows a cluster's redirections before it is given up for now."""

_PATIENCE_EVERY = 64
"""Answers of a batch that share a time limit: one for each would take longer than reading it."""


class RefusedError(PublishError):
    """Redis was reached and refused: password, permission, or command. Trying again seldom helps."""


class ForbiddenError(RefusedError):
    """The user may not use this command or this key."""


class Entry(NamedTuple):
    """An entry of a stream: its id and its fields."""

    id: str
    fields: Mapping[bytes, bytes]

    @property
    def body(self) -> bytes | None:
        """The event's JSON; None where the entry holds no event."""
        return self.fields.get(_FIELD)


class RedisLink:
    """Opens itself when it is used, once; after an error it opens anew with the next use.

    Not for several tasks at once: one owner uses it. Retrying is the owner's business.
    """

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        """Prepare; nothing is opened yet.

        Args:
            url: `redis://`, `rediss://` or `unix://`, with user and password where needed; or of a group,
                `redis+sentinel://host:port,host:port/service/db` or `redis+cluster://host:port,host:port`,
                with `rediss+` for TLS.
            timeout_s: of connecting, of sending, and of each answer.

        Raises:
            PublishError: the URL is malformed. The text quotes nothing of it.
        """
        self._timeout_s = timeout_s
        group = Group.parse(url)
        self._connection, shown = _connection(group.url_of(group.hosts[0]) if group else url, timeout_s)
        self.display_url: str = group.display if group else shown
        """Where it leads, without credentials."""
        self._route = Route(group) if group else None
        self._asking = False

    async def ping(self) -> None:
        """Have the server answer.

        Raises:
            PublishError: it does not. A refusal of this very command is an answer.
        """
        with suppress(ForbiddenError):
            await self._ask("PING", patience_s=self._timeout_s)

    async def append(
        self, key: str, entries: Sequence[Mapping[bytes, bytes]], max_entries: int
    ) -> tuple[list[int], PublishError | None]:
        """Append entries to a stream in one go.

        Args:
            key: of the stream.
            entries: the fields of each, in order.
            max_entries: length to which the server may trim the stream, roughly.

        Returns:
            The indices of those that are stored for sure, and what kept the others out, if any. When the
            connection breaks, some of the others may be stored nevertheless.
        """
        stored: list[int] = []
        waiting = list(range(len(entries)))
        try:
            async with self._explaining():
                for hop in range(_HOPS):
                    await self._open()
                    prefix = _ASKING if self._asking else b""
                    commands = appends(key, (entries[index] for index in waiting), max_entries, prefix)
                    refused = await self._send(commands, waiting, stored)
                    if not refused:
                        break
                    waiting, refusal = list(refused), next(iter(refused.values()))
                    if not await self._follow(refusal) or hop == _HOPS - 1:
                        raise refusal
        except PublishError as exc:
            return stored, exc
        return stored, None

    async def newest(self, key: str, count: int) -> list[Entry]:
        """The last `count` entries of a stream, oldest first.

        Raises:
            PublishError: Redis cannot be reached or refuses.
        """
        reply = await self._ask("XREVRANGE", key, "+", "-", "COUNT", count, patience_s=self._timeout_s)
        return [_entry(raw) for raw in reversed(reply)]

    async def read(self, key: str, after: str, count: int, wait_s: float) -> list[Entry]:
        """Entries after an id, oldest first; waits up to `wait_s` for the first, then returns none.

        Raises:
            PublishError: Redis cannot be reached or refuses.
        """
        wait_ms = max(1, round(wait_s * 1000))
        reply = await self._ask(
            *("XREAD", "COUNT", count, "BLOCK", wait_ms, "STREAMS", key, after),
            patience_s=wait_s + self._timeout_s,
        )
        return [_entry(raw) for _, entries in reply or () for raw in entries]

    async def field(self, key: str, name: str) -> bytes | None:
        """A field of a hash; None where there is none.

        Raises:
            PublishError: Redis cannot be reached or refuses.
        """
        value = await self._ask("HGET", key, name, patience_s=self._timeout_s)
        return None if value is None else bytes(value)

    async def close(self) -> None:
        """Close; twice is safe."""
        await self._connection.disconnect(nowait=True)

    # -- asking -------------------------------------------------------------------------------------------

    async def _ask(self, *words: str | int, patience_s: float) -> Any:
        async with self._explaining():
            for _ in range(_HOPS - 1):
                try:
                    return await self._exchange(words, patience_s)
                except failures.ResponseError as exc:
                    if not await self._follow(exc):
                        raise
            return await self._exchange(words, patience_s)

    async def _exchange(self, words: Sequence[str | int], patience_s: float) -> Any:
        await self._open()
        packed = command(*words)
        await self._connection.send_packed_command(
            [_ASKING, packed] if self._asking else [packed], check_health=False
        )
        try:
            async with asyncio.timeout(patience_s):
                if self._asking:
                    await self._answer()
                return await self._answer()
        except (TimeoutError, failures.ResponseError) as exc:
            if self._asking or isinstance(exc, TimeoutError):
                # an answer may still come: nobody must take it for that of the next question
                await self._connection.disconnect(nowait=True)
            raise

    async def _send(
        self, commands: Sequence[bytes], indices: Sequence[int], stored: list[int]
    ) -> dict[int, failures.ResponseError]:
        """Send commands at once; adds to `stored` as the answers come, and returns the refusals, by index."""
        await self._connection.send_packed_command(joined(commands), check_health=False)
        refused: dict[int, failures.ResponseError] = {}
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout_s) as patience:
            for nth, index in enumerate(indices):
                if not nth % _PATIENCE_EVERY:
                    patience.reschedule(loop.time() + self._timeout_s)
                try:
                    if self._asking:
                        await self._admission(index, refused)
                    await self._answer()
                except failures.ResponseError as exc:
                    refused.setdefault(index, exc)
                else:
                    refused.pop(index, None)
                    stored.append(index)
        return refused

    async def _admission(self, index: int, refused: dict[int, failures.ResponseError]) -> None:
        """The answer to ASKING. Where that is refused, so is what follows, and this is why."""
        try:
            await self._answer()
        except failures.ResponseError as exc:
            refused[index] = exc

    async def _answer(self) -> Any:
        # its own limit would cut a blocking read short
        return await self._connection.read_response(timeout=math.inf)

    # -- finding the server -------------------------------------------------------------------------------

    async def _open(self) -> None:
        if self._connection.is_connected:
            return
        self._asking = False
        if self._route is None:
            await self._connection.connect()
        elif self._route.group.kind == "sentinel":
            await self._connect_to(self._route, await self._master(self._route))
        else:
            await self._connect_to_cluster(self._route)

    async def _connect_to(self, route: Route, host: Host) -> None:
        if host != route.now:
            self._connection, _ = _connection(route.group.url_of(host), self._timeout_s)
            route.now = host
        await self._connection.connect()

    async def _connect_to_cluster(self, route: Route) -> None:
        """To the owner of the slot, where it is known; else to any node, whose answer then points there."""
        if (taking_over := route.detour()) is not None:
            await self._connect_to(route, taking_over)
            self._asking = True
            return
        *nodes, last = route.nodes()
        for node in nodes:
            try:
                await self._connect_to(route, node)
            except failures.AuthenticationError:
                raise
            except _TROUBLE:
                route.lost(node)
            else:
                return
        await self._connect_to(route, last)

    async def _master(self, route: Route) -> Host:
        """Who is the master, by the first sentinel that knows."""
        reached = False
        for sentinel in route.sentinels:
            try:
                found = await self._asked(route, sentinel)
            except _TROUBLE:
                continue
            reached = True
            if found is not None:
                route.knew(sentinel)
                return found
        what = f"knows no master named {route.group.service!r}" if reached else "answers"
        raise PublishError(f"{self.display_url}: no sentinel {what}")

    async def _asked(self, route: Route, sentinel: Host, *, introduced: bool = False) -> Host | None:
        """What one sentinel says. Not all ask for a password; those that do get the one of the URL."""
        url = route.group.url_of_sentinel(sentinel, introduced=introduced)
        connection, _ = _connection(url, self._timeout_s)
        try:
            await connection.connect()
            await connection.send_command(
                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", route.group.service, check_health=False
            )
            reply = await connection.read_response()
        except failures.AuthenticationError:
            if introduced:
                raise
            return await self._asked(route, sentinel, introduced=True)
        finally:
            await connection.disconnect(nowait=True)
        return host_of(bytes(reply[0]).decode(), int(reply[1])) if reply else None

    async def _follow(self, refusal: failures.ResponseError) -> bool:
        """Whether a cluster's answer says where to ask instead; the next use asks there."""
        if not isinstance(refusal, failures.AskError) or self._route is None:
            return False
        once = not isinstance(refusal, failures.MovedError)
        self._route.point(refusal.host, refusal.port, once=once)
        await self._connection.disconnect(nowait=True)
        return True

    # -- explaining ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _explaining(self) -> AsyncIterator[None]:
        try:
            yield
        except _TROUBLE as exc:
            if isinstance(exc, _PASSING):
                # another server may hold the stream by now: the next use looks again
                await self._connection.disconnect(nowait=True)
            raise self._explained(exc) from None

    def _explained(self, exc: Exception) -> PublishError:
        where = self.display_url
        if self._route is not None:
            where += f" (now {self._route.now})"
            if isinstance(exc, failures.AskError):
                return PublishError(f"{where} does not hold this stream, which is being moved")
        for kind, text in _REASONS:
            if isinstance(exc, kind):
                return _class_of(exc)(text.format(where))
        if isinstance(exc, failures.ResponseError):
            return RefusedError(f"{where} refuses: {_code(exc)}")
        if isinstance(exc.__context__, ssl.SSLError):
            return PublishError(f"{where}: TLS failed: {exc.__context__.reason}")
        return PublishError(f"{where} cannot be reached")


_TROUBLE = (failures.RedisError, OSError, ValueError)
"""What redis-py raises when a server cannot be reached, refuses, or answers in no known language."""

_PASSING = (failures.ReadOnlyError, failures.ClusterDownError, failures.TryAgainError)
"""Refusals of servers that may not hold the stream any more, or not yet."""

_REASONS: Sequence[tuple[type[Exception], str]] = (
    (failures.AuthenticationError, "{} refuses the user name or password"),
    (failures.NoPermissionError, "{} forbids this user the command or the key; check its ACL"),
    (failures.OutOfMemoryError, "{} is out of memory"),
    (failures.ReadOnlyError, "{} is a replica that only reads"),
    (failures.BusyLoadingError, "{} is loading its data"),
    (failures.AskError, "{} is a cluster node that does not hold this stream; write redis+cluster://"),
    (failures.ClusterDownError, "{} belongs to a cluster that is down"),
    (failures.TimeoutError, "{} does not answer"),
    (TimeoutError, "{} does not answer"),
)


def _class_of(exc: Exception) -> type[PublishError]:
    if isinstance(exc, failures.NoPermissionError):
        return ForbiddenError
    refused = isinstance(exc, failures.ResponseError | failures.AuthenticationError)
    return RefusedError if refused and not isinstance(exc, _PASSING) else PublishError


def _connection(url: str, timeout_s: float) -> tuple[Any, str]:
    """A connection that is not opened yet, and its address without credentials."""
    try:
        # Any: redis-py types only parts of a connection
        pool: Any = ConnectionPool.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # the handshake stays within what a write-only user may send
            protocol=2,
            driver_info=None,
        )
        made: Any = pool.make_connection()
    except (ValueError, TypeError, AttributeError, failures.RedisError):
        # their messages may quote what stands where a port or an option should, such as half a password
        raise PublishError(
            "redis.url is malformed; write redis://[user:password@]host:port/db, percent-encoding"
            " special characters of the password"
        ) from None
    parts: dict[str, Any] = pool.connection_kwargs
    if "path" in parts:
        return made, f"unix://{parts['path']}"
    scheme = "rediss" if "SSL" in pool.connection_class.__name__ else "redis"
    host, port, database = parts.get("host", "localhost"), parts.get("port", 6379), parts.get("db", 0)
    return made, f"{scheme}://{host}:{port}/{database}"


def _code(exc: Exception) -> str:
    """The server's error code, such as `WRONGTYPE`; the rest may quote what was sent."""
    word = str(exc).split(" ", 1)[0]
    return word if word.isalnum() and word.isupper() else "error"


def _entry(raw: Sequence[Any]) -> Entry:
    fields = raw[1] or ()
    return Entry(bytes(raw[0]).decode("ascii"), dict(zip(fields[::2], fields[1::2], strict=False)))
