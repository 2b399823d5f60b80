"""`sharpeyes key`: the key that signs a node's events, and the one that follows it."""

from pathlib import Path
from typing import Annotated

import typer

from api import terminal
from api.errors import USAGE, CommandError


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            (
                "what to admit at the centre before this node's events are taken",
                "sharpeyes key sharpeyes.yaml",
            ),
            (
                "change keys, 1: make the next one, and admit it at the centre",
                "sharpeyes key sharpeyes.yaml --next",
            ),
            ("2: sign with it, and restart the node", "sharpeyes key sharpeyes.yaml --activate"),
            (
                "as the node's user, who owns the key",
                "sudo -u sharpeyes sharpeyes key /etc/sharpeyes/sharpeyes.yaml",
            ),
        )
    )(key)


def key(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")],
    *,
    following: Annotated[
        bool, typer.Option("--next", help="Make the next key and show it; the present one signs on.")
    ] = False,
    activate: Annotated[
        bool, typer.Option("--activate", help="Sign with the next key from the node's next start on.")
    ] = False,
) -> None:
    """Show a node's id, its key's id and its public key, to be admitted at the centre.

    The private key is made where there is none. It stays in the data directory and is never shown.
    """
    if following and activate:
        raise CommandError(
            "--next and --activate are two steps: admit the key at the centre in between", USAGE
        )
    from edge.load import load_config
    from edge.signing import Signer, activate_next, key_id_of, prepare_next

    node = load_config(config).node
    if following:
        public = prepare_next(node.data_dir)
    else:
        public = (activate_next if activate else Signer.open)(node.data_dir).public
    for name, value in (("node", node.id), ("key", key_id_of(public)), ("public", public)):
        terminal.out.print(f"{name:<8}{value}", markup=False)
    if activate:
        terminal.warn("a node that runs signs with the old key until it is restarted")
