"""A day of virtual time: noise alone wakes nobody, and a real fault is confirmed within the bound that is promised."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from services.conformance.core.confirmation import settled, try_again
from services.conformance.core.marks import Mark
from services.conformance.core.probes import PROBES, chosen
from services.conformance.core.schedule import Timetable
from services.conformance.core.state import History, Sureness
from services.conformance.core.story import owed
from steward.conformance.results import Attempt, Tier, Verdict
from steward.resources.conformance_suite import ConformanceSuiteSpec

DAWN = datetime(2026, 6, 18, tzinfo=UTC)
DAY = timedelta(days=1)
SUITE = ConformanceSuiteSpec()
SPURIOUS = 0.005
TAKES = timedelta(seconds=40)

Fails = Callable[[datetime], bool]


def cycles(tier: Tier, timetable: Timetable, until: datetime) -> Iterator[tuple[int, datetime]]:
    now = DAWN
    while now < until:
        cycle = timetable.current(tier, now)
        yield cycle.number, now
        now = timetable.following(tier, now).due


def attempts(at: datetime, fails: Fails) -> list[Attempt]:
    """As the runner makes them."""
    made: list[Attempt] = []
    while not made or try_again(made, SUITE.confirmation.inline_retries):
        made.append(Attempt(verdict=Verdict.FAILED if fails(at) else Verdict.PASSED, at=at))
    return made


def exercised(tier: Tier, fails: Fails, sureness: Sureness) -> tuple[list[str], datetime | None]:
    """What is said of a feature in a day, and when it was first confirmed to fail."""
    timetable = Timetable.of(DAWN, SUITE.schedule, SUITE.jitter_percent)
    history, said, confirmed = History("feature", sureness), list[str](), None
    for number, at in cycles(tier, timetable, DAWN + DAY):
        history.add(Mark(at, "run", number, settled(attempts(at, fails))))
        what = owed(history.course, said[-1] if said else "", asleep=False)
        if what:
            said.append(what)
            confirmed = confirmed or at
    return said, confirmed


def test_a_day_of_noise_on_a_healthy_mesh_is_never_told_as_a_failure() -> None:
    chance = random.Random(1)
    probes = chosen((), (), SUITE.tiers, SUITE.allow, of=PROBES)
    assert len(probes) > 60
    for probe in probes:
        sureness = Sureness(SUITE.confirmation.consecutive, probe.security)
        said, _ = exercised(probe.tier, lambda _: chance.random() < SPURIOUS, sureness)
        assert said == [], probe.id


@pytest.mark.parametrize("tier", [Tier.FOUNDATION, Tier.TRAFFIC, Tier.DEPTH, Tier.ENVIRONMENT])
def test_a_fault_is_confirmed_within_its_bound_and_a_security_fault_by_the_first_cycle(tier: Tier) -> None:
    chance = random.Random(7)
    timetable = Timetable.of(DAWN, SUITE.schedule, SUITE.jitter_percent)
    for _ in range(6):
        struck = DAWN + DAY * chance.uniform(0.1, 0.6)
        for security, in_a_row in ((False, 3), (True, 1)):
            said, confirmed = exercised(tier, struck.__le__, Sureness(3, security))
            assert said == ["failed"]
            assert confirmed is not None
            bound = timetable.detected_within(tier, in_a_row, TAKES)
            assert confirmed + TAKES - struck <= bound
            if tier is Tier.FOUNDATION and not security:
                assert bound <= timedelta(minutes=4)


def test_a_fault_that_is_mended_is_told_once_and_its_end_once() -> None:
    struck, mended = DAWN + timedelta(hours=3), DAWN + timedelta(hours=5)
    said, _ = exercised(Tier.FOUNDATION, lambda at: struck <= at < mended, Sureness())
    assert said == ["failed", "recovered"]
