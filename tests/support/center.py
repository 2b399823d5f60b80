"""Events, clocks and databases for tests of the centre."""

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from api.center.model import MergeOptions, Received, Region, RegionTree, StoreOptions
from api.center.store import Store
from api.center.triage import load_triage
from edge.envelope import TYPES, Event, rfc3339
from edge.identifiers import format_uuid7
from tests.support.postgres import new_database

START = datetime(2026, 11, 22, 8, 15, tzinfo=UTC)
DISTRICT, STREET, COMMUNITY, GRID = "360103", "360103001", "360103001001", "360103001001001"
REGIONS = RegionTree(
    (
        Region(DISTRICT, "西湖区"),
        Region(STREET, "北站街道"),
        Region(COMMUNITY, "站前社区"),
        Region(GRID, "一网格"),
    )
)
TRIAGE = load_triage()
KINDS = ("sqlite", "postgresql")
_COUNT = itertools.count(1)


def new_id() -> str:
    """A UUIDv7 that no other test has."""
    return format_uuid7(1_795_335_300_000, next(_COUNT))


class Hands:
    """A wall clock whose hands the test moves."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **time: float) -> datetime:
        """Go on by so much."""
        self.now += timedelta(**time)
        return self.now


def forget(store: Store, hands: Hands) -> None:
    """Have the store forget what it may: that takes a clock that has gone on evenly for an hour."""
    for _ in range(2):
        store.overdue(hands.now)
        hands.move(hours=1)
    store.overdue(hands.now)


def open_store(kind: str, folder: Path, hands: Hands | None = None, **more: Any) -> Store:
    """A store with an empty database of a kind."""
    url = f"sqlite:///{folder / 'center.db'}" if kind == "sqlite" else new_database()
    return reopen(url, hands, **more)


def reopen(
    url: str,
    hands: Hands | None = None,
    merge: MergeOptions | None = None,
    regions: RegionTree = REGIONS,
    options: StoreOptions | None = None,
) -> Store:
    """A store with a database that may be there already."""
    merge = merge or MergeOptions()
    return Store.open(url, TRIAGE, regions, merge, clock=hands or Hands(), options=options)


def event(
    node: str, sequence: int, kind: str, at: datetime, data: Mapping[str, object], **more: Any
) -> Event:
    """An event as another process would have sent it."""
    body = {
        "specversion": "1.0",
        "id": more.get("id") or new_id(),
        "source": f"/nodes/{node}" + (f"/cameras/{more['camera']}" if "camera" in more else ""),
        "type": TYPES[kind],
        "subject": more.get("subject", "plaza"),
        "time": rfc3339(at),
        "datacontenttype": "application/json",
        "dataschema": "urn:sharpeyes:schema:event:v1",
        "traceparent": f"00-{1:032x}-{1:016x}-01",
        "sequence": f"{sequence:020}",
        "data": data,
    }
    return Event.from_json(json.dumps(body))


def incident(
    sequence: int = 1,
    *,
    node: str = "xihu-07",
    camera: str = "gate-2",
    name: str | None = None,
    phase: str = "begin",
    level: int = 3,
    kind: str = "hazard.intrusion",
    zone: str = "platform",
    at: datetime = START,
    site: Mapping[str, object] | None = None,
    id_: str | None = None,
) -> Event:
    """What a camera's incident did."""
    data = {
        "incident": name or new_id(),
        "phase": phase,
        "level": level,
        "site": {"name": "北门广场", "district": DISTRICT, "grid": GRID} if site is None else site,
        "started": rfc3339(at),
        "observed": rfc3339(at),
        "zone": zone,
        "measures": {"count": 1},
        "confidence": 0.9,
        "boxes": [],
    }
    return event(node, sequence, kind, at, data, camera=camera, subject=zone, id=id_)


def heartbeat(sequence: int = 1, *, node: str = "xihu-07", at: datetime = START) -> Event:
    """A sign of life."""
    return event(node, sequence, "node.heartbeat", at, {"district": DISTRICT, "measures": {"uptime_s": 1}})


def gap(
    sequence: int, ranges: Sequence[tuple[int, int]], *, node: str = "xihu-07", at: datetime = START
) -> Event:
    """Numbers that a node cannot deliver any more."""
    lost = {"ranges": [list(pair) for pair in ranges], "events": sum(b - a + 1 for a, b in ranges)}
    data = {"district": DISTRICT, "measures": {}, "reason": "outbox_full", "gap": lost}
    return event(node, sequence, "node.gap", at, data)


def coverage(
    sequence: int,
    rows: Sequence[Mapping[str, object]],
    *,
    span_ms: int = 60_000,
    node: str = "xihu-07",
    at: datetime = START,
) -> Event:
    """What a node's cameras saw of a span."""
    ledger = {"span_ms": span_ms, "part": 1, "parts": 1, "rows": list(rows)}
    data = {"district": DISTRICT, "measures": {}, "ledger": ledger}
    return event(node, sequence, "node.coverage", at, data)


def receive(store: Store, *events: Event, at: datetime | None = None) -> list[Any]:
    """Hand events over in one batch, as received at a moment; when the last was sent, by default."""
    moment = at or max(datetime.fromisoformat(one.time) for one in events)
    return store.receive([Received(one, one.to_json(), f"{k}-0", moment) for k, one in enumerate(events)])
