"""The command `sharpeyes`. Heavy libraries load only in the command that needs them."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from api import terminal
from api.commands import (
    analyse,
    audit,
    calibrate,
    center,
    center_redrive,
    check,
    demo,
    events,
    evidence,
    forget,
    health,
    key,
    models,
    plan,
    run,
    sign,
    simulate,
    users,
)
from api.errors import explain

DEBUG = "SHARPEYES_DEBUG"


class Commands(TyperGroup):
    """Turns every error into one line and an exit code; `--debug`, anywhere on the line, asks for more."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--debug` out of the arguments."""
        if "--debug" in args:
            args = [arg for arg in args if arg != "--debug"]
            os.environ[DEBUG] = "1"
        try:
            parsed: list[str] = super().parse_args(ctx, args)
        except typer.TyperException as error:
            raise _told(error) from None
        return parsed

    def invoke(self, ctx: Any) -> Any:
        """Run the command and tell what goes wrong."""
        try:
            return super().invoke(ctx)
        except typer.TyperException as error:
            raise _told(error) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get(DEBUG):
                raise
            lines, code = explain(error)
            terminal.error_lines(lines)
            raise typer.Exit(code) from None


def _told(error: typer.TyperException) -> Exception:
    """Tell a wrong command line in one line; asking for nothing shows the help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return error
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx else "sharpeyes"
    terminal.error_lines([f"{error.format_message().rstrip('.')} ({path} --help shows what there is)"])
    return typer.Exit(error.exit_code)


app = typer.Typer(
    cls=Commands,
    name="sharpeyes",
    help="Edge video analytics for public-safety cameras: watches places, not people.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=terminal.examples(
        ("see it work, with simulated cameras", "sharpeyes demo"),
        ("watch your own cameras", "sharpeyes run sharpeyes.yaml"),
    ),
)
demo.add(app)
run.add(app)
check.add(app)
plan.add(app)
analyse.add(app)
calibrate.add(app)
forget.add(app)
simulate.add(app)
events.add(app)
center.add(app)
center_redrive.add(center.center, center.needing_the_extra)
models.add(app)
health.add(app)
key.add(app)
users.add(app)
audit.add(app)
evidence.add(app)
sign.add(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        terminal.out.print(f"sharpeyes {version('sharpeyes')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    _debug: Annotated[
        bool, typer.Option("--debug", envvar=DEBUG, help="Show where an error comes from.")
    ] = False,
) -> None:
    """Edge video analytics for public-safety cameras: watches places, not people."""
    from api import logs

    logs.configure("warning")


def main() -> None:
    """Entry point of the `sharpeyes` command."""
    try:
        app()
    except BrokenPipeError:
        # Whoever read stdout has left (`| head`): nothing is wrong, and there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
