"""`sharpeyes health`: asks a running node how it is; made for container health checks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from api import terminal
from api.errors import USAGE, CommandError

if TYPE_CHECKING:
    import ssl


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            ("is the process alive?", "sharpeyes health"),
            ("does it do its work?", "sharpeyes health --ready"),
            ("with TLS", "sharpeyes health --url https://127.0.0.1:8080"),
        )
    )(health)


def health(
    url: Annotated[str, typer.Option(help="Address of the node.")] = "http://127.0.0.1:8080",
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask whether it does its work, not only lives.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait for the answer.")] = 3.0,
    ca_file: Annotated[
        Path | None, typer.Option(help="Certificates to trust, PEM, such as a node's own.", metavar="FILE")
    ] = None,
) -> None:
    """Ask a running node how it is; exit code 0 is well, 1 is not."""
    import http.client

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError("--url must look like http://127.0.0.1:8080 or https://127.0.0.1:8080", USAGE)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = (
        http.client.HTTPSConnection(
            parts.hostname, port, timeout=timeout, context=_trusting(parts.hostname, ca_file)
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, port, timeout=timeout)
    )
    try:
        connection.request("GET", "/readyz" if ready else "/healthz")
        with connection.getresponse() as answer:
            body = answer.read(65536).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"no node answers at {parts.hostname}:{port} ({error})") from None
    finally:
        connection.close()
    terminal.out.print(body, markup=False)
    if answer.status != 200:
        raise typer.Exit(1)


def _trusting(host: str, ca_file: Path | None) -> "ssl.SSLContext":
    """Trust what is to be trusted; on this machine nobody stands between, and the answer is no secret."""
    import ssl

    from edge.access_config import is_loopback

    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise CommandError(f"{ca_file} holds no certificates in PEM", USAGE) from None
    if ca_file is None and is_loopback(host):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
