"""The HTTP interface, asked as a client asks it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import fields, replace

import httpx
import pytest

from api import schemas
from api.node import MAX_STREAMS, create_app
from edge.status import CameraStatus, NodeStatus, Readiness, ZoneStatus
from tests.support.api_node import STATUS, FakeNode, make_events

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
async def http(node: FakeNode) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(node))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client


async def test_alive(http: httpx.AsyncClient) -> None:
    answer = await http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready_and_what_is_missing(http: httpx.AsyncClient, node: FakeNode) -> None:
    assert (await http.get("/readyz")).status_code == 200
    node.ready = Readiness(False, ("Redis does not answer",))
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"ready": False, "missing": ["Redis does not answer"]},
    )


async def test_cameras_in_order(http: httpx.AsyncClient) -> None:
    cameras = (await http.get("/cameras")).json()
    assert [camera["id"] for camera in cameras] == ["gate-2", "gate-3"]
    assert cameras[0]["zones"] == [
        {
            "id": "plaza",
            "count": 41,
            "density_mean_per_m2": 2.1,
            "density_worst_cell_per_m2": 4.3,
            "count_stderr": 1.6,
        }
    ]
    assert cameras[0]["unavailable"] == {"crowd.pressure/plaza": "too small"}
    assert cameras[0]["frames"]["gated"] == 200
    assert cameras[1]["error"] == "no route"


async def test_one_camera_and_none(http: httpx.AsyncClient) -> None:
    assert (await http.get("/cameras/gate-2")).json()["analysed_fps"] == 4.9
    answer = await http.get("/cameras/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 404


async def test_node_line(http: httpx.AsyncClient) -> None:
    assert (await http.get("/node")).json() == {
        "id": "xihu-07",
        "version": "0.1.0",
        "started_utc": "2026-11-22T08:15:03Z",
        "uptime_s": 10.0,
        "detector": "nanodet-g-416-int8",
        "provider": "CPUExecutionProvider",
        "redis": "redis://10.0.0.5:6379/0",
        "redis_up": True,
        "outbox_pending": 0,
        "events_published": 3,
        "profile": "usual",
        "density": "heads-448-int8",
        "fire": "flames",
        "fallen": "fallen-112-fp32",
    }


@pytest.mark.parametrize(
    ("schema", "status"),
    [
        (schemas.Camera, CameraStatus),
        (schemas.Zone, ZoneStatus),
        (schemas.Node, NodeStatus),
        (schemas.Ready, Readiness),
    ],
)
async def test_answers_leave_nothing_of_a_status_out(schema: type[schemas.Answer], status: type) -> None:
    told = {field.name for field in fields(status)} - {"cameras"}
    assert set(schema.model_fields) == told
    assert all(field.description for field in schema.model_fields.values())


async def test_metrics_with_their_own_content_type(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics")
    assert answer.text == "sharpeyes_build_info 1\n"
    assert answer.headers["content-type"] == "text/plain; version=1.0.0"


async def test_recent_events(http: httpx.AsyncClient, node: FakeNode) -> None:
    assert (await http.get("/events/recent")).json() == []
    await node.show(make_events(5))
    newest = (await http.get("/events/recent", params={"limit": 2})).json()
    assert [event["sequence"][-1] for event in newest] == ["4", "5"]
    assert newest[0] == json.loads(node.board.recent(2)[0].to_json())


@pytest.mark.parametrize("limit", ["0", "201", "many"])
async def test_recent_events_limit(http: httpx.AsyncClient, limit: str) -> None:
    answer = await http.get("/events/recent", params={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("query.limit: ")


async def test_stream_resumes_after_the_last_event_seen(http: httpx.AsyncClient, node: FakeNode) -> None:
    await node.show(make_events(4))
    asking = asyncio.create_task(http.get("/events", headers={"Last-Event-ID": f"{2:020}"}))
    await stream_open(node)
    node.board.close()
    ids = [line for line in (await asking).text.splitlines() if line.startswith("id: ")]
    assert ids == [f"id: {3:020}", f"id: {4:020}"]


async def test_stream_from_now_on_and_by_query(http: httpx.AsyncClient, node: FakeNode) -> None:
    await node.show(make_events(2))
    fresh, late = (asyncio.create_task(http.get(path)) for path in ("/events", "/events?after=1"))
    await stream_open(node, 2)
    await node.show(make_events(1, first=3))
    node.board.close()
    assert (await fresh).text.count("data: ") == 1
    answer = await late
    assert answer.text.count("data: ") == 2
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("bad", ["-1", "abc", "1" * 21, "1\u0662"])
async def test_stream_refuses_what_is_no_sequence(http: httpx.AsyncClient, bad: str) -> None:
    assert (await http.get("/events", params={"after": bad})).status_code == 422


async def test_too_many_readers_are_told_when_to_come_again(http: httpx.AsyncClient, node: FakeNode) -> None:
    reading = [asyncio.create_task(http.get("/events")) for _ in range(MAX_STREAMS)]
    await stream_open(node, MAX_STREAMS)
    refused = await http.get("/events")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    node.board.close()
    assert {(await answer).status_code for answer in reading} == {200}
    assert (await http.get("/events")).status_code == 200


async def stream_open(node: FakeNode, count: int = 1) -> None:
    """Wait until so many readers are subscribed."""
    async with asyncio.timeout(10):
        while len(node.board._queues) < count:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)


ANSWERS = (
    "/",
    "/docs",
    "/healthz",
    "/cameras",
    "/cameras/nowhere",
    "/events/recent?limit=x",
    "/metrics",
    "/no",
)


@pytest.mark.parametrize("path", ANSWERS)
async def test_every_answer_carries_the_security_headers(http: httpx.AsyncClient, path: str) -> None:
    headers = (await http.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


async def test_nothing_is_open_to_other_origins(http: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    answer = await http.options("/cameras", headers=asked)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/cameras", "/events", "/metrics"])
async def test_everything_is_read_only(http: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert answer.json()["title"] == "Method Not Allowed"


@pytest.mark.parametrize(
    ("host", "welcome"),
    [
        ("127.0.0.1:8080", True), ("localhost:8080", True), ("[::1]:8080", True), ("192.168.1.20", True),
        ("LOCALHOST", True), ("app.localhost", True), ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8080", False), ("", False), ("[::1", False), ("a b", False),
    ],
)  # fmt: skip
async def test_foreign_host_names_are_refused(http: httpx.AsyncClient, host: str, welcome: bool) -> None:
    answer = await http.get("/cameras", headers={"Host": host})
    assert answer.status_code == (200 if welcome else 421)
    assert "content-security-policy" in answer.headers


async def test_a_defect_is_told_without_its_details(node: FakeNode) -> None:
    def broken() -> NodeStatus:
        raise RuntimeError("rtsp://admin:secret@10.0.0.7/ failed")

    app = create_app(node)
    node.status = broken  # type: ignore[method-assign]
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/cameras")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_no_answer_holds_a_secret(http: httpx.AsyncClient) -> None:
    for path in ("/", "/docs", "/openapi.json", "/node", "/cameras", "/readyz", "/metrics", "/events/recent"):
        answer = await http.get(path)
        assert answer.status_code == 200
        assert "topsecret" not in answer.text


async def test_pictures_are_served_only_where_a_reason_is_asked_for(http: httpx.AsyncClient) -> None:
    described = (await http.get("/openapi.json")).json()
    usual = {"application/json", "application/problem+json", "text/event-stream", "text/plain"}
    pictures = set()
    for path, verbs in described["paths"].items():
        for operation in verbs.values():
            types = {
                media for answer in operation["responses"].values() for media in answer.get("content", {})
            }
            if not types <= usual:
                pictures.add(path)
                assert "reason" in {parameter["name"] for parameter in operation["parameters"]}, path
    evidence = "/cameras/{camera_id}/evidence/{evidence_id}"
    live = "/cameras/{camera_id}/live.mjpeg", "/cameras/{camera_id}/whep"
    assert pictures == {f"{evidence}/snapshot.jpg", f"{evidence}/clip.mp4", *live}


async def test_the_description_describes(http: httpx.AsyncClient) -> None:
    described = (await http.get("/openapi.json")).json()
    assert set(described["paths"]) == {
        "/healthz", "/readyz", "/node", "/metrics", "/cameras", "/cameras/{camera_id}", "/events",
        "/events/recent", "/login", "/login/ways", "/logout", "/session", "/setup",
        "/cameras/{camera_id}/live.mjpeg", "/cameras/{camera_id}/whep",
        "/cameras/{camera_id}/whep/{session_id}",
        "/cameras/{camera_id}/evidence", "/cameras/{camera_id}/evidence/{evidence_id}",
        "/cameras/{camera_id}/evidence/{evidence_id}/snapshot.jpg",
        "/cameras/{camera_id}/evidence/{evidence_id}/clip.mp4",
    }  # fmt: skip
    for verbs in described["paths"].values():
        assert all(operation["summary"] for operation in verbs.values())


async def test_pages_load_only_what_the_node_serves(http: httpx.AsyncClient) -> None:
    for page in ("/", "/docs", "/sign-in", "/set-up"):
        text = (await http.get(page)).text
        assert "<script>" not in text
        assert "style=" not in text
        assert "http://" not in text.replace("http://www.w3.org", "")
        for asset in ("/console/style.css", "/console/icon.svg"):
            assert asset in text
            assert (await http.get(asset)).status_code == 200
    scripts = ["app.js", "events.js", "words.js", "docs.js", "sign-in.js"]
    for name in scripts:
        answer = await http.get(f"/console/{name}")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "innerHTML" not in answer.text.replace("never innerHTML", "")
        assert "https://" not in answer.text


async def test_status_follows_the_node(http: httpx.AsyncClient, node: FakeNode) -> None:
    node.state = replace(STATUS, cameras=())
    assert (await http.get("/cameras")).json() == []
