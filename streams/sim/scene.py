"""A scene in motion: a place, its people, and the scripts that send them on their errands."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streams.sim.bearing import Hold
from streams.sim.geometry import Points, Segments, clearance, edges, inside, offsets
from streams.sim.places import Place, Point, Zone
from streams.sim.postures import Posture
from streams.sim.things import Kind, Thing
from streams.sim.traffic import Traffic
from streams.sim.world import TICK_S, Crowd, Stop, World

Script = Generator[float, None, None]
"""Acts, then yields for how many seconds it wants to sleep; it ends when it has nothing more to do."""

SPOTS = 128
"""Points that passers-by of one scene choose their ways through."""

TickObserver = Callable[[float, Crowd], None]
"""Told of each step: scene time in seconds, and the people after it (to be read, not kept)."""

ThingsObserver = Callable[[float, Crowd, tuple[Thing, ...]], None]
"""The same, told of the things too."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Where everybody is at one time.

    Attributes:
        time_s: scene time.
        number: (n,) int64, which simulated person.
        ground: (n, 2) float64 metres.
        heading: (n,) radians counter-clockwise from the x axis.
        walked: (n,) metres walked so far, which drives the gait.
        velocity: (n, 2) metres per second, over the last step.
        posture: (n,) int64, number in `postures.POSTURES`; 0, for upright, unless given.
        progress: (n,) 0 upright to 1, as far into the posture as it goes.
        stature: (n,) ratio of everybody's height to a grown-up's; 1 unless given.
        things: all things there are.
    """

    time_s: float
    number: NDArray[np.int64]
    ground: Points
    heading: NDArray[np.float64]
    walked: NDArray[np.float64]
    velocity: Points
    posture: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    progress: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    stature: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    things: tuple[Thing, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.number)
        for name, usual in (
            ("posture", np.zeros(count, np.int64)),
            ("progress", np.zeros(count)),
            ("stature", np.ones(count)),
        ):
            if len(getattr(self, name)) != count:
                object.__setattr__(self, name, usual)

    @property
    def speed(self) -> NDArray[np.float64]:
        """(n,) metres per second."""
        return np.hypot(self.velocity[:, 0], self.velocity[:, 1])

    def __len__(self) -> int:
        return len(self.number)


class Stage:
    """What a script may do: look at the clock and the place, and send people on errands.

    Attributes:
        place: where it plays.
        rng: the script's own random numbers.
        seconds: how long the scene lasts; None for ever.
        calm: whether a crowd is to keep within safe limits this time.
        traffic: the scene's things.
        blocked: (m, 2, 2) walls, sides of the restricted zone and guarded line: what passers-by avoid.
    """

    def __init__(
        self,
        place: Place,
        world: World,
        rng: np.random.Generator,
        seconds: float | None,
        *,
        calm: bool = False,
        traffic: Traffic | None = None,
    ) -> None:
        self.place = place
        self.traffic = Traffic() if traffic is None else traffic
        self.rng = rng
        self.seconds = seconds
        self.calm = calm
        self._world = world
        self.blocked = np.concatenate((place.walls, place.courtesy))
        self._shunned: tuple[Points, ...] = (place.restricted.corners,)
        self._spots = self._clear_spots()

    @property
    def time_s(self) -> float:
        """Scene time."""
        return self._world.time_s

    @property
    def left_s(self) -> float:
        """Seconds until the scene ends; infinite for an endless one."""
        return float("inf") if self.seconds is None else self.seconds - self.time_s

    def has_room(self, point: Point, gap_m: float) -> bool:
        """Whether nobody is nearer than `gap_m` to `point`."""
        gap = self._world.crowd.position - point
        return not (np.einsum("nk,nk->n", gap, gap) < gap_m**2).any()

    def send(
        self,
        start: Point,
        *stops: Stop,
        free: bool = False,
        speed: float | None = None,
        push: float = 1.0,
        stature: float = 1.0,
    ) -> int:
        """Send somebody from `start` along `stops` at a walking speed of their own.

        Speeds follow [HM95]: normal around 1.34 m/s with a deviation of 0.26 m/s, here kept in 0.9 to 1.8.
        `push` is the share of it that is kept however dense it is ahead, `stature` the ratio of the person's
        height to a grown-up's.

        Returns:
            The person's number.
        """
        own = speed or float(np.clip(self.rng.normal(1.34, 0.26), 0.9, 1.8))
        return self._world.enter(start, stops, speed=own, free=free, push=push, stature=stature)

    def where(self, number: int) -> tuple[Point, float] | None:
        """The person's place in metres, and heading in radians; None for who has left."""
        crowd = self._world.crowd
        rows = np.flatnonzero(crowd.number == number)
        if not len(rows):
            return None
        x, y = crowd.position[rows[0]].tolist()
        return (x, y), float(crowd.heading[rows[0]])

    def waits(self, number: int) -> bool:
        """Whether the person with this number stands at a stop."""
        crowd = self._world.crowd
        return bool(crowd.standing[crowd.number == number].any())

    def hold(
        self,
        number: int,
        posture: Posture,
        seconds: tuple[float, float, float],
        *,
        drift: Point = (0.0, 0.0),
        heading: float | None = None,
    ) -> None:
        """Have somebody take a posture now, wherever they are on their errand, which waits meanwhile.

        Args:
            number: the person, who must be there.
            posture: which.
            seconds: to get down, to stay there, which may be for ever, and to get up again.
            drift: (x, y) metres that the person moves on the way down.
            heading: radians to turn to on the way down; None stays as it is.

        Raises:
            ValueError: the person is not there, or the times are not possible.
        """
        there = self.where(number)
        if there is None:
            raise ValueError(f"nobody has the number {number}")
        place, faces = there
        headings = (faces, faces if heading is None else heading)
        self._world.hold(number, Hold(posture, self.time_s, *seconds, place, drift, headings))

    def put(self, kind: Kind, at: Point, heading: float = 0.0) -> int:
        """Have something stand at `at`, its front towards `heading` radians; its number."""
        return self.traffic.put(kind, at, heading, self.time_s)

    def take(self, number: int) -> None:
        """Remove a thing. Raises KeyError if it is not there."""
        self.traffic.take(number)

    def drive(self, kind: Kind, start: Point, *stops: Stop, speed: float, ridden: bool = False) -> int:
        """Have a vehicle or a dog come in at `start`, go along `stops`, and leave; its number."""
        return self.traffic.drive(kind, start, stops, speed, self.time_s, ridden=ridden)

    def carry(self, kind: Kind, bearer: int, offset: Point, up_m: float = 0.0) -> int:
        """Have a person carry or push something (forward, left) metres beside them; its number."""
        return self.traffic.carry(kind, bearer, offset, up_m, self._world.crowd)

    def lay(self, number: int) -> None:
        """Have what is carried put down where it is. Raises KeyError if it is not there."""
        self.traffic.lay(number, self.time_s)

    def shun(self, zone: Zone) -> None:
        """Have passers-by from now on keep out of a zone, too."""
        self.blocked = np.concatenate((self.blocked, edges(zone.corners)))
        self._shunned = (*self._shunned, zone.corners)
        self._spots = self._clear_spots()

    def stroll(self, *, under_way: bool = False) -> None:
        """Send somebody across the place, clear of restricted zone, guarded line and walls.

        Args:
            under_way: start somewhere along the way instead of at its beginning.
        """
        path = self._free_path()
        if under_way:
            leg = int(self.rng.integers(len(path) - 1))
            share = float(self.rng.uniform(0.1, 0.9))
            path = path[leg:]
            path[0] = path[0] + (path[1] - path[0]) * share
        waits = np.where(self.rng.random(len(path)) < 0.15, self.rng.uniform(2.0, 8.0, len(path)), 0.0)
        stops = [
            Stop((float(x), float(y)), float(wait))
            for (x, y), wait in zip(path[1:-1], waits[1:-1], strict=True)
        ]
        last = (float(path[-1, 0]), float(path[-1, 1]))
        self.send((float(path[0, 0]), float(path[0, 1])), *stops, Stop(last))

    def portals_to(self, point: Point, obstacles: Segments, margin_m: float = 0.3) -> Points:
        """(n, 2) entrances whose straight way to `point` keeps `margin_m` clear of (m, 2, 2) obstacles."""
        portals = np.array(self.place.portals)
        clear = [clearance(np.array([portal, point]), obstacles) > margin_m for portal in portals]
        return portals[clear]

    def _clear_spots(self, margin_m: float = 0.8) -> Points:
        """(`SPOTS`, 2) random walkable points, `margin_m` from everything that people keep clear of."""
        polygon = np.array(self.place.walkable)
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        spots = np.zeros((0, 2))
        while len(spots) < SPOTS:
            points = self.rng.uniform(low, high, (SPOTS, 2))
            gap = offsets(points, self.blocked)
            clear = np.hypot(gap[..., 0], gap[..., 1]).min(axis=1) > margin_m
            clear &= inside(points, polygon)
            for shunned in self._shunned:
                clear &= ~inside(points, shunned)
            spots = np.concatenate((spots, points[clear]))
        return spots[:SPOTS]

    def point_in(self, polygon: Points, margin_m: float) -> Point:
        """A random point inside an (n, 2) polygon, at least `margin_m` from its sides.

        Raises:
            ValueError: the polygon is too narrow for that.
        """
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        for _ in range(64):
            points = self.rng.uniform(low, high, (16, 2))
            for point in points[inside(points, polygon)]:
                if clearance(point[None], edges(polygon)) >= margin_m:
                    return float(point[0]), float(point[1])
        raise ValueError(f"no point of the polygon is {margin_m} m from its sides")

    def _free_path(self) -> Points:
        """The first random way that keeps 0.5 m clear, or the clearest of many."""
        portals = np.array(self.place.portals)
        best, room = portals[:2], -1.0
        for _ in range(60):
            start, end = portals[self.rng.choice(len(portals), 2, replace=False)]
            via = self._spots[self.rng.integers(SPOTS, size=int(self.rng.integers(1, 3)))]
            path = np.array([start, *via, end])
            space = clearance(path, self.blocked)
            if space > 0.5 or space > room:
                best, room = path, space
            if room > 0.5:
                break
        return best


class Scene:
    """A place with people who move as time passes.

    Args:
        place: where.
        world: whose people the scripts send on errands.
        scripts: what happens; each runs from time 0.
        traffic: whose things are there; the scripts' stages share it.
    """

    def __init__(
        self, place: Place, world: World, scripts: tuple[Script, ...], traffic: Traffic | None = None
    ) -> None:
        self.place = place
        self._traffic = Traffic() if traffic is None else traffic
        self._world = world
        self._due: list[tuple[int, Script]] = []
        self._observers: list[TickObserver] = []
        self._thing_observers: list[ThingsObserver] = []
        for script in scripts:
            self._resume(script)

    def observe(self, observer: TickObserver) -> None:
        """Have `observer` called at this moment and after each later step."""
        self._observers.append(observer)
        observer(self._world.time_s, self._world.crowd)

    def observe_things(self, observer: ThingsObserver) -> None:
        """Have `observer` called at this moment and after each later step."""
        self._thing_observers.append(observer)
        observer(self._world.time_s, self._world.crowd, self._traffic.things)

    def at(self, time_s: float) -> Moment:
        """Everybody's place at `time_s` seconds; time only goes on.

        Raises:
            ValueError: the scene has passed that time already.
        """
        if time_s < self._world.time_s - TICK_S - 1e-9:
            raise ValueError(
                f"the scene is at {self._world.time_s:.2f} s already, cannot show {time_s:.2f} s"
            )
        while self._world.time_s < time_s - 1e-9:
            self._step()
        crowd = self._world.crowd
        share = 1.0 - (self._world.time_s - time_s) / TICK_S if self._world.ticks else 1.0
        posture, progress = self._world.bearings(time_s)
        moved = crowd.position - crowd.before
        return Moment(
            time_s=time_s,
            number=crowd.number.copy(),
            ground=crowd.before + moved * share,
            heading=crowd.heading.copy(),
            walked=crowd.walked_before + (crowd.walked - crowd.walked_before) * share,
            velocity=moved / TICK_S,
            posture=posture,
            progress=progress,
            stature=crowd.stature.copy(),
            things=self._traffic.between(share),
        )

    def _step(self) -> None:
        self._world.obstacles = self._traffic.obstacles
        self._world.step()
        self._traffic.step(self._world.time_s, self._world.crowd)
        due = [script for tick, script in self._due if tick <= self._world.ticks]
        self._due = [(tick, script) for tick, script in self._due if tick > self._world.ticks]
        for script in due:
            self._resume(script)
        for observer in self._observers:
            observer(self._world.time_s, self._world.crowd)
        for watcher in self._thing_observers:
            watcher(self._world.time_s, self._world.crowd, self._traffic.things)

    def _resume(self, script: Script) -> None:
        try:
            sleep_s = next(script)
        except StopIteration:
            return
        self._due.append((self._world.ticks + max(1, round(sleep_s / TICK_S)), script))
