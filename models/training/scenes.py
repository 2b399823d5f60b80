#!/usr/bin/env python3
"""Draw random crowds with the simulator: pictures with exact head points, to train and calibrate with.

    python -m models.training.scenes --out SCENES [--count 1500] [--processes 2]

Each camera hangs 2.5 to 9 m high over one of the simulator's places; each picture holds up to 500 people, in
groups of up to 7 to the square metre. Finished pictures are kept, so an interrupted run goes on. The points
are the middles of all heads in the picture, but for those that nothing is seen of at all.
"""

import argparse
import json
import multiprocessing
import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.sim.camera import Camera
from streams.sim.places import PLACES, Place
from streams.sim.render import Renderer
from streams.sim.scene import Moment
from streams.sim.wardrobe import outfit

Floats = NDArray[np.float64]

SIZES = ((640, 360), (640, 360), (360, 640), (640, 480))
"""Pictures are landscape mostly, as cameras are."""

PICTURES_A_CAMERA = 5
HEAD_HEIGHT = 0.935
"""Height of the middle of the head as a share of the stature, as the figures are drawn."""

BODY_M = 0.33
"""Least distance between two people's middles; 7 to the square metre still fit."""

SEEN = 0.03
"""Share of a figure that must be seen for its head to count."""

CROWDS, CROWD_SHARES = ((0, 1), (1, 25), (10, 120), (80, 500)), (0.06, 0.4, 0.3, 0.24)
GROUPS, GROUP_SHARES = ((1, 2), (2, 10), (10, 300)), (0.4, 0.35, 0.25)
"""People in a picture, and in a group of it: from, up to, and how often."""

REACH_M = 27.0
"""People stand no farther away, and before the facades that close the places off."""


def random_camera(rng: np.random.Generator, aspect: float) -> Camera:
    """A camera as they hang on posts and walls; `aspect` is the ratio of width to height."""
    height = float(np.exp(rng.uniform(np.log(2.5), np.log(9.0))))
    return Camera(
        height_m=height,
        tilt_deg=float(rng.uniform(12, 55)),
        hfov_deg=float(rng.uniform(45, 85)) * (0.7 if aspect < 1 else 1.0),
        yaw_deg=float(rng.uniform(-20, 20)),
        aspect=aspect,
        position_m=(float(rng.uniform(-4, 4)), float(rng.uniform(0, 6))),
    )


def place_people(place: Place, rng: np.random.Generator) -> Floats:
    """(n, 2) metres: clusters and strays within what the camera sees, none closer than `BODY_M`."""
    grid = np.stack(np.meshgrid(np.linspace(0.01, 0.99, 25), np.linspace(0.02, 0.99, 25)), -1).reshape(-1, 2)
    seen = place.camera.to_ground(grid)
    near = seen[np.isfinite(seen).all(1)]
    near = near[(np.hypot(*(near - place.camera.position_m).T) < REACH_M) & (near[:, 1] < REACH_M)]
    if not len(near):
        return np.zeros((0, 2))
    low, high = CROWDS[int(rng.choice(len(CROWDS), p=CROWD_SHARES))]
    wanted = int(rng.integers(low, high))
    points: list[Floats] = []
    while len(points) < wanted:
        low, high = GROUPS[int(rng.choice(len(GROUPS), p=GROUP_SHARES))]
        size = min(wanted - len(points), int(rng.integers(low, high)))
        density = float(np.exp(rng.uniform(np.log(0.3), np.log(7.5))))
        points += list(_cluster(near[rng.integers(len(near))], size, density, rng))
    spots = np.array(points).reshape(-1, 2)
    return _apart(spots[(spots[:, 1] < REACH_M + 1.5) & _drawable(place.camera, spots)])[:wanted]


def _drawable(camera: Camera, ground: Floats) -> NDArray[np.bool_]:
    """(n,) which of (n, 2) people the simulator can draw: those not right below the camera."""
    upright = camera.project(np.column_stack((ground, np.full(len(ground), 1.7)))) - camera.project(ground)
    lean = np.abs(upright[:, 0] * camera.aspect) / np.maximum(-upright[:, 1], 1e-6)
    return np.asarray((camera.depth(ground) > 2.0) & (lean < 1.0) & (upright[:, 1] > -1.2))


def _cluster(centre: Floats, count: int, density: float, rng: np.random.Generator) -> Floats:
    """(count, 2) points on a shaken hexagonal grid of that density in an ellipse about the centre."""
    pitch = np.sqrt(2 / (np.sqrt(3) * density))
    side = int(np.ceil(np.sqrt(count) * 1.6)) + 2
    rows, columns = np.meshgrid(np.arange(-side, side + 1), np.arange(-side, side + 1), indexing="ij")
    grid = np.stack((columns + 0.5 * (rows % 2), rows * np.sqrt(3) / 2), -1).reshape(-1, 2) * pitch
    ratio, turn = np.exp(rng.uniform(-0.7, 0.7)), rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    flat = grid @ rotation * (1.0, ratio)
    chosen = grid[np.argsort(np.hypot(*flat.T) + rng.normal(0, 0.3 * pitch, len(flat)))[:count]]
    shaken = chosen + rng.normal(0, 0.2 * pitch, chosen.shape)
    return np.asarray(shaken + centre, np.float64)


def _apart(points: Floats) -> Floats:
    """Those points that no earlier one is closer to than `BODY_M`."""
    kept = np.zeros((len(points), 2))
    count = 0
    for point in points:
        if not count or np.hypot(*(kept[:count] - point).T).min() >= BODY_M:
            kept[count] = point
            count += 1
    return kept[:count]


def _moment(ground: Floats, rng: np.random.Generator) -> Moment:
    count = len(ground)
    common = rng.uniform(-np.pi, np.pi)
    loose = rng.uniform(0.1, 3.0)
    return Moment(
        time_s=float(rng.uniform(0, 100)),
        number=rng.choice(100_000, count, replace=False).astype(np.int64),
        ground=ground,
        heading=common + rng.normal(0, loose, count),
        walked=rng.uniform(0, 50, count),
        speed=np.where(rng.random(count) < 0.5, 0.0, rng.uniform(0.3, 1.5, count)),
    )


def heads(renderer: Renderer, moment: Moment, seed: int, visible: dict[int, float]) -> Floats:
    """(n, 2) picture pixels of the middles of the heads within the picture; `visible` share by row."""
    if not len(moment):
        return np.zeros((0, 2))
    tall = np.array([outfit(seed, int(number)).height_m for number in moment.number])
    points = renderer.camera.project(np.column_stack((moment.ground, HEAD_HEIGHT * tall))) * renderer.size
    shown = np.array([visible.get(row, 0.0) > SEEN for row in range(len(moment))])
    inside = (points >= 0).all(1) & (points < renderer.size).all(1)
    return np.asarray(points[shown & inside], np.float64)


def draw(index: int, folder: Path) -> dict[str, list[list[float]]]:
    """Draw the pictures of one camera into `folder`; file name -> head points."""
    rng = np.random.Generator(np.random.PCG64((index, 77)))
    size = SIZES[int(rng.integers(len(SIZES)))]
    place = list(PLACES.values())[int(rng.integers(len(PLACES)))]
    place = replace(place, camera=random_camera(rng, size[0] / size[1]))
    renderer = Renderer(place, index, size)
    found = {}
    for number in range(PICTURES_A_CAMERA):
        moment = _moment(place_people(place, rng), rng)
        shot = renderer.shoot(moment, visibility=True)
        visible = {one.row: share for one, share in zip(shot.people, shot.visible, strict=True)}
        name = f"scene-{index:05d}-{number}.jpg"
        image = cv2.cvtColor(shot.yuv, cv2.COLOR_YUV2BGR_I420)
        cv2.imwrite(str(folder / name), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        found[name] = heads(renderer, moment, index, visible).round(1).tolist()
    (folder / f"scene-{index:05d}.json").write_text(json.dumps(found))
    return found


def _draw(task: tuple[int, Path]) -> dict[str, list[list[float]]]:
    cv2.setNumThreads(1)
    done = task[1] / f"scene-{task[0]:05d}.json"
    return json.loads(done.read_text()) if done.exists() else draw(*task)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1500, help="pictures")
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first camera: other ones are other pictures"
    )
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tasks = [(options.first + index, options.out) for index in range(-(-options.count // PICTURES_A_CAMERA))]
    # The simulator makes and drops large arrays; glibc would give each back and fault it in anew.
    os.environ |= {"MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_MMAP_THRESHOLD_": str(2**31 - 1)}
    points: dict[str, list[list[float]]] = {}
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for done, found in enumerate(pool.imap(_draw, tasks), start=1):
            points |= found
            print(f"\r{done} of {len(tasks)} cameras", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    (options.out / "points.json").write_text(json.dumps(points))


if __name__ == "__main__":
    main()
