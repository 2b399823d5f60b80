"""What a detector that never errs would see of a simulated scene: true boxes of people and things."""

from collections.abc import Iterator

import numpy as np

from benchmarks.events_seen import Look, models
from edge.scene import Scene as Sight
from models.detections import Detections
from streams.sim.geometry import Points
from streams.sim.scene import Moment
from streams.sim.spec import SceneSpec
from streams.sim.things import Thing

TALL_M, WIDE = 1.7, 0.3
_CLASSES = {"van": "car", "bag": "handbag", "box": None}
_HEIGHTS_M = {"bicycle": 1.1, "motorcycle": 1.2, "car": 1.5, "van": 2.1, "bus": 3.1, "truck": 3.0, "dog": 0.6}
SCORE = 0.8


def looks(spec: SceneSpec, fps: float) -> Iterator[Look]:
    """Every look at a scene, `fps` times a second; nothing hides anything."""
    scene, names = spec.scene(), list(models().detector.class_names)
    for k in range(int((spec.seconds or 0.0) * fps)):
        moment = scene.at(k / fps)
        boxes = [(names.index("person"), box) for box in _people(spec, moment)]
        for thing in moment.things:
            name = _CLASSES.get(thing.kind, thing.kind)
            if name is not None:
                boxes.append((names.index(name), _thing(spec, thing)))
                if thing.ridden:
                    boxes.append((names.index("person"), _rider(spec, thing)))
        yield Look(k / fps, _detections(boxes), Sight(spec.size))


def _people(spec: SceneSpec, moment: Moment) -> list[Points]:
    camera = spec.where.camera
    feet = camera.project(moment.ground)
    heads = camera.project(np.column_stack((moment.ground, TALL_M * moment.stature)))
    half = np.abs(feet[:, 1] - heads[:, 1]) * WIDE / 2
    return list(np.column_stack((feet[:, 0] - half, heads[:, 1], feet[:, 0] + half, feet[:, 1])))


def _thing(spec: SceneSpec, thing: Thing) -> Points:
    camera, base = spec.where.camera, thing.base
    high = np.column_stack((base, np.full(4, thing.up_m + _HEIGHTS_M.get(thing.kind, 0.5))))
    corners = np.concatenate((camera.project(base), camera.project(high)))
    return np.concatenate((corners.min(axis=0), corners.max(axis=0)))


def _rider(spec: SceneSpec, thing: Thing) -> Points:
    camera, at = spec.where.camera, np.array([thing.ground])
    (foot,) = camera.project(at)
    (head,) = camera.project(np.column_stack((at, [[TALL_M]])))
    half = abs(foot[1] - head[1]) * WIDE / 2
    return np.array([foot[0] - half, head[1], foot[0] + half, foot[1]])


def _detections(boxes: list[tuple[int, Points]]) -> Detections:
    """Those of which a fifth or more is in the picture."""
    kept, labels = [], []
    for label, box in boxes:
        cut = np.clip(box, 0.0, 1.0)
        area, whole = np.prod(cut[2:] - cut[:2]), np.prod(box[2:] - box[:2])
        if np.isfinite(box).all() and whole > 0 and area >= 0.2 * whole:
            kept.append(cut)
            labels.append(label)
    xyxy = np.array(kept, np.float32).reshape(-1, 4)
    return Detections(xyxy, np.full(len(kept), SCORE, np.float32), np.array(labels, np.int16))
