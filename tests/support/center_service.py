"""A signing producer of events and small centres, for tests of the centre's service."""

import base64
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis

from edge.broker import EmbeddedBroker
from edge.envelope import Event, rfc3339
from edge.identifiers import Uuid7, traceparent
from edge.signing import Signer

DISTRICT = "360103"
EVENTS = f"sharpeyes:{{{DISTRICT}}}:events"
RECEIPTS = f"sharpeyes:{{{DISTRICT}}}:receipts"
FEEDBACK = f"sharpeyes:{{{DISTRICT}}}:feedback"
DEAD = f"sharpeyes:{{{DISTRICT}}}:dead"
QUARANTINE = f"sharpeyes:{{{DISTRICT}}}:quarantine"


@contextmanager
def valkey(folder: Path) -> Iterator[EmbeddedBroker]:
    """A real server."""
    with EmbeddedBroker(folder, port=0) as broker:
        yield broker


@dataclass
class Producer:
    """A node that signs: it numbers its events and says them to a stream."""

    signer: Signer
    node: str = "gate-7"
    utc: datetime = field(default_factory=lambda: datetime.now(UTC))
    seed: int = 7
    sequence: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.node}-{self.seed}")
        self._new_id = Uuid7(lambda: self.utc, self._rng.getrandbits)

    @classmethod
    def make(cls, folder: Path, node: str = "gate-7", **more: Any) -> "Producer":
        return cls(Signer.open(folder / f"keys-{node}"), node, **more)

    @property
    def public(self) -> bytes:
        return base64.b64decode(self.signer.public)

    def incident(self, **more: Any) -> dict[str, Any]:
        """A new incident's data."""
        return {
            "incident": self._new_id(),
            "phase": "begin",
            "level": 3,
            "site": {"name": "北门广场", "district": DISTRICT, "grid": f"{DISTRICT}001001001"},
            "started": rfc3339(self.utc),
            "observed": rfc3339(self.utc),
            "zone": "plaza",
            "measures": {"count": 41},
            "confidence": 0.9,
            "boxes": [],
            **more,
        }

    def event(self, data: Mapping[str, Any] | None = None, kind: str = "crowd.density", **more: Any) -> bytes:
        """The next event's JSON; it is valid unless `more` breaks it."""
        self.sequence += 1
        body = {
            "specversion": "1.0",
            "id": self._new_id(),
            "source": f"/nodes/{self.node}/cameras/cam-1",
            "type": f"org.sharpeyes.{kind}.v1",
            "subject": "plaza",
            "time": rfc3339(self.utc),
            "datacontenttype": "application/json",
            "dataschema": "urn:sharpeyes:schema:event:v1",
            "sequence": f"{self.sequence:020d}",
            "traceparent": traceparent(self._rng.getrandbits),
            "data": dict(data) if data is not None else self.incident(),
            **more,
        }
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    def heartbeat(self) -> bytes:
        return self.event(
            {"district": DISTRICT, "measures": {"cameras_up": 1}},
            "node.heartbeat",
            source=f"/nodes/{self.node}",
            subject=self.node,
        )

    def gap(self, ranges: Sequence[tuple[int, int]], reason: str = "outbox_full") -> bytes:
        lost = sum(last - first + 1 for first, last in ranges)
        return self.event(
            {
                "district": DISTRICT,
                "measures": {"events": lost},
                "reason": reason,
                "gap": {"ranges": [list(pair) for pair in ranges], "events": lost},
            },
            "node.gap",
            source=f"/nodes/{self.node}",
            subject=self.node,
        )

    def signed(self, body: bytes) -> dict[bytes, bytes]:
        """The fields of a stream entry."""
        signature = base64.b64encode(self.signer.sign(body))
        return {b"ce": body, b"sig": signature, b"key": self.signer.key_id.encode()}

    def say(self, client: "redis.Redis", *bodies: bytes) -> None:
        pipe = client.pipeline(transaction=False)
        for body in bodies:
            pipe.xadd(EVENTS, self.signed(body))
        pipe.execute()


def later(producer: Producer, seconds: float) -> None:
    producer.utc += timedelta(seconds=seconds)


def parsed(body: bytes) -> Event:
    return Event.from_json(body)


def write_config(folder: Path, redis_url: str, **more: Any) -> Path:
    """A small centre's configuration file."""
    path = folder / "center.yaml"
    config = {
        "center": {"district": DISTRICT, "data_dir": "data", **more.pop("center", {})},
        "redis": {"url": redis_url, **more.pop("redis", {})},
        "http": {"port": 0, **more.pop("http", {})},
        "regions": [
            {"code": DISTRICT, "name": "西湖区"},
            {"code": f"{DISTRICT}001", "name": "北站街道"},
        ],
        **more,
    }
    path.write_text(json.dumps(config), "utf-8")  # JSON is YAML
    return path
