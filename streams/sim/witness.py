"""Sees what truly happens in a scene, from where people really are, and writes down the events."""

import numpy as np

from streams.sim.density import density
from streams.sim.geometry import Points, crossings, inside
from streams.sim.places import Place
from streams.sim.postures import LAST_FALL
from streams.sim.truth import TruthEvent
from streams.sim.world import TICK_S, Crowd

DENSE_PER_M2 = 2.0
"""A crowd event lasts while the worst cell is at least so dense."""
CALM_S = 4.0
"""Shorter lulls do not end a crowd event, shorter peaks do not begin one."""
DENSITY_EVERY = 5
"""Steps between looks at the density, as crowds change slowly."""


class Witness:
    """An observer for `Scene.observe`; ask it for the events at the end.

    Args:
        place: whose zones and line are watched.
    """

    def __init__(self, place: Place) -> None:
        self._restricted = place.restricted
        self._crowd = place.crowd
        self._zones = (place.crowd, *place.zones)
        self._line = place.line
        self._events: list[TruthEvent] = []
        self._intrusion: tuple[float, int] | None = None
        self._dense: list[tuple[float, float]] = []
        self._lying: dict[int, tuple[float, str]] = {}
        self._looks = 0

    def __call__(self, time_s: float, crowd: Crowd) -> None:
        """Look at the people at scene time `time_s`."""
        self._see_intrusion(time_s, crowd)
        self._see_crossings(time_s, crowd)
        self._see_falls(time_s, crowd)
        if self._looks % DENSITY_EVERY == 0:
            worst = density(crowd.position, self._crowd.corners).worst_cell_per_m2
            if worst >= DENSE_PER_M2:
                self._dense.append((time_s, worst))
        self._looks += 1

    def events(self, end_s: float) -> tuple[TruthEvent, ...]:
        """All events until `end_s`, in order of their beginning; what is not over ends there."""
        events = list(self._events)
        if self._intrusion is not None:
            begin_s, people = self._intrusion
            events.append(self._intrusion_event(begin_s, end_s, people))
        events += [
            TruthEvent("hazard.fall", zone, round(begin_s, 3), round(max(begin_s, end_s), 3))
            for begin_s, zone in self._lying.values()
        ]
        events += self._crowd_events()
        cut = [event for event in events if event.begin_s <= end_s]
        return tuple(sorted(cut, key=lambda event: (event.begin_s, event.kind)))

    def _see_intrusion(self, time_s: float, crowd: Crowd) -> None:
        count = int(np.count_nonzero(inside(crowd.position, self._restricted.corners)))
        if count:
            begin_s, people = self._intrusion or (time_s, 0)
            self._intrusion = (begin_s, max(people, count))
        elif self._intrusion is not None:
            begin_s, people = self._intrusion
            self._events.append(self._intrusion_event(begin_s, time_s, people))
            self._intrusion = None

    def _intrusion_event(self, begin_s: float, end_s: float, people: int) -> TruthEvent:
        return TruthEvent(
            "hazard.intrusion", self._restricted.id, round(begin_s, 3), round(end_s, 3), people=people
        )

    def _see_crossings(self, time_s: float, crowd: Crowd) -> None:
        crossed = crossings(crowd.before, crowd.position, self._line.ends)
        for direction in crossed[crossed != 0]:
            at = round(time_s, 3)
            self._events.append(
                TruthEvent(
                    "hazard.line", self._line.id, at, at, direction="right" if direction > 0 else "left"
                )
            )

    def _see_falls(self, time_s: float, crowd: Crowd) -> None:
        """A fall is true from the impact until the person is up again, or gone."""
        down = crowd.posture > 0
        if not self._lying and not down.any():
            return
        for row in np.flatnonzero(down & (crowd.posture <= LAST_FALL) & (crowd.progress >= 1.0)):
            self._lying.setdefault(int(crowd.number[row]), (time_s, self._zone(crowd.position[row])))
        still = set(crowd.number[down].tolist())
        for number in [number for number in self._lying if number not in still]:
            begin_s, zone = self._lying.pop(number)
            self._events.append(TruthEvent("hazard.fall", zone, round(begin_s, 3), round(time_s, 3)))

    def _zone(self, at: Points) -> str:
        """The zone somebody is in; empty for none."""
        return next((zone.id for zone in self._zones if inside(at[None], zone.corners).all()), "")

    def _crowd_events(self) -> list[TruthEvent]:
        """Dense moments, joined where the lull between them is short."""
        runs: list[list[tuple[float, float]]] = []
        for moment in self._dense:
            if not runs or moment[0] - runs[-1][-1][0] > CALM_S:
                runs.append([])
            runs[-1].append(moment)
        period = DENSITY_EVERY * TICK_S
        return [
            TruthEvent(
                "crowd.density",
                self._crowd.id,
                round(run[0][0], 3),
                round(run[-1][0] + period, 3),
                worst_cell_per_m2=round(max(worst for _, worst in run), 3),
            )
            for run in runs
            if run[-1][0] - run[0][0] >= CALM_S
        ]
