"""`sharpeyes center redrive`: what was put aside, put back for processing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from api import terminal

ConfigFile = Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")]
Dead = Annotated[bool, typer.Option("--dead", help="Dead letters only.")]
Quarantine = Annotated[bool, typer.Option("--quarantine", help="The quarantine only.")]


def add(center: typer.Typer, guarded: Callable[[], AbstractContextManager[None]]) -> None:
    """Add the command to the centre's.

    Args:
        center: those commands.
        guarded: turns a missing library and the centre's errors into a line each.
    """

    @center.command(
        epilog=terminal.examples(("after a fix", "sharpeyes center redrive center.yaml --dead")),
    )
    def redrive(config: ConfigFile, dead: Dead = False, quarantine: Quarantine = False) -> None:
        """Put dead letters and the quarantine back for processing, say after a fix; safe to do twice.

        What is refused again comes back. What is stored already has no second effect. Entries of the
        quarantine that are kept in part stay there: their nodes have them still.
        """
        with guarded():
            from api.center.config import load_center
            from api.center.opening import open_stream

            stream = open_stream(load_center(config), "redrive")
            try:
                for kind, wanted in (("dead", dead), ("quarantine", quarantine)):
                    if wanted or dead == quarantine:
                        moved, left = stream.redrive(kind)
                        rest = f", {left} are not kept whole and stay" if left else ""
                        terminal.out.print(f"{kind}: {moved} put back{rest}", markup=False)
            finally:
                stream.close()
