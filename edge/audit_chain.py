"""The audit log's entries: one line each, chained by SHA-256 and signed; and whether a chain is whole.

A line is `{"entry": {...}, "sha256": ..., "key": ..., "signature": ...}` in one canonical form, so that every
changed byte is found: `sha256` is that of the entry's JSON, which holds the `sha256` of the entry before it,
and the signature (Ed25519, base64) is over that hash.
"""

import hashlib
import json
import unicodedata
from base64 import b64decode, b64encode
from binascii import Error as NotBase64Error
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Protocol

from edge.errors import EdgeError

FIRST = "0" * 64
"""What stands for the entry before the first."""
MAX_LINE_BYTES = 16_384
"""Longest line; the longest entry has a quarter of it."""
_ENTRY, _HEAD = b"sharpeyes-audit-entry-v1\n", b"sharpeyes-audit-head-v1\n"
_LONGEST: Mapping[str, int] = {
    "who": 80,
    "unit": 100,
    "role": 80,
    "what": 60,
    "object": 200,
    "why": 500,
    "outcome": 20,
    "origin": 64,
    "detail": 300,
}


class AuditError(EdgeError):
    """The audit log cannot be written or is not whole, so what was to be recorded must not happen."""


class Signs(Protocol):
    """What signs; `edge.signing.Signer` in a node."""

    @property
    def key_id(self) -> str:
        """16 hex digits that name the key."""
        ...

    def sign(self, body: bytes) -> bytes:
        """64 bytes over `body`."""
        ...


Verify = Callable[[str, bytes, bytes], bool]
"""Public key, body, signature: whether it is one; `edge.signing.verify`."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that somebody did, or tried. Nothing in it is a secret.

    Attributes:
        who: name of the user or token; `-` for nobody in particular.
        unit: the organisation they belong to.
        role: their roles.
        what: such as `login` or `video.live`.
        object: what it was done to: a camera's id, a user's name, a key.
        why: the reason that they gave, up to 500 characters.
        outcome: `allowed`, `refused`, `done` or `failed`.
        origin: address that it came from.
        detail: what else is worth knowing, in plain words.
    """

    who: str
    what: str
    outcome: str = "done"
    object: str = ""
    why: str = ""
    unit: str = ""
    role: str = ""
    origin: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        for name, longest in _LONGEST.items():
            text = getattr(self, name)
            if len(text) > longest:
                raise ValueError(f"{name} has {len(text)} characters; {longest} at most")
            if not is_plain(text):
                raise ValueError(f"{name} holds characters that are no text")
        if not self.who or not self.what:
            raise ValueError("an entry says who did what")


def is_plain(text: str) -> bool:
    """Whether it is text on one line: no control characters, none that turn the text round, no half pairs."""
    return not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text)


def plain(text: str, longest: int) -> str:
    """`text` as an entry may hold it, at most `longest` characters; what may not stand there becomes `?`."""
    return "".join(c if is_plain(c) else "?" for c in text[:longest])


@dataclass(frozen=True, slots=True)
class Entry:
    """An act at its place in the log.

    Attributes:
        seq: 1, 2, 3 ...
        at: aware UTC time.
        act: what happened.
        previous: SHA-256 of the entry before it, 64 hex digits.
    """

    seq: int
    at: datetime
    act: Act
    previous: str

    def body(self) -> bytes:
        """Its JSON, in the one form that is hashed."""
        at = self.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data = {"seq": self.seq, "at": at, **asdict(self.act), "previous": self.previous}
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def sha256(self) -> str:
        """64 hex digits that name it."""
        return hashlib.sha256(self.body()).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry, as it is signed beside the log: a log that ends before it was cut.

    Attributes:
        seq: of the newest entry; 0 where there is none.
        sha256: of that entry.
    """

    seq: int = 0
    sha256: str = FIRST


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a log is whole.

    Attributes:
        head: the last entry that is right.
        fault: what is wrong with the next one; empty where nothing is.
    """

    head: Head
    fault: str = ""


def line_of(entry: Entry, signer: Signs) -> bytes:
    """The entry's line with hash and signature, without the newline."""
    signature = signer.sign(_ENTRY + entry.sha256.encode())
    return _line(entry, signer.key_id, signature)


def _line(entry: Entry, key_id: str, signature: bytes) -> bytes:
    return b'{"entry":%b,"sha256":"%b","key":"%b","signature":"%b"}' % (
        entry.body(),
        entry.sha256.encode(),
        key_id.encode(),
        b64encode(signature),
    )


def entry_of(line: bytes, keys: Mapping[str, str], verify: Verify) -> Entry:
    """The entry of a line, after hash and signature were checked.

    Args:
        line: without the newline.
        keys: public keys by their ids.
        verify: checks a signature.

    Raises:
        AuditError: it is none; says why.
    """
    try:
        data = json.loads(line)
        entry, key_id, signature = _parsed(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, NotBase64Error):
        raise AuditError("is no entry of an audit log") from None
    if _line(entry, key_id, signature) != line:
        raise AuditError("was changed: its hash is another")
    if key_id not in keys:
        raise AuditError(f"is signed with a key that is not known here: {key_id}")
    if not verify(keys[key_id], _ENTRY + entry.sha256.encode(), signature):
        raise AuditError("was changed: its signature is wrong")
    return entry


def _parsed(data: dict[str, Any]) -> tuple[Entry, str, bytes]:
    inner = data["entry"]
    act = Act(**{field.name: inner[field.name] for field in fields(Act)})
    entry = Entry(inner["seq"], datetime.fromisoformat(inner["at"]), act, inner["previous"])
    key_id = data["key"]
    if not isinstance(entry.seq, int) or not key_id.isascii():
        raise TypeError
    return entry, key_id, b64decode(data["signature"], validate=True)


def head_line(head: Head, signer: Signs) -> bytes:
    """The signed head, as it lies in its file."""
    signature = signer.sign(_HEAD + f"{head.seq} {head.sha256}".encode())
    data = {"seq": head.seq, "sha256": head.sha256, "key": signer.key_id, "signature": _text(signature)}
    return json.dumps(data).encode() + b"\n"


def _text(signature: bytes) -> str:
    return b64encode(signature).decode("ascii")


def head_of(content: bytes, keys: Mapping[str, str], verify: Verify) -> Head:
    """The head of its file's content, after its signature was checked.

    Raises:
        AuditError: it is none; says why.
    """
    try:
        data = json.loads(content)
        head = Head(int(data["seq"]), str(data["sha256"]))
        public, signature = keys[data["key"]], b64decode(data["signature"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AuditError("the log's signed head is damaged") from None
    if not verify(public, _HEAD + f"{head.seq} {head.sha256}".encode(), signature):
        raise AuditError("the log's signed head was changed")
    return head


def follows(head: Head, last: Head) -> str:
    """What the signed head says against the log's last entry; empty where they fit.

    After a kill between the two, the log is one entry ahead; never more, and never behind.
    """
    if head.seq > last.seq:
        return f"entries {last.seq + 1} to {head.seq} are missing: the log was cut"
    if head.seq == last.seq and head.sha256 != last.sha256:
        return f"entry {last.seq} is not the one that the signed head names"
    if head.seq < last.seq - 1:
        return f"the signed head is of entry {head.seq}, but the log has {last.seq}: an old one was put back"
    return ""


def check(
    lines: Iterable[bytes], keys: Mapping[str, str], verify: Verify, start: Head | None = None
) -> Verdict:
    """Whether lines are a whole chain, from the first entry or from the one after `start`.

    Args:
        lines: without their newlines.
        keys: public keys by their ids.
        verify: checks a signature.
        start: the entry before the first line.
    """
    head = start or Head()
    for line in lines:
        try:
            entry = entry_of(line, keys, verify)
        except AuditError as exc:
            return Verdict(head, f"entry {head.seq + 1} {exc}")
        if entry.seq != head.seq + 1:
            return Verdict(head, f"entry {head.seq + 1} is missing: number {entry.seq} stands in its place")
        if entry.previous != head.sha256:
            return Verdict(head, f"entry {entry.seq} does not follow the one before it")
        head = Head(entry.seq, entry.sha256)
    return Verdict(head)
