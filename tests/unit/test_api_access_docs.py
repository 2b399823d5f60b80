"""docs/access.md says what the code does."""

import re
from pathlib import Path

from api.access import gate, lockout
from api.access.passwords import SHORTEST
from api.access.roles import MAY, PERMISSIONS, Role
from api.access.rules import LONGEST_REASON, REASON_HEADER, SHORTEST_REASON
from edge.certificate import RENEWED_DAYS_BEFORE

DOCS = Path(__file__).parents[2] / "docs"
TEXT = re.sub(r"\s+", " ", (DOCS / "access.md").read_text("utf-8"))


def test_the_table_of_roles() -> None:
    lines = (DOCS / "access.md").read_text("utf-8").splitlines()
    begin = lines.index("| may | " + " | ".join(Role) + " |")
    told = {}
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        what, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        told[what] = cells
    expected = {}
    for name, permission in PERMISSIONS.items():
        marks = [
            word
            for word, there in (("reason", permission.reason), ("recorded", permission.recorded))
            if there
        ]
        what = f"`{name}`: {permission.about}" + (f" ({', '.join(marks)})" if marks else "")
        expected[what] = ["x" if name in MAY[role] else "" for role in Role]
    assert told == expected


def test_numbers_in_the_text() -> None:
    for words in (
        f"{SHORTEST} characters or more",
        f"{SHORTEST_REASON} to {LONGEST_REASON} characters: `{REASON_HEADER}`",
        f"lock a name for {lockout.FIRST_LOCK_S:g} s",
        f"up to {lockout.LONGEST_LOCK_S / 60:g} minutes",
        f"one every {1 / lockout.PER_S:g} s",
        f"renews it {RENEWED_DAYS_BEFORE} days before",
    ):
        assert words in TEXT, words
    assert lockout.FREE_TRIES == 5
    assert lockout.BURST == 10
    assert all(name in TEXT.lower() for name in gate._FORWARDED)
