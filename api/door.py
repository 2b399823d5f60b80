"""The node's HTTP interface as a server: its certificate, who may come in, and the first admin's link."""

import asyncio
import contextlib
import hashlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from api import terminal
from api.guard import names_of
from edge.access_config import HttpConfig, TlsConfig
from edge.config import Config
from edge.errors import EdgeError
from streams.clock import Clock, SystemClock

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from api.access.gate import Access
    from api.node import NodeView
    from edge.certificate import Certificate

log = structlog.get_logger(__name__)

GRACE_S = 1.0
"""How long open HTTP connections may finish; the whole exit has 3 s."""
LOOK_S = 600.0
"""Seconds between looks at whether the certificate was replaced or must be renewed."""


@dataclass(slots=True)
class Shown:
    """The certificate that is shown to whoever connects.

    Attributes:
        find: reads it, or makes it anew when it is time.
        certificate: as it was last found.
        context: what shows it.
    """

    find: "Callable[[], Certificate]"
    certificate: "Certificate"
    context: ssl.SSLContext

    @classmethod
    def open(cls, tls: TlsConfig, http: HttpConfig, data_dir: Path, clock: Clock) -> "Shown":
        """Of a node or centre whose configuration has TLS.

        Args:
            tls: its section.
            http: that of the interface, for the names of a certificate that is made.
            data_dir: where that lies.
            clock: wall time.

        Raises:
            CertificateError: there is none that can be used.
        """
        find = _finder(tls, http, data_dir, clock)
        certificate = find()
        log.info(
            "TLS", sha256=certificate.sha256, expires=certificate.expires.date().isoformat(),
            names=sorted(certificate.names),
        )  # fmt: skip
        return cls(find, certificate, certificate.context())

    def refresh(self) -> bool:
        """Show the certificate that is there now; whether it is another. The old one stays if that fails."""
        try:
            found = self.find()
            if found.sha256 == self.certificate.sha256:
                return False
            found.context()  # on its own first: half of a pair would take the door away
            found.load_into(self.context)
        except EdgeError as exc:
            log.warning("the certificate cannot be replaced; the old one is shown on", why=str(exc))
            return False
        self.certificate = found
        log.info("TLS goes on with another certificate", sha256=found.sha256)
        return True


@dataclass(frozen=True, slots=True)
class Door:
    """What serves a node.

    Attributes:
        server: ready to serve.
        shown: its certificate; None without TLS.
    """

    server: "uvicorn.Server"
    shown: Shown | None

    async def keep_certificate(self, every_s: float = LOOK_S) -> None:
        """Look after the certificate until cancelled; `every_s` seconds between looks."""
        while self.shown is not None:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(self.shown.refresh)


def open_node_door(node: "NodeView", config: Config, url: str) -> Door:
    """Build what serves a node; with users and no admin, the one-time link for the first is printed.

    Args:
        node: what is shown.
        config: says how.
        url: of the page, as a browser on this machine finds it.

    Raises:
        CertificateError: TLS is configured and there is no certificate that can be used.
        AuditError: users are configured and the audit log cannot be opened.
        CommandError: the extra for single sign-on is not installed.
        SigningError: the node's key cannot be had.
    """
    from api.access.gate import Rules
    from api.access.opening import open_access, open_sign_on
    from api.access.roles import Camera
    from api.node import create_app

    clock = SystemClock()
    shown = Shown.open(config.tls, config.http, config.node.data_dir, clock) if config.tls.on else None
    cameras = {one.id: Camera(one.id, one.place.grid or config.node.district) for one in config.cameras}
    rules = Rules(config.access.users, config.tls.on, cameras, config.access.unit)
    access = open_access(config.access, config.node.data_dir, rules, clock)
    invite(access, page_of(config.http, config.tls, url))
    if config.access.users:
        record_start(config, clock)
    app = create_app(node, host_names(config.http), access, open_sign_on(config.access, clock))
    return Door(http_server(app, shown.context if shown else None), shown)


def invite(access: "Access", page: str) -> None:
    """Print the one-time link where nobody administers this yet; what cannot be read or written is told.

    Whoever watches cameras goes on watching: that nobody can sign in is no reason to be blind.
    """
    try:
        secret = access.setup_link()
    except EdgeError as exc:
        log.error("nobody can sign in", why=str(exc))
        return
    if secret is not None:
        show_setup_link(page, secret)


def record_start(config: Config, clock: Clock) -> None:
    """Record with which configuration a node starts, so that a changed one shows; without its secrets."""
    from edge.audit import AuditLog
    from edge.audit_chain import Act

    digest = hashlib.sha256(config.model_dump_json().encode()).hexdigest()
    told = f"configuration sha256 {digest}"
    act = Act(f"node:{config.node.id}", "node.start", unit=config.access.unit, role="node", detail=told)
    try:
        AuditLog(config.node.data_dir, clock).append(act)
    except EdgeError as exc:
        log.error("the audit log cannot be written: nobody can sign in, and nobody sees video", why=str(exc))


def show_setup_link(base: str, secret: str) -> None:
    """Print the link on stderr: for whoever starts the node, once, and never through the log.

    What follows # is not sent to any server, so no proxy's log holds it.
    """
    terminal.err.print(
        "Nobody administers this node yet. Within an hour, set a name and a password at", markup=False
    )
    terminal.err.print(f"  {base}set-up#{secret}", markup=False)


def host_names(http: HttpConfig) -> list[str]:
    """Host names that the interface answers under, besides IP addresses."""
    return sorted(names_of(http.host) | {name.lower() for name in http.names})


def page_of(http: HttpConfig, tls: TlsConfig, url: str | None = None) -> str:
    """The page's address, under the first name that the configuration gives it.

    Args:
        http: section of the interface.
        tls: that of its certificate.
        url: of the page, as a browser on this machine finds it; None where it is not being served here.
    """
    names = (*http.names, http.host)
    if url is not None and not http.names:
        return url
    port = http.port if url is None else int(url.rstrip("/").rpartition(":")[2])
    name = f"[{names[0]}]" if ":" in names[0] else names[0]
    return f"http{'s' if tls.on else ''}://{name}:{port}/"


def _finder(tls: TlsConfig, http: HttpConfig, data_dir: Path, clock: Clock) -> "Callable[[], Certificate]":
    from edge.certificate import own_certificate, read_certificate

    chain, key = tls.certificate, tls.key
    if chain is not None and key is not None:
        return lambda: read_certificate(chain, key)
    return lambda: own_certificate(data_dir, certificate_names(http), clock)


def certificate_names(http: HttpConfig) -> frozenset[str]:
    """Host names and addresses that a certificate that is made is for."""
    names = {"localhost", "127.0.0.1", "::1", socket.gethostname(), http.host, *http.names}
    return frozenset(name.lower() for name in names if _is_specific(name))


def _is_specific(name: str) -> bool:
    try:
        return not ipaddress.ip_address(name).is_unspecified
    except ValueError:
        pass
    try:
        return bool(name.encode("idna"))
    except UnicodeError:
        return False


def http_server(app: "FastAPI", tls: ssl.SSLContext | None = None) -> "uvicorn.Server":
    """What serves `app`, with TLS where a context is given; signals are left to the caller."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # the signals are ours

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            watching = getattr(app.state, "watching", None)
            if watching is not None:  # answers that never end, and connections beside HTTP
                await watching.close()
            await super().shutdown(sockets)

    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http="h11",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=256,
            timeout_graceful_shutdown=int(GRACE_S),
            ssl_context_factory=(lambda _config, _default: tls) if tls is not None else None,
        )
    )
