"""What cameras cost: defaults measured on a named machine, refined by what this one measures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from edge.errors import EdgeError
from edge.sections import Section
from streams.demand import CameraCost

Stage = Literal["demux", "keyframe", "decode", "look", "tiles", "density", "fire"]
"""Reading a packet, decoding a keyframe alone, decoding a picture, analysing a picture, what that costs
more where the picture is looked at from closer, too, counting its heads, and looking for fire in it."""
STAGES: Final[tuple[Stage, ...]] = ("demux", "keyframe", "decode", "look", "tiles", "density", "fire")
SourceKind = Literal["rtsp", "http", "file", "sim"]
SOURCE_KINDS: Final[Mapping[str, SourceKind]] = {
    "rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http", "file": "file", "sim": "sim",
}  # fmt: skip
"""By scheme of a source's address."""
TILES_LOOKS: Final = 1.5
"""What a closer look adds, in usual ones, until it is measured: 0.5 where few people are, 2.7 where many."""

KEPT: Final = "costs.json"
"""Where a node keeps what it measured, in its data folder."""
KEYFRAME_LOOKS_PER_S: Final = 2.0
"""An idle camera's keyframes are looked at no more often."""
_MEMORY: Final[Mapping[Stage, float]] = {
    "demux": 250.0,
    "keyframe": 10.0,
    "decode": 250.0,
    "look": 30.0,
    "tiles": 30.0,
    "density": 30.0,
    "fire": 30.0,
}
"""Calls after which a change has gone into the average by 63 %: some ten seconds of each."""
_ENOUGH: Final[Mapping[Stage, int]] = {
    "demux": 100,
    "keyframe": 3,
    "decode": 50,
    "look": 10,
    "tiles": 10,
    "density": 10,
    "fire": 10,
}
"""Calls from which a camera's own figure is believed."""

Ms = Annotated[float, Field(ge=0, le=60_000)]


class CostError(EdgeError):
    """A file of costs cannot be used; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream is like, as far as it costs something.

    Attributes:
        width, height: pixels, above 0.
        fps: pictures a second, above 0.
        keyframe_s: seconds between keyframes, above 0.
        codec: FFmpeg's name.
        kind: where it comes from.
    """

    width: int = 1920
    height: int = 1080
    fps: float = 25.0
    keyframe_s: float = 2.0
    codec: str = "h264"
    kind: SourceKind = "rtsp"

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0 and self.fps > 0 and self.keyframe_s > 0):
            raise ValueError(f"a stream has pictures: {self}")

    @property
    def megapixels(self) -> float:
        """Size of a picture in millions of pixels."""
        return self.width * self.height / 1e6

    @property
    def keyframe_fps(self) -> float:
        """Keyframes a second, at most as many as are looked at."""
        return min(1 / self.keyframe_s, self.fps, KEYFRAME_LOOKS_PER_S)


class CostTable(Section):
    """Costs in milliseconds of one core's CPU, and the machine that they were measured on."""

    machine: str = Field(description="Processor, and what measured.")
    demux_ms: Mapping[SourceKind, Ms] = Field(description="A packet, by where it comes from.")
    demux_ms_per_mp: Mapping[SourceKind, Ms] = Field({}, description="And for each megapixel: simulation.")
    decode_ms_per_mp: Mapping[str, Ms] = Field(
        description="A picture's megapixel by codec; `other` for others."
    )
    keyframe_ms_per_mp: Mapping[str, Ms] = Field(description="The same for a keyframe decoded alone.")
    motion_ms: Ms = Field(description="Comparing a picture with the one before.")
    motion_fps: float = Field(5.0, gt=0, description="How often that is done while decoding.")
    look_ms: Mapping[str, Ms] = Field(description="Inference and analysis by detector; `other` for others.")
    density_ms: Mapping[str, Ms] = Field(
        {"other": 14.0}, description="Counting a picture's heads by model; `other` for others."
    )
    fire_ms: Mapping[str, Ms] = Field(
        {"other": 50.0}, description="Looking for fire in a picture by model; assumed until it is measured."
    )
    node_ms_per_s: Ms = Field(description="What a node uses beside its cameras.")

    def unit_ms(
        self, stage: Stage, stream: Stream, detector: str, density: str | None = None, fire: str | None = None
    ) -> float:
        """Milliseconds of one call of a stage; without its model, counting heads or seeing fire is free."""
        if stage == "density":
            return 0.0 if density is None else _of(self.density_ms, density)
        if stage == "fire":
            return 0.0 if fire is None else _of(self.fire_ms, fire)
        if stage in ("look", "tiles"):
            return _of(self.look_ms, detector) * (TILES_LOOKS if stage == "tiles" else 1.0)
        if stage == "demux":
            per_mp = self.demux_ms_per_mp.get(stream.kind, 0.0)
            return self.demux_ms.get(stream.kind, 0.0) + per_mp * stream.megapixels
        if stage == "keyframe":
            return _of(self.keyframe_ms_per_mp, stream.codec) * stream.megapixels + self.motion_ms
        motions = min(self.motion_fps / stream.fps, 1.0)
        return _of(self.decode_ms_per_mp, stream.codec) * stream.megapixels + self.motion_ms * motions


def _of(table: Mapping[str, float], name: str) -> float:
    """The entry for a name; that for others, or the dearest, where it has none."""
    return table.get(name, table.get("other", max(table.values(), default=0.0)))


def load_table(path: Path | None = None) -> CostTable:
    """Costs from a file; those that ship where none is named.

    Raises:
        CostError: the file cannot be read, or is no table of costs.
    """
    try:
        text = files("edge").joinpath("data/costs.json").read_text() if path is None else path.read_text()
        return CostTable.model_validate_json(text)
    except OSError as exc:
        raise CostError(f"{path}: {exc.strerror}") from None
    except (ValidationError, UnicodeDecodeError) as exc:
        first = exc.errors()[0] if isinstance(exc, ValidationError) else {"loc": (), "msg": "is not text"}
        where = ".".join(map(str, first["loc"])) or "the file"
        raise CostError(f"{path}: {where}: {first['msg']}; `python benchmarks/costs.py` writes one") from None


def kept_table(data_dir: Path) -> CostTable:
    """Costs that the node of this data folder measured when it ran; those that ship where it kept none.

    Raises:
        CostError: the file that it kept cannot be used.
    """
    kept = data_dir / KEPT
    return load_table(kept if kept.exists() else None)


class _Average:
    __slots__ = ("calls", "ms")

    def __init__(self) -> None:
        self.calls = 0
        self.ms = 0.0

    def add(self, ms: float, calls: int, memory: float) -> None:
        """Weigh in `calls` calls of `ms` each; the first ones count as a plain mean."""
        self.calls += calls
        weight = max(1 - math.exp(-calls / memory), calls / self.calls)
        self.ms += weight * (ms - self.ms)


class CostMeter:
    """Measured costs: an exponentially weighted mean for each camera and stage.

    What a camera has not shown yet is taken from the table, corrected by how much the other cameras cost here
    compared with the table: a faster or slower box is known as soon as one camera has run. Thread-safe.

    Args:
        table: costs before anything is measured.
        detector: name of the model.
        density: name of the head counter; None without one.
        fire: name of the model of fire; None without one.
    """

    def __init__(
        self, table: CostTable, detector: str, density: str | None = None, fire: str | None = None
    ) -> None:
        self.table = table
        self.detector, self.density, self.fire = detector, density, fire
        self._lock = Lock()
        self._averages: dict[tuple[str, Stage], _Average] = {}
        self._streams: dict[str, Stream] = {}
        self._total_ms = 0.0

    def add(self, camera_id: str, stage: Stage, cpu_ms: float, calls: int = 1) -> None:
        """Tell what `calls` calls of a stage have cost together, in milliseconds of thread CPU time."""
        if calls < 1 or not (math.isfinite(cpu_ms) and cpu_ms >= 0):
            raise ValueError(f"{stage} of {camera_id}: {cpu_ms} ms in {calls} calls cannot be")
        with self._lock:
            self._total_ms += cpu_ms
            self._averages.setdefault((camera_id, stage), _Average()).add(
                cpu_ms / calls, calls, _MEMORY[stage]
            )

    def add_look(self, camera_id: str, cpu_ms: float, *, closely: bool) -> None:
        """Tell what analysing a picture has cost; of one looked at from closer, too, the rest is for that."""
        with self._lock:
            usual = self._averages.get((camera_id, "look"))
        if closely and usual is not None:
            self.add(camera_id, "tiles", max(cpu_ms - usual.ms, 0.0))
            cpu_ms = min(cpu_ms, usual.ms)
        self.add(camera_id, "look", cpu_ms)

    def seen(self, camera_id: str, stream: Stream) -> None:
        """Tell what a camera's stream is like; another size makes its measured costs void."""
        with self._lock:
            before = self._streams.get(camera_id)
            self._streams[camera_id] = stream
            if before is not None and (before.codec, before.megapixels) != (stream.codec, stream.megapixels):
                for stage in STAGES:
                    self._averages.pop((camera_id, stage), None)

    @property
    def total_ms(self) -> float:
        """All that was told so far, in milliseconds of CPU."""
        with self._lock:
            return self._total_ms

    def factors(self) -> dict[Stage, float]:
        """By stage, the median camera's cost compared with the table's; 1 where none was measured."""
        with self._lock:
            ratios: dict[Stage, list[float]] = {stage: [] for stage in STAGES}
            for (camera_id, stage), average in self._averages.items():
                stream = self._streams.get(camera_id)
                if stream is None or average.calls < _ENOUGH[stage]:
                    continue
                if default := self._default_ms(stage, stream):
                    ratios[stage].append(average.ms / default)
        return {stage: sorted(seen)[len(seen) // 2] if seen else 1.0 for stage, seen in ratios.items()}

    def unit_ms(self, camera_id: str, stage: Stage, stream: Stream, factor: float = 1.0) -> float:
        """Milliseconds of one call: the camera's own figure, or the table's times `factor`."""
        with self._lock:
            average = self._averages.get((camera_id, stage))
            if average is not None and average.calls >= _ENOUGH[stage]:
                return average.ms
        return self._default_ms(stage, stream) * factor

    def _default_ms(self, stage: Stage, stream: Stream) -> float:
        return self.table.unit_ms(stage, stream, self.detector, self.density, self.fire)

    def cost(
        self,
        camera_id: str,
        stream: Stream,
        *,
        factors: Mapping[Stage, float] | None = None,
        fire: bool = False,
    ) -> CameraCost:
        """What a camera costs.

        Args:
            camera_id: the camera.
            stream: what its stream is like.
            factors: from `factors`, when they are known for many cameras at once.
            fire: whether fire is looked for there.
        """
        by = self.factors() if factors is None else factors
        unit = {stage: self.unit_ms(camera_id, stage, stream, by[stage]) for stage in STAGES}
        return CameraCost(
            demux_ms_per_s=unit["demux"] * stream.fps,
            keyframe_ms_per_s=unit["keyframe"] * stream.keyframe_fps,
            decode_ms_per_s=unit["decode"] * stream.fps,
            look_ms=unit["look"],
            tiles_ms=unit["tiles"],
            density_ms=unit["density"],
            fire_ms=unit["fire"] if fire else 0.0,
        )

    def measured(self) -> CostTable:
        """The table as this box has shown it to be; kept, it makes the next plan better."""
        factors = self.factors()
        scaled = {
            "demux_ms": factors["demux"],
            "demux_ms_per_mp": factors["demux"],
            "decode_ms_per_mp": factors["decode"],
            "keyframe_ms_per_mp": factors["keyframe"],
            "look_ms": factors["look"],
            "density_ms": factors["density"],
            "fire_ms": factors["fire"],
        }
        values = self.table.model_dump()
        for name, factor in scaled.items():
            values[name] = {key: ms * factor for key, ms in values[name].items()}
        return CostTable.model_validate(values | {"machine": "this node, as measured"})


def save_table(table: CostTable, path: Path) -> None:
    """Write a table for `load_table`; the old one stays until the new one is whole.

    Raises:
        OSError: it cannot be written.
    """
    waiting = path.with_suffix(path.suffix + ".new")
    waiting.write_text(json.dumps(table.model_dump(), indent=1, ensure_ascii=False) + "\n")
    waiting.replace(path)
