"""Walking people as a tracker would give them, with all that lies about a person's height."""

import math
from dataclasses import dataclass

import numpy as np

from edge.walkers import WalkerLog, Walks
from models.detections import Tracks
from streams.sim.camera import Camera

FPS = 5.0


@dataclass(frozen=True)
class Crowd:
    """How many walk by, and how many of them mislead.

    Attributes:
        people: of all kinds.
        odd: share that are children, cyclists, people whose feet are hidden, or who sit.
        noise: of each box edge, in picture heights.
        stature_m: mean height.
        depth_m: nearest and farthest way, from the camera's foot.
        across: everybody walks across the picture.
    """

    people: int = 80
    odd: float = 0.0
    noise: float = 0.004
    stature_m: float = 1.70
    depth_m: tuple[float, float] = (6.0, 25.0)
    across: bool = False


def walk(camera: Camera, crowd: Crowd, seed: int = 0) -> Walks:
    """Let the crowd walk by."""
    rng = np.random.default_rng(seed)
    log = WalkerLog(camera.aspect)
    looks: dict[int, list[tuple[int, np.ndarray]]] = {}
    for key in range(crowd.people):
        kind = rng.choice(["child", "cyclist", "hidden", "sitting"]) if rng.random() < crowd.odd else "adult"
        for tick, box in _boxes(camera, crowd, kind, rng):
            looks.setdefault(tick, []).append((key, box))
    for tick in sorted(looks):
        keys, boxes = zip(*looks[tick], strict=True)
        log.add(tracks([key + 1 for key in keys], list(boxes)), tick / FPS)
    return log.walks()


def tracks(ids: list[int], boxes: list[np.ndarray], label: int = 0) -> Tracks:
    """Tracks of these boxes."""
    n = len(ids)
    xyxy = np.clip(np.array(boxes, np.float32).reshape(n, 4), 0, 1)
    one = np.ones(n, np.float32)
    return Tracks(np.array(ids), xyxy, np.zeros((n, 2), np.float32), one, one, np.full(n, label, np.int16))


def _boxes(camera: Camera, crowd: Crowd, kind: str, rng: np.random.Generator):
    tall = float(rng.normal(crowd.stature_m, 0.08))
    tall = {"child": rng.uniform(0.9, 1.3), "sitting": rng.uniform(0.9, 1.2)}.get(kind, tall)
    speed = 0.0 if kind == "sitting" else float(np.clip(rng.normal(1.34, 0.26), 0.7, 2.0))
    speed *= 3.0 if kind == "cyclist" else 1.0
    wide = {"cyclist": 1.4, "sitting": 0.8}.get(kind, 0.6)
    hidden = rng.uniform(0.15, 0.4) if kind == "hidden" else 0.0
    depth = rng.uniform(*crowd.depth_m)
    reach = depth * math.tan(math.radians(camera.hfov_deg) / 2)
    at, heading = (
        np.array([rng.uniform(-reach, reach), depth]),
        0.0 if crowd.across else rng.uniform(0, 2 * math.pi),
    )
    way = np.array([math.cos(heading), math.sin(heading)])
    first = int(rng.integers(0, 900))
    places = at + way * speed * (np.arange(60)[:, None] - 30) / FPS
    feet, heads = (
        camera.project(np.column_stack((places + np.array((0, ahead)), np.full(60, z))))
        for ahead, z in ((0, 0), (0.15, tall))
    )
    feet, heads = (ends + rng.normal(0, crowd.noise, (60, 2)) / (camera.aspect, 1) for ends in (feet, heads))
    for k, (foot, head) in enumerate(zip(feet, heads, strict=True)):
        near = crowd.depth_m[0] - 2 < places[k, 1] < crowd.depth_m[1] + 3
        if not near or not np.isfinite((foot, head)).all():
            continue
        size = (foot[1] - head[1]) * (1 - hidden)
        half = size * wide / tall / 2 / camera.aspect
        box = np.array([foot[0] - half, head[1], foot[0] + half, head[1] + size])
        if box[2] > 0.02 and box[0] < 0.98 and box[1] < 0.95 and size > 0.02:
            yield first + k, np.clip(box, 0, 1)
