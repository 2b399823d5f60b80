"""The places that simulated cameras look at: camera, walls, zones, line, entrances, and what stands there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

import numpy as np

from streams.sim.camera import Camera
from streams.sim.geometry import Points, Segments, edges

Point = tuple[float, float]
Use = Literal["plain", "one_way", "fire_lane", "people_only", "watched"]


@dataclass(frozen=True, slots=True)
class Zone:
    """An area on the ground.

    Attributes:
        id: its name.
        polygon: in metres.
        use: what it is for: `watched` is where nothing may be left, or taken away.
        towards: unit vector on the ground, the allowed way of a one-way zone.
    """

    id: str
    polygon: tuple[Point, ...]
    use: Use = "plain"
    towards: Point | None = None

    def __post_init__(self) -> None:
        if (self.use == "one_way") != (self.towards is not None):
            raise ValueError(f"zone {self.id!r} needs a direction if it is one-way, and only then")
        if len(self.polygon) < 3:
            raise ValueError(f"zone {self.id!r} needs three corners or more, got {len(self.polygon)}")

    @property
    def corners(self) -> Points:
        """(n, 2) float64 metres."""
        return np.array(self.polygon, np.float64)


@dataclass(frozen=True, slots=True)
class Line:
    """A guarded line on the ground, in metres; its left is the left of somebody who walks along it."""

    id: str
    points: tuple[Point, Point]

    @property
    def ends(self) -> Points:
        """(2, 2) float64 metres: start and end."""
        return np.array(self.points, np.float64)


@dataclass(frozen=True, slots=True)
class Box:
    """Something solid that stands around: it hides people and they walk round it.

    Attributes:
        low, high: opposite corners of its base in metres, `low` the lesser in x and y.
        height_m: above the ground.
        kind: how it is painted.
    """

    low: Point
    high: Point
    height_m: float
    kind: Literal["planter", "hedge", "post", "bench", "fence"]

    @property
    def base(self) -> Points:
        """(4, 2) float64 metres: corners counter-clockwise from `low`."""
        (x0, y0), (x1, y1) = self.low, self.high
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


@dataclass(frozen=True, slots=True)
class Fence:
    """A straight barrier along an axis of the ground that nobody passes or climbs, from `start` to `end`."""

    start: Point
    end: Point
    height_m: float = 1.1

    def __post_init__(self) -> None:
        if self.start[0] != self.end[0] and self.start[1] != self.end[1]:
            raise ValueError(f"a fence goes along x or y, got {self.start} to {self.end}")

    @property
    def panels(self) -> tuple[Box, ...]:
        """Pieces of at most 2 m, as things are drawn by their distance from the camera."""
        start, end = np.array(self.start), np.array(self.end)
        count = max(1, math.ceil(float(np.hypot(*(end - start))) / 2.0 - 1e-9))
        ends = start + (end - start) * (np.arange(count + 1) / count)[:, None]
        boxes = []
        for first, last in pairwise(ends):
            low, high = np.minimum(first, last) - 0.04, np.maximum(first, last) + 0.04
            boxes.append(
                Box((float(low[0]), float(low[1])), (float(high[0]), float(high[1])), self.height_m, "fence")
            )
        return tuple(boxes)


@dataclass(frozen=True, slots=True)
class Facade:
    """A building's face: a vertical wall over the ground from `start` to `end`, with doors in it."""

    start: Point
    end: Point
    height_m: float
    doors_m: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A place and the camera that watches it.

    Attributes:
        name: as in `sim://name`.
        title: one line for people.
        camera: at 16:9.
        walkable: polygon in metres within which people may stroll about.
        portals: where people come in and go out, out of sight or in doors.
        restricted: nobody may be here.
        crowd: where people may gather; its density is known.
        crowd_centre: middle of a crowd.
        line: guarded.
        boxes, facades, fences: what stands there.
        gates: openings through which people leave a fenced area, whose inside is on their left; the first is
            the narrowest.
        entries: lines on which streams of people come in, or end.
        yard: polygon in metres of the fenced area; empty without gates.
        lane: a strip drawn as asphalt or track bed: a polygon in metres, or empty.
        slab_m: size of the paving slabs.
        marked: zones with a rule of their own that a scenario adds; see `grounds`.
    """

    name: str
    title: str
    camera: Camera
    walkable: tuple[Point, ...]
    portals: tuple[Point, ...]
    restricted: Zone
    crowd: Zone
    crowd_centre: Point
    line: Line
    boxes: tuple[Box, ...] = ()
    facades: tuple[Facade, ...] = ()
    fences: tuple[Fence, ...] = ()
    gates: tuple[Line, ...] = ()
    entries: tuple[Line, ...] = ()
    yard: tuple[Point, ...] = ()
    lane: tuple[Point, ...] = ()
    slab_m: float = 1.0
    marked: tuple[Zone, ...] = ()

    @property
    def zones(self) -> tuple[Zone, ...]:
        """All zones."""
        return (self.restricted, self.crowd, *self.marked)

    def zone_for(self, use: Use) -> Zone:
        """The marked zone for `use`. Raises KeyError if there is none."""
        return {zone.use: zone for zone in self.marked}[use]

    @property
    def walls(self) -> Segments:
        """(m, 2, 2) metres: sides of the boxes, the facades and the fences."""
        sides = [edges(box.base) for box in self.boxes]
        sides += [np.array([[facade.start, facade.end]], np.float64) for facade in self.facades]
        sides += [np.array([[fence.start, fence.end]], np.float64) for fence in self.fences]
        return np.concatenate(sides) if sides else np.zeros((0, 2, 2))

    @property
    def courtesy(self) -> Segments:
        """(k, 2, 2) metres: what people keep out of though nothing stops them."""
        return np.concatenate((edges(self.restricted.corners), self.line.ends[None]))


_PLAZA = Place(
    name="plaza",
    title="Open square before a public building",
    camera=Camera(height_m=5.0, tilt_deg=17.0, hfov_deg=62.0),
    walkable=((-4.2, 9.0), (7.0, 9.0), (12.0, 24.0), (-11.0, 26.0)),
    portals=(
        (-9.0, 9.0),
        (-14.0, 17.0),
        (-16.0, 21.0),
        (-18.0, 25.5),
        (9.5, 9.5),
        (16.0, 21.0),
        (0.0, 29.6),
        (9.0, 29.6),
        (-2.0, 3.2),
        (3.0, 3.2),
    ),
    restricted=Zone("restricted", ((2.8, 12.5), (6.6, 12.5), (7.6, 17.0), (3.2, 17.0))),
    crowd=Zone("plaza", ((-4.2, 10.5), (1.6, 10.5), (1.8, 19.5), (-5.0, 19.5))),
    crowd_centre=(-1.3, 14.6),
    line=Line("west-line", ((-5.4, 12.0), (-7.2, 22.0))),
    boxes=(
        Box((7.6, 22.5), (10.0, 23.5), 0.6, "planter"),
        Box((2.0, 22.5), (4.4, 23.5), 0.6, "planter"),
        Box((-9.9, 15.4), (-9.7, 15.6), 5.5, "post"),
        Box((8.3, 17.3), (8.5, 17.5), 5.5, "post"),
        Box((-3.4, 24.5), (-1.6, 25.0), 0.45, "bench"),
    ),
    facades=(Facade((-24.0, 30.0), (24.0, 30.0), 12.0, (-8.0, 0.0, 9.0)),),
)

_GATE = Place(
    name="gate",
    title="Forecourt with a gate in a low wall",
    camera=Camera(height_m=4.3, tilt_deg=18.0, hfov_deg=66.0),
    walkable=((-4.5, 7.5), (4.5, 7.5), (9.0, 17.5), (-9.0, 17.5)),
    portals=(
        (-8.0, 8.0),
        (-13.5, 14.5),
        (8.0, 7.5),
        (15.0, 16.0),
        (-1.5, 2.6),
        (1.8, 2.6),
        (-6.0, 29.6),
        (1.0, 29.6),
        (7.0, 29.6),
    ),
    restricted=Zone("restricted", ((3.4, 9.5), (6.4, 9.5), (8.0, 14.0), (4.0, 14.0))),
    crowd=Zone("forecourt", ((-5.0, 8.5), (1.6, 8.5), (2.0, 16.0), (-6.6, 16.0))),
    crowd_centre=(-1.8, 12.4),
    line=Line("gate-line", ((2.6, 19.25), (-2.6, 19.25))),
    boxes=(
        Box((-18.0, 19.0), (-2.6, 19.5), 0.9, "hedge"),
        Box((2.6, 19.0), (18.0, 19.5), 0.9, "hedge"),
        Box((-2.9, 18.8), (-2.6, 19.1), 2.4, "post"),
        Box((2.6, 18.8), (2.9, 19.1), 2.4, "post"),
        Box((-9.4, 12.2), (-7.6, 12.8), 0.6, "planter"),
    ),
    facades=(Facade((-22.0, 30.0), (22.0, 30.0), 9.0, (-6.0, 1.0, 7.0)),),
    slab_m=0.8,
)

_PLATFORM = Place(
    name="platform",
    title="Bus platform beside its lane",
    camera=Camera(height_m=4.6, tilt_deg=17.0, hfov_deg=60.0),
    walkable=((-3.6, 8.0), (2.0, 8.0), (2.0, 19.5), (-8.0, 19.5)),
    portals=((-8.0, 8.5), (-11.0, 14.5), (-14.0, 19.0), (-1.8, 2.8), (0.6, 2.8), (-5.0, 28.6), (1.0, 28.6)),
    restricted=Zone("lane", ((3.2, 8.6), (5.2, 8.6), (9.5, 17.5), (3.2, 17.5))),
    crowd=Zone("platform", ((-3.8, 9.0), (2.2, 9.0), (2.2, 18.0), (-6.5, 18.0))),
    crowd_centre=(-1.4, 13.4),
    line=Line("platform-end", ((-9.0, 21.0), (2.6, 21.0))),
    boxes=(
        Box((-6.6, 20.4), (-5.0, 20.8), 0.5, "bench"),
        Box((2.62, 11.9), (2.8, 12.1), 3.2, "post"),
        Box((2.62, 17.9), (2.8, 18.1), 3.2, "post"),
        Box((2.62, 23.9), (2.8, 24.1), 3.2, "post"),
    ),
    facades=(Facade((-22.0, 29.0), (22.0, 29.0), 7.0, (-5.0, 1.0)),),
    lane=((3.0, 3.0), (14.0, 3.0), (14.0, 29.0), (3.0, 29.0)),
    slab_m=0.6,
)

_PASSAGE = Place(
    name="passage",
    title="Walkway between barriers",
    camera=Camera(height_m=8.0, tilt_deg=24.0, hfov_deg=60.0),
    walkable=((-9.0, 10.0), (-4.0, 10.0), (-4.0, 25.0), (-12.0, 25.0)),
    portals=(
        (0.0, 3.0),
        (0.0, 32.0),
        (-9.0, 7.5),
        (-14.0, 14.0),
        (-18.0, 23.0),
        (-5.5, 3.5),
        (-7.0, 29.6),
        (9.0, 7.5),
        (17.0, 14.0),
        (16.0, 23.0),
        (7.0, 29.6),
    ),
    restricted=Zone("restricted", ((4.4, 12.5), (7.2, 12.5), (8.2, 17.0), (4.4, 17.0))),
    crowd=Zone("passage", ((-2.5, 11.0), (2.5, 11.0), (2.5, 23.0), (-2.5, 23.0))),
    crowd_centre=(0.0, 16.0),
    line=Line("side-line", ((4.4, 20.5), (10.5, 20.5))),
    fences=(Fence((-2.5, 3.5), (-2.5, 31.0)), Fence((2.5, 3.5), (2.5, 31.0))),
    gates=(Line("passage-line", ((2.5, 17.0), (-2.5, 17.0))),),
    entries=(Line("near-end", ((-2.2, 4.5), (2.2, 4.5))), Line("far-end", ((-2.2, 29.5), (2.2, 29.5)))),
    slab_m=0.75,
)

_STADIUM = Place(
    name="stadium",
    title="Fenced forecourt of a stadium with its gates",
    camera=Camera(height_m=9.0, tilt_deg=27.0, hfov_deg=66.0),
    walkable=((-6.5, 13.0), (6.5, 13.0), (6.5, 24.0), (-6.5, 24.0)),
    portals=(
        (0.0, 3.0),
        (1.0, 31.0),
        (-1.0, 31.0),
        (-17.0, 16.0),
        (17.0, 16.0),
        (-17.0, 21.0),
        (17.0, 22.0),
        (-15.0, 28.0),
        (15.0, 28.0),
    ),
    restricted=Zone("restricted", ((-13.0, 20.5), (-9.5, 20.5), (-9.5, 25.0), (-14.0, 25.0))),
    crowd=Zone("forecourt", ((-5.0, 11.0), (5.0, 11.0), (5.0, 20.0), (-5.0, 20.0))),
    crowd_centre=(0.0, 15.0),
    line=Line("side-line", ((9.5, 20.0), (13.5, 20.0))),
    fences=(
        Fence((-8.0, 11.0), (-1.2, 11.0)),
        Fence((1.2, 11.0), (8.0, 11.0)),
        Fence((-8.0, 11.0), (-8.0, 14.5)),
        Fence((-8.0, 17.5), (-8.0, 26.0)),
        Fence((8.0, 11.0), (8.0, 14.5)),
        Fence((8.0, 17.5), (8.0, 26.0)),
        Fence((-8.0, 26.0), (-2.0, 26.0)),
        Fence((2.0, 26.0), (8.0, 26.0)),
    ),
    gates=(
        Line("front-gate", ((-1.2, 11.0), (1.2, 11.0))),
        Line("left-gate", ((-8.0, 17.5), (-8.0, 14.5))),
        Line("right-gate", ((8.0, 14.5), (8.0, 17.5))),
        Line("back-gate", ((2.0, 26.0), (-2.0, 26.0))),
    ),
    entries=(Line("way-in", ((-3.0, 30.0), (3.0, 30.0))), Line("way-out", ((-4.0, 3.0), (4.0, 3.0)))),
    yard=((-8.0, 11.0), (8.0, 11.0), (8.0, 26.0), (-8.0, 26.0)),
)

_ALL = (_PLAZA, _GATE, _PLATFORM, _PASSAGE, _STADIUM)
PLACES: Mapping[str, Place] = MappingProxyType({place.name: place for place in _ALL})
"""Every place by its name."""
