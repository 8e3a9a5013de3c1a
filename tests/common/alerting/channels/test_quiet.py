"""Quiet times, as spans of days."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.alerting.channels.quiet import WEEK, MuteTime, spans
from steward.resources.alert_channel import QuietTime, Weekday

MONDAY = datetime(2026, 11, 23)  # noqa: DTZ001  local time, whatever the zone
clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


def covered(quiet: QuietTime, at: datetime) -> bool:
    return MuteTime("night", spans([quiet])).covers(at)


@pytest.mark.parametrize(
    ("day", "clock", "quiet"),
    [
        (4, "21:59", False),
        (4, "22:00", True),
        (4, "23:59", True),
        (5, "00:00", True),
        (5, "05:59", True),
        (5, "06:00", False),
        (5, "22:00", False),
        (4, "03:00", False),
    ],
)
def test_a_night_belongs_to_the_day_that_it_begins_on(day: int, clock: str, *, quiet: bool) -> None:
    friday = QuietTime(days=(Weekday.FRIDAY,), begins="22:00", ends="06:00")
    hours, minutes = map(int, clock.split(":"))
    assert covered(friday, MONDAY + timedelta(days=day, hours=hours, minutes=minutes)) is quiet


@given(begins=clocks, ends=clocks, days=st.sets(st.sampled_from(Weekday)), minute=st.integers(0, 7 * 24 * 60 - 1))
def test_spans_say_what_the_time_says(begins: str, ends: str, days: set[Weekday], minute: int) -> None:
    quiet = QuietTime(days=tuple(days), begins=begins, ends=ends)
    at = MONDAY + timedelta(minutes=minute)
    if begins == ends:
        with pytest.raises(ValueError, match="begins and ends"):
            spans([quiet])
        return
    chosen = days or set(WEEK)
    within = any(
        start <= at < start + _length(begins, ends)
        for days_ago in (0, 1)
        if WEEK[(start := _at(at - timedelta(days=days_ago), begins)).weekday()] in chosen
    )
    assert covered(quiet, at) is within


def test_all_of_sunday_ends_with_it() -> None:
    sunday = QuietTime(days=(Weekday.SUNDAY,))
    assert covered(sunday, MONDAY - timedelta(minutes=1))
    assert not covered(sunday, MONDAY)


def _at(day: datetime, clock: str) -> datetime:
    hours, minutes = map(int, clock.split(":"))
    return day.replace(hour=hours, minute=minutes)


def _length(begins: str, ends: str) -> timedelta:
    return (_at(MONDAY, ends) - _at(MONDAY, begins)) % timedelta(days=1)
