"""What goes through the centre's streams, and how they fail."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.center.errors import CenterError
from edge.envelope import STREAM_FIELD

BODY, SIGNATURE, KEY, AGAIN = STREAM_FIELD, "sig", "key", "again"
"""Fields of an entry."""

_BODY, _SIGNATURE, _KEY, _AGAIN = BODY.encode(), SIGNATURE.encode(), KEY.encode(), AGAIN.encode()
_MAX_FIELD = 256

SHOWN_BYTES = 4096
"""Of a refused body, what is kept: enough to see what it is. Its node, if it is one of ours, has it still."""
REFUSED_AGAIN_S = 3600.0
"""Seconds after which the same refused event is put into the quarantine again."""
REFUSALS = 10_000
"""Refusals that are remembered for that."""


class StreamAwayError(CenterError):
    """Redis cannot be reached, or cannot do its work now; what was not acknowledged comes again."""


class StreamFullError(StreamAwayError):
    """Redis is out of memory and refuses what would take more."""


class NoGroupError(StreamAwayError):
    """The stream or its group is gone: the server came back empty."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the events' stream.

    Attributes:
        id: given by the server.
        body: an event's JSON, exactly as it was signed; None where the entry holds none.
        signature: base64 text as it was sent; None where it is not signed.
        key: id of the key that signed; None where none is named.
        trimmed: the server had delivered it but trimmed it before it could be read again.
        again: it was put back from the dead letters or the quarantine, and is nowhere else.
    """

    id: str
    body: bytes | None
    signature: bytes | None = None
    key: str | None = None
    trimmed: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that the centre does not take, and why (a word of the contract, and what is wrong)."""

    entry: Entry
    reason: str
    detail: str = ""


class Refusals:
    """Which refusals are new: what a node sends again and again is in the quarantine once an hour."""

    def __init__(self) -> None:
        self._noted: dict[bytes, float] = {}

    def fresh(self, refused: Sequence[Refused], now_s: float) -> list[Refused]:
        """Those that were not noted within the last hour; of the same ones the first."""
        found: dict[bytes, Refused] = {}
        for one in refused:
            key = _digest(one)
            # what was put back has been taken out of the quarantine
            if one.entry.again or self._noted.get(key, -float("inf")) <= now_s - REFUSED_AGAIN_S:
                found.setdefault(key, one)
        return list(found.values())

    def note(self, refused: Sequence[Refused], now_s: float) -> None:
        """Note what is in the quarantine by now."""
        for one in refused:
            key = _digest(one)
            self._noted.pop(key, None)
            self._noted[key] = now_s
        for key in list(self._noted)[: max(0, len(self._noted) - REFUSALS)]:
            del self._noted[key]


def _digest(refused: Refused) -> bytes:
    return hashlib.sha256(refused.reason.encode() + b" " + (refused.entry.body or b"")).digest()


@dataclass(frozen=True, slots=True)
class Queues:
    """How much waits in Redis.

    Attributes:
        length: entries in the events' stream, those acknowledged included.
        lag: entries not yet delivered to any worker; None where the server cannot tell.
        pending: entries delivered and not yet acknowledged.
        dead: dead letters kept.
        quarantined: refused entries kept.
    """

    length: int
    lag: int | None
    pending: int
    dead: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry of the dead letters or of the quarantine; `fields` as text, its bytes where they are UTF-8."""

    id: str
    fields: Mapping[str, str]


def entry_of(raw: Sequence[Any]) -> Entry:
    """An entry as redis-py gives it: id and fields."""
    id_, fields = text(raw[0]), raw[1]
    if not fields:
        return Entry(id_, None, trimmed=True)
    key = fields.get(_KEY)
    return Entry(
        id_,
        fields.get(_BODY),
        fields.get(_SIGNATURE),
        None if key is None else shown(key),
        again=_AGAIN in fields,
    )


def fields_of(entry: Entry) -> dict[Any, Any]:
    """The fields of an entry, as a node sends them."""
    fields: dict[Any, Any] = {BODY: entry.body or b""}
    if entry.signature is not None:
        fields[SIGNATURE] = entry.signature[:_MAX_FIELD]
    if entry.key is not None:
        fields[KEY] = entry.key[:_MAX_FIELD]
    return fields


def quarantined(refused: Refused) -> dict[Any, Any]:
    """The fields of a refused entry in the quarantine; nothing of them grows without bounds."""
    entry = refused.entry
    body = entry.body or b""
    fields = fields_of(entry)
    fields |= {BODY: body[:SHOWN_BYTES], "reason": refused.reason, "entry": entry.id}
    if refused.detail:
        fields["detail"] = refused.detail
    if len(body) > SHOWN_BYTES:
        fields["bytes"] = len(body)
    return fields


def text(value: Any) -> str:
    """What a server said, as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def shown(value: bytes) -> str:
    """Bytes of anybody's, as text."""
    return value.decode("utf-8", "replace")
