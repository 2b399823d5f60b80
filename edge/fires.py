"""Looking for fire where a rule asks for it: when, and in which parts of a picture."""

from collections.abc import Iterable

from edge.config import CameraConfig
from edge.errors import RuleError
from edge.flames import parts_of
from edge.site import Site
from models.fire import Box, FireModel, Flame
from models.manifest import FireSpec
from models.regions import CroppingPicture
from streams.service import FIRE_PERIOD_S

_SLACK_S = 0.02
"""Times of pictures are sums of fractions: the tenth of five a second comes a hair too early."""


class Fires:
    """Looks at cameras' pictures for fire, each at a low rate of its own. For one thread.

    Attributes:
        name: of the model.
    """

    def __init__(self, model: FireModel, cameras: Iterable[CameraConfig]) -> None:
        """Take up the cameras that have a rule of fire.

        Raises:
            RuleError: a rule asks for what the model cannot tell.
            SiteError: a camera's zones cannot be.
        """
        self.name = model.name
        self._model = model
        self._sites: dict[str, tuple[Site, frozenset[str]]] = {}
        for camera in cameras:
            check_known(camera, model.spec, model.name)
            if zones := frozenset(rule.subject for rule in camera.rules if rule.FIRE):
                self._sites[camera.id] = Site.from_config(camera), zones
        self._looked_s: dict[str, float] = {}
        self._parts: dict[tuple[str, int, int], dict[str, tuple[Box, ...]]] = {}

    def due(self, camera_id: str, pts_s: float) -> bool:
        """Whether a camera's picture is to be looked at, by camera time: each `FIRE_PERIOD_S`."""
        if camera_id not in self._sites:
            return False
        before_s = self._looked_s.get(camera_id)
        # A clock that was set back is no reason to wait until it has caught up.
        return before_s is None or not 0 <= pts_s - before_s < FIRE_PERIOD_S - _SLACK_S

    def look(self, camera_id: str, picture: CroppingPicture, pts_s: float) -> tuple[Flame, ...]:
        """What burns or smokes in a picture of a camera that is due, the surest first.

        Raises:
            SessionError: inference fails; the next look is a period later all the same, so that a model that
                always fails spoils one picture a period, not each.
        """
        self._looked_s[camera_id] = pts_s
        return self._model.look(picture, self._places(camera_id, (picture.width, picture.height)))

    def _places(self, camera_id: str, size_px: tuple[int, int]) -> dict[str, tuple[Box, ...]]:
        if not self._model.by_parts:
            return {}
        key = (camera_id, *size_px)
        if key not in self._parts:
            site, zones = self._sites[camera_id]
            self._parts[key] = {
                zone.id: parts_of(zone, site.ground, size_px, self._model.tiles)
                for zone in site.zones
                if zone.id in zones
            }
        return self._parts[key]


def check_known(camera: CameraConfig, spec: FireSpec, name: str) -> None:
    """Refuse a camera with a rule that asks for what the model cannot tell.

    Raises:
        RuleError: with the key below the camera.
    """
    for k, rule in enumerate(camera.rules):
        asked = frozenset(getattr(rule, "what", ())) if rule.FIRE else frozenset()
        # Who leaves the key out takes what there is; who writes it counts on it.
        lacking = asked - spec.known if "what" in rule.model_fields_set or not asked & spec.known else ()
        if lacking:
            text = f"{name} knows no {' or '.join(sorted(lacking))}; it knows {', '.join(sorted(spec.known))}"
            raise RuleError(f"rules[{k}].what", text, camera.id)
