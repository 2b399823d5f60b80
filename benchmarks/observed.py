"""What a system did while it was watched, and what follows: delays, recall, whether something queued."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.clips import Footage, Happening

SLACK_S = 2.0
"""Seconds by which an incident may miss a true event's span and still be its."""
FALLEN_BEHIND_S = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """One analysed picture. Times but `pts_s` are monotonic seconds of the host.

    Attributes:
        camera: its id.
        pts_s: camera time.
        seen_s: its packet was read.
        taken_s: its turn came.
        analysed_s: its analysis ended.
    """

    camera: str
    pts_s: float
    seen_s: float
    taken_s: float
    analysed_s: float


@dataclass(frozen=True, slots=True)
class Told:
    """One event. `saved_s` is when it was on disk, `told_s` when it was in Redis: monotonic seconds."""

    camera: str
    kind: str
    zone: str
    phase: str
    incident: str
    pts_s: float
    saved_s: float
    told_s: float


@dataclass(slots=True)
class Observation:
    """A system, watched for a while.

    Attributes:
        begin_s, end_s: the measured while, after the warm-up; monotonic seconds.
        cpu_s: of the system's process in it, decoding and inference included.
        video_s: seconds of video that went by for all cameras together.
        looks, told: everything from the start, warm-up included.
        memory_mb, files: resident memory (10^6 bytes) and open file descriptors, read each second.
        stages: CPU seconds by stage in the measured while; empty unless asked for.
        frames: in the measured while, pictures by camera and fate.
        facts: what else the system said of itself at the end.
    """

    begin_s: float
    end_s: float
    cpu_s: float
    video_s: float
    looks: list[Look] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    frames: dict[str, dict[str, int]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Observation":
        """Read what `save` wrote."""
        data = json.loads(path.read_text())
        data["looks"] = [Look(**look) for look in data["looks"]]
        data["told"] = [Told(**told) for told in data["told"]]
        return cls(**data)

    def __add__(self, other: "Observation") -> "Observation":
        """Both together: processes that worked side by side on different cameras."""
        stages, files = Counter(self.stages), [a + b for a, b in zip(self.files, other.files, strict=False)]
        stages.update(other.stages)
        return Observation(
            max(self.begin_s, other.begin_s),
            min(self.end_s, other.end_s),
            self.cpu_s + other.cpu_s,
            self.video_s + other.video_s,
            self.looks + other.looks,
            self.told + other.told,
            [a + b for a, b in zip(self.memory_mb, other.memory_mb, strict=False)],
            files,
            dict(stages),
            self.frames | other.frames,
            self.facts | other.facts,
        )

    @property
    def wall_s(self) -> float:
        """Length of the measured while."""
        return self.end_s - self.begin_s

    @property
    def cost(self) -> float:
        """CPU seconds per second of one camera's video."""
        return self.cpu_s / self.video_s

    def zeros(self) -> dict[str, float]:
        """By camera, the monotonic time of its time zero: that of the least delayed picture of all.

        A reader that falls behind reads its packets late, and would look punctual if its own word were taken.
        """
        zeros: dict[str, float] = {}
        for look in self.looks:
            zero_s = look.seen_s - look.pts_s
            zeros[look.camera] = min(zeros.get(look.camera, math.inf), zero_s)
        return zeros

    def measured(self) -> list[Look]:
        """The looks within the measured while."""
        return [look for look in self.looks if self.begin_s <= look.analysed_s < self.end_s]

    def ages_s(self) -> list[float]:
        """From each picture to the end of its analysis, counted from when the camera had it."""
        zeros = self.zeros()
        return [look.analysed_s - look.pts_s - zeros[look.camera] for look in self.measured()]

    def delays_s(self) -> list[float]:
        """From the picture that decided each event to the event in Redis."""
        zeros = self.zeros()
        return [
            told.told_s - told.pts_s - zeros[told.camera]
            for told in self.told
            if told.camera in zeros and self.begin_s <= told.told_s < self.end_s
        ]


@dataclass(frozen=True, slots=True)
class Recall:
    """How told incidents compare with what happened."""

    happened: int
    found: int
    told: int
    true: int
    missed: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of what happened that was told; 1 where nothing happened."""
        return self.found / self.happened if self.happened else 1.0

    def __add__(self, other: "Recall") -> "Recall":
        return Recall(
            self.happened + other.happened,
            self.found + other.found,
            self.told + other.told,
            self.true + other.true,
            self.missed + other.missed,
        )


def recall(
    seen: Observation,
    footage: Mapping[str, Footage],
    spans: Mapping[str, tuple[float, float]] | None = None,
) -> Recall:
    """Whether each happening in the measured while was told, camera by camera.

    Args:
        seen: what the system did.
        footage: of each camera.
        spans: by camera, the seconds of its file that count; in real time those of the measured while.
    """
    zeros, total = seen.zeros(), Recall(0, 0, 0, 0)
    incidents = _incidents(seen.told)
    for camera, shown in footage.items():
        zero_s = zeros.get(camera, seen.begin_s)
        first_s, last_s = spans[camera] if spans else (seen.begin_s - zero_s, seen.end_s - zero_s)
        due = [
            one
            for one in shown.happenings
            if one.whole and one.begin_s >= first_s and one.end_s + SLACK_S + FALLEN_BEHIND_S <= last_s
        ]
        total += match(camera, due, shown.happenings, incidents.get(camera, []))
    return total


def match(
    camera: str, due: Sequence[Happening], known: Sequence[Happening], told: Sequence[Happening]
) -> Recall:
    """Match each due happening with one incident of the same kind and zone that overlaps it in time.

    Args:
        camera: named with what was missed.
        due: what had to be told.
        known: all that is true, pieces and margins of the measured while included.
        told: the incidents.
    """
    free, missed = list(told), []
    for one in due:
        fitting = next((incident for incident in free if _same(one, incident)), None)
        if fitting is None:
            missed.append(f"{camera} {one.kind} {one.begin_s:.1f} s")
        else:
            free.remove(fitting)
    true = sum(any(_same(one, incident) for one in known) for incident in told)
    return Recall(len(due), len(due) - len(missed), len(told), true, tuple(missed))


def _same(one: Happening, other: Happening) -> bool:
    overlap = one.begin_s <= other.end_s + SLACK_S and one.end_s >= other.begin_s - SLACK_S
    return one.kind == other.kind and one.zone == other.zone and overlap


def _incidents(told: Iterable[Told]) -> dict[str, list[Happening]]:
    """Incidents by camera, in camera time; one that has not ended lasts."""
    open_: dict[str, tuple[Told, float]] = {}
    for event in told:
        if event.phase == "begin":
            open_[event.incident] = (event, math.inf)
        elif event.phase == "end" and event.incident in open_:
            open_[event.incident] = (open_[event.incident][0], event.pts_s)
    found: dict[str, list[Happening]] = defaultdict(list)
    for begin, end_s in open_.values():
        found[begin.camera].append(Happening(begin.kind, begin.zone, begin.pts_s, end_s))
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed (nearest rank); NaN of nothing.

    >>> quantile([3.0, 1.0, 2.0], 0.5), quantile([1.0, 2.0], 0.99)
    (2.0, 2.0)
    """
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def queued(seen: Observation) -> bool:
    """Whether work piled up: pictures of the last third were older than those of the first by a second."""
    zeros, looks = seen.zeros(), seen.measured()
    third_s = seen.wall_s / 3
    first, last = (
        [k.analysed_s - k.pts_s - zeros[k.camera] for k in looks if low <= k.analysed_s - seen.begin_s < high]
        for low, high in ((0.0, third_s), (2 * third_s, math.inf))
    )
    return bool(first and last) and quantile(last, 0.5) - quantile(first, 0.5) > FALLEN_BEHIND_S
