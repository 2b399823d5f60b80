"""Ask whether a weakness is known of any library that the product pins; `make check` calls it.

    python deploy/audit.py requirements/run.txt

Prints what was found. Exit status 1: a weakness is known, or with --require nobody could say. An index that
tells nothing of a library, as mirrors often do, is named in a warning, not passed over in silence.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_S = 300


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of the libraries.

    Attributes:
        audited: how many were looked up.
        weak: `name version: id (mended in ...)` of each weakness.
        unknown: names of those that the index tells nothing of.
    """

    audited: int
    weak: tuple[str, ...]
    unknown: tuple[str, ...]


def read(report: Mapping[str, Any]) -> Verdict:
    """What pip-audit's JSON says.

    Raises:
        KeyError, TypeError: it is something else.
    """
    weak: list[str] = []
    unknown: list[str] = []
    for library in report["dependencies"]:
        if "skip_reason" in library:
            unknown.append(library["name"])
            continue
        for one in library["vulns"]:
            mended = ", ".join(one["fix_versions"]) or "no version yet"
            weak.append(f"{library['name']} {library['version']}: {one['id']} (mended in {mended})")
    return Verdict(len(report["dependencies"]) - len(unknown), tuple(weak), tuple(unknown))


def ask(files: Sequence[Path]) -> Verdict | None:
    """Have pip-audit look the pins up; None where it could not."""
    command = [sys.executable, "-m", "pip_audit", "-f", "json", "--progress-spinner=off", "--no-deps"]
    command += ["--disable-pip", *(part for file in files for part in ("-r", str(file)))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        return read(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, json.JSONDecodeError, KeyError, TypeError):
        return None


def told(verdict: Verdict | None, *, require: bool) -> tuple[int, list[str]]:
    """Exit status, and the lines to print."""
    if verdict is None:
        return int(require), ["audit: the index could not be asked; nothing is known of any library"]
    lines = [f"audit: {verdict.audited} libraries looked up, {len(verdict.weak)} weaknesses known"]
    lines += [f"  {each}" for each in verdict.weak]
    if verdict.weak:
        lines.append(
            "audit: take a mended version (`make pins`), or say in SECURITY.md why it does not matter"
        )
    if verdict.unknown:
        lines.append(
            f"audit: the index tells nothing of {len(verdict.unknown)}: {', '.join(verdict.unknown)}"
        )
    return int(bool(verdict.weak) or (require and bool(verdict.unknown))), lines


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, help="files of pins")
    parser.add_argument("--require", action="store_true", help="fail where nothing can be said of a library")
    arguments = parser.parse_args()
    status, lines = told(ask(arguments.files), require=arguments.require)
    for line in lines:
        print(line, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
