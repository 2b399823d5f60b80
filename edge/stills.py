"""Things that keep still at one camera, where a rule asks for them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge.config import CameraConfig
from edge.scene import Scene
from edge.standing import Standing, step_standing
from models.detections import Detections
from streams.still import Known, StillWatch

EVERY_S = 1.0
"""Seconds of the camera's clock between two looks."""

ALIVE = frozenset({"person", "pedestrian", "dog", "cat", "bird", "horse"})
"""Who stands or sits still is no thing that was put down."""

VEHICLES = frozenset({"bicycle", "bus", "car", "motorcycle", "train", "truck"})
THINGS = VEHICLES | {"backpack", "handbag", "suitcase"}
"""What stands there now and may be gone soon."""

_THING_SCORE = 0.2
_SURE, _LEAST_SCORE, _STANDS_S = 0.5, 0.15, 10.0
"""Less sure detections, and whoever stands at one place for long, hide what is there until it has shown no
life: a suitcase may look like somebody to a detector for as long as it stands there."""


class Stills:
    """Finds them, about once a second. No clock of its own; for one thread.

    Args:
        camera: its rules say whether anything is looked for at all.
        class_names: of the detector.
    """

    def __init__(self, camera: CameraConfig, class_names: Sequence[str]) -> None:
        self._watch = StillWatch() if any(rule.STILL for rule in camera.rules) else None
        self._alive = np.array([name in ALIVE for name in class_names], np.bool_)
        self._things = np.array([name in THINGS for name in class_names], np.bool_)
        self._standing = Standing()
        self._looked_s: float | None = None

    def due(self, pts_s: float) -> bool:
        """Whether the picture's brightness is wanted."""
        if self._watch is None:
            return False
        return self._looked_s is None or not 0.0 <= pts_s - self._looked_s < EVERY_S - 1e-6

    def look(self, scene: Scene, found: Detections, pts_s: float) -> Scene:
        """The scene with what keeps still in it.

        Args:
            scene: of the picture; without brightness nothing new is learnt of it.
            found: in the picture, low scores included.
            pts_s: camera time.
        """
        if self._watch is None:
            return scene
        if scene.luma is not None and self.due(pts_s):
            alive = self._alive[found.labels] & (found.scores >= _LEAST_SCORE)
            self._standing, stood_s = step_standing(self._standing, found.xyxy[alive], pts_s)
            boxes, sure, stands = found.xyxy[alive], found.scores[alive] >= _SURE, stood_s >= _STANDS_S
            things = self._things[found.labels] & (found.scores >= _THING_SCORE)
            known = Known(boxes[sure & ~stands], boxes[~sure], boxes[sure & stands], found.xyxy[things])
            self._watch.look(scene.luma, pts_s, known)
            self._looked_s = pts_s
        return replace(scene, things=None if self._watch.unsettled else self._watch.things)
