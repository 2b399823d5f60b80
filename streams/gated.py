"""From packets to the pictures that are wanted: what lies between is decoded only when something moves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from streams.activity import Activity, ActivityGate, Decision, GateOptions
from streams.decode import DecodedPicture, Decoder
from streams.gate import RateGate
from streams.gop import GopBuffer
from streams.motion import LUMA_SIZE, Motion, MotionLook
from streams.packet import Packet
from streams.timeline import Timeline
from streams.trust import Trust

# Pictures leave the decoder at most this many packets after their own (H.264 allows 16).
_REORDER_LIMIT = 32
_LOOK_PERIOD_S = 0.2
"""Motion is measured on each picture that may be wanted, and at least this often while decoding."""
# Without host times a keyframe half a minute after the last one is no leap of the clock.
_UNTIMED_TOLERANCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """When a packet was here, or would have been, had nothing held it up on the way.

    Attributes:
        mono_s: host monotonic seconds.
        utc: aware UTC wall time.
    """

    mono_s: float
    utc: datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """A decoded picture, and whether analysis should get it.

    Attributes:
        picture: the pixels and their own time; None where it was only needed to decode later ones, and was
            let go at once.
        pts_s: seconds on the camera's repaired clock.
        seen: when its packet came, however long that was held.
        wanted: whether analysis should get it; the others were decoded because later ones refer to them.
        motion: how it differs from before; None where that was not measured.
    """

    picture: DecodedPicture | None
    pts_s: float
    seen: Seen
    wanted: bool
    motion: MotionLook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCounts:
    """What the gate did.

    Attributes:
        activity: idle, waking, active or cooling.
        trust: whether packet sizes are believed to tell motion.
        auc: how well they do: 0.5 is chance, 1 always; None before something moved.
        held: packets kept undecoded now.
        held_bytes: their size.
        undecoded: packets that were never decoded.
        overflows: times that a GOP was too large to hold and was dropped.
        looks: keyframes decoded alone.
        caught_up: pictures decoded out of what was held.
        transitions: changes of activity.
        missed: keyframes that showed motion which packets had not told.
        false_wakes: wakes by packets that pixels did not bear out.
        fps: packets per camera second; None until known.
        keyframe_s: camera seconds from keyframe to keyframe; None until known.
        late: packets left undecoded only because they were passed over.
    """

    activity: Activity = "active"
    trust: Trust = "calibrating"
    auc: float | None = None
    held: int = 0
    held_bytes: int = 0
    undecoded: int = 0
    overflows: int = 0
    looks: int = 0
    caught_up: int = 0
    transitions: int = 0
    missed: int = 0
    false_wakes: int = 0
    fps: float | None = None
    keyframe_s: float | None = None
    late: int = 0


Work = Literal["keyframe", "decode"]
"""A keyframe decoded alone and looked at; or decoding in the run, and catching up."""


class GatedDecoder:
    """One camera's decoder behind its activity gate. For one thread, but for what `gate` lets any thread set.

    What is caught up is decoded in full and only its newest picture is looked at and wanted: the older ones
    would be superseded in the mailbox before analysis could take them, and are too old to act upon. Nor are
    they kept: decoders never give the memory of pictures back, so 50 of them in 1080p would take 155 MB for
    good.

    Attributes:
        gate: what decides; any thread may set its `service` and `attention`.
        timeline: the camera's repaired clock.
        work: what the last `feed` or `finish` did with the decoder; None where it left it alone.

    Args:
        analysed_fps: pictures wanted a second of camera time while active, above 0, until told otherwise.
        options: the gate's.
        realtime: whether host times tell how time passes on the stream; not so for a file read at full speed.
    """

    def __init__(self, analysed_fps: float, options: GateOptions, *, realtime: bool) -> None:
        self.gate = ActivityGate(options)
        self.work: Work | None = None
        self.timeline = Timeline() if realtime else Timeline(tolerance_s=_UNTIMED_TOLERANCE_S)
        self._motion = Motion()
        self._buffer = GopBuffer()
        self._realtime = realtime
        self._analysed_fps = analysed_fps
        self._service = self.gate.service
        self._fps = analysed_fps
        self._rate = RateGate(analysed_fps)
        self._decoder: Decoder | None = None
        self._thrifty = False
        self._seen: OrderedDict[float | None, Seen] = OrderedDict()
        self._looked_s = float("-inf")
        self._repeated_s: float | None = None
        self._looks = self._caught_up = 0
        self._late = self._passed = 0

    @property
    def holding(self) -> bool:
        """Whether the last packet was kept undecoded."""
        return len(self._buffer) > 0

    @property
    def resting(self) -> bool:
        """Whether the last packet was kept undecoded, as the ones to come probably will be."""
        return self.work is None and len(self._buffer) > 0

    def counts(self) -> GateCounts:
        """What the gate did so far."""
        gate, buffer = self.gate, self._buffer
        return GateCounts(
            activity=gate.state,
            trust=gate.trust,
            auc=gate.signal.auc,
            held=len(buffer),
            held_bytes=buffer.size,
            undecoded=buffer.discarded,
            overflows=buffer.overflows,
            looks=self._looks,
            caught_up=self._caught_up,
            transitions=gate.transitions.total(),
            missed=gate.missed,
            false_wakes=gate.false_wakes,
            fps=gate.fps,
            keyframe_s=gate.keyframe_s,
            late=self._late,
        )

    def opened(self, decoder: Decoder, *, again: bool, onwards: bool = False) -> None:
        """A stream was opened; calibration, background and clock live on.

        Args:
            decoder: a new one, for this stream.
            again: whether it was open before.
            onwards: whether its time stamps go on where they would be, had it been open all the time.
        """
        self.closed()
        self._decoder = decoder
        self._thrifty = False
        if again:
            self.gate.interrupted()
            if not onwards:
                self.timeline.reconnected()

    def closed(self) -> None:
        """The stream is closed: nothing that it gave is needed any more."""
        self._decoder = None
        self._drop_passed()
        self._buffer.lose()
        self._seen.clear()

    def feed(self, packet: Packet, seen: Seen) -> list[Shown]:
        """Take the next packet in; the pictures that were decoded because of it, in the order they are shown.

        Raises:
            ReadError: as `Decoder.decode`.
            RuntimeError: nothing was opened.
        """
        decoder, decision = self._take_in(packet, seen)
        gate, buffer = self.gate, self._buffer
        if decision is Decision.KEYFRAME:
            return self._look_at(decoder, packet, seen)
        if decision is Decision.HOLD and (packet.keyframe or gate.sparse or buffer.fits(packet)):
            self._hold(decoder, packet)
            return []
        return self._decode(decoder, packet, seen)

    def pass_over(self, packet: Packet, seen: Seen) -> None:
        """Take the next packet in without decoding it, as it is too old to act upon.

        The newest keyframe and what follows is held as far as there is room, and the gate goes on watching
        sizes: what moved meanwhile wakes the camera, and the next `feed` catches up.

        Raises:
            RuntimeError: nothing was opened.
        """
        decoder, decision = self._take_in(packet, seen)
        self._passed += decision is not Decision.HOLD
        self._hold(decoder, packet)

    def _take_in(self, packet: Packet, seen: Seen) -> tuple[Decoder, Decision]:
        if self._decoder is None:
            raise RuntimeError("open a stream before feeding packets")
        self.work = None
        self._follow_service()
        self._remember(packet, seen)
        if packet.keyframe:
            self._drop_passed()
        held = len(self._buffer)
        return self._decoder, self.gate.decide(packet.pts_s, packet.size, keyframe=packet.keyframe, held=held)

    def _drop_passed(self) -> None:
        """What was passed over will not be caught up with any more."""
        self._late += self._passed
        self._passed = 0

    def _hold(self, decoder: Decoder, packet: Packet) -> None:
        self._buffer.hold(packet)
        if not self._buffer.decodable:
            self._drop_passed()
            if decoder.continuous:
                decoder.restart()

    def finish(self, seen: Seen) -> list[Shown]:
        """The stream ended: pictures the decoder still holds back."""
        if self._decoder is None or not self._decoder.continuous:
            return []
        self.work = "decode"
        return self._show(self._decoder.flush(), seen)

    def _look_at(self, decoder: Decoder, packet: Packet, seen: Seen) -> list[Shown]:
        self.work = "keyframe"
        self._buffer.hold(packet)
        pictures = decoder.keyframe(packet)
        if decoder.continuous:
            self._buffer.take()
        # Else it must be fed again to catch up, and shows again.
        self._repeated_s = None if decoder.continuous else packet.pts_s
        self._looks += 1
        self.gate.looked(shown=bool(pictures))
        return self._show_newest(pictures, seen)

    def _decode(self, decoder: Decoder, packet: Packet, seen: Seen) -> list[Shown]:
        self.work = "decode"
        buffer = self._buffer
        if len(buffer) == 0 and decoder.continuous and not packet.keyframe:  # the usual case
            return self._show(self._decoded(decoder, packet), seen)
        self._passed = 0
        gap = len(buffer) > 0 or not decoder.continuous
        if packet.keyframe:
            buffer.hold(packet)  # what was held before is of no use any more
            buffer.take()
        held = [*buffer.take(), packet]
        if gap and held[0].keyframe:
            decoder.restart()
        if len(held) == 1:
            return self._show(self._decoded(decoder, packet), seen)
        shown = self._show_newest((each for one in held for each in self._decoded(decoder, one)), seen)
        self._caught_up += len(shown)
        return shown

    def _decoded(self, decoder: Decoder, packet: Packet) -> list[DecodedPicture]:
        thrifty = self.gate.references_suffice(self._fps)
        if thrifty is not self._thrifty:
            decoder.prefer_references(thrifty)
            self._thrifty = thrifty
        pictures = decoder.decode(packet)
        if self._repeated_s is None or not pictures:
            return pictures
        repeated_s, self._repeated_s = self._repeated_s, None
        return pictures[1:] if pictures[0].pts_s == repeated_s else pictures

    def _follow_service(self) -> None:
        service = self.gate.service
        if service is not self._service:
            self._service = service
            self._fps = min(self._analysed_fps, service.fps)
            if self._fps > 0:
                self._rate = RateGate(self._fps)

    def _remember(self, packet: Packet, seen: Seen) -> None:
        self._seen[packet.pts_s] = seen
        while len(self._seen) > _REORDER_LIMIT + len(self._buffer):
            self._seen.popitem(last=False)

    def _show(self, pictures: list[DecodedPicture], now: Seen) -> list[Shown]:
        """Stamp pictures and say which are wanted."""
        return [self._judged(decoded, *self._stamped(decoded, now)) for decoded in pictures]

    def _show_newest(self, pictures: Iterable[DecodedPicture], now: Seen) -> list[Shown]:
        """Stamp pictures as they come, and keep but the newest."""
        shown: list[Shown] = []
        newest = None
        for newest in pictures:
            shown.append(Shown(None, *self._stamped(newest, now), wanted=False))
        if newest is not None:
            last = shown.pop()
            shown.append(self._judged(newest, last.pts_s, last.seen))
        return shown

    def _stamped(self, decoded: DecodedPicture, now: Seen) -> tuple[float, Seen]:
        own = self._seen.get(decoded.pts_s, now)
        return self.timeline.stamp(decoded.pts_s, own.mono_s if self._realtime else None), own

    def _judged(self, decoded: DecodedPicture, pts_s: float, own: Seen) -> Shown:
        wanted, motion = self._judge(decoded, pts_s)
        return Shown(decoded, pts_s, own, wanted, motion)

    def _judge(self, decoded: DecodedPicture, pts_s: float) -> tuple[bool, MotionLook | None]:
        due = self._rate.admit(pts_s) or self._service.keyframes_only
        gate = self.gate
        if not gate.options.enabled:
            return due, None
        motion = None
        if due or not 0 <= pts_s - self._looked_s < _LOOK_PERIOD_S:
            motion = self._motion.look(decoded.picture.luma(*LUMA_SIZE), pts_s)
            self._looked_s = pts_s
            gate.saw(motion)
        return due and gate.wants(motion, keyframe=decoded.keyframe), motion
