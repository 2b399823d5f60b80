"""A scene's camera as a whole: its pictures with their weather, and with all that is wrong with it."""

from dataclasses import replace

from streams.sim.camera import Camera
from streams.sim.faults import Fault, Uplink
from streams.sim.overlays import Overlays
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
        self._moved: tuple[Fault, Renderer, Overlays | None] | None = None
        self._faults = spec.faults
        self._spoiler = Spoiler(self._faults, spec.size, spec.seed, turned=True) if self._faults else None
        self._weather = self._overlays(self.camera)
        self.uplink = Uplink(self._faults, spec.seed)

    @property
    def camera(self) -> Camera:
        """As it hangs while nobody has moved it."""
        return self._straight.camera

    def shoot(self, moment: Moment, *, visibility: bool = False, heads: bool = False) -> Shot:
        """The picture of a moment; who is in it is told for the camera as it hangs when nobody moved it.

        Args:
            moment: of a scene at this place.
            visibility: whether to work out how much of each person is to be seen.
            heads: whether to tell which pixels show heads.
        """
        shot = self._straight.shoot(moment, visibility=visibility, heads=heads)
        yuv, weather = shot.yuv, self._weather
        moved = self._moved_now(moment.time_s)
        if moved is not None:
            yuv, weather = moved[0].shoot(moment).yuv, moved[1]
        if weather is not None:
            yuv = weather.lay(yuv, moment.time_s)
        if self._spoiler is not None:
            yuv = self._spoiler.spoil(yuv, moment.time_s)
        return replace(shot, yuv=yuv)

    def _moved_now(self, time_s: float) -> tuple[Renderer, Overlays | None] | None:
        """The camera that somebody has moved, while it is."""
        for fault in self._faults:
            if fault.kind == "moved" and fault.share(time_s) == 1.0:
                if self._moved is None or self._moved[0] != fault:
                    spec = self._spec
                    camera = turned(spec.where.camera, fault, spec.seed)
                    renderer = Renderer(replace(spec.where, camera=camera), spec.seed, spec.size)
                    self._moved = (fault, renderer, self._overlays(renderer.camera))
                return self._moved[1:]
        return None

    def _overlays(self, camera: Camera) -> Overlays | None:
        spec = self._spec
        return Overlays(spec.spells, camera, spec.size, spec.seed) if spec.spells else None
