"""The centre's door to Redis, against a real server."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from api.center.entries import Entry, NoGroupError, Refused, StreamAwayError, StreamFullError
from api.center.stream import KEPT_ENTRIES, SPARE_BYTES, DistrictStream
from edge.broker import EmbeddedBroker
from edge.envelope import MAX_BYTES
from tests.support.center_service import DEAD, DISTRICT, EVENTS, FEEDBACK, QUARANTINE, RECEIPTS
from tests.support.valkey_group import cluster, free_ports, replicated, until


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("valkey"), port=0) as running:
        yield running


@pytest.fixture
def client(broker: EmbeddedBroker) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(broker.url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def stream(broker: EmbeddedBroker, client: "redis.Redis") -> Iterator[DistrictStream]:
    made = DistrictStream(broker.url, DISTRICT, "center-0")
    made.ensure_group()
    yield made
    made.close()
    made.close()


def fill(client: "redis.Redis", count: int) -> list[str]:
    return [client.xadd(EVENTS, {"ce": f"{n}", "sig": "s", "key": "k"}).decode() for n in range(count)]


def test_events_from_the_first_on_each_once(client: "redis.Redis", stream: DistrictStream) -> None:
    ids = fill(client, 5)
    first = stream.fresh(3, 1.0)
    assert first[0] == Entry(ids[0], b"0", b"s", "k")
    assert [entry.id for entry in first + stream.fresh(3, 1.0)] == ids
    assert stream.fresh(3, 0.01) == []
    assert [entry.id for entry in stream.own("0", 10)] == ids
    assert [entry.id for entry in stream.own(ids[3], 10)] == ids[4:]
    stream.acknowledge(ids[:4])
    stream.acknowledge([])
    assert [entry.id for entry in stream.own("0", 10)] == ids[4:]


def test_a_group_made_twice_and_one_that_is_gone(client: "redis.Redis", stream: DistrictStream) -> None:
    stream.ensure_group()
    client.flushall()
    with pytest.raises(NoGroupError):
        stream.fresh(1, 0.01)
    fill(client, 1)
    stream.ensure_group()
    assert len(stream.fresh(9, 0.01)) == 1, "what came before the group was made anew is not lost"


def test_what_another_left_lying_is_taken_over(
    broker: EmbeddedBroker, client: "redis.Redis", stream: DistrictStream
) -> None:
    ids = fill(client, 250)
    other = DistrictStream(broker.url, DISTRICT, "center-1")
    assert len(other.fresh(250, 1.0)) == 250
    other.close()
    assert stream.claim(60.0) == ([], 0)
    taken: list[str] = []
    while entries := stream.claim(0.0)[0]:
        taken += [entry.id for entry in entries]
        stream.acknowledge([entry.id for entry in entries])
    assert taken == ids


def test_trimmed_entries_are_told(client: "redis.Redis", stream: DistrictStream) -> None:
    ids = fill(client, 4)
    stream.fresh(4, 1.0)
    client.xtrim(EVENTS, minid=ids[2], approximate=False)
    own = stream.own("0", 10)
    assert [(entry.id, entry.trimmed) for entry in own] == [
        (ids[0], True),
        (ids[1], True),
        (ids[2], False),
        (ids[3], False),
    ]
    entries, trimmed = stream.claim(0.0)
    assert ([entry.id for entry in entries], trimmed) == (ids[2:], 2)


def test_odd_entries(client: "redis.Redis", stream: DistrictStream) -> None:
    client.xadd(EVENTS, {"other": "1"})
    client.xadd(EVENTS, {"ce": b"\xff\x00", "sig": b"\xfe", "key": b"\xfd"})
    odd, raw = stream.fresh(2, 1.0)
    assert (odd.body, odd.signature, odd.key, odd.trimmed) == (None, None, None, False)
    assert (raw.body, raw.signature, raw.key) == (b"\xff\x00", b"\xfe", "\ufffd")


def test_quarantine_and_dead_letters(client: "redis.Redis", stream: DistrictStream) -> None:
    fill(client, 4)
    entries = stream.fresh(4, 1.0)
    large = Entry(entries[1].id, b"x" * (MAX_BYTES + 5), b"y" * 9999, "k" * 9999)
    stream.quarantine(
        [
            Refused(entries[0], "unsigned", "carries no signature"),
            Refused(large, "too_large"),
            Refused(Entry(entries[2].id, None), "malformed"),
        ]
    )
    stream.quarantine([])
    stream.bury(entries[3], "cannot be", 6)
    assert stream.own("0", 9) == []
    (_, third), (_, second), (_, first) = client.xrevrange(QUARANTINE)
    assert first == {
        b"ce": b"0",
        b"sig": b"s",
        b"key": b"k",
        b"reason": b"unsigned",
        b"detail": b"carries no signature",
        b"entry": entries[0].id.encode(),
    }
    assert (len(second[b"ce"]), second[b"bytes"]) == (4096, str(MAX_BYTES + 5).encode())
    assert (len(second[b"sig"]), len(second[b"key"])) == (256, 256)
    assert third[b"ce"] == b""
    kept = stream.quarantined(2)
    assert [entry.fields["reason"] for entry in kept] == ["malformed", "too_large"]
    assert [e.fields["reason"] for e in stream.quarantined(2, kept[-1].id)] == ["unsigned"]
    (dead,) = stream.dead_letters(10)
    why = {"reason": "cannot be", "entry": entries[3].id, "deliveries": "6"}
    # signed as it came: it can be put back
    assert dead.fields == {"ce": "3", "sig": "s", "key": "k", **why}
    assert client.xlen(DEAD) == 1
    assert KEPT_ENTRIES == 10_000


def test_receipts_and_words(client: "redis.Redis", stream: DistrictStream) -> None:
    stream.receipt({"a": 5, "b": 7})
    stream.receipt({"a": 6})
    stream.receipt({})
    assert client.hgetall(RECEIPTS) == {b"a": b"6", b"b": b"7"}
    assert stream.receipts_held() == 2
    stream.tell(['{"kind":"a"}', '{"kind":"b"}'])
    stream.tell([])
    assert [fields for _, fields in client.xrange(FEEDBACK)] == [
        {b"m": b'{"kind":"a"}'},
        {b"m": b'{"kind":"b"}'},
    ]


def test_queues(client: "redis.Redis", stream: DistrictStream) -> None:
    assert stream.queues().length == 0
    fill(client, 5)
    stream.acknowledge([stream.fresh(1, 1.0)[0].id])
    entry = stream.fresh(1, 1.0)[0]
    stream.quarantine([Refused(entry, "unsigned")])
    stream.fresh(1, 1.0)
    found = stream.queues()
    assert (found.length, found.lag, found.pending, found.dead, found.quarantined) == (5, 2, 1, 0, 1)
    client.flushall()
    assert stream.queues().pending == 0


def test_room_is_made_of_what_is_stored_only(client: "redis.Redis", stream: DistrictStream) -> None:
    ids = fill(client, 6)
    stream.fresh(4, 1.0)
    stream.acknowledge(ids[:2])
    assert stream.make_room() == 2
    stream.acknowledge(ids[2:4])
    assert stream.make_room() == 1
    assert [entry.id for entry in stream.fresh(9, 1.0)] == ids[4:]


def test_a_server_that_is_away_is_not_relieved(
    stream: DistrictStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> int:
        raise StreamAwayError("gone")

    monkeypatch.setattr(stream, "make_room", away)
    stream.relieve()


def test_room_is_made_of_old_refusals_where_nothing_is_stored(
    client: "redis.Redis", stream: DistrictStream
) -> None:
    ids = fill(client, 10)
    stream.quarantine([Refused(entry, "unsigned") for entry in stream.fresh(5, 1.0)])
    # what was read and not stored keeps all that came behind it
    stream.fresh(1, 1.0)
    assert stream.make_room() == 5
    assert [stream.make_room() for _ in range(4)] == [3, 1, 1, 0]
    assert client.xlen(EVENTS) == len(ids) - 5


@contextmanager
def out_of_memory(client: "redis.Redis") -> Iterator[None]:
    client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("more", "1")
        yield
    finally:
        client.config_set("maxmemory", 0)


def test_a_full_server_is_begun_with(client: "redis.Redis", stream: DistrictStream) -> None:
    fill(client, 3)
    with out_of_memory(client):
        stream.ensure_group()
        assert len(stream.fresh(9, 1.0)) == 3


def test_a_full_server_without_a_group_gives_way(client: "redis.Redis", stream: DistrictStream) -> None:
    client.xgroup_destroy(EVENTS, "center")
    ids = fill(client, 400)
    client.xadd(QUARANTINE, {"ce": "x"})
    with out_of_memory(client):
        with pytest.raises(StreamFullError):
            stream.ensure_group()
        assert [stream.make_room() for _ in range(3)] == [1, 100, 100]
    stream.ensure_group()
    assert [entry.id for entry in stream.fresh(999, 1.0)] == ids[200:]


def test_a_full_server_takes_reads_and_gives_room(client: "redis.Redis", stream: DistrictStream) -> None:
    fill(client, 200)
    used = client.info("memory")["used_memory"]
    client.config_set("maxmemory", used // 2)
    try:
        with pytest.raises(StreamFullError):
            stream.receipt({"a": 1})
        with pytest.raises(StreamFullError):
            stream.tell(["{}"])
        with pytest.raises(StreamFullError):
            stream.quarantine([Refused(Entry("1-1", b"x"), "unsigned")])
        entries = stream.fresh(200, 0.1)
        stream.acknowledge([entry.id for entry in entries])
        assert stream.make_room() == 199
    finally:
        client.config_set("maxmemory", 0)
    stream.receipt({"a": 1})


def test_spare_room_is_kept_before_a_server_is_full(client: "redis.Redis", stream: DistrictStream) -> None:
    ids = fill(client, 200)
    stream.fresh(150, 0.1)
    stream.acknowledge(ids[:100])
    assert stream.keep_spare() == 0  # no limit, nothing to keep away from
    used = client.info("memory")["used_memory"]
    try:
        client.config_set("maxmemory", used + SPARE_BYTES + 2**20)
        assert stream.keep_spare() == 0
        client.config_set("maxmemory", used + 4096)  # full to a node's batch, and to nobody's small writes
        stream.receipt({"a": 1})
        assert stream.keep_spare() == 100
    finally:
        client.config_set("maxmemory", 0)
    assert client.xlen(EVENTS) == 100


def test_a_server_that_does_not_tell_its_memory_is_left_alone(
    client: "redis.Redis", stream: DistrictStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise redis.exceptions.NoPermissionError("no permissions to run the 'info' command")

    monkeypatch.setattr(redis.Redis, "info", forbidden)
    assert stream.keep_spare() == 0


def test_a_replica_is_told(broker: EmbeddedBroker, client: "redis.Redis", stream: DistrictStream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        client.replicaof("127.0.0.1", nobody.getsockname()[1])
        try:
            with pytest.raises(StreamAwayError, match=r"only reads|refuses|loading"):
                stream.receipt({"a": 1})
        finally:
            client.replicaof("NO", "ONE")
    stream.receipt({"a": 1})


def test_a_frozen_server_is_given_up_in_time(broker: EmbeddedBroker) -> None:
    stream = DistrictStream(broker.url, DISTRICT, "center-0", timeout_s=0.2)
    stream.ensure_group()
    pid = broker.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StreamAwayError, match="does not answer"):
            stream.ping()
        with pytest.raises(StreamAwayError):
            stream.fresh(1, 0.05)
    finally:
        os.kill(pid, signal.SIGCONT)
    stream.ping()
    stream.close()


def test_errors_tell_the_address_and_no_password(broker: EmbeddedBroker) -> None:
    wrong = DistrictStream(broker.url.replace("redis://:", "redis://:x"), DISTRICT, "center-0")
    with pytest.raises(StreamAwayError, match="user name or password") as caught:
        wrong.ping()
    assert str(caught.value).startswith(broker.display_url)
    assert wrong.display_url == broker.display_url
    nowhere = DistrictStream("redis://u:hunter2@127.0.0.1:9/3", DISTRICT, "center-0")
    with pytest.raises(StreamAwayError, match="cannot be reached") as caught:
        nowhere.ping()
    assert "hunter2" not in str(caught.value)
    assert nowhere.display_url == "redis://127.0.0.1:9/3"
    assert DistrictStream("unix:///run/x.sock", DISTRICT, "c").display_url == "unix:///run/x.sock"
    assert DistrictStream("rediss://h", DISTRICT, "c").display_url == "rediss://h:6379/0"
    with pytest.raises(StreamAwayError, match="malformed"):
        DistrictStream("redis://u:hun/ter2@h", DISTRICT, "c")


def test_a_user_without_the_right_is_told(broker: EmbeddedBroker, client: "redis.Redis") -> None:
    client.acl_setuser(
        "reader", enabled=True, passwords=["+pw"], categories=["-@all"], commands=["+ping", "+auth"]
    )
    url = broker.display_url.replace("redis://", "redis://reader:pw@")
    limited = DistrictStream(url, DISTRICT, "c")
    limited.ping()
    with pytest.raises(StreamAwayError, match="ACL"):
        limited.ensure_group()


def test_several_threads_share_it(client: "redis.Redis", stream: DistrictStream) -> None:
    fill(client, 400)
    seen: list[str] = []
    lock = threading.Lock()

    def read() -> None:
        while entries := stream.fresh(10, 0.01):
            with lock:
                seen.extend(entry.id for entry in entries)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(seen) == len(set(seen)) == 400


def test_sentinels_lead_to_the_master_and_after_a_failover_to_the_new_one(tmp_path: Path) -> None:
    with replicated(tmp_path, "secret") as (master, replica, sentinel):
        hosts = f"127.0.0.1:{free_ports(1)[0]},127.0.0.1:{sentinel.port}"
        stream = DistrictStream(f"redis+sentinel://:secret@{hosts}/district", DISTRICT, "c", timeout_s=1.0)
        assert "secret" not in stream.display_url
        stream.ensure_group()
        fill(master.admin, 3)
        assert len(stream.fresh(9, 0.1)) == 3
        until(lambda: replica.admin.xlen(EVENTS) == 3)
        master.kill()
        until(lambda: replica.admin.info("replication")["role"] == "master")

        def again() -> bool:
            try:
                return len(stream.own("0", 9)) == 3
            except StreamAwayError:
                return False

        until(again)
        stream.close()


def test_a_group_that_nobody_knows(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    for url, words in (
        (f"redis+sentinel://127.0.0.1:{port}/district", "no sentinel knows the master of district"),
        (f"redis+cluster://127.0.0.1:{port}", "no node holds the stream"),
    ):
        stream = DistrictStream(url, DISTRICT, "c", timeout_s=0.2)
        with pytest.raises(StreamAwayError, match=words):
            stream.ping()
        stream.close()


def test_a_cluster_leads_to_the_owner_of_the_slot(tmp_path: Path) -> None:
    with cluster(tmp_path) as (first, second):
        for node in (first, second):
            stream = DistrictStream(f"redis+cluster://127.0.0.1:{node.port}", DISTRICT, "c")
            stream.ensure_group()
            stream.receipt({"a": 1})
            stream.tell(["{}"])
            assert stream.queues().length == 0
            assert stream.fresh(1, 0.01) == []
            stream.close()
