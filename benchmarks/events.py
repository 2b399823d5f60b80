"""Rules of hazards and of camera health against the simulator's truth: precision, recall, delay.

    python benchmarks/events.py                                  five seeds of everything
    python benchmarks/events.py --scenarios intrusion fall --seeds 0-29 --processes 2
    python benchmarks/events.py --fps 2 --size 640x360 --angles --json

Scenes are streamed as H.264 and go through the product's decoder, detector, tracker and rules. How alarms
and events are matched is in `benchmarks/events_score.py`, which scenes there are in `events_scenes.py`.
Every camera has the rules that its zones ask for, and those of camera health; so each scene shows false
alarms of all of them. `distractors` plays nothing but what must not be told of: each type's false alarms a
camera-day are of those hours alone. With `--keep`, what the models saw is kept under `.work/events` (20 MB
a scene) and taken the next time: then only rules are new.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import parsed, save, say, show
from benchmarks.events_scenes import THEMES, Scene, Theme, scene_of
from benchmarks.events_score import Tally, judge, per_day
from benchmarks.events_seen import looks, watch
from streams.errors import SourceUrlError
from streams.service import Service
from streams.sim.spec import parse_size


@dataclass(frozen=True, slots=True)
class Result:
    """How one scene was judged."""

    scene: Scene
    tallies: Mapping[str, Tally]
    seconds: float
    fps: float


def run(scene: Scene, keep: bool) -> Result:
    """Watch a scene and compare."""
    camera, heads = scene.camera, "count" if scene.theme.scenario == "surge" else "skip"
    watched = watch(camera, looks(camera, heads, keep))
    name = f"{scene.theme.name} {scene.spec.place} seed {scene.spec.seed}"
    return Result(scene, judge(name, scene.truth, watched), watched.seconds, watched.fps)


def every(scenes: Sequence[Scene], processes: int, keep: bool) -> Iterator[Result]:
    """All of them, in any order."""
    if processes <= 1:
        for scene in scenes:
            yield run(scene, keep)
        return
    # Each process is to keep to one core; a fresh one reads this before its libraries start.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(run, scene, keep) for scene in scenes]):
            yield done.result()


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Figures by type, of all scenes, and false alarms of those in which nothing happens."""
    by_type: dict[str, Tally] = {}
    false: dict[str, int] = {}
    quiet_s = sum(one.seconds for one in results if not one.scene.theme.kinds)
    for one in results:
        for kind, tally in one.tallies.items():
            by_type.setdefault(kind, Tally()).add(tally)
            if not one.scene.theme.kinds:
                false[kind] = false.get(kind, 0) + tally.alarms - tally.right
    types = {kind: tally.row for kind, tally in sorted(by_type.items())}
    for kind, row in types.items():
        row["false_alarms_per_camera_day"] = per_day(false.get(kind, 0), quiet_s) if quiet_s else None
    return {
        "types": types,
        "scenes": len(results),
        "hours": sum(one.seconds for one in results) / 3600,
        "distractor_hours": quiet_s / 3600,
        "false_alarms": sum(false.values()),
        "false_alarms_per_camera_day": per_day(sum(false.values()), quiet_s) if quiet_s else None,
        "analysed_fps": min((one.fps for one in results), default=None),
        "wrong": [text for tally in by_type.values() for text in tally.wrong],
    }


def report(result: Mapping[str, Any]) -> None:
    """Print what people look at."""

    def text(value: object) -> object:
        return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else value

    keys = ("events", "recall", "alarms", "precision", "delay_p50_s", "delay_p95_s")
    rows = [
        [kind, *(text(row[key]) for key in keys), text(row["false_alarms_per_camera_day"])]
        for kind, row in result["types"].items()
    ]
    title = (
        f"{result['scenes']} scenes, {result['hours']:.2f} h, {result['size']}; service level "
        f"{result['service_level']}, {result['analysed_fps']:.2f} pictures analysed a second at least"
    )
    show(title, ("type", "events", "recall", "alarms", "prec.", "p50 s", "p95 s", "false/day"), rows)
    if result["distractor_hours"]:
        say(
            f"distractors: {result['false_alarms']} false alarms in {result['distractor_hours']:.2f} h, "
            f"{result['false_alarms_per_camera_day']:.2f} a camera-day"
        )
    for line in result["wrong"][:60]:
        say(line)


def options() -> argparse.Namespace:
    """Command line."""
    args = parsed(
        __doc__,
        ("--scenarios", {"nargs": "+", "choices": tuple(THEMES), "metavar": "NAME",
                         "help": f"of {', '.join(THEMES)}"}),
        ("--seeds", {"default": "0-4", "help": "first and last seed, or one"}),
        ("--size", {"default": "1280x720", "help": "pixels of the cameras"}),
        ("--fps", {"type": float, "default": 5.0, "help": "pictures a second, 1 to 25 (5)"}),
        ("--angles", {"action": "store_true", "help": "hang cameras up differently in every scene"}),
        ("--keep", {"action": "store_true", "help": "keep and take what models saw"}),
        ("--processes", {"type": int, "default": 1, "help": "scenes at once"}),
        quick=None,
    )  # fmt: skip
    low, _, high = args.seeds.partition("-")
    try:
        args.first, args.last = int(low), int(high or low)
        args.size = parse_size(args.size)
    except (ValueError, SourceUrlError) as error:
        say(f"error: --seeds is like 0-29 and --size like 1280x720: {error}")
        raise SystemExit(2) from None
    if not 0 <= args.first <= args.last or not 1 <= args.fps <= 25 or args.processes < 1:
        say("error: --seeds from 0, the last not below the first; --fps 1 to 25; --processes from 1")
        raise SystemExit(2)
    return args


def main() -> None:
    """Measure and print."""
    args = options()
    themes: list[Theme] = [THEMES[name] for name in args.scenarios or THEMES]
    scenes = [
        scene_of(theme, seed, args.size, args.fps, angles=args.angles)
        for seed in range(args.first, args.last + 1)
        for theme in themes
    ]
    done = track(
        every(scenes, args.processes, args.keep), "events", len(scenes), console=Console(stderr=True)
    )
    result = {
        **summary(sorted(done, key=lambda one: (one.scene.theme.name, one.scene.spec.seed))),
        "scenarios": [theme.name for theme in themes],
        "seeds": args.seeds,
        "size": f"{args.size[0]}x{args.size[1]}",
        "fps": args.fps,
        "angles": args.angles,
        "service_level": str(Service(args.fps)),
    }
    report(result)
    save("events", result)
    if args.json:
        print(
            json.dumps(
                result["types"] | {"false_alarms_per_camera_day": result["false_alarms_per_camera_day"]}
            )
        )


if __name__ == "__main__":
    main()
