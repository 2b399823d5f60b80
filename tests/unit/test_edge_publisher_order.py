"""What goes first, how much at once, how fast again, and signed: against a real Valkey."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.broker import EmbeddedBroker
from edge.errors import PublishError
from edge.events import stream_key
from edge.outbox import Outbox
from edge.publisher import BATCH, BATCH_BYTES, LEAST_BATCH, Destination, Publisher, PublisherOptions
from tests.support.delivery import DISTRICT, Hands, draft, until

pytestmark = pytest.mark.asyncio

KEY = stream_key(DISTRICT)
SWIFT = PublisherOptions(timeout_s=5.0, retry_s=0.01, retry_cap_s=0.05, ping_s=1000.0)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("broker"), port=0) as running:
        yield running


@pytest.fixture
async def server(broker: EmbeddedBroker) -> AsyncIterator["redis.asyncio.Redis[Any]"]:
    async with redis.asyncio.Redis.from_url(broker.url) as client:
        await client.flushall()
        yield client


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db", 2**30, until="receipted") as opened:
        yield opened


def publisher(outbox: Outbox, url: str, options: PublisherOptions = SWIFT, **more: Any) -> Publisher:
    return Publisher(outbox, Destination(url, DISTRICT, 100_000), options, **more)


async def sequences(server: Any) -> list[int]:
    return [int(json.loads(fields[b"ce"])["sequence"]) for _, fields in await server.xrange(KEY)]


async def test_the_most_severe_goes_first_and_replays_last(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    outbox.append([draft(1), draft(2)])
    outbox.sent([1, 2])
    assert outbox.ask_again(1, 2) == 2
    outbox.append([draft(4), draft(), draft(3), draft(1), draft(2)])
    async with publisher(outbox, broker.url) as running:
        await until(lambda: running.status().published == 7)
        assert running.status().replayed == 2
    assert await sequences(server) == [6, 7, 5, 3, 4, 1, 2]
    counts = outbox.counts()
    assert (counts.pending, counts.sent) == (0, 7)


async def test_an_event_of_level_1_waits_behind_one_batch_at_most(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    outbox.append([draft() for _ in range(3 * BATCH)])
    running = publisher(outbox, broker.url)
    real = running._link.append

    async def meanwhile(key: str, entries: Sequence[Mapping[bytes, bytes]], most: int) -> Any:
        if outbox.counts().created == 3 * BATCH:
            outbox.append([draft(1)])
        return await real(key, entries, most)

    running._link.append = meanwhile  # type: ignore[method-assign]
    async with running:
        await until(lambda: running.status().published == 3 * BATCH + 1)
    assert (await sequences(server)).index(3 * BATCH + 1) == BATCH


async def test_a_backlog_goes_at_the_replays_rate_behind_what_just_happened(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    hands = Hands()
    outbox.append([draft(4) for _ in range(BATCH + 30)])
    outbox.append([draft(1)])
    options = PublisherOptions(retry_s=0.01, retry_cap_s=0.05, ping_s=1000.0, replay_per_s=100.0)
    late = BATCH + 31
    async with publisher(outbox, broker.url, options, clock=hands) as running:
        await until(
            lambda: running.status().published == BATCH + 20
        )  # the first batch tells that Redis is there
        outbox.append([draft(4)])
        await until(lambda: running.status().published == BATCH + 21)
        hands.seconds += 0.1
        await until(lambda: running.status().published == BATCH + 31)
        hands.seconds += 0.1
        await until(lambda: running.status().published == BATCH + 32)
        assert running.status().replayed == 0
    order = await sequences(server)
    assert order[0] == late
    assert order[BATCH + 20] == late + 1
    assert sorted(order) == list(range(1, late + 2))


async def test_replays_go_at_their_rate_and_never_hold_up_what_is_new(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    hands = Hands()
    outbox.append([draft(4) for _ in range(100)])
    outbox.sent(range(1, 101))
    outbox.ask_again(1, 100)
    options = PublisherOptions(retry_s=0.01, retry_cap_s=0.05, ping_s=1000.0, replay_per_s=100.0)
    async with publisher(outbox, broker.url, options, clock=hands) as running:
        await until(lambda: running.status().replayed == 20)  # a fifth of a second's worth
        outbox.append([draft(1)])
        await until(lambda: running.status().published == 21)
        assert running.status().replayed == 20
        hands.seconds += 0.1
        await until(lambda: running.status().replayed == 30)
        hands.seconds += 100.0
        await until(lambda: running.status().replayed == 50)  # a long rest saves nothing up
        for seen in range(60, 101, 10):
            hands.seconds += 0.1
            await until(lambda seen=seen: running.status().replayed == seen)  # type: ignore[misc]
        # afterwards it does not look for replays all the time, but one that is asked for goes at once
        hands.seconds += 1.0
        outbox.ask_again(7, 7)
        running.wake()
        await until(lambda: running.status().replayed == 101)
    assert await sequences(server) == [*range(1, 21), 101, *range(21, 101), 7]


async def test_waiting_replays_do_not_keep_a_node_from_stopping(
    outbox: Outbox, broker: EmbeddedBroker
) -> None:
    outbox.append([draft(4) for _ in range(100)])
    outbox.sent(range(1, 101))
    outbox.ask_again(1, 100)
    running = publisher(outbox, broker.url, PublisherOptions(replay_per_s=10.0), clock=Hands())
    running.start()
    await until(lambda: running.status().replayed == 2)
    await running.stop(timeout_s=20.0)
    assert outbox.counts().pending == 98


async def test_large_events_go_in_smaller_batches(outbox: Outbox, broker: EmbeddedBroker) -> None:
    outbox.append([draft(2, boxes=1000) for _ in range(60)])
    running = publisher(outbox, broker.url)
    real, sizes = running._link.append, []

    async def weighed(key: str, entries: Sequence[Mapping[bytes, bytes]], most: int) -> Any:
        sizes.append(sum(len(entry[b"ce"]) for entry in entries))
        return await real(key, entries, most)

    running._link.append = weighed  # type: ignore[method-assign]
    async with running:
        await until(lambda: running.status().published == 60)
    assert len(sizes) > 1
    assert BATCH_BYTES / 2 < max(sizes) <= BATCH_BYTES


async def test_batches_that_do_not_get_through_become_smaller(outbox: Outbox, broker: EmbeddedBroker) -> None:
    outbox.append([draft() for _ in range(2 * BATCH)])
    running = publisher(outbox, broker.url)
    real, sizes = running._link.append, []

    async def narrow(key: str, entries: Sequence[Mapping[bytes, bytes]], most: int) -> Any:
        sizes.append(len(entries))
        if len(sizes) < 6:
            return [], PublishError("does not answer")
        return await real(key, entries, most)

    running._link.append = narrow  # type: ignore[method-assign]
    async with running:
        await until(lambda: running.status().published == 2 * BATCH)
    assert sizes[:8] == [512, 128, 32, 16, 16, 16, 32, 64]
    assert min(sizes[:-1]) == LEAST_BATCH


class Signer:
    """A key of a test's own."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.key_id = hashlib.sha256(self.private.public_key().public_bytes_raw()).hexdigest()[:16]

    def sign(self, body: bytes) -> bytes:
        """Sign an event's JSON."""
        return self.private.sign(body)


async def test_each_event_carries_its_signature_and_the_key_s_id(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    signer = Signer()
    events = outbox.append([draft(2), draft()])
    async with publisher(outbox, broker.url, signer=signer) as running:
        await until(lambda: running.status().published == 2)
    entries = [fields for _, fields in await server.xrange(KEY)]
    assert [fields[b"ce"] for fields in entries] == [event.to_json() for event in events]
    for fields in entries:
        assert set(fields) == {b"ce", b"sig", b"key"}
        assert fields[b"key"] == signer.key_id.encode()
        signer.private.public_key().verify(base64.b64decode(fields[b"sig"], validate=True), fields[b"ce"])


async def test_a_disk_that_refuses_to_note_what_was_stored_is_asked_again(
    outbox: Outbox, broker: EmbeddedBroker, server: Any
) -> None:
    from edge.errors import OutboxError

    outbox.append([draft(), draft()])
    real, refusals = outbox.sent, [OutboxError("the disk is full"), OutboxError("the disk is full")]

    def sent(rows: Any) -> int:
        if refusals:
            raise refusals.pop()
        return real(rows)

    outbox.sent = sent  # type: ignore[method-assign]
    async with publisher(outbox, broker.url) as running:
        await until(lambda: running.status().published == 2)
        assert running.status().failures == 2
    # and they are not sent a second time for it
    assert await sequences(server) == [1, 2]
