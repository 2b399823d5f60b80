"""What cameras have learned of their usual motion, on the node's own disk, so that a restart forgets nothing.

Counts by cell and hour only. They never leave the node: no event, page or file of evidence holds them.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import structlog

from edge.durable import replace_file
from edge.normality import COLUMNS, HOURS, SCALARS, Normality, unpack
from edge.rarity import BINS, Tail

_log = structlog.get_logger(__name__)
NORMALITY = "normality"
"""Folder of the data folder for what cameras have learned of their usual motion."""
_MAGIC = b"sharpeyes normality 1"
_MARK = ".forget"
MAX_BYTES = 16 * 2**20
"""A larger file was not written by this."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What one rule of a camera has learned.

    Attributes:
        normality: counts by cell and hour.
        tail: how rare the rarest of each minute was, over weeks.
        recent: the same over a day.
        observed_min: minutes that were learned from, not faded.
        faded_s: Unix time to which the tails are faded.
    """

    normality: Normality
    tail: Tail
    recent: Tail
    observed_min: float
    faded_s: float


class NormalityStore:
    """One file a camera's rule, readable by the node's user only, whole or not at all.

    Args:
        folder: where they lie; made when the first is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> Learned | None:
        """What is kept under a name; None where nothing is.

        A file that is damaged is moved aside, beside the others, and that is logged.
        """
        path = self._path(name)
        try:
            with path.open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
            return _read(content)
        except FileNotFoundError:
            return None
        except OSError as exc:
            _log.warning("what is usual there cannot be read; it is learned anew", of=name, why=exc.strerror)
        except (ValueError, KeyError, TypeError) as exc:
            aside = path.with_name(f"{path.name}.damaged")
            _log.warning(
                "the file of what is usual there is damaged; it is moved aside and learned anew",
                of=name,
                file=aside.name,
                why=str(exc),
            )
            self._move(path, aside)
        return None

    def save(self, name: str, learned: Learned) -> None:
        """Keep it; where the disk refuses, that is logged, and it is known until the end."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path(name), _written(learned))
        except OSError as exc:
            _log.warning("what is usual there cannot be kept", of=name, why=exc.strerror)

    def ask_to_forget(self, camera_id: str) -> None:
        """Leave a mark that a camera is to forget; a node that runs finds it within a minute.

        Raises:
            OSError: the disk refuses.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / f"{camera_id}{_MARK}").touch(mode=0o600)

    def asked_to_forget(self, camera_id: str) -> bool:
        """Whether a camera is to forget."""
        return (self._folder / f"{camera_id}{_MARK}").exists()

    def forgotten(self, camera_id: str) -> None:
        """It has: take the mark away."""
        try:
            (self._folder / f"{camera_id}{_MARK}").unlink(missing_ok=True)
        except OSError as exc:
            _log.warning("the mark that a camera is to forget stays", camera=camera_id, why=exc.strerror)

    def drop(self, name: str) -> None:
        """Forget it; nothing happens where nothing is kept."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as exc:
            _log.warning("what is usual there cannot be forgotten", of=name, why=exc.strerror)

    def _move(self, path: Path, aside: Path) -> None:
        try:
            path.replace(aside)
        except OSError as exc:
            _log.warning("a damaged file cannot be moved aside", file=path.name, why=exc.strerror)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.normality"


def _written(learned: Learned) -> bytes:
    known = learned.normality
    hours = sorted(known.pages)
    told = {
        "key": known.key,
        "cells": known.cells,
        "landmark_s": known.landmark_s,
        "half_life_s": known.half_life_s,
        "hours": hours,
        "bytes": [len(known.pages[hour]) for hour in hours],
        "observed_min": learned.observed_min,
        "faded_s": learned.faded_s,
        "tail": _sparse(learned.tail),
        "recent": _sparse(learned.recent),
    }
    body = json.dumps(told).encode() + b"\n" + b"".join(known.pages[hour] for hour in hours)
    return b"%s\n%s\n%s" % (_MAGIC, hashlib.sha256(body).hexdigest().encode(), body)


def _sparse(tail: Tail) -> list[list[float]]:
    return [[int(k), float(tail.counts[k])] for k in np.flatnonzero(tail.counts)]


def _tail(told: list[list[float]]) -> Tail:
    counts = np.zeros(BINS)
    for k, count in told:
        counts[int(k)] = count
    return Tail(counts)


def _read(content: bytes) -> Learned:
    """What is kept; ValueError where a byte is wrong."""
    magic, _, rest = content.partition(b"\n")
    digest, _, body = rest.partition(b"\n")
    if magic != _MAGIC or digest.decode("ascii", "replace") != hashlib.sha256(body).hexdigest():
        raise ValueError("its checksum is wrong")
    # What follows was written as it is read: the digest has just shown it.
    head, _, packed = body.partition(b"\n")
    told: dict[str, Any] = json.loads(head)
    pages, at = {}, 0
    week = np.zeros(told["cells"] * COLUMNS + SCALARS)
    for hour, size in zip(told["hours"], told["bytes"], strict=True):
        pages[int(hour) % HOURS] = packed[at : at + size]
        week += unpack(packed[at : at + size])
        at += size
    known = Normality(
        told["key"], told["cells"], told["landmark_s"], told["half_life_s"], MappingProxyType(pages), week
    )
    return Learned(known, _tail(told["tail"]), _tail(told["recent"]), told["observed_min"], told["faded_s"])
