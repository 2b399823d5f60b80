"""Time as a seam: everything that waits or stamps asks a Clock, so that tests own the time."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where times come from."""

    def monotonic(self) -> float:
        """Seconds that never go back; the zero is arbitrary."""
        ...

    def utc(self) -> datetime:
        """Aware UTC wall time; it may jump."""
        ...

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` seconds passed; say whether it is set."""
        ...


class SystemClock:
    """The host's own clocks."""

    def monotonic(self) -> float:
        """Seconds, of `time.monotonic`."""
        return time.monotonic()

    def utc(self) -> datetime:
        """Aware UTC wall time."""
        return datetime.now(UTC)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait on the event itself, so that a stop ends the wait at once."""
        return event.wait(timeout_s)
