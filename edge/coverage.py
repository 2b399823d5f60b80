"""The coverage ledger: what every camera's every task saw of each millisecond, and why not more.

"No alarm" is worth something only where somebody looked. So wall time is divided among the cells of
`account.CELLS`, in whole milliseconds that add up exactly; nothing is left out, nothing counted twice. Pure
bookkeeping: time and readings are handed in, on the host's monotonic clock, so leaps of the wall clock change
nothing.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, NamedTuple

from edge.account import (
    AT_RATE,
    CELLS,
    CONNECTING,
    IDLE_WATCHED,
    OFFLINE,
    SHED,
    STARTING,
    STOPPED,
    Cell,
    Covered,
    Reading,
    Reason,
    Report,
    Row,
)
from edge.floors import Task
from edge.status import CameraState
from streams.reader import ReaderStatus
from streams.service import Service

WINDOW_MS = 5_000
"""Rates are judged over this long, or over two looks at the rate where that is longer."""
LONGEST_WINDOW_MS = 60_000
FLIGHT_MS = 500
"""Pictures of this long may still be on their way through analysis."""
SILENT_MS = 2_000
"""Without a packet for this long, a camera is away, whatever its connection says."""
SWITCH_MS = 2_000
"""A step at whose end an idle camera has woken counts as watched if it is no longer than this."""
STALE_MS = 12_500
"""A camera that nobody compared for this long is not watched; the gate itself looks every 12 s at least."""
SAMPLE_MS = 200
"""Counters are remembered no more often than this."""

_AWAY: Final[Mapping[CameraState, Cell]] = {
    "connecting": CONNECTING,
    "retrying": OFFLINE,
    "shed": SHED,
    "stopped": STOPPED,
}


def reading_of(
    status: ReaderStatus, service: Service, wanted_fps: float, looks: int, failures: int
) -> Reading:
    """What a camera's reader and its service level say to the ledger.

    Args:
        status: of its reader. Of an idle camera, every picture that is decoded is also compared.
        service: what the plan grants it.
        wanted_fps: pictures analysed a second that its configuration asks for.
        looks: pictures handed to analysis since the start.
        failures: those of them whose analysis failed.
    """
    return Reading(
        state=status.state,
        since_mono_s=status.since_mono_s,
        wanted_fps=wanted_fps,
        granted_fps=None if service.shed else service.fps,
        packets=status.packets,
        looks=looks,
        failures=failures,
        idle=status.activity == "idle",
        trusted=status.trust == "trusted",
        keyframes=status.looks,
        compared=status.decoded,
    )


class _Sample(NamedTuple):
    """A camera's reading at a moment."""

    at_ms: int
    reading: Reading


@dataclass(slots=True)
class _Group:
    """Tasks of one camera with the same floor: they always share a fate."""

    floor_fps: float
    tasks: tuple[str, ...]
    cell: Cell = STARTING
    ms: dict[Cell, int] = field(default_factory=dict)
    told: dict[Cell, int] = field(default_factory=dict)

    def book(self, cell: Cell, ms: int) -> None:
        self.cell = cell
        if ms:
            self.ms[cell] = self.ms.get(cell, 0) + ms

    def untold(self) -> dict[Cell, int]:
        return {cell: ms for cell in CELLS if (ms := self.ms.get(cell, 0) - self.told.get(cell, 0))}


@dataclass(slots=True)
class _Camera:
    groups: tuple[_Group, ...]
    last: Reading | None = None
    moved_ms: int = 0
    compared_ms: int = 0
    samples: list[_Sample] = field(default_factory=list)


class Ledger:
    """Books wall time. One thread steps; any thread may ask for totals.

    Args:
        cameras: tasks by camera id.
        now_mono_s: host monotonic seconds; the books begin here.
        period_s: seconds between two reports.
    """

    def __init__(
        self, cameras: Mapping[str, Sequence[Task]], now_mono_s: float, period_s: float = 60.0
    ) -> None:
        self._origin_s = now_mono_s
        self._period_ms = round(period_s * 1000)
        self._cameras = {id_: _Camera(_groups(tasks)) for id_, tasks in cameras.items()}
        self._now_ms = self._told_ms = 0
        self._closed = False
        self._lock = Lock()

    def step(self, now_mono_s: float, readings: Mapping[str, Reading]) -> Report | None:
        """Book the time since the last step by what is read now; returns a report when one is due.

        A camera without a reading is `starting` before its first one and `stopped` after. Steps may be
        late and irregular; one that goes back in time books nothing. After `close` nothing is booked.

        Args:
            now_mono_s: host monotonic seconds.
            readings: by camera id.

        Raises:
            KeyError: a reading is of a camera that the ledger does not know.
        """
        if strangers := set(readings) - set(self._cameras):
            raise KeyError(f"the ledger knows no camera {min(strangers)!r}")
        with self._lock:
            if self._closed:
                return None
            before_ms, self._now_ms = self._now_ms, self._ms(now_mono_s)
            for id_, camera in self._cameras.items():
                self._book(camera, readings.get(id_), before_ms)
            return self._report() if self._now_ms - self._told_ms >= self._period_ms else None

    def close(self, now_mono_s: float) -> Report:
        """Book what is left as `stopped` and make the last report; after that the books are closed."""
        with self._lock:
            if not self._closed:
                before_ms, self._now_ms = self._now_ms, self._ms(now_mono_s)
                for camera in self._cameras.values():
                    _book_all(camera, STOPPED, self._now_ms - before_ms)
                self._closed = True
            return self._report()

    def totals(self) -> tuple[Covered, ...]:
        """All time since the beginning, by camera, task and cell; cells without time are left out."""
        with self._lock:
            return tuple(
                Covered(id_, task, cell, group.ms[cell])
                for id_, camera in self._cameras.items()
                for group in camera.groups
                for task in group.tasks
                for cell in CELLS
                if cell in group.ms
            )

    @property
    def wall_ms(self) -> int:
        """Milliseconds from the beginning to the last step; each task's cells add up to it."""
        return self._now_ms

    def _ms(self, mono_s: float) -> int:
        return max(self._now_ms, self._ms_of(mono_s))

    def _book(self, camera: _Camera, reading: Reading | None, before_ms: int) -> None:
        now_ms, last = self._now_ms, camera.last
        if reading is None:
            _book_all(camera, STARTING if last is None else STOPPED, now_ms - before_ms)
            return
        camera.last = reading
        if last is None:  # analysis begins now
            camera.moved_ms = camera.compared_ms = now_ms
            _restart(camera, reading, now_ms)
            _book_all(camera, STARTING, now_ms - before_ms)
            return
        if reading.packets > last.packets:
            camera.moved_ms = now_ms
        if reading.compared > last.compared:
            camera.compared_ms = now_ms
        changed_ms = min(max(self._ms_of(reading.since_mono_s), before_ms), now_ms)
        if changed_ms > before_ms:
            self._until_change(camera, last, reading, (before_ms, changed_ms))
        self._since_change(camera, last, reading, changed_ms)

    def _ms_of(self, mono_s: float) -> int:
        return round((mono_s - self._origin_s) * 1000)

    def _until_change(self, camera: _Camera, last: Reading, reading: Reading, span: tuple[int, int]) -> None:
        """The part of a step before the stream came into its present state."""
        start_ms, end_ms = span
        for group in camera.groups:
            cell = group.cell if last.state == "up" else _AWAY[last.state]
            if last.state == reading.state == "up":  # up anew: it was away, nobody knows for how long
                cell = OFFLINE
            group.book(cell, end_ms - start_ms)
        if reading.state == "up":
            _restart(camera, last, end_ms)
            camera.moved_ms = camera.compared_ms = self._now_ms

    def _since_change(self, camera: _Camera, last: Reading, reading: Reading, start_ms: int) -> None:
        """The part of a step in which the stream was in its present state."""
        now_ms = self._now_ms
        cell = self._without_rates(camera, last, reading, start_ms)
        if cell is not None:
            _book_all(camera, cell, now_ms - start_ms)
            _restart(camera, reading, now_ms)
            return
        if reading.idle != last.idle:
            _restart(camera, last, start_ms)
        good = IDLE_WATCHED if reading.idle else AT_RATE
        if _watched(camera, reading, now_ms):
            _book_all(camera, good, now_ms - start_ms)
        else:
            degraded = _shortfall(camera, reading.wanted_fps, reading, now_ms)
            fair = Cell("degraded", degraded) if degraded else good
            for group in camera.groups:
                blind = _shortfall(camera, group.floor_fps, reading, now_ms)
                group.book(Cell("blind", blind) if blind else fair, now_ms - start_ms)
        _remember(camera, reading, now_ms)

    def _without_rates(self, camera: _Camera, last: Reading, reading: Reading, start_ms: int) -> Cell | None:
        """The cell of a span where rates say nothing; None where they must be looked at."""
        if reading.state != "up":
            return _AWAY[reading.state]
        if reading.granted_fps is None:
            return SHED
        if self._now_ms - camera.moved_ms >= SILENT_MS:
            return OFFLINE
        woken = last.idle and not reading.idle and all(g.cell == IDLE_WATCHED for g in camera.groups)
        return IDLE_WATCHED if woken and self._now_ms - start_ms <= SWITCH_MS else None

    def _report(self) -> Report:
        rows: list[Row] = []
        span_ms, self._told_ms = self._now_ms - self._told_ms, self._now_ms
        if not span_ms:
            return Report(0, ())
        for id_, camera in self._cameras.items():
            fates: dict[tuple[tuple[Cell, int], ...], tuple[str, ...]] = {}
            for group in camera.groups:
                fate = tuple(group.untold().items())
                fates[fate] = fates.get(fate, ()) + group.tasks
                group.told = dict(group.ms)
            rows += [Row(id_, tasks, dict(fate)) for fate, tasks in fates.items()]
        return Report(span_ms, tuple(rows))


def _groups(tasks: Sequence[Task]) -> tuple[_Group, ...]:
    floors: dict[float, list[str]] = {}
    for task in tasks:
        floors.setdefault(task.floor_fps, []).append(task.name)
    return tuple(_Group(floor, tuple(names)) for floor, names in floors.items())


def _book_all(camera: _Camera, cell: Cell, ms: int) -> None:
    for group in camera.groups:
        group.book(cell, ms)


def _restart(camera: _Camera, reading: Reading, at_ms: int) -> None:
    """Judge rates from here on; what was before says nothing about them."""
    camera.samples = [_Sample(at_ms, reading)]


def _remember(camera: _Camera, reading: Reading, now_ms: int) -> None:
    samples = camera.samples
    if now_ms - samples[-1].at_ms < SAMPLE_MS:
        return
    samples.append(_Sample(now_ms, reading))
    slowest_fps = min(reading.wanted_fps, *(group.floor_fps for group in camera.groups))
    since_ms = now_ms - _window_ms(slowest_fps)
    if samples[len(samples) // 2].at_ms < since_ms:  # now and then, not at each step
        del samples[: _at(samples, since_ms)]


def _window_ms(fps: float) -> int:
    return min(max(WINDOW_MS, round(2000 / fps)), LONGEST_WINDOW_MS)


def _at(samples: list[_Sample], ms: int) -> int:
    """Index of the last sample not after a moment, or of the first."""
    return max(0, bisect_right(samples, ms, key=lambda sample: sample.at_ms) - 1)


def _watched(camera: _Camera, reading: Reading, now_ms: int) -> bool:
    """Whether packet sizes watch a calm scene: trusted, every keyframe compared, and none too long ago.

    One keyframe may be on its way. Where they come faster, comparing one picture a second is enough.
    """
    if not (reading.idle and reading.trusted and reading.granted_fps):
        return False
    first_ms, first = camera.samples[_at(camera.samples, now_ms - WINDOW_MS)]
    compared = reading.compared - first.compared
    owed = reading.keyframes - first.keyframes - compared
    in_time = owed <= 1 or compared * 1000 >= now_ms - first_ms
    return in_time and now_ms - camera.compared_ms < STALE_MS


def _shortfall(camera: _Camera, fps: float, reading: Reading, now_ms: int) -> Reason | None:
    """Why a rate was not reached over the last seconds; None where it was.

    Of a calm scene's pictures it is enough that they were compared.
    """
    first_ms, first = camera.samples[_at(camera.samples, now_ms - _window_ms(fps))]
    needed = int(fps * max(0, now_ms - first_ms - FLIGHT_MS) / 1000)
    looks, failed = reading.looks - first.looks, reading.failures - first.failures
    compared = reading.compared - first.compared if reading.idle else 0
    if max(looks - failed, compared) >= needed:
        return None
    if reading.granted_fps is not None and reading.granted_fps < fps:
        return "reduced"
    if reading.packets - first.packets < needed or now_ms - camera.moved_ms > FLIGHT_MS:
        return "camera_slow"
    return "failing" if looks >= needed else "overload"
