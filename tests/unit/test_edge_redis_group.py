"""Publishing and reading through sentinels and clusters, while masters die and slots move."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import PublishError
from edge.events import stream_key
from edge.feedback import receipts_key
from edge.outbox import Outbox
from edge.publisher import Destination, Publisher, PublisherOptions
from edge.redis_link import RedisLink, RefusedError
from tests.support.delivery import DISTRICT, draft, until
from tests.support.valkey_group import HOST, Server, cluster, free_ports, node_id, replicated, slot_of

pytestmark = pytest.mark.asyncio

KEY = stream_key(DISTRICT)
SWIFT = PublisherOptions(timeout_s=2.0, retry_s=0.02, retry_cap_s=0.2, ping_s=1000.0)
ENTRY = {b"ce": b"{}"}
NODE_RIGHTS = (
    *(f"%W~{KEY}", f"%R~{receipts_key(DISTRICT)}", "resetchannels", "-@all"),
    *("+xadd", "+hget", "+xread", "+auth", "+hello", "+ping"),
)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db", 2**30) as opened:
        yield opened


def publisher(outbox: Outbox, url: str) -> Publisher:
    return Publisher(outbox, Destination(url, DISTRICT, 100_000), SWIFT)


def sequences(server: Server) -> list[int]:
    return [int(json.loads(fields[b"ce"])["sequence"]) for _, fields in server.admin.xrange(KEY)]


# Sentinels


async def test_events_follow_the_sentinels_master(outbox: Outbox, tmp_path: Path) -> None:
    with replicated(tmp_path / "group", "secret") as (master, replica, sentinel):
        nobody = free_ports(1)[0]
        url = f"redis+sentinel://:secret@{HOST}:{nobody},{HOST}:{sentinel.port}/district"
        async with publisher(outbox, url) as running:
            outbox.append([draft(), draft()])
            await until(lambda: running.status().published == 2)
            assert sequences(master) == [1, 2]
            # the replica has them before its master dies
            await until(lambda: sequences(replica) == [1, 2])
            await asyncio.to_thread(master.kill)
            outbox.append([draft(), draft()])
            await until(lambda: running.status().published == 4)
            assert running.status().failures > 0
            assert outbox.counts().pending == 0
        assert sequences(replica) == [1, 2, 3, 4]
        assert running.display_url == f"redis+sentinel://{HOST}:{nobody},{HOST}:{sentinel.port}/district/0"


async def test_a_sentinel_that_asks_for_a_password_gets_the_url_s(tmp_path: Path) -> None:
    with replicated(tmp_path / "group", *(2 * ["secret"])) as (_, _, sentinel):
        link = RedisLink(f"redis+sentinel://:secret@{HOST}:{sentinel.port}/district", 2.0)
        assert await link.append(KEY, [ENTRY], 1000) == ([0], None)
        await link.close()
        wrong = RedisLink(f"redis+sentinel://:hush@{HOST}:{sentinel.port}/district", 2.0)
        with pytest.raises(PublishError, match="no sentinel answers") as caught:
            await wrong.ping()
        assert "hush" not in str(caught.value)
        stranger = RedisLink(f"redis+sentinel://:secret@{HOST}:{sentinel.port}/elsewhere", 2.0)
        with pytest.raises(PublishError, match="knows no master named 'elsewhere'"):
            await stranger.ping()


async def test_a_master_that_became_a_replica_is_looked_up_again(tmp_path: Path) -> None:
    with replicated(tmp_path / "group", "secret") as (master, replica, sentinel):
        link = RedisLink(f"redis+sentinel://:secret@{HOST}:{sentinel.port}/district", 2.0)
        assert await link.append(KEY, [ENTRY], 1000) == ([0], None)
        for words in (
            ("REMOVE", "district"),
            ("MONITOR", "district", HOST, replica.port, 1),
            ("SET", "district", "auth-pass", "secret"),
        ):
            sentinel.admin.execute_command("SENTINEL", *words)
        replica.admin.replicaof("NO", "ONE")
        master.admin.replicaof(HOST, replica.port)
        stored, trouble = await link.append(KEY, [ENTRY], 1000)
        if trouble is not None:  # the old connection may live on: it is told, and the next use looks again
            assert not stored
            assert "secret" not in str(trouble)
            assert await link.append(KEY, [ENTRY], 1000) == ([0], None)
        assert replica.admin.xlen(KEY) == 2
        await link.close()


async def test_sentinels_that_are_away_are_told_without_the_password() -> None:
    first, second = free_ports(2)
    link = RedisLink(f"redis+sentinel://node:hush@{HOST}:{first},{HOST}:{second}/district", 2.0)
    stored, trouble = await link.append(KEY, [ENTRY], 1000)
    assert stored == []
    assert str(trouble) == f"redis+sentinel://{HOST}:{first},{HOST}:{second}/district/0: no sentinel answers"


# A cluster


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        for node in running:
            node.admin.execute_command("ACL", "SETUSER", "edge-1", "on", ">secret", *NODE_RIGHTS)
        yield running


def owner_first(nodes: tuple[Server, Server]) -> tuple[Server, Server]:
    """The owner of the stream's slot, and the other one."""
    slot = slot_of(nodes[0], KEY)
    for first, last, master, *_ in nodes[0].admin.execute_command("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return nodes if master[1] == nodes[0].port else (nodes[1], nodes[0])
    raise AssertionError("nobody owns the slot")


async def test_a_node_s_own_rights_suffice_to_find_the_slot(
    nodes: tuple[Server, Server], outbox: Outbox
) -> None:
    owner, other = owner_first(nodes)
    owner.admin.delete(KEY)
    nobody = free_ports(1)[0]
    url = f"redis+cluster://edge-1:secret@{HOST}:{nobody},{HOST}:{other.port},{HOST}:{owner.port}"
    async with publisher(outbox, url) as running:
        outbox.append([draft() for _ in range(600)])
        await until(lambda: running.status().published == 600)
        assert running.status().failures == 0
    assert sequences(owner) == list(range(1, 601))
    link = RedisLink(url, 2.0)
    owner.admin.hset(receipts_key(DISTRICT), "xihu-07", "600")
    assert await link.field(receipts_key(DISTRICT), "xihu-07") == b"600"
    await link.close()


async def test_events_follow_a_slot_that_moves(nodes: tuple[Server, Server], outbox: Outbox) -> None:
    owner, other = owner_first(nodes)
    owner.admin.delete(KEY)
    slot = slot_of(owner, KEY)
    url = f"redis+cluster://{HOST}:{owner.port},{HOST}:{other.port}"
    async with publisher(outbox, url) as running:
        outbox.append([draft()])
        await until(lambda: running.status().published == 1)
        move(owner, other, slot, begin=True)
        outbox.append([draft()])
        await until(lambda: running.status().published == 2)
        move_keys(owner, other, slot)
        # the stream is with the other node by now, and the slot still on its way: ASK
        outbox.append([draft(), draft()])
        await until(lambda: running.status().published == 4)
        assert sequences_while_moving(other) == [1, 2, 3, 4]
        move(owner, other, slot, begin=False)
        outbox.append([draft()])
        await until(lambda: running.status().published == 5)
        assert running.status().failures == 0
    assert sequences(other) == [1, 2, 3, 4, 5]
    # whoever connects anew is sent there by the former owner: MOVED
    async with publisher(outbox, url) as running:
        outbox.append([draft()])
        await until(lambda: running.status().published == 1)
        assert running.status().failures == 0
    assert sequences(other)[-1] == 6
    link = RedisLink(url, 2.0)
    assert [json.loads(entry.body or b"")["sequence"][-1] for entry in await link.newest(KEY, 2)] == [
        "5",
        "6",
    ]
    await link.close()


async def test_reading_follows_a_slot_that_moves(nodes: tuple[Server, Server]) -> None:
    owner, other = owner_first(nodes)
    slot, key = slot_of(owner, KEY), receipts_key(DISTRICT)
    owner.admin.hset(key, "xihu-07", "7")
    link = RedisLink(f"redis+cluster://{HOST}:{owner.port}", 2.0)
    assert await link.field(key, "xihu-07") == b"7"
    move(owner, other, slot, begin=True)
    move_keys(owner, other, slot)
    assert await link.field(key, "xihu-07") == b"7"
    move(owner, other, slot, begin=False)
    assert await link.field(key, "xihu-07") == b"7"
    await link.close()


async def test_without_the_right_to_ask_events_wait_until_the_slot_has_moved(
    nodes: tuple[Server, Server], outbox: Outbox
) -> None:
    owner, other = owner_first(nodes)
    owner.admin.delete(KEY)
    owner.admin.xadd(KEY, {"ce": '{"sequence": "0"}'})
    slot = slot_of(owner, KEY)
    move(owner, other, slot, begin=True)
    move_keys(owner, other, slot)
    outbox.append([draft()])
    async with publisher(outbox, f"redis+cluster://edge-1:secret@{HOST}:{owner.port}") as running:
        await until(lambda: running.status().failures > 1)
        assert "forbids this user" in (running.status().last_error or "")
        assert f"(now {HOST}:{other.port})" in (running.status().last_error or "")
        move(owner, other, slot, begin=False)
        await until(lambda: running.status().published == 1)
    assert sequences(other) == [0, 1]


async def test_a_node_of_a_cluster_named_alone_says_what_to_write(nodes: tuple[Server, Server]) -> None:
    _, other = owner_first(nodes)
    link = RedisLink(f"redis://{HOST}:{other.port}", 2.0)
    _, trouble = await link.append(KEY, [ENTRY], 1000)
    assert isinstance(trouble, RefusedError)
    assert "write redis+cluster://" in str(trouble)
    await link.close()


async def test_a_cluster_that_is_away_is_told_without_the_password() -> None:
    first, second = free_ports(2)
    link = RedisLink(f"redis+cluster://node:hush@{HOST}:{first},{HOST}:{second}", 2.0)
    for _ in range(2):
        _, trouble = await link.append(KEY, [ENTRY], 1000)
        assert "cannot be reached" in str(trouble)
        assert "hush" not in str(trouble)


async def test_a_wrong_password_is_not_tried_on_every_node(nodes: tuple[Server, Server]) -> None:
    link = RedisLink(f"redis+cluster://edge-1:hush@{HOST}:{nodes[0].port},{HOST}:{nodes[1].port}", 2.0)
    with pytest.raises(RefusedError, match="user name or password") as caught:
        await link.ping()
    assert "hush" not in str(caught.value)


def move(owner: Server, other: Server, slot: int, *, begin: bool) -> None:
    if begin:
        other.admin.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(owner))
        owner.admin.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(other))
        return
    for server in (other, owner):
        server.admin.execute_command("CLUSTER", "SETSLOT", slot, "NODE", node_id(other))


def move_keys(owner: Server, other: Server, slot: int) -> None:
    keys = owner.admin.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
    owner.admin.execute_command("MIGRATE", HOST, other.port, "", 0, 5000, "KEYS", *keys)


def sequences_while_moving(server: Server) -> list[int]:
    with server.admin.pipeline(transaction=False) as pipe:
        pipe.execute_command("ASKING")
        pipe.xrange(KEY)
        entries: Any = pipe.execute()[-1]
    return [int(json.loads(fields[b"ce"])["sequence"]) for _, fields in entries]
