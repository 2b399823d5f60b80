"""People who walk over a plane, as a perfect tracker would see them: what rules are tried on."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from edge import scene as seen
from edge.analysis import Analysis, Look
from edge.config import CameraConfig
from edge.envelope import fits_measure
from edge.incidents import Change, Incidents, policies
from edge.site import Site
from models.detections import Tracks
from streams.sim.camera import Camera

CAMERA = Camera(height_m=12.0, tilt_deg=45.0, hfov_deg=70.0)
SIZE_PX = (1280, 720)
ZONE = [[-3, 9], [3, 9], [3, 15], [-3, 15]]
LINE = [[-2, 12], [2, 12]]
EPOCH = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass(frozen=True)
class Crowd:
    """People at one time: where they are and how fast they go, in metres; keys as a tracker's numbers."""

    at: np.ndarray
    velocity: np.ndarray
    keys: np.ndarray | None = None


Scene = Callable[[float], Crowd]


def survey() -> list[dict]:
    spots = np.array([(-5, 7), (5, 7), (5, 17), (-5, 17), (0, 12), (-2, 9), (3, 14), (1, 8)], float)
    seen = CAMERA.project(spots)
    return [
        {"image": image.tolist(), "ground": spot.tolist()} for image, spot in zip(seen, spots, strict=True)
    ]


def camera(*rules: dict, **more: object) -> CameraConfig:
    zone = {"id": "z", "polygon": ZONE, "units": "ground", **more.pop("zone", {})}
    line = {"id": "l", "points": LINE, "units": "ground"}
    given = {"id": "gate", "source": "x.mp4", "ground": survey(), "zones": [zone], "lines": [line], **more}
    return CameraConfig.model_validate({**given, "rules": list(rules)})


def analysis(*rules: dict, **more: object) -> Analysis:
    config = camera(*rules, **more)
    return Analysis(config, Site.from_config(config), ("person", "car"))


def tracks(crowd: Crowd, scores: Sequence[float] | None = None) -> Tracks:
    """What a tracker would say of those in the picture."""
    n = len(crowd.at)
    at, tall = np.asarray(crowd.at, float).reshape(n, 2), np.full(n, 1.7)
    feet, heads = CAMERA.project(at), CAMERA.project(np.column_stack((at, tall)))
    step_s = 1e-3
    moved = (CAMERA.project(at + np.asarray(crowd.velocity).reshape(n, 2) * step_s) - feet) / step_s
    half = (feet[:, 1] - heads[:, 1]) * 0.15
    boxes = np.column_stack((feet[:, 0] - half, heads[:, 1], feet[:, 0] + half, feet[:, 1]))
    seen = ((boxes >= 0) & (boxes <= 1)).all(axis=1)
    keys = np.arange(n) if crowd.keys is None else crowd.keys
    made = Tracks(
        ids=np.asarray(keys, np.int64),
        xyxy=boxes.astype(np.float32),
        velocity=moved.astype(np.float32),
        age_s=np.ones(n, np.float32),
        scores=np.full(n, 0.9, np.float32) if scores is None else np.asarray(scores, np.float32),
        labels=np.zeros(n, np.int16),
    )
    return made.select(seen)


def looks(watch: Analysis, scene: Scene, seconds: float, fps: float, start_s: float = 0.0) -> list[Look]:
    """Look at a scene so often a second."""
    times = start_s + np.arange(round(seconds * fps)) / fps
    return [watch.update(tracks(scene(t)), float(t), seen.Scene(SIZE_PX)) for t in times]


def play(rule: dict, scene: Scene, seconds: float, fps: float, **more: object) -> list[tuple[float, Change]]:
    """What a scene makes begin, change and end, with its time; every measure carries its unit."""
    config = camera(rule, **more)
    watch = Analysis(config, Site.from_config(config), ("person", "car"))
    numbers = itertools.count(1)
    incidents = Incidents("gate", policies(config), lambda: f"i{next(numbers)}")
    told = []
    for t in np.arange(round(seconds * fps)) / fps:
        look = watch.update(tracks(scene(float(t))), float(t), seen.Scene(SIZE_PX))
        for one in look.observations:
            assert all(map(fits_measure, one.measures)), one.measures
            assert np.isfinite(list(one.measures.values())).all()
        changes = incidents.update(look.observations, float(t), EPOCH + timedelta(seconds=float(t)))
        told += [(float(t), change) for change in changes]
    return told


def grid(per_m2: float, x: tuple[float, float] = (-3, 3), y: tuple[float, float] = (9, 15)) -> np.ndarray:
    """An even crowd: (n, 2) metres."""
    step = per_m2**-0.5
    xs, ys = (np.arange(low + step / 2, high, step) for low, high in (x, y))
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)


def walking(at: np.ndarray, velocity: Sequence[float], t: float, y: tuple[float, float] = (9, 15)) -> Crowd:
    """The crowd after so many seconds; who leaves at one end comes in at the other as somebody else."""
    length = y[1] - y[0]
    way = at[:, 1] - y[0] + velocity[1] * t
    rounds = np.floor(way / length)
    place = np.column_stack((at[:, 0] + velocity[0] * t, y[0] + way - rounds * length))
    keys = np.arange(len(at)) + len(at) * (rounds + 1000).astype(np.int64)
    return Crowd(place, np.tile(np.asarray(velocity, float), (len(at), 1)), keys)


def together(*crowds: Crowd) -> Crowd:
    """Several crowds at once."""
    base = 10**7
    keys = [k * base + (np.arange(len(c.at)) if c.keys is None else c.keys) for k, c in enumerate(crowds)]
    return Crowd(
        np.concatenate([c.at for c in crowds]),
        np.concatenate([c.velocity for c in crowds]),
        np.concatenate(keys),
    )


NOBODY = Crowd(np.zeros((0, 2)), np.zeros((0, 2)))
