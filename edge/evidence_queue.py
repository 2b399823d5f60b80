"""Which incidents evidence is to be made of, and what was told of each last."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, get_args

from edge.envelope import EventDraft, IncidentData

MAX_WAITING = 64
"""Incidents of which evidence is to be made; of more, the least severe are left out."""

Reason = Literal["too_many", "no_packets", "undecodable", "redaction", "disk", "model", "stopped", "defect"]
"""Why there is no evidence of an incident."""
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An incident of which evidence is wanted.

    Attributes:
        camera: its id.
        incident: its UUID.
        level: 1 to 4.
        told_s: camera time of the look that told of it.
        peak_s: camera time of its worst look so far.
        due_mono_s: host time at which what comes after should be there.
    """

    camera: str
    incident: str
    level: int
    told_s: float
    peak_s: float
    due_mono_s: float


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of an incident last, and the most severe level that there is, or will be, evidence of."""

    draft: EventDraft
    data: IncidentData
    level: int

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.data.phase == "end"


class EvidenceQueue:
    """Takes what the incidents of all cameras do, and gives what evidence is to be made of. For any threads.

    One that grows more severe after its evidence was made gets another piece.

    Attributes:
        failed: incidents without evidence, by why.

    Args:
        after_s: seconds of a clip after its incident was told.
    """

    def __init__(self, after_s: float) -> None:
        self.failed: Counter[Reason] = Counter()
        self._after_s = after_s
        self._lock, self._order = threading.Lock(), threading.Lock()
        self._wanted: dict[str, Wanted] = {}
        self._told: dict[str, Told] = {}

    def __len__(self) -> int:
        return len(self._wanted)

    def take(
        self,
        camera: str,
        drafts: Sequence[EventDraft],
        pts_s: float,
        peaks: Mapping[str, float],
        now_s: float,
    ) -> None:
        """What a look made of a camera's incidents; to be called before the events are saved.

        Args:
            camera: its id.
            drafts: events of this look, mostly none.
            pts_s: camera time of the look.
            peaks: camera time of the worst look of each open incident.
            now_s: host monotonic seconds.
        """
        if not drafts and not self._wanted:
            return
        with self._order, self._lock:
            for incident, peak_s in peaks.items():
                wanted = self._wanted.get(incident)
                if wanted is not None and wanted.peak_s < peak_s <= wanted.told_s + self._after_s:
                    self._wanted[incident] = replace(wanted, peak_s=peak_s)
            for draft in drafts:
                if isinstance(draft.data, IncidentData):
                    due_s = now_s + self._after_s
                    self._take(
                        draft, Wanted(camera, draft.data.incident, draft.data.level, pts_s, pts_s, due_s)
                    )

    def _take(self, draft: EventDraft, new: Wanted) -> None:
        data = draft.data
        assert isinstance(data, IncidentData)  # noqa: S101 - the caller looked
        told, waiting = self._told.get(data.incident), self._wanted.get(data.incident)
        if told is None and data.phase != "begin":
            return
        worse = told is None or data.level < told.level
        self._told[data.incident] = Told(
            draft, data, data.level if told is None else min(data.level, told.level)
        )
        if waiting is not None and worse:
            peak_s = min(new.told_s, waiting.told_s + self._after_s)
            self._wanted[data.incident] = replace(
                waiting, level=data.level, peak_s=max(waiting.peak_s, peak_s)
            )
        elif waiting is None and worse:
            self._wanted[data.incident] = new
            if len(self._wanted) > MAX_WAITING:
                self._drop(max(self._wanted.values(), key=_rank), "too_many")
        self._forget(data.incident)

    def ranked(self) -> list[Wanted]:
        """All that is wanted: the most severe first, and of these the oldest."""
        with self._lock:
            return sorted(self._wanted.values(), key=_rank)

    def told(self, incident: str) -> tuple[Wanted, Told] | None:
        """What is wanted of an incident, and was told of it; None where nothing is wanted any more."""
        with self._lock:
            wanted, told = self._wanted.get(incident), self._told.get(incident)
        return None if wanted is None or told is None else (wanted, told)

    def drop(self, wanted: Wanted, why: Reason) -> None:
        """There will be no evidence of an incident."""
        with self._lock:
            self._drop(wanted, why)

    @contextmanager
    def done(self, wanted: Wanted) -> Iterator[Told]:
        """Evidence was made: what was told last. Events saved in the block go before what `take` is told."""
        with self._order:
            with self._lock:
                self._wanted.pop(wanted.incident, None)
                told = self._told[wanted.incident]
                self._forget(wanted.incident)
            yield told

    def _drop(self, wanted: Wanted, why: Reason) -> None:
        self.failed[why] += 1
        self._wanted.pop(wanted.incident, None)
        self._forget(wanted.incident)

    def _forget(self, incident: str) -> None:
        told = self._told.get(incident)
        if told is not None and told.over and incident not in self._wanted:
            del self._told[incident]


def _rank(wanted: Wanted) -> tuple[int, float]:
    return wanted.level, wanted.due_mono_s
