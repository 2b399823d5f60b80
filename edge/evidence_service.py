"""Evidence of a node's incidents: the store and the thread that fills it, opened and closed with the node."""

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version

import structlog

from edge.audit import AuditLog
from edge.config import Config
from edge.envelope import EventDraft, Evidence
from edge.events import EventContext, repeated
from edge.evidence_maker import EvidenceMaker, Kit, MakerCounts
from edge.evidence_store import EvidenceStore, StoreCounts
from edge.footage import Detect
from edge.pictures import CameraPictures
from edge.rule_base import PERSON_CLASSES
from edge.signing import Signer, known_keys, verify
from models.zoo import load_detector
from streams.clock import Clock

log = structlog.get_logger(__name__)

NICENESS = 10
"""Of the thread, where threads have one of their own (Linux): it yields to analysis and to readers."""
JOIN_S = 8.0
NOBODY = -1


@dataclass(frozen=True, slots=True)
class EvidenceSample:
    """Evidence at the moment of a scrape.

    Attributes:
        maker: what was made, and what was not.
        store: what is there, and what was deleted.
    """

    maker: MakerCounts
    store: StoreCounts


class EvidenceService:
    """Keeps evidence of a node's incidents.

    Args:
        config: of the node.
        pictures: of each camera.
        contexts: who speaks, by camera.
        save: puts events into the outbox.
        withheld: counts pictures of a camera that could not be redacted.
        clock: host time and wall time.

    Raises:
        AuditError, SigningError: the audit log or the node's key cannot be opened.
    """

    def __init__(
        self,
        config: Config,
        pictures: Mapping[str, CameraPictures],
        contexts: Mapping[str, EventContext],
        save: Callable[[Sequence[EventDraft]], None],
        withheld: Callable[[str, int], None],
        clock: Clock,
    ) -> None:
        self._config, self._clock = config, clock
        data_dir = config.node.data_dir
        data_dir.mkdir(parents=True, exist_ok=True)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        record = AuditLog(data_dir, clock).append
        quota = config.evidence.quota_mb * 2**20
        self.store = EvidenceStore(data_dir, quota, Signer.open(data_dir), record, clock.utc)
        """What is kept."""
        self._cameras = {one.source: one for one in contexts.values()}
        kit = Kit(
            config.evidence,
            config.node.id,
            version("sharpeyes"),
            pictures,
            self.store,
            load=self._load,
            again=self._again,
            save=save,
            withheld=withheld,
            new_id=next(iter(contexts.values())).new_id,
        )
        self._maker = EvidenceMaker(kit, clock)

    def start(self) -> None:
        """Find what is kept, and make more from now on.

        Raises:
            EvidenceError, SigningError: the folder or the node's keys cannot be used.
        """
        self.store.open(known_keys(self._config.node.data_dir), verify)
        if self._config.evidence.enabled:
            self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Make what is wanted most in the little time there is, and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            if self._thread.is_alive():
                log.error("the making of evidence did not end in time")

    def told(
        self, camera: str, drafts: Sequence[EventDraft], pts_s: float, peaks: Mapping[str, float]
    ) -> None:
        """As `EvidenceMaker.told`; nothing where no evidence is wanted."""
        if self._thread is not None:
            self._maker.told(camera, drafts, pts_s, peaks)

    def sample(self) -> EvidenceSample:
        """What there is to be measured."""
        return EvidenceSample(self._maker.counts(), self.store.counts())

    def _run(self) -> None:
        if sys.platform == "linux":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            self._maker.run(self._stop)
        except Exception:
            log.exception("no more evidence is made until the node starts again")

    def _load(self) -> tuple[Detect, int]:
        """A detector of its own: sessions are shared by threads, but not the buffers of pictures."""
        model = self._config.model
        detector = load_detector(model.detector, model.providers, 1)
        names = detector.class_names
        person = next((names.index(name) for name in PERSON_CLASSES if name in names), NOBODY)
        return detector.detect, person

    def _again(self, draft: EventDraft, phase: str, evidence: Evidence) -> EventDraft:
        return repeated(self._cameras[draft.source], draft, "end" if phase == "end" else "update", evidence)
