"""The search for what a box carries, and what the other benchmarks conclude from runs."""

import math
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import overhead, overload, soak
from benchmarks.box import Camera
from benchmarks.capacity import Verdict, bound, most
from benchmarks.clips import Footage
from benchmarks.latency import by_stage
from benchmarks.loops import MotionGate
from benchmarks.observed import Look, Observation, Recall, Told
from benchmarks.probe import Stopwatch
from benchmarks.scenes import Clip


@given(truth=st.integers(1, 400), first=st.integers(1, 400))
def test_the_search_ends_near_the_truth_and_never_above(truth: int, first: int) -> None:
    tried: list[int] = []

    def stands(count: int) -> bool:
        tried.append(count)
        return count <= truth

    found = most(stands, first, 60)
    assert found <= truth
    assert truth - found <= max(1.0, 0.05 * truth)
    assert len(set(tried)) == len(tried)


@given(first=st.integers(1, 100), tries=st.integers(1, 8))
def test_the_search_keeps_to_its_tries(first: int, tries: int) -> None:
    tried: list[int] = []
    most(lambda count: bool(tried.append(count)) or count < 17, first, tries)
    assert len(tried) <= tries


def test_where_nothing_stands_nothing_is_found() -> None:
    assert most(lambda _: False, 1, 5) == 0


@pytest.mark.parametrize(
    ("found", "p99_s", "queued", "stands"),
    [(99, 1.0, False, True), (98, 0.1, False, False), (100, 1.01, False, False), (100, 0.1, True, False)],
)
def test_a_count_stands_only_when_all_hold(found: int, p99_s: float, queued: bool, stands: bool) -> None:
    assert Verdict(10, Recall(100, found, found, found), 0.1, p99_s, queued, 0.9).stands is stands


def test_a_run_without_any_answer_does_not_stand() -> None:
    assert not Verdict(10, Recall(0, 0, 0, 0), math.inf, math.inf, False, 1.0).stands


def test_the_limit_orders_the_systems_as_their_work_does() -> None:
    pure = {"decode_ms": 4.0, "decode_keyframe_ms": 8.0, "infer_int8_ms": 20.0, "infer_fp32_square_ms": 50.0}
    limit = bound(pure, 0.1)
    assert limit["naive"] < limit["naive-int8"] < limit["decode-all"] < limit["ours"]
    everything = bound(pure, 1.0)
    assert everything["ours"] == pytest.approx(everything["decode-all"])


def test_what_a_stage_calls_counts_for_the_inner_stage_alone() -> None:
    watch = Stopwatch()

    def burn(seconds: float) -> None:
        until_s = time.thread_time() + seconds
        while time.thread_time() < until_s:
            pass

    inner = watch.around("inner", lambda: burn(0.02))
    outer = watch.around("outer", lambda: (burn(0.01), inner()))
    before_s = time.thread_time()
    outer()
    spent_s = time.thread_time() - before_s
    found = watch.read()
    assert found["inner"] >= 0.02
    assert found["outer"] >= 0.01
    assert sum(found.values()) <= spent_s + 1e-4


def test_a_stopwatch_sums_over_threads_and_survives_errors() -> None:
    watch = Stopwatch()

    def fail() -> None:
        raise RuntimeError

    for _ in range(2):
        thread = threading.Thread(target=watch.around("work", lambda: sum(range(10_000))))
        thread.start()
        thread.join()
    with pytest.raises(RuntimeError):
        watch.around("fail", fail)()
    assert set(watch.read()) == {"work", "fail"}


def test_taps_leave_out_what_is_not_there() -> None:
    watch = Stopwatch()
    places = {"here": ("benchmarks.soak:grown",), "gone": ("benchmarks.soak:lost", "benchmarks.none:x")}
    before = soak.grown
    try:
        assert watch.tap(places) == ["here"]
        assert soak.grown([1.0, 1.0, 3.0]) == 2.0
        assert "here" in watch.read()
    finally:
        soak.grown = before


def _camera(*active: tuple[float, float]) -> Camera:
    return Camera({"id": "a"}, Footage(Clip(Path(), None), Path(), (), active))


@pytest.mark.parametrize(("rate", "held"), [(5.0, 1), (2.0, 1), (1.0, 0)])
def test_a_floor_is_held_when_a_visit_is_looked_at_often_enough(rate: float, held: int) -> None:
    times = [k / rate for k in range(int(30 * rate))]
    looks = [Look("a", at, 100.0 + at, 100.0 + at, 100.0 + at + 0.05) for at in times]
    seen = Observation(100.0, 130.0, 1.0, 30.0, looks)
    assert overload.floors(seen, [_camera((10.0, 22.0))]) == (held, 1)


def test_a_visit_that_is_hardly_measured_is_not_judged() -> None:
    seen = Observation(100.0, 130.0, 1.0, 30.0, [Look("a", 0.0, 100.0, 100.0, 100.0)])
    assert overload.floors(seen, [_camera((27.0, 40.0))]) == (0, 0)


def test_memory_a_camera_is_the_slope() -> None:
    assert overload.slope([10, 20, 40], [300.0, 500.0, 900.0]) == pytest.approx(20.0)


@given(st.lists(st.floats(100, 101), min_size=2, max_size=300), st.floats(-50, 50))
def test_the_slope_of_memory_follows_a_trend_through_noise(noise: list[float], per_h: float) -> None:
    values = [value + per_h * k for k, value in enumerate(noise)]
    assert soak.slope(values, 3600.0) == pytest.approx(per_h, abs=1.0)


def test_one_leap_is_no_trend_but_growth_is_seen() -> None:
    assert soak.slope([100.0] * 50 + [500.0] + [100.0] * 50, 1.0) == 0.0
    assert soak.grown([5, 5, 5, 9, 9, 9, 9, 9, 9]) == 4


def test_an_events_stages_add_up_to_its_delay() -> None:
    looks = [Look("a", 0.0, 100.0, 100.0, 100.1), Look("a", 5.0, 105.01, 105.03, 105.06)]
    told = [Told("a", "hazard.line", "line", "begin", "1", 5.0, 105.07, 105.075)]
    spent = by_stage(Observation(100.0, 130.0, 1.0, 30.0, looks, told))
    found = {stage: values[0] for stage, values in spent.items()}
    assert found == pytest.approx({"wait": 30, "analyse": 30, "save": 10, "publish": 5, "all": 75}, abs=0.01)


def test_shares_of_cpu_add_up_and_an_idle_camera_costs_the_slope() -> None:
    seen = Observation(0.0, 10.0, 2.0, 100.0, stages={"decode": 1.0, "infer": 0.5})
    assert overhead.shares(seen) == {"decode": 0.5, "infer": 0.25, "other": 0.25}
    few = Observation(0.0, 10.0, 0.6, 20.0)
    more = Observation(0.0, 10.0, 1.4, 100.0)
    assert overhead.idle_ms(few, more) == pytest.approx(10.0)


def test_the_other_schemes_gate_sees_a_person_and_not_the_noise() -> None:
    rng = np.random.default_rng(1)
    gate = MotionGate()

    def picture(left: int | None) -> np.ndarray:
        luma = np.clip(90 + rng.normal(0, 2, (100, 178)), 0, 255).astype(np.uint8)
        if left is not None:
            luma[40:60, left : left + 8] = 200
        return luma

    assert not any(gate.moves(picture(None)) for _ in range(20))
    assert all(gate.moves(picture(20 + 5 * k)) for k in range(20))
