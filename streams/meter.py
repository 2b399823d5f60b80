"""Where a thread's CPU time goes, by stage, for two looks at a clock a packet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence


class Meter:
    """Adds a thread's CPU up by stage, so that the stages together are all it took since `begin`.

    One thread writes; any may read `spent`, as each stage's pair is replaced at once.

    Args:
        stages: their names.
        cpu_s: CPU seconds of the thread that asks; the system's unless given.
    """

    def __init__(self, stages: Sequence[str], cpu_s: Callable[[], float] = time.thread_time) -> None:
        self._cpu_s = cpu_s
        self._since_s = 0.0
        self._spent = dict.fromkeys(stages, (0.0, 0))

    def begin(self) -> None:
        """Count from here; called by the thread that is metered."""
        self._since_s = self._cpu_s()

    def add(self, stage: str, calls: int) -> None:
        """Book what was spent since the last booking.

        Args:
            stage: one of the names given.
            calls: how much was done for it, in the stage's own unit.
        """
        now_s = self._cpu_s()
        ms, before = self._spent[stage]
        self._spent[stage] = ms + 1e3 * (now_s - self._since_s), before + calls
        self._since_s = now_s

    @property
    def spent(self) -> dict[str, tuple[float, int]]:
        """By stage: milliseconds of CPU and calls."""
        return dict(self._spent)
