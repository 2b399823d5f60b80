"""How many cameras a box carries, beside the loop that every tutorial writes; both in one run, turn by turn.

    python benchmarks/throughput.py --quick            # two minutes
    python benchmarks/throughput.py --json

Each system analyses the same simulated 1080p25 H.264 clips as fast as it can on all cores, a process a core;
cameras per box are the seconds of video done per second. People are in the picture all the time.

naive   `cv2.VideoCapture`, every frame at full size into the FP32 model, 416 x 416
ours    the product's own line: every frame decoded, five a second scaled in one step into the INT8 model

Tracking and rules are the same for both, so that their events can be compared with the truth.
"""

import argparse
import json
import multiprocessing as mp
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import scenes
from benchmarks.common import save, show
from edge.config import CameraConfig, ModelConfig, NodeConfig
from edge.events import Event, EventContext
from edge.identifiers import Uuid7
from edge.offline import EPOCH, analyse
from edge.watch import CameraWatch
from models.detector import Detector
from models.manifest import ModelFile
from models.session import Session
from models.tracker import Tracker
from models.zoo import find_model, load_detector
from streams.picture import ArrayPicture
from streams.sim.spec import SceneSpec

KINDS = ("hazard.intrusion", "hazard.line")
Told = list[tuple[float, Event]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure: (scenario, place, seed) of each clip, its seconds, and turns a system."""

    clips: tuple[tuple[str, str, int], ...]
    seconds: float
    rounds: int


QUICK = Effort((("intrusion", "plaza", 1), ("line", "gate", 2)), 16.0, 2)
FULL = Effort(
    (("intrusion", "plaza", 1), ("line", "gate", 2), ("intrusion", "plaza", 5), ("line", "gate", 6)), 40.0, 3
)


def square_fp32() -> Detector:
    """The FP32 model on a square input, as its own examples use it."""
    model = find_model("nanodet-g-416-fp32")
    manifest = model.manifest.model_copy(
        update={"input": model.manifest.input.model_copy(update={"stride": 0})}
    )
    square = ModelFile(manifest, model.path)
    return Detector(square, Session(square))


def naive(camera: CameraConfig, detector: Detector) -> Told:
    """Every frame, decoded to a full BGR picture, into the model."""
    import cv2

    numbers = iter(range(1, 1 << 30))
    new_id = Uuid7(lambda: EPOCH)
    context = EventContext("naive", "000000", new_id, camera.id)
    watch = CameraWatch(camera, detector, context, Tracker(rng=np.random.default_rng(1)), new_id)
    capture = cv2.VideoCapture(camera.source.get_secret_value())
    fps = capture.get(cv2.CAP_PROP_FPS)
    told: Told = []
    pts_s, more = 0.0, True
    while more:
        more, picture = capture.read()
        if more:
            pts_s = next(numbers) / fps
            drafts = watch.update(
                detector.detect(ArrayPicture(np.asarray(picture, np.uint8))),
                pts_s,
                EPOCH + timedelta(seconds=pts_s),
            )
        else:
            drafts = watch.close(EPOCH)
        told += [(pts_s, Event.number(draft, 1)) for draft in drafts]
    capture.release()
    return told


def ours(camera: CameraConfig, detector: Detector) -> Told:
    """The product's line."""
    steps = analyse(camera, NodeConfig(), ModelConfig(), detector)
    return [(step.pts_s, event) for step in steps for event in step.events]


System = tuple[Callable[[], Detector], Callable[[CameraConfig, Detector], Told]]
SYSTEMS: dict[str, System] = {
    "naive": (square_fp32, naive),
    "ours": (lambda: load_detector("nanodet-g-416-int8"), ours),
}


def _work(
    system: str, clips: Sequence[tuple[scenes.Clip, CameraConfig]], barrier: Barrier, out: "mp.Queue[Any]"
) -> None:
    load, run = SYSTEMS[system]
    detector = load()
    barrier.wait()
    started_s = time.perf_counter()
    score = scenes.Score(0, 0, 0)
    for clip, camera in clips:
        score += scenes.score(clip.truth, scenes.incidents(run(camera, detector)), KINDS)
    out.put((started_s, time.perf_counter(), score))


def turn(system: str, clips: Sequence[scenes.Clip], seconds: float) -> tuple[float, scenes.Score]:
    """One turn of a system on all cores: seconds of video per second, and how its events compare."""
    cores = os.cpu_count() or 1
    watched = [(clip, scenes.camera(clip, [{"kind": kind} for kind in KINDS])) for clip in clips]
    shares = [watched[k::cores] for k in range(cores)]
    shares = [share or watched[:1] for share in shares]
    context = mp.get_context("spawn")
    barrier, out = context.Barrier(cores), context.Queue()
    workers = [context.Process(target=_work, args=(system, share, barrier, out)) for share in shares]
    for worker in workers:
        worker.start()
    results = [out.get() for _ in workers]
    for worker in workers:
        worker.join()
    wall_s = max(end for _, end, _ in results) - min(start for start, _, _ in results)
    total = scenes.Score(0, 0, 0)
    for _, _, score in results:
        total += score
    return sum(map(len, shares)) * seconds / wall_s, total


def render(effort: Effort) -> list[scenes.Clip]:
    """The clips, from the last run where they are there."""
    clips = []
    with Progress(console=Console(stderr=True)) as progress:
        for scenario, place, seed in effort.clips:
            task = progress.add_task(f"rendering {scenario} at the {place}", total=None)

            def tell(done: int, total: int, task: Any = task) -> None:
                progress.update(task, completed=done, total=total)

            spec = SceneSpec(scenario, place, seed, (1920, 1080), 25.0, effort.seconds)
            clips.append(scenes.clip(spec, tell))
            progress.update(task, completed=1, total=1)
    return clips


def measure(effort: Effort) -> dict[str, Any]:
    """Turn by turn, so that a machine that changes its speed changes it for both."""
    clips = render(effort)
    speeds: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    scores: dict[str, scenes.Score] = {}
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("measuring", total=effort.rounds * len(SYSTEMS))
        for _ in range(effort.rounds):
            for name, found in speeds.items():
                speed, scores[name] = turn(name, clips, effort.seconds)
                found.append(speed)
                progress.advance(task)
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    ratios = [a / b for a, b in zip(speeds["ours"], speeds["naive"], strict=True)]
    show(
        f"Cameras per box, 1080p25, {len(clips)} clips of {effort.seconds:g} s",
        ("system", "cameras", "least", "most", "event recall", "precision"),
        [
            (name, medians[name], min(found), max(found), scores[name].recall, scores[name].precision)
            for name, found in speeds.items()
        ],
    )
    return {
        "cameras": round(medians["ours"], 2),
        "ratio_to_naive": round(statistics.median(ratios), 2),
        "event_recall": round(scores["ours"].recall, 4),
        "event_precision": round(scores["ours"].precision, 4),
        "naive_cameras": round(medians["naive"], 2),
        "naive_event_recall": round(scores["naive"].recall, 4),
    }


def main() -> None:
    """Run it as a program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two short clips, two turns each")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    args = parser.parse_args()
    result = measure(QUICK if args.quick else FULL)
    save("throughput-quick" if args.quick else "throughput", result)
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
