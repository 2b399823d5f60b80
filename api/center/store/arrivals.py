"""An event on its way into the database: taken apart once, so that nothing later fails for its reasons."""

from dataclasses import dataclass
from typing import NamedTuple

from api.center.instants import HOUR_MS, read_ms, unix_ms
from api.center.merge import Sighting
from api.center.model import Received
from api.center.sequences import LARGEST
from edge.envelope import IncidentData, LedgerData, NodeData

SKEW_MS = HOUR_MS
"""A clock that differs by more is told of beside the event."""

HEARTBEAT = "node.heartbeat"


class Hours(NamedTuple):
    """What a coverage ledger says: milliseconds of tasks by state, and of cameras."""

    analysed_ms: int
    degraded_ms: int
    blind_ms: int
    camera_ms: int


@dataclass(slots=True)
class Arrival:
    """An event taken apart.

    Attributes:
        node, sequence: its place in the node's account.
        source, id: by which a duplicate is known.
        kind: such as `crowd.density`.
        body: the JSON as it was signed.
        received_ms: when the centre took it.
        time_ms: when the node says that it was; never after `received_ms` for what follows from it.
        skew_ms: how far the node's time is ahead; None where that is little.
        data: of an incident; None of the node's own events.
        camera: `node/camera`; empty of the node's own events.
        gaps: numbers that it reports lost.
        hours: of a coverage ledger.
        node_id: number of the node's row, once that is known.
    """

    node: str
    sequence: int
    source: str
    id: str
    kind: str
    body: bytes
    received_ms: int
    time_ms: int
    skew_ms: int | None
    data: IncidentData | None = None
    camera: str = ""
    observed_ms: int = 0
    gaps: tuple[tuple[int, int], ...] = ()
    hours: Hours | None = None
    node_id: int = 0

    @property
    def at_ms(self) -> int:
        """When it was seen; a clock that runs ahead is not followed."""
        return min(self.observed_ms, self.received_ms)

    @property
    def says(self) -> IncidentData:
        """What it says of its incident; not to be asked of a node's own events."""
        if self.data is None:
            raise TypeError(f"{self.kind} speaks of no incident")
        return self.data

    def sighting(self) -> Sighting:
        """Where, when and of what kind; of an incident's event."""
        site = self.says.site
        return Sighting(self.kind, self.camera, site.grid, site.longitude, site.latitude, self.at_ms)


def arrive(item: Received) -> Arrival:
    """Take an event apart.

    Raises:
        ValueError: it says what cannot be; the text quotes nothing of it.
    """
    event = item.event
    node, camera = _origin(event.source)
    sequence = int(event.sequence)
    if not 1 <= sequence <= LARGEST:
        raise ValueError(f"the sequence number is not within 1 and {LARGEST}")
    received_ms, time_ms = unix_ms(item.received), read_ms(event.time)
    skew_ms = time_ms - received_ms
    arrival = Arrival(
        node,
        sequence,
        event.source,
        event.id,
        event.kind,
        item.body,
        received_ms,
        time_ms,
        skew_ms if abs(skew_ms) > SKEW_MS else None,
    )
    data = event.data
    if isinstance(data, IncidentData):
        arrival.data, arrival.camera = data, f"{node}/{camera}"
        arrival.observed_ms = read_ms(data.observed)
    else:
        _of_node(arrival, data)
    return arrival


def _of_node(arrival: Arrival, data: NodeData) -> None:
    if data.gap is not None:
        arrival.gaps = tuple((first, last) for first, last in data.gap.ranges)
    if data.ledger is not None:
        arrival.hours = _hours(data.ledger)


def _origin(source: str) -> tuple[str, str]:
    """Node and camera of `/nodes/NODE/cameras/CAMERA`; the camera is empty where the node speaks."""
    parts = source.split("/")
    return parts[2], parts[4] if len(parts) > 4 else ""


def _hours(ledger: LedgerData) -> Hours:
    analysed_ms = degraded_ms = blind_ms = 0
    for row in ledger.rows:
        tasks = len(row.tasks)
        analysed_ms += tasks * sum((row.ms.analysed or {}).values())
        degraded_ms += tasks * sum((row.ms.degraded or {}).values())
        blind_ms += tasks * sum((row.ms.blind or {}).values())
    # tasks of one camera may stand in several rows, which then all tell of the same time
    cameras = {row.camera for row in ledger.rows}
    return Hours(analysed_ms, degraded_ms, blind_ms, len(cameras) * ledger.span_ms)
