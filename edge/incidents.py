"""Incidents: a row of observations becomes begin, update and end, once each, without flicker."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from edge.config import CameraConfig
from edge.observation import Box, Observation

Phase = Literal["begin", "update", "end"]
Rule = tuple[str, str]
"""Kind and zone: what names a rule on a camera."""

UPDATE_S = 15.0
"""An open incident that keeps its level reports this often at most."""

MAX_STEP_S = 5.0
"""Time between two looks counts no further than this: nobody knows what happened in a longer gap."""

_LEVELS = (1, 2, 3, 4)
_URGENT = 2
_EPS_S = 1e-6
"""Camera times are sums of floats: ten seconds made of fifty fifths must count as ten."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How steady a rule must be.

    Attributes:
        hold_s: seconds for which a level must be kept up, from the look that first calls for it, before the
            incident begins or rises to it.
        release_s: seconds without a level before the incident falls from it, or ends.
        urgent_hold_s: as `hold_s`, for levels 2 and 1 where that is shorter; None is no shorter.
    """

    hold_s: float = 0.0
    release_s: float = 0.0
    urgent_hold_s: float | None = None

    def __post_init__(self) -> None:
        if self.hold_s < 0 or self.release_s < 0 or (self.urgent_hold_s or 0.0) < 0:
            raise ValueError(f"hold_s, release_s and urgent_hold_s must not be negative, got {self}")

    def hold_of(self, level: int) -> float:
        """Seconds for which a level must be kept up before it counts."""
        if level > _URGENT or self.urgent_hold_s is None:
            return self.hold_s
        return min(self.hold_s, self.urgent_hold_s)


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
    """

    observed_s: float = 0.0
    last_pts_s: float | None = None
    blind_s: float = 0.0
    met: dict[int, float] = field(default_factory=dict)
    lost: dict[int, float] = field(default_factory=dict)
    first_pts_s: float = 0.0
    first_utc: datetime | None = None
    open: "_Open | None" = None

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
        self.open = None
        self.met.clear()
        self.lost.clear()

    def risen(self, policy: Policy) -> int | None:
        """The most severe level that was called for and has been kept up for long enough since."""
        held = (k for k, s in self.met.items() if self.observed_s - s >= policy.hold_of(k) - _EPS_S)
        return min(held, default=None)

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

    def look(self, seen: Observation) -> None:
        if seen.sustained is not None:
            self.seen = seen
        value = seen.measures.get(seen.yardstick)
        if value is not None:
            self.peak = value if self.peak is None else max(self.peak, value)


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
        self._watches: dict[Rule, _Watch] = {}
        self._looked_s: float | None = None

    @property
    def open(self) -> tuple[str, ...]:
        """Open incidents as `kind/zone`, in order."""
        return tuple(sorted(f"{kind}/{zone}" for (kind, zone), w in self._watches.items() if w.open))

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
            if seen.instant:
                changes.extend(self._moment(seen, utc))
            else:
                changes.extend(self._look(seen, pts_s, utc))
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
        self._watches.clear()
        return changes

    def _unjudged(
        self, rule: Rule, watch: _Watch, step_s: float, pts_s: float, utc: datetime
    ) -> list[Change]:
        watch.miss(step_s)
        incident = watch.open
        if incident is None or watch.blind_s < self._policies.get(rule, Policy()).release_s - _EPS_S:
            return []
        watch.forget()
        return [_change(incident, "end", pts_s, utc, {"incidents_ended_unjudged": 1.0})]

    def _moment(self, seen: Observation, utc: datetime) -> list[Change]:
        if seen.level is None:
            return []
        incident = _Open(self._new_id(), seen.level, 0.0, utc, 0.0, seen)
        return [_change(incident, "begin", 0.0, utc), _change(incident, "end", 0.0, utc)]

    def _look(self, seen: Observation, pts_s: float, utc: datetime) -> list[Change]:
        rule = (seen.kind, seen.zone)
        policy = self._policies.get(rule, Policy())
        watch = self._watches.setdefault(rule, _Watch())
        watch.look(seen, pts_s, utc)
        risen = watch.risen(policy)
        if watch.open is None:
            return self._begin(watch, risen, seen, pts_s, utc)
        incident = watch.open
        incident.look(seen)
        remaining = watch.remaining(policy.release_s)
        level = incident.level
        if risen is not None and risen < level:
            level = risen
        elif remaining is None:
            watch.open = None
            return [_change(incident, "end", pts_s, utc)]
        elif remaining > level:
            level = remaining
        if level == incident.level and pts_s - incident.told_pts_s < self._update_s:
            return []
        incident.level, incident.told_pts_s = level, pts_s
        return [_change(incident, "update", pts_s, utc)]

    def _begin(
        self, watch: _Watch, risen: int | None, seen: Observation, pts_s: float, utc: datetime
    ) -> list[Change]:
        if risen is None:
            return []
        started = watch.first_utc or utc
        watch.open = _Open(self._new_id(), risen, watch.first_pts_s, started, pts_s, seen)
        watch.open.look(seen)
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
    """The policy of each of a camera's rules, by kind and zone or line."""
    return {(rule.kind, rule.subject): Policy(*rule.steadiness) for rule in camera.rules}
