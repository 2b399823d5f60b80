"""What was put aside comes back; and all that a centre does, with no more rights than the documents name."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from api.center.config import load_center
from api.center.entries import Entry, Refused, StreamAwayError
from api.center.opening import keyring, open_store
from api.center.stream import DistrictStream
from api.center.tender import Tender
from api.center.worker import Worker, WorkerOptions
from api.cli import app
from edge.broker import EmbeddedBroker
from edge.signing import verify
from tests.support.center_service import (
    DEAD,
    DISTRICT,
    EVENTS,
    FEEDBACK,
    QUARANTINE,
    RECEIPTS,
    Producer,
    valkey,
    write_config,
)
from tests.support.valkey_group import until

GUIDE = Path(__file__).parents[2] / "docs" / "center.md"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with valkey(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def client(broker: EmbeddedBroker) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(broker.url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def limited(broker: EmbeddedBroker, client: "redis.Redis") -> Iterator[str]:
    """URL of a user with the rights of the documents' example, word for word."""
    (line,) = (line for line in GUIDE.read_text("utf-8").splitlines() if line.startswith("ACL SETUSER"))
    client.execute_command(*line.replace("360103", DISTRICT).split())
    yield broker.display_url.replace("redis://", "redis://center:PASSWORD@")
    client.acl_deluser("center")


def fields_in(client: "redis.Redis", key: str) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in client.xrange(key)]


def test_all_is_put_back_as_it_came(broker: EmbeddedBroker, client: "redis.Redis", tmp_path: Path) -> None:
    node = Producer.make(tmp_path)
    sent = [node.signed(node.event()) for _ in range(250)]
    for fields in sent:
        client.xadd(EVENTS, fields)
    stream = DistrictStream(broker.url, DISTRICT, "center-0")
    stream.ensure_group()
    entries = stream.fresh(250, 1.0)
    stream.quarantine([Refused(entry, "wrong_key", "by whomever") for entry in entries[:120]])
    stream.quarantine(
        [Refused(Entry("1-1", b"x" * 5000), "malformed"), Refused(Entry("1-2", b""), "malformed")]
    )
    for entry in entries[120:]:
        stream.bury(entry, "cannot be", 6)
    client.xtrim(EVENTS, maxlen=0, approximate=False)
    assert stream.redrive("dead") == (130, 0)
    assert stream.redrive("quarantine") == (121, 1)
    assert stream.redrive("dead") == (0, 0)
    assert stream.redrive("quarantine") == (0, 1)
    back = fields_in(client, EVENTS)
    assert [{**fields, b"again": b"1"} for fields in sent[120:] + sent[:120]] == back[:250]
    assert (client.xlen(DEAD), client.xlen(QUARANTINE)) == (0, 1)
    assert all(entry.again for entry in stream.fresh(999, 1.0))
    stream.close()


def test_what_was_refused_is_taken_once_its_node_is_admitted(
    broker: EmbeddedBroker, client: "redis.Redis", tmp_path: Path
) -> None:
    config = write_config(tmp_path, broker.url)
    node, stranger = Producer.make(tmp_path), Producer.make(tmp_path, "stranger")
    loaded = load_center(config)
    stream = DistrictStream(broker.url, DISTRICT, "center-0")
    with open_store(loaded) as store:
        worker = Worker(stream, store, lambda: keyring(store, loaded), verify, WorkerOptions())
        stopping = threading.Event()
        runner = threading.Thread(target=worker.run, args=(stopping,))
        runner.start()
        try:
            node.say(client, node.event(), node.event())
            stranger.say(client, stranger.event())
            until(lambda: client.xlen(QUARANTINE) == 3)
            store.admit(node.node, node.public, "test")

            def taken() -> bool:
                # again and again: a worker hears of the new key within half a second
                assert stream.redrive("quarantine")[1] == 0
                return client.hget(RECEIPTS, node.node) == b"2"

            until(taken)
            # the stranger's comes back each time, although the same was refused just now
            until(lambda: client.xlen(QUARANTINE) == 1)
            (kept,) = fields_in(client, QUARANTINE)
            assert kept[b"reason"] == b"unknown_node"
            assert store.ledger(node.node).stored == 2
        finally:
            stopping.set()
            runner.join(20)
            stream.close()


@pytest.mark.parametrize(("option", "left"), [("--dead", (0, 1)), ("--quarantine", (1, 0))])
def test_one_of_them_only(
    broker: EmbeddedBroker, client: "redis.Redis", tmp_path: Path, option: str, left: tuple[int, int]
) -> None:
    for key in (DEAD, QUARANTINE):
        client.xadd(key, {"ce": "{}", "reason": "x"})
    answer = CliRunner().invoke(app, ["center", "redrive", str(write_config(tmp_path, broker.url)), option])
    assert answer.exit_code == 0, answer.output
    assert (client.xlen(DEAD), client.xlen(QUARANTINE)) == left


def test_redis_away_is_told_in_one_line(tmp_path: Path) -> None:
    config = write_config(tmp_path, "redis://127.0.0.1:9/0")
    answer = CliRunner().invoke(app, ["center", "redrive", str(config)])
    assert (answer.exit_code, answer.output.count("\n")) == (1, 1)
    assert "cannot be reached" in answer.output


def test_a_centre_needs_no_more_rights_than_the_documents_name(
    client: "redis.Redis", limited: str, tmp_path: Path
) -> None:
    stream = DistrictStream(limited, DISTRICT, "center-0")
    node = Producer.make(tmp_path)
    stream.ping()
    stream.ensure_group()
    stream.ensure_group()
    node.say(client, *(node.event() for _ in range(4)))
    first, second, third, fourth = stream.fresh(4, 1.0)
    assert stream.own("0", 4) == [first, second, third, fourth]
    assert stream.claim(0.0)[0] == [first, second, third, fourth]
    stream.acknowledge([first.id])
    stream.bury(second, "cannot be", 6)
    stream.quarantine([Refused(third, "unsigned")])
    assert (len(stream.dead_letters(9)), len(stream.quarantined(9))) == (1, 1)
    assert stream.redrive("dead") == stream.redrive("quarantine") == (1, 0)
    stream.receipt({"gate-7": 1})
    assert stream.receipts_held() == 1
    stream.tell(["{}"])
    assert client.xlen(FEEDBACK) == 1
    assert stream.queues().pending == 1
    assert stream.make_room() == 3
    assert stream.make_room() == 0
    client.flushall()
    assert stream.make_room() == 0
    stream.close()
    # and a whole round
    loaded = load_center(write_config(tmp_path, limited))
    with open_store(loaded) as store:
        again = DistrictStream(limited, DISTRICT, "desk")
        Tender(again, store).round()
        again.close()


def test_a_centre_has_no_rights_elsewhere(client: "redis.Redis", limited: str) -> None:
    other = DistrictStream(limited, "999999", "center-0")
    with pytest.raises(StreamAwayError, match="ACL"):
        other.ensure_group()
    other.close()
    with redis.Redis.from_url(limited) as user, pytest.raises(redis.exceptions.NoPermissionError):
        user.delete(EVENTS)
