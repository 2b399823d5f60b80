"""Tallies for hot paths: count each time, log once a second."""

from collections import Counter

LOG_INTERVAL_S = 1.0


class Tally:
    """Counts occurrences by kind, and hands them out once per interval. For one thread.

    Args:
        interval_s: seconds between two hand-outs at least.
    """

    def __init__(self, interval_s: float = LOG_INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._counts: Counter[str] = Counter()
        self._drained_s: float | None = None

    def add(self, kind: str) -> None:
        """Count one more of `kind`."""
        self._counts[kind] += 1

    def drain(self, now_s: float) -> dict[str, int]:
        """Counts by kind since the last hand-out; empty until the interval has passed.

        Args:
            now_s: monotonic seconds.
        """
        if not self._counts or (self._drained_s is not None and now_s - self._drained_s < self._interval_s):
            return {}
        self._drained_s = now_s
        counts = dict(self._counts)
        self._counts.clear()
        return counts
