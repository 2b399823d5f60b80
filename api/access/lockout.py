"""Guessing takes long: accounts lock after failures, addresses get few tries; all in bounded memory."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_TRIES = 5
"""Failures in a row until an account locks."""
FIRST_LOCK_S, LONGEST_LOCK_S = 30.0, 900.0
"""The lock doubles with each further failure, from the first to the longest."""
FORGOTTEN_S = 3600.0
"""After so long without a failure, an account's are forgotten."""
BURST, PER_S = 10, 1 / 6
"""Tries of one address: so many at once, and then so many a second."""
MOST = 4096
"""Names, and addresses, that are remembered."""

Monotonic = Callable[[], float]


@dataclass(slots=True)
class _Tries:
    failures: int = 0
    last_s: float = 0.0
    locked_until_s: float = 0.0


class Lockout:
    """Failures by name, known or not. One loop only.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Monotonic) -> None:
        self._now = now
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tries)

    def locked(self, name: str) -> bool:
        """Whether nobody gets in under that name now, whatever the password."""
        tries = self._tries.get(name)
        return tries is not None and self._now() < tries.locked_until_s

    def failed(self, name: str) -> bool:
        """Count a failure; whether it locked the name."""
        now = self._now()
        tries = self._tries.setdefault(name, _Tries())
        self._tries.move_to_end(name)
        if now < tries.locked_until_s:
            return False  # tries at a locked door change nothing: nobody can keep others out for ever
        if now - tries.last_s > FORGOTTEN_S:
            tries.failures = 0
        tries.failures += 1
        tries.last_s = now
        if len(self._tries) > MOST:
            self._forget()
        if tries.failures < FREE_TRIES:
            return False
        lock_s = FIRST_LOCK_S * 2.0 ** min(tries.failures - FREE_TRIES, 16)
        tries.locked_until_s = now + min(LONGEST_LOCK_S, lock_s)
        return True

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        self._tries.pop(name, None)

    def _forget(self) -> None:
        """Let go of the oldest that is not locked, or of the oldest."""
        now = self._now()
        oldest = next((name for name, one in self._tries.items() if one.locked_until_s <= now), None)
        if oldest is None:
            self._tries.popitem(last=False)
        else:
            del self._tries[oldest]


class Rate:
    """So many at once and so many a second, by key. One loop only.

    Args:
        now: monotonic seconds.
        burst: how many at once.
        per_s: how many come back each second.
    """

    def __init__(self, now: Monotonic, burst: int = BURST, per_s: float = PER_S) -> None:
        self._now, self._burst, self._per_s = now, burst, per_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, key: str) -> float:
        """Take one; seconds to wait where there is none, else 0."""
        now = self._now()
        left, since = self._left.get(key, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_s)
        taken = left >= 1
        self._left[key] = (left - 1 if taken else left, now)
        self._left.move_to_end(key)
        if len(self._left) > MOST:
            self._left.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._per_s


def address_key(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that somebody with IPv6 has to himself.

    >>> address_key("2001:db8:1:2:3::9"), address_key("192.0.2.9"), address_key("unix")
    ('2001:db8:1:2::/64', '192.0.2.9', 'unix')
    """
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, 64), strict=False))
