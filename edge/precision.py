"""How often a rule is right, by the centre's verdicts on its incidents."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.config import CameraConfig
from edge.envelope import KINDS
from edge.kept import keep, read_kept

RECENT = 2000
"""Incidents whose verdict is remembered, so that one said again counts once and a changed one moves."""

CAMERA_KINDS = tuple(kind for kind in KINDS if kind.startswith("camera."))
"""What every camera reports of itself, without a rule."""

Judgement = Literal["true", "false"]


class _Count(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    camera: str
    rule: str
    verdict: Judgement
    number: int = Field(ge=1)


class _Judged(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    incident: str
    camera: str
    rule: str
    verdict: Judgement


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    counts: tuple[_Count, ...] = ()
    recent: tuple[_Judged, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleVerdicts:
    """What was said of one rule's incidents.

    Attributes:
        camera: its id.
        rule: kind and place, such as `crowd.density/plaza`.
        true: incidents that were what the rule said.
        false: false alarms.
    """

    camera: str
    rule: str
    true: int
    false: int

    @property
    def precision(self) -> float | None:
        """Share of true ones, 0 to 1; None without verdicts."""
        judged = self.true + self.false
        return self.true / judged if judged else None


class Precision:
    """Counts verdicts by camera and rule, and keeps them in a file; safe from any thread."""

    def __init__(self, path: Path, cameras: Iterable[CameraConfig]) -> None:
        """Read what was kept; a file that cannot be read is begun anew, which is logged.

        Args:
            path: of the file; its folder exists.
            cameras: whose rules may be judged. What was kept of others stays in the file, unseen.
        """
        self._path = path
        self._lock = Lock()
        self._known = {(camera.id, rule) for camera in cameras for rule in _rules(camera)}
        kept = read_kept(path, _Kept)
        self._counts = Counter({(c.camera, c.rule, c.verdict): c.number for c in kept.counts})
        self._recent = {judged.incident: judged for judged in kept.recent}
        self._unkept = False

    def add(self, incident: str, camera: str, rule: str, verdict: Judgement) -> bool:
        """Count a verdict; False if this camera has no such rule, which changes nothing.

        Args:
            incident: its id. The last verdict on an incident counts, once.
            camera: the camera's id.
            rule: kind and place, such as `crowd.density/plaza`.
            verdict: `true` for what the rule said, `false` for a false alarm.

        Raises:
            OSError: it was counted, but could not be kept; say it again.
        """
        if (camera, rule) not in self._known:
            return False
        judged = _Judged(incident=incident, camera=camera, rule=rule, verdict=verdict)
        with self._lock:
            before = self._recent.pop(incident, None)
            self._recent[incident] = judged
            if before == judged and not self._unkept:
                return True
            if before is not None:
                self._counts[before.camera, before.rule, before.verdict] -= 1
            self._counts[camera, rule, verdict] += 1
            for old in list(self._recent)[:-RECENT]:
                del self._recent[old]
            self._unkept = True
            self._keep()
            self._unkept = False
        return True

    def verdicts(self) -> Sequence[RuleVerdicts]:
        """What was said of each configured rule that was judged, by camera and rule."""
        with self._lock:
            judged = sorted({(camera, rule) for camera, rule, _ in +self._counts} & self._known)
            return [
                RuleVerdicts(
                    camera, rule, self._counts[camera, rule, "true"], self._counts[camera, rule, "false"]
                )
                for camera, rule in judged
            ]

    def _keep(self) -> None:
        counts = tuple(
            _Count(camera=camera, rule=rule, verdict=verdict, number=number)
            for (camera, rule, verdict), number in sorted((+self._counts).items())
        )
        keep(self._path, _Kept(counts=counts, recent=tuple(self._recent.values())))


def _rules(camera: CameraConfig) -> Iterable[str]:
    yield from (f"{rule.kind}/{rule.subject}" for rule in camera.rules)
    yield from (f"{kind}/{camera.id}" for kind in CAMERA_KINDS)
