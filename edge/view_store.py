"""Backgrounds of cameras on the node's own disk, so that one turned while it was off is noticed.

They never leave the node: no event, page or file of evidence holds them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import structlog

from edge.config import CameraConfig
from edge.durable import replace_file
from edge.sections import GroundPoint
from streams.shift import STILL, Backdrop, Shift
from streams.tiles import LUMA_SIZE

_log = structlog.get_logger(__name__)
_MAGIC = b"sharpeyes view 1"
_PIXELS = LUMA_SIZE[0] * LUMA_SIZE[1]
_EACH = _PIXELS + _PIXELS // 8


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """How a view looked at one time of the day.

    Attributes:
        backdrop: the place without people.
        offset: how it was shifted against the first one.
    """

    backdrop: Backdrop
    offset: Shift = field(default=STILL)


Appearances = tuple[Appearance, ...]
"""The first is that of the calibration."""


def view_key(camera: CameraConfig) -> str:
    """What tells one set-up of a camera from another, 64 hex digits: its calibration, or else its places."""
    if camera.ground:
        return calibration_key(camera.ground)
    places = [[zone.id, zone.polygon] for zone in camera.zones] + [[ln.id, ln.points] for ln in camera.lines]
    return hashlib.sha256(b"in the picture" + json.dumps(places).encode()).hexdigest()


def calibration_key(ground: Sequence[GroundPoint]) -> str:
    """What tells one calibration from another: a hash of its surveyed points, 64 hex digits."""
    points = [[list(point.image), list(point.ground)] for point in ground]
    return hashlib.sha256(json.dumps(points).encode()).hexdigest()


class ViewStore:
    """One small file a camera, readable by the node's user only, whole or not at all.

    Args:
        folder: where they lie; made when the first is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, camera_id: str, key: str) -> Appearances:
        """What is kept of a camera with this calibration; none where nothing is, or nothing can be read.

        A file that is damaged or of another calibration is as none, which is logged.
        """
        path = self._path(camera_id)
        try:
            known_key, kept = _read(path.read_bytes())
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as exc:
            _log.warning(
                "the kept view of a camera cannot be read; it is learned anew, and whether the camera was "
                "moved meanwhile goes unnoticed",
                camera=camera_id,
                why=str(exc),
            )
            return ()
        if known_key != key:
            _log.info("new calibration or new places: the camera's view is learned anew", camera=camera_id)
            return ()
        return kept

    def save(self, camera_id: str, key: str, kept: Appearances) -> None:
        """Keep a camera's view; where the disk refuses, that is logged, and it is known until the end."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path(camera_id), _written(key, kept))
        except OSError as exc:
            _log.warning("the view of a camera cannot be kept", camera=camera_id, why=exc.strerror)

    def _path(self, camera_id: str) -> Path:
        return self._folder / f"{camera_id}.view"


def _written(key: str, kept: Appearances) -> bytes:
    offsets = [[a.offset.turn.real, a.offset.turn.imag, a.offset.step.real, a.offset.step.imag] for a in kept]
    body = json.dumps({"calibration": key, "offsets": offsets}).encode() + b"\n"
    for one in kept:
        body += one.backdrop.grey.tobytes() + np.packbits(one.backdrop.known).tobytes()
    return b"%s\n%s\n%s" % (_MAGIC, hashlib.sha256(body).hexdigest().encode(), body)


def _read(content: bytes) -> tuple[str, Appearances]:
    """The calibration's key and what is kept; ValueError where a byte is wrong."""
    magic, _, rest = content.partition(b"\n")
    digest, _, body = rest.partition(b"\n")
    if magic != _MAGIC or digest.decode("ascii", "replace") != hashlib.sha256(body).hexdigest():
        raise ValueError("it is damaged")
    # What follows was written as it is read: the digest has just shown it.
    head, _, pixels = body.partition(b"\n")
    told = json.loads(head)
    kept = []
    for k, (a, b, x, y) in enumerate(told["offsets"]):
        part = np.frombuffer(pixels, np.uint8, _EACH, k * _EACH)
        grey = part[:_PIXELS].reshape(LUMA_SIZE[::-1])
        known = np.unpackbits(part[_PIXELS:]).astype(np.bool_).reshape(LUMA_SIZE[::-1])
        kept.append(Appearance(Backdrop(grey, known), Shift(complex(a, b), complex(x, y))))
    return str(told["calibration"]), tuple(kept)
