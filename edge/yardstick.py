"""Which shift of a camera's view makes places on the ground wrong."""

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
    """From which shift on the ground's places are wrong.

    Args:
        site: with a ground plane.

    Raises:
        ValueError: it has none.
    """

    def __init__(self, site: Site) -> None:
        if site.ground is None:
            raise ValueError("only a calibrated camera has places on the ground to be wrong")
        self._plane: GroundPlane = site.ground
        floors = [zone.floor.polygon for zone in site.zones if zone.floor is not None]
        self._zoned = bool(floors)
        if floors:
            self._ground: Floats = np.vstack(floors)
            self._view: Floats = site.ground.to_image(self._ground)
            error = PlaneError.of(site.ground, LUMA_SIZE[0] / LUMA_SIZE[1]).place_stderr_m(self._view)
            least = max(LEAST_GROUND_M, site.ground_error_m or 0.0)
            self._limit_m: Floats = np.maximum(np.nan_to_num(error, nan=least), least)
        else:
            self._view = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [0.5, 0.5]])

    def ground_m(self, shift: Shift) -> float | None:
        """Largest error in metres of the zones' corners; infinite where one is lost, None without zones."""
        return float(self._errors_m(shift).max()) if self._zoned else None

    def matters(self, shift: Shift, share: float = 1.0) -> bool:
        """Whether a shift is above `share` times the limits, somewhere."""
        way = (shift.at(self._view) - self._view) * (1.0, LUMA_SIZE[1] / LUMA_SIZE[0])
        widths = np.hypot(way[:, 0], way[:, 1])
        if not self._zoned:
            return bool((widths > MOST_VIEW * share).any())
        wrong = self._errors_m(shift) > self._limit_m * share
        return bool((wrong & (widths > LEAST_VIEW * share)).any())

    def _errors_m(self, shift: Shift) -> Floats:
        placed = self._plane.to_ground(shift.at(self._view))
        # Who seems to float above the horizon is nowhere.
        errors: Floats = np.nan_to_num(np.linalg.norm(placed - self._ground, axis=1), nan=np.inf)
        return errors
