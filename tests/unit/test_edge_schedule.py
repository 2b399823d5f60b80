from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.config import NodeConfig
from edge.load import load_config
from edge.schedule import DAYS, Hours, holds

MONDAY = datetime(2026, 11, 23, tzinfo=ZoneInfo("Asia/Shanghai"))


def at(day: int, clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


def hours(**keys) -> Hours:
    return Hours.model_validate(keys)


def test_by_day():
    shift = hours(begin="08:00", end="18:30", days=["mon", "tue"])
    assert [shift.holds(at(0, clock)) for clock in ("07:59", "08:00", "18:29", "18:30")] == [
        False,
        True,
        True,
        False,
    ]
    assert shift.holds(at(1, "12:00"))
    assert not shift.holds(at(2, "12:00"))


def test_over_midnight_it_belongs_to_the_day_it_began_on():
    night = hours(begin="22:00", end="06:00", days=["sun"])
    assert night.holds(at(6, "23:00"))
    assert night.holds(at(7, "05:59"))  # a Monday
    assert not night.holds(at(7, "22:00"))
    assert not night.holds(at(6, "05:00"))


def test_whole_days_and_none_at_all():
    assert hours(days=["mon"]).holds(at(0, "00:00"))
    assert hours(days=["mon"]).holds(at(0, "23:59"))
    assert not hours(days=["mon"]).holds(at(1, "00:00"))
    assert hours(begin="12:00", end="24:00").holds(at(0, "23:59"))
    assert holds((), at(0, "00:00"))
    assert holds((hours(days=["mon"]),), None)
    assert not holds((hours(days=["mon"]), hours(days=["tue"])), at(2, "00:00"))


def test_a_bare_time_in_yaml_is_a_number():
    assert hours(begin=1350, end=360) == hours(begin="22:30", end="06:00")
    for wrong in (-1, 1441, True, "25:00", "noon"):
        with pytest.raises(ValidationError):
            hours(begin=wrong)


@given(st.integers(0, 1439), st.integers(0, 1439), st.datetimes(timezones=st.just(UTC)))
def test_a_time_and_its_complement_hold_by_turns(begin, end, moment):
    if begin != end:
        assert hours(begin=begin, end=end).holds(moment) != hours(begin=end, end=begin).holds(moment)


def test_days_are_in_the_week_s_order():
    assert [hours(days=[day]).holds(MONDAY + timedelta(days=k)) for k, day in enumerate(DAYS)] == [True] * 7


def test_a_zone_that_is_none_is_named():
    assert NodeConfig(timezone="Europe/Berlin").timezone == "Europe/Berlin"
    with pytest.raises(ValidationError, match="did you mean 'Asia/Shanghai'"):
        NodeConfig(timezone="Asia/Shangai")
    with pytest.raises(ValidationError, match="write it as"):
        NodeConfig(timezone="../etc/passwd")


@pytest.mark.parametrize("begin", ['"22:00"', "22:00", '"22:00:00"'])
def test_hours_from_a_file(tmp_path, begin):
    path = tmp_path / "node.yaml"
    hours = f"[{{begin: {begin}, end: 06:00}}]"
    path.write_text(f"cameras: [{{id: a, source: x.mp4, health: {{dark: {{schedule: {hours}}}}}}}]")
    (told,) = load_config(path).cameras[0].health.dark.schedule
    assert (told.begin, told.end) == (time(22), time(6))


@pytest.mark.parametrize("begin", ["25:00", "22:00+08:00", "soon", ""])
def test_what_is_no_time_of_day(begin):
    with pytest.raises(ValidationError, match="must be a time of day"):
        Hours(begin=begin)
