"""`sharpeyes run`: a node by its configuration."""

from pathlib import Path
from typing import Annotated

import typer

from api import terminal


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            ("run a node", "sharpeyes run sharpeyes.yaml"),
            ("check the configuration first", "sharpeyes check sharpeyes.yaml"),
            ("more in the log", "SHARPEYES_LOG=debug sharpeyes run sharpeyes.yaml"),
        )
    )(run)


def run(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")],
    for_: Annotated[
        float | None, typer.Option("--for", min=0.1, metavar="SECONDS", help="End by itself after so long.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address of the status page; default: http.host of CONFIG.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the status page; default: http.port.")
    ] = None,
) -> None:
    """Run a node: read its cameras, send its events, show its status page. Ctrl-C ends it."""
    from api import logs, watching
    from edge.load import load_config

    logs.configure()
    loaded = load_config(config)
    wanted = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    loaded = loaded.model_copy(update={"http": loaded.http.model_copy(update=wanted)})
    watching.run_node(loaded, for_s=for_, show_events=False)
