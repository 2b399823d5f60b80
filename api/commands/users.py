"""`sharpeyes users`: who may use a node's HTTP interface, and the tokens of machines."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api import terminal
from api.errors import USAGE, CommandError

if TYPE_CHECKING:
    from api.access.keeping import Keeper

users = typer.Typer(help="Add, list and remove users and tokens of a node or centre.", no_args_is_help=True)

ConfigFile = Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")]
Name = Annotated[str, typer.Argument(help="Name of the user or token.", metavar="NAME")]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", help="viewer, operator, admin, node or centre; may be repeated.", metavar="ROLE"),
]
Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        help="Camera id, * and ? standing for others, or region:CODE; may be repeated. Default: everywhere.",
        metavar="SCOPE",
    ),
]
Unit = Annotated[
    str, typer.Option(help="Organisation, for the audit log; default: access.unit.", metavar="UNIT")
]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password's line from standard input.")
]


def add(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(users, name="users")


@users.command(
    "add",
    epilog=terminal.examples(
        ("somebody who may see everything but video", "sharpeyes users add sharpeyes.yaml li --role viewer"),
        (
            "an operator for the cameras at the gates",
            "sharpeyes users add sharpeyes.yaml wang --role operator --scope 'gate-*' --unit 'Duty office'",
        ),
        ("in a script", "sharpeyes users add site.yaml li --role viewer --password-stdin < password"),
    ),
)
def add_(
    config: ConfigFile,
    name: Name,
    role: Roles = None,
    scope: Scopes = None,
    unit: Unit = "",
    *,
    password_stdin: FromStdin = False,
) -> None:
    """Add a user with a password, or change one's roles and password; earlier sessions end."""
    grants = _grants(role, scope)
    keeper = _keeper(config)
    keeper.add_user(name, grants, _password(stdin=password_stdin), unit)
    terminal.out.print(f"{name} may now sign in as {', '.join(grants)}", markup=False)


@users.command("list", epilog=terminal.examples(("who may come in?", "sharpeyes users list sharpeyes.yaml")))
def list_(config: ConfigFile) -> None:
    """List users and tokens, their roles and where these hold."""
    book = _keeper(config).accounts.book()
    table = terminal.table("", "name", "kind", "roles", "organisation", "expires")
    for user in book.users:
        table.add_row(user.name, "user", " ".join(user.grants), user.unit, "")
    for token in book.tokens:
        expires = token.expires.strftime("%Y-%m-%d %H:%MZ")
        table.add_row(token.name, "token", " ".join(token.grants), token.unit, expires)
    terminal.out.print(table)


@users.command(
    "remove",
    epilog=terminal.examples(("let somebody in no more", "sharpeyes users remove sharpeyes.yaml li")),
)
def remove(config: ConfigFile, name: Name) -> None:
    """Remove a user, whose sessions end, or revoke a token; both at once."""
    _keeper(config).remove(name)
    terminal.out.print(f"{name} is removed", markup=False)


@users.command(
    "password", epilog=terminal.examples(("somebody forgot it", "sharpeyes users password sharpeyes.yaml li"))
)
def password(config: ConfigFile, name: Name, *, password_stdin: FromStdin = False) -> None:
    """Set a user's password; earlier sessions end."""
    keeper = _keeper(config)
    keeper.known(name)
    keeper.set_password(name, _password(stdin=password_stdin))
    terminal.out.print(f"{name} has a new password", markup=False)


@users.command(
    "token",
    epilog=terminal.examples(
        ("for Prometheus", "sharpeyes users token sharpeyes.yaml prometheus --role node --days 365"),
        ("for the centre", "sharpeyes users token sharpeyes.yaml centre --role centre"),
    ),
)
def token(
    config: ConfigFile,
    name: Name,
    role: Roles = None,
    scope: Scopes = None,
    unit: Unit = "",
    days: Annotated[float, typer.Option(min=0.001, max=3650, help="Days until it expires.")] = 90.0,
) -> None:
    """Make a machine's token. It is shown once, here, and kept as a hash."""
    secret = _keeper(config).make_token(name, _grants(role, scope), days, unit)
    terminal.warn("this is shown once; put it where only that machine can read it")
    terminal.out.print(secret, markup=False)


@users.command(
    "setup", epilog=terminal.examples(("the first link has expired", "sharpeyes users setup sharpeyes.yaml"))
)
def setup(config: ConfigFile) -> None:
    """Print a new one-time link for the first admin; the one before holds no more."""
    from api.door import page_of, show_setup_link
    from api.premises import load_premises

    home = load_premises(config)
    show_setup_link(page_of(home.http, home.tls), _keeper(config).new_setup_link())


def _keeper(config: Path) -> "Keeper":
    from api.access.keeping import Keeper
    from api.premises import load_premises

    home = load_premises(config)
    if not home.access.users:
        terminal.warn("access.users is false: nobody is asked who they are, until that is true")
    return Keeper(home.data_dir, home.access.unit)


def _grants(roles: list[str] | None, scopes: list[str] | None) -> tuple[str, ...]:
    from api.access.roles import Grant

    if not roles:
        raise CommandError("say --role: viewer, operator, admin, node or centre", USAGE)
    suffix = f"@{','.join(scopes)}" if scopes else ""
    try:
        return tuple(str(Grant.parse(role + suffix)) for role in roles)
    except ValueError as exc:
        raise CommandError(str(exc), USAGE) from None


def _password(*, stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline(1024).rstrip("\r\n")
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return typed
