"""The planner with 2,000 cameras on a fake clock: time, floors, fairness, starvation, flapping.

    python benchmarks/planner.py [--quick] [--json] [--cameras N]

Cameras of mixed size, priority and rules live through minutes in which activity comes and goes (each camera
wakes and calms by itself, and five times as many in a rush), at several capacities. Costs carry noise of 5 %.
Times are thread CPU time of one plan. The picture needs matplotlib, and is left out without it.
"""

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import parsed, picture, save, show
from edge.control import Turns
from edge.floors import FLOOR_FPS
from streams.budget import ROTATE_S, plan
from streams.demand import Allocation, CameraCost, Capacity, Demand
from streams.service import LADDER_FPS, Service

FRAME_MS = 20.0
"""What a plan of 2,000 cameras may take."""
LOADS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""What cameras want in the mean, as a multiple of the capacity."""
NOISE = 0.05
RUSH = (0.6, 0.7)
"""Part of the run in which five times as many are active."""
KINDS = (("hazard.intrusion",), ("hazard.line", "hazard.intrusion"), ("crowd.density",), ())


@dataclass
class Fleet:
    """Cameras that wake and calm, with costs that waver."""

    count: int
    seed: int = 1
    still: bool = False
    demands: list[Demand] = field(default_factory=list)
    costs: dict[str, CameraCost] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = rng = np.random.default_rng(self.seed)
        for k in range(self.count):
            kinds = KINDS[k % len(KINDS)]
            megapixels = float(rng.choice([0.9, 2.1, 8.3], p=[0.3, 0.6, 0.1]))
            camera_id = f"c{k:05}"
            self.demands.append(
                Demand(
                    camera_id,
                    float(rng.choice([5, 10])),
                    {kind: FLOOR_FPS[kind] for kind in kinds},
                    int(rng.choice([2, 5, 8], p=[0.3, 0.6, 0.1])),
                    active_share=0.05,
                    keyframe_fps=0.5,
                    tiles=megapixels > 8,
                    density="crowd.density" in kinds,
                )
            )
            self.costs[camera_id] = CameraCost(4, 5.5 * megapixels, 50 * megapixels, 20, None, 60, 2)
        self.active = rng.random(self.count) < 0.1

    def step(
        self, waited_s: dict[str, tuple[float, float]], *, rush: bool
    ) -> tuple[list[Demand], dict[str, CameraCost]]:
        """The next second: who is active now, and what it costs this time."""
        rng = self._rng
        if not self.still:
            wake, calm = (0.05, 0.05) if rush else (0.005, 0.045)
            chance = rng.random(self.count)
            self.active = np.where(self.active, chance > calm, chance < wake)
        incidents = rng.random(self.count) < 0.1 if not self.still else np.arange(self.count) % 10 == 0
        demands = [
            replace(
                demand,
                active_share=1.0 if active else 0.05,
                moving_tracks=int(active),
                open_incident=bool(active and incident),
                stale_s=waited_s.get(demand.camera_id, (0.0, 0.0))[0],
                shed_s=waited_s.get(demand.camera_id, (0.0, 0.0))[1],
            )
            for demand, active, incident in zip(
                self.demands, self.active.tolist(), incidents.tolist(), strict=True
            )
        ]
        factors = rng.uniform(1 - NOISE, 1 + NOISE, self.count).tolist()
        costs = {
            id_: replace(cost, decode_ms_per_s=cost.decode_ms_per_s * factor, look_ms=cost.look_ms * factor)
            for (id_, cost), factor in zip(self.costs.items(), factors, strict=True)
        }
        return demands, costs

    def wanted_ms(self) -> float:
        """What all would take in the mean, a tenth of them active."""
        demands = [replace(demand, active_share=0.15) for demand in self.demands]
        return plan(demands, self.costs, Capacity(1e12)).cpu_ms


@dataclass
class Tally:
    """What a run showed."""

    plan_ms: list[float] = field(default_factory=list)
    over: int = 0
    inverted: int = 0
    below: list[float] = field(default_factory=list)
    shed: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    starved: int = 0
    """Cameras never looked at, though one of their priority or less was."""
    unseen: int = 0
    """Cameras of a priority that was never looked at: shed as declared."""


def live(fleet: Fleet, cpu_ms: float, seconds: int) -> Tally:
    """Plan every second for a while."""
    tally, allocation = Tally(), None
    blind, shed = Turns(), Turns()
    looked: set[str] = set()
    for second in range(seconds):
        rush = RUSH[0] <= second / seconds < RUSH[1]
        waited_s = {
            id_: (blind.waited_s(id_, float(second)), shed.waited_s(id_, float(second)))
            for id_ in fleet.costs
        }
        demands, costs = fleet.step(waited_s, rush=rush)
        before = allocation
        began_s = time.thread_time()
        allocation = plan(demands, costs, Capacity(cpu_ms), allocation)
        tally.plan_ms.append((time.thread_time() - began_s) * 1e3)
        judge(tally, demands, allocation, before)
        blind.step(float(second), {short.camera_id for short in allocation.below_floor})
        shed.step(float(second), {id_ for id_, service in allocation.services.items() if service.shed})
        looked |= {id_ for id_, service in allocation.services.items() if not service.shed}
    never = [demand for demand in fleet.demands if demand.camera_id not in looked]
    least = min((demand.priority for demand in fleet.demands if demand.camera_id in looked), default=10)
    tally.starved = sum(demand.priority >= least for demand in never)
    tally.unseen = len(never) - tally.starved
    return tally


def judge(tally: Tally, demands: list[Demand], allocation: Allocation, before: Allocation | None) -> None:
    """Hold one plan against what is promised."""
    limit = allocation.capacity.cpu_ms * (1.12 if before else 1.0)
    tally.over += allocation.cpu_ms > limit + 1e-6
    shed = [service.shed for service in allocation.services.values()]
    tally.shed.append(sum(shed) / len(shed))
    blind = {short.camera_id for short in allocation.below_floor}
    tally.below.append(len(blind) / len(demands))
    # Among cameras alike but for priority, nobody may be blind while one of lower priority is not.
    classes: dict[tuple[Any, ...], dict[int, list[bool]]] = {}
    for demand in demands:
        alike = (tuple(demand.floors), demand.active_share, demand.tiles, demand.urgency)
        classes.setdefault(alike, {}).setdefault(demand.priority, []).append(demand.camera_id in blind)
    for by_priority in classes.values():
        some = [all(blind) for _, blind in sorted(by_priority.items())]  # from the lowest priority up
        none = [not any(blind) for _, blind in sorted(by_priority.items())]
        tally.inverted += any(none[low] and some[high] for high in range(len(some)) for low in range(high))
    if before is not None:
        moved = sum(service != before.services[id_] for id_, service in allocation.services.items())
        tally.changes.append(moved / len(demands))


def flapping(count: int, cpu_ms: float, seconds: int) -> int:
    """How often a camera goes back to a service that it had left, while nothing but noise changes."""
    fleet, allocation, flaps = Fleet(count, still=True), None, 0
    had: dict[str, list[Service]] = {}
    for _ in range(seconds):
        demands, costs = fleet.step({}, rush=False)
        allocation = plan(demands, costs, Capacity(cpu_ms), allocation)
        for id_, service in allocation.services.items():
            past = had.setdefault(id_, [])
            if not past or past[-1] != service:
                flaps += service in past
                past.append(service)
    return flaps


def equals(count: int, cpu_ms: float) -> float:
    """Steps of the ladder between the best and the worst served of cameras that are all alike."""
    demands = [Demand(f"c{k}", 10, {"hazard.line": 2.0}) for k in range(count)]
    costs = dict.fromkeys((demand.camera_id for demand in demands), CameraCost(4, 10, 110, 20))
    services: list[Service] = list(plan(demands, costs, Capacity(cpu_ms)).services.values())
    steps = [-1 if service.shed else LADDER_FPS.index(service.fps) for service in services]
    # One camera may get what is left over and too little to lift another.
    return float(np.quantile(steps, 0.999, method="lower") - min(steps))


def measure(count: int, seconds: int) -> dict[str, Any]:
    """A run for each load."""
    wanted = Fleet(count).wanted_ms()
    rows: list[dict[str, Any]] = []
    for load in LOADS:
        capacity = wanted / load
        tally = live(Fleet(count), capacity, seconds)
        times = sorted(tally.plan_ms)
        rows.append(
            {
                "load": load,
                "plan_ms_p50": statistics.median(times),
                "plan_ms_p99": times[int(0.99 * (len(times) - 1))],
                "over_capacity": tally.over,
                "priority_inverted": tally.inverted,
                "blind_share": statistics.fmean(tally.below),
                "shed_share": statistics.fmean(tally.shed),
                "changed_share_per_s": statistics.fmean(tally.changes),
                "starved": tally.starved,
                "shed_throughout": tally.unseen,
                "flaps_under_noise": flapping(min(count, 400), capacity * min(count, 400) / count, 60),
                "steps_between_equals": equals(count, capacity),
                "blind_by_second": tally.below,
                "shed_by_second": tally.shed,
            }
        )
    flat = {
        "cameras": count,
        "seconds": seconds,
        "plan_ms_p50": max(row["plan_ms_p50"] for row in rows),
        "plan_ms_p99": max(row["plan_ms_p99"] for row in rows),
        "within_20_ms": max(row["plan_ms_p50"] for row in rows) <= FRAME_MS,
        "over_capacity": sum(row["over_capacity"] for row in rows),
        "priority_inverted": sum(row["priority_inverted"] for row in rows),
        "flaps_under_noise": sum(row["flaps_under_noise"] for row in rows),
        "steps_between_equals": max(row["steps_between_equals"] for row in rows),
        "starved": sum(row["starved"] for row in rows),
        "rotation_s": ROTATE_S,
    }
    return flat | {"by_load": rows}


def draw(by_load: Sequence[Mapping[str, Any]], key: str, axes: Any) -> None:
    """A share of cameras over time, at every load."""
    for row in by_load:
        axes.plot([100 * share for share in row[key]], label=f"{row['load']:g} × capacity")
    axes.set_xlabel("simulated seconds (rush from 60 to 70 %)")
    if axes.get_subplotspec().is_first_col():  # scale and colours are those of the other panel too
        axes.set_ylabel("% of cameras")
        axes.legend()


COLUMNS = {
    "load": "wanted / capacity", "plan_ms_p50": "plan ms p50", "plan_ms_p99": "p99",
    "over_capacity": "over capacity", "priority_inverted": "priority inverted", "blind_share": "blind share",
    "shed_share": "shed share", "starved": "starved", "shed_throughout": "always shed",
    "flaps_under_noise": "flaps", "steps_between_equals": "steps between equals",
}  # fmt: skip


def main() -> None:
    """Measure, show, save."""
    count = {"type": int, "default": 2000, "help": "how many cameras are planned"}
    args = parsed(__doc__, ("--cameras", count), quick="fewer seconds")
    result = measure(args.cameras, 60 if args.quick else 300)
    rows = [[row[key] for key in COLUMNS] for row in result["by_load"]]
    show(f"{args.cameras} cameras", list(COLUMNS.values()), rows)
    name = "planner-quick" if args.quick else "planner"
    panels = {"cameras below floor": "blind_by_second", "cameras shed": "shed_by_second"}
    picture(name, {title: partial(draw, result["by_load"], key) for title, key in panels.items()})
    for row in result["by_load"]:
        del row["blind_by_second"], row["shed_by_second"]
    save(name, result)
    if args.json:
        print(json.dumps({key: value for key, value in result.items() if key != "by_load"}))


if __name__ == "__main__":
    main()
