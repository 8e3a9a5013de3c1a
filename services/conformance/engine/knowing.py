"""What is known of every feature, folded from the stream of results; rebuilt from it whenever a term begins."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from services.conformance.core.marks import Mark
from services.conformance.core.objectives import objective_of
from services.conformance.core.patterns import means
from services.conformance.core.ports import Results
from services.conformance.core.probe import Probe
from services.conformance.core.schedule import STALE_AFTER, Timetable
from services.conformance.core.state import Asked, History, Sureness
from services.conformance.metrics import BURN, CONSECUTIVE, COVERAGE, SINCE_PASS, STATUS
from steward.clock import Clock
from steward.conformance.results import FeatureResult, FeatureState, Quarantine, State
from steward.resources.conformance_suite import ConformanceSuiteSpec
from steward.service.instruments import Instruments

_SHOWN = {
    State.HEALTHY: 1.0,
    State.SUSPECT: 1.0,
    State.FLAKY: 1.0,
    State.FAILING: -1.0,
    State.QUARANTINED: 0.0,
    State.STALE: 0.0,
    State.UNKNOWN: 0.0,
}


class Knowing:
    """The histories of all features."""

    def __init__(self, probes: Iterable[Probe], results: Results, clock: Clock, instruments: Instruments) -> None:
        self._probes = {probe.id: probe for probe in probes}
        self._results = results
        self._clock = clock
        self._instruments = instruments
        self._histories: dict[str, History] = {}
        self._suites: dict[str, tuple[ConformanceSuiteSpec, timedelta | None]] = {}
        self.loaded = asyncio.Event()
        """Set once all that was found out before is known: nothing is judged or said without."""

    async def load(self) -> None:
        """Read the stream. What comes in meanwhile from our own probes is added as well, and counts once."""
        async for kept in self._results.marks():
            self.history(kept.feature).add(kept.mark)
        self.loaded.set()

    def history(self, feature: str) -> History:
        """Of one feature; empty where nothing is known."""
        if feature not in self._histories:
            probe = self._probes.get(feature)
            sureness = Sureness(security=probe.security if probe is not None else False)
            self._histories[feature] = History(feature, sureness)
        return self._histories[feature]

    def features(self) -> Iterator[str]:
        """All of which anything is known."""
        return iter(sorted(self._histories))

    def probe(self, feature: str) -> Probe | None:
        """The probe of a feature; None of one that is not in the catalogue any more."""
        return self._probes.get(feature)

    def judge_by(self, probes: Iterable[Probe], suite: ConformanceSuiteSpec, timetable: Timetable | None) -> None:
        """From now on these features are confirmed, and their objectives measured, as a suite says."""
        for probe in probes:
            consecutive = suite.confirmation.consecutive
            self.history(probe.id).judge_by(Sureness(consecutive, probe.security))
            stale = timetable.interval(probe.tier) * STALE_AFTER if timetable is not None else None
            self._suites[probe.id] = (suite, stale)

    def forget_pace(self, probes: Iterable[Probe]) -> None:
        """Nobody promises any more to go on probing these."""
        for probe in probes:
            if probe.id in self._suites:
                self._suites[probe.id] = (self._suites[probe.id][0], None)

    def add(self, result: FeatureResult) -> bool:
        """Take a result; False where it was known."""
        return self.history(result.feature).add(Mark.of(result))

    def state(self, feature: str) -> FeatureState:
        """What many results together say of a feature, at this moment."""
        suite, stale = self._suites.get(feature, (ConformanceSuiteSpec(), None))
        objective = objective_of(feature, suite.objectives)
        asked = Asked(
            now=self._clock.now(),
            target=objective.target_percent / 100,
            window=timedelta(seconds=objective.window_seconds),
            stale_after=stale,
            quarantine=self.quarantine(feature),
        )
        return self.history(feature).state(asked)

    def quarantine(self, feature: str) -> Quarantine | None:
        """While it lasts."""
        suite, _ = self._suites.get(feature, (ConformanceSuiteSpec(), None))
        now = self._clock.now()
        found = [each for each in suite.quarantine if means(each.feature, feature) and each.until > now]
        if not found:
            return None
        longest = max(found, key=lambda each: each.until)
        return Quarantine(owner=longest.owner, reason=longest.reason, until=longest.until)

    def show(self) -> None:
        """The gauges."""
        now = self._clock.now()
        states = {feature: self.state(feature) for feature in self.features()}
        show = self._instruments.show
        show(STATUS, {(name,): _SHOWN[each.state] for name, each in states.items()})
        show(CONSECUTIVE, {(name,): float(self.history(name).course.bad) for name in states})
        show(SINCE_PASS, {(name,): age for name, each in states.items() if (age := _age(each, now)) is not None})
        burns: dict[tuple[str, ...], float] = {(name, "1h"): each.burn_1h for name, each in states.items()}
        burns |= {(name, "6h"): each.burn_6h for name, each in states.items()}
        show(BURN, burns)
        valid = sum(each.valid for each in states.values())
        judged = valid + sum(each.inconclusive for each in states.values())
        self._instruments.set(COVERAGE, valid / judged if judged else 1.0)


def _age(state: FeatureState, now: datetime) -> float | None:
    return None if state.last_passed is None else max(0.0, (now - state.last_passed).total_seconds())
