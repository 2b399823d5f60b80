"""A node without cameras: the product's own delivery, and events at a steady rate. See `chaos_line`.

    python -m tests.support.chaos_node PLAN

SIGTERM ends the events; the process ends when the centre has receipted all of them. Its account has a line on
the disk for each append that returned, so what it says was created; what was appended and is not there yet
when the process is killed lies between the account's last line and the outbox's own last number, which is
told at each start.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from edge.config import Config
from edge.delivery import Delivery
from edge.envelope import IncidentData
from edge.events import Event, EventContext, EventDraft, heartbeat_event, incident_event
from edge.identifiers import Uuid7
from edge.metrics import Metrics
from edge.saver import Saver
from edge.sections import Place
from streams.clock import SystemClock

BATCH = 10
"""Events in one append, the most that a kill can hide from the account; see `chaos_account`."""
KINDS = ("crowd.density", "hazard.intrusion", "hazard.line")
PHASES = ("begin", "update", "update", "end")
TEND_S = 0.5
LAST_BEATS_S = 5.0
"""Seconds between heartbeats at the end: they tell the centre of a tail that Redis lost."""


class Hands(SystemClock):
    """The host's clocks, but wall time is off by so many seconds as a file says."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def utc(self) -> datetime:
        """Wall time."""
        try:
            off = float(self._path.read_text("ascii") or 0)
        except FileNotFoundError:
            off = 0.0
        return super().utc() + timedelta(seconds=off)


class Account:
    """Lines of JSON on the disk: what was created, and what the outbox said at each start and at the end."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        # the last one may be half a line, cut off by a kill
        os.write(self._file, b"\n")

    def write(self, **line: Any) -> None:
        """Add a line; it is on the disk when this returns."""
        with self._lock:
            os.write(self._file, json.dumps(line).encode() + b"\n")
            os.fsync(self._file)

    def told(self, events: Sequence[Event]) -> None:
        """Events are in the outbox."""
        rows = []
        for event in events:
            data = event.data
            of = (data.incident, data.phase) if isinstance(data, IncidentData) else ("", "")
            rows.append([int(event.sequence), event.id, event.kind, *of])
        self.write(created=rows)


@dataclass
class Incident:
    """What a camera's incident did; see `edge.events.Change`."""

    incident: str
    phase: Any
    kind: str
    level: int
    started_utc: datetime
    observed_utc: datetime
    zone: str = "plaza"
    confidence: float = 0.9
    boxes: tuple[tuple[float, float, float, float], ...] = ((0.41, 0.22, 0.44, 0.31),)
    measures: dict[str, float] = field(default_factory=lambda: {"count": 41.0})


class Node:
    """Appends, delivers, tends; see the module."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._clock = Hands(Path(plan["clock"]))
        self._new_id = Uuid7(self._clock.utc)
        self._account = Account(Path(plan["account"]))
        config = Config.model_validate(plan["config"])
        self._config = config
        self._speaker = EventContext(config.node.id, config.node.district, self._new_id)
        self._delivery = Delivery(
            config,
            self._speaker,
            self._clock,
            told=self._account.told,
            set_profile=lambda _profile: None,
            judged=lambda _verdicts: None,
        )
        self._ending, self._stop = threading.Event(), threading.Event()
        self._last_number = -1
        self._beat_s = -float("inf")

    async def run(self) -> None:
        """Run until all is receipted after SIGTERM."""
        assert self._config.redis.url is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._ending.set)
        delivery = self._delivery
        async with AsyncExitStack() as stack:
            delivery.open(stack)
            self._account.write(opened=delivery.outbox.counts().newest)
            delivery.prepare()
            url = self._config.redis.url.get_secret_value()
            await delivery.connect(stack, url, self._config.redis.max_entries)
            self._saver = Saver(delivery.outbox, self._account.told, Metrics(), self._clock, self._stop)
            producing = threading.Thread(target=self._produce, daemon=True)
            producing.start()
            while not await asyncio.to_thread(self._tend, producing):
                if delivery._publisher._task is not None and delivery._publisher._task.done():
                    await delivery.ended()
                await asyncio.sleep(TEND_S)
        self._account.write(end=self._last_number)

    def _tend(self, producing: threading.Thread) -> bool:
        """What a node does twice a second; whether all is done."""
        ending = not producing.is_alive()
        now_s = self._clock.monotonic()
        before = self._delivery.sample().outbox
        done = ending and not before.pending + before.sent
        if not done and now_s - self._beat_s >= (LAST_BEATS_S if ending else self._plan["heartbeat_s"]):
            self._beat_s = now_s
            beat = heartbeat_event(self._speaker, self._clock.utc(), {"uptime_s": now_s})
            self._saver.save([beat])
        self._delivery.tend()
        sample = self._delivery.sample()
        self._last_number = sample.outbox.newest
        self._tell(
            pid=os.getpid(),
            ending=ending,
            newest=sample.outbox.newest,
            pending=sample.outbox.pending,
            sent=sample.outbox.sent,
            evicted=sum(sample.outbox.evicted.values()),
            blocked=self._saver.blocked,
            published=sample.publisher.published,
            replayed=sample.publisher.replayed,
            failures=sample.publisher.failures,
            connected=sample.publisher.connected,
            trouble=sample.publisher.last_error,
            receipted=sample.feedback.receipted,
            heard=dict(sample.feedback.messages),
        )
        # what was reported just now is to be receipted, too
        return done and sample.outbox.newest == before.newest

    def _tell(self, **status: Any) -> None:
        path = Path(self._plan["status"])
        path.with_suffix(".new").write_text(json.dumps(status), "utf-8")
        path.with_suffix(".new").replace(path)

    def _produce(self) -> None:
        """Append events at the wanted rate until SIGTERM."""
        drafts = self._drafts()
        period_s = BATCH / self._plan["rate"]
        due_s = self._clock.monotonic()
        while not self._ending.is_set():
            self._saver.save(list(itertools.islice(drafts, BATCH)))
            due_s = max(due_s + period_s, self._clock.monotonic() - 1.0)
            self._ending.wait(max(0.0, due_s - self._clock.monotonic()))

    def _drafts(self) -> Iterator[EventDraft]:
        """Incidents of some cameras, their phases interleaved."""
        rng = random.Random(self._plan["seed"])
        node = self._config.node
        cameras = [
            EventContext(
                node.id,
                node.district,
                self._new_id,
                f"camera-{k:02d}",
                Place(name="北门广场", grid=f"{node.district}001001{k:03d}"),
            )
            for k in range(self._plan["cameras"])
        ]
        running: list[tuple[EventContext, Incident, Iterator[str]] | None] = [None] * len(cameras)
        while True:
            k = rng.randrange(len(cameras))
            now = self._clock.utc()
            context, incident, phases = running[k] or (
                cameras[k],
                Incident(self._new_id(), "", rng.choice(KINDS), rng.randint(1, 4), now, now),
                iter(PHASES),
            )
            incident.phase, incident.observed_utc = next(phases), now
            running[k] = None if incident.phase == "end" else (context, incident, phases)
            yield incident_event(context, incident)


if __name__ == "__main__":
    asyncio.run(Node(json.loads(Path(sys.argv[1]).read_text("utf-8"))).run())
