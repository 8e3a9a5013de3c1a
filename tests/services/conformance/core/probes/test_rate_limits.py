"""Rate limits are judged by what was really offered: a client that cannot keep its pace must not blame the mesh."""

from datetime import timedelta

import pytest

from services.conformance.core.judge import proven
from services.conformance.core.orders import Reply
from services.conformance.core.probes import rate_limits
from steward.conformance.results import Verdict
from tests.services.conformance.core.outbound_seen import SHOWN
from tests.services.conformance.core.seen import NOW, STAGE, answer, calls, evidence, refusal

_PROBE = next(probe for probe in rate_limits.PROBES if probe.id == "ratelimit.override")


def _offered(seconds: float, passed: int, times: int = 100) -> tuple[Reply, ...]:
    """So many calls within so many seconds, of which so many pass."""
    each = timedelta(seconds=seconds) / times
    moments = [NOW + each * number for number in range(times)]
    return (*(answer(at=at) for at in moments[:passed]), *(refusal(429, at=at) for at in moments[passed:]))


def _verdict(favoured: tuple[Reply, ...]) -> Verdict:
    found = evidence({"in-force": SHOWN, "common": calls(*_offered(5, 20))}, favoured=calls(*favoured))
    return proven(_PROBE.proof, STAGE, found).verdict


@pytest.mark.parametrize(
    ("seconds", "passed"),
    [
        pytest.param(5, 50, id="at full pace"),
        pytest.param(5, 60, id="and a bucket that was full at first"),
        pytest.param(6.5, 70, id="at a slower pace, of which less is too much"),
    ],
)
def test_as_many_pass_as_the_limit_allows_in_the_time_that_it_took(seconds: float, passed: int) -> None:
    assert _verdict(_offered(seconds, passed)) is Verdict.PASSED


@pytest.mark.parametrize(
    ("seconds", "passed"),
    [
        pytest.param(5, 100, id="all pass"),
        pytest.param(5, 75, id="too many pass"),
        pytest.param(5, 20, id="as few as of anybody"),
        pytest.param(6.5, 45, id="too few for the time that it took"),
    ],
)
def test_another_share_than_the_limit_allows_is_a_failure(seconds: float, passed: int) -> None:
    assert _verdict(_offered(seconds, passed)) is Verdict.FAILED


def test_a_client_that_could_not_exceed_the_limit_tells_nothing() -> None:
    assert _verdict(_offered(9, 100)) is Verdict.INCONCLUSIVE
