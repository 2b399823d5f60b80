"""From a moment of a scene to figures in the picture: which figure, where, how large, in which order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.sim import gait
from streams.sim.body import PHASES, POSTURES_FROM
from streams.sim.camera import Camera, Points
from streams.sim.figure import FACINGS, MARGIN_PX, PITCH_STEP_DEG, SHADOW_STEP, Figure, View, figure
from streams.sim.light import Light
from streams.sim.postures import FIRST_FALL, FIRST_RISE, LAST_FALL, posture_pose
from streams.sim.scene import Moment
from streams.sim.wardrobe import Outfit

Box = tuple[float, float, float, float]

STANDS_BELOW_M_S = 0.22
SHARPNESS = 1.1
"""A figure has at least so many pixels per picture pixel, so that scaling down smooths it."""
LARGE_FROM_PX = 210.0
_THICKNESS = 0.06
"""How high the middle of who lies is, in body heights."""
LEAN_FROM = 0.1
"""People lean outwards in a wide picture's perspective; less than this, pixel per pixel, is not worth it."""
LEAN_GRAIN = 64.0
"""Steps per unit of lean, so that somebody who hardly moves looks the same in the next picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A figure and where it goes.

    Attributes:
        row: row of the person in the moment.
        view: which figure, possibly mirrored.
        figure: of the canonical view.
        step: every how many of the figure's pixels are used.
        x, y, width, height: picture pixels that the figure's whole picture is scaled to, before it leans.
        lean: how far it leans to the right: picture pixels per picture pixel above the foot.
        foot_y: picture pixel row of the ground point.
        shadow_matrix: (2, 3) float64, pixels of the figure's shadow to picture pixels.
        shadow_box: left, top, right, bottom of the shadow in picture pixels, possibly beyond the picture.
        depth_m: along the optical axis; greater is drawn first.
    """

    row: int
    view: View
    figure: Figure
    step: int
    x: int
    y: int
    width: int
    height: int
    lean: float
    foot_y: int
    shadow_matrix: NDArray[np.float64]
    shadow_box: Box
    depth_m: float

    @property
    def frame(self) -> Box:
        """Left, top, right, bottom of the figure's whole picture, margins and all, in picture pixels."""
        shifts = self.lean * (self.foot_y - self.y), self.lean * (self.foot_y - self.y - self.height)
        return (
            self.x + min(0.0, *shifts),
            self.y,
            self.x + self.width + max(0.0, *shifts),
            self.y + self.height,
        )

    @property
    def box(self) -> Box:
        """Left, top, right, bottom of what is drawn, in picture pixels, possibly beyond the picture."""
        rows, columns = self.figure.index.shape
        side, end = self.width * MARGIN_PX / columns, self.height * MARGIN_PX / rows
        top, bottom = self.y + end, self.y + self.height - end
        shifts = self.lean * (self.foot_y - top), self.lean * (self.foot_y - bottom)
        # Only the head and shoulders are as far out as a leaning picture's upper corners.
        return self.x + side + min(shifts), top, self.x + self.width - side + max(shifts), bottom


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
    heights = np.array([clothes.height_m for clothes in outfits]) * moment.stature
    low = _low(moment)
    feet = camera.project(moment.ground) * size
    upright = camera.project(np.column_stack((moment.ground, heights))) * size - feet
    depth = camera.depth(moment.ground)
    tall = np.hypot(upright[:, 0], upright[:, 1])
    margin = 1.2 * tall[:, None]
    shown = (feet > -margin).all(axis=1) & (feet < size + margin).all(axis=1) & (depth > 1.0)
    rows = np.flatnonzero(shown)  # NaN compares false
    if not len(rows):
        return []
    views = _views(moment, outfits, tall, sight, rows)
    figures = [figure(view.canonical) for view in views]
    scale = tall[rows] / np.array([shape.upright for shape in figures])
    steps = [
        4 if ratio < 0.25 / SHARPNESS else 2 if ratio < 0.5 / SHARPNESS else 1 for ratio in scale.tolist()
    ]
    girth = np.array([outfits[row].girth for row in rows])
    flip = np.array([-1.0 if view.mirrored else 1.0 for view in views])
    places = _places(figures, feet[rows], scale, girth, flip)
    # What lies is as long as it is deep in the picture, not high: it leans with nothing.
    lean = upright[rows, 0] / -upright[rows, 1] * (1.0 - low[rows])
    lean = np.where(np.abs(lean) < LEAN_FROM, 0.0, np.rint(lean * LEAN_GRAIN) / LEAN_GRAIN).tolist()
    shadows = _shadows(
        figures, feet[rows], _falls(moment.ground[rows], feet[rows], heights[rows], sight), flip
    )
    shadows = _laid_down(shadows, figures, feet[rows], scale, low[rows])
    shadow_boxes = _boxes(figures, shadows)
    placed = [
        Placed(
            int(row), views[k], figures[k], steps[k], *places[k], lean[k], round(float(feet[row, 1])),
            shadows[k], shadow_boxes[k], float(depth[row]),
        )
        for k, row in enumerate(rows)
    ]  # fmt: skip
    return sorted(placed, key=lambda one: (-one.depth_m, one.row))


def _views(
    moment: Moment,
    outfits: list[Outfit],
    tall: NDArray[np.float64],
    sight: Sight,
    rows: NDArray[np.intp],
) -> list[View]:
    """What each of `rows` shows of itself; `tall` is everybody's height in picture pixels."""
    towards = moment.ground - np.array(sight.camera.position_m)
    distance = np.hypot(towards[:, 0], towards[:, 1])
    middle = 0.5 * gait.STATURE_M * (1.0 - 0.8 * _low(moment))
    pitch = np.degrees(np.arctan2(sight.camera.height_m - middle, distance))
    facing = moment.heading - np.arctan2(towards[:, 1], towards[:, 0])
    facings = np.rint(facing * FACINGS / (2 * np.pi)).astype(int) % FACINGS
    pitches = np.clip(np.rint(pitch / PITCH_STEP_DEG), 0, 7).astype(int)
    poses = _poses(moment, np.array([clothes.height_m for clothes in outfits]) * moment.stature)
    return [
        View(outfits[r].build, int(poses[r]), int(facings[r]), int(pitches[r]), bool(tall[r] > LARGE_FROM_PX))
        for r in rows
    ]


def _poses(moment: Moment, heights: NDArray[np.float64]) -> NDArray[np.intp]:
    stride = gait.STRIDE_M * heights / gait.STATURE_M
    walking = np.floor(moment.walked / stride * PHASES).astype(int) % PHASES
    # Who stands shifts about now and then, each at their own time.
    fidget = ((moment.time_s + moment.number * 3.7) // 7.0).astype(int)
    standing = PHASES + (moment.number * 5 + fidget) % gait.STANDING_KINDS
    poses = np.where(moment.speed < STANDS_BELOW_M_S, standing, walking)
    for row in np.flatnonzero(moment.posture > 0):
        kind, number = int(moment.posture[row]), int(moment.number[row])
        poses[row] = POSTURES_FROM + posture_pose(kind, float(moment.progress[row]), number)
    return np.asarray(poses, np.intp)


def _low(moment: Moment) -> NDArray[np.float64]:
    """(n,) how far everybody lies, 0 to 1; who sits or kneels does not."""
    lies = (moment.posture >= FIRST_FALL) & (moment.posture <= LAST_FALL) | (moment.posture >= FIRST_RISE)
    return np.where(lies, moment.progress, 0.0)


def _falls(ground: Points, feet: Points, heights: NDArray[np.float64], sight: Sight) -> NDArray[np.float64]:
    """(n, 2, 2) pixels: where a body height across the sun, and one upright, fall on the ground."""
    x, y = sight.light.towards
    across = np.array([-y, x]) * heights[:, None]
    along = np.array([x, y]) * sight.light.reach * heights[:, None]
    size = np.array(sight.size)
    ends = [sight.camera.project(ground + way) * size - feet for way in (across, along)]
    return np.asarray(np.nan_to_num(np.stack(ends, axis=1)), np.float64)


def _places(
    figures: list[Figure],
    feet: Points,
    scale: NDArray[np.float64],
    girth: NDArray[np.float64],
    flip: NDArray[np.float64],
) -> list[tuple[int, int, int, int]]:
    """x, y, width, height in picture pixels of each figure's whole picture."""
    anchors, sizes = _anchors(figures), _sizes(figures)
    anchors[:, 0] = np.where(flip < 0, sizes[:, 0] - anchors[:, 0], anchors[:, 0])
    scales = scale[:, None] * np.stack((girth, np.ones_like(girth)), axis=1)
    corner = np.rint(feet - anchors * scales).astype(int)
    extent = np.maximum(np.rint(sizes * scales), 1).astype(int)
    return [(x, y, width, height) for x, y, width, height in np.column_stack((corner, extent)).tolist()]


def _shadows(
    figures: list[Figure], feet: Points, falls: NDArray[np.float64], flip: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, 2, 3) affine matrices that lay each figure's shadow down on the ground."""
    per_pixel = SHADOW_STEP / np.array([shape.size for shape in figures])
    axes = np.stack((falls[:, 0] * flip[:, None], -falls[:, 1]), axis=2) * per_pixel[:, None, None]
    shift = feet[..., None] - axes @ (_anchors(figures) / SHADOW_STEP)[..., None]
    return np.concatenate((axes, shift), axis=2)


def _laid_down(
    shadows: NDArray[np.float64],
    figures: list[Figure],
    feet: Points,
    scale: NDArray[np.float64],
    low: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(n, 2, 3) matrices: who lies has a narrow shadow beside the body, not one as long as of who stands."""
    if not low.any():
        return shadows
    axes = (scale * SHADOW_STEP)[:, None, None] * np.eye(2)
    thick = np.array([shape.size for shape in figures]) / SHADOW_STEP * _THICKNESS
    fall = -shadows[:, :, 1] * thick[:, None]
    shift = (feet + fall)[..., None] - axes @ (_anchors(figures) / SHADOW_STEP)[..., None]
    return np.asarray(
        shadows + (np.concatenate((axes, shift), axis=2) - shadows) * low[:, None, None], np.float64
    )


def _boxes(figures: list[Figure], matrices: NDArray[np.float64]) -> list[Box]:
    """Left, top, right, bottom of what each matrix makes of each figure's shadow."""
    corners = (_sizes(figures) / SHADOW_STEP)[:, :, None] * _UNIT_SQUARE
    moved = matrices[:, :, :2] @ corners + matrices[:, :, 2:]
    extremes = np.concatenate((moved.min(axis=2), moved.max(axis=2)), axis=1)
    return [(left, top, right, bottom) for left, top, right, bottom in extremes.tolist()]


_UNIT_SQUARE = np.array([[0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]])


def _anchors(figures: list[Figure]) -> Points:
    return np.array([shape.anchor for shape in figures])


def _sizes(figures: list[Figure]) -> Points:
    return np.array([shape.index.shape[::-1] for shape in figures], np.float64)
