"""How far a stream is behind: what truly lay ready is passed over, what only looks late is not."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lag import BEHIND_S, Lag

FPS = 25.0
GOP = 50
READ_S = 0.0005
START_S = 1000.0


@dataclass
class Reading:
    """A reader at work: what it passed over, and how far it truly was behind, by its own host clock.

    Packets are there `delay_s(index)` after the camera had them; decoding one takes `decode_s(index)`.
    """

    stamp: Callable[[int], float | None] = lambda index: index / FPS
    delay_s: Callable[[int], float] = lambda _: 0.0
    decode_s: Callable[[int], float] = lambda _: 0.005
    lag: Lag = field(default_factory=Lag)
    passed: list[int] = field(default_factory=list)
    behind_s: list[float] = field(default_factory=list)
    estimated_s: list[float] = field(default_factory=list)

    def run(self, indices: Iterable[int]) -> "Reading":
        now_s = START_S
        there_s = 0.0
        for index in indices:
            captured_s = START_S + index / FPS
            there_s = max(there_s, captured_s + self.delay_s(index))  # packets do not overtake each other
            now_s = max(now_s, there_s) + READ_S
            late = self.lag.packet(self.stamp(index), now_s, keyframe=index % GOP == 0)
            self.behind_s.append(now_s - captured_s)
            self.estimated_s.append(self.lag.lag_s)
            if late:
                self.passed.append(index)
            else:
                now_s += self.decode_s(index)
        return self


def test_a_reader_that_keeps_up_passes_nothing_over() -> None:
    reading = Reading().run(range(2000))
    assert reading.passed == []
    assert max(reading.estimated_s) < 0.01


@given(st.integers(0, 1000), st.floats(-0.01, 0.01), st.floats(0.0, 0.3))
def test_jitter_and_drift_are_no_lag(seed: int, drift: float, jitter_s: float) -> None:
    rng = random.Random(seed)
    reading = Reading(lambda index: index / FPS * (1 + drift), lambda _: rng.uniform(0, jitter_s))
    reading.run(range(3000))
    assert reading.passed == []
    assert max(reading.estimated_s) <= jitter_s + 0.05


def test_reordered_pictures_are_no_lag() -> None:
    order = (3, 1, 2)
    reading = Reading(lambda index: (index // 3 * 3 + order[index % 3]) / FPS).run(range(1000))
    assert reading.passed == []
    assert max(reading.estimated_s[100:]) < 0.01


def test_decoding_that_takes_too_long_is_left_out_and_the_camera_kept_up_with() -> None:
    """Half again as slow as the stream for a minute: the lag stays within the limit all the time."""
    reading = Reading(decode_s=lambda _: 0.06).run(range(1500))
    assert 0.25 < len(reading.passed) / 1500 < 0.6
    assert max(reading.behind_s) < BEHIND_S + 0.2
    errors = [abs(a - b) for a, b in zip(reading.behind_s, reading.estimated_s, strict=True)]
    assert max(errors) < 0.25


def test_who_falls_behind_again_at_once_goes_on_with_a_keyframe() -> None:
    reading = Reading(decode_s=lambda _: 0.06).run(range(1500))
    passed = set(reading.passed)
    resumed = [index for index in range(1, 1500) if index - 1 in passed and index not in passed]
    assert len(resumed) > 3
    assert all(index % GOP == 0 for index in resumed)


def test_who_is_thrown_back_at_once_catches_up_once() -> None:
    """A second of standing still is made up for; another soon after waits for a keyframe."""
    reading = Reading(decode_s=lambda index: 1.5 if index in (110, 220) else 0.005).run(range(600))
    passed = set(reading.passed)
    resumed = [index for index in range(1, 600) if index - 1 in passed and index not in passed]
    assert len(resumed) == 2
    assert resumed[0] in range(145, 150)
    assert resumed[1] % GOP == 0


def test_a_keyframe_is_not_waited_for_for_ever() -> None:
    lag, host_s, late = Lag(), START_S, []
    for index in range(5000):
        host_s = max(host_s, START_S + index / FPS) + READ_S
        late.append(lag.packet(index / FPS, host_s, keyframe=False))
        host_s += 0.0 if late[-1] else 0.06
    runs = "".join("x" if one else "." for one in late).split(".")
    assert 12 * FPS <= max(len(run) for run in runs) <= 14 * FPS
    assert late.count(False) > 100


def burst(index: int) -> float:
    """The network stands still from 20 s to 40 s, and delivers all of it at once."""
    return 40.0 - index / FPS if 500 <= index < 1000 else 0.0


def test_what_was_held_back_is_not_decoded_one_by_one() -> None:
    reading = Reading(delay_s=burst).run(range(2000))
    assert reading.passed[0] == 500
    assert 970 <= len(reading.passed) + 500 <= 1010
    assert max(reading.passed) <= 1010
    assert reading.estimated_s[500] == pytest.approx(20.0, abs=0.3)
    assert reading.estimated_s[-1] < 0.05


def test_a_pause_without_a_burst_is_no_lag() -> None:
    reading = Reading().run([*range(500), *range(1000, 1500)])
    assert reading.passed == []


WRONG: dict[str, Callable[[int], float | None]] = {
    "none at all": lambda _: None,
    "not a number": lambda _: float("nan"),
    "always the same": lambda _: 5.0,
    "each twice": lambda index: index // 2 * 2 / FPS,
    "half as fast": lambda index: index / FPS / 2,
    "a tenth slow": lambda index: index / FPS * 0.9,
    "twice as fast": lambda index: index / FPS * 2,
    "back to zero": lambda index: index % 100 / FPS,
    "falling": lambda index: 1000.0 - index / FPS,
    "back a second": lambda index: index / FPS - 1.02 * (index // 500),
    "leaping": lambda index: index / FPS + 1e6 * (index % 400 > 200),
    "one far ahead": lambda index: index / FPS + 0.9 * (index % 300 == 200),
    "one far behind": lambda index: index / FPS - 0.9 * (index % 300 == 200),
    "ending": lambda index: index / FPS if index < 800 else None,
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_stamps_cost_little(name: str) -> None:
    """At most five seconds in ten minutes are passed over."""
    reading = Reading(WRONG[name]).run(range(15_000))
    assert len(reading.passed) <= 5.1 * FPS
    assert sum(estimate > 0.5 for estimate in reading.estimated_s) <= 0.02 * 15_000


def test_stamps_that_are_in_doubt_are_tried_again() -> None:
    """Ten minutes after stamps were found to be slow, it is seen whether they still are."""
    reading = Reading(lambda index: min(index, 1500 + (index - 1500) / 2) / FPS)
    reading.run(range(20_000))
    assert 9 * FPS < len(reading.passed) < 12 * FPS


def test_a_host_that_hardly_reads_is_not_taken_for_wrong_stamps() -> None:
    """For three seconds every read takes 60 ms: lag grows though nothing is decoded."""
    reading = Reading()
    lag, now_s = reading.lag, START_S
    late, true_s = [], []
    for index in range(1000):
        captured_s = START_S + index / FPS
        now_s = max(now_s, captured_s) + (0.06 if 200 <= index < 260 else READ_S)
        now_s += 1.2 if index == 200 else 0.0
        late.append(lag.packet(index / FPS, now_s, keyframe=index % GOP == 0))
        true_s.append(abs(now_s - captured_s - lag.lag_s))
    assert all(late[201:260])
    assert not any(late[351:])
    assert max(true_s) < 0.1


def test_a_way_that_has_become_longer_is_the_new_measure() -> None:
    reading = Reading(delay_s=lambda index: 3.0 if index >= 500 else 0.0).run(range(3000))
    assert 0 < len(reading.passed) <= 2 * FPS
    assert reading.estimated_s[-1] == 0.0


def test_a_way_that_has_become_a_little_longer_after_a_stall() -> None:
    reading = Reading(delay_s=lambda index: max(burst(index), 0.5 if index >= 500 else 0.0)).run(range(2000))
    assert max(reading.passed) <= 1000 + 2 * FPS
    assert reading.estimated_s[-1] < 0.05


def test_stamps_that_end_while_behind_do_not_blind() -> None:
    reading = Reading(lambda index: None if index > 505 else index / FPS, delay_s=burst).run(range(2000))
    assert max(reading.passed) <= 1000 + 2 * FPS


def test_it_is_believed_again_after_half_a_minute() -> None:
    def delay_s(index: int) -> float:
        return 3.0 if 500 <= index < 2000 else burst(index - 2000)

    reading = Reading(delay_s=delay_s).run(range(4000))
    assert 2500 in reading.passed
    assert max(reading.passed) <= 3010


def test_a_stream_opened_anew_begins_anew() -> None:
    lag = Lag()
    Reading(delay_s=burst, lag=lag).run(range(600))
    assert lag.behind
    lag.lost()
    assert not lag.behind
    assert not lag.packet(0.0, START_S + 500, keyframe=True)
    assert lag.lag_s == 0.0


@given(
    st.lists(
        st.tuples(st.none() | st.floats() | st.floats(-10, 10), st.floats(0, 5), st.booleans()), max_size=80
    )
)
def test_whatever_comes_the_lag_is_finite_and_time_does_not_go_back(
    steps: list[tuple[float | None, float, bool]],
) -> None:
    lag, now_s = Lag(), START_S
    for pts_s, step_s, keyframe in steps:
        now_s += step_s
        lag.packet(pts_s, now_s, keyframe=keyframe)
        assert 0.0 <= lag.lag_s < float("inf")


def test_refused_limit() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Lag(0.0)
