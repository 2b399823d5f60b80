"""How well detectors agree with each other on a folder of pictures, and how fast they are on one thread.

    python benchmarks/detector.py --pictures FOLDER [--models NAME ...] [--against MANIFEST] [--json]

Each model is compared with the first of `--models` (the INT8 weights with the FP32 ones they were made
from), and, with `--against`, counts how many of the persons that another detector is sure of it finds.
The INT8 weights were calibrated on every second picture of such a folder: `held out` is the other half.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import parsed, save, show
from models.bench import measure
from models.boxes import iou
from models.detections import Detections
from models.detector import Detector
from models.zoo import load_detector

MODELS = ("nanodet-g-416-fp32", "nanodet-g-416-int8")
SURE = 0.5
COUNTS = 0.35
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


class Photo:
    """A picture from a file."""

    def __init__(self, path: Path) -> None:
        pixels = cv2.imread(str(path))
        if pixels is None:
            raise ValueError(f"{path}: is not a picture")
        self._pixels = pixels
        self.height, self.width = pixels.shape[:2]

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        """The picture scaled: (height, width, 3) uint8."""
        return np.asarray(cv2.resize(self._pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def pairs(a: Detections, b: Detections) -> int:
    """How many of `a` pair one to one with a detection of `b` of the same class, IoU at least 0.5."""
    overlap = iou(a.xyxy, b.xyxy) * (a.labels[:, None] == b.labels[None])
    count = 0
    while overlap.size and overlap.max() >= 0.5:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        overlap[row], overlap[:, column] = 0, 0
        count += 1
    return count


def above(found: Detections, threshold: float, label: int | None = None) -> Detections:
    """The detections of at least that score, of one class if given."""
    keep = found.scores >= threshold
    return found.select(keep if label is None else keep & (found.labels == label))


def agreement(reference: Sequence[Detections], found: Sequence[Detections]) -> dict[str, float]:
    """F1 at equal thresholds, and the share of the reference found at a threshold 0.15 lower."""
    sure = [above(item, COUNTS) for item in reference]
    total = sum(len(item) for item in sure)
    same = [above(item, COUNTS) for item in found]
    both = sum(pairs(a, b) for a, b in zip(sure, same, strict=True))
    low = sum(pairs(a, above(b, COUNTS - 0.15)) for a, b in zip(sure, found, strict=True))
    return {
        "f1": 2 * both / max(total + sum(len(item) for item in same), 1),
        "found_at_lower_threshold": low / max(total, 1),
    }


def persons(sure: Sequence[Detections], found: Sequence[Detections], threshold: float) -> int:
    """How many persons of `sure` (score above 0.5) are in `found` at that threshold."""
    label = 0
    return sum(
        pairs(above(a, SURE, label), above(b, threshold, label)) for a, b in zip(sure, found, strict=True)
    )


def look(detector: Detector, photos: Sequence[Photo]) -> list[Detections]:
    """What the detector sees at a threshold of 0.1."""
    return [detector.detect(photo) for photo in photos]


def interleaved(detectors: Sequence[Detector], photo: Photo, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each detector, taking turns so that a busy machine is as busy for all."""
    totals: dict[str, list[float]] = {detector.name: [] for detector in detectors}
    for _ in range(rounds):
        for detector in detectors:
            start = time.perf_counter()
            box, tensor = detector.prepare(photo)
            detector.read(detector.session.run(tensor), box, 0.1)
            totals[detector.name].append(1e3 * (time.perf_counter() - start))
    return {name: {"median": float(np.median(times)), "best": min(times)} for name, times in totals.items()}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Everything the options ask for."""
    files = sorted(path for path in options.pictures.rglob("*") if path.suffix.lower() in SUFFIXES)
    photos = [Photo(path) for path in files]
    detectors = [load_detector(name) for name in options.models]
    seen = {detector.name: look(detector, photos) for detector in detectors}
    reference = seen[detectors[0].name]
    rows: dict[str, dict[str, Any]] = {
        name: {
            "agreement": agreement(reference, found),
            "agreement_held_out": agreement(reference[1::2], found[1::2]),
        }
        for name, found in seen.items()
    }
    if options.against is not None:
        judge = load_detector(str(options.against))
        sure = look(judge, photos)
        known = sum(len(above(item, SURE, 0)) for item in sure)
        for name, found in seen.items():
            rows[name]["persons"] = {f"{t:g}": persons(sure, found, t) for t in (0.25, 0.3, COUNTS)}
            rows[name]["persons_known"] = known
        detectors.append(judge)
        rows[judge.name] = {}
    wide = Photo(max(files, key=_aspect))
    for name, times in interleaved(detectors, wide, options.rounds).items():
        rows[name]["ms"] = times
    for detector in detectors:
        timing = measure(detector, rounds=options.rounds)
        rows[detector.name]["ms_720p"] = {
            "size": timing.input_size,
            "prepare": timing.prepare.median,
            "infer": timing.infer.median,
            "read": timing.read.median,
        }
    return {"pictures": len(files), "models": rows}


def _aspect(path: Path) -> float:
    photo = Photo(path)
    return float(photo.width / photo.height)


def main() -> None:
    """Command line."""
    options = parsed(
        __doc__,
        ("--pictures", {"type": Path, "required": True, "help": "folder of pictures"}),
        ("--models", {"nargs": "+", "default": MODELS, "help": "reference first"}),
        ("--against", {"type": Path, "help": "manifest of another detector to count persons by"}),
        ("--rounds", {"type": int, "default": 50, "help": "measurements of each time"}),
        quick=None,
    )
    result = compare(options)
    show(
        f"{result['pictures']} pictures",
        ["model", "F1 with the first", "held out", "persons", "of", "prepare ms", "infer ms", "read ms"],
        [
            [
                name,
                row.get("agreement", {}).get("f1", "-"),
                row.get("agreement_held_out", {}).get("f1", "-"),
                " ".join(f"{t}: {n}" for t, n in row.get("persons", {}).items()) or "-",
                row.get("persons_known", "-"),
                *(row["ms_720p"][stage] for stage in ("prepare", "infer", "read")),
            ]
            for name, row in result["models"].items()
        ],
    )
    if options.json:
        print(json.dumps(result))
    save("detector", result)


if __name__ == "__main__":
    main()
