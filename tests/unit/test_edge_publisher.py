"""Publishing to a real Valkey that is killed, frozen, full or locked, and to one that misbehaves."""

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis.asyncio
import structlog.testing

from edge.broker import EmbeddedBroker
from edge.errors import PublishError
from edge.events import EventContext, EventDraft, heartbeat_event, stream_key
from edge.identifiers import Uuid7
from edge.outbox import Outbox
from edge.publisher import BATCH, Destination, Publisher, PublisherOptions
from edge.redis_link import RedisLink, RefusedError

pytestmark = pytest.mark.asyncio

NOW = datetime(2026, 11, 22, 8, 15, 3, tzinfo=UTC)
NODE = EventContext("xihu-07", "360103", Uuid7(lambda: NOW))
KEY = stream_key("360103")
SWIFT = PublisherOptions(timeout_s=5.0, retry_s=0.01, retry_cap_s=0.05, ping_s=1000.0)
PATIENCE_S = 20.0


def beat(number: int = 0) -> EventDraft:
    return heartbeat_event(NODE, NOW, {"uptime_s": number})


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path / "data", port=0) as running:
        yield running


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db", 2**30) as opened:
        yield opened


@pytest.fixture
async def server(broker: EmbeddedBroker) -> AsyncIterator["redis.asyncio.Redis[Any]"]:
    async with redis.asyncio.Redis.from_url(broker.url) as client:
        yield client


def publisher(outbox: Outbox, url: str, options: PublisherOptions = SWIFT) -> Publisher:
    return Publisher(outbox, Destination(url, "360103", 100_000), options, rng=random.Random(3))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - it comes true in other processes and threads
            await asyncio.sleep(0.002)


async def sequences(server: Any) -> list[int]:
    return [int(json.loads(fields[b"ce"])["sequence"]) for _, fields in await server.xrange(KEY)]


async def test_events_arrive_in_order_and_leave_the_outbox(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    sent = outbox.append([beat(n) for n in range(BATCH + 10)])
    async with publisher(outbox, broker.url) as running:
        await until(lambda: running.status().published == BATCH + 10)
        assert outbox.counts().pending == 0
        assert running.status().connected
        assert running.status().last_error is None
    entries = await server.xrange(KEY)
    assert [fields for _, fields in entries] == [{b"ce": event.to_json()} for event in sent]


async def test_an_append_wakes_it_at_once(outbox: Outbox, broker: EmbeddedBroker, server: Any) -> None:
    # the next look by itself would come after a thousand seconds
    async with publisher(outbox, broker.url) as running:
        await until(lambda: running.status().connected)
        last = "0"
        for number in range(1, 4):
            await asyncio.to_thread(outbox.append, [beat()])
            ((_, entries),) = await server.xread({KEY: last}, block=20_000)
            last = entries[-1][0]
            assert await sequences(server) == list(range(1, number + 1))


async def test_the_stream_is_kept_at_its_length(outbox: Outbox, broker: EmbeddedBroker, server: Any) -> None:
    outbox.append([beat(n) for n in range(1000)])
    async with Publisher(outbox, Destination(broker.url, "360103", 100), SWIFT) as running:
        await until(lambda: running.status().published == 1000)
    assert 100 <= await server.xlen(KEY) < 400


async def test_a_killed_server_loses_nothing(outbox: Outbox, broker: EmbeddedBroker, server: Any) -> None:
    await server.config_set("appendfsync", "always")
    with structlog.testing.capture_logs() as logs:
        async with publisher(outbox, broker.url) as running:
            outbox.append([beat()])
            await until(lambda: running.status().published == 1)
            psutil.Process(broker.pid).kill()
            outbox.append([beat(), beat()])
            away = f"{broker.display_url} cannot be reached"
            await until(lambda: running.status().failures > 3 and running.status().last_error == away)
            assert not running.status().connected
            assert outbox.counts().pending == 2
            await asyncio.to_thread(broker.restart)
            await until(lambda: running.status().published == 3)
            assert outbox.counts().pending == 0
            assert running.status().connected
    async with redis.asyncio.Redis.from_url(broker.url) as again:
        assert await sequences(again) == [1, 2, 3]
    # told when it changes, not at each try
    told = [entry.get("reason", "fine") for entry in logs if "redis" in entry["event"]]
    assert told[0] == told[-1] == "fine"
    assert away in told
    assert all(one != other for one, other in pairwise(told))


async def test_a_frozen_server_is_noticed_and_nothing_is_lost(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    options = PublisherOptions(timeout_s=0.1, retry_s=0.01, retry_cap_s=0.02, ping_s=0.02)
    async with publisher(outbox, broker.url, options) as running:
        await until(lambda: running.status().connected)
        os.kill(broker.pid, signal.SIGSTOP)
        await until(lambda: not running.status().connected)  # by its own ping
        outbox.append([beat(), beat()])
        await until(lambda: running.status().failures > 2)
        assert running.status().last_error == f"{broker.display_url} does not answer"
        os.kill(broker.pid, signal.SIGCONT)
        await until(lambda: outbox.counts().pending == 0)
    # what was sent before the answer failed to come may be there twice, but in order and complete
    assert sorted(set(await sequences(server))) == [1, 2]


async def test_a_full_server_is_waited_for(outbox: Outbox, broker: EmbeddedBroker, server: Any) -> None:
    await server.config_set("maxmemory", 1)
    async with publisher(outbox, broker.url) as running:
        outbox.append([beat(), beat()])
        await until(lambda: running.status().failures > 1)
        assert running.status().last_error == f"{broker.display_url} is out of memory"
        assert outbox.counts().pending == 2
        await server.config_set("maxmemory", 0)
        await until(lambda: outbox.counts().pending == 0)
    assert await sequences(server) == [1, 2]


async def test_a_replica_is_waited_for(outbox: Outbox, broker: EmbeddedBroker, server: Any) -> None:
    await server.replicaof("127.0.0.1", "1")
    async with publisher(outbox, broker.url) as running:
        outbox.append([beat()])
        await until(lambda: running.status().failures > 1)
        assert "replica that only reads" in (running.status().last_error or "")
        await server.replicaof("NO", "ONE")
        await until(lambda: outbox.counts().pending == 0)


async def test_a_wrong_password_is_reported_without_any_password(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    url = broker.display_url.replace("://", "://node:hunter2secret@")
    outbox.append([beat()])
    with structlog.testing.capture_logs() as logs:
        async with publisher(outbox, url) as running:
            await until(lambda: running.status().failures > 1)
            assert running.status().last_error == f"{broker.display_url} refuses the user name or password"
            # the cure at run time: the operator adds the user
            await server.acl_setuser(
                "node", enabled=True, passwords="+hunter2secret", keys="*", commands=["+@all"]
            )
            await until(lambda: outbox.counts().pending == 0)
    assert "hunter2" not in str(logs)


async def test_a_write_only_user_suffices(outbox: Outbox, broker: EmbeddedBroker, server: Any) -> None:
    await server.execute_command(
        *("ACL", "SETUSER", "edge-1", "on", ">secret", f"%W~{KEY}", "resetchannels"),
        *("-@all", "+xadd", "+auth", "+hello", "+ping"),
    )
    url = broker.display_url.replace("://", "://edge-1:secret@")
    async with publisher(outbox, url) as running:
        await until(lambda: running.status().connected)
        outbox.append([beat()])
        await until(lambda: outbox.counts().pending == 0)
    outbox.append([beat()])
    async with Publisher(outbox, Destination(url, "360104", 1000), SWIFT) as elsewhere:
        await until(lambda: elsewhere.status().failures > 1)
        assert "forbids" in (elsewhere.status().last_error or "")
    assert await sequences(server) == [1]


async def test_without_the_right_to_ping_an_answer_is_an_answer(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    await server.execute_command(
        *("ACL", "SETUSER", "edge-1", "on", ">secret", f"%W~{KEY}", "-@all", "+xadd", "+auth")
    )
    async with publisher(outbox, broker.display_url.replace("://", "://edge-1:secret@")) as running:
        await until(lambda: running.status().connected)


async def test_what_is_in_the_way_of_the_stream_is_named(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    await server.set(KEY, "no stream")
    outbox.append([beat()])
    async with publisher(outbox, broker.url) as running:
        await until(lambda: running.status().failures > 1)
        assert running.status().last_error == f"{broker.display_url} refuses: WRONGTYPE"


async def test_an_unencrypted_server_fails_the_tls_handshake(outbox: Outbox) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"-ERR Protocol error\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, publisher(outbox, f"rediss://:secret@127.0.0.1:{port}/0") as running:
        await until(lambda: running.status().failures > 1)
        error = running.status().last_error or ""
        assert error.startswith(f"rediss://127.0.0.1:{port}/0: TLS failed: ")


async def test_stopping_sends_what_waits(outbox: Outbox, broker: EmbeddedBroker, server: Any) -> None:
    running = publisher(outbox, broker.url)
    running.start()
    with pytest.raises(RuntimeError, match="started before"):
        running.start()
    outbox.append([beat(n) for n in range(2 * BATCH)])
    await running.stop(timeout_s=PATIENCE_S)
    await running.stop()
    await running.wait()
    assert outbox.counts().pending == 0
    assert len(await sequences(server)) == 2 * BATCH
    outbox.append([beat()])
    assert outbox.counts().pending == 1


async def test_stopping_without_a_server_keeps_the_events(outbox: Outbox) -> None:
    running = publisher(outbox, "redis://127.0.0.1:1/0")
    running.start()
    outbox.append([beat()])
    await until(lambda: running.status().failures > 0)
    await running.stop(timeout_s=PATIENCE_S)
    assert outbox.counts().pending == 1


async def test_stopping_does_not_wait_for_a_frozen_server(outbox: Outbox, broker: EmbeddedBroker) -> None:
    running = publisher(outbox, broker.url, PublisherOptions(timeout_s=1000.0))
    running.start()
    await until(lambda: running.status().connected)
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        outbox.append([beat()])
        await running.stop(timeout_s=0.05)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    assert outbox.counts().pending == 1


async def test_a_publisher_that_was_never_started_stops(outbox: Outbox) -> None:
    running = publisher(outbox, "redis://127.0.0.1:1/0")
    await running.wait()
    await running.stop()


async def test_a_disk_that_refuses_is_reported(tmp_path: Path, broker: EmbeddedBroker) -> None:
    outbox = Outbox(tmp_path / "other.db", 2**20)
    outbox.close()
    async with publisher(outbox, broker.url) as running:
        await until(lambda: running.status().failures > 1)
        assert "is closed" in (running.status().last_error or "")


# A server that misbehaves on script


@asynccontextmanager
async def scripted(connections: Sequence[Sequence[bytes | None]]) -> AsyncIterator[str]:
    """Answers the XADDs of each connection in turn by its script; None hangs up. Afterwards all is well."""
    scripts = iter(connections)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = iter(next(scripts, ()))
        try:
            while (command := await _command(reader))[0] != b"":
                answer = b"+PONG\r\n" if command[0] == b"PING" else next(script, b"+1-0\r\n")
                if answer is None:
                    break
                writer.write(answer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    head = await reader.readline()
    if not head:
        return [b""]
    parts = []
    for _ in range(int(head[1:])):
        size = int((await reader.readline())[1:])
        parts.append((await reader.readexactly(size + 2))[:-2])
    return parts


async def test_one_error_in_a_batch_holds_back_only_that_event(outbox: Outbox) -> None:
    outbox.append([beat(n) for n in range(4)])
    waiting: list[list[int]] = []
    oom = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    async with scripted([[b"+1-0\r\n", oom, b"+2-0\r\n", oom, oom, b"+3-0\r\n"]]) as url:
        running = publisher(outbox, url)
        real = outbox.sent
        outbox.sent = lambda rows: waiting.append(list(rows)) or real(rows)  # type: ignore[method-assign, func-returns-value]
        async with running:
            await until(lambda: running.status().published == 4)
            assert outbox.counts().pending == 0
            assert running.status().failures == 2
    assert waiting == [[1, 3], [4], [2]]


async def test_answers_before_a_broken_connection_count(outbox: Outbox) -> None:
    outbox.append([beat(n) for n in range(4)])
    async with scripted([[b"+1-0\r\n", b"+2-0\r\n", None]]) as url, publisher(outbox, url) as running:
        await until(lambda: running.status().published == 4)
        assert outbox.counts().pending == 0
        assert running.status().failures == 1


async def test_an_answer_in_no_known_language_is_survived(outbox: Outbox) -> None:
    outbox.append([beat()])
    async with scripted([[b"HTTP/1.1 400 Bad Request\r\n"]]) as url, publisher(outbox, url) as running:
        await until(lambda: outbox.counts().pending == 0)
        assert running.status().failures == 1


# The link's address


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@redis.example:6380/2", "redis://redis.example:6380/2"),
        ("rediss://:secret@redis.example", "rediss://redis.example:6379/0"),
        ("redis://redis.example/0?password=secret", "redis://redis.example:6379/0"),
        ("unix://user:secret@/run/valkey.sock?db=1", "unix:///run/valkey.sock"),
    ],
)
async def test_the_address_is_shown_without_credentials(outbox: Outbox, url: str, shown: str) -> None:
    assert publisher(outbox, url).display_url == shown


@pytest.mark.parametrize(
    "url",
    [
        "http://secret@redis.example",
        "redis://user:sec/ret@redis.example:6379",
        "redis://secret@redis.example:99999",
        "redis://redis.example/0?secret=1",
        "redis://redis.example/0?socket_timeout=secret",
        "secret",
    ],
)
async def test_a_malformed_url_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(PublishError, match="malformed") as caught:
        RedisLink(url)
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_reading_fails_with_a_reason(broker: EmbeddedBroker, server: Any) -> None:
    await server.set(KEY, "no stream")
    link = RedisLink(broker.url)
    with pytest.raises(RefusedError, match="WRONGTYPE"):
        await link.newest(KEY, 1)
    with pytest.raises(RefusedError, match="WRONGTYPE"):
        await link.read(KEY, "0-0", 1, 0.01)
    await link.close()
    await link.close()
