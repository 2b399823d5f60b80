"""What happens when a box is asked for more than it can do: 1 to 6 times the cameras that it carries.

    python benchmarks/overload.py --quick              # once and 4 times, 15 s each, while packets calibrate
    python benchmarks/overload.py --json               # 1, 2, 4 and 6 times, a minute each
    python benchmarks/overload.py --cameras 30         # what it carries; else as `throughput` found

Cameras play arranged footage in real time, somebody is there for 10 % of the time; a tenth of the cameras has
the highest priority. Of each load: delay from frame to event in Redis and age of analysed pictures, pictures
analysed per second, drops by reason, memory, and whether the priority cameras kept their floor.

`throughput_of_saturation` is what is analysed at four times the load, of the most analysed at any;
`watched_of_saturation` the same of cameras whose tasks are not blind, as the coverage ledger says: under
overload more cameras are watched, each at its floor.
`floors_held`: in every visit to every priority camera, at every load, at least 2 pictures a second were
analysed, the floor of `hazard.line`; the first second, in which a camera wakes, not counted.
`memory_mb_per_camera` is the slope of resident memory over the number of cameras.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import box
from benchmarks.box import Camera, Workload
from benchmarks.capacity import USABLE, cost, verdict
from benchmarks.common import finish, last_cameras, parsed, picture, say, show
from benchmarks.observed import Observation, quantile
from edge.floors import FLOOR_FPS

KEYS = ("p99_ms_at_400", "throughput_of_saturation", "floors_held", "memory_mb_per_camera")
DROPS = ("superseded", "expired")
FLOOR = FLOOR_FPS["hazard.line"]
TOLERANCE = 0.9
"""A floor counts as held from this share of it on: looks fall on whole pictures."""
WAKING_S = 1.0
SHORTEST_S = 3.0


def floors(seen: Observation, cameras: Sequence[Camera]) -> tuple[int, int]:
    """Visits to these cameras in the measured while: how often the floor was held, how many there were."""
    zeros = seen.zeros()
    held = total = 0
    for camera in cameras:
        zero_s = zeros.get(camera.id, seen.begin_s)
        looks = [look.pts_s + zero_s for look in seen.looks if look.camera == camera.id]
        for begin_s, end_s in camera.footage.active:
            first_s = max(seen.begin_s, zero_s + begin_s + WAKING_S)
            last_s = min(seen.end_s - WAKING_S, zero_s + end_s)
            if last_s - first_s < SHORTEST_S:
                continue
            rate = sum(first_s <= at_s < last_s for at_s in looks) / (last_s - first_s)
            held, total = held + (rate >= TOLERANCE * FLOOR), total + 1
    return held, total


def slope(counts: Sequence[int], memory_mb: Sequence[float]) -> float:
    """MB a camera: least squares over the loads."""
    return float(np.polyfit(counts, memory_mb, 1)[0])


def watched(seen: Observation) -> float:
    """Share of all tasks' time in which they were not blind."""
    covered: dict[str, float] = seen.facts["covered"]
    return 1.0 - covered.get("blind", 0.0) / sum(covered.values())


def load(factor: float, carried: int, warm_up_s: float, seconds: float) -> dict[str, Any]:
    """Run at `factor` times what the box carries."""
    count = max(1, round(factor * carried))
    shown = box.cameras(count, warm_up_s + seconds + 30.0, Workload(), priority=max(1, count // 10))
    seen = box.watch_with_node(shown, warm_up_s, seconds)
    judged = verdict(shown, seen)
    fates: Counter[str] = Counter()
    for frames in seen.frames.values():
        fates.update(frames)
    important = [camera for camera in shown if camera.section.get("priority") == box.MOST_IMPORTANT]
    held, visits = floors(seen, important)
    delays_s, ages_s = seen.delays_s(), seen.ages_s()
    found = {
        "factor": factor,
        "cameras": count,
        "events": len(delays_s),
        **{f"delay_p{q}_ms": round(quantile(delays_s, q / 100) * 1000, 1) for q in (50, 95, 99)},
        **{f"age_p{q}_ms": round(quantile(ages_s, q / 100) * 1000, 1) for q in (50, 95, 99)},
        "analysed_per_s": round(len(seen.measured()) / seen.wall_s, 2),
        "watched": round(watched(seen) * count, 1),
        "decoded_per_s": round(fates["decoded"] / seen.wall_s, 1),
        "event_recall": round(judged.recall.share, 4),
        "dropped": {reason: fates[reason] for reason in DROPS},
        "gated": fates["gated"],
        "unaccounted": fates["decoded"] - fates.total() + fates["decoded"],
        "floors_held": held,
        "floors_due": visits,
        "memory_mb": round(max(seen.memory_mb), 1),
        "cpu_share": round(judged.cpu, 3),
        "queued": judged.queued,
    }
    say(f"  {factor:g} x: {count} cameras watched")
    return found


def measure(carried: int, factors: Sequence[float], warm_up_s: float, seconds: float) -> dict[str, Any]:
    """Load after load. The more cameras, the longer it takes until packets of all are calibrated.

    Args:
        carried: cameras that are once the load.
        factors: the loads.
        warm_up_s: before what is measured, for each camera of `carried` that there is, and once more.
        seconds: that are measured.
    """
    loads = [load(factor, carried, warm_up_s * (1 + factor), seconds) for factor in factors]
    four = next(one for one in loads if one["factor"] == 4)
    best, most = (max(one[what] for one in loads) for what in ("analysed_per_s", "watched"))
    return {
        "carried": carried,
        "p99_ms_at_400": four["delay_p99_ms"] if four["events"] else four["age_p99_ms"],
        "throughput_of_saturation": round(four["analysed_per_s"] / best, 4) if best else 0.0,
        "watched_of_saturation": round(four["watched"] / most, 4) if most else 0.0,
        "floors_held": all(one["floors_held"] == one["floors_due"] for one in loads),
        "memory_mb_per_camera": round(
            slope([one["cameras"] for one in loads], [one["memory_mb"] for one in loads]), 2
        ),
        "loads": loads,
    }


def table(result: dict[str, Any]) -> None:
    """Show the loads."""
    show(
        f"Overload: {result['carried']} cameras are 100 %",
        ("load", "cameras", "watched", "event p99", "age p99", "looks/s", "dropped", "floors", "MB", "CPU"),
        [
            (
                f"{one['factor']:.0%}",
                one["cameras"],
                f"{one['watched']:.0f}",
                f"{one['delay_p99_ms']:.0f}",
                f"{one['age_p99_ms']:.0f}",
                one["analysed_per_s"],
                sum(one["dropped"].values()),
                f"{one['floors_held']}/{one['floors_due']}",
                f"{one['memory_mb']:.0f}",
                f"{one['cpu_share']:.0%}",
            )
            for one in result["loads"]
        ],
    )


def draw(result: dict[str, Any], axes: Any) -> None:
    """Delay and throughput over the load."""
    loads = result["loads"]
    factors = [one["factor"] for one in loads]
    for q in (50, 95, 99):
        axes.plot(factors, [one[f"age_p{q}_ms"] for one in loads], marker="o", label=f"age, p{q}")
    axes.plot(factors, [one["delay_p99_ms"] for one in loads], "k^--", label="frame to event, p99")
    axes.set_xlabel(f"load, in times {result['carried']} cameras")
    axes.set_ylabel("ms")
    axes.legend(loc="upper left")
    other = axes.twinx()
    other.bar(factors, [one["analysed_per_s"] for one in loads], 0.2, alpha=0.25, color="grey")
    other.set_ylabel("pictures analysed a second (bars)")


def carried_by_cost() -> int:
    """What the product's cost promises; a rough measure where `throughput` has not run."""
    workload = Workload()
    seen, _ = cost("ours", workload, max(box.CORES, workload.scenes), 0.5)
    return max(1, int(USABLE * box.CORES / seen.cost))


def main() -> None:
    """Run it as a program."""
    count = {"type": int, "help": "how many cameras are 100 %%; what `throughput` found unless given"}
    args: argparse.Namespace = parsed(__doc__, ("--cameras", count))
    carried = args.cameras or last_cameras() or carried_by_cost()
    factors = (1.0, 4.0) if args.quick else (1.0, 2.0, 4.0, 6.0)
    warm_up_s, seconds = (12.0, 15.0) if args.quick else (60.0, 60.0)
    result = measure(carried, factors, warm_up_s, seconds)
    table(result)
    name = "overload-quick" if args.quick else "overload"
    picture(name, {"Delays and throughput under overload": lambda axes: draw(result, axes)})
    finish("overload", args, result, KEYS)


if __name__ == "__main__":
    main()
