"""Makes evidence of incidents, some seconds after they were told: one thread that yields to all others."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import structlog

from edge.clip import ClipWriter, snapshot, writing
from edge.envelope import EventDraft, Evidence, rfc3339
from edge.evidence_config import EvidenceConfig
from edge.evidence_queue import EvidenceQueue, Reason, Told, Wanted
from edge.evidence_store import EvidenceError, EvidenceStore, Piece, kept_file
from edge.footage import Detect, Footage, Timed
from edge.manifest import CLIP, SNAPSHOT, Manifest, Redaction
from edge.pictures import CameraPictures
from edge.redactor import Redactor
from models.errors import ModelError
from streams.clock import Clock
from streams.errors import StreamError

log = structlog.get_logger(__name__)

PATIENCE_S, LOOK_PATIENCE_S = 5.0, 1.0
"""How much longer than it should take packets are waited for, and looks at the last of them: analysis may not
keep up, and a camera may be gone."""
PERIOD_S = 0.25
_EPS_S = 1e-6
"""Times of pictures are sums of fractions: the first and last of a clip shall be in it."""
_TEND_S = 30.0
_LAST_S = 3.0
"""How long what is still wanted may take when the node stops."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What the maker works with.

    Attributes:
        config: how much, and how long.
        node: the node's id.
        version: of the program.
        pictures: of each camera.
        store: keeps what was made.
        load: loads the detector that looks where analysis did not, and the label of people.
        again: makes an event that repeats another one with a phase and evidence.
        save: puts events into the outbox.
        withheld: counts pictures of a camera that could not be redacted.
        new_id: makes ids of evidence.
    """

    config: EvidenceConfig
    node: str
    version: str
    pictures: Mapping[str, CameraPictures]
    store: EvidenceStore
    load: Callable[[], tuple[Detect, int]]
    again: Callable[[EventDraft, Literal["update", "end"], Evidence], EventDraft]
    save: Callable[[Sequence[EventDraft]], None]
    withheld: Callable[[str, int], None]
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class MakerCounts:
    """What the maker did since the start.

    Attributes:
        made: pieces.
        failed: incidents without evidence, by why.
        waiting: incidents of which evidence is still to be made.
        own_looks: pictures that it had to look at itself.
    """

    made: int
    failed: Mapping[Reason, int]
    waiting: int
    own_looks: int


@dataclass(frozen=True, slots=True)
class _Made:
    """A clip that was written, with its first, last and worst picture."""

    clip: ClipWriter
    first: Timed
    last: Timed
    peak: Timed


class NoEvidenceError(Exception):
    """There is none of an incident; says why."""

    def __init__(self, why: Reason) -> None:
        super().__init__(why)
        self.why: Reason = why


class EvidenceMaker:
    """Is told of what the incidents of all cameras do, and makes evidence of each in its own time.

    `told` is for any thread; `run` is its own thread's.

    Args:
        kit: what it works with.
        clock: tells when clips are complete.
    """

    def __init__(self, kit: Kit, clock: Clock) -> None:
        self._kit, self._clock = kit, clock
        self._queue = EvidenceQueue(kit.config.after_s)
        self._redactors: dict[str, Redactor] = {}
        self._detect: tuple[Detect, int] | None = None
        self._made = self._own_looks = 0
        self._tended_s = clock.monotonic()

    def told(
        self, camera: str, drafts: Sequence[EventDraft], pts_s: float, peaks: Mapping[str, float]
    ) -> None:
        """What a look made of a camera's incidents; see `EvidenceQueue.take`. Before events are saved."""
        self._queue.take(camera, drafts, pts_s, peaks, self._clock.monotonic())

    def counts(self) -> MakerCounts:
        """What was done so far."""
        return MakerCounts(self._made, dict(self._queue.failed), len(self._queue), self._own_looks)

    def run(self, stop: threading.Event) -> None:
        """Make evidence until `stop` is set, and then what is wanted most, with what there is."""
        while not self._clock.wait(stop, PERIOD_S):
            now_s = self._clock.monotonic()
            ready = next((one for one in self._queue.ranked() if self._ready(one, now_s)), None)
            if ready is not None:
                self.make(ready)
            if now_s - self._tended_s >= _TEND_S:
                self._tended_s = now_s
                self._kit.store.tend()
        until_s = self._clock.monotonic() + _LAST_S
        for wanted in self._queue.ranked():
            if self._clock.monotonic() < until_s:
                self.make(wanted)
            else:
                self._queue.drop(wanted, "stopped")

    def _ready(self, wanted: Wanted, now_s: float) -> bool:
        """Whether its packets are there, and looks at them; or nobody waits any more."""
        camera, end_s = self._kit.pictures[wanted.camera], wanted.told_s + self._kit.config.after_s
        newest_s = camera.ring.newest_s
        if newest_s is None or newest_s < end_s:
            return now_s >= wanted.due_mono_s + PATIENCE_S
        looks = camera.sightings.around(end_s, live=False).looks
        return (bool(looks) and looks[-1].pts_s >= end_s) or now_s >= wanted.due_mono_s + LOOK_PATIENCE_S

    def make(self, wanted: Wanted) -> Piece | None:
        """Make evidence of an incident, keep it, and tell of it; None where that is not possible."""
        known = self._queue.told(wanted.incident)
        if known is None:
            return None
        try:
            piece = self._piece(*known)
        except NoEvidenceError as exc:
            why: Reason = exc.why
        except Exception as exc:  # noqa: BLE001 - one incident's evidence is no reason to make no other
            log.error("evidence could not be made", camera=wanted.camera, error=type(exc).__name__)
            why = "defect"
        else:
            self._tell(wanted, piece)
            return piece
        log.warning("no evidence of an incident", camera=wanted.camera, incident=wanted.incident, reason=why)
        self._queue.drop(wanted, why)
        return None

    def _tell(self, wanted: Wanted, piece: Piece) -> None:
        """An event of the incident with its evidence: an update, or where it is over, its end once more."""
        link = f"{self._kit.config.base_url}/cameras/{wanted.camera}/evidence/{piece.id}"
        evidence = Evidence(
            snapshot=f"{link}/{SNAPSHOT}",
            clip=f"{link}/{CLIP}",
            sha256=piece.manifest.files[CLIP].sha256,
            redacted=True,
            expires=piece.manifest.expires_utc,
        )
        self._made += 1
        with self._queue.done(wanted) as told:
            self._kit.save([self._kit.again(told.draft, "end" if told.over else "update", evidence)])

    def _piece(self, wanted: Wanted, told: Told) -> Piece:
        kit, config = self._kit, self._kit.config
        camera = kit.pictures[wanted.camera]
        span = (wanted.told_s - config.before_s - _EPS_S, wanted.told_s + config.after_s + _EPS_S)
        packets = camera.ring.clip(*span)
        if not packets:
            raise NoEvidenceError("no_packets")
        footage = Footage(camera, packets, span, wanted.peak_s)
        try:
            self._look(footage)
            id_ = kit.new_id()
            folder = kit.store.making(id_)
            try:
                made = self._written(folder, footage, wanted.camera)
                return kit.store.keep(folder, self._manifest(id_, folder, footage, made, (wanted, told)))
            finally:
                kit.store.give_up(folder)
        except StreamError:
            raise NoEvidenceError("undecodable") from None
        except ModelError:
            raise NoEvidenceError("model") from None
        except (EvidenceError, OSError) as exc:
            log.error("evidence cannot be kept", error=str(exc))
            raise NoEvidenceError("disk") from None
        finally:
            if footage.withheld:
                kit.withheld(wanted.camera, footage.withheld)

    def _look(self, footage: Footage) -> None:
        if self._detect is None:
            self._detect = self._kit.load()
        detect, person = self._detect
        footage.look(detect, person, self._kit.config.fps)
        self._own_looks += footage.own_looks

    def _written(self, folder: Path, footage: Footage, camera: str) -> _Made:
        config, cover = self._kit.config, self._kit.pictures[camera].cover
        redactor = self._redactors.setdefault(camera, Redactor(cover, np.random.default_rng()))
        first: Timed | None = None
        last: Timed | None = None
        peak: Timed | None = None
        with writing(folder / CLIP, config.fps) as clip:
            for timed, picture in footage.redacted(redactor, config.fps, config.max_height):
                if clip.pictures and (picture.width, picture.height) != (clip.width, clip.height):
                    break  # the camera was set to another size: what came before is the clip
                clip.add(picture)
                first, last = first or timed, timed
                if peak is None or abs(timed.pts_s - footage.peak_s) < abs(peak.pts_s - footage.peak_s):
                    (folder / SNAPSHOT).write_bytes(snapshot(picture))
                    peak = timed
        if first is None or last is None or peak is None:
            raise NoEvidenceError("redaction" if footage.withheld else "undecodable")
        return _Made(clip, first, last, peak)

    def _manifest(
        self, id_: str, folder: Path, footage: Footage, made: _Made, of: tuple[Wanted, Told]
    ) -> Manifest:
        kit, (wanted, told), clip = self._kit, of, made.clip
        cover, now = kit.pictures[wanted.camera].cover, self._clock.utc()
        return Manifest(
            evidence=id_,
            incident=wanted.incident,
            node=kit.node,
            camera=wanted.camera,
            kind=told.draft.kind,
            zone=told.data.zone,
            level=wanted.level,
            told_s=wanted.told_s,
            peak_s=made.peak.pts_s,
            first_s=made.first.pts_s,
            last_s=made.last.pts_s,
            peak_utc=rfc3339(made.peak.utc),
            first_utc=rfc3339(made.first.utc),
            last_utc=rfc3339(made.last.utc),
            width=clip.width,
            height=clip.height,
            pictures=clip.pictures,
            withheld=footage.withheld,
            looks=footage.looks(),
            own_looks=footage.own_looks,
            redaction=Redaction(
                cover=cover.cover,
                masks=len(cover.masks),
                blind_after_s=cover.max_gap_s,
                covered=min(1.0, clip.covered / clip.pictures),
            ),
            files={SNAPSHOT: kept_file(folder / SNAPSHOT), CLIP: kept_file(folder / CLIP)},
            made_utc=rfc3339(now),
            expires_utc=rfc3339(now + timedelta(hours=kit.config.ttl_h)),
            version=kit.version,
        )
