"""What the benchmarks share: clips rendered once, results as table and JSON, the machine's name."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
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
