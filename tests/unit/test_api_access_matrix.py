"""Who may ask what: every route, every role, a camera in scope and one out of it; made from the routes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI

from api.access.roles import MAY, PERMISSIONS, Camera, Grant, Permission, Principal, Role
from api.access.rules import Needs, Public, UnruledError, check_rules, needs, public, rules_of
from api.node import create_app
from edge.audit_chain import AuditError
from tests.support.access import WHY, House, client
from tests.support.api_node import FakeNode

pytestmark = pytest.mark.asyncio

IN_SCOPE, OUT_OF_SCOPE = "gate-2", "gate-3"
VIDEO = tuple(name for name in PERMISSIONS if name.startswith("video."))

WHO_MAY = {
    Role.VIEWER: "session.own node.read cameras.read events.read cases.read",
    Role.OPERATOR: "session.own node.read cameras.read events.read cases.read cases.write cases.export "
    "video.live video.snapshot video.clip",
    Role.ADMIN: " ".join(PERMISSIONS),
    Role.NODE: "session.own node.read metrics.read",
    Role.CENTRE: "session.own node.read cameras.read events.read cases.read metrics.read "
    "video.snapshot video.clip",
}
"""Written out once more: whoever changes who may do what changes it in two places."""


def with_video(app: FastAPI) -> FastAPI:
    """The node's own routes, and routes of each permission, for one camera and for none."""
    routes = APIRouter()
    for permission in PERMISSIONS.values():
        if permission.of_camera:
            _probe(
                routes, f"/probe/{permission.name}/{{camera_id}}", needs(permission.name, camera="camera_id")
            )
        _probe(routes, f"/probe/{permission.name}", needs(permission.name))
    app.include_router(routes)
    return app


def _probe(routes: APIRouter, path: str, rule: Any) -> None:
    @routes.get(path)
    async def probe(who: Annotated[Principal, rule]) -> str:
        return who.name


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def app(house: House) -> FastAPI:
    return with_video(create_app(FakeNode(), access=house.access))


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app) as asking:
        yield asking


def cases(app: FastAPI) -> list[tuple[str, str, Needs | Public, str]]:
    """Method, path, rule and camera of every route, except the endless one."""
    return [
        (method, path.replace("{camera_id}", camera), rule, camera)
        for method, path, rule in rules_of(app)
        for camera in ((IN_SCOPE, OUT_OF_SCOPE) if "{camera_id}" in path else ("",))
        if path != "/events"
    ]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("scope", ["", "@gate-2", "@region:360103001"])
async def test_every_role_at_every_route(
    http: httpx.AsyncClient, app: FastAPI, house: House, role: Role, scope: str
) -> None:
    secret = house.token(f"{role}{scope}")
    for method, path, rule, camera in cases(app):
        answer = await http.request(
            method, path, headers={"Authorization": f"Bearer {secret}"}, params={"reason": WHY}
        )
        denied = answer.status_code == 403
        if isinstance(rule, Public):
            assert not denied, path
            continue
        allowed = rule.permission.name in WHO_MAY[role].split()
        if scope:
            allowed &= rule.permission.of_camera and camera != OUT_OF_SCOPE
        assert denied != allowed, f"{role}{scope} {method} {path}: {answer.status_code}"
        assert answer.status_code != 401


async def test_nobody_gets_in_without_showing_who_he_is(http: httpx.AsyncClient, app: FastAPI) -> None:
    for method, path, rule, _ in cases(app):
        answer = await http.request(method, path, params={"reason": WHY})
        if isinstance(rule, Needs):
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer se_" + "0" * 64, "Basic bGk6eA==", "se_x", "Bearer \xff"]
)
async def test_a_wrong_token_is_refused_even_where_nobody_need_be_known(
    http: httpx.AsyncClient, header: str
) -> None:
    answer = await http.get("/node", headers={b"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401


async def test_the_public_routes_are_these(app: FastAPI) -> None:
    assert {path for _, path, rule in rules_of(app) if isinstance(rule, Public)} == {
        "/healthz", "/readyz", "/login", "/login/ways", "/setup", "/", "/docs", "/sign-in", "/set-up",
        "/openapi.json", "/console/app.js", "/console/events.js", "/console/words.js", "/console/docs.js",
        "/console/sign-in.js", "/console/style.css", "/console/icon.svg", "/live", "/console/live.js",
    }  # fmt: skip


async def test_without_users_this_machine_reads_and_nobody_sees_video(tmp_path: Path) -> None:
    app = with_video(create_app(FakeNode()))
    async with client(app, address="127.0.0.1") as http:
        for path in ("/node", "/cameras", "/cameras/gate-2", "/events/recent", "/metrics", "/session"):
            assert (await http.get(path)).status_code == 200, path
        for permission in PERMISSIONS.values():
            answer = await http.get(f"/probe/{permission.name}", params={"reason": WHY})
            open_to_all = permission.name in WHO_MAY[Role.VIEWER].split()
            assert answer.status_code == (200 if open_to_all else 401), permission.name
        assert (await http.post("/login", json={"name": "li", "password": "x"})).status_code == 404


async def test_lists_hold_only_what_is_in_scope(http: httpx.AsyncClient, house: House) -> None:
    for scope, seen in (("*", ["gate-2", "gate-3"]), ("region:360104", ["gate-3"]), ("plaza-*", [])):
        secret = house.token(f"viewer@{scope}", name=f"for-{len(seen)}")
        cameras = (await http.get("/cameras", headers={"Authorization": f"Bearer {secret}"})).json()
        assert [camera["id"] for camera in cameras] == seen


async def test_a_camera_that_is_out_of_scope_is_not_told_from_one_that_is_not_there(
    http: httpx.AsyncClient, house: House
) -> None:
    http.headers["Authorization"] = f"Bearer {house.token('viewer@gate-2')}"
    there, not_there = await http.get("/cameras/gate-3"), await http.get("/cameras/gate-9")
    assert (there.status_code, there.json()) == (not_there.status_code, not_there.json())


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200), ("::1", {}, 200), ("192.0.2.44", {}, 401), ("::ffff:192.0.2.44", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.44"}, 401), ("127.0.0.1", {"Forwarded": "for=x"}, 401),
        ("127.0.0.1", {"Via": "1.1 proxy"}, 401), ("unix", {}, 401),
    ],
)  # fmt: skip
async def test_metrics_are_for_tokens_and_for_this_machine(
    app: FastAPI, address: str, headers: dict[str, str], status: int
) -> None:
    async with client(app, address=address) as http:
        assert (await http.get("/metrics", headers=headers)).status_code == status


async def test_video_needs_a_reason_and_is_recorded_before_it_is_shown(
    http: httpx.AsyncClient, house: House
) -> None:
    http.headers["Authorization"] = f"Bearer {house.token('operator@gate-2', name='console')}"
    for number, name in enumerate(VIDEO):
        path = f"/probe/{name}/gate-2"
        for why in (None, "too short", " " * 20, "x" * 501, "a reason\nof two lines", "\u202e" * 12):
            answer = await http.get(path, params={} if why is None else {"reason": why})
            assert answer.status_code == 422, why
            assert "Say why" in answer.json()["detail"]
        assert len(house.acts()) == 2 * number
        assert (await http.get(path, params={"reason": WHY})).status_code == 200
        chinese = {"X-Audit-Reason": quote("核查北门拥挤情况，接群众反映")}
        assert (await http.get(path, headers=chinese)).status_code == 200
        one, other = house.acts()[-2:]
        assert (one.who, one.role, one.what, one.object, one.why, one.outcome, one.unit, one.origin) == (
            "console", "operator", name, "gate-2", WHY, "allowed", "Duty office", "192.0.2.44",
        )  # fmt: skip
        assert other.why == "核查北门拥挤情况，接群众反映"


async def test_what_may_not_be_is_recorded_too(http: httpx.AsyncClient, house: House) -> None:
    http.headers["Authorization"] = f"Bearer {house.token('viewer')}"
    assert (await http.get("/probe/video.live/gate-2", params={"reason": WHY})).status_code == 403
    (act,) = house.acts()
    assert (act.who, act.what, act.object, act.outcome) == ("machine", "video.live", "gate-2", "refused")


async def test_what_cannot_be_recorded_is_not_done(
    http: httpx.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise AuditError("the disk is full")

    http.headers["Authorization"] = f"Bearer {house.token('operator')}"
    monkeypatch.setattr(house.log, "append", full)
    answer = await http.get("/probe/video.live/gate-2", params={"reason": WHY})
    assert (answer.status_code, "disk" in answer.text) == (503, False)
    assert (await http.get("/cameras")).status_code == 200


async def test_a_flood_of_refusals_does_not_fill_the_disk(http: httpx.AsyncClient, house: House) -> None:
    http.headers["Authorization"] = f"Bearer {house.token('viewer')}"
    for _ in range(75):
        assert (await http.get("/probe/audit.read")).status_code == 403
    assert len(house.acts()) == 60
    house.clock.now_s += 5
    await http.get("/probe/audit.read")
    assert house.acts()[-1].detail.startswith("15 more")


async def test_a_route_without_a_rule_does_not_start() -> None:
    for dependencies in ([], [needs("node.read"), public("both")], [Depends(lambda: None)]):
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        routes = APIRouter(prefix="/inner")

        @routes.get("/new", dependencies=dependencies)
        async def new() -> None: ...

        app.include_router(routes)
        with pytest.raises(UnruledError, match="/inner/new"):
            check_rules(app)
    bare = FastAPI()  # its own /openapi.json has no rule
    with pytest.raises(UnruledError):
        check_rules(bare)


async def test_a_rule_that_makes_no_sense_does_not_start() -> None:
    with pytest.raises(UnruledError, match="no permission"):
        needs("video.everything")
    with pytest.raises(UnruledError, match="somebody in particular"):
        needs("video.live", loopback=True)
    with pytest.raises(ValueError, match="nobody records"):
        Permission("x", "x", reason=True)


async def test_a_follow_up_asks_for_no_further_reason(
    app: FastAPI, http: httpx.AsyncClient, house: House
) -> None:
    @app.patch("/whep/{camera_id}", dependencies=[needs("video.live", camera="camera_id", follow_up=True)])
    async def trickle() -> None: ...

    http.headers["Authorization"] = f"Bearer {house.token('operator@gate-2')}"
    assert (await http.patch("/whep/gate-2")).status_code == 200
    assert (await http.patch("/whep/gate-3")).status_code == 403
    assert [act.outcome for act in house.acts()] == ["refused"]


async def test_the_table_is_what_was_decided() -> None:
    assert {role: sorted(may) for role, may in MAY.items()} == {
        role: sorted(names.split()) for role, names in WHO_MAY.items()
    }
    for name, permission in PERMISSIONS.items():
        assert permission.name == name
        assert permission.about
    assert all(PERMISSIONS[name].reason and PERMISSIONS[name].recorded for name in VIDEO)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "root",
        "viewer@",
        "viewer@a,,b",
        "viewer@region:36",
        "viewer@../x",
        "viewer@A",
        "Viewer",
        "viewer@" + "a" * 81,
    ],
)
async def test_what_is_no_grant(text: str) -> None:
    with pytest.raises(ValueError, match=r"role|scope"):
        Grant.parse(text)


async def test_scopes_reach_what_they_say() -> None:
    camera = Camera("gate-2", "360103001001001")
    live = PERMISSIONS["video.live"]
    for scope, reaches in (
        ("*", True), ("gate-2", True), ("gate-?", True), ("gate-[1-3]", True), ("gate", False), ("*-3",
        False), ("region:360103", True), ("region:360103001", True), ("region:360104", False),
        ("plaza,gate-2", True),
    ):  # fmt: skip
        grant = Grant.parse(f"operator@{scope}")
        assert grant.allows(live, camera) == reaches, scope
        assert Grant.parse(str(grant)) == grant
    assert not Grant.parse("operator@region:360103").allows(live, Camera("gate-2", "3601"))
