"""How many cameras a system carries: what one costs, what stands, and the search for the most."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import av

from benchmarks import box, clips
from benchmarks.box import Camera, Workload
from benchmarks.loops import INT8, square_fp32
from benchmarks.observed import Observation, Recall, quantile, queued, recall
from models.detector import Detector
from models.zoo import load_detector
from streams.picture import AvPicture

RECALL = 0.99
P99_S = 1.0
USABLE = 0.72
"""Share of the cores that a first try in real time plans with: visits do not come evenly."""
EXCERPT_MARGIN_S = 4.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a system bore so many cameras in real time.

    Attributes:
        cameras: how many.
        recall: of its events.
        p50_s, p99_s: from frame to event; of frames analysed, where there was no event.
        queued: whether old work piled up.
        cpu: share of the box's cores that its process took.
    """

    cameras: int
    recall: Recall
    p50_s: float
    p99_s: float
    queued: bool
    cpu: float

    @property
    def keeps_up(self) -> bool:
        """99 % of the events that it tells within a second, and nothing queues."""
        return self.p99_s <= P99_S and not self.queued

    @property
    def stands(self) -> bool:
        """It keeps up, and tells at least 99 % of the events."""
        return self.recall.share >= RECALL and self.keeps_up


def verdict(shown: Sequence[Camera], seen: Observation) -> Verdict:
    """Judge what a system did with these cameras in real time."""
    delays_s = seen.delays_s() or seen.ages_s()
    found = recall(seen, box.footage_of(shown))
    share = seen.cpu_s / (seen.wall_s * box.CORES)
    p50_s, p99_s = (quantile(delays_s, q) if delays_s else math.inf for q in (0.5, 0.99))
    return Verdict(len(shown), found, p50_s, p99_s, queued(seen), share)


def most(stands: Callable[[int], bool], first: int, tries: int, precision: float = 0.05) -> int:
    """The largest count found that stands, in at most so many tries; 0 if none did.

    Upwards and downwards by a quarter until one stands and one falls, then halfway between.

    >>> most(lambda n: n <= 37, 20, 12)
    37
    >>> most(lambda n: n <= 3, 20, 12), most(lambda n: False, 2, 12)
    (3, 0)
    """
    low, high, count = 0, 0, max(1, first)
    for _ in range(tries):
        if stands(count):
            low = count
        else:
            high = count
        if high and high - low <= max(1.0, precision * low):
            break
        if not high:
            count = math.ceil(low * 1.25)
        elif not low:
            count = max(1, math.floor(high * 0.75))
        else:
            count = (low + high) // 2
    return low


def cost(system: str, workload: Workload, cameras: int, loops: float) -> tuple[Observation, Recall]:
    """What a system spends on one camera, all cores at work, nothing waited for; and what it told.

    The naive loops spend the same on every frame, so an excerpt around each visit is enough for them; the
    others go through `loops` whole rounds of each camera's footage, and ours through one before that, in
    which it learns what the camera's packets tell.
    """
    loop_s = loop_seconds(workload)
    naive = system.startswith("naive")
    warm_up_s = loop_s if system == "ours" else 0.0
    seconds = loops * loop_s
    shown = box.cameras(cameras, warm_up_s + seconds + loop_s, workload)
    begin_s = [0.0] * cameras
    if naive:
        visits = [next(h for h in camera.footage.happenings if h.whole) for camera in shown]
        begin_s = [math.floor(max(0.0, v.begin_s - 2.0) / clips.GOP_S) * clips.GOP_S for v in visits]
        lengths = [v.end_s + EXCERPT_MARGIN_S - begin for v, begin in zip(visits, begin_s, strict=True)]
        seconds = max(lengths) * min(loops, 1.0)
    seen = box.cost_of_loop(system, shown, seconds, warm_up_s=warm_up_s, begin_s=begin_s)
    spans = {
        camera.id: (begin + warm_up_s, begin + warm_up_s + seconds)
        for camera, begin in zip(shown, begin_s, strict=True)
    }
    return seen, recall(seen, box.footage_of(shown), spans)


def loop_seconds(workload: Workload) -> float:
    """The longest loop of a workload's scenes."""
    loops = (
        clips.loop_of(clips.busy_groups(clips.render(scene).truth), workload.share)
        for scene in range(workload.scenes)
    )
    return clips.GOP_S * max(map(len, loops))


def limits(workload: Workload) -> dict[str, float]:
    """What no system can do better than, in CPU ms: pure decoding and pure inference, on this machine now."""
    shown = box.cameras(1, loop_seconds(workload), workload)[0].footage
    decode_ms, keyframe_ms = _decode_ms(shown)
    return {
        "decode_ms": decode_ms,
        "decode_keyframe_ms": keyframe_ms,
        "infer_int8_ms": _infer_ms(load_detector(INT8)),
        "infer_fp32_square_ms": _infer_ms(square_fp32()),
    }


def bound(found: dict[str, float], share: float) -> dict[str, float]:
    """Cameras per box if all CPU went into decoding and inference alone.

    Args:
        found: `limits`.
        share: of activity.
    """
    each = {
        "naive": 25 * (found["decode_ms"] + found["infer_fp32_square_ms"]),
        "naive-int8": 25 * (found["decode_ms"] + found["infer_int8_ms"]),
        "decode-all": 25 * found["decode_ms"] + share * 5 * found["infer_int8_ms"],
        "ours": (1 - share) * 0.5 * found["decode_keyframe_ms"]
        + share * (25 * found["decode_ms"] + 5 * found["infer_int8_ms"]),
    }
    return {system: box.CORES * 1000 / ms for system, ms in each.items()}


def _decode_ms(shown: clips.Footage) -> tuple[float, float]:
    """CPU ms of decoding a picture during a visit, and of a keyframe; medians over groups and keyframes."""
    begin_s, end_s = shown.active[0]
    groups: list[list[float]] = []
    with av.open(str(shown.path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            if packet.pts is None or packet.time_base is None:
                break
            time_s = float(packet.pts * packet.time_base)
            if time_s >= end_s:
                break
            if packet.is_keyframe:
                groups.append([])
            before_s = time.thread_time()
            packet.decode()
            if time_s >= begin_s:
                groups[-1].append((time.thread_time() - before_s) * 1000)
    busy = [group for group in groups if group]
    return statistics.median(map(statistics.fmean, busy)), statistics.median(group[0] for group in busy)


def _infer_ms(detector: Detector, times: int = 20) -> float:
    """CPU ms of one `session.run` on a 16:9 picture; the median."""
    frame = av.VideoFrame(*clips.SIZE, "yuv420p")
    _, tensor = detector.prepare(AvPicture(frame))
    spent = []
    for _ in range(times):
        before_s = time.thread_time()
        detector.session.run(tensor)
        spent.append((time.thread_time() - before_s) * 1000)
    return statistics.median(spent)
