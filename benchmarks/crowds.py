"""Crowd danger against the simulator's truth: density, alarms of levels 1 and 2, red's delay, forecasts.

    python benchmarks/crowds.py                                       rendered pictures, a seed a scenario
    python benchmarks/crowds.py --perception positions --seeds 50     people's true places: the rules alone
    python benchmarks/crowds.py --scenarios surge --seeds 3 --plot surge

Seeds 4, 9, 14 ... are calm: the same place with a crowd that keeps within safe limits, where nothing may be
told of. How alarms and moments are matched is in `benchmarks/crowds_score.py`. A picture takes about 0.2 s,
a scene of true places 3 s once it has been played; a scene plays in 10 s, and is kept under `.work/crowds`.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import parsed, picture, save, say, show
from benchmarks.crowds_filling import filling
from benchmarks.crowds_pictures import watch_pictures
from benchmarks.crowds_scenes import Recording, record, spec_of
from benchmarks.crowds_score import Result, judge, misses, summary
from benchmarks.crowds_seen import Seen, watch

SCENARIOS = ("crowding", "counterflow", "surge", "bottleneck", "evacuation")
FILLING = "filling"
"""Crowds that take minutes to get dangerous, for forecasts alone, and without pictures."""
ALARMS = {
    "moments": "moments",
    "recall": "recall",
    "recall_same": "same",
    "alarms": "alarms",
    "precision": "precision",
    "calm_alarms": "calm",
}
"""What the columns of a table hold."""
MEASURES = {
    "worst_mape": "worst cell",
    "mean_mape": "mean",
    "red": "reds",
    "red_prompt": "in 5 s",
    "red_delay_p95_s": "p95 s",
    "red_delay_worst_s": "worst s",
    "forecast_mape": "forecast",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One scene to be judged."""

    scenario: str
    seed: int
    seconds: float
    fps: float
    perception: str


@dataclass(frozen=True, slots=True)
class Course:
    """The worst cell over time, true and found, and when red was told: for the plot."""

    true: tuple[Sequence[float], Sequence[float]]
    found: tuple[Sequence[float], Sequence[float]]
    red_s: Sequence[float]


def run(job: Job) -> tuple[Result, Course]:
    """Play or take a scene, watch it, compare."""
    if job.scenario == FILLING:
        recording = filling(job.seed)
        result = replace(judge(recording, seen := watch(recording, job.fps)), scenario=FILLING, seed=job.seed)
    else:
        recording = record(spec_of(job.scenario, job.seed, job.seconds))
        result = judge(recording, seen := _watched(recording, job))
    true = [look.worst_cell_per_m2 for look in recording.looks]
    red_s = [alarm.begin_s for alarm in result.alarms if alarm.level == 1]
    return result, Course((recording.times.tolist(), true), (seen.times, seen.worst_per_m2), red_s)


def _watched(recording: Recording, job: Job) -> Seen:
    see = watch_pictures if job.perception == "pictures" else watch
    return see(recording, job.fps)


def every(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Result, Course]]:
    """All of them, in any order."""
    if processes <= 1:
        yield from map(run, jobs)
        return
    # Each process is to keep to one core; a fresh one reads this before its libraries start.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(run, job) for job in jobs]):
            yield done.result()


def draw(path: str, courses: Mapping[str, Course]) -> None:
    """A panel a scenario: the worst cell, true and found, and red alarms."""

    def panel(course: Course) -> Any:
        def plot(axes: Any) -> None:
            axes.plot(*course.true, color="0.6", linewidth=1, label="true")
            axes.plot(*course.found, color="tab:blue", linewidth=1, label="found")
            for at_s in course.red_s:
                axes.axvline(at_s, color="tab:red", linewidth=0.8)
            for step in (4.0, 5.0):
                axes.axhline(step, color="0.85", linewidth=0.6)
            axes.set_xlabel("seconds")
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel("persons per m² in the worst cell")
                axes.legend(frameon=False)

        return plot

    made = picture(path, {name: panel(course) for name, course in courses.items()})
    if made is not None:
        say(f"plot: {made}")


def report(results: Sequence[Result], args: argparse.Namespace) -> dict[str, Any]:
    """Print the tables, save the whole, and return the figures of all scenes."""
    by_name = {
        name: summary([one for one in results if one.scenario == name])
        for name in args.scenarios
        if any(one.scenario == name for one in results)
    }
    whole = summary([one for one in results if one.scenario != FILLING])
    head = f"{args.perception}, {args.seeds} seeds from {args.first_seed}, {args.fps:g} looks a second"
    tables = {f"Alarms of levels 1 and 2; {head}": ALARMS, f"Errors, and delays of red; {head}": MEASURES}
    for title, columns in tables.items():
        rows = [
            [name, *("-" if of[key] is None else of[key] for key in columns)]
            for name, of in {**by_name, "all but filling": whole}.items()
        ]
        show(title, ("scenario", *columns.values()), rows)
    wrong = misses(results)
    for miss in wrong[:40]:
        say("  ".join(f"{key}={value}" for key, value in miss.items()))
    settings = {
        key: getattr(args, key)
        for key in ("perception", "seeds", "first_seed", "seconds", "fps", "scenarios")
    }
    result = {**settings, "all": whole, "by_scenario": by_name, "misses": wrong}
    save(f"crowds-{args.perception}", {**result, "scenes": [one.row for one in results]})
    return result


def options() -> argparse.Namespace:
    """Command line."""
    args = parsed(
        __doc__,
        ("--perception", {"choices": ("pictures", "positions"), "default": "pictures",
                          "help": "rendered pictures through the whole line, or people's true places"}),
        ("--scenarios", {"nargs": "+", "choices": (*SCENARIOS, FILLING), "metavar": "NAME",
                         "help": f"of {', '.join(SCENARIOS)}, and {FILLING} (true places only)"}),
        ("--seeds", {"type": int, "default": None, "help": "scenes a scenario (50; of pictures 1)"}),
        ("--first-seed", {"type": int, "default": 0, "help": "the first one's seed"}),
        ("--seconds", {"type": float, "default": 120.0, "help": "length of a scene"}),
        ("--fps", {"type": float, "default": None,
                   "help": "looks a second, up to 5 (5, what cameras get; of positions 2)"}),
        ("--processes", {"type": int, "default": 1, "help": "scenes at once"}),
        ("--plot", {"metavar": "NAME", "help": "a picture of the first seed's worst cells, NAME.png"}),
        quick=None,
    )  # fmt: skip
    if args.seeds is None:
        args.seeds = 1 if args.perception == "pictures" else 50
    if args.fps is None:
        args.fps = 5.0 if args.perception == "pictures" else 2.0
    if args.scenarios is None:
        args.scenarios = [*SCENARIOS, *([FILLING] if args.perception == "positions" else [])]
    if args.perception == "pictures" and FILLING in args.scenarios:
        say(f"error: {FILLING} has no pictures: it needs --perception positions")
        raise SystemExit(2)
    if args.seeds < 1 or not 0.5 <= args.fps <= 5 or args.seconds < 1 or args.first_seed < 0:
        say("error: --seeds from 1, --fps 0.5 to 5, --seconds from 1, --first-seed from 0")
        raise SystemExit(2)
    return args


def main() -> None:
    """Measure and print."""
    args = options()
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    jobs = [
        Job(name, seed, args.seconds, args.fps, args.perception) for seed in seeds for name in args.scenarios
    ]
    results, courses = [], {}
    done = track(
        every(jobs, args.processes), f"crowds, {args.perception}", len(jobs), console=Console(stderr=True)
    )
    for result, course in done:
        results.append(result)
        if result.seed == args.first_seed:
            courses[result.scenario] = course
    results.sort(key=lambda one: (args.scenarios.index(one.scenario), one.seed))
    figures = report(results, args)
    if args.plot:
        draw(args.plot.removesuffix(".png"), {name: courses[name] for name in args.scenarios})
    if args.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
