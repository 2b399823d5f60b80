"""A whole centre: the command, its workers, a real Valkey, SQLite, and a node that signs."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from api.center.config import load_center
from api.center.opening import open_store
from api.center.service import serve_center
from edge.broker import EmbeddedBroker
from edge.config import Config
from edge.runtime import Node
from edge.signing import Signer
from tests.support.center_service import (
    DEAD,
    DISTRICT,
    EVENTS,
    FEEDBACK,
    QUARANTINE,
    RECEIPTS,
    Producer,
    write_config,
)
from tests.support.postgres import new_database

PATIENCE_S = 60.0
ME = {"who": "李华", "why": "test"}
EVIL = "=cmd|' /C calc'!A1<script>alert(1)</script>'; DROP TABLE cases; --"
SHARPEYES = [sys.executable, "-c", "from api.cli import main; main()", "center"]


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for what other processes bring about."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < give_up_s, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


def workers_of(pid: int) -> list[psutil.Process]:
    """The workers that live; multiprocessing's resource tracker is none."""
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):  # a zombie is one, too
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


class Running:
    """A centre that runs in a process of its own."""

    def __init__(self, config: Path) -> None:
        self.process = subprocess.Popen(
            [*SHARPEYES, str(config)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.log: list[dict] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        url = until(
            lambda: next((e["url"] for e in self.log if "url" in e), None) or self.process.poll(),
            "the centre",
        )
        assert isinstance(url, str), self.log
        self.http = httpx.Client(base_url=f"{url}api/v1", timeout=30)

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.log.append({"event": line})

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def workers(self) -> list[psutil.Process]:
        return workers_of(self.process.pid)

    def end(self, number: int = signal.SIGTERM) -> None:
        self.http.close()
        self.process.send_signal(number)
        self.process.wait(30)
        self._reader.join(30)
        assert self.process.stderr
        self.process.stderr.close()


@contextmanager
def centre(config: Path) -> Iterator[Running]:
    running = Running(config)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path / "valkey", port=0) as running:
        yield running


@pytest.fixture
def client(broker: EmbeddedBroker) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(broker.url) as connection:
        yield connection


@pytest.fixture
def node(tmp_path: Path) -> Producer:
    return Producer.make(tmp_path)


def admitted(config: Path, *producers: Producer) -> Path:
    with open_store(load_center(config)) as store:
        for producer in producers:
            store.admit(producer.node, producer.public, "test")
    return config


def receipt(client: "redis.Redis", node: str = "gate-7") -> int:
    return int(client.hget(RECEIPTS, node) or 0)


def words(client: "redis.Redis", kind: str) -> list[dict]:
    found = [json.loads(fields[b"m"]) for _, fields in client.xrange(FEEDBACK)]
    return [word for word in found if word["kind"] == kind]


def test_from_the_first_report_to_the_verdict(
    tmp_path: Path, broker: EmbeddedBroker, client: "redis.Redis", node: Producer
) -> None:
    config = write_config(tmp_path, broker.url)
    admit = subprocess.run(
        [*SHARPEYES, "admit", str(config), node.node, node.signer.public, "--who", "李华", "--why", "new"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert admit.returncode == 0, admit.stderr
    assert node.signer.key_id in admit.stdout
    with centre(config) as running:
        incident = node.incident()
        node.say(client, *(node.event({**incident, "phase": phase}) for phase in ("begin", "update", "end")))
        until(lambda: receipt(client) == 3, "the receipt")
        case = running.get("/cases/1")
        events = running.get("/cases/1/events")["events"]
        assert [event["phase"] for event in events] == ["begin", "update", "end"]
        assert (case["calm"], case["state"]) == (True, "REPORTED")
        acting = {"action": "reject", "version": case["version"], **ME, "cause": "weather"}
        assert running.http.post("/cases/1/actions", json=acting).status_code == 200
        (word,) = until(lambda: words(client, "verdict"), "the verdict")
        assert (word["node"], word["incident"], word["verdict"]) == ("gate-7", incident["incident"], "false")
        assert running.http.post("/surge", json={"on": True, **ME}).status_code == 200
        until(lambda: any(w["profile"] == "surge" for w in words(client, "profile")), "the profile")
        until(lambda: running.http.get("/readyz").status_code == 200, "readiness")
        metrics = running.http.get("/metrics").text
        assert 'sharpeyes_center_events_total{outcome="stored"} 3.0' in metrics
        assert "sharpeyes_center_stream_lag 0.0" in metrics
        assert "sharpeyes_center_database_up 1.0" in metrics
        pids = [worker.pid for worker in running.workers()]
    assert running.process.returncode == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    checked = subprocess.run([*SHARPEYES, "verify", str(config)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout.startswith("intact")) == (0, True)


def test_bad_input_is_kept_aside_and_nothing_is_lost(
    tmp_path: Path, broker: EmbeddedBroker, client: "redis.Redis", node: Producer
) -> None:
    config = admitted(write_config(tmp_path, broker.url, redis={"claim_idle_s": 1}), node)
    stranger = Producer.make(tmp_path, "stranger")
    now = node.utc
    with centre(config) as running:
        good = [node.event(node.incident(site={"name": EVIL, "district": DISTRICT}))]
        bad = {
            "malformed": node.signed(b'{"specversion": "1.0", '),
            "wrong_schema": node.signed(_unnumbered(node, dataschema="urn:sharpeyes:schema:event:v2")),
            "too_large": node.signed(b'{"x": "' + b"x" * 70_000 + b'"}'),
            "unknown_type": node.signed(_unnumbered(node, type="org.sharpeyes.person.named.v1")),
            "unsigned": {b"ce": _unnumbered(node)},
            "bad_signature": {**node.signed(_unnumbered(node)), b"sig": b"AAAA"},
            "wrong_key": stranger.signed(_unnumbered(node)),
            "unknown_node": stranger.signed(stranger.event()),
            "clock": node.signed(_unnumbered(node, time="9999-01-01T00:00:00.000Z")),
        }
        for fields in bad.values():
            client.xadd(EVENTS, fields)
        client.xadd(EVENTS, {"unrelated": "1"})
        # clocks that are wrong, and events of long ago, are stored all the same
        for hours in (-24 * 400, -2, 2, 24 * 400):
            node.utc = now + timedelta(hours=hours)
            good.append(node.event())
        node.utc = now
        node.say(client, *good)
        node.say(client, *good)
        until(lambda: receipt(client) == len(good), "the receipt")
        refused = [fields[b"reason"].decode() for _, fields in client.xrange(QUARANTINE)]
        assert refused == [*bad, "malformed"]
        kept = {f[b"reason"].decode(): f for _, f in client.xrange(QUARANTINE)}
        assert kept["unknown_type"][b"ce"] == bad["unknown_type"][b"ce"]
        assert client.xpending(EVENTS, "center")["pending"] == 0
        cases = running.get("/cases")["cases"]
        assert sum(case["event_count"] for case in cases) == len(good)
        assert any(case["place"]["name"] == EVIL for case in cases)
        skews = [e["clock_skew_s"] for c in cases for e in running.get(f"/cases/{c['id']}/events")["events"]]
        assert sorted(round(s / 3600) for s in skews if s is not None) == [-9600, -2, 2, 9600]
        # a number that nobody can count on from: its processing fails, again and again
        poison = json.loads(node.event())
        poison["sequence"] = "9" * 20
        node.sequence -= 1
        client.xadd(EVENTS, node.signed(json.dumps(poison).encode()))
        node.say(client, node.event())
        until(lambda: receipt(client) == len(good) + 1, "what came behind the poison")
        ((_, dead),) = until(lambda: client.xrange(DEAD), "the dead letter")
        assert (int(dead[b"deliveries"]), json.loads(dead[b"ce"])["sequence"]) == (6, "9" * 20)
        assert dead[b"reason"]
        (shown,) = running.get("/dead-letters")["entries"]
        assert shown["fields"]["deliveries"] == "6"
        reasons = running.http.get("/metrics").text
        assert 'sharpeyes_center_refused_total{reason="wrong_key"} 1.0' in reasons
    with open_store(load_center(config)) as store:
        ledger = store.ledger("gate-7")
        assert (ledger.created, ledger.stored, ledger.missing) == (len(good) + 1, len(good) + 1, 0)


def _unnumbered(node: Producer, **more: Any) -> bytes:
    """An event that uses no number up: the next one has it again."""
    body = node.event(**more)
    node.sequence -= 1
    return body


def test_holes_are_asked_for_and_gaps_close_them(
    tmp_path: Path, broker: EmbeddedBroker, client: "redis.Redis", node: Producer
) -> None:
    config = admitted(write_config(tmp_path, broker.url), node)
    bodies = [node.event() for _ in range(9)]
    with centre(config):
        node.say(client, *bodies[:2], *bodies[4:])
        until(lambda: receipt(client) == 2, "the receipt before the hole")
        (asked,) = until(lambda: words(client, "replay"), "the request")
        assert asked == {"node": "gate-7", "kind": "replay", "first": 3, "last": 4}
        node.say(client, bodies[3], node.gap([(3, 3)]))
        until(lambda: receipt(client) == 10, "the receipt behind the hole")
    with open_store(load_center(config)) as store:
        ledger = store.ledger("gate-7")
        assert (ledger.stored, ledger.gaps, ledger.missing) == (9, 1, 0)


def test_killed_workers_and_a_killed_centre_lose_and_double_nothing(
    tmp_path: Path, broker: EmbeddedBroker, client: "redis.Redis", node: Producer
) -> None:
    config = admitted(write_config(tmp_path, broker.url, redis={"claim_idle_s": 1, "batch": 16}), node)
    total = 1500
    bodies = [node.heartbeat() if n % 3 else node.event() for n in range(total)]
    with centre(config) as running:
        for start in range(0, 500, 50):
            node.say(client, *bodies[start : start + 50])
        (worker,) = until(running.workers, "a worker")
        worker.kill()
        node.say(client, *bodies[500:1000])
        until(lambda: [w for w in running.workers() if w.pid != worker.pid], "another worker")
        until(lambda: receipt(client) > 500, "going on")
        pids = [w.pid for w in running.workers()]
        running.end(signal.SIGKILL)
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the workers' end")
    with centre(config) as running:
        node.say(client, *bodies[1000:])
        until(lambda: receipt(client) == total, "the last receipt")
        cases = running.get("/cases", limit=1000)["cases"]
        assert sum(case["event_count"] for case in cases) == total // 3
    with open_store(load_center(config)) as store:
        ledger = store.ledger("gate-7")
        assert (ledger.stored, ledger.missing, ledger.repeated) == (total, 0, 0)
        assert store.verify().intact


def test_several_workers_share_postgresql(
    tmp_path: Path, broker: EmbeddedBroker, client: "redis.Redis"
) -> None:
    nodes = [Producer.make(tmp_path, f"gate-{n}") for n in range(3)]
    config = write_config(
        tmp_path,
        broker.url,
        center={"workers": 3},
        redis={"claim_idle_s": 1, "batch": 8},
        database={"url": new_database()},
    )
    admitted(config, *nodes)
    each = 300
    with centre(config) as running:
        workers = until(lambda: len(found := running.workers()) == 3 and found, "the workers")
        incidents = {node.node: node.incident() for node in nodes}
        for n in range(each):
            for node in nodes:
                node.say(client, node.event(incidents[node.node]) if n % 2 else node.event())
            if n == each // 2:
                workers[0].kill()
        for node in nodes:
            until(lambda node=node: receipt(client, node.node) == each, "the last receipt")
        cases = running.get("/cases", limit=1000)["cases"]
        assert sum(case["event_count"] for case in cases) == each * len(nodes)
        # The one that was killed may not have read before, and asks again once it is back.
        names = {b"center-0", b"center-1", b"center-2"}
        until(lambda: {one["name"] for one in client.xinfo_consumers(EVENTS, "center")} == names, "all three")
    with open_store(load_center(config)) as store:
        for node in nodes:
            ledger = store.ledger(node.node)
            assert (ledger.stored, ledger.missing, ledger.repeated) == (each, 0, 0)
        assert store.verify().intact


def test_a_server_that_comes_back_empty(
    tmp_path: Path, broker: EmbeddedBroker, client: "redis.Redis", node: Producer
) -> None:
    config = admitted(write_config(tmp_path, broker.url), node)
    with centre(config) as running:
        node.say(client, *(node.event() for _ in range(3)))
        until(lambda: receipt(client) == 3, "the receipt")
        client.flushall()
        until(lambda: receipt(client) == 3, "the receipt again")
        node.say(client, *(node.event() for _ in range(3)))
        until(lambda: receipt(client) == 6, "the receipt of what came later")
        os.kill(broker.pid, signal.SIGSTOP)
        until(lambda: running.http.get("/readyz").status_code == 503, "the trouble")
        assert running.get("/cases")["cases"]
        os.kill(broker.pid, signal.SIGCONT)
        until(lambda: running.http.get("/readyz").status_code == 200, "the trouble's end")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def test_in_this_process(
    tmp_path: Path, broker: EmbeddedBroker, client: "redis.Redis", node: Producer
) -> None:
    """What the command runs, so that its parts are seen by whoever measures coverage."""
    port = free_port()
    config = load_center(admitted(write_config(tmp_path, broker.url, http={"port": port}), node))
    node.say(client, *(node.event() for _ in range(3)))
    running = asyncio.create_task(serve_center(config))
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http,
        asyncio.timeout(60),
    ):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200 and receipt(client) == 3:
                    break
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
        stream = http.stream("GET", "/api/v1/events/stream", params={"after": "0"})
        async with stream as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    break
            assert "opened" in line
            (worker,) = workers_of(os.getpid())
            worker.kill()
            for wanted in (503, 200):
                while (await http.get("/readyz")).status_code != wanted:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
            metrics = (await http.get("/metrics")).text
            assert "sharpeyes_center_worker_restarts_total 1.0" in metrics
            os.kill(os.getpid(), signal.SIGTERM)
            tally = await running
    assert tally.events["stored"] == 3


async def test_for_a_time(tmp_path: Path, broker: EmbeddedBroker) -> None:
    config = load_center(write_config(tmp_path, broker.url))
    async with asyncio.timeout(60):
        tally = await serve_center(config, for_s=0.1)
    assert tally.events.total() == 0


async def test_a_whole_node_speaks_and_listens(tmp_path: Path, broker: EmbeddedBroker) -> None:
    """From simulated pictures to a case, and the verdict back to the rule that gave the alarm."""
    camera = {
        "id": "plaza",
        "source": "sim://plaza?seed=3&scenario=intrusion&size=320x180&fps=10",
        "zones": [{"id": "all", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
        "rules": [{"kind": "hazard.intrusion", "zone": "all", "min_presence_s": 0.2}],
    }
    node_config = Config.model_validate(
        {
            "node": {
                "id": "gate-7",
                "district": DISTRICT,
                "data_dir": str(tmp_path / "node"),
                "heartbeat_s": 1,
            },
            "redis": {"url": broker.url},
            "outbox": {"until": "receipted"},
            "cameras": [camera],
        }
    )
    config = write_config(tmp_path, broker.url)
    running = await asyncio.to_thread(Running, config)
    try:
        async with Node.open(node_config) as node:
            # its first events come before anybody admitted it: refused, and asked for later
            await eventually(lambda: running.get("/quarantine")["entries"], "the stranger's events")
            public = Signer.open(tmp_path / "node").public
            keys = "/nodes/gate-7/keys"
            assert (await post(running, keys, {"key": public, **ME})).status_code == 201
            found = await eventually(lambda: running.get("/cases", kind="hazard")["cases"], "the case")
            await eventually(lambda: node.status().outbox_pending == 0, "the receipts")
            await eventually(
                lambda: (
                    running.get("/nodes")[0]["stored_through"] >= 3 and not running.get("/nodes")[0]["holes"]
                ),
                "what was refused at first",
            )
            acting = {"action": "reject", "version": found[0]["version"], "cause": "animal", **ME}
            answer = await post(running, f"/cases/{found[0]['id']}/actions", acting)
            assert answer.status_code == 200, answer.text
            await eventually(
                lambda: b'sharpeyes_rule_verdicts_total{camera="plaza"' in node.metrics()[0], "the verdict"
            )
            assert (await post(running, "/surge", {"on": True, **ME})).status_code == 200
            await eventually(
                lambda: b'sharpeyes_threshold_profile{profile="surge"} 1.0' in node.metrics()[0],
                "the profile",
            )
        numbers = await asyncio.to_thread(running.get, "/numbers")
        assert numbers["precision"][0]["camera"] == "gate-7/plaza"
        assert numbers["indicators"]["sharing"] == 1.0
    finally:
        await asyncio.to_thread(running.end)


async def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Wait for what threads and other processes bring about."""
    return await asyncio.to_thread(until, condition, what)


async def post(running: Running, path: str, body: dict) -> httpx.Response:
    return await asyncio.to_thread(lambda: running.http.post(path, json=body))
