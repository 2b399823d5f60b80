"""Which shift of a camera's view makes places on the ground, or in the picture, wrong."""

import numpy as np

from edge.geometry import Floats
from edge.ground import GroundPlane
from edge.plane_error import PlaneError
from edge.site import Site
from streams.shift import Shift
from streams.tiles import LUMA_SIZE

LEAST_GROUND_M = 0.3
"""Places that err by less are as good as the calibration is accepted to be."""
LEAST_VIEW = 0.004
"""Picture widths below which a shift is a pole's sway or a lens that grew warm: 1.3 pixels of 320."""
MOST_VIEW = 0.02
"""Picture widths that matter where no zone says what matters."""


class Yardstick:
    """From which shift on places are wrong.

    Args:
        site: where there is a ground plane, its zones on the ground count.
        most_view: shift as a share of the picture's width, 0 to 1, that matters where no zone on the ground
            says what matters, and from which on places in the picture are wrong.
    """

    def __init__(self, site: Site, most_view: float = MOST_VIEW) -> None:
        self._plane: GroundPlane | None = site.ground
        self._most_view = most_view
        floors = [zone.floor.polygon for zone in site.zones if zone.floor is not None]
        self._ground: Floats = np.zeros((0, 2))
        self._view: Floats = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [0.5, 0.5]])
        if site.ground is not None and floors:
            self._ground = np.vstack(floors)
            self._view = site.ground.to_image(self._ground)
            error = PlaneError.of(site.ground, LUMA_SIZE[0] / LUMA_SIZE[1]).place_stderr_m(self._view)
            least = max(LEAST_GROUND_M, site.ground_error_m or 0.0)
            self._limit_m: Floats = np.maximum(np.nan_to_num(error, nan=least), least)

    @property
    def calibrated(self) -> bool:
        """Whether there is a ground plane."""
        return self._plane is not None

    def ground_m(self, shift: Shift) -> float | None:
        """Largest error in metres of the zones' corners; infinite where one is lost, None without zones."""
        return float(self._errors_m(shift).max()) if len(self._ground) else None

    def matters(self, shift: Shift, share: float = 1.0) -> bool:
        """Whether a shift is above `share` times the limits, somewhere."""
        if not len(self._ground):
            return self.shows(shift, share)
        wrong = self._errors_m(shift) > self._limit_m * share
        return bool((wrong & (self._widths(shift) > LEAST_VIEW * share)).any())

    def shows(self, shift: Shift, share: float = 1.0) -> bool:
        """Whether a shift is above `share` times the limit for places in the picture, somewhere."""
        return bool((self._widths(shift) > self._most_view * share).any())

    def _widths(self, shift: Shift) -> Floats:
        """How far each place is shifted in the picture, in its widths."""
        way = (shift.at(self._view) - self._view) * (1.0, LUMA_SIZE[1] / LUMA_SIZE[0])
        return np.asarray(np.hypot(way[:, 0], way[:, 1]), np.float64)

    def _errors_m(self, shift: Shift) -> Floats:
        assert self._plane is not None  # noqa: S101 - there are zones on it
        placed = self._plane.to_ground(shift.at(self._view))
        # Who seems to float above the horizon is nowhere.
        errors: Floats = np.nan_to_num(np.linalg.norm(placed - self._ground, axis=1), nan=np.inf)
        return errors
