"""The pages that ship with the node: status at `/`, the interface's description at `/docs`."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI
from starlette.responses import JSONResponse, Response

from api.access.rules import public

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/sign-in": ("sign-in.html", "text/html; charset=utf-8"),
    "/set-up": ("set-up.html", "text/html; charset=utf-8"),
    "/live": ("live.html", "text/html; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/console/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/console/events.js": ("events.js", "text/javascript; charset=utf-8"),
    "/console/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/console/live.js": ("live.js", "text/javascript; charset=utf-8"),
    "/console/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "/console/sign-in.js": ("sign-in.js", "text/javascript; charset=utf-8"),
    "/console/style.css": ("style.css", "text/css; charset=utf-8"),
    "/console/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path to file and content type. A fixed table, so that no path can lead elsewhere."""


def mount(app: FastAPI) -> None:
    """Let `app` serve the pages; they are read once, at the start."""
    for path, (name, content_type) in FILES.items():
        body = (files("api") / "console" / name).read_bytes()
        _add(app, path, _page(body, content_type))

    async def description() -> Response:
        return JSONResponse(app.openapi())

    _add(app, "/openapi.json", description)


_PARTS = ("sign-in.js", "words.js", "style.css", "icon.svg")
DOOR = ("/sign-in", "/set-up", *(f"/console/{name}" for name in _PARTS))
"""The pages with which somebody signs in, where nothing else of these is shown."""


def mount_door(app: FastAPI) -> None:
    """Let `app` serve the pages with which somebody signs in, and no others."""
    for path in DOOR:
        name, content_type = FILES[path]
        _add(app, path, _page((files("api") / "console" / name).read_bytes(), content_type))


def _add(app: FastAPI, path: str, answer: Callable[[], Awaitable[Response]]) -> None:
    app.add_api_route(
        path,
        answer,
        methods=["GET", "HEAD"],
        include_in_schema=False,
        response_class=Response,
        dependencies=[public("the same files on every node; they hold nothing of this one")],
    )


def _page(body: bytes, content_type: str) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        return Response(body, headers={"content-type": content_type})

    return page
