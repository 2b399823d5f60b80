"""How well `motion.unusual` tells scripted oddities from what is usual, and how often it is wrong.

From true positions with a detector's errors, each seed another town with ways of its own. Weeks cannot be
played: a town is learned from `--minutes` of each hour of two days, with the clock of the whole two days; the
odd ones come after, an hour of a Wednesday, one each 45 s. `auc` compares windows of 10 s with one who is odd
in view for 3 s or more with those without: by the rarest combined p-value in each.

False alarms are counted without compression: `--days` whole days after two days of learning, nobody odd,
ghosts and broken tracks included; `alarms_per_day` is as configured by default. Recall at that threshold is
counted at the end, of odd ones who come one each two minutes.
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from benchmarks.common import finish, parsed, say, show
from benchmarks.unusual_scenes import CLASS_NAMES, KINDS, MONDAY, STEP_S, Days, Passage, Town
from edge.analysis import Analysis
from edge.incidents import Incidents, policies
from edge.rules.motion_unusual import UnusualWatcher
from models.detections import Tracks

WINDOW_S, SEEN_S = 10.0, 3.0
LEARN_H = 48.0
ODD_EVERY_S = 45.0
RECALL_EVERY_S, GRACE_S = 120.0, 3.0
TEST_MIN = 40.0
_GAP_S = 60.0


@dataclass(slots=True)
class Windows:
    """Scores of windows of 10 s: usual ones, and by the kind of oddity."""

    usual: list[float] = field(default_factory=list)
    odd: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, rarest: float, seen_s: dict[str, float]) -> None:
        """One more; those with somebody odd for a moment only tell nothing."""
        score = -float(np.log10(rarest))
        if not seen_s:
            self.usual.append(score)
        elif max(seen_s.values()) >= SEEN_S:
            self.odd[max(seen_s, key=lambda kind: seen_s[kind])].append(score)


def auc(odd: list[float], usual: list[float]) -> float:
    """Probability that an odd one scores higher than a usual one; half for equal ones."""
    a, b = np.array(odd)[:, None], np.array(usual)
    return float((a > b).mean() + 0.5 * (a == b).mean())


class Camera:
    """A town's camera: its rules, and its clock, which goes on over gaps."""

    def __init__(self, town: Town) -> None:
        self.analysis = Analysis(town.config, town.site, CLASS_NAMES)
        (self.watcher,) = (one for one in self.analysis.learners if isinstance(one, UnusualWatcher))
        numbers = itertools.count()
        self.incidents = Incidents("c", policies(town.config), lambda: str(next(numbers)))
        self.told: list[float] = []
        self.time_s = 0.0

    def look(self, local: datetime, tracks: Tracks, *, learn: bool = True) -> float:
        """One look; the rarest combined p-value in it."""
        self.analysis.open_incidents = self.incidents.open if learn else ("benchmark/none",)
        seen = self.analysis.update(tracks, self.time_s, local=local)
        changes = self.incidents.update(seen.observations, self.time_s, local)
        self.told += [self.time_s for one in changes if one.phase == "begin"]
        self.time_s += STEP_S
        return self.watcher.rarest

    def learn(self, days: Iterator[tuple[float, datetime, Tracks]]) -> None:
        """Look at usual days."""
        for _, local, tracks in days:
            self.look(local, tracks)
        self.time_s += _GAP_S


def scored(seed: int, minutes: int) -> tuple[str, Windows]:
    """A town's place, and its windows after two compressed days."""
    town = Town(seed)
    camera = Camera(town)
    camera.learn(Days(town, minutes, MONDAY).looks(LEARN_H))
    days = Days(town, 60, MONDAY + timedelta(days=2, hours=8), ODD_EVERY_S)
    windows, rarest, seen_s = Windows(), 1.0, dict[str, float]()
    for at_s, local, tracks in days.looks(TEST_MIN / 60):
        if at_s and at_s % WINDOW_S == 0:
            windows.add(rarest, seen_s)
            rarest, seen_s = 1.0, {}
        rarest = min(rarest, camera.look(local, tracks, learn=False))
        for one in odd_in(days.now):
            seen_s[one.kind] = seen_s.get(one.kind, 0.0) + STEP_S
    return town.place.name, windows


def odd_in(passages: list[Passage]) -> list[Passage]:
    """Those in view who are odd; ghosts are not."""
    return [one for one in passages if one.kind in KINDS]


def alarms(seed: int, days: float) -> dict[str, float]:
    """False alarms a day of a town, uncompressed, and the share of odd ones that is told."""
    town = Town(seed)
    camera = Camera(town)
    began = time.process_time()
    camera.learn(Days(town, 60, MONDAY).looks(LEARN_H))
    camera.told.clear()
    camera.learn(Days(town, 60, MONDAY + timedelta(days=2)).looks(24 * days))
    false = len(camera.told)
    looks = camera.time_s / STEP_S
    cost_ms = (time.process_time() - began) * 1e3 / looks
    say(f"town {seed}: {false} false alarms in {days:g} days, {cost_ms:.2f} ms of simulation and look")
    test = Days(town, 60, MONDAY + timedelta(days=2 + days, hours=8), RECALL_EVERY_S)
    spans: dict[int, tuple[str, float, float]] = {}
    for _, local, tracks in test.looks(TEST_MIN / 60):
        for one in odd_in(test.now):
            kind, first, _last = spans.get(id(one), (one.kind, camera.time_s, 0.0))
            spans[id(one)] = (kind, first, camera.time_s)
        camera.look(local, tracks, learn=False)
    whole = [(a, b) for _, a, b in spans.values() if b - a >= SEEN_S]
    hits = [any(a <= t <= b + GRACE_S for t in camera.told) for a, b in whole]
    return {
        "town": float(seed),
        "false": float(false),
        "days": days,
        "odd": float(len(hits)),
        "told": float(sum(hits)),
    }


def main() -> None:
    """Run it."""
    args = parsed(
        __doc__,
        ("--seeds", {"default": "0-29", "help": "towns, first to last"}),
        ("--minutes", {"type": int, "default": 3, "help": "minutes of each hour that are learned"}),
        ("--days", {"type": float, "default": 3.0, "help": "whole days without compression"}),
        ("--towns", {"type": int, "default": 2, "help": "towns that are watched for whole days"}),
        quick="four towns, no whole days",
    )
    first, last = (int(part) for part in args.seeds.split("-"))
    seeds = range(first, min(last, first + 3 if args.quick else last) + 1)
    usual, odd, rows = list[float](), defaultdict[str, list[float]](list), list[tuple[object, ...]]()
    each = list[float]()
    for seed in seeds:
        place, windows = scored(seed, args.minutes)
        value = auc([s for many in windows.odd.values() for s in many], windows.usual)
        each.append(value)
        rows.append(
            (
                seed,
                place,
                value,
                *(auc(windows.odd[k], windows.usual) if windows.odd[k] else "-" for k in KINDS),
            )
        )
        usual += windows.usual
        for kind, scores in windows.odd.items():
            odd[kind] += scores
        say(f"town {seed}: AUC {value:.3f}")
    show("windows of 10 s", ("town", "place", "AUC", *KINDS), rows)
    result: dict[str, Any] = {
        "auc": round(auc([s for many in odd.values() for s in many], usual), 4),
        "auc_worst_town": round(min(each), 4),
        "auc_by_kind": {kind: round(auc(odd[kind], usual), 4) for kind in KINDS},
        "towns": len(each),
        "windows_odd": sum(map(len, odd.values())),
        "windows_usual": len(usual),
    }
    if not args.quick:
        long = [alarms(seed, args.days) for seed in range(first, first + args.towns)]
        result["false_alarms_per_camera_day"] = round(
            sum(one["false"] for one in long) / max(sum(one["days"] for one in long), 1e-9), 3
        )
        result["told_share"] = round(sum(o["told"] for o in long) / max(sum(o["odd"] for o in long), 1), 3)
        result["whole_days"] = args.days * args.towns
    finish("unusual", args, result, list(result))


if __name__ == "__main__":
    main()
