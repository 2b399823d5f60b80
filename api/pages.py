"""The pages that ship with the node: status at `/`, the interface's description at `/docs`."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/console/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/console/events.js": ("events.js", "text/javascript; charset=utf-8"),
    "/console/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/console/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    "/console/style.css": ("style.css", "text/css; charset=utf-8"),
    "/console/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path to file and content type. A fixed table, so that no path can lead elsewhere."""


def mount(app: FastAPI) -> None:
    """Let `app` serve the pages; they are read once, at the start."""
    for path, (name, content_type) in FILES.items():
        body = (files("api") / "console" / name).read_bytes()
        app.add_route(path, _page(body, content_type), methods=["GET"], include_in_schema=False)


def _page(body: bytes, content_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(_: Request) -> Response:
        return Response(body, headers={"content-type": content_type})

    return page
