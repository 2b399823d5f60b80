"""Incidents: a row of observations becomes begin, update and end, once each, without flicker."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from edge.config import CameraConfig
from edge.eyesight_rules import SUBJECT
from edge.observation import Box, Observation
from edge.policy import Policy

Phase = Literal["begin", "update", "end"]
Rule = tuple[str, str]
"""Kind and zone: what names a rule on a camera."""

UPDATE_S = 15.0
"""An open incident that keeps its level reports this often at most."""

MAX_STEP_S = 5.0
"""Time between two looks counts no further than this: nobody knows what happened in a longer gap."""

_LEVELS = (1, 2, 3, 4)
_EPS_S = 1e-6
"""Camera times are sums of floats: ten seconds made of fifty fifths must count as ten."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an incident did.

    Attributes:
        incident: UUIDv7, the same from begin to end.
        phase: begin, update or end; an incident of a moment makes a begin and an end at once.
        kind, zone: the rule.
        level: severity 1 to 4; at the end the last one held.
        started_utc: label of the look at which the trouble was first seen, before the hold time.
        observed_utc: label of the look that made this change.
        measures: of this look, and at the end of the last troubled one; with `duration_s` (camera time since
            the start) and the highest value of the rule's yardstick as `peak_...`.
        confidence: 0 to 1, of the same look.
        boxes: of the same look.
    """

    incident: str
    phase: Phase
    kind: str
    zone: str
    level: int
    started_utc: datetime
    observed_utc: datetime
    measures: Mapping[str, float]
    confidence: float
    boxes: tuple[Box, ...]


@dataclass(slots=True)
class _Watch:
    """One rule's memory. Times in `met` and `lost` are observed seconds, see `MAX_STEP_S`.

    Attributes:
        observed_s: seconds looked at so far.
        last_pts_s: camera time of the last look.
        blind_s: seconds of looks since then that could not be judged.
        met: since when each level, once called for, has been kept up.
        lost: since when each level is continuously no longer sustained.
        first_pts_s, first_utc: first look of the present row of troubled ones.
        ended: observed seconds and level of the last incident; None before the first.
        held_back: whether the present row of troubled looks has been kept quiet so far, to cool down.
    """

    observed_s: float = 0.0
    last_pts_s: float | None = None
    blind_s: float = 0.0
    met: dict[int, float] = field(default_factory=dict)
    lost: dict[int, float] = field(default_factory=dict)
    first_pts_s: float = 0.0
    first_utc: datetime | None = None
    open: "_Open | None" = None
    ended: tuple[float, int] | None = None
    held_back: bool = False

    def look(self, seen: Observation, pts_s: float, utc: datetime) -> None:
        if self.last_pts_s is not None:
            self.observed_s += min(max(pts_s - self.last_pts_s, 0.0), MAX_STEP_S)
        self.last_pts_s, self.blind_s = pts_s, 0.0
        if seen.level is not None and not self.met:
            self.first_pts_s, self.first_utc = pts_s, utc
        for level in _LEVELS:
            # The hysteresis is for both ways: a value that wavers around a threshold while it rises has not
            # fallen clearly below it either, and begins no new hold time at each look.
            if seen.level is not None and seen.level <= level:
                self.met.setdefault(level, self.observed_s)
            if seen.sustained is not None and seen.sustained <= level:
                self.lost.pop(level, None)
            else:
                self.met.pop(level, None)
                self.lost.setdefault(level, self.observed_s)

    def miss(self, step_s: float) -> None:
        """So many seconds have passed without a verdict."""
        self.blind_s += step_s

    def forget(self) -> None:
        """Nothing is open any more, and nothing is known of what went on meanwhile."""
        self.close()
        self.met.clear()
        self.lost.clear()

    def close(self) -> None:
        """The open incident is over."""
        if self.open is not None:
            self.ended = (self.observed_s, self.open.worst)
        self.open = None

    def risen(self, policy: Policy, strictness: float) -> int | None:
        """The most severe level that was called for and has been kept up for long enough since."""
        held = (
            k for k, s in self.met.items() if self.observed_s - s >= policy.hold_of(k, strictness) - _EPS_S
        )
        return min(held, default=None)

    def cooling(self, policy: Policy, level: int) -> bool:
        """Whether an incident of that level comes too soon after one that was no milder."""
        if self.ended is None or level < self.ended[1]:
            return False
        return self.observed_s - self.ended[0] < policy.cooldown_s - _EPS_S

    def remaining(self, release_s: float) -> int | None:
        """The most severe level that has not been absent for long enough; None when all have been."""
        gone = {k for k, s in self.lost.items() if self.observed_s - s >= release_s - _EPS_S}
        return min((k for k in _LEVELS if k not in gone), default=None)


@dataclass(slots=True)
class _Open:
    """An open incident: what is told of it later."""

    incident: str
    level: int
    started_pts_s: float
    started_utc: datetime
    told_pts_s: float
    seen: Observation
    peak: float | None = None
    peak_pts_s: float = 0.0
    worst: int = 4

    def look(self, seen: Observation, pts_s: float) -> None:
        if seen.sustained is not None:
            self.seen = seen
        value = seen.measures.get(seen.yardstick)
        if value is not None and (self.peak is None or value > self.peak):
            self.peak, self.peak_pts_s = value, pts_s


@dataclass(slots=True)
class _Row:
    """What happens in a moment again and again: some of it is told together.

    Attributes:
        told_pts_s: camera time when the last was told; it may have been long ago.
        held: what has not been told, as one; None where all has.
        since_utc: label of the first of these.
    """

    told_pts_s: float = -math.inf
    held: Observation | None = None
    since_utc: datetime | None = None

    def hold(self, seen: Observation, utc: datetime) -> None:
        before, self.held = self.held, seen
        if before is None:
            self.since_utc = utc
            return
        names = {**before.measures, **seen.measures}
        self.held = replace(
            seen,
            level=min(seen.level or 4, before.level or 4),
            measures={name: before.measures.get(name, 0.0) + seen.measures.get(name, 0.0) for name in names},
            confidence=max(seen.confidence, before.confidence),
        )


class Incidents:
    """The incidents of one camera. Not thread-safe: one owner feeds it."""

    def __init__(
        self,
        camera_id: str,
        policies: Mapping[Rule, Policy],
        new_id: Callable[[], str],
        update_s: float = UPDATE_S,
    ) -> None:
        """No incident is open.

        Args:
            camera_id: whose incidents these are.
            policies: by kind and zone; a rule without one begins and ends at once.
            new_id: makes a UUIDv7.
            update_s: seconds between two updates of an incident that keeps its level.
        """
        self.camera_id = camera_id
        self._policies = dict(policies)
        self._new_id = new_id
        self._update_s = update_s
        self._held_back: Counter[Rule] = Counter()
        self._watches: dict[Rule, _Watch] = {}
        self._rows: dict[Rule, _Row] = {}
        self._strictness: Mapping[Rule, float] = {}
        self._looked_s: float | None = None

    @property
    def open(self) -> tuple[str, ...]:
        """Open incidents as `kind/zone`, in order."""
        return tuple(sorted(f"{kind}/{zone}" for (kind, zone), w in self._watches.items() if w.open))

    @property
    def peaks(self) -> Mapping[str, float]:
        """Camera time of the worst look of each open incident, by incident."""
        return {w.open.incident: w.open.peak_pts_s for w in self._watches.values() if w.open is not None}

    @property
    def held_back(self) -> Mapping[str, int]:
        """How often trouble was kept quiet, as it came within its rule's cool-down: by `kind/zone`."""
        return {f"{kind}/{zone}": number for (kind, zone), number in sorted(self._held_back.items())}

    def update(self, observations: Iterable[Observation], pts_s: float, utc: datetime) -> list[Change]:
        """What one look changes.

        A rule that is not among the observations could not be judged. Its hold and release times pass only
        while it can be; but what nobody has been able to confirm for its release time, in looks one after
        another, ends too, and the measure `incidents_ended_unjudged` says so.

        Args:
            observations: of this look, at most one a rule.
            pts_s: camera time; the clock of each rule, so it must come from one source.
            utc: wall time of the look, for labels.
        """
        changes: list[Change] = []
        observations = tuple(observations)
        for seen in observations:
            if not seen.instant:
                changes.extend(self._look(seen, pts_s, utc))
            elif seen.level is not None:
                self._rows.setdefault((seen.kind, seen.zone), _Row()).hold(seen, utc)
        for rule, row in self._rows.items():
            cooldown_s = self._policies.get(rule, Policy()).cooldown_s
            if not -_EPS_S <= pts_s - row.told_pts_s < cooldown_s - _EPS_S:
                changes.extend(self._moment(row, pts_s, utc))
        step_s = 0.0 if self._looked_s is None else min(max(pts_s - self._looked_s, 0.0), MAX_STEP_S)
        self._looked_s = pts_s
        judged = {(seen.kind, seen.zone) for seen in observations}
        for rule, watch in self._watches.items():
            if watch.open is not None and rule not in judged:
                changes.extend(self._unjudged(rule, watch, step_s, pts_s, utc))
        return changes

    def close_all(self, pts_s: float, utc: datetime) -> list[Change]:
        """End what is open since nobody looks any more; the measure `incidents_ended_by_shutdown` says so."""
        changes = []
        for watch in self._watches.values():
            if watch.open is not None:
                extra = {"incidents_ended_by_shutdown": 1.0}
                changes.append(_change(watch.open, "end", max(pts_s, watch.last_pts_s or pts_s), utc, extra))
        for row in self._rows.values():
            changes.extend(self._moment(row, pts_s, utc))
        self._watches.clear()
        self._rows.clear()
        return changes

    def set_strictness(self, rule: Rule, factor: float) -> None:
        """Multiply what a rule waits for by `factor`, 1 or more, from now on; safe from any thread."""
        self._strictness = {**self._strictness, rule: factor}

    def _unjudged(
        self, rule: Rule, watch: _Watch, step_s: float, pts_s: float, utc: datetime
    ) -> list[Change]:
        watch.miss(step_s)
        incident = watch.open
        if incident is None or watch.blind_s < self._policies.get(rule, Policy()).release_s - _EPS_S:
            return []
        watch.forget()
        return [_change(incident, "end", pts_s, utc, {"incidents_ended_unjudged": 1.0})]

    def _moment(self, row: _Row, pts_s: float, utc: datetime) -> list[Change]:
        """Tell what happened in a moment, or several together."""
        if row.held is None:
            return []
        seen, row.held, row.told_pts_s = row.held, None, pts_s
        incident = _Open(self._new_id(), seen.level or 4, 0.0, row.since_utc or utc, 0.0, seen)
        return [_change(incident, "begin", 0.0, utc), _change(incident, "end", 0.0, utc)]

    def _look(self, seen: Observation, pts_s: float, utc: datetime) -> list[Change]:
        rule = (seen.kind, seen.zone)
        policy = self._policies.get(rule, Policy())
        watch = self._watches.setdefault(rule, _Watch())
        watch.look(seen, pts_s, utc)
        risen = watch.risen(policy, self._strictness.get(rule, 1.0))
        if watch.open is None:
            return self._begin(watch, risen, seen, pts_s, utc)
        incident = watch.open
        incident.look(seen, pts_s)
        remaining = watch.remaining(policy.release_s)
        level = incident.level
        if risen is not None and risen < level:
            level = risen
        elif remaining is None:
            watch.close()
            return [_change(incident, "end", pts_s, utc)]
        elif remaining > level:
            level = remaining
        if level == incident.level and pts_s - incident.told_pts_s < self._update_s:
            return []
        incident.level, incident.told_pts_s = level, pts_s
        incident.worst = min(incident.worst, level)
        return [_change(incident, "update", pts_s, utc)]

    def _begin(
        self, watch: _Watch, risen: int | None, seen: Observation, pts_s: float, utc: datetime
    ) -> list[Change]:
        if risen is None:
            watch.held_back = False
            return []
        if watch.cooling(self._policies.get((seen.kind, seen.zone), Policy()), risen):
            self._held_back[(seen.kind, seen.zone)] += not watch.held_back
            watch.held_back = True
            return []
        watch.held_back = False
        started = watch.first_utc or utc
        watch.open = _Open(self._new_id(), risen, watch.first_pts_s, started, pts_s, seen, worst=risen)
        watch.open.peak_pts_s = pts_s
        watch.open.look(seen, pts_s)
        return [_change(watch.open, "begin", pts_s, utc)]


def _change(
    incident: _Open, phase: Phase, pts_s: float, utc: datetime, extra: Mapping[str, float] | None = None
) -> Change:
    seen = incident.seen
    measures = {**seen.measures, **(extra or {})}
    if not seen.instant:
        measures["duration_s"] = round(max(pts_s - incident.started_pts_s, 0.0), 2)
        if incident.peak is not None:
            measures[f"peak_{seen.yardstick}"] = incident.peak
    return Change(
        incident=incident.incident,
        phase=phase,
        kind=seen.kind,
        zone=seen.zone,
        level=incident.level,
        started_utc=incident.started_utc,
        observed_utc=utc,
        measures=measures,
        confidence=seen.confidence,
        boxes=seen.boxes,
    )


def policies(camera: CameraConfig) -> dict[Rule, Policy]:
    """The policy of each of a camera's rules, by kind and zone or line, and of those of the camera itself."""
    eyes = {(rule.KIND, SUBJECT): rule.policy for rule in camera.health.enabled}
    return {**eyes, **{(rule.kind, rule.subject): rule.policy for rule in camera.rules}}
