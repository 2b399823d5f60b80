#!/usr/bin/env python3
"""Draw places where somebody stood a moment ago, with and without somebody who lies there now.

    python -m models.training.spots --out PLACES [--worlds 300] [--held-out 30] [--processes 2]

Scenes of all hazards are seen by cameras that hang somewhat otherwise in each, in three sizes. At `TIMES`
moments of each some of the people who walk there are made to lie, sit, crouch or bend. Then every place where
somebody is or was, where a thing lies, and some where nothing is, are cut out as the node does it
(`models.fallen.cut`), with the errors that a detector makes. Where somebody lies at a distance at which it is
hard to say whether they belong to the place, it is left out. Worlds to train with have seeds from
`models.training.split.TRAINING_SEED` on, those to validate with from `HELD_OUT_SEED` on.

Finished worlds are kept, so an interrupted run goes on.
"""

import argparse
import multiprocessing
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.fallen import cut
from models.training.split import TRAINING_SEED
from streams.picture import ArrayPicture
from streams.sim.camera import Camera
from streams.sim.lens import Lens
from streams.sim.postures import FALLS, POSTURES
from streams.sim.render import Shot
from streams.sim.scenario import SCENARIOS
from streams.sim.scene import Moment
from streams.sim.spec import SceneSpec
from streams.sim.wardrobe import outfit

Floats = NDArray[np.float64]

HELD_OUT_SEED = 500
SIDE = 112
SCENARIO_SHARES = {
    "fall": 0.34, "distractors": 0.16, "abandoned": 0.12, "removed": 0.06, "obstruction": 0.1,
    "forbidden": 0.08, "intrusion": 0.06, "wrongway": 0.04, "line": 0.04,
}  # fmt: skip
SIDE_PLACES = ("plaza", "gate", "platform")
SIZES = ((1280, 720), (1280, 720), (640, 360), (960, 540))
SECONDS, BEGIN_S = 75.0, 8.0
TIMES = 10
CHANGING = 0.6
"""Share of the scenes with rain, insects, headlights and swaying trees; their shadows look like anything."""
POSED, POSES, POSE_SHARES = (
    0.4,
    (*FALLS, "sit", "sit_ground", "crouch", "bend"),
    (0.13, 0.1, 0.1, 0.1, 0.07, 0.32, 0.12, 0.06),
)
TWICE, ASTRAY = ("fall", "rise", "sit_ground"), 0.6
"""Postures of which several places are cut, and the share of other low ones whose place is as far astray."""
NEAR, FAR = (0.75, 0.55), (1.4, 1.0)
"""A body whose middle is so near the foot of who stood there, in heights aside and along, lies there; one
beyond the second pair does not."""
SEEN, HIDDEN = 0.45, 0.1
"""Share of who lies that must be seen, and of those who count as not there at all."""
SMALLEST = 0.05
STATURE_M = 1.7


@dataclass(frozen=True, slots=True)
class Cut:
    """One place: its pixels (SIDE, SIDE, 3), whether somebody lies there, and what is there instead."""

    pixels: NDArray[np.uint8]
    lies: bool
    what: str


def world(seed: int) -> list[Cut]:
    """All places of a seed's scene."""
    rng = np.random.default_rng((seed, 79))
    scenario = str(rng.choice(list(SCENARIO_SHARES), p=list(SCENARIO_SHARES.values())))
    places = SCENARIOS[scenario].places or SIDE_PLACES
    size = SIZES[int(rng.integers(len(SIZES)))]
    weather = "changing" if rng.random() < CHANGING else ""
    place, view = places[seed % len(places)], seed % 7 and seed
    spec = SceneSpec(scenario, place, seed, size, 5.0, SECONDS, view=view, weather=weather)
    lens, scene = Lens(spec), spec.scene()
    found: list[Cut] = []
    for time_s in np.sort(rng.uniform(BEGIN_S, SECONDS - 1.0, TIMES)).tolist():
        moment = posed(scene.at(time_s), rng)
        found += _places(lens, moment, spec, rng)
    return found


def posed(moment: Moment, rng: np.random.Generator) -> Moment:
    """Some of those who are upright in other postures."""
    chosen = (rng.random(len(moment)) < POSED) & (moment.posture == 0)
    kinds = [POSTURES.index(str(name)) for name in rng.choice(POSES, len(moment), p=POSE_SHARES)]
    return replace(
        moment,
        posture=np.where(chosen, kinds, moment.posture),
        progress=np.where(chosen, 1.0, moment.progress),
        heading=np.where(chosen, rng.uniform(-np.pi, np.pi, len(moment)), moment.heading),
    )


def _places(lens: Lens, moment: Moment, spec: SceneSpec, rng: np.random.Generator) -> list[Cut]:
    shot = lens.shoot(moment, visibility=True)
    picture = ArrayPicture(np.asarray(cv2.cvtColor(shot.yuv, cv2.COLOR_YUV2BGR_I420), np.uint8))
    lying, half = _lying(shot, moment)
    found = []
    for ground, stature_m, what in _spots(shot, moment, spec.seed, rng):
        foot, tall = _upright(lens.camera, ground, stature_m, spec.size)
        if not SMALLEST * spec.size[1] < tall or not _inside(foot, tall, spec.size):
            continue
        if _near(half, foot, tall, FAR):
            continue
        lies = _near(lying, foot, tall, NEAR)
        if not lies and _near(lying, foot, tall, FAR):
            continue
        found.append(Cut(cut(picture, foot, tall, SIDE), lies, what))
    return found


def _lying(shot: Shot, moment: Moment) -> tuple[Floats, Floats]:
    """(n, 2) pixels: middles of those who lie in sight, and of those who are hidden or half down."""
    lying: list[tuple[float, float]] = []
    half: list[tuple[float, float]] = []
    for one, visible in zip(shot.people, shot.visible, strict=True):
        kind, progress = POSTURES[int(moment.posture[one.row])], float(moment.progress[one.row])
        if not kind.startswith(("fall", "rise")) or visible < HIDDEN or progress < 0.3:
            continue
        left, top, right, bottom = one.box
        whole = visible >= SEEN and progress > 0.95
        (lying if whole else half).append(((left + right) / 2, (top + bottom) / 2))
    return np.array(lying, np.float64).reshape(-1, 2), np.array(half, np.float64).reshape(-1, 2)


def _spots(
    shot: Shot, moment: Moment, seed: int, rng: np.random.Generator
) -> list[tuple[Floats, float, str]]:
    """Ground points to look at, the stature of who stood there, and what is there."""
    spots: list[tuple[Floats, float, str]] = []
    for one in shot.people:
        kind = POSTURES[int(moment.posture[one.row])]
        here = moment.ground[one.row]
        stature_m = outfit(seed, int(moment.number[one.row])).height_m * float(moment.stature[one.row])
        low = kind.startswith(TWICE)
        # Who is low is looked at from places where others stood, too.
        for _ in range(1 + 2 * low):
            astray = low or (kind != "upright" and rng.random() < ASTRAY)
            away = rng.uniform(0.0, 1.1) if astray else abs(rng.normal(0, 0.35))
            way = rng.uniform(-np.pi, np.pi)
            shifted = here + away * np.array((np.cos(way), np.sin(way)))
            spots.append((shifted, stature_m * float(np.exp(rng.normal(0, 0.07))), kind))
        if rng.random() < 0.2:
            spots.append((here + rng.normal(0, 2.5, 2), STATURE_M, "beside"))
    for item in moment.things:
        if rng.random() < 0.5:
            at = np.array(item.ground, np.float64) + rng.normal(0, 0.3, 2)
            spots.append((at, STATURE_M * float(np.exp(rng.normal(0, 0.08))), "thing"))
    return spots


def _upright(camera: Camera, ground: Floats, stature_m: float, size: tuple[int, int]) -> tuple[Floats, float]:
    """The foot in pixels, and the height, of somebody upright at a ground point."""
    ends = camera.project(np.array([[*ground, 0.0], [*ground, stature_m]])) * size
    return ends[0], float(ends[0, 1] - ends[1, 1])


def _inside(foot: Floats, tall: float, size: tuple[int, int]) -> bool:
    return bool(0 < foot[0] < size[0] and tall < foot[1] < size[1])


def _near(middles: Floats, foot: Floats, tall: float, reach: tuple[float, float]) -> bool:
    return bool((np.abs(middles - foot) < np.array(reach) * tall).all(axis=1).any())


def _draw(task: tuple[Path, int]) -> int:
    folder, seed = task
    cv2.setNumThreads(1)
    path = folder / f"seed{seed}.npz"
    if not path.exists():
        cuts = world(seed)
        part = path.with_suffix(".part.npz")
        np.savez_compressed(
            part,
            pixels=np.array([one.pixels for one in cuts], np.uint8).reshape(-1, SIDE, SIDE, 3),
            lies=np.array([one.lies for one in cuts], np.bool_),
            what=np.array([one.what for one in cuts], np.str_),
        )
        part.rename(path)
    return seed


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--worlds", type=int, default=300, help="scenes to train with")
    parser.add_argument("--held-out", type=int, default=30, help="scenes to validate with")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    seeds = [*range(HELD_OUT_SEED, HELD_OUT_SEED + options.held_out)]
    seeds += range(TRAINING_SEED, TRAINING_SEED + options.worlds)
    os.environ |= {"MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_MMAP_THRESHOLD_": str(2**31 - 1)}
    tasks = [(options.out, seed) for seed in seeds]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for done, _ in enumerate(pool.imap_unordered(_draw, tasks), start=1):
            print(f"\r{done} of {len(tasks)} worlds", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
