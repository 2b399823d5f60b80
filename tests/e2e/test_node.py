"""A whole node in this process: real streams, real model, real Valkey; parts of it are taken away."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis

from edge.config import Config
from edge.envelope import stream_key
from edge.runtime import Node

PATIENCE_S = 60


def config(data_dir, **more) -> Config:
    camera = {
        "id": "plaza",
        "source": "sim://plaza?seed=3&scenario=intrusion&size=320x180&fps=10",
        "offline_after_s": 5,
        "zones": [{"id": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
        "rules": [{"kind": "hazard.intrusion", "zone": "all", "min_presence_s": 0.2}],
    }
    return Config.model_validate(
        {"node": {"id": "test", "data_dir": str(data_dir), "heartbeat_s": 1}, "cameras": [camera], **more}
    )


async def until(condition, what: str) -> None:
    """Wait for `what`, a condition that other threads bring about."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - threads bring it about, no task could set an event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def events(node: Node) -> AsyncIterator[list]:
    seen = []

    async def follow() -> None:
        async for event in node.board.subscribe("0"):
            seen.append(event)  # noqa: PERF401 - one by one, as they come

    task = asyncio.create_task(follow())
    try:
        yield seen
    finally:
        task.cancel()


def stored(url: str) -> list[dict]:
    with redis.Redis.from_url(url) as client:
        return [json.loads(fields[b"ce"]) for _, fields in client.xrange(stream_key("000000"))]


async def test_from_camera_to_redis(tmp_path):
    async with Node.open(config(tmp_path)) as node, events(node) as seen:
        await until(lambda: any(e.kind == "node.heartbeat" for e in seen), "heartbeat")
        await until(lambda: node.status().cameras[0].frames["delivered"] > 5, "frames")
        await until(lambda: node.readiness().ready, "ready")
        status, camera = node.status(), node.status().cameras[0]
        assert (camera.state, camera.width, camera.height, camera.codec) == ("up", 320, 180, "h264")
        frames = dict(camera.frames)
        assert frames.pop("decoded") == sum(frames.values())
        assert status.redis.startswith("redis://127.0.0.1")
        body, kind = node.metrics()
        assert b'sharpeyes_stream_up{camera="plaza"} 1.0' in body
        assert kind.startswith("text/plain")
        await until(lambda: node.status().outbox_pending == 0, "published")
        kept = stored(node.redis_url)
    assert [e["sequence"] for e in kept] == [f"{k:020d}" for k in range(1, len(kept) + 1)]


async def test_events_outlive_the_server_and_the_node(tmp_path):
    """Redis is killed, comes back by itself; a second node takes up where the first ended."""
    async with Node.open(config(tmp_path)) as node, events(node) as seen:
        await until(lambda: len(seen) >= 1, "first event")
        os.kill(node._broker.pid, signal.SIGKILL)
        await until(lambda: not node.status().redis_up, "noticed")
        before = len(seen)
        await until(lambda: len(seen) > before, "events go on")
        await until(lambda: node.status().redis_up and node.status().outbox_pending == 0, "back")
    async with Node.open(config(tmp_path)) as node, events(node) as again:
        await until(lambda: len(again) >= 2, "second life")
        await until(lambda: node.status().outbox_pending == 0, "published")
        numbers = {int(event["sequence"]) for event in stored(node.redis_url)}
    assert numbers == set(range(1, max(numbers) + 1))
    assert max(numbers) > len(seen)


async def test_a_camera_that_is_not_there_is_said_to_be_offline(tmp_path):
    gone = {"id": "gone", "source": "rtsp://user:hunter2@127.0.0.1:9/x", "offline_after_s": 1}
    shown = config(tmp_path).model_dump(mode="json")["cameras"][0] | {
        "source": "sim://plaza?size=320x180&fps=5"
    }
    async with Node.open(config(tmp_path, cameras=[gone, shown])) as node, events(node) as seen:
        await until(lambda: any(e.kind == "camera.offline" for e in seen), "offline")
        await until(lambda: node.status().cameras[1].frames["delivered"] > 2, "the other goes on")
        camera = node.status().cameras[0]
        assert camera.state == "retrying"
        assert camera.incidents == ("camera.offline/gone",)
        assert camera.source == "rtsp://***@127.0.0.1:9/x"
        assert node.readiness().ready
        assert any("gone" in text for text in node.readiness().missing)
        told = str(node.status()) + node.metrics()[0].decode() + "".join(e.to_json().decode() for e in seen)
        assert "hunter2" not in told


async def test_one_node_per_data_directory(tmp_path):
    async with Node.open(config(tmp_path)):
        with pytest.raises(Exception, match=r"in use|another node|locked") as caught:
            async with Node.open(config(tmp_path)):
                pass
        assert str(tmp_path) in str(caught.value)


async def test_a_dead_pipeline_ends_the_node(tmp_path):
    async with Node.open(config(tmp_path)) as node:
        node._mailbox.take = lambda timeout_s: 1 / 0
        with pytest.raises(Exception, match="cannot go on: ZeroDivisionError"):
            async with asyncio.timeout(PATIENCE_S):
                await node.failed()


async def test_every_second_is_accounted_for(tmp_path):
    """The last event says what each task saw of the whole run; the cells add up to it."""
    async with Node.open(config(tmp_path)) as node:
        await until(lambda: node.status().cameras[0].frames["delivered"] > 5, "frames")
        assert b'sharpeyes_coverage_seconds_total{camera="plaza",reason=' in node.metrics()[0]
        await until(lambda: node.status().outbox_pending == 0, "published")
    async with Node.open(config(tmp_path)) as node:
        await until(lambda: node.status().redis_up, "up")
        kept = stored(node.redis_url)
    (account,) = [event["data"]["ledger"] for event in kept if event["type"].endswith("node.coverage.v1")]
    (row,) = account["rows"]
    assert row["tasks"] == ["hazard.intrusion/all"]
    assert sum(ms for cells in row["ms"].values() for ms in cells.values()) == account["span_ms"] > 0
