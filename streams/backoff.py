"""How long to wait before trying again."""

import random


class Backoff:
    """Capped exponential back-off with equal jitter: half of each delay is fixed, half is drawn.

    The jitter keeps cameras that died together from coming back in step. A cap of 2 s leaves a camera that
    returns after a long silence within 5 s of its return, its opening included.

    Args:
        rng: where the jitter comes from.
        initial_s: seconds of the first delay at most, above 0.
        cap_s: seconds of the longest delay.
    """

    def __init__(self, rng: random.Random, initial_s: float = 0.25, cap_s: float = 2.0) -> None:
        if not 0 < initial_s <= cap_s:
            raise ValueError(f"need 0 < initial_s <= cap_s, got {initial_s} and {cap_s}")
        self._rng = rng
        self._initial_s = initial_s
        self._cap_s = cap_s
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure, between half of the step and the step."""
        # The exponent is bounded: 2.0 ** 1025 would overflow after a quarter of an hour of failures.
        step = min(self._cap_s, self._initial_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return step / 2 + self._rng.random() * step / 2

    def reset(self) -> None:
        """It worked: start again from the first delay."""
        self._failures = 0
