"""Sees who rides a cycle across the guarded line or into the restricted zone: they are people, too."""

from typing import Literal

import numpy as np

from streams.sim.geometry import crossings, inside
from streams.sim.places import Place
from streams.sim.things import Thing
from streams.sim.truth import TruthEvent
from streams.sim.world import Crowd


class Riders:
    """An observer for `Scene.observe_things`; ask it for the events at the end.

    Args:
        place: whose restricted zone and line are watched.
    """

    def __init__(self, place: Place) -> None:
        self._zone, self._line = place.restricted, place.line
        self._before: dict[int, tuple[float, float]] = {}
        self._since: dict[int, float] = {}
        self._events: list[TruthEvent] = []

    def __call__(self, time_s: float, _crowd: Crowd, things: tuple[Thing, ...]) -> None:
        """Look at the things at scene time `time_s`."""
        ridden = {thing.number: thing.ground for thing in things if thing.ridden}
        for number, at in ridden.items():
            (way,) = crossings(
                np.array([self._before.get(number, at)]), np.array([at]), self._line.ends
            ).tolist()
            if way:
                self._events.append(self._crossing(time_s, "right" if way > 0 else "left"))
        there = {n for n, at in ridden.items() if inside(np.array([at]), self._zone.corners)[0]}
        for number in sorted(self._since.keys() - there):
            self._events.append(self._intrusion(self._since.pop(number), time_s))
        self._since |= dict.fromkeys(sorted(there - self._since.keys()), time_s)
        self._before = ridden

    def events(self, end_s: float) -> tuple[TruthEvent, ...]:
        """All events until `end_s`; what is not over ends there."""
        still = [self._intrusion(since_s, max(since_s, end_s)) for since_s in self._since.values()]
        return tuple(event for event in (*self._events, *still) if event.begin_s <= end_s)

    def _crossing(self, time_s: float, direction: Literal["left", "right"]) -> TruthEvent:
        at_s = round(time_s, 3)
        return TruthEvent("hazard.line", self._line.id, at_s, at_s, direction=direction)

    def _intrusion(self, begin_s: float, end_s: float) -> TruthEvent:
        return TruthEvent("hazard.intrusion", self._zone.id, round(begin_s, 3), round(end_s, 3), people=1)
