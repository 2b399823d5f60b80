"""`sharpeyes demo`: the whole line on simulated cameras, with nothing to configure."""

from typing import Annotated

import typer

from api import terminal


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            ("four cameras until Ctrl-C", "sharpeyes demo"),
            ("end by itself after half a minute, with a summary", "sharpeyes demo --for 30"),
            ("two cameras, any free port", "sharpeyes demo --cameras 2 --port 0"),
        )
    )(demo)


def demo(
    for_: Annotated[
        float | None, typer.Option("--for", min=0.1, metavar="SECONDS", help="End by itself after so long.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the status page; 0: a free one.")
    ] = 8080,
    cameras: Annotated[int, typer.Option(min=1, max=16, help="How many simulated cameras.")] = 4,
) -> None:
    """Show the whole line at work: simulated cameras, analysis, events in Valkey, a status page."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from api import watching
    from api.demo import demo_config

    with TemporaryDirectory(prefix="sharpeyes-demo-", ignore_cleanup_errors=True) as folder:
        watching.run_node(demo_config(cameras, port, Path(folder)), for_s=for_, show_events=True)
