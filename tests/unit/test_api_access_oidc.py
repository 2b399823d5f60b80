"""Single sign-on, against a provider on loopback that signs real tokens, and misbehaves when told to."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, OctKey
from pydantic import SecretStr

from api.access import oidc
from api.access.oidc import FLOW_S, SingleSignOn
from api.node import create_app
from edge.access_config import OidcConfig
from streams.clock import SystemClock
from tests.support.access import FakeClock, House, client
from tests.support.api_node import FakeNode
from tests.support.oidc import CALLBACK, CLIENT, SECRET, Provider

pytestmark = pytest.mark.asyncio


class Clock(FakeClock):
    """Monotonic time stands still; tokens are of today."""

    def utc(self):
        return SystemClock().utc()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return House(tmp_path, tls=True)


def settings(provider: Provider, **more: Any) -> OidcConfig:
    return OidcConfig(
        discovery_url=f"{provider.issuer}/.well-known/openid-configuration",
        client_id=CLIENT,
        client_secret=SecretStr(SECRET),
        callback_url=CALLBACK,
        roles={"duty": "operator@gate-2 viewer", "office": "admin"},
        **more,
    )


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def http(provider: Provider, house: House, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    sign_on = SingleSignOn(settings(provider), clock)
    async with client(
        create_app(FakeNode(), access=house.access, signing_in=oidc.router(sign_on)), tls=True
    ) as asking:
        yield asking


async def at_provider(begun: httpx.Response) -> str:
    """What a browser does there: where it is sent back to."""
    assert begun.status_code == 303
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(begun.headers["location"])
    assert answer.status_code == 303
    parts = urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}"


async def signed_on(http: httpx.AsyncClient) -> httpx.Response:
    return await http.get(await at_provider(await http.get("/login/oidc")))


async def test_somebody_comes_in_with_the_roles_that_the_provider_names(
    http: httpx.AsyncClient, house: House
) -> None:
    assert (await http.get("/login/ways")).json() == {"password": True, "oidc": True}
    begun = await http.get("/login/oidc")
    assert SECRET not in str(begun.headers)
    flow = begun.headers["set-cookie"]
    assert flow.startswith("__Host-sharpeyes-sign-on=")
    assert {"HttpOnly", "Secure", "SameSite=lax"} <= set(flow.split("; "))
    answer = await http.get(await at_provider(begun))
    assert answer.status_code == 200
    session = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-sharpeyes="))
    assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(session.split("; "))
    me = (await http.get("/session")).json()
    assert (me["name"], me["unit"], me["grants"]) == ("oidc:li", "公安局", ["operator@gate-2", "viewer"])
    (act,) = house.acts()
    assert (act.who, act.what, act.unit, act.detail) == ("oidc:li", "login", "公安局", "single sign-on")


async def test_a_return_is_used_once(http: httpx.AsyncClient) -> None:
    begun = await http.get("/login/oidc")
    flow = dict(http.cookies)
    back = await at_provider(begun)
    assert (await http.get(back)).status_code == 200
    http.cookies = httpx.Cookies(flow)
    assert (await http.get(back)).status_code == 401


async def test_another_browser_cannot_finish_it(http: httpx.AsyncClient) -> None:
    back = await at_provider(await http.get("/login/oidc"))
    http.cookies.clear()
    assert (await http.get(back)).status_code == 401


async def test_who_takes_too_long_begins_again(http: httpx.AsyncClient, clock: Clock) -> None:
    back = await at_provider(await http.get("/login/oidc"))
    clock.now_s += FLOW_S + 1
    assert (await http.get(back)).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"}, {"aud": "somebody"}, {"aud": [CLIENT, "x"]}, {"nonce": "another"},
        {"exp": 1000}, {"exp": "soon"}, {"iat": 10**11}, {"nbf": 10**11}, {"roles": ["cleaning"]},
        {"roles": None},
        {"roles": {"duty": 1}}, {"preferred_username": None}, {"preferred_username": "a b\n"}, {"exp": True},
    ],
)  # fmt: skip
async def test_a_token_that_will_not_do(
    http: httpx.AsyncClient, provider: Provider, house: House, claims: dict[str, Any]
) -> None:
    provider.wrong = {"claims": claims}
    answer = await signed_on(http)
    assert (answer.status_code, answer.json()["detail"]) == (401, oidc.REFUSED)
    assert (await http.get("/session")).status_code == 401
    assert (house.acts()[0].what, house.acts()[0].outcome) == ("login", "failed")


async def test_a_token_signed_by_somebody_else_is_none(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.wrong = {"key": ECKey.generate_key("P-256", {"kid": "one"})}
    assert (await signed_on(http)).status_code == 401
    assert provider.requests.count("keys") == 2


async def test_a_token_signed_with_a_shared_secret_is_none(
    http: httpx.AsyncClient, provider: Provider
) -> None:
    provider.wrong = {"key": OctKey.import_key(SECRET)}
    provider.algorithm = "HS256"
    assert (await signed_on(http)).status_code == 401


async def test_a_new_key_of_the_provider_is_fetched(http: httpx.AsyncClient, provider: Provider) -> None:
    assert (await signed_on(http)).status_code == 200
    provider.key = ECKey.generate_key("P-256", {"kid": "two"})
    provider.published = [provider.key]
    assert (await signed_on(http)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"back": {"state": "another"}}, {"back": {"iss": "https://other.example"}},
        {"token": {"id_token": 5}},
        {"token": {"id_token": "a.b.c"}}, {"keys": {"keys": 5}}, {"keys": {"keys": []}},
        {"back": {"code": "none"}},
    ],
)  # fmt: skip
async def test_a_provider_that_misbehaves_lets_nobody_in(
    http: httpx.AsyncClient, provider: Provider, wrong: dict[str, Any]
) -> None:
    provider.wrong = wrong
    assert (await signed_on(http)).status_code == 401


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://other.example"}, {"token_endpoint": "http://192.0.2.1/token"}, {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"}, {"issuer": "x" * 300_000},
    ],
)  # fmt: skip
async def test_a_discovery_document_that_will_not_do(
    http: httpx.AsyncClient, provider: Provider, discovery: dict[str, Any]
) -> None:
    provider.wrong = {"discovery": discovery}
    answer = await http.get("/login/oidc")
    assert (answer.status_code, answer.json()["detail"]) == (503, oidc.AWAY)


async def test_a_provider_that_is_away_is_told(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.__exit__()
    assert (await http.get("/login/oidc")).status_code == 503


async def test_nobody_tries_without_end(http: httpx.AsyncClient) -> None:
    answers = [(await http.get("/login/oidc/callback")).status_code for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2


async def test_a_role_may_lie_deeper(provider: Provider) -> None:
    nested = SingleSignOn(settings(provider, role_claim="realm_access.roles"), Clock())
    who = nested._principal({"preferred_username": "li", "realm_access": {"roles": ["office", 5]}})
    assert who.roles == "admin"


async def test_many_who_never_come_back_are_forgotten(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "MOST_FLOWS", 8)
    sign_on = SingleSignOn(settings(provider), Clock())
    for _ in range(oidc.MOST_FLOWS + 5):
        await sign_on.begin()
    assert len(sign_on._flows) == oidc.MOST_FLOWS
