"""Outbox, publisher and feedback together, with a centre played by the test on a real Valkey."""

import base64
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import structlog.testing

from edge.broker import EmbeddedBroker
from edge.config import Config
from edge.delivery import Delivery
from edge.errors import OutboxError
from edge.events import Event, stream_key
from edge.feedback import feedback_key, receipts_key
from edge.precision import RuleVerdicts
from edge.signing import Signer, verify
from tests.support.delivery import DISTRICT, NODE, Hands, draft, until

pytestmark = pytest.mark.asyncio

KEY = stream_key(DISTRICT)
TIME = "2026-11-22T08:15:03.210Z"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("broker"), port=0) as running:
        yield running


@pytest.fixture
async def server(broker: EmbeddedBroker) -> AsyncIterator["redis.asyncio.Redis[Any]"]:
    async with redis.asyncio.Redis.from_url(broker.url) as client:
        await client.flushall()
        yield client


class Node:
    """What a node does with its delivery."""

    def __init__(self, folder: Path, **outbox: Any) -> None:
        self.config = Config.model_validate(
            {
                "node": {"id": "xihu-07", "district": DISTRICT, "data_dir": folder},
                "outbox": outbox,
                "cameras": [{"id": "gate-2", "source": "x.mp4"}],
            }
        )
        self.hands = Hands()
        self.told: list[Event] = []
        self.profiles: list[str] = []
        self.judged: list[Sequence[RuleVerdicts]] = []
        self.delivery = Delivery(
            self.config,
            NODE,
            self.hands,
            told=self._hear,
            set_profile=self.profiles.append,
            judged=self.judged.append,
        )

    def _hear(self, events: Sequence[Event]) -> None:
        self.told.extend(events)

    async def start(self, stack: AsyncExitStack, url: str) -> Delivery:
        """Open and connect."""
        self.delivery.open(stack)
        self.delivery.prepare()
        await self.delivery.connect(stack, url, 1000)
        return self.delivery


async def say(server: Any, **message: Any) -> None:
    await server.xadd(feedback_key(DISTRICT), {"m": json.dumps({"node": "xihu-07", **message})})


async def test_events_are_kept_until_receipted_and_sent_again_when_asked(
    tmp_path: Path, broker: EmbeddedBroker, server: Any
) -> None:
    node = Node(tmp_path, until="receipted")
    async with AsyncExitStack() as stack:
        delivery = await node.start(stack, broker.url)
        delivery.outbox.append([draft(2), draft(3), draft()])
        await until(lambda: delivery.sample().outbox.sent == 3)
        await until(lambda: delivery.sample().feedback.connected)
        await say(server, kind="replay", first=2, last=3)
        await until(lambda: delivery.status().replayed == 2)
        assert delivery.status().published == 5
        await server.hset(receipts_key(DISTRICT), "xihu-07", 3)
        await until(lambda: delivery.sample().feedback.receipted == 3)
        assert delivery.sample().outbox.sent == 0
        assert delivery.sample().outbox.acknowledged == 3
    entries = [fields for _, fields in await server.xrange(KEY)]
    assert sorted(int(json.loads(fields[b"ce"])["sequence"]) for fields in entries) == [1, 2, 2, 3, 3]
    signer = Signer.open(tmp_path)
    for fields in entries:
        assert fields[b"key"].decode() == signer.key_id
        assert verify(signer.public, fields[b"ce"], base64.b64decode(fields[b"sig"]))


async def test_what_is_given_up_for_its_age_is_reported(
    tmp_path: Path, broker: EmbeddedBroker, server: Any
) -> None:
    node = Node(tmp_path, until="receipted", max_age_s=3600)
    async with AsyncExitStack() as stack:
        delivery = await node.start(stack, broker.url)
        delivery.outbox.append([draft(3), draft(4)])
        await until(lambda: delivery.sample().outbox.sent == 2)
        delivery.tend()
        assert node.told == []
        node.hands.seconds += 3601
        delivery.tend()
        (gap,) = node.told
        assert gap.kind == "node.gap"
        assert json.loads(gap.to_json())["data"]["gap"] == {"ranges": [[1, 2]], "events": 2}
        assert json.loads(gap.to_json())["data"]["reason"] == "outbox_aged"
        await until(lambda: delivery.status().published == 3)
        delivery.tend()
        assert len(node.told) == 1


async def test_a_replay_of_what_is_gone_is_answered_by_a_gap(
    tmp_path: Path, broker: EmbeddedBroker, server: Any
) -> None:
    node = Node(tmp_path)  # kept until stored only
    async with AsyncExitStack() as stack:
        delivery = await node.start(stack, broker.url)
        delivery.outbox.append([draft(3), draft(4)])
        await until(lambda: delivery.status().published == 2)
        await until(lambda: delivery.sample().feedback.connected)
        await say(server, kind="replay", first=1, last=2)
        await until(lambda: delivery.sample().feedback.messages.get("replay") == 1)
        delivery.tend()
        (gap,) = node.told
        assert json.loads(gap.to_json())["data"]["reason"] == "outbox_replaced"


async def test_a_centre_that_receipts_what_is_not_kept_for_it_is_worth_a_word(
    tmp_path: Path, broker: EmbeddedBroker, server: Any
) -> None:
    node = Node(tmp_path)
    async with AsyncExitStack() as stack:
        delivery = await node.start(stack, broker.url)
        with structlog.testing.capture_logs() as logs:
            await server.hset(receipts_key(DISTRICT), "xihu-07", 1)
            await until(lambda: delivery.sample().feedback.receipted == 1)
            await server.hset(receipts_key(DISTRICT), "xihu-07", 2)
            await until(lambda: delivery.sample().feedback.receipted == 2)
    assert [entry["cure"] for entry in logs if "cure" in entry] == ["outbox.until: receipted"]


async def test_profile_and_verdicts(tmp_path: Path, broker: EmbeddedBroker, server: Any) -> None:
    node = Node(tmp_path)
    rule = {"camera": "gate-2", "rule": "camera.offline/gate-2"}
    async with AsyncExitStack() as stack:
        delivery = await node.start(stack, broker.url)
        assert node.profiles == ["usual"]
        await until(lambda: delivery.sample().feedback.connected)
        await say(server, kind="profile", profile="surge", time=TIME)
        for number, verdict in enumerate(("true", "false", "true", "true")):
            incident = f"01890a5d-ac96-774b-bcce-b302099a805{number}"
            await say(server, kind="verdict", incident=incident, verdict=verdict, time=TIME, **rule)
        await until(lambda: delivery.sample().feedback.messages.get("verdict") == 4)
        (verdicts,) = delivery.sample().verdicts
        assert (verdicts.camera, verdicts.rule, verdicts.precision) == (
            "gate-2",
            "camera.offline/gate-2",
            0.75,
        )
    again = Node(tmp_path)
    async with AsyncExitStack() as stack:
        delivery = await again.start(stack, broker.url)
        assert again.profiles == ["surge"]
        assert delivery.sample().verdicts == [verdicts]
        assert again.judged == [[verdicts]]
    assert node.judged[0] == []
    assert node.judged[-1] == [verdicts]


async def test_a_disk_that_refuses_does_not_end_the_tending(
    tmp_path: Path, broker: EmbeddedBroker, server: Any
) -> None:
    node = Node(tmp_path)
    async with AsyncExitStack() as stack:
        delivery = await node.start(stack, broker.url)

        def refuse(make: Any) -> list[Event]:
            raise OutboxError("outbox.db cannot grow: the disk is full")

        delivery.outbox.report_gaps = refuse  # type: ignore[method-assign]
        with structlog.testing.capture_logs() as logs:
            delivery.tend()
        assert [entry["reason"] for entry in logs] == ["outbox.db cannot grow: the disk is full"]


async def test_it_tells_when_publishing_ends_by_a_defect(tmp_path: Path, broker: EmbeddedBroker) -> None:
    node = Node(tmp_path)

    def broken(limit: int, *, after: int) -> list[Any]:
        raise ZeroDivisionError("a defect")

    stack = AsyncExitStack()
    delivery = await node.start(stack, broker.url)
    delivery.outbox.fresh = broken  # type: ignore[method-assign]
    delivery.outbox.append([draft()])
    with pytest.raises(ZeroDivisionError):
        await delivery.ended()
    with pytest.raises(ZeroDivisionError):
        await stack.aclose()
