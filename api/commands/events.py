"""`sharpeyes events`: what has arrived in Redis."""

from pathlib import Path
from typing import Annotated

import typer

from api import terminal

events = typer.Typer(help="Look at the events in Redis.", no_args_is_help=True)


def add(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(events, name="events")


@events.command(
    epilog=terminal.examples(
        ("of the node that runs on this machine, until Ctrl-C", "sharpeyes events tail"),
        ("the newest 20 as JSON lines, then end", "sharpeyes events tail --last 20 --no-follow --json"),
        ("of the server that a configuration names", "sharpeyes events tail --config sharpeyes.yaml"),
        ("of another server", "sharpeyes events tail --redis redis://10.0.0.5 --district 360103"),
    )
)
def tail(
    *,
    redis: Annotated[
        str | None,
        typer.Option(
            envvar="SHARPEYES_REDIS",
            help="URL of the server. Default: the embedded one of the node that runs on this machine.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Take both from there.")] = None,
    district: Annotated[
        str | None,
        typer.Option(help="GB/T 2260 code of the stream. Default: the node's, or 000000 with --redis."),
    ] = None,
    last: Annotated[int, typer.Option(min=0, max=10000, help="Begin with so many of the newest.")] = 10,
    follow: Annotated[bool, typer.Option(help="Go on with each event as it arrives.")] = True,
    json: Annotated[bool, typer.Option("--json", help="A line of JSON for each event.")] = False,
) -> None:
    """Show events as they arrive in Redis, a line each, until Ctrl-C."""
    from api import tailing

    server = tailing.find_server(redis, config, district)
    tailing.show(server, last=last, follow=follow, as_json=json)
