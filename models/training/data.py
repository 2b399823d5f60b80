"""Pictures with head points, in memory, and the random crops that training sees."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Points = NDArray[np.float32]

LONG_SIDE = 448
"""Pixels of the longer side of what the network sees of a whole picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture and where the heads in it are.

    Attributes:
        name: of the file.
        image: (h, w, 3) uint8, blue first.
        points: (n, 2) float32 pixels, x and y.
    """

    name: str
    image: Image
    points: Points


def load(folder: Path) -> list[Sample]:
    """All pictures that the folder's points.json names, by name; they lie beside it or in `frame`."""
    listed = json.loads((folder / "points.json").read_text(encoding="utf-8"))
    samples = []
    for name in sorted(listed):
        path = folder / name if (folder / name).exists() else folder / "frame" / name
        image = cv2.imread(str(path))
        if image is None:
            raise ValueError(f"{path}: is not a picture")
        points = np.array(listed[name], np.float32).reshape(-1, 2)
        samples.append(Sample(name, np.asarray(image, np.uint8), points))
    return samples


def single(points: Points, gap: float) -> NDArray[np.bool_]:
    """Which of (n, 2) points in pixels are not nearer than `gap` pixels to an earlier one: (n,)."""
    near = np.hypot(*(points[:, None] - points).transpose(2, 0, 1)) < gap
    return np.asarray(~np.tril(near, -1).any(axis=1), np.bool_)


def apart(sample: Sample, gap: float) -> Sample:
    """The same without the points that are nearer than `gap` pixels to an earlier one."""
    return replace(sample, points=sample.points[single(sample.points, gap)])


def input_size(width: int, height: int, long_side: int = LONG_SIDE) -> tuple[int, int]:
    """Width and height of the network's input for a picture: multiples of 16, nearly its aspect."""
    scale = long_side / max(width, height)
    return max(16, round(width * scale / 16) * 16), max(16, round(height * scale / 16) * 16)


def whole(sample: Sample) -> Image:
    """The picture as the network sees it when it counts, (h, w, 3) uint8."""
    height, width = sample.image.shape[:2]
    size = input_size(width, height)
    return np.asarray(cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA), np.uint8)


def cells(points: Points, shape: tuple[int, int], stride: int = 8) -> NDArray[np.float32]:
    """(h / stride, w / stride) float32 heads a cell, of points in pixels of a picture of `shape` (h, w)."""
    rows, columns = shape[0] // stride, shape[1] // stride
    places = np.floor(points / stride).astype(int)
    inside = (places >= 0).all(1) & (places[:, 0] < columns) & (places[:, 1] < rows)
    counts = np.zeros((rows, columns), np.float32)
    np.add.at(counts, (places[inside, 1], places[inside, 0]), 1.0)
    return counts


def crop(
    sample: Sample, size: tuple[int, int], rng: np.random.Generator, strength: float = 1.0
) -> tuple[Image, Points]:
    """A random part (height, width, 3) of the picture at a random scale, mirrored or not.

    `size` is (width, height) in pixels; `strength`, 0 to 1, how far the scale strays.
    """
    height, width = sample.image.shape[:2]
    scale = (
        LONG_SIDE
        / max(width, height)
        * float(np.exp(np.clip(rng.normal(0.0, 0.12 + 0.13 * strength), -0.5, 0.5)))
    )
    stretch = float(np.exp(rng.uniform(-0.12, 0.12) * strength))
    sx, sy = scale * stretch, scale / stretch
    wide, high = size[0] / sx, size[1] / sy
    x0 = _offset(width, wide, rng)
    y0 = _offset(height, high, rng)
    part = _cut(sample.image, x0, y0, (round(wide), round(high)))
    shrink = cv2.INTER_AREA if sx < 1 else cv2.INTER_LINEAR
    image = cv2.resize(part, size, interpolation=shrink)
    points = (sample.points - (x0, y0)) * (size[0] / round(wide), size[1] / round(high))
    if rng.random() < 0.5:
        image = image[:, ::-1]
        points = points * (-1, 1) + (size[0], 0)
    return np.ascontiguousarray(image, np.uint8), points.astype(np.float32)


def _offset(side: int, wanted: float, rng: np.random.Generator) -> int:
    spare = side - wanted
    return int(np.floor(rng.uniform(min(spare, 0.0), max(spare, 0.0))))


def _cut(image: Image, x: int, y: int, size: tuple[int, int]) -> Image:
    """A part that may reach beyond the picture, which is grey there."""
    height, width = image.shape[:2]
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + size[0], width), min(y + size[1], height)
    canvas = np.full((size[1], size[0], 3), 115, np.uint8)
    canvas[top - y : bottom - y, left - x : right - x] = image[top:bottom, left:right]
    return canvas


def whole_at(sample: Sample, size: tuple[int, int], rng: np.random.Generator) -> tuple[Image, Points]:
    """The whole picture (height, width, 3) scaled to `size`, (width, height) pixels; mirrored or not."""
    height, width = sample.image.shape[:2]
    image = cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA)
    points = sample.points * (size[0] / width, size[1] / height)
    if rng.random() < 0.5:
        image = image[:, ::-1]
        points = points * (-1, 1) + (size[0], 0)
    return np.ascontiguousarray(image, np.uint8), points.astype(np.float32)


def disturb(image: Image, rng: np.random.Generator, strength: float = 1.0) -> Image:
    """As (h, w, 3) uint8 before and after: another light, lens and camera; `strength` from 0 to 1."""
    levels = np.arange(256, dtype=np.float32) / 255
    gamma, gain = (np.exp(rng.uniform(-side, side) * strength) for side in (0.4, 0.25))
    lift = rng.uniform(-0.08, 0.08) * strength
    tints = np.exp(rng.normal(0, 0.05, 3) * strength)
    tables = np.clip((levels**gamma * gain + lift)[:, None] * tints * 255, 0, 255)
    image = np.asarray(cv2.LUT(image, tables.astype(np.uint8)[None]), np.uint8)
    if rng.random() < 0.15 * strength:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    if rng.random() < 0.2 * strength:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.0))), np.uint8)
    if rng.random() < 0.3 * strength:
        noise = rng.normal(0, rng.uniform(2, 10), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3 * strength:
        packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))])[1]
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return image


def mosaic(
    first: tuple[Image, Points],
    second: tuple[Image, Points],
    rng: np.random.Generator,
    axis: int | None = None,
) -> tuple[Image, Points]:
    """Part of one picture and part of another; both (h, w, 3) pixels, cut at a multiple of 16.

    `axis`: 0 puts them side by side, 1 one above the other, None either.
    """
    axis = int(rng.integers(2)) if axis is None else axis
    side = first[0].shape[1 - axis]
    edge = int(rng.integers(side // 64, side // 16 - side // 64)) * 16
    image = first[0].copy()
    if axis == 0:
        image[:, edge:] = second[0][:, edge:]
    else:
        image[edge:] = second[0][edge:]
    keep, take = first[1][:, axis] < edge, second[1][:, axis] >= edge
    return image, np.concatenate((first[1][keep], second[1][take]))
