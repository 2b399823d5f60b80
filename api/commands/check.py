"""`sharpeyes check`: says what a configuration means, or all that is wrong with it."""

from pathlib import Path
from typing import Annotated

import typer

from api import terminal


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            ("is this configuration right?", "sharpeyes check sharpeyes.yaml"),
            (
                "in a script: exit code 0 is right, 2 is wrong",
                "sharpeyes check site.yaml && systemctl restart sharpeyes",
            ),
        )
    )(check)


def check(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")],
) -> None:
    """Check a configuration: shows what it means, or every error with file, line, key and cure."""
    from api.review import problems, review, table_of
    from edge.errors import ConfigError
    from edge.load import load_config

    loaded = load_config(config)
    if found := problems(config, loaded):
        raise ConfigError(found)
    terminal.out.print(table_of(loaded))
    for line in review(loaded):
        terminal.warn(line)
    terminal.out.print(f"{config}: right, {len(loaded.cameras)} cameras", markup=False)
