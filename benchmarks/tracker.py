"""The tracker beside those of the PyPI package `trackers`, on the same detections.

    python -m venv .work/bench && .work/bench/bin/pip install -e . trackers
    .work/bench/bin/python benchmarks/tracker.py [--json] [--video FILE] [--seeds 4]

Synthetic part: people walk on a plane before a pinhole camera; boxes jitter, are missed when covered, score
low when half covered, and false ones appear. The truth is known, so IDF1 (Ristani et al. 2016), MOTA and
identity switches (Bernardin and Stiefelhagen 2008) can be counted, at several and at irregular rates.
Real part: the detector looks at a video once; every tracker gets the same boxes.

`trackers` gets the same thresholds, the same patience in seconds and the pictures' times.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.common import parsed, save, show
from models.boxes import area, iou
from models.detections import Detections
from models.tracker import Tracker, TrackerOptions

START = 0.35
RATES: dict[str, tuple[float, float]] = {
    "25 fps": (25.0, 0.0),
    "10 fps": (10.0, 0.0),
    "5 fps": (5.0, 0.0),
    "2 fps": (2.0, 0.0),
    "3-25 fps": (8.0, 0.6),
}
"""Mean pictures per second, and how far intervals stray from their mean (share, in logarithm)."""


@dataclass(frozen=True, slots=True)
class Look:
    """One picture: its time, who is there (ids and boxes), and what a detector says."""

    pts_s: float
    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    detections: Detections


class Follower(Protocol):
    """What is compared: takes detections, says ids and boxes."""

    def update(self, detections: Detections, pts_s: float) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Ids (n,) and boxes (n, 4) as fractions."""
        ...


@dataclass(slots=True)
class Score:
    """Sums over pictures from which the measures follow."""

    truths: int = 0
    answers: int = 0
    missed: int = 0
    false: int = 0
    switches: int = 0
    together: dict[tuple[int, int], int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def add(self, look: Look, ids: NDArray[np.int64], boxes: NDArray[np.floating]) -> None:
        """Match one picture's answer with the truth at IoU 0.5, keeping last picture's pairs if they hold."""
        overlap = iou(look.boxes, boxes)
        kept = np.array([[self.last.get(int(t)) == int(a) for a in ids] for t in look.ids], bool)
        bonus = overlap + kept.reshape(overlap.shape) * (overlap >= 0.5)
        pairs = [(i, j) for i, j in optimum(bonus) if overlap[i, j] >= 0.5]
        for i, j in pairs:
            truth, answer = int(look.ids[i]), int(ids[j])
            self.switches += truth in self.last and self.last[truth] != answer
            self.last[truth] = answer
            self.together[truth, answer] = self.together.get((truth, answer), 0) + 1
        self.truths += len(look.ids)
        self.answers += len(ids)
        self.missed += len(look.ids) - len(pairs)
        self.false += len(ids) - len(pairs)

    @property
    def mota(self) -> float:
        """Multiple object tracking accuracy, at most 1."""
        return 1 - (self.missed + self.false + self.switches) / max(self.truths, 1)

    @property
    def idf1(self) -> float:
        """Share of detections with the right identity, 0 to 1."""
        truths, answers = (sorted({pair[k] for pair in self.together}) for k in (0, 1))
        counts = np.array([[self.together.get((t, a), 0) for a in answers] for t in truths], float)
        right = sum(counts[i, j] for i, j in optimum(counts.reshape(len(truths), len(answers))))
        return float(2 * right / max(self.truths + self.answers, 1))


def optimum(gain: NDArray[np.floating]) -> Iterable[tuple[int, int]]:
    """Pairs of the assignment with the largest sum."""
    solve = importlib.import_module("scipy.optimize").linear_sum_assignment
    return list(zip(*solve(gain, maximize=True), strict=True)) if gain.size else []


def walk(seed: int, people: int, seconds: float, rate: tuple[float, float]) -> list[Look]:
    """People between random goals on 24 x 24 m, before a camera 5 m up that looks down by 25 degrees."""
    rng = np.random.default_rng(seed)
    place = rng.uniform((-9, 6), (9, 26), (people, 2))
    goal = rng.uniform((-9, 6), (9, 26), (people, 2))
    pace = rng.normal(1.3, 0.25, people).clip(0.6, 2.2)
    height = rng.normal(1.7, 0.09, people)
    velocity = np.zeros_like(place)
    hidden_s = np.zeros(people)
    looks: list[Look] = []
    step_s, now_s, next_s = 0.02, 0.0, 0.0
    while now_s < seconds:
        way = goal - place
        far = np.linalg.norm(way, axis=1, keepdims=True)
        arrived = far[:, 0] < 0.5
        goal[arrived] = rng.uniform((-9, 6), (9, 26), (int(arrived.sum()), 2))
        wanted = way / np.maximum(far, 1e-6) * pace[:, None]
        velocity += (wanted - velocity) * step_s / 0.5 + rng.normal(0, 0.25, place.shape) * step_s**0.5
        place += velocity * step_s
        now_s += step_s
        hidden_s = np.maximum(hidden_s - step_s, 0)
        if now_s >= next_s:
            next_s = now_s + 1 / rate[0] * float(np.exp(rng.normal(0, rate[1])))
            looks.append(_look(rng, now_s, place, height, hidden_s))
    return looks


def _look(
    rng: np.random.Generator,
    pts_s: float,
    place: NDArray[np.float64],
    height: NDArray[np.float64],
    hidden_s: NDArray[np.float64],
) -> Look:
    boxes = np.clip(_project(place, height), 0, 1)
    visible = _visible(boxes, place[:, 1])
    inside = area(boxes) > 2e-4
    # What a detector misses it misses for a while, not in single pictures.
    hidden_s[(hidden_s == 0) & (rng.random(len(place)) < 0.01)] = rng.uniform(0.1, 0.5)
    score = (0.78 * visible**0.7 + rng.normal(0, 0.07, len(place)) - 0.5 * (hidden_s > 0)).clip(0, 0.99)
    found = inside & (score > 0.1) & (visible > 0.2)
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    jitter = boxes + rng.normal(0, 1, boxes.shape) * size * np.array([0.05, 0.025, 0.05, 0.025])
    ghosts = rng.poisson(0.5)
    corner = rng.uniform(0, 0.85, (ghosts, 2))
    false = np.hstack((corner, corner + rng.uniform((0.02, 0.06), (0.06, 0.2), (ghosts, 2))))
    xyxy = np.clip(np.vstack((jitter[found], false)), 0, 1).astype(np.float32)
    scores = np.concatenate((score[found], rng.uniform(0.1, 0.5, ghosts))).astype(np.float32)
    shown = inside & (visible > 0.3)
    detections = Detections(xyxy, scores, np.zeros(len(xyxy), np.int16))
    return Look(pts_s, np.flatnonzero(shown), boxes[shown], detections)


def _project(place: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (n, 4) as fractions of a 16:9 picture with 60 degrees of view."""
    tilt, focal = np.deg2rad(25), 0.5 / np.tan(np.deg2rad(30))
    down, ahead = 5.0, place[:, 1]

    def row(up: NDArray[np.float64] | float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        drop = down - up
        depth = ahead * np.cos(tilt) + drop * np.sin(tilt)
        return 0.5 + focal * 16 / 9 * (drop * np.cos(tilt) - ahead * np.sin(tilt)) / depth, depth

    (bottom, depth), (top, _) = row(0.0), row(height)
    middle, half = 0.5 + focal * place[:, 0] / depth, focal * 0.28 / depth
    return np.column_stack((middle - half, top, middle + half, bottom))


def _visible(boxes: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each box that no nearer box covers, on a 12 x 12 raster."""
    share = np.linspace(0.04, 0.96, 12)
    x = boxes[:, None, 0] + share * (boxes[:, None, 2] - boxes[:, None, 0])
    y = boxes[:, None, 1] + share * (boxes[:, None, 3] - boxes[:, None, 1])
    across = (x[:, None] >= boxes[None, :, 0, None]) & (x[:, None] <= boxes[None, :, 2, None])
    along = (y[:, None] >= boxes[None, :, 1, None]) & (y[:, None] <= boxes[None, :, 3, None])
    nearer = depth[None, :] < depth[:, None]
    covered = (across[..., None] & along[..., None, :] & nearer[..., None, None]).any(1)
    return np.asarray(1 - covered.mean((1, 2)))


class Own:
    """This project's tracker."""

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self._tracker = Tracker(START, np.random.default_rng(0), options)

    def update(self, detections: Detections, pts_s: float) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """See `Follower`."""
        tracks = self._tracker.update(detections, pts_s)
        return tracks.ids, tracks.xyxy


class Theirs:
    """One of the trackers of the package `trackers`, in pixels of 1280 x 720."""

    SIZE = np.array([1280, 720, 1280, 720], np.float32)

    def __init__(self, kind: str, lost_s: float, fps: float) -> None:
        import trackers

        patience = {"lost_track_buffer": max(1, round(30 * lost_s)), "frame_rate": fps}
        thresholds = {
            "ByteTrackTracker": {"track_activation_threshold": START, "high_conf_det_threshold": START},
            "OCSORTTracker": {"high_conf_det_threshold": START, "minimum_consecutive_frames": 2},
            "SORTTracker": {"track_activation_threshold": START, "minimum_consecutive_frames": 2},
        }
        self._tracker: Any = getattr(trackers, kind)(**patience, **thresholds[kind])

    def update(self, detections: Detections, pts_s: float) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """See `Follower`."""
        import supervision

        given = supervision.Detections(
            xyxy=detections.xyxy * self.SIZE,
            confidence=detections.scores,
            class_id=detections.labels.astype(int),
        )
        found = self._tracker.update(given, timestamp=pts_s)
        ids = np.zeros(0, np.int64) if found.tracker_id is None else found.tracker_id.astype(np.int64)
        sure = ids >= 0
        return ids[sure], found.xyxy[sure] / self.SIZE


def followers() -> dict[str, Callable[[float], Follower]]:
    """What is compared, each made for a mean rate in pictures per second."""
    made: dict[str, Callable[[float], Follower]] = {"sharpeyes": lambda fps: Own()}  # noqa: ARG005
    try:
        import trackers  # noqa: F401
    except ImportError:
        print("the package `trackers` is not installed here: only our own is measured", file=sys.stderr)
        return made
    lost_s = TrackerOptions().lost_s
    for kind in ("ByteTrackTracker", "OCSORTTracker", "SORTTracker"):
        made[kind.removesuffix("Tracker")] = partial(Theirs, kind, lost_s)
    return made


def follow(follower: Follower, looks: Sequence[Look], score: Score) -> Score:
    """Run a tracker over a scene."""
    score.last.clear()
    for look in looks:
        begin = time.perf_counter()
        ids, boxes = follower.update(look.detections, look.pts_s)
        score.seconds.append(time.perf_counter() - begin)
        score.add(look, ids, boxes)
    return score


def synthetic(seeds: int, seconds: float) -> list[dict[str, Any]]:
    """One row for each tracker and rate, over scenes of 8 and of 25 people."""
    rows = []
    for label, rate in RATES.items():
        scenes = [walk(seed, people, seconds, rate) for seed in range(seeds) for people in (8, 25)]
        for name, make in followers().items():
            scores = [follow(make(rate[0]), looks, Score()) for looks in scenes]
            rows.append(
                {
                    "rate": label,
                    "tracker": name,
                    "idf1": float(np.mean([score.idf1 for score in scores])),
                    "mota": float(np.mean([score.mota for score in scores])),
                    "switches": sum(score.switches for score in scores),
                    "ms": 1e3 * float(np.median(np.concatenate([score.seconds for score in scores]))),
                }
            )
    return rows


class _Decoded:
    """A decoded picture, as the detector wants it."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.height, self.width = pixels.shape[:2]
        self._pixels = pixels

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        return np.asarray(cv2.resize(self._pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def video_looks(video: Path) -> list[Look]:
    """What the shipped detector sees in a video; without truth."""
    from models.zoo import load_detector

    detector = load_detector("nanodet-g-416-int8")
    capture = cv2.VideoCapture(str(video))
    fps = capture.get(cv2.CAP_PROP_FPS)
    looks: list[Look] = []
    nobody = np.zeros(0, np.int64), np.zeros((0, 4))
    while True:
        there, pixels = capture.read()
        if not there:
            return looks
        seen = detector.detect(_Decoded(np.asarray(pixels, np.uint8)))
        looks.append(Look(len(looks) / fps, *nobody, seen.select(seen.labels == 0)))


def real(video: Path) -> list[dict[str, Any]]:
    """How many tracks of at least a second each tracker makes of a video's persons, at several rates."""
    looks = video_looks(video)
    rows = []
    for every in (1, 2, 5):
        some = looks[::every]
        fps = (len(some) - 1) / (some[-1].pts_s - some[0].pts_s)
        for name, make in followers().items():
            follower, times = make(fps), dict[int, list[float]]()
            for look in some:
                for identity in follower.update(look.detections, look.pts_s)[0].tolist():
                    times.setdefault(identity, []).append(look.pts_s)
            long = [seen for seen in times.values() if seen[-1] - seen[0] >= 1.0]
            rows.append(
                {
                    "rate": f"{fps:.3g} fps",
                    "tracker": name,
                    "tracks": len(times),
                    "tracks_1s": len(long),
                    "seconds": sum(seen[-1] - seen[0] for seen in long),
                }
            )
    return rows


def main() -> None:
    """Command line."""
    options = parsed(
        __doc__,
        ("--video", {"type": Path, "help": "also compare on this video's persons"}),
        ("--seeds", {"type": int, "default": 3, "help": "synthetic scenes of each size"}),
        ("--seconds", {"type": float, "default": 40.0, "help": "length of a scene"}),
        quick=None,
    )
    result: dict[str, Any] = {"synthetic": synthetic(options.seeds, options.seconds)}
    show("Synthetic walks", list(result["synthetic"][0]), [list(row.values()) for row in result["synthetic"]])
    if options.video is not None:
        result["real"] = real(options.video)
        show(options.video.name, list(result["real"][0]), [list(row.values()) for row in result["real"]])
    if options.json:
        print(json.dumps(result))
    save("tracker", result)


if __name__ == "__main__":
    main()
