"""Moments as the database keeps them: whole milliseconds since 1970."""

from datetime import UTC, datetime, timedelta

from edge.identifiers import unix_ms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


def aware(**times: datetime | None) -> None:
    """Refuse times that do not know their time zone.

    Raises:
        ValueError: naming the first of them.
    """
    for name, time in times.items():
        if time is not None and time.tzinfo is None:
            raise ValueError(f"{name} must be aware of its time zone")


def from_ms(ms: int) -> datetime:
    """The moment, in UTC.

    Example:
        >>> from_ms(1_500).isoformat()
        '1970-01-01T00:00:01.500000+00:00'
    """
    return _EPOCH + timedelta(milliseconds=ms)


def read_ms(text: str) -> int:
    """Milliseconds of a time in RFC 3339, as events write it.

    Example:
        >>> read_ms("1970-01-01T00:00:01.500Z")
        1500
    """
    return unix_ms(datetime.fromisoformat(text))


__all__ = ["DAY_MS", "HOUR_MS", "MINUTE_MS", "aware", "from_ms", "read_ms", "unix_ms"]
