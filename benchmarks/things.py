"""Whether the detector that ships finds drawn vehicles, cycles and dogs, as what they are.

    python benchmarks/things.py --quick             # 2 minutes
    python benchmarks/things.py [--seeds 0-9] [--json]            # 20 minutes

Two views of each kind. `scenes`: as the hazard scenarios show them, a picture a second at 1280x720 and
640x360; things whole in the picture and at least 70 % visible count. `turntable`: alone at each place, at any
heading and at 8 to 22 m. A detection of 0.35 or more that overlaps by 0.4 finds a thing: `exact` with its own
class (a van as car, truck or bus), `family` with any vehicle's class, or any cycle's.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import finish, parsed, say, show
from models.boxes import iou
from models.detector import Detector
from models.zoo import load_detector
from streams.picture import ArrayPicture
from streams.sim.grounds import places_with
from streams.sim.places import PLACES
from streams.sim.render import Renderer
from streams.sim.scene import Moment
from streams.sim.showroom import Shown
from streams.sim.spec import SceneSpec
from streams.sim.things import CYCLES, VEHICLES, Kind, Thing

MODEL = "nanodet-g-416-int8"
COUNTS, OVERLAP, VISIBLE = 0.35, 0.4, 0.7
SIZES = ((1280, 720), (640, 360))
SECONDS = 90.0
MOTOR, RIDE = frozenset({"car", "bus", "truck", "train"}), frozenset({"bicycle", "motorcycle"})
EXACT: dict[Kind, frozenset[str]] = {
    "car": frozenset({"car"}),
    "van": frozenset({"car", "truck", "bus"}),
    "bus": frozenset({"bus"}),
    "truck": frozenset({"truck"}),
    "bicycle": frozenset({"bicycle"}),
    "motorcycle": frozenset({"motorcycle"}),
    "dog": frozenset({"dog"}),
    "suitcase": frozenset({"suitcase", "backpack", "handbag"}),
    "bag": frozenset({"suitcase", "backpack", "handbag"}),
    "box": frozenset(),
}
Tally = dict[tuple[str, str, str, str], list[int]]


def main() -> None:
    """Run the benchmark."""
    args = parsed(__doc__, ("--seeds", {"default": "0-4", "help": "first and last seed"}))
    low, high = (int(part) for part in args.seeds.split("-"))
    seeds = range(low, low + 2 if args.quick else high + 1)
    detector = load_detector(MODEL)
    tally: Tally = defaultdict(lambda: [0, 0, 0])
    for size in SIZES[:1] if args.quick else SIZES:
        for scenario, use in (("obstruction", "fire_lane"), ("forbidden", "people_only")):
            for place in places_with(use):  # type: ignore[arg-type]
                for seed in seeds:
                    _scene(detector, SceneSpec(scenario, place, seed, size, seconds=SECONDS), tally)
                say(f"{scenario} at {place}, {size[0]} px")
        for place in PLACES:
            _turntable(detector, place, size, 8 if args.quick else 24, tally)
    rows = _summary(tally)
    show("Share found", ("view", "kind", "px", "place", "looks", "exact", "family"), rows)
    recall = {
        f"{view} {kind} {size}": round(exact, 4)
        for view, kind, size, place, _, exact, _ in rows
        if place == "all"
    }
    finish("things", args, {"rows": [list(row) for row in rows], "recall": recall}, ["recall"])


def _scene(detector: Detector, spec: SceneSpec, tally: Tally) -> None:
    scene, renderer = spec.scene(), Renderer(spec.where, spec.seed, spec.size)
    for second in range(2, int(spec.seconds or 0)):
        moment = scene.at(float(second))
        if not any(thing.kind in VEHICLES | CYCLES or thing.kind == "dog" for thing in moment.things):
            continue
        shot = renderer.shoot(moment, visibility=True)
        looks = [
            one
            for one, visible in zip(shot.things, shot.things_visible, strict=True)
            if visible >= VISIBLE and _whole(one, spec.size)
        ]
        _count(detector, shot.yuv, looks, ("scenes", f"{spec.size[0]}", spec.place), tally)


def _turntable(detector: Detector, place: str, size: tuple[int, int], count: int, tally: Tally) -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    renderers = [Renderer(PLACES[place], seed, size) for seed in range(3)]
    for kind in EXACT:
        for k in range(count):
            for at in _spots(rng):
                heading = 2 * math.pi * (k + float(rng.uniform(0.0, 1.0))) / count
                thing = Thing(k, kind, at, heading, ridden=kind in CYCLES and k % 2 == 0)
                shot = renderers[k % 3].shoot(_alone(thing))
                if shot.things and _whole(shot.things[0], size):
                    _count(detector, shot.yuv, list(shot.things), ("turntable", f"{size[0]}", place), tally)
                    break


def _spots(rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    for _ in range(40):
        yield float(rng.uniform(-8.0, 8.0)), float(rng.uniform(8.0, 22.0))


def _alone(thing: Thing) -> Moment:
    none = np.zeros(0)
    return Moment(
        1.0, none.astype(np.int64), none.reshape(0, 2), none, none, none.reshape(0, 2), things=(thing,)
    )


def _whole(one: Shown, size: tuple[int, int]) -> bool:
    left, top, right, bottom = one.box
    return left > 2 and top > 2 and right < size[0] - 2 and bottom < size[1] - 2


def _count(
    detector: Detector, yuv: NDArray[np.uint8], looks: list[Shown], where: tuple[str, str, str], tally: Tally
) -> None:
    if not looks:
        return
    picture = np.asarray(cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR_I420), np.uint8)
    found = detector.detect(ArrayPicture(picture), COUNTS)
    names = np.array([detector.class_names[label] for label in found.labels.tolist()], object)
    height, width = picture.shape[:2]
    boxes = np.array([one.box for one in looks]) / (width, height, width, height)
    overlaps = iou(boxes.astype(np.float32), found.xyxy) >= OVERLAP
    for one, hits in zip(looks, overlaps, strict=True):
        kind = one.thing.kind
        family = MOTOR if kind in VEHICLES else RIDE if kind in CYCLES else EXACT[kind]
        seen = set(names[hits].tolist())
        label = f"{kind}{' ridden' if one.thing.ridden else ''}{' parked' if one.thing.parked_s > 0 else ''}"
        counts = tally[(where[0], label, where[1], where[2])]
        for k, hit in enumerate((True, bool(seen & EXACT[kind]), bool(seen & family))):
            counts[k] += hit


def _summary(tally: Tally) -> list[tuple[str, str, str, str, int, float, float]]:
    """Each row's and each kind's looks, and shares found; all places' together as place `all`."""
    every: Tally = defaultdict(lambda: [0, 0, 0])
    for (view, kind, size, place), counts in tally.items():
        for name in (place, "all"):
            every[(view, kind, size, name)] = [
                a + b for a, b in zip(every[(view, kind, size, name)], counts, strict=True)
            ]
    return [
        (*key, looks, exact / looks, family / looks) for key, (looks, exact, family) in sorted(every.items())
    ]


if __name__ == "__main__":
    main()
