"""`sharpeyes health`: asks a running node how it is; made for container health checks."""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from api import terminal
from api.errors import USAGE, CommandError


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            ("is the process alive?", "sharpeyes health"),
            ("does it do its work?", "sharpeyes health --ready"),
        )
    )(health)


def health(
    url: Annotated[str, typer.Option(help="Address of the node.")] = "http://127.0.0.1:8080",
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask whether it does its work, not only lives.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait for the answer.")] = 3.0,
) -> None:
    """Ask a running node how it is; exit code 0 is well, 1 is not."""
    import http.client

    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise CommandError("--url must look like http://127.0.0.1:8080", USAGE)
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout)
    try:
        connection.request("GET", "/readyz" if ready else "/healthz")
        with connection.getresponse() as answer:
            body = answer.read(65536).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"no node answers at {parts.hostname}:{parts.port or 80} ({error})") from None
    finally:
        connection.close()
    terminal.out.print(body, markup=False)
    if answer.status != 200:
        raise typer.Exit(1)
