"""What can happen in a scene. A new scenario is one function with `@scenario` over it.

A scenario gets one `Stage` for passers-by and one for its own acts, and returns the scripts to run. Random
numbers come from PCG64 streams spawned from the seed, so that one script's draws never shift another's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from streams.errors import SourceUrlError
from streams.sim import falls, hazards, multitudes
from streams.sim.geometry import Points
from streams.sim.grounds import places_with, with_uses
from streams.sim.places import PLACES, Place, Point, Use
from streams.sim.scene import Scene, Script, Stage
from streams.sim.traffic import Traffic
from streams.sim.world import Stop, World

T = TypeVar("T")

Plot = Callable[[Stage, Stage, int], tuple[Script, ...]]
"""(stage of the passers-by, stage of the acts, how many passers-by) -> scripts."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of scene.

    Attributes:
        name: as in `sim://place?scenario=name`.
        title: one line for people.
        plot: its scripts.
        passers_by: how many people unless told otherwise: passers-by, or the crowd where that is all.
        places: where it can play, the first unless told otherwise; empty for everywhere.
        calms: whether every `CALM_EVERY`th seed gives a crowd that keeps within safe limits.
        uses: of the zones that its place has besides those it always has.
        weather: as in `weather.parse_weather`, unless told otherwise.
    """

    name: str
    title: str
    plot: Plot
    passers_by: int
    places: tuple[str, ...] = ()
    calms: bool = False
    uses: tuple[Use, ...] = ()
    weather: str = ""

    def check_place(self, place: str) -> None:
        """Raise `SourceUrlError` where the scenario cannot play at `place`."""
        if self.places and place not in self.places:
            raise SourceUrlError(f"{self.name} plays at {' or '.join(self.places)}, not at {place}")

    def at(self, place: str) -> Place:
        """The place with the zones that this scenario needs."""
        return with_uses(PLACES[place], self.uses)

    @property
    def home(self) -> str:
        """The place it plays at unless told otherwise."""
        return self.places[0] if self.places else "plaza"


MAX_PEOPLE = 500
CALM_EVERY = 5
"""Seeds 4, 9, 14 ... of a scenario that `calms`: what happens then is no danger, and no event."""


_SCENARIOS: dict[str, Scenario] = {}
SCENARIOS: Mapping[str, Scenario] = MappingProxyType(_SCENARIOS)
"""Every scenario by its name."""


def scenario(
    name: str,
    title: str,
    passers_by: int,
    places: tuple[str, ...] = (),
    *,
    calms: bool = False,
    weather: str = "",
) -> Callable[[Plot], Plot]:
    """Register a plot as a scenario; see `Scenario` for what it takes."""

    def register(plot: Plot) -> Plot:
        _SCENARIOS[name] = Scenario(name, title, plot, passers_by, places, calms, weather=weather)
        return plot

    return register


def build(
    name: str,
    *,
    place: str = "plaza",
    seed: int = 0,
    seconds: float | None = None,
    people: int | None = None,
) -> Scene:
    """A scene at time 0.

    Args:
        name: scenario, one of `SCENARIOS`.
        place: one of `PLACES`.
        seed: other seeds give other people, ways and timing.
        seconds: how long it will play, so that acts are whole; None for an endless one.
        people: how many passers-by there are on average; None for the scenario's own number.

    Raises:
        SourceUrlError: no such scenario or place, or not there, or a number out of its range.
    """
    plot = known(SCENARIOS, name, "scenario")
    known(PLACES, place, "place")
    plot.check_place(place)
    where = plot.at(place)
    count = plot.passers_by if people is None else people
    if not 0 <= count <= MAX_PEOPLE:
        raise SourceUrlError(f"people must be 0 to {MAX_PEOPLE}, got {count}")
    if seconds is not None and not seconds > 0:
        raise SourceUrlError(f"seconds must be positive, got {seconds}")
    if seed < 0:
        raise SourceUrlError(f"seed must not be negative, got {seed}")
    world, traffic = World(where.walls, where.courtesy), Traffic()
    calm = plot.calms and seed % CALM_EVERY == CALM_EVERY - 1
    passing, acting = (
        Stage(
            where, world, np.random.Generator(np.random.PCG64(sequence)), seconds, calm=calm, traffic=traffic
        )
        for sequence in np.random.SeedSequence(seed).spawn(2)
    )
    return Scene(where, world, plot.plot(passing, acting, count), traffic)


def known(choices: Mapping[str, T], name: str, what: str) -> T:
    """The choice called `name`, or a `SourceUrlError` that names all choices."""
    if name not in choices:
        raise SourceUrlError(f"unknown {what} {name!r}; there are {', '.join(sorted(choices))}")
    return choices[name]


def passing(stage: Stage, count: int) -> Script:
    """About `count` people cross the place at any time."""
    for _ in range(count):
        stage.stroll(under_way=True)
    while count:
        yield float(stage.rng.exponential(MEAN_VISIT_S / count))
        stage.stroll()


MEAN_VISIT_S = 22.0
"""How long a stroll across a place takes on average, measured over many seeds."""


@scenario("walk", "People cross the place; nothing happens", passers_by=14)
def walk(stage: Stage, _acts: Stage, count: int) -> tuple[Script, ...]:
    """Passers-by only."""
    return (passing(stage, count),)


@scenario("intrusion", "One person at a time enters the restricted zone, stays, and leaves", passers_by=9)
def intrusion(stage: Stage, acts: Stage, count: int) -> tuple[Script, ...]:
    """Passers-by, and trespassers one after another."""
    return passing(stage, count), trespassing(acts)


def trespassing(stage: Stage) -> Script:
    """Somebody enters the restricted zone, stays some seconds and leaves; then, after a while, the next."""
    while stage.left_s > 13.0:
        stay_s = trespass(stage, (3.0, 8.0) if stage.left_s > 24.0 else None)
        yield stay_s + float(stage.rng.uniform(22.0, 30.0))


def trespass(stage: Stage, stay_s: tuple[float, float] | None = None) -> float:
    """Send somebody into the restricted zone, and out again another way; 3 s there or between two limits.

    Returns:
        Seconds of the stay.
    """
    zone = stage.place.restricted.corners
    middle = zone.mean(axis=0)
    barriers = np.concatenate((stage.place.walls, stage.place.line.ends[None]))
    inner = stage.point_in(zone, 0.8)
    portals = stage.portals_to(inner, barriers)
    near = np.argsort(np.hypot(*(portals - middle).T))[:4]
    way_in, way_out = portals[stage.rng.choice(near, 2, replace=False)]
    if stage.time_s == 0:  # a short clip shall not wait for somebody to come from afar
        way_in = middle + (way_in - middle) * min(1.0, 6.0 / float(np.hypot(*(way_in - middle))))
    there_s = float(stage.rng.uniform(*stay_s)) if stay_s else 3.0
    stage.send(
        _point(way_in),
        Stop(inner, wait_s=there_s),
        Stop(_point(way_out)),
        free=True,
        speed=float(stage.rng.uniform(1.2, 1.6)),
    )
    return there_s


@scenario("line", "People cross the guarded line, in both directions", passers_by=8)
def line(stage: Stage, acts: Stage, count: int) -> tuple[Script, ...]:
    """Passers-by, and people who cross the guarded line."""
    return passing(stage, count), crossing(acts)


def crossing(stage: Stage) -> Script:
    """Every few seconds somebody crosses the guarded line at a right angle, from either side."""
    from_left = bool(stage.rng.random() < 0.5)
    while stage.left_s > 6.0:
        from_left ^= bool(stage.rng.random() < 0.7)
        cross(stage, from_left=from_left)
        yield float(stage.rng.uniform(7.0, 14.0))


def cross(stage: Stage, *, from_left: bool) -> None:
    """Send somebody across the guarded line at a right angle."""
    start, end = stage.place.line.ends
    along = (end - start) / np.hypot(*(end - start))
    normal = np.array([-along[1], along[0]])  # to the left
    step = normal * (1.2 if from_left else -1.2)
    at = start + (end - start) * stage.rng.uniform(0.25, 0.75)
    entry, way_out = (
        stage.rng.choice(stage.portals_to(_point(point), stage.blocked)) for point in (at + step, at - step)
    )
    if stage.time_s == 0:  # a short clip shall not wait for somebody to come from afar
        entry = at + step * 3.0
    stops = (at + step, at - step, way_out)
    stage.send(_point(entry), *(Stop(_point(point)) for point in stops), free=True)


@scenario("quiet", "Nobody is there, but now and then one person does what is not allowed", passers_by=0)
def quiet(stage: Stage, acts: Stage, count: int) -> tuple[Script, ...]:
    """An empty place most of the time, as most cameras' pictures are."""
    return passing(stage, count), visiting(acts)


QUIET_S = 160.0
VISIT_AFTER = 0.2
"""Share of a quiet while that goes by before its visitor comes."""


def visiting(stage: Stage) -> Script:
    """Once in about `QUIET_S` seconds somebody crosses the line or enters the restricted zone, by turns."""
    cycles = max(1, round(stage.seconds / QUIET_S)) if stage.seconds else 0
    cycle_s = stage.seconds / cycles if stage.seconds else QUIET_S
    trespassing_now = bool(stage.rng.random() < 0.5)
    done = 0
    while done < cycles or not cycles:
        done += 1
        yield VISIT_AFTER * cycle_s
        if trespassing_now:
            trespass(stage)
        else:
            cross(stage, from_left=bool(stage.rng.random() < 0.5))
        trespassing_now = not trespassing_now
        yield (1.0 - VISIT_AFTER) * cycle_s


@scenario(
    "crowding",
    "A crowd builds up to 6 or 7 persons per square metre, holds, dissolves",
    passers_by=4,
    calms=True,
)
def crowding(stage: Stage, acts: Stage, count: int) -> tuple[Script, ...]:
    """Passers-by, and crowds that come and go."""
    return passing(stage, count), gathering(acts)


CROWD = 100
CALM_CROWD = 45
CYCLE_S = 75.0
LONG_BUILD_S = 20.0


def gathering(stage: Stage) -> Script:
    """Again and again a crowd builds up, holds and dissolves, in equal cycles of about `CYCLE_S` seconds."""
    cycles = max(1, round(stage.seconds / CYCLE_S)) if stage.seconds else 0
    cycle_s = max(18.0, stage.seconds / cycles) if stage.seconds else CYCLE_S
    done = 0
    while done < cycles or not cycles:
        done += 1
        begin_s = stage.time_s
        yield from _build_up(stage, build_s=0.4 * cycle_s, until_s=begin_s + 0.7 * cycle_s)
        yield begin_s + cycle_s - stage.time_s


def _build_up(stage: Stage, build_s: float, until_s: float) -> Script:
    """Within about `build_s` seconds all come to their spots, where they stay until about `until_s`."""
    count, tightness_m = (CALM_CROWD, 0.52) if stage.calm else (CROWD, float(stage.rng.uniform(0.19, 0.205)))
    arrivals = np.sort(stage.rng.beta(1.2, 1.6, count)) * max(build_s - 6.0, 2.0)
    spots = crowd_spots(stage.rng, count, tightness_m) + np.array(stage.place.crowd_centre)
    begin_s = stage.time_s
    for spot, after_s in zip(spots, arrivals, strict=True):
        if begin_s + after_s > stage.time_s:
            yield begin_s + after_s - stage.time_s
        middle = np.array(stage.place.crowd_centre)
        while not len(portals := stage.portals_to(_point(spot), stage.blocked)):
            spot = middle + (spot - middle) * 0.9  # noqa: PLW2901 - nobody can stand so near to a wall
        way_in, way_out = stage.rng.choice(portals, 2)
        away = way_in - spot
        if build_s < LONG_BUILD_S:  # no time to come from afar
            way_in = spot + away * min(1.0, max(5.0, 0.4 * build_s) / float(np.hypot(*away)))
        leave_s = until_s + float(stage.rng.uniform(0.0, 0.3 * build_s))
        stage.send(
            _point(way_in),
            Stop(_point(spot), until_s=leave_s),
            Stop(_point(way_out)),
            speed=float(stage.rng.uniform(1.2, 1.7)),
        )


def crowd_spots(rng: np.random.Generator, count: int, tightness_m: float) -> Points:
    """(count, 2) metres around a centre, dense inside: a sunflower's spiral (Vogel 1979), a little shaken.

    `tightness_m` is the innermost's distance: 0.23 makes 5 persons per square metre in the middle, 0.193 7.
    """
    k = np.arange(count) + 0.5
    radius = tightness_m * k**0.53
    angle = k * np.pi * (3.0 - np.sqrt(5.0))
    spiral = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1)
    return np.asarray(spiral + rng.normal(0.0, 0.04, spiral.shape), np.float64)


@scenario(
    "counterflow",
    "Two dense streams meet in a passage: lanes or a jam",
    passers_by=450,
    places=("passage",),
    calms=True,
)
def counterflow(_passing: Stage, acts: Stage, count: int) -> tuple[Script, ...]:
    """`count` people in two streams against each other."""
    return (multitudes.opposing(acts, count),)


@scenario("surge", "A crowd suddenly runs, away from a point or towards one", passers_by=90, calms=True)
def surge(_passing: Stage, acts: Stage, count: int) -> tuple[Script, ...]:
    """A crowd of at most `count`, as far as the place has room for it."""
    return (multitudes.bolting(acts, count),)


@scenario(
    "bottleneck",
    "More people come to a gate than it passes: a queue, stop-and-go",
    passers_by=400,
    places=("stadium",),
    calms=True,
)
def bottleneck(_passing: Stage, acts: Stage, count: int) -> tuple[Script, ...]:
    """At most `count` people a cycle squeeze through a gate."""
    return (multitudes.queueing(acts, count),)


@scenario(
    "evacuation",
    "Hundreds leave a fenced area through its gates at once",
    passers_by=340,
    places=("stadium",),
    calms=True,
)
def evacuation(_passing: Stage, acts: Stage, count: int) -> tuple[Script, ...]:
    """`count` people leave at once."""
    return (multitudes.leaving(acts, count),)


@scenario(
    "distractors",
    "Rain, swaying trees, moving shadows, headlights, insects, and people who do nothing wrong",
    passers_by=8,
    weather="changing",
)
def distractors(stage: Stage, acts: Stage, count: int) -> tuple[Script, ...]:
    """What must stay without any event."""
    return passing(stage, count), falls.resting(acts), falls.resting(acts)


@scenario("fall", "Somebody falls and stays down, others sit down, tie shoes, pick things up", passers_by=7)
def fall(stage: Stage, acts: Stage, count: int) -> tuple[Script, ...]:
    """Passers-by, one fall after another, and what only looks like one."""
    return passing(stage, count), falls.falling(acts), falls.resting(acts)


def _hazard(act: hazards.Act) -> Plot:
    return lambda stage, acts, count: (passing(stage, count), *act.begin(stage, acts))


for _act in hazards.ACTS:
    _SCENARIOS[_act.name] = Scenario(
        _act.name, _act.title, _hazard(_act), _act.passers_by, places_with(_act.use), uses=(_act.use,)
    )


def _point(at: Points) -> Point:
    return float(at[0]), float(at[1])
