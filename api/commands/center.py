"""`sharpeyes center`: the governance centre, its history and its nodes' keys."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from api import terminal
from api.errors import FAILURE, USAGE, CommandError

EXTRA = ("sqlalchemy", "alembic", "psycopg")
"""What the extra `center` installs."""


class Center(TyperGroup):
    """`sharpeyes center CONFIG` runs the centre; other words are commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `center CONFIG` as `center run CONFIG`."""
        asks_for_help = any(arg in ctx.help_option_names for arg in args)
        if args and not asks_for_help and not any(arg in self.commands for arg in args):
            args = ["run", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


center = typer.Typer(
    cls=Center,
    help="Run the governance centre: `sharpeyes center CONFIG`.",
    no_args_is_help=True,
    epilog=terminal.examples(
        ("run a centre", "sharpeyes center center.yaml"),
        (
            "let a node speak",
            "sharpeyes center admit center.yaml gate-7 KEY --who 'Li Hua' --why 'installed'",
        ),
        ("was the history changed?", "sharpeyes center verify center.yaml"),
    ),
)

ConfigFile = Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")]
Node = Annotated[str, typer.Argument(help="The node's id, node.id of its configuration.")]
Who = Annotated[str, typer.Option(help="Who does it; stands in the history.")]
Why = Annotated[str, typer.Option(help="Why; stands in the history.")]


def add(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(center, name="center")


@contextmanager
def needing_the_extra() -> Iterator[None]:
    """Turn a missing library and the centre's errors into a line each."""
    try:
        yield
    except ModuleNotFoundError as exc:
        if (exc.name or "").split(".")[0] not in EXTRA:
            raise
        raise CommandError(
            f"the centre needs {exc.name}, which is not installed: pip install 'sharpeyes[center]'", USAGE
        ) from None
    except Exception as exc:
        from api.center.errors import CenterError

        if not isinstance(exc, CenterError):
            raise
        raise CommandError(str(exc), FAILURE) from None


@center.command(epilog=terminal.examples(("run a centre", "sharpeyes center center.yaml")))
def run(
    config: ConfigFile,
    for_: Annotated[
        float | None, typer.Option("--for", min=0.1, metavar="SECONDS", help="End by itself after so long.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind to; default: http.host.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; default: http.port.")] = None,
) -> None:
    """Run the centre: takes events in, follows cases, answers over HTTP. Ctrl-C ends it."""
    from api import logs

    logs.configure()
    with needing_the_extra():
        from api.center.config import load_center
        from api.center.service import serve_center

        loaded = load_center(config)
        wanted = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
        loaded = loaded.model_copy(update={"http": loaded.http.model_copy(update=wanted)})
        if loaded.opens_the_network:
            raise CommandError(
                f"--host {loaded.http.host} opens the centre to the network: that needs http.token, or tls "
                "and access.users",
                USAGE,
            )
        tally = asyncio.run(serve_center(loaded, for_))
    if for_ is not None:
        stored, refused = tally.events["stored"], tally.refused.total()
        terminal.out.print(f"{stored} events stored, {refused} refused")


@center.command(epilog=terminal.examples(("was it changed?", "sharpeyes center verify center.yaml")))
def verify(config: ConfigFile) -> None:
    """Check the history's chain of hashes: exit code 0 if nothing was changed, 1 if something was."""
    with _opened(config) as store:
        found = store.verify()
    if not found.intact:
        raise CommandError(
            f"the history was changed: row {found.first_broken} of {found.rows} does not fit the one before",
            FAILURE,
        )
    terminal.out.print(f"intact: {found.rows} rows, the last hash is {found.head or 'none'}", markup=False)


@center.command(
    epilog=terminal.examples(
        (
            "let a node speak",
            "sharpeyes center admit center.yaml gate-7 KEY --who 'Li Hua' --why 'installed'",
        )
    )
)
def admit(
    config: ConfigFile,
    node: Node,
    key: Annotated[str, typer.Argument(help="Its public key: base64, or 64 hexadecimal digits.")],
    who: Who,
    why: Why,
) -> None:
    """Admit a node's public key: from then on the centre takes what that key signs."""
    from api.center.keys import public_key

    try:
        public = public_key(key)
    except ValueError as exc:
        raise CommandError(str(exc), USAGE) from None
    with _opened(config) as store:
        admitted = store.admit(node, public, who, why)
    terminal.out.print(f"node {node} may speak with key {admitted.id}", markup=False)


@center.command(
    epilog=terminal.examples(
        (
            "a node was stolen",
            "sharpeyes center revoke center.yaml gate-7 KEY_ID --who 'Li Hua' --why 'stolen'",
        )
    )
)
def revoke(
    config: ConfigFile,
    node: Node,
    key: Annotated[str, typer.Argument(help="The key's id, 16 digits.", metavar="KEY_ID")],
    who: Who,
    why: Why,
) -> None:
    """Revoke a node's key: from then on what it signs is refused."""
    with _opened(config) as store:
        store.revoke(node, key, who, why)
    terminal.out.print(f"key {key} of node {node} is revoked", markup=False)


@center.command("keys", epilog=terminal.examples(("who may speak?", "sharpeyes center keys center.yaml")))
def keys_(config: ConfigFile) -> None:
    """List the keys that were admitted."""
    with _opened(config) as store:
        found = store.keys()
    table = terminal.table("", "node", "key", "admitted", "by", "revoked")
    for key in found:
        revoked = key.revoked.isoformat(timespec="seconds") if key.revoked else ""
        admitted = key.admitted.isoformat(timespec="seconds")
        table.add_row(key.node, key.id, admitted, key.admitted_by, revoked)
    terminal.out.print(table)


@contextmanager
def _opened(config: Path) -> Iterator[Any]:
    """The store that a configuration names."""
    with needing_the_extra():
        from api.center.config import load_center
        from api.center.opening import open_store

        store = open_store(load_center(config))
        try:
            yield store
        finally:
            store.close()
