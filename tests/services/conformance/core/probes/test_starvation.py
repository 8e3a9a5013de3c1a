"""A client without processor time measures itself: what comes late by no more than that says nothing of the mesh."""

from datetime import timedelta

import pytest

from services.conformance.core.judge import proven
from services.conformance.core.probes import balancing, breakers, timeouts
from steward.conformance.results import Verdict
from tests.services.conformance.core.probes.test_balancing import FAMILY as BALANCING
from tests.services.conformance.core.probes.test_breakers import FAMILY as BREAKERS
from tests.services.conformance.core.probes.test_timeouts import FAMILY
from tests.services.conformance.core.seen import NOW, STAGE, answer, calls, evidence, refusal

_PROBE = next(probe for probe in timeouts.PROBES if probe.id == "timeout.request")
_HEALTHY = FAMILY.healthy[_PROBE.id]
_SAID = "request timeout"


def _late(seconds: float, of_it_our_own: float) -> str:
    slow = calls(refusal(504, _SAID, seconds=seconds, late_seconds=of_it_our_own), times=5)
    judged = proven(_PROBE.proof, STAGE, evidence(_HEALTHY, slow=slow))
    return f"{judged.verdict} {judged.reason}"


def test_an_answer_that_is_late_while_its_client_was_kept_waiting_tells_nothing() -> None:
    assert _late(2.5, of_it_our_own=2.0) == f"{Verdict.INCONCLUSIVE} Starved"


def test_an_answer_that_is_later_than_that_is_late() -> None:
    assert _late(2.5, of_it_our_own=0.5) == f"{Verdict.FAILED} Disproven"


def test_an_answer_that_is_too_early_is_excused_by_nothing() -> None:
    assert _late(0.05, of_it_our_own=2.0) == f"{Verdict.FAILED} Disproven"


def test_what_else_is_wrong_stays_wrong_however_busy_the_client_was() -> None:
    slow = calls(answer(seconds=2.5, late_seconds=2.0), times=5)
    judged = proven(_PROBE.proof, STAGE, evidence(_HEALTHY, slow=slow))
    assert judged.verdict is Verdict.FAILED


@pytest.mark.parametrize("feature", ["timeout.request", "timeout.response", "timeout.route", "timeout.idle"])
def test_a_quick_answer_that_is_given_up_while_its_client_was_kept_waiting_tells_nothing(feature: str) -> None:
    probe = next(each for each in timeouts.PROBES if each.id == feature)
    step = "steady" if feature == "timeout.idle" else "quick"

    def told(own: float) -> Verdict:
        given_up = calls(answer(), refusal(504, _SAID, late_seconds=own))
        return proven(probe.proof, STAGE, evidence(FAMILY.healthy[feature], **{step: given_up})).verdict

    assert told(own=0.2) is Verdict.INCONCLUSIVE
    assert told(own=0.02) is Verdict.FAILED


def test_where_quick_pods_are_slow_as_well_nobody_can_tell_that_the_slow_one_is_spared() -> None:
    probe = next(each for each in balancing.PROBES if each.id == "lb.ewma")

    def told(slowest: float) -> str:
        shared = [answer(pod=("v1-0", "v1-1", "v2-0")[number % 3], seconds=0.05) for number in range(179)]
        sample = calls(*shared, answer(pod="v1-1", seconds=slowest))
        judged = proven(probe.proof, STAGE, evidence(BALANCING.healthy[probe.id], sample=sample))
        return f"{judged.verdict} {judged.reason}"

    assert told(1.2) == f"{Verdict.INCONCLUSIVE} Starved"
    assert told(0.06) == f"{Verdict.FAILED} Disproven"


def test_a_breaker_whose_penalty_may_be_over_when_its_page_is_read_tells_nothing() -> None:
    probe = next(each for each in breakers.PROBES if each.id == "cb.consecutive")
    healthy = BREAKERS.healthy[probe.id]

    def told(lasted: float) -> Verdict:
        replies = evidence(healthy).replies("failing")
        last = answer(pod="v2-0", at=NOW + timedelta(seconds=lasted))
        found = evidence(healthy, failing=calls(*replies, last), tripped=healthy["before"])
        return proven(probe.proof, STAGE, found).verdict

    assert told(lasted=4) is Verdict.INCONCLUSIVE
    assert told(lasted=3) is Verdict.FAILED
