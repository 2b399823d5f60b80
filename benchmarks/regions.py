"""What looking at regions gains and costs, against looking at the whole picture, larger inputs and tiles.

    python benchmarks/regions.py --quick            # 2 minutes
    python benchmarks/regions.py --media ../shared/media [--json]            # 8 to 14 minutes

Simulated 1080p cameras at 5 fps with few people nearby, far away (a wide camera), and with many. Each way of
looking runs its own loop: motion of this picture, tracks of its own last look. People at least half visible
count, by their height in the 416-pixel input; a detection of 0.35 or more that overlaps by 0.4 finds one. All
ways see each picture before the next one is decoded; times are CPU of this thread, cropping and planning too,
and for regions the tracking (1.0 ms for 3 people, 1.4 ms for 30), which the other ways do without.

`canvas` packs the regions of several cameras' pictures onto one input. `--media` counts, on real footage, how
many of the people that the FP32 network sees at twice the input (score above 0.5) each way finds.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import CACHE, parsed, save, show
from models.boxes import iou
from models.detections import Detections
from models.detector import Detector
from models.regions import Gaze, Region, RegionOptions, join, look, to_picture, whole
from models.tracker import Tracker
from models.zoo import load_detector
from streams.motion import LUMA_SIZE, Motion
from streams.picture import AvPicture
from streams.sim.clip import write_clip
from streams.sim.places import PLACES, Place
from streams.sim.spec import SceneSpec
from streams.sim.truth import Truth, TruthPerson

MODEL, REFERENCE = "nanodet-g-416-int8", "nanodet-g-416-fp32"
CLASSES_PX = (0, 20, 34, 50, 1000)
COUNTS, SURE, OVERLAP = 0.35, 0.5, 0.4
FPS, SECONDS = 5.0, 24.0
CANVAS = 416
GUTTER_PX = 8
Look = Callable[[AvPicture, NDArray[np.float64], float], Detections]


@dataclass(frozen=True, slots=True)
class WideSpec(SceneSpec):
    """A scene before a wide camera farther off: people are half as large."""

    @property
    def where(self) -> Place:
        """The place, seen from farther."""
        place = PLACES[self.place]
        camera = replace(place.camera, hfov_deg=95.0, height_m=7.0, tilt_deg=20.0, position_m=(0.0, -6.0))
        return replace(place, camera=camera)


def spec(kind: type[SceneSpec], place: str, seed: int, people: int) -> SceneSpec:
    """A walk at 1080p."""
    return kind("walk", place, seed, (1920, 1080), FPS, SECONDS, people)


SCENES = {
    "few, near": {
        "near-plaza": spec(SceneSpec, "plaza", 41, 2),
        "near-gate": spec(SceneSpec, "gate", 42, 1),
        "near-platform": spec(SceneSpec, "platform", 43, 3),
    },
    "few, far": {
        "far-plaza": spec(WideSpec, "plaza", 44, 2),
        "far-gate": spec(WideSpec, "gate", 45, 3),
    },
    "many": {
        "many-plaza": spec(SceneSpec, "plaza", 31, 14),
        "many-far": spec(WideSpec, "plaza", 46, 8),
    },
}


def clip(name: str, scene: SceneSpec) -> tuple[Path, Truth]:
    """The clip and its truth, rendered now or taken from the last run."""
    path, truth_path = CACHE / f"regions-{name}.mp4", CACHE / f"regions-{name}.json"
    if not truth_path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        write_clip(scene, path).save(truth_path)
    return path, Truth.load(truth_path)


def pictures(path: Path, fps: float = FPS) -> Iterator[tuple[int, float, AvPicture]]:
    """Index, time and picture, thinned out to about `fps` a second."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        step = max(1, round(float(stream.average_rate or fps) / fps))
        for index, frame in enumerate(container.decode(stream)):
            if index % step == 0:
                yield index, float(frame.time or 0.0), AvPicture(frame)


@dataclass(slots=True)
class Sums:
    """What one way of looking found, and what it cost."""

    found: list[tuple[float, bool]] = field(default_factory=list)
    detections: int = 0
    right: int = 0
    ms: list[float] = field(default_factory=list)

    def add(self, seen: Detections, people: Sequence[TruthPerson], height: int) -> None:
        """Match one picture's persons with the truth; `height` is that of the whole picture's input."""
        persons = seen.select((seen.labels == 0) & (seen.scores >= COUNTS))
        truth = np.array([one.box for one in people]).reshape(-1, 4)
        overlap = iou(persons.xyxy, truth)
        hit = np.zeros(len(truth), bool)
        for row in overlap:
            if row.size and row.max() >= OVERLAP:
                hit[row.argmax()] = True
                overlap[:, row.argmax()] = 0
                self.right += 1
        self.detections += len(persons)
        for one, found in zip(people, hit.tolist(), strict=True):
            if one.visible >= 0.5:
                self.found.append(((one.box[3] - one.box[1]) * height, found))

    def figures(self) -> dict[str, Any]:
        """Recall by height, precision, milliseconds a look."""
        heights, found = (np.array(column) for column in zip(*self.found, strict=True))
        result: dict[str, Any] = {"recall": float(found.mean())}
        for low, high in itertools.pairwise(CLASSES_PX):
            of = (heights >= low) & (heights < high)
            name = f"recall_{low}_{high}" if high < 1000 else f"recall_{low}_up"
            result[name] = float(found[of].mean()) if of.sum() >= 20 else None
        result["precision"] = self.right / max(self.detections, 1)
        result["ms"] = float(np.mean(self.ms))
        return result


def tiles(picture: AvPicture) -> tuple[Region, ...]:
    """Two by two, each a good half of the picture, so that neighbours share a sixth of it."""
    width, height = picture.width, picture.height
    w, h = round(width * 7 / 12 / 2) * 2, round(height * 7 / 12 / 2) * 2
    return tuple(Region((x, y, x + w, y + h), (416, 256)) for y in (0, height - h) for x in (0, width - w))


def ways(detector: Detector) -> dict[str, Callable[[], Look]]:
    """Every way of looking, each to be made anew for a camera."""

    def fixed(regions: Callable[[AvPicture], Sequence[Region]]) -> Callable[[], Look]:
        return lambda: lambda picture, _motion, _s: look(detector, picture, regions(picture))

    def gazing(options: RegionOptions) -> Callable[[], Look]:
        def make() -> Look:
            gaze, tracker = Gaze(options), Tracker(rng=np.random.default_rng(0))
            known = np.zeros((0, 4), np.float32)

            def looking(picture: AvPicture, motion: NDArray[np.float64], pts_s: float) -> Detections:
                nonlocal known
                regions = gaze.regions((picture.width, picture.height), motion, known, pts_s)
                seen = look(detector, picture, regions)
                known = tracker.update(seen, pts_s).xyxy
                return seen

            return looking

        return make

    size = detector.manifest.input.size
    wider = RegionOptions(input_size=(2 * size[0], 2 * size[1]))
    return {
        "whole picture": lambda: lambda picture, _motion, _s: detector.detect(picture),
        "whole, input x2": fixed(lambda p: whole((p.width, p.height), wider)),
        "tiles 2x2": fixed(tiles),
        "regions, no closer": gazing(RegionOptions(closest=1.0)),
        "regions": gazing(RegionOptions()),
        "regions, detail 2": gazing(RegionOptions(detail=2.0)),
    }


def watch(
    path: Path, looks: dict[str, Look], judge: Callable[[int, AvPicture], Sequence[TruthPerson]],
    sums: dict[str, Sums], fps: float = FPS,
) -> None:  # fmt: skip
    """One camera's clip, in every way, picture by picture."""
    motion = Motion()
    for index, pts_s, picture in pictures(path, fps):
        moving = np.array(motion.look(picture.luma(*LUMA_SIZE), pts_s).boxes()).reshape(-1, 4)
        people = judge(index, picture)
        height = 416 * picture.height // max(picture.width, picture.height)
        for name, looking in looks.items():
            start = time.thread_time()
            seen = looking(picture, moving, pts_s)
            sums[name].ms.append(1e3 * (time.thread_time() - start))
            sums[name].add(seen, people, height)


def simulated(detector: Detector, scenes: dict[str, SceneSpec]) -> dict[str, dict[str, Any]]:
    """Recall, precision and cost of every way on some scenes."""
    makers = ways(detector)
    sums = {name: Sums() for name in makers}
    for name, scene in scenes.items():
        path, truth = clip(name, scene)
        watch(path, {way: make() for way, make in makers.items()}, _people_of(truth), sums)
    return {name: one.figures() for name, one in sums.items()}


def _people_of(truth: Truth) -> Callable[[int, AvPicture], Sequence[TruthPerson]]:
    return lambda index, _picture: truth.frames[index].people


def real(detector: Detector, path: Path) -> dict[str, dict[str, Any]]:
    """The same on footage whose people are those that the reference network is sure of."""
    reference = load_detector(REFERENCE)
    twice = RegionOptions(input_size=(832, 832))

    def sure(_index: int, picture: AvPicture) -> Sequence[TruthPerson]:
        seen = look(reference, picture, whole((picture.width, picture.height), twice))
        seen = seen.select((seen.labels == 0) & (seen.scores > SURE))
        boxes = np.clip(seen.xyxy.astype(float), 0, 1).tolist()
        return [TruthPerson(0, (0.0, 0.0), tuple(box), 1.0) for box in boxes]

    makers = ways(detector)
    sums = {name: Sums() for name in makers}
    watch(path, {name: make() for name, make in makers.items()}, sure, sums, 2.0)
    return {name: one.figures() for name, one in sums.items()}


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a region of a camera lies on the canvas, pixels."""

    camera: int
    region: Region
    left: int
    top: int


def pack(wanted: Sequence[tuple[int, Region]]) -> list[list[Placed]]:
    """Shelves: the tallest first, from left to right; a new canvas when one is full."""
    canvases: list[list[Placed]] = []
    left = top = shelf = CANVAS
    for camera, region in sorted(wanted, key=lambda item: (-item[1].input_size[1], item[0], item[1].part)):
        width, height = region.input_size
        if left + width > CANVAS:
            left, top, shelf = 0, top + shelf + GUTTER_PX, height
        if not canvases or top + height > CANVAS:
            canvases.append([])
            left, top, shelf = 0, 0, height
        canvases[-1].append(Placed(camera, region, left, top))
        left += width + GUTTER_PX
    return canvases


def look_at_canvas(
    detector: Detector, cameras: Sequence[AvPicture], placed: Sequence[Placed]
) -> dict[int, list[Detections]]:
    """One run for the regions of several cameras; detections by camera."""
    bottom = max(p.top + p.region.input_size[1] for p in placed)
    right = max(p.left + p.region.input_size[0] for p in placed)
    tensor = np.zeros((1, -(-bottom // 32) * 32, -(-right // 32) * 32, 3), np.uint8)
    for p in placed:
        width, height = p.region.input_size
        part = cameras[p.camera].crop(p.region.part, width, height)
        tensor[0, p.top : p.top + height, p.left : p.left + width] = part
    size = (tensor.shape[2], tensor.shape[1])
    box, _ = detector.prepare(_Blank(*size), size)
    seen = detector.read(detector.session.run(tensor), box, 0.1)
    pixels = box.to_pixels(seen.xyxy)
    middle = (pixels[:, :2] + pixels[:, 2:]) / 2
    result: dict[int, list[Detections]] = {}
    for p in placed:
        origin, span = np.array((p.left, p.top)), np.array(p.region.input_size)
        mine = ((middle >= origin) & (middle < origin + span)).all(1)
        xyxy = np.clip((pixels[mine] - np.tile(origin, 2)) / np.tile(span, 2), 0, 1)
        own = seen.select(mine)
        own = Detections(xyxy.astype(np.float32), own.scores, own.labels)
        picture = cameras[p.camera]
        mapped = to_picture(own, p.region, (picture.width, picture.height))
        result.setdefault(p.camera, []).append(mapped)
    return result


@dataclass(frozen=True, slots=True)
class _Blank:
    """A black picture of a canvas's size."""

    width: int
    height: int

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        """Nothing."""
        return np.zeros((height, width, 3), np.uint8)


def canvas(detector: Detector, scenes: dict[str, SceneSpec]) -> dict[str, dict[str, Any]]:
    """The same regions of several cameras at one time, each on its own and together."""
    clips = [clip(name, scene) for name, scene in scenes.items()]
    apart, together = Sums(), Sums()
    gazes = [Gaze(RegionOptions(), whole_every_s=1e9) for _ in clips]
    known = [np.zeros((0, 4), np.float32) for _ in clips]
    trackers = [Tracker(rng=np.random.default_rng(0)) for _ in clips]
    motions = [Motion() for _ in clips]
    runs = 0
    for moment in zip(*(pictures(path) for path, _ in clips), strict=False):
        cameras, wanted = [picture for _, _, picture in moment], []
        for k, (_, pts_s, picture) in enumerate(moment):
            moving = np.array(motions[k].look(picture.luma(*LUMA_SIZE), pts_s).boxes()).reshape(-1, 4)
            wanted.append(gazes[k].regions((picture.width, picture.height), moving, known[k], pts_s))
        start = time.thread_time()
        alone = [look(detector, c, r) for c, r in zip(cameras, wanted, strict=True)]
        apart.ms.append(1e3 * (time.thread_time() - start) / len(clips))
        start = time.thread_time()
        canvases = pack([(k, region) for k, regions in enumerate(wanted) for region in regions])
        mapped: dict[int, list[Detections]] = {}
        for placed in canvases:
            for k, seen in look_at_canvas(detector, cameras, placed).items():
                mapped.setdefault(k, []).extend(seen)
        joined = [join(mapped.get(k, []), detector.manifest.nms_iou) for k in range(len(clips))]
        together.ms.append(1e3 * (time.thread_time() - start) / len(clips))
        runs += len(canvases)
        for k, (index, pts_s, _) in enumerate(moment):
            known[k] = trackers[k].update(alone[k], pts_s).xyxy
            apart.add(alone[k], clips[k][1].frames[index].people, 234)
            together.add(joined[k], clips[k][1].frames[index].people, 234)
    per_look = runs / max(len(apart.ms), 1)
    return {
        f"{len(clips)} cameras apart": apart.figures(),
        f"on {per_look:.1f} canvases": together.figures(),
    }


def main() -> None:
    """Run it as a program."""
    media = {"type": Path, "help": "folder with footage"}
    args = parsed(__doc__, ("--media", media), quick="one clip of each kind, no canvas")
    cv2.setNumThreads(1)
    detector = load_detector(MODEL)
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, scenes in SCENES.items():
        chosen = dict(list(scenes.items())[-1:]) if args.quick else scenes
        result[kind] = simulated(detector, chosen)
    if not args.quick:
        result["canvas"] = canvas(detector, SCENES["few, near"] | SCENES["few, far"])
    for name in ("plaza.avi", "one-by-one-person-detection.mp4") if args.media else ():
        if (args.media / name).is_file():
            result[name] = real(detector, args.media / name)
    for kind, rows in result.items():
        columns = ["way", *(name.removeprefix("recall_") for name in next(iter(rows.values())))]
        show(
            kind, columns, [[way, *("-" if v is None else v for v in r.values())] for way, r in rows.items()]
        )
    save("regions-quick" if args.quick else "regions", result)
    if args.json:
        flat = {
            f"{kind}/{way}/{name}": value
            for kind, rows in result.items()
            for way, row in rows.items()
            for name, value in row.items()
        }
        print(json.dumps(flat))


if __name__ == "__main__":
    main()
