"""`sharpeyes plan`: what a configuration will cost, and what it will not see, before it runs."""

from pathlib import Path
from typing import Annotated

import typer

from api import terminal


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            ("will it fit?", "sharpeyes plan sharpeyes.yaml"),
            ("on a box with four cores, and a busy day", "sharpeyes plan site.yaml --cores 4 --active 0.4"),
            ("look at the cameras instead of assuming 1080p25", "sharpeyes plan site.yaml --reach"),
            ("for a program", "sharpeyes plan site.yaml --json | jq .below_floor"),
        )
    )(plan)


def plan(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")],
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    cores: Annotated[
        float | None, typer.Option(min=0.1, max=1024, help="Cores to use; default: budget.cores, or all.")
    ] = None,
    active: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Share of time in which something moves; default: budget.active_share."
        ),
    ] = None,
    costs: Annotated[
        Path | None,
        typer.Option(
            help="Costs, as benchmarks/costs.py or a node that ran here wrote them.", metavar="FILE"
        ),
    ] = None,
    reach: Annotated[
        bool, typer.Option("--reach", help="Open network cameras to see what they send.")
    ] = False,
) -> None:
    """Predict the load, what each camera gets, and what falls below the rate at which it would be blind."""
    import json

    from api.planning import costs_for, document, look_at, predict, table_of, with_budget, words
    from edge.load import load_config
    from streams.clock import SystemClock

    loaded = with_budget(load_config(config), cores=cores, active_share=active)
    table = costs_for(loaded, costs)
    clock = SystemClock()
    seen = {camera.id: look_at(camera, loaded.budget, clock, reach=reach) for camera in loaded.cameras}
    prediction = predict(loaded, table, seen)
    if json_:
        terminal.out.print(json.dumps(document(prediction), ensure_ascii=False, indent=1), markup=False)
        return
    terminal.out.print(table_of(prediction))
    for camera_id, one in seen.items():
        if one.trouble:
            terminal.warn(f"{camera_id} could not be seen, so it is assumed: {one.trouble}")
    for line in words(prediction):
        terminal.out.print(line, markup=False)
    terminal.out.print(f"costs from: {table.machine}", markup=False, style="dim")
