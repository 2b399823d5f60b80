"""How well it all works: the four indicators (四全), stage times, precision, false alarms."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.center.instants import aware
from api.center.lifecycle import State


def rank(count: int, share: float) -> int:
    """Index, from 0 in ascending order, of the value that a share of all does not exceed (nearest rank).

    Args:
        count: of values, above 0.
        share: above 0, to 1.

    Example:
        >>> rank(10, 0.5), rank(10, 0.9), rank(1, 0.9)
        (4, 8, 0)
    """
    return math.ceil(share * count) - 1


def ratio(part: float, whole: float) -> float | None:
    """The share, 0 to 1; None where there is nothing to divide by."""
    return part / whole if whole else None


@dataclass(frozen=True, slots=True)
class Indicators:
    """The four indicators (四全), each a share from 0 to 1; None where there is nothing to divide by.

    Attributes:
        coverage: 全域覆盖, share of the tasks' time that was not blind, by the nodes' own ledgers.
        sharing: 全网共享, share of all events that the nodes ever created which are stored.
        availability: 全时可用, share of nodes heard within two heartbeats, now.
        control: 全程可控, share of cases that met every deadline, among those that ended or missed one.
    """

    coverage: float | None
    sharing: float | None
    availability: float | None
    control: float | None


@dataclass(frozen=True, slots=True)
class StageTime:
    """How long cases stayed in a stage, suspended time left out.

    Attributes:
        stage: the state.
        count: cases that left it.
        p50_s, p90_s: seconds that half and nine tenths of them needed at most.
    """

    stage: State
    count: int
    p50_s: float
    p90_s: float


@dataclass(frozen=True, slots=True)
class Precision:
    """What became of a rule's incidents.

    Attributes:
        camera: `node/camera`.
        rule: `kind/zone`.
        true, false: incidents with that verdict.
    """

    camera: str
    rule: str
    true: int
    false: int

    @property
    def share(self) -> float:
        """Share of incidents that were true, 0 to 1."""
        return self.true / (self.true + self.false)


@dataclass(frozen=True, slots=True)
class CameraAlarms:
    """A camera's false alarms.

    Attributes:
        camera: `node/camera`.
        false: incidents that were rejected.
        per_day: false alarms a day, by the length of the time asked about in days.
    """

    camera: str
    false: int
    per_day: float


@dataclass(frozen=True, slots=True)
class Numbers:
    """How well it all works, over a time.

    Attributes:
        since, until: the time; `until` excluded. Coverage is counted in the whole hours that it touches.
        indicators: the four.
        stages: by stage, of those that some case left.
        precision: by camera and rule.
        false_alarms: by camera, of those that had any.
        false_alarms_per_camera_day: all of them over the days that all cameras' ledgers tell of; None
            without ledgers.
        opened, ended: cases.
    """

    since: datetime
    until: datetime
    indicators: Indicators
    stages: tuple[StageTime, ...] = ()
    precision: tuple[Precision, ...] = ()
    false_alarms: tuple[CameraAlarms, ...] = ()
    false_alarms_per_camera_day: float | None = None
    opened: int = 0
    ended: int = 0

    def __post_init__(self) -> None:
        aware(since=self.since, until=self.until)
        if self.until <= self.since:
            raise ValueError("until must be after since")

    @property
    def span(self) -> timedelta:
        """How long the time is."""
        return self.until - self.since
