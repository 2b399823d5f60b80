"""Somebody falls and stays down; others sit down, tie a shoe or pick something up, and children run."""

import math

import numpy as np

from streams.sim.geometry import Points, clearance
from streams.sim.places import Point
from streams.sim.postures import FALLS, Posture
from streams.sim.scene import Script, Stage
from streams.sim.world import Stop

LEAST_DOWN_S = 15.0
"""Who falls stays down for at least so long, or until the clip ends."""
_SHORT_S = 22.0
_LOOK_EVERY_S = 0.12
_NEAR_M = 0.6
_PATIENCE_S = 40.0
_CHILD = (0.6, 0.74)
_SEAT_GAP_M = 0.28


def falling(stage: Stage) -> Script:
    """Again and again somebody who walks goes down, in any direction; half of them get up again."""
    while stage.left_s > _SHORT_S:
        number, spot = _sent_across(stage)
        give_up_s = stage.time_s + _PATIENCE_S
        while (there := stage.where(number)) is not None and math.dist(there[0], spot) > _NEAR_M:
            yield _LOOK_EVERY_S
            if stage.time_s > give_up_s:
                there = None
                break
        if there is not None:
            yield _fall(stage, number, there[1])
        yield float(stage.rng.uniform(18.0, 32.0))


def _sent_across(stage: Stage) -> tuple[int, Point]:
    """Send somebody through the crowd's zone: their number, and the point where they are to fall."""
    zone = stage.place.crowd.corners
    spot = stage.point_in(zone, 1.3)
    way_in, way_out = _ways(stage, spot)
    if stage.time_s == 0:  # a short clip shall not wait for somebody to come from afar
        way_in = [spot + (way_in[-1] - spot) * min(1.0, 5.0 / math.dist(way_in[-1], spot))]
    number = _send(stage, way_in, Stop(spot), way_out)
    return number, spot


def _ways(stage: Stage, spot: Point) -> tuple[list[Points], list[Points]]:
    """Points on a way to a spot and on one from it, from and to entrances, through a gate if need be."""
    portals = np.array(stage.place.portals, np.float64)
    clear = [
        clearance(way, stage.place.walls) > 0.1 and clearance(way, stage.place.courtesy) > 0.35
        for way in (np.array([portal, spot]) for portal in portals)
    ]
    if sum(clear) >= 2:
        way_in, way_out = portals[clear][stage.rng.choice(sum(clear), 2, replace=False)]
        return [way_in], [way_out]
    gates = [gate.ends.mean(axis=0) for gate in stage.place.gates]
    via = [gates[int(stage.rng.integers(len(gates)))]] if gates else []
    near = portals[np.argsort(np.hypot(*(portals - (via[0] if via else np.array(spot))).T))[:2]]
    return [near[int(stage.rng.integers(2))], *via], [*via, near[int(stage.rng.integers(2))]]


def _send(stage: Stage, way_in: list[Points], stop: Stop, way_out: list[Points]) -> int:
    stops = (*(Stop(_point(at)) for at in way_in[1:]), stop, *(Stop(_point(at)) for at in way_out))
    return stage.send(_point(way_in[0]), *stops)


def _fall(stage: Stage, number: int, heading: float) -> float:
    """Have somebody fall now; seconds until it is over."""
    rng = stage.rng
    posture = FALLS[int(rng.choice(len(FALLS), p=(0.4, 0.2, 0.2, 0.2)))]
    turn, far_m = {"fall_forward": (0.0, 0.9), "fall_back": (math.pi, 0.45)}.get(
        posture, (math.pi / 2 if posture == "fall_left" else -math.pi / 2, 0.6)
    )
    way = heading + turn
    drift = (far_m * math.cos(way), far_m * math.sin(way))
    down_s, up_s = float(rng.uniform(0.4, 1.0)), float(rng.uniform(2.2, 4.0))
    lies_s = float(rng.uniform(LEAST_DOWN_S + 1.0, 40.0))
    gets_up = bool(rng.random() < 0.5) or math.isinf(stage.left_s)
    if not gets_up and stage.left_s < 90.0:
        lies_s = math.inf
    stage.hold(number, posture, (down_s, lies_s, up_s), drift=drift)
    return min(down_s + lies_s + up_s, max(stage.left_s, _LOOK_EVERY_S))


def resting(stage: Stage) -> Script:
    """One after another people do what looks a little like a fall and is none."""
    acts = (_sit, _sit_on_ground, _tie_shoe, _pick_up, _child)
    while True:
        for act in stage.rng.permutation(len(acts)).tolist():
            if stage.left_s < 12.0:
                return
            yield from acts[act](stage)
            yield float(stage.rng.uniform(3.0, 9.0))


def _sit(stage: Stage) -> Script:
    """Somebody sits down on a bench or a planter's edge, or on the ground where there is neither."""
    seats = [box for box in stage.place.boxes if box.kind in ("bench", "planter")]
    if not seats:
        yield from _sit_on_ground(stage)
        return
    box = seats[int(stage.rng.integers(len(seats)))]
    x = float(stage.rng.uniform(box.low[0] + 0.3, box.high[0] - 0.3))
    spot = (x, box.low[1] - _SEAT_GAP_M)
    yield from _pause(stage, spot, "sit", (1.4, float(stage.rng.uniform(12.0, 40.0)), 1.3), -math.pi / 2)


def _sit_on_ground(stage: Stage) -> Script:
    spot = stage.point_in(stage.place.crowd.corners, 1.0)
    heading = float(stage.rng.uniform(-math.pi, math.pi))
    yield from _pause(stage, spot, "sit_ground", (1.8, float(stage.rng.uniform(12.0, 30.0)), 2.0), heading)


def _tie_shoe(stage: Stage) -> Script:
    spot = stage.point_in(stage.place.crowd.corners, 1.0)
    yield from _pause(stage, spot, "crouch", (0.9, float(stage.rng.uniform(5.0, 10.0)), 0.9))


def _pick_up(stage: Stage) -> Script:
    spot = stage.point_in(stage.place.crowd.corners, 1.0)
    yield from _pause(stage, spot, "bend", (0.8, float(stage.rng.uniform(0.4, 1.5)), 0.8))


def _pause(
    stage: Stage,
    spot: Point,
    posture: Posture,
    seconds: tuple[float, float, float],
    heading: float | None = None,
) -> Script:
    """Somebody comes to a spot, takes a posture there for a while, and goes on."""
    way_in, way_out = _ways(stage, spot)
    if stage.time_s < _SHORT_S:
        way_in = [spot + (way_in[-1] - spot) * min(1.0, 6.0 / math.dist(way_in[-1], spot))]
    until_s = stage.time_s + _PATIENCE_S
    number = _send(stage, way_in, Stop(spot, until_s=until_s), way_out)
    while (there := stage.where(number)) is not None and math.dist(there[0], spot) > 0.5:
        yield _LOOK_EVERY_S
    if there is None or stage.time_s > until_s - 1.0:
        return
    yield 0.6
    there = stage.where(number)
    if there is None:
        return
    (x, y), _ = there
    stage.hold(number, posture, seconds, drift=(spot[0] - x, spot[1] - y), heading=heading)
    yield sum(seconds)


def _child(stage: Stage) -> Script:
    """A child runs here and there."""
    rng, zone = stage.rng, stage.place.crowd.corners
    spots = [stage.point_in(zone, 0.8) for _ in range(3)]
    (way_in, _), (_, way_out) = _ways(stage, spots[0]), _ways(stage, spots[-1])
    via = [*(_point(at) for at in way_in), *spots, *(_point(at) for at in way_out)]
    stage.send(
        via[0],
        *(Stop(at) for at in via[1:]),
        speed=float(rng.uniform(2.0, 2.6)),
        stature=float(rng.uniform(*_CHILD)),
    )
    yield 8.0


def _point(at: Points) -> Point:
    return float(at[0]), float(at[1])
