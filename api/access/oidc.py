"""Single sign-on by OpenID Connect: authorization code with PKCE, by Authlib. Its only door, and joserfc's.

Needs the extra `oidc`. Nothing of what the provider tells is kept but name, organisation and roles, in the
session.
"""

import json
import secrets
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.deprecate import AuthlibDeprecationWarning
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.access.gate import Access, origin_of
from api.access.roles import Principal, grants_of, is_name
from api.access.routes import set_cookie
from api.access.rules import access_of, public
from api.access.tokens import digest_of, same
from edge.access_config import OidcConfig, is_safe_url
from streams.clock import Clock

with warnings.catch_warnings():
    # Authlib 1.9 asks for httpx's successor and works with both
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.httpx_client import AsyncOAuth2Client

log = structlog.get_logger(__name__)

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures of tokens that are taken: public keys only, never `none` or a shared secret."""
FLOW_S, MOST_FLOWS = 600.0, 256
LEEWAY_S = 60
METADATA_S = 3600.0
"""Seconds for which what the provider says of itself is believed; its keys are fetched when one is new."""
MOST_BYTES = 256 * 1024
TIMEOUT_S = 10.0
REFUSED = "The provider did not vouch for you, or your role there has no part here."
AWAY = "The provider of single sign-on does not answer; the node's log says more."


class OidcError(Exception):
    """Somebody is not let in by single sign-on; the text is for the log and quotes no token."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Somebody who was sent to the provider and has not come back.

    Attributes:
        state: comes back with them.
        nonce: comes back in their token.
        verifier: proves that who asks for the token is who began (PKCE).
        begun_s: monotonic seconds.
    """

    state: str
    nonce: str
    verifier: str
    begun_s: float


@dataclass(frozen=True, slots=True)
class Provider:
    """What the provider says of itself.

    Attributes:
        issuer: its name, which every token must bear.
        authorization, token, keys: its endpoints.
        seen_s: monotonic seconds.
    """

    issuer: str
    authorization: str
    token: str
    keys: str
    seen_s: float


class SingleSignOn:
    """Sends people to a provider and takes its word for who they are. One loop only.

    Args:
        settings: of the configuration.
        clock: monotonic for what goes stale, UTC for tokens.
        transport: carries requests; None: the network.
    """

    def __init__(
        self, settings: OidcConfig, clock: Clock, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings, self._clock, self._transport = settings, clock, transport
        self._grants = {value: grants_of(text.split()) for value, text in settings.roles.items()}
        self._flows: OrderedDict[str, Flow] = OrderedDict()
        self._provider: Provider | None = None
        self._keys: KeySet | None = None

    async def begin(self) -> tuple[str, str]:
        """Where to send a browser, and the secret that it must come back with.

        Raises:
            OidcError: the provider cannot be asked.
        """
        provider = await self._known()
        now = self._clock.monotonic()
        state, nonce, verifier, secret = (secrets.token_urlsafe(32) for _ in range(4))
        flow = Flow(state, nonce, verifier, now)
        self._flows[digest_of(secret)] = flow
        if len(self._flows) > MOST_FLOWS:
            self._flows.popitem(last=False)
        async with self._client() as client:
            url, _ = client.create_authorization_url(
                provider.authorization, state=flow.state, nonce=flow.nonce, code_verifier=flow.verifier
            )
        return str(url), secret

    async def finish(self, secret: str, query: Mapping[str, str]) -> Principal:
        """Who has come back, by the provider's word. Each return is used once.

        Args:
            secret: as `begin` gave it.
            query: what the provider sent along.

        Raises:
            OidcError: says why not.
        """
        flow = self._flows.pop(digest_of(secret), None)
        if flow is None or self._clock.monotonic() - flow.begun_s > FLOW_S:
            raise OidcError("nobody was sent to the provider from this browser, or too long ago")
        if not same(query.get("state", ""), flow.state):
            raise OidcError("the state is another")
        provider = await self._known()
        if not same(query.get("iss", provider.issuer), provider.issuer):
            raise OidcError("the answer is of another provider")
        if "code" not in query:
            raise OidcError("the provider refused")
        claims = await self._claims(provider, await self._id_token(provider, query["code"], flow), flow)
        return self._principal(claims)

    async def _id_token(self, provider: Provider, code: str, flow: Flow) -> str:
        try:
            async with self._client() as client:
                token = await client.fetch_token(provider.token, code=code, code_verifier=flow.verifier)
        except (AuthlibBaseError, httpx.HTTPError, ValueError) as exc:
            raise OidcError(f"the provider gave no token ({type(exc).__name__})") from None
        found = token.get("id_token")
        if not isinstance(found, str) or len(found) > MOST_BYTES:
            raise OidcError("the provider gave no id_token; openid must be among access.oidc.scopes")
        return found

    async def _claims(self, provider: Provider, id_token: str, flow: Flow) -> dict[str, Any]:
        claims = await self._signed(provider, id_token)
        now = self._clock.utc().timestamp()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        problems = (
            ("issuer", claims.get("iss") != provider.issuer),
            ("audience", self._settings.client_id not in audiences),
            ("azp", len(audiences) > 1 and claims.get("azp") != self._settings.client_id),
            ("nonce", not same(str(claims.get("nonce", "")), flow.nonce)),
            ("exp", not _number(claims.get("exp")) or now > claims["exp"] + LEEWAY_S),
            ("iat", not _number(claims.get("iat")) or claims["iat"] > now + LEEWAY_S),
            ("nbf", "nbf" in claims and (not _number(claims["nbf"]) or claims["nbf"] > now + LEEWAY_S)),
        )
        if wrong := [name for name, is_wrong in problems if is_wrong]:
            raise OidcError(f"the token's {', '.join(wrong)} will not do")
        return claims

    async def _signed(self, provider: Provider, id_token: str) -> dict[str, Any]:
        for again in (False, True):
            if self._keys is None or again:
                document = await self._fetched(provider.keys)
                try:
                    self._keys = KeySet.import_key_set(document)  # type: ignore[arg-type]
                except (JoseError, ValueError, KeyError, TypeError):
                    raise OidcError("the provider's keys are none") from None
            try:
                return dict(jwt.decode(id_token, self._keys, algorithms=ALGORITHMS).claims)
            except (JoseError, ValueError, KeyError, TypeError):
                continue  # the key may be new there
        raise OidcError("the token is not signed by the provider")

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        values = _at(claims, self._settings.role_claim)
        texts = values if isinstance(values, list) else [values]
        grants = [grant for text in texts if isinstance(text, str) for grant in self._grants.get(text, ())]
        if not grants:
            raise OidcError("no role of theirs has a part in access.oidc.roles")
        told = _at(claims, self._settings.name_claim)
        name = f"oidc:{told}"
        if not isinstance(told, str) or not is_name(name):
            raise OidcError("the name is missing or cannot be one: access.oidc.name_claim")
        unit = _at(claims, self._settings.unit_claim)
        return Principal(
            name, tuple(dict.fromkeys(grants)), "session", unit[:100] if isinstance(unit, str) else ""
        )

    async def _known(self) -> Provider:
        now = self._clock.monotonic()
        if self._provider is None or now - self._provider.seen_s > METADATA_S:
            url = self._settings.discovery_url
            found = await self._fetched(url)
            names = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
            told = [found.get(name) for name in names]
            if not all(isinstance(one, str) and is_safe_url(one) for one in told):
                raise OidcError("the discovery document lacks endpoints, or they are not https://")
            if f"{str(told[0]).rstrip('/')}/.well-known/openid-configuration" != url:
                raise OidcError("the discovery document is of another issuer")
            issuer, authorization, token, keys = map(str, told)
            self._provider = Provider(issuer, authorization, token, keys, now)
            self._keys = None
        return self._provider

    async def _fetched(self, url: str) -> dict[str, Any]:
        try:
            async with (
                httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S, trust_env=False) as client,
                client.stream("GET", url) as answer,
            ):
                answer.raise_for_status()
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise OidcError("the provider's answer is too large")
            found = json.loads(body)
        except (httpx.HTTPError, ValueError, RecursionError) as exc:
            raise OidcError(f"the provider does not answer as it should ({type(exc).__name__})") from None
        if not isinstance(found, dict):
            raise OidcError("the provider's answer is no object")
        return found

    def _client(self) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self._settings.client_id,
            self._settings.client_secret.get_secret_value(),
            scope=" ".join(self._settings.scopes),
            redirect_uri=self._settings.callback_url,
            code_challenge_method="S256",
            transport=self._transport,
            timeout=TIMEOUT_S,
            trust_env=False,
        )


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """A claim; dots lead into objects, as in `realm_access.roles`."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def router(sign_on: SingleSignOn) -> APIRouter:
    """The two routes of single sign-on."""
    routes = APIRouter(tags=["access"], prefix="/login/oidc")
    entry = "whoever signs in has not signed in yet; slowed down by address"

    @routes.get("", summary="Sign in at the organisation's provider", dependencies=[public(entry)])
    async def begin(request: Request) -> RedirectResponse:
        access = access_of(request)
        access.slow_down(origin_of(request))
        try:
            url, secret = await sign_on.begin()
        except OidcError as exc:
            log.warning("single sign-on is not possible", why=str(exc))
            raise HTTPException(503, AWAY, {"Retry-After": "30"}) from None
        answer = RedirectResponse(url, 303)
        # Lax: the browser comes back from the provider's site
        answer.set_cookie(
            _cookie(access), secret, max_age=int(FLOW_S), path="/", secure=access.rules.tls, httponly=True,
            samesite="lax",
        )  # fmt: skip
        return answer

    @routes.get("/callback", summary="Come back from the provider", dependencies=[public(entry)])
    async def callback(request: Request) -> HTMLResponse:
        access = access_of(request)
        access.slow_down(origin_of(request))
        try:
            who = await sign_on.finish(request.cookies.get(_cookie(access), ""), request.query_params)
        except OidcError as exc:
            log.warning("somebody was not let in by single sign-on", why=str(exc))
            await access.turned_away(origin_of(request), str(exc))
            raise HTTPException(401, REFUSED) from None
        secret = await access.signed_in_elsewhere(who, origin_of(request))
        # a page, not a redirect: browsers send a strict cookie only where this site leads on
        answer = HTMLResponse(
            '<!doctype html><meta http-equiv="refresh" content="0; url=/"><a href="/">Sharp Eyes</a>'
        )
        answer.delete_cookie(
            _cookie(access), path="/", secure=access.rules.tls, httponly=True, samesite="lax"
        )
        set_cookie(answer, access, secret)
        return answer

    return routes


def _cookie(access: Access) -> str:
    return f"{access.rules.cookie}-sign-on"
