"""A camera's clock, repaired: strictly increasing seconds whatever the stream says."""

import math

MIN_STEP_S = 0.001
CLOCK_RATE_ERROR = 0.01
MAX_IN_ROW = 3
"""Repeats that may follow each other before the clock behind them counts as standing still."""
# Beyond some thousand years a stamp is rubbish, and a float no longer tells milliseconds apart.
_ABSURD_S = 1e11


class Timeline:
    """Turns a stream's time stamps into strictly increasing seconds, across jumps, repeats and reconnections.

    As long as stamps rise plausibly, differences of the result equal differences of the stamps. A missing
    stamp, a step back, or a leap is replaced by what the host's clock says has passed, and the following
    stamps go on from there. A repeated stamp moves on by a millisecond only, so that repeats add no drift;
    but one that comes again and again is as good as missing.

    Plausible means: within `tolerance_s` of the host's clock, measured from the beginning and forgiving a
    clock that runs up to 1 % fast or slow; the result therefore never strays further from host time.
    Without host times (a file read as fast as it goes) a step of more than `tolerance_s` is a leap, and
    `nominal_step_s` takes the place of elapsed time.

    Attributes:
        repairs: stamps that were missing, went back, or leapt.
        repeats: stamps equal to the one before.

    Args:
        nominal_step_s: seconds between pictures where nothing better is known, above 0.
        tolerance_s: seconds that stamps may deviate from the host's clock, above 0: a buffered burst after
            a stall must fit in.
    """

    def __init__(self, nominal_step_s: float = 0.04, tolerance_s: float = 5.0) -> None:
        if nominal_step_s <= 0 or tolerance_s <= 0:
            raise ValueError(f"steps must be above 0, got {nominal_step_s} and {tolerance_s}")
        self.repairs = 0
        self.repeats = 0
        self._nominal_step_s = nominal_step_s
        self._tolerance_s = tolerance_s
        self._last_s: float | None = None
        self._last_raw_s: float | None = None
        self._in_row = 0
        self._last_mono_s: float | None = None
        self._offset_s = 0.0
        self._line_s: float | None = None  # where the host's clock would be, on this timeline
        self._reconnected = False

    @property
    def offset_s(self) -> float | None:
        """What this clock adds to the stream's stamps now; None while the next stamp will tell."""
        return None if self._last_s is None or self._reconnected else self._offset_s

    def reconnected(self) -> None:
        """The stream was opened again: its next stamp starts anywhere, and really elapsed time goes by."""
        self._reconnected = True

    def stamp(self, pts_s: float | None, mono_s: float | None = None) -> float:
        """Seconds of the next picture, above those of the one before.

        Args:
            pts_s: what the stream says; None or not finite where it says nothing.
            mono_s: host monotonic seconds when the picture came in; None where it was not live.
        """
        raw_s = pts_s if pts_s is not None and math.isfinite(pts_s) and abs(pts_s) < _ABSURD_S else None
        if self._last_s is None:
            result = self._first(raw_s, mono_s)
        else:
            elapsed_s = self._elapsed(mono_s)
            result = self._next(self._last_s, raw_s, elapsed_s, live=mono_s is not None)
            self._follow(result, elapsed_s)
        self._last_s = result
        if raw_s is not None:
            self._last_raw_s = raw_s
        if mono_s is not None:
            # Of reordered pictures (B) some came earlier than the one shown before them.
            self._last_mono_s = mono_s if self._last_mono_s is None else max(mono_s, self._last_mono_s)
        self._reconnected = False
        return result

    def _first(self, raw_s: float | None, mono_s: float | None) -> float:
        result = raw_s if raw_s is not None else 0.0
        self.repairs += raw_s is None
        self._line_s = result if mono_s is not None else None
        return result

    def _elapsed(self, mono_s: float | None) -> float:
        if mono_s is None or self._last_mono_s is None:
            return self._nominal_step_s
        return max(0.0, mono_s - self._last_mono_s)

    def _next(self, last_s: float, raw_s: float | None, elapsed_s: float, *, live: bool) -> float:
        line_s = self._line_s + elapsed_s if live and self._line_s is not None else None
        if not self._reconnected:
            self._in_row = self._in_row + 1 if raw_s is not None and raw_s == self._last_raw_s else 0
            if 0 < self._in_row <= MAX_IN_ROW:
                self.repeats += 1
                return last_s + MIN_STEP_S
            if raw_s is not None and self._plausible(raw_s + self._offset_s, last_s, line_s):
                return raw_s + self._offset_s
            self.repairs += 1
        result = last_s + elapsed_s
        if line_s is not None:
            result = min(max(result, line_s - self._tolerance_s), line_s + self._tolerance_s)
        result = max(result, last_s + MIN_STEP_S)
        if raw_s is not None:
            self._offset_s = result - raw_s
        return result

    def _plausible(self, candidate_s: float, last_s: float, line_s: float | None) -> bool:
        if candidate_s <= last_s:
            return False
        reference_s = last_s if line_s is None else line_s
        return abs(candidate_s - reference_s) <= self._tolerance_s

    def _follow(self, result: float, elapsed_s: float) -> None:
        """Move the host's line on, and let it lean towards the stream by as much as clocks may differ."""
        if self._line_s is None:
            return
        self._line_s += elapsed_s
        slack_s = CLOCK_RATE_ERROR * elapsed_s
        self._line_s += min(max(result - self._line_s, -slack_s), slack_s)
