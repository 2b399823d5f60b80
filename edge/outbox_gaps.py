"""Which sequence numbers were given up, and which of them are reported: nothing goes missing in silence."""

from collections.abc import Iterable, Sequence

from edge.outbox_file import OutboxFile

Span = tuple[int, int]
"""Sequence numbers from the first to the last, both included."""


def spans_of(numbers: Iterable[int]) -> list[Span]:
    """Ascending numbers as spans.

    Example:
        >>> spans_of([3, 4, 5, 9])
        [(3, 5), (9, 9)]
    """
    spans: list[Span] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return spans


def lacking(first: int, last: int, present: Iterable[Span]) -> list[Span]:
    """What of `first` to `last` no span covers.

    Args:
        first: of the numbers to look at.
        last: of the numbers to look at.
        present: spans, ascending by their first number; they may overlap.

    Example:
        >>> lacking(1, 9, [(2, 3), (3, 5), (9, 12)])
        [(1, 1), (6, 8)]
    """
    spans: list[Span] = []
    at = first
    for start, end in present:
        if start > at:
            spans.append((at, min(start - 1, last)))
        at = max(at, end + 1)
        if at > last:
            return spans
    return [*spans, (at, last)]


class Gaps:
    """Spans of numbers given up, not yet reported; and reported by an event that the outbox still keeps.

    No number is in two of them. Runs within its owner's transactions.
    """

    def __init__(self, file: OutboxFile) -> None:
        """Keep the gaps of a file."""
        self._file = file

    def any(self) -> bool:
        """Whether there is something to report."""
        return self._file.execute("SELECT 1 FROM gaps LIMIT 1").fetchone() is not None

    def add(self, spans: Iterable[Span], reason: str) -> None:
        """Numbers were given up; neighbours that were for the same reason become one span."""
        for span in spans:
            first, last = span
            before = self._file.execute(
                "SELECT first, last, reason FROM gaps WHERE first < ? ORDER BY first DESC LIMIT 1", (first,)
            ).fetchone()
            if before and before[1:] == (first - 1, reason):
                first = before[0]
            after = self._file.execute(
                "DELETE FROM gaps WHERE first = ? AND reason = ? RETURNING last", (last + 1, reason)
            ).fetchall()
            last = after[0][0] if after else last
            self._file.execute("INSERT OR REPLACE INTO gaps VALUES (?, ?, ?)", (first, last, reason))

    def oldest(self, limit: int) -> list[tuple[int, int, str]]:
        """First, last and reason of the lowest spans that are not reported."""
        return self._file.execute(
            "SELECT first, last, reason FROM gaps ORDER BY first LIMIT ?", (limit,)
        ).fetchall()

    def covering(self, first: int, last: int) -> list[Span]:
        """The spans that touch `first` to `last`, reported or not, ascending."""
        spans: list[Span] = []
        for table in ("gaps", "told"):
            spans += self._file.execute(
                f"SELECT first, last FROM {table} WHERE first <= ? AND first >="  # noqa: S608 - constants # nosec B608
                f" coalesce((SELECT max(first) FROM {table} WHERE first <= ?), ?)",
                (last, first, first),
            ).fetchall()
        return sorted(spans)

    def tell(self, spans: Iterable[Span], reason: str, sequence: int) -> None:
        """Spans are reported by an event."""
        for first, last in spans:
            self._file.execute("DELETE FROM gaps WHERE first = ?", (first,))
            self._file.execute("INSERT INTO told VALUES (?, ?, ?, ?)", (first, last, reason, sequence))

    def settle(self, sequences: Iterable[int]) -> None:
        """Events were handed on; what they reported is known."""
        self._file.execute_many("DELETE FROM told WHERE sequence = ?", ((one,) for one in sequences))

    def revive(self, sequences: Sequence[int]) -> None:
        """Events were given up themselves: what they reported is to be reported again."""
        for sequence in sequences:
            rows = self._file.execute(
                "DELETE FROM told WHERE sequence = ? RETURNING first, last, reason", (sequence,)
            ).fetchall()
            for first, last, reason in rows:
                self.add([(first, last)], reason)

    def forget(self, through: int) -> None:
        """The centre has everything up to `through`, or knows that it is lost."""
        self._file.execute("DELETE FROM gaps WHERE first <= ? AND last <= ?", (through, through))
        self._file.execute("UPDATE gaps SET first = ? WHERE first <= ?", (through + 1, through))
