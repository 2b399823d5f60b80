"""What every HTTP answer carries, and who may ask: security headers, and a check of the Host header."""

import ipaddress
import socket
from collections.abc import Collection, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""Set on every answer. The pages load nothing from elsewhere and run no inline script or style."""

TLS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}
"""Set as well where the interface speaks TLS: browsers never ask without it again."""


def problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as RFC 9457 says it: `application/problem+json` with title, status and detail."""
    return JSONResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )


def host_of(header: str) -> str:
    """The host in a Host header, lower case, without port and brackets; empty where it is malformed.

    >>> host_of("[::1]:8080"), host_of("Node-1:8080"), host_of("a b")
    ('::1', 'node-1', '')
    """
    host = header.strip().lower()
    if host.startswith("["):
        host, closed, rest = host[1:].partition("]")
        return host if closed and (not rest or rest.startswith(":")) else ""
    host = host.partition(":")[0].rstrip(".")
    return host if host and all(c.isalnum() or c in "-._" for c in host) else ""


def names_of(bind: str) -> frozenset[str]:
    """Host names under which a node bound to address `bind` may be asked, besides IP addresses."""
    names = {"localhost"}
    if not _is_loopback(bind):
        names |= {bind.lower(), socket.gethostname().lower()}
    return frozenset(names)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """ASGI middleware: refuses foreign Host headers, sets the security headers.

    A page elsewhere can point its own name at 127.0.0.1 and read what a browser here may read (DNS
    rebinding). Such a request carries the foreign name as Host. An IP address cannot be re-pointed, so those
    pass, as do `names`.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], *, tls: bool = False) -> None:
        self._app = app
        self._headers = SECURITY_HEADERS | (TLS_HEADERS if tls else {})
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on, or answer it with 421."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        hosts = Headers(scope=scope).getlist("host")
        if self._welcome(hosts):
            await self._app(scope, receive, guarded)
        else:
            await problem(
                421,
                "Misdirected Request",
                "This node does not answer under that host name; use its IP address, localhost, "
                "or the name in http.host of its configuration.",
            )(scope, receive, guarded)

    def _welcome(self, hosts: Sequence[str]) -> bool:
        host = host_of(hosts[0]) if len(hosts) == 1 else ""
        if host in self._names or host.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
