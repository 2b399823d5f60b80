"""Things that stand, are carried, or go their way through a scene, in the same steps as the people.

Vehicles follow a smoothed way with a comfortable acceleration, stop where they are told to, and wait for
people who are in front of them: no random numbers, so that the same script gives the same drive.
"""

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from streams.sim.detour import Rectangles
from streams.sim.geometry import Points
from streams.sim.things import CYCLES, FOOTPRINTS, Kind, Point, Thing
from streams.sim.world import TICK_S, Crowd, Stop

ACCELERATION_M_S2 = 1.2
BRAKING_M_S2 = 2.0
HARD_BRAKING_M_S2 = 5.0
PATIENCE_S = 6.0
"""After waiting so long for people in front it creeps on, and they step aside."""
CREEP_M_S = 0.4
GAP_M = 1.4
_SIDE_M = 0.3
_ROUNDS = 4
FORESIGHT_S = 0.8
"""People keep clear of where a vehicle will be so soon."""


@dataclass(slots=True)
class _Trip:
    """A way under way.

    Attributes:
        points, reached_m: (k, 2) metres of the smoothed way, and (k,) metres along it.
        halts: where to stop along it, in metres, with the stop.
        cruise_m_s: desired speed.
        at_m, speed_m_s: now.
        leave_s: scene time to go on; None while driving.
        waited_s: for people in front.
    """

    points: Points
    reached_m: Points
    halts: deque[tuple[float, Stop]]
    cruise_m_s: float
    at_m: float = 0.0
    speed_m_s: float = 0.0
    leave_s: float | None = None
    waited_s: float = 0.0

    def point(self, at_m: float) -> Points:
        """(2,) metres, straight on beyond both ends."""
        k = int(np.clip(np.searchsorted(self.reached_m, at_m) - 1, 0, len(self.points) - 2))
        span = self.reached_m[k + 1] - self.reached_m[k]
        share = (at_m - self.reached_m[k]) / span
        return np.asarray(self.points[k] + (self.points[k + 1] - self.points[k]) * share, np.float64)

    def heading(self, length_m: float) -> float:
        """Radians: the direction from the rear to the front."""
        along = self.point(self.at_m + 0.3 * length_m) - self.point(self.at_m - 0.3 * length_m)
        return float(np.arctan2(along[1], along[0]))


@dataclass(slots=True)
class _Item:
    """A thing and what it does: a trip, or being carried by `bearer` at `offset` (forward, left) metres."""

    thing: Thing
    before: Thing
    since_s: float
    trip: _Trip | None = None
    bearer: int | None = None
    offset: Point = (0.0, 0.0)


@dataclass(slots=True)
class Traffic:
    """All things of a scene."""

    _items: dict[int, _Item] = field(default_factory=dict)
    _entered: int = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, kind: Kind, at: Point, heading: float, time_s: float) -> int:
        """Something stands here from now on, its front towards `heading` radians; its number."""
        return self._add(Thing(self._entered, kind, at, heading), time_s)

    def take(self, number: int) -> None:
        """Remove something. Raises KeyError if it is not there."""
        del self._items[number]

    def drive(
        self, kind: Kind, start: Point, stops: tuple[Stop, ...], speed: float, time_s: float, *, ridden: bool
    ) -> int:
        """Something comes in at `start`, goes along `stops` at `speed` m/s and leaves after the last.

        Returns:
            Its number.

        Raises:
            ValueError: no stop, no speed, or a way that leads nowhere.
        """
        if not stops or not speed > 0:
            raise ValueError(f"a drive needs stops and a positive speed, got {len(stops)} and {speed}")
        trip = _trip(start, stops, speed)
        thing = Thing(self._entered, kind, start, trip.heading(FOOTPRINTS[kind][0]), ridden=ridden)
        number = self._add(thing, time_s)
        self._items[number].trip = trip
        return number

    def carry(self, kind: Kind, bearer: int, offset: Point, up_m: float, crowd: Crowd) -> int:
        """A person carries or pushes something at `offset` metres forward and left of them; its number."""
        number = self._add(Thing(self._entered, kind, (0.0, 0.0), 0.0, up_m=up_m), 0.0)
        item = self._items[number]
        item.bearer, item.offset = bearer, offset
        if not self._borne(item, crowd):
            del self._items[number]
            raise ValueError(f"nobody has the number {bearer}")
        item.before = item.thing
        return number

    def pick_up(self, number: int, bearer: int, offset: Point, up_m: float) -> None:
        """A person takes what stands or lies here. Raises KeyError if it is not there."""
        item = self._items[number]
        item.bearer, item.offset, item.trip = bearer, offset, None
        item.thing = replace(item.thing, up_m=up_m, parked_s=0.0)

    def lay(self, number: int, time_s: float) -> None:
        """What was carried stands on the ground from now on. Raises KeyError if it is not there."""
        item = self._items[number]
        item.bearer, item.since_s = None, time_s
        item.thing = replace(item.thing, up_m=0.0)

    def get(self, number: int) -> Thing | None:
        """The thing as it is now, or None if it is gone."""
        item = self._items.get(number)
        return None if item is None else item.thing

    @property
    def things(self) -> tuple[Thing, ...]:
        """All things at this step."""
        return tuple(item.thing for item in self._items.values())

    def between(self, share: float) -> tuple[Thing, ...]:
        """All things at a share of the way from the step before to this step."""
        return tuple(_between(item.before, item.thing, share) for item in self._items.values())

    @property
    def obstacles(self) -> Rectangles:
        """(m, 5) what people walk around, as in `detour`: not dogs, nor what is carried or pushed."""
        rows = []
        for item in self._items.values():
            thing = item.thing
            if thing.kind == "dog" or item.bearer is not None:
                continue
            length, width = FOOTPRINTS[thing.kind]
            ahead = FORESIGHT_S * item.trip.speed_m_s if item.trip else 0.0
            x, y = thing.ground
            x, y = x + ahead / 2 * np.cos(thing.heading), y + ahead / 2 * np.sin(thing.heading)
            rows.append((x, y, thing.heading, (length + ahead) / 2, width / 2))
        return np.array(rows).reshape(-1, 5)

    def step(self, time_s: float, crowd: Crowd) -> None:
        """Advance to scene time `time_s`, one tick after the last; `crowd` has moved already."""
        gone = []
        for number, item in self._items.items():
            item.before = item.thing
            if item.trip is not None:
                stays = self._driven(item, item.trip, time_s, crowd)
            else:
                stays = item.bearer is None or self._borne(item, crowd)
            if not stays:
                gone.append(number)
            if item.thing.ground != item.before.ground or item.bearer is not None:
                item.since_s = time_s
            item.thing = replace(item.thing, parked_s=round(time_s - item.since_s, 6))
        for number in gone:
            del self._items[number]

    def _add(self, thing: Thing, time_s: float) -> int:
        self._items[thing.number] = _Item(thing, thing, time_s)
        self._entered += 1
        return thing.number

    @staticmethod
    def _borne(item: _Item, crowd: Crowd) -> bool:
        """Move with the bearer; false where they have left."""
        rows = np.flatnonzero(crowd.number == item.bearer)
        if not len(rows):
            return False
        heading = float(crowd.heading[rows[0]])
        ahead, left = item.offset
        x, y = crowd.position[rows[0]]
        ground = (
            float(x + ahead * np.cos(heading) - left * np.sin(heading)),
            float(y + ahead * np.sin(heading) + left * np.cos(heading)),
        )
        item.thing = replace(item.thing, ground=ground, heading=heading)
        return True

    @staticmethod
    def _driven(item: _Item, trip: _Trip, time_s: float, crowd: Crowd) -> bool:
        """Drive on; false at the end of the way."""
        if trip.leave_s is not None:
            if time_s < trip.leave_s:
                return True
            trip.leave_s = None
        length, width = FOOTPRINTS[item.thing.kind]
        limit = trip.cruise_m_s
        if trip.halts:
            limit = min(limit, float(np.sqrt(2 * BRAKING_M_S2 * max(trip.halts[0][0] - trip.at_m, 0.0))))
        braking = BRAKING_M_S2 * 1.5
        if item.thing.kind != "dog" and _in_the_way(item.thing, trip.speed_m_s, length, width, crowd):
            trip.waited_s += TICK_S
            limit = min(limit, CREEP_M_S if trip.waited_s > PATIENCE_S else 0.0)
            braking = HARD_BRAKING_M_S2
        else:
            trip.waited_s = 0.0
        change = np.clip(limit - trip.speed_m_s, -braking * TICK_S, ACCELERATION_M_S2 * TICK_S)
        trip.speed_m_s = max(0.0, trip.speed_m_s + float(change))
        trip.at_m += trip.speed_m_s * TICK_S
        if trip.halts and trip.halts[0][0] - trip.at_m < 0.05:
            _, stop = trip.halts.popleft()
            trip.speed_m_s = 0.0
            trip.leave_s = time_s + stop.wait_s if stop.until_s is None else stop.until_s
        x, y = trip.point(trip.at_m)
        item.thing = replace(
            item.thing,
            ground=(round(float(x), 6), round(float(y), 6)),
            heading=round(trip.heading(length), 6),
            moved_m=trip.at_m,
        )
        return bool(trip.at_m < trip.reached_m[-1])


def _trip(start: Point, stops: tuple[Stop, ...], speed: float) -> _Trip:
    """The smoothed way: corners are cut (Chaikin 1974), but where it stops it comes by exactly."""
    legs, points, halts = [np.array([start])], [np.array([start])], deque[tuple[float, Stop]]()
    for stop in stops:
        legs.append(np.array([stop.point]))
        if stop.wait_s > 0 or stop.until_s is not None or stop is stops[-1]:
            points.append(_rounded(np.concatenate(legs))[1:])
            legs = [np.array([stop.point])]
            if stop is not stops[-1] or stop.wait_s > 0 or stop.until_s is not None:
                halts.append((_length(np.concatenate(points)), stop))
    way = np.concatenate(points)
    steps = np.hypot(*np.diff(way, axis=0).T)
    way = way[np.concatenate(((True,), steps > 1e-9))]
    reached = np.concatenate(((0.0,), np.cumsum(np.hypot(*np.diff(way, axis=0).T))))
    if len(way) < 2:
        raise ValueError(f"a drive must lead away from its start {start}")
    return _Trip(way, reached, halts, speed, speed_m_s=speed)


def _rounded(way: Points) -> Points:
    for _ in range(_ROUNDS if len(way) > 2 else 0):
        near, far = 0.75 * way[:-1] + 0.25 * way[1:], 0.25 * way[:-1] + 0.75 * way[1:]
        inner = np.stack((near, far), axis=1).reshape(-1, 2)
        way = np.concatenate((way[:1], inner[1:-1], way[-1:]))
    return way


def _length(way: Points) -> float:
    return float(np.hypot(*np.diff(way, axis=0).T).sum())


def _in_the_way(thing: Thing, speed: float, length: float, width: float, crowd: Crowd) -> bool:
    """Whether somebody is in front, nearer than it takes to stop."""
    if not len(crowd):
        return False
    cos, sin = np.cos(thing.heading), np.sin(thing.heading)
    offset = crowd.position - thing.ground
    ahead = offset[:, 0] * cos + offset[:, 1] * sin - length / 2
    aside = np.abs(offset[:, 1] * cos - offset[:, 0] * sin)
    gap = 0.5 if thing.kind in CYCLES else GAP_M
    reach = speed**2 / (2 * BRAKING_M_S2) + gap
    return bool(((ahead > -0.3) & (ahead < reach) & (aside < width / 2 + _SIDE_M)).any())


def _between(before: Thing, now: Thing, share: float) -> Thing:
    if before is now or before.ground == now.ground:
        return now
    turn = (now.heading - before.heading + np.pi) % (2 * np.pi) - np.pi
    x, y = (a + (b - a) * share for a, b in zip(before.ground, now.ground, strict=True))
    moved = before.moved_m + (now.moved_m - before.moved_m) * share
    return replace(now, ground=(x, y), heading=before.heading + float(turn) * share, moved_m=moved)
