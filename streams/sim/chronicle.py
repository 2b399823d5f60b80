"""Writes down what is true of the crowd in a scene as it happens: looks at its zone, flows at its gates."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from streams.sim.crowds import STARTED_WITHIN_S, Look, People, Values, look
from streams.sim.geometry import Points, crossings
from streams.sim.moments import moments
from streams.sim.places import Place
from streams.sim.truth import TruthEvent, TruthFlow
from streams.sim.world import TICK_S, Crowd

LOOK_EVERY = 5
"""Steps between looks: five looks a second."""
_VELOCITY_LOOKS, _PACE_LOOKS = 2, 10
_STILL_M_S, _GOING_M_S = 0.05, 0.15


class Chronicle:
    """An observer for `Scene.observe`; ask it for the truth at the end.

    Args:
        place: whose crowd zone and gates are watched.
    """

    def __init__(self, place: Place) -> None:
        self._zone = place.crowd
        self._gates = place.gates
        self._looks: list[Look] = []
        self._crossed: list[tuple[list[float], list[float]]] = [([], []) for _ in place.gates]
        self._past: deque[tuple[NDArray[np.int64], Points]] = deque(maxlen=_PACE_LOOKS + 1)
        self._still = np.zeros(0, np.bool_)
        self._started_s = np.zeros(0)
        self._ticks = 0

    def __call__(self, time_s: float, crowd: Crowd) -> None:
        """Look at the people at scene time `time_s`."""
        for gate, ways in zip(self._gates, self._crossed, strict=True):
            crossed = crossings(crowd.before, crowd.position, gate.ends)
            for way, sign in zip(ways, (1, -1), strict=True):
                way += [round(time_s, 3)] * int(np.count_nonzero(crossed == sign))  # noqa: PLW2901 - in place
        if self._ticks % LOOK_EVERY == 0:
            self._looks.append(look(round(time_s, 3), self._people(time_s, crowd), self._zone.corners))
        self._ticks += 1

    def looks(self, end_s: float) -> tuple[Look, ...]:
        """The zone five times a second until `end_s`."""
        return tuple(one for one in self._looks if one.time_s <= end_s)

    def flows(self, end_s: float) -> tuple[TruthFlow, ...]:
        """Who crossed the gates until `end_s`."""
        return tuple(
            TruthFlow(
                gate.id, gate.points, *(tuple(at for at in way if at <= end_s) for way in (right, left))
            )
            for gate, (right, left) in zip(self._gates, self._crossed, strict=True)
        )

    def moments(self, end_s: float) -> tuple[TruthEvent, ...]:
        """The moments of danger until `end_s`; what is not over ends there."""
        return moments(self.looks(end_s), self.flows(end_s), self._zone.id)

    def _people(self, time_s: float, crowd: Crowd) -> People:
        self._past.append((crowd.number.copy(), crowd.position.copy()))
        velocity = self._moved(crowd, _VELOCITY_LOOKS)
        moved = self._moved(crowd, _PACE_LOOKS)
        to_goal = np.where(crowd.standing[:, None], 0.0, crowd.target - crowd.position)
        way = to_goal / np.maximum(np.hypot(to_goal[:, 0], to_goal[:, 1]), 1e-9)[:, None]
        started = self._note_starts(time_s, crowd.number, np.hypot(velocity[:, 0], velocity[:, 1]))
        return People(crowd.position, velocity, np.hypot(moved[:, 0], moved[:, 1]), way, started)

    def _moved(self, crowd: Crowd, looks: int) -> Points:
        """(n, 2) metres per second since so many looks ago; of who came in since, over the last step."""
        velocity = (crowd.position - crowd.before) / TICK_S
        ago = min(looks, len(self._past) - 1)
        if ago and len(crowd):
            number, position = self._past[-1 - ago]
            row = np.minimum(np.searchsorted(number, crowd.number), max(len(number) - 1, 0))
            known = number[row] == crowd.number if len(number) else np.zeros(len(crowd), np.bool_)
            velocity[known] = (crowd.position[known] - position[row[known]]) / (ago * LOOK_EVERY * TICK_S)
        return velocity

    def _note_starts(self, time_s: float, number: NDArray[np.int64], speed: Values) -> NDArray[np.bool_]:
        """Who of the people went on within the last seconds after they had stood still."""
        lacking = int(number.max(initial=-1)) + 1 - len(self._still)
        if lacking > 0:
            self._still = np.concatenate((self._still, np.zeros(lacking, np.bool_)))
            self._started_s = np.concatenate((self._started_s, np.full(lacking, -np.inf)))
        starts = self._still[number] & (speed > _GOING_M_S)
        self._started_s[number[starts]] = time_s
        self._still[number] = (speed < _STILL_M_S) | (self._still[number] & (speed <= _GOING_M_S))
        return np.asarray(time_s - self._started_s[number] <= STARTED_WITHIN_S, np.bool_)
