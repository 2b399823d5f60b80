"""The centre's HTTP interface, asked as a client asks it; the database and Redis are real."""

import asyncio
import csv
import io
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import redis

from api.center.app import create_app
from api.center.config import load_center
from api.center.desk import Desk
from api.center.entries import Entry, Refused
from api.center.errors import StoreAwayError
from api.center.exports import load_gbt31000
from api.center.feed import Feed
from api.center.model import Received
from api.center.opening import open_store, open_stream, regions_of, triage_of
from edge.broker import EmbeddedBroker
from tests.support.center_service import DISTRICT, Producer, parsed, write_config

pytestmark = pytest.mark.asyncio
EVIL = "=cmd|' /C calc'!A1<script>alert(1)</script>'; DROP TABLE cases; --"
ME = {"who": "李华", "why": "test"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("valkey"), port=0) as running:
        yield running


@pytest.fixture(scope="module")
def empty(broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without contents: copying it takes less time than making it."""
    folder = tmp_path_factory.mktemp("empty")
    open_store(load_center(write_config(folder, broker.url))).close()
    return folder / "data"


@pytest.fixture
def desk(broker: EmbeddedBroker, empty: Path, tmp_path: Path) -> Iterator[Desk]:
    with redis.Redis.from_url(broker.url) as client:
        client.flushall()
    config = load_center(write_config(tmp_path, broker.url))
    shutil.copytree(empty, tmp_path / "data")
    store, stream = open_store(config), open_stream(config, "desk")
    stream.ensure_group()
    yield Desk(
        store=store,
        stream=stream,
        feed=Feed(store.changes, store.last_change, 0.01),
        triage=triage_of(config),
        regions=regions_of(config),
        gbt31000=load_gbt31000(),
        missing=lambda: (),
        metrics=lambda: (b"sharpeyes_center_workers 1\n", "text/plain"),
    )
    stream.close()
    store.close()


@pytest.fixture
def node(tmp_path: Path) -> Producer:
    return Producer.make(tmp_path)


def client(desk: Desk, **more) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(desk), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090", **more)


@pytest.fixture
async def http(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    async with client(desk) as opened:
        yield opened


def receive(desk: Desk, *bodies: bytes) -> list:
    now = datetime.now(UTC)
    items = [Received(parsed(body), body, f"{n + 1}-0", now) for n, body in enumerate(bodies)]
    return desk.store.receive(items)


def incident(node: Producer, **more) -> bytes:
    return node.event(node.incident(**more))


async def test_cases_in_pages(http: httpx.AsyncClient, desk: Desk, node: Producer) -> None:
    kinds = ["crowd.density", "hazard.fire", "camera.dark"]
    receive(desk, *(node.event(kind=kind) for kind in kinds))
    answer = (await http.get("/api/v1/cases", params={"limit": 2})).json()
    assert [case["kind"] for case in answer["cases"]] == ["camera.dark", "hazard.fire"]
    rest = (await http.get("/api/v1/cases", params={"limit": 2, "before": answer["next"]})).json()
    assert [case["kind"] for case in rest["cases"]] == ["crowd.density"]
    assert rest["next"] is None
    one = answer["cases"][1]
    assert one["state"] == "REPORTED"
    assert one["legal"][0] == "accept"
    assert (one["department"], one["department_name"]) == ("fire_rescue", "消防救援")
    assert (one["region"], one["region_name"]) == (f"{DISTRICT}001", "北站街道")
    assert one["place"]["name"] == "北门广场"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 2),
        ({"level": 1}, 1),
        ({"level": [1, 3]}, 2),
        ({"state": "REPORTED", "open": True}, 2),
        ({"open": False}, 0),
        ({"kind": "crowd"}, 1),
        ({"kind": "crowd.flow"}, 0),
        ({"since": "1970-01-01T00:00:00Z", "until": "8999-12-31T23:59:59.999999Z"}, 2),
        ({"within": DISTRICT}, 2),
        ({"department": "fire_rescue", "late": False, "calm": False}, 1),
        ({"since": "2100-01-01T00:00:00Z"}, 0),
        ({"until": "2100-01-01T00:00:00+08:00"}, 2),
        ({"escalated": True}, 0),
        ({"supervised": True}, 0),
    ],
)
async def test_filters(http: httpx.AsyncClient, desk: Desk, node: Producer, query: dict, count: int) -> None:
    receive(desk, incident(node), node.event(node.incident(level=1), "hazard.fire"))
    answer = await http.get("/api/v1/cases", params=query)
    assert (answer.status_code, len(answer.json()["cases"])) == (200, count)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 5000},
        {"before": "x"},
        {"since": "2026-01-01T00:00:00"},
        {"state": "OPEN"},
        {"within": "1"},
        {"within": "３６０１０３"},
        {"since": "1960-01-01T00:00:00Z"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"kind": "'; DROP TABLE cases; --"},
        {"kind": "\0"},
        {"department": "\0"},
    ],
)
async def test_questions_that_make_no_sense(http: httpx.AsyncClient, query: dict) -> None:
    for path in ("cases", "export/cases.csv", "export/gbt31000.json"):
        answer = await http.get(f"/api/v1/{path}", params=query)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert next(iter(query)) in answer.json()["detail"]


async def test_a_case_from_its_report_to_its_end(http: httpx.AsyncClient, desk: Desk, node: Producer) -> None:
    receive(desk, incident(node, site={"name": EVIL, "district": DISTRICT}))
    case = (await http.get("/api/v1/cases/1")).json()
    (event,) = (await http.get("/api/v1/cases/1/events")).json()["events"]
    assert event["event"]["data"]["site"]["name"] == EVIL
    assert case["cameras"] == ["gate-7/cam-1"]
    for action in ("accept", "dispatch", "handle", "report_back", "verify", "close"):
        assert action in case["legal"]
        acting = {"action": action, "version": case["version"], **ME}
        answer = await http.post("/api/v1/cases/1/actions", json=acting)
        assert answer.status_code == 200, answer.text
        case = answer.json()
    assert (case["state"], case["verdict"], case["legal"]) == ("CLOSED", True, [])
    assert [row["action"] for row in case["history"]][-1] == "close"
    assert {row["who"] for row in case["history"]} == {"system", "李华"}
    assert desk.store.verify().intact


async def test_events_of_a_case_in_pages(http: httpx.AsyncClient, desk: Desk, node: Producer) -> None:
    data = node.incident()
    receive(desk, *reversed([node.event(data) for _ in range(5)]))
    found, after = [], 0
    while after is not None:
        answer = await http.get("/api/v1/cases/1/events", params={"after": after, "limit": 2})
        page = answer.json()
        found.append([event["sequence"] for event in page["events"]])
        after = page["next"]
    assert found == [[1, 2], [3, 4], [5]]
    acting = {"action": "accept", "version": 1, **ME}
    assert "events" not in (await http.post("/api/v1/cases/1/actions", json=acting)).json()
    assert (await http.get("/api/v1/cases/2/events")).status_code == 404
    assert (await http.get("/api/v1/cases/1/events", params={"after": -1})).status_code == 422


async def test_two_who_act_at_once(http: httpx.AsyncClient, desk: Desk, node: Producer) -> None:
    receive(desk, incident(node))
    acting = {"action": "accept", "version": 1, **ME}
    answers = await asyncio.gather(*(http.post("/api/v1/cases/1/actions", json=acting) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    conflict = next(answer for answer in answers if answer.status_code == 409)
    assert conflict.json()["version"] == 2
    assert "2" in conflict.json()["detail"]


@pytest.mark.parametrize(
    ("acting", "status", "word"),
    [
        ({"action": "close"}, 422, "accept"),
        ({"action": "reject"}, 422, "cause"),
        ({"action": "explode"}, 422, "action"),
        ({"who": " "}, 422, "who"),
        ({"why": ""}, 422, "why"),
        ({"version": 0}, 422, "version"),
        ({"extra": 1}, 422, "extra"),
    ],
)
async def test_acts_that_are_not_legal(
    http: httpx.AsyncClient, desk: Desk, node: Producer, acting: dict, status: int, word: str
) -> None:
    receive(desk, incident(node))
    answer = await http.post(
        "/api/v1/cases/1/actions", json={"action": "accept", "version": 1, **ME, **acting}
    )
    assert answer.status_code == status
    assert word in answer.json()["detail"]
    assert (await http.get("/api/v1/cases/1")).json()["version"] == 1


async def test_a_false_alarm_becomes_a_word_to_its_node(
    http: httpx.AsyncClient, desk: Desk, node: Producer
) -> None:
    receive(desk, incident(node))
    acting = {"action": "reject", "version": 1, **ME, "cause": "weather"}
    assert (await http.post("/api/v1/cases/1/actions", json=acting)).json()["verdict"] is False
    (word,) = (json.loads(message.body) for message in desk.store.verdicts_due())
    assert (word["node"], word["kind"], word["verdict"], word["cause"]) == (
        "gate-7",
        "verdict",
        "false",
        "weather",
    )
    numbers = (await http.get("/api/v1/numbers")).json()
    assert numbers["precision"] == [
        {"camera": "gate-7/cam-1", "rule": "crowd.density/plaza", "true": 0, "false": 1, "share": 0.0}
    ]
    assert numbers["false_alarms"][0]["camera"] == "gate-7/cam-1"
    assert set(numbers["indicators"]) == {"coverage", "sharing", "availability", "control"}


async def test_numbers_of_no_time(http: httpx.AsyncClient) -> None:
    same = "2026-01-01T00:00:00Z"
    assert (await http.get("/api/v1/numbers", params={"since": same, "until": same})).status_code == 422
    first = {"until": "1970-01-01T00:00:00Z"}
    for query in ({"since": "1960-01-01T00:00:00Z"}, {"until": "0001-01-02T00:00:00Z"}, first):
        answer = await http.get("/api/v1/numbers", params=query)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    early = await http.get("/api/v1/numbers", params={"until": "1970-01-02T00:00:00Z"})
    assert (early.status_code, early.json()["since"]) == (200, "1970-01-01T00:00:00Z")


async def test_no_such_case(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v1/cases/7")
    assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")
    assert (
        await http.post("/api/v1/cases/7/actions", json={"action": "accept", "version": 1, **ME})
    ).status_code == 404
    assert (await http.get("/api/v1/cases/x")).status_code == 422
    assert (await http.get("/api/v1/nothing")).status_code == 404


async def test_nodes_and_their_keys(http: httpx.AsyncClient, desk: Desk, node: Producer) -> None:
    url = f"/api/v1/nodes/{node.node}/keys"
    answer = await http.post(url, json={"key": node.signer.public, **ME})
    assert answer.status_code == 201, answer.text
    assert answer.json()["id"] == node.signer.key_id
    assert (await http.post(url, json={"key": node.public.hex(), **ME})).status_code == 201
    node.sequence = 2
    receive(desk, node.heartbeat())
    (known,) = (await http.get("/api/v1/nodes")).json()
    assert (known["id"], known["stored_through"], known["holes"]) == ("gate-7", 0, [{"first": 1, "last": 2}])
    assert len(known["keys"]) == 1
    revoked = await http.post(f"{url}/{node.signer.key_id}/revocation", json=ME)
    assert revoked.json()["revoked_by"] == "李华"
    assert (await http.post(f"{url}/{'0' * 16}/revocation", json=ME)).status_code == 404
    for bad in ("", "!" * 43, "ä" * 43, "0" * 63, "A" * 45):
        assert (await http.post(url, json={"key": bad, **ME})).status_code == 422
    assert (await http.post("/api/v1/nodes/../keys", json={"key": node.signer.public, **ME})).status_code in (
        404,
        405,
    )


async def test_a_dead_letter_holds_no_receipt_up(desk: Desk, node: Producer) -> None:
    bodies = [node.event() for _ in range(3)]
    receive(desk, bodies[0], bodies[2])
    assert desk.store.stored_through() == {"gate-7": 1}
    desk.store.give_up("gate-7", 2)
    desk.store.give_up("gate-7", 10**30)
    assert desk.store.stored_through() == {"gate-7": 3}
    # were it stored after all, it would count as that
    receive(desk, bodies[1])
    ledger = desk.store.ledger("gate-7")
    assert (ledger.stored, ledger.gaps, ledger.missing) == (3, 0, 0)


async def test_tables(http: httpx.AsyncClient) -> None:
    regions = (await http.get("/api/v1/regions")).json()
    assert regions[1] == {"code": f"{DISTRICT}001", "name": "北站街道", "depth": "street", "parent": DISTRICT}
    triage = (await http.get("/api/v1/triage")).json()
    assert triage["levels"][0]["told"] == ["district", "street"]
    assert triage["profiles"] == {"usual": 1.0, "surge": 0.5}
    assert triage["causes"]["weather"]


async def test_surge(http: httpx.AsyncClient, desk: Desk) -> None:
    assert (await http.get("/api/v1/surge")).json() == {"profile": "usual"}
    assert (await http.post("/api/v1/surge", json={"on": True, **ME})).json() == {"profile": "surge"}
    assert (await http.get("/api/v1/surge")).json() == {"profile": "surge"}
    words = [json.loads(message.body) for message in desk.store.verdicts_due()]
    assert [(word["node"], word["kind"], word["profile"]) for word in words] == [("*", "profile", "surge")]
    assert (await http.post("/api/v1/surge", json={"on": "yes please", **ME})).status_code == 422


async def test_csv(http: httpx.AsyncClient, desk: Desk, node: Producer) -> None:
    receive(desk, incident(node, site={"name": EVIL, "district": DISTRICT}), node.event(kind="hazard.fire"))
    answer = await http.get("/api/v1/export/cases.csv", params={"kind": "crowd"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="cases.csv"' in answer.headers["content-disposition"]
    head, row = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert dict(zip(head, row, strict=True))["place"] == "'" + EVIL


async def test_records_in_the_style_of_gbt31000(http: httpx.AsyncClient, desk: Desk, node: Producer) -> None:
    receive(desk, incident(node))
    answer = await http.get("/api/v1/export/gbt31000.json")
    assert answer.json()["records"][0]["发生地"] == DISTRICT


async def test_what_was_refused(http: httpx.AsyncClient, desk: Desk) -> None:
    desk.stream.quarantine([Refused(Entry(f"{n}-1", EVIL.encode()), "malformed") for n in range(3)])
    desk.stream.bury(Entry("9-1", b"{}"), "cannot be", 6)
    page = (await http.get("/api/v1/quarantine", params={"limit": 2})).json()
    assert [entry["fields"]["entry"] for entry in page["entries"]] == ["2-1", "1-1"]
    rest = (await http.get("/api/v1/quarantine", params={"limit": 2, "before": page["next"]})).json()
    assert (len(rest["entries"]), rest["next"]) == (1, None)
    assert rest["entries"][0]["fields"]["ce"] == EVIL
    dead = (await http.get("/api/v1/dead-letters")).json()
    assert dead["entries"][0]["fields"]["deliveries"] == "6"
    for bad in ("*", "9" * 20 + "-0", f"1-{2**64}", "0-0", "１-1", "1"):
        assert (await http.get("/api/v1/quarantine", params={"before": bad})).status_code == 422, bad
    most = {"before": f"{2**64 - 1}-{2**64 - 1}"}
    assert len((await http.get("/api/v1/quarantine", params=most)).json()["entries"]) == 3


async def test_health_and_metrics(http: httpx.AsyncClient, desk: Desk) -> None:
    for prefix in ("", "/api/v1"):
        assert (await http.get(f"{prefix}/healthz")).json() == {"status": "ok"}
        assert (await http.get(f"{prefix}/readyz")).json() == {"ready": True, "missing": []}
        assert (await http.get(f"{prefix}/metrics")).text == "sharpeyes_center_workers 1\n"
    async with client(replace(desk, missing=lambda: ("Redis does not answer",))) as other:
        answer = await other.get("/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (503, ["Redis does not answer"])


async def test_a_token_is_asked_for_everywhere_but_of_probes(desk: Desk) -> None:
    token = "0123456789abcdef"  # noqa: S105 - of the test
    async with client(replace(desk, token=token)) as http:
        paths = (await http.get("/api/v1/openapi.json")).json()["paths"]
        for path in paths:
            answer = await http.get(path.format(case_id=1, node_id="a", key_id="0" * 16))
            open_ = path.endswith(("healthz", "readyz"))
            assert answer.status_code == (200 if open_ else 401) or "get" not in paths[path]
            for method in ("post",):
                if method in paths[path]:
                    url = path.format(case_id=1, node_id="a", key_id="0" * 16)
                    assert (await http.post(url, json={})).status_code == 401
        assert (await http.get("/metrics")).status_code == 401
        for wrong in ("Bearer x", f"Basic {token}", f"Bearer {token}x", "Bearer", "Bearer ä"):
            answer = await http.get("/api/v1/cases", headers={"authorization": wrong.encode()})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert token not in answer.text
        assert (
            await http.get("/api/v1/cases", headers={"authorization": f"Bearer {token}"})
        ).status_code == 200
    assert token not in repr(replace(desk, token=token))


async def test_pages_of_other_sites_may_not_act(http: httpx.AsyncClient) -> None:
    body = {"on": True, **ME}
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        assert (await http.post("/api/v1/surge", json=body, headers=headers)).status_code == 403
    assert (
        await http.post("/api/v1/surge", content=json.dumps(body), headers={"content-type": "text/plain"})
    ).status_code == 422
    own = {"origin": "http://127.0.0.1:8090", "sec-fetch-site": "same-origin"}
    assert (await http.post("/api/v1/surge", json=body, headers=own)).status_code == 200
    foreign = await http.get("/api/v1/cases", headers={"host": "evil.example"})
    assert foreign.status_code == 421


async def test_security_headers(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v1/cases")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


async def test_redis_away_and_the_database_away(desk: Desk, broker: EmbeddedBroker, monkeypatch) -> None:
    class Away:
        def __getattr__(self, name: str):
            def fail(*_: object, **__: object) -> None:
                raise StoreAwayError("database is locked")

            return fail

    async with client(replace(desk, store=Away())) as http:
        for path in (
            "cases",
            "cases/1",
            "nodes",
            "numbers",
            "surge",
            "export/cases.csv",
            "export/gbt31000.json",
        ):
            answer = await http.get(f"/api/v1/{path}")
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert "database is locked" in answer.json()["detail"]
    impatient = type(desk.stream)("redis://127.0.0.1:9/0", DISTRICT, "desk", timeout_s=0.2)
    async with client(replace(desk, stream=impatient)) as http:
        for path in ("quarantine", "dead-letters"):
            answer = await http.get(f"/api/v1/{path}")
            assert (answer.status_code, "Redis" in answer.json()["detail"]) == (503, True)


async def test_a_defect_tells_nothing(desk: Desk) -> None:
    class Broken:
        def cases(self, query: object) -> None:
            raise ZeroDivisionError("secret")

    async with client(replace(desk, store=Broken())) as http:
        answer = await http.get("/api/v1/cases")
        assert answer.status_code == 500
        assert "secret" not in answer.text


async def test_the_description_is_whole(http: httpx.AsyncClient) -> None:
    described = (await http.get("/api/v1/openapi.json")).json()
    paths = """
        /cases /cases/{case_id} /cases/{case_id}/events /cases/{case_id}/actions /numbers
        /nodes /nodes/{node_id}/keys
        /nodes/{node_id}/keys/{key_id}/revocation /regions /triage /surge /events/stream
        /export/cases.csv /export/gbt31000.json /dead-letters /quarantine /metrics /healthz /readyz
    """
    assert {f"/api/v1{path}" for path in paths.split()} == set(described["paths"])
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["tags"], (method, path)
    examples = described["components"]["schemas"]["Acting"]["examples"]
    assert examples[0]["action"] == "accept"


async def read_events(desk: Desk, headers: dict[str, str], wanted: int, act) -> list[dict]:
    """Messages of /events/stream until so many have come; `act` runs once the stream is open."""
    app = create_app(desk)
    found: list[dict] = []
    done = asyncio.Event()
    opened = asyncio.Event()
    buffer = b""

    async def receive_() -> dict:
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        nonlocal buffer
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        buffer += message.get("body", b"")
        if b"events follow" in buffer:
            opened.set()
        *blocks, buffer = buffer.split(b"\n\n")
        for block in blocks:
            lines = dict(
                line.split(": ", 1) for line in block.decode().splitlines() if not line.startswith(":")
            )
            if "data" in lines:
                found.append({**json.loads(lines["data"]), "event": lines.get("event", "message")})
        if len(found) >= wanted:
            done.set()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/v1/events/stream",
        "raw_path": b"/api/v1/events/stream",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8090"), *((k.encode(), v.encode()) for k, v in headers.items())],
        "http_version": "1.1",
        "scheme": "http",
    }
    async with asyncio.timeout(20):
        running = asyncio.create_task(app(scope, receive_, send))
        await opened.wait()
        await act()
        await running
    return found


async def test_changes_as_they_come_and_after_an_id(desk: Desk, node: Producer) -> None:
    receive(desk, incident(node))

    async def nothing() -> None: ...

    # from the first on
    found = await read_events(desk, {"last-event-id": "0"}, 1, nothing)
    assert [(change["case"], change["what"]) for change in found] == [(1, "opened")]

    # from an id that this database has not got to
    found = await read_events(desk, {"last-event-id": "9" * 20}, 1, nothing)
    assert found == [{"event": "missed", "after": "9" * 20, "before": f"{2:020}"}]

    async def act() -> None:
        while desk.feed._head is None:  # noqa: ASYNC110 - the feed finds where now is
            await asyncio.sleep(0.01)
        await asyncio.to_thread(desk.store.act, 1, 1, "accept", "李华", "test")

    found = await read_events(desk, {}, 1, act)
    assert [(change["version"], change["what"], change["state"]) for change in found] == [
        (2, "acted", "ACCEPTED")
    ]
    await desk.feed.close()


async def test_too_many_readers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.center.routes_state.MAX_STREAMS", 0)
    async with client(desk) as http:
        answer = await http.get("/api/v1/events/stream")
        assert answer.status_code == 503


async def test_redis_that_is_frozen_is_told(desk: Desk, broker: EmbeddedBroker) -> None:
    patient = type(desk.stream)(broker.url, DISTRICT, "desk", timeout_s=0.3)
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        async with client(replace(desk, stream=patient)) as http:
            assert (await http.get("/api/v1/quarantine")).status_code == 503
            assert (await http.get("/api/v1/cases")).status_code == 200
    finally:
        os.kill(broker.pid, signal.SIGCONT)
        patient.close()
