"""From what was true at each time to the moments of danger that somebody should be told of.

A moment begins when its measure reaches the threshold, which is the time an alarm's delay and a forecast are
measured against; see `crowds.spans` for hysteresis, joined lulls and least length. What is told as `peak`:

- `crowd.density`, levels 4 to 1: persons per m2 in the worst 4 m2 cell; moving cells have lower thresholds.
- `crowd.counterflow`, levels 4 to 1: the same for cells in which people want to go against each other, with
  the thresholds of moving crowds, as such a crowd means to move even where it is jammed.
- `crowd.surge`: persons who run, at least `SURGE_PEOPLE` and `SURGE_SHARE` of those in the zone, for at least
  `SURGE_S`. One runner, or a few, is none.
- `crowd.flow`, sign `over_capacity`: persons per metre and minute outwards through a gate in 10 s, at least
  `CAPACITY_PER_M_MIN`.
- `crowd.flow`, sign `stop_and_go`: the share of those in cells of at least 3 persons per m2 who stood still
  and went on within 10 s, at least half of at least `QUEUE_PEOPLE`, while people leave through the gate, but
  fewer than `STOP_AND_GO_BELOW_PER_M_S`.
- `crowd.pressure`: the mean pressure in 1/s2 where there are 3 persons per m2, at least
  `CRITICAL_PRESSURE_PER_S2` for 10 s; level 1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from streams.sim import crowds
from streams.sim.crowds import Look, Values
from streams.sim.truth import TruthEvent, TruthFlow

SURGE_PEOPLE = 10
SURGE_SHARE = 0.15
SURGE_S = 0.6
QUEUE_PEOPLE = 20
FLOW_WINDOW_S = 10.0


def moments(looks: Sequence[Look], flows: Sequence[TruthFlow], zone: str) -> tuple[TruthEvent, ...]:
    """All moments of a zone and its gates' flows, in order of their beginning."""
    if not looks:
        return ()
    times = np.array([one.time_s for one in looks])
    found = [
        *_density(times, looks, zone),
        *_counterflow(times, looks, zone),
        *_surge(times, looks, zone),
        *_flow(times, looks, flows),
        *_pressure(times, looks, zone),
    ]
    return tuple(sorted(found, key=lambda one: (one.begin_s, one.kind, -(one.level or 0))))


def _density(times: Values, looks: Sequence[Look], zone: str) -> list[TruthEvent]:
    found = []
    for level in (4, 3, 2, 1):
        for begin_s, end_s, _ in crowds.spans(times, crowds.level_shares(looks, level)):
            worst = max(one.worst_cell_per_m2 for one in looks if begin_s <= one.time_s <= end_s)
            more: dict[str, Any] = {"level": level, "peak": worst, "worst_cell_per_m2": worst}
            found.append(_event("crowd.density", zone, (begin_s, end_s), **more))
    return found


def _counterflow(times: Values, looks: Sequence[Look], zone: str) -> list[TruthEvent]:
    against = np.array([one.against_per_m2 for one in looks])
    return [
        _event("crowd.counterflow", zone, (begin_s, end_s), level=level, peak=round(peak * threshold, 4))
        for level, threshold in zip((4, 3, 2, 1), crowds.MOVING_PER_M2, strict=True)
        for begin_s, end_s, peak in crowds.spans(times, against / threshold)
    ]


def _surge(times: Values, looks: Sequence[Look], zone: str) -> list[TruthEvent]:
    running = np.array([one.running for one in looks])
    least = np.array([max(SURGE_PEOPLE, SURGE_SHARE * one.count) for one in looks])
    found = crowds.spans(times, running / least, leave=0.5, hold_s=SURGE_S)
    return [
        _event("crowd.surge", zone, (begin_s, end_s), people=(most := _most(times, running, begin_s, end_s)),
               peak=float(most))
        for begin_s, end_s, _ in found
    ]  # fmt: skip


def _flow(times: Values, looks: Sequence[Look], flows: Sequence[TruthFlow]) -> list[TruthEvent]:
    found = []
    queue = np.array([one.crowded for one in looks])
    started = np.array([one.started for one in looks]) / np.maximum(queue, 1)
    for place, flow in enumerate(flows):
        out = crowds.flow_per_m_min(np.array(flow.right_s), flow.width_m, times, FLOW_WINDOW_S)
        for begin_s, end_s, peak in crowds.spans(times, out / crowds.CAPACITY_PER_M_MIN):
            most = round(peak * crowds.CAPACITY_PER_M_MIN, 2)
            found.append(_event("crowd.flow", flow.id, (begin_s, end_s), peak=most, sign="over_capacity"))
        if place:  # the queue in the zone is the one before the first gate
            continue
        slow = (out > 0) & (out < 60.0 * crowds.STOP_AND_GO_BELOW_PER_M_S) & (queue >= QUEUE_PEOPLE)
        for begin_s, end_s, peak in crowds.spans(times, np.where(slow, started / 0.5, 0.0)):
            share = round(peak * 0.5, 4)
            found.append(_event("crowd.flow", flow.id, (begin_s, end_s), peak=share, sign="stop_and_go"))
    return found


def _pressure(times: Values, looks: Sequence[Look], zone: str) -> list[TruthEvent]:
    pressed = np.array([one.pressed_per_s2 for one in looks]) / crowds.CRITICAL_PRESSURE_PER_S2
    return [
        _event("crowd.pressure", zone, (begin_s, end_s), level=1,
               peak=round(peak * crowds.CRITICAL_PRESSURE_PER_S2, 5))
        for begin_s, end_s, peak in crowds.spans(times, pressed, hold_s=10.0)
    ]  # fmt: skip


def _most(times: Values, values: Values, begin_s: float, end_s: float) -> int:
    return int(values[(times >= begin_s) & (times <= end_s)].max())


def _event(kind: Any, zone: str, when: tuple[float, float], **more: Any) -> TruthEvent:
    return TruthEvent(kind, zone, round(when[0], 3), round(when[1], 3), **more)
