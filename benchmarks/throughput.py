"""How many cameras a box carries at equal event recall, beside the loops that others run; all in one run.

    python benchmarks/throughput.py --quick            # two minutes; the first time, rendering takes two more
    python benchmarks/throughput.py --json             # three quarters of an hour
    python benchmarks/throughput.py --workload main    # 20 minutes

Cameras play arranged 1080p25 H.264 footage (GOP 50) of quiet places, with somebody there for 10 % of the
time; what others do is described in `benchmarks/loops.py`.

1. What one camera costs: every system goes through the same footage as fast as it can on all cores, turn by
   turn; CPU seconds per second of video, medians over the turns. What no system can undercut, pure FFmpeg
   decoding and pure `session.run`, is measured in the same run.
2. What stands: the product, and in the full form the others too, watch a growing number of cameras in real
   time. A count stands when event recall is at least 99 %, 99 % of the events are told within 1 s, and
   nothing queues. In the quick form the product has one try, at the count that its cost promises.

`cameras` is the count that stood; the ratios divide it by the count that stood with the others, or where
that was not tried, or none stood, by what their cost promises them at full use of every core, which is more.
Then the same at a constant bit rate, and with 50 % activity; and what one camera with real footage, scaled up
to 1080p25, costs, if there is any. The quick form leaves all of these out.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import box, capacity, clips
from benchmarks.box import CORES, Workload
from benchmarks.capacity import USABLE, Verdict, bound, cost, limits, most, verdict
from benchmarks.common import finish, parsed, picture, say, show
from benchmarks.observed import Recall

SYSTEMS = ("naive", "naive-int8", "decode-all", "ours")
KEYS = ("cameras", "ratio_to_naive", "ratio_to_naive_int8", "ratio_to_decode_all", "event_recall")
MEDIA = Path(__file__).parents[2] / "shared" / "media"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure.

    Attributes:
        rounds: turns a system in the comparison of costs.
        loops: rounds of each camera's footage in a turn.
        tries: counts tried in real time with the product, and with each other system (`other_tries`).
        warm_up_s, seconds: of each try.
    """

    rounds: int
    loops: float
    tries: int
    other_tries: int
    warm_up_s: float
    seconds: float


QUICK = Effort(1, 0.5, 1, 0, 40.0, 16.0)
FULL = Effort(2, 1.0, 4, 2, 80.0, 60.0)
FEWER = Effort(1, 1.0, 2, 0, 80.0, 60.0)


def costs(workload: Workload, effort: Effort) -> tuple[dict[str, list[float]], dict[str, Recall]]:
    """CPU seconds per camera second of each system, a figure a turn, and how its events compare."""
    spent: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    found = {system: Recall(0, 0, 0, 0) for system in SYSTEMS}
    for turn in range(effort.rounds):
        for system in SYSTEMS:
            seen, events = cost(system, workload, max(CORES, workload.scenes), effort.loops)
            spent[system].append(seen.cost)
            found[system] += events
            say(f"  {workload.name}, turn {turn + 1}: {system} {seen.cost * 1000:.0f} ms per camera second")
    return spent, found


def stand(system: str, workload: Workload, first: int, effort: Effort) -> tuple[int, list[Verdict]]:
    """The most cameras that stand in real time, and every try."""
    tries: list[Verdict] = []
    length_s = effort.warm_up_s + effort.seconds + 10.0

    def stands(count: int) -> bool:
        shown = box.cameras(count, length_s, workload)
        if system == "ours":
            seen = box.watch_with_node(shown, effort.warm_up_s, effort.seconds)
        else:
            seen = box.watch_with_loop(system, shown, effort.seconds)
        tries.append(verdict(shown, seen))
        judged = tries[-1]
        good = (
            judged.stands if system == "ours" else judged.keeps_up
        )  # the others are forgiven what they miss
        say(
            f"  {workload.name}: {system} with {count} cameras {'stands' if good else 'falls'}: "
            f"recall {judged.recall.found}/{judged.recall.happened}, p99 {judged.p99_s * 1000:.0f} ms, "
            f"CPU {judged.cpu:.0%}{', work queues' if judged.queued else ''}"
        )
        return good

    count = most(stands, first, effort.tries if system == "ours" else effort.other_tries)
    return count, tries


def compare(workload: Workload, effort: Effort) -> dict[str, Any]:
    """One workload: costs, counts, limits."""
    pure = limits(workload)
    spent, found = costs(workload, effort)
    promised = {system: CORES / statistics.median(turns) for system, turns in spent.items()}
    counts: dict[str, int | None] = dict.fromkeys(SYSTEMS)
    tries: dict[str, list[Verdict]] = {}
    for system in SYSTEMS:
        if (effort.tries if system == "ours" else effort.other_tries) > 0:
            first = max(1, int(USABLE * promised[system]))
            counts[system], tries[system] = stand(system, workload, first, effort)
    stood = counts["ours"]
    cameras = stood or min(judged.cameras for judged in tries["ours"])
    events = next((v.recall for v in tries["ours"] if v.cameras == cameras), found["ours"])
    result = {
        "workload": workload.name,
        "stands": bool(stood),
        "cameras": cameras,
        **{
            f"ratio_to_{system.replace('-', '_')}": round(cameras / (counts[system] or promised[system]), 2)
            for system in SYSTEMS[:-1]
        },
        "event_recall": round(events.share, 4),
        "events": events.happened,
        "cost_ms_per_camera_s": {s: _spread(turns, 1000) for s, turns in spent.items()},
        "cameras_by_cost": {s: round(n, 2) for s, n in promised.items()},
        "cameras_in_real_time": counts,
        "cost_run_recall": {s: round(r.share, 4) for s, r in found.items()},
        "missed": {s: list(r.missed) for s, r in found.items()},
        "limits_ms": {name: round(ms, 2) for name, ms in pure.items()},
        "cameras_at_the_limit": {s: round(n, 1) for s, n in bound(pure, workload.share).items()},
        "tries": {s: [asdict(v) for v in verdicts] for s, verdicts in tries.items()},
    }
    _table(result)
    return result


def real(media: Path) -> dict[str, Any]:
    """What one camera with real footage, scaled up to 1080p25, costs each system; and the visits it told."""
    desk = box.desk(media)
    if desk is None:
        say(f"no real footage in {media}")
        return {}
    found = {}
    for system in SYSTEMS:
        seen = box.cost_of_loop(system, [desk], box.DESK_S, begin_s=[0.0])
        visits = sum(told.phase == "begin" for told in seen.told)
        found[system] = {"ms_per_camera_s": round(seen.cost * 1000, 2), "visits_told": visits}
    rows = [(system, *figures.values()) for system, figures in found.items()]
    show(f"Real footage, {box.VISITS} visits", ("system", "CPU ms/s", "visits told"), rows)
    return {"real_footage": found, "real_footage_visits": box.VISITS}


def _spread(values: Sequence[float], factor: float) -> dict[str, float]:
    scaled = [value * factor for value in values]
    return {
        "median": round(statistics.median(scaled), 2),
        "least": round(min(scaled), 2),
        "most": round(max(scaled), 2),
    }


def _table(result: dict[str, Any]) -> None:
    rows = []
    for system in SYSTEMS:
        spent, counts = result["cost_ms_per_camera_s"][system], result["cameras_in_real_time"]
        rows.append(
            (
                system,
                f"{spent['median']:.0f}",
                f"{spent['least']:.0f}-{spent['most']:.0f}",
                result["cameras_by_cost"][system],
                "-" if counts[system] is None else counts[system],
                result["cameras_at_the_limit"][system],
                result["cost_run_recall"][system],
            )
        )
    columns = ("system", "CPU ms/s", "spread", "cameras by cost", "real time", "limit", "recall")
    show(f"Cameras per box of {CORES} cores, 1080p25 {result['workload']}", columns, rows)
    if not result["stands"]:
        say(f"NOT CONFIRMED: {result['cameras']} cameras did not stand in real time")


def draw(results: Sequence[dict[str, Any]], axes: Any) -> None:
    """Bars: cameras per box by system, a group a workload."""
    width = 0.8 / len(results)
    for k, result in enumerate(results):
        counts = [result["cameras_by_cost"][system] for system in SYSTEMS[:-1]] + [result["cameras"]]
        places = [index + k * width for index in range(len(SYSTEMS))]
        bars = axes.bar(places, counts, width, label=result["workload"])
        axes.bar_label(bars, fmt="%.3g")
    axes.set_xticks([index + 0.4 - width / 2 for index in range(len(SYSTEMS))], SYSTEMS)
    axes.set_ylabel("cameras per box")
    axes.legend()


def main() -> None:
    """Run it as a program."""
    one = {"choices": ("all", "main", "cbr", "half"), "default": "all", "help": "only one workload"}
    media = {"type": Path, "default": MEDIA, "help": "real footage for the full form, if it is there"}
    args: argparse.Namespace = parsed(__doc__, ("--workload", one), ("--media", media))
    scenes = 2 if args.quick else len(clips.SCENES)
    plans = {
        "main": (Workload(scenes=scenes), QUICK if args.quick else FULL),
        "cbr": (Workload(cbr=True, scenes=scenes), QUICK if args.quick else FEWER),
        "half": (Workload(share=0.5, scenes=scenes), QUICK if args.quick else FEWER),
    }
    chosen = [args.workload] if args.workload != "all" else ["main"] if args.quick else list(plans)
    results = [compare(*plans[name]) for name in chosen]
    footage = {} if args.quick else real(args.media)
    title = f"Cameras per box of {CORES} cores at event recall of at least {capacity.RECALL:.0%}"
    name = "throughput" if chosen[0] == "main" else f"throughput-{chosen[0]}"
    picture(f"{name}-quick" if args.quick else name, {title: lambda axes: draw(results, axes)})
    finish(name, args, {**results[0], "others": results[1:], **footage}, KEYS)


if __name__ == "__main__":
    main()
