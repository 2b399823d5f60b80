"""Whether `sharpeyes plan` tells beforehand what a run then takes.

    python benchmarks/prediction.py --quick            # 2 minutes
    python benchmarks/prediction.py --json             # 3 minutes
    python benchmarks/prediction.py --cameras 20       # half of what `throughput` found unless given

The same configuration is planned and then run in real time, with somebody there for 10 % of the time.
`error_default` is by how much the prediction from the costs that ship is off, as a share of the CPU that the
run took; `error_measured` the same from the costs that the run itself measured and kept for the next plan.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from api.planning import look_at, predict
from benchmarks import box
from benchmarks.box import Workload
from benchmarks.common import finish, last_cameras, parsed, picture, show
from edge.config import Config
from edge.costs import KEPT, load_table
from streams.clock import SystemClock

KEYS = ("error_default", "error_measured", "measured_ms_per_s")
PREDICTED_WITHIN = 0.15


def measure(count: int, warm_up_s: float, seconds: float) -> dict[str, Any]:
    """Plan, run, and plan again with what the run has measured."""
    workload = Workload()
    shown = box.cameras(count, warm_up_s + seconds + 30.0, workload)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        config = {
            "node": {"id": "bench", "district": "360103", "data_dir": str(data)},
            "cameras": [dict(camera.section) for camera in shown],
            "budget": {"active_share": workload.share},
        }
        parsed_config, clock = Config.model_validate(config), SystemClock()
        seen = {
            camera.id: look_at(camera, parsed_config.budget, clock, reach=False)
            for camera in parsed_config.cameras
        }
        before = predict(parsed_config, load_table(), seen).planned.cpu_ms
        job = {"config": config, "warm_up_s": warm_up_s, "seconds": seconds, "stages": False}
        run = box.run([("benchmarks.probe", job)], Path(folder))[0]
        after = predict(parsed_config, load_table(data / KEPT), seen).planned.cpu_ms
    measured = run.cpu_s / run.wall_s * 1000
    return {
        "cameras": count,
        "measured_ms_per_s": round(measured, 1),
        "predicted_default_ms_per_s": round(before, 1),
        "predicted_measured_ms_per_s": round(after, 1),
        "error_default": round(before / measured - 1, 4),
        "error_measured": round(after / measured - 1, 4),
        "within_15_percent": abs(after / measured - 1) <= PREDICTED_WITHIN,
    }


def main() -> None:
    """Run it as a program."""
    option = {"type": int, "help": "how many cameras; half of what `throughput` found unless given"}
    args: argparse.Namespace = parsed(__doc__, ("--cameras", option))
    count = args.cameras or max(4, (last_cameras() or 8) // 2)
    result = measure(count, *((50.0, 50.0) if args.quick else (60.0, 110.0)))
    rows = [
        ("measured", result["measured_ms_per_s"], ""),
        ("planned, costs that ship", result["predicted_default_ms_per_s"], f"{result['error_default']:+.1%}"),
        (
            "planned, measured costs",
            result["predicted_measured_ms_per_s"],
            f"{result['error_measured']:+.1%}",
        ),
    ]
    show(f"CPU of {count} cameras", ("what", "ms per second", "off by"), rows)

    def draw(axes: Any) -> None:
        bars = axes.bar([row[0] for row in rows], [row[1] for row in rows])
        axes.bar_label(bars, fmt="%.0f")
        axes.set_ylabel("CPU ms per second")

    picture("prediction-quick" if args.quick else "prediction", {f"Plan and run of {count} cameras": draw})
    finish("prediction", args, result, KEYS)


if __name__ == "__main__":
    main()
