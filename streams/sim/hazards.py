"""Scripts of scenes in which something is where it must not be, and of what only looks like it.

Each act repeats as long as the scene lasts: what is forbidden by turns with distractors, so that every rule
has something to stay silent about. `marshal` says what of it is true.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from streams.sim.geometry import Points, edges
from streams.sim.marshal import ABANDONED_S, OBSTRUCTION_S
from streams.sim.places import Point, Use, Zone
from streams.sim.scene import Script, Stage
from streams.sim.things import Kind
from streams.sim.world import Stop

GOODS: tuple[Kind, ...] = ("bag", "suitcase", "box")
_HELD: dict[Kind, tuple[Point, float]] = {
    "bag": ((0.04, 0.34), 0.42),
    "suitcase": ((-0.42, 0.22), 0.0),
    "box": ((0.36, 0.0), 0.9),
    "bicycle": ((0.12, 0.42), 0.0),
    "motorcycle": ((0.2, 0.52), 0.0),
}
"""How people carry or push: metres forward and left of them, and above the ground."""

ROOM_S = 120.0
"""A shorter clip begins with what is forbidden, as there may be no time for it after a distractor."""

Waiting = Generator[float, None, Any]


@dataclass(frozen=True, slots=True)
class Act:
    """A scenario of this kind: its names, the zone it needs, and its scripts besides the passers-by.

    Attributes:
        name, title, passers_by: as in `scenario.Scenario`.
        use: of the zone it plays in.
        scripts: given the stage of the acts.
        shunned: whether passers-by keep out of the zone.
    """

    name: str
    title: str
    passers_by: int
    use: Use
    scripts: Callable[[Stage], tuple[Script, ...]]
    shunned: bool = False

    def begin(self, passing: Stage, acts: Stage) -> tuple[Script, ...]:
        """The scripts, having kept the passers-by of the stage `passing` away."""
        if self.shunned:
            passing.shun(passing.place.zone_for(self.use))
        return self.scripts(acts)


def against_the_way(stage: Stage) -> Script:
    """Most go the allowed way, some linger; every half minute or so one goes or rides against it."""
    next_s = float(stage.rng.uniform(5.0, 10.0))
    while True:
        if stage.time_s >= next_s and stage.left_s > 8.0:
            _through(stage, against=True, cycling=bool(stage.rng.random() < 0.2))
            next_s = stage.time_s + float(stage.rng.uniform(24.0, 36.0))
        else:
            _through(stage, against=False, cycling=bool(stage.rng.random() < 0.08))
        yield float(np.clip(stage.rng.exponential(3.5), 1.2, 9.0))


def _through(stage: Stage, *, against: bool, cycling: bool) -> None:
    """Somebody goes through the one-way zone, along or against it."""
    zone = stage.place.zone_for("one_way")
    towards = np.array(zone.towards)
    left = np.array([-towards[1], towards[0]])
    along, across = zone.corners @ towards, zone.corners @ left
    middle, half = (across.max() + across.min()) / 2, (across.max() - across.min()) / 2
    at = middle + half * float(stage.rng.uniform(-0.5, 0.5))
    ends = [towards * edge + left * at for edge in (along.min() - 0.9, along.max() + 0.9)]
    first, last = reversed(ends) if against else ends
    way_in, way_out = _nearest_portal(stage, first, last), _nearest_portal(stage, last, first)
    if cycling:
        stops = (Stop(_point(first)), Stop(_point(last)), Stop(way_out))
        stage.drive("bicycle", way_in, *stops, speed=float(stage.rng.uniform(2.2, 3.0)), ridden=True)
        return
    middle_stop: tuple[Stop, ...] = ()
    if not against and stage.rng.random() < 0.2:
        spot = first + (last - first) * float(stage.rng.uniform(0.3, 0.7))
        middle_stop = (Stop(_point(spot), wait_s=float(stage.rng.uniform(3.0, 8.0))),)
    if against and stage.time_s < 12.0:  # a short clip shall not wait for somebody to come from afar
        way_in = _point(first - (last - first) / np.hypot(*(last - first)) * 2.0)
    stage.send(way_in, Stop(_point(first)), *middle_stop, Stop(_point(last)), Stop(way_out), free=True)


def _nearest_portal(stage: Stage, point: Points, beyond: Points) -> Point:
    """One of the entrances on this side of the zone, whose way to `point` is clear."""
    barriers = np.concatenate((stage.place.walls, edges(stage.place.restricted.corners)))
    portals = stage.portals_to(_point(point), barriers)
    portals = portals if len(portals) else np.array(stage.place.portals)
    side = (portals - point) @ (beyond - point)
    behind = portals[side < 0]
    if len(behind):
        return _point(stage.rng.choice(behind))
    return _point(portals[int(side.argmin())])


def leaving_things(stage: Stage) -> Script:
    """Somebody puts a thing down and leaves; another time they stay with it and take it up again."""
    zone = stage.place.zone_for("watched")
    left = bool(stage.rng.random() < 0.5) or stage.left_s < ROOM_S
    yield float(stage.rng.uniform(1.0, 4.0))
    while True:
        if left and stage.left_s > ABANDONED_S + 16.0:
            yield from _leave(stage, zone)
        elif stage.left_s > 24.0:
            yield from _put_and_take(stage, zone)
        left = not left
        yield float(stage.rng.uniform(5.0, 12.0))


def _bring(stage: Stage, zone: Zone, stay_s: float) -> Waiting:
    """Somebody brings a thing to the zone and puts it down; its number, or None if they never got there."""
    kind = GOODS[int(stage.rng.integers(len(GOODS)))]
    spot = stage.point_in(zone.corners, 0.7)
    way_in, way_out = _ways(stage, spot)
    person = stage.send(way_in, Stop(spot, wait_s=stay_s + 1.2), Stop(way_out), free=True)
    offset, up_m = _HELD[kind]
    thing = stage.carry(kind, person, offset, up_m)
    if not (yield from _arrival(stage, person)):
        return None
    yield 0.8
    stage.lay(thing)
    return person, thing


def _leave(stage: Stage, zone: Zone) -> Script:
    brought = yield from _bring(stage, zone, float(stage.rng.uniform(1.0, 3.0)))
    if brought is None:
        return
    yield ABANDONED_S + float(stage.rng.uniform(6.0, 24.0))
    yield from _fetch(stage, brought[1])


def _put_and_take(stage: Stage, zone: Zone) -> Script:
    stay_s = float(stage.rng.uniform(10.0, 18.0))
    brought = yield from _bring(stage, zone, stay_s)
    if brought is None:
        return
    person, number = brought
    yield stay_s - 0.6
    thing = stage.traffic.get(number)
    if thing is not None and stage.where(person) is not None:
        stage.traffic.pick_up(number, person, *_HELD[thing.kind])
        while stage.where(person) is not None:
            yield 0.4


def _fetch(stage: Stage, number: int) -> Script:
    """Somebody comes and takes a thing away."""
    thing = stage.traffic.get(number)
    if thing is None:
        return
    way_in, way_out = _ways(stage, thing.ground)
    towards = np.subtract(way_in, thing.ground)
    beside = np.array(thing.ground) + towards / max(float(np.hypot(*towards)), 1e-9) * 0.75
    person = stage.send(way_in, Stop(_point(beside), wait_s=1.6), Stop(way_out), free=True)
    if not (yield from _arrival(stage, person)):
        return
    yield 0.8
    offset, up_m = _HELD[thing.kind]
    stage.traffic.pick_up(number, person, offset, up_m)
    while stage.where(person) is not None:
        yield 0.4


def taking_things(stage: Stage) -> Script:
    """Two things stand there from the beginning; one is taken away, before the other people only stand."""
    zone = stage.place.zone_for("watched")
    numbers: list[int] = []
    spots: list[Point] = []
    while len(numbers) < 2:
        spot = stage.point_in(zone.corners, 0.9)
        if all(np.hypot(*np.subtract(spot, other)) > 2.5 for other in spots):
            kind = GOODS[int(stage.rng.integers(len(GOODS)))]
            spots.append(spot)
            numbers.append(stage.put(kind, spot, float(stage.rng.uniform(0.0, 2 * np.pi))))
    taken_s = float(stage.rng.uniform(20.0, 35.0)) if stage.left_s > 60.0 else 0.3 * stage.left_s
    stands_s = float(stage.rng.uniform(4.0, 8.0))
    yield stands_s
    yield from _stand_before(stage, spots[1], float(stage.rng.uniform(8.0, 14.0)))
    yield max(0.1, taken_s - stands_s)
    yield from _fetch(stage, numbers[0])
    while True:
        yield float(stage.rng.uniform(15.0, 30.0))
        if stage.left_s > 24.0:
            yield from _stand_before(stage, spots[1], float(stage.rng.uniform(8.0, 14.0)))


def _stand_before(stage: Stage, spot: Point, stay_s: float) -> Script:
    """Somebody stands between a thing and the camera for a while."""
    towards = np.subtract(stage.place.camera.position_m, spot)
    before = _point(np.array(spot) + towards / float(np.hypot(*towards)) * 0.8)
    way_in, way_out = _ways(stage, before)
    stage.send(way_in, Stop(before, wait_s=stay_s), Stop(way_out), free=True)
    yield 0.1


def blocking(stage: Stage) -> Script:
    """Vehicles come along the fire lane: one goes on after a short stop, another stays."""
    zone = stage.place.zone_for("fire_lane")
    stays = bool(stage.rng.random() < 0.6) or stage.left_s < ROOM_S
    yield float(stage.rng.uniform(0.5, 2.0))
    while True:
        stays &= stage.left_s > OBSTRUCTION_S + 14.0
        if stays:
            kind, stop_s = _one(stage, ("car", "car", "van", "bus", "truck")), stage.rng.uniform(8.0, 30.0)
            stop_s += OBSTRUCTION_S
        else:
            kind, stop_s = _one(stage, ("car", "bus", "van")), stage.rng.uniform(6.0, 14.0)
        vehicle = _along(stage, zone, kind, float(stop_s))
        while stage.traffic.get(vehicle) is not None:
            yield 0.4
        stays = not stays
        yield float(stage.rng.uniform(4.0, 9.0))


def _along(stage: Stage, zone: Zone, kind: Kind, stop_s: float) -> int:
    """A vehicle comes along a lane, stops about its middle for so long, and drives on; its number."""
    low, high = zone.corners.min(axis=0), zone.corners.max(axis=0)
    y = (low[1] + high[1]) / 2 + float(stage.rng.uniform(-0.15, 0.15))
    middle = (low[0] + high[0]) / 2 + float(stage.rng.uniform(-0.22, 0.22)) * (high[0] - low[0])
    sign = 1.0 if stage.rng.random() < 0.5 else -1.0
    far = _outside(stage, float(y)) + 6.0
    start = -sign * far if stage.time_s > 5.0 else middle - sign * 14.0
    stops = (Stop((float(middle), float(y)), wait_s=stop_s), Stop((float(sign * far), float(y))))
    return stage.drive(kind, (float(start), float(y)), *stops, speed=float(stage.rng.uniform(4.0, 5.5)))


def cycling_in(stage: Stage) -> Script:
    """A bicycle or motorcycle is ridden or pushed into the footway; by turns, others only pass outside it."""
    zone = stage.place.zone_for("people_only")
    inside_now = bool(stage.rng.random() < 0.6)
    yield float(stage.rng.uniform(0.5, 3.0))
    while True:
        if inside_now and stage.left_s > 12.0:
            kind: Kind = "bicycle" if stage.rng.random() < 0.6 else "motorcycle"
            yield from (_push_in if stage.rng.random() < 0.35 else _ride_in)(stage, zone, kind)
        else:
            yield from _pass_by(stage, zone)
        inside_now = not inside_now
        yield float(stage.rng.uniform(6.0, 12.0))


def _row(stage: Stage, zone: Zone) -> tuple[list[Point], float]:
    """A way across a zone, from one side of the picture to the other: five points, and a stay there."""
    low, high = zone.corners.min(axis=0), zone.corners.max(axis=0)
    y = float(low[1] + (high[1] - low[1]) * stage.rng.uniform(0.2, 0.55))
    points = [(-_outside(stage, 8.0), 8.0), (float(low[0]) + 1.6, y), (float(high[0]) - 1.0, y)]
    points += [(float(high[0]) + 0.5, 8.0), (_outside(stage, 7.4), 7.4)]
    if stage.rng.random() < 0.5:
        points.reverse()
    return points, float(stage.rng.uniform(4.0, 9.0))


def _visit(stage: Stage, zone: Zone) -> tuple[Point, tuple[Stop, ...]]:
    """A way across a zone with a stop in its middle: where it starts, and the stops."""
    (start, *way), stay_s = _row(stage, zone)
    row = max((y for _, y in way), default=0.0)
    there = [x for x, y in way if y == row]
    middle = Stop((sum(there) / 2, row), wait_s=stay_s)
    stops = [Stop(point) for point in way]
    stops.insert(1 + way.index((there[0], row)), middle)
    return start, tuple(stops)


def _ride_in(stage: Stage, zone: Zone, kind: Kind) -> Script:
    start, stops = _visit(stage, zone)
    number = stage.drive(kind, start, *stops, speed=float(stage.rng.uniform(1.6, 2.4)), ridden=True)
    while stage.traffic.get(number) is not None:
        yield 0.4


def _push_in(stage: Stage, zone: Zone, kind: Kind) -> Script:
    start, stops = _visit(stage, zone)
    person = stage.send(start, *stops, free=True, speed=float(stage.rng.uniform(1.0, 1.3)))
    forward, left = _HELD[kind][0]
    # The cycle on the side of the camera, as whoever pushes would hide most of it.
    stage.carry(kind, person, (forward, -left if start[0] < 0.0 else left))
    while stage.where(person) is not None:
        yield 0.4


def _pass_by(stage: Stage, zone: Zone) -> Script:
    """A cyclist far outside the zone, a suitcase pulled through it, or a dog that runs across."""
    which = int(stage.rng.integers(3))
    if which == 0:
        y = max(float(one.corners[:, 1].max()) for one in (stage.place.restricted, stage.place.crowd)) + 1.0
        x = _outside(stage, y) * (1.0 if stage.rng.random() < 0.5 else -1.0)
        speed = float(stage.rng.uniform(2.4, 3.4))
        stage.drive("bicycle", (x, y), Stop((-x, y)), speed=speed, ridden=True)
    elif which == 1:
        (start, *way, end), _ = _row(stage, zone)
        person = stage.send(start, *(Stop(point) for point in (*way, end)), free=True)
        stage.carry("suitcase", person, *_HELD["suitcase"])
    else:
        run(stage)
    yield 6.0


def dogs(stage: Stage) -> Script:
    """Now and then a dog runs across."""
    while True:
        yield float(stage.rng.uniform(12.0, 40.0))
        if stage.left_s > 6.0:
            run(stage)


def run(stage: Stage) -> None:
    """A dog runs across the place."""
    spots = [stage.point_in(np.array(stage.place.walkable), 0.5) for _ in range(2)]
    spots.sort()
    start = (-_outside(stage, spots[0][1]), spots[0][1])
    end = (_outside(stage, spots[1][1]), spots[1][1])
    way = [start, *spots, end]
    if stage.rng.random() < 0.5:
        way.reverse()
    speed = float(stage.rng.uniform(1.8, 3.0))
    stage.drive("dog", way[0], *(Stop(point) for point in way[1:]), speed=speed)


def _arrival(stage: Stage, person: int) -> Generator[float, None, bool]:
    """Wait until somebody stands at a stop; false if they leave before."""
    while stage.where(person) is not None:
        if stage.waits(person):
            return True
        yield 0.2
    return False


def _ways(stage: Stage, spot: Point) -> tuple[Point, Point]:
    """Two of the nearer entrances with a clear way to `spot`."""
    barriers = np.concatenate((stage.place.walls, edges(stage.place.restricted.corners)))
    portals = stage.portals_to(spot, barriers)
    portals = portals if len(portals) > 1 else np.array(stage.place.portals)
    near = np.argsort(np.hypot(*(portals - spot).T))[:4]
    way_in, way_out = portals[stage.rng.choice(near, 2, replace=False)]
    if stage.time_s < 6.0:  # a short clip shall not wait for somebody to come from afar
        way_in = spot + (way_in - spot) * min(1.0, 7.0 / float(np.hypot(*(way_in - spot))))
    return _point(way_in), _point(way_out)


def _outside(stage: Stage, y: float) -> float:
    """X to the right of the picture at `y` metres forward."""
    camera = stage.place.camera
    depth = float(camera.depth(np.array([[0.0, y]]))[0])
    return 0.5 * depth / camera.focal * 1.12 + 2.0


def _one(stage: Stage, kinds: tuple[Kind, ...]) -> Kind:
    return kinds[int(stage.rng.integers(len(kinds)))]


def _point(at: Points) -> Point:
    return float(at[0]), float(at[1])


ACTS: tuple[Act, ...] = (
    Act("wrongway", "Most go the allowed way through a one-way zone, now and then one against it", 6,
        "one_way", lambda stage: (against_the_way(stage),), shunned=True),
    Act("abandoned", "Somebody puts a thing down and leaves; others take theirs up again", 7,
        "watched", lambda stage: (leaving_things(stage), dogs(stage))),
    Act("removed", "A thing that stood there from the beginning is taken away", 7,
        "watched", lambda stage: (taking_things(stage), dogs(stage))),
    Act("obstruction", "Vehicles stop in the fire lane, shortly or too long", 7,
        "fire_lane", lambda stage: (blocking(stage), dogs(stage))),
    Act("forbidden", "Bicycles and motorcycles come into a zone for people", 6,
        "people_only", lambda stage: (cycling_in(stage), dogs(stage))),
)  # fmt: skip
