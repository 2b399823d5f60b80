"""The ledger's sums are exact whatever the steps, and each cell is booked for its own reason."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.account import (
    AT_RATE,
    CELLS,
    CONNECTING,
    IDLE_WATCHED,
    OFFLINE,
    SHED,
    STARTING,
    STOPPED,
    Cell,
    Covered,
    Reading,
    Report,
)
from edge.coverage import Ledger, reading_of
from edge.floors import Task
from streams.reader import ReaderStatus
from streams.service import SHED as NO_SERVICE
from streams.service import Service

DENSITY = Task("crowd.density", "plaza", 0.5)
INTRUSION = Task("hazard.intrusion", "stage", 1.0)
LINE = Task("hazard.line", "door", 2.0)
OTHER_LINE = Task("hazard.line", "gate", 2.0)


def spent(ledger: Ledger, camera: str = "a") -> dict[str, dict[Cell, int]]:
    """Milliseconds by task and cell."""
    by_task: dict[str, dict[Cell, int]] = {}
    for covered in ledger.totals():
        if covered.camera == camera:
            by_task.setdefault(covered.task, {})[covered.cell] = covered.ms
    return by_task


# Properties: any readings, any steps.

counters = st.integers(0, 40)
readings = st.builds(
    Reading,
    state=st.sampled_from(["connecting", "up", "up", "up", "retrying", "shed", "stopped"]),
    since_mono_s=st.floats(-10, 200),
    wanted_fps=st.sampled_from([0.01, 0.2, 2.0, 5.0, 25.0]),
    granted_fps=st.sampled_from([None, 0.0, 1.0, 2.0, 5.0, 10.0]),
    packets=counters,
    looks=counters,
    failures=counters,
    idle=st.booleans(),
    trusted=st.booleans(),
    compared=counters,
    keyframes=counters,
)
gaps = st.one_of(st.floats(-1, 5), st.just(0.0), st.sampled_from([1e-4, 0.001, 0.5, 1.0, 90.0]))
steps = st.lists(st.tuples(gaps, st.dictionaries(st.sampled_from(["a", "b"]), readings)), max_size=30)
origins = st.sampled_from([0.0, 1e-3, 12.3456, 1e6 + 1 / 3])

WATCHED = {"a": (DENSITY, LINE, OTHER_LINE), "b": (Task("camera.view", "b", 0.1),)}


def by_cell(totals: Sequence[Covered]) -> dict[tuple[str, str, Cell], int]:
    return {(covered.camera, covered.task, covered.cell): covered.ms for covered in totals}


@settings(max_examples=200, deadline=None)
@given(origin_s=origins, walk=steps, end_s=gaps)
def test_every_task_sums_to_wall_time_and_never_shrinks(
    origin_s: float, walk: list[tuple[float, dict[str, Reading]]], end_s: float
) -> None:
    ledger = Ledger(WATCHED, origin_s, period_s=2.0)
    now_s, latest_s, before = origin_s, origin_s, by_cell(ledger.totals())
    reports: list[Report] = []
    for gap_s, seen in walk:
        now_s += gap_s
        latest_s = max(latest_s, now_s)
        reports += filter(None, [ledger.step(now_s, seen)])
        after = by_cell(ledger.totals())
        assert ledger.wall_ms == round((latest_s - origin_s) * 1000)
        assert all(after.get(key, 0) >= ms for key, ms in before.items())
        sums_to(ledger, ledger.wall_ms)
        before = after
    reports.append(ledger.close(now_s + end_s))
    sums_to(ledger, ledger.wall_ms)
    reported_again(reports, ledger)


def sums_to(ledger: Ledger, wall_ms: int) -> None:
    for camera, tasks in WATCHED.items():
        by_task = spent(ledger, camera)
        for task in tasks:
            assert sum(by_task.get(task.name, {}).values()) == wall_ms
        assert by_task.keys() <= {task.name for task in tasks}


def reported_again(reports: list[Report], ledger: Ledger) -> None:
    """The reports tell all that the ledger knows, once, and each row its span."""
    told: dict[tuple[str, str, Cell], int] = {}
    for report in reports:
        named = [(row.camera, task) for row in report.rows for task in row.tasks]
        assert len(named) == len(set(named))
        if report.span_ms:
            assert len(named) == sum(len(tasks) for tasks in WATCHED.values())
        for row in report.rows:
            assert sum(row.ms.values()) == report.span_ms
            assert min(row.ms.values()) > 0
            assert list(row.ms) == [cell for cell in CELLS if cell in row.ms]
            for task in row.tasks:
                for cell, ms in row.ms.items():
                    key = (row.camera, task, cell)
                    told[key] = told.get(key, 0) + ms
        total = sum(report.task_ms(state) for state in ("analysed", "degraded", "blind"))
        assert total == report.span_ms * len(named)
    assert told == by_cell(ledger.totals())
    assert sum(report.span_ms for report in reports) == ledger.wall_ms


@settings(max_examples=60, deadline=None)
@given(walk=steps)
def test_tasks_with_the_same_floor_share_their_fate_and_a_lower_floor_is_never_blinder(
    walk: list[tuple[float, dict[str, Reading]]],
) -> None:
    ledger = Ledger(WATCHED, 0.0)
    now_s = 0.0
    for gap_s, seen in walk:
        now_s += gap_s
        ledger.step(now_s, seen)
    by_task = spent(ledger)
    assert by_task.get(LINE.name) == by_task.get(OTHER_LINE.name)

    def blind_ms(task: Task) -> int:
        return sum(ms for cell, ms in by_task.get(task.name, {}).items() if cell.state == "blind")

    # windows are alike for floors from 0.4 fps on, so less is needed for less
    assert blind_ms(DENSITY) <= blind_ms(LINE)


# Stories: a camera that lives in half seconds.

RATES = {"packets": 25.0, "looks": 5.0, "failures": 0.0}
RATES |= {"keyframes": 0.5, "compared": 0.5}
CALM: dict[str, Any] = {"idle": True, "trusted": True, "looks": 0.1}


class Story:
    """One camera, stepped twice a second from 0 s on; analysis begins there."""

    def __init__(self, *tasks: Task, **first: Any) -> None:
        self.ledger = Ledger({"a": tasks or (INTRUSION,)}, 0.0, period_s=3600)
        self.now_s = 0.0
        self.counts = dict.fromkeys(RATES, 0.0)
        facts: dict[str, Any] = {"state": "up", "since_mono_s": 0.0, "wanted_fps": 5.0, "granted_fps": 5.0}
        self.facts = {**facts, **first}
        self.ledger.step(0.0, {"a": self.reading()})

    def reading(self) -> Reading:
        counts: dict[str, Any] = {name: int(value) for name, value in self.counts.items()}
        return Reading(**self.facts, **counts)

    def run(self, seconds: float, step_s: float = 0.5, **changes: Any) -> "Story":
        """Go on for a while; `changes` are facts of the reading from now on, or counters per second."""
        rates = {name: changes.pop(name, rate) for name, rate in RATES.items()}
        if changes.get("state", self.facts["state"]) != self.facts["state"]:
            changes["since_mono_s"] = self.now_s
        self.facts |= changes
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            for name, rate in rates.items():
                self.counts[name] += rate * step_s
            self.ledger.step(self.now_s, {"a": self.reading()})
        return self

    def cells(self, task: Task = INTRUSION) -> dict[Cell, int]:
        return spent(self.ledger)[task.name]


def degraded(reason: Any) -> Cell:
    return Cell("degraded", reason)


def blind(reason: Any) -> Cell:
    return Cell("blind", reason)


def test_a_camera_analysed_at_its_rate() -> None:
    assert Story().run(60).cells() == {AT_RATE: 60_000}


def test_pictures_in_flight_and_uneven_ones_are_forgiven() -> None:
    # four and a half of five seconds' looks are done; then they come in bursts of two seconds
    story = Story().run(0.5, looks=0).run(20)
    for _ in range(10):
        story.run(0.5, looks=2).run(0.5, looks=8)
    assert story.cells() == {AT_RATE: 30_500}


def test_a_calm_camera_is_watched_by_its_packets() -> None:
    assert Story().run(60, **CALM).cells() == {IDLE_WATCHED: 60_000}
    # also with a keyframe every ten seconds, and with one ten times a second, of which two are compared
    sparse = {"keyframes": 0.1, "compared": 0.1}
    assert Story().run(60, **CALM, **sparse).cells() == {IDLE_WATCHED: 60_000}
    dense = {"keyframes": 10, "compared": 2}
    assert Story().run(60, **CALM, **dense).cells() == {IDLE_WATCHED: 60_000}


def test_a_calm_camera_is_not_watched_where_keyframes_are_not_compared() -> None:
    story = Story().run(10, **CALM).run(30, **CALM, compared=0)
    cells = story.cells()
    assert cells[IDLE_WATCHED] < 14_000
    assert cells[blind("overload")] + cells[IDLE_WATCHED] == 40_000


def test_a_calm_camera_whose_keyframes_stay_away_is_not_watched_for_long() -> None:
    cells = Story().run(10, **CALM).run(30, **CALM, keyframes=0, compared=0).cells()
    assert 22_000 <= cells[IDLE_WATCHED] <= 22_500
    assert cells[blind("overload")] + cells[IDLE_WATCHED] == 40_000


def test_packets_that_tell_nothing_are_replaced_by_comparing_pictures() -> None:
    calm = {**CALM, "trusted": False}
    assert Story().run(60, **calm, compared=25).cells() == {IDLE_WATCHED: 60_000}
    assert Story(DENSITY).run(60, **calm, compared=1).cells(DENSITY)[degraded("overload")] > 55_000
    assert Story().run(60, **calm, compared=0.2).cells()[blind("overload")] > 55_000


def test_keyframes_alone_do_not_watch_what_happens_between_them() -> None:
    story = Story(DENSITY, INTRUSION, granted_fps=0.0).run(60, **CALM)
    assert story.cells(DENSITY)[degraded("reduced")] > 55_000
    assert story.cells(INTRUSION)[blind("reduced")] > 55_000


def test_waking_is_watched_time_and_rates_are_judged_from_then_on() -> None:
    story = Story().run(60, **CALM).run(10, idle=False)
    assert story.cells() == {IDLE_WATCHED: 60_500, AT_RATE: 9_500}
    assert story.run(10, **CALM).cells() == {IDLE_WATCHED: 70_500, AT_RATE: 9_500}


def test_a_long_step_is_not_excused_by_calm_at_its_beginning() -> None:
    story = Story().run(10, **CALM).run(30, step_s=30, idle=False, looks=0)
    assert story.cells() == {IDLE_WATCHED: 10_000, blind("overload"): 30_000}


def test_less_than_wanted_is_degraded_and_less_than_a_floor_blind() -> None:
    story = Story(DENSITY, INTRUSION, LINE).run(60).run(60, looks=1.2, granted_fps=5.0)
    # every task passes through what the last five seconds still hold of better times
    for task, cell in ((DENSITY, "degraded"), (INTRUSION, "degraded"), (LINE, "blind")):
        assert story.cells(task)[Cell(cell, "overload")] >= 55_000  # type: ignore[arg-type]
        assert sum(story.cells(task).values()) == 120_000


def test_the_plan_is_named_when_it_grants_less() -> None:
    story = Story(DENSITY, LINE, granted_fps=1.0).run(60, looks=1)
    assert story.cells(DENSITY)[degraded("reduced")] >= 58_000
    assert story.cells(LINE)[blind("reduced")] >= 58_000


def test_keyframes_alone_can_hold_a_low_floor() -> None:
    story = Story(DENSITY, INTRUSION, granted_fps=0.0).run(60, looks=0.5)
    assert story.cells(DENSITY)[degraded("reduced")] >= 58_000
    assert story.cells(INTRUSION)[blind("reduced")] >= 57_000


def test_a_configuration_below_the_floor_is_blind_and_reduced() -> None:
    story = Story(LINE, wanted_fps=1.0, granted_fps=1.0).run(60, looks=1)
    assert story.cells(LINE)[blind("reduced")] >= 58_000


def test_a_slow_camera_is_named() -> None:
    story = Story(DENSITY, LINE).run(60, looks=1.5, packets=1.5)
    assert story.cells(DENSITY)[degraded("camera_slow")] >= 58_000
    assert story.cells(LINE)[blind("camera_slow")] >= 57_000


def test_failing_analysis_is_named() -> None:
    story = Story(DENSITY, LINE).run(60, looks=5, failures=4)
    assert story.cells(DENSITY)[degraded("failing")] >= 58_000
    assert story.cells(LINE)[blind("failing")] >= 57_000


def test_a_shed_camera_is_blind_at_once_and_also_while_idle() -> None:
    story = Story(DENSITY).run(10).run(10, **CALM, granted_fps=None)
    assert story.cells(DENSITY) == {AT_RATE: 10_000, SHED: 10_000}
    assert story.run(10, granted_fps=5.0, idle=False).cells(DENSITY) == {AT_RATE: 20_000, SHED: 10_000}
    # its stream is closed until it is served again, and that takes a while
    story.run(10, state="shed", granted_fps=None, looks=0, packets=0).run(
        3, state="connecting", looks=0, packets=0
    )
    assert story.cells(DENSITY) == {AT_RATE: 20_000, SHED: 20_000, CONNECTING: 3_000}


def test_a_camera_that_goes_away_and_comes_back() -> None:
    story = Story(state="connecting").run(3, looks=0, packets=0)
    story.run(10, state="up").run(5, state="retrying", looks=0, packets=0).run(10, state="up")
    story.run(2, state="stopped", looks=0, packets=0)
    assert story.cells() == {CONNECTING: 3_000, AT_RATE: 20_000, OFFLINE: 5_000, STOPPED: 2_000}


def test_a_change_within_a_step_splits_it_to_the_millisecond() -> None:
    ledger = Ledger({"a": (INTRUSION,)}, 100.0)
    facts: dict[str, Any] = {"wanted_fps": 5.0, "granted_fps": 5.0}
    ledger.step(100.0, {"a": Reading("connecting", 99.0, **facts)})
    ledger.step(103.0, {"a": Reading("up", 101.234, **facts, packets=45, looks=8)})
    assert spent(ledger)[INTRUSION.name] == {CONNECTING: 1_234, AT_RATE: 1_766}
    ledger.step(104.0, {"a": Reading("retrying", 103.25, **facts, packets=50, looks=10)})
    assert spent(ledger)[INTRUSION.name] == {CONNECTING: 1_234, AT_RATE: 2_016, OFFLINE: 750}


def test_a_stream_that_came_anew_between_two_steps_was_away() -> None:
    ledger = Ledger({"a": (INTRUSION,)}, 0.0)
    facts: dict[str, Any] = {"wanted_fps": 5.0, "granted_fps": 5.0}
    ledger.step(0.0, {"a": Reading("up", 0.0, **facts)})
    ledger.step(1.0, {"a": Reading("up", 0.0, **facts, packets=25, looks=5)})
    ledger.step(9.0, {"a": Reading("up", 8.0, **facts, packets=50, looks=10)})
    assert spent(ledger)[INTRUSION.name] == {AT_RATE: 2_000, OFFLINE: 7_000}


def test_a_connection_that_is_up_but_silent_is_an_absent_camera() -> None:
    story = Story().run(10).run(10, looks=0, packets=0)
    cells = story.cells()
    assert cells[OFFLINE] == 8_500  # from the step on at which two seconds were silent
    assert set(cells) <= {AT_RATE, OFFLINE, degraded("camera_slow"), degraded("overload")}
    # an idle one too: without packets the gate watches nothing
    still = Story().run(10, **CALM).run(10, **CALM, packets=0)
    assert still.cells()[OFFLINE] == 8_500


def test_before_analysis_begins_everything_is_starting() -> None:
    ledger = Ledger({"a": (INTRUSION,), "b": (DENSITY,)}, 5.0)
    ledger.step(6.0, {})
    facts: dict[str, Any] = {"wanted_fps": 5.0, "granted_fps": 5.0}
    ledger.step(7.5, {"a": Reading("up", 5.5, **facts, packets=50)})
    ledger.step(8.5, {"a": Reading("up", 5.5, **facts, packets=75, looks=5)})
    ledger.step(9.5, {})
    assert spent(ledger)[INTRUSION.name] == {STARTING: 2_500, AT_RATE: 1_000, STOPPED: 1_000}
    assert spent(ledger, "b")[DENSITY.name] == {STARTING: 4_500}


def test_one_late_step_is_judged_over_its_own_length() -> None:
    assert Story().run(300, step_s=100).cells() == {AT_RATE: 300_000}
    late = Story().run(10).run(100, step_s=100, looks=0.2)
    assert late.cells() == {AT_RATE: 10_000, blind("overload"): 100_000}


def test_fine_steps_give_the_same_books() -> None:
    coarse = Story(DENSITY, LINE).run(30).run(30, looks=1.5)
    fine = Story(DENSITY, LINE).run(30, step_s=0.01).run(30, step_s=0.01, looks=1.5)
    for task in (DENSITY, LINE):
        for cell in CELLS:
            one, other = (story.cells(task).get(cell, 0) for story in (coarse, fine))
            assert abs(one - other) <= 1_000


def test_a_report_comes_when_its_time_is_up_and_at_the_end() -> None:
    ledger = Ledger({"a": (DENSITY, INTRUSION, LINE)}, 0.0, period_s=60.0)
    facts: dict[str, Any] = {"wanted_fps": 5.0, "granted_fps": 1.0}
    reports = []
    for second in range(130):
        reading = Reading("up", 0.0, **facts, packets=25 * second, looks=second)
        reports.append(ledger.step(float(second), {"a": reading}))
    made = [(second, report) for second, report in enumerate(reports) if report is not None]
    assert [second for second, _ in made] == [60, 120]
    assert [report.span_ms for _, report in made] == [60_000, 60_000]
    second_report = made[1][1]
    # what shares a fate stands in one row
    assert [(row.tasks, dict(row.ms)) for row in second_report.rows] == [
        (("crowd.density/plaza", "hazard.intrusion/stage"), {degraded("reduced"): 60_000}),
        (("hazard.line/door",), {blind("reduced"): 60_000}),
    ]
    assert second_report.task_ms("degraded") == 120_000
    last = ledger.close(131.0)
    assert last.span_ms == 11_000
    assert last.rows[0].ms == {degraded("reduced"): 9_000, STOPPED: 2_000}
    assert ledger.close(140.0) == Report(0, ())
    assert ledger.step(150.0, {}) is None
    assert ledger.wall_ms == 131_000


def test_a_reading_is_what_reader_and_plan_say() -> None:
    status = ReaderStatus("up", 3.0, packets=90, decoded=12, activity="idle", trust="trusted", looks=4)
    read = reading_of(status, Service(2.0), 5.0, looks=7, failures=1)
    assert read == Reading("up", 3.0, 5.0, 2.0, 90, 7, 1, True, True, 4, 12)
    active = reading_of(ReaderStatus("retrying", 3.0), NO_SERVICE, 5.0, looks=0, failures=0)
    assert active == Reading("retrying", 3.0, 5.0, None)


def test_a_stranger_is_refused_and_readings_are_checked() -> None:
    ledger = Ledger({"a": (DENSITY,)}, 0.0)
    with pytest.raises(KeyError, match="'z'"):
        ledger.step(1.0, {"z": Reading("up", 0.0, 5.0, 5.0)})
    with pytest.raises(ValueError, match="wanted_fps"):
        Reading("up", 0.0, 0.0, 5.0)
    with pytest.raises(ValueError, match="granted_fps"):
        Reading("up", 0.0, 5.0, -1.0)


def test_memory_stays_bounded_however_often_it_is_stepped() -> None:
    story = Story(Task("camera.view", "a", 0.1)).run(120, step_s=0.01)
    assert len(story.ledger._cameras["a"].samples) <= 250


def test_totals_may_be_asked_for_while_another_thread_steps() -> None:
    ledger = Ledger({f"c{n}": (DENSITY, LINE) for n in range(20)}, 0.0)
    done = threading.Event()

    def step() -> None:
        for n in range(300):
            reading = Reading("up" if n % 3 else "retrying", n / 10, 5.0, 5.0, packets=n, looks=n)
            ledger.step(n / 2, {f"c{k}": reading for k in range(20)})
        done.set()

    thread = threading.Thread(target=step)
    thread.start()
    while not done.is_set():
        sums: dict[tuple[str, str], int] = {}
        for covered in ledger.totals():
            key = (covered.camera, covered.task)
            sums[key] = sums.get(key, 0) + covered.ms
        assert len(set(sums.values())) <= 1
    thread.join(10)


def test_the_table_of_cells_is_closed() -> None:
    assert len(set(CELLS)) == len(CELLS)
    assert {cell.state for cell in CELLS} == {"analysed", "degraded", "blind"}
