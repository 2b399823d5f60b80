from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import CameraConfig
from edge.events import EventContext
from edge.health import Health, Pulse, RateMeter, offline

UTC0 = datetime(2026, 11, 22, tzinfo=UTC)


def ids():
    numbers = count(1)
    return lambda: str(UUID(int=(0x7 << 76) | (0b10 << 62) | next(numbers)))


def health(*cameras: str, offline_after_s: float = 10.0, heartbeat_s: float = 60.0) -> Health:
    new_id = ids()
    configured = {
        id_: (
            CameraConfig(id=id_, source="sim://plaza", offline_after_s=offline_after_s),
            EventContext("n", "000000", new_id, id_),
        )
        for id_ in cameras
    }
    return Health(configured, EventContext("n", "000000", new_id), heartbeat_s, 0.0, new_id)


def told(drafts):
    return [(d.kind, d.source, getattr(d.data, "phase", None)) for d in drafts]


def run(subject: Health, looks):
    """Step through (now_s, {camera: last_frame_mono_s}) and gather begins and ends."""
    said = []
    for now_s, last in looks:
        pulses = {id_: Pulse(seen_s, 0, 0) for id_, seen_s in last.items()}
        for kind, source, phase in told(subject.step(pulses, now_s, UTC0 + timedelta(seconds=now_s))):
            if kind != "node.heartbeat" and phase != "update":
                said.append((now_s, kind, source.rsplit("/", 1)[1], phase))
    return said


def test_a_silent_camera_goes_offline_once_and_comes_back_once():
    looks = [(float(t), {"a": min(float(t), 5.0), "b": float(t)}) for t in range(30)]
    looks += [(float(t), {"a": float(t), "b": float(t)}) for t in range(30, 40)]
    assert run(health("a", "b"), looks) == [
        (15.0, "camera.offline", "a", "begin"),
        (31.0, "camera.offline", "a", "end"),
    ]


def test_a_camera_that_never_came_is_offline_from_the_start_of_waiting():
    looks = [(float(t), {"a": None}) for t in range(12)]
    assert run(health("a"), looks) == [(10.0, "camera.offline", "a", "begin")]


def test_nothing_is_said_of_a_camera_that_is_shed():
    """Its silence counts from when it is served again."""
    subject = health("a")
    begun = [
        (now_s, phase)
        for now_s in range(60)
        for _, source, phase in told(
            subject.step({"a": Pulse(5.0, 0, 0, shed=10 <= now_s < 40)}, float(now_s), UTC0)
        )
        if source.endswith("/a") and phase == "begin"
    ]
    assert begun == [(49, "begin")]


def test_open_incidents_and_rates_are_told():
    subject = health("a", offline_after_s=1.0)
    for t in range(5):
        subject.step({"a": Pulse(0.0, t * 25, t * 5)}, float(t), UTC0)
    assert subject.open_incidents("a") == ("camera.offline/a",)
    assert subject.rates("a") == (25.0, 5.0)


def test_the_heartbeat_comes_at_once_and_then_in_its_period():
    subject = health("a", heartbeat_s=10.0)
    beats = []
    for t in range(31):
        drafts = subject.step({"a": Pulse(float(t), 0, 0)}, float(t), UTC0)
        beats += [(t, dict(draft.data.measures)) for draft in drafts]
    assert [t for t, _ in beats] == [0, 10, 20, 30]
    assert beats[1][1]["cameras"] == 1
    assert beats[1][1]["cameras_up"] == 1
    assert beats[1][1]["uptime_s"] == 10.0


@given(st.floats(0, 1e6), st.floats(1, 3600))
def test_offline_exactly_from_the_limit_on(silent_s, limit_s):
    assert (offline("a", silent_s, limit_s).level is not None) == (silent_s >= limit_s)


@given(st.floats(0.5, 60), st.floats(0.1, 2.0), st.integers(2, 60))
def test_the_meter_reads_a_steady_rate_whatever_the_sampling(fps, step_s, readings):
    meter = RateMeter()
    for k in range(readings):
        meter.read(k * step_s, round(k * step_s * fps))
    window_s = min(5.0, (readings - 1) * step_s)
    assert meter.per_s == pytest.approx(fps, abs=1.01 / window_s)


def test_the_meter_says_nothing_before_it_knows():
    meter = RateMeter()
    assert meter.per_s == 0.0
    meter.read(1.0, 10)
    assert meter.per_s == 0.0
    meter.read(1.0, 20)
    assert meter.per_s == 0.0
