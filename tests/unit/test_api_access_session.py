"""Signing in and out: cookies, replay, pages of other sites, guessing, and the first admin's link."""

import asyncio
import string
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.access import accounts, lockout, sessions
from api.access.gate import MOST_WAITING, WRONG
from api.access.lockout import FIRST_LOCK_S, FREE_TRIES, LONGEST_LOCK_S, MOST, Lockout, Rate
from api.access.passwords import Passwords, check_choice, quick
from api.access.roles import Grant, Principal, Role
from api.access.sessions import MOST_OF_ONE, Sessions
from api.access.tokens import PREFIX, digest_of, new_token, same
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


async def test_every_refusal_is_the_same(app: FastAPI, house: House) -> None:
    house.user("li")
    answers = set()
    for address, name, password in (("192.0.2.1", "li", "wrong"), ("192.0.2.2", "nobody", PASSWORD)):
        async with client(app, address=address) as http:
            answer = await sign_in(http, name, password)
            answers.add((answer.status_code, answer.text))
    for number in range(FREE_TRIES):
        async with client(app, address=f"192.0.2.{10 + number}") as http:
            await sign_in(http, "li", "wrong")
    async with client(app, address="192.0.2.30") as http:
        locked = await sign_in(http, "li")
    answers.add((locked.status_code, locked.text))
    assert len(answers) == 1
    assert WRONG in locked.text


async def test_every_try_costs_the_same(app: FastAPI, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: each try checks one hash, of the same cost."""
    house.user("li")
    checked: list[str] = []
    real = house.passwords._verified

    def counted(kept: str, password: str) -> bool:
        checked.append(kept.rpartition("$")[0].rpartition("$")[0])
        return real(kept, password)

    monkeypatch.setattr(house.passwords, "_verified", counted)
    for number in range(FREE_TRIES + 2):
        async with client(app, address=f"192.0.2.{number}") as http:
            await sign_in(http, "li", "wrong")
    for number, name in enumerate(("nobody", "li", "x" * 80)):
        async with client(app, address=f"192.0.2.{100 + number}") as http:
            await sign_in(http, name)
    assert len(checked) == FREE_TRIES + 5
    assert len(set(checked)) == 1


async def test_an_account_locks_and_opens_again(app: FastAPI, house: House) -> None:
    house.user("li")

    async def trying(password: str) -> int:
        house.clock.now_s += 1
        async with client(app, address=f"192.0.{house.clock.now_s % 250:.0f}.1") as http:
            return (await sign_in(http, "li", password)).status_code

    for _ in range(FREE_TRIES):
        assert await trying("wrong") == 401
    assert await trying(PASSWORD) == 401
    house.clock.now_s += FIRST_LOCK_S
    assert await trying(PASSWORD) == 204
    assert outcomes(house)[-3:] == [
        ("-", "lockout", "li", "failed"), ("-", "login", "li", "failed"), ("li", "login", "", "done"),
    ]  # fmt: skip


async def test_an_address_gets_few_tries(http: httpx.AsyncClient, house: House) -> None:
    house.user("li")
    answers = [await sign_in(http, f"name{n}", "wrong") for n in range(lockout.BURST + 1)]
    assert [answer.status_code for answer in answers] == [401] * lockout.BURST + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    house.clock.now_s += int(answers[-1].headers["retry-after"])
    assert (await sign_in(http, "li")).status_code == 204


async def test_locks_grow_to_a_limit_and_are_forgotten() -> None:
    now = [0.0]
    lock = Lockout(lambda: now[0])
    lengths = []
    for _ in range(FREE_TRIES + 8):
        if lock.failed("li"):
            begun = now[0]
            while lock.locked("li"):
                now[0] += 1
            lengths.append(now[0] - begun)
    assert lengths[:3] == [FIRST_LOCK_S, 2 * FIRST_LOCK_S, 4 * FIRST_LOCK_S]
    assert max(lengths) == LONGEST_LOCK_S
    now[0] += lockout.FORGOTTEN_S + 1
    assert not any(lock.failed("li") for _ in range(FREE_TRIES - 1))
    assert lock.failed("li")
    assert not lock.failed("li")
    lock.succeeded("li")
    assert not lock.locked("li")


async def test_memory_is_bounded_and_locks_outlast_a_flood() -> None:
    lock, rate = Lockout(lambda: 0.0), Rate(lambda: 0.0)
    for _ in range(FREE_TRIES):
        lock.failed("li")
    for number in range(2 * MOST):
        lock.failed(f"name-{number}")
        rate.take(f"address-{number}")
    assert len(lock) <= MOST
    assert len(rate) <= MOST
    assert lock.locked("li")
    for number in range(MOST + 1):
        for _ in range(FREE_TRIES):
            lock.failed(f"other-{number}")
    assert len(lock) <= MOST
    many = Sessions(lambda: 0.0, 60, 60)
    for number in range(sessions.MOST + 5):
        many.begin(Principal(f"user{number}"))
    assert len(many) == sessions.MOST
    for _ in range(MOST_OF_ONE + 3):
        last = many.begin(Principal("li"))
    assert sum(one.principal.name == "li" for one in many._sessions.values()) == MOST_OF_ONE
    assert many.find(last) is not None


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


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short", "12 to 128"), ("x" * 129, "12 to 128"), ("aaaabbbbccccdddd", "few different"),
        ("my name is LI-hua!", "hold the name"), ("twelve\x00characters", "control"),
    ],
)  # fmt: skip
async def test_passwords_that_will_not_do(password: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        check_choice(password, "li-hua")
    assert password not in str(caught.value)


async def test_passwords_are_argon2id_of_a_cost_that_hurts() -> None:
    kept = Passwords().hash(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    cheap = quick()
    composed, decomposed = "\u00e9criture 12345", "e\u0301criture 12345"
    assert cheap.check(composed, cheap.hash(decomposed))
    assert not cheap.check(PASSWORD, None)
    assert not cheap.check(PASSWORD, "no hash")
    assert not cheap.check("\ud800", cheap.hash(PASSWORD))


async def test_tokens_are_of_256_random_bits() -> None:
    assert new_token(lambda count: bytes(range(count))) == PREFIX + bytes(range(32)).hex()
    assert new_token() != new_token()
    assert same("ä\ud800", "ä\ud800")
    assert not same("a", "b")


async def test_a_crowd_at_the_door_is_told_to_come_again(
    app: FastAPI, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    real = house.passwords._verified

    def slow(kept: str, password: str) -> bool:
        assert go_on.wait(20)
        return real(kept, password)

    house.user("li")
    monkeypatch.setattr(house.passwords, "_verified", slow)
    async with AsyncExitStack() as stack:
        crowd = [
            await stack.enter_async_context(client(app, address=f"192.0.2.{number}"))
            for number in range(MOST_WAITING + 1)
        ]
        trying = [asyncio.create_task(sign_in(one, "li")) for one in crowd]
        done, _ = await asyncio.wait(trying, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = done
        assert refused.result().status_code == 503
        assert (await crowd[0].get("/healthz")).status_code == 200
        go_on.set()
        assert sorted(answer.status_code for answer in await asyncio.gather(*trying)) == [204] * 8 + [503]


async def test_every_token_is_looked_at_whichever_it_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: neither place nor likeness of a token shows in the work."""
    secrets = [house.token("viewer", name=f"machine-{number}") for number in range(5)]
    compared: list[str] = []
    monkeypatch.setattr(accounts, "same", lambda one, other: compared.append(one) or same(one, other))
    book, now = house.accounts.book(), house.clock.utc()
    for secret in (secrets[0], secrets[4], secrets[2][:-1] + "x", "", "x" * 10_000):
        compared.clear()
        book.token(secret, now)
        assert len(compared) == 5
