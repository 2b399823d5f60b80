"""Identifiers of events and incidents: UUIDv7 and W3C trace context, with time and randomness injected."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock

RandBits = Callable[[int], int]
"""Uniform random bits: `secrets.randbits`, or `random.Random(seed).getrandbits` for repeatable runs."""

MAX_UNIX_MS = (1 << 48) - 1
_RAND_BITS = 74
_STEP_BITS = 32
_ROLLBACK_MS = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def unix_ms(utc: datetime) -> int:
    """Milliseconds since 1970 of an aware time, rounded down.

    Raises:
        ValueError: the time is naive, or outside of the 48 bits that a UUIDv7 has.
    """
    if utc.tzinfo is None:
        raise ValueError("utc must be aware of its time zone")
    since = utc - _EPOCH
    ms = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    if not 0 <= ms <= MAX_UNIX_MS:
        raise ValueError(f"a UUIDv7 holds times from 1970 to the year 10889, got {utc.isoformat()}")
    return ms


def format_uuid7(ms: int, rand: int) -> str:
    """Lay out a UUIDv7 (RFC 9562, section 5.7): 48 bits of time, 4 of version, 12 + 62 random, 2 of variant.

    Args:
        ms: milliseconds since 1970, 48 bits.
        rand: 74 bits.

    Example:
        >>> format_uuid7(0x017F22E279B0, (0xCC3 << 62) | 0x18C4DC0C0C07398F)
        '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'
    """
    if not 0 <= ms <= MAX_UNIX_MS or not 0 <= rand < 1 << _RAND_BITS:
        raise ValueError("ms must fit 48 bits and rand 74")
    value = ms << 80 | 0x7 << 76 | rand >> 62 << 64 | 0b10 << 62 | rand & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Uuid7:
    """Makes UUIDv7 that sort in the order of their making, safe from any thread.

    Within a millisecond, or when the wall clock steps back by up to ten seconds, the random part of the last
    one is raised by a random step (RFC 9562, section 6.2, method 2). After a larger step back the clock was
    set right, and the new time is followed.

    Example:
        >>> from random import Random
        >>> make = Uuid7(lambda: datetime(2026, 11, 22, tzinfo=UTC), Random(3).getrandbits)
        >>> make() < make()
        True
    """

    def __init__(self, utc: Callable[[], datetime], randbits: RandBits = secrets.randbits) -> None:
        self._utc = utc
        self._randbits = randbits
        self._lock = Lock()
        self._ms = -1
        self._rand = 0

    def __call__(self) -> str:
        """The next one, 36 characters, lower case."""
        now_ms = unix_ms(self._utc())
        with self._lock:
            if now_ms > self._ms or now_ms < self._ms - _ROLLBACK_MS:
                self._ms, self._rand = now_ms, self._randbits(_RAND_BITS)
            else:
                self._rand += 1 + self._randbits(_STEP_BITS)
                if self._rand >= 1 << _RAND_BITS:
                    self._ms, self._rand = self._ms + 1, self._randbits(_RAND_BITS)
            return format_uuid7(self._ms, self._rand)


def traceparent(randbits: RandBits = secrets.randbits) -> str:
    """A new sampled root in W3C Trace Context, version 00, as `00-<trace>-<span>-01`, never all zeros."""
    trace = randbits(128) or 1
    span = randbits(64) or 1
    return f"00-{trace:032x}-{span:016x}-01"
