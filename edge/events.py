"""Makes events of what cameras and the node do; the shape they take is in `envelope`."""

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

import structlog
from pydantic import ValidationError

from edge.account import Report, Row
from edge.envelope import (
    LARGEST,
    MAX_BOXES,
    MAX_LEDGER_BYTES,
    MAX_ROWS,
    TYPES,
    Box,
    Closed,
    Coverage,
    CoveredMs,
    Event,
    EventDraft,
    Evidence,
    GapData,
    GapReason,
    IncidentData,
    LedgerData,
    LedgerRow,
    ModelRef,
    NodeData,
    Site,
    explain,
    fits_measure,
    rfc3339,
    stream_key,
)
from edge.errors import EventError
from edge.identifiers import RandBits, traceparent
from edge.sections import Place

__all__ = [
    "Change",
    "Coverage",
    "Event",
    "EventContext",
    "EventDraft",
    "Evidence",
    "ModelRef",
    "coverage_events",
    "gap_events",
    "heartbeat_event",
    "incident_event",
    "node_event",
    "repeated",
    "stream_key",
]

log = structlog.get_logger(__name__)

MAX_MEASURES = 63
"""Measures that an event takes over; one more is kept free for `boxes_omitted`."""


@dataclass(frozen=True, slots=True)
class EventContext:
    """Who speaks, and where it hangs.

    Attributes:
        node: the node's id.
        district: GB/T 2260 code, 6 digits.
        new_id: makes event ids, `edge.identifiers.Uuid7`.
        camera_id: the camera's id; None where the node speaks for itself.
        place: of the camera.
        randbits: randomness of trace ids.
    """

    node: str
    district: str
    new_id: Callable[[], str]
    camera_id: str | None = None
    place: Place = field(default_factory=Place)
    randbits: RandBits = secrets.randbits

    @property
    def source(self) -> str:
        """CloudEvents source; with the id it is the key for de-duplication."""
        return f"/nodes/{self.node}" + (f"/cameras/{self.camera_id}" if self.camera_id else "")


class Change(Protocol):
    """What an incident did: begin, update or end. See `edge.incidents`."""

    @property
    def incident(self) -> str:
        """UUIDv7, the same from begin to end."""
        ...

    @property
    def phase(self) -> Literal["begin", "update", "end"]:
        """Where in its life it is."""
        ...

    @property
    def kind(self) -> str:
        """Family and name, such as `crowd.density`."""
        ...

    @property
    def zone(self) -> str:
        """Id of the zone, line or camera."""
        ...

    @property
    def level(self) -> int:
        """Severity 1 to 4."""
        ...

    @property
    def started_utc(self) -> datetime:
        """When it began."""
        ...

    @property
    def observed_utc(self) -> datetime:
        """When what this event says was seen."""
        ...

    @property
    def measures(self) -> Mapping[str, float]:
        """Numbers with their unit in the name."""
        ...

    @property
    def confidence(self) -> float:
        """0 to 1."""
        ...

    @property
    def boxes(self) -> Sequence[tuple[float, float, float, float]]:
        """Fractions of the picture."""
        ...


def incident_event(
    context: EventContext,
    change: Change,
    *,
    model: ModelRef | None = None,
    coverage: Coverage | None = None,
    evidence: Evidence | None = None,
) -> EventDraft:
    """What a camera's incident did, as an event. Its numbers are fitted to the schema, never refused.

    Boxes beyond the first 1000 are left out and counted in the measure `boxes_omitted`; a measure that is
    not finite or whose name carries no unit is left out and logged.

    Raises:
        EventError: the kind, zone or incident is none that the schema knows.
    """
    measures = _fit_measures(change.kind, change.measures)
    boxes = [box for box in map(_fit_box, change.boxes) if box is not None]
    if omitted := len(change.boxes) - min(len(boxes), MAX_BOXES):
        measures["boxes_omitted"] = omitted
    place = context.place.model_dump(exclude_none=True, include=set(Site.model_fields))
    data = {
        "incident": change.incident,
        "phase": change.phase,
        "level": change.level,
        "site": {**place, "district": context.district},
        "started": rfc3339(change.started_utc),
        "observed": rfc3339(change.observed_utc),
        "zone": change.zone,
        "measures": measures,
        "confidence": round(_clip(change.confidence), 3),
        "boxes": tuple(boxes[:MAX_BOXES]),
        "model": model,
        "coverage": coverage,
        "evidence": evidence,
    }
    return _draft(context, change.kind, change.zone, change.observed_utc, data)


def repeated(
    context: EventContext, draft: EventDraft, phase: Literal["update", "end"], evidence: Evidence
) -> EventDraft:
    """An incident's last event once more, with evidence that was made since; a new event, seen when that was.

    Args:
        context: who speaks.
        draft: the event.
        phase: where in its life the incident is: after its end only `end` is true.
        evidence: where redacted pictures of it are.
    """
    assert isinstance(draft.data, IncidentData)  # noqa: S101 - the caller's own
    data = draft.data.model_copy(update={"phase": phase, "evidence": evidence})
    new = {"id": context.new_id(), "traceparent": traceparent(context.randbits), "data": data}
    return EventDraft.model_validate({**dict(draft), **new})


def node_event(
    context: EventContext,
    kind: Literal["node.heartbeat", "node.gap"],
    utc: datetime,
    measures: Mapping[str, float],
    reason: GapReason | None = None,
) -> EventDraft:
    """What the node says of itself at a moment.

    Raises:
        EventError: the node's id or district is none that the schema knows.
    """
    data = {"district": context.district, "measures": _fit_measures(kind, measures), "reason": reason}
    return _draft(context, kind, context.camera_id or context.node, utc, data)


def heartbeat_event(context: EventContext, utc: datetime, measures: Mapping[str, float]) -> EventDraft:
    """A sign of life, `node.heartbeat`, with the node's numbers."""
    return node_event(context, "node.heartbeat", utc, measures)


def gap_events(
    context: EventContext, utc: Callable[[], datetime]
) -> Callable[[Sequence[tuple[int, int]], GapReason], EventDraft]:
    """Makes `node.gap` events of what an outbox gave up, for `edge.outbox.Outbox.report_gaps`.

    Args:
        context: of the node.
        utc: tells the time of each event.

    Returns:
        What takes 1 to 512 spans of sequence numbers, first and last of each, ascending, and the reason.
        It raises EventError where they are none.
    """
    kind = "node.gap"

    def make(spans: Sequence[tuple[int, int]], reason: GapReason) -> EventDraft:
        missing = sum(last - first + 1 for first, last in spans)
        try:
            gap = GapData(ranges=tuple(spans), events=missing)
        except ValidationError as exc:
            raise EventError(f"{kind} event: {explain(exc)}") from None
        measures = _fit_measures(kind, {"events_missing": missing})
        data = {"district": context.district, "measures": measures, "reason": reason, "gap": gap}
        return _draft(context, kind, context.node, utc(), data)

    return make


def coverage_events(context: EventContext, utc: datetime, report: Report) -> list[EventDraft]:
    """What the node's cameras saw of a span, `node.coverage`; more than one event where one is too small.

    Args:
        context: of the node.
        utc: when the span ended.
        report: of the ledger; one without rows makes no event.

    Raises:
        EventError: a camera's or task's name is none that the schema knows.
    """
    kind = "node.coverage"
    try:
        parts = _packed([_row(row) for row in report.rows])
        ledgers = [
            LedgerData(span_ms=report.span_ms, part=n, parts=len(parts), rows=rows)
            for n, rows in enumerate(parts, 1)
        ]
    except ValidationError as exc:
        raise EventError(f"{kind} event: {explain(exc)}") from None
    measures = _fit_measures(kind, _shares(report))
    data = {"district": context.district, "measures": measures}
    return [_draft(context, kind, context.node, utc, {**data, "ledger": ledger}) for ledger in ledgers]


def _row(row: Row) -> LedgerRow:
    by_state: dict[str, dict[str, int]] = {}
    for cell, ms in row.ms.items():
        by_state.setdefault(cell.state, {})[cell.reason] = ms
    return LedgerRow(camera=row.camera, tasks=row.tasks, ms=CoveredMs.model_validate(by_state))


def _packed(rows: Sequence[LedgerRow]) -> list[tuple[LedgerRow, ...]]:
    """Rows in as few parts as their order allows; each fits into one event."""
    parts: list[list[LedgerRow]] = []
    room = 0
    for row in rows:
        size = len(row.model_dump_json(exclude_none=True)) + 1
        if size > room or len(parts[-1]) == MAX_ROWS:
            parts.append([])
            room = MAX_LEDGER_BYTES - 100  # for the ledger's own keys
        parts[-1].append(row)
        room -= size
    return [tuple(part) for part in parts]


def _shares(report: Report) -> dict[str, float]:
    """The report at a glance: shares of all tasks' time, and cameras that were blind at all."""
    told = [report.task_ms(state) for state in ("analysed", "degraded", "blind")]
    cameras = {row.camera for row in report.rows}
    blind = {row.camera for row in report.rows if any(cell.state == "blind" for cell in row.ms)}
    names = ("analysed_share", "degraded_share", "blind_share")
    shares = {name: ms / max(1, sum(told)) for name, ms in zip(names, told, strict=True)}
    return {"span_s": report.span_ms / 1000, "cameras": len(cameras), "cameras_blind": len(blind), **shares}


def _draft(
    context: EventContext, kind: str, subject: str, utc: datetime, data: Mapping[str, object]
) -> EventDraft:
    body: type[Closed] = NodeData if kind.startswith("node.") else IncidentData
    try:
        return EventDraft(
            specversion="1.0",
            id=context.new_id(),
            source=context.source,
            type=TYPES.get(kind, kind),
            subject=subject,
            time=rfc3339(utc),
            datacontenttype="application/json",
            dataschema="urn:sharpeyes:schema:event:v1",
            traceparent=traceparent(context.randbits),
            data=body(**{key: value for key, value in data.items() if value is not None}),  # type: ignore[arg-type]
        )
    except ValidationError as exc:
        raise EventError(f"{kind} event: {explain(exc)}") from None


def _clip(value: float) -> float:
    return min(max(float(value), 0.0), 1.0) if math.isfinite(value) else 0.0


def _fit_box(box: tuple[float, float, float, float]) -> Box | None:
    left, top, right, bottom = float(box[0]), float(box[1]), float(box[2]), float(box[3])
    if 0 <= left <= right <= 1 and 0 <= top <= bottom <= 1:
        return left, top, right, bottom
    if not all(map(math.isfinite, (left, top, right, bottom))):
        return None
    left, right = sorted((_clip(left), _clip(right)))
    top, bottom = sorted((_clip(top), _clip(bottom)))
    return left, top, right, bottom


def _fit_measures(kind: str, measures: Mapping[str, float]) -> dict[str, int | float]:
    fitted: dict[str, int | float] = {}
    for name, raw in measures.items():
        value = float(raw)
        if (
            math.isfinite(value)
            and abs(value) <= LARGEST
            and fits_measure(name)
            and len(fitted) < MAX_MEASURES
        ):
            fitted[name] = _shorten(value)
        else:
            log.error("measure left out of an event", kind=kind, measure=name, value=str(raw))
    return fitted


def _shorten(value: float) -> int | float:
    # whole numbers stay whole in JSON; four decimals, or six digits below 1, exceed what is measured here
    if value.is_integer():
        return int(value)
    return round(value, 4) if abs(value) >= 1 else float(f"{value:.6g}")
