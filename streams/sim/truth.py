"""What is true of a simulated clip: its camera, zones, every person in every picture, and every event."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streams.sim.crowds import Look
from streams.sim.density import Density, density

VERSION = 1

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Kind = Literal[
    "hazard.intrusion",
    "hazard.line",
    "hazard.wrongway",
    "hazard.obstruction",
    "hazard.forbidden_object",
    "hazard.abandoned",
    "hazard.removed",
    "hazard.fall",
    "crowd.density",
    "crowd.counterflow",
    "crowd.surge",
    "crowd.flow",
    "crowd.pressure",
    "camera.frozen",
    "camera.dark",
    "camera.blurred",
    "camera.covered",
    "camera.moved",
]


@dataclass(frozen=True, slots=True)
class TruthPerson:
    """One simulated person in one picture.

    Attributes:
        actor: the simulated person's number, the same in all pictures of the clip.
        ground: (x, y) metres.
        box: left, top, right, bottom, fractions of the picture within [0, 1].
        visible: share of the figure that is in the picture and not hidden by others, 0 to 1.
        velocity: (x, y) metres per second on the ground; None if not written down.
        posture: one of `postures.POSTURES`; None for upright.
    """

    actor: int
    ground: Point
    box: Box
    visible: float
    velocity: Point | None = None
    posture: str | None = None

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box
        if not (0 <= left <= right <= 1 and 0 <= top <= bottom <= 1):
            raise ValueError(f"box must be ordered and within 0 and 1, got {self.box}")
        if not 0 <= self.visible <= 1:
            raise ValueError(f"visible must be within 0 and 1, got {self.visible}")


@dataclass(frozen=True, slots=True)
class TruthThing:
    """One thing in one picture.

    Attributes:
        number: the thing's, the same in all pictures of the clip.
        kind: as in `things.Kind`.
        ground: (x, y) metres of its middle.
        box: left, top, right, bottom, fractions of the picture within [0, 1].
        visible: share of what is drawn of it that nothing hides, 0 to 1.
        parked_s: seconds it has stood still.
    """

    number: int
    kind: str
    ground: Point
    box: Box
    visible: float
    parked_s: float


@dataclass(frozen=True, slots=True)
class TruthFrame:
    """One picture: its presentation time in seconds, and who and what is in it."""

    pts_s: float
    people: tuple[TruthPerson, ...]
    things: tuple[TruthThing, ...] = ()


@dataclass(frozen=True, slots=True)
class TruthShape:
    """A zone's polygon or a line's two points: in metres on the ground, and in fractions of the picture.

    `towards` is a unit vector on the ground: the allowed way of a one-way zone.
    """

    id: str
    ground: tuple[Point, ...]
    image: tuple[Point, ...]
    towards: Point | None = None


@dataclass(frozen=True, slots=True)
class TruthFlow:
    """Who crossed a line on the ground.

    Attributes:
        id: of the line.
        ground: its ends in metres.
        right_s, left_s: when somebody crossed from its left to its right (outwards), and back; rising.
    """

    id: str
    ground: tuple[Point, Point]
    right_s: tuple[float, ...]
    left_s: tuple[float, ...]

    @property
    def width_m(self) -> float:
        """Length of the line."""
        return math.dist(*self.ground)


@dataclass(frozen=True, slots=True)
class TruthEvent:
    """Something that happened.

    Attributes:
        kind: as in the events that the node sends.
        zone: id of the zone or line; empty for what concerns all of the picture.
        begin_s, end_s: presentation times; equal for a crossing. What was not over ends with the clip.
        people: the most people at once, for an intrusion.
        direction: which way a line was crossed: `right` is from its left to its right.
        worst_cell_per_m2: the highest density in a 4 m2 cell.
        level: 4 to 1, of a moment that lasts while it is at least so bad.
        peak: the highest value in a moment, in its measure's unit; see `moments` for what of.
        sign: what told of a bad flow.
    """

    kind: Kind
    zone: str
    begin_s: float
    end_s: float
    people: int | None = None
    direction: Literal["left", "right"] | None = None
    worst_cell_per_m2: float | None = None
    level: int | None = None
    peak: float | None = None
    sign: Literal["over_capacity", "stop_and_go"] | None = None

    def __post_init__(self) -> None:
        if self.end_s < self.begin_s:
            raise ValueError(f"an event cannot end at {self.end_s} before it begins at {self.begin_s}")


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything known of a clip.

    Attributes:
        place, scenario, seed, fps, width, height: what it was made from; pixels, pictures a second.
        homography: 3 x 3, homogeneous image fractions to homogeneous ground metres.
        zones, lines: as a camera's configuration would declare them.
        frames: in order of time.
        events: in order of their beginning: hazards, and times when the worst cell has 2 persons per m2.
        looks: the crowd zone five times a second, people beyond the picture and hidden ones included.
        flows: through the place's gates.
        moments: of danger in the crowd, one event a level, in order of their beginning; see `moments`.
    """

    place: str
    scenario: str
    seed: int
    fps: float
    width: int
    height: int
    homography: tuple[tuple[float, ...], ...]
    zones: tuple[TruthShape, ...]
    lines: tuple[TruthShape, ...]
    frames: tuple[TruthFrame, ...]
    events: tuple[TruthEvent, ...]
    looks: tuple[Look, ...] = ()
    flows: tuple[TruthFlow, ...] = ()
    moments: tuple[TruthEvent, ...] = ()

    def to_ground(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) metres on the ground of (n, 2) image fractions."""
        ground = np.column_stack((image, np.ones(len(image)))) @ np.array(self.homography).T
        return np.asarray(ground[:, :2] / ground[:, 2:], np.float64)

    def densities(self, zone_id: str) -> list[Density]:
        """How dense the zone is in each picture.

        Raises:
            KeyError: there is no such zone.
        """
        zones = {zone.id: np.array(zone.ground) for zone in self.zones}
        polygon = zones[zone_id]
        return [
            density(np.array([person.ground for person in frame.people]).reshape(-1, 2), polygon)
            for frame in self.frames
        ]

    def save(self, path: Path) -> None:
        """Write as JSON, one line a picture."""
        head = {
            "version": VERSION,
            **{name: getattr(self, name) for name in _SCALARS},
            "homography": self.homography,
            "zones": [_shape_json(zone) for zone in self.zones],
            "lines": [_shape_json(line) for line in self.lines],
            "events": [_event_json(event) for event in self.events],
            "moments": [_event_json(moment) for moment in self.moments],
            "flows": [_flow_json(flow) for flow in self.flows],
            "looks": {
                name: [getattr(one, name) for one in self.looks] for name in Look.__slots__ if self.looks
            },
        }
        frames = ",\n".join(json.dumps(_frame_json(frame), separators=(",", ":")) for frame in self.frames)
        path.write_text(
            json.dumps(head, indent=1)[:-2] + f',\n "frames": [\n{frames}\n]}}\n', encoding="utf-8"
        )

    @classmethod
    def load(cls, path: Path) -> "Truth":
        """Read what `save` wrote.

        Raises:
            ValueError: the file is of another version, or not a truth file.
        """
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise ValueError(f"{path} is not a truth file of version {VERSION}")
        try:
            return _truth(data)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a whole truth file: {error!r}") from None


_SCALARS = ("place", "scenario", "seed", "fps", "width", "height")


def _truth(data: Mapping[str, Any]) -> Truth:
    return Truth(
        **{name: data[name] for name in _SCALARS},
        homography=tuple(tuple(row) for row in data["homography"]),
        zones=tuple(_shape(zone) for zone in data["zones"]),
        lines=tuple(_shape(line) for line in data["lines"]),
        frames=tuple(_frame(frame) for frame in data["frames"]),
        events=tuple(TruthEvent(**event) for event in data["events"]),
        looks=tuple(Look(*values) for values in zip(*data.get("looks", {}).values(), strict=True)),
        flows=tuple(_flow(flow) for flow in data.get("flows", ())),
        moments=tuple(TruthEvent(**moment) for moment in data.get("moments", ())),
    )


def _flow_json(flow: TruthFlow) -> dict[str, object]:
    return {name: getattr(flow, name) for name in TruthFlow.__slots__}


def _flow(data: Mapping[str, Any]) -> TruthFlow:
    start, end = (tuple(point) for point in data["ground"])
    return TruthFlow(data["id"], (start, end), tuple(data["right_s"]), tuple(data["left_s"]))


def _shape_json(shape: TruthShape) -> dict[str, object]:
    towards: dict[str, object] = {} if shape.towards is None else {"towards": shape.towards}
    return {"id": shape.id, "ground": shape.ground, "image": shape.image} | towards


def _shape(data: Mapping[str, Any]) -> TruthShape:
    ground, image = (tuple((x, y) for x, y in data[key]) for key in ("ground", "image"))
    return TruthShape(data["id"], ground, image, tuple(data["towards"]) if "towards" in data else None)


def _event_json(event: TruthEvent) -> dict[str, object]:
    values = {name: getattr(event, name) for name in TruthEvent.__slots__}
    return {name: value for name, value in values.items() if value is not None}


def _frame_json(frame: TruthFrame) -> dict[str, object]:
    people: list[dict[str, object]] = [
        {"actor": one.actor, "ground": one.ground, "box": one.box, "visible": one.visible}
        | ({} if one.velocity is None else {"velocity": one.velocity})
        | ({} if one.posture is None else {"posture": one.posture})
        for one in frame.people
    ]
    things = [{name: getattr(one, name) for name in TruthThing.__slots__} for one in frame.things]
    return {"pts_s": frame.pts_s, "people": people} | ({"things": things} if things else {})


def _frame(data: Mapping[str, Any]) -> TruthFrame:
    people = (
        TruthPerson(
            one["actor"],
            tuple(one["ground"]),
            tuple(one["box"]),
            one["visible"],
            tuple(one["velocity"]) if "velocity" in one else None,
            one.get("posture"),
        )
        for one in data["people"]
    )
    things = (
        TruthThing(**{**one, "ground": tuple(one["ground"]), "box": tuple(one["box"])})
        for one in data.get("things", ())
    )
    return TruthFrame(data["pts_s"], tuple(people), tuple(things))
