"""What a piece of work took."""

from typing import NamedTuple


class Spent(NamedTuple):
    """What something took: seconds by the host's clock, and CPU milliseconds of the thread that did it."""

    host_s: float
    cpu_ms: float
