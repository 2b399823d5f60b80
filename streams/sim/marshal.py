"""Sees where people and things do what a zone does not allow, from where they really are.

What counts, by the zone's use:

- `one_way`: `hazard.wrongway`, while a person or vehicle goes against the allowed way, from where they turned
  to it; less than `AGAINST_M` of it is none, nor is going more across than against.
- `fire_lane`: `hazard.obstruction`, while something stands there, `OBSTRUCTION_S` or longer; from its stop.
- `people_only`: `hazard.forbidden_object`, while the middle of a cycle is there.
- `watched`: `hazard.abandoned`, while something lies there that was not there from the beginning,
  `ABANDONED_S` or longer; from when it was put down. `hazard.removed`, from when something that stood there
  from the beginning was taken away.

Several at once, or one after the other within `MERGE_S`, are one event, but of what was removed each is one.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

import numpy as np

from streams.sim.geometry import Points, inside
from streams.sim.places import Place, Zone
from streams.sim.things import CYCLES, Thing
from streams.sim.truth import Kind, TruthEvent
from streams.sim.world import Crowd

AGAINST_M = 1.5
TURNED_M = 0.8
"""Who has gone the allowed way again so far has turned round."""
OBSTRUCTION_S = 30.0
ABANDONED_S = 30.0
MERGE_S = 1.0

_LEAST_S: dict[Kind, float] = {"hazard.obstruction": OBSTRUCTION_S, "hazard.abandoned": ABANDONED_S}
_KINDS: tuple[Kind, ...] = (
    "hazard.wrongway",
    "hazard.obstruction",
    "hazard.forbidden_object",
    "hazard.abandoned",
    "hazard.removed",
)
_GOODS = ("bag", "suitcase", "box")
Case = tuple[Kind, object]


class Marshal:
    """An observer for `Scene.observe_things`; ask it for the events at the end.

    Args:
        place: whose marked zones are watched.
    """

    def __init__(self, place: Place) -> None:
        self._zones = {zone.use: zone for zone in place.marked}
        self._open: dict[Case, float] = {}
        self._spans: dict[Kind, list[tuple[float, float]]] = {kind: [] for kind in _KINDS}
        self._ways: dict[object, _Way] = {}
        self._first: dict[int, Thing] | None = None

    def __call__(self, time_s: float, crowd: Crowd, things: tuple[Thing, ...]) -> None:
        """Look at people and things at scene time `time_s`."""
        if not self._zones:
            return
        if self._first is None:
            self._first = {thing.number: thing for thing in things}
        found: dict[Case, float] = {}
        for use, look in (
            ("one_way", self._against(time_s, crowd, things)),
            ("fire_lane", self._standing(time_s, things)),
            ("people_only", self._cycles(time_s, things)),
            ("watched", chain(self._left(time_s, things), self._removed(time_s, things))),
        ):
            if use in self._zones:
                found.update(look)
        for case, begin_s in self._open.items():
            if case not in found:
                self._spans[case[0]].append((begin_s, time_s))
        self._open = {case: self._open.get(case, begin_s) for case, begin_s in found.items()}

    def events(self, end_s: float) -> tuple[TruthEvent, ...]:
        """All events until `end_s`, in order of their beginning; what is not over ends there."""
        spans = {kind: list(one) for kind, one in self._spans.items()}
        for (kind, _), begin_s in self._open.items():
            spans[kind].append((begin_s, end_s))
        events = []
        for kind, every in spans.items():
            long = [(begin, min(end, end_s)) for begin, end in every if begin <= end_s]
            long = [one for one in long if one[1] - one[0] >= _LEAST_S.get(kind, 0.0) - 1e-6]
            for begin, end in long if kind == "hazard.removed" else _merged(long):
                events.append(TruthEvent(kind, self._zone(kind).id, round(begin, 3), round(end, 3)))
        return tuple(sorted(events, key=lambda event: (event.begin_s, event.kind)))

    def _zone(self, kind: Kind) -> Zone:
        uses = ("one_way", "fire_lane", "people_only", "watched", "watched")
        return self._zones[uses[_KINDS.index(kind)]]  # type: ignore[index]

    def _against(
        self, time_s: float, crowd: Crowd, things: tuple[Thing, ...]
    ) -> Iterator[tuple[Case, float]]:
        zone = self._zones["one_way"]
        towards = np.array(zone.towards)
        movers = [thing for thing in things if thing.kind not in (*_GOODS, "dog")]
        names: list[object] = [*crowd.number.tolist(), *(f"thing {thing.number}" for thing in movers)]
        spots = np.concatenate((crowd.position, np.array([one.ground for one in movers]).reshape(-1, 2)))
        there = np.flatnonzero(inside(spots, zone.corners)).tolist() if len(spots) else list[int]()
        ways = {}
        for row in there:
            spot = spots[row]
            here = float(spot @ towards), float(spot[1] * towards[0] - spot[0] * towards[1])
            way = self._ways.get(names[row]) or _Way(here, time_s)
            way.go(here, time_s)
            ways[names[row]] = way
            if way.against_since_s is not None:
                yield ("hazard.wrongway", names[row]), way.against_since_s
        self._ways = ways

    def _standing(self, time_s: float, things: tuple[Thing, ...]) -> Iterator[tuple[Case, float]]:
        for thing in things:
            if thing.kind != "dog" and thing.parked_s > 0 and _reaches(thing, self._zones["fire_lane"]):
                yield ("hazard.obstruction", thing.number), time_s - thing.parked_s

    def _cycles(self, time_s: float, things: tuple[Thing, ...]) -> Iterator[tuple[Case, float]]:
        corners = self._zones["people_only"].corners
        for thing in things:
            if thing.kind in CYCLES and inside(np.array([thing.ground]), corners)[0]:
                yield ("hazard.forbidden_object", thing.number), time_s

    def _left(self, time_s: float, things: tuple[Thing, ...]) -> Iterator[tuple[Case, float]]:
        for thing in things:
            new = thing.number not in (self._first or {})
            if (
                new
                and thing.kind in _GOODS
                and thing.parked_s > 0
                and _reaches(thing, self._zones["watched"])
            ):
                yield ("hazard.abandoned", thing.number), time_s - thing.parked_s

    def _removed(self, time_s: float, things: tuple[Thing, ...]) -> Iterator[tuple[Case, float]]:
        now = {thing.number: thing for thing in things}
        for number, first in (self._first or {}).items():
            if _reaches(first, self._zones["watched"]):
                one = now.get(number)
                if one is None or one.up_m > 0 or np.hypot(*np.subtract(one.ground, first.ground)) > 0.3:
                    yield ("hazard.removed", number), time_s


class _Way:
    """How somebody goes through a one-way zone: metres along the allowed way, and across it."""

    def __init__(self, here: tuple[float, float], time_s: float) -> None:
        self._farthest, self._farthest_s = here, time_s
        self._least_m = here[0]
        self.against_since_s: float | None = None

    def go(self, here: tuple[float, float], time_s: float) -> None:
        """Be at `here` at `time_s`."""
        along, across = here
        self._least_m = min(self._least_m, along)
        turned = self.against_since_s is not None and along - self._least_m > TURNED_M
        if turned or along >= self._farthest[0]:
            self.against_since_s = None
            self._farthest, self._farthest_s, self._least_m = here, time_s, along
        against = self._farthest[0] - along
        if against >= max(AGAINST_M, abs(across - self._farthest[1])) and self.against_since_s is None:
            self.against_since_s = self._farthest_s


def _reaches(thing: Thing, zone: Zone) -> bool:
    """Whether the middle of a thing, or half of one side of it, lies in the zone."""
    return _lies(Thing(thing.number, thing.kind, thing.ground, thing.heading), zone)


@lru_cache(maxsize=64)
def _lies(thing: Thing, zone: Zone) -> bool:
    """As `_reaches`; what stands still is asked for at every step."""
    base: Points = thing.base
    points = np.concatenate((base, (base + np.roll(base, -1, axis=0)) / 2, [thing.ground]))
    return bool(np.count_nonzero(inside(points, zone.corners)) >= 3)


def _merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if merged and begin - merged[-1][1] <= MERGE_S:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged
