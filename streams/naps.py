"""When a reader lets packets gather: waking up for each costs a thread more CPU than reading it."""

from __future__ import annotations

from streams.source import SourceOptions
from streams.url import SourceUrl

NAP_S = 0.2
"""While nothing is to be decoded, packets gather for so long. What moves is noticed that much later, and
caught up with."""
_WAITED_S = 0.004
"""A packet that took longer to come had not been there yet: none is left to read."""
# Naps alone must not make a reader fall behind.
_LAG_SHARE = 0.8


class Naps:
    """How long one reader may rest.

    Packets must wait for it unharmed: TCP holds the sender back, datagrams would be lost. And what carries no
    times (MJPEG) gets those at which it is read, which must not be put off.

    Args:
        url: where the packets come from.
        options: how.
        max_lag_s: above this the reader counts as behind.
    """

    def __init__(self, url: SourceUrl, options: SourceOptions, max_lag_s: float) -> None:
        self._longest_s = _LAG_SHARE * max_lag_s
        if url.scheme in ("rtsp", "rtsps"):
            self._allowed = options.transport == "tcp"
        else:
            self._allowed = options.realtime and url.scheme in ("file", "sim")

    def length_s(self, read_s: float) -> float:
        """Seconds to rest now, while nothing is to be decoded; 0 for none.

        Args:
            read_s: seconds that the last packet took to come.
        """
        if not self._allowed or read_s < _WAITED_S:
            return 0.0
        return min(NAP_S, self._longest_s)
