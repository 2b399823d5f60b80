"""The budget in force: reads the node once a second, plans, and lets readers and mailbox keep to the plan."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

import structlog

from edge.config import CameraConfig, Config
from edge.control import CameraReading, Controller, NodeReading
from edge.costs import (
    KEPT,
    SOURCE_KINDS,
    CostError,
    CostMeter,
    CostTable,
    Stage,
    Stream,
    kept_table,
    load_table,
    save_table,
)
from edge.opening import address
from edge.seen import CameraSeen
from edge.spent import Spent
from edge.watch import CameraWatch
from streams.clock import Clock
from streams.demand import Allocation
from streams.mailbox import Mailbox
from streams.reader import Reader, ReaderStatus
from streams.service import Service

log = structlog.get_logger(__name__)

PERIOD_S: Final = 1.0
AGES_S: Final = 5.0
"""Ages of pictures count for so long."""
_MOST_AGES: Final = 4096
_READ: Final[tuple[Stage, ...]] = ("demux", "keyframe", "decode")


class BoxTimes(NamedTuple):
    """Time of all cores of the box since it started, and how much of it they were idle; any unit."""

    total_s: float
    idle_s: float


def box_times(stat: Path = Path("/proc/stat")) -> BoxTimes | None:
    """By the kernel's account; None where it keeps none (not Linux)."""
    try:
        fields = [float(word) for word in stat.read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return BoxTimes(sum(fields), fields[3] + fields[4]) if len(fields) >= 5 else None


class Governor:
    """Keeps a node within its box. `looked` may be called from one thread, `step` from another.

    Args:
        config: the node's.
        readers: by camera id; told what they are granted.
        mailbox: told whose turn it is.
        clock: when it is time for the next plan.
        cpu_s: CPU seconds of the process, all threads.
        box: seconds of the box's cores so far, as `box_times`.
    """

    def __init__(
        self,
        config: Config,
        readers: Mapping[str, Reader],
        mailbox: Mailbox,
        clock: Clock,
        *,
        cpu_s: Callable[[], float] = time.process_time,
        box: Callable[[], BoxTimes | None] = box_times,
    ) -> None:
        self._config = config
        self._readers = readers
        self._mailbox = mailbox
        self._clock = clock
        self._cpu_s = cpu_s
        self._box = box
        self._box_before = self._box()
        self._lane_s = 0.0
        self._kept = config.node.data_dir / KEPT
        self.meter = CostMeter(_costs(config), config.model.detector, config.model.density, config.model.fire)
        self._controller = Controller(config, self.meter)
        self._kinds = {camera.id: SOURCE_KINDS[address(camera).scheme] for camera in config.cameras}
        self._spent: dict[tuple[str, Stage], tuple[float, int]] = {}
        self._ages: deque[tuple[float, float]] = deque(maxlen=_MOST_AGES)
        self._lock = Lock()
        self._next_s = clock.monotonic()

    @property
    def plan(self) -> Allocation | None:
        """What is in force; None before the first plan."""
        return self._controller.allocation

    def service(self, camera_id: str) -> Service | None:
        """What a camera is granted; None before the first plan."""
        return None if self.plan is None else self.plan.services.get(camera_id)

    @property
    def services(self) -> Mapping[str, Service]:
        """What all cameras are granted; empty before the first plan."""
        return {} if self.plan is None else self.plan.services

    def looked(self, camera_id: str, spent: Spent, age_s: float, *, closely: bool = False) -> None:
        """Tell of a picture that was analysed.

        Args:
            camera_id: whose it was.
            spent: on its inference and analysis, by the calling thread.
            age_s: its age afterwards.
            closely: whether it was looked at twice.
        """
        # Inference spreads evenly over its threads, of which the caller measures one.
        self.meter.add_look(camera_id, spent.cpu_ms * self._config.model.threads, closely=closely)
        with self._lock:
            self._lane_s += spent.host_s
            self._ages.append((self._clock.monotonic(), age_s))

    def counted(self, camera_id: str, spent: Spent, stage: Stage = "density") -> None:
        """Tell of a picture whose heads were counted, or that was looked at for fire, beside the usual look.

        Args:
            camera_id: whose it was.
            spent: what that took of the caller.
            stage: which of the two.
        """
        self.meter.add(camera_id, stage, spent.cpu_ms * self._config.model.threads)
        with self._lock:
            self._lane_s += spent.host_s

    def step(self, seen: Mapping[str, CameraSeen], watches: Mapping[str, CameraWatch]) -> Allocation | None:
        """Plan if it is time; the new allocation is in force already, None when it was too early."""
        now_s = self._clock.monotonic()
        if now_s < self._next_s:
            return None
        self._next_s = max(self._next_s + PERIOD_S, now_s)
        cameras = {
            camera.id: self._read(camera, seen[camera.id], watches[camera.id])
            for camera in self._config.cameras
        }
        reading = NodeReading(cameras, self._cpu_s(), self._lane_s, self._box_busy(), self._age_p50_s(now_s))
        allocation = self._controller.step(now_s, reading)
        for camera_id, service in allocation.services.items():
            self._readers[camera_id].set_service(service)
        urgent = {camera_id for camera_id, reading in cameras.items() if reading.open_incident}
        self._mailbox.set_services(allocation.services, urgent)
        return allocation

    def keep(self) -> None:
        """Write down what was measured, for `sharpeyes plan` and the next start."""
        try:
            save_table(self.meter.measured(), self._kept)
        except OSError as error:
            log.warning("measured costs are not kept", file=str(self._kept), reason=error.strerror)

    def _read(self, camera: CameraConfig, seen: CameraSeen, watch: CameraWatch) -> CameraReading:
        reader, frames = seen
        stream = self._stream(camera.id, reader)
        if stream is not None:
            self.meter.seen(camera.id, stream)
        self._account(camera.id, reader)
        unread = reader.late * min(camera.analysed_fps / stream.fps, 1.0) if stream is not None else 0.0
        up = reader.state == "up"
        # One that is shed, or is being opened again, costs what it did as soon as it is served.
        returning = reader.state == "shed" or (stream is not None and reader.state == "connecting")
        return CameraReading(
            up=up or returning,
            stream=stream,
            activity="idle" if reader.state == "shed" else reader.activity,
            trusted=reader.trust == "trusted",
            open_incident=bool(watch.open_incidents),
            moving_tracks=len(watch.known) if up and reader.activity == "active" else 0,
            attention=up and watch.attention,
            delivered=frames.delivered,
            lost=frames.superseded + frames.expired + round(unread),
        )

    def _stream(self, camera_id: str, reader: ReaderStatus) -> Stream | None:
        if reader.width is None or reader.height is None or not reader.fps or not reader.keyframe_s:
            return None
        return Stream(
            reader.width,
            reader.height,
            reader.fps,
            reader.keyframe_s,
            reader.codec or "h264",
            self._kinds[camera_id],
        )

    def _account(self, camera_id: str, reader: ReaderStatus) -> None:
        for stage in _READ:
            now_ms, now_calls = reader.spent.get(stage, (0.0, 0))
            before_ms, before_calls = self._spent.get((camera_id, stage), (0.0, 0))
            if now_calls > before_calls:
                self.meter.add(camera_id, stage, max(now_ms - before_ms, 0.0), now_calls - before_calls)
                self._spent[camera_id, stage] = now_ms, now_calls

    def _box_busy(self) -> float | None:
        before, self._box_before = self._box_before, self._box()
        if before is None or self._box_before is None or self._box_before.total_s <= before.total_s:
            return None
        idle_s = self._box_before.idle_s - before.idle_s
        return min(max(1.0 - idle_s / (self._box_before.total_s - before.total_s), 0.0), 1.0)

    def _age_p50_s(self, now_s: float) -> float | None:
        with self._lock:
            while self._ages and now_s - self._ages[0][0] > AGES_S:
                self._ages.popleft()
            ages = sorted(age_s for _, age_s in self._ages)
        return ages[len(ages) // 2] if ages else None


def _costs(config: Config) -> CostTable:
    """What this node measured when it ran before; else what ships."""
    try:
        return kept_table(config.node.data_dir)
    except CostError as error:
        log.warning("measured costs cannot be used; starting from those that ship", reason=str(error))
        return load_table()
