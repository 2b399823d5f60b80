"""What the HTTP interface works with."""

from collections.abc import Callable
from dataclasses import dataclass, field

from api.center.exports import Gbt31000
from api.center.feed import Feed
from api.center.model import RegionTree, Triage
from api.center.store import Store
from api.center.stream import DistrictStream


@dataclass(frozen=True, slots=True)
class Desk:
    """The centre as its HTTP interface sees it.

    Attributes:
        store: cases, keys, numbers.
        stream: Redis.
        feed: changes as they come.
        triage: the tables.
        regions: the tree.
        gbt31000: field names and codes of that export.
        missing: what keeps the centre from its work, in plain words; empty where nothing does.
        metrics: body and content type for Prometheus.
        token: what a request must bring; None where nothing is asked for.
        version: of the program.
    """

    store: Store
    stream: DistrictStream
    feed: Feed
    triage: Triage
    regions: RegionTree
    gbt31000: Gbt31000
    missing: Callable[[], tuple[str, ...]]
    metrics: Callable[[], tuple[bytes, str]]
    token: str | None = field(default=None, repr=False)
    version: str = "0"
