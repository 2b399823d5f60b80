"""The gate's decisions, without any video: packets are numbers, pictures are shares."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.activity import ActivityGate, Decision, GateOptions, PacketClock
from streams.motion import MotionLook
from streams.service import FULL, KEYFRAMES, SHED, Service
from streams.trust import PacketSignal, area_under_curve

STEP_S = 0.04
GOP = 50
STILL, MOVING = MotionLook(0.0, 0.0, age_s=0.8), MotionLook(0.01, 0.01, age_s=0.8)
STANDING = replace(STILL, changed=0.01)


class Camera:
    """A camera whose sizes may or may not tell motion, before a gate; pictures come as the gate decides."""

    def __init__(self, *, telling: bool = True, gop: int = GOP, options: GateOptions | None = None) -> None:
        self.gate = ActivityGate(options)
        self.rng = np.random.Generator(np.random.PCG64(3))
        self.telling, self.gop = telling, gop
        self.index = 0
        self.held = 0
        self.states: list[str] = []

    def packet(self, *, moving: bool = False, look: MotionLook | None = None) -> Decision:
        keyframe = self.index % self.gop == 0
        usual = 60_000 if keyframe else 2_000
        loud = 3.0 if moving and self.telling and not keyframe else 1.0
        size = round(usual * loud * self.rng.lognormal(0.0, 0.05 if self.telling else 1.0))
        decision = self.gate.decide(self.index * STEP_S, size, keyframe=keyframe, held=self.held)
        self.held = 0 if decision is not Decision.HOLD or keyframe else self.held + 1
        if decision is not Decision.HOLD and (self.index % 5 == 0 or decision is not Decision.DECODE):
            self.gate.saw(look or (MOVING if moving else STILL))
        self.index += 1
        self.states.append(self.gate.state)
        return decision

    def play(self, seconds: float, *, moving: bool = False, look: MotionLook | None = None) -> list[Decision]:
        return [self.packet(moving=moving, look=look) for _ in range(round(seconds / STEP_S))]


def trusted(**settings: object) -> Camera:
    camera = Camera(**settings)  # type: ignore[arg-type]
    camera.play(20)
    assert (camera.gate.state, camera.gate.trust) == ("idle", "trusted")
    return camera


def test_an_idle_camera_decodes_its_keyframes_alone() -> None:
    camera = trusted()
    decisions = camera.play(20)
    assert decisions.count(Decision.KEYFRAME) == 10
    assert set(decisions) == {Decision.KEYFRAME, Decision.HOLD}


def test_while_calibrating_everything_is_decoded() -> None:
    camera = Camera()
    assert set(camera.play(3)) == {Decision.DECODE}
    assert camera.gate.trust == "calibrating"


def test_growing_packets_wake_it_within_a_third_of_a_second_and_the_gop_is_caught_up() -> None:
    camera = trusted()
    camera.play(1)
    decisions = camera.play(1, moving=True)
    first = next(index for index, decision in enumerate(decisions) if decision is not Decision.HOLD)
    assert first * STEP_S <= 0.3
    assert decisions[first] is Decision.CATCH_UP
    assert set(decisions[first + 1 :]) == {Decision.DECODE}
    assert camera.gate.state == "active"


def test_it_cools_before_it_rests() -> None:
    camera = trusted()
    camera.play(5, moving=True)
    camera.play(10)
    states = [state for state, _ in itertools.groupby(camera.states)]
    assert states[-4:] == ["waking", "active", "cooling", "idle"]
    assert camera.gate.transitions["active>cooling"] == 2


def test_motion_while_cooling_makes_it_active_again() -> None:
    camera = trusted()
    camera.play(5, moving=True)
    while camera.gate.state == "active":
        camera.packet()
    assert camera.gate.state == "cooling"
    camera.play(1, moving=True)
    assert camera.gate.state == "active"


def test_a_false_alarm_is_over_soon_and_makes_it_harder_to_rouse() -> None:
    camera = trusted()
    camera.play(1)
    before = camera.gate.signal.threshold
    camera.play(0.4, moving=True, look=STILL)
    camera.play(1)
    assert (camera.gate.state, camera.gate.false_wakes) == ("idle", 1)
    assert camera.gate.signal.threshold > before


def test_a_keyframe_that_differs_wakes_it_and_counts_as_missed() -> None:
    camera = trusted()
    while camera.index % GOP:
        camera.packet()
    assert camera.packet(look=MOVING) is Decision.KEYFRAME
    assert (camera.gate.state, camera.gate.missed) == ("waking", 1)
    assert camera.packet(look=MOVING) is Decision.DECODE
    assert camera.gate.wants(MOVING, keyframe=False)


def test_a_scene_that_is_busy_at_first_is_trusted_as_soon_as_it_has_rested() -> None:
    """The first pictures have nothing to be compared with and count as still, in the midst of motion."""
    camera = Camera()
    camera.play(1.2, moving=True, look=STILL)
    camera.play(20, moving=True)
    assert camera.gate.trust == "calibrating"
    camera.play(8)
    assert (camera.gate.state, camera.gate.trust) == ("idle", "trusted")
    assert camera.gate.signal.labels[1] == 0
    camera.play(10, moving=True)
    camera.play(8)
    assert camera.gate.trust == "trusted"
    assert (camera.gate.signal.auc or 0.0) > 0.95


def test_sizes_that_tell_nothing_are_not_believed() -> None:
    camera = Camera(telling=False)
    for _ in range(6):
        camera.play(8, moving=True)
        camera.play(8)
    assert camera.gate.trust == "cannot_tell"
    assert camera.gate.signal.auc == pytest.approx(0.5, abs=0.15)
    assert set(camera.play(10)) == {Decision.DECODE}
    assert camera.gate.state == "idle"
    assert camera.gate.signal.threshold == math.inf


def test_trust_is_lost_when_sizes_stop_telling_and_found_again() -> None:
    camera = trusted()
    for telling, expected in ((False, "cannot_tell"), (True, "trusted")):
        camera.telling = telling
        for _ in range(12):
            camera.play(8, moving=True)
            camera.play(8)
        assert camera.gate.trust == expected


def test_a_scene_that_never_rests_is_decoded() -> None:
    camera = Camera()
    assert set(camera.play(60, moving=True)) == {Decision.DECODE}
    assert (camera.gate.trust, camera.gate.state) == ("calibrating", "active")


def test_sizes_filled_up_by_a_rate_controller_are_not_believed_before_motion_was_seen() -> None:
    signal = PacketSignal()
    for index in range(500):
        signal.add(
            60_000 if index % GOP == 0 else 10_000, index * STEP_S, keyframe=index % GOP == 0, late=False
        )
        if index % 5 == 0:
            signal.label(False)
    assert signal.trust == "cannot_tell"


def test_sizes_that_fall_after_each_keyframe_are_usual() -> None:
    """Sensor noise that is coded: P pictures shrink to a half within a GOP, motion adds a tenth."""
    signal, rng = PacketSignal(), np.random.Generator(np.random.PCG64(1))
    for index in range(50 * GOP):
        position, moving = index % GOP, index // (5 * GOP) % 2 == 1
        size = 200_000 if position == 0 else 8_000 * (1 + 1.5 / position) * (1.1 if moving else 1.0)
        size *= rng.lognormal(0.0, 0.03)
        signal.add(round(size), index * STEP_S, keyframe=position == 0, late=False)
        if index % 5 == 0:
            signal.label(moving)
    assert signal.trust == "trusted"
    assert signal.auc is not None
    assert signal.auc > 0.95


def test_what_stands_there_is_offered_with_each_keyframe() -> None:
    camera = trusted()
    gate = camera.gate
    assert gate.wants(STANDING, keyframe=True)
    assert not gate.wants(STILL, keyframe=True)
    assert not gate.wants(STANDING, keyframe=False)


def test_attention_wants_every_keyframe() -> None:
    camera = trusted()
    camera.gate.wants(STANDING, keyframe=True)
    camera.gate.attention = True
    assert camera.gate.wants(STILL, keyframe=True)
    assert not camera.gate.wants(STILL, keyframe=False)


def test_attention_does_not_wait_for_rare_keyframes() -> None:
    camera = trusted(gop=250)
    camera.gate.attention = True
    decisions = camera.play(10)
    assert 3 <= decisions.count(Decision.CATCH_UP) <= 5
    assert camera.gate.state == "idle"


def test_nobody_is_unseen_for_long_however_rare_keyframes_are() -> None:
    camera = trusted(gop=5000)
    decisions = camera.play(60)
    assert decisions.count(Decision.CATCH_UP) == pytest.approx(60 / camera.gate.options.blind_s, abs=1)


def test_an_idle_camera_is_refreshed() -> None:
    camera = trusted()
    gate = camera.gate
    offered = 0
    for _ in range(round(60 / STEP_S)):
        if camera.packet() is Decision.KEYFRAME:
            offered += gate.wants(STILL, keyframe=True)
    assert offered == pytest.approx(3, abs=1)


def test_services_of_keyframes_alone_and_of_nothing() -> None:
    camera = Camera()
    camera.play(2)
    camera.gate.service = KEYFRAMES
    decisions = camera.play(10, moving=True)
    assert decisions.count(Decision.KEYFRAME) == 4  # the first comes right after a look
    assert set(decisions) == {Decision.KEYFRAME, Decision.HOLD}
    camera.gate.service = SHED
    assert set(camera.play(10, moving=True)) == {Decision.HOLD}
    camera.gate.service = FULL
    assert Decision.DECODE in camera.play(3, moving=True)


def test_at_a_pace_some_keyframes_are_left_and_packets_wake_it_still() -> None:
    camera = trusted()
    camera.gate.service = Service(5.0, pace_s=8.0)
    assert camera.play(32).count(Decision.KEYFRAME) == 4
    camera.gate.service = Service(5.0, pace_s=4.0)
    assert camera.play(32).count(Decision.KEYFRAME) == 8
    camera.play(1)
    assert Decision.CATCH_UP in camera.play(1, moving=True)


def test_while_somebody_is_there_no_keyframe_is_left() -> None:
    camera = trusted()
    camera.gate.service, camera.gate.attention = Service(5.0, pace_s=8.0), True
    assert camera.play(20).count(Decision.KEYFRAME) == 10


def test_keyframes_that_come_as_often_as_wanted_are_enough() -> None:
    camera = Camera(gop=25)
    camera.play(5, moving=True)
    camera.gate.service = Service(1.0)
    decisions = camera.play(20, moving=True)
    assert decisions.count(Decision.KEYFRAME) == 19  # the first comes right after a look
    assert Decision.DECODE not in decisions
    camera.gate.service = Service(2.0)
    assert set(camera.play(5, moving=True)) == {Decision.DECODE}


def test_a_stream_of_keyframes_alone_is_decoded_at_the_wanted_rate() -> None:
    camera = Camera(gop=1)
    camera.gate.service = Service(5.0)
    camera.play(2, moving=True)
    assert camera.play(20, moving=True).count(Decision.KEYFRAME) == pytest.approx(100, abs=5)


def test_keyframes_that_do_not_show_alone_are_not_relied_on() -> None:
    camera = trusted()
    for _ in range(3):
        camera.gate.looked(shown=False)
    assert camera.gate.trust == "cannot_tell"
    assert Decision.HOLD not in camera.play(5)
    camera.gate.looked(shown=True)
    assert camera.gate.trust == "trusted"


def test_switched_off_everything_is_decoded_and_wanted() -> None:
    camera = Camera(options=GateOptions(enabled=False))
    assert set(camera.play(30)) == {Decision.DECODE}
    assert camera.gate.wants(None, keyframe=False)


def test_an_interruption_forgets_the_run_of_packets_but_not_the_scene() -> None:
    camera = trusted()
    camera.gate.interrupted()
    assert camera.gate.trust == "trusted"
    assert camera.gate.decide(-1000.0, 2_000, keyframe=False, held=0) is Decision.HOLD


STAMPS = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 1000))
STEPS = st.lists(
    st.tuples(STAMPS, st.integers(0, 10**7), st.booleans(), st.floats(0, 1), st.floats(0, 1), st.booleans()),
    max_size=150,
)
ALLOWED = {"idle>waking", "waking>active", "waking>idle", "active>cooling", "cooling>active", "cooling>idle"}


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([FULL, KEYFRAMES, SHED, Service(1.0), Service(2.0, pace_s=8.0)]), st.booleans())
def test_whatever_comes_it_keeps_to_its_states(
    steps: list[tuple[float | None, int, bool, float, float, bool]], service: Service, attention: bool
) -> None:
    gate = ActivityGate()
    gate.attention = attention
    held, last_s = 0, 0.0
    for index, (pts_s, size, keyframe, moved, changed, upheaval) in enumerate(steps):
        if index > len(steps) // 2:
            gate.service = service
        before = gate.transitions.total()
        decision = gate.decide(pts_s, size, keyframe=keyframe, held=held)
        assert gate.time_s >= last_s
        last_s = gate.time_s
        assert decision is not Decision.KEYFRAME or keyframe
        assert decision is not Decision.CATCH_UP or held
        held = held + 1 if decision is Decision.HOLD else 0
        if decision is not Decision.HOLD:
            look = MotionLook(moved, changed, upheaval, age_s=0.5)
            gate.saw(look)
            gate.wants(look, keyframe=keyframe)
        assert gate.transitions.total() - before <= 2
    assert set(gate.transitions) <= ALLOWED
    left = sum(count for name, count in gate.transitions.items() if name.startswith("active>"))
    entered = sum(count for name, count in gate.transitions.items() if name.endswith(">active"))
    assert left - entered == (0 if gate.state == "active" else 1)


def test_the_packet_clock_follows_stamps_and_survives_bad_ones() -> None:
    clock = PacketClock()
    assert [clock.tick(pts) for pts in (10.0, 10.12, 10.04, 10.08)] == [False, False, True, True]
    assert clock.now_s == pytest.approx(0.16)
    clock.tick(5000.0)
    assert clock.now_s == pytest.approx(1.16)
    clock.tick(3.0)
    clock.tick(None)
    clock.tick(math.nan)
    assert clock.now_s == pytest.approx(1.28)
    for _ in range(100):
        clock.tick(3.0)
    assert clock.now_s > 1.4


def test_b_pictures_may_be_left_out_where_the_rest_suffices() -> None:
    gate = ActivityGate()
    order = (3, 1, 2)
    for index in range(300):
        pts_s = (index // 3 * 3 + order[index % 3]) * STEP_S
        gate.decide(pts_s, 1000, keyframe=index % GOP == 0, held=0)
    assert gate.references_suffice(2.0)
    assert not gate.references_suffice(10.0)


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=30),
    st.lists(st.integers(-5, 5), min_size=1, max_size=30),
)
def test_area_under_curve_counts_pairs(still: list[int], moving: list[int]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a in moving for b in still]
    assert area_under_curve(still, moving) == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize(
    "options", [{"moving_share": 0}, {"moving_share": 1}, {"quiet_s": 0}, {"refresh_s": -1}]
)
def test_refused_options(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"moving_share|above 0"):
        GateOptions(**options)  # type: ignore[arg-type]
