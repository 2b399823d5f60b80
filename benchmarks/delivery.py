"""How fast events get from a node into Redis and from there into a centre's cases, and that none is lost.

    python benchmarks/delivery.py --quick              # two minutes
    python benchmarks/delivery.py --json               # a quarter of an hour

1. Node: events are appended to a real outbox as fast as it takes them, signed, and published into an embedded
   Valkey, for a minute; `edge_events_per_s` is what Valkey stored a second.
2. Centre: as many events wait in the stream, and `sharpeyes center` with one worker takes them into SQLite;
   `centre_events_per_s` counts from the first to the last that is stored, signatures checked, cases made.
   Afterwards its account of the node must show each number once: `lost` and `duplicated` say how many do not.
3. Replay: a million events (100,000 in the quick form) wait in the outbox and are published; resident memory
   is read each half second; `replay_memory_grown_mb` is its median in the last quarter less the second's.

Events are incidents of fifty cameras: begin, two updates and end of each. They are drafted beforehand, and
get ids of their own as they are appended: what is measured begins where analysis ends.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import redis
import yaml

from benchmarks.common import finish, parsed, picture, say, show
from benchmarks.probe import resident_mb
from edge.broker import EmbeddedBroker
from edge.envelope import EventDraft, rfc3339, stream_key
from edge.identifiers import Uuid7, traceparent
from edge.outbox import Outbox
from edge.publisher import Destination, Publisher, PublisherOptions
from edge.signing import Signer

KEYS = ("edge_events_per_s", "centre_events_per_s", "lost", "duplicated")
NODE, DISTRICT = "bench", "360103"
CAMERAS, PHASES = 50, ("begin", "update", "update", "end")
APPENDED, MOST_WAITING, POOL = 256, 20_000, 4000
POLL_S = 0.5
UNPACED = 100_000.0
"""What waited goes out as fast as it can; by default a node spares the centre (`redis.replay_per_s`)."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure: seconds of publishing, events for the centre, events that wait for a replay."""

    seconds: float
    centre: int
    replayed: int


QUICK, FULL = Effort(15.0, 30_000, 100_000), Effort(60.0, 150_000, 1_000_000)


def drafts() -> Iterator[EventDraft]:
    """Events without end: incidents of fifty cameras in turn."""
    new_id = Uuid7(lambda: datetime.now(UTC))
    bits = itertools.count(1)
    for k in itertools.count():
        started, incident = datetime.now(UTC), new_id()
        for step, phase in enumerate(PHASES):
            observed = rfc3339(started + timedelta(seconds=step))
            data = {
                "incident": incident,
                "phase": phase,
                "level": 2 + k % 3,
                "site": {
                    "name": "北门广场",
                    "district": DISTRICT,
                    "grid": f"{DISTRICT}001001{k % CAMERAS:03d}",
                },
                "started": rfc3339(started),
                "observed": observed,
                "zone": "plaza",
                "measures": {"count": 41 + step},
                "confidence": 0.87,
                "boxes": [[0.41, 0.22, 0.44, 0.31]],
            }
            yield EventDraft.model_validate_json(
                json.dumps(
                    {
                        "specversion": "1.0",
                        "id": new_id(),
                        "source": f"/nodes/{NODE}/cameras/camera-{k % CAMERAS:02d}",
                        "type": "org.sharpeyes.crowd.density.v1",
                        "subject": "plaza",
                        "time": observed,
                        "datacontenttype": "application/json",
                        "dataschema": "urn:sharpeyes:schema:event:v1",
                        "traceparent": traceparent(lambda n: next(bits) * 2654435761 % (1 << n) or 1),
                        "data": data,
                    }
                )
            )


def again(count: int) -> Iterator[EventDraft]:
    """The same events over and over, each with an id of its own."""
    new_id, pool = Uuid7(lambda: datetime.now(UTC)), list(itertools.islice(drafts(), count))
    return (draft.model_copy(update={"id": new_id()}) for draft in itertools.cycle(pool))


class Filling(threading.Thread):
    """Appends events until told to stop, or until there are so many; never more than some waiting."""

    def __init__(self, outbox: Outbox, most: int | None = None, *, waiting: int = MOST_WAITING) -> None:
        super().__init__(name="filling", daemon=True)
        self._outbox, self._most, self._waiting = outbox, most, waiting
        self.stopping = threading.Event()
        self.appended = 0

    def run(self) -> None:
        """Work."""
        source = again(POOL) if self._most is None else drafts()
        while not self.stopping.is_set() and (self._most is None or self.appended < self._most):
            if self._outbox.counts().pending > self._waiting:
                self.stopping.wait(0.01)
                continue
            self.appended += len(self._outbox.append(list(itertools.islice(source, APPENDED))))


def filled(outbox: Outbox, count: int) -> None:
    """Append so many events."""
    filling = Filling(outbox, count, waiting=count)
    filling.run()


@contextmanager
def broker(folder: Path) -> Iterator[EmbeddedBroker]:
    """An embedded Valkey of its own."""
    with EmbeddedBroker(folder, port=0) as server:
        yield server


async def publishing(outbox: Outbox, url: str, signer: Signer, most_entries: int, until: Any) -> list[float]:
    """Publish until `until()`; resident memory in MB, each half second."""
    memory_mb: list[float] = []
    destination = Destination(url, DISTRICT, most_entries)
    async with Publisher(outbox, destination, PublisherOptions(replay_per_s=UNPACED), signer=signer):
        while not until():
            memory_mb.append(resident_mb())
            await asyncio.sleep(POLL_S)
    return memory_mb


def edge(folder: Path, seconds: float) -> float:
    """Events a second that reach Valkey, appending and publishing side by side."""
    with broker(folder) as server, Outbox(folder / "outbox.db", 2**30) as outbox:
        signer, filling = Signer.open(folder), Filling(outbox)
        filling.start()
        before: list[tuple[float, int]] = []

        def over() -> bool:
            counts = outbox.counts()
            if counts.acknowledged:
                before.append((time.monotonic(), counts.acknowledged))
            return bool(before) and before[-1][0] - before[0][0] >= seconds

        asyncio.run(publishing(outbox, server.url, signer, 100_000, over))
        filling.stopping.set()
        filling.join()
    (begin_s, first), (end_s, last) = before[0], before[-1]
    return (last - first) / (end_s - begin_s)


def centre(folder: Path, count: int) -> dict[str, float]:
    """What one worker of a real centre process takes in a second, and its account afterwards."""
    with broker(folder) as server, Outbox(folder / "outbox.db", 2**31) as outbox:
        signer = Signer.open(folder)
        filled(outbox, count)
        asyncio.run(publishing(outbox, server.url, signer, 4 * count, lambda: outbox.counts().pending == 0))
        created = outbox.counts().created
        config = folder / "center.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "center": {"district": DISTRICT, "data_dir": str(folder / "center")},
                    "redis": {"url": server.url},
                    "http": {"port": 0},
                }
            )
        )
        command = [str(Path(sys.executable).with_name("sharpeyes")), "center"]
        subprocess.run(
            [*command, "admit", str(config), NODE, signer.public, "--who", "benchmark", "--why", "measured"],
            check=True,
            capture_output=True,
        )
        log = (folder / "center.log").open("w")
        process = subprocess.Popen([*command, str(config)], stdout=log, stderr=log)
        try:
            receipts = stream_key(DISTRICT).removesuffix("events") + "receipts"
            rate = _followed(server.url, receipts, created, process)
        finally:
            process.terminate()
            process.wait(30)
            log.close()
    return {"rate": rate, "created": created, **account(config)}


def _followed(url: str, receipts: str, created: int, process: "subprocess.Popen[bytes]") -> float:
    """Events a second from the first receipt to the last."""
    points: list[tuple[float, int]] = []
    with redis.Redis.from_url(url) as client:
        while not points or points[-1][1] < created:
            if process.poll() is not None:
                raise RuntimeError("the centre ended")
            through = int(client.hget(receipts, NODE) or 0)
            if through:
                points.append((time.monotonic(), through))
            time.sleep(0.1)
    (begin_s, first), (end_s, last) = points[0], points[-1]
    return (last - first) / max(end_s - begin_s, 1e-9)


def account(config: Path) -> dict[str, float]:
    """How many numbers of the node the centre lacks, and how many of its cases' events are there twice."""
    from api.center.config import load_center
    from api.center.opening import open_store

    store = open_store(load_center(config))
    try:
        ledger = store.ledger(NODE)
    finally:
        store.close()
    return {"lost": ledger.missing + ledger.gaps, "duplicated": ledger.repeated}


def replay(folder: Path, count: int) -> dict[str, float]:
    """Publish what has gathered; how fast, and how much memory grows meanwhile."""
    with broker(folder) as server, Outbox(folder / "outbox.db", 2**33) as outbox:
        filled(outbox, count)
        say(f"  {count} events wait")
        begun_s = time.monotonic()
        memory_mb = asyncio.run(
            publishing(outbox, server.url, Signer.open(folder), 100_000, lambda: not outbox.counts().pending)
        )
        took_s = time.monotonic() - begun_s
    quarter = max(1, len(memory_mb) // 4)
    grown = statistics.median(memory_mb[-quarter:]) - statistics.median(memory_mb[quarter : 2 * quarter])
    return {"rate": count / took_s, "grown_mb": grown, "most_mb": max(memory_mb)}


def measure(effort: Effort) -> dict[str, Any]:
    """All three, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("edge", "centre", "replay")]
        for folder in folders:
            folder.mkdir()
        sent = edge(folders[0], effort.seconds)
        say(f"  node: {sent:.0f} events a second")
        taken = centre(folders[1], effort.centre)
        say(f"  centre: {taken['rate']:.0f} events a second")
        again = replay(folders[2], effort.replayed)
    return {
        "edge_events_per_s": round(sent),
        "centre_events_per_s": round(taken["rate"]),
        "centre_events": int(taken["created"]),
        "lost": int(taken["lost"]),
        "duplicated": int(taken["duplicated"]),
        "replay_events": effort.replayed,
        "replay_events_per_s": round(again["rate"]),
        "replay_memory_grown_mb": round(again["grown_mb"], 1),
        "replay_memory_most_mb": round(again["most_mb"], 1),
    }


def main() -> None:
    """Run it as a program."""
    args: argparse.Namespace = parsed(__doc__)
    result = measure(QUICK if args.quick else FULL)
    show("Delivery", ("what", "figure"), [(key, value) for key, value in result.items() if key != "machine"])

    def draw(axes: Any) -> None:
        names: Sequence[str] = ("edge_events_per_s", "centre_events_per_s", "replay_events_per_s")
        bars = axes.bar(
            [name.removesuffix("_events_per_s") for name in names], [result[name] for name in names]
        )
        axes.bar_label(bars, fmt="%.0f")
        axes.set_ylabel("events a second")

    picture("delivery-quick" if args.quick else "delivery", {"Events a second": draw})
    finish("delivery", args, result, KEYS)


if __name__ == "__main__":
    main()
