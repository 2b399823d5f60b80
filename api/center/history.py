"""The append-only history: each row carries the hash of all before it, so no change stays hidden. Pure."""

import hashlib
import json
from collections.abc import Iterable
from typing import NamedTuple

from api.center.model import Verified

GENESIS = "0" * 64
"""What stands before the first row."""


class Entry(NamedTuple):
    """A row of the history without its hash. See `cases.Record`."""

    id: int
    case: int | None
    at_ms: int
    who: str
    action: str
    before: str | None
    after: str | None
    why: str
    detail: str


def seal(previous: str, entry: Entry) -> str:
    """The hash of a row: SHA-256 over the last row's hash and the row as a JSON list, in hexadecimal.

    A list of all columns in their order has exactly one form, so equal hashes mean equal rows.
    """
    # rows that were tampered with may hold anything, bytes and broken UTF-8 among it
    body = json.dumps(entry, ensure_ascii=False, separators=(",", ":"), default=repr)
    return hashlib.sha256(f"{previous}{body}".encode("utf-8", "surrogateescape")).hexdigest()


def check(rows: Iterable[tuple[Entry, str]], count: int, head: str) -> Verified:
    """Recompute the chain.

    Args:
        rows: all of them with their hashes, by id.
        count: how many there should be.
        head: hash that the last one should have.
    """
    last, number = GENESIS, 0
    for entry, hashed in rows:
        number += 1
        if entry.id != number or seal(last, entry) != hashed:
            return Verified(count, number, head)
        last = hashed
    if number != count:
        return Verified(count, min(number, count) + 1, head)
    if last != head:
        return Verified(count, max(number, 1), head)
    return Verified(number, None, last)
