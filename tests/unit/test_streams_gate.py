"""The rate gate admits evenly, and never more than the rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.gate import RateGate


def _admitted(times: list[float], fps: float) -> list[float]:
    gate = RateGate(fps)
    return [time for time in times if gate.admit(time)]


@pytest.mark.parametrize(
    ("source", "wanted"), [(25, 5), (50, 5), (30, 10), (10, 8), (12.5, 5), (30000 / 1001, 5)]
)
def test_a_steady_source_gives_the_wanted_rate(source: float, wanted: float) -> None:
    admitted = _admitted([index / source for index in range(round(source * 60))], wanted)
    assert len(admitted) == pytest.approx(60 * wanted, abs=1)


def test_from_25_fps_every_fifth() -> None:
    admitted = _admitted([index / 25 for index in range(100)], 5)
    assert admitted == pytest.approx([index / 5 for index in range(20)])


def test_a_slower_source_passes_whole() -> None:
    times = [index * 0.5 for index in range(20)]
    assert _admitted(times, 5) == times


def test_after_a_gap_there_is_no_catching_up() -> None:
    times = [0.0, 0.2, *(100 + index * 0.04 for index in range(26))]
    assert _admitted(times, 5) == pytest.approx([0.0, 0.2, 100.0, 100.2, 100.4, 100.6, 100.8, 101.0])


@given(st.lists(st.floats(-0.009, 0.009), min_size=250, max_size=250))
def test_jitter_does_not_change_the_rate(jitter: list[float]) -> None:
    admitted = _admitted([index / 25 + shift for index, shift in enumerate(jitter)], 5)
    assert len(admitted) == pytest.approx(50, abs=1)


@given(st.lists(st.floats(0.001, 2.0), max_size=200), st.floats(0.5, 30))
def test_never_more_than_the_rate(steps: list[float], fps: float) -> None:
    times = [sum(steps[: index + 1]) for index in range(len(steps))]
    admitted = _admitted(times, fps)
    assert len(admitted) <= (sum(steps) * fps) + 2
    for earlier, later in zip(admitted, admitted[2:], strict=False):
        assert later - earlier >= 0.8 / fps


def test_refused_rate() -> None:
    with pytest.raises(ValueError, match="above 0"):
        RateGate(0)
