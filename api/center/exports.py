"""Cases as files: CSV for spreadsheets, and records with the field names of GB/T 31000."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import Field, ValidationError

from api.center.model import Case, CaseQuery, RegionTree, Triage
from edge.errors import ConfigError
from edge.sections import Section
from edge.yaml_tree import read_tree

PAGE = 500
"""Cases read at once."""

CHINA = timezone(timedelta(hours=8))
"""Dates of records are those of China's clocks."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What begins a formula in spreadsheets, full-width forms included."""

COLUMNS = (
    "id",
    "version",
    "state",
    "escalated",
    "supervised",
    "level",
    "kind",
    "category",
    "department",
    "region",
    "region_name",
    "place",
    "place_code",
    "longitude",
    "latitude",
    "opened",
    "first",
    "last",
    "due",
    "late",
    "missed",
    "calm",
    "incidents",
    "events",
    "verdict",
    "cause",
)


class Cases(Protocol):
    """What is needed of the store."""

    def cases(self, query: CaseQuery) -> Sequence[Case]:
        """Cases, newest first."""
        ...


class Term(Section):
    """An entry of a code table."""

    code: str | None = Field(None, max_length=40)
    name: str = Field(min_length=1, max_length=100)


class Gbt31000(Section):
    """Field names and code tables of the GB/T 31000-style record; see `data/gbt31000.yaml`."""

    standard: str
    fields: dict[Annotated[str, Field(pattern="^[a-z_]+$")], str]
    grade: dict[str, Term]
    type: dict[str, Term]


FIELDS = ("number", "name", "date", "place_code", "place", "grade", "type", "situation", "scale")
"""What a record says; the tables' file names each."""


def load_gbt31000(path: Path | None = None) -> Gbt31000:
    """Read field names and code tables.

    Args:
        path: of a YAML file that replaces the one that ships.

    Raises:
        ConfigError: with file, line and key of each thing that is wrong.
    """
    if path is None:
        with as_file(files("api.center") / "data" / "gbt31000.yaml") as own:
            return _read(own)
    return _read(path)


def _read(path: Path) -> Gbt31000:
    from edge.plain_words import explain

    tree = read_tree(path)
    problems = list(tree.problems)
    try:
        tables = Gbt31000.model_validate_json(json.dumps(tree.data), strict=True)
    except ValidationError as exc:
        problems += [tree.problem(key, text) for key, text in explain(exc, tree.data, Gbt31000)]
        raise ConfigError(problems) from None
    if lacking := [name for name in FIELDS if name not in tables.fields]:
        problems.append(tree.problem(("fields",), f"lacks {', '.join(lacking)}"))
    if problems:
        raise ConfigError(problems)
    return tables


def every(store: Cases, query: CaseQuery) -> Iterator[Case]:
    """All cases of a query, page by page, newest first."""
    query = replace(query, limit=PAGE)
    while page := store.cases(query):
        yield from page
        if len(page) < PAGE:
            return
        query = replace(query, before=page[-1].id)


def csv_lines(cases: Iterable[Case], regions: RegionTree) -> Iterator[bytes]:
    """A CSV file (RFC 4180, UTF-8 with the mark that spreadsheets look for), a line at a time.

    Text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    yield b"\xef\xbb\xbf" + _line(COLUMNS)
    for case in cases:
        yield _line([cell(value) for value in _row(case, regions)])


def cell(value: object) -> str:
    """A value as a cell of a spreadsheet that runs nothing of it.

    >>> cell("=cmd|' /C calc'!A1"), cell(-3.5), cell(True), cell(None)
    ("'=cmd|' /C calc'!A1", '-3.5', 'true', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\0", "")
    return f"'{text}" if text.lstrip(" \u3000").startswith(FORMULA) else text


def _line(cells: Iterable[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow(cells)
    return out.getvalue().encode()


def _row(case: Case, regions: RegionTree) -> list[object]:
    region = regions.find(case.region)
    standing, place = case.standing, case.place
    return [
        case.id,
        case.version,
        standing.state.value,
        standing.escalated,
        standing.supervised,
        case.level,
        case.kind,
        case.category,
        case.department,
        case.region,
        region.name if region else "",
        place.name,
        place.code,
        place.longitude,
        place.latitude,
        case.opened,
        case.first,
        case.last,
        case.due,
        case.late,
        case.missed,
        case.calm,
        case.incidents,
        case.event_count,
        case.verdict,
        case.cause,
    ]


def gbt31000_lines(
    cases: Iterable[Case], tables: Gbt31000, triage: Triage, now: datetime | None = None
) -> Iterator[bytes]:
    """A JSON document with a record for each case, a piece at a time.

    Where a table knows no code for a value, the value's name stands in its place: codes are never made up.
    """
    head = {
        "standard": tables.standard,
        "generated": (now or datetime.now(UTC)).astimezone(CHINA).isoformat(timespec="seconds"),
        "code_tables": {
            tables.fields["grade"]: {level: term.model_dump() for level, term in tables.grade.items()},
            tables.fields["type"]: {kind: term.model_dump() for kind, term in tables.type.items()},
        },
    }
    yield _json(head)[:-1] + b',"records":['
    for number, case in enumerate(cases):
        yield (b"," if number else b"") + _json(_record(case, tables, triage))
    yield b"]}"


def _record(case: Case, tables: Gbt31000, triage: Triage) -> dict[str, Any]:
    names = tables.fields
    kind = tables.type.get(case.kind, Term(name=case.kind))
    place = case.place
    return {
        names["number"]: f"{place.code[:6]}-{case.id:012d}",
        names["name"]: f"{place.name} {kind.name}".strip(),
        names["date"]: case.first.astimezone(CHINA).strftime("%Y%m%d"),
        names["place_code"]: place.code[:6],
        names["place"]: place.name,
        names["grade"]: _coded(tables.grade, str(case.level)),
        names["type"]: _coded(tables.type, case.kind),
        names["situation"]: _situation(case, triage),
        names["scale"]: None,  # how many were harmed is not for cameras to say
    }


def _coded(table: Mapping[str, Term], value: str) -> str:
    term = table.get(value)
    return value if term is None else term.code or term.name


def _situation(case: Case, triage: Triage) -> str:
    parts = [
        f"状态 {case.standing.state.value}",
        f"涉及事件 {case.event_count} 条",
        f"处置部门 {triage.names.get(case.department, case.department)}",
    ]
    if case.cause is not None:
        parts.append(f"误报原因 {triage.causes.get(case.cause, case.cause)}")
    return "；".join(parts)


def _json(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
