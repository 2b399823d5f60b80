"""How it goes: numbers, changes as they come, what was refused, health, metrics."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Query, Request, Response
from pydantic import AfterValidator

from api.access.rules import needs, public
from api.center import schemas
from api.center.desk import Desk
from api.center.entries import Kept
from api.center.feed import Told
from api.center.refusal import EARLIEST
from api.center.routes_cases import PROBLEM, REFUSALS, Limit
from api.schemas import Alive, Ready
from api.sse import EventStream, Missed

PROBE = "probes ask before anything else works; tells that the centre lives and what it lacks"
MAX_STREAMS = 64
"""Readers of /events/stream at once."""
DAYS = 7
"""Days that /numbers covers where nothing else is asked for."""

EntryId = Annotated[
    Annotated[str, Query(pattern=schemas.ENTRY_ID), AfterValidator(schemas.entry_id)] | None,
    Query(description="`next` of the page before."),
]


def router(desk: Desk) -> APIRouter:
    """Routes that need the token, where there is one."""
    routes = APIRouter(responses=REFUSALS)
    _numbers(routes, desk)
    _stream(routes, desk)
    _kept(routes, desk)
    routes.include_router(scrape(desk))
    return routes


def _numbers(routes: APIRouter, desk: Desk) -> None:
    @routes.get(
        "/numbers",
        dependencies=[needs("cases.read")],
        tags=["numbers"],
        summary="The four indicators, times by stage, precision, false alarms",
    )
    def numbers(
        since: Annotated[schemas.Moment | None, Query(description="From; default: 7 days before.")] = None,
        until: Annotated[schemas.Moment | None, Query(description="Until; default: now.")] = None,
    ) -> schemas.Numbers:
        end = until or datetime.now(UTC)
        begin = since or max(end - timedelta(days=DAYS), EARLIEST)
        if begin >= end:
            raise HTTPException(422, "since must be before until.")
        return schemas.Numbers.model_validate(desk.store.numbers(begin, end))


def _stream(routes: APIRouter, desk: Desk) -> None:
    readers: set[Request] = set()

    @routes.get(
        "/events/stream",
        dependencies=[needs("cases.read")],
        tags=["cases"],
        summary="Changes of cases as they come, as server-sent events",
        description="Each message's id is the change's number, its data JSON: id, at, case, version, what "
        "(opened, event, raised, acted, escalated), level, state. With `Last-Event-ID` or `after`, first "
        "come the later changes of the last days. A message named `missed` says which numbers are not "
        "kept any more: between `after` and `before`, which is the next; read /cases again then.",
        response_class=Response,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def changes(
        request: Request,
        after: Annotated[str | None, Query(pattern=r"^[0-9]{1,20}$", description="Last number seen.")] = None,
        last_event_id: Annotated[str | None, Header(pattern=r"^[0-9]{1,20}$")] = None,
    ) -> Response:
        if len(readers) >= MAX_STREAMS:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many readers of /events/stream.", {"Retry-After": "10"}
            )
        last = last_event_id or after

        async def following() -> AsyncGenerator[Told | Missed]:
            readers.add(request)
            try:
                async with aclosing(desk.feed.follow(None if last is None else int(last))) as coming:
                    async for change in coming:
                        yield change
            finally:
                readers.discard(request)

        return EventStream(following(), last)


def _kept(routes: APIRouter, desk: Desk) -> None:
    @routes.get(
        "/dead-letters",
        dependencies=[needs("cases.read")],
        tags=["refused"],
        summary="Events whose processing failed again and again",
        responses={503: PROBLEM},
    )
    def dead_letters(before: EntryId = None, limit: Limit = 100) -> schemas.KeptPage:
        return _page(desk.stream.dead_letters(limit, before), limit)

    @routes.get(
        "/quarantine",
        dependencies=[needs("cases.read")],
        tags=["refused"],
        summary="Entries that were refused, with the reason",
        responses={503: PROBLEM},
    )
    def quarantine(before: EntryId = None, limit: Limit = 100) -> schemas.KeptPage:
        return _page(desk.stream.quarantined(limit, before), limit)


def _page(entries: list[Kept], limit: int) -> schemas.KeptPage:
    return schemas.KeptPage(
        entries=tuple(schemas.Kept(id=entry.id, fields=dict(entry.fields)) for entry in entries),
        next=entries[-1].id if len(entries) == limit else None,
    )


def health(desk: Desk) -> APIRouter:
    """Routes that need no token, for probes."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", summary="Whether the process is alive", dependencies=[public(PROBE)])
    async def healthz() -> Alive:
        return Alive()

    @routes.get(
        "/readyz",
        dependencies=[public(PROBE)],
        summary="Whether the centre does its work",
        responses={503: {"model": Ready, "description": "Not ready; `missing` says why."}},
    )
    async def readyz(response: Response) -> Ready:
        missing = await asyncio.to_thread(desk.missing)
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
        return Ready(ready=not missing, missing=missing)

    return routes


def scrape(desk: Desk) -> APIRouter:
    """The route of the metrics."""
    routes = APIRouter(tags=["health"])

    @routes.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        dependencies=[needs("metrics.read")],
    )
    async def metrics() -> Response:
        body, content_type = await asyncio.to_thread(desk.metrics)
        return Response(body, headers={"content-type": content_type})

    return routes
