"""How long it takes from a picture to its event in Redis, at 80 % load, stage by stage.

    python benchmarks/latency.py --quick               # 2 minutes
    python benchmarks/latency.py --json                # 5 minutes
    python benchmarks/latency.py --cameras 30          # what the box carries; else as `throughput` found

Time runs from when the camera had the picture that decides the event; in Redis is when the server has given
the entry its id. `wait` is from there until analysis takes the picture: reading, decoding, waiting its turn;
`analyse` includes inference; `save` is until the event is on disk, `publish` until it is in Redis. In the
picture, and as `looks`, the age of every analysed picture, which are many more than there are events.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import box
from benchmarks.box import Workload
from benchmarks.capacity import verdict
from benchmarks.common import finish, last_cameras, parsed, picture, show
from benchmarks.observed import Observation, quantile
from benchmarks.overload import carried_by_cost

KEYS = ("p50_ms", "p99_ms")
LOAD = 0.8
STAGES = ("wait", "analyse", "save", "publish")


def by_stage(seen: Observation) -> dict[str, list[float]]:
    """Milliseconds of each event in the measured while, by stage and in all."""
    zeros = seen.zeros()
    looks = {(look.camera, look.pts_s): look for look in seen.looks}
    spent: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "all")}
    for told in seen.told:
        look = looks.get((told.camera, told.pts_s))
        if look is None or not seen.begin_s <= told.told_s < seen.end_s:
            continue
        had_s = zeros[told.camera] + told.pts_s
        marks = (had_s, look.taken_s, look.analysed_s, told.saved_s, told.told_s)
        for stage, begin_s, end_s in zip(STAGES, marks, marks[1:], strict=False):
            spent[stage].append((end_s - begin_s) * 1000)
        spent["all"].append((told.told_s - had_s) * 1000)
    return spent


def measure(carried: int, warm_up_s: float, seconds: float) -> tuple[dict[str, Any], Observation]:
    """Run at 80 %."""
    count = max(1, round(LOAD * carried))
    shown = box.cameras(count, warm_up_s + seconds + 30.0, Workload())
    seen = box.watch_with_node(shown, warm_up_s, seconds)
    judged, spent = verdict(shown, seen), by_stage(seen)
    ages_ms = [age_s * 1000 for age_s in seen.ages_s()]
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    result = {
        "cameras": count,
        "carried": carried,
        "events": len(spent["all"]),
        "p50_ms": round(quantile(spent["all"], 0.5), 1),
        "p99_ms": round(quantile(spent["all"], 0.99), 1),
        "stages_ms": {
            stage: {name: round(quantile(values, share), 2) for name, share in shares.items()}
            for stage, values in spent.items()
        },
        "looks": len(ages_ms),
        "looks_ms": {name: round(quantile(ages_ms, share), 1) for name, share in shares.items()},
        "event_recall": round(judged.recall.share, 4),
        "cpu_share": round(judged.cpu, 3),
    }
    return result, seen


def main() -> None:
    """Run it as a program."""
    count = {"type": int, "help": "what the box carries; what `throughput` found unless given"}
    args: argparse.Namespace = parsed(__doc__, ("--cameras", count))
    carried = args.cameras or last_cameras() or carried_by_cost()
    result, seen = measure(carried, *((45.0, 50.0) if args.quick else (60.0, 240.0)))
    rows = [(stage, *result["stages_ms"][stage].values()) for stage in (*STAGES, "all")]
    rows.append((f"age of {result['looks']} looks", *result["looks_ms"].values()))
    title = f"From frame to event in Redis: {result['events']} events of {result['cameras']} cameras"
    show(title, ("stage", "p50 ms", "p95 ms", "p99 ms"), rows)

    def draw(axes: Any) -> None:
        for name, values in (("events", by_stage(seen)["all"]), ("looks", [1000 * s for s in seen.ages_s()])):
            ordered = sorted(values)
            axes.plot(ordered, [(k + 1) / len(ordered) for k in range(len(ordered))], label=name)
        axes.set_xlabel("ms since the camera had the picture")
        axes.set_ylabel("share of them")
        axes.set_xlim(left=0)
        axes.legend()

    picture("latency-quick" if args.quick else "latency", {title: draw})
    finish("latency", args, result, KEYS)


if __name__ == "__main__":
    main()
