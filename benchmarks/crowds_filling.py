"""Crowds that fill a place over minutes, for forecasts: the scenarios' own are dangerous within one.

People come as a Poisson process whose rate is steady, grows or fades, walk straight from an entrance to a
spot and stay there. Each takes the roomiest of a few spots, as people who are free to choose do. Nobody
pushes, so that no forces are needed: what is true of them is reckoned from the places as in other scenes.
"""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.crowds_scenes import Floats, Recording
from streams.sim.crowds import People, look
from streams.sim.geometry import inside
from streams.sim.moments import moments
from streams.sim.scenario import CALM_EVERY
from streams.sim.spec import SceneSpec

PLACE, SECONDS, STEP_S = "plaza", 480.0, 1.0
PEOPLE = (210, 260)
TRIED = 4
WALK_M_S = 1.3
SWAY_M = 0.03
SHAPES = ("steady", "growing", "fading")


@dataclass(frozen=True, slots=True, eq=False)
class _Guests:
    """Who comes: when each sets out from where, and stays where; (n,) seconds and (n, 2) metres."""

    leaves_s: Floats
    from_m: Floats
    spot_m: Floats


def filling(seed: int) -> Recording:
    """A crowd that gathers; other seeds have other rates, shapes and people."""
    rng = np.random.default_rng((seed, 7))
    # The spec only says where it is; no seed of its kind is a calm one.
    spec = SceneSpec("crowding", PLACE, CALM_EVERY * seed, seconds=SECONDS)
    place, times = spec.where, np.arange(0.0, SECONDS, STEP_S)
    guests = _guests(rng, spec, SHAPES[seed % len(SHAPES)])
    way = guests.spot_m - guests.from_m
    length = np.hypot(way[:, 0], way[:, 1])
    numbers, places, looks = [], [], []
    for time_s in times:
        gone = np.clip((time_s - guests.leaves_s) * WALK_M_S / length, 0.0, 1.0)
        there = np.flatnonzero(guests.leaves_s <= time_s)
        at = guests.from_m[there] + way[there] * gone[there, None] + rng.normal(0, SWAY_M, (len(there), 2))
        walks = (gone[there] < 1)[:, None]
        velocity = np.where(walks, way[there] / length[there, None] * WALK_M_S, 0.0)
        pace = np.hypot(velocity[:, 0], velocity[:, 1])
        nobody = np.zeros(len(there), np.bool_)
        people = People(at, velocity, pace, np.where(walks, way[there] / length[there, None], 0.0), nobody)
        looks.append(look(float(time_s), people, place.crowd.corners))
        numbers.append(there.astype(np.int64))
        places.append(at)
    counts = [len(number) for number in numbers]
    found = Recording(
        spec,
        times,
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        np.concatenate(numbers),
        np.concatenate(places),
        tuple(looks),
        (),
    )
    return replace(found, moments=moments(looks, (), place.crowd.id))


def _guests(rng: np.random.Generator, spec: SceneSpec, shape: str) -> _Guests:
    place, count = spec.where, int(rng.integers(*PEOPLE))
    # Quantiles of the arrivals: their rate is constant, rises from a third to the most, or falls to a third.
    share = np.sort(rng.random(count))
    if shape != "steady":
        share = (-1 + np.sqrt(1 + 8 * share)) / 2
        share = share if shape == "growing" else 1 - share[::-1]
    portals = np.array(place.portals)
    spots = _spots(rng, place.crowd.corners, count)
    return _Guests(share * 0.9 * SECONDS, portals[rng.integers(len(portals), size=count)], spots)


def _spots(rng: np.random.Generator, zone: Floats, count: int) -> Floats:
    low, high = zone.min(axis=0), zone.max(axis=0)
    points = rng.uniform(low, high, (4 * TRIED * count, 2))
    points = points[inside(points, zone)]
    spots = points[:1]
    for k in range(1, count):
        tried = points[k * TRIED : (k + 1) * TRIED]
        gap = np.hypot(*(tried[:, None] - spots).transpose(2, 0, 1)).min(axis=1)
        spots = np.concatenate((spots, tried[[int(gap.argmax())]]))
    return spots
