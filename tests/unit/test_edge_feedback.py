"""The centre's words through a real Valkey: receipts, replays, verdicts, profiles, and nonsense."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import structlog.testing

from edge.answers import Verdict
from edge.broker import EmbeddedBroker
from edge.errors import OutboxError
from edge.feedback import Feedback, FeedbackOptions, Source, feedback_key, receipts_key
from tests.support.delivery import DISTRICT, Hands, until

pytestmark = pytest.mark.asyncio

RECEIPTS, WORDS = receipts_key(DISTRICT), feedback_key(DISTRICT)
TIME = "2026-11-22T08:15:03.210Z"
SWIFT = FeedbackOptions(timeout_s=2.0, poll_s=0.02, retry_s=0.01, retry_cap_s=0.02)


class Listener:
    """Notes what it hears; refuses on script."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.refusals: list[Exception] = []

    def _hear(self, *words: Any) -> None:
        if self.refusals:
            raise self.refusals.pop()
        self.heard.append(words)

    def receipted(self, through: int) -> None:
        self._hear("receipt", through)

    def replay(self, first: int, last: int) -> None:
        self._hear("replay", first, last)

    def verdict(self, verdict: Verdict) -> bool:
        self._hear("verdict", verdict.camera, verdict.rule, verdict.verdict)
        return verdict.camera == "gate-2"

    def profile(self, profile: str) -> None:
        self._hear("profile", profile)


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
def listener() -> Listener:
    return Listener()


def feedback(
    folder: Path, listener: Listener, url: str, options: FeedbackOptions = SWIFT, **more: Any
) -> Feedback:
    return Feedback(Source(url, DISTRICT, "xihu-07", folder), listener, options, rng=random.Random(3), **more)


def verdict(camera: str = "gate-2", judged: str = "true", node: str = "xihu-07") -> dict[str, Any]:
    return {
        "node": node,
        "kind": "verdict",
        "incident": "01890a5d-ac96-774b-bcce-b302099a8057",
        "camera": camera,
        "rule": "crowd.density/plaza",
        "verdict": judged,
        "time": TIME,
    }


def profile(name: str, node: str = "*") -> dict[str, Any]:
    return {"node": node, "kind": "profile", "profile": name, "time": TIME}


def replay(first: int, last: int, node: str = "xihu-07") -> dict[str, Any]:
    return {"node": node, "kind": "replay", "first": first, "last": last}


async def say(server: Any, *messages: dict[str, Any] | bytes) -> None:
    for message in messages:
        await server.xadd(WORDS, {"m": message if isinstance(message, bytes) else json.dumps(message)})


async def test_receipts_are_passed_on_when_they_change(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    async with feedback(tmp_path, listener, broker.url) as running:
        await until(lambda: running.status().connected)
        assert listener.heard == []
        await server.hset(RECEIPTS, mapping={"xihu-07": 41, "xihu-08": 99})
        await until(lambda: running.status().receipted == 41)
        await server.hset(RECEIPTS, "xihu-07", 45)
        await until(lambda: running.status().receipted == 45)
        await server.delete(RECEIPTS)  # it came back empty: nothing follows
        await server.hset(RECEIPTS, "xihu-07", 47)
        await until(lambda: running.status().receipted == 47)
    assert listener.heard == [("receipt", 41), ("receipt", 45), ("receipt", 47)]


@pytest.mark.parametrize("nonsense", ["-1", "4x", "", "9" * 21, "٣"])
async def test_a_receipt_that_is_none_is_counted_and_left_out(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener, nonsense: str
) -> None:
    await server.hset(RECEIPTS, "xihu-07", nonsense)
    async with feedback(tmp_path, listener, broker.url) as running:
        await until(lambda: running.status().messages.get("malformed", 0) > 1)
        assert running.status().connected
    assert listener.heard == []


async def test_messages_to_this_node_are_followed_in_order(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    async with feedback(tmp_path, listener, broker.url) as running:
        await until(lambda: running.status().connected)
        await say(
            server,
            replay(3, 9),
            replay(4, 4, node="xihu-08"),
            verdict(),
            verdict(node="xihu-08"),
            profile("surge"),
            profile("usual", node="xihu-08"),
            {"node": "xihu-07", "kind": "reset", "first": 1},
            verdict(camera="gate-9"),
        )
        await until(lambda: len(listener.heard) == 4)
        await until(lambda: running.status().messages.get("unknown", 0) == 1)
        status = running.status()
    assert listener.heard == [
        ("replay", 3, 9),
        ("verdict", "gate-2", "crowd.density/plaza", "true"),
        ("profile", "surge"),
        ("verdict", "gate-9", "crowd.density/plaza", "true"),
    ]
    assert status.messages == {"replay": 1, "verdict": 1, "profile": 1, "reset": 1, "unknown": 1}
    assert status.profile == "surge"


async def test_what_is_none_of_the_schema_is_counted_and_never_followed(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with feedback(tmp_path, listener, broker.url) as running:
            await until(lambda: running.status().connected)
            await say(
                server,
                b"{",
                b"\xff",
                b"[]",
                {**replay(1, 2), "command": "rm"},
                {"node": "*", "kind": "shell"},
            )
            await server.xadd(WORDS, {"other": "field"})
            await say(server, replay(5, 6))
            await until(lambda: listener.heard == [("replay", 5, 6)])
            assert running.status().messages == {"malformed": 6, "replay": 1}
            assert running.status().connected
    assert len([entry for entry in logs if "none of the schema" in entry["event"]]) == 1


async def test_a_restart_goes_on_where_it_was_and_keeps_the_profile(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    async with feedback(tmp_path, listener, broker.url) as running:
        await until(lambda: running.status().connected)
        await say(server, profile("surge"), verdict())
        await until(lambda: len(listener.heard) == 2)
    await say(server, replay(7, 8))
    later = Listener()
    again = feedback(tmp_path, later, broker.url)
    assert again.status().profile == "surge"
    async with again:
        await until(lambda: later.heard == [("replay", 7, 8)])


async def test_old_wishes_for_replays_are_not_followed_by_a_new_node(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    await say(server, replay(1, 100), profile("surge"), verdict())
    async with feedback(tmp_path, listener, broker.url) as running:
        await until(lambda: running.status().connected)
        await until(lambda: len(listener.heard) == 2)
        await say(server, replay(2, 3))
        await until(lambda: len(listener.heard) == 3)
    assert [words[0] for words in listener.heard] == ["profile", "verdict", "replay"]
    assert listener.heard[-1] == ("replay", 2, 3)


async def test_the_ids_of_another_server_mean_nothing(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    kept = {"server": "redis://elsewhere:6379/0", "last": "99999999999999-0", "profile": "surge"}
    (tmp_path / "feedback.json").write_text(json.dumps(kept))
    async with feedback(tmp_path, listener, broker.url) as running:
        assert running.status().profile == "surge"
        await say(server, verdict())
        await until(lambda: len(listener.heard) == 1)


async def test_a_server_that_came_back_empty_is_heard_whatever_its_clock_says(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    kept = {"server": broker.display_url, "last": "99999999999999-0", "profile": "usual"}
    (tmp_path / "feedback.json").write_text(json.dumps(kept))
    async with feedback(tmp_path, listener, broker.url) as running:
        await until(lambda: running.status().connected)
        await say(server, replay(3, 9))
        await until(lambda: listener.heard == [("replay", 3, 9)])


async def test_words_to_others_are_no_reason_to_write(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    kept = tmp_path / "feedback.json"
    async with feedback(tmp_path, listener, broker.url) as running:
        await until(lambda: running.status().connected)
        await say(server, replay(1, 2))
        await until(lambda: len(listener.heard) == 1)
        await until(kept.exists)
        before = kept.read_bytes()
        await say(server, {**replay(5, 6), "node": "another"}, {**profile("usual"), "node": "*"})
        await until(lambda: running.status().messages.get("profile") == 1)
        assert kept.read_bytes() == before
    assert listener.heard == [("replay", 1, 2)]


async def test_a_disk_that_refuses_is_met_with_the_same_words_again(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    async with feedback(tmp_path, listener, broker.url) as running:
        await until(lambda: running.status().connected)
        listener.refusals = [OutboxError("outbox.db cannot grow: the disk is full")]
        await say(server, replay(3, 9))
        await until(lambda: listener.heard == [("replay", 3, 9)])
        listener.refusals = [OutboxError("outbox.db cannot grow: the disk is full")]
        await server.hset(RECEIPTS, "xihu-07", 9)
        await until(lambda: running.status().receipted == 9)


async def test_no_defect_ends_the_listening(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with feedback(tmp_path, listener, broker.url) as running:
            await until(lambda: running.status().connected)
            listener.refusals = [ZeroDivisionError("a defect"), ZeroDivisionError("a defect")]
            await say(server, verdict())
            await until(lambda: len(listener.heard) == 1)
            await until(lambda: running.status().connected)
    assert len([entry for entry in logs if entry.get("exc_info")]) == 2


async def test_a_server_that_is_away_is_waited_for(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, listener: Listener
) -> None:
    with EmbeddedBroker(tmp_path_factory.mktemp("other"), port=0) as other:
        async with feedback(tmp_path, listener, other.url) as running:
            await until(lambda: running.status().connected)
            await asyncio.to_thread(other._end)
            await until(lambda: not running.status().connected)
            assert running.status().last_error == f"{other.display_url} cannot be reached"
            await asyncio.to_thread(other.restart)
            await until(lambda: running.status().connected)


async def test_a_user_who_may_only_write_is_told_the_cure_once(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    rights = (">secret", "resetkeys", "resetchannels", "-@all", "+xadd", "+auth", "+ping")
    await server.execute_command("ACL", "SETUSER", "edge-2", "on", *rights)
    url = broker.display_url.replace("://", "://edge-2:secret@")
    hands = Hands()
    with structlog.testing.capture_logs() as logs:
        async with feedback(tmp_path, listener, url, clock=hands) as running:
            await until(lambda: "forbids" in (running.status().last_error or ""))
            await server.hset(RECEIPTS, "xihu-07", 9)
            hands.seconds += 61
            await until(lambda: running._again_s.get("feedback", 0.0) > 61)
            assert not running.status().connected
            # the cure, as it was told, one key after the other
            cures = [entry["cure"] for entry in logs if "cure" in entry]
            assert len(cures) == 2
            for cure in cures:
                await server.execute_command(*cure.replace("<user>", "edge-2").split())
                hands.seconds += 61
            await until(lambda: running.status().connected)
            await until(lambda: running.status().receipted == 9)
    assert "secret" not in str(logs)


async def test_the_documented_rights_suffice(
    tmp_path: Path, broker: EmbeddedBroker, server: Any, listener: Listener
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text("utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith("ACL SETUSER"))
    await server.execute_command(*line.replace("node-1", "edge-3").split())
    password = next(word for word in line.split() if word.startswith(">"))[1:]
    await say(server, verdict())
    await server.hset(RECEIPTS, "xihu-07", 9)
    async with feedback(
        tmp_path, listener, broker.display_url.replace("://", f"://edge-3:{password}@")
    ) as running:
        await until(lambda: running.status().connected)
        await until(lambda: len(listener.heard) == 2)


async def test_it_stops_while_it_waits(tmp_path: Path, broker: EmbeddedBroker, listener: Listener) -> None:
    patient = FeedbackOptions(poll_s=1000.0)
    running = feedback(tmp_path, listener, broker.url, patient)
    await running.stop()
    running = feedback(tmp_path, listener, broker.url, patient)
    running.start()
    with pytest.raises(RuntimeError, match="started before"):
        running.start()
    await until(lambda: running.status().connected)
    async with asyncio.timeout(20):
        await running.stop()
        await running.stop()
