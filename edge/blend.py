"""People on the ground at one camera: its tracks, and the last count of heads where they hide each other."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.fusion import Raster, fuse
from edge.geometry import Floats
from edge.ground import GroundPlane
from edge.on_ground import LOOSE, Grounded
from edge.people import People
from edge.pinhole import STATURE_M, Pinhole
from edge.pressure import Noise
from edge.scene import Scene
from models.density import HeadMap
from models.detections import Tracks
from streams.flow import BlockFlow
from streams.service import DENSITY_PERIOD_S

LOWEST_M = STATURE_M + 0.2
"""From no higher up heads cannot be laid on the ground: people's tops reach the camera's horizon."""

HEADS_LAST_S = 2.5 * DENSITY_PERIOD_S
"""An older count of heads says nothing of now: two that are missed in a row are borne."""

MEMORY_S = 0.6
"""Time constant of the mean of counts; on simulated crowds 1.5 s and more told red later and no truer."""

DENSE_PEOPLE = 3.0
"""So many people of the map's make motion worth measuring."""

_HEAD_SHARE = 0.06
"""How far below the top of a person's box the middle of the head is, as a share of the box."""
_STEP_S = 0.04
"""A velocity is turned into one on the ground by where it leads in so long."""

_FEW = 0.1
"""Where so few of the people have velocities of the one kind, only the other kind's noise counts."""
LARGEST_ERROR_M_S = 0.7
"""Motion that is known no better than to half of a walking pace is not known."""
_NOISE_ERROR = 0.5
"""How well the flow's own errors are known, as a share: there and back agree better than either does."""

HeightsPx = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True, eq=False)
class _Optics:
    """A camera as a pinhole; all None where the picture's size or the ground is not known, or do not fit."""

    size_px: tuple[int, int] | None = None
    pinhole: Pinhole | None = None
    raster: Raster | None = None


class Held:
    """Heads as they were counted lately: a mean over `MEMORY_S`, for as long as that says something.

    The same crowd is counted now higher, now lower by a tenth as its people turn and step; in a mean that
    matters less. What two counts' errors have in common stays, so that the variance is taken to be one's.
    """

    def __init__(self) -> None:
        self._heads: HeadMap | None = None
        self._counted_s = 0.0

    def last(self, heads: HeadMap | None, pts_s: float) -> HeadMap | None:
        """This count, or the one before while that is fresh; None without either.

        Args:
            heads: of this picture; None where they were not counted.
            pts_s: camera time.
        """
        if heads is not None:
            self._heads, self._counted_s = self._mean(heads, pts_s), pts_s
        elif not 0 <= pts_s - self._counted_s <= HEADS_LAST_S:
            self._heads = None
        return self._heads

    def _mean(self, heads: HeadMap, pts_s: float) -> HeadMap:
        before, elapsed_s = self._heads, pts_s - self._counted_s
        if before is None or before.counts.shape != heads.counts.shape or not 0 <= elapsed_s <= HEADS_LAST_S:
            return heads
        share = np.float32(-math.expm1(-elapsed_s / MEMORY_S))
        return HeadMap(
            before.counts + share * (heads.counts - before.counts),
            before.variance + share * (heads.variance - before.variance),
            heads.shared,
        )


class Blend:
    """Puts detections and heads together, picture by picture.

    Attributes:
        dense: whether the map stood for people at the last look, so that motion is worth measuring.
    """

    def __init__(self, ground: GroundPlane) -> None:
        self.dense = False
        self._ground = ground
        self._optics = _Optics()

    def heights_px(self, size_px: tuple[int, int] | None) -> HeightsPx | None:
        """How tall people are in a picture of that size, in pixels: (n, 2) metres -> (n,).

        None where that is not known.
        """
        pinhole = self._seen(size_px).pinhole
        if pinhole is None or size_px is None:
            return None
        height = size_px[1]
        # Who stands where the camera does not see has no height there.
        return lambda ground: np.nan_to_num(pinhole.person_px(ground, height))

    def join(self, found: Grounded, tracks: Tracks, scene: Scene, noise: Noise) -> tuple[Grounded, Noise]:
        """People of the tracks, and of the map where it counts for more; and the noise of their velocities.

        Args:
            found: people where the tracks' feet are.
            tracks: of this look.
            scene: the picture beside its objects; its heads may have been counted a moment ago.
            noise: of the tracks' velocities.
        """
        heads = scene.heads
        raster = None if heads is None else self._raster(scene.size_px, heads)
        if heads is None or raster is None:
            self.dense = False
            return found, noise
        fused = fuse(found.people, _heads_at(tracks, found.rows), heads, raster)
        n, people = fused.detected, fused.people
        self.dense = float(people.weight[n:].sum()) >= DENSE_PEOPLE
        if scene.motion is not None and self._optics.pinhole is not None:
            people, flow_noise = _moved(people, n, scene.motion, self._optics.pinhole)
            noise = _mixed(noise, flow_noise, people, n)
        rows = np.concatenate((found.rows, np.full(len(people) - n, LOOSE, np.intp)))
        return Grounded(people, rows, fused.shared), noise

    def _seen(self, size_px: tuple[int, int] | None) -> _Optics:
        if size_px != self._optics.size_px:
            pinhole = None
            if size_px is not None:
                pinhole = Pinhole.from_plane(self._ground, size_px[0] / size_px[1])
            if pinhole is not None and pinhole.height_m < LOWEST_M:
                pinhole = None
            self._optics = _Optics(size_px, pinhole)
        return self._optics

    def _raster(self, size_px: tuple[int, int] | None, heads: HeadMap) -> Raster | None:
        optics, shape = self._seen(size_px), heads.counts.shape
        if optics.pinhole is None:
            return None
        if optics.raster is None or optics.raster.area_m2.shape != shape:
            self._optics = replace(optics, raster=Raster.lay(optics.pinhole, *shape))
        return self._optics.raster


def _heads_at(tracks: Tracks, rows: NDArray[np.intp]) -> Floats:
    """Where the heads of these tracks are seen: (n, 2) fractions of the picture."""
    left, top, right, bottom = tracks.xyxy[rows].astype(np.float64).T
    return np.column_stack(((left + right) / 2, top + _HEAD_SHARE * (bottom - top)))


def _moved(people: People, detected: int, motion: BlockFlow, pinhole: Pinhole) -> tuple[People, Noise | None]:
    """The same people, those of the map with the velocity seen at their heads; and the noise of these."""
    at = people.at[detected:]
    seen = pinhole.to_image_at(at)

    def led(velocity: Floats) -> Floats:
        return (pinhole.to_ground_at(seen + velocity * _STEP_S) - at) / _STEP_S

    flow, errors = led(motion.at(seen)), motion.stderr_at(seen)
    variance = sum((led(errors * axis) ** 2).sum(axis=1) for axis in ((1.0, 0.0), (0.0, 1.0)))
    known = np.isfinite(flow).all(axis=1) & (variance <= LARGEST_ERROR_M_S**2)
    # Tracks jump from one to another in a dense crowd: where no motion is seen, nobody takes theirs.
    velocity = people.velocity.copy()
    velocity[detected:] = np.where(known[:, None], flow, np.nan)
    weight, noise = people.weight[detected:], None
    if weight[known].sum() > 0:
        mean = float(np.average(variance[known], weights=weight[known]))
        noise = Noise(mean, _NOISE_ERROR * mean)
    return replace(people, velocity=velocity), noise


def _mixed(of_tracks: Noise, of_flow: Noise | None, people: People, detected: int) -> Noise:
    """Noise of people's velocities: that of the tracks and that of the flow, as many as have each."""
    known = people.moving
    total, flowing = people.weight[known].sum(), people.weight[detected:][known[detected:]].sum()
    share = float(flowing / total) if total > 0 else 0.0
    if of_flow is None or share < _FEW:
        return of_tracks
    if share > 1 - _FEW:
        return of_flow
    return Noise(
        *(
            (1 - share) * getattr(of_tracks, name) + share * getattr(of_flow, name)
            for name in ("variance_m2_per_s2", "stderr_m2_per_s2")
        )
    )
