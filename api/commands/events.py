"""`sharpeyes events`: what has arrived in Redis."""

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
        ("the last 20, as JSON", "sharpeyes events tail --last 20 --json"),
        (
            "of a district, from a Redis server",
            "sharpeyes events tail --redis redis://10.0.0.5 --district 360103",
        ),
    )
)
def tail(
    redis: Annotated[
        str | None,
        typer.Option(
            envvar="SHARPEYES_REDIS",
            show_envvar=True,
            help="URL of the server; default: the embedded server of the node that runs on this machine.",
        ),
    ] = None,
    district: Annotated[
        str | None, typer.Option(help="GB/T 2260 code of the stream; default: the running node's, or 000000.")
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(min=1, max=10000, help="Show so many of the newest and end."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON an event.")] = False,
) -> None:
    """Show events as they arrive in Redis, a line each; without --last until Ctrl-C."""
