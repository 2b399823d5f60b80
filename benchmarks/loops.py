"""The systems beside which the product is measured, each as its authors would write it.

naive        `cv2.VideoCapture`, every frame at full size into the FP32 model, 416 x 416: as tutorials do
naive-int8   the same with this project's INT8 model, on the part of the input that the picture fills
decode-all   every frame decoded; motion on small luma pictures at 5 fps; the INT8 model where something moves
             or is tracked: the scheme that Frigate documents
ours         the product's reader, gate and analysis at full speed in one thread: for its cost only; in real
             time the product itself runs, see `probe`

Tracking and rules are the same for all, so that events can be compared. In real time each camera has a
thread, and a picture counts as seen when the camera had it: a loop that falls behind has old pictures, as
with a camera whose stream waits in the socket. It runs as `python -m benchmarks.loops JOB OUT`.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.clips import FPS
from benchmarks.observed import Look, Observation, Told
from benchmarks.probe import resident_mb
from edge.config import CameraConfig
from edge.events import EventContext, EventDraft
from edge.identifiers import Uuid7
from edge.offline import EPOCH, open_clip
from edge.opening import address, source_options
from edge.sight import Glance, Sight
from edge.watch import CameraWatch
from models.detector import Detector
from models.manifest import ModelFile
from models.session import Session
from models.tracker import Tracker
from models.zoo import find_model, load_detector
from streams.clock import SystemClock
from streams.decode import Decoder
from streams.errors import StreamEndedError
from streams.frame import Frame, Picture
from streams.gate import RateGate
from streams.picture import ArrayPicture
from streams.reader import Reader, ReaderOptions

INT8 = "nanodet-g-416-int8"
ANALYSED_FPS = 5.0
READY_S = 0.5
POLL_S = 0.01


class Seen(NamedTuple):
    """A picture that a loop has looked at: its time, and what it made begin or end; None: not analysed."""

    pts_s: float
    drafts: Sequence[EventDraft] | None


@dataclass(slots=True)
class Eye:
    """One camera's analysis, the same for every system. The detector may be shared: one picture at a time."""

    camera: CameraConfig
    detector: Detector
    turn: threading.Lock
    watch: CameraWatch = field(init=False)

    def __post_init__(self) -> None:
        new_id = Uuid7(lambda: EPOCH)
        context = EventContext("loop", "000000", new_id, self.camera.id)
        tracker = Tracker(rng=np.random.default_rng(1))
        self.watch = CameraWatch(self.camera, self.detector, context, tracker, new_id)

    def look(self, picture: Picture, pts_s: float) -> Seen:
        """Detect, track, apply the rules."""
        with self.turn:
            found = self.detector.detect(picture)
        return Seen(pts_s, self.watch.update(found, pts_s, EPOCH + timedelta(seconds=pts_s)))


Due = Callable[[float], None]
"""Told of each picture's time before it is read; in real time it waits for it."""


def naive(eye: Eye, begin_s: float, due: Due) -> Iterator[Seen]:
    """Every frame, decoded to a full BGR picture, into the model."""
    import cv2

    capture = cv2.VideoCapture(address(eye.camera).full)
    fps = capture.get(cv2.CAP_PROP_FPS)
    if begin_s:
        capture.set(cv2.CAP_PROP_POS_FRAMES, round(begin_s * fps))
    pts_s = begin_s
    try:
        while True:
            due(pts_s)
            more, picture = capture.read()
            if not more:
                return
            yield eye.look(ArrayPicture(np.asarray(picture, np.uint8)), pts_s)
            pts_s += 1 / fps
    finally:
        capture.release()


class MotionGate:
    """Motion on a small luma picture as Frigate's improved motion detector has it, with its default settings.

    A running average is the background; what differs by more than the threshold, dilated, in a large enough
    contour, is motion. The average follows only after motion has lasted, so that who stands still stays.
    """

    HEIGHT = 100
    THRESHOLD = 30
    CONTOUR_AREA = 10
    ALPHA = 0.01
    LIGHTNING = 0.8

    def __init__(self) -> None:
        self._average: NDArray[np.float32] | None = None
        self._calibrating = True
        self._moving = 0

    def moves(self, luma: NDArray[np.uint8]) -> bool:
        """Whether something moves in a picture of `HEIGHT` lines."""
        import cv2

        smooth = cv2.GaussianBlur(luma, (3, 3), 1)
        if self._average is None:
            self._average = smooth.astype(np.float32)
        delta = cv2.absdiff(smooth, cv2.convertScaleAbs(self._average))
        changed = cv2.threshold(delta, self.THRESHOLD, 255, cv2.THRESH_BINARY)[1]
        kernel = np.ones((3, 3), np.uint8)
        contours = cv2.findContours(cv2.dilate(changed, kernel), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[
            0
        ]
        areas = [cv2.contourArea(contour) for contour in contours]
        large = sum(area > self.CONTOUR_AREA for area in areas)
        share = sum(areas) / luma.size
        if share < 0.05 and large <= 4:
            self._calibrating = False
        if share > self.LIGHTNING:
            self._calibrating = True
        self._moving = self._moving + 1 if large else 0
        if not large or self._moving >= 10:
            cv2.accumulateWeighted(smooth, self._average, 0.2 if self._calibrating else self.ALPHA)
        return large > 0


LINGER_S = 2.0
"""Looks go on for so long after the last motion or track, as a detector with object tracking does."""


def decode_all(eye: Eye, begin_s: float, due: Due) -> Iterator[Seen]:
    """Every frame decoded; five a second examined for motion; those with motion, or lately so, analysed.

    One look at the whole picture costs what one 320 x 320 region costs, and sees all regions, so this is the
    cheaper way here. Pictures are scaled straight to what is wanted and only where it is wanted, which the
    original, whose pictures come through a pipe, cannot.
    """
    gate, motion = RateGate(ANALYSED_FPS), MotionGate()
    until_s = begin_s
    source = open_clip(eye.camera)
    decoder = Decoder(source.info)
    try:
        for packet in source.packets():
            due(packet.pts_s or 0.0)
            for decoded in decoder.decode(packet):
                pts_s, picture = decoded.pts_s or 0.0, decoded.picture
                if pts_s < begin_s or not gate.admit(pts_s):
                    yield Seen(pts_s, None)
                    continue
                width = round(MotionGate.HEIGHT * picture.width / picture.height)
                if motion.moves(picture.luma(width, MotionGate.HEIGHT)) or eye.watch.open_incidents:
                    until_s = pts_s + LINGER_S
                yield eye.look(picture, pts_s) if pts_s < until_s else Seen(pts_s, None)
    except StreamEndedError:
        return
    finally:
        source.close()


def ours(eye: Eye, _begin_s: float, _due: Due) -> Iterator[Seen]:
    """The product's reader in its own thread, which waits at each picture until that has been analysed."""
    sink = _Inline(eye)
    options = ReaderOptions(source_options(eye.camera, realtime=False), ANALYSED_FPS)
    reader = Reader(eye.camera.id, address(eye.camera), options, sink, SystemClock(), random.Random(1))
    eye.watch.attend = reader.set_attention
    reader.start()
    try:
        while (status := reader.status()).last_error is None:
            yield from sink.drain()
            yield Seen(status.packets / FPS, None)  # an idle camera is seldom looked at; its time goes on
            time.sleep(POLL_S)
    finally:
        reader.stop()
    yield from sink.drain()


class _Inline:
    """A frame sink that analyses on the spot."""

    def __init__(self, eye: Eye) -> None:
        self._eye = eye
        self._sight = Sight(eye.detector)
        self._seen: list[Seen] = []

    def offer(self, frame: Frame) -> None:
        watch, pts_s = self._eye.watch, frame.pts_s
        with self._eye.turn:
            found = self._sight.look([Glance(frame, watch.known)])[0]
        seen = Seen(pts_s, watch.update(found, pts_s, EPOCH + timedelta(seconds=pts_s)))
        self._seen.append(seen)  # not in one line: `drain` exchanges the list while the eye looks

    def gate(self, camera_id: str) -> None:
        """Nothing to do."""

    def drain(self) -> list[Seen]:
        seen, self._seen = self._seen, []
        return seen


def square_fp32() -> Detector:
    """The FP32 model on a square input, as its own examples use it."""
    model = find_model("nanodet-g-416-fp32")
    manifest = model.manifest.model_copy(
        update={"input": model.manifest.input.model_copy(update={"stride": 0})}
    )
    square = ModelFile(manifest, model.path)
    return Detector(square, Session(square))


System = tuple[Callable[[], Detector], Callable[[Eye, float, Due], Iterator[Seen]]]
SYSTEMS: dict[str, System] = {
    "naive": (square_fp32, naive),
    "naive-int8": (lambda: load_detector(INT8), naive),
    "decode-all": (lambda: load_detector(INT8), decode_all),
    "ours": (lambda: load_detector(INT8), ours),
}


class Host:
    """Runs a system's loops: side by side in real time, or one after the other as fast as they go."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        load, self._loop = SYSTEMS[job["system"]]
        detector, turn = load(), threading.Lock()
        self._eyes = [Eye(CameraConfig.model_validate(c), detector, turn) for c in job["cameras"]]
        self._begins: list[float] = job["begin_s"]
        self._staggers: list[float] = job["stagger_s"]
        self._seconds: float = job["seconds"]
        self._warm_up_s: float = job["warm_up_s"]
        self._cpu_s = self._video_s = 0.0
        self._lock = threading.Lock()
        self._looks: list[Look] = []
        self._told: list[Told] = []
        self._failures: list[BaseException] = []

    def run(self, *, realtime: bool) -> Observation:
        """Watch every camera for the job's seconds."""
        memory_mb: list[float] = []
        begin_s, cpu_s = time.monotonic(), time.process_time()
        if realtime:
            begin_s += READY_S
            threads = [
                threading.Thread(target=self._live, args=(eye, begin_s + stagger_s))
                for eye, stagger_s in zip(self._eyes, self._staggers, strict=True)
            ]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                memory_mb.append(resident_mb())
                time.sleep(1.0)
        else:
            for eye, first_s in zip(self._eyes, self._begins, strict=True):
                self._fast(eye, first_s)
        if self._failures:
            raise self._failures[0]
        if realtime:
            self._cpu_s, self._video_s = time.process_time() - cpu_s, len(self._eyes) * self._seconds
        return Observation(
            begin_s,
            time.monotonic(),
            self._cpu_s,
            self._video_s,
            self._looks,
            self._told,
            memory_mb or [resident_mb()],
        )

    def _live(self, eye: Eye, zero_s: float) -> None:
        def due(pts_s: float) -> None:
            wait_s = zero_s + pts_s - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)

        try:
            for seen in self._loop(eye, 0.0, due):
                self._note(eye, seen, zero_s + seen.pts_s)
                if time.monotonic() - zero_s >= self._seconds:
                    return
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self._failures.append(error)

    def _fast(self, eye: Eye, first_s: float) -> None:
        """One camera at full speed. What lies between two pictures is counted, the warm-up before not."""
        begin: tuple[float, float] | None = None
        last_s = first_s
        for seen in self._loop(eye, first_s, lambda _: None):
            self._note(eye, seen, seen.pts_s)
            last_s = max(last_s, seen.pts_s)
            if begin is None and last_s >= first_s + self._warm_up_s:
                begin = last_s, time.process_time()
            if last_s >= first_s + self._warm_up_s + self._seconds:
                break
        if begin is not None:
            self._video_s += last_s - begin[0]
            self._cpu_s += time.process_time() - begin[1]

    def _note(self, eye: Eye, seen: Seen, seen_s: float) -> None:
        if seen.drafts is None:
            return
        now_s = time.monotonic()
        told = []
        for draft in seen.drafts:
            data: Any = draft.data
            kind = draft.type.removeprefix("org.sharpeyes.").removesuffix(".v1")
            told.append(
                Told(eye.camera.id, kind, data.zone, data.phase, data.incident, seen.pts_s, now_s, now_s)
            )
        with self._lock:
            self._looks.append(Look(eye.camera.id, seen.pts_s, seen_s, seen_s, now_s))
            self._told.extend(told)


def main() -> None:
    """Run it as a program."""
    job = json.loads(Path(sys.argv[1]).read_text())
    Host(job).run(realtime=job["realtime"]).save(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
