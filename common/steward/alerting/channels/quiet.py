"""Times at which a channel is not told anything, as spans within one day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from steward.resources.alert_channel import QuietTime, Weekday

WEEK = tuple(Weekday)
UTC = ("", "UTC", "Etc/UTC")
_MIDNIGHT = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """From minute `begins` to minute `ends` of some days. Alertmanager has none that reach into the next day."""

    days: tuple[Weekday, ...]
    begins: int
    ends: int

    @property
    def clock(self) -> tuple[str, str]:
        """Both ends as `HH:MM`."""
        return _clock(self.begins), _clock(self.ends)


@dataclass(frozen=True, slots=True)
class MuteTime:
    """Spans with a name, by which routes are muted."""

    name: str
    spans: tuple[Span, ...]
    time_zone: str = ""
    """Empty: UTC."""

    def covers(self, local: datetime) -> bool:
        """Whether a time is within; `local` is given in the time zone of the spans."""
        day, minute = WEEK[local.weekday()], local.hour * 60 + local.minute
        return any(day in span.days and span.begins <= minute < span.ends for span in self.spans)


def spans(quiet: Iterable[QuietTime]) -> tuple[Span, ...]:
    """Quiet times, parted at midnight. Raise ValueError where one lasts no time."""
    found: list[Span] = []
    for each in quiet:
        begins, ends = _minutes(each.begins), _minutes(each.ends)
        days = tuple(day for day in WEEK if day in each.days) or WEEK
        if begins == ends:
            raise ValueError(f"a quiet time begins and ends at {each.begins}")
        if begins < ends:
            found.append(Span(days, begins, ends))
            continue
        found.append(Span(days, begins, _MIDNIGHT))
        if ends:
            found.append(Span(tuple(day for day in WEEK if _before(day) in days), 0, ends))
    return tuple(found)


def _before(day: Weekday) -> Weekday:
    return WEEK[WEEK.index(day) - 1]


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
