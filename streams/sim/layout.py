"""From a moment of a scene to figures in the picture: which figure, where, how large, in which order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.sim import gait
from streams.sim.body import PHASES
from streams.sim.camera import Camera, Points
from streams.sim.figure import FACINGS, LEAN_STEP_DEG, MARGIN_PX, PITCH_STEP_DEG, SIZES, Figure, View, figure
from streams.sim.light import Light
from streams.sim.scene import Moment
from streams.sim.wardrobe import Outfit

Box = tuple[float, float, float, float]

STANDS_BELOW_M_S = 0.22
SHARPNESS = 1.1
"""A figure is drawn with at least so many pixels per picture pixel, so that scaling down smooths it."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A figure and where it goes.

    Attributes:
        row: row of the person in the moment.
        view: which figure.
        figure: what to draw.
        x, y, width, height: the picture's pixels that the figure's whole picture is scaled to.
        shadow_matrix: (2, 3) float64, figure pixels to picture pixels where its shadow lies.
        shadow_box: left, top, right, bottom of the shadow in picture pixels, possibly beyond the picture.
        depth_m: along the optical axis; greater is drawn first.
    """

    row: int
    view: View
    figure: Figure
    x: int
    y: int
    width: int
    height: int
    shadow_matrix: NDArray[np.float64]
    shadow_box: Box
    depth_m: float

    @property
    def box(self) -> Box:
        """Left, top, right, bottom of what is drawn, in picture pixels, possibly beyond the picture."""
        rows, columns = self.figure.index.shape
        side, end = self.width * MARGIN_PX / columns, self.height * MARGIN_PX / rows
        return self.x + side, self.y + end, self.x + self.width - side, self.y + self.height - end


@dataclass(frozen=True, slots=True)
class Sight:
    """How a place is seen.

    Attributes:
        camera: of the picture's aspect.
        light: how shadows fall.
        size: width and height of the picture in pixels.
    """

    camera: Camera
    light: Light
    size: tuple[int, int]


def lay_out(moment: Moment, outfits: list[Outfit], sight: Sight) -> list[Placed]:
    """Place everybody who may be seen, the farthest first; `outfits` has one a row of `moment`."""
    if not len(moment):
        return []
    camera, size = sight.camera, np.array(sight.size)
    heights = np.array([clothes.height_m for clothes in outfits])
    feet = camera.project(moment.ground) * size
    upright = camera.project(np.column_stack((moment.ground, heights))) * size - feet
    depth = camera.depth(moment.ground)
    tall = np.hypot(upright[:, 0], upright[:, 1])
    margin = 1.2 * tall[:, None]
    shown = (feet > -margin).all(axis=1) & (feet < size + margin).all(axis=1) & (depth > 1.0)
    rows = np.flatnonzero(shown)  # NaN compares false
    if not len(rows):
        return []
    views = _views(moment, outfits, upright, sight, rows)
    figures = [figure(view) for view in views]
    places = _places(figures, feet[rows], tall[rows], np.array([outfits[row].girth for row in rows]))
    falls = _falls(moment.ground[rows], feet[rows], heights[rows], sight)
    shadows = _shadows(views, figures, feet[rows], falls)
    shadow_boxes = _boxes(figures, shadows)
    placed = [
        Placed(int(row), views[k], figures[k], *places[k], shadows[k], shadow_boxes[k], float(depth[row]))
        for k, row in enumerate(rows)
    ]
    return sorted(placed, key=lambda one: (-one.depth_m, one.row))


def _views(
    moment: Moment, outfits: list[Outfit], upright: Points, sight: Sight, rows: NDArray[np.intp]
) -> list[View]:
    """What each of `rows` shows of itself; `upright` is from everybody's feet to their head in pixels."""
    towards = moment.ground - np.array(sight.camera.position_m)
    distance = np.hypot(towards[:, 0], towards[:, 1])
    pitch = np.degrees(np.arctan2(sight.camera.height_m - 0.5 * gait.STATURE_M, distance))
    facing = moment.heading - np.arctan2(towards[:, 1], towards[:, 0])
    facings = np.rint(facing * FACINGS / (2 * np.pi)).astype(int) % FACINGS
    pitches = np.clip(np.rint(pitch / PITCH_STEP_DEG), 0, 9).astype(int)
    lean = np.degrees(np.arctan2(upright[rows, 0], -upright[rows, 1]))
    leans = np.clip(np.rint(lean / LEAN_STEP_DEG), -6, 6).astype(int)
    tall = np.hypot(upright[rows, 0], upright[rows, 1])
    wanted = SHARPNESS * tall / np.cos(np.radians(pitches[rows] * PITCH_STEP_DEG))
    steps = np.minimum(np.searchsorted(SIZES, wanted), len(SIZES) - 1)
    poses = _poses(moment, np.array([clothes.height_m for clothes in outfits]))
    return [
        View(outfits[row].build, int(poses[row]), int(facings[row]), int(pitches[row]), int(leans[k]), SIZES[step])
        for k, (row, step) in enumerate(zip(rows.tolist(), steps.tolist(), strict=True))
    ]


def _poses(moment: Moment, heights: NDArray[np.float64]) -> NDArray[np.intp]:
    stride = gait.STRIDE_M * heights / gait.STATURE_M
    walking = np.floor(moment.walked / stride * PHASES).astype(int) % PHASES
    # Who stands shifts about now and then, each at their own time.
    fidget = ((moment.time_s + moment.number * 3.7) // 7.0).astype(int)
    standing = PHASES + (moment.number * 5 + fidget) % gait.STANDING_KINDS
    return np.asarray(np.where(moment.speed < STANDS_BELOW_M_S, standing, walking), np.intp)


def _falls(ground: Points, feet: Points, heights: NDArray[np.float64], sight: Sight) -> NDArray[np.float64]:
    """(n, 2, 2) pixels: where a body height across the sun, and one upright, fall on the ground."""
    x, y = sight.light.towards
    across = np.array([-y, x]) * heights[:, None]
    along = np.array([x, y]) * sight.light.reach * heights[:, None]
    size = np.array(sight.size)
    ends = [sight.camera.project(ground + way) * size - feet for way in (across, along)]
    return np.nan_to_num(np.stack(ends, axis=1))


def _places(
    figures: list[Figure], feet: Points, tall: NDArray[np.float64], girth: NDArray[np.float64]
) -> list[tuple[int, int, int, int]]:
    """x, y, width, height in picture pixels of each figure's whole picture."""
    anchors = np.array([shape.anchor for shape in figures])
    sizes = np.array([shape.index.shape[::-1] for shape in figures], np.float64)
    scale = (tall / np.array([shape.upright for shape in figures]))[:, None]
    scale = scale * np.stack((girth, np.ones_like(girth)), axis=1)
    corner = np.rint(feet - anchors * scale).astype(int)
    extent = np.maximum(np.rint(sizes * scale), 1).astype(int)
    return [(x, y, width, height) for x, y, width, height in np.column_stack((corner, extent)).tolist()]


def _shadows(
    views: list[View], figures: list[Figure], feet: Points, falls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, 2, 3) affine matrices that lay each figure down on the ground."""
    lean = np.radians([view.lean * LEAN_STEP_DEG for view in views])
    cos, sin = np.cos(lean), np.sin(lean)
    raised = np.stack((np.stack((cos, sin), axis=1), np.stack((-sin, cos), axis=1)), axis=1)
    axes = np.stack((falls[:, 0], -falls[:, 1]), axis=2) / np.array([s.size for s in figures])[:, None, None]
    axes = axes @ raised
    anchors = np.array([shape.anchor for shape in figures])
    return np.concatenate((axes, (feet[..., None] - axes @ anchors[..., None])), axis=2)


def _boxes(figures: list[Figure], matrices: NDArray[np.float64]) -> list[Box]:
    """Left, top, right, bottom of what each matrix makes of each figure's picture."""
    sizes = np.array([shape.index.shape[::-1] for shape in figures], np.float64)
    corners = sizes[:, :, None] * np.array([[0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    moved = matrices[:, :, :2] @ corners + matrices[:, :, 2:]
    extremes = np.concatenate((moved.min(axis=2), moved.max(axis=2)), axis=1)
    return [(left, top, right, bottom) for left, top, right, bottom in extremes.tolist()]
