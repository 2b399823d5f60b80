"""`sharpeyes evidence`: what a node keeps of incidents, and whether it is what was signed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api import terminal
from api.errors import FAILURE, CommandError

if TYPE_CHECKING:
    from edge.manifest import Manifest

evidence = typer.Typer(help="List and check what a node keeps of incidents.", no_args_is_help=True)

ConfigFile = Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")]


def add(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(evidence, name="evidence")


@evidence.command(
    "list",
    epilog=terminal.examples(("newest first", "sharpeyes evidence list sharpeyes.yaml")),
)
def list_(config: ConfigFile) -> None:
    """Show all pieces of evidence: of which incident, how long, and until when they are kept."""
    found, broken = _all(config)
    table = terminal.table(
        "Evidence",
        "id",
        "camera",
        "incident",
        "level",
        "length",
        "size",
        "expires",
        right=("level", "length", "size"),
    )
    for one in sorted(found, key=lambda one: one.made_utc, reverse=True):
        length, size = one.last_s - one.first_s, one.size / 2**20
        table.add_row(
            one.evidence, one.camera, f"{one.kind}/{one.zone}", str(one.level), f"{length:.1f} s",
            f"{size:.1f} MiB", one.expires_utc,
        )  # fmt: skip
    terminal.out.print(table)
    if broken:
        raise CommandError("; ".join(broken), FAILURE)


@evidence.command(
    epilog=terminal.examples(
        ("is everything what was signed?", "sharpeyes evidence verify sharpeyes.yaml"),
        (
            "one piece that was handed over",
            "sharpeyes evidence verify site.yaml --folder ./0192f0c1-...",
        ),
    )
)
def verify(
    config: ConfigFile,
    folder: Annotated[
        Path | None,
        typer.Option(help="A folder with manifest.json and its files; default: all that the node keeps."),
    ] = None,
) -> None:
    """Check signatures and every byte; exit code 1 names what is not as it was signed."""
    from api.premises import load_premises
    from edge.evidence_store import check
    from edge.manifest import ManifestError
    from edge.signing import known_keys
    from edge.signing import verify as is_signature

    data_dir = load_premises(config).data_dir
    if folder is not None:
        try:
            one = check(folder, known_keys(data_dir), is_signature)
        except ManifestError as exc:
            raise CommandError(f"{folder.name}: {exc}", FAILURE) from None
        terminal.out.print(f"{one.evidence}: as it was signed at {one.made_utc}", markup=False)
        return
    found, broken = _all(config)
    if broken:
        raise CommandError("; ".join(broken), FAILURE)
    terminal.out.print(f"{len(found)} pieces, all as they were signed", markup=False)


def _all(config: Path) -> tuple[list["Manifest"], list[str]]:
    """Manifests of what is as it was signed, and what is wrong with the rest."""
    from api.premises import load_premises
    from edge.evidence_store import EVIDENCE, check
    from edge.manifest import ManifestError
    from edge.signing import known_keys
    from edge.signing import verify as is_signature

    data_dir = load_premises(config).data_dir
    folders = sorted(path for path in (data_dir / EVIDENCE).glob("[!.]*") if path.is_dir())
    if not folders:
        return [], []
    keys = known_keys(data_dir)
    found, broken = [], []
    with terminal.progress() as progress:
        for folder in progress.track(folders, description="checking"):
            try:
                found.append(check(folder, keys, is_signature))
            except ManifestError as exc:
                broken.append(f"{folder.name}: {exc}")
    return found, broken
