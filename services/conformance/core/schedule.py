"""When a probe is due, and how much may go on at once.

Cycles are numbered by the clock: a process that starts anew finds the same number, so that what was told is known and
what was missed is simply missing.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.conformance.core.orders import Call, Doing
from services.conformance.core.probe import Probe
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Asked, Calls, During, Pages, Released, Scrapes, Step, Tapped, Until
from steward.conformance.results import Tier
from steward.resources.conformance_suite import TierInterval

NEVER_BY_ITSELF = timedelta(days=7)
"""A tier without an interval of its own: once a week is rather too seldom than too often."""
STALE_AFTER = 3
"""So many missed cycles, and a verdict is history."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """One turn of a tier."""

    number: int
    due: datetime


@dataclass(frozen=True, slots=True)
class Timetable:
    """The cycles of one run."""

    began: datetime
    intervals: Mapping[Tier, timedelta]
    jitter: float = 0.0

    @classmethod
    def of(cls, began: datetime, schedule: Iterable[TierInterval], jitter_percent: int) -> "Timetable":
        """From what a suite says."""
        intervals = {each.tier: timedelta(seconds=each.interval_seconds) for each in schedule}
        return cls(began, intervals, jitter_percent / 100)

    def interval(self, tier: Tier) -> timedelta:
        """From one cycle of a tier to the next, but for jitter."""
        return self.intervals.get(tier, NEVER_BY_ITSELF)

    def due(self, tier: Tier, number: int) -> datetime:
        """When a cycle begins. The jitter is the same for everybody who asks, and the first cycle has none."""
        chance = zlib.crc32(f"{tier}/{number}".encode()) / 2**32 if number else 0.0
        return self.began + self.interval(tier) * (number + self.jitter * chance)

    def current(self, tier: Tier, now: datetime) -> Cycle:
        """The latest cycle that has begun; before the first, the first."""
        number = max(0, int((now - self.began) / self.interval(tier)))
        if number and self.due(tier, number) > now:
            number -= 1
        return Cycle(number, self.due(tier, number))

    def following(self, tier: Tier, now: datetime) -> Cycle:
        """The first cycle that has not begun yet."""
        number = self.current(tier, now).number
        while self.due(tier, number) <= now:
            number += 1
        return Cycle(number, self.due(tier, number))

    def detected_within(self, tier: Tier, consecutive: int, takes: timedelta) -> timedelta:
        """The longest time from a fault to its confirmation: cycles with their jitter, and the last one's own time."""
        return self.interval(tier) * (consecutive + self.jitter) + takes


@dataclass(slots=True)
class Allowance:
    """Requests that may still be made: so many a second over time, a burst of a minute's worth at once."""

    per_second: float
    _left: float = field(init=False)
    _at: float | None = None

    def __post_init__(self) -> None:
        self._left = self._most

    @property
    def _most(self) -> float:
        return self.per_second * 60

    def wait(self, requests: float, now: float) -> timedelta:
        """Take so many, and say how long to wait before they are made. What costs more than a burst goes into debt."""
        if self._at is not None:
            self._left = min(self._most, self._left + (now - self._at) * self.per_second)
        self._at = now
        self._left -= requests
        return timedelta(seconds=max(0.0, -self._left / self.per_second))

    def give_back(self, requests: float) -> None:
        """What was taken, and not made after all."""
        self._left = min(self._most, self._left + requests)

    def owe(self, requests: float) -> None:
        """What was made and not taken: whoever comes next waits for it."""
        self._left -= requests


@dataclass(slots=True)
class Share:
    """The requests of one attempt, taken before it begins, for nobody may wait between its steps.

    A proxy forgets within seconds what nobody calls, and a step that came later than that would see another thing than
    the probe means. Without an allowance there is no limit.
    """

    allowance: Allowance | None = None
    left: int = 0

    def use(self, requests: int) -> None:
        """Make so many; fewer than none were not made after all. What goes beyond the share is owed."""
        self.left -= requests
        if self.left < 0 and self.allowance is not None:
            self.allowance.owe(-self.left)
            self.left = 0

    def close(self) -> None:
        """Give back what is left."""
        if self.allowance is not None:
            self.allowance.give_back(self.left)
        self.left = 0


def requests_of(doing: Doing) -> int:
    """How many requests an order makes."""
    return doing.times if isinstance(doing, Call) else 1


def requests(step: Step, stage: Stage) -> int:
    """How many requests a step makes at the least, by all pods of its actor."""
    match step:
        case Calls():
            return requests_of(step.call) * _pods(stage, step.actor)
        case Until():
            return step.consecutive * _pods(stage, step.actor)
        case During():
            return requests(step.load, stage) + sum(requests(each, stage) for each in step.steps)
        case Tapped():
            return _pods(stage, step.actor) + sum(requests(each, stage) for each in step.steps)
        case Asked() | Released():
            return _pods(stage, step.actor)
        case Pages():
            return _pods(stage, step.of)
        case Scrapes():
            return len(step.ports)
        case _:
            return 0


def _pods(stage: Stage, actor: str) -> int:
    """Of one pod by its name (`sm-0`), and of an actor that the probe is yet to bring, there is one."""
    return max(1, len(stage.pods(actor)))


def cost(probe: Probe, stage: Stage) -> int:
    """How many requests an attempt makes at the least, its control included."""
    control = probe.control.steps(stage) if probe.control is not None else ()
    return sum(requests(step, stage) for step in (*probe.steps(stage), *control))


def fitting(probes: Sequence[Probe], spare_pods: int) -> tuple[tuple[Probe, ...], tuple[Probe, ...]]:
    """Those that the cap on pods lets run at all, and those that it never does."""
    fit = tuple(each for each in probes if each.extra_pods <= spare_pods)
    return fit, tuple(each for each in probes if each.extra_pods > spare_pods)
