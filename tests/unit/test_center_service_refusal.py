"""What the centre takes, and why it refuses the rest."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.center.refusal import REASONS, Keyring, NotTakenError, judge, node_of
from edge.envelope import MAX_BYTES
from edge.signing import verify
from tests.support.center_service import Producer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def node(folder: Path) -> Producer:
    return Producer.make(folder)


def ring(*producers: Producer, **more) -> Keyring:
    keys = {p.signer.key_id: (p.node, p.signer.public) for p in producers}
    return Keyring(keys, frozenset(p.node for p in producers), **more)


def taken(fields: dict[bytes, bytes], keyring: Keyring):
    key = fields.get(b"key")
    return judge(fields.get(b"ce"), fields.get(b"sig"), key and key.decode(), keyring, verify)


def why(fields: dict[bytes, bytes], keyring: Keyring) -> str:
    with pytest.raises(NotTakenError) as caught:
        taken(fields, keyring)
    assert caught.value.reason in REASONS
    assert caught.value.detail
    return caught.value.reason


def test_what_an_admitted_node_signed_is_taken_with_padding_and_without(node: Producer) -> None:
    fields = node.signed(node.event())
    assert taken(fields, ring(node)).source == "/nodes/gate-7/cameras/cam-1"
    fields[b"sig"] = fields[b"sig"].rstrip(b"=")
    assert taken(fields, ring(node)).sequence.endswith("1")


def test_a_stranger_is_refused(node: Producer) -> None:
    assert why(node.signed(node.event()), ring()) == "unknown_node"


def test_a_node_is_not_believed_by_another_key_than_its_own(node: Producer, folder: Path) -> None:
    other = Producer.make(folder, "other")
    body = node.event()
    # one that was admitted for another node, and one that was never admitted
    assert why(other.signed(body), ring(node, other)) == "wrong_key"
    assert why(other.signed(body), ring(node)) == "wrong_key"


@pytest.mark.parametrize(
    "signature", [b"", b"x", b"AAAA", b"!" * 88, b"A" * 88, b"A" * 10_000, "北".encode()]
)
def test_a_signature_that_does_not_fit(node: Producer, signature: bytes) -> None:
    fields = node.signed(node.event())
    assert why({**fields, b"sig": signature}, ring(node)) == "bad_signature"


@given(st.integers(0, 400), st.integers(1, 255))
def test_one_changed_byte_breaks_the_signature(folder: Path, index: int, change: int) -> None:
    node = Producer.make(folder)
    fields = node.signed(node.event())
    body = bytearray(fields[b"ce"])
    body[index % len(body)] ^= change
    assert why({**fields, b"ce": bytes(body)}, ring(node)) == "bad_signature"


def test_unsigned_events(node: Producer) -> None:
    fields = {b"ce": node.event()}
    assert why(fields, ring()) == "unsigned"
    assert why(fields, ring(node)) == "unsigned"
    # taken at its word only where that is configured, and never where the node has signed before
    assert taken(fields, ring(accept_unsigned=True)).kind == "crowd.density"
    assert why(fields, ring(node, accept_unsigned=True)) == "unsigned"
    revoked = Keyring({}, frozenset({node.node}), accept_unsigned=True)
    assert why(fields, revoked) == "unsigned"
    assert why(node.signed(node.event()), revoked) == "wrong_key"


def test_a_stranger_that_signs_is_no_worse_than_one_that_does_not(node: Producer) -> None:
    assert taken(node.signed(node.event()), ring(accept_unsigned=True)).level == 3


BROKEN = {
    "no JSON": (b"{", "malformed"),
    "nothing": (b"", "malformed"),
    "no object": (b"[1]", "malformed"),
    "no UTF-8": (b"\xff\xfe{}", "malformed"),
    "very deep": (b"[" * 60_000, "malformed"),
    "large number": (b'{"a":' + b"9" * 10_000 + b"}", "malformed"),
    "an empty object": (b"{}", "malformed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_malformed(node: Producer, name: str) -> None:
    body, reason = BROKEN[name]
    assert why(node.signed(body), ring(node)) == reason
    assert why({b"ce": body}, ring(accept_unsigned=True)) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"specversion": "0.3"}, "wrong_schema"),
        ({"dataschema": "urn:sharpeyes:schema:event:v2"}, "wrong_schema"),
        ({"type": "org.sharpeyes.crowd.density.v2"}, "unknown_type"),
        ({"type": "org.sharpeyes.person.named.v1"}, "unknown_type"),
        ({"type": ["a"]}, "unknown_type"),
        ({"extra": 1}, "malformed"),
        ({"id": "' OR 1=1 --"}, "malformed"),
        ({"subject": "<script>alert(1)</script>"}, "malformed"),
        ({"sequence": "-1"}, "malformed"),
        ({"source": "/nodes/gate-7/../other"}, "malformed"),
        ({"time": "2026-13-41T08:15:03.210Z"}, "malformed"),
        ({"time": "0000-01-01T00:00:00.000Z"}, "malformed"),
        ({"time": "9999-12-31T23:59:59.999Z"}, "clock"),
        ({"time": "1969-12-31T23:59:59.999Z"}, "clock"),
    ],
)
def test_broken_events(node: Producer, change: dict, reason: str) -> None:
    assert why(node.signed(node.event(**change)), ring(node)) == reason


def test_times_of_an_incident_are_looked_at_too(node: Producer) -> None:
    for key in ("started", "observed"):
        body = node.event(node.incident(**{key: "1901-01-01T00:00:00.000Z"}))
        assert why(node.signed(body), ring(node)) == "clock"


def test_what_is_of_another_district_is_refused(node: Producer) -> None:
    """A key that two centres admitted: nobody may copy from one district's stream into the other's."""
    for body in (node.event(), node.heartbeat(), node.gap([(1, 2)])):
        assert why(node.signed(body), ring(node, district="110101")) == "foreign_district"
        assert taken(node.signed(body), ring(node, district="360103")).sequence
    unsigned = ring(accept_unsigned=True, district="110101")
    assert why({b"ce": node.event()}, unsigned) == "foreign_district"


def test_a_wrong_clock_within_reason_is_no_refusal(node: Producer) -> None:
    for time in ("1970-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z"):
        body = node.event(node.incident(started=time, observed=time), time=time)
        assert taken(node.signed(body), ring(node)).time == time


def test_too_large_is_said_before_anything_is_read(node: Producer) -> None:
    assert why({b"ce": b"x" * (MAX_BYTES + 1)}, ring()) == "too_large"
    body = json.dumps({"a": "x" * MAX_BYTES}).encode()
    assert why(node.signed(body), ring(node)) == "too_large"


def test_an_entry_without_an_event(node: Producer) -> None:
    assert why({b"other": b"1"}, ring(node)) == "malformed"


def test_texts_of_every_kind_are_data(node: Producer) -> None:
    evil = "'); DROP TABLE cases; -- <img src=x onerror=alert(1)> =cmd|' /C calc'!A1"
    site = {"name": evil, "district": "360103"}
    event = taken(node.signed(node.event(node.incident(site=site))), ring(node))
    assert event.data.site.name == evil


@given(st.text())
def test_node_of_never_fails(source: str) -> None:
    assert isinstance(node_of(source), str)
