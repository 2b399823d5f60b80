"""How much CPU goes anywhere but into FFmpeg's decoding and ONNX Runtime, and what an idle camera takes.

    python benchmarks/overhead.py --quick              # 2 minutes
    python benchmarks/overhead.py --json               # 7 minutes
    python benchmarks/overhead.py --cameras 20         # half of what the box carries unless given

The thread's own CPU clock is read around `avcodec`'s decoding, `session.run` and the other stages; what a
stage calls counts for the inner one alone, and what remains of the process's CPU is `other`. Reading the
clock costs a microsecond and is part of `other`; `pace` is what a file needs to go by like a camera, and an
RTSP stream would not.

`idle_ms_per_s` is the slope between a node with 2 and one with 10 cameras that show an empty place, without
clocks: CPU milliseconds per second of one camera's video.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import box
from benchmarks.box import Workload
from benchmarks.common import finish, last_cameras, parsed, picture, show
from benchmarks.observed import Observation

KEYS = ("share_outside", "idle_ms_per_s")
INSIDE = ("decode", "infer")
FEW, MORE = 2, 10


def shares(seen: Observation) -> dict[str, float]:
    """Share of the process's CPU by stage, largest first; they add up to 1."""
    found = {stage: spent_s / seen.cpu_s for stage, spent_s in seen.stages.items()}
    found["other"] = 1.0 - sum(found.values())
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def idle_ms(few: Observation, more: Observation) -> float:
    """CPU ms per second and camera, from two numbers of idle cameras."""
    cameras = (more.video_s / more.wall_s) - (few.video_s / few.wall_s)
    return (more.cpu_s / more.wall_s - few.cpu_s / few.wall_s) / cameras * 1000


def measure(count: int, warm_up_s: float, seconds: float) -> dict[str, Any]:
    """A mixed run with clocks, and two idle ones without."""
    shown = box.cameras(count, warm_up_s + seconds + 30.0, Workload())
    mixed = box.watch_with_node(shown, warm_up_s, seconds, stages=True)
    empty = Workload(share=0.0)
    idle = [
        box.watch_with_node(box.cameras(n, warm_up_s + seconds + 30.0, empty), warm_up_s, seconds)
        for n in (FEW, MORE)
    ]
    found = shares(mixed)
    return {
        "cameras": count,
        "share_outside": round(1.0 - sum(found.get(stage, 0.0) for stage in INSIDE), 4),
        "idle_ms_per_s": round(idle_ms(*idle), 2),
        "stages": {stage: round(share, 4) for stage, share in found.items()},
        "cpu_ms_per_camera_s": round(mixed.cost * 1000, 2),
        "idle_node_ms_per_s": {
            n: round(run.cpu_s / run.wall_s * 1000, 2) for n, run in zip((FEW, MORE), idle, strict=True)
        },
    }


def main() -> None:
    """Run it as a program."""
    option = {"type": int, "help": "how many cameras; half of what `throughput` found unless given"}
    args: argparse.Namespace = parsed(__doc__, ("--cameras", option))
    count = args.cameras or max(4, (last_cameras() or 8) // 2)
    result = measure(count, *((20.0, 15.0) if args.quick else (60.0, 60.0)))
    rows = [
        (stage, f"{share:.1%}", share * result["cpu_ms_per_camera_s"])
        for stage, share in result["stages"].items()
    ]
    show(
        f"Where the CPU goes, {count} cameras, 10 % active", ("stage", "share", "ms per camera second"), rows
    )
    show("Overhead", ("what", "figure"), [(key, result[key]) for key in KEYS])

    def draw(axes: Any) -> None:
        names = list(result["stages"])
        bars = axes.barh(names, [100 * share for share in result["stages"].values()])
        axes.bar_label(bars, fmt="%.1f %%")
        axes.invert_yaxis()
        axes.set_xlabel("% of the process's CPU")

    picture("overhead-quick" if args.quick else "overhead", {f"Where the CPU goes, {count} cameras": draw})
    finish("overhead", args, result, KEYS)


if __name__ == "__main__":
    main()
