"""How well walking people calibrate a camera: simulated cameras, the shipped detector, ten seeds.

    python benchmarks/calibration.py [--seeds 10] [--minutes 2] [--size 960x540] [--json FILE]
    python benchmarks/calibration.py --by-hand    # surveyed points and rectangles instead: seconds

Each seed is another crowd, light and detector noise; places take turns. Compared with the simulator's own
camera at the middle and the far end of where people walked: lengths and areas, and the error that was told.
"""

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from edge.calibrate import from_points, from_rectangle
from edge.calibrate_walkers import from_walks
from edge.calibration import Calibration
from edge.config import CameraConfig, ModelConfig, SourceConfig
from edge.errors import SiteError
from edge.offline import open_clip, pictures
from edge.plane_error import CLICK
from edge.walkers import WalkerLog
from models.tracker import Tracker
from models.zoo import load_detector
from streams.gate import RateGate
from streams.sim.camera import Camera
from streams.sim.places import PLACES

FPS = 5.0


def watch(url: str, minutes: float) -> WalkerLog:
    """People in a simulated source, as the node's detector and tracker see them."""
    model = ModelConfig()
    detector, tracker = load_detector(model.detector), Tracker(model.threshold, np.random.default_rng(1))
    gate, log = RateGate(FPS), WalkerLog(16 / 9)
    with closing(open_clip(CameraConfig(id="sim", source=SourceConfig(main=SecretStr(url))))) as source:
        for decoded in pictures(source):
            pts_s = decoded.pts_s or 0.0
            if pts_s > minutes * 60:
                break
            if gate.admit(pts_s):
                log.add(tracker.update(detector.detect(decoded.picture), pts_s), pts_s)
    return log


def compare(found: Calibration, camera: Camera) -> dict[str, float]:
    """Relative errors of areas at both spots, with those told, and of the camera's numbers."""
    matrix = camera.homography
    row: dict[str, float] = {}
    for spot, name in zip(found.spots, ("middle", "far"), strict=True):
        at = np.array([spot.image])
        w = (at @ matrix[2, :2] + matrix[2, 2])[0]
        true = abs(np.linalg.det(matrix) / w**3)
        row[f"area_{name}"] = float(found.plane.area_scale(at)[0] / true - 1)
        row[f"told_{name}"] = spot.area_error
    if found.pinhole is not None:
        row["height"] = found.pinhole.height_m / camera.height_m - 1
        row["hfov_deg"] = found.pinhole.hfov_deg - camera.hfov_deg
        row["tilt_deg"] = found.pinhole.tilt_deg - camera.tilt_deg
    return row


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """A row a seed and lens: unknown and known."""
    names = list(PLACES)
    for seed in range(arguments.seeds):
        place = PLACES[names[seed % len(names)]]
        url = (
            f"sim://{place.name}?scenario=walk&seed={seed}&size={arguments.size}&fps={FPS:g}"
            f"&seconds={arguments.minutes * 60:g}"
        )
        walks = watch(url, arguments.minutes).walks()
        for hfov_deg in (None, place.camera.hfov_deg):
            head = {"seed": seed, "place": place.name, "lens": "known" if hfov_deg else "unknown"}
            try:
                found = from_walks(walks, np.random.default_rng(1), hfov_deg)
            except SiteError as error:
                yield {**head, "refused": str(error)}
                continue
            yield {**head, "walkers": walks.walkers, **compare(found, place.camera)}


SURVEY = ((-3, 8), (3, 8), (-5, 13), (5, 13), (-7, 21), (7, 21), (0, 17))
"""Seven points on the ground, in metres, spread over what a camera at 4 to 5 m watches."""
SPOTS = ((0.0, 12.0), (0.0, 22.0))
"""Middle and far end."""
TAPE_M = 0.03


def _around(width_m: float, length_m: float, near_m: float = 8.0) -> NDArray[np.float64]:
    half, far = width_m / 2, near_m + length_m
    return np.array([(-half, near_m), (half, near_m), (half, far), (-half, far)])


def by_hand(tries: int = 60) -> Iterator[dict[str, object]]:
    """Root mean square errors of areas by way and camera, with clicks and tape as wrong as usual."""
    ways = {"7 points": None, "12x8 m": (12.0, 8.0), "3x5 m": (3.0, 5.0)}
    for (way, sides), place in itertools.product(ways.items(), PLACES.values()):
        if place.camera.height_m > 5:
            continue
        errors, refused = [], 0
        for seed in range(tries):
            rng = np.random.default_rng(seed)
            spots = np.array(SURVEY, np.float64) if sides is None else _around(*sides)
            clicked = place.camera.project(spots) + rng.normal(0, CLICK, spots.shape) * (9 / 16, 1)
            try:
                if sides is None:
                    found = from_points(clicked, spots + rng.normal(0, TAPE_M, spots.shape))
                else:
                    width_m, length_m = rng.normal(sides, TAPE_M).tolist()
                    found = from_rectangle(clicked, width_m, length_m)
            except SiteError:
                refused += 1
                continue
            errors.append([_area_error(found, place.camera, spot) for spot in SPOTS])
        middle, far = np.sqrt((np.array(errors) ** 2).mean(axis=0)).tolist()
        yield {"way": way, "place": place.name, "middle": middle, "far": far, "refused": refused}


def _area_error(found: Calibration, camera: Camera, spot: tuple[float, float]) -> float:
    at, matrix = camera.project(np.array([spot])), camera.homography
    true = abs(np.linalg.det(matrix) / (at @ matrix[2, :2] + matrix[2, 2])[0] ** 3)
    return float(found.plane.area_scale(at)[0] / true - 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Calibration by walkers against the simulator's truth")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--size", default="960x540")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--by-hand", action="store_true")
    arguments = parser.parse_args()
    if arguments.by_hand:
        for row in by_hand():
            print(" ".join(f"{k}={v:.4f}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()))
        return
    rows = []
    for row in measure(arguments):
        rows.append(row)
        print(" ".join(f"{k}={v:.3f}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()))
        sys.stdout.flush()
    summary: dict[str, object] = {}
    for lens in ("unknown", "known"):
        told = [row for row in rows if row["lens"] == lens and "refused" not in row]
        for name in ("middle", "far"):
            error = np.array([row[f"area_{name}"] for row in told], np.float64)
            expected = np.array([row[f"told_{name}"] for row in told], np.float64)
            if len(error):
                summary[f"{lens}_{name}"] = {
                    "n": len(error),
                    "bias": round(float(error.mean()), 4),
                    "rms": round(math.sqrt(float((error**2).mean())), 4),
                    "worst": round(float(np.abs(error).max()), 4),
                    "told": round(float(expected.mean()), 4),
                    "within_two_told": int((np.abs(error) < 2 * expected).sum()),
                }
        summary[f"{lens}_refused"] = sum("refused" in row for row in rows if row["lens"] == lens)
    print(json.dumps(summary, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "summary": summary}, indent=1) + "\n")


if __name__ == "__main__":
    main()
