"""When a rule holds: hours of the day and days of the week, in the node's own time."""

from collections.abc import Sequence
from datetime import datetime, time
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from edge.sections import Section

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)

_DAY_MINUTES = 24 * 60


def _clock(value: object) -> object:
    """YAML 1.1 reads a bare 22:30 as the number 1350, which is its minutes; 24:00 is the day's end."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= _DAY_MINUTES:
            raise ValueError('must be a time of day such as "22:30"')
        value = f"{value // 60:02d}:{value % 60:02d}"
    if not isinstance(value, str):
        return value
    try:  # here, since text that has passed through here no longer counts as a file's, which may be a time
        told = time.fromisoformat("00:00" if value == "24:00" else value)
    except ValueError:
        told = None
    if told is None or told.tzinfo is not None:
        raise ValueError('must be a time of day such as "22:30"')
    return told


Clock = Annotated[time, BeforeValidator(_clock)]


class Hours(Section):
    """A time of day on some days of the week.

    One that ends before it begins goes on over midnight and belongs to the day on which it began; one that
    ends when it begins lasts a whole day.
    """

    days: tuple[Day, ...] = Field(DAYS, min_length=1, description="Days on which it begins.")
    begin: Clock = Field(time(0), description='Time of day, such as "22:00".')
    end: Clock = Field(time(0), description='Time of day, such as "06:30"; that minute is not part of it.')

    def holds(self, local: datetime) -> bool:
        """Whether a moment, in the node's own time, is within."""
        at, begin, end = local.time(), self.begin, self.end
        today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
        if begin < end:
            return today in self.days and begin <= at < end
        return (today in self.days and at >= begin) or (yesterday in self.days and at < end)


def holds(schedule: Sequence[Hours], local: datetime | None) -> bool:
    """Whether one of the hours holds; always without any, or where nobody knows what time it is."""
    return not schedule or local is None or any(hours.holds(local) for hours in schedule)
