"""Signing in and out: cookies, replay, pages of other sites, guessing, and the first admin's link."""

import string
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.access.roles import Grant, Principal, Role
from api.access.tokens import PREFIX, digest_of
from api.node import create_app
from edge.audit import verify_log
from edge.audit_chain import AuditError
from tests.support.access import IDLE_S, MOST_S, PASSWORD, House, client, sign_in
from tests.support.api_node import FakeNode

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def app(house: House) -> FastAPI:
    return create_app(FakeNode(), access=house.access)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app) as asking:
        yield asking


def outcomes(house: House) -> list[tuple[str, str, str, str]]:
    return [(act.who, act.what, act.object, act.outcome) for act in house.acts()]


async def test_in_and_out_again(http: httpx.AsyncClient, house: House) -> None:
    house.user("li", "operator@gate-2")
    assert (await http.get("/cameras")).status_code == 401
    assert (await sign_in(http, "li")).status_code == 204
    assert [camera["id"] for camera in (await http.get("/cameras")).json()] == ["gate-2"]
    me = (await http.get("/session")).json()
    assert (me["name"], me["unit"], me["grants"], me["users"]) == (
        "li",
        "Duty office",
        ["operator@gate-2"],
        True,
    )
    stolen = dict(http.cookies)
    assert (await http.post("/logout")).status_code == 204
    assert not http.cookies
    http.cookies = httpx.Cookies(stolen)
    assert (await http.get("/cameras")).status_code == 401
    assert outcomes(house) == [("li", "login", "", "done"), ("li", "logout", "", "done")]


@pytest.mark.parametrize("tls", [False, True])
async def test_the_cookie(tmp_path: Path, tls: bool) -> None:
    house = House(tmp_path, tls=tls)
    house.user("li")
    async with client(create_app(FakeNode(), access=house.access), tls=tls) as http:
        answer = await sign_in(http, "li")
        name, _, rest = answer.headers["set-cookie"].partition("=")
        secret, *flags = rest.split("; ")
        assert name == ("__Host-sharpeyes" if tls else "sharpeyes")
        assert len(secret) == 64
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(flags)
        assert ("Secure" in flags) == tls
        assert not [flag for flag in flags if flag.startswith(("Domain", "Max-Age", "expires"))]
        assert ("strict-transport-security" in answer.headers) == tls
        assert secret not in repr(vars(house.access.sessions))
        assert digest_of(secret) in house.access.sessions._sessions


async def test_each_login_has_another_id_and_ends_the_one_before(
    http: httpx.AsyncClient, house: House
) -> None:
    house.user("li")
    await sign_in(http, "li")
    former = dict(http.cookies)
    await sign_in(http, "li")
    assert dict(http.cookies) != former
    http.cookies = httpx.Cookies(former)
    assert (await http.get("/cameras")).status_code == 401


async def test_nobody_chooses_his_session_s_id(http: httpx.AsyncClient, house: House) -> None:
    house.user("li")
    http.cookies.set("sharpeyes", "0" * 64, domain="127.0.0.1")
    assert (await sign_in(http, "li")).status_code == 204
    assert http.cookies["sharpeyes"] != "0" * 64


async def test_a_session_ends_when_unused_and_in_any_case(http: httpx.AsyncClient, house: House) -> None:
    house.user("li")
    await sign_in(http, "li")
    house.clock.now_s += IDLE_S - 1
    assert (await http.get("/cameras")).status_code == 200
    house.clock.now_s += IDLE_S
    assert (await http.get("/cameras")).status_code == 401
    await sign_in(http, "li")
    for _ in range(int(MOST_S // (IDLE_S / 2))):
        answer = await http.get("/cameras")
        house.clock.now_s += IDLE_S / 2
    assert answer.status_code == 200
    assert (await http.get("/cameras")).status_code == 401


async def test_a_changed_account_ends_its_sessions(http: httpx.AsyncClient, house: House) -> None:
    house.user("li")
    await sign_in(http, "li")
    house.user("wang")
    assert (await http.get("/cameras")).status_code == 200
    house.user("li", "admin")
    assert (await http.get("/cameras")).status_code == 401
    await sign_in(http, "li")
    house.accounts.change(lambda book: book.without("li"))
    assert (await http.get("/cameras")).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}, {"Origin": "https://evil.example"},
        {"Origin": "null"}, {"Origin": "http://127.0.0.1:9999"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://[::1"},
    ],
)  # fmt: skip
async def test_pages_of_other_sites_do_not_act(
    http: httpx.AsyncClient, house: House, headers: dict[str, str]
) -> None:
    house.user("li")
    await sign_in(http, "li")
    assert (await http.post("/logout", headers=headers)).status_code == 403
    assert (await http.get("/cameras")).status_code == 200
    right = {"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}
    assert (await http.post("/logout", headers=right)).status_code == 204


@pytest.mark.parametrize("path", ["/login", "/setup"])
async def test_pages_of_other_sites_do_not_sign_in(http: httpx.AsyncClient, house: House, path: str) -> None:
    house.user("li")
    body = {"name": "li", "password": PASSWORD} | ({"token": "x"} if path == "/setup" else {})
    answer = await http.post(path, json=body, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    form = await http.post(path, content=b'{"name":"li"}', headers={"Content-Type": "text/plain"})
    assert form.status_code == 422


async def test_the_page_token_of_another_session_is_none(app: FastAPI, house: House) -> None:
    house.user("li")
    async with client(app) as one, client(app, address="192.0.2.45") as other:
        await sign_in(one, "li")
        await sign_in(other, "li")
        assert (
            await one.post("/logout", headers={"X-CSRF-Token": other.headers["X-CSRF-Token"]})
        ).status_code == 403


async def test_a_token_needs_no_page(http: httpx.AsyncClient, house: House) -> None:
    http.headers["Authorization"] = f"Bearer {house.token('viewer')}"
    assert (await http.post("/logout")).status_code == 204


async def test_tokens_expire_and_are_revoked_at_once(http: httpx.AsyncClient, house: House) -> None:
    http.headers["Authorization"] = f"Bearer {house.token('viewer', holds_s=60)}"
    assert (await http.get("/node")).status_code == 200
    house.clock.now_s += 60
    assert (await http.get("/node")).status_code == 401
    http.headers["Authorization"] = f"Bearer {house.token('viewer', name='other')}"
    assert (await http.get("/node")).status_code == 200
    house.accounts.change(lambda book: book.without("other"))
    assert (await http.get("/node")).status_code == 401


async def test_the_first_admin_comes_by_a_link_that_holds_once(http: httpx.AsyncClient, house: House) -> None:
    secret = house.access.setup_link()
    assert secret is not None
    assert secret not in house.accounts._path.read_text()
    body = {"token": secret, "name": "li", "password": PASSWORD, "unit": "公安局"}
    for change in (
        {"password": "short"},
        {"password": "a" * 20},
        {"password": "Li is my name, 1 2 3"},
        {"name": "a b"},
    ):
        assert (await http.post("/setup", json=body | change)).status_code == 422
    assert (await http.post("/setup", json=body | {"token": "0" * 64})).status_code == 401
    assert (await http.post("/setup", json=body)).status_code == 204
    assert (await http.get("/session")).json()["grants"] == ["admin"]
    assert (await http.post("/setup", json=body | {"name": "mallory"})).status_code == 401
    assert house.access.setup_link() is None
    assert [(act.who, act.what, act.outcome) for act in house.acts()] == [
        ("-", "setup", "failed"), ("li", "setup", "done"), ("-", "setup", "failed"),
    ]  # fmt: skip


async def test_a_link_expires_and_a_new_one_ends_the_old(http: httpx.AsyncClient, house: House) -> None:
    first, second = house.access.setup_link(), house.access.setup_link()
    body = {"name": "li", "password": PASSWORD}
    assert (await http.post("/setup", json=body | {"token": first})).status_code == 401
    house.clock.now_s += 3601
    assert (await http.post("/setup", json=body | {"token": second})).status_code == 401
    assert house.accounts.book().users == ()


async def test_without_a_link_there_is_no_setup(http: httpx.AsyncClient, house: House) -> None:
    for token in ("", "x", digest_of("")):
        answer = await http.post("/setup", json={"token": token, "name": "li", "password": PASSWORD})
        assert answer.status_code in (401, 422)


async def test_what_cannot_be_recorded_lets_nobody_in(
    http: httpx.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise AuditError("the disk is full")

    house.user("li")
    secret = house.access.setup_link()
    monkeypatch.setattr(house.log, "append", full)
    assert (await sign_in(http, "li")).status_code == 503
    assert (await sign_in(http, "li", "wrong")).status_code == 503
    body = {"token": secret, "name": "wang", "password": PASSWORD}
    assert (await http.post("/setup", json=body)).status_code == 503
    assert (await http.get("/cameras")).status_code == 401
    assert [user.name for user in house.accounts.book().users] == ["li"]


async def test_damaged_accounts_let_nobody_in_and_say_so(http: httpx.AsyncClient, house: House) -> None:
    house.user("li", password=PASSWORD)
    await sign_in(http, "li")
    kept = house.accounts._path
    sound = kept.read_bytes()
    for change in (b"{", sound.replace(b'"viewer"', b'"root"'), sound.replace(b'"tokens"', b'"tokes"')):
        kept.write_bytes(change)
        for answer in (await http.get("/cameras"), await sign_in(http, "li")):
            assert answer.status_code == 503
    kept.write_bytes(sound)
    kept.chmod(0o644)
    assert (await http.get("/cameras")).status_code == 503


SECRETS = st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: raw.decode("latin-1"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | SECRETS,
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.text(max_size=8) | st.sampled_from(["name", "password"]), inner)
        ),
        max_leaves=8,
    )
)
async def test_junk_in_a_login_is_refused_and_breaks_nothing(house: House, app: FastAPI, body: Any) -> None:
    house.clock.now_s += 10
    async with client(app) as http:
        answer = await http.post("/login", json=body)
        assert answer.status_code in (401, 422)
        assert answer.headers["content-type"] == "application/problem+json"
        assert not http.cookies


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(
        string.printable.replace("\n", "").replace("\r", "").replace("\x0b", "").replace("\x0c", ""),
        max_size=300,
    )
)
async def test_junk_in_a_cookie_or_a_token_is_nobody(app: FastAPI, junk: str) -> None:
    async with client(app) as http:
        assert (await http.get("/cameras", headers={"Cookie": f"sharpeyes={junk}"})).status_code == 401
        assert (await http.get("/cameras", headers={"Cookie": junk})).status_code == 401
        assert (await http.get("/node", headers={"Authorization": junk or "-"})).status_code == 401


async def test_no_secret_stands_anywhere(
    http: httpx.AsyncClient, house: House, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    link = house.access.setup_link()
    house.user("li", "admin")
    token = house.token("admin")
    answers = [
        await http.post(
            "/setup", json={"token": link + "x", "name": "wang", "password": "Tr0ub4dor&3 horse"}
        ),
        await http.post("/login", json={"name": "Tr0ub4dor&3 horse", "password": "Tr0ub4dor&3 horse"}),
        await http.post(
            "/login", json={"name": "li", "password": "Tr0ub4dor&3 horse", "Tr0ub4dor&3 horse": 1}
        ),
        await http.post("/login", content=b'{"password": "Tr0ub4dor&3 horse'),
        await sign_in(http, "li"),
    ]
    cookie = http.cookies["sharpeyes"]
    for path in ("/", "/session", "/node", "/cameras", "/metrics", "/openapi.json", "/events/recent"):
        answers += [await http.get(path), await http.get(path, headers={"Authorization": f"Bearer {token}"})]
    answers.append(await http.get("/node", headers={"Authorization": f"Bearer {token}x"}))
    shown = "".join(capfd.readouterr()) + caplog.text + "".join(answer.text for answer in answers)
    kept = "".join(path.read_text() for path in house.folder.rglob("*.json*") if path.is_file())
    for secret in (PASSWORD, "Tr0ub4dor", token, token.removeprefix(PREFIX), cookie, link):
        assert secret not in shown + kept
    for part in (house.access, house.accounts.book(), Principal("li", (Grant(Role.ADMIN),))):
        assert PASSWORD not in repr(part)
        assert "argon2" not in repr(part)
    assert not verify_log(house.folder).fault
