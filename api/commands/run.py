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
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the status page; default: http.port of CONFIG."),
    ] = None,
) -> None:
    """Run a node: read its cameras, send its events, show its status page. Ctrl-C ends it."""
    from edge.load import load_config

    from api import logs, watching

    logs.configure()
    loaded = load_config(config)
    if port is not None:
        loaded = loaded.model_copy(update={"http": loaded.http.model_copy(update={"port": port})})
    watching.run_node(loaded, for_s=for_, show_events=False)
