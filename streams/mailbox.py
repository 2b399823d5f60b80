"""The hand-over between cameras and analysis: one newest frame per camera, and every drop has a name."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from streams.clock import Clock
from streams.frame import Frame


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


class _Slot:
    __slots__ = ("delivered", "expired", "frame", "gated", "max_age_s", "superseded", "turn")

    def __init__(self, max_age_s: float, turn: int) -> None:
        self.max_age_s = max_age_s
        self.turn = turn
        self.frame: Frame | None = None
        self.gated = self.superseded = self.expired = self.delivered = 0

    def counts(self) -> FrameCounts:
        waiting = int(self.frame is not None)
        decoded = self.gated + self.superseded + self.expired + self.delivered + waiting
        return FrameCounts(decoded, self.gated, self.superseded, self.expired, self.delivered, waiting)


class Mailbox:
    """Holds the newest frame of each camera until analysis takes it; bounded by one frame a camera.

    The camera whose last delivery is oldest goes first, so that none waits for ever behind a faster one.
    Safe for any number of threads on both sides.

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
        self._turn = len(self._slots)
        self._closed = False

    def offer(self, frame: Frame) -> None:
        """Leave a frame; the camera's waiting one, if any, is superseded. After `close`, nothing happens.

        Raises:
            KeyError: the mailbox does not know the camera.
        """
        with self._changed:
            slot = self._slots[frame.camera_id]
            if self._closed:
                return
            slot.superseded += slot.frame is not None
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

    def _pick(self) -> Frame | None:
        now_s = self._clock.monotonic()
        chosen: _Slot | None = None
        for slot in self._slots.values():
            if slot.frame is None:
                continue
            if now_s - slot.frame.seen_mono_s > slot.max_age_s:
                slot.frame = None
                slot.expired += 1
            elif chosen is None or slot.turn < chosen.turn:
                chosen = slot
        if chosen is None:
            return None
        frame, chosen.frame = chosen.frame, None
        chosen.delivered += 1
        chosen.turn = self._turn
        self._turn += 1
        return frame

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
            for slot in self._slots.values():
                slot.expired += slot.frame is not None
                slot.frame = None
            self._changed.notify_all()
