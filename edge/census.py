"""Counting heads and measuring motion where crowds are watched: when, and what for."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge.config import Config
from edge.fires import Fires
from edge.floors import counts_heads, watches_falls, watches_fire
from edge.scene import LyingLook, Scene
from models.density import DensityModel
from models.fallen import FallenModel
from models.zoo import load_density, load_fallen, load_fire
from streams.flow import FlowMeter
from streams.frame import Picture
from streams.service import DENSITY_PERIOD_S
from streams.tiles import LUMA_SIZE

_SLACK_S = 0.02
"""Times of pictures are sums of fractions: the tenth of five a second comes a hair too early."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a picture.

    Attributes:
        heads: count them, whenever that was done last.
        motion: measure it, as people could not be followed singly a moment ago.
        luma: show the picture's brightness.
    """

    heads: bool = False
    motion: bool = False
    luma: bool = False


NOTHING = Wish()


@dataclass(slots=True)
class _Eye:
    """What is remembered of one camera."""

    counted_s: float | None = None
    luma: NDArray[np.uint8] | None = None
    luma_s: float = 0.0


class Census:
    """Looks at pictures for what detections cannot tell of a crowd. For one thread.

    Args:
        model: counts heads; None counts none.
        cameras: those that watch crowds.
        fires: looks for fire; None: nobody does.
        fallen: tells who lies; None: nobody does.
    """

    def __init__(
        self,
        model: DensityModel | None,
        cameras: frozenset[str],
        fires: Fires | None = None,
        fallen: FallenModel | None = None,
    ) -> None:
        self.name = model.name if model is not None else ""
        """Of the model; empty without one."""
        self.fires, self.fallen = fires, fallen
        self._model = model
        self._eyes = {id_: _Eye() for id_ in sorted(cameras)} if model is not None else {}
        self._flow = FlowMeter()

    def due(self, camera_id: str, pts_s: float, *, every_look: bool) -> bool:
        """Whether a camera's heads are to be counted: at every look, or each `DENSITY_PERIOD_S`."""
        eye = self._eyes.get(camera_id)
        if eye is None:
            return False
        # A clock that was set back is no reason to wait until it has caught up.
        return (
            every_look
            or eye.counted_s is None
            or not 0 <= pts_s - eye.counted_s < DENSITY_PERIOD_S - _SLACK_S
        )

    def look(self, camera_id: str, picture: Picture, pts_s: float, wish: Wish = NOTHING) -> Scene:
        """What a picture shows beside its objects.

        Args:
            camera_id: whose picture it is.
            picture: the pixels.
            pts_s: camera time.
            wish: what is wanted of it.

        Raises:
            SessionError: inference fails.
        """
        size_px = (picture.width, picture.height)
        eye, heads, motion = self._eyes.get(camera_id), None, None
        watched = eye is not None and self._model is not None
        luma = picture.luma(*LUMA_SIZE) if wish.luma or (wish.motion and watched) else None
        if eye is None or self._model is None:
            return Scene(size_px, luma=luma, lying=self._lying(picture))
        if self.due(camera_id, pts_s, every_look=wish.heads):
            heads, eye.counted_s = self._model.count(picture), pts_s
        if wish.motion and luma is not None and eye.luma is not None:
            motion = self._flow.measure(eye.luma, luma, pts_s - eye.luma_s)
        eye.luma, eye.luma_s = luma if wish.motion else None, pts_s
        return Scene(size_px, heads, motion, luma, lying=self._lying(picture))

    def _lying(self, picture: Picture) -> LyingLook | None:
        return None if self.fallen is None else partial(self.fallen.look, picture)


def open_census(config: Config) -> Census:
    """The census of a node, with those models loaded that its cameras need.

    Raises:
        ModelError: a model cannot be used.
        RuleError: a rule asks for what the model of fire cannot tell.
    """
    model = config.model
    crowded = frozenset(camera.id for camera in config.cameras if counts_heads(camera))
    heads = fires = fallen = None
    if model.density is not None and crowded:
        heads = load_density(model.density, model.providers, model.threads)
    if model.fire is not None and any(map(watches_fire, config.cameras)):
        fires = Fires(load_fire(model.fire, model.providers, model.threads), config.cameras)
    if model.fallen is not None and any(map(watches_falls, config.cameras)):
        fallen = load_fallen(model.fallen, model.providers, model.threads)
    return Census(heads, crowded, fires, fallen)
