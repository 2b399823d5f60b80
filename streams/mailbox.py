"""The hand-over between cameras and analysis: one newest frame per camera, and every drop has a name."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from streams.clock import Clock
from streams.frame import Frame
from streams.service import Service


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """A camera's decoded frames by their fate; `decoded` is the sum of the others.

    Attributes:
        decoded: frames that came out of the decoder.
        gated: not wanted, by the rate gate.
        superseded: a newer one came before analysis took it.
        expired: too old when its turn came, or left over when the mailbox closed.
        delivered: taken for analysis.
        waiting: in the mailbox, 0 or 1.
    """

    decoded: int = 0
    gated: int = 0
    superseded: int = 0
    expired: int = 0
    delivered: int = 0
    waiting: int = 0


KEYFRAMES_WEIGHT = 0.5
"""Share of a camera that is served keyframes alone, in analysed pictures a second."""
URGENT_FACTOR = 4.0
"""How much larger the share of a camera with an open incident is than its rate alone makes it."""


class _Slot:
    __slots__ = (
        "delivered",
        "expired",
        "finish",
        "frame",
        "gated",
        "max_age_s",
        "start",
        "superseded",
        "turn",
        "weight",
    )

    def __init__(self, max_age_s: float, turn: int) -> None:
        self.max_age_s = max_age_s
        self.turn = turn
        self.weight = 1.0
        self.start = self.finish = 0.0
        self.frame: Frame | None = None
        self.gated = self.superseded = self.expired = self.delivered = 0

    def counts(self) -> FrameCounts:
        waiting = int(self.frame is not None)
        decoded = self.gated + self.superseded + self.expired + self.delivered + waiting
        return FrameCounts(decoded, self.gated, self.superseded, self.expired, self.delivered, waiting)


class Mailbox:
    """Holds the newest frame of each camera until analysis takes it; bounded by one frame a camera.

    When more waits than analysis can take, cameras share it in proportion to their allotted rates, by
    start-time fair queueing (Goyal et al., 1996) over one frame a camera. A camera that pauses saves nothing
    up, and none waits for ever; among equals the one whose last delivery is oldest goes first. Safe for any
    number of threads on both sides.

    Args:
        cameras: by camera id, the age in seconds above which a frame is dropped unseen.
        clock: tells a frame's age.
    """

    def __init__(self, cameras: Mapping[str, float], clock: Clock) -> None:
        for camera_id, max_age_s in cameras.items():
            if max_age_s <= 0:
                raise ValueError(f"max_age_s of {camera_id} must be above 0, got {max_age_s}")
        self._clock = clock
        self._changed = threading.Condition()
        self._slots = {camera_id: _Slot(age, turn) for turn, (camera_id, age) in enumerate(cameras.items())}
        self._waiting: dict[str, _Slot] = {}
        self._turn = len(self._slots)
        self._virtual = 0.0
        self._closed = False

    def set_services(self, services: Mapping[str, Service], urgent: Collection[str] = ()) -> None:
        """Set the cameras' shares; a camera that is not named keeps its own.

        Args:
            services: by camera id, what the planner allots.
            urgent: cameras with an open incident; their share is `URGENT_FACTOR` times as large.

        Raises:
            KeyError: the mailbox does not know a camera; nothing has changed then.
        """
        with self._changed:
            slots = [(self._slots[id_], id_, service) for id_, service in services.items()]
            for slot, id_, service in slots:
                factor = URGENT_FACTOR if id_ in urgent else 1.0
                slot.weight = max(service.fps, KEYFRAMES_WEIGHT) * factor

    def offer(self, frame: Frame) -> None:
        """Leave a frame; the camera's waiting one, if any, is superseded. After `close`, nothing happens.

        Raises:
            KeyError: the mailbox does not know the camera.
        """
        with self._changed:
            slot = self._slots[frame.camera_id]
            if self._closed:
                return
            if slot.frame is None:
                slot.start = max(self._virtual, slot.finish)
                self._waiting[frame.camera_id] = slot
            else:
                slot.superseded += 1
            slot.frame = frame
            self._changed.notify()

    def gate(self, camera_id: str) -> None:
        """Count a decoded frame that the gate kept away. After `close`, nothing happens.

        Raises:
            KeyError: the mailbox does not know the camera.
        """
        with self._changed:
            slot = self._slots[camera_id]
            slot.gated += not self._closed

    def take(self, timeout_s: float) -> Frame | None:
        """The frame whose turn it is, never an expired one; None after `timeout_s` seconds or when closed.

        Args:
            timeout_s: seconds to wait for a frame; 0 only looks.
        """
        deadline_s = self._clock.monotonic() + timeout_s
        with self._changed:
            while True:
                frame = self._pick()
                remaining_s = deadline_s - self._clock.monotonic()
                if frame is not None or self._closed or remaining_s <= 0:
                    return frame
                self._changed.wait(remaining_s)

    def take_many(self, limit: int, timeout_s: float) -> list[Frame]:
        """Up to `limit` frames for one batch, each of another camera, whose turns they are.

        Args:
            limit: frames at most, 1 or more.
            timeout_s: seconds to wait for the first; more are taken only if they are there already.
        """
        first = self.take(timeout_s)
        if first is None:
            return []
        frames = [first]
        with self._changed:
            while len(frames) < limit and (frame := self._pick()) is not None:
                frames.append(frame)
        return frames

    def _pick(self) -> Frame | None:
        self._expire()
        if not self._waiting:
            return None
        camera_id, chosen = min(self._waiting.items(), key=lambda item: (item[1].start, item[1].turn))
        del self._waiting[camera_id]
        frame, chosen.frame = chosen.frame, None
        chosen.delivered += 1
        chosen.turn = self._turn
        self._turn += 1
        self._virtual = chosen.start
        chosen.finish = chosen.start + 1.0 / chosen.weight
        return frame

    def _expire(self) -> None:
        now_s = self._clock.monotonic()
        for camera_id, slot in list(self._waiting.items()):
            if slot.frame is not None and now_s - slot.frame.seen_mono_s > slot.max_age_s:
                del self._waiting[camera_id]
                slot.frame = None
                slot.expired += 1

    def all_counts(self) -> dict[str, FrameCounts]:
        """`counts` of each camera, by id."""
        with self._changed:
            return {id_: slot.counts() for id_, slot in self._slots.items()}

    def counts(self, camera_id: str) -> FrameCounts:
        """What became of a camera's decoded frames so far.

        Raises:
            KeyError: the mailbox does not know the camera.
        """
        with self._changed:
            return self._slots[camera_id].counts()

    def close(self) -> None:
        """Wake everybody who waits; frames still here expire. Closing twice is fine."""
        with self._changed:
            self._closed = True
            for slot in self._waiting.values():
                slot.frame = None
                slot.expired += 1
            self._waiting.clear()
            self._changed.notify_all()
