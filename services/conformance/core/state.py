"""Results → the state of a feature: a fold that comes to the same whatever the order in which results arrive.

`History` keeps the newest marks of a feature sorted and folds them with `Course.after`. Marks beyond the newest few
hundred have settled: a result that comes later still than that counts in the sums and changes no confirmed state.
"""

import math
from bisect import insort
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.conformance.core.marks import VALID, Hours, Mark, Spans
from services.conformance.core.objectives import burn
from steward.conformance.results import RETENTION, FeatureState, Quarantine, State, Verdict

_DECAY = 0.9
_FLIPPING = (0.02, 0.5)
_Z = 1.96
_KEPT = 1440
"""A day of cycles of a minute: more than any window of burn, and than the memory of the flip rate."""


@dataclass(frozen=True, slots=True)
class Sureness:
    """How many cycles in a row confirm. A security feature that fails is confirmed by one."""

    consecutive: int = 3
    security: bool = False

    @property
    def to_fail(self) -> int:
        """Cycles."""
        return 1 if self.security else self.consecutive


@dataclass(frozen=True, slots=True)
class Course:
    """How a feature fared up to some mark."""

    failing: bool = False
    confirmed_by: Mark | None = None
    """The mark that made `failing` what it is; None before the first confirmation."""
    since: datetime | None = None
    """When the first of the marks that confirmed it was taken."""
    failed_since: datetime | None = None
    """While failing, and of the failure that ended last: when it began."""
    bad: int = 0
    good: int = 0
    streak_since: datetime | None = None
    last_passed: datetime | None = None
    last_failed: datetime | None = None
    last_valid: datetime | None = None
    flips: float = 0.0
    clean: bool | None = None

    def after(self, mark: Mark, sureness: Sureness) -> "Course":
        """And then this."""
        if mark.verdict not in VALID:
            return self
        clean = mark.verdict is Verdict.PASSED
        flipped = self.clean is not None and clean != self.clean
        noted = replace(
            self,
            clean=clean,
            flips=_DECAY * self.flips + (1 - _DECAY) * flipped,
            last_valid=mark.at,
            last_passed=self.last_passed if mark.verdict is Verdict.FAILED else mark.at,
            last_failed=mark.at if mark.verdict is Verdict.FAILED else self.last_failed,
        )
        return _confirmed(_counted(noted, mark), mark, sureness)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a state depends on besides results."""

    now: datetime
    target: float = 0.999
    window: timedelta = timedelta(days=28)
    stale_after: timedelta | None = None
    """None where nobody promised to go on probing."""
    quarantine: Quarantine | None = None


@dataclass(slots=True)
class History:
    """All that is known of one feature."""

    feature: str
    sureness: Sureness = field(default_factory=Sureness)
    kept: int = _KEPT
    _recent: list[Mark] = field(default_factory=list)
    _known: dict[tuple[str, int], Mark] = field(default_factory=dict)
    _settled: dict[str, Spans] = field(default_factory=dict)
    _horizon: Mark | None = None
    _base: Course = field(default_factory=Course)
    _course: Course | None = field(default_factory=Course)
    _hours: Hours = field(default_factory=Hours)

    def add(self, mark: Mark) -> bool:
        """Take a result; False where it was known. Of two reports of one cycle the earlier one counts."""
        known = self._known.get(mark.key)
        if known is not None:
            if known <= mark:
                return False
            self._recent.remove(known)
            del self._known[mark.key]
            self._hours.count(known, by=-1)
            self._course = None
        elif mark.cycle in self._settled.get(mark.run_uid, ()):
            return False
        self._hours.count(mark)
        if self._horizon is not None and mark < self._horizon:
            self._settled.setdefault(mark.run_uid, Spans()).add(mark.cycle)
            return True
        self._insert(mark)
        return True

    def _insert(self, mark: Mark) -> None:
        self._known[mark.key] = mark
        if self._course is not None and (not self._recent or self._recent[-1] < mark):
            self._course = self._course.after(mark, self.sureness)
            self._recent.append(mark)
        else:
            insort(self._recent, mark)
            self._course = None
        if len(self._recent) > 2 * self.kept:
            self._settle()

    def _settle(self) -> None:
        """Fold the oldest marks away; what remains is enough for every window that anybody asks for."""
        for mark in self._recent[: -self.kept]:
            self._base = self._base.after(mark, self.sureness)
            self._settled.setdefault(mark.run_uid, Spans()).add(mark.cycle)
            del self._known[mark.key]
            self._horizon = mark
        del self._recent[: -self.kept]
        self._hours.forget(self._recent[-1].at - 2 * RETENTION)

    def judge_by(self, sureness: Sureness) -> None:
        """Confirm by another rule from now on; what has settled stays as it was judged."""
        if sureness != self.sureness:
            self.sureness = sureness
            self._course = None

    def knows(self, run_uid: str, cycle: int) -> bool:
        """Whether that cycle was told."""
        return (run_uid, cycle) in self._known or cycle in self._settled.get(run_uid, ())

    @property
    def course(self) -> Course:
        """How it fared up to the newest mark."""
        if self._course is None:
            course = self._base
            for mark in self._recent:
                course = course.after(mark, self.sureness)
            self._course = course
        return self._course

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The newest marks, oldest first."""
        return tuple(self._recent)

    def state(self, asked: Asked) -> FeatureState:
        """What many results together say."""
        course, tally = self.course, self._hours.within(asked.now, asked.window)
        low, high = wilson(tally.valid - tally.good + self._flaky(), tally.valid)
        judged = tally.valid + tally.inconclusive
        return FeatureState(
            feature=self.feature,
            state=_state(course, low, asked),
            since=course.since,
            consecutive=course.bad if course.bad else course.good,
            last_passed=course.last_passed,
            last_failed=course.last_failed,
            flip_rate=course.flips,
            good=tally.good,
            valid=tally.valid,
            inconclusive=tally.inconclusive,
            failure_low=low,
            failure_high=high,
            burn_1h=burn(self._recent, asked.now, timedelta(hours=1), asked.target),
            burn_6h=burn(self._recent, asked.now, timedelta(hours=6), asked.target),
            coverage=tally.valid / judged if judged else 1.0,
            quarantine=asked.quarantine,
        )

    def _flaky(self) -> int:
        return sum(1 for mark in self._recent if mark.verdict is Verdict.FLAKY)


def wilson(bad: int, valid: int) -> tuple[float, float]:
    """The 95 % interval of a share. No failures at all still leave an upper bound, which is what silence proves."""
    if not valid:
        return 0.0, 1.0
    share = min(bad, valid) / valid
    scale = 1 + _Z**2 / valid
    middle = (share + _Z**2 / (2 * valid)) / scale
    reach = _Z * math.sqrt(share * (1 - share) / valid + _Z**2 / (4 * valid**2)) / scale
    return (max(0.0, middle - reach) if bad else 0.0), min(1.0, middle + reach)


def _counted(course: Course, mark: Mark) -> Course:
    """Streaks. A flaky cycle ends a streak of failures, and is no step towards recovery."""
    match mark.verdict:
        case Verdict.FAILED:
            since = course.streak_since if course.bad else mark.at
            return replace(course, bad=course.bad + 1, good=0, streak_since=since)
        case Verdict.FLAKY:
            return replace(course, bad=0, good=0, streak_since=None)
        case _:
            since = course.streak_since if course.good else mark.at
            return replace(course, bad=0, good=course.good + 1, streak_since=since)


def _confirmed(course: Course, mark: Mark, sureness: Sureness) -> Course:
    if not course.failing and course.bad >= sureness.to_fail:
        since = course.streak_since
        return replace(course, failing=True, confirmed_by=mark, since=since, failed_since=since)
    if course.failing and course.good >= sureness.consecutive:
        return replace(course, failing=False, confirmed_by=mark, since=course.streak_since)
    return course


def _state(course: Course, low: float, asked: Asked) -> State:
    if asked.quarantine is not None and asked.quarantine.until > asked.now:
        return State.QUARANTINED
    if course.last_valid is None:
        return State.UNKNOWN
    if asked.stale_after is not None and asked.now - course.last_valid > asked.stale_after:
        return State.STALE
    if course.failing:
        return State.FAILING
    if course.bad:
        return State.SUSPECT
    return State.FLAKY if _FLIPPING[0] < course.flips < _FLIPPING[1] and low > 0 else State.HEALTHY
