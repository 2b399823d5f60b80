"""What the benchmarks share: clips rendered once, results as table and JSON, the machine's name."""

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

# Standard output is for `--json` alone, in worker processes too.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

CACHE = Path(__file__).parent.parent / ".work" / "clips"
RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Processor and cores, as the reader of a figure wants to know them."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}"


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on standard error, so that `--json` output stays alone on standard output."""
    table = Table(title=title)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(stderr=True).print(table)


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write a result as JSON under `benchmarks/results/`, with the machine that made it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **result}, indent=1, ensure_ascii=False) + "\n")
    return path


def picture(name: str, panels: Mapping[str, Callable[[Any], None]]) -> Path | None:
    """Save a picture under `benchmarks/results/`; without matplotlib (the extra `bench`) only say so.

    Args:
        name: of the file.
        panels: side by side, their vertical scale shared: the title above each, and what draws it on
            matplotlib's `Axes`.
    """
    try:
        figure_module: Any = importlib.import_module("matplotlib.figure")
    except ImportError:
        Console(stderr=True).print("no picture: matplotlib is missing (pip install matplotlib)")
        return None
    figure = figure_module.Figure(figsize=(5 + 3 * len(panels), 4.5), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, draw) in zip(row, panels.items(), strict=True):
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=120)
    return path


def say(text: str) -> None:
    """One line of progress on standard error."""
    Console(stderr=True).print(text)


def parsed(
    description: str | None,
    *options: tuple[str, dict[str, Any]],
    quick: str | None = "two minutes at most, once the clips are rendered",
) -> argparse.Namespace:
    """The command line of a benchmark: `--quick`, `--json` and its own options.

    Args:
        description: of the benchmark.
        options: its own arguments: name, and what `add_argument` takes.
        quick: what `--quick` does; None where there is no quick form.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if quick is not None:
        parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    for name, settings in options:
        parser.add_argument(name, **settings)
    return parser.parse_args()


def finish(name: str, args: argparse.Namespace, result: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Save the whole result; with `--json`, print its named figures."""
    save(f"{name}-quick" if args.quick else name, result)
    if args.json:
        print(json.dumps({key: result[key] for key in keys}))


def last_cameras() -> int | None:
    """The cameras per box that `throughput` found last on this machine; None where it did not."""
    for name in ("throughput", "throughput-quick"):
        path = RESULTS / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text())
            if found.get("machine") == machine() and found.get("cameras", 0) >= 1:
                return int(found["cameras"])
    return None
