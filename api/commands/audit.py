"""`sharpeyes audit`: whether a node's audit log is whole, and its entries as a register."""

import csv
import io
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api import terminal
from api.errors import FAILURE, USAGE, CommandError

if TYPE_CHECKING:
    from edge.audit_chain import Entry

audit = typer.Typer(
    help="Check and export the audit log of a node or centre: who did what, why, when.",
    no_args_is_help=True,
)

ConfigFile = Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")]
COLUMNS = ("seq", "at", "unit", "who", "role", "what", "object", "why", "outcome", "origin", "detail")


def add(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(audit, name="audit")


@audit.command(
    epilog=terminal.examples(
        ("was anything changed?", "sharpeyes audit verify sharpeyes.yaml"),
        (
            "keep the head elsewhere: a log that is put back as a whole is found by it",
            "sharpeyes audit verify site.yaml --head 1200:9f86d0...",
        ),
    )
)
def verify(
    config: ConfigFile,
    head: Annotated[
        str | None,
        typer.Option(help="A head that was noted before, as this command prints it.", metavar="SEQ:SHA256"),
    ] = None,
) -> None:
    """Check every entry, hash and signature; exit code 1 and the first broken entry if one is wrong."""
    from api.premises import load_premises
    from edge.audit import lines_of, verify_log

    data_dir = load_premises(config).data_dir
    verdict = verify_log(data_dir)
    if verdict.fault:
        raise CommandError(f"the audit log is right up to entry {verdict.head.seq}; {verdict.fault}", FAILURE)
    if head is not None:
        _check_head(head, lines_of(data_dir))
    terminal.out.print(
        f"{verdict.head.seq} entries, whole; head {verdict.head.seq}:{verdict.head.sha256}", markup=False
    )


def _check_head(head: str, lines: Iterator[bytes]) -> None:
    seq, _, sha256 = head.partition(":")
    if not seq.isascii() or not seq.isdigit() or len(sha256) < 16:
        raise CommandError("--head is written as SEQ:SHA256, 16 hex digits of it or more", USAGE)
    mark = f'"sha256":"{sha256}'.encode()
    for number, line in enumerate(lines, 1):
        if number == int(seq):
            if mark not in line:
                raise CommandError(
                    f"entry {seq} is another than the one noted: the log was put back", FAILURE
                )
            return
    raise CommandError(f"entry {seq} is missing: the log was put back or cut", FAILURE)


@audit.command(
    epilog=terminal.examples(
        (
            "the register of a month",
            "sharpeyes audit export sharpeyes.yaml --from 2026-11-01 --to 2026-11-30 > november.csv",
        ),
        ("with hashes and signatures", "sharpeyes audit export sharpeyes.yaml --format jsonl > all.jsonl"),
    )
)
def export(
    config: ConfigFile,
    from_: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC.")
    ] = None,
    to: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC.")] = None,
    format_: Annotated[Literal["csv", "jsonl"], typer.Option("--format", help="csv or jsonl.")] = "csv",
) -> None:
    """Print the entries of some days as CSV, or as JSON lines with hashes and signatures; recorded itself."""
    from api.access.keeping import command_user
    from api.premises import load_premises
    from edge.audit import AuditLog, entries_between
    from edge.audit_chain import Act
    from streams.clock import SystemClock

    loaded = load_premises(config)
    since = _midnight((from_ or datetime(1970, 1, 1, tzinfo=UTC)).date())
    until = _midnight((to or datetime(9998, 12, 31, tzinfo=UTC)).date()) + timedelta(days=1)
    if since >= until:
        raise CommandError("--from must not be after --to", USAGE)
    told = f"{since:%Y-%m-%d} to {until - timedelta(days=1):%Y-%m-%d}, {format_}"
    act = Act(command_user(), "audit.export", role="command", unit=loaded.access.unit, detail=told)
    AuditLog(loaded.data_dir, SystemClock()).append(act)
    entries = entries_between(loaded.data_dir, since, until)
    if format_ == "jsonl":
        for line, _ in entries:
            sys.stdout.write(line.decode() + "\n")
        return
    sys.stdout.write(_row(COLUMNS))
    for _, entry in entries:
        sys.stdout.write(_row(_cells(entry)))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _cells(entry: "Entry") -> tuple[str, ...]:
    texts = {"seq": str(entry.seq), "at": entry.at.astimezone(UTC).isoformat(timespec="milliseconds")}
    return tuple(_harmless(texts.get(name) or str(getattr(entry.act, name, ""))) for name in COLUMNS)


def _harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") and text != "-" else text


def _row(cells: tuple[str, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


@audit.command(
    epilog=terminal.examples(
        (
            "after the disk was restored from a backup",
            "sharpeyes audit restart sharpeyes.yaml --why 'disk restored, log of 3 May lost'",
        )
    )
)
def restart(
    config: ConfigFile,
    why: Annotated[str, typer.Option(help="Why the log is not whole, 10 to 500 characters.")],
) -> None:
    """Put a log that is not whole aside, unchanged, and begin a new one that says so."""
    from api.access.keeping import command_user
    from api.premises import load_premises
    from edge.audit import restart_log
    from edge.audit_chain import is_plain
    from streams.clock import SystemClock

    if not 10 <= len(why) <= 500 or not is_plain(why):
        raise CommandError("--why has 10 to 500 characters on one line", USAGE)
    aside = restart_log(load_premises(config).data_dir, SystemClock(), command_user(), why)
    terminal.out.print(f"a new audit log begins; the old one lies in {aside}", markup=False)
