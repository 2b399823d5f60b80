"""What one look shows a rule: tracks, people on the ground, and the places of the site."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from edge.crowd import CELL_M2
from edge.field import ZoneDensity, zone_density
from edge.geometry import Floats, points_in_polygon
from edge.observation import Box
from edge.on_ground import LOOSE, Grounded
from edge.people import People
from edge.pressure import Noise
from edge.scene import LyingLook
from edge.site import Site
from models.boxes import covered
from models.density import HeadMap
from models.detections import Detections, Tracks
from models.fire import Flame
from streams.still import StillThing

MAX_BOXES = 64

USUAL_ASPECT = 16 / 9
"""Width to height of a picture whose size is not known."""
FIRM = 0.45
"""Score below which a look proves less: of who is half hidden, a foot is now here, now there."""
SURE = 0.3
"""Detections below this score keep a track alive, but do not say that somebody is there."""
LOW, SURE_OF_LOW = 0.72, 0.6
"""Share of an adult's height below which a person must be detected with the second, a score: dogs look 0.5 to
0.65 high, and seen from behind are taken for people with scores around 0.5."""
THRONG = 0.3
"""Share of a box that one of its class may cover; a track hops from one to the other where it is more."""

UNKNOWN_NOISE = Noise(float("inf"))

Rows = NDArray[np.intp]
HeightsPx = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One look at a camera.

    Attributes:
        site: zones, lines and ground.
        tracks: confirmed and seen in this picture, all classes.
        keys: (n,) numbers of the tracks that survive a tracker's slip; in memory only.
        pts_s: camera time.
        inside: by zone id, (n,) which tracks stand in it.
        persons: (n,) which tracks are people.
        grounded: people on the ground; None where the camera is not calibrated.
        heads: how many are where in the picture, where that is known and nobody is placed on the ground.
        density_factor: what thresholds of density are multiplied by; below 1 while trouble is expected.
        noise: of the people's velocities.
        things: what keeps still and was put there or taken away; None where that is not known now.
        flames: fire and smoke in the picture; None where it was not looked at for them.
        lying: tells the probabilities that somebody lies at places; None where nobody can.
        local: the time of day there; None where nobody knows.
        detections: objects in the picture, low scores included; None where only the tracks are known.
        aspect: ratio of the picture's width to its height.
        calm: whether no incident of this camera was open at the look before, and it looks where it should.
        person_px: height in pixels of a person at (m, 2) metres: (m,); None where it cannot be told.
        stature: (n,) each box's height as a share of an upright adult's there; NaN where that is unknown.
    """

    site: Site
    tracks: Tracks
    keys: NDArray[np.int64]
    pts_s: float
    inside: Mapping[str, NDArray[np.bool_]]
    persons: NDArray[np.bool_]
    grounded: Grounded | None = None
    heads: HeadMap | None = None
    density_factor: float = 1.0
    noise: Noise = UNKNOWN_NOISE
    person_px: HeightsPx | None = None
    stature: NDArray[np.float64] | None = None
    things: tuple[StillThing, ...] | None = None
    flames: tuple[Flame, ...] | None = None
    lying: LyingLook | None = None
    local: datetime | None = None
    detections: Detections | None = None
    aspect: float = USUAL_ASPECT
    calm: bool = True
    _measured: dict[tuple[str, float], ZoneDensity] = field(default_factory=dict)
    _members: dict[str, Rows] = field(default_factory=dict)
    _people: dict[str, People] = field(default_factory=dict)

    @property
    def people(self) -> People | None:
        """Everybody in the picture, on the ground; None where the camera is not calibrated."""
        return None if self.grounded is None else self.grounded.people

    @property
    def found(self) -> Detections:
        """Objects in the picture, low scores included where those are known."""
        if self.detections is not None:
            return self.detections
        tracks = self.tracks
        return Detections(tracks.xyxy, tracks.scores, tracks.labels)

    @property
    def overlapped(self) -> NDArray[np.bool_]:
        """(n,) whether another track of its class covers much of each track's box."""
        tracks = self.tracks
        shares = covered(tracks.xyxy, tracks.xyxy) * (tracks.labels[:, None] == tracks.labels)
        np.fill_diagonal(shares, 0.0)
        return np.asarray(shares.max(axis=1, initial=0.0) > THRONG, np.bool_)

    def rows_in(self, zone_id: str) -> Rows:
        """Rows of the tracks that are people in a zone."""
        return np.flatnonzero(self.inside[zone_id] & self.persons)

    def members_of(self, zone_id: str | None) -> Rows:
        """Which of `people` stand in a zone, or all of them without one: indices.

        Raises:
            ValueError: the zone has no ground.
        """
        people = self._placed.people
        if zone_id is None:
            return np.arange(len(people))
        if zone_id not in self._members:
            self._members[zone_id] = self._found(zone_id, self._placed)
        return self._members[zone_id]

    @property
    def _placed(self) -> Grounded:
        if self.grounded is None:
            raise ValueError("the camera has no ground plane")
        return self.grounded

    def _found(self, zone_id: str, grounded: Grounded) -> Rows:
        floor = self.site.zone(zone_id).floor
        if floor is None:
            raise ValueError(f"zone {zone_id!r} has no ground")
        # Tracks stand where the zone says it; only points without one are asked by the ground.
        rows = grounded.rows
        loose = rows == LOOSE
        held = np.zeros(len(rows), np.bool_)
        held[~loose] = self.inside[zone_id][rows[~loose]]
        held[loose] = points_in_polygon(grounded.people.at[loose], floor.polygon)
        return np.flatnonzero(held)

    def people_in(self, zone_id: str | None) -> People:
        """People in a zone, or all of them without one.

        Raises:
            ValueError: the zone has no ground.
        """
        people = self._placed.people
        if zone_id is None:
            return people
        if zone_id not in self._people:
            self._people[zone_id] = people.select(self.members_of(zone_id))
        return self._people[zone_id]

    def density(self, zone_id: str, cell_m2: float = CELL_M2) -> ZoneDensity | None:
        """Density of a zone, measured once a look; None where the zone has no ground."""
        floor = self.site.zone(zone_id).floor
        if floor is None or self.grounded is None:
            return None
        key = (zone_id, cell_m2)
        if key not in self._measured:
            found = zone_density(self.people_in(zone_id), floor, cell_m2)
            members = self.members_of(zone_id)
            common_stderr = self.grounded.common_stderr
            mean = math.hypot(found.stderr_per_m2, common_stderr(members) / floor.area_m2)
            per_m2, of_cell = found.worst.density_per_m2, members[found.worst.members]
            held = float(self.grounded.people.weight[of_cell].sum())
            common = common_stderr(of_cell) * per_m2 / held if held > 0 else 0.0
            worst = replace(found.worst, stderr_per_m2=math.hypot(found.worst.stderr_per_m2, common))
            self._measured[key] = replace(found, stderr_per_m2=mean, worst=worst)
        return self._measured[key]

    def counted(self, zone_id: str) -> tuple[float, float]:
        """Persons in a zone, expected, and the standard error of that in persons."""
        zone = self.site.zone(zone_id)
        if self.grounded is not None and zone.floor is not None:
            return self.people_in(zone_id).count, self.grounded.stderr(self.members_of(zone_id))
        rows = self.rows_in(zone_id)
        scores = np.clip(self.tracks.scores[rows].astype(np.float64), 0.0, 1.0)
        seen, error = float(len(rows)), float(np.sqrt((scores * (1 - scores)).sum()))
        if self.heads is None or zone.units != "image":
            return seen, error
        # Without ground nothing tells how close people stand; who hides others is told by what is missing.
        inside = _cells_in(self.heads.counts.shape, zone.polygon)
        heads, doubt = self.heads.count(inside), self.heads.stderr(inside)
        return (heads, doubt) if heads - seen > doubt else (seen, error)

    def tracks_of(self, members: Rows) -> Rows:
        """Rows of the tracks behind some of `people`, who may have none."""
        if self.grounded is None:
            return np.zeros(0, np.intp)
        rows = self.grounded.rows[members]
        behind: Rows = rows[rows != LOOSE]
        return behind

    def likely(self, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(n,) whether each is of a class that counts, and surely so.

        Dogs, and what else is as low, are taken for people at middling scores: whoever is low must be surer.

        Args:
            counted: by label.
        """
        scores = self.tracks.scores
        sure: NDArray[np.bool_] = counted[self.tracks.labels] & (scores >= SURE)
        if self.stature is None:
            return sure
        low = self.persons & (self.stature < LOW)
        return sure & (~low | (scores >= SURE_OF_LOW))

    def boxes(self, rows: Sequence[int] | Rows) -> tuple[Box, ...]:
        """The boxes of these tracks, the surest first, no more than an event should carry."""
        scores, xyxy = self.tracks.scores, self.tracks.xyxy
        surest = sorted(rows, key=lambda row: (-float(scores[row]), tuple(xyxy[row].tolist())))
        boxes = (tuple(round(float(x), 4) for x in xyxy[row]) for row in surest[:MAX_BOXES])
        return tuple((left, top, right, bottom) for left, top, right, bottom in boxes)

    def sureness(self, rows: Rows) -> float:
        """Mean score of these tracks, 0 to 1; 1 without any."""
        return min(max(float(self.tracks.scores[rows].mean()), 0.0), 1.0) if len(rows) else 1.0

    def surest(self, rows: Rows) -> float:
        """Highest score of these tracks, at least one: 0 to 1."""
        return min(max(float(self.tracks.scores[rows].max()), 0.0), 1.0)


def _cells_in(shape: tuple[int, ...], polygon: Floats) -> NDArray[np.bool_]:
    """Which cells of a map have their middle in a polygon of the picture: (h, w)."""
    rows, columns = shape
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    inside = points_in_polygon(np.column_stack((x.ravel(), y.ravel())), polygon)
    return np.asarray(inside.reshape(rows, columns), np.bool_)
