"""How surely a camera that was moved is noticed, and how rarely one that was not, at simulated places.

    python benchmarks/steadiness.py [--seeds 3] [--json FILE]

Each seed is another crowd, light and wear at four scenes. The camera learns its view over 200 s of the scene;
then it is started anew, as after a power cut, and looks through another camera, another light or worse
pictures. What should happen is the simulator's own geometry: whether a corner of the zone is off by more than
the limits of `edge.yardstick`.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import machine
from edge.config import CameraConfig
from edge.site import Site
from edge.steadiness import EVERY_S, Steadiness
from edge.view_store import ViewStore
from edge.yardstick import LEAST_GROUND_M, LEAST_VIEW
from streams.sim.camera import Camera
from streams.sim.light import Light
from streams.sim.places import PLACES, Place
from streams.sim.render import Renderer
from streams.sim.scenario import build
from streams.sim.scene import Moment

Grey = NDArray[np.uint8]
Worse = Callable[[Grey, np.random.Generator], Grey]

SIZE = (640, 360)
SCENES = (
    ("plaza", "walk", 30),
    ("passage", "counterflow", 120),
    ("stadium", "walk", 40),
    ("plaza", "crowding", 120),
)
LEARN_S, TRY_S, LONG_S = 210.0, 60.0, 230.0


@dataclass(frozen=True)
class Case:
    """One thing that may happen to a camera.

    Attributes:
        name: what the figures are told by.
        camera: what it looks through then.
        light: another seed's; None for the same.
        worse: what happens to the picture.
        seconds: how long it is watched.
    """

    name: str
    camera: Callable[[Camera], Camera] = lambda camera: camera
    light: int | None = None
    worse: Worse = lambda grey, _: grey
    seconds: float = TRY_S


def _turned(pan: float = 0.0, tilt: float = 0.0, zoom: float = 1.0) -> Callable[[Camera], Camera]:
    return lambda c: replace(
        c, yaw_deg=c.yaw_deg + pan, tilt_deg=c.tilt_deg + tilt, hfov_deg=c.hfov_deg / zoom
    )


def _night(grey: Grey, rng: np.random.Generator) -> Grey:
    dim = 40 + (grey.astype(np.float32) - 100) * 0.25 + rng.normal(0, 4, grey.shape)
    return np.asarray(np.clip(dim, 0, 255), np.uint8)


def _infrared(grey: Grey, rng: np.random.Generator) -> Grey:
    """Reversed contrast under a lamp beside the lens: the worst of the switch."""
    y, x = np.mgrid[-1 : 1 : grey.shape[0] * 1j, -1 : 1 : grey.shape[1] * 1j]
    lamp = (200 - 0.6 * grey) * np.exp(-1.5 * (x**2 + y**2))
    return np.asarray(np.clip(lamp + rng.normal(0, 5, grey.shape), 0, 255), np.uint8)


def _rain(grey: Grey, rng: np.random.Generator) -> Grey:
    wet = cv2.GaussianBlur(grey, (0, 0), 1.0)
    for x, y in rng.integers(0, (grey.shape[1], grey.shape[0]), (150, 2)).tolist():
        cv2.line(wet, (x, y), (x + 1, y + int(rng.integers(8, 20))), 220, 1, cv2.LINE_AA)
    return np.asarray(wet, np.uint8)


def _squeezed(grey: Grey, _: np.random.Generator) -> Grey:
    packed = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 15])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)


def _shaken(grey: Grey, rng: np.random.Generator) -> Grey:
    x, y = rng.uniform(-2, 2, 2)
    matrix = np.array([[1, 0, x], [0, 1, y]])
    return np.asarray(
        cv2.warpAffine(grey, matrix, grey.shape[::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _covered(grey: Grey, rng: np.random.Generator) -> Grey:
    return np.asarray(np.clip(60 + rng.normal(0, 3, grey.shape), 0, 255), np.uint8)


def _lorry(grey: Grey, _: np.random.Generator) -> Grey:
    """Its side before nine tenths of the picture, with a pattern of its own."""
    hidden, width = grey.copy(), round(grey.shape[1] * 0.9)
    tile = np.kron(np.random.default_rng(5).integers(30, 220, (12, 18)), np.ones((30, 32)))
    hidden[:, :width] = tile[: grey.shape[0], :width].astype(np.uint8)
    return hidden


CASES = (
    Case("nothing", seconds=LONG_S),
    Case("light", light=5, seconds=LONG_S),
    Case("light", light=12, seconds=LONG_S),
    Case("night", worse=_night, seconds=LONG_S),
    Case("infrared", worse=_infrared, seconds=LONG_S),
    Case("rain", worse=_rain, seconds=LONG_S),
    Case("compression", worse=_squeezed, seconds=LONG_S),
    Case("vibration", worse=_shaken, seconds=LONG_S),
    Case("covered", worse=_covered, seconds=LONG_S),
    Case("lorry, 60 s", worse=_lorry),
    *(Case(f"pan {d:g}", _turned(pan=d), seconds=LONG_S) for d in (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)),
    *(Case(f"tilt {d:g}", _turned(tilt=d), seconds=LONG_S) for d in (0.1, 0.5, 1.0, 3.0, 10.0)),
    *(Case(f"zoom {z:g}", _turned(zoom=z), seconds=LONG_S) for z in (1.05, 1.2, 0.85)),
    Case("pan 45", _turned(pan=45), seconds=LONG_S),
)


def _configured(place: Place) -> CameraConfig:
    camera, zone = place.camera, np.array(place.crowd.polygon)
    low, high = zone.min(axis=0), zone.max(axis=0)
    spots = np.array(
        [(x, y) for x in np.linspace(low[0], high[0], 3) for y in np.linspace(low[1], high[1], 3)]
    )
    survey = [
        {"image": image.tolist(), "ground": spot.tolist()}
        for image, spot in zip(camera.project(spots), spots, strict=True)
    ]
    return CameraConfig.model_validate(
        {
            "id": "gate",
            "source": "x.mp4",
            "ground": survey,
            "zones": [{"id": "z", "polygon": zone.tolist(), "units": "ground"}],
        }
    )


def _matters(place: Place, camera: Camera, corners: NDArray[np.float64]) -> tuple[bool, float]:
    """Whether the zone is off beyond the limits, and by how much the picture is, in widths."""
    before, now = place.camera.project(corners), camera.project(corners)
    widths = np.linalg.norm((now - before) * (1, 9 / 16), axis=1)
    wrong = np.nan_to_num(np.linalg.norm(place.camera.to_ground(now) - corners, axis=1), nan=np.inf)
    return bool(((wrong > LEAST_GROUND_M) & (widths > LEAST_VIEW)).any()), float(np.nanmax(widths))


def _pictures(place: Place, case: Case, seed: int, moments: Sequence[Moment]) -> Iterator[tuple[float, Grey]]:
    light = None if case.light is None else Light.by_seed(case.light)
    there = replace(place, camera=case.camera(place.camera))
    renderer, rng = Renderer(there, seed, SIZE, light=light), np.random.default_rng(seed)
    for moment in moments:
        grey = renderer.shoot(moment).yuv[: SIZE[1]]
        yield (
            moment.time_s,
            np.asarray(cv2.resize(case.worse(grey, rng), (320, 180), interpolation=cv2.INTER_AREA)),
        )


def _tried(
    place: Place, case: Case, seed: int, moments: Sequence[Moment], folder: Path
) -> tuple[float | None, list[float]]:
    """Seconds until it was told, None for never; and what each look took in milliseconds."""
    config = _configured(place)
    steady, costs = Steadiness(config, Site.from_config(config), ViewStore(folder)), []
    for time_s, luma in _pictures(place, case, seed, moments):
        began = time.thread_time()
        moved = steady.look(luma, time_s)
        costs.append((time.thread_time() - began) * 1e3)
        if moved is not None:
            return time_s - moments[0].time_s, costs
    return None, costs


def measure(seeds: int) -> Iterator[dict[str, object]]:
    """A row a case, seed and scene."""
    for seed in range(seeds):
        for name, plot, people in SCENES:
            place = PLACES[name]
            scene = build(plot, place=name, seed=seed, seconds=LEARN_S + LONG_S + 10, people=people)
            times = np.arange(0.5, LEARN_S + LONG_S, EVERY_S)
            moments = [scene.at(float(t)) for t in times]
            before = moments[: int(LEARN_S / EVERY_S)]
            after = moments[len(before) :]
            corners = np.array(place.crowd.polygon)
            with tempfile.TemporaryDirectory() as folder:
                told, costs = _tried(place, Case("learning"), seed, before, Path(folder))
                kept = any(Path(folder).iterdir())
                yield _row("learning", seed, plot, told=told, due=False, widths=0.0, costs=costs, kept=kept)
                content = {p: p.read_bytes() for p in Path(folder).iterdir()}
                for case in CASES:
                    for path, data in content.items():
                        path.write_bytes(data)
                    looks = after[: int(case.seconds / EVERY_S)]
                    told, costs = _tried(place, case, seed, looks, Path(folder))
                    due, widths = _matters(place, case.camera(place.camera), corners)
                    yield _row(case.name, seed, plot, told=told, due=due, widths=widths, costs=costs)


def _row(name: str, seed: int, plot: str, **more: object) -> dict[str, object]:
    costs = np.array(more.pop("costs"))
    spent = {
        "ms_median": float(np.median(costs)),
        "ms_mean": float(costs.mean()),
        "ms_worst": float(costs.max()),
    }
    return {"case": name, "seed": seed, "scene": plot, **more, **spent}


def _summary(rows: Sequence[dict[str, object]]) -> dict[str, object]:
    cases: dict[str, list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        cases[str(row["case"])].append(row)
    table = {
        name: {
            "n": len(found),
            "due": sum(bool(row["due"]) for row in found),
            "told": sum(row["told"] is not None for row in found),
            "false": sum(row["told"] is not None and not row["due"] for row in found),
            "slowest_s": max(
                (float(str(row["told"])) for row in found if row["told"] is not None), default=None
            ),
        }
        for name, found in cases.items()
    }
    costs = {
        key: float(np.median([float(str(row[key])) for row in rows])) for key in ("ms_median", "ms_mean")
    }
    return {"machine": machine(), "cases": table, **costs}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Noticing that a camera was moved")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows = []
    for row in measure(arguments.seeds):
        rows.append(row)
        print(" ".join(f"{k}={v:.3f}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()))
        sys.stdout.flush()
    summary = _summary(rows)
    print(json.dumps(summary, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "summary": summary}, indent=1) + "\n")


if __name__ == "__main__":
    main()
