"""Scripts of scenes with hundreds of people: what makes crowds dangerous, and crowds that only look so.

Each cycle of a scene takes `Stage.seconds`, or `CYCLE_S` again and again. Where `Stage.calm` is set, as many
cameras' days are, the same place sees a crowd that stays within safe limits.
"""

import math
from collections.abc import Generator
from dataclasses import replace

import numpy as np

from streams.sim.geometry import Points, area, clearance, edges, inside
from streams.sim.places import Line, Point
from streams.sim.scene import Script, Stage
from streams.sim.world import Stop

CYCLE_S = 150.0
CAPACITY_PER_M_S = 1.22
"""Persons per metre and second that an opening passes: the most in Weidmann's diagram (1993)."""
RUN_M_S = (2.4, 2.69)
HURRY_M_S = (1.5, 1.9)
SPACING_M = 0.62
"""Between people who stand about at a show: 3 per square metre."""


def cycles(stage: Stage) -> int | None:
    """How many times the act is to be played; None for ever."""
    return None if stage.seconds is None else max(1, round(stage.seconds / CYCLE_S))


def cycle_s(stage: Stage) -> float:
    """How long each time takes."""
    count = cycles(stage)
    return CYCLE_S if count is None or stage.seconds is None else stage.seconds / count


def _few(stage: Stage, count: int, share: float) -> int:
    """So many of `count` that they keep apart: fewer where a cycle is short and all come in less time."""
    return round(count * share * min(1.0, cycle_s(stage) / 120.0))


def opposing(stage: Stage, count: int) -> Script:
    """Two streams of together `count` people meet in a passage; calm: few people, or all one way."""
    near, far = stage.place.entries
    one_way = stage.calm and bool(stage.rng.random() < 0.5)
    people = count if not stage.calm else _few(stage, count, 0.3 if one_way else 0.14)
    push = float(stage.rng.uniform(0.05, 0.25))
    share = 1.0 if one_way else float(stage.rng.uniform(0.4, 0.6))
    done, total = 0, cycles(stage)
    while total is None or done < total:
        done += 1
        begin_s, whole_s = stage.time_s, cycle_s(stage)
        arrivals = np.sort(stage.rng.beta(1.6, 1.6, people)) * 0.5 * whole_s
        for after_s in arrivals:
            if begin_s + after_s > stage.time_s:
                yield begin_s + after_s - stage.time_s
            here, there = (near, far) if stage.rng.random() < share else (far, near)
            start = yield from _way_in(stage, here)
            stage.send(start, _anywhere_on(there), push=push)
        yield max(0.1, begin_s + whole_s - stage.time_s)


def queueing(stage: Stage, count: int) -> Script:
    """Up to `count` people arrive at a gate faster than it passes them; calm: slower.

    In some scenes everybody is stopped in the gate for a moment, as where tickets are checked.
    The queue grows through two thirds of a cycle, then nobody comes and it dissolves.
    """
    way_in, way_out = stage.place.entries
    gate = stage.place.gates[0]
    capacity = CAPACITY_PER_M_S * _length(gate)
    ratio = stage.rng.uniform(0.25, 0.4) if stage.calm else stage.rng.uniform(1.6, 2.4)
    checks_s = 0.0 if stage.calm or stage.rng.random() < 0.5 else float(stage.rng.uniform(1.0, 1.6))
    push = float(stage.rng.uniform(0.0, 0.05) if stage.calm else stage.rng.uniform(0.08, 0.3))
    done, total = 0, cycles(stage)
    while total is None or done < total:
        done += 1
        begin_s, whole_s = stage.time_s, cycle_s(stage)
        sent = 0
        while sent < count and stage.time_s < begin_s + 0.65 * whole_s:
            start = yield from _way_in(stage, way_in)
            back = stage.place.gates[-1]
            through = replace(_through(stage, gate), wait_s=checks_s)
            stage.send(start, _through(stage, back, inwards=True), through, _anywhere_on(way_out), push=push)
            sent += 1
            yield float(stage.rng.exponential(1.0 / (ratio * capacity)))
        yield max(0.1, begin_s + whole_s - stage.time_s)


def leaving(stage: Stage, count: int) -> Script:
    """`count` people in a fenced area leave it at once through its gates; calm: one after another."""
    place = stage.place
    total, done = cycles(stage), 0
    while total is None or done < total:
        begin_s, whole_s = stage.time_s, cycle_s(stage)
        alarm_s = begin_s + float(stage.rng.uniform(0.1, 0.2)) * whole_s
        yard, people = np.array(place.yard), _few(stage, count, 0.4) if stage.calm else count
        spots = standing_room(
            stage, yard, people, max(SPACING_M, 0.9 * math.sqrt(area(yard) / max(people, 1)))
        )
        push = float(stage.rng.uniform(0.0, 0.05) if stage.calm else stage.rng.uniform(0.15, 0.4))
        for spot in spots:
            gate = _exit(stage, spot)
            if stage.calm:
                leave_s = alarm_s + float(stage.rng.uniform(0.0, 0.75)) * whole_s
            else:
                leave_s = alarm_s + float(stage.rng.gamma(2.0, 1.5))
            speed = None if stage.calm else float(stage.rng.uniform(*HURRY_M_S))
            outside = _outside(stage, gate)
            out = (Stop(outside),)
            first = Stop(spot, until_s=leave_s)
            stops = (first, _through(stage, gate, speed=speed), *out)
            if done:
                stage.send(outside, _through(stage, gate, inwards=True), *stops, push=push)
            else:
                stage.send(spot, *stops, push=push)
        done += 1
        yield max(0.1, begin_s + whole_s - stage.time_s)


def bolting(stage: Stage, count: int) -> Script:
    """A crowd of `count` suddenly runs away from a point, or towards one; calm: see `_harmless`."""
    total, done = cycles(stage), 0
    while total is None or done < total:
        begin_s, whole_s = stage.time_s, cycle_s(stage)
        flight_s = begin_s + float(stage.rng.uniform(0.3, 0.5)) * whole_s
        spacing_m = float(stage.rng.uniform(1.05, 1.35)) * SPACING_M
        zone, here, there = stage.place.crowd.corners, stage.place.crowd_centre, stage.place.crowd_centre
        towards = bool(stage.rng.random() < 0.4) and not stage.calm
        if towards:
            here, there = _ends(stage)
        spots = standing_room(stage, zone, count, spacing_m, here)
        if stage.calm:
            yield from _harmless(stage, spots, flight_s, coming=done > 0)
        elif towards:
            when = (flight_s, begin_s + 0.85 * whole_s)
            _run_towards(stage, spots, np.array(there), when, coming=done > 0)
        else:
            _run_away(stage, spots, flight_s, coming=done > 0)
        done += 1
        yield max(0.1, begin_s + whole_s - stage.time_s)


def _ends(stage: Stage) -> tuple[Point, Point]:
    """Two opposite parts of the crowd's zone, in either order, along its longer way."""
    low, high = stage.place.crowd.corners.min(axis=0), stage.place.crowd.corners.max(axis=0)
    along = np.where(np.arange(2) == np.argmax(high - low), high - low, 0.0) * 0.35
    middle = (low + high) / 2
    ends = _point(middle - along), _point(middle + along)
    return ends if stage.rng.random() < 0.5 else ends[::-1]


def _run_away(stage: Stage, spots: Points, flight_s: float, *, coming: bool) -> None:
    """Everybody flees from a point among them, to an entrance that lies away from it."""
    source = spots[int(stage.rng.integers(len(spots)))]
    for spot in spots:
        portals = stage.portals_to(_point(spot), stage.blocked)
        flee = (portals - spot) / np.maximum(np.hypot(*(portals - spot).T), 1e-6)[:, None]
        away = (spot - source) / max(float(np.hypot(*(spot - source))), 0.5)
        way_out = portals[int(np.argmax(flee @ away + stage.rng.normal(0.0, 0.2, len(portals))))]
        react_s = 0.15 * float(np.hypot(*(spot - source))) + float(stage.rng.gamma(2.0, 0.2))
        _stand_then(
            stage, spot, flight_s + react_s, Stop(_point(way_out), speed=_pace(stage, RUN_M_S)), coming
        )


def _run_towards(
    stage: Stage, spots: Points, target: Points, when: tuple[float, float], *, coming: bool
) -> None:
    """All run to one place at the first of two times and stay until the second, the nearest in front."""
    flight_s, until_s = when
    nearest = np.argsort(np.hypot(*(spots - target).T))
    ring = _ring(stage, len(spots)) + target
    for place, spot in zip(ring, spots[nearest], strict=True):
        react_s = float(stage.rng.gamma(2.0, 0.25))
        run = Stop(_point(place), until_s=until_s, speed=_pace(stage, RUN_M_S))
        _stand_then(stage, spot, flight_s + react_s, run, coming, then_out=True)


def _harmless(stage: Stage, spots: Points, when_s: float, *, coming: bool) -> Script:
    """A looser crowd stands; then one runs for a bus, or a few do, or a bus unloads; in the end all walk."""
    some = spots[stage.rng.permutation(len(spots))[: max(1, len(spots) // 3)]]
    runners = int(stage.rng.choice((1, 4, 0)))
    for k, spot in enumerate(some):
        way_out = stage.rng.choice(stage.portals_to(_point(spot), stage.blocked))
        runs = k < runners
        wait_s = float(stage.rng.uniform(0.0, 1.0) if runs else stage.rng.uniform(10.0, 40.0))
        speed = _pace(stage, RUN_M_S) if runs else None
        _stand_then(stage, spot, when_s + wait_s, Stop(_point(way_out), speed=speed), coming)
    if not runners:
        yield max(0.1, when_s - stage.time_s)
        door = stage.rng.choice(stage.portals_to(stage.place.crowd_centre, stage.blocked))
        for _ in range(25):
            middle = stage.place.crowd_centre
            via = (middle[0] + float(stage.rng.normal(0, 1.5)), middle[1] + float(stage.rng.normal(0, 1.5)))
            way_out = stage.rng.choice(stage.portals_to(stage.place.crowd_centre, stage.blocked))
            stage.send(_point(door), Stop(via, until_s=stage.time_s + 25.0), Stop(_point(way_out)), push=0.0)
            yield float(stage.rng.uniform(0.6, 1.4))


def _stand_then(
    stage: Stage, spot: Points, until_s: float, then: Stop, coming: bool, *, then_out: bool = False
) -> None:
    """Stand at a spot, having come there if need be, then do as said."""
    portals = stage.portals_to(_point(spot), stage.blocked)
    way_in, way_out = stage.rng.choice(portals, 2)
    leave = (Stop(_point(way_out), speed=1.3),) if then_out else ()
    start = way_in if coming else spot
    stage.send(_point(start), Stop(_point(spot), until_s=until_s), then, *leave, push=0.95)


def standing_room(
    stage: Stage, polygon: Points, count: int, spacing_m: float, around: Point | None = None
) -> Points:
    """(n, 2) spots at most `count` people stand at inside a polygon, about `spacing_m` apart.

    Those nearest to `around`, or to the middle of the crowd, on a shaken triangular lattice, clear of what
    blocks the way and of the polygon's sides.
    """
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    rows = np.arange(low[1], high[1], spacing_m * math.sqrt(3.0) / 2)
    lattice = np.concatenate(
        [
            np.column_stack((x := np.arange(low[0] + spacing_m / 2 * (k % 2), high[0], spacing_m), 0 * x + y))
            for k, y in enumerate(rows)
        ]
    )
    lattice += stage.rng.normal(0.0, 0.12 * spacing_m, lattice.shape)
    lattice = lattice[inside(lattice, polygon)]
    sides = np.concatenate((edges(polygon), stage.blocked))
    clear = np.array([clearance(spot[None], sides) > 0.4 for spot in lattice], np.bool_)
    lattice = lattice[clear]
    middle = np.array(around or stage.place.crowd_centre)
    nearest = np.argsort(np.hypot(*(lattice - middle).T))[:count]
    reachable = [spot for spot in lattice[nearest] if len(stage.portals_to(_point(spot), stage.blocked))]
    return np.array(reachable) if not stage.place.yard else np.asarray(lattice[nearest], np.float64)


def _ring(stage: Stage, count: int) -> Points:
    """(count, 2) metres around a target: dense in the middle (Vogel's spiral), looser outside."""
    k = np.arange(count) + 0.5
    radius, angle = stage.rng.uniform(0.21, 0.25) * k**0.53, k * np.pi * (3.0 - np.sqrt(5.0))
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1)


def _exit(stage: Stage, spot: Point) -> Line:
    """The nearest gate, more or less."""
    gates = stage.place.gates
    middles = np.array([gate.ends.mean(axis=0) for gate in gates])
    away = np.hypot(*(middles - spot).T) + stage.rng.normal(0.0, 1.5, len(gates))
    return gates[int(np.argmin(away))]


def _outside(stage: Stage, gate: Line) -> Point:
    """A point out of sight beyond a gate."""
    middle, outwards = gate.ends.mean(axis=0), _outwards(gate)
    along = np.array([-outwards[1], outwards[0]])
    return _point(middle + outwards * 9.0 + along * float(stage.rng.uniform(-3.0, 3.0)))


def _through(stage: Stage, gate: Line, *, inwards: bool = False, speed: float | None = None) -> Stop:
    """Anywhere between a gate's posts, a little beyond it, with some room for the shoulders."""
    ends, outwards = gate.ends, _outwards(gate)
    along = (ends[1] - ends[0]) / _length(gate)
    beyond = outwards * (-0.5 if inwards else 0.5)
    room = float(stage.rng.uniform(0.3, 0.5))
    low, high = ends[0] + along * room + beyond, ends[1] - along * room + beyond
    return Stop(_point(low), across=_point(high), speed=speed)


def _anywhere_on(line: Line) -> Stop:
    return Stop(line.points[0], across=line.points[1])


def _way_in(stage: Stage, line: Line) -> Generator[float, None, Point]:
    """A free point on an entry, waited for if need be."""
    start, end = line.ends
    while True:
        for share in stage.rng.random(6):
            at = _point(start + (end - start) * share)
            if stage.has_room(at, 0.5):
                return at
        yield 0.2


def _outwards(gate: Line) -> Points:
    """To the right of the gate's line: away from the inside."""
    along = (gate.ends[1] - gate.ends[0]) / _length(gate)
    return np.array([along[1], -along[0]])


def _length(line: Line) -> float:
    return float(np.hypot(*(line.ends[1] - line.ends[0])))


def _pace(stage: Stage, limits: tuple[float, float]) -> float:
    return float(stage.rng.uniform(*limits))


def _point(at: Points) -> Point:
    return float(at[0]), float(at[1])
