"""A scene's camera as a whole: its pictures with their weather, and with all that is wrong with it."""

from dataclasses import replace

from streams.sim.camera import Camera
from streams.sim.faults import Fault, Uplink
from streams.sim.render import Renderer, Shot
from streams.sim.scene import Moment
from streams.sim.spec import SceneSpec
from streams.sim.spoiling import Spoiler, turned


class Lens:
    """Takes the pictures of a scene, in order of time.

    Args:
        spec: what is simulated.
    """

    def __init__(self, spec: SceneSpec) -> None:
        self._spec = spec
        self._straight = Renderer(spec.where, spec.seed, spec.size)
        self._moved: tuple[Fault, Renderer] | None = None
        self._faults = spec.faults
        self._spoiler = Spoiler(self._faults, spec.size, spec.seed, turned=True) if self._faults else None
        self.uplink = Uplink(self._faults, spec.seed)

    @property
    def camera(self) -> Camera:
        """As it hangs while nobody has moved it."""
        return self._straight.camera

    def shoot(self, moment: Moment, *, visibility: bool = False) -> Shot:
        """The picture of a moment; who is in it is told for the camera as it hangs when nobody moved it.

        Args:
            moment: of a scene at this place.
            visibility: whether to work out how much of each person is to be seen.
        """
        shot = self._straight.shoot(moment, visibility=visibility)
        turned_now = self._turned(moment.time_s)
        seen = turned_now.shoot(moment) if turned_now else shot
        if self._spoiler is not None:
            seen = replace(seen, yuv=self._spoiler.spoil(seen.yuv, moment.time_s))
        return replace(shot, yuv=seen.yuv)

    def _turned(self, time_s: float) -> Renderer | None:
        """The camera that somebody has moved, while it is."""
        for fault in self._faults:
            if fault.kind == "moved" and fault.share(time_s) == 1.0:
                if self._moved is None or self._moved[0] != fault:
                    self._moved = (fault, self._renderer(fault))
                return self._moved[1]
        return None

    def _renderer(self, fault: Fault) -> Renderer:
        spec = self._spec
        camera = turned(spec.where.camera, fault, spec.seed)
        return Renderer(replace(spec.where, camera=camera), spec.seed, spec.size)
