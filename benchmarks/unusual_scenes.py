"""Days of a place for `unusual`: people, cycles and cars on their ways, and now and then somebody who is not.

Each seed draws its own ways between the entrances of a simulated place. The hours of the day differ in how
many come. Boxes waver and are missed as a detector's are, tracks break, and ghosts appear.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from edge.cells import NOWHERE, Cells
from edge.config import CameraConfig
from edge.geometry import Floats
from edge.site import Site
from models.detections import Tracks
from streams.sim.geometry import inside
from streams.sim.places import PLACES, Place

CLASS_NAMES = ("person", "bicycle", "car")
PERSON, BICYCLE, CAR = range(3)
HIGH_M = (1.7, 1.75, 1.5)
WIDE_M = (0.55, 0.9, 2.6)
MONDAY = datetime(2026, 11, 2, tzinfo=ZoneInfo("Asia/Shanghai"))
KINDS = ("run", "against", "vehicle", "off_way")
STEP_S = 0.5
"""Two looks a second."""

_PER_MIN = np.array([0.3, 0.1, 0.1, 0.1, 0.2, 1, 3, 8, 10, 6, 5, 6, 9, 8, 6, 6, 7, 10, 11, 8, 6, 4, 2, 1.0])
"""People a minute by the hour of the day, on workdays."""
_LATERAL_M = 0.45
_FOOT_NOISE = 0.025
_BREAK_EVERY_S, _MISSED, _GHOST_EVERY_S = 90.0, 0.05, 900.0


@dataclass(frozen=True, slots=True)
class Way:
    """Where some go: (k, 2) points on the ground, of which class, and whether both ways."""

    points: Floats
    label: int
    both: bool
    share: float


@dataclass(frozen=True, slots=True)
class Passage:
    """Somebody's way through the place: from `begin_s` along `points` at `speed`, with a stop on it."""

    points: Floats
    label: int
    begin_s: float
    speed: float
    stop_s: float = 0.0
    kind: str = ""

    @property
    def length_m(self) -> float:
        """Metres."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.begin_s + self.stop_s + self.length_m / self.speed

    def at(self, time_s: float) -> tuple[float, float]:
        """Where it is."""
        legs = np.hypot(*np.diff(self.points, axis=0).T)
        gone, half = time_s - self.begin_s, 0.5 * self.length_m / self.speed
        if gone > half:
            gone = max(half, gone - self.stop_s)
        along = np.concatenate(([0.0], np.cumsum(legs)))
        x, y = (float(np.interp(gone * self.speed, along, self.points[:, k])) for k in (0, 1))
        return x, y


class Town:
    """A place with the ways of one seed.

    Args:
        seed: of ways, people, noise.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        names = sorted(PLACES)
        self.place: Place = PLACES[names[seed % len(names)]]
        self.config = camera_of(self.place)
        self.site = Site.from_config(self.config)
        self.cells = Cells.of(self.site.ground)
        self.ways = self._ways()

    def _ways(self) -> tuple[Way, ...]:
        """A way both ways for people, a one-way for people, and one for cycles, through the view."""
        found = [self._way() for _ in range(3)]
        labels, both, shares = (PERSON, PERSON, BICYCLE), (True, False, True), (0.6, 0.32, 0.08)
        return tuple(Way(*one) for one in zip(found, labels, both, shares, strict=True))

    def _way(self) -> Floats:
        """From one entrance to another through a point in view, at least 12 m of it seen."""
        portals = np.array(self.place.portals)
        for _ in range(400):
            start, end = portals[self.rng.choice(len(portals), 2, replace=False)]
            middle = self.cells.middle[self.rng.integers(len(self.cells))]
            points = np.array([start, middle, end])
            seen = self.cells.find(_along(points, 0.5)) != NOWHERE
            if seen.sum() * 0.5 >= 12.0 and not self._crosses(points):
                return points
        return points

    def _crosses(self, points: Floats) -> bool:
        return bool(inside(_along(points, 0.25), self.place.restricted.corners).any())

    def rate_per_min(self, local: datetime) -> float:
        """How many come a minute at that time."""
        weekend = 0.6 if local.weekday() >= 5 else 1.0
        return float(_PER_MIN[local.hour]) * weekend

    def usual(self, begin_s: float) -> Passage:
        """Somebody who goes as all do."""
        way = self.ways[int(self.rng.choice(len(self.ways), p=[way.share for way in self.ways]))]
        points = way.points + self.rng.normal(0.0, _LATERAL_M, 2)
        if way.both and self.rng.random() < 0.5:
            points = points[::-1]
        normal = (1.34, 0.26, 0.8, 2.1) if way.label == PERSON else (4.0, 0.7, 2.5, 6.0)
        speed = float(np.clip(self.rng.normal(*normal[:2]), *normal[2:]))
        stop_s = float(self.rng.uniform(5.0, 90.0)) if self.rng.random() < 0.1 else 0.0
        return Passage(points, way.label, begin_s, speed, stop_s)

    def odd(self, kind: str, begin_s: float) -> Passage:
        """Somebody who does not."""
        speed = float(np.clip(self.rng.normal(1.34, 0.2), 0.9, 1.8))
        points = self.ways[0].points + self.rng.normal(0.0, _LATERAL_M, 2)
        label = PERSON
        if kind == "run":
            speed = float(self.rng.uniform(3.0, 4.5))
        elif kind == "against":
            points = self.ways[1].points[::-1] + self.rng.normal(0.0, _LATERAL_M, 2)
        elif kind == "vehicle":
            label, speed = CAR, float(self.rng.uniform(2.0, 5.0))
        else:
            points = self._off_way()
        return Passage(points, label, begin_s, speed, kind=kind)

    def _off_way(self) -> Floats:
        """Straight through the widest part of the view that nobody uses."""
        used = np.concatenate([_along(way.points, 0.5) for way in self.ways])
        gap = np.hypot(*(self.cells.middle[:, None] - used[None]).transpose(2, 0, 1)).min(axis=1)
        free = self.cells.middle[gap >= min(2.5, float(np.quantile(gap, 0.8)))]
        best, most = np.asarray(free[:2], np.float64), 0.0
        for _ in range(200):
            a, b = free[self.rng.choice(len(free), 2, replace=False)]
            line = _along(np.array([a, b]), 0.5)
            clear = np.hypot(*(line[:, None] - used[None]).transpose(2, 0, 1)).min(axis=1) >= 1.8
            long = float(np.hypot(*(b - a)))
            if clear.all() and long > most:
                best, most = np.stack((a, b)), long
            if most >= 8.0:
                break
        return best


def camera_of(place: Place) -> CameraConfig:
    """The surveyed camera of a place, with the rule."""
    camera, polygon = place.camera, place.crowd.corners
    low, high = polygon.min(axis=0) - 1.0, polygon.max(axis=0) + 1.0
    axes = (np.linspace(first, last, 3) for first, last in zip(low, high, strict=True))
    spots = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    seen = camera.project(spots)
    within = ((seen > 0.01) & (seen < 0.99)).all(axis=1)
    return CameraConfig.model_validate(
        {
            "id": place.name,
            "source": f"sim://{place.name}",
            "analysed_fps": 2.0,
            "ground": [
                {"image": image.tolist(), "ground": spot.tolist()}
                for image, spot in zip(seen[within], spots[within], strict=True)
            ],
            "rules": [{"kind": "motion.unusual", "learning_h": 48}],
        }
    )


@dataclass(slots=True)
class _Track:
    number: int
    passage: Passage
    begin_s: float
    waver: Floats


class Days:
    """Looks at a town, one after the other.

    Args:
        town: whose.
        minutes_per_h: how many minutes of each hour are played: the rest is skipped by the clock.
        begin: local time of the first look.
        odd_every_s: seconds between two who are odd; None for nobody.
    """

    def __init__(
        self, town: Town, minutes_per_h: int, begin: datetime, odd_every_s: float | None = None
    ) -> None:
        self._town, self._rng = town, town.rng
        self._per_h = minutes_per_h
        self._begin = begin
        self._odd_every_s = odd_every_s
        self._tracks: list[_Track] = []
        self._next = 1
        self._odd_s = 0.0 if odd_every_s is None else odd_every_s / 2
        self._odds = 0
        self.now: list[Passage] = []

    def looks(self, hours: float) -> Iterator[tuple[float, datetime, Tracks]]:
        """Camera time, local time, and who is tracked, at each look."""
        step = 0
        for minute in range(round(hours * self._per_h)):
            hour, part = divmod(minute, self._per_h)
            clock = self._begin + timedelta(hours=hour, minutes=part * 60.0 / self._per_h)
            for k in range(round(60 / STEP_S)):
                time_s, local = step * STEP_S, clock + timedelta(seconds=k * STEP_S)
                self._arrive(time_s, local)
                yield time_s, local, self._seen(time_s)
                step += 1

    def _arrive(self, time_s: float, local: datetime) -> None:
        coming = self._rng.poisson(self._town.rate_per_min(local) * STEP_S / 60.0)
        fresh = [self._town.usual(time_s) for _ in range(coming)]
        if self._odd_every_s is not None and time_s >= self._odd_s:
            self._odd_s += self._odd_every_s
            fresh.append(self._town.odd(KINDS[self._odds % len(KINDS)], time_s))
            self._odds += 1
        if self._rng.random() < STEP_S / _GHOST_EVERY_S:
            at = self._town.cells.middle[self._rng.integers(len(self._town.cells))]
            fresh.append(Passage(np.array([at, at + 1e-3]), PERSON, time_s, 1e-3 / 1.5, kind="ghost"))
        self._tracks += [self._track(passage, time_s) for passage in fresh]
        self._tracks = [one for one in self._tracks if one.passage.end_s > time_s]
        for one in self._tracks:
            if self._rng.random() < STEP_S / _BREAK_EVERY_S:
                one.number, one.begin_s, self._next = self._next, time_s, self._next + 1

    def _track(self, passage: Passage, time_s: float) -> _Track:
        self._next += 1
        return _Track(self._next - 1, passage, time_s, np.zeros(4))

    def _seen(self, time_s: float) -> Tracks:
        rows = [one for one in self._tracks if self._rng.random() >= _MISSED]
        camera = self._town.place.camera
        at = np.array([one.passage.at(time_s) for one in rows]).reshape(-1, 2)
        labels = np.array([one.passage.label for one in rows], np.int16)
        feet = camera.project(at)
        heads = camera.project(np.column_stack((at, np.array(HIGH_M)[labels])))
        high = np.abs(feet[:, 1] - heads[:, 1])
        wide = high * (np.array(WIDE_M) / np.array(HIGH_M))[labels] * 9 / 16
        boxes = np.column_stack((feet[:, 0] - wide / 2, heads[:, 1], feet[:, 0] + wide / 2, feet[:, 1]))
        for row, one in enumerate(rows):
            # A box's error lasts for some looks: it hangs on to a bag or a shadow.
            one.waver = 0.6 * one.waver + 0.8 * self._rng.normal(0.0, _FOOT_NOISE, 4)
            boxes[row] += one.waver * high[row]
        seen = ((feet > 0) & (feet < 1)).all(axis=1) & (high > 0.03)
        self.now = [one.passage for one, there in zip(rows, seen, strict=True) if there]
        made = Tracks(
            ids=np.array([one.number for one in rows], np.int64),
            xyxy=boxes.reshape(-1, 4).astype(np.float32).clip(0, 1),
            velocity=np.zeros((len(rows), 2), np.float32),
            age_s=np.array([time_s - one.begin_s for one in rows], np.float32),
            scores=np.full(len(rows), 0.7, np.float32),
            labels=labels,
        )
        return made.select(np.flatnonzero(seen))


def _along(points: Floats, step_m: float) -> Floats:
    """Points every so many metres along a line."""
    legs = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(legs)))
    steps = np.linspace(0.0, along[-1], max(2, math.ceil(along[-1] / step_m)))
    return np.column_stack([np.interp(steps, along, points[:, k]) for k in (0, 1)])
