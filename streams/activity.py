"""The activity gate: whether a packet is worth decoding, told from its size before it is decoded."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from streams.motion import MotionLook
from streams.service import FULL, PACE_SLACK, Service
from streams.trust import PacketSignal, Trust

# Keyframes in a row that gave no picture of their own.
_UNSHOWN = 3

Activity = Literal["idle", "waking", "active", "cooling"]


class Decision(Enum):
    """What to do with a packet."""

    HOLD = "hold"
    """Keep it, undecoded: it may be needed to catch up."""
    KEYFRAME = "keyframe"
    """Decode this keyframe alone and look at it."""
    CATCH_UP = "catch_up"
    """Decode what is held, then this."""
    DECODE = "decode"
    """Decode it; nothing is held."""


@dataclass(frozen=True, slots=True)
class GateOptions:
    """When a camera counts as active.

    Attributes:
        enabled: otherwise everything is decoded, and every picture is wanted.
        moving_share: share of the picture that must differ, above 0: 0.0008 is 11 pixels of 160 x 90, as much
            as a person 8 % of the picture high.
        confirm_s: packets that woke the camera must be borne out by pixels within this time.
        quiet_s: without motion for so long, an active camera begins to cool.
        cool_s: and for so long after that, it is idle.
        look_s: keyframes that follow each other faster are not all looked at while idle.
        refresh_s: an idle camera's picture is wanted this often even if nothing differs.
        attention_s: and this often while `attention` is set; keyframes that come faster are all wanted.
        blind_s: an idle camera's picture is decoded this often, however far apart keyframes are.
    """

    enabled: bool = True
    moving_share: float = 0.0008
    confirm_s: float = 0.5
    quiet_s: float = 1.0
    cool_s: float = 0.5
    look_s: float = 0.5
    refresh_s: float = 20.0
    attention_s: float = 2.2
    blind_s: float = 12.0

    def __post_init__(self) -> None:
        if not 0 < self.moving_share < 1:
            raise ValueError(f"moving_share must be in (0, 1), got {self.moving_share}")
        times = (self.confirm_s, self.quiet_s, self.cool_s, self.look_s)
        if min(*times, self.refresh_s, self.attention_s, self.blind_s) <= 0:
            raise ValueError("times of the gate must be above 0")


class ActivityGate:
    """One camera's state: idle -> waking -> active -> cooling -> idle. Pure: told of packets and pictures.

    Idle, only keyframes are decoded, each alone. Packets that grow, or a keyframe that differs from the one
    before, wake it: what is held is decoded, so that nothing of the GOP is missing, and from then on pixels
    say whether something moves. While packet sizes are not (yet) trusted everything is decoded, and pixels
    alone say so.

    Attributes:
        state: where it is.
        service: what the planner allots; any thread may set it.
        attention: analysis has tracks or open incidents here, so what stands still matters too.
        transitions: by `from>to`, how often.
        missed: times that a keyframe showed motion which packets had not told.
        false_wakes: times that packets woke it and no pixel moved.
        signal: the packets' calibration.

    Args:
        options: its thresholds.
    """

    def __init__(self, options: GateOptions | None = None) -> None:
        self.options = options or GateOptions()
        self.state: Activity = "active"
        self.service: Service = FULL
        self.attention = False
        self.transitions: Counter[str] = Counter()
        self.missed = 0
        self.false_wakes = 0
        self.signal = PacketSignal()
        self._clock = PacketClock()
        self._keyframe_s: float | None = None
        self._gop_s: float | None = None
        self._mean_gop_s: float | None = None
        self._unshown = 0
        self._moving_s: float | None = None
        self._waking_s = 0.0
        self._look_s = self._offer_s = -1e9

    @property
    def trust(self) -> Trust:
        """Whether packets are believed.

        They are not where keyframes do not show alone (an encoder that refreshes the picture bit by bit), as
        without them an idle camera would not be seen at all.
        """
        return "cannot_tell" if self._unshown >= _UNSHOWN else self.signal.trust

    @property
    def sparse(self) -> bool:
        """Whether keyframes alone are decoded: the planner says so, or they come as often as wanted."""
        return self._pause_s() is not None

    def references_suffice(self, fps: float) -> bool:
        """Whether twice `fps` pictures a second remain when B pictures are left out."""
        clock = self._clock
        return (
            clock.settled and clock.late_share > 0.05 and (1.0 - clock.late_share) / clock.step_s >= 2.0 * fps
        )

    def looked(self, *, shown: bool) -> None:
        """A keyframe was decoded alone; whether a picture came out."""
        self._unshown = 0 if shown else self._unshown + 1

    @property
    def time_s(self) -> float:
        """Camera seconds of the last packet, never falling."""
        return self._clock.now_s

    @property
    def fps(self) -> float | None:
        """Packets per camera second, averaged over the last 50 or so; None before there were as many."""
        return 1.0 / self._clock.step_s if self._clock.known and self._clock.step_s > 0 else None

    @property
    def keyframe_s(self) -> float | None:
        """Camera seconds from keyframe to keyframe, averaged over a few; None before there were two."""
        return self._mean_gop_s

    def interrupted(self) -> None:
        """The stream was opened anew: what is known of the scene stays, the packets' run does not."""
        self.signal.lost()
        self._clock.restart()

    def decide(self, pts_s: float | None, size: int, *, keyframe: bool, held: int) -> Decision:
        """What to do with the next packet.

        Args:
            pts_s: its time as the stream says.
            size: its bytes.
            keyframe: whether decoding can start here.
            held: packets held so far that were not decoded.
        """
        late = self._clock.tick(pts_s)
        score = self.signal.add(size, self._clock.now_s, keyframe=keyframe, late=late)
        options, now_s = self.options, self._clock.now_s
        if keyframe:
            self._measure_gop(now_s)
        onwards = Decision.CATCH_UP if held and not keyframe else Decision.DECODE
        pause_s = self._pause_s()
        if pause_s is not None:
            return Decision.KEYFRAME if keyframe and now_s - self._look_s >= pause_s else Decision.HOLD
        if not options.enabled or self.state != "idle" or self.trust != "trusted":
            return onwards
        if score > self.signal.threshold:
            self._waking_s = now_s
            self._enter("waking")
            return onwards
        since_s = now_s - self._look_s
        if keyframe and since_s >= self._rest_s():
            return Decision.KEYFRAME
        return onwards if since_s >= self._patience_s() else Decision.HOLD

    def _measure_gop(self, now_s: float) -> None:
        if self._keyframe_s is not None:
            # The longest of late: one keyframe more (a scene cut) does not make keyframes frequent.
            gop_s = now_s - self._keyframe_s
            self._gop_s = gop_s if self._gop_s is None else max(gop_s, 0.8 * self._gop_s)
            mean_s = self._mean_gop_s
            self._mean_gop_s = gop_s if mean_s is None else mean_s + 0.25 * (gop_s - mean_s)
        self._keyframe_s = now_s

    def _pause_s(self) -> float | None:
        """Where only keyframes are decoded, the least seconds between two of them; else None."""
        service = self.service
        if service.shed:
            return math.inf
        if service.keyframes_only:
            return self._rest_s()
        if not self.options.enabled or self._gop_s is None or self._gop_s <= 0:
            return None
        period_s = 1.0 / service.fps
        keyframes = period_s / self._gop_s
        frequent = keyframes >= 5 or (keyframes >= 0.95 and abs(keyframes - round(keyframes)) <= 0.1)
        return 0.9 * period_s if frequent and self._unshown < _UNSHOWN else None

    def _rest_s(self) -> float:
        """The least seconds between two keyframes that are looked at while idle."""
        pace_s = 0.0 if self.attention else PACE_SLACK * self.service.pace_s
        return max(self.options.look_s, pace_s)

    def _patience_s(self) -> float:
        return self.options.attention_s if self.attention else self.options.blind_s

    def saw(self, look: MotionLook) -> None:
        """Take in what a decoded picture showed, the newest that the decoder gave."""
        now_s, share = self._clock.now_s, self.options.moving_share
        self._look_s = now_s
        moving = look.moved >= share
        if self._moving_s is None:  # the first picture: until the background is known, nobody rests
            self._moving_s = now_s
        if look.age_s > 0 and not look.upheaval:
            self.signal.label(True if moving else False if look.moved < share / 3 else None)
        if moving:
            self._moves(now_s)
        else:
            self._rests(now_s, now_s - self._moving_s)

    def _moves(self, now_s: float) -> None:
        self._moving_s = now_s
        if self.state == "idle":
            self.missed += self.trust == "trusted"
            self._waking_s = now_s
            self._enter("waking")
        elif self.state != "active":
            self._enter("active")

    def _rests(self, now_s: float, quiet_s: float) -> None:
        options = self.options
        if self.state == "waking" and now_s - self._waking_s >= options.confirm_s:
            self.false_wakes += 1
            self.signal.deceived()
            self._enter("idle")
        elif self.state == "active" and quiet_s >= options.quiet_s:
            self._enter("cooling")
        elif self.state == "cooling" and quiet_s >= options.quiet_s + options.cool_s:
            self._enter("idle")

    def wants(self, look: MotionLook | None, *, keyframe: bool) -> bool:
        """Whether analysis should get the picture that was seen last; call it once for each.

        Args:
            look: how it differs from before; None where that was not measured.
            keyframe: whether it is a keyframe.
        """
        wanted = self._wants(look, keyframe=keyframe)
        if wanted:
            self._offer_s = self._clock.now_s
        return wanted

    def _wants(self, look: MotionLook | None, *, keyframe: bool) -> bool:
        options = self.options
        since_s = self._clock.now_s - self._offer_s
        if not options.enabled or self.state in ("active", "cooling") or since_s >= options.refresh_s:
            return True
        differs = look is not None and look.changed >= options.moving_share
        if self.state == "waking":
            return differs
        return (keyframe and (differs or self.attention)) or (
            self.attention and since_s >= options.attention_s
        )

    def _enter(self, state: Activity) -> None:
        self.transitions[f"{self.state}>{state}"] += 1
        self.state = state


class PacketClock:
    """Camera seconds along the packets' way, never falling, whatever their time stamps say. Pure.

    Stamps that rise are followed, by a second a packet at most; a little behind the latest is a B picture;
    missing stamps, and such as stand still or leap back, count as a nominal step each.

    Attributes:
        now_s: seconds since the first packet.
        step_s: seconds from packet to packet, averaged.
        late_share: share of packets shown before one that came earlier, averaged.

    Args:
        nominal_s: seconds a packet stands for where its stamp says nothing.
    """

    _SETTLING = 100
    _KNOWN = 50
    _REORDERED_S = 1.0
    _PATIENCE = 16

    def __init__(self, nominal_s: float = 0.04) -> None:
        self.now_s = 0.0
        self.step_s = nominal_s
        self.late_share = 0.0
        self._nominal_s = nominal_s
        self._latest_s: float | None = None
        self._standing = 0
        self._packets = 0

    @property
    def known(self) -> bool:
        """Whether `step_s` is of the stream and not the nominal one."""
        return self._packets > self._KNOWN

    @property
    def settled(self) -> bool:
        """Whether there were packets enough for the averages."""
        return self._packets >= self._SETTLING

    def restart(self) -> None:
        """The stamps begin anew."""
        self._latest_s = None

    def tick(self, pts_s: float | None) -> bool:
        """Go on by one packet; whether it is shown before one that came earlier."""
        before_s = self.now_s
        late = self._advance(pts_s)
        # The mean of what there was, until that is the last 50 or so; the first packet has no step.
        gain = max(0.02, 1.0 / max(1, self._packets))
        self._packets += 1
        self.step_s += gain * (self.now_s - before_s - self.step_s)
        self.late_share += gain * (late - self.late_share)
        return late

    def _advance(self, pts_s: float | None) -> bool:
        latest_s = self._latest_s
        if pts_s is None or not abs(pts_s) < 1e11:
            self.now_s += self._nominal_s
            return False
        if latest_s is None or pts_s > latest_s:
            self.now_s += self._nominal_s if latest_s is None else min(pts_s - latest_s, 1.0)
            self._latest_s, self._standing = pts_s, 0
            return False
        self._standing += 1
        if latest_s - pts_s > self._REORDERED_S or self._standing > self._PATIENCE:
            self.now_s += self._nominal_s
            self._latest_s = pts_s
            return False
        return pts_s < latest_s
