"""The centre's HTTP interface: cases, numbers, nodes, exports, updates. It serves no picture."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse

from api import pages
from api.access import routes as access_routes
from api.access.gate import Access
from api.access.opening import unguarded
from api.access.roles import Role
from api.access.rules import check_rules, public
from api.center import routes_cases, routes_network, routes_state
from api.center.desk import Desk
from api.center.entries import StreamAwayError
from api.center.errors import (
    CenterError,
    ConflictError,
    IllegalError,
    NotFoundError,
    StoreAwayError,
)
from api.guard import SECURITY_HEADERS, Guard

PREFIX = "/api/v1"
MAX_BODY = 64 * 1024
"""Bytes of a request; the largest that makes sense is a hundredth of it."""
RETRY = {"Retry-After": "5"}


def create_app(
    desk: Desk,
    names: Sequence[str] = ("localhost",),
    access: Access | None = None,
    signing_in: APIRouter | None = None,
) -> FastAPI:
    """The application.

    Args:
        desk: what it works with.
        names: host names that it answers under, besides IP addresses.
        access: who may do what; None: whoever brings the desk's token, or this machine where there is none.
        signing_in: routes of single sign-on, where that is configured.

    Raises:
        UnruledError: a route says not who may use it.
    """
    app = FastAPI(
        title="Sharp Eyes centre",
        version=desk.version,
        description="Cases of a district's cameras: from their report to their end. It watches places, not "
        "people: there is no picture here.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        max_body_size=MAX_BODY,
    )
    app.state.access = access or unguarded(Role.ADMIN, desk.token)
    app.add_middleware(Guard, names=names, tls=app.state.access.rules.tls)
    app.add_exception_handler(StarletteHTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(CenterError, _center_problem)
    app.add_exception_handler(Exception, _defect)
    inside = APIRouter()
    inside.include_router(routes_cases.router(desk))
    inside.include_router(routes_network.router(desk))
    inside.include_router(routes_state.router(desk))
    app.include_router(inside, prefix=PREFIX)
    health = routes_state.health(desk)
    app.include_router(health, prefix=PREFIX)
    # where probes and scrapers look by custom
    app.include_router(health, include_in_schema=False)
    app.include_router(routes_state.scrape(desk), include_in_schema=False)
    if app.state.access.rules.users:
        app.include_router(access_routes.router(oidc=signing_in is not None))
        pages.mount_door(app)
    if signing_in is not None:
        app.include_router(signing_in)
    _describe(app)
    check_rules(app)
    return app


def _describe(app: FastAPI) -> None:
    @app.get(
        f"{PREFIX}/openapi.json",
        include_in_schema=False,
        dependencies=[public("the same on every centre; it holds nothing of this one")],
    )
    async def description() -> JSONResponse:
        return JSONResponse(app.openapi())


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    """An error as RFC 9457 says it, `application/problem+json`, with `more` beside what all have."""
    title = HTTPStatus(status).phrase
    return JSONResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail, **more},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )


async def _http_problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, StarletteHTTPException):
        raise error
    return problem(error.status_code, str(error.detail), dict(error.headers) if error.headers else None)


async def _validation_problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = (f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
    return problem(422, "; ".join(faults))


async def _center_problem(_: Request, error: Exception) -> Response:
    if isinstance(error, ConflictError):
        return problem(409, f"{error}; look at it again before acting", version=error.current)
    if isinstance(error, NotFoundError):
        return problem(404, str(error))
    if isinstance(error, IllegalError):
        return problem(422, str(error))
    if isinstance(error, StoreAwayError):
        return problem(503, f"The database is away: {error}", RETRY)
    if isinstance(error, StreamAwayError):
        return problem(503, f"Redis is away: {error}", RETRY)
    raise error


async def _defect(_: Request, __: Exception) -> Response:
    # Answered outside the middleware, so the headers are set here.
    return problem(500, "The centre's log says more.", SECURITY_HEADERS)
