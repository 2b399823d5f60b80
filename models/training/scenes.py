#!/usr/bin/env python3
"""Draw crowds with the simulator: pictures with exact head points, to train and calibrate with.

    python -m models.training.scenes --out SCENES [--count 900] [--worlds 75] [--held-out 10] [--processes 2]

There are two kinds. In `--count` of the pictures people stand in random clusters: each camera hangs 2.5 to
9 m high over one of the simulator's places; each picture holds up to 500 people, in groups of up to 7 to the
square metre. The others come from the simulator's own scenarios of crowds, `PICTURES_A_WORLD` of each world,
seen by the place's own camera and by one that hangs and looks somewhat otherwise. Worlds to train with have
seeds from `models.training.split.TRAINING_SEED` on, `--held-out` ones to validate with have lower ones, from
`HELD_OUT_SEED` on; seeds below that are left to benchmarks. Finished pictures are kept, so an interrupted run
goes on.

The points are the middles of all heads in the picture, also of who is wholly hidden by other people: how many
stand there is what is asked for. Only heads behind something solid are left out.
"""

import argparse
import json
import multiprocessing
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.split import TRAINING_SEED
from streams.sim.camera import Camera
from streams.sim.places import PLACES, Facade, Place
from streams.sim.render import Renderer
from streams.sim.scene import Moment
from streams.sim.spec import SceneSpec
from streams.sim.wardrobe import outfit

Floats = NDArray[np.float64]

SIZES = ((640, 360), (640, 360), (360, 640), (640, 480))
"""Pictures are landscape mostly, as cameras are."""

PICTURES_A_CAMERA = 5
HEAD_HEIGHT = 0.935
"""Height of the middle of the head as a share of the stature, as the figures are drawn."""

BODY_M = 0.33
"""Least distance between two people's middles; 7 to the square metre still fit."""

CROWDS, CROWD_SHARES = ((0, 1), (1, 25), (10, 120), (80, 500)), (0.06, 0.4, 0.3, 0.24)
GROUPS, GROUP_SHARES = ((1, 2), (2, 10), (10, 300)), (0.4, 0.35, 0.25)
"""People in a picture, and in a group of it: from, up to, and how often."""

REACH_M = 27.0
"""People stand no farther away, and before the facades that close the places off."""

SCENARIO_PLACES = {
    "crowding": ("plaza", "plaza", "gate", "platform"),
    "surge": ("plaza", "plaza", "gate", "stadium"),
    "counterflow": ("passage",),
    "bottleneck": ("stadium",),
    "evacuation": ("stadium",),
}
"""Where the scenarios of crowds play, the more often the more often named."""

WHEN = {
    "crowding": (0.08, 0.9),
    "surge": (0.1, 0.62),
    "counterflow": (0.12, 0.95),
    "bottleneck": (0.15, 0.95),
    "evacuation": (0.03, 0.45),
}
"""The shares of a scenario's time in which it is looked at: those in which people are there."""

EARLY = 1.8
"""Above 1: crowds are looked at more often while they build up, as small dense cores are counted worst."""

HELD_OUT_SEED = 500
SECONDS = (60.0, 75.0, 100.0, 120.0, 150.0)
TIMES = 8
PICTURES_A_WORLD = 3 * TIMES
FULL = (1280, 720)
SMALL = (640, 360)
"""Sizes that scenarios are drawn in; the larger ones are kept at the smaller size."""


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
    time_s = float(rng.uniform(0, 100))
    number = rng.choice(100_000, count, replace=False).astype(np.int64)
    heading = common + rng.normal(0, loose, count)
    walked = rng.uniform(0, 50, count)
    speed = np.where(rng.random(count) < 0.5, 0.0, rng.uniform(0.3, 1.5, count))
    velocity = speed[:, None] * np.stack((np.cos(heading), np.sin(heading)), axis=1)
    return Moment(time_s, number, ground, heading, walked, velocity)


def heads(renderer: Renderer, place: Place, moment: Moment, seed: int) -> Floats:
    """(n, 2) picture pixels of the middles of the heads within the picture, but for those behind things."""
    if not len(moment):
        return np.zeros((0, 2))
    tall = np.array([outfit(seed, int(number)).height_m for number in moment.number])
    middles = np.column_stack((moment.ground, HEAD_HEIGHT * tall))
    points = renderer.camera.project(middles) * renderer.size
    inside = (points >= 0).all(1) & (points < renderer.size).all(1)
    return np.asarray(points[inside & ~behind(place, renderer.camera, middles)], np.float64)


def behind(place: Place, camera: Camera, points: Floats) -> NDArray[np.bool_]:
    """(n,) which of (n, 3) points in metres the place's things and buildings hide from a camera over it."""
    eye = np.array([*camera.position_m, camera.height_m])
    ways = np.where(np.abs(points - eye) < 1e-9, 1e-9, points - eye)
    hidden = np.zeros(len(points), np.bool_)
    for box in (*place.boxes, *(panel for fence in place.fences for panel in fence.panels)):
        sides = (np.array([[*box.low, 0.0], [*box.high, box.height_m]])[:, None] - eye) / ways
        enter, leave = sides.min(axis=0).max(axis=1), sides.max(axis=0).min(axis=1)
        hidden |= (enter < leave) & (enter > 0) & (enter < 1)
    for facade in place.facades:
        hidden |= _beyond(facade, eye, ways)
    return hidden


def _beyond(facade: Facade, eye: Floats, ways: Floats) -> NDArray[np.bool_]:
    """(n,) which of the ways (n, 3) from the eye go through a facade."""
    start, along = np.array(facade.start), np.subtract(facade.end, facade.start)
    normal = np.array([-along[1], along[0]])
    share = (start - eye[:2]) @ normal / (ways[:, :2] @ normal)
    at = eye + ways * share[:, None]
    across = (at[:, :2] - start) @ along / (along @ along)
    return np.asarray(
        (share > 0) & (share < 1) & (across >= 0) & (across <= 1) & (at[:, 2] < facade.height_m)
    )


def draw(index: int, folder: Path) -> dict[str, list[list[float]]]:
    """Draw the pictures of one camera over random clusters into `folder`; file name -> head points."""
    rng = np.random.Generator(np.random.PCG64((index, 77)))
    size = SIZES[int(rng.integers(len(SIZES)))]
    place = list(PLACES.values())[int(rng.integers(len(PLACES)))]
    place = replace(place, camera=random_camera(rng, size[0] / size[1]))
    renderer = Renderer(place, index, size)
    found = {}
    for number in range(PICTURES_A_CAMERA):
        moment = _moment(place_people(place, rng), rng)
        name = f"scene-{index:05d}-{number}.jpg"
        found[name] = _shoot(renderer, place, moment, index, folder / name)
    return found


def _shoot(renderer: Renderer, place: Place, moment: Moment, seed: int, path: Path) -> list[list[float]]:
    """Write a picture, no larger than `SMALL` if it is a wide one; its head points."""
    image = cv2.cvtColor(renderer.shoot(moment).yuv, cv2.COLOR_YUV2BGR_I420)
    points = heads(renderer, place, moment, seed)
    if renderer.size == FULL:
        image = cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA)
        points = points * SMALL[0] / FULL[0]
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    rows: list[list[float]] = points.round(1).tolist()
    return rows


def shaken_camera(camera: Camera, rng: np.random.Generator) -> Camera:
    """A camera at about the same place that looks at about the same ground."""
    height = camera.height_m * float(np.exp(rng.normal(0, 0.25)))
    position = np.array(camera.position_m) + rng.uniform((-3.0, -2.0), (3.0, 2.0))
    tilt = camera.tilt_deg * height / camera.height_m + rng.normal(0, 4.0)
    return replace(
        camera,
        height_m=height,
        tilt_deg=float(np.clip(tilt, 9.0, 60.0)),
        hfov_deg=float(np.clip(camera.hfov_deg * np.exp(rng.normal(0, 0.15)), 35.0, 95.0)),
        yaw_deg=float(rng.normal(0, 8.0) + 4.0 * position[0]),
        position_m=(float(position[0]), float(position[1])),
    )


def play(scenario: str, seed: int, folder: Path) -> dict[str, list[list[float]]]:
    """Draw `PICTURES_A_WORLD` pictures of a world of a scenario into `folder`; file name -> head points.

    Each moment is seen by the place's own camera as the simulator shows it, by a shaken one, and, in another
    light and the larger size, by one of the two.
    """
    rng = np.random.Generator(np.random.PCG64((seed, list(SCENARIO_PLACES).index(scenario), 78)))
    where = PLACES[str(rng.choice(SCENARIO_PLACES[scenario]))]
    seconds = float(rng.choice(SECONDS))
    scene = SceneSpec(scenario=scenario, place=where.name, seed=seed, seconds=seconds).scene()
    shaken = [replace(where, camera=shaken_camera(where.camera, rng)) for _ in range(2)]
    lights = [seed, *(int(light) for light in rng.integers(TRAINING_SEED, 10**6, 2))]
    places = (where, shaken[0], where if rng.random() < 0.5 else shaken[1])
    views = [
        (Renderer(place, light, size), place, light)
        for place, light, size in zip(places, lights, (SMALL, SMALL, FULL), strict=True)
    ]
    begin, end = WHEN[scenario]
    found = {}
    times = (begin + (end - begin) * rng.uniform(size=TIMES) ** EARLY) * seconds
    for turn, time_s in enumerate(np.sort(times)):
        moment = scene.at(float(time_s))
        for kind, (renderer, place, light) in enumerate(views):
            name = f"play-{scenario}-seed{seed}-{turn}-{kind}.jpg"
            seen = _only(moment, _drawable(renderer.camera, moment.ground))
            found[name] = _shoot(renderer, place, seen, light, folder / name)
    return found


def _only(moment: Moment, rows: NDArray[np.bool_]) -> Moment:
    columns = ("number", "ground", "heading", "walked", "velocity")
    return replace(moment, **{name: getattr(moment, name)[rows] for name in columns})


@dataclass(frozen=True, slots=True)
class Task:
    """Pictures to draw into a folder: of a scenario with that seed, or of that random camera."""

    folder: Path
    number: int
    scenario: str | None = None

    @property
    def notes(self) -> Path:
        """Where their head points are kept once they are drawn."""
        return self.folder / f"{self.scenario or 'scene'}-{self.number:05d}.json"


def _draw(task: Task) -> dict[str, list[list[float]]]:
    cv2.setNumThreads(1)
    if task.notes.exists():
        kept: dict[str, list[list[float]]] = json.loads(task.notes.read_text())
        return kept
    if task.scenario is None:
        found = draw(task.number, task.folder)
    else:
        found = play(task.scenario, task.number, task.folder)
    task.notes.write_text(json.dumps(found))
    return found


def _tasks(options: argparse.Namespace) -> list[Task]:
    """Scenarios by turns with ever new seeds, then random cameras."""
    names = list(SCENARIO_PLACES)
    tasks = [
        Task(options.out, first + index // len(names), names[index % len(names)])
        for first, count in ((HELD_OUT_SEED, options.held_out), (TRAINING_SEED, options.worlds))
        for index in range(count)
    ]
    cameras = -(-options.count // PICTURES_A_CAMERA)
    return tasks + [Task(options.out, options.first + index) for index in range(cameras)]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=900, help="pictures of random clusters")
    parser.add_argument("--worlds", type=int, default=75, help="worlds of scenarios to train with")
    parser.add_argument("--held-out", type=int, default=10, help="worlds of scenarios to validate with")
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first camera: other ones are other pictures"
    )
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tasks = _tasks(options)
    # The simulator makes and drops large arrays; glibc would give each back and fault it in anew.
    os.environ |= {"MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_MMAP_THRESHOLD_": str(2**31 - 1)}
    points: dict[str, list[list[float]]] = {}
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for done, found in enumerate(pool.imap(_draw, tasks), start=1):
            points |= found
            print(f"\r{done} of {len(tasks)} cameras and worlds", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    (options.out / "points.json").write_text(json.dumps(points))


if __name__ == "__main__":
    main()
