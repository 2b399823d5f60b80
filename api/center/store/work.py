"""A transaction's own memory: numbers given out, history and words to the nodes, written at its end."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from api.center.cases import ChangeKind
from api.center.history import Entry, seal
from api.center.instants import unix_ms
from api.center.schema import chain, changes, feedback, history
from api.center.store.statements import Writing, write_many

COUNTED: Final = ("nodes", "cases", "events", "changes", "feedback", "history")

_LOCK = sa.select(chain).with_for_update()
_SAVE = (
    sa.update(chain)
    .where(chain.c.id == 1)
    .values({name: sa.bindparam(name) for name in (*COUNTED, "head", "surge")})
)
_HISTORY = sa.insert(history)
_CHANGES = sa.insert(changes)
_FEEDBACK = sa.insert(feedback)


def clean(text: str) -> str:
    """Text as both databases can keep it: what is no character is replaced. It is never taken for SQL.

    Example:
        >>> clean("<b>'; DROP TABLE cases; --" + chr(0))
        "<b>'; DROP TABLE cases; --\ufffd"
    """
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


class Work:
    """What one transaction of a writer does beside its own statements.

    Numbers are given out from the locked row of `chain`; so rows are numbered without gaps in the order of
    commits.
    """

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        """Lock the chain; whoever comes next waits here.

        Args:
            connection: in a transaction of its own.
            now: the centre's time.
        """
        self.connection = connection
        self.now_ms = unix_ms(now)
        row = connection.execute(_LOCK).one()._mapping
        self._last: dict[str, int] = {name: row[name] for name in COUNTED}
        self._head: str = row["head"]
        self.surge: bool = row["surge"]
        self._before = (dict(self._last), self._head, self.surge)
        self._history: list[dict[str, object]] = []
        self._changes: list[dict[str, object]] = []
        self._feedback: list[dict[str, object]] = []

    @property
    def profile(self) -> str:
        """`usual` or `surge`."""
        return "surge" if self.surge else "usual"

    def number(self, table: str) -> int:
        """The next number of a table's rows."""
        self._last[table] += 1
        return self._last[table]

    def record(
        self,
        case: int | None,
        who: str,
        action: str,
        why: str,
        states: tuple[str | None, str | None] = (None, None),
        detail: Mapping[str, object] | None = None,
    ) -> int:
        """Add a row to the history; returns its number.

        Args:
            case: None where it concerns none.
            who: a person or `system`.
            action: what was done.
            why: the reason given.
            states: the main state before and after.
            detail: what else there is to know.
        """
        text = json.dumps(detail or {}, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        number = self.number("history")
        entry = Entry(number, case, self.now_ms, clean(who), action, *states, clean(why), clean(text))
        self._head = seal(self._head, entry)
        row: dict[str, object] = entry._asdict()
        row["case_id"] = row.pop("case")
        row["hash"] = self._head
        self._history.append(row)
        return number

    def changed(self, case: int, version: int, what: ChangeKind, level: int, state: str) -> None:
        """Tell those who watch that something became of a case."""
        self._changes.append(
            {
                "id": self.number("changes"),
                "at_ms": self.now_ms,
                "case_id": case,
                "version": version,
                "what": what,
                "level": level,
                "state": state,
            }
        )

    def tell(self, node: str, message: Mapping[str, object]) -> None:
        """Leave a message for a node, or for all (`*`)."""
        body = json.dumps({"node": node, **message}, ensure_ascii=False, separators=(",", ":"))
        self._feedback.append({"id": self.number("feedback"), "node": node, "body": clean(body)})

    def flush(self) -> None:
        """Write all that was gathered."""
        for statement, rows in (
            (_HISTORY, self._history),
            (_CHANGES, self._changes),
            (_FEEDBACK, self._feedback),
        ):
            self.many(statement, rows)
            rows.clear()
        if self._before != (self._last, self._head, self.surge):
            self.connection.execute(_SAVE, {**self._last, "head": self._head, "surge": self.surge})
            self._before = (dict(self._last), self._head, self.surge)

    def many(self, statement: Writing, rows: Sequence[dict[str, Any]]) -> None:
        """Run a statement for each row, if there are any; see `write_many`."""
        write_many(self.connection, statement, rows)
