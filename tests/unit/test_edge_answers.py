"""What the centre may say: a closed schema, from bytes that anybody may have written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.answers import MAX_BYTES, MAX_REPLAY, ProfileChange, Replay, Reset, Verdict, message_of

TIME = "2026-11-22T08:15:03.210Z"
GOOD: dict[str, dict[str, Any]] = {
    "replay": {"node": "xihu-07", "kind": "replay", "first": 3, "last": 9},
    "verdict": {
        "node": "xihu-07",
        "kind": "verdict",
        "incident": "01890a5d-ac96-774b-bcce-b302099a8057",
        "camera": "gate-2",
        "rule": "crowd.density/plaza",
        "verdict": "false",
        "cause": "rain on the lens",
        "time": TIME,
    },
    "profile": {"node": "*", "kind": "profile", "profile": "surge", "time": TIME},
    "reset": {"node": "xihu-07", "kind": "reset", "first": 1},
}


def said(**changes: Any) -> bytes:
    kind = changes.pop("of")
    message = {**GOOD[kind], **changes}
    return json.dumps({key: value for key, value in message.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("kind", "model"),
    [("replay", Replay), ("verdict", Verdict), ("profile", ProfileChange), ("reset", Reset)],
)
def test_these_are_messages(kind: str, model: type) -> None:
    message = message_of(said(of=kind))
    assert isinstance(message, model)
    assert message.model_dump() == GOOD[kind]


def test_a_true_verdict_has_no_cause() -> None:
    message = message_of(said(of="verdict", verdict="true", cause=...))
    assert isinstance(message, Verdict)
    assert message.cause is None


@pytest.mark.parametrize("time", ["2026-11-22T08:15:03Z", "2026-11-22T16:15:03.123456+08:00"])
def test_times_of_rfc_3339(time: str) -> None:
    assert message_of(said(of="profile", time=time)) is not None


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'"replay"',
        b"[" * 3000,
        b" " * (MAX_BYTES + 1) + said(of="replay"),
        said(of="replay", kind="shell"),
        said(of="replay", kind=...),
        said(of="replay", command="rm -rf /"),
        said(of="replay", first="3"),
        said(of="replay", first=0),
        said(of="replay", first=10),
        said(of="replay", first=3.5),
        said(of="replay", last=2**63),
        said(of="replay", last=3 + MAX_REPLAY),
        said(of="replay", node="*"),
        said(of="replay", node="../etc"),
        said(of="verdict", verdict="maybe"),
        said(of="verdict", verdict=True),
        said(of="verdict", incident="1"),
        said(of="verdict", rule="crowd.density"),
        said(of="verdict", rule="crowd.density/../x"),
        said(of="verdict", cause="x" * 201),
        said(of="verdict", time="yesterday"),
        said(of="profile", profile="panic"),
        said(of="profile", profile=None),
        said(of="reset", first=-1),
    ],
)
def test_these_are_none(raw: bytes | None) -> None:
    assert message_of(raw) is None


@given(
    raw=st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_nothing_breaks_it(raw: bytes) -> None:
    assert message_of(raw) is None
