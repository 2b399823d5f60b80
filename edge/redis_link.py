"""One connection to Redis or Valkey that tells nothing but its address in errors: the door to redis-py."""

import asyncio
import math
import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis import exceptions as failures
from redis.asyncio.connection import ConnectionPool

from edge.envelope import STREAM_FIELD
from edge.errors import PublishError

_FIELD = STREAM_FIELD.encode()


class RefusedError(PublishError):
    """Redis was reached and refused: password, permission, or command. Trying again seldom helps."""


class Entry(NamedTuple):
    """An entry of a stream: its id, and the event's JSON; None where the entry holds no event."""

    id: str
    body: bytes | None


class RedisLink:
    """Opens itself when it is used, once; after an error it opens anew with the next use.

    Not for several tasks at once: one owner uses it. Retrying is the owner's business.
    """

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        """Prepare; nothing is opened yet.

        Args:
            url: `redis://`, `rediss://` or `unix://`, with user and password where needed.
            timeout_s: of connecting, of sending, and of each answer.

        Raises:
            PublishError: the URL is malformed. The text quotes nothing of it.
        """
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
            self._connection: Any = pool.make_connection()
        except (ValueError, TypeError, AttributeError, failures.RedisError):
            # their messages may quote what stands where a port or an option should, such as half a password
            raise PublishError(
                "redis.url is malformed; write redis://[user:password@]host:port/db, percent-encoding"
                " special characters of the password"
            ) from None
        self._timeout_s = timeout_s
        parts: dict[str, Any] = pool.connection_kwargs
        scheme = "rediss" if "SSL" in pool.connection_class.__name__ else "redis"
        self.display_url: str = (
            f"unix://{parts['path']}"
            if "path" in parts
            else f"{scheme}://{parts.get('host', 'localhost')}:{parts.get('port', 6379)}/{parts.get('db', 0)}"
        )
        """Where it leads, without credentials."""

    async def ping(self) -> None:
        """Have the server answer.

        Raises:
            PublishError: it does not. A refusal of this very command is an answer.
        """
        try:
            await self._ask("PING", patience_s=self._timeout_s)
        except failures.NoPermissionError:
            return
        except (failures.RedisError, OSError) as exc:
            raise self._explained(exc) from None

    async def append(
        self, key: str, bodies: Sequence[bytes], max_entries: int
    ) -> tuple[list[int], PublishError | None]:
        """Append events to a stream in one go.

        Args:
            key: of the stream.
            bodies: JSON of each event, in order.
            max_entries: length to which the server may trim the stream, roughly.

        Returns:
            The indices of those that are stored for sure, and what kept the others out, if any. When the
            connection breaks, some of the others may be stored nevertheless.
        """
        commands = [("XADD", key, "MAXLEN", "~", max_entries, "*", STREAM_FIELD, body) for body in bodies]
        stored: list[int] = []
        refusal: failures.ResponseError | None = None
        try:
            await self._connection.connect()
            await self._connection.send_packed_command(
                self._connection.pack_commands(commands), check_health=False
            )
            for index in range(len(bodies)):
                try:
                    await self._connection.read_response()
                except failures.ResponseError as exc:
                    refusal = refusal or exc
                else:
                    stored.append(index)
        except (failures.RedisError, OSError) as exc:
            return stored, self._explained(exc)
        return stored, self._explained(refusal) if refusal else None

    async def newest(self, key: str, count: int) -> list[Entry]:
        """The last `count` entries of a stream, oldest first.

        Raises:
            PublishError: Redis cannot be reached or refuses.
        """
        try:
            reply = await self._ask("XREVRANGE", key, "+", "-", "COUNT", count, patience_s=self._timeout_s)
        except (failures.RedisError, OSError) as exc:
            raise self._explained(exc) from None
        return [_entry(raw) for raw in reversed(reply)]

    async def read(self, key: str, after: str, count: int, wait_s: float) -> list[Entry]:
        """Entries after an id, oldest first; waits up to `wait_s` for the first, then returns none.

        Raises:
            PublishError: Redis cannot be reached or refuses.
        """
        wait_ms = max(1, round(wait_s * 1000))
        try:
            reply = await self._ask(
                *("XREAD", "COUNT", count, "BLOCK", wait_ms, "STREAMS", key, after),
                patience_s=wait_s + self._timeout_s,
            )
        except (failures.RedisError, OSError) as exc:
            raise self._explained(exc) from None
        return [_entry(raw) for _, entries in reply or () for raw in entries]

    async def close(self) -> None:
        """Close; twice is safe."""
        await self._connection.disconnect(nowait=True)

    async def _ask(self, *command: str | int, patience_s: float) -> Any:
        await self._connection.connect()
        await self._connection.send_command(*command, check_health=False)
        try:
            async with asyncio.timeout(patience_s):
                # without this redis-py's own limit would cut a blocking read short
                return await self._connection.read_response(timeout=math.inf)
        except TimeoutError:
            # the answer may still come: nobody must take it for that of the next question
            await self._connection.disconnect(nowait=True)
            raise

    def _explained(self, exc: Exception) -> PublishError:
        for kind, text in _REASONS:
            if isinstance(exc, kind):
                refused = isinstance(exc, failures.ResponseError | failures.AuthenticationError)
                return (RefusedError if refused else PublishError)(text.format(self.display_url))
        if isinstance(exc, failures.ResponseError):
            return RefusedError(f"{self.display_url} refuses: {_code(exc)}")
        if isinstance(exc.__context__, ssl.SSLError):
            return PublishError(f"{self.display_url}: TLS failed: {exc.__context__.reason}")
        return PublishError(f"{self.display_url} cannot be reached")


_REASONS: Sequence[tuple[type[Exception], str]] = (
    (failures.AuthenticationError, "{} refuses the user name or password"),
    (failures.NoPermissionError, "{} forbids this user the command or the stream; check its ACL"),
    (failures.OutOfMemoryError, "{} is out of memory"),
    (failures.ReadOnlyError, "{} is a replica that only reads"),
    (failures.BusyLoadingError, "{} is loading its data"),
    (failures.MovedError, "{} is a cluster node that does not hold this stream"),
    (failures.TimeoutError, "{} does not answer"),
    (TimeoutError, "{} does not answer"),
)


def _code(exc: Exception) -> str:
    """The server's error code, such as `WRONGTYPE`; the rest may quote what was sent."""
    word = str(exc).split(" ", 1)[0]
    return word if word.isalnum() and word.isupper() else "error"


def _entry(raw: Sequence[Any]) -> Entry:
    fields = raw[1] or ()
    pairs = dict(zip(fields[::2], fields[1::2], strict=False))
    return Entry(bytes(raw[0]).decode("ascii"), pairs.get(_FIELD))
