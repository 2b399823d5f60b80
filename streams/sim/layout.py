"""From a moment of a scene to figures in the picture: which figure, where, how large, in which order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.sim import gait
from streams.sim.body import PHASES
from streams.sim.camera import Camera
from streams.sim.figure import FACINGS, PITCH_STEP_DEG, SIZES, Figure, View, figure
from streams.sim.scene import Moment
from streams.sim.wardrobe import Outfit

STANDS_BELOW_M_S = 0.22
SHARPNESS = 1.3
"""A figure is drawn with at least so many pixels per picture pixel, so that scaling down smooths it."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A figure and where it goes.

    Attributes:
        row: row of the person in the moment.
        figure: what to draw.
        matrix: (2, 3) float64, figure pixels to picture pixels.
        depth_m: along the optical axis; greater is drawn first.
        box: left, top, right, bottom in picture pixels, possibly beyond the picture.
        foot: (x, y) of the ground point in picture pixels.
        upright: (x, y) in picture pixels from the foot to the top of the head.
    """

    row: int
    figure: Figure
    matrix: NDArray[np.float64]
    depth_m: float
    box: tuple[float, float, float, float]
    foot: tuple[float, float]
    upright: tuple[float, float]


def lay_out(
    moment: Moment, camera: Camera, outfits: list[Outfit], size: tuple[int, int]
) -> list[Placed]:
    """Place everybody who may be seen, the farthest first.

    Args:
        moment: who is where.
        camera: of the picture's aspect.
        outfits: one a row of `moment`.
        size: width and height of the picture in pixels.
    """
    if not len(moment):
        return []
    heights = np.array([clothes.height_m for clothes in outfits])
    feet = camera.project(moment.ground) * size
    heads = camera.project(np.column_stack((moment.ground, heights))) * size
    depth = camera.depth(moment.ground)
    sight = moment.ground - np.array(camera.position_m)
    distance = np.hypot(sight[:, 0], sight[:, 1])
    pitch = np.degrees(np.arctan2(camera.height_m - 0.5 * heights, distance))
    facing = moment.heading - np.arctan2(sight[:, 1], sight[:, 0])
    facings = np.rint(facing * FACINGS / (2 * np.pi)).astype(int) % FACINGS
    pitches = np.clip(np.rint(pitch / PITCH_STEP_DEG), 0, 9).astype(int)
    poses = _poses(moment, heights)
    shown = np.isfinite(feet).all(axis=1) & np.isfinite(heads).all(axis=1) & (depth > 1.0)
    placed = []
    for row in np.flatnonzero(shown):
        upright = heads[row] - feet[row]
        beyond = np.hypot(*upright) * 1.2
        if (feet[row] < -beyond).any() or (feet[row] > np.array(size) + beyond).any():
            continue
        clothes = outfits[row]
        pixels = float(np.hypot(*upright)) / np.cos(np.radians(pitches[row] * PITCH_STEP_DEG))
        drawn = next((s for s in SIZES if s >= SHARPNESS * pixels), SIZES[-1])
        shape = figure(View(clothes.build, int(poses[row]), int(facings[row]), int(pitches[row]), drawn))
        placed.append(_place(int(row), shape, feet[row], upright, (clothes.girth, float(depth[row]))))
    return sorted(placed, key=lambda one: (-one.depth_m, one.row))


def _poses(moment: Moment, heights: NDArray[np.float64]) -> NDArray[np.intp]:
    stride = gait.STRIDE_M * heights / 1.7
    walking = np.floor(moment.walked / stride * PHASES).astype(int) % PHASES
    # Who stands shifts about now and then, each at their own time.
    fidget = ((moment.time_s + moment.number * 3.7) // 7.0).astype(int)
    standing = PHASES + (moment.number * 5 + fidget) % gait.STANDING_KINDS
    return np.asarray(np.where(moment.speed < STANDS_BELOW_M_S, standing, walking), np.intp)


def _place(
    row: int,
    shape: Figure,
    foot: NDArray[np.float64],
    upright: NDArray[np.float64],
    girth_depth: tuple[float, float],
) -> Placed:
    girth, depth_m = girth_depth
    down = -upright / shape.upright
    across = np.array([down[1], -down[0]]) * girth
    matrix = np.column_stack((across, down, foot - across * shape.anchor[0] - down * shape.anchor[1]))
    height, width = shape.index.shape
    # The drawn part lies two pixels inside the figure's picture.
    corners = np.array([(x, y, 1.0) for x in (2, width - 2) for y in (2, height - 2)]) @ matrix.T
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return Placed(
        row,
        shape,
        matrix,
        depth_m,
        (float(left), float(top), float(right), float(bottom)),
        (float(foot[0]), float(foot[1])),
        (float(upright[0]), float(upright[1])),
    )
