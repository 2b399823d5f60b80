"""The node's HTTP interface: health, cameras, events, metrics and a status page. It serves no picture."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from api import pages, schemas
from api.guard import SECURITY_HEADERS, Guard, problem
from api.sse import EventStream, Numbered
from edge.status import NodeStatus, Readiness

MAX_STREAMS = 64
"""Readers of /events at once; each holds a bounded queue."""

PROBLEM = {"model": schemas.Problem, "content": {"application/problem+json": {}}}


class Board(Protocol):
    """Where the newest events are; `edge.board.EventBoard` in the node."""

    def recent(self, limit: int = 50) -> Sequence[Numbered]:
        """The newest events, oldest first."""
        ...

    def subscribe(self, after: str | None = None) -> AsyncGenerator[Numbered]:
        """Events from now on, with `after` those still on the board first."""
        ...


class NodeView(Protocol):
    """What the interface needs of a node."""

    @property
    def board(self) -> Board:
        """The newest events."""
        ...

    def status(self) -> NodeStatus:
        """The node and its cameras now."""
        ...

    def readiness(self) -> Readiness:
        """Whether the node does its work."""
        ...

    def metrics(self) -> tuple[bytes, str]:
        """Body and content type for Prometheus."""
        ...


def create_app(node: NodeView, names: Sequence[str] = ("localhost",)) -> FastAPI:
    """The application that shows `node`; it answers under IP addresses and the host `names`."""
    status = node.status()
    app = FastAPI(
        title="Sharp Eyes node",
        version=status.version,
        description="Health, cameras, events and metrics of one node. It watches places, not people: "
        "there is no picture here.",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Guard, names=names)
    app.add_exception_handler(StarletteHTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(Exception, _defect)
    app.include_router(_health(node))
    app.include_router(_cameras(node))
    app.include_router(_events(node.board))
    pages.mount(app)
    return app


def _health(node: NodeView) -> APIRouter:
    router = APIRouter(tags=["node"])

    @router.get("/healthz", summary="Whether the process is alive")
    async def healthz() -> schemas.Alive:
        return schemas.Alive()

    @router.get(
        "/readyz",
        summary="Whether the node does its work",
        responses={503: {"model": schemas.Ready, "description": "Not ready; `missing` says why."}},
    )
    async def readyz(response: Response) -> schemas.Ready:
        ready = schemas.Ready.model_validate(node.readiness())
        response.status_code = HTTPStatus.OK if ready.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return ready

    @router.get("/node", summary="The node itself: detector, Redis, outbox")
    async def about() -> schemas.Node:
        return schemas.Node.model_validate(node.status())

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        body, content_type = node.metrics()
        return Response(body, headers={"content-type": content_type})

    return router


def _cameras(node: NodeView) -> APIRouter:
    router = APIRouter(prefix="/cameras", tags=["cameras"])

    @router.get("", summary="All cameras, in the configuration's order")
    async def cameras() -> list[schemas.Camera]:
        return [schemas.Camera.model_validate(camera) for camera in node.status().cameras]

    @router.get("/{camera_id}", summary="One camera", responses={404: PROBLEM})
    async def camera(
        camera_id: Annotated[str, Path(max_length=63, description="The camera's id in the configuration.")],
    ) -> schemas.Camera:
        for one in node.status().cameras:
            if one.id == camera_id:
                return schemas.Camera.model_validate(one)
        raise HTTPException(HTTPStatus.NOT_FOUND, "No camera has this id; /cameras lists them.")

    return router


def _events(board: Board) -> APIRouter:
    router = APIRouter(prefix="/events", tags=["events"])
    streams: set[Request] = set()

    @router.get(
        "",
        summary="Events as they come, as server-sent events",
        description="Each message's id is the event's `sequence`, its data the CloudEvent. With "
        "`Last-Event-ID` or `after`, first come the later events that the node still remembers. A message "
        "named `missed` says which sequence numbers a slow or late reader did not get.",
        response_class=Response,
        responses={
            200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
            503: PROBLEM | {"description": "Too many readers."},
        },
    )
    async def events(
        request: Request,
        after: Annotated[
            str | None, Query(pattern=r"^[0-9]{1,20}$", description="Last sequence seen.")
        ] = None,
        last_event_id: Annotated[str | None, Header(pattern=r"^[0-9]{1,20}$")] = None,
    ) -> Response:
        if len(streams) >= MAX_STREAMS:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many readers of /events.", {"Retry-After": "10"}
            )
        last = last_event_id or after

        async def subscription() -> AsyncGenerator[Numbered]:
            streams.add(request)
            try:
                async with aclosing(board.subscribe(last and last.zfill(20))) as coming:
                    async for event in coming:
                        yield event
            finally:
                streams.discard(request)

        return EventStream(subscription(), last)

    @router.get(
        "/recent",
        summary="The newest events, oldest first",
        response_class=Response,
        responses={200: {"content": {"application/json": {"schema": _EVENT_LIST}}}},
    )
    async def recent(
        limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    ) -> Response:
        body = b"[%b]" % b",".join(event.to_json() for event in board.recent(limit))
        return Response(body, media_type="application/json")

    return router


_EVENT_LIST: dict[str, Any] = {
    "type": "array",
    "items": {"type": "object", "description": "A CloudEvent as `edge/schema/event.v1.json` says."},
}


async def _http_problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, StarletteHTTPException):
        raise error
    return problem(
        error.status_code,
        HTTPStatus(error.status_code).phrase,
        str(error.detail),
        dict(error.headers) if error.headers else None,
    )


async def _validation_problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = (f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
    return problem(422, "Unprocessable Content", "; ".join(faults))


async def _defect(_: Request, __: Exception) -> Response:
    # Answered outside the middleware, so the headers are set here.
    return problem(500, "Internal Server Error", "The node's log says more.", SECURITY_HEADERS)
