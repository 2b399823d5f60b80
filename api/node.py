"""The node's HTTP interface: health, cameras, events, metrics and a status page, and who may use it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from api import evidence, live, pages, schemas
from api.access import routes as access_routes
from api.access.gate import Access
from api.access.opening import unguarded
from api.access.roles import Principal
from api.access.rules import access_of, check_rules, needs, public
from api.guard import SECURITY_HEADERS, Guard, problem
from api.sse import EventStream, Hidden, Numbered
from edge.live import LiveHub
from edge.status import NodeStatus, Readiness

MAX_BODY = 64 * 1024
"""Bytes of a request; the largest that makes sense is a fraction of it."""
PROBE = "probes ask before anything else works; tells that the node lives and what it lacks"
MAX_STREAMS = 64
"""Readers of /events at once; each holds a bounded queue."""

PROBLEM = {"model": schemas.Problem, "content": {"application/problem+json": {}}}
DENIED: dict[int | str, dict[str, Any]] = {
    401: PROBLEM | {"description": "Nobody is known."},
    403: PROBLEM | {"description": "They may not."},
}


class BoardEvent(Numbered, Protocol):
    """An event that says what it is about."""

    @property
    def source(self) -> str:
        """`/nodes/<node>` or `/nodes/<node>/cameras/<camera>`."""
        ...


class Board(Protocol):
    """Where the newest events are; `edge.board.EventBoard` in the node."""

    def recent(self, limit: int = 50) -> Sequence[BoardEvent]:
        """The newest events, oldest first."""
        ...

    def subscribe(self, after: str | None = None) -> AsyncGenerator[BoardEvent]:
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

    @property
    def live(self) -> LiveHub:
        """Live view of the cameras."""
        ...

    @property
    def evidence(self) -> evidence.Keeps:
        """What is kept of incidents."""
        ...


def create_app(
    node: NodeView,
    names: Sequence[str] = ("localhost",),
    access: Access | None = None,
    signing_in: APIRouter | None = None,
) -> FastAPI:
    """The application that shows a node.

    Args:
        node: what is shown.
        names: host names that it answers under, besides IP addresses.
        access: who may do what; None: this machine may read, and nobody sees video.
        signing_in: routes of single sign-on, where that is configured.

    Raises:
        UnruledError: a route says not who may use it.
    """
    status = node.status()
    access = access or unguarded()
    app = FastAPI(
        title="Sharp Eyes node",
        version=status.version,
        description="Health, cameras, events and metrics of one node. It watches places, not people: "
        "pictures are redacted, of incidents, and for those who say why.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        max_body_size=MAX_BODY,
        responses={422: PROBLEM | {"description": "What was asked is not understood."}},
    )
    app.state.access = access
    app.add_middleware(Guard, names=names, tls=access.rules.tls)
    app.add_exception_handler(StarletteHTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(Exception, _defect)
    app.include_router(_health(node))
    app.include_router(_cameras(node))
    app.include_router(_events(node.board))
    app.include_router(evidence.router(node))
    app.state.watching = live.Watching(node)
    app.include_router(live.router(app.state.watching))
    app.include_router(access_routes.router(oidc=signing_in is not None))
    if signing_in is not None:
        app.include_router(signing_in)
    pages.mount(app)
    check_rules(app)
    return app


def _health(node: NodeView) -> APIRouter:
    router = APIRouter(tags=["node"])

    @router.get("/healthz", summary="Whether the process is alive", dependencies=[public(PROBE)])
    async def healthz() -> schemas.Alive:
        return schemas.Alive()

    @router.get(
        "/readyz",
        summary="Whether the node does its work",
        responses={503: {"model": schemas.Ready, "description": "Not ready; `missing` says why."}},
        dependencies=[public(PROBE)],
    )
    async def readyz(response: Response) -> schemas.Ready:
        ready = schemas.Ready.model_validate(node.readiness())
        response.status_code = HTTPStatus.OK if ready.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return ready

    @router.get(
        "/node",
        summary="The node itself: detector, Redis, outbox",
        responses=DENIED,
        dependencies=[needs("node.read")],
    )
    async def about() -> schemas.Node:
        return schemas.Node.model_validate(node.status())

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        description="For machine tokens, and for programs on the node's own machine.",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **DENIED},
        dependencies=[needs("metrics.read", loopback=True)],
    )
    async def metrics() -> Response:
        body, content_type = node.metrics()
        return Response(body, headers={"content-type": content_type})

    return router


def _cameras(node: NodeView) -> APIRouter:
    router = APIRouter(prefix="/cameras", tags=["cameras"])

    @router.get("", summary="All cameras that one may see, in the configuration's order", responses=DENIED)
    async def cameras(
        request: Request, who: Annotated[Principal, needs("cameras.read")]
    ) -> list[schemas.Camera]:
        access = access_of(request)
        return [
            schemas.Camera.model_validate(camera)
            for camera in node.status().cameras
            if who.may("cameras.read", access.camera(camera.id))
        ]

    @router.get(
        "/{camera_id}",
        summary="One camera",
        responses={404: PROBLEM, **DENIED},
        dependencies=[needs("cameras.read", camera="camera_id")],
    )
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
            **DENIED,
        },
    )
    async def events(
        request: Request,
        who: Annotated[Principal, needs("events.read")],
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
        access = access_of(request)

        async def subscription() -> AsyncGenerator[Numbered | Hidden]:
            streams.add(request)
            try:
                async with aclosing(board.subscribe(last and last.zfill(20))) as coming:
                    async for event in coming:
                        if not access.still(request, who):
                            return
                        yield event if _sees(access, who, event) else Hidden(event.sequence)
            finally:
                streams.discard(request)

        return EventStream(subscription(), last)

    @router.get(
        "/recent",
        summary="The newest events, oldest first",
        response_class=Response,
        responses={200: {"content": {"application/json": {"schema": _EVENT_LIST}}}, **DENIED},
    )
    async def recent(
        request: Request,
        who: Annotated[Principal, needs("events.read")],
        limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    ) -> Response:
        access = access_of(request)
        seen = (event for event in board.recent(limit) if _sees(access, who, event))
        body = b"[%b]" % b",".join(event.to_json() for event in seen)
        return Response(body, media_type="application/json")

    return router


def _sees(access: Access, who: Principal, event: BoardEvent) -> bool:
    """Whether somebody may see an event: those of the node itself, whoever may see any."""
    _, of_camera, camera = event.source.partition("/cameras/")
    return not of_camera or who.may("events.read", access.camera(camera))


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
    return problem(422, "Unprocessable Content", "; ".join(map(_fault, error.errors())))


def _fault(found: dict[str, Any]) -> str:
    """What is wrong, without what was sent: a key that nobody knows may be a secret in the wrong place."""
    unknown = found["type"] == "extra_forbidden"
    place = found["loc"][:-1] if unknown else found["loc"]
    return f"{'.'.join(map(str, place))}: {'a key is not known here' if unknown else found['msg']}"


async def _defect(_: Request, __: Exception) -> Response:
    # Answered outside the middleware, so the headers are set here.
    return problem(500, "Internal Server Error", "The node's log says more.", SECURITY_HEADERS)
