"""A small node for tests of the ways in: a real board with real events, a status that tests set."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from edge.board import EventBoard
from edge.config import Config
from edge.events import Event, EventContext, heartbeat_event
from edge.evidence_store import EvidenceStore
from edge.identifiers import Uuid7
from edge.live import LiveHub
from edge.live_config import LiveConfig
from edge.status import CameraStatus, NodeStatus, Readiness, ZoneStatus

UTC_0 = datetime(2026, 11, 22, 8, 15, 3, tzinfo=UTC)

CAMERA = CameraStatus(
    id="gate-2",
    name="North gate <b>北门</b>",
    source="rtsp://10.0.0.7/live",
    state="up",
    error=None,
    width=1280,
    height=720,
    codec="h264",
    received_fps=25.0,
    analysed_fps=4.9,
    frame_age_s=0.12,
    frames={"decoded": 250, "gated": 200, "superseded": 1, "expired": 0, "delivered": 49, "waiting": 0},
    reconnects=0,
    zones=(ZoneStatus("plaza", 41, 2.1, 4.3, 1.6),),
    incidents=("crowd.density/plaza",),
    calibrated=True,
    unavailable={"crowd.pressure/plaza": "too small"},
)

STATUS = NodeStatus(
    id="xihu-07",
    version="0.1.0",
    started_utc=UTC_0,
    uptime_s=10.0,
    detector="nanodet-g-416-int8",
    provider="CPUExecutionProvider",
    redis="redis://10.0.0.5:6379/0",
    redis_up=True,
    outbox_pending=0,
    events_published=3,
    density="heads-448-int8",
    fire="flames",
    fallen="fallen-112-fp32",
    cameras=(CAMERA, replace(CAMERA, id="gate-3", state="retrying", error="no route", frame_age_s=None)),
)


def make_events(count: int, first: int = 1) -> list[Event]:
    """Heartbeats numbered from `first`."""
    context = EventContext("xihu-07", "360103", Uuid7(lambda: UTC_0, random.Random(first).getrandbits))
    return [
        Event.number(heartbeat_event(context, UTC_0, {"cameras_up": 2.0}), first + index)
        for index in range(count)
    ]


class Unsigned:
    """Signs nothing, as nothing is kept."""

    key_id = "0" * 16

    def sign(self, body: bytes) -> bytes:
        raise AssertionError(body)


def kept_nothing() -> SimpleNamespace:
    """A real store without anything in it, and without a folder."""
    return SimpleNamespace(
        store=EvidenceStore(Path("nowhere"), 1, Unsigned(), lambda act: None, lambda: UTC_0)
    )


class FakeNode:
    """A node that does what the test says."""

    def __init__(self, config: Config | None = None, *, queue: int = 256) -> None:
        self.config = config
        self.board: EventBoard[Event] = EventBoard(asyncio.get_running_loop(), keep=50, queue=queue)
        self.redis_url = "redis://user:topsecret@10.0.0.5:6379/0"
        self.state = STATUS
        self.ready = Readiness(True)
        self.death: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = False
        self.evidence = kept_nothing()
        self.live = LiveHub({}, {}, LiveConfig(), lambda id_: None, time.thread_time)

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config) -> AsyncIterator["FakeNode"]:
        node = cls(config)
        try:
            yield node
        finally:
            node.closed = True

    def status(self) -> NodeStatus:
        return self.state

    def readiness(self) -> Readiness:
        return self.ready

    def metrics(self) -> tuple[bytes, str]:
        return b"sharpeyes_build_info 1\n", "text/plain; version=1.0.0"

    async def failed(self) -> None:
        await asyncio.shield(self.death)

    async def show(self, events: Sequence[Event]) -> None:
        """Put events on the board and wait until they are there."""
        self.board.post(events)
        while self.board.recent(1) != [events[-1]]:  # noqa: ASYNC110 - the board announces only to readers
            await asyncio.sleep(0)
