"""Who may ask the centre what: every route and role; and a centre with users from its own configuration."""

from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from api.access.gate import Access, Rules
from api.access.roles import MAY, Principal, Role
from api.access.rules import Needs, Public, rules_of
from api.center import service
from api.center.app import create_app
from api.center.config import load_center
from api.center.desk import Desk
from api.center.routes_cases import actor
from api.premises import load_premises
from edge.errors import ConfigError
from tests.support.access import House, sign_in

pytestmark = pytest.mark.asyncio
PARAMETERS = {"{case_id}": "1", "{node_id}": "a", "{key_id}": "0" * 16}
CONFIG = """
center: {district: "360103", data_dir: state}
redis: {url: redis://127.0.0.1/0}
http: {host: 0.0.0.0, port: 0, names: [centre.example]}
tls: {generate: true}
access: {users: true, unit: Governance centre}
"""


def empty_desk(token: str | None = None) -> Desk:
    """A desk with nothing behind it: whoever gets to it fails, which is not to be refused."""
    nothing = cast("Any", None)
    return Desk(
        nothing, nothing, nothing, nothing, nothing, nothing, lambda: (), lambda: (b"", "text/plain"), token
    )


def client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090")


def path_of(path: str) -> str:
    for name, value in PARAMETERS.items():
        path = path.replace(name, value)
    return path


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return House(tmp_path)


def guarded(house: House, token: str | None = None) -> FastAPI:
    rules = Rules(users=True, open_role=Role.ADMIN, shared_token=token)
    former = house.access
    access = Access(
        rules, house.accounts, former.sessions, former.trail, house.clock, lambda: house.passwords
    )
    return create_app(empty_desk(token), access=access)


@pytest.mark.parametrize("scope", ["", "@region:360103"])
@pytest.mark.parametrize("role", Role)
async def test_every_role_at_every_route(house: House, role: Role, scope: str) -> None:
    app = guarded(house)
    secret = house.token(f"{role}{scope}")
    async with client(app) as http:
        for method, path, rule in rules_of(app):
            if isinstance(rule, Public):
                continue
            url = path_of(path)
            assert (await http.request(method, url)).status_code == 401, path
            answer = await http.request(method, url, headers={"Authorization": f"Bearer {secret}"})
            allowed = rule.permission.name in MAY[role] and (not scope or rule.permission.of_camera)
            assert (answer.status_code == 403) != allowed, f"{role}{scope} {method} {path}"


async def test_what_changes_something_is_not_for_whoever_only_looks(house: House) -> None:
    for method, path, rule in rules_of(guarded(house)):
        if method not in ("GET", "HEAD") and isinstance(rule, Needs) and path != "/logout":
            assert rule.permission.name not in MAY[Role.VIEWER], path


async def test_the_configured_token_goes_on_beside_users(house: House) -> None:
    token = "0123456789abcdef"  # noqa: S105 - of the test
    house.user("li", "viewer")
    async with client(guarded(house, token)) as http:
        assert (await http.get("/api/v1/cases")).status_code == 401
        me = await http.get("/session", headers={"Authorization": f"Bearer {token}"})
        assert (me.json()["name"], me.json()["grants"]) == ("http.token", ["admin"])
        assert (await sign_in(http, "li")).status_code == 204
        assert (await http.post("/api/v1/surge", json={})).status_code == 403
        assert (await http.get("/sign-in")).status_code == 200
    async with client(create_app(empty_desk(token))) as http:
        assert (await http.get("/sign-in")).status_code == 404
        assert token not in repr(guarded(house, token).state.access.rules)


async def test_who_has_signed_in_acts_under_his_own_name() -> None:
    assert actor(Principal("li", way="session"), "somebody else") == "li"
    assert actor(Principal("console", way="token"), "li") == "li"
    assert actor(Principal("-", way="loopback"), "li") == "li"


async def test_a_centre_with_users_makes_its_certificate_and_prints_a_link(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "center.yaml"
    path.write_text(CONFIG)
    config = load_center(path)
    home = load_premises(path)
    assert (home.data_dir, home.access.unit) == (tmp_path / "state", "Governance centre")
    door = service._door(config, empty_desk(), "https://127.0.0.1:4711/")
    assert door.shown is not None
    assert "centre.example" in door.shown.certificate.names
    assert "https://centre.example:4711/set-up#" in capfd.readouterr().err
    path.write_text(CONFIG.replace("generate: true", "generate: false"))
    with pytest.raises(ConfigError, match=r"http\.token, or tls and access\.users"):
        load_center(path)
