"""How what was told compares with what was true: matched by kind, zone and time.

A true event is found if an incident of its kind and zone was begun from `EARLY_S` before its beginning to
`LATE_S` after its end. An incident is right if such an event began before it, or lasts, at any time from
`LATE_S` before what the incident says it began with until it ends. Events that were too short to be told of
(`events_scenes.must_be_told`) are not missed, but who tells of them is right. Crossings of a line that were
told together are one incident; each of them must lie in it.

The delay of a found event runs from its true beginning to the first event told, the rule's own waiting time
included: something that is abandoned after 30 seconds is told of after more than 30.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.events_scenes import must_be_told
from benchmarks.events_seen import Alarm, Watched
from streams.sim.truth import TruthEvent

EARLY_S = 1.0
LATE_S = 3.0
"""Seconds by which what is told may miss what is true: detectors and trackers need a few looks."""


@dataclass(slots=True)
class Tally:
    """What became of the events and incidents of one kind.

    Attributes:
        events: that had to be told of.
        found: of these.
        alarms: incidents.
        right: of these.
        delays_s: of the found.
        wrong: where and when, for people: scene and text.
    """

    events: int = 0
    found: int = 0
    alarms: int = 0
    right: int = 0
    delays_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count another's too."""
        self.events += other.events
        self.found += other.found
        self.alarms += other.alarms
        self.right += other.right
        self.delays_s += other.delays_s
        self.wrong += other.wrong

    @property
    def row(self) -> dict[str, Any]:
        """Figures; None where nothing happened or was told."""
        delay_s = float(np.percentile(self.delays_s, 95)) if self.delays_s else None
        return {
            "precision": self.right / self.alarms if self.alarms else None,
            "recall": self.found / self.events if self.events else None,
            "delay_p95_s": None if delay_s is None else round(delay_s, 2),
            "delay_p50_s": round(float(np.median(self.delays_s)), 2) if self.delays_s else None,
            "events": self.events,
            "found": self.found,
            "alarms": self.alarms,
            "right": self.right,
        }


def judge(name: str, truth: Sequence[TruthEvent], watched: Watched) -> dict[str, Tally]:
    """Compare one scene's alarms with its truth, by kind.

    Args:
        name: of the scene, for people.
        truth: of it.
        watched: what was made of it.
    """
    tallies: dict[str, Tally] = {}
    for event in truth:
        if not must_be_told(event, watched.seconds):
            continue
        tally = tallies.setdefault(event.kind, Tally())
        tally.events += 1
        told = [alarm for alarm in watched.alarms if _of(alarm, event) and _in_time(alarm, event)]
        if told:
            tally.found += 1
            tally.delays_s.append(max(min(alarm.told_s for alarm in told) - event.begin_s, 0.0))
        else:
            tally.wrong.append(f"{name}: missed {event.kind} {event.begin_s:.1f}-{event.end_s:.1f} s")
    for alarm in watched.alarms:
        tally = tallies.setdefault(alarm.kind, Tally())
        tally.alarms += 1
        if any(_of(alarm, event) and _right(alarm, event) for event in truth):
            tally.right += 1
        else:
            tally.wrong.append(f"{name}: false {alarm.kind} {alarm.told_s:.1f}-{alarm.end_s:.1f} s")
    return tallies


def _of(alarm: Alarm, event: TruthEvent) -> bool:
    """Whether kinds and places agree; a whole view's event is its camera's, wherever it says that it was."""
    anywhere = not event.zone or event.kind.startswith("camera.") or event.kind == "hazard.fall"
    return alarm.kind == event.kind and (anywhere or alarm.zone == event.zone)


def _in_time(alarm: Alarm, event: TruthEvent) -> bool:
    if event.kind == "hazard.line":
        return alarm.since_s - EARLY_S <= event.begin_s + LATE_S and event.begin_s <= alarm.told_s + EARLY_S
    # An incident that goes on from one event to the next has told of both.
    return alarm.end_s >= event.begin_s - EARLY_S and alarm.told_s <= event.end_s + LATE_S


def _right(alarm: Alarm, event: TruthEvent) -> bool:
    last_s = alarm.told_s if event.kind == "hazard.line" else alarm.end_s
    return event.begin_s <= last_s + EARLY_S and event.end_s >= alarm.since_s - LATE_S


def per_day(count: int, seconds: float) -> float:
    """So many in so many seconds, a day; infinite where nothing was watched."""
    return count / seconds * 86400.0 if seconds else math.inf
