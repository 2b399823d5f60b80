"""What the centre takes and what it refuses, and why. Pure: nothing is asked, nothing is written."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from edge.envelope import MAX_BYTES, TYPES, Event, IncidentData
from edge.errors import EventError

Reason = Literal[
    "unknown_node",
    "bad_signature",
    "unsigned",
    "wrong_key",
    "malformed",
    "wrong_schema",
    "too_large",
    "unknown_type",
    "clock",
    "foreign_district",
]
"""Why an entry goes to the quarantine."""

REASONS: tuple[Reason, ...] = get_args(Reason)

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Times that leave room for calculations: deadlines after them, and time zones."""

Verify = Callable[[str, bytes, bytes], bool]
"""Whether a signature (64 bytes) by a public key (base64) fits the body: key, body, signature."""


_SIGNATURE_TEXT = 88


class NotTakenError(Exception):
    """The centre does not take an entry.

    Attributes:
        reason: the contract's word.
        detail: what is wrong, quoting nothing of the entry.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason: Reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


@dataclass(frozen=True, slots=True)
class Keyring:
    """Who may speak: public keys that were admitted and not revoked.

    Attributes:
        keys: by the key's id, the node it belongs to and the public key in base64.
        nodes: that ever had a key; they are never taken at their word, not even when all are revoked.
        accept_unsigned: whether nodes without any admitted key are taken at their word.
        district: that events must be of; None takes those of any.
    """

    keys: Mapping[str, tuple[str, str]]
    nodes: frozenset[str] = frozenset()
    accept_unsigned: bool = False
    district: str | None = None


def judge(
    body: bytes | None, signature: bytes | None, key: str | None, keyring: Keyring, verify: Verify
) -> Event:
    """The event that an entry holds, once all that can be checked is.

    The signature comes first: what nobody admitted has signed is not even parsed, but to name the reason.

    Args:
        body: the event's JSON as it came.
        signature: base64 text; None where the entry has none.
        key: id of the key that signed; None where the entry names none.
        keyring: who may speak.
        verify: checks a signature.

    Raises:
        NotTakenError: the centre does not take it.
    """
    if body is None:
        raise NotTakenError("malformed", "the entry has no field ce")
    if len(body) > MAX_BYTES:
        raise NotTakenError("too_large", f"has {len(body)} bytes, more than {MAX_BYTES}")
    known = keyring.keys.get(key) if key is not None and signature is not None else None
    if known is None:
        event = _from_stranger(body, signature, keyring)
    else:
        owner, public = known
        if not verify(public, body, _raw(signature)):
            raise NotTakenError("bad_signature", "the signature does not fit the event and the key")
        event = _parsed(body)
        if node_of(event.source) != owner:
            raise NotTakenError("wrong_key", "the key that signed belongs to another node")
    _check_times(event)
    if keyring.district not in (None, _district_of(event)):
        raise NotTakenError("foreign_district", f"is not of the district {keyring.district}")
    return event


def node_of(source: str) -> str:
    """The node's id in an event's source.

    >>> node_of("/nodes/xihu-07/cameras/gate-2")
    'xihu-07'
    """
    parts = source.split("/", 3)
    return parts[2] if len(parts) > 2 and parts[1] == "nodes" else ""


def _raw(signature: bytes | None) -> bytes:
    """The 64 bytes of a signature; empty where the text is none."""
    if signature is None or len(signature) > _SIGNATURE_TEXT:
        return b""
    try:
        return base64.b64decode(signature + b"=" * (-len(signature) % 4), validate=True)
    except binascii.Error:
        return b""


def _from_stranger(body: bytes, signature: bytes | None, keyring: Keyring) -> Event:
    """An event without a signature that could be checked."""
    source = _claimed(body).get("source")
    node = node_of(source) if isinstance(source, str) else ""
    if node not in keyring.nodes:
        if keyring.accept_unsigned:
            return _parsed(body)
        if signature is not None:
            raise NotTakenError("unknown_node", "no key of this node was admitted (sharpeyes center admit)")
    if signature is None:
        raise NotTakenError("unsigned", "carries no signature")
    # a known node's events are never taken by another key: else anybody could speak in its name
    raise NotTakenError("wrong_key", "signed by a key that was not admitted for this node")


def _parsed(body: bytes) -> Event:
    try:
        return Event.from_json(body)
    except EventError as exc:
        raise NotTakenError(_fault(_claimed(body)), str(exc)) from None
    except RecursionError:
        raise NotTakenError("malformed", "nested too deeply") from None


def _claimed(body: bytes) -> Mapping[str, object]:
    """What an entry claims to be, unchecked; empty where it is no JSON object."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _fault(claimed: Mapping[str, object]) -> Reason:
    if not claimed:
        return "malformed"
    if claimed.get("specversion") != "1.0" or claimed.get("dataschema") != "urn:sharpeyes:schema:event:v1":
        return "wrong_schema"
    if claimed.get("type") not in TYPES.values():
        return "unknown_type"
    return "malformed"


def _district_of(event: Event) -> str:
    data = event.data
    return data.site.district if isinstance(data, IncidentData) else data.district


def _check_times(event: Event) -> None:
    times = [event.time]
    if isinstance(event.data, IncidentData):
        times += [event.data.started, event.data.observed]
    for text in times:
        if not EARLIEST <= datetime.fromisoformat(text) < LATEST:
            raise NotTakenError("clock", "a time lies before 1970 or after the year 8999")
