"""What the product makes of a crowd scene, with perfect perception: its rules alone.

People's true places and speeds are given as a tracker would give them that never errs: a box from the feet to
the head of everybody whose feet are in the picture, and the way made in the last 0.4 s.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from benchmarks.crowds_scenes import Floats, Recording
from edge.analysis import Analysis, Look
from edge.config import CameraConfig
from edge.incidents import Incidents, policies
from edge.observation import Observation
from edge.offline import EPOCH
from edge.scene import Scene
from edge.site import Site
from models.detections import Tracks
from streams.sim.camera import Camera
from streams.sim.places import Place

TALL_M, WIDE = 1.7, 0.3
RULES = ("crowd.density", "crowd.counterflow", "crowd.surge", "crowd.pressure", "crowd.forecast")


class Told(NamedTuple):
    """What an incident did, and when: seconds of the scene."""

    at_s: float
    incident: str
    kind: str
    zone: str
    level: int
    phase: str


class Minutes(NamedTuple):
    """In how many minutes each density in persons per m2 will be reached; None where that is not said."""

    at_s: float
    until: dict[float, float | None]


@dataclass(slots=True)
class Seen:
    """What was made of a scene.

    Attributes:
        times: (t,) seconds of the looks.
        worst_per_m2, mean_per_m2: (t,) of the crowd's zone.
        told: incidents' changes.
        forecasts: at each look.
    """

    times: list[float] = field(default_factory=list)
    worst_per_m2: list[float] = field(default_factory=list)
    mean_per_m2: list[float] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    forecasts: list[Minutes] = field(default_factory=list)

    def take(self, at_s: float, worst_per_m2: float | None, mean_per_m2: float | None) -> None:
        """Note the density of the crowd's zone at a look."""
        self.times.append(at_s)
        self.worst_per_m2.append(worst_per_m2 or 0.0)
        self.mean_per_m2.append(mean_per_m2 or 0.0)


def camera_at(place: Place, fps: float) -> CameraConfig:
    """The surveyed camera of a place, with every crowd rule of zones as it is by default."""
    camera, zone = place.camera, place.crowd
    low, high = zone.corners.min(axis=0) - 1.0, zone.corners.max(axis=0) + 1.0
    axes = (np.linspace(first, last, 3) for first, last in zip(low, high, strict=True))
    spots = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    seen = camera.project(spots)
    within = ((seen > 0.01) & (seen < 0.99)).all(axis=1)
    return CameraConfig.model_validate(
        {
            "id": place.name,
            "source": f"sim://{place.name}",
            "analysed_fps": max(fps, 1.0),
            "ground": [
                {"image": image.tolist(), "ground": spot.tolist()}
                for image, spot in zip(seen[within], spots[within], strict=True)
            ],
            "zones": [{"id": zone.id, "units": "ground", "polygon": zone.polygon}],
            "rules": [{"kind": kind, "zone": zone.id} for kind in RULES],
        }
    )


def tracks_of(camera: Camera, number: np.ndarray, at: Floats, velocity: Floats, age_s: Floats) -> Tracks:
    """People as a perfect tracker has them.

    Args:
        camera: that sees them.
        number: (n,) of each.
        at: (n, 2) metres.
        velocity: (n, 2) metres per second; NaN where it is not known yet.
        age_s: (n,) seconds since each was first seen.
    """
    feet = camera.project(at)
    heads = camera.project(np.column_stack((at, np.full(len(at), TALL_M))))
    step_s = 1e-3
    moved = (camera.project(at + np.nan_to_num(velocity) * step_s) - feet) / step_s
    half = np.abs(feet[:, 1] - heads[:, 1]) * WIDE / 2
    boxes = np.column_stack((feet[:, 0] - half, heads[:, 1], feet[:, 0] + half, feet[:, 1]))
    made = Tracks(
        ids=np.asarray(number, np.int64),
        xyxy=boxes.astype(np.float32),
        velocity=moved.astype(np.float32),
        age_s=age_s.astype(np.float32),
        scores=np.ones(len(at), np.float32),
        labels=np.zeros(len(at), np.int16),
    )
    return made.select(np.flatnonzero(((feet >= 0) & (feet <= 1)).all(axis=1)))


def indices(recording: Recording, fps: float) -> list[int]:
    """The recording's looks nearest to so many pictures a second."""
    step_s, last = recording.times[1] - recording.times[0], len(recording.times) - 1
    count = int(np.floor(recording.times[-1] * fps + 1e-9)) + 1
    return sorted({min(round(k / fps / step_s), last) for k in range(count)})


def looks(recording: Recording, fps: float) -> Iterator[tuple[int, Tracks]]:
    """The number of each look, and who is tracked then."""
    camera = recording.spec.where.camera
    for k in indices(recording, fps):
        number, at = recording.people(k)
        velocity, age_s = recording.velocity(k)
        yield k, tracks_of(camera, number, at, velocity, age_s)


def watch(recording: Recording, fps: float) -> Seen:
    """Give a scene's true people to the rules.

    Args:
        recording: the scene.
        fps: looks a second, at most five.
    """
    place, seen = recording.spec.where, Seen()
    config = camera_at(place, fps)
    analysis = Analysis(config, Site.from_config(config), ("person",))
    scene = Scene(recording.spec.size)
    numbers = itertools.count(1)
    incidents = Incidents(config.id, policies(config), lambda: str(next(numbers)))
    for k, tracks in looks(recording, fps):
        at_s = float(recording.times[k])
        note(seen, at_s, analysis.update(tracks, at_s, scene), place.crowd.id, incidents)
    return seen


def note(seen: Seen, at_s: float, look: Look, zone: str, incidents: Incidents) -> None:
    """Write down what one look says and what it makes begin, change and end."""
    count = look.zones[zone]
    seen.take(at_s, count.density_worst_cell_per_m2, count.density_mean_per_m2)
    for change in incidents.update(look.observations, at_s, EPOCH + timedelta(seconds=at_s)):
        seen.told.append(Told(at_s, change.incident, change.kind, change.zone, change.level, change.phase))
    seen.forecasts.append(forecast_of(at_s, look.observations))


def forecast_of(at_s: float, observations: tuple[Observation, ...]) -> Minutes:
    """What a look's forecast says of the next level and of red."""
    until: dict[float, float | None] = {}
    for one in observations:
        measures = one.measures
        for goal, time in (("threshold", "time_to_level_min"), ("red_threshold", "time_to_red_min")):
            if one.kind == "crowd.forecast" and f"{goal}_per_m2" in measures:
                until[measures[f"{goal}_per_m2"]] = measures.get(time)
    return Minutes(at_s, until)
