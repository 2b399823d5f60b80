"""Signing in and out, who one is, and the first admin."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access.gate import Access, origin_of
from api.access.roles import PERMISSIONS, Principal
from api.access.rules import access_of, needs, own_pages_only, public
from api.access.tokens import page_token
from api.schemas import Problem

PROBLEM = {"model": Problem, "content": {"application/problem+json": {}}}
REFUSED: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 401, 403, 404, 409, 422, 429, 503), PROBLEM)
ENTRY = "whoever signs in has not signed in yet; slowed down by address, pages of other sites refused"


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Credentials(_Body):
    """A name and its password."""

    name: str = Field(min_length=1, max_length=80, description="The user's name.")
    password: str = Field(min_length=1, max_length=128, repr=False, description="The user's password.")


class FirstAdmin(Credentials):
    """What the setup link asks for."""

    token: str = Field(min_length=1, max_length=100, repr=False, description="What follows # in the link.")
    unit: str = Field("", max_length=100, description="The organisation, for the audit log.")


class Me(BaseModel):
    """Who asks."""

    name: str = Field(description="The user's or token's name; `-` for nobody in particular.")
    unit: str = Field(description="The organisation.")
    grants: tuple[str, ...] = Field(description="Roles and where they hold.")
    may: tuple[str, ...] = Field(description="Permissions, at least somewhere.")
    users: bool = Field(description="Whether this node asks who one is.")
    csrf: str | None = Field(description="What a page sends as X-CSRF-Token; null without a session.")


def router(*, oidc: bool) -> APIRouter:
    """The routes; `oidc`: whether single sign-on is configured, for the page."""
    routes = APIRouter(tags=["access"])

    @routes.post(
        "/login", summary="Sign in", status_code=204, responses=REFUSED, dependencies=[public(ENTRY)]
    )
    async def login(request: Request, response: Response, brought: Credentials) -> None:
        own_pages_only(request)
        access = access_of(request)
        former = access.session_of(request)
        secret = await access.sign_in(brought.name, brought.password, origin_of(request))
        if former is not None:
            access.sessions.end(former[0])
        set_cookie(response, access, secret)

    @routes.post(
        "/setup", summary="Make the first admin", status_code=204, responses=REFUSED,
        dependencies=[public(ENTRY)],
    )  # fmt: skip
    async def setup(request: Request, response: Response, first: FirstAdmin) -> None:
        own_pages_only(request)
        access = access_of(request)
        secret = await access.set_up(first.token, first.name, first.password, origin_of(request), first.unit)
        set_cookie(response, access, secret)

    @routes.post("/logout", summary="Sign out", status_code=204, responses=REFUSED)
    async def logout(
        request: Request, response: Response, who: Annotated[Principal, needs("session.own")]
    ) -> None:
        access = access_of(request)
        clear_cookie(response, access)
        await access.sign_out(request, who)

    @routes.get("/session", summary="Who one is, and may do what", responses=REFUSED)
    async def session(request: Request, who: Annotated[Principal, needs("session.own")]) -> Me:
        access = access_of(request)
        found = access.session_of(request)
        return Me(
            name=who.name,
            unit=who.unit,
            grants=tuple(map(str, who.grants)),
            may=tuple(name for name in PERMISSIONS if who.may(name)),
            users=access.rules.users,
            csrf=page_token(found[0]) if found is not None and who.way == "session" else None,
        )

    @routes.get(
        "/login/ways",
        summary="How one may sign in here",
        dependencies=[
            public("the sign-in page asks before anybody has signed in; tells nothing of accounts")
        ],
    )
    async def ways() -> dict[str, bool]:
        return {"password": True, "oidc": oidc}

    return routes


def set_cookie(response: Response, access: Access, secret: str) -> None:
    """Give the browser its session's id: no script reads it, no other site sends it."""
    response.set_cookie(
        access.rules.cookie, secret, path="/", secure=access.rules.tls, httponly=True, samesite="strict"
    )


def clear_cookie(response: Response, access: Access) -> None:
    """Take it back."""
    response.delete_cookie(
        access.rules.cookie, path="/", secure=access.rules.tls, httponly=True, samesite="strict"
    )
