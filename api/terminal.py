"""What the commands show: one line an event, tables, progress. Data goes to stdout, the rest to stderr."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

out = Console(soft_wrap=True, highlight=False)
"""For what was asked."""
err = Console(stderr=True, soft_wrap=True, highlight=False)
"""For everything beside it."""

LEVELS = {
    1: ("red", "bold white on red"),
    2: ("orange", "bold dark_orange"),
    3: ("yellow", "yellow"),
    4: ("blue", "bright_blue"),
}
"""Severity to its name and style; level 1 is the most severe."""

_PREFIX, _SUFFIX = "org.sharpeyes.", ".v1"
_UNITS = (("_per_m2", "/m²"), ("_m2", " m²"), ("_fps", " fps"), ("_m_s", " m/s"), ("_m", " m"), ("_s", " s"))


def examples(*pairs: tuple[str, str]) -> str:
    """An epilog for --help: what for, and the command line."""
    lines = ["[bold]Examples[/bold]"]
    for purpose, command in pairs:
        lines += [f"[dim]# {escape(purpose)}[/dim]", f"  [cyan]{escape(command)}[/cyan]"]
    return "\n".join(lines)


def error_lines(lines: Sequence[str]) -> None:
    """Errors on stderr, one a line."""
    for line in lines:
        err.print(Text.assemble(("error: ", "bold red"), line))


def warn(line: str) -> None:
    """A warning on stderr."""
    err.print(Text.assemble(("warning: ", "bold yellow"), line))


def short_type(type_: str) -> str:
    """An event's type without the reverse-DNS prefix and the version.

    >>> short_type("org.sharpeyes.crowd.density.v1")
    'crowd.density'
    """
    return type_.removeprefix(_PREFIX).removesuffix(_SUFFIX)


def measure(name: str, value: float) -> str:
    """A measure in words; the unit of `value` is the one its name ends in.

    >>> measure("density_worst_cell_per_m2", 4.25), measure("count", 41.0)
    ('density worst cell 4.25/m²', 'count 41')
    """
    for suffix, unit in _UNITS:
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix).replace('_', ' ')} {value:.4g}{unit}"
    return f"{name.replace('_', ' ')} {value:.6g}"


def event_line(event: Mapping[str, Any]) -> Text:
    """One event, as the CloudEvents JSON has it, on one line: time, level, phase, type, place, measures."""
    data = event.get("data", {})
    level = data.get("level")
    name, style = LEVELS.get(level, ("", "dim"))
    place = str(event.get("source", "")).removeprefix("/nodes/").replace("/cameras/", " / ")
    zone = data.get("zone") or event.get("subject") or ""
    measures = (data.get("measures") or {}).items()
    words = ", ".join(measure(key, value) for key, value in measures if "stderr" not in key)
    return Text.assemble(
        (_clock(str(event.get("time", ""))), "dim"),
        "  ",
        (f" {f'{level} {name}' if name else '-':<8} ", style),
        f"  {data.get('phase') or '':<6}  ",
        (f"{short_type(str(event.get('type', ''))):<17}", "bold"),
        f"  {place}" + (f" / {zone}" if zone and not place.endswith(zone) else ""),
        ("  " + words if words else "", "dim"),
    )


def _clock(time: str) -> str:
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return time


def progress() -> Progress:
    """A progress bar on stderr that leaves nothing behind where nobody watches."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table; the columns named in `right` hold numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made
