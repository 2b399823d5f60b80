"""What a node makes of a simulated camera: its stream decoded, detected, tracked, judged.

All that is seen before the rules can be kept, so that a scene is drawn once and judged as often as rules
change. What decides where a look for who lies goes is part of a recording's key.
"""

import hashlib
import pickle
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import CACHE
from edge.census import Census, Wish
from edge.config import CameraConfig, ModelConfig
from edge.envelope import TYPES, EventDraft, IncidentData
from edge.events import EventContext
from edge.identifiers import Uuid7
from edge.offline import EPOCH, Models, open_clip, pictures
from edge.scene import LyingLook, Scene
from edge.watch import CameraWatch
from models.detections import Detections
from models.fallen import Place
from models.tracker import Tracker
from models.zoo import load_density, load_detector, load_fallen
from streams.gate import RateGate
from streams.sim.spec import SceneSpec
from streams.timeline import Timeline

FOLDER = CACHE.parent / "events"
DECIDING = (
    "edge/scene.py", "edge/lying.py", "edge/rules/hazard_fall.py", "models/fallen.py", "models/tracker.py",
    "models/weights/fallen-112-fp32.toml",
)  # fmt: skip
"""Sources that decide what is in a recording, beside the simulator's."""
_KINDS = {type_: kind for kind, type_ in TYPES.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One picture: camera time in seconds, what the detector found, and what else it shows."""

    pts_s: float
    found: Detections
    scene: Scene


@dataclass(frozen=True, slots=True)
class Alarm:
    """An incident; one that is open at the end of the clip ends there.

    Attributes:
        kind, zone: of its rule.
        level: the most severe it had.
        since_s, told_s, end_s: camera time of what it says it began with, of its first event, of its last.
        right, left: who crossed a line each way.
    """

    kind: str
    zone: str
    level: int
    since_s: float
    told_s: float
    end_s: float
    right: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Watched:
    """What was made of a scene.

    Attributes:
        alarms: in order of their beginning.
        seconds: length of what was watched.
        fps: pictures that were analysed a second.
    """

    alarms: tuple[Alarm, ...]
    seconds: float
    fps: float


@cache
def models() -> Models:
    """The shipped models, one thread each."""
    config = ModelConfig()
    density = None if config.density is None else load_density(config.density)
    fallen = None if config.fallen is None else load_fallen(config.fallen)
    return Models(load_detector(config.detector), density, fallen=fallen)


def url_of(spec: SceneSpec) -> str:
    """The scene as a camera's source."""
    values = {
        "scenario": spec.scenario,
        "seed": spec.seed,
        "size": f"{spec.size[0]}x{spec.size[1]}",
        "fps": f"{spec.fps:g}",
        "seconds": f"{spec.seconds or 60.0:g}",
        **({} if spec.people is None else {"people": spec.people}),
        **({"weather": spec.weather} if spec.weather else {}),
        **({"fault": spec.fault} if spec.fault else {}),
        **({"view": spec.view} if spec.view else {}),
    }
    return f"sim://{spec.place}?{urlencode(values, safe=':@,')}"


def looks(camera: CameraConfig, heads: str, keep: bool) -> Iterator[Look]:
    """Every look at a camera that gives one clip.

    Args:
        camera: whose source it is.
        heads: `count` to count heads and measure motion, for crowds; `skip` otherwise.
        keep: whether to take, or leave, a recording under `.work/events`.
    """
    source = camera.source.analysed.get_secret_value()
    name = f"{source}-{camera.analysed_fps:g}-{heads}-{_sources()}"
    path = FOLDER / f"{hashlib.sha256(name.encode()).hexdigest()[:20]}.pickle"
    if keep and path.exists():
        yield from _kept(path)
        return
    seen = _seen(camera, heads)
    if not keep:
        yield from seen
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        for look in seen:
            scene, asked = look.scene, _Asked(look.scene.lying)
            yield replace(look, scene=replace(scene, lying=asked))
            luma = None if scene.luma is None else cv2.imencode(".png", scene.luma)[1]
            kept = replace(look, scene=replace(scene, luma=None, lying=None))
            pickle.dump((kept, luma, asked.answers), file)
    unfinished.replace(path)


class _Asked:
    """Answers as the model does, and remembers."""

    def __init__(self, look: LyingLook | None) -> None:
        self._look = look
        self.answers: dict[Place, float] = {}

    def __call__(self, places: Sequence[Place]) -> NDArray[np.float64]:
        scores = np.zeros(len(places)) if self._look is None else self._look(places)
        self.answers |= dict(zip(places, scores.tolist(), strict=True))
        return scores


@dataclass(frozen=True, slots=True)
class _Answered:
    """Answers as the model did."""

    answers: dict[Place, float]

    def __call__(self, places: Sequence[Place]) -> NDArray[np.float64]:
        return np.array([self.answers[place] for place in places])


@cache
def _sources() -> str:
    """What tells the code that a recording depends on from other code."""
    root = Path(__file__).parents[1]
    paths = [*sorted((root / "streams" / "sim").glob("*.py")), *(root / name for name in DECIDING)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _kept(path: Path) -> Iterator[Look]:
    with path.open("rb") as file:
        while True:
            try:
                look, luma, answers = pickle.load(file)  # noqa: S301 - this benchmark wrote it
            except EOFError:
                return
            grey = None if luma is None else np.asarray(cv2.imdecode(luma, cv2.IMREAD_GRAYSCALE), np.uint8)
            yield replace(look, scene=replace(look.scene, luma=grey, lying=_Answered(answers)))


def _seen(camera: CameraConfig, heads: str) -> Iterator[Look]:
    used, crowd = models(), heads == "count"
    census = Census(used.density if crowd else None, frozenset({camera.id}), fallen=used.fallen)
    gate, timeline = RateGate(camera.analysed_fps), Timeline()
    wish = Wish(heads=crowd, motion=crowd, luma=True)
    with closing(open_clip(camera)) as source:
        for decoded in pictures(source):
            pts_s = timeline.stamp(decoded.pts_s)
            if gate.admit(pts_s):
                found = used.detector.detect(decoded.picture)
                yield Look(pts_s, found, census.look(camera.id, decoded.picture, pts_s, wish))


def watch(camera: CameraConfig, seen: Iterable[Look]) -> Watched:
    """Have a camera watched by its rules from its clip's beginning to its end.

    Args:
        camera: with its rules.
        seen: every look at it.
    """
    now, randbits = EPOCH, random.Random(1).getrandbits
    new_id = Uuid7(lambda: now, randbits)
    context = EventContext("bench", "360103", new_id, camera.id, camera.place, randbits)
    tracker = Tracker(ModelConfig().threshold, np.random.default_rng(1))
    watching = CameraWatch(camera, models().detector, context, tracker, new_id)
    told: list[tuple[float, EventDraft]] = []
    times: list[float] = []
    for look in seen:
        now = EPOCH + timedelta(seconds=look.pts_s)
        luma = look.scene.luma if watching.checks_view(look.pts_s) or look.scene.heads is not None else None
        motion = look.scene.motion if watching.dense else None
        scene = replace(look.scene, luma=luma, motion=motion)
        told += [(look.pts_s, draft) for draft in watching.update(look.found, look.pts_s, now, scene)]
        times.append(look.pts_s)
    end_s = times[-1] if times else 0.0
    fps = (len(times) - 1) / (end_s - times[0]) if len(times) > 1 and end_s > times[0] else 0.0
    return Watched(_alarms(told, end_s), end_s, fps)


def _alarms(told: list[tuple[float, EventDraft]], end_s: float) -> tuple[Alarm, ...]:
    open_: dict[str, Alarm] = {}
    for at_s, draft in told:
        data = draft.data
        if not isinstance(data, IncidentData):
            continue
        kind = _KINDS[draft.type]
        first_s = (datetime.fromisoformat(data.started) - EPOCH).total_seconds()
        before = open_.get(data.incident) or Alarm(kind, data.zone, data.level, first_s, at_s, end_s)
        ways = {way: int(data.measures.get(f"crossings_{way}", 0)) for way in ("right", "left")}
        open_[data.incident] = replace(
            before,
            level=min(before.level, data.level),
            end_s=at_s if data.phase == "end" else end_s,
            right=max(before.right, ways["right"]),
            left=max(before.left, ways["left"]),
        )
    return tuple(sorted(open_.values(), key=lambda alarm: alarm.told_s))
