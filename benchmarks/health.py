"""How surely a camera's own faults are told, how soon, and how rarely where there are none.

    python benchmarks/health.py [--seeds 1-6] [--fps 5 2 1] [--places ...] [--quick] [--json FILE]

Simulated cameras of several places, scenarios and sizes fail in each way of the simulator, or do not, under
any weather; their pictures are encoded with a keyframe every two seconds and decoded as a camera's are. The
small brightness of the pictures that are looked at, at so many a second, is all that is used: no detector
runs. An alarm is right where it overlaps a fault of its kind in time, give or take two seconds; every other
one is false. Told are, for each fault: recall, precision, and the delay that nineteen of twenty keep; for
scenes without a fault: false alarms; and what a look takes.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import machine
from edge.config import CameraConfig
from edge.eyesight import Eyesight
from edge.site import Site
from edge.steadiness import Steadiness
from streams.picture import AvPicture
from streams.sim.clip import scene_truth
from streams.sim.encode import Encoder, EncoderOptions
from streams.sim.lens import Lens
from streams.sim.spec import SceneSpec
from streams.sim.truth import TruthEvent

FAULTS = (
    "freeze", "freeze:clock", "dark", "dark:gradual", "blurred", "covered:hand", "covered:cloth",
    "covered:spray", "moved:turn", "moved:tilt",
)  # fmt: skip
WEATHER = (
    "",
    "rain",
    "rain:3",
    "trees",
    "shadows",
    "shadows:2",
    "headlights",
    "headlights:2",
    "insects:3",
    "changing",
)
SCENES = (
    ("plaza", "walk", (640, 360)),
    ("passage", "counterflow", (640, 360)),
    ("stadium", "crowding", (1280, 720)),
    ("gate", "walk", (1280, 720)),
    ("platform", "walk", (640, 360)),
    ("plaza", "crowding", (1280, 720)),
    ("passage", "walk", (960, 540)),
    ("stadium", "walk", (640, 360)),
)
BEGIN_S, END_S, SECONDS = 25.0, 50.0, 65.0
KEYFRAME_S = 2.0
GRACE_S = 2.0
RENDER_FPS = 5.0

Alarm = tuple[str, float, float]


@dataclass(frozen=True)
class Case:
    """A scene, and what is wrong with its camera or with the weather."""

    place: str
    scenario: str
    size: tuple[int, int]
    seed: int
    fault: str = ""
    weather: str = ""

    @property
    def spec(self) -> SceneSpec:
        """As the simulator takes it."""
        fault = f"{self.fault}@{BEGIN_S:g}-{END_S:g}" if self.fault else ""
        return SceneSpec(
            self.scenario, self.place, self.seed, self.size, 12.5, SECONDS, weather=self.weather, fault=fault
        )


def pictures(spec: SceneSpec) -> list[NDArray[np.uint8]]:
    """What the node sees of it, `RENDER_FPS` times a second: (180, 320) uint8 each."""
    lens, scene = Lens(spec), spec.scene()
    encoder = Encoder(EncoderOptions(spec.size, RENDER_FPS, "live", gop=round(KEYFRAME_S * RENDER_FPS)))
    decoder = av.CodecContext.create("h264", "r")
    seen = []
    for k in range(round(SECONDS * RENDER_FPS)):
        moment = scene.at(k / RENDER_FPS)
        (packet,) = encoder.encode(lens.shoot(moment).yuv, k / RENDER_FPS)
        seen += [AvPicture(frame).luma(320, 180) for frame in decoder.decode(packet)]
    seen += [AvPicture(frame).luma(320, 180) for frame in decoder.decode(None)]
    return seen


def alarms(seen: Sequence[NDArray[np.uint8]], fps: float, costs: dict[str, list[float]]) -> list[Alarm]:
    """Kind, beginning and end of what is told, in camera seconds."""
    camera = CameraConfig.model_validate({"id": "gate", "source": "x.mp4"})
    eyes, steady = Eyesight(camera.health), Steadiness(camera, Site.from_config(camera), None)
    open_: dict[str, float] = {}
    told: list[Alarm] = []
    for k in sorted({int(n * RENDER_FPS / fps + 1e-6) for n in range(int(SECONDS * fps))}):
        pts_s = k / RENDER_FPS
        for name, part in (("eyesight", eyes), ("steadiness", steady)):
            if part.due(pts_s) and (name == "eyesight" or eyes.blind is None):
                began = time.thread_time()
                part.look(seen[k], pts_s)
                costs[name].append((time.thread_time() - began) * 1e6)
        for one in (*eyes.observations(), steady.observation()):
            if one.level is not None:
                open_.setdefault(one.kind, pts_s)
            elif one.kind in open_:
                told.append((one.kind, open_.pop(one.kind), pts_s))
    return [*told, *((kind, begin_s, SECONDS) for kind, begin_s in open_.items())]


def cases(seeds: Sequence[int], places: Sequence[str]) -> Iterator[Case]:
    """Each fault, and each weather, at a scene of its own for each seed."""
    scenes = [scene for scene in SCENES if not places or scene[0] in places]
    for seed in seeds:
        for n, fault in enumerate(FAULTS):
            yield Case(*scenes[(seed + n) % len(scenes)], seed, fault=fault)
        for n, weather in enumerate(WEATHER):
            yield Case(*scenes[(seed + 3 * n) % len(scenes)], seed, weather=weather)


def score(case: Case, truth: Sequence[TruthEvent], told: Sequence[Alarm]) -> dict[str, Any]:
    """Which alarms are right, and what was not told."""
    wanted = [event for event in truth if event.kind.startswith("camera.")]
    right = [
        (kind, begin_s)
        for kind, begin_s, end_s in told
        for event in wanted
        if event.kind == kind and begin_s <= event.end_s + GRACE_S and end_s >= event.begin_s - GRACE_S
    ]
    hits = {kind for kind, _ in right}
    delay = min(
        (begin_s - event.begin_s for kind, begin_s in right for event in wanted if event.kind == kind),
        default=None,
    )
    return {
        "fault": case.fault or "none",
        "kind": wanted[0].kind if wanted else "none",
        "place": case.place,
        "scenario": case.scenario,
        "seed": case.seed,
        "weather": case.weather,
        "told": bool(hits),
        "delay_s": delay,
        "false": [kind for kind, begin_s, _ in told if (kind, begin_s) not in right],
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By kind of fault: recall, precision and delay; and what is told where there is none."""
    table = {}
    for kind in sorted({row["kind"] for row in rows} - {"none"}):
        mine = [row for row in rows if row["kind"] == kind]
        hits = [row for row in mine if row["told"]]
        false = sum(row["false"].count(kind) for row in rows)
        delays = [max(row["delay_s"], 0.0) for row in hits]
        table[kind] = {
            "cases": len(mine),
            "recall": round(len(hits) / len(mine), 3),
            "precision": round(len(hits) / (len(hits) + false), 3) if hits or false else None,
            "delay_p50_s": round(float(np.percentile(delays, 50)), 1) if delays else None,
            "delay_p95_s": round(float(np.percentile(delays, 95)), 1) if delays else None,
        }
    calm = [row for row in rows if row["kind"] == "none"]
    return {"faults": table, "calm_scenes": len(calm), "calm_false": sum(len(row["false"]) for row in calm)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="1-6", help="first and last, as in 1-6")
    parser.add_argument("--fps", type=float, nargs="+", default=[5.0, 2.0, 1.0])
    parser.add_argument("--places", nargs="*", default=[])
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    first, _, last = arguments.seeds.partition("-")
    seeds = [int(first)] if arguments.quick else list(range(int(first), int(last or first) + 1))
    rows: dict[float, list[dict[str, Any]]] = {fps: [] for fps in arguments.fps}
    costs: dict[str, list[float]] = {"eyesight": [], "steadiness": []}
    for case in cases(seeds, arguments.places):
        truth, seen = scene_truth(case.spec), pictures(case.spec)
        for fps in arguments.fps:
            row = score(case, truth, alarms(seen, fps, costs))
            rows[fps].append(row)
            if row["false"] or row["told"] != (row["kind"] != "none"):
                print(f"  {fps:g} fps: {row}")
        sys.stdout.flush()
    result = {f"{fps:g}": summary(found) for fps, found in rows.items()}
    took = {
        name: {"us_mean": round(float(np.mean(us))), "us_p99": round(float(np.percentile(us, 99)))}
        for name, us in costs.items()
    }
    report = {"machine": machine(), "seeds": seeds, "fps": result, "look": took}
    print(json.dumps(report, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
