"""Evidence for tests: a store with real keys, events of incidents, and a ring filled from a file."""

import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.audit_chain import Act, AuditError
from edge.cover import CoverOptions
from edge.events import EventContext, EventDraft, incident_event
from edge.evidence_store import EvidenceStore
from edge.identifiers import Uuid7
from edge.incidents import Change
from edge.manifest import CLIP, SNAPSHOT, KeptFile, Manifest, Redaction
from edge.pictures import CameraPictures
from edge.redactor import Sightings
from edge.signing import Signer, known_keys, verify
from streams.clock import SystemClock
from streams.reader import Reader, ReaderOptions
from streams.ring import PacketRing
from streams.service import KEYFRAMES
from streams.source import SourceOptions
from streams.url import SourceUrl
from tests.support.rtsp import PATIENCE_S, CollectingSink

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
INCIDENT = "0192f0c1-0000-7000-8000-000000000001"


def new_ids(seed: int = 1):
    return Uuid7(lambda: NOW, random.Random(seed).getrandbits)


def context(camera: str = "gate") -> EventContext:
    return EventContext("node-1", "000000", new_ids(), camera)


def draft(phase: str, level: int = 2, incident: str = INCIDENT, camera: str = "gate") -> EventDraft:
    change = Change(incident, phase, "hazard.intrusion", "all", level, NOW, NOW, {"count": 1.0}, 0.9, ())  # type: ignore[arg-type]
    return incident_event(context(camera), change)


@dataclass
class Wall:
    """Wall time that a test moves."""

    now: datetime = NOW

    def utc(self) -> datetime:
        return self.now

    def go(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Register:
    """An audit log that fails when told to."""

    acts: list[Act] = field(default_factory=list)
    broken: bool = False

    def __call__(self, act: Act) -> None:
        if self.broken:
            raise AuditError("the disk is full")
        self.acts.append(act)


def store(data_dir: Path, wall: Wall, register: Register, quota: int = 2**20) -> EvidenceStore:
    """A store as a node opens it."""
    made = EvidenceStore(data_dir, quota, Signer.open(data_dir), register, wall.utc)
    made.open(known_keys(data_dir), verify)
    return made


def manifest(
    id_: str, wall: Wall, *, level: int = 2, size: int = 100, ttl_h: float = 72.0, camera: str = "gate"
) -> Manifest:
    """A manifest of files of so many bytes in all, for tests of the store."""
    at, ends = wall.now.isoformat(), (wall.now + timedelta(hours=ttl_h)).isoformat()
    return Manifest(
        evidence=id_, incident=INCIDENT, node="node-1", camera=camera, kind="hazard.intrusion", zone="all",
        level=level, told_s=10.0, peak_s=10.0, first_s=0.0, last_s=20.0,
        peak_utc=at, first_utc=at, last_utc=at,
        width=640, height=360, pictures=250, withheld=0, looks=100, own_looks=0,
        redaction=Redaction(cover="heads", masks=0, blind_after_s=1.0, covered=0.3),
        files={
            SNAPSHOT: KeptFile(bytes=10, sha256="0" * 64),
            CLIP: KeptFile(bytes=size - 10, sha256="1" * 64),
        },
        made_utc=at, expires_utc=ends, version="0",
    )  # fmt: skip


def keep(store: EvidenceStore, wall: Wall, id_: str, *, size: int = 100, **more: object):
    """Put a piece with made-up files into a store."""
    folder = store.making(id_)
    (folder / SNAPSHOT).write_bytes(bytes(10))
    (folder / CLIP).write_bytes(bytes(size - 10))
    return store.keep(folder, manifest(id_, wall, size=size, **more))  # type: ignore[arg-type]


class _Ended(SystemClock):
    """Says when a reader has read its file to the end, and lets nobody wait."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.ended.set()
        return event.wait(PATIENCE_S)


def camera_of(clip: Path) -> CameraPictures:
    """A camera whose reader has put a whole file into its ring, and decoded next to nothing of it."""
    ring, clock = PacketRing(), _Ended()
    options = ReaderOptions(SourceOptions(realtime=False))
    reader = Reader(
        "gate", SourceUrl.parse(str(clip)), options, CollectingSink(), clock, random.Random(1), ring=ring
    )
    reader.set_service(KEYFRAMES)
    reader.start()
    assert clock.ended.wait(PATIENCE_S)
    reader.stop()
    return CameraPictures(ring, Sightings(), CoverOptions())
