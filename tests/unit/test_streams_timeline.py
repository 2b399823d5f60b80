"""The timeline only rises, keeps sane stamps as they are, and stays with the host."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.timeline import MIN_STEP_S, Timeline

_steps = st.lists(st.floats(0.002, 1.0), min_size=1, max_size=60)
_anything = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-1e5, 1e5),
    st.sampled_from([0.0, 1.0]),
)


@given(st.lists(st.tuples(_anything, st.floats(0, 30), st.booleans()), max_size=80), st.booleans())
def test_it_always_rises(stream: list[tuple[float | None, float, bool]], live: bool) -> None:
    timeline, mono, last = Timeline(), 100.0, -math.inf
    for pts, elapsed, reconnected in stream:
        mono += elapsed
        if reconnected:
            timeline.reconnected()
        stamp = timeline.stamp(pts, mono if live else None)
        assert math.isfinite(stamp)
        assert stamp > last or not math.isfinite(last)
        last = stamp


@given(st.floats(-1e4, 1e4), _steps, st.booleans())
def test_sane_stamps_pass_unchanged(start: float, steps: list[float], live: bool) -> None:
    timeline, pts, mono = Timeline(), start, 50.0
    for step in [0.0, *steps]:
        pts, mono = pts + step, mono + step
        assert timeline.stamp(pts, mono if live else None) == pytest.approx(pts, abs=1e-9)
    assert timeline.repairs == timeline.repeats == 0


@given(st.lists(st.tuples(st.floats(0.01, 5), st.floats(-1e6, 1e6), st.booleans()), min_size=2, max_size=60))
def test_it_never_strays_from_host_time(stream: list[tuple[float, float, bool]]) -> None:
    """Whatever jumps: within the tolerance, plus what a clock 1 % off may gain, plus a step per stamp."""
    timeline, host = Timeline(tolerance_s=5.0), 0.0
    first = timeline.stamp(0.0, 0.0)
    for count, (elapsed, leap, jumps) in enumerate(stream, start=1):
        host += elapsed
        stamp = timeline.stamp(host + leap if jumps else host, host)
        assert abs(stamp - first - host) <= 5.0 + 0.01 * host + count * MIN_STEP_S + 1e-6


def test_a_repeat_moves_on_a_little_and_adds_no_drift() -> None:
    timeline = Timeline()
    stamps = [timeline.stamp(pts, pts) for pts in (0.0, 0.0, 0.08, 0.08, 0.16)]
    assert stamps == pytest.approx([0.0, 0.001, 0.08, 0.081, 0.16])
    assert (timeline.repeats, timeline.repairs) == (2, 0)


def test_a_clock_that_stands_still_is_none() -> None:
    """After a few repeats host time goes by, and when the stamps move on, so does the result with them."""
    timeline = Timeline()
    stamps = [timeline.stamp(7.0, index * 0.04) for index in range(101)]
    assert stamps[-1] - stamps[0] == pytest.approx(4.0, abs=0.2)
    assert (timeline.repeats, timeline.repairs) == (3, 97)
    onwards = [timeline.stamp(7.0 + index * 0.04, 4.0 + index * 0.04) for index in range(1, 26)]
    assert onwards[-1] - stamps[-1] == pytest.approx(1.0)
    assert timeline.repairs == 97


def test_reordered_pictures_do_not_make_host_time_run_ahead() -> None:
    """A P picture is read before the two B pictures that are shown before it."""
    timeline = Timeline()
    reads = (2, 3, 1)
    for index in range(3000):
        mono_s = (index // 3 * 3 + reads[index % 3]) * 0.04
        assert timeline.stamp(index * 0.04, mono_s) == pytest.approx(index * 0.04)
    assert timeline.repairs == 0


def test_a_wrapped_clock_goes_on_by_elapsed_time() -> None:
    timeline = Timeline()
    stamps = [
        timeline.stamp(pts, mono)
        for pts, mono in ((95443.6, 10.0), (95443.7, 10.1), (0.02, 10.2), (0.12, 10.3))
    ]
    assert [stamp - stamps[0] for stamp in stamps] == pytest.approx([0, 0.1, 0.2, 0.3], abs=1e-6)
    assert timeline.repairs == 1


def test_a_burst_after_a_stall_is_not_a_jump() -> None:
    timeline = Timeline()
    pts = [index * 0.04 for index in range(100)]
    mono = [0.0] + [3.96] * 99
    assert [timeline.stamp(p, m) for p, m in zip(pts, mono, strict=True)] == pytest.approx(pts)
    assert timeline.repairs == 0


def test_a_reconnection_counts_really_elapsed_time_and_no_repair() -> None:
    timeline = Timeline()
    timeline.stamp(500.0, 10.0)
    timeline.reconnected()
    assert timeline.stamp(0.0, 31.0) == pytest.approx(521.0)
    assert timeline.stamp(0.04, 31.04) == pytest.approx(521.04)
    assert timeline.repairs == 0


def test_without_host_times_a_leap_is_one_nominal_step() -> None:
    timeline = Timeline(nominal_step_s=0.1, tolerance_s=10)
    stamps = [timeline.stamp(pts) for pts in (0.0, 0.1, 1000.0, 1000.1, None, 3.0, 3.1)]
    assert stamps == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert timeline.repairs == 3


def test_a_slightly_fast_clock_is_believed_for_days() -> None:
    timeline, mono = Timeline(), 0.0
    for _ in range(50_000):
        mono += 10.0
        timeline.stamp(mono * 1.005, mono)
    assert timeline.repairs == 0


@pytest.mark.parametrize("arguments", [{"nominal_step_s": 0}, {"tolerance_s": -1}])
def test_refused_arguments(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Timeline(**arguments)
