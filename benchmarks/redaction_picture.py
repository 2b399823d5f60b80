"""Draw what redaction makes of simulated people: `docs/pictures/redaction.png`, before and after.

python benchmarks/redaction_picture.py [--out FILE]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.events_seen import models
from benchmarks.redaction_scenes import spec_of
from benchmarks.redaction_seen import pictures
from edge.config import ModelConfig
from edge.cover import CoverOptions
from edge.looks import Look
from edge.redactor import Redactor, Sightings
from models.tracker import Tracker
from streams.gate import RateGate
from streams.picture import AvPicture
from streams.tiles import LUMA_SIZE

ROOT = Path(__file__).parent.parent
SHOWN = (("fall", 0, 30.0), ("surge", 0, 26.0))
"""Theme, seed and time of each row."""
AFTER_S = 2.0
PANEL = (480, 270)
TONES = 16
"""Steps of brightness that are kept: more make the file larger, and nothing clearer."""


def before_and_after(theme: str, seed: int, at_s: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(h, w, 3) uint8 each: a camera's picture, and the same in a clip."""
    used, gate, sightings = models(), RateGate(2.0), Sightings()
    tracker = Tracker(ModelConfig().threshold, np.random.default_rng(1))
    wanted: tuple[float, AvPicture] | None = None
    for pts_s, picture, _ in pictures(spec_of(theme, seed)):
        if wanted is None and pts_s >= at_s:
            wanted = pts_s, picture
        if gate.admit(pts_s):
            found = used.detector.detect(picture)
            sightings.take(Look.of(pts_s, picture.luma(*LUMA_SIZE), found, tracker.update(found, pts_s), 0))
        if pts_s > at_s + AFTER_S:
            break
    if wanted is None:
        raise ValueError(f"{theme} is over before {at_s} s")
    pts_s, picture = wanted
    redactor = Redactor(CoverOptions(), np.random.default_rng(seed))
    redacted = redactor.apply(picture, pts_s, sightings.around(pts_s, live=False))
    shown = picture.bgr(picture.width, picture.height)
    return shown, np.asarray(cv2.cvtColor(redacted.yuv, cv2.COLOR_YUV2BGR_I420), np.uint8)


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "redaction.png")
    out = parser.parse_args().out
    rows = []
    for theme, seed, at_s in SHOWN:
        panels = (
            cv2.resize(one, PANEL, interpolation=cv2.INTER_AREA)
            for one in before_and_after(theme, seed, at_s)
        )
        rows.append(np.hstack(list(panels)))
    step = 256 // TONES
    sheet = np.vstack(rows) // step * step + step // 2
    cv2.imwrite(str(out), sheet.astype(np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
