"""Every frame has exactly one fate, none is delivered late, and no camera starves."""

import threading
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streams.frame import Frame
from streams.mailbox import URGENT_FACTOR, FrameCounts, Mailbox
from streams.picture import ArrayPicture
from streams.service import FULL, KEYFRAMES, LADDER, SHED, Service

_PICTURE = ArrayPicture(np.zeros((2, 2, 3), np.uint8))
_UTC = datetime(2026, 1, 1, tzinfo=UTC)
_CAMERAS = {"a": 0.5, "b": 1.0, "c": 0.2}


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def utc(self) -> datetime:
        return _UTC

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.now_s += timeout_s
        return event.is_set()


def _frame(camera_id: str, seen_s: float) -> Frame:
    return Frame(camera_id, _PICTURE, seen_s, seen_s, _UTC)


class MailboxMachine(RuleBasedStateMachine):
    """Any order of offers, gatings, takes and waits, against a plain count of what went in."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.mailbox = Mailbox(_CAMERAS, self.clock)
        self.put = dict.fromkeys(_CAMERAS, 0)
        self.gated = dict.fromkeys(_CAMERAS, 0)
        self.got = dict.fromkeys(_CAMERAS, 0)
        self.newest: dict[str, Frame] = {}

    @rule(camera=st.sampled_from(list(_CAMERAS)), age=st.floats(0, 0.6))
    def offer(self, camera: str, age: float) -> None:
        frame = _frame(camera, self.clock.now_s - age)
        self.mailbox.offer(frame)
        self.put[camera] += 1
        self.newest[camera] = frame

    @rule(camera=st.sampled_from(list(_CAMERAS)))
    def gate(self, camera: str) -> None:
        self.mailbox.gate(camera)
        self.gated[camera] += 1

    @rule(
        services=st.dictionaries(
            st.sampled_from(list(_CAMERAS)), st.sampled_from([SHED, KEYFRAMES, *LADDER, FULL])
        ),
        urgent=st.sets(st.sampled_from(list(_CAMERAS))),
    )
    def plan(self, services: dict[str, Service], urgent: set[str]) -> None:
        self.mailbox.set_services(services, urgent)

    @rule(limit=st.integers(1, 4))
    def take_many(self, limit: int) -> None:
        fresh = {
            camera
            for camera, waiting in self.newest.items()
            if self.clock.now_s - waiting.seen_mono_s <= _CAMERAS[camera]
        }
        frames = self.mailbox.take_many(limit, 0)
        assert len(frames) == min(limit, len(fresh))
        assert len({frame.camera_id for frame in frames}) == len(frames)
        for frame in frames:
            assert frame is self.newest[frame.camera_id]
            self.got[frame.camera_id] += 1
        taken = {frame.camera_id for frame in frames}
        self.newest = {camera: self.newest[camera] for camera in fresh - taken}

    @rule(seconds=st.floats(0, 1.5))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @rule()
    def take(self) -> None:
        frame = self.mailbox.take(0)
        fresh = {
            camera
            for camera, waiting in self.newest.items()
            if self.clock.now_s - waiting.seen_mono_s <= _CAMERAS[camera]
        }
        if frame is None:
            assert not fresh
            self.newest.clear()
            return
        assert frame.camera_id in fresh
        assert frame is self.newest.pop(frame.camera_id)
        self.got[frame.camera_id] += 1
        self.newest = {camera: self.newest[camera] for camera in fresh if camera in self.newest}

    @invariant()
    def every_frame_has_one_fate(self) -> None:
        for camera in _CAMERAS:
            counts = self.mailbox.counts(camera)
            assert counts.decoded == self.put[camera] + self.gated[camera]
            assert counts.gated == self.gated[camera]
            assert counts.delivered == self.got[camera]
            assert counts.waiting in (0, 1)
            assert counts.decoded == (
                counts.gated + counts.superseded + counts.expired + counts.delivered + counts.waiting
            )


TestMailbox = MailboxMachine.TestCase


def test_the_newest_frame_wins() -> None:
    clock = HandClock()
    mailbox = Mailbox({"a": 1.0}, clock)
    old, new = _frame("a", 99.9), _frame("a", 100.0)
    mailbox.offer(old)
    mailbox.offer(new)
    assert mailbox.take(0) is new
    assert mailbox.take(0) is None
    assert mailbox.counts("a") == FrameCounts(decoded=2, superseded=1, delivered=1)


def test_the_camera_that_waited_longest_goes_first() -> None:
    clock = HandClock()
    mailbox = Mailbox(dict.fromkeys("abc", 1.0), clock)
    taken = []
    for _ in range(3):
        for camera in "cab":  # a busy camera refills at once
            mailbox.offer(_frame(camera, clock.now_s))
        for _ in range(2):
            frame = mailbox.take(0)
            assert frame is not None
            taken.append(frame.camera_id)
    assert taken == ["a", "b", "c", "a", "b", "c"]


def _deliveries(mailbox: Mailbox, clock: HandClock, cameras: list[str], takes: int) -> dict[str, int]:
    """Frames delivered by camera while every camera refills at once."""
    for _ in range(takes):
        for camera in cameras:
            mailbox.offer(_frame(camera, clock.now_s))
        assert mailbox.take(0) is not None
    return {camera: mailbox.counts(camera).delivered for camera in cameras}


@given(
    st.lists(st.sampled_from([*LADDER, FULL, SHED]), min_size=2, max_size=6),
    st.sets(st.integers(0, 5)),
)
def test_a_scarce_analysis_is_shared_by_the_allotted_rates(services: list[Service], urgent: set[int]) -> None:
    clock = HandClock()
    cameras = [f"camera-{index}" for index in range(len(services))]
    mailbox = Mailbox(dict.fromkeys(cameras, 1.0), clock)
    mailbox.set_services(dict(zip(cameras, services, strict=True)), {f"camera-{k}" for k in urgent})
    takes = 400
    delivered = _deliveries(mailbox, clock, cameras, takes)
    shares = [
        max(service.fps, 0.5) * (URGENT_FACTOR if index in urgent else 1.0)
        for index, service in enumerate(services)
    ]
    for camera, share in zip(cameras, shares, strict=True):
        assert abs(delivered[camera] - takes * share / sum(shares)) <= 1 + len(cameras)


def test_a_camera_that_paused_gets_its_share_and_no_more() -> None:
    clock = HandClock()
    mailbox = Mailbox(dict.fromkeys("ab", 1.0), clock)
    _deliveries(mailbox, clock, ["a"], 100)
    before = mailbox.counts("a").delivered
    delivered = _deliveries(mailbox, clock, ["a", "b"], 20)
    assert abs(delivered["b"] - 10) <= 1
    assert abs(delivered["a"] - before - 10) <= 1


def test_services_of_unknown_cameras_change_nothing() -> None:
    clock = HandClock()
    mailbox = Mailbox(dict.fromkeys("ab", 1.0), clock)
    with pytest.raises(KeyError):
        mailbox.set_services({"a": LADDER[-1], "stranger": KEYFRAMES})
    assert _deliveries(mailbox, clock, ["a", "b"], 10) == {"a": 5, "b": 5}


def test_a_batch_holds_one_frame_a_camera() -> None:
    clock = HandClock()
    mailbox = Mailbox(dict.fromkeys("abc", 1.0), clock)
    assert mailbox.take_many(8, 0) == []
    for camera in "cab":
        mailbox.offer(_frame(camera, clock.now_s))
    assert [frame.camera_id for frame in mailbox.take_many(2, 0)] == ["a", "b"]
    assert [frame.camera_id for frame in mailbox.take_many(8, 0)] == ["c"]


def test_an_offer_wakes_a_waiting_taker() -> None:
    clock = HandClock()
    mailbox = Mailbox({"a": 1.0}, clock)
    taken: list[Frame | None] = []
    taker = threading.Thread(target=lambda: taken.append(mailbox.take(30)))
    taker.start()
    frame = _frame("a", clock.now_s)
    mailbox.offer(frame)
    taker.join(10)
    assert taken == [frame]


def test_closing_wakes_takers_and_expires_what_is_left() -> None:
    mailbox = Mailbox({"a": 1.0}, HandClock())
    taken: list[Frame | None] = []
    taker = threading.Thread(target=lambda: taken.append(mailbox.take(30)))
    taker.start()
    mailbox.close()
    mailbox.close()
    taker.join(10)
    mailbox.offer(_frame("a", 100.0))
    mailbox.gate("a")
    assert taken == [None]
    assert mailbox.counts("a") == FrameCounts()


def test_what_waits_at_closing_expires() -> None:
    mailbox = Mailbox({"a": 1.0}, HandClock())
    mailbox.offer(_frame("a", 100.0))
    mailbox.close()
    assert mailbox.take(0) is None
    assert mailbox.counts("a") == FrameCounts(decoded=1, expired=1)


def test_many_threads_lose_no_frame() -> None:
    clock = HandClock()
    cameras = [f"camera-{index}" for index in range(4)]
    mailbox = Mailbox(dict.fromkeys(cameras, 10.0), clock)

    def produce(camera: str) -> None:
        for index in range(300):
            mailbox.offer(_frame(camera, clock.now_s)) if index % 3 else mailbox.gate(camera)

    producers = [threading.Thread(target=produce, args=(camera,)) for camera in cameras]
    for producer in producers:
        producer.start()
    delivered = 0
    while any(producer.is_alive() for producer in producers) or mailbox.counts("camera-0").waiting:
        delivered += mailbox.take(0) is not None
    for producer in producers:
        producer.join()
    while mailbox.take(0) is not None:
        delivered += 1
    counts = [mailbox.counts(camera) for camera in cameras]
    assert [(count.decoded, count.gated, count.waiting) for count in counts] == [(300, 100, 0)] * 4
    assert sum(count.delivered for count in counts) == delivered


def test_unknown_cameras_and_bad_ages_are_errors() -> None:
    with pytest.raises(ValueError, match="max_age_s of a"):
        Mailbox({"a": 0}, HandClock())
    mailbox = Mailbox({"a": 1}, HandClock())
    with pytest.raises(KeyError):
        mailbox.offer(_frame("b", 100.0))
    with pytest.raises(KeyError):
        mailbox.gate("b")
