"""Simulated cameras for the redaction benchmark: what was looked at, and where heads really were.

A scene is drawn, encoded as a camera would, decoded, and looked at with the shipped detector and tracker at
the analysis' rate. The recording keeps of each picture its small brightness, the pixels that show heads with
their brightness as decoded, and the looks; covers can then be planned on it as often as the planner changes.
"""

import hashlib
import pickle
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import CACHE
from benchmarks.events_seen import models
from edge.config import ModelConfig
from models.density import HeadMap
from models.detections import Detections, Tracks
from models.tracker import Tracker
from streams.decode import Decoder
from streams.gate import RateGate
from streams.packet import Packet, StreamInfo
from streams.picture import AvPicture
from streams.sim.encode import Encoder, EncoderOptions
from streams.sim.lens import Lens
from streams.sim.spec import SceneSpec
from streams.tiles import LUMA_SIZE

FOLDER = CACHE.parent / "redaction"


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What the analysis saw of a picture.

    Attributes:
        found: objects, low scores included.
        tracks: confirmed ones.
        heads: the head counter's map.
    """

    found: Detections
    tracks: Tracks
    heads: HeadMap | None


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One picture of the camera.

    Attributes:
        pts_s: camera time.
        luma: (180, 320) uint8.
        at: (n,) int32, numbers of the pixels that show heads, row by row.
        whose: (n,) int16, which person's in this picture.
        bright: (n,) uint8, brightness of these pixels as decoded.
        looked: what the analysis saw; None where it did not look at this picture.
    """

    pts_s: float
    luma: NDArray[np.uint8]
    at: NDArray[np.int32]
    whose: NDArray[np.int16]
    bright: NDArray[np.uint8]
    looked: Looked | None


def pictures(spec: SceneSpec, *, night: bool = False) -> Iterator[tuple[float, AvPicture, NDArray[np.int16]]]:
    """A camera's pictures as decoded: time, picture, and (h, w) whose head each pixel shows, -1 for none.

    Args:
        spec: the scene.
        night: whether there is a quarter of the contrast, and the noise of a sensor that is turned up.
    """
    scene, lens, rng = spec.scene(), Lens(spec), np.random.default_rng(spec.seed)
    encoder, decoder = (
        Encoder(EncoderOptions(spec.size, spec.fps)),
        Decoder(StreamInfo("h264", *spec.size, duration_s=spec.seconds)),
    )
    for index in range(spec.pictures or 0):
        pts_s = index / spec.fps
        shot = lens.shoot(scene.at(pts_s), heads=True)
        assert shot.heads is not None  # noqa: S101 - asked for above
        (payload,) = encoder.encode(_darkened(shot.yuv, rng) if night else shot.yuv, pts_s)
        for decoded in decoder.decode(Packet(pts_s, payload.size, payload.is_keyframe, payload)):
            yield pts_s, decoded.picture, shot.heads


def _darkened(yuv: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    height = yuv.shape[0] * 2 // 3
    light = 40.0 + (yuv[:height].astype(np.float32) - 100.0) / 4.0
    light += 4.0 * rng.standard_normal(light.shape, np.float32)
    # Such cameras see no colour.
    return np.concatenate((np.clip(light, 16, 235).astype(np.uint8), np.full_like(yuv[height:], 128)))


def recorded(spec: SceneSpec, fps: float, *, night: bool = False) -> Iterator[Shown]:
    """Every picture of a scene, from a recording under `.work/redaction` or into one.

    Args:
        spec: the scene.
        fps: looks a second.
        night: as `pictures` takes it.
    """
    key = hashlib.sha256(f"{spec}-{fps:g}-{night}-{_sources()}".encode()).hexdigest()[:20]
    path = FOLDER / f"{key}.pickle"
    if path.exists():
        yield from _kept(path)
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        for shown in _seen(spec, fps, night):
            pickle.dump(zlib.compress(pickle.dumps(shown), 1), file)
            yield shown
    unfinished.replace(path)


def _kept(path: Path) -> Iterator[Shown]:
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.loads(zlib.decompress(pickle.load(file)))  # noqa: S301 - this benchmark wrote it
            except EOFError:
                return


def _seen(spec: SceneSpec, fps: float, night: bool) -> Iterator[Shown]:
    used, gate = models(), RateGate(fps)
    tracker = Tracker(ModelConfig().threshold, np.random.default_rng(1))
    for pts_s, picture, heads in pictures(spec, night=night):
        looked = None
        if gate.admit(pts_s):
            found = used.detector.detect(picture)
            counted = used.density.count(picture) if used.density is not None else None
            looked = Looked(found, tracker.update(found, pts_s), counted)
        at = np.flatnonzero(heads >= 0).astype(np.int32)
        bright = picture.luma(*spec.size).reshape(-1)[at]
        yield Shown(pts_s, picture.luma(*LUMA_SIZE), at, heads.reshape(-1)[at], bright, looked)


@cache
def _sources() -> str:
    """What tells the code that a recording depends on from other code."""
    root = Path(__file__).parents[1]
    names = (
        "models/tracker.py",
        "models/detector.py",
        "models/weights/nanodet-g-416-int8.toml",
        "streams/picture.py",
    )
    paths = [*sorted((root / "streams" / "sim").glob("*.py")), *(root / name for name in names)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
