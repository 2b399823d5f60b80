"""How fast something may go on: a token bucket on an injected clock."""

from streams.clock import Clock

BURST_S = 0.2
"""Seconds' worth that may go at once after a rest."""

_SLACK = 1e-6


class Pace:
    """Lets through `per_s` a second on average, in lots of a tenth to a fifth of a second's worth.

    Args:
        per_s: how many a second, above 0.
        clock: host time.
    """

    def __init__(self, per_s: float, clock: Clock) -> None:
        if not per_s > 0:
            raise ValueError(f"per_s must be positive, got {per_s}")
        self._per_s = per_s
        self._clock = clock
        self._most = max(1.0, per_s * BURST_S)
        self._least = max(1.0, self._most / 2)
        self._tokens = self._most
        self._then_s = clock.monotonic()

    def allowed(self) -> int:
        """How many may go now; 0 until there are enough to be worth the trip."""
        self._fill()
        # times are sums of floats: a tenth of a second ten times must make one
        tokens = self._tokens + _SLACK
        return int(tokens) if tokens >= self._least else 0

    def spend(self, number: int) -> None:
        """So many go; at most what is allowed."""
        self._tokens -= number

    def wait_s(self) -> float:
        """Seconds until some are allowed."""
        self._fill()
        return max(0.0, (self._least - self._tokens) / self._per_s)

    def _fill(self) -> None:
        now_s = self._clock.monotonic()
        self._tokens = min(self._most, self._tokens + (now_s - self._then_s) * self._per_s)
        self._then_s = now_s
