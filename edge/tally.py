"""Errors on the hot path: counted always, logged once a second at most, so that trouble never floods the log."""

from collections import Counter
from collections.abc import Callable
from threading import Lock

import structlog

log = structlog.get_logger(__name__)


class Tally:
    """Counts errors by camera and kind; safe from any thread."""

    def __init__(self, monotonic: Callable[[], float], period_s: float = 1.0) -> None:
        self._monotonic = monotonic
        self._period_s = period_s
        self._lock = Lock()
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._total: Counter[str] = Counter()
        self._due_s = monotonic()

    def add(self, camera_id: str, exc: BaseException) -> None:
        """Count one error; log what gathered when the period is over."""
        with self._lock:
            self._waiting[camera_id, f"{type(exc).__name__}: {exc}"] += 1
            self._total[camera_id] += 1
            now_s = self._monotonic()
            if now_s < self._due_s:
                return
            self._due_s = now_s + self._period_s
            waiting, self._waiting = self._waiting, Counter()
        for (camera, error), times in waiting.items():
            log.warning("analysis failed", camera=camera, error=error, times=times)

    def total(self, camera_id: str) -> int:
        """Errors of one camera since the start."""
        with self._lock:
            return self._total[camera_id]
