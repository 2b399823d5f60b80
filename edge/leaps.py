"""By how much the wall clock was set forward lately: what happened before is not as old as it looks."""

import structlog

from edge.identifiers import unix_ms
from streams.clock import Clock

log = structlog.get_logger(__name__)

LEAP_MS = 60_000
SETTLED_S = 3600.0
"""A clock that is wrong at the start has so long to be set right."""


class Leaps:
    """Compares wall time with time that cannot be set, each time it is asked."""

    def __init__(self, clock: Clock, remember_s: float) -> None:
        """Begin to compare.

        Args:
            clock: both times.
            remember_s: seconds for which a leap matters. A clock is trusted after as long, or after an hour.
        """
        self._clock = clock
        self._remember_s = remember_s
        self._then_s, self._then_ms = clock.monotonic(), unix_ms(clock.utc())
        self._settled_s = self._then_s + min(SETTLED_S, remember_s)
        self._ahead_ms, self._until_s = 0, self._then_s

    def ahead_ms(self) -> int | None:
        """Milliseconds that the clock was set forward, less those set back; None while it is not trusted."""
        now_s, now_ms = self._clock.monotonic(), unix_ms(self._clock.utc())
        leapt_ms = now_ms - self._then_ms - round((now_s - self._then_s) * 1000)
        self._then_s, self._then_ms = now_s, now_ms
        if abs(leapt_ms) > LEAP_MS:
            log.warning("the clock was set", by_s=leapt_ms / 1000)
            self._ahead_ms = max(0, self._ahead_ms + leapt_ms)
            self._until_s = now_s + self._remember_s
        elif now_s >= self._until_s:
            self._ahead_ms = 0
        return self._ahead_ms if now_s >= self._settled_s else None
