"""`sharpeyes forget`: has a camera learn anew what is usual there."""

from pathlib import Path
from typing import Annotated

import typer

from api import terminal
from api.errors import USAGE, CommandError


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            ("a way was closed for good: learn anew", "sharpeyes forget sharpeyes.yaml --camera gate"),
        )
    )(forget)


def forget(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")],
    *,
    camera: Annotated[
        str | None, typer.Option(help="Camera of the configuration; may be left out if there is only one.")
    ] = None,
) -> None:
    """Have a camera forget what motion is usual there, and learn it anew.

    A node that runs does so within a minute of analysed pictures, another at its start. Run it as the node's
    user.
    """
    from api.clip import choose_camera
    from edge.normality_store import NORMALITY, NormalityStore

    chosen, _, node = choose_camera(config, camera)
    if not any(rule.kind == "motion.unusual" for rule in chosen.rules):
        raise CommandError(f"camera {chosen.id} has no rule motion.unusual: it has learned nothing", USAGE)
    NormalityStore(node.data_dir / NORMALITY).ask_to_forget(chosen.id)
    terminal.out.print(f"camera {chosen.id} forgets what is usual there, and learns anew", markup=False)
