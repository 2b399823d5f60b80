"""What the detector makes of people who are not upright: how often it finds them, and in what boxes.

    python benchmarks/postures.py [--pictures N] [--sizes WxH ...] [--model NAME] [--quick] [--json]

Simulated people stand, lie, sit, crouch and bend at random in each place's crowd zone, a few to a picture and
clear of each other. One is found when a box of the class `person` overlaps the true one by an IoU of 0.3 at
least: at the score that `starts` a track, and at the one that `keeps` it going; `any` is of whatever class.
`width` is that of the box to its height in pixels: nineteen of twenty are wider than the first, half than
the second, one of twenty than the third; `true` is the middle of the true boxes.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import parsed, show
from models.boxes import iou
from models.detections import Detections
from models.zoo import load_detector
from streams.picture import ArrayPicture
from streams.sim.geometry import inside
from streams.sim.light import Light
from streams.sim.places import PLACES, Place
from streams.sim.postures import FALLS, POSTURES
from streams.sim.render import Renderer
from streams.sim.scene import Moment
from streams.sim.spec import parse_size

STARTS, KEEPS = 0.35, 0.1
SHOWN = ("upright", *FALLS, "sit", "sit_ground", "crouch", "bend")
PEOPLE = 6
APART_M = 2.4
PARTIAL = 0.98

Found = tuple[float, float, float, float, str]
"""Best score of a person there, that box's width to height, the true one's, any class's best, and which."""


def moment(place: Place, rng: np.random.Generator, number: int) -> Moment:
    """Some people at random in the crowd zone, each in a posture of their own, the first of them upright."""
    zone = place.crowd.corners
    spots: list[NDArray[np.float64]] = []
    while len(spots) < PEOPLE:
        point = rng.uniform(zone.min(axis=0), zone.max(axis=0))
        near = any(np.hypot(*(point - other)) < APART_M for other in spots)
        if inside(point[None], zone).all() and (not near or rng.random() < 0.02):
            spots.append(point)
    kinds = [POSTURES.index(SHOWN[int(rng.integers(1, len(SHOWN)))]) for _ in spots[1:]]
    return Moment(
        float(number),
        np.arange(PEOPLE) + number * PEOPLE,
        np.array(spots),
        rng.uniform(0.0, 2 * np.pi, PEOPLE),
        np.zeros(PEOPLE),
        np.zeros((PEOPLE, 2)),
        np.array([0, *kinds]),
        np.array([0.0, *np.ones(PEOPLE - 1)]),
    )


def looked_at(detector: Any, place: Place, size: tuple[int, int], pictures: int) -> dict[str, list[Found]]:
    """What was found of everybody who can be seen whole, by posture."""
    rng = np.random.default_rng(len(place.name))
    found = defaultdict(list)
    for number in range(pictures):
        renderer = Renderer(place, number, size, light=Light.by_seed(number))
        now = moment(place, rng, number)
        shot = renderer.shoot(now, visibility=True)
        seen = detector.detect(ArrayPicture(_bgr(shot.yuv)), KEEPS)
        for one, visible in zip(shot.people, shot.visible, strict=True):
            box = np.array(one.box) / (*size, *size)
            if visible < PARTIAL or (box < 0.0).any() or (box > 1.0).any():
                continue
            found[POSTURES[now.posture[one.row]]].append(_match(detector, seen, box, size))
    return found


def _bgr(yuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR_I420), np.uint8)


def _match(detector: Any, seen: Detections, box: NDArray[np.float64], size: tuple[int, int]) -> Found:
    person = detector.class_names.index("person")
    overlap = iou(box[None].astype(np.float32), seen.xyxy)[0] if len(seen) else np.zeros(0)
    near = np.flatnonzero(overlap >= 0.3)
    people = near[seen.labels[near] == person]
    first = near[seen.scores[near].argmax()] if len(near) else None
    any_score, name = (
        (0.0, "") if first is None else (float(seen.scores[first]), detector.class_names[seen.labels[first]])
    )
    truth = _flatness(box, size)
    if not len(people):
        return 0.0, float("nan"), truth, any_score, name
    best = people[seen.scores[people].argmax()]
    return float(seen.scores[best]), _flatness(seen.xyxy[best], size), truth, any_score, name


def _flatness(box: NDArray[Any], size: tuple[int, int]) -> float:
    return float((box[2] - box[0]) * size[0] / max((box[3] - box[1]) * size[1], 1e-6))


def summed(found: Sequence[Found]) -> dict[str, Any]:
    """Shares found, and the middle and the limits of nine tenths of the boxes' width to height."""
    scores, flat, truth, any_scores = (np.array([one[k] for one in found]) for k in range(4))
    kept = flat[scores >= KEEPS]
    low, middle, high = np.percentile(kept, (5, 50, 95)) if len(kept) else (np.nan,) * 3
    names = Counter(one[4] for one in found if one[4])
    return {
        "people": len(found),
        "starts": round(float((scores >= STARTS).mean()), 3),
        "keeps": round(float((scores >= KEEPS).mean()), 3),
        "any": round(float((any_scores >= KEEPS).mean()), 3),
        "width": f"{low:.2f} {middle:.2f} {high:.2f}",
        "true": round(float(np.median(truth)), 2),
        "best as": " ".join(f"{name} {count / len(found):.2f}" for name, count in names.most_common(3)),
    }


def main() -> None:
    """Look at every posture in every place."""
    options = parsed(
        __doc__,
        ("--pictures", {"type": int, "help": "of each place in each size; default 100"}),
        ("--sizes", {"nargs": "+", "default": ["1280x720", "640x360"], "metavar": "WxH"}),
        ("--places", {"nargs": "+", "default": list(PLACES), "choices": list(PLACES)}),
        ("--model", {"default": "nanodet-g-416-int8"}),
        quick="20 pictures of each place",
    )
    pictures = options.pictures or (20 if options.quick else 100)
    detector = load_detector(options.model)
    result: dict[str, Any] = {"model": options.model}
    for text in options.sizes:
        everywhere: dict[str, list[Found]] = defaultdict(list)
        for name in options.places:
            for posture, found in looked_at(detector, PLACES[name], parse_size(text), pictures).items():
                everywhere[posture] += found
                result.setdefault(text, {}).setdefault(name, {})[posture] = summed(found)
        rows = {posture: summed(everywhere[posture]) for posture in SHOWN if everywhere[posture]}
        result[text]["all"] = rows
        columns = ("posture", *next(iter(rows.values())))
        show(f"{options.model} at {text}", columns, [(name, *row.values()) for name, row in rows.items()])
    if options.json:
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
