"""How far a stream is behind the camera, told from its time stamps and the host's clock alone."""

from __future__ import annotations

import math
from collections import deque

from streams.timeline import CLOCK_RATE_ERROR

BEHIND_S = 1.0
"""Who is further behind leaves packets undecoded, until a quarter of that is left."""
_CAUGHT_UP = 0.25
# Stamps go back by up to this much where pictures are reordered; by more, they began anew.
_REORDERED_S = 1.0
_ABSURD_S = 1e11
# So many packets in a row must have been that quick: one stamp that ran ahead is no measure.
_CONFIRMED = 3
# What is read on must come faster than it is played, by this share of the time; told after so much of both.
# While lag grows instead, as on a host so busy that it hardly reads, patience is longer.
_GAIN, _TRIAL_S, _TRIAL_PACKETS, _PATIENCE_S = 0.1, 1.0, 10, 5.0
# If in vain, it is not believed until it kept below the limit for so long; but tried again after ten minutes.
_DOUBT_S, _MOST_DOUBT_S = 30.0, 600.0
# Who falls behind by degrees, or again so soon, has too much to decode; catching up would throw it back, so
# it waits for a keyframe, though not for ever. Who is thrown back at once only has to catch up.
_SUDDEN = 0.5
_RELAPSE_S = 10.0
_KEYFRAME_PATIENCE_S = 12.0


class Lag:
    """One stream's delay on its way here, beyond the least it had lately. Pure: told of packets and times.

    The least of host time minus time stamp is that of a packet which nothing held up; it is forgiven that the
    camera's clock runs up to 1 % slow. What is above that is lag: the host was busy, or the camera or the
    network held packets back. Then the old packets lie ready and can be read faster than they are played.
    Where that is not so there is nothing to catch up with, the stamps or the way here have changed, and the
    estimate begins anew; nor is it believed until it was small for half a minute, so that stamps that run
    slow cost five seconds in ten minutes. Missing and repeated stamps say nothing.

    Attributes:
        lag_s: seconds that the last packet is behind, 0 or more.
        behind: whether packets are to be left undecoded.

    Args:
        limit_s: lag above which they are, above 0.
    """

    def __init__(self, limit_s: float = BEHIND_S) -> None:
        if limit_s <= 0:
            raise ValueError(f"limit_s must be above 0, got {limit_s}")
        self._limit_s = limit_s
        self.lag_s = 0.0
        self.behind = False
        self._recovered_s = self._keyframe_until_s = -math.inf
        self._doubt_until_s = self._doubt_most_s = -math.inf
        self._waited_s: float | None = None
        self._begin()

    def _begin(self) -> None:
        self.lag_s = 0.0
        self.behind = False
        self._least_s = math.inf
        self._recent: deque[float] = deque(maxlen=_CONFIRMED)
        self._newest_s: float | None = None
        self._last: tuple[float, float] | None = None
        self._trial_s = self._gained_s = 0.0
        self._seen_s: list[float] = []

    def lost(self) -> None:
        """The stream was opened anew: its stamps may start anywhere."""
        self._begin()
        self._recovered_s = self._doubt_until_s = self._keyframe_until_s = -math.inf
        self._waited_s = None

    def packet(self, pts_s: float | None, mono_s: float, *, keyframe: bool, ready: bool = False) -> bool:
        """Take a packet in; whether it is to be left undecoded.

        Args:
            pts_s: its time as the stream says.
            mono_s: host monotonic seconds when it was read.
            keyframe: whether decoding can start here.
            ready: whether it lay ready when it was asked for.
        """
        if not ready or self._waited_s is None:
            self._waited_s = mono_s
        before, before_s = self.behind, self.lag_s
        waited = self._measure(pts_s, mono_s)
        if self.behind:
            self._try(mono_s, waited=waited)
        elif self.lag_s > self._limit_s:
            self._fall_behind(mono_s, by_s=self.lag_s - before_s)
        elif mono_s - self._waited_s > self._limit_s:
            # Whatever stamps say: who never has to wait for a packet has not read all that lie ready. So it
            # is where a reader began late, and takes the lag that it began with for none.
            self._waited_s = mono_s
            self._fall_behind(mono_s, by_s=0.0)
        if before and not self.behind:
            self._recovered_s = mono_s
        if keyframe and not self.behind:
            self._keyframe_until_s = -math.inf
        return self.behind or mono_s <= self._keyframe_until_s

    def _measure(self, pts_s: float | None, mono_s: float) -> bool:
        """Follow the lag; whether the packet had to be waited for, as far as its stamp says."""
        last = self._last
        if pts_s is None or not abs(pts_s) < _ABSURD_S or (last is not None and pts_s == last[0]):
            return False
        if self._newest_s is not None and pts_s < self._newest_s - _REORDERED_S:
            if self.behind:  # stamps that fall would make it so again and again
                self._doubt(mono_s)
            self._begin()
            last = None
        self._newest_s = pts_s if self._newest_s is None else max(self._newest_s, pts_s)
        self._last = pts_s, mono_s
        behind_s = mono_s - pts_s
        self._recent.append(behind_s)
        elapsed_s = 0.0 if last is None else max(0.0, mono_s - last[1])
        self._least_s += CLOCK_RATE_ERROR * elapsed_s
        if len(self._recent) == _CONFIRMED:
            self._least_s = min(self._least_s, max(self._recent))
        self.lag_s = 0.0 if mono_s < self._doubt_until_s else max(0.0, behind_s - self._least_s)
        if behind_s - self._least_s > self._limit_s and mono_s < self._doubt_until_s:
            self._begin()
            self._doubt_until_s = min(mono_s + _DOUBT_S, self._doubt_most_s)
        return last is not None and elapsed_s >= 0.5 * (pts_s - last[0])

    def _fall_behind(self, mono_s: float, *, by_s: float) -> None:
        self.behind = True
        self._trial_s = self._gained_s = mono_s
        self._seen_s = [self.lag_s]
        if by_s < _SUDDEN * self._limit_s or mono_s - self._recovered_s < _RELAPSE_S:
            self._keyframe_until_s = mono_s + _KEYFRAME_PATIENCE_S

    def _try(self, mono_s: float, *, waited: bool) -> None:
        """See whether reading on helps, or has done its work.

        That is when the next packet had to be waited for, too: only then is nothing left that lay ready, and
        the least that is compared with is true again.
        """
        if waited and self.lag_s < _CAUGHT_UP * self._limit_s:
            self.behind = False
            return
        self._seen_s.append(self.lag_s)
        elapsed_s = mono_s - self._trial_s
        if elapsed_s < _TRIAL_S or len(self._seen_s) < _TRIAL_PACKETS:
            return
        gained_s, spread_s = self._seen_s[0] - self.lag_s, max(self._seen_s) - min(self._seen_s)
        if gained_s >= _GAIN * elapsed_s:
            self._gained_s = mono_s
        elif spread_s > _GAIN * elapsed_s and mono_s - self._gained_s < _PATIENCE_S:
            pass
        elif self.lag_s > self._limit_s:
            self._doubt(mono_s)
        else:
            self._begin()
        self._trial_s, self._seen_s = mono_s, [self.lag_s]

    def _doubt(self, mono_s: float) -> None:
        self._begin()
        self._keyframe_until_s = -math.inf
        self._doubt_until_s = mono_s + _DOUBT_S
        self._doubt_most_s = mono_s + _MOST_DOUBT_S
