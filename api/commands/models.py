"""`sharpeyes models`: which detectors there are, what they are, and how fast they run here."""

from pathlib import Path
from typing import Annotated

import typer

from api import terminal

models = typer.Typer(help="List, show, add and measure detectors.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name from `sharpeyes models list`, or a TOML manifest's path.")]


def add(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(models, name="models")


@models.command("list", epilog=terminal.examples(("which detectors are there?", "sharpeyes models list")))
def list_() -> None:
    """List the models that ship with the program and those you added."""
    from models.zoo import BUILT_IN, list_models

    table = terminal.table("", "name", "input", "head", "classes", "licence", "from", right=("classes",))
    for name, model in list_models().items():
        manifest = model.manifest
        table.add_row(
            name,
            "x".join(str(side) for side in manifest.input.size),
            manifest.head.kind,
            str(len(manifest.classes)),
            manifest.licence,
            "built in" if model.path.parent == BUILT_IN else str(model.path.parent),
        )
    terminal.out.print(table)


@models.command(epilog=terminal.examples(("all about one", "sharpeyes models show nanodet-g-416-int8")))
def show(name: Name) -> None:
    """Show a model's manifest: source, licence, hash, input, head, classes."""
    from models.zoo import find_model

    model = find_model(name)
    table = terminal.table("", "key", "value")
    for key, value in model.manifest.model_dump(exclude_defaults=True).items():
        for path, one in _flat(key, value):
            table.add_row(path, one)
    table.add_row("manifest", str(model.path))
    terminal.out.print(table)


def _flat(key: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for inner, one in value.items() for pair in _flat(f"{key}.{inner}", one)]
    if isinstance(value, list | tuple):
        return [(key, ", ".join(str(one) for one in value))]
    return [(key, str(value))]


@models.command("add", epilog=terminal.examples(("take in your own", "sharpeyes models add yolox.toml")))
def add_(
    manifest: Annotated[
        Path, typer.Argument(help="TOML manifest; its ONNX file lies beside it.", metavar="MANIFEST")
    ],
) -> None:
    """Add a model by its manifest, after its hash was checked and it looked at a picture."""
    from models.manifest import FALLEN
    from models.zoo import add_model

    added = add_model(manifest)
    name, kind = added.manifest.name, added.manifest.head.kind
    keys = ["density" if kind == "density" else "detector"] if kind != "classifier" else []
    keys += ["fire"] if added.manifest.fire is not None else []
    keys += ["fallen"] if kind == "classifier" and FALLEN in added.manifest.classes else []
    uses = " or ".join(f"model.{key}" for key in keys)
    terminal.out.print(f"added {name}; use it as {uses} in a configuration", markup=False)


@models.command(
    epilog=terminal.examples(
        ("how fast is the default detector here?", "sharpeyes models bench"),
        ("two models on two threads", "sharpeyes models bench nanodet-g-416-int8 yolox.toml --threads 2"),
    )
)
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models; default: all.", metavar="[NAME]...", show_default=False),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=10000, help="Looks to time.")] = 50,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads of one inference.")] = 1,
    provider: Annotated[
        list[str] | None,
        typer.Option(help="Execution provider; may be repeated. Default: the best there is."),
    ] = None,
) -> None:
    """Time detectors on this machine, stage by stage, in milliseconds a picture (1280x720 noise)."""
    from models.bench import measure
    from models.zoo import list_models, load_detector

    columns = ("prepare", "infer", "read", "total", "p90", "per s")
    table = terminal.table("", "model", "provider", *columns, right=columns)
    others = ("density", "classifier")
    detectors = [name for name, model in list_models().items() if model.manifest.head.kind not in others]
    for name in names or detectors:
        with terminal.err.status(f"timing {name}"):
            timing = measure(load_detector(name, provider or (), threads), rounds=rounds)
        stages = (timing.prepare.median, timing.infer.median, timing.read.median, timing.total.median)
        table.add_row(
            name,
            timing.providers[0].removesuffix("ExecutionProvider"),
            *(f"{ms:.2f}" for ms in (*stages, timing.total.p90)),
            f"{1000 / timing.total.median:.0f}",
        )
    terminal.out.print(table)
