"""People on the ground who follow their errands under social forces, in fixed steps of time.

The step does not depend on the picture rate: a picture between two steps sees positions between them, so
the same seed gives the same walk at every rate. States are rounded to 2**-20, which keeps the last digits
of `exp`, where processors differ, from growing into different walks.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from streams.sim import detour, forces
from streams.sim.bearing import Hold
from streams.sim.geometry import Points, Segments, offsets, passed

TICK_S = 0.04
"""Step of the simulation in seconds."""
BODY_RADIUS_M = 0.2
WALL_GAP_M = 0.15
"""Nobody's centre comes nearer to a wall. A step is shorter than this, so no wall is jumped."""
MAX_SPEED_M_S = 3.5
ARRIVED_M = 0.35
STOPS_WITHIN_M = 1.0
"""Who is to stand at a stop slows down from here, others pass at `ARRIVED_M`."""
SETTLING_S = 0.8
"""Somebody who stands makes for the spot at the remaining distance divided by this."""
GRAIN = 2.0**20
DOWN_RADIUS_M = 0.55
"""Others keep as clear of who is not upright as if that person were so wide."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A point on somebody's errand.

    Attributes:
        point: (x, y) metres.
        wait_s: how long to stand there.
        until_s: scene time to stand there until, or to give up trying to get there; None is no such time.
        across: another point, if anywhere on the straight line between the two will do, as in a gate.
        speed: desired speed on the way there and from then on, in metres per second; None for as before.
    """

    point: tuple[float, float]
    wait_s: float = 0.0
    until_s: float | None = None
    across: tuple[float, float] | None = None
    speed: float | None = None


@dataclass(slots=True)
class Crowd:
    """Everybody in the world; each array has one row a person.

    Attributes:
        number: int64, counts up from 0, never used twice.
        position, before: (n, 2) metres at this step and at the step before.
        velocity: (n, 2) metres per second.
        heading: radians counter-clockwise from the x axis.
        walked, walked_before: metres since the person came in.
        speed: desired walking speed in metres per second.
        push: share of the desired speed that is kept however dense it is ahead; 1 slows down for nobody.
        goal, goal_end: (n, 2) metres; where one is, anywhere between them will do.
        leave_s: scene time to go on to the next stop; NaN while not standing and without a time-out.
        standing: whether the person stands at the goal.
        free: whether the person ignores the courtesy walls (restricted zones, guarded lines).
        posture: number in `postures.POSTURES`, 0 upright.
        progress: 0 upright to 1, as far into the posture as it goes.
        stature: ratio of the person's height to a grown-up's.
    """

    number: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    position: Points = field(default_factory=lambda: np.zeros((0, 2)))
    before: Points = field(default_factory=lambda: np.zeros((0, 2)))
    velocity: Points = field(default_factory=lambda: np.zeros((0, 2)))
    heading: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    walked: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    walked_before: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    speed: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    push: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    goal: Points = field(default_factory=lambda: np.zeros((0, 2)))
    goal_end: Points = field(default_factory=lambda: np.zeros((0, 2)))
    leave_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    standing: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    free: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    posture: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    progress: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    stature: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.number)

    @property
    def target(self) -> Points:
        """(n, 2) metres: the nearest point of everybody's goal."""
        wide = self.goal_end != self.goal
        if not wide.any():
            return self.goal
        along = self.goal_end - self.goal
        length = np.maximum(np.einsum("nk,nk->n", along, along), 1e-9)
        share = np.einsum("nk,nk->n", self.position - self.goal, along) / length
        return np.asarray(self.goal + along * np.clip(share, 0.0, 1.0)[:, None], np.float64)

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Drop the rows where (n,) `mask` is false."""
        for column in fields(self):
            setattr(self, column.name, getattr(self, column.name)[mask])

    def append(self, **row: object) -> None:
        """Add a person; every column is given by name."""
        for column in fields(self):
            old = getattr(self, column.name)
            new = np.asarray([row[column.name]], old.dtype)
            setattr(self, column.name, np.concatenate((old, new)))


class World:
    """Walls, people, and a step of time.

    Args:
        walls: (m, 2, 2) metres, which nobody passes.
        courtesy: (k, 2, 2) metres, which only people who are `free` pass.

    Attributes:
        crowd: everybody.
        obstacles: (j, 5) rectangles as in `detour` that people walk around, which may change with each step.
        ticks: steps done.
    """

    def __init__(self, walls: Segments, courtesy: Segments) -> None:
        for name, segments in (("walls", walls), ("courtesy", courtesy)):
            if segments.ndim != 3 or segments.shape[1:] != (2, 2):
                raise ValueError(f"{name} must be (m, 2, 2), got {segments.shape}")
        self._walls = np.concatenate((walls, courtesy))
        self._solid = np.arange(len(self._walls)) < len(walls)
        self._errands: dict[int, deque[Stop]] = {}
        self._holds: dict[int, Hold] = {}
        self._entered = 0
        self.crowd = Crowd()
        self.obstacles = np.zeros((0, 5))
        self.ticks = 0

    @property
    def time_s(self) -> float:
        """Scene time of the newest step in seconds."""
        return self.ticks * TICK_S

    def enter(
        self,
        start: tuple[float, float],
        errand: Iterable[Stop],
        *,
        speed: float,
        free: bool = False,
        push: float = 1.0,
        stature: float = 1.0,
    ) -> int:
        """Let somebody in who leaves the world after the errand's last stop.

        Args:
            start: (x, y) metres.
            errand: stops in order, at least one.
            speed: desired walking speed in metres per second, at most what the time step allows.
            free: whether to ignore courtesy walls.
            push: 0 to 1, share of the desired speed that is kept however dense it is ahead.
            stature: ratio of the person's height to a grown-up's.

        Returns:
            The person's number.
        """
        stops = deque(errand)
        if not stops:
            raise ValueError("an errand needs at least one stop")
        for pace in (speed, *(stop.speed for stop in stops if stop.speed is not None)):
            if not 0 < pace * forces.MAX_SPEED_RATIO <= MAX_SPEED_M_S:
                raise ValueError(f"speed must be positive and at most {MAX_SPEED_M_S} / 1.3, got {pace}")
        if not 0 <= push <= 1:
            raise ValueError(f"push must be 0 to 1, got {push}")
        number, self._entered = self._entered, self._entered + 1
        towards = np.subtract(stops[0].point, start)
        there = not towards.any()  # who stands already faces anywhere
        heading = number * 2.4 % (2 * np.pi) if there else float(np.arctan2(towards[1], towards[0]))
        drift = 0.0 if there else speed
        self.crowd.append(
            number=number,
            position=start,
            before=start,
            velocity=(drift * np.cos(heading), drift * np.sin(heading)),
            heading=heading,
            walked=number * 0.37,  # so that people do not walk in step
            walked_before=number * 0.37,
            speed=stops[0].speed or speed,
            push=push,
            goal=stops[0].point,
            goal_end=stops[0].across or stops[0].point,
            leave_s=np.nan if stops[0].until_s is None else stops[0].until_s,
            standing=False,
            free=free,
            posture=0,
            progress=0.0,
            stature=stature,
        )
        self._errands[number] = stops
        return number

    def hold(self, number: int, hold: Hold) -> None:
        """Have the person `number` take a posture from now on; the errand waits meanwhile."""
        if number not in self._errands:
            raise ValueError(f"nobody has the number {number}")
        self._holds[number] = hold

    def bearings(self, time_s: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(n,) posture and (n,) progress of everybody at `time_s`, which is within the last step."""
        posture, progress = self.crowd.posture.copy(), self.crowd.progress.copy()
        for row in self._held():
            posture[row], progress[row] = self._holds[int(self.crowd.number[row])].at(time_s)
        return posture, progress

    def step(self) -> None:
        """Advance by one tick of `TICK_S` seconds."""
        crowd = self.crowd
        crowd.before, crowd.walked_before = crowd.position, crowd.walked
        self.ticks += 1
        if len(crowd):
            self._move(crowd)
            self._follow_errands(crowd)

    def _move(self, crowd: Crowd) -> None:
        to_goal = self._aim(crowd) - crowd.position
        ahead = self._ahead(crowd, to_goal)
        acceleration = forces.driving_forces(crowd.velocity, self._desired(crowd, to_goal, ahead))
        walls, concerned = self._walls, self._solid | ~crowd.free[:, None]
        if len(self.obstacles):
            sides = detour.sides(self.obstacles)
            walls = np.concatenate((walls, sides))
            concerned = np.concatenate((concerned, np.ones((len(crowd), len(sides)), np.bool_)), axis=1)
        away = offsets(crowd.position, walls)
        away[~concerned] = np.inf
        acceleration += forces.wall_forces(away)
        radius = np.where(crowd.posture > 0, DOWN_RADIUS_M, BODY_RADIUS_M)
        ease = np.where(crowd.standing, 0.9, forces.closeness(ahead, crowd.push))
        acceleration += forces.pair_forces(crowd.position, crowd.velocity, radius, ease)

        down = crowd.posture > 0
        if down.any():
            acceleration += forces.go_round(crowd.position, to_goal, crowd.position[down])
        velocity = crowd.velocity + acceleration * TICK_S
        speed = np.hypot(velocity[:, 0], velocity[:, 1])
        limit = crowd.speed * forces.MAX_SPEED_RATIO
        velocity *= np.minimum(1.0, limit / np.maximum(speed, 1e-9))[:, None]
        position = forces.give_way(crowd.position + velocity * TICK_S, limit * TICK_S / 2)
        if (np.abs(away).max(axis=-1) < WALL_GAP_M + MAX_SPEED_M_S * TICK_S).any():
            position = forces.keep_out(position, walls, WALL_GAP_M, concerned)
            through = passed(crowd.position, position, walls) & concerned
            position[through.any(axis=1)] = crowd.position[through.any(axis=1)]
        if len(self.obstacles):  # who a vehicle has come upon is pushed aside, as no side is between them
            position = detour.reachable(position, self.obstacles, WALL_GAP_M)
        crowd.velocity = np.round(velocity * GRAIN) / GRAIN
        crowd.position = np.round(position * GRAIN) / GRAIN
        self._stay(crowd)
        moved = np.where(crowd.posture[:, None] > 0, 0.0, crowd.position - crowd.before)
        crowd.walked = crowd.walked + np.hypot(moved[:, 0], moved[:, 1])
        self._turn(crowd, np.minimum(speed, limit))

    def _reachable(self, crowd: Crowd) -> Points:
        """(n, 2) metres: the nearest point of everybody's goal on which nothing stands."""
        return detour.reachable(crowd.target, self.obstacles) if len(self.obstacles) else crowd.target

    def _aim(self, crowd: Crowd) -> Points:
        """(n, 2) metres: what everybody makes for now, the goal or a corner of what is in the way."""
        target = self._reachable(crowd)
        return detour.around(crowd.position, target, self.obstacles) if len(self.obstacles) else target

    def _held(self) -> list[int]:
        """Rows of those who are not upright."""
        return (
            [row for row, number in enumerate(self.crowd.number.tolist()) if number in self._holds]
            if self._holds
            else []
        )

    def _stay(self, crowd: Crowd) -> None:
        """Who is not upright stays where they are whatever forces others exert, until it is over."""
        for row in self._held():
            number = int(crowd.number[row])
            hold = self._holds[number]
            crowd.posture[row], crowd.progress[row] = hold.at(self.time_s)
            crowd.position[row] = np.round(np.array(hold.place(self.time_s)) * GRAIN) / GRAIN
            crowd.velocity[row] = 0.0
            crowd.heading[row] = round(hold.heading(self.time_s) * GRAIN) / GRAIN
            if self.time_s >= hold.over_s - 1e-9:
                crowd.posture[row], crowd.progress[row] = 0, 0.0
                del self._holds[number]

    @staticmethod
    def _desired(crowd: Crowd, to_goal: Points, ahead: NDArray[np.float64]) -> Points:
        """(n, 2) metres per second at which everybody would go now, with (n,) persons per m2 `ahead`."""
        distance = np.hypot(to_goal[:, 0], to_goal[:, 1])
        keeps = np.where(ahead > 0.0, np.maximum(forces.slowing(ahead), crowd.push), 1.0)
        pace = np.where(crowd.standing, np.minimum(distance / SETTLING_S, crowd.speed), crowd.speed * keeps)
        return np.asarray(to_goal * (pace / np.maximum(distance, 1e-6))[:, None], np.float64)

    @staticmethod
    def _ahead(crowd: Crowd, to_goal: Points) -> NDArray[np.float64]:
        """(n,) persons per m2 ahead of those who walk and mind it, 0 for the others."""
        minds = ~crowd.standing & (crowd.push < 1.0)
        if not minds.any():
            return np.zeros(len(crowd))
        way = to_goal / np.maximum(np.hypot(to_goal[:, 0], to_goal[:, 1]), 1e-6)[:, None]
        return np.where(minds, forces.density_ahead(crowd.position, way), 0.0)

    @staticmethod
    def _turn(crowd: Crowd, speed: NDArray[np.float64]) -> None:
        """People face where they walk; who hardly moves keeps facing as before."""
        towards = np.arctan2(crowd.velocity[:, 1], crowd.velocity[:, 0])
        turn = (towards - crowd.heading + np.pi) % (2 * np.pi) - np.pi
        eagerness = np.clip((speed - 0.25) / 0.5, 0.0, 1.0) * TICK_S / 0.25
        crowd.heading = np.round((crowd.heading + turn * eagerness) * GRAIN) / GRAIN

    def _follow_errands(self, crowd: Crowd) -> None:
        to_goal = self._reachable(crowd) - crowd.position
        distance = np.hypot(to_goal[:, 0], to_goal[:, 1])
        upright = crowd.posture == 0
        for row in np.flatnonzero(upright & ~crowd.standing & (distance < STOPS_WITHIN_M)):
            stop = self._errands[int(crowd.number[row])][0]
            waits = stop.wait_s > 0 or stop.until_s is not None
            if waits or distance[row] < ARRIVED_M:
                crowd.standing[row] = waits
                crowd.leave_s[row] = self.time_s + stop.wait_s if stop.until_s is None else stop.until_s
        gone = np.zeros(len(crowd), np.bool_)
        for row in np.flatnonzero(upright & (crowd.leave_s <= self.time_s + 1e-9)):
            gone[row] = not self._next_stop(crowd, int(row))
        if gone.any():
            for number in crowd.number[gone]:
                del self._errands[int(number)]
            crowd.keep(~gone)

    def _next_stop(self, crowd: Crowd, row: int) -> bool:
        errand = self._errands[int(crowd.number[row])]
        errand.popleft()
        crowd.standing[row] = False
        if not errand:
            return False
        crowd.goal[row] = errand[0].point
        crowd.goal_end[row] = errand[0].across or errand[0].point
        crowd.speed[row] = errand[0].speed or crowd.speed[row]
        crowd.leave_s[row] = np.nan if errand[0].until_s is None else errand[0].until_s
        return True
