"""The event contract: models and JSON Schema agree, nothing identifies people, all fit 64 KiB."""

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
import structlog.testing
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.account import CELLS, Cell, Report, Row
from edge.envelope import (
    IDENTITY_WORDS,
    KINDS,
    MAX_BOXES,
    MAX_BYTES,
    MAX_LEDGER_BYTES,
    MAX_SPANS,
    TYPES,
    Coverage,
    CoveredMs,
    Evidence,
    GapData,
    IncidentData,
    LedgerData,
    LedgerRow,
    ModelRef,
    NodeData,
    Site,
    rfc3339,
    schema_text,
)
from edge.errors import EventError
from edge.events import (
    Event,
    EventContext,
    EventDraft,
    coverage_events,
    gap_events,
    heartbeat_event,
    incident_event,
    node_event,
    stream_key,
)
from edge.identifiers import Uuid7
from edge.sections import Place

NOW = datetime(2026, 11, 22, 8, 15, 3, 210_000, tzinfo=UTC)
SHA = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
SCHEMA = json.loads(schema_text())
ASYNCAPI = yaml.safe_load((files("edge") / "schema" / "asyncapi.yaml").read_text("utf-8"))

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _is_time(text: object) -> bool:
    return not isinstance(text, str) or bool(datetime.fromisoformat(text))


BY_SCHEMA = jsonschema.Draft7Validator(SCHEMA, format_checker=FORMATS)


@dataclass(frozen=True)
class Change:
    """What incidents hand over."""

    kind: str = "crowd.density"
    zone: str = "plaza"
    level: int = 2
    phase: str = "begin"
    incident: str = "019abcde-e000-7abc-8def-0123456789ab"
    started_utc: datetime = NOW - timedelta(seconds=5)
    observed_utc: datetime = NOW
    measures: dict[str, float] = field(default_factory=lambda: {"count": 41})
    confidence: float = 0.87
    boxes: tuple[tuple[float, float, float, float], ...] = ((0.41, 0.22, 0.44, 0.31),)


def context(seed: int = 3, camera_id: str | None = "gate-2", **place: Any) -> EventContext:
    bits = Random(seed).getrandbits
    return EventContext("xihu-07", "360103", Uuid7(lambda: NOW, bits), camera_id, Place(**place), bits)


def as_json(draft: EventDraft, sequence: int = 42) -> Any:
    return json.loads(Event.number(draft, sequence).to_json())


def model_accepts(document: Any) -> bool:
    try:
        Event.from_json(json.dumps(document))
    except EventError:
        return False
    return True


measure_names = st.sampled_from(
    [
        "count",
        "cameras_up",
        "density_mean_per_m2",
        "silent_s",
        "capacity_share",
        "speed_m_per_s",
        "boxes_lost",
    ]
)
measures = st.dictionaries(measure_names, st.floats(-1e15, 1e15) | st.integers(-(10**15), 10**15))
sides = st.floats(0, 1)
naive = NOW.replace(tzinfo=None)
moments = st.datetimes(naive.replace(year=1971), naive.replace(year=2200), timezones=st.just(UTC))
places = st.builds(
    Place,
    name=st.text(max_size=100),
    grid=st.none() | st.from_regex(r"[0-9]{15}", fullmatch=True),
    gb28181=st.none() | st.from_regex(r"[0-9]{20}", fullmatch=True),
    longitude=st.none() | st.floats(-180, 180),
    latitude=st.none() | st.floats(-90, 90),
)
changes = st.builds(
    Change,
    kind=st.sampled_from([kind for kind in KINDS if not kind.startswith("node.")]),
    zone=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True),
    level=st.integers(1, 4),
    phase=st.sampled_from(["begin", "update", "end"]),
    started_utc=moments,
    observed_utc=moments,
    measures=measures,
    confidence=st.floats(0, 1),
    boxes=st.lists(st.tuples(sides, sides, sides, sides), max_size=8).map(tuple),
)
extras = st.fixed_dictionaries(
    {},
    optional={
        "model": st.just(ModelRef(name="nanodet-g-416-int8", sha256=SHA)),
        "coverage": st.builds(Coverage, analysed_fps=st.floats(0, 1000), degraded=st.booleans()),
        "evidence": st.just(
            Evidence(snapshot="evidence/1.jpg", sha256=SHA, redacted=True, expires=rfc3339(NOW))
        ),
    },
)


names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
tasks = st.builds(
    lambda kind, zone: f"{kind}/{zone}", st.sampled_from(["crowd.density", "camera.view"]), names
)
rows = st.builds(
    Row,
    names,
    st.lists(tasks, min_size=1, max_size=4, unique=True).map(tuple),
    st.dictionaries(st.sampled_from(CELLS), st.integers(1, 10**9), min_size=1),
)
covered = st.builds(Report, st.integers(1, 10**9), st.lists(rows, min_size=1, max_size=4).map(tuple))


@st.composite
def numbers_missing(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Spans of sequence numbers, ascending, with at least one number between them."""
    edges = draw(st.lists(st.integers(1, 10**15), min_size=2, max_size=12, unique=True).map(sorted))
    return list(zip(edges[::2], edges[1::2], strict=False))


@st.composite
def drafts(draw: st.DrawFn) -> EventDraft:
    seed = draw(st.integers(0, 2**32))
    if draw(st.booleans()):
        bits = Random(seed).getrandbits
        place = draw(places)
        who = EventContext("xihu-07", "360103", Uuid7(lambda: NOW, bits), "gate-2", place, bits)
        return incident_event(who, draw(changes), **draw(extras))
    kind = draw(st.sampled_from(["node.heartbeat", "node.coverage", "node.gap"]))
    if kind == "node.coverage":
        return coverage_events(context(seed, camera_id=None), draw(moments), draw(covered))[0]
    if kind == "node.gap" and draw(st.booleans()):
        return gap_events(context(seed, camera_id=None), lambda: NOW)(draw(numbers_missing()), "outbox_aged")
    reason = draw(st.none() | st.just("outbox_full"))
    return node_event(context(seed, camera_id=None), kind, draw(moments), draw(measures), reason)


@settings(max_examples=150, deadline=None)
@given(draft=drafts(), sequence=st.integers(1, 10**20 - 1))
def test_every_event_satisfies_the_schema_and_reads_back_the_same(draft: EventDraft, sequence: int) -> None:
    event = Event.number(draft, sequence)
    body = event.to_json()
    BY_SCHEMA.validate(json.loads(body))
    assert Event.from_json(body) == event
    assert len(body) <= MAX_BYTES
    assert int(event.sequence) == sequence


# Mutations: each makes an event wrong, and both the schema and the models must say so.


def paths(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, the root excluded."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in pairs:
        yield (*at, key)
        yield from paths(child, (*at, key))


def parent(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


WRONG_VALUES = [
    None,
    "",
    "x\u0000",
    -1e16,
    10**16,
    5,
    True,
    [],
    {},
    [[0.1, 0.2, 0.3]],
    "2026-13-01T00:00:00.000Z",
]


@settings(max_examples=150, deadline=None)
@given(draft=drafts(), data=st.data())
def test_models_and_schema_agree_on_what_is_wrong(draft: EventDraft, data: st.DataObject) -> None:
    document = as_json(draft)
    path = data.draw(st.sampled_from(sorted(paths(document), key=str)), label="path")
    at = parent(document, path)
    how = data.draw(st.sampled_from(["drop", "replace", "add"]), label="how")
    if how == "drop":
        del at[path[-1]]
    elif how == "replace":
        at[path[-1]] = data.draw(st.sampled_from(WRONG_VALUES), label="value")
    elif isinstance(at, dict):
        at["person_id"] = 7
    else:
        at.append(0.5)
    # whether spans ascend and add up is more than a schema can say
    assert model_accepts(document) == (BY_SCHEMA.is_valid(document) and spans_add_up(document))


def spans_add_up(document: Any) -> bool:
    if "gap" not in document["data"]:
        return True
    gap = document["data"]["gap"]
    edges = [number for span in gap["ranges"] for number in span]
    ascending = all(a < b for a, b in zip(edges[1::2], edges[2::2], strict=False))
    forward = all(first <= last for first, last in gap["ranges"])
    return ascending and forward and gap["events"] == sum(last - first + 1 for first, last in gap["ranges"])


def change_at(path: str, value: Any) -> Callable[[Any], None]:
    def mutate(document: Any) -> None:
        keys = tuple(int(key) if key.isdigit() else key for key in path.split("."))
        parent(document, keys)[keys[-1]] = value

    return mutate


def drop(path: str) -> Callable[[Any], None]:
    return lambda document: parent(document, keys := tuple(path.split("."))).pop(keys[-1])


FULL = incident_event(
    context(
        name="北门广场",
        grid="360103001001001",
        gb28181="36010300001320000007",
        longitude=115.9,
        latitude=28.68,
    ),
    Change(),
    model=ModelRef(name="nanodet-g-416-int8", sha256=SHA),
    coverage=Coverage(analysed_fps=5.0, degraded=False),
    evidence=Evidence(snapshot="a.jpg", clip="a.mp4", sha256=SHA, redacted=True, expires=rfc3339(NOW)),
)
HEARTBEAT = heartbeat_event(context(camera_id=None), NOW, {"uptime_s": 3.5, "cameras": 2})
GAP = gap_events(context(camera_id=None), lambda: NOW)([(43, 44), (50, 60)], "outbox_full")
AT_RATE, AWAY = Cell("analysed", "at_rate"), Cell("blind", "camera_offline")
SPAN = Report(
    60_000,
    (
        Row("gate-2", ("crowd.density/plaza", "hazard.line/door"), {AT_RATE: 60_000}),
        Row("gate-3", ("camera.view/gate-3",), {Cell("degraded", "reduced"): 12_000, AWAY: 48_000}),
    ),
)
(COVERAGE,) = coverage_events(context(camera_id=None), NOW, SPAN)


@pytest.mark.parametrize(
    "mutate",
    [
        change_at("type", "org.sharpeyes.crowd.gathering.v1"),
        change_at("type", "org.sharpeyes.node.heartbeat.v1"),
        change_at("source", "/nodes/xihu-07"),
        change_at("source", "/nodes/XIHU/cameras/gate-2"),
        change_at("id", "019abcde-f012-4abc-8def-0123456789ab"),
        change_at("sequence", "42"),
        change_at("traceparent", f"00-{'0' * 32}-00f067aa0ba902b7-01"),
        change_at("traceparent", f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01"),
        change_at("time", "2026-02-30T08:15:03.210Z"),
        change_at("time", "2026-11-22T08:15:03+08:00"),
        change_at("data.level", 0),
        change_at("data.level", 5),
        change_at("data.phase", "middle"),
        change_at("data.confidence", 1.01),
        change_at("data.boxes", [[0, 0, 1, 1.1]]),
        change_at("data.boxes", [[0, 0, 1]]),
        change_at("data.boxes", [[0, 0, 1, 1]] * (MAX_BOXES + 1)),
        change_at("data.measures", {"density": 4.0}),
        change_at("data.measures", {"person_count": 4}),
        change_at("data.measures", {"age_mean_s": 4}),
        change_at("data.measures", {"face_px": 4}),
        change_at("data.measures", {"count": "4"}),
        change_at("data.measures", {"count": True}),
        change_at("data.measures", {f"a{n}_count": n for n in range(65)}),
        change_at("data.evidence.redacted", False),
        change_at("data.evidence.snapshot", "a b.jpg"),
        change_at("data.evidence", None),
        change_at("data.site.name", "x" * 101),
        change_at("data.site.plate", "赣A12345"),
        change_at("data.track_id", 7),
        change_at("data.model.sha256", "abc"),
        change_at("data.zone", "Plaza"),
        drop("data.incident"),
        drop("specversion"),
        drop("data"),
    ],
)
def test_both_refuse_a_broken_incident(mutate: Callable[[Any], None]) -> None:
    document = as_json(FULL)
    assert BY_SCHEMA.is_valid(document)
    mutate(document)
    assert not BY_SCHEMA.is_valid(document)
    assert not model_accepts(document)


@pytest.mark.parametrize(
    "mutate",
    [
        change_at("type", "org.sharpeyes.crowd.density.v1"),
        change_at("data.level", 4),
        change_at("data.reason", "bored"),
        change_at("data.district", "3601"),
        change_at("data.measures", None),
    ],
)
def test_both_refuse_a_broken_node_event(mutate: Callable[[Any], None]) -> None:
    document = as_json(HEARTBEAT)
    assert BY_SCHEMA.is_valid(document)
    mutate(document)
    assert not BY_SCHEMA.is_valid(document)
    assert not model_accepts(document)


@pytest.mark.parametrize(
    "mutate",
    [
        drop("data.ledger"),
        change_at("type", "org.sharpeyes.node.heartbeat.v1"),
        change_at("data.ledger.span_ms", 0),
        change_at("data.ledger.part", 0),
        change_at("data.ledger.rows", []),
        change_at("data.ledger.rows.0.camera", "Gate"),
        change_at("data.ledger.rows.0.tasks", []),
        change_at("data.ledger.rows.0.tasks", ["plaza"]),
        change_at("data.ledger.rows.0.ms.analysed.shed", 5),
        change_at("data.ledger.rows.0.ms.analysed.at_rate", 0.5),
        change_at("data.ledger.rows.0.ms.blind", None),
        change_at("data.ledger.rows.0.ms.asleep", {}),
        change_at("data.ledger.rows.1.ms.blind.bored", 1),
        change_at("data.ledger.rows.1.person", 1),
    ],
)
def test_both_refuse_a_broken_ledger(mutate: Callable[[Any], None]) -> None:
    document = as_json(COVERAGE)
    assert BY_SCHEMA.is_valid(document)
    assert model_accepts(document)
    mutate(document)
    assert not BY_SCHEMA.is_valid(document)
    assert not model_accepts(document)


@pytest.mark.parametrize(
    "mutate",
    [
        change_at("type", "org.sharpeyes.node.heartbeat.v1"),
        change_at("data.reason", "outbox_lost"),
        change_at("data.gap", None),
        change_at("data.gap.ranges", []),
        change_at("data.gap.ranges", [[1, 1]] * (MAX_SPANS + 1)),
        change_at("data.gap.ranges.0", [43]),
        change_at("data.gap.ranges.0", [43, 44, 45]),
        change_at("data.gap.ranges.0.0", 0),
        change_at("data.gap.ranges.1.1", 10**15 + 1),
        change_at("data.gap.ranges.1.1", "60"),
        change_at("data.gap.events", 0),
        change_at("data.gap.cause", "x"),
        drop("data.gap.events"),
    ],
)
def test_both_refuse_a_broken_gap(mutate: Callable[[Any], None]) -> None:
    document = as_json(GAP)
    assert BY_SCHEMA.is_valid(document)
    assert model_accepts(document)
    mutate(document)
    assert not BY_SCHEMA.is_valid(document)
    assert not model_accepts(document)


@pytest.mark.parametrize("ranges", [[[44, 43], [50, 60]], [[50, 60], [43, 44]], [[43, 50], [50, 52]]])
def test_a_gap_whose_spans_do_not_ascend_is_refused(ranges: list[list[int]]) -> None:
    document = as_json(GAP)
    document["data"]["gap"]["ranges"] = ranges
    assert not model_accepts(document)
    document["data"]["gap"] = {"ranges": [[43, 44]], "events": 13}
    assert not model_accepts(document)


@pytest.mark.parametrize(
    ("model", "part"),
    [
        (Event, SCHEMA),
        (IncidentData, SCHEMA["definitions"]["incident"]),
        (NodeData, SCHEMA["definitions"]["node"]),
        (LedgerData, SCHEMA["definitions"]["ledger"]),
        (LedgerRow, SCHEMA["definitions"]["ledger_row"]),
        (CoveredMs, SCHEMA["definitions"]["covered"]),
        (GapData, SCHEMA["definitions"]["gap"]),
        (Site, SCHEMA["definitions"]["site"]),
        (Evidence, SCHEMA["definitions"]["evidence"]),
        (ModelRef, SCHEMA["definitions"]["model"]),
        (Coverage, SCHEMA["definitions"]["coverage"]),
    ],
)
def test_models_and_schema_have_the_same_keys(model: Any, part: Any) -> None:
    fields = model.model_fields
    assert set(part["properties"]) == set(fields)
    assert set(part.get("required", ())) == {name for name, info in fields.items() if info.is_required()}
    assert part["additionalProperties"] is False
    assert model.model_config["extra"] == "forbid"


def test_the_schema_is_closed_everywhere_and_a_valid_draft_7() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    objects = [part for part in _parts(SCHEMA) if part.get("type") == "object" and part is not SCHEMA]
    open_ones = [part for part in objects if part.get("additionalProperties") is not False]
    # `data` is closed by the branch of its type; `measures` by its names
    assert open_ones == [SCHEMA["properties"]["data"], SCHEMA["definitions"]["measures"]]
    assert SCHEMA["properties"]["type"]["enum"] == list(TYPES.values())


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _parts(child)


def test_no_property_of_the_schema_can_hold_an_identity() -> None:
    names: set[str] = set()
    for where, part in [("", SCHEMA), *SCHEMA["definitions"].items()]:
        names |= {f"{where}.{name}" for name in part.get("properties", {})}
    names -= {".id", "site.name", "model.name"}  # the event's, the place's and the model's own
    guilty = {name for name in names if not IDENTITY_WORDS.isdisjoint(name.split(".")[1].split("_"))}
    assert not guilty
    assert len(names) > 30


@pytest.mark.parametrize("word", sorted(IDENTITY_WORDS))
def test_no_measure_can_be_named_after_an_identity(word: str) -> None:
    for name in (f"{word}_count", f"mean_{word}_share"):
        document = as_json(FULL)
        document["data"]["measures"] = {name: 1}
        assert not BY_SCHEMA.is_valid(document)
        assert not model_accepts(document)


def test_an_event_looks_as_promised() -> None:
    document = as_json(FULL)
    assert document["specversion"] == "1.0"
    assert document["source"] == "/nodes/xihu-07/cameras/gate-2"
    assert document["type"] == "org.sharpeyes.crowd.density.v1"
    assert document["subject"] == document["data"]["zone"] == "plaza"
    assert document["time"] == "2026-11-22T08:15:03.210Z"
    assert document["sequence"] == "00000000000000000042"
    assert document["data"]["started"] == "2026-11-22T08:14:58.210Z"
    assert document["data"]["site"]["name"] == "北门广场"
    assert "北门广场".encode() in Event.number(FULL, 42).to_json()
    assert (FULL.kind, FULL.level) == ("crowd.density", 2)


def test_a_node_event_has_no_level_and_no_incident() -> None:
    document = as_json(HEARTBEAT)
    assert document["source"] == "/nodes/xihu-07"
    assert document["subject"] == "xihu-07"
    assert document["data"] == {"district": "360103", "measures": {"uptime_s": 3.5, "cameras": 2}}
    assert (HEARTBEAT.kind, HEARTBEAT.level) == ("node.heartbeat", None)


def test_a_gap_event_tells_which_events_are_missing_and_why() -> None:
    data = as_json(GAP)["data"]
    assert data == {
        "district": "360103",
        "measures": {"events_missing": 13},
        "reason": "outbox_full",
        "gap": {"ranges": [[43, 44], [50, 60]], "events": 13},
    }
    assert (GAP.kind, GAP.level, GAP.subject, GAP.source) == ("node.gap", None, "xihu-07", "/nodes/xihu-07")


def test_the_largest_gap_event_fits() -> None:
    top = 10**15
    spans = [(top - 3 * n, top - 3 * n + 1) for n in range(MAX_SPANS, 0, -1)]
    draft = gap_events(context(camera_id=None), lambda: NOW)(spans, "outbox_replaced")
    assert len(Event.number(draft, 10**20 - 1).to_json()) < MAX_BYTES / 2


@pytest.mark.parametrize(
    "spans", [[], [(0, 1)], [(2, 1)], [(1, 2), (2, 3)], [(5, 6), (1, 2)], [(n, n) for n in range(1, 2000, 2)]]
)
def test_what_are_no_spans_make_no_gap_event(spans: list[tuple[int, int]]) -> None:
    with pytest.raises(EventError, match=r"node\.gap event"):
        gap_events(context(camera_id=None), lambda: NOW)(spans, "outbox_full")


def test_a_coverage_event_tells_whose_time_went_where() -> None:
    data = as_json(COVERAGE)["data"]
    assert data["measures"] == {
        "span_s": 60,
        "cameras": 2,
        "cameras_blind": 1,
        "analysed_share": 0.666667,
        "degraded_share": 0.0666667,
        "blind_share": 0.266667,
    }
    assert data["ledger"] == {
        "span_ms": 60_000,
        "part": 1,
        "parts": 1,
        "rows": [
            {
                "camera": "gate-2",
                "tasks": ["crowd.density/plaza", "hazard.line/door"],
                "ms": {"analysed": {"at_rate": 60_000}},
            },
            {
                "camera": "gate-3",
                "tasks": ["camera.view/gate-3"],
                "ms": {"degraded": {"reduced": 12_000}, "blind": {"camera_offline": 48_000}},
            },
        ],
    }
    assert (COVERAGE.kind, COVERAGE.level, COVERAGE.subject) == ("node.coverage", None, "xihu-07")


def test_every_cell_of_the_ledger_has_its_place_in_the_schema() -> None:
    row = Row("gate-2", ("crowd.density/plaza",), dict.fromkeys(CELLS, 1))
    (draft,) = coverage_events(context(camera_id=None), NOW, Report(len(CELLS), (row,)))
    document = as_json(draft)
    BY_SCHEMA.validate(document)
    told = {
        (state, reason) for state, ms in document["data"]["ledger"]["rows"][0]["ms"].items() for reason in ms
    }
    assert told == set(CELLS)
    states = SCHEMA["definitions"]["covered"]["properties"]
    assert {(state, reason) for state, part in states.items() for reason in part["properties"]} == set(CELLS)


@pytest.mark.parametrize(("cameras", "rules", "most"), [(1, 1, 1), (1024, 3, 8), (1024, 128, 260)])
def test_the_ledger_of_the_largest_node_is_split_and_nothing_is_left_out(
    cameras: int, rules: int, most: int
) -> None:
    rows = tuple(
        Row(
            f"{n:05}-" + ("x" * 57 if rules > 3 else "gate"),
            tuple(f"hazard.intrusion/{k:03}-" + ("z" * 59 if rules > 3 else "zone") for k in range(rules)),
            dict.fromkeys(CELLS if rules > 3 else CELLS[:2], 30_000),
        )
        for n in range(cameras)
    )
    drafts = coverage_events(context(camera_id=None), NOW, Report(60_000, rows))
    assert len(drafts) <= most
    told: list[str] = []
    for number, draft in enumerate(drafts, 1):
        body = Event.number(draft, 10**20 - 1).to_json()
        assert len(body) <= MAX_BYTES
        ledger = json.loads(body)["data"]["ledger"]
        assert (ledger["part"], ledger["parts"]) == (number, len(drafts))
        told += [row["camera"] for row in ledger["rows"]]
    BY_SCHEMA.validate(as_json(drafts[-1]))
    assert told == [row.camera for row in rows]
    assert len({draft.id for draft in drafts}) == len(drafts)
    assert len({draft.time for draft in drafts}) == 1


def test_a_ledger_too_large_for_an_event_is_refused() -> None:
    row = LedgerRow(camera="c", tasks=("a.b/" + "z" * 63,) * 128, ms=CoveredMs(blind={"shed": 1}))
    with pytest.raises(ValidationError, match=f"larger than {MAX_LEDGER_BYTES}"):
        LedgerData(span_ms=1, part=1, parts=1, rows=(row,) * 6)


def test_no_rows_make_no_event_and_a_wrong_name_is_refused() -> None:
    assert coverage_events(context(camera_id=None), NOW, Report(0, ())) == []
    wrong = Report(1, (Row("Gate 2", ("crowd.density/plaza",), {AWAY: 1}),))
    with pytest.raises(EventError, match=r"node.coverage event: camera: .*pattern"):
        coverage_events(context(camera_id=None), NOW, wrong)


def test_too_many_boxes_are_trimmed_and_counted_and_the_largest_event_fits() -> None:
    wide = {"name": "\u0001" * 100, "longitude": -115.123456789012, "latitude": -28.123456789012}
    names = [f"{'a' * 48}{n:02}_count_total" for n in range(100)]
    change = Change(
        zone="z" * 63,
        measures=dict.fromkeys(names, -1.23456e-300),
        boxes=((0.12345, 0.23456, 0.34567, 0.45678),) * 5000,
    )
    with structlog.testing.capture_logs() as logs:
        draft = incident_event(
            context(**wide),
            change,
            model=ModelRef(name="m" * 100, sha256=SHA),
            evidence=Evidence(
                snapshot="s" * 512, clip="c" * 512, sha256=SHA, redacted=True, expires=rfc3339(NOW)
            ),
        )
    body = Event.number(draft, 10**20 - 1).to_json()
    document = json.loads(body)
    assert len(document["data"]["boxes"]) == MAX_BOXES
    assert document["data"]["measures"]["boxes_omitted"] == 4000
    assert len(document["data"]["measures"]) == 64
    assert len(logs) == 37
    assert MAX_BYTES * 0.5 < len(body) <= MAX_BYTES
    assert BY_SCHEMA.is_valid(document)


def test_numbers_out_of_range_are_fitted_and_never_lose_the_event() -> None:
    nan, inf = float("nan"), float("inf")
    change = Change(
        confidence=nan,
        measures={"count": nan, "wait_s": inf, "density": 3.0, "silent_s": 1.0, "flow_per_s2": 0.0212345678},
        boxes=((nan, 0, 1, 1), (-0.5, 0.9, 1.5, 0.1)),
    )
    with structlog.testing.capture_logs() as logs:
        data = as_json(incident_event(context(), change))["data"]
    assert data["confidence"] == 0
    assert data["boxes"] == [[0, 0.1, 1, 0.9]]
    assert data["measures"] == {"silent_s": 1, "flow_per_s2": 0.0212346, "boxes_omitted": 1}
    assert {entry["measure"] for entry in logs} == {"count", "wait_s", "density"}


def test_what_the_schema_does_not_know_is_refused_without_quoting_it() -> None:
    with pytest.raises(EventError, match=r"crowd.gathering event: type: .*not a type"):
        incident_event(context(), Change(kind="crowd.gathering"))
    with pytest.raises(EventError, match="pattern"):
        incident_event(context(), Change(zone="Nicht so"))
    with pytest.raises(EventError, match="comes from a camera"):
        incident_event(context(camera_id=None), Change())
    with pytest.raises(EventError, match="carries the node's data"):
        draft_of_type(FULL, TYPES["node.gap"])


def draft_of_type(draft: EventDraft, type_: str) -> None:
    try:
        EventDraft(**{**dict(draft), "type": type_})
    except ValidationError as exc:
        raise EventError(str(exc)) from None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b"\xff", b'"' + b"x" * MAX_BYTES + b'"'])
def test_garbage_is_refused_as_an_event_error(body: bytes) -> None:
    with pytest.raises(EventError):
        Event.from_json(body)


def test_events_never_change_and_numbers_are_in_range() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FULL.subject = "other"  # type: ignore[misc]
    for wrong in (0, -1, 10**20):
        with pytest.raises(ValueError, match="sequence"):
            Event.number(FULL, wrong)


def test_times_are_utc_with_milliseconds() -> None:
    east = datetime(2026, 11, 22, 16, 15, 3, 999_999, tzinfo=timezone(timedelta(hours=8)))
    assert rfc3339(east) == "2026-11-22T08:15:03.999Z"
    with pytest.raises(ValueError, match="aware"):
        rfc3339(datetime(2026, 11, 22))  # noqa: DTZ001 - the point of the test


def test_the_same_seed_gives_the_same_event() -> None:
    assert incident_event(context(5), Change()) == incident_event(context(5), Change())
    assert incident_event(context(5), Change()) != incident_event(context(6), Change())


# AsyncAPI


def resolve(ref: str) -> Any:
    node = ASYNCAPI
    for key in ref.removeprefix("#/").split("/"):
        node = node[key]
    return node


def test_asyncapi_refers_to_the_schema_and_all_its_references_resolve() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    refs = {part["$ref"] for part in _parts(ASYNCAPI) if "$ref" in part}
    assert "event.v1.json" in refs
    for ref in refs - {"event.v1.json"}:
        assert resolve(ref)
    for name, operation in ASYNCAPI["operations"].items():
        assert operation["action"] == ("send" if name.startswith("send") else "receive")


def test_asyncapi_names_every_type_once_and_its_examples_are_valid() -> None:
    named: list[str] = []
    for sent in ASYNCAPI["channels"]["events"]["messages"].values():
        message = resolve(sent["$ref"])
        named += message["x-types"]
        for example in message["examples"]:
            assert example["payload"]["type"] in message["x-types"]
            BY_SCHEMA.validate(example["payload"])
            assert model_accepts(example["payload"])
    assert named == list(TYPES.values())


def test_asyncapi_closes_what_the_centre_says_and_its_examples_are_valid() -> None:
    schemas = ASYNCAPI["components"]["schemas"]
    feedback = jsonschema.Draft7Validator({"$ref": "#/components/schemas/feedback", **ASYNCAPI})
    examples = ASYNCAPI["components"]["messages"]["feedback"]["examples"]
    assert [example["payload"]["kind"] for example in examples] == ["replay", "verdict", "profile"]
    for example in examples:
        feedback.validate(example["payload"])
        assert not feedback.is_valid({**example["payload"], "command": "x"})
        assert not feedback.is_valid({**example["payload"], "kind": "reset"})
        assert schemas[example["payload"]["kind"]]["additionalProperties"] is False
    receipt = ASYNCAPI["components"]["messages"]["receipt"]
    jsonschema.Draft7Validator(receipt["payload"]).validate(receipt["examples"][0]["payload"])


def test_asyncapi_addresses_are_the_keys_in_use() -> None:
    tag = ASYNCAPI["channels"]["events"]["parameters"]["districtTag"]["examples"][0]
    for name in ("events", "receipts", "feedback"):
        address = ASYNCAPI["channels"][name]["address"].replace("{districtTag}", tag)
        assert address == stream_key(tag.strip("{}")).removesuffix("events") + name


def test_a_deep_copy_is_equal() -> None:
    assert deepcopy(FULL) == FULL


def test_the_events_in_the_documentation_are_valid() -> None:
    docs = Path(__file__).parents[2] / "docs"
    text = (docs / "events.md").read_text("utf-8")
    pages = text + (docs / "coverage.md").read_text("utf-8")
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", pages, re.DOTALL)]
    assert len(shown) == 4
    for document in shown:
        BY_SCHEMA.validate(document)
        assert model_accepts(document)
    named = set(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert {f"{family}.{name}" for family, names in named for name in re.findall(r"`(\w+)`", names)} == set(
        KINDS
    )


def test_the_documentation_explains_every_cell() -> None:
    text = (Path(__file__).parents[2] / "docs" / "coverage.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \|", text, re.MULTILINE)
    assert {Cell(state, reason) for state, reason in rows} == set(CELLS)
    assert len(rows) == len(CELLS)
