"""Simulated clips with their truth: rendered once, watched by a surveyed camera, events matched."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import CACHE
from edge.config import CameraConfig
from edge.envelope import IncidentData
from edge.events import Event
from streams.sim.clip import Progress, write_clip
from streams.sim.encode import EncoderOptions
from streams.sim.spec import SceneSpec
from streams.sim.truth import Truth


@dataclass(frozen=True, slots=True)
class Clip:
    """A rendered clip and what is true of it."""

    path: Path
    truth: Truth


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as it was told: seconds of the clip's time."""

    kind: str
    zone: str
    begin_s: float
    end_s: float
    level: int


@dataclass(frozen=True, slots=True)
class Score:
    """How told incidents compare with true events."""

    true: int
    told: int
    matched: int

    @property
    def recall(self) -> float:
        """Share of the true events that were told; 1 where there are none."""
        return self.matched / self.true if self.true else 1.0

    @property
    def precision(self) -> float:
        """Share of the told incidents that are true; 1 where none was told."""
        return self.matched / self.told if self.told else 1.0

    def __add__(self, other: "Score") -> "Score":
        return Score(self.true + other.true, self.told + other.told, self.matched + other.matched)


def clip(spec: SceneSpec, progress: Progress | None = None, encoding: EncoderOptions | None = None) -> Clip:
    """The clip of a scene, rendered now or taken from the last run."""
    width, height = spec.size
    stem = f"{spec.place}-{spec.scenario}-{spec.seed}-{spec.seconds:g}s-{width}x{height}-{spec.fps:g}"
    stem += f"-crf{encoding.crf:g}" if encoding else ""
    stem += "".join(f"-{text}" for text in (spec.weather, spec.fault) if text)
    path, truth_path = CACHE / f"{stem}.mp4", CACHE / f"{stem}.json"
    if truth_path.exists() and path.exists():
        return Clip(path, Truth.load(truth_path))
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    truth = write_clip(spec, unfinished, None, progress, encoding)
    unfinished.replace(path)
    truth.save(truth_path)
    return Clip(path, truth)


def camera(of: Clip, rules: Sequence[dict[str, object]], camera_id: str = "camera") -> CameraConfig:
    """The camera that would watch the clip; a rule without a zone or line watches the first that fits.

    Args:
        of: the clip; its file is the source.
        rules: as in a configuration, `zone` and `line` optional.
        camera_id: its id.
    """
    return CameraConfig.model_validate(camera_section(of, rules, camera_id))


def camera_section(of: Clip, rules: Sequence[dict[str, object]], camera_id: str) -> dict[str, Any]:
    """The same as it would be written in a configuration file."""
    truth = of.truth
    surveyed = [point for zone in truth.zones for point in zip(zone.image, zone.ground, strict=True)]
    seen = [(i, g) for i, g in surveyed if 0.01 < i[0] < 0.99 and 0.01 < i[1] < 0.99]
    told = {str(event.kind): event.zone for event in truth.events if event.kind != "hazard.line"}
    crowd = truth.zones[-1].id
    zones: dict[str, str] = {"hazard.intrusion": truth.zones[0].id, "crowd.density": crowd, **told}
    return {
        "id": camera_id,
        "source": str(of.path),
        "ground": [{"image": i, "ground": g} for i, g in seen],
        "zones": [{"id": z.id, "units": "ground", "polygon": z.ground} for z in truth.zones],
        "lines": [{"id": line.id, "units": "ground", "points": line.ground} for line in truth.lines],
        "rules": [
            (
                {"line": truth.lines[0].id}
                if rule["kind"] == "hazard.line"
                else {"zone": zones[str(rule["kind"])]}
            )
            | rule
            for rule in rules
        ],
    }


def incidents(told: Iterable[tuple[float, Event]]) -> list[Incident]:
    """Incidents out of events and the clip's times at which they were told."""
    began: dict[str, tuple[float, int]] = {}
    ended: list[Incident] = []
    for pts_s, event in told:
        data = event.data
        if not isinstance(data, IncidentData):
            continue
        if data.phase == "begin":
            began[data.incident] = (pts_s, data.level)
        elif data.phase == "end":
            begin_s, level = began.pop(data.incident)
            ended.append(Incident(event.kind, data.zone, begin_s, pts_s, level))
    return ended


def score(truth: Truth, told: Sequence[Incident], kinds: Iterable[str], slack_s: float = 2.0) -> Score:
    """Match each true event with one told incident of the same kind and zone that overlaps it in time.

    Args:
        truth: of the clip.
        told: incidents with begin and end.
        kinds: what counts.
        slack_s: seconds by which an incident may miss a true event's span and still be its.
    """
    wanted = set(kinds)
    true = [event for event in truth.events if event.kind in wanted]
    free = [incident for incident in told if incident.kind in wanted]
    total, matched = len(free), 0
    for event in true:
        for incident in free:
            overlaps = incident.begin_s <= event.end_s + slack_s and incident.end_s >= event.begin_s - slack_s
            if incident.kind == event.kind and incident.zone == event.zone and overlaps:
                free.remove(incident)
                matched += 1
                break
    return Score(len(true), total, matched)
