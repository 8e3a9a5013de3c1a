"""Results, reduced to what states are made of, and kept so that order, repetition and delay change nothing."""

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from steward.conformance.results import FeatureResult, Verdict

VALID = frozenset({Verdict.PASSED, Verdict.FLAKY, Verdict.FAILED})
GOOD = frozenset({Verdict.PASSED, Verdict.FLAKY})
_HOUR = 3600


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One cycle's verdict. Marks are ordered by time; those of one moment by where they come from."""

    at: datetime
    run_uid: str
    cycle: int
    verdict: Verdict
    run: str = field(default="", compare=False)

    @classmethod
    def of(cls, result: FeatureResult) -> "Mark":
        """What of a result matters to a state."""
        return cls(result.at, result.run_uid, result.cycle, result.verdict, result.run)

    @property
    def key(self) -> tuple[str, int]:
        """Which cycle of which run: told twice, it counts once."""
        return self.run_uid, self.cycle


@dataclass(slots=True)
class Spans:
    """A set of whole numbers, small where they follow one another as cycles do."""

    _spans: list[tuple[int, int]] = field(default_factory=list)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._spans, (number, number)) - 1
        nearby = self._spans[max(at, 0) : at + 2]
        return any(first <= number <= last for first, last in nearby)

    def add(self, number: int) -> None:
        """Put it in, and join what touches."""
        if number in self:
            return
        insort(self._spans, (number, number))
        joined: list[tuple[int, int]] = []
        for first, last in self._spans:
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
            else:
                joined.append((first, last))
        self._spans = joined

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self._spans)


@dataclass(slots=True)
class Tally:
    """How many cycles were good, could be judged, and could not."""

    good: int = 0
    valid: int = 0
    inconclusive: int = 0

    def count(self, verdict: Verdict, by: int = 1) -> None:
        """One more, or one less."""
        self.good += by * (verdict in GOOD)
        self.valid += by * (verdict in VALID)
        self.inconclusive += by * (verdict is Verdict.INCONCLUSIVE)


@dataclass(slots=True)
class Hours:
    """Tallies by the hour: sums do not care for order."""

    _hours: dict[int, Tally] = field(default_factory=dict)

    def count(self, mark: Mark, by: int = 1) -> None:
        """One more, or one less."""
        self._hours.setdefault(int(mark.at.timestamp()) // _HOUR, Tally()).count(mark.verdict, by)

    def within(self, now: datetime, window: timedelta) -> Tally:
        """The sum over a window that ends now, to the hour."""
        first = int((now - window).timestamp()) // _HOUR
        total = Tally()
        for hour, tally in self._hours.items():
            if hour >= first:
                total.good += tally.good
                total.valid += tally.valid
                total.inconclusive += tally.inconclusive
        return total

    def forget(self, before: datetime) -> None:
        """What is older than anybody asks for."""
        first = int(before.timestamp()) // _HOUR
        for hour in [hour for hour in self._hours if hour < first]:
            del self._hours[hour]
