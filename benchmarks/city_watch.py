"""Watches a centre from outside while a city speaks: what waits in Redis and how old it is, CPU, memory."""

import itertools
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil  # type: ignore[import-untyped]
import redis

from edge.envelope import stream_key

EVERY_S, SLOW_EVERY_S = 0.02, 0.5
GROUP = "center"
CALM_S = 0.5
"""What waits no longer than this counts as taken at once."""


@dataclass(frozen=True, slots=True)
class Look:
    """The stream at a moment.

    Attributes:
        at_s: monotonic seconds.
        taken: entries stored and acknowledged since the group was made.
        waiting: entries that are not.
        oldest_s: for how long the oldest of those has waited, at most.
        new_s: age of the oldest entry that was acknowledged since the look before, at most.
    """

    at_s: float
    taken: int
    waiting: int
    oldest_s: float
    new_s: float


@dataclass(slots=True)
class Watched:
    """What was seen in a while.

    Attributes:
        looks: at the stream, fifty a second.
        cpu_s: CPU seconds by part.
        memory_mb: the most memory by part, in MB (10^6 bytes); of Valkey, what it says of itself.
        seconds: how long.
        others: cores that programs which are none of the parts kept busy, on average.
        entries: in the stream at the end, those stored included.
    """

    looks: list[Look] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    others: float = 0.0
    entries: int = 0


Parts = Callable[[], Mapping[str, Iterable[psutil.Process]]]


class Watch:
    """Looks at a district's stream and at the processes."""

    def __init__(self, url: str, district: str, parts: Parts) -> None:
        """Connect.

        Args:
            url: of Redis.
            district: six digits.
            parts: the processes by the part they play, now.
        """
        self._client: Any = redis.Redis.from_url(url)
        self._key = stream_key(district)
        self._parts = parts
        self._front_ms = int(1000 * time.time())

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def look(self) -> Look:
        """What waits now."""
        pipe = self._client.pipeline(transaction=True)
        pipe.xinfo_groups(self._key)
        pipe.xpending(self._key, GROUP)
        pipe.xinfo_stream(self._key)
        pipe.time()
        groups, pending, stream, (seconds, micros) = pipe.execute()
        at_s, now_ms = time.monotonic(), 1000 * seconds + micros // 1000
        group = next(one for one in groups if one["name"] == GROUP.encode())
        read, unstored = int(group["entries-read"] or 0), int(pending["pending"])
        waiting = int(stream["entries-added"]) - read + unstored
        first = pending["min"] if unstored else group["last-delivered-id"]
        front_ms = int(first.split(b"-")[0]) if waiting else now_ms
        before_ms, self._front_ms = self._front_ms, max(self._front_ms, front_ms)
        oldest_s = max(0, now_ms - front_ms) / 1000
        return Look(at_s, read - unstored, waiting, oldest_s, max(0, now_ms - before_ms) / 1000)

    def during(self, over: Callable[[], bool]) -> Watched:
        """Watch until something is over."""
        watched, cpu_s, begun_s = Watched(), self._cpu(), time.monotonic()
        machine_s, slow_s = _machine_cpu_s(), begun_s
        while not over():
            watched.looks.append(self.look())
            if (now_s := time.monotonic()) >= slow_s:
                slow_s = now_s + SLOW_EVERY_S
                self._weigh(watched.memory_mb)
            time.sleep(EVERY_S)
        watched.seconds = time.monotonic() - begun_s
        watched.cpu_s = {part: spent_s - cpu_s.get(part, 0.0) for part, spent_s in self._cpu().items()}
        busy_s = _machine_cpu_s() - machine_s
        watched.others = max(0.0, busy_s - sum(watched.cpu_s.values())) / max(watched.seconds, 1e-9)
        watched.entries = int(self._client.xlen(self._key))
        return watched

    def calm(self, patience_s: float) -> float:
        """Wait until nothing waits for long; returns how many seconds that took.

        Raises:
            TimeoutError: it took longer than `patience_s`.
        """
        begun_s = time.monotonic()
        while self.look().oldest_s > CALM_S:
            if time.monotonic() - begun_s > patience_s:
                raise TimeoutError("what waits in the stream is not taken")
            time.sleep(EVERY_S)
        return time.monotonic() - begun_s

    def _cpu(self) -> dict[str, float]:
        found: dict[str, float] = {"watch": sum(os.times()[:2])}
        for part, processes in self._parts().items():
            for process in processes:
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    found[part] = found.get(part, 0.0) + times.user + times.system
        return found

    def _weigh(self, most_mb: dict[str, float]) -> None:
        now: dict[str, float] = {}
        for part, processes in self._parts().items():
            for process in processes:
                with suppress(psutil.Error):
                    now[part] = now.get(part, 0.0) + process.memory_info().rss / 1e6
        now["valkey"] = int(self._client.info("memory")["used_memory"]) / 1e6
        most_mb.update({part: max(size, most_mb.get(part, 0.0)) for part, size in now.items()})


def _machine_cpu_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def ages(looks: Sequence[Look]) -> list[tuple[float, int]]:
    """How old entries were when they were stored and acknowledged, at most, and how many; ascending."""
    return sorted(
        (now.new_s, now.taken - before.taken)
        for before, now in itertools.pairwise(looks)
        if now.taken > before.taken
    )


def quantile(weighted: Sequence[tuple[float, int]], share: float) -> float:
    """The value that this share of the weight does not exceed.

    Args:
        weighted: values and their weights, ascending.
        share: from 0 to 1.

    Example:
        >>> quantile([(1.0, 98), (2.0, 1), (9.0, 1)], 0.99)
        2.0
    """
    total, so_far = sum(weight for _, weight in weighted), 0
    for value, weight in weighted:
        so_far += weight
        if so_far >= share * total:
            return value
    return 0.0


def drained_s(looks: Sequence[Look], over_s: float) -> float | None:
    """Seconds from a burst's end until nothing waits for long; None where that never came.

    Args:
        looks: of a while with a burst.
        over_s: when the burst ended, monotonic.
    """
    after = looks[bisect_left(looks, over_s, key=lambda look: look.at_s) :]
    return next((round(look.at_s - over_s, 2) for look in after if look.oldest_s <= CALM_S), None)


def per_s(looks: Sequence[Look], begin_s: float, step_s: float) -> list[tuple[float, float, float]]:
    """By steps of time: seconds since the begin, entries stored a second, the oldest that waited (s)."""
    rows: list[tuple[float, float, float]] = []
    start = 0
    for at in range(1, len(looks)):
        span_s = looks[at].at_s - looks[start].at_s
        if span_s >= step_s:
            rate = (looks[at].taken - looks[start].taken) / span_s
            oldest_s = max(look.oldest_s for look in looks[start : at + 1])
            rows.append((looks[at].at_s - begin_s, rate, oldest_s))
            start = at
    return rows
