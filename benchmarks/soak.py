"""Whether memory and file descriptors stay flat over time.

    python benchmarks/soak.py --quick                  # 1.5 minutes: only that it works
    python benchmarks/soak.py --minutes 60 --json

Cameras play arranged footage in real time at half of what the box carries. Every ten minutes each file ends
and its camera is opened again, as after an outage, which is where such leaks hide. After a warm-up of a fifth
of the time (buffers fill, models load), `memory_mb_per_h` is the median slope between any two readings of
resident memory (Theil and Sen's, which single leaps do not move), and `files_grown` the difference of the
medians of the last and the first third.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import box
from benchmarks.box import Workload
from benchmarks.common import finish, last_cameras, parsed, picture, show

KEYS = ("minutes", "memory_mb", "memory_mb_per_h", "files", "files_grown", "flat")
FLAT_SHARE_PER_H = 0.02
"""Memory that grows by less than this share of itself an hour counts as flat: allocators breathe."""
READINGS = 200


def slope(values: Sequence[float], step_s: float) -> float:
    """Median slope per hour of equally spaced readings; 0 of fewer than two.

    >>> slope([1.0, 2.0, 3.0, 90.0, 5.0], 3600.0)
    1.0
    """
    thin = max(1, len(values) // READINGS)
    kept = list(enumerate(values))[::thin]
    slopes = [(b - a) / ((j - i) * step_s / 3600) for (i, a), (j, b) in combinations(kept, 2)]
    return statistics.median(slopes) if slopes else 0.0


def grown(values: Sequence[float]) -> float:
    """Median of the last third less that of the first."""
    third = max(1, len(values) // 3)
    return statistics.median(values[-third:]) - statistics.median(values[:third])


def measure(count: int, minutes: float) -> dict[str, Any]:
    """Watch, then judge."""
    total_s = minutes * 60
    shown = box.cameras(count, total_s + 30.0, Workload())
    seen = box.watch_with_node(shown, total_s / 5, total_s * 4 / 5)
    step_s = seen.wall_s / len(seen.memory_mb)
    per_h, memory_mb = slope(seen.memory_mb, step_s), statistics.median(seen.memory_mb)
    files = grown(seen.files)
    return {
        "minutes": minutes,
        "cameras": count,
        "memory_mb": round(memory_mb, 1),
        "memory_mb_per_h": round(per_h, 2),
        "files": int(statistics.median(seen.files)),
        "files_grown": files,
        "flat": per_h <= FLAT_SHARE_PER_H * memory_mb and files <= 1,
        "reconnects": sum(camera["reconnects"] for camera in seen.facts["cameras"]),
        "readings_mb": [
            round(value, 1) for value in seen.memory_mb[:: max(1, len(seen.memory_mb) // READINGS)]
        ],
    }


def main() -> None:
    """Run it as a program."""
    minutes = {"type": float, "default": None, "help": "how long; 20 unless given"}
    count = {"type": int, "help": "how many cameras; half of what `throughput` found unless given"}
    args: argparse.Namespace = parsed(__doc__, ("--minutes", minutes), ("--cameras", count))
    cameras = args.cameras or max(4, (last_cameras() or 8) // 2)
    result = measure(cameras, args.minutes or (1.4 if args.quick else 20.0))
    show("Soak", ("what", "figure"), [(key, result[key]) for key in (*KEYS, "cameras", "reconnects")])

    def draw(axes: Any) -> None:
        readings = result["readings_mb"]
        span = result["minutes"] * 0.8
        axes.plot(
            [result["minutes"] - span + k * span / len(readings) for k in range(len(readings))], readings
        )
        axes.set_xlabel("minutes")
        axes.set_ylabel("resident memory, MB")
        axes.set_ylim(bottom=0)

    picture("soak-quick" if args.quick else "soak", {f"Memory of {cameras} cameras over time": draw})
    finish("soak", args, result, KEYS)


if __name__ == "__main__":
    main()
