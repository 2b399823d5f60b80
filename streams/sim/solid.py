"""Solid things of faces and rounded parts, and how a camera sees them in daylight."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.camera import Camera, Points
from streams.sim.canvas import Plane, Sprite, window
from streams.sim.light import Colours, Light, to_yuv

Colour = tuple[float, float, float]
"""Blue, green, red, 0 to 255."""
Size = tuple[int, int]

NEAREST_M = 0.5
"""Parts that come nearer to the camera's plane are left out."""
FINE = 2
"""Things are drawn so many times larger and scaled down, which smooths their edges."""
_FRACTION_BITS = 4
_RING = np.arange(8) * (2 * np.pi / 8)
_CIRCLE = np.stack((np.cos(_RING), np.sin(_RING)), axis=1) / np.cos(np.pi / 8)
_SKY = np.array((236.0, 226.0, 214.0))
_AMBIENT, _FROM_SKY, _SUN = 0.48, 0.2, 0.88
_SOFT_M = 0.05
"""Half-width of a shadow's edge, on the ground."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A flat face, or the convex hull around balls.

    Attributes:
        points: (n, 3) metres: a face's corners, counter-clockwise from outside, or the balls' centres.
        radii: (n,) metres; all 0 for a face.
        colour: in plain daylight.
        gloss: 0 to 1, how much of the sky it mirrors.
        lift_m: drawn as if so much nearer, as what is fixed on something else.
    """

    points: Points
    radii: NDArray[np.float64]
    colour: Colour
    gloss: float = 0.0
    lift_m: float = 0.0


def face(
    points: Points | Sequence[tuple[float, float, float]],
    colour: Colour,
    gloss: float = 0.0,
    lift_m: float = 0.0,
) -> Part:
    """A convex face with (n, 3) corners in metres, counter-clockwise from outside; `gloss` 0 to 1."""
    corners = np.asarray(points, np.float64)
    return Part(corners, np.zeros(len(corners)), colour, gloss, lift_m)


def hull(
    balls: Sequence[tuple[float, float, float, float]],
    colour: Colour,
    gloss: float = 0.0,
    lift_m: float = 0.0,
) -> Part:
    """What is around balls of x, y, z and radius in metres; `gloss` 0 to 1."""
    table = np.array(balls, np.float64)
    return Part(table[:, :3], table[:, 3], colour, gloss, lift_m)


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """All parts of a thing in one table: x forward, y to the left, z up, in metres from the ground below it.

    Attributes:
        points, radii: (points, 3) and (points,) of all parts in a row.
        starts, counts: (parts,) first point and number of points of each part.
        normals: (parts, 3) unit vectors; of rounded parts 0.
        colours, gloss, lifts: (parts, 3), (parts,) and (parts,), as in `Part`.
    """

    points: Points
    radii: NDArray[np.float64]
    starts: NDArray[np.intp]
    counts: NDArray[np.intp]
    normals: Points
    colours: Colours
    gloss: NDArray[np.float64]
    lifts: NDArray[np.float64]

    @classmethod
    def of(cls, parts: Iterable[Part]) -> "Solid":
        """The parts in a table."""
        every = list(parts)
        counts = np.array([len(part.radii) for part in every], np.intp)
        return cls(
            np.concatenate([part.points for part in every]),
            np.concatenate([part.radii for part in every]),
            np.cumsum(counts) - counts,
            counts,
            np.array([_normal(part) for part in every]),
            np.array([part.colour for part in every], np.float64),
            np.array([part.gloss for part in every]),
            np.array([part.lift_m for part in every]),
        )

    def standing(self, ground: tuple[float, float], heading: float, up_m: float = 0.0) -> "Solid":
        """The same at a place on the ground or above it, turned `heading` radians from the x axis."""
        cos, sin = np.cos(heading), np.sin(heading)
        turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        points = self.points @ turn + (*ground, up_m)
        return Solid(
            points,
            self.radii,
            self.starts,
            self.counts,
            self.normals @ turn,
            self.colours,
            self.gloss,
            self.lifts,
        )


def _normal(part: Part) -> Points:
    if part.radii.any():
        return np.zeros(3)
    first, second, third = part.points[:3]
    across = np.cross(second - first, third - first)
    return np.asarray(across / max(float(np.linalg.norm(across)), 1e-12), np.float64)


def outline(solid: Solid, camera: Camera, size: Size) -> NDArray[np.float64] | None:
    """(4,) pixels left, top, right, bottom of a standing thing, or None if it is behind the camera."""
    pixels, scale, depth = _seen(solid, camera, size)
    front = depth > NEAREST_M
    if not front.any():
        return None
    around = (solid.radii * scale)[front, None]
    low, high = (pixels[front] - around).min(axis=0), (pixels[front] + around).max(axis=0)
    return np.concatenate((low, high))


def solid_sprite(solid: Solid, camera: Camera, light: Light, size: Size, pedestal: int) -> Sprite | None:
    """A standing thing as the camera sees it.

    Args:
        solid: what to draw, in the world's frame.
        camera: of the picture's aspect.
        light: its colour and direction.
        size: width and height of the picture in pixels.
        pedestal: taken off the brightness, as the noise will bring it back.

    Returns:
        A sprite, or None if nothing of it is in the picture.
    """
    box = outline(solid, camera, size)
    place = None if box is None else window((box[0], box[1], box[2], box[3]), size)
    if place is None:
        return None
    x, y, width, height = place
    pixels, scale, depth = _seen(solid, camera, size)
    eye = np.array([*camera.position_m, camera.height_m])
    middles = _means(solid, solid.points)
    view = middles - eye
    view /= np.maximum(np.linalg.norm(view, axis=1), 1e-9)[:, None]
    shown = (np.einsum("nk,nk->n", view, solid.normals) < 0) | ~solid.normals.any(axis=1)
    shown &= np.minimum.reduceat(depth, solid.starts) > NEAREST_M
    tones = _tones(solid, view, light)
    layers = np.zeros((height * FINE, width * FINE, 4), np.uint8)
    flat = (pixels - (x, y)) * FINE
    order = np.argsort(solid.lifts - _means(solid, depth[:, None])[:, 0], kind="stable")
    yuv = [(to_yuv(tones * lift).astype(int) - (pedestal, 0, 0)).tolist() for lift in (1.0, 0.8, 1.16)]
    for part in order[shown[order]].tolist():
        span = slice(solid.starts[part], solid.starts[part] + solid.counts[part])
        if solid.radii[span].any():
            _fill_hull(
                layers, flat[span], solid.radii[span] * scale[span] * FINE, [tone[part] for tone in yuv]
            )
        else:
            cv2.fillConvexPoly(layers, _fixed(flat[span]), (*yuv[0][part], 255), cv2.LINE_8, _FRACTION_BITS)
    small = cv2.resize(layers, (width, height), interpolation=cv2.INTER_AREA)
    return Sprite.from_layers(np.asarray(small, np.uint8), x, y)


def solid_shadow(solid: Solid, camera: Camera, light: Light, size: Size) -> tuple[int, int, Plane] | None:
    """Where a standing thing takes light off the ground: x, y and (h, w) what of 255 is kept; or None."""
    cast = np.asarray(light.towards) * light.reach
    fallen = solid.points[:, :2] + solid.points[:, 2:] * cast
    pixels = camera.project(fallen) * size
    depth = camera.depth(fallen)
    scale = camera.focal * size[0] / np.maximum(depth, NEAREST_M)
    fine = depth > NEAREST_M
    if not fine.any():
        return None
    low, high = pixels[fine].min(axis=0) - 6, pixels[fine].max(axis=0) + 6
    place = window((low[0], low[1], high[0], high[1]), size)
    if place is None:
        return None
    x, y, width, height = place
    mask = np.zeros((height, width), np.uint8)
    flat = pixels - (x, y)
    whole = np.minimum.reduceat(depth, solid.starts) > NEAREST_M
    sun = np.array([*-cast, 1.0])
    lit = (solid.normals @ sun > 0) | ~solid.normals.any(axis=1)
    for part in np.flatnonzero(whole & lit).tolist():
        span = slice(solid.starts[part], solid.starts[part] + solid.counts[part])
        ring = flat[span]
        if solid.radii[span].any():
            ring = _ring(ring, solid.radii[span] * scale[span], squash=0.5)
        cv2.fillConvexPoly(mask, _fixed(ring), 255, cv2.LINE_8, _FRACTION_BITS)
    base = solid.points[solid.points[:, 2] < 0.6, :2]
    soft = max(0.6, float(np.median(scale[fine])) * _SOFT_M)
    dark = cv2.GaussianBlur(mask, (0, 0), soft).astype(np.float32) * light.shadow
    dark = np.maximum(dark, _under(base, camera, size, place) * 0.55)
    return x, y, np.asarray(255.0 - dark, np.uint8)


def _under(base: Points, camera: Camera, size: Size, place: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """The sky's light that does not come below a thing: what its lower parts cover."""
    x, y, width, height = place
    mask = np.zeros((height, width), np.uint8)
    pixels = camera.project(base) * size - (x, y)
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    if len(pixels) >= 3:
        around = cv2.convexHull(pixels.astype(np.float32))[:, 0].astype(np.float64)
        cv2.fillConvexPoly(mask, _fixed(around), 255, cv2.LINE_8, _FRACTION_BITS)
    return cv2.GaussianBlur(mask, (0, 0), 2.0 * size[0] / 1280).astype(np.float32)


def _seen(
    solid: Solid, camera: Camera, size: Size
) -> tuple[Points, NDArray[np.float64], NDArray[np.float64]]:
    """(n, 2) pixels, (n,) pixels a metre and (n,) depth in metres of all points."""
    depth = camera.depth(solid.points)
    pixels = np.nan_to_num(camera.project(solid.points) * size)
    return pixels, camera.focal * size[0] / np.maximum(depth, NEAREST_M), depth


def _means(solid: Solid, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(parts, k) means over each part's (points, k) values."""
    return np.asarray(np.add.reduceat(values, solid.starts) / solid.counts[:, None], np.float64)


def _tones(solid: Solid, view: Points, light: Light) -> Colours:
    """(parts, 3) colours under a sky, a sun, and with the sky mirrored in what glosses."""
    sun = np.array([*(-np.asarray(light.towards) * light.reach), 1.0])
    sun /= np.linalg.norm(sun)
    flat = solid.normals.any(axis=1)
    lit = np.where(flat, np.maximum(solid.normals @ sun, 0.0), 0.5)
    up = np.where(flat, solid.normals[:, 2], 0.4)
    shade = _AMBIENT + _FROM_SKY * up + _SUN * light.shadow * 2.0 * lit
    mirrored = view - 2.0 * np.einsum("nk,nk->n", view, solid.normals)[:, None] * solid.normals
    sky = np.clip(0.25 + 0.75 * mirrored[:, 2], 0.0, 1.0) * solid.gloss
    tones = solid.colours * shade[:, None] * (1.0 - 0.5 * sky[:, None]) + _SKY * (0.6 * sky[:, None])
    return np.asarray(tones * light.tint, np.float64)


def _fill_hull(
    layers: NDArray[np.uint8], centres: Points, radii: NDArray[np.float64], tones: list[list[int]]
) -> None:
    """Filled thrice for roundness: dark, then smaller and lighter towards the sky."""
    if radii.max() < 2.0 * FINE:
        ring = _ring(centres, np.maximum(radii, 0.5))
        cv2.fillConvexPoly(layers, _fixed(ring), (*tones[0], 255), cv2.LINE_8, _FRACTION_BITS)
        return
    for tone, share in ((tones[1], 1.0), (tones[0], 0.8), (tones[2], 0.42)):
        lifted = centres - np.outer(radii * (1.0 - share), (0.25, 0.8))
        ring = _ring(lifted, radii * share)
        cv2.fillConvexPoly(layers, _fixed(ring), (*tone, 255), cv2.LINE_8, _FRACTION_BITS)


def _ring(centres: Points, radii: NDArray[np.float64], squash: float = 1.0) -> Points:
    rings = centres[:, None] + _CIRCLE * (1.0, squash) * radii[:, None, None]
    return np.asarray(cv2.convexHull(rings.reshape(-1, 2).astype(np.float32))[:, 0], np.float64)


def _fixed(points: Points) -> NDArray[np.int32]:
    limited = np.clip(points, -8000, 8000)
    return np.asarray(np.rint(limited * (1 << _FRACTION_BITS)), np.int32)
