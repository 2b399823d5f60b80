"""Whether one Valkey and one centre carry a city: 60,000 cameras on 1,000 boxes, simulated.

A seeded schedule of 1,000 heartbeats a second, 17 events of incidents a second, a coverage ledger of each
node a minute, and bursts of 50 times as many events while all cameras of an area fire together. Each node
signs with its own key, counts its own numbers, and holds two connections, as real ones do. The centre is the
real process.

    python benchmarks/city.py --quick                         # a minute and a half, SQLite
    python benchmarks/city.py --json                          # ten minutes: five at 1 x, then a ladder
    python benchmarks/city.py --database postgres --workers 2 # a PostgreSQL of its own
    python benchmarks/city.py --nodes 60000 --quick           # every camera a box of its own, a beat a minute

Age: from the moment at which Redis has an entry to the one at which it is stored and acknowledged, seen from
outside fifty times a second, at most. A ladder raises the whole load until what waits grows older and older.
Generators, Valkey, centre and database share this machine; `cpu` says what each took, in cores.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil  # type: ignore[import-untyped]

from benchmarks import city_squad
from benchmarks.city_load import Act, Load, slots
from benchmarks.city_place import DISTRICT, Centre, Place, load_average, place
from benchmarks.city_squad import HALF_S, Report
from benchmarks.city_watch import Watch, Watched, ages, drained_s, per_s, quantile
from benchmarks.common import finish, parsed, picture, say, show

KEYS = (
    "nodes",
    "heartbeats_per_s",
    "events_per_s",
    "burst_events_per_s",
    "sent_per_s",
    "stored_per_s",
    "age_p50_s",
    "age_p99_s",
    "age_max_s",
    "burst_drained_s",
    "worker_us_per_entry",
    "sustained_multiple",
    "lost",
    "duplicated",
)
CAMERAS = 60_000
MAX_ENTRIES = 1_000_000
WARM_S, LADDER_S, SETTLE_S = 5.0, 30.0, 600.0
LONG_S = 200.0
"""From so long on, there is time for a burst of half a minute."""
LADDER = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
BEHIND_S = 2.0
"""A step whose oldest entry has waited longer at its end is not sustained; nor one that was driven later."""
DRIVEN = 0.97
PARTS = ("generators", "valkey", "http", "workers", "postgres", "watch")


@dataclass(slots=True)
class Squads:
    """The generators' processes."""

    pipes: list[Connection]
    processes: list[psutil.Process]

    def play(self, act: Act) -> float:
        """Begin an act everywhere; returns when, in monotonic seconds."""
        begin_s = time.monotonic() + 0.2
        for pipe in self.pipes:
            pipe.send((act, begin_s))
        return begin_s

    def over(self) -> bool:
        """Whether all have finished."""
        return all(pipe.poll() for pipe in self.pipes)

    def reports(self) -> Report:
        """What all did together."""
        total = Report()
        for pipe in self.pipes:
            one: Report = pipe.recv()
            total.sent += one.sent
            total.per_tick += one.per_tick
            total.sizes += one.sizes
            total.answered += one.answered
            total.refused += one.refused
            total.words += one.words
            total.late_s = max(total.late_s, one.late_s)
        return total

    def end(self) -> dict[str, int]:
        """By node, its highest number."""
        for pipe in self.pipes:
            pipe.send(None)
        return {node: number for pipe in self.pipes for node, number in pipe.recv().items()}


@contextmanager
def squads(load: Load, count: int, where: Place) -> Iterator[Squads]:
    """Generators whose nodes are admitted and connected."""
    context = multiprocessing.get_context("spawn")
    pipes, processes, keys = [], [], []
    for k in range(count):
        ours, theirs = context.Pipe()
        arguments = (load, (k, count), DISTRICT, MAX_ENTRIES, theirs)
        process = context.Process(target=city_squad.work, args=arguments, daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        for pipe in pipes:
            keys += pipe.recv()
        where.admit(keys)
        for pipe in pipes:
            pipe.send(where.broker.url)
            pipe.recv()
        yield Squads(pipes, [psutil.Process(process.pid) for process in processes])
    finally:
        for process in processes:
            process.kill()
            process.join()


@dataclass(slots=True)
class Stage:
    """Everything that runs."""

    where: Place
    centre: Centre
    squads: Squads
    watch: Watch

    def act(self, act: Act) -> "Scene":
        """Play an act, and wait until what waits is stored."""
        counted = self.centre.metrics()
        begin_s = self.squads.play(act)
        watched = self.watch.during(self.squads.over)
        report = self.squads.reports()
        after = self.centre.metrics()
        # beyond the measured while: what is stored by its end is what counts
        self.watch.calm(SETTLE_S)
        counts = {name: value - counted.get(name, 0.0) for name, value in after.items()}
        return Scene(act, begin_s, report, watched, counts)


@dataclass(slots=True)
class Scene:
    """An act that was played: what was sent, what was seen, what the centre counted meanwhile."""

    act: Act
    begin_s: float
    report: Report
    watched: Watched
    counts: dict[str, float]

    @property
    def sent_per_s(self) -> float:
        """Entries sent a second."""
        return sum(self.report.sent.values()) / self.act.seconds

    @property
    def stored_per_s(self) -> float:
        """Entries stored and acknowledged a second."""
        looks = self.watched.looks
        return (looks[-1].taken - looks[0].taken) / (looks[-1].at_s - looks[0].at_s)

    @property
    def oldest_at_end_s(self) -> float:
        """The oldest entry that waited, in the median look of the last five seconds."""
        end_s = self.begin_s + self.act.seconds
        last = [look.oldest_s for look in self.watched.looks if end_s - 5 <= look.at_s <= end_s]
        return median(last) if last else float("inf")

    @property
    def driven(self) -> bool:
        """Whether the generators sent what they should, when they should."""
        due = sum(1 for _ in slots(self.act))
        return self.report.answered >= DRIVEN * due and self.report.late_s < BEHIND_S

    def figures(self) -> dict[str, Any]:
        """What an act comes to."""
        weighted, watched = ages(self.watched.looks), self.watched
        busy = {
            stage: round(self.counts.get(f"busy_seconds_total{{{stage}}}", 0.0) / watched.seconds, 3)
            for stage in ("check", "store", "acknowledge")
        }
        return {
            "seconds": self.act.seconds,
            "sent_per_s": round(self.sent_per_s, 1),
            "stored_per_s": round(self.stored_per_s, 1),
            "age_p50_s": round(quantile(weighted, 0.5), 3),
            "age_p99_s": round(quantile(weighted, 0.99), 3),
            "age_max_s": round(quantile(weighted, 1.0), 3),
            "oldest_at_end_s": round(self.oldest_at_end_s, 3),
            "generators_late_s": round(self.report.late_s, 3),
            "refused": self.report.refused,
            "per_transaction": round(self.counts["events_total{stored}"] / self.counts["batches_total"], 1),
            "worker_busy": busy,
            # CPU time, so it says the same on a machine that has other things to do
            "worker_us_per_entry": round(
                1e6 * watched.cpu_s["workers"] / self.counts["events_total{stored}"]
            ),
            "generator_us_per_entry": round(
                1e6 * watched.cpu_s["generators"] / sum(self.report.sent.values())
            ),
            "valkey_us_per_entry": round(1e6 * watched.cpu_s["valkey"] / sum(self.report.sent.values())),
            "cpu": {part: round(watched.cpu_s.get(part, 0.0) / watched.seconds, 3) for part in PARTS},
            "others_cpu": round(watched.others, 2),
            "memory_mb": {part: round(size, 1) for part, size in sorted(watched.memory_mb.items())},
            "entries_in_stream": watched.entries,
        }


def one_times(stage: Stage, act: Act) -> tuple[dict[str, Any], Scene]:
    """The city as it is, bursts and all; and how large the database grows by it."""
    before = stage.where.size_bytes()
    scene = stage.act(act)
    grown, report = stage.where.size_bytes() - before, scene.report
    ends = [scene.begin_s + at_s + lasts_s for at_s, lasts_s in act.bursts]
    incidents = max(1, report.sent["incident"])
    memory = scene.watched.memory_mb["valkey"]
    return {
        **scene.figures(),
        "sent": dict(report.sent),
        "bytes_json": {kind: round(size / report.sent[kind]) for kind, size in report.sizes.items()},
        "bytes_in_valkey": round(1e6 * memory / max(1, scene.watched.entries)),
        "bytes_in_database_per_event": round(grown / incidents),
        "database_mb_per_day": round(grown / incidents * act.load.events_per_s * 86_400 / 1e6, 1),
        "burst_drained_s": [drained_s(scene.watched.looks, end_s) for end_s in ends],
    }, scene


def ladder(stage: Stage, load: Load, rungs: Sequence[float]) -> tuple[float, list[dict[str, Any]]]:
    """Raise the load until the centre does not keep up; the last multiple at which it did, and all steps."""
    sustained, steps = 1.0, []
    for nth, multiple in enumerate(rungs):
        scene = stage.act(Act(load.times(multiple), LADDER_S, seed=100 + nth))
        keeps_up, driven = scene.oldest_at_end_s < BEHIND_S, scene.driven
        steps.append({"multiple": multiple, "keeps_up": keeps_up, "driven": driven, **scene.figures()})
        say(
            f"  {multiple:g} x: {scene.sent_per_s:.0f}/s sent, {scene.stored_per_s:.0f}/s stored,"
            f" oldest {scene.oldest_at_end_s:.2f} s{'' if driven else '; the generators fell behind'}"
        )
        if not (keeps_up and driven):
            break
        sustained = multiple
    return sustained, steps


def measure(args: argparse.Namespace) -> tuple[dict[str, Any], Scene]:
    """All of it."""
    before = load_average()
    load = Load(args.nodes, max(1, CAMERAS // args.nodes), coverage_per_s=args.nodes / 60)
    seconds = args.seconds or (60.0 if args.quick else 300.0)
    bursts = [(0.25 * seconds, 10.0), (0.6 * seconds, 10.0)]
    if seconds >= LONG_S:
        bursts.append((0.8 * seconds, 30.0))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        where = stack.enter_context(place(folder, args.database, args.workers, args.batch))
        say(f"  {load.nodes} nodes are admitted")
        crowd = stack.enter_context(squads(load, args.generators, where))
        with Centre(where) as centre:

            def parts() -> dict[str, Any]:
                return where.parts({"generators": crowd.processes, **centre.parts()})

            with closing(Watch(where.broker.url, DISTRICT, parts)) as watch:
                stage = Stage(where, centre, crowd, watch)
                stage.act(Act(load, WARM_S, seed=2))
                say("  one times the load, with bursts")
                figures, scene = one_times(stage, Act(load, seconds, tuple(bursts)))
                carried = scene.oldest_at_end_s < BEHIND_S and scene.driven
                sustained, steps = ladder(stage, load, LADDER if carried and not args.quick else ())
                watch.calm(SETTLE_S)
                words = centre.metrics()
        account = where.account(crowd.end())
    return {
        "nodes": load.nodes,
        "cameras": load.nodes * load.cameras,
        "database": args.database,
        "workers": args.workers if args.database == "postgres" else 1,
        "heartbeats_per_s": round(scene.report.sent["heartbeat"] / scene.act.seconds, 1),
        "events_per_s": load.events_per_s,
        "burst_events_per_s": load.events_per_s * load.burst_factor,
        "events_bursts_included_per_s": round(scene.report.sent["incident"] / scene.act.seconds, 1),
        **figures,
        "sustained_multiple": sustained if carried else 0.0,
        "ladder": steps,
        **account,
        "quarantined": int(words.get("quarantined", 0)),
        "dead_letters": int(words.get("dead_letters", 0)),
        "load_average_before": before,
    }, scene


def draw(scene: Scene, axes: Any) -> None:
    """Rates and ages over time."""
    sent, rows = scene.report.per_tick, per_s(scene.watched.looks, scene.begin_s, HALF_S)
    ticks = range(max(sent, default=0) + 1)
    at_s = [row[0] for row in rows]
    lines = axes.plot([tick * HALF_S for tick in ticks], [sent[tick] / HALF_S for tick in ticks], lw=1)
    lines += axes.plot(at_s, [row[1] for row in rows], lw=1)
    axes.set_xlabel("seconds")
    axes.set_ylabel("entries a second")
    axes.set_ylim(bottom=0)
    right = axes.twinx()
    right.spines["top"].set_visible(False)
    lines += right.plot(at_s, [row[2] for row in rows], color="tab:red", lw=1)
    right.set_ylabel("oldest entry not stored yet, seconds")
    right.set_ylim(bottom=0)
    labels = ("sent", "stored", "oldest waiting")
    axes.legend(
        lines, labels, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=len(labels), frameon=False
    )


def main() -> None:
    """Run it as a program."""
    args = parsed(
        __doc__,
        ("--database", {"choices": ("sqlite", "postgres"), "default": "sqlite", "help": "of the centre"}),
        ("--workers", {"type": int, "default": 2, "help": "of the centre, with PostgreSQL; SQLite has one"}),
        ("--nodes", {"type": int, "default": 1000, "help": "boxes that 60,000 cameras hang on"}),
        (
            "--seconds",
            {"type": float, "help": "of one times the load, 30 or more; default: 300, or 60 with --quick"},
        ),
        ("--batch", {"type": int, "default": 256, "help": "the centre's redis.batch"}),
        ("--generators", {"type": int, "default": 2, "help": "processes that play the nodes"}),
        quick="one times the load for a minute, and no ladder: a minute and a half in all",
    )
    result, scene = measure(args)
    flat = [(key, value) for key, value in result.items() if key != "ladder"]
    show("City", ("what", "figure"), flat)
    kind = "" if args.database == "sqlite" else f"-{args.database}"
    kind += "" if args.nodes == 1000 else f"-{args.nodes}"
    picture(
        f"city{kind}{'-quick' if args.quick else ''}", {"A city's load on one centre": partial(draw, scene)}
    )
    finish(f"city{kind}", args, result, KEYS)


if __name__ == "__main__":
    main()
