"""Cases: looking, acting, exporting."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response, StreamingResponse

from api.access.roles import Principal
from api.access.rules import needs
from api.center import exports, schemas
from api.center.desk import Desk
from api.center.model import Case, CaseQuery
from api.schemas import Problem

PROBLEM: dict[str, Any] = {"model": Problem, "content": {"application/problem+json": {}}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: PROBLEM | {"description": "No token, or a wrong one."},
    503: PROBLEM | {"description": "The database or Redis is away."},
}

CaseId = Annotated[int, Path(ge=1, le=2**62, description="The case's number.")]
After = Annotated[int, Query(ge=0, le=2**62, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]

Wanted = Annotated[schemas.Wanted, Query()]


def router(desk: Desk) -> APIRouter:
    """Routes of cases and their exports."""
    routes = APIRouter(tags=["cases"], responses=REFUSALS)
    _reading(routes, desk)
    _acting(routes, desk)
    _exporting(routes, desk)
    return routes


def actor(asking: Principal, said: str) -> str:
    """Who acts: whoever has signed in, or whom a program says that it acts for."""
    return asking.name if asking.way == "session" else said


def _whole(desk: Desk, case: Case) -> schemas.WholeCase:
    return schemas.WholeCase(
        **schemas.case_fields(case, desk.triage, desk.regions),
        cameras=case.cameras,
        history=tuple(schemas.Record.model_validate(record) for record in case.history),
    )


def _reading(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/cases", summary="Cases, newest first", dependencies=[needs("cases.read")])
    def cases(page: Annotated[schemas.WantedPage, Query()]) -> schemas.Cases:
        found = desk.store.cases(page.query())
        return schemas.Cases(
            cases=tuple(schemas.Case(**schemas.case_fields(c, desk.triage, desk.regions)) for c in found),
            next=found[-1].id if len(found) == page.limit else None,
        )

    @routes.get(
        "/cases/{case_id}",
        summary="A case with its cameras and history",
        responses={404: PROBLEM},
        dependencies=[needs("cases.read")],
    )
    def case(case_id: CaseId) -> schemas.WholeCase:
        return _whole(desk, desk.store.case(case_id))

    @routes.get(
        "/cases/{case_id}/events",
        dependencies=[needs("cases.read")],
        summary="A case's events, in their nodes' order",
        description="Node after node, by `sequence`, however late and in whatever order they came.",
        responses={404: PROBLEM},
    )
    def events(case_id: CaseId, after: After = 0, limit: Limit = 100) -> schemas.CaseEvents:
        found = desk.store.events(case_id, after, limit)
        return schemas.CaseEvents(
            events=tuple(schemas.event_of(event) for event in found),
            next=found[-1].n if len(found) == limit else None,
        )


def _acting(routes: APIRouter, desk: Desk) -> None:
    @routes.post(
        "/cases/{case_id}/actions",
        summary="Act on a case",
        description="Legal are the actions that the case names in `legal`. An act names the version that the "
        "actor saw: where somebody else acted meanwhile, the answer is 409 with the version now. Rejecting "
        "needs a cause. Every act stands in the history with who, when and why.",
        responses={
            404: PROBLEM,
            409: {
                "model": schemas.Conflict,
                "content": {"application/problem+json": {}},
                "description": "Somebody else acted meanwhile.",
            },
            422: PROBLEM | {"description": "Not legal for the case as it stands, or not well-formed."},
        },
    )
    def act(
        case_id: CaseId, acting: schemas.Acting, asking: Annotated[Principal, needs("cases.write")]
    ) -> schemas.WholeCase:
        case = desk.store.act(
            case_id, acting.version, acting.action, actor(asking, acting.who), acting.why, cause=acting.cause
        )
        return _whole(desk, case)


def _exporting(routes: APIRouter, desk: Desk) -> None:
    @routes.get(
        "/export/cases.csv",
        dependencies=[needs("cases.export")],
        summary="Cases as a CSV file",
        description="UTF-8 with a mark at its beginning, all cells in quotes. Text that a spreadsheet would "
        "run as a formula begins with an apostrophe.",
        response_class=Response,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    def as_csv(wanted: Wanted) -> Response:
        query = _reachable(desk, wanted.query())
        lines = exports.csv_lines(exports.every(desk.store, query), desk.regions)
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=_file("cases.csv"))

    @routes.get(
        "/export/gbt31000.json",
        dependencies=[needs("cases.export")],
        summary="Cases as records in the style of GB/T 31000",
        description="Field names as implementers of GB/T 31000-2015 use them; code tables are data "
        "(`tables.gbt31000`). Where a table has no code for a value, the value's name stands there.",
        response_class=Response,
        responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
    )
    def as_gbt31000(wanted: Wanted) -> Response:
        query = _reachable(desk, wanted.query())
        records = exports.gbt31000_lines(exports.every(desk.store, query), desk.gbt31000, desk.triage)
        return StreamingResponse(records, media_type="application/json", headers=_file("gbt31000.json"))


def _reachable(desk: Desk, query: CaseQuery) -> CaseQuery:
    """Have a database that is away tell so before the answer has begun."""
    desk.store.cases(replace(query, limit=1))
    return query


def _file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
