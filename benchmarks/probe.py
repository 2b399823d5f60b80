"""The product itself, watched from inside: `python -m benchmarks.probe JOB OUT` runs a node and records it.

Taps are laid around a few functions of the product before a node is built; the node knows nothing of them.
CPU by stage is taken with the thread's own CPU clock, each stage without the stages within it.
"""

import asyncio
import itertools
import json
import math
import resource
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import redis
from prometheus_client.parser import text_string_to_metric_families

import streams.source
from benchmarks.box import stagger_s
from benchmarks.observed import Look, Observation, Told
from edge.config import Config
from edge.envelope import stream_key
from edge.runtime import Node
from streams.packet import Packet

STAGES = {
    "decode": ("streams.decode:Decoder._decode",),
    "infer": ("models.session:Session.run",),
    "demux": ("streams.source:ContainerSource._read",),
    "scale": ("streams.picture:_converted",),
    "motion": ("streams.motion:Motion.update", "streams.motion:Motion.look"),
    "pace": ("streams.source:_Pace.wait",),
    "read": ("streams.source:_packet",),
    "gate": ("streams.activity:ActivityGate.decide",),
    "analyse": ("edge.watch:CameraWatch.update",),
    "save": ("edge.saver:Saver.save",),
    "regions": ("models.regions:plan",),
    "prepare": ("models.detector:Preparation.__call__",),
    "read out": ("models.detector:Detector.read",),
    "hold": ("streams.gated:GatedDecoder.feed",),
    "plan": ("edge.governor:Governor.step",),
}
"""Where each stage's time is spent. What is not there yet is left out; the rest of the process is `other`."""

SETTLE_S = 0.5
"""What was analysed at the end of the measured while may take so long to Redis."""


class Stopwatch:
    """CPU seconds by stage, summed over threads; each stage without the stages it calls."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._sums: list[dict[str, float]] = []
        self._lock = threading.Lock()

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            sums, inner = self._mine()
            inner.append(0.0)
            started_s = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent_s = time.thread_time() - started_s
                sums[stage] = sums.get(stage, 0.0) + spent_s - inner.pop()
                if inner:
                    inner[-1] += spent_s

        return timed

    def read(self) -> dict[str, float]:
        """CPU seconds by stage so far."""
        total: dict[str, float] = {}
        with self._lock:
            for sums in self._sums:
                for stage, spent_s in list(sums.items()):
                    total[stage] = total.get(stage, 0.0) + spent_s
        return total

    def _mine(self) -> tuple[dict[str, float], list[float]]:
        if not hasattr(self._local, "sums"):
            self._local.sums, self._local.inner = {}, []
            with self._lock:
                self._sums.append(self._local.sums)
        return self._local.sums, self._local.inner

    def tap(self, stages: Mapping[str, Iterable[str]]) -> list[str]:
        """Lay taps; returns the stages whose functions exist."""
        found = []
        for stage, places in stages.items():
            for place in places:
                owner, name = _resolve(place)
                if owner is not None and hasattr(owner, name):
                    setattr(owner, name, self.around(stage, getattr(owner, name)))
                    found.append(stage)
        return found


@dataclass(slots=True)
class Record:
    """What the taps saw: looks, when frames were taken, and by event id its look and when it was saved."""

    looks: list[Look] = field(default_factory=list)
    taken_s: dict[tuple[str, float], float] = field(default_factory=dict)
    source: dict[str, tuple[str, float]] = field(default_factory=dict)
    saved_s: dict[str, float] = field(default_factory=dict)

    def tap(self) -> None:
        """Lay taps around the hand-overs: mailbox to analysis, analysis to outbox."""
        from edge.outbox import Outbox
        from edge.watch import CameraWatch
        from streams.mailbox import Mailbox

        take, update, append = Mailbox.take_many, CameraWatch.update, Outbox.append

        @wraps(take)
        def taking(*args: Any, **kwargs: Any) -> Any:
            frames = take(*args, **kwargs)
            for frame in frames:
                self.taken_s[frame.camera_id, frame.pts_s] = time.monotonic()
            return frames

        @wraps(update)
        def updating(watch: Any, detections: Any, pts_s: float, utc: Any, *args: Any, **kwargs: Any) -> Any:
            drafts = update(watch, detections, pts_s, utc, *args, **kwargs)
            now_s, camera = time.monotonic(), watch.camera.id
            seen_s = utc.timestamp() - _wall_offset()
            taken_s = self.taken_s.pop((camera, pts_s), seen_s)
            self.looks.append(Look(camera, pts_s, seen_s, taken_s, now_s))
            self.source.update((draft.id, (camera, pts_s)) for draft in drafts)
            return drafts

        @wraps(append)
        def appending(*args: Any, **kwargs: Any) -> Any:
            events = append(*args, **kwargs)
            now_s = time.monotonic()
            self.saved_s.update((event.id, now_s) for event in events)
            return events

        # Rebinding methods is what a tap is.
        Mailbox.take_many, CameraWatch.update, Outbox.append = taking, updating, appending  # type: ignore[method-assign,assignment]

    def told(self, entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> list[Told]:
        """Events of looks that have arrived in Redis; an entry's id says when, by the server's clock."""
        told, offset_s = [], _wall_offset()
        for entry, fields in entries:
            event = json.loads(fields[b"ce"])
            if event["id"] not in self.source:
                continue
            (camera, pts_s), data = self.source[event["id"]], event["data"]
            kind = event["type"].removeprefix("org.sharpeyes.").removesuffix(".v1")
            told_s = int(entry.split(b"-")[0]) / 1000 - offset_s
            told.append(
                Told(
                    camera,
                    kind,
                    data["zone"],
                    data["phase"],
                    data["incident"],
                    pts_s,
                    self.saved_s[event["id"]],
                    told_s,
                )
            )
        return told


def play_like_cameras() -> None:
    """Let files go by on an absolute schedule, each begun at its own moment, as cameras do."""
    streams.source._PACING_LIMIT_S = math.inf  # a camera does not wait for a reader that fell behind
    packets, turns = streams.source.ContainerSource.packets, itertools.count()

    def late(source: streams.source.ContainerSource) -> Iterator[Packet]:
        if source.begun_s is None:
            time.sleep(stagger_s(next(turns)))
        yield from packets(source)

    streams.source.ContainerSource.packets = late  # type: ignore[method-assign,assignment]


async def observe(job: Mapping[str, Any]) -> Observation:
    """Run a node as the job says, and say what it did."""
    record, watch = Record(), Stopwatch()
    record.tap()
    play_like_cameras()
    if job["stages"]:
        watch.tap(STAGES)
    memory_mb: list[float] = []
    files: list[int] = []
    async with Node.open(Config.model_validate(job["config"])) as node:
        await asyncio.sleep(job["warm_up_s"])
        frames = {camera.id: Counter(camera.frames) for camera in node.status().cameras}
        begin_s, cpu_s, stages = time.monotonic(), time.process_time(), watch.read()
        covered = coverage(node)
        while (left_s := begin_s + job["seconds"] - time.monotonic()) > 0:
            await asyncio.sleep(min(1.0, left_s))
            memory_mb.append(resident_mb())
            files.append(open_files())
        end_s, cpu_s = time.monotonic(), time.process_time() - cpu_s
        spent = {stage: total - stages.get(stage, 0.0) for stage, total in watch.read().items()}
        status = node.status()
        covered = {state: total_s - covered.get(state, 0.0) for state, total_s in coverage(node).items()}
        await asyncio.sleep(SETTLE_S)
        told = record.told(await asyncio.to_thread(_entries, node))
    return Observation(
        begin_s=begin_s,
        end_s=end_s,
        cpu_s=cpu_s,
        video_s=len(status.cameras) * (end_s - begin_s),
        looks=record.looks,
        told=told,
        memory_mb=memory_mb,
        files=files,
        stages=spent,
        frames={c.id: {k: n - frames[c.id][k] for k, n in c.frames.items()} for c in status.cameras},
        facts=json.loads(json.dumps(asdict(status), default=str)) | {"covered": covered},
    )


def coverage(node: Node) -> dict[str, float]:
    """Seconds of all tasks together by state, as the ledger says."""
    seconds: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(node.metrics()[0].decode()):
        if family.name == "sharpeyes_coverage_seconds":
            for sample in family.samples:
                seconds[sample.labels["state"]] += sample.value
    return dict(seconds)


def resident_mb() -> float:
    """Resident memory of this process in MB (10^6 bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def open_files() -> int:
    """Open file descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def _entries(node: Node) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
    with redis.Redis.from_url(node.redis_url) as client:
        entries: Any = client.xrange(stream_key(node.config.node.district))
    return list(entries)


def _wall_offset() -> float:
    return time.time() - time.monotonic()


def _resolve(place: str) -> tuple[Any, str]:
    module, path = place.split(":")
    *owners, name = path.split(".")
    try:
        owner: Any = import_module(module)
    except ImportError:
        return None, name
    for part in owners:
        owner = getattr(owner, part, None)
    return owner, name


def main() -> None:
    """Run it as a program."""
    job, out = sys.argv[1:3]
    asyncio.run(observe(json.loads(Path(job).read_text()))).save(Path(out))


if __name__ == "__main__":
    main()
