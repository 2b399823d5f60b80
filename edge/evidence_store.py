"""Where evidence lies until it expires: a folder each, made whole or not at all, and deleted for the record.

Below the data directory, `evidence/<id>/` holds `snapshot.jpg`, `clip.mp4` and `manifest.json`; what is being
made or removed has a name with a dot. Whatever is deleted is written to the audit log with its manifest's
hash, when it is really gone.
"""

import hashlib
import os
import shutil
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

import structlog

from edge.audit_chain import Act, AuditError
from edge.durable import create_file, sync_folder
from edge.errors import EdgeError
from edge.manifest import MANIFEST, KeptFile, Manifest, ManifestError, Signs, Verify, read, signed

log = structlog.get_logger(__name__)

EVIDENCE = "evidence"
"""Folder below the data directory."""
Why = Literal["expired", "evicted", "asked", "damaged"]
"""Why something was deleted: `damaged` was found incomplete or not as signed."""
WHYS: tuple[Why, ...] = get_args(Why)
_MAKING, _GOING = ".making-", ".going-"


class EvidenceError(EdgeError):
    """Evidence cannot be kept or removed; names the thing and the cure."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of evidence that is there.

    Attributes:
        manifest: what it says of itself.
        made, expires: aware UTC times.
    """

    manifest: Manifest
    made: datetime
    expires: datetime

    @property
    def id(self) -> str:
        """Its UUID."""
        return self.manifest.evidence


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """What the store holds and did since the start.

    Attributes:
        pieces: there now.
        bytes: of their files.
        deleted: pieces by why.
    """

    pieces: int
    bytes: int
    deleted: Mapping[str, int]


def first_to_go(pieces: Iterable[Piece], quota: int) -> list[Piece]:
    """What must go so that the rest fits: least severe first, and of these the oldest.

    Args:
        pieces: all there are.
        quota: bytes that the rest may have.
    """
    order = sorted(pieces, key=lambda one: (-one.manifest.level, one.made, one.id))
    size = sum(one.manifest.size for one in order)
    going = []
    for one in order:
        if size <= quota:
            break
        going.append(one)
        size -= one.manifest.size
    return going


class EvidenceStore:
    """Keeps evidence. For any threads.

    Args:
        data_dir: of the node.
        quota: bytes that all may have.
        signer: signs manifests.
        record: writes to the audit log.
        utc: wall time.
    """

    def __init__(
        self,
        data_dir: Path,
        quota: int,
        signer: Signs,
        record: Callable[[Act], object],
        utc: Callable[[], datetime],
    ) -> None:
        self._folder = data_dir / EVIDENCE
        self._quota = quota
        self._signer = signer
        self._record, self._utc = record, utc
        self._lock = threading.RLock()
        self._pieces: dict[str, Piece] = {}
        self._unrecorded: deque[Act] = deque()
        self._deleted: Counter[str] = Counter()

    def open(self, keys: Mapping[str, str], verify: Verify) -> None:
        """Find what is there; what is half made, half removed or not as signed is deleted.

        Args:
            keys: public halves of the node's keys, by id.
            verify: tells whether a signature is one.

        Raises:
            EvidenceError: the folder cannot be used.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = sorted(self._folder.iterdir())
        except OSError as exc:
            raise EvidenceError(f"{self._folder}: {exc.strerror}; give the node's user this folder") from None
        for path in found:
            if path.name.startswith(_MAKING):
                shutil.rmtree(path, ignore_errors=True)  # nobody was told of it
                continue
            try:
                piece = _piece(path, keys, verify)
            except (ManifestError, OSError, ValueError) as exc:
                log.error("evidence is damaged and removed", folder=path.name, error=str(exc))
                self._remove(path, path.name.removeprefix(_GOING), "damaged", "its manifest cannot be read")
                continue
            if path.name.startswith(_GOING):
                self._remove(path, piece.id, "damaged", _told_of(piece, "its removal was interrupted"))
            else:
                self._pieces[piece.id] = piece
        self.tend()

    def making(self, id_: str) -> Path:
        """A folder to make a piece in.

        Raises:
            EvidenceError: there is no room, or no right to write.
        """
        folder = self._folder / f"{_MAKING}{id_}"
        try:
            folder.mkdir(mode=0o700)
        except OSError as exc:
            raise EvidenceError(f"{folder}: {exc.strerror}") from None
        return folder

    def keep(self, folder: Path, manifest: Manifest) -> Piece:
        """Sign a piece that was made and keep it; on the disk when this returns. Others may have to go.

        Raises:
            EvidenceError: the disk refuses, or it is larger than all there may be; nothing is kept of it.
        """
        if manifest.size > self._quota:
            self.give_up(folder)
            raise EvidenceError(f"evidence of {manifest.size} bytes does not fit into evidence.quota_mb")
        piece = Piece(manifest, _time(manifest.made_utc), _time(manifest.expires_utc))
        try:
            create_file(folder / MANIFEST, signed(manifest, self._signer))
            for name in manifest.files:
                _sync(folder / name)
            folder.rename(self._folder / piece.id)
            sync_folder(self._folder)
        except OSError as exc:
            self.give_up(folder)
            raise EvidenceError(f"{self._folder}: {exc.strerror}") from None
        with self._lock:
            self._pieces[piece.id] = piece
            self.tend()
        return piece

    def give_up(self, folder: Path) -> None:
        """Remove what was begun and will not be kept."""
        shutil.rmtree(folder, ignore_errors=True)

    def get(self, id_: str, camera: str) -> Piece | None:
        """A piece of a camera that is there and has not expired; None else."""
        with self._lock:
            piece = self._pieces.get(id_)
        if piece is None or piece.manifest.camera != camera or piece.expires <= self._utc():
            return None
        return piece

    def path(self, piece: Piece, name: Literal["snapshot.jpg", "clip.mp4", "manifest.json"]) -> Path:
        """Where a file of a piece lies; names come from the index, never from a request."""
        return self._folder / piece.id / name

    def of(self, camera: str, incident: str | None = None) -> Sequence[Piece]:
        """A camera's pieces, newest first."""
        now = self._utc()
        with self._lock:
            pieces = [
                one for one in self._pieces.values() if one.manifest.camera == camera and one.expires > now
            ]
        wanted = (one for one in pieces if incident in (None, one.manifest.incident))
        return sorted(wanted, key=lambda one: (one.made, one.id), reverse=True)

    def delete(self, piece: Piece, why: Why, detail: str = "") -> None:
        """Remove a piece for good, and say so in the audit log."""
        with self._lock:
            if self._pieces.pop(piece.id, None) is None:
                return
            self._remove(self._folder / piece.id, piece.id, why, _told_of(piece, detail))

    def tend(self) -> None:
        """Delete what has expired and what is too much, and tell the audit log what it does not know yet."""
        now = self._utc()
        with self._lock:
            for piece in [one for one in self._pieces.values() if one.expires <= now]:
                self.delete(piece, "expired")
            for piece in first_to_go(self._pieces.values(), self._quota):
                self.delete(piece, "evicted", "evidence.quota_mb is used up")
            self._tell()

    def counts(self) -> StoreCounts:
        """What there is."""
        with self._lock:
            size = sum(one.manifest.size for one in self._pieces.values())
            return StoreCounts(len(self._pieces), size, dict(self._deleted))

    def _remove(self, path: Path, id_: str, why: Why, detail: str) -> None:
        going = path if path.name.startswith(_GOING) else path.with_name(f"{_GOING}{path.name}")
        try:
            if going != path:
                path.rename(going)  # whoever asks finds nothing from here on, even after a kill
            shutil.rmtree(going)
            sync_folder(self._folder)
        except OSError as exc:
            log.error(
                "evidence cannot be removed; tried again at the next start", folder=id_, error=exc.strerror
            )
            return
        gone = not (going.exists() or (self._folder / id_).exists())
        self._deleted[why] += 1
        outcome = "done" if gone else "failed"
        object_ = id_ if len(id_) <= 200 and id_.isprintable() else "?"
        self._unrecorded.append(
            Act("-", "evidence.delete", outcome=outcome, object=object_, why=why, detail=detail[:300])
        )
        self._tell()

    def _tell(self) -> None:
        while self._unrecorded:
            try:
                self._record(self._unrecorded[0])
            except AuditError as exc:
                log.error(
                    "a deletion is not in the audit log yet", error=str(exc), waiting=len(self._unrecorded)
                )
                return
            self._unrecorded.popleft()


def check(folder: Path, keys: Mapping[str, str], verify: Verify) -> Manifest:
    """Whether a folder holds what its manifest says, byte by byte.

    Raises:
        ManifestError: it does not; says why.
    """
    try:
        manifest = read((folder / MANIFEST).read_bytes(), keys, verify)
        for name, kept in manifest.files.items():
            with (folder / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != kept.sha256:
                raise ManifestError(f"{name} is not what was signed")
    except OSError as exc:
        raise ManifestError(f"{Path(exc.filename or folder).name}: {exc.strerror}") from None
    return manifest


def kept_file(path: Path) -> KeptFile:
    """What is to be said of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is empty.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return KeptFile(bytes=path.stat().st_size, sha256=digest)


def _piece(path: Path, keys: Mapping[str, str], verify: Verify) -> Piece:
    """A piece as it lies there. Its files are not read through: `sharpeyes evidence verify` does that."""
    manifest = read((path / MANIFEST).read_bytes(), keys, verify)
    if path.name.removeprefix(_GOING) != manifest.evidence:
        raise ManifestError("lies in the folder of another")
    for name, kept in manifest.files.items():
        if (path / name).stat().st_size != kept.bytes:
            raise ManifestError(f"{name} has not the size that was signed")
    return Piece(manifest, _time(manifest.made_utc), _time(manifest.expires_utc))


def _told_of(piece: Piece, detail: str) -> str:
    told = f"manifest {piece.manifest.sha256}, made {piece.manifest.made_utc}, of {piece.manifest.camera}"
    return f"{told}; {detail}" if detail else told


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
