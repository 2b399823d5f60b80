"""How what was told of a crowd compares with what was true.

Density: at each look at which the true worst cell has 2 persons per m2 or more, the share by which the found
value misses the true one of that time; mean over all looks of all scenes (MAPE).

Alarms: an incident of `SCORED` rules is one alarm for each of the levels 2 and 1 that it reaches, as long as
it keeps that level or a more severe one. It is right if in its time, or in the 5 s before, the truth of its
own kind was at 85 % of that level's threshold or more, once: the error of density that is granted anyway.
Precision is the share that is right. In a calm scene nothing is ever right.

Moments: the truth's moments of levels 2 and 1, and every true surge, which has no level. One is found if an
alarm of any `SCORED` rule at that zone is open at some time between its beginning and 5 s after its end: then
somebody is looking. `found_same` counts alarms of the moment's own kind and at least its level alone.

Delay of red: from the beginning of a true moment of level 1 until any alarm of level 1 is open; 0 if one is
already. A moment without such an alarm until 5 s after its end has no delay and is late in the share.

Not scored, but counted beside (`others`; in calm scenes any would be false): `crowd.pressure`, as the
simulator's people are shaken ten times as hard as real ones, and `crowd.forecast`, as it tells of what is
ahead. Not watched is `crowd.flow`, as its window is 60 s and the truth's 10 s: they count different things.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from benchmarks.crowds_scenes import Floats, Recording
from benchmarks.crowds_seen import Seen, Told
from streams.sim import crowds
from streams.sim.moments import SURGE_PEOPLE, SURGE_SHARE
from streams.sim.truth import TruthEvent

SCORED = ("crowd.density", "crowd.counterflow", "crowd.surge")
GRANTED = 0.85
SLACK_S = 5.0
PROMPT_S = 5.0
DENSE_PER_M2 = 2.0
SEVERE = 2


@dataclass(frozen=True, slots=True)
class Alarm:
    """An incident while it has a level or a more severe one."""

    kind: str
    zone: str
    level: int
    begin_s: float
    end_s: float
    right: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a true moment.

    Attributes:
        moment: the truth.
        found: an alarm was open.
        found_same: an alarm of its kind and its level was.
        delay_s: of red, for a moment of level 1; infinite where there was none.
    """

    moment: TruthEvent
    found: bool
    found_same: bool
    delay_s: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """How one scene was judged; errors are shares.

    Attributes:
        scenario, seed, calm: which.
        worst_errors, mean_errors: signed, of each look that counts.
        alarms: of scored rules.
        others: alarms of the other rules, by kind.
        moments: of levels 2 and 1.
        forecasts: minutes said two minutes before a crossing; None where none were.
    """

    scenario: str
    seed: int
    calm: bool
    worst_errors: list[float]
    mean_errors: list[float]
    alarms: list[Alarm]
    others: dict[str, int]
    moments: list[Found]
    forecasts: list[float | None] = field(default_factory=list)

    @property
    def row(self) -> dict[str, Any]:
        """For a JSON file; of errors only their number and means."""
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "calm": self.calm,
            "looks": len(self.worst_errors),
            "worst_mape": _mean([abs(e) for e in self.worst_errors]),
            "mean_mape": _mean([abs(e) for e in self.mean_errors]),
            "alarms": [asdict(alarm) for alarm in self.alarms],
            "others": self.others,
            "moments": [
                {
                    "kind": one.moment.kind,
                    "level": one.moment.level,
                    "begin_s": one.moment.begin_s,
                    "end_s": one.moment.end_s,
                    "found": one.found,
                    "found_same": one.found_same,
                    "delay_s": None if one.delay_s is None or math.isinf(one.delay_s) else one.delay_s,
                }
                for one in self.moments
            ],
            "forecasts": self.forecasts,
        }


def judge(recording: Recording, seen: Seen, ahead_min: float = 2.0) -> Result:
    """Compare what was made of a scene with what is true of it."""
    truth, found = density_errors(recording, seen)
    zone = recording.spec.where.crowd.id
    alarms = [_judged(alarm, recording) for alarm in alarms_of(seen.told) if alarm.kind in SCORED]
    open_at_all = [alarm for alarm in alarms if alarm.zone == zone]
    moments = [moment_found(moment, open_at_all) for moment in severe(recording.moments)]
    others: dict[str, int] = {}
    for alarm in alarms_of(seen.told):
        if alarm.kind not in SCORED and alarm.level == SEVERE:
            others[alarm.kind] = others.get(alarm.kind, 0) + 1
    forecasts = forecasts_before(recording, seen, ahead_min)
    spec = recording.spec
    return Result(spec.scenario, spec.seed, recording.calm, truth, found, alarms, others, moments, forecasts)


def density_errors(recording: Recording, seen: Seen) -> tuple[list[float], list[float]]:
    """Signed errors of the worst cell and of the mean, as shares, at each look that is dense enough."""
    places = np.rint(np.searchsorted(recording.times, np.array(seen.times) - 0.1)).astype(int)
    worst, mean = [], []
    for k, found_worst, found_mean in zip(places, seen.worst_per_m2, seen.mean_per_m2, strict=True):
        true = recording.looks[min(int(k), len(recording.looks) - 1)]
        if true.worst_cell_per_m2 >= DENSE_PER_M2:
            worst.append(found_worst / true.worst_cell_per_m2 - 1)
            mean.append(found_mean / true.mean_per_m2 - 1)
    return worst, mean


def alarms_of(told: Sequence[Told]) -> list[Alarm]:
    """When each incident had level 2 or 1; one that is open at the end ends never."""
    found = []
    for incident in dict.fromkeys(one.incident for one in told):
        story = [one for one in told if one.incident == incident]
        for level in (2, 1):
            begin_s: float | None = None
            for one in story:
                reached = one.level <= level and one.phase != "end"
                if reached and begin_s is None:
                    begin_s = one.at_s
                elif not reached and begin_s is not None:
                    found.append(Alarm(one.kind, one.zone, level, begin_s, one.at_s))
                    begin_s = None
            if begin_s is not None:
                found.append(Alarm(story[0].kind, story[0].zone, level, begin_s, math.inf))
    # A surge has no levels in the truth: it is one alarm.
    return [one for one in found if one.kind != "crowd.surge" or one.level == SEVERE]


def truth_shares(recording: Recording, kind: str, level: int) -> Floats:
    """(t,) share of a level's threshold that was truly reached at each look of a recording."""
    looks = recording.looks
    if kind == "crowd.density":
        return crowds.level_shares(looks, level)
    if kind == "crowd.counterflow":
        return np.array([one.against_per_m2 for one in looks]) / crowds.MOVING_PER_M2[4 - level]
    if kind == "crowd.surge":
        return np.array([one.running / max(SURGE_PEOPLE, SURGE_SHARE * one.count) for one in looks])
    raise ValueError(f"the truth has no levels of {kind}")


def _judged(alarm: Alarm, recording: Recording) -> Alarm:
    times = recording.times
    during = (times >= alarm.begin_s - SLACK_S) & (times <= alarm.end_s)
    share = truth_shares(recording, alarm.kind, alarm.level)[during]
    right = not recording.calm and bool(share.max(initial=0.0) >= GRANTED)
    return Alarm(alarm.kind, alarm.zone, alarm.level, alarm.begin_s, alarm.end_s, right)


def severe(moments: Iterable[TruthEvent]) -> list[TruthEvent]:
    """The moments that somebody must be told of."""
    return [one for one in moments if one.kind in SCORED and (one.level is None or one.level <= SEVERE)]


def moment_found(moment: TruthEvent, alarms: Sequence[Alarm]) -> Found:
    """What became of a moment, given the alarms at its zone."""
    until_s = moment.end_s + SLACK_S
    open_then = [one for one in alarms if one.begin_s <= until_s and one.end_s >= moment.begin_s]
    level = SEVERE if moment.level is None else moment.level
    same = [one for one in open_then if one.kind == moment.kind and one.level <= level]
    delay_s = None
    if moment.level == 1:
        red_s = [max(one.begin_s - moment.begin_s, 0.0) for one in open_then if one.level == 1]
        delay_s = min(red_s, default=math.inf)
    return Found(moment, bool(open_then), bool(same), delay_s)


def forecasts_before(recording: Recording, seen: Seen, ahead_min: float) -> list[float | None]:
    """Minutes said so long before the true worst cell reached a threshold; None where nothing was said of it.

    Only crossings count before which the scene had been watched for a minute, what a trend needs, and only of
    thresholds that the rule speaks of: the next one then, and red. One is reached when it is kept for 5 s.
    """
    said: list[float | None] = []
    worst = np.array([one.worst_cell_per_m2 for one in recording.looks])
    times = np.array(seen.times)
    for threshold in sorted({*crowds.MOVING_PER_M2, *crowds.STANDING_PER_M2}):
        reached = crowds.spans(recording.times, worst / threshold)
        if not reached or reached[0][0] - 60 * ahead_min < 60:
            continue
        found = seen.forecasts[int(np.argmin(np.abs(times - (reached[0][0] - 60 * ahead_min))))]
        if threshold in found.until:
            said.append(found.until[threshold])
    return said


def summary(results: Sequence[Result], ahead_min: float = 2.0) -> dict[str, Any]:
    """Figures of some scenes together."""
    alarms = [alarm for one in results for alarm in one.alarms]
    moments = [moment for one in results for moment in one.moments]
    delays = np.array([m.delay_s for m in moments if m.delay_s is not None])
    worst = np.concatenate([one.worst_errors for one in results]) if results else np.zeros(0)
    mean = np.concatenate([one.mean_errors for one in results]) if results else np.zeros(0)
    said = [minutes for one in results for minutes in one.forecasts]
    errors = [abs(minutes / ahead_min - 1) for minutes in said if minutes is not None]
    return {
        "scenes": len(results),
        "looks": len(worst),
        "worst_mape": _mean(np.abs(worst)),
        "worst_bias": _mean(worst),
        "mean_mape": _mean(np.abs(mean)),
        "mean_bias": _mean(mean),
        "moments": len(moments),
        "recall": _share([m.found for m in moments]),
        "recall_same": _share([m.found_same for m in moments]),
        "alarms": len(alarms),
        "precision": _share([alarm.right for alarm in alarms]),
        "calm_alarms": sum(len(one.alarms) for one in results if one.calm),
        "calm_others": sum(sum(one.others.values()) for one in results if one.calm),
        "red": len(delays),
        "red_prompt": _share((delays <= PROMPT_S).tolist()),
        **_spread("red_delay", delays),
        "crossings": len(said),
        "forecasts": len(errors),
        "forecast_mape": _mean(errors),
        "forecast_median": float(np.median(errors)) if errors else None,
    }


def _spread(name: str, delays: Floats) -> dict[str, float | None]:
    told = {"median": 50, "p95": 95, "worst": 100}
    if not len(delays):
        return {f"{name}_{key}_s": None for key in told}
    found = {f"{name}_{key}_s": float(np.percentile(delays, q, method="higher")) for key, q in told.items()}
    return {key: value if math.isfinite(value) else None for key, value in found.items()}


def _mean(values: Sequence[float] | Floats) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _share(yes: Sequence[bool]) -> float | None:
    return float(np.mean(yes)) if len(yes) else None


def misses(results: Sequence[Result]) -> list[Mapping[str, Any]]:
    """Moments that were not found or red too late, and false alarms: to be looked at one by one."""
    rows: list[Mapping[str, Any]] = []
    for one in results:
        head = {"scenario": one.scenario, "seed": one.seed}
        for m in one.moments:
            late = m.delay_s is not None and m.delay_s > PROMPT_S
            if not m.found or late:
                what = "late" if m.found else "missed"
                rows.append(
                    {**head, "what": what, "kind": m.moment.kind, "level": m.moment.level,
                     "begin_s": m.moment.begin_s, "end_s": m.moment.end_s, "delay_s": m.delay_s}
                )  # fmt: skip
        rows += [{**head, "what": "false", **asdict(alarm)} for alarm in one.alarms if not alarm.right]
    return rows
