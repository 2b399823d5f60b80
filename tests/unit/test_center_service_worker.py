"""A worker against a stream and a store that misbehave by script."""

import random
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from api.center import entries as entries_module
from api.center import worker as module
from api.center.entries import Entry, NoGroupError, Refusals, Refused, StreamAwayError, StreamFullError
from api.center.errors import PoisonError, StoreAwayError
from api.center.model import Outcome, Received
from api.center.refusal import Keyring
from api.center.stream import DistrictStream
from api.center.worker import Worker, WorkerOptions
from edge.signing import verify
from tests.support.center import incident, open_store, receive
from tests.support.center_service import DEAD, DISTRICT, EVENTS, QUARANTINE, Producer, valkey
from tests.support.valkey_group import until


class ScriptedStream:
    """A group of one consumer; what `fail` names raises, once for each time that it is named."""

    display_url = "redis://test/0"

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self.waiting = list(entries)
        self.pending: dict[str, Entry] = {}
        self.acknowledged: list[str] = []
        self.dead: list[tuple[str, str, int]] = []
        self.refused: list[Refused] = []
        self.receipts: list[dict[str, int]] = []
        self.claimable: list[Entry] = []
        self.trimmed = 0
        self.room_made = 0
        self.fail: dict[str, list[Exception]] = {}
        self.idle: Callable[[], None] = lambda: None

    def _may_fail(self, name: str) -> None:
        if self.fail.get(name):
            raise self.fail[name].pop(0)

    def ensure_group(self) -> None:
        self._may_fail("ensure_group")

    def own(self, after: str, count: int) -> list[Entry]:
        self._may_fail("own")
        return [e for id_, e in sorted(self.pending.items()) if id_ > after or after == "0"][:count]

    def fresh(self, count: int, wait_s: float) -> list[Entry]:
        self._may_fail("fresh")
        found, self.waiting = self.waiting[:count], self.waiting[count:]
        for entry in found:
            self.pending[entry.id] = entry
        if not found:
            self.idle()
        return found

    def claim(self, idle_s: float) -> tuple[list[Entry], int]:
        self._may_fail("claim")
        found, self.claimable = self.claimable, []
        trimmed, self.trimmed = self.trimmed, 0
        for entry in found:
            self.pending[entry.id] = entry
        return found, trimmed

    def acknowledge(self, ids: Sequence[str]) -> None:
        if ids:
            self._may_fail("acknowledge")
        for id_ in ids:
            self.pending.pop(id_, None)
            self.acknowledged.append(id_)

    def bury(self, entry: Entry, reason: str, deliveries: int) -> None:
        self._may_fail("bury")
        self.dead.append((entry.id, reason, deliveries))
        self.acknowledge([entry.id])

    def quarantine(self, refused: Sequence[Refused]) -> None:
        self._may_fail("quarantine")
        self.refused += refused
        self.acknowledge([one.entry.id for one in refused])

    def receipt(self, stored_through: dict[str, int]) -> None:
        self._may_fail("receipt")
        self.receipts.append(dict(stored_through))

    def relieve(self) -> None:
        self.room_made += 1


class ScriptedInbox:
    """Stores once by source and id; before that, does what its script says."""

    def __init__(self, *script: Exception | None, poison: str | None = None) -> None:
        self.script = list(script)
        self.poison = poison
        self.stored: dict[str, int] = {}
        self.batches: list[int] = []
        self.fail_through: list[Exception] = []
        self.asked: list[set[str]] = []
        self.given_up: list[tuple[str, int]] = []

    def give_up(self, node: str, number: int) -> None:
        self.given_up.append((node, number))

    def receive(self, items: Sequence[Received]) -> list[Outcome]:
        step = self.script.pop(0) if self.script else None
        if step is not None:
            raise step
        for index, item in enumerate(items):
            if item.entry == self.poison:
                raise PoisonError(index, "cannot be")
        self.batches.append(len(items))
        outcomes = []
        for item in items:
            outcomes.append(Outcome(item.event.id not in self.stored))
            self.stored[item.event.id] = int(item.event.sequence)
        return outcomes

    def stored_through(self, nodes: Collection[str]) -> dict[str, int]:
        self.asked.append(set(nodes))
        if self.fail_through:
            raise self.fail_through.pop(0)
        return {node: max(self.stored.values(), default=0) for node in nodes}


class ForeseenByNobodyError(Exception):
    """Something nobody foresaw."""


@pytest.fixture
def node(tmp_path: Path) -> Producer:
    return Producer.make(tmp_path)


def entries(node: Producer, count: int, first: int = 1) -> list[Entry]:
    made = []
    for number in range(first, first + count):
        fields = node.signed(node.event())
        made.append(Entry(f"{number}-0", fields[b"ce"], fields[b"sig"], fields[b"key"].decode()))
    return made


def ring(node: Producer) -> Keyring:
    return Keyring({node.signer.key_id: (node.node, node.signer.public)}, frozenset({node.node}))


def run(stream: ScriptedStream, inbox: ScriptedInbox, keyring, **options) -> Worker:
    """Let a worker work until the stream has nothing more to give, three times in a row."""
    options = {"retry_s": 0.001, "retry_cap_s": 0.002, "batch": 4, **options}
    worker = Worker(stream, inbox, keyring, verify, WorkerOptions(**options), random.Random(3))
    stopping = threading.Event()
    rounds = iter(range(3))

    def idle() -> None:
        if next(rounds, None) is None:
            stopping.set()

    stream.idle = idle
    runner = threading.Thread(target=worker.run, args=(stopping,))
    runner.start()
    runner.join(20)
    assert not runner.is_alive(), "the worker does not end"
    return worker


@pytest.fixture(autouse=True)
def _receipts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECEIPTS_S", 0.0)


def test_events_are_stored_acknowledged_and_receipted(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 10)), ScriptedInbox()
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert sorted(inbox.stored.values()) == list(range(1, 11))
    assert inbox.batches == [4, 4, 2]
    assert stream.acknowledged == [f"{n}-0" for n in range(1, 11)]
    assert stream.receipts == [{"gate-7": 4}, {"gate-7": 8}, {"gate-7": 10}]
    # nobody reads the accounts of all nodes for it
    assert inbox.asked == [{"gate-7"}] * 3
    assert (tally.events["stored"], tally.batches, tally.trouble) == (10, 3, None)
    assert set(tally.seconds) == set(module.STAGES)


def test_what_was_pending_comes_first(node: Producer) -> None:
    old, new = entries(node, 2), entries(node, 1, first=3)
    stream, inbox = ScriptedStream(new), ScriptedInbox()
    stream.pending = {entry.id: entry for entry in old}
    run(stream, inbox, lambda: ring(node))
    assert stream.acknowledged == ["1-0", "2-0", "3-0"]


def test_a_lost_acknowledgement_is_repeated_without_a_second_effect(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 3)), ScriptedInbox()
    stream.fail = {"acknowledge": [StreamAwayError("gone")]}
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert stream.acknowledged == ["1-0", "2-0", "3-0"]
    assert (tally.events["stored"], tally.events["duplicate"], tally.redis_failures) == (0, 3, 1)
    assert len(inbox.stored) == 3
    # its node may have missed the receipt
    assert stream.receipts[-1] == {"gate-7": 3}


def test_redis_away_is_waited_for(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 3)), ScriptedInbox()
    stream.fail = {
        "ensure_group": [StreamAwayError("cannot be reached")] * 3,
        "fresh": [NoGroupError("the group is gone")],
        "claim": [StreamAwayError("reset")],
    }
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert len(inbox.stored) == 3
    assert tally.redis_failures == 5
    assert tally.trouble is None


def test_the_database_away_acknowledges_nothing(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 3)), ScriptedInbox(*[StoreAwayError("locked")] * 4)
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert tally.database_failures == 4
    assert (len(inbox.stored), len(stream.acknowledged)) == (3, 3)


def test_a_stop_while_the_database_is_away_leaves_all_pending(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 3)), ScriptedInbox()
    stopping = threading.Event()

    def receive(items: Sequence[Received]) -> list[Outcome]:
        stopping.set()
        raise StoreAwayError("locked")

    inbox.receive = receive
    worker = Worker(stream, inbox, lambda: ring(node), verify)
    worker.run(stopping)
    assert list(stream.pending) == ["1-0", "2-0", "3-0"]
    assert worker.tally().trouble == "locked"


def test_keys_that_cannot_be_looked_up_refuse_nobody(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 3)), ScriptedInbox()
    answers = iter([StoreAwayError("away"), StoreAwayError("away"), ring(node)])

    def keyring() -> Keyring:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    run(stream, inbox, keyring)
    assert stream.refused == []
    assert len(inbox.stored) == 3


def test_refused_entries_go_to_the_quarantine_and_the_others_on(node: Producer) -> None:
    made = entries(node, 5)
    made[1] = Entry("2-0", b"{", made[1].signature, made[1].key)
    made[3] = Entry("4-0", made[3].body, None, None)
    stream, inbox = ScriptedStream(made), ScriptedInbox()
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert [(one.entry.id, one.reason) for one in stream.refused] == [
        ("2-0", "bad_signature"),
        ("4-0", "unsigned"),
    ]
    assert sorted(inbox.stored.values()) == [1, 3, 5]
    assert tally.refused == {"bad_signature": 1, "unsigned": 1}
    assert not stream.pending


def test_what_is_refused_again_and_again_is_kept_once_an_hour(
    node: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now_s[0])
    made = [Entry(f"{n}-0", b"{", b"AAAA", node.signer.key_id) for n in range(1, 8)]
    made.append(Entry("8-0", b"{"))
    stream, inbox = ScriptedStream(made), ScriptedInbox()

    def fresh(count: int, wait_s: float) -> list[Entry]:
        now_s[0] += 1500
        return ScriptedStream.fresh(stream, 1, wait_s)

    stream.fresh = fresh
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert [(one.entry.id, one.reason) for one in stream.refused] == [
        ("1-0", "bad_signature"),
        ("4-0", "bad_signature"),
        ("7-0", "bad_signature"),
        ("8-0", "unsigned"),
    ]
    assert not stream.pending
    assert tally.refused == {"bad_signature": 7, "unsigned": 1}


def test_the_refusals_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries_module, "REFUSALS", 2)
    refusals = Refusals()
    some = [Refused(Entry(f"{n}-0", b"%d" % n), "unsigned") for n in range(3)]
    assert refusals.fresh([*some, *some], 0.0) == some
    refusals.note(some, 0.0)
    assert refusals.fresh(some, 1.0) == some[:1]


def test_a_quarantine_that_is_full_loses_nothing_and_holds_nothing_up(node: Producer) -> None:
    made = entries(node, 5)
    made[0] = Entry("1-0", made[0].body)
    stream, inbox = ScriptedStream(made), ScriptedInbox()
    stream.fail = {"quarantine": [StreamFullError("out of memory")] * 99}
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert stream.room_made == 1
    assert sorted(inbox.stored.values()) == [2, 3, 4, 5]
    assert list(stream.pending) == ["1-0"]
    assert (tally.refused.total(), tally.redis_failures) == (0, 0)
    # it comes again
    stream.fail = {}
    run(stream, inbox, lambda: ring(node))
    assert [one.reason for one in stream.refused] == ["unsigned"]
    assert not stream.pending


def test_dead_letters_that_do_not_fit_hold_nothing_up(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 5)), ScriptedInbox(poison="1-0")
    run(stream, inbox, lambda: ring(node))
    stream.fail = {"bury": [StreamFullError("full")] * 99, "fresh": [StreamAwayError("gone")] * 9}
    run(stream, inbox, lambda: ring(node))
    assert sorted(inbox.stored.values()) == [2, 3, 4, 5]
    assert (list(stream.pending), inbox.given_up) == (["1-0"], [])
    assert stream.room_made > 0


@contextmanager
def working(worker: Worker) -> Iterator[None]:
    """Let a worker work beside the test."""
    stopping = threading.Event()
    runner = threading.Thread(target=worker.run, args=(stopping,))
    runner.start()
    try:
        yield
    finally:
        stopping.set()
        runner.join(20)


def test_a_full_server_takes_what_is_good(
    tmp_path: Path, node: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey(tmp_path) as broker, redis.Redis.from_url(broker.url) as client:
        stream = DistrictStream(broker.url, DISTRICT, "center-0")
        stream.ensure_group()
        for number in range(40):
            client.xadd(EVENTS, {"ce": b"%500d" % number} if number % 2 else node.signed(node.event()))
        client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
        monkeypatch.setattr(stream, "make_room", lambda: 0)
        inbox, options = ScriptedInbox(), WorkerOptions(batch=8)
        with working(Worker(stream, inbox, lambda: ring(node), verify, options)):
            until(lambda: len(inbox.stored) == 20 and client.xpending(EVENTS, "center")["pending"] == 20)
        client.config_set("maxmemory", 0)
        with working(Worker(stream, inbox, lambda: ring(node), verify, options)):
            until(lambda: client.xpending(EVENTS, "center")["pending"] == 0)
        assert client.xlen(QUARANTINE) == 20
        stream.close()


def test_a_key_admitted_meanwhile_is_found(node: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEYS_AGAIN_S", 0.0)
    rings = iter([Keyring({})])
    stream, inbox = ScriptedStream(entries(node, 1)), ScriptedInbox()
    run(stream, inbox, lambda: next(rings, ring(node)))
    assert len(inbox.stored) == 1


def test_poison_is_left_out_and_buried_after_too_many_tries(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 3)), ScriptedInbox(poison="2-0")
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert sorted(inbox.stored.values()) == [1, 3]
    assert list(stream.pending) == ["2-0"]
    assert tally.events["poison"] == 1
    # it comes again with each lost connection, as often as it may
    stream.fail = {"fresh": [StreamAwayError("gone")] * 9}
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert stream.dead == [("2-0", "cannot be", 6)]
    assert inbox.given_up == [("gate-7", 2)]
    assert (tally.events["poison"], tally.events["dead"]) == (6, 1)


def test_lost_connections_are_no_failures_of_an_event(
    tmp_path: Path, node: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey(tmp_path) as broker, redis.Redis.from_url(broker.url) as client:
        stream = DistrictStream(broker.url, DISTRICT, "center-0")
        stream.ensure_group()
        node.say(client, node.event())
        # delivered, and delivered, while the connection comes and goes
        (entry,) = stream.fresh(1, 1.0)
        for _ in range(9):
            assert stream.own("0", 1) == [entry]
        monkeypatch.setattr(stream, "claim", lambda _: DistrictStream.claim(stream, 0.0))
        inbox = ScriptedInbox(PoisonError(0, "just once"))
        options = WorkerOptions(claim_idle_s=0.0)
        with working(Worker(stream, inbox, lambda: ring(node), verify, options)):
            until(lambda: client.xpending(EVENTS, "center")["pending"] == 0)
        assert len(inbox.stored) == 1
        assert client.xlen(DEAD) == 0
        stream.close()


def test_a_table_or_right_that_is_gone_is_no_fault_of_the_events(tmp_path: Path) -> None:
    with open_store("postgresql", tmp_path) as store:
        receive(store, incident(1))
        with store._database.write() as work:
            work.connection.exec_driver_sql("alter table events rename to elsewhere")
        with pytest.raises(StoreAwayError):
            receive(store, incident(2), incident(3))
        with store._database.write() as work:
            work.connection.exec_driver_sql("alter table elsewhere rename to events")
        receive(store, incident(2), incident(3))


def test_the_failures_that_are_counted_are_bounded(node: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAILURES", 2)
    stream, inbox = ScriptedStream(entries(node, 3)), ScriptedInbox(*[PoisonError(0, "cannot be")] * 3)
    worker = run(stream, inbox, lambda: ring(node))
    assert len(stream.pending) == 3
    assert len(worker._failures) == 2


def test_a_defect_acknowledges_nothing_and_is_tried_again(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 3)), ScriptedInbox(ForeseenByNobodyError())
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert sorted(inbox.stored.values()) == [1, 2, 3]
    assert (tally.database_failures, tally.events["poison"], tally.trouble) == (1, 0, None)


def test_all_that_a_dead_machine_left_is_taken_over_in_one_go(
    tmp_path: Path, node: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey(tmp_path) as broker, redis.Redis.from_url(broker.url) as client:
        dead, stream = (DistrictStream(broker.url, DISTRICT, name) for name in ("dead-0", "center-0"))
        dead.ensure_group()
        node.say(client, *(node.event() for _ in range(450)))
        assert len(dead.fresh(450, 1.0)) == 450
        # long ago, but the next look is half a minute away
        monkeypatch.setattr(stream, "claim", lambda _: DistrictStream.claim(stream, 0.0))
        inbox = ScriptedInbox()
        with working(Worker(stream, inbox, lambda: ring(node), verify)):
            until(lambda: client.xpending(EVENTS, "center")["pending"] == 0)
        assert len(inbox.stored) == 450
        dead.close()
        stream.close()


def test_trimmed_entries_are_counted_and_let_go(node: Producer) -> None:
    stream, inbox = ScriptedStream(), ScriptedInbox()
    stream.pending = {"1-0": Entry("1-0", None, trimmed=True)}
    stream.trimmed = 2
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert tally.events["trimmed"] == 3
    assert stream.acknowledged == ["1-0"]


def test_receipts_that_find_redis_full_make_room_and_are_written_later(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 2)), ScriptedInbox()
    stream.fail = {"receipt": [StreamFullError("out of memory")]}
    tally = run(stream, inbox, lambda: ring(node)).tally()
    assert stream.room_made == 1
    assert stream.receipts == [{"gate-7": 2}]
    assert tally.redis_failures == 0


def test_a_full_server_is_relieved_and_read_on(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 2)), ScriptedInbox()
    stream.fail = {"fresh": [StreamFullError("full")]}
    run(stream, inbox, lambda: ring(node))
    assert len(inbox.stored) == 2


def test_receipts_wait_for_the_database(node: Producer) -> None:
    stream, inbox = ScriptedStream(entries(node, 2)), ScriptedInbox()
    inbox.fail_through = [StoreAwayError("away")]
    run(stream, inbox, lambda: ring(node))
    assert stream.receipts == [{"gate-7": 2}]
