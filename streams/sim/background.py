"""The still part of the picture: sky, facades, paved ground with its markings, and standing shadows.

Everything is laid out in metres and brought into the picture by the camera's own projection, so that
markings lie exactly where zones and lines are.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.camera import Camera, Points
from streams.sim.light import Light
from streams.sim.places import Facade, Place

Image = NDArray[np.uint8]
Colour = tuple[float, float, float]

_FRACTION_BITS = 4
_GROUND_LOW, _GROUND_HIGH = np.array([-28.0, 1.0]), np.array([28.0, 31.0])
_GROUND_PX_M = 24
_FACADE_PX_M = 24
_PAVING: Colour = (166.0, 170.0, 174.0)
_ASPHALT: Colour = (92.0, 90.0, 88.0)
_YELLOW: Colour = (70.0, 178.0, 205.0)
_WHITE: Colour = (205.0, 205.0, 205.0)


def background(place: Place, camera: Camera, light: Light, seed: int, size: tuple[int, int]) -> Image:
    """The empty place.

    Args:
        place: what is there.
        camera: of the picture's aspect.
        light: its colour, and how shadows fall.
        seed: of stains and wear.
        size: width and height in pixels.

    Returns:
        (height * 3 / 2, width) uint8, planar Y, U, V in video range.
    """
    rng = np.random.Generator(np.random.PCG64((seed, 3)))
    width, height = size
    picture = _sky(width, height)
    _paste(picture, _ground(place, rng), _ground_corners(), camera)
    _joints(picture, place, camera)
    _markings(picture, place, camera)
    _standing_shadows(picture, place, camera, light)
    for facade in place.facades:
        foot, top = np.array([facade.start, facade.end]), np.full((2, 1), facade.height_m)
        upper = np.column_stack((foot, top))
        lower = np.column_stack((foot, np.zeros((2, 1))))
        _paste(picture, _facade(facade, rng), np.concatenate((upper, lower[::-1])), camera)
    soft = cv2.GaussianBlur(picture, (0, 0), 0.55 * width / 1280 + 0.15)
    tinted = cv2.LUT(soft, _tint_table(light))
    yuv = np.asarray(cv2.cvtColor(tinted, cv2.COLOR_BGR2YUV_I420), np.uint8)
    grain = cv2.GaussianBlur(3.0 * rng.standard_normal((height, width), np.float32), (0, 0), 0.8)
    luma = (yuv[:height].astype(np.float32) - 16.0) * _vignette(width, height) + (grain + 16.0)
    yuv[:height] = np.clip(luma, 16, 235)
    return yuv


def _tint_table(light: Light) -> Image:
    levels = np.arange(256)[:, None] * np.array(light.tint)
    return np.asarray(np.clip(np.rint(levels), 0, 255)[None], np.uint8)


def _sky(width: int, height: int) -> Image:
    fade = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None, None]
    top, low = np.array((214.0, 196.0, 180.0), np.float32), np.array((222.0, 218.0, 214.0), np.float32)
    return np.broadcast_to(top + (low - top) * fade, (height, width, 3)).astype(np.uint8, order="C")


def _vignette(width: int, height: int) -> NDArray[np.float32]:
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    return np.asarray(1.0 - 0.10 * (x**2 + y[:, None] ** 2), np.float32)


def _cloud(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> NDArray[np.float32]:
    """Smooth noise of about unit deviation, with blobs `1 / cells` of the height in size."""
    height, width = shape
    coarse = rng.normal(0.0, 1.0, (cells, max(2, cells * width // height))).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _ground(place: Place, rng: np.random.Generator) -> Image:
    """Seen from above, the first row farthest away."""
    width, height = ((_GROUND_HIGH - _GROUND_LOW) * _GROUND_PX_M).astype(int)
    shape = (int(height), int(width))
    slabs = (_GROUND_HIGH - _GROUND_LOW) / place.slab_m
    tone = rng.normal(0.0, 5.0, (round(slabs[1]), round(slabs[0]))).astype(np.float32)
    tone = np.asarray(
        cv2.resize(tone, (int(width), int(height)), interpolation=cv2.INTER_NEAREST), np.float32
    )
    tone += 5.0 * _cloud(rng, shape, 6) + 3.0 * _cloud(rng, shape, 40) + 3.0 * _cloud(rng, shape, 240)
    ground = np.array(_PAVING, np.float32) + tone[..., None]
    if place.lane:
        inside = np.zeros(shape, np.uint8)
        corners = (np.array(place.lane) - _GROUND_LOW) * (1, -1) * _GROUND_PX_M + (0, height)
        cv2.fillPoly(inside, [corners.astype(np.int32)], 1)
        ground[inside > 0] += np.array(_ASPHALT, np.float32) - np.array(_PAVING, np.float32)
    return np.asarray(np.clip(ground, 0, 255), np.uint8)


def _ground_corners() -> Points:
    (x0, y0), (x1, y1) = _GROUND_LOW, _GROUND_HIGH
    return np.array([(x0, y1, 0.0), (x1, y1, 0.0), (x1, y0, 0.0), (x0, y0, 0.0)])


def _paste(picture: Image, texture: Image, corners: Points, camera: Camera) -> None:
    """Paste a texture over the world rectangle with (4, 3) corners: top left, then clockwise."""
    rows, columns = texture.shape[:2]
    size = np.array(picture.shape[1::-1])
    origin, right, down = corners[0], corners[1] - corners[0], corners[3] - corners[0]
    plane = np.zeros((4, 3))
    plane[:3, 0], plane[:3, 1], plane[:3, 2], plane[3, 2] = right / columns, down / rows, origin, 1.0
    matrix = np.diag((*size, 1.0)) @ camera.matrix @ plane
    cv2.warpPerspective(
        texture,
        matrix,
        (int(size[0]), int(size[1])),
        dst=picture,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )


def _facade(facade: Facade, rng: np.random.Generator) -> Image:
    length = float(np.hypot(*np.subtract(facade.end, facade.start)))
    width, height = int(length * _FACADE_PX_M), int(facade.height_m * _FACADE_PX_M)
    wall = np.array((142.0, 152.0, 164.0), np.float32) + 4.0 * _cloud(rng, (height, width), 12)[..., None]
    image = np.clip(wall, 0, 255).astype(np.uint8)

    def rectangle(x: float, z: float, wide: float, high: float, colour: Colour) -> None:
        low = (int(x * _FACADE_PX_M), int(height - (z + high) * _FACADE_PX_M))
        high_corner = (int((x + wide) * _FACADE_PX_M), int(height - z * _FACADE_PX_M))
        cv2.rectangle(image, low, high_corner, colour, cv2.FILLED)

    rectangle(0.0, 0.0, length, 0.7, (104.0, 108.0, 112.0))
    for level in np.arange(0.0, facade.height_m, 3.4):
        rectangle(0.0, float(level) + 3.1, length, 0.22, (166.0, 174.0, 182.0))
        for x in np.arange(0.9, length - 1.6, 2.6):
            glass = float(rng.uniform(0.75, 1.2))
            rectangle(float(x) - 0.08, float(level) + 1.0, 1.56, 1.76, (176.0, 182.0, 186.0))
            rectangle(float(x), float(level) + 1.08, 1.4, 1.6, (96 * glass, 84 * glass, 74 * glass))
            rectangle(float(x) + 0.66, float(level) + 1.08, 0.08, 1.6, (176.0, 182.0, 186.0))
    for door in facade.doors_m:
        x = door - facade.start[0]
        rectangle(x - 1.5, 0.0, 3.0, 2.9, (120.0, 122.0, 124.0))
        rectangle(x - 1.3, 0.0, 2.6, 2.6, (46.0, 44.0, 42.0))
        rectangle(x - 0.04, 0.0, 0.08, 2.6, (110.0, 110.0, 110.0))
    return image


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.asarray(np.rint(points * (1 << _FRACTION_BITS)), np.int32)


def _stroke(picture: Image, camera: Camera, ground: Points, width_m: float, colour: Colour) -> None:
    """Paint a straight band of `width_m` metres along (2, 2) ground points."""
    along = ground[1] - ground[0]
    half = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9) * width_m / 2
    band = np.array([ground[0] + half, ground[1] + half, ground[1] - half, ground[0] - half])
    pixels = camera.project(band) * picture.shape[1::-1]
    if np.isfinite(pixels).all() and np.abs(pixels).max() < 30_000:
        cv2.fillPoly(picture, [_fixed(pixels)], colour, cv2.LINE_AA, _FRACTION_BITS)


def _joints(picture: Image, place: Place, camera: Camera) -> None:
    """Joints between slabs; painted on a copy and mixed in, as they are thinner than a pixel far away."""
    copy = picture.copy()
    (x0, _), (x1, y1) = _GROUND_LOW, _GROUND_HIGH
    near = camera.position_m[1] + 3.0
    lane_edge = min((x for x, _ in place.lane), default=x1)
    for x in np.arange(np.ceil(x0 / place.slab_m), lane_edge / place.slab_m) * place.slab_m:
        _stroke(copy, camera, np.array([(x, near), (x, y1)]), 0.035, (120.0, 123.0, 126.0))
    for y in np.arange(np.ceil(near / place.slab_m), y1 / place.slab_m) * place.slab_m:
        _stroke(copy, camera, np.array([(x0, y), (lane_edge, y)]), 0.035, (120.0, 123.0, 126.0))
    cv2.addWeighted(copy, 0.6, picture, 0.4, 0.0, dst=picture)


def _markings(picture: Image, place: Place, camera: Camera) -> None:
    """The restricted zone's border, the guarded line, and a lane's edge."""
    copy = picture.copy()
    corners = place.restricted.corners
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        _stroke(copy, camera, np.array([start, end]), 0.14, _YELLOW)
    start, end = place.line.ends
    dashes = max(1, int(np.hypot(*(end - start)) / 1.0))
    for k in range(dashes):
        dash = np.array([start + (end - start) * k / dashes, start + (end - start) * (k + 0.6) / dashes])
        _stroke(copy, camera, dash, 0.12, _WHITE)
    if place.lane:
        edge = min(x for x, _ in place.lane)
        _stroke(copy, camera, np.array([(edge, 4.0), (edge, _GROUND_HIGH[1])]), 0.3, (170.0, 172.0, 174.0))
        _stroke(copy, camera, np.array([(edge - 0.5, 4.0), (edge - 0.5, _GROUND_HIGH[1])]), 0.12, _YELLOW)
    cv2.addWeighted(copy, 0.75, picture, 0.25, 0.0, dst=picture)


def _standing_shadows(picture: Image, place: Place, camera: Camera, light: Light) -> None:
    """What the boxes shade of the ground."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    for box in (*place.boxes, *(panel for fence in place.fences for panel in fence.panels)):
        cast = np.array(light.towards) * light.reach * box.height_m
        outline = np.concatenate((box.base, box.base + cast))
        pixels = camera.project(outline) * picture.shape[1::-1]
        if np.isfinite(pixels).all():
            hull = np.asarray(cv2.convexHull(pixels.astype(np.float32))[:, 0], np.float64)
            cv2.fillConvexPoly(mask, _fixed(hull), 255, cv2.LINE_AA, _FRACTION_BITS)
    keep = 255.0 - light.shadow * cv2.GaussianBlur(mask, (0, 0), 1.2).astype(np.float32)
    cv2.multiply(picture, cv2.merge([keep.astype(np.uint8)] * 3), dst=picture, scale=1 / 255)
