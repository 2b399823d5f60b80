"""The audit log on disk: append-only, on the disk before what it tells of happens, and never silently broken.

Below the data directory lie `audit/log.jsonl` (see `edge.audit_chain`), `audit/head.json`, the newest entry's
number and hash, signed, and `audit/lock`, since commands write beside the node that runs.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import structlog

from edge.audit_chain import (
    FIRST,
    MAX_LINE_BYTES,
    Act,
    AuditError,
    Entry,
    Head,
    Verdict,
    check,
    entry_of,
    follows,
    head_line,
    head_of,
    line_of,
)
from edge.durable import PRIVATE, replace_file, sync_folder
from edge.signing import Signer, known_keys, verify
from streams.clock import Clock

log = structlog.get_logger(__name__)

CHECKPOINT = 100
"""Entries between two that the program's own log names as well: a second place, for an intruder to find."""


class AuditLog:
    """A node's audit log. For several threads and processes at once.

    Args:
        data_dir: of the node; its keys sign.
        clock: wall time.
    """

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self._folder = data_dir / "audit"
        self._clock = clock
        self._signer = Signer.open(data_dir)
        self._keys = known_keys(data_dir)
        self._lock = threading.Lock()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(data_dir)
        except OSError as exc:
            raise self._explained(exc) from None

    @property
    def path(self) -> Path:
        """Where the entries lie."""
        return self._folder / "log.jsonl"

    def append(self, act: Act) -> Entry:
        """Write an entry; it is on the disk when this returns.

        Raises:
            AuditError: it is not, and what it tells of must not happen; names the cure.
        """
        with self._held() as file:
            head = self._mended(file)
            return self._write(file, head, act)

    def head(self) -> Head:
        """The newest entry, after what a kill left half written was taken away.

        Raises:
            AuditError: the log cannot be read or was cut.
        """
        with self._held() as file:
            return self._mended(file)

    def _mended(self, file: int) -> Head:
        """The newest entry; a line that a kill or a power failure left half written is cut, which is told."""
        size = os.fstat(file).st_size
        whole, last = self._last(file, size)
        head = self._checked(last)
        if whole == size:
            return head
        os.ftruncate(file, whole)
        log.warning(
            "a half-written line of the audit log was removed", entry=head.seq + 1, bytes=size - whole
        )
        told = f"{size - whole} bytes of an unfinished entry were removed; what it told of was not done"
        entry = self._write(file, head, Act("-", "audit.repair", detail=told))
        return Head(entry.seq, entry.sha256)

    def _last(self, file: int, size: int) -> tuple[int, bytes]:
        """Up to which byte there are whole lines, and the last of them."""
        begin = max(0, size - 3 * MAX_LINE_BYTES)
        tail = os.pread(file, size - begin, begin)
        end = tail.rfind(b"\n")
        if end < 0:
            if begin:
                raise AuditError(f"{self.path} is damaged: its last line has no end; {_CURE}")
            return 0, b""
        return begin + end + 1, tail[tail.rfind(b"\n", 0, end) + 1 : end]

    def _checked(self, line: bytes) -> Head:
        last = Head()
        try:
            if line:
                entry = entry_of(line, self._keys, verify)
                last = Head(entry.seq, entry.sha256)
            signed = self._signed_head(last)
        except AuditError as exc:
            raise AuditError(f"{self.path}: the last entry {exc}; {_CURE}") from None
        if fault := follows(signed, last):
            raise AuditError(f"{self.path}: {fault}; {_CURE}")
        return last

    def _signed_head(self, last: Head) -> Head:
        return _signed_head(self._folder, self._keys, last)

    def _write(self, file: int, head: Head, act: Act) -> Entry:
        entry = Entry(head.seq + 1, self._clock.utc(), act, head.sha256)
        line = line_of(entry, self._signer) + b"\n"
        size = os.fstat(file).st_size
        try:
            _append(file, line)
            replace_file(self._folder / "head.json", head_line(Head(entry.seq, entry.sha256), self._signer))
        except OSError:
            # nothing was done yet of what the entry would tell
            os.ftruncate(file, size)
            raise
        if entry.seq % CHECKPOINT == 1:
            log.info("audit checkpoint", entry=entry.seq, sha256=entry.sha256)
        return entry

    @contextmanager
    def _held(self) -> Iterator[int]:
        with self._lock:
            handles: list[int] = []
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                handles.append(os.open(self._folder / "lock", flags, PRIVATE))
                fcntl.flock(handles[0], fcntl.LOCK_EX)
                handles.append(os.open(self.path, flags | os.O_APPEND, PRIVATE))
                yield handles[1]
            except OSError as exc:
                raise self._explained(exc) from None
            finally:
                for handle in reversed(handles):
                    os.close(handle)

    def _explained(self, exc: OSError) -> AuditError:
        reason = os.strerror(exc.errno) if exc.errno else "it failed"
        return AuditError(
            f"the audit log {self.path} cannot be written ({reason}), so nothing that it must record is done;"
            " free some space, or give the folder to the node's user"
        )


def _append(file: int, line: bytes) -> None:
    if os.write(file, line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file)


_CURE = "`sharpeyes audit verify` says more, and `sharpeyes audit restart` begins a new one beside it"


def lines_of(data_dir: Path) -> Iterator[bytes]:
    """The log's whole lines, oldest first, without their newlines.

    Raises:
        AuditError: it cannot be read.
    """
    path = data_dir / "audit" / "log.jsonl"
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]
    except FileNotFoundError:
        return
    except OSError as exc:
        raise AuditError(f"{path} cannot be read: {exc.strerror}") from None


def verify_log(data_dir: Path) -> Verdict:
    """Whether a node's whole log is as it was written: no entry changed, removed, added, swapped or cut off.

    Raises:
        AuditError: it cannot be read.
    """
    keys = known_keys(data_dir)
    verdict = check(lines_of(data_dir), keys, verify)
    if verdict.fault:
        return verdict
    try:
        fault = follows(_signed_head(data_dir / "audit", keys, verdict.head), verdict.head)
    except AuditError as exc:
        fault = str(exc)
    return Verdict(verdict.head, fault)


def entries_between(data_dir: Path, since: datetime, until: datetime) -> Iterator[tuple[bytes, Entry]]:
    """Lines and entries of `since <= at < until`, oldest first, each checked.

    Args:
        data_dir: of the node.
        since: aware time.
        until: aware time, after `since`.

    Raises:
        AuditError: an entry is not as it was written; names it.
    """
    keys = known_keys(data_dir)
    for number, line in enumerate(lines_of(data_dir), 1):
        try:
            entry = entry_of(line, keys, verify)
        except AuditError as exc:
            raise AuditError(f"entry {number} {exc}") from None
        if since <= entry.at < until:
            yield line, entry


def restart_log(data_dir: Path, clock: Clock, who: str, why: str) -> Path:
    """Put a log that is not whole aside, unchanged, and begin a new one, which says so.

    Returns:
        Where the old one lies now.

    Raises:
        AuditError: the log is whole, or cannot be moved.
    """
    verdict = verify_log(data_dir)
    if not verdict.fault:
        raise AuditError("the audit log is whole: there is nothing to begin anew")
    folder = data_dir / "audit"
    aside = data_dir / f"audit.broken-{clock.utc().strftime('%Y%m%dT%H%M%SZ')}"
    try:
        folder.rename(aside)
        sync_folder(data_dir)
    except OSError as exc:
        raise AuditError(f"{folder} cannot be moved aside: {exc.strerror}") from None
    detail = f"the log before this one lies in {aside.name}; it was right up to entry {verdict.head.seq}"
    AuditLog(data_dir, clock).append(Act(who, "audit.restart", why=why, detail=detail))
    return aside


def _signed_head(folder: Path, keys: Mapping[str, str], last: Head) -> Head:
    try:
        content = (folder / "head.json").read_bytes()
    except FileNotFoundError:
        # after a kill between the very first entry and its head
        if last.seq <= 1:
            return Head(0, FIRST)
        raise AuditError("has no signed head beside it: head.json was removed") from None
    except OSError as exc:
        raise AuditError(f"cannot be compared with its signed head: {exc.strerror}") from None
    return head_of(content, keys, verify)
