"""What the coverage ledger is told and what it tells: cells, readings, rows and reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from edge.status import CameraState

State = Literal["analysed", "degraded", "blind"]
Reason = Literal[
    "at_rate",
    "idle_watched",
    "reduced",
    "camera_slow",
    "failing",
    "overload",
    "starting",
    "connecting",
    "camera_offline",
    "shed",
    "stopped",
]


class Cell(NamedTuple):
    """Where a millisecond is booked."""

    state: State
    reason: Reason


AT_RATE: Final = Cell("analysed", "at_rate")
IDLE_WATCHED: Final = Cell("analysed", "idle_watched")
STARTING: Final = Cell("blind", "starting")
CONNECTING: Final = Cell("blind", "connecting")
OFFLINE: Final = Cell("blind", "camera_offline")
SHED: Final = Cell("blind", "shed")
STOPPED: Final = Cell("blind", "stopped")
CELLS: Final = (
    AT_RATE,
    IDLE_WATCHED,
    Cell("degraded", "reduced"),
    Cell("degraded", "camera_slow"),
    Cell("degraded", "failing"),
    Cell("degraded", "overload"),
    STARTING,
    CONNECTING,
    OFFLINE,
    SHED,
    Cell("blind", "reduced"),
    Cell("blind", "camera_slow"),
    Cell("blind", "failing"),
    Cell("blind", "overload"),
    STOPPED,
)
"""The closed table of cells, best first; `docs/coverage.md` explains each."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One camera at a step. Counters run from the start of the node and never fall.

    Attributes:
        state: of the stream.
        since_mono_s: host monotonic seconds since when it is so.
        wanted_fps: pictures analysed a second that the configuration asks for, above 0.
        granted_fps: what the plan grants; 0 is keyframes only, None is shed: not even these.
        packets: packets read.
        looks: pictures analysed, those included whose analysis failed.
        failures: pictures whose analysis failed.
        idle: the activity gate takes the scene for calm, so pictures are compared but not analysed.
        trusted: packet sizes have shown on this stream that they tell motion, so the gate watches these.
        keyframes: keyframes of the idle camera that were to be compared with the calm scene.
        compared: pictures that were, keyframes included.
    """

    state: CameraState
    since_mono_s: float
    wanted_fps: float
    granted_fps: float | None
    packets: int = 0
    looks: int = 0
    failures: int = 0
    idle: bool = False
    trusted: bool = False
    keyframes: int = 0
    compared: int = 0

    def __post_init__(self) -> None:
        if not self.wanted_fps > 0:
            raise ValueError(f"wanted_fps must be above 0, got {self.wanted_fps}")
        if self.granted_fps is not None and not self.granted_fps >= 0:
            raise ValueError(f"granted_fps must be 0 or more, or None, got {self.granted_fps}")


@dataclass(frozen=True, slots=True)
class Covered:
    """One task's time in one cell since the ledger was opened.

    Attributes:
        camera: the camera's id.
        task: `kind/subject`.
        cell: state and reason.
        ms: milliseconds, above 0.
    """

    camera: str
    task: str
    cell: Cell
    ms: int


@dataclass(frozen=True, slots=True)
class Row:
    """Tasks of one camera that shared a span's fate.

    Attributes:
        camera: the camera's id.
        tasks: `kind/subject` of each.
        ms: milliseconds by cell, above 0, in the table's order; they add up to the span.
    """

    camera: str
    tasks: tuple[str, ...]
    ms: Mapping[Cell, int]


@dataclass(frozen=True, slots=True)
class Report:
    """What was covered from the last report to this one.

    Attributes:
        span_ms: how long that was.
        rows: by camera; each task of each camera stands in exactly one.
    """

    span_ms: int
    rows: tuple[Row, ...]

    def task_ms(self, state: State) -> int:
        """Milliseconds of all tasks together that were spent in a state."""
        return sum(
            ms * len(row.tasks) for row in self.rows for cell, ms in row.ms.items() if cell.state == state
        )
