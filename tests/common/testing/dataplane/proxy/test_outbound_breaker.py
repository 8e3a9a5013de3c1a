"""Breakers in an outbound proxy: endpoints that fail are left alone, tried again, and seen in the gauge."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from steward.testing.clock import ManualClock
from steward.testing.dataplane.config import ConsecutiveAccrual, OutboundTarget, RateAccrual
from steward.testing.dataplane.proxy.exchange import Handler, Request, Response, header
from tests.common.testing.dataplane.proxy.outbound_side import OutboundSide, answering, outbound_side, service

GAUGE = "outbound_http_balancer_endpoints"
SHORT = ConsecutiveAccrual(3, timedelta(milliseconds=80), timedelta(milliseconds=160))
LONG = ConsecutiveAccrual(3, timedelta(minutes=1), timedelta(minutes=1))


@pytest.fixture
async def side() -> AsyncIterator[OutboundSide]:
    async with outbound_side() as side:
        yield side


class Ailing:
    """An application that fails while it is told to."""

    def __init__(self, status: int = 503) -> None:
        self.ill = True
        self.status = status

    async def __call__(self, _: Request) -> Response:
        return Response(self.status if self.ill else 200, (("x-served-by", "ailing"),))


async def told(side: OutboundSide, accrual: ConsecutiveAccrual | RateAccrual, *apps: Handler) -> OutboundTarget:
    endpoints = [await side.meshed(app) for app in apps]
    target = service(*endpoints, accrual=accrual)
    side.tell(target)
    return target


async def test_an_endpoint_that_keeps_failing_is_left_alone(side: OutboundSide) -> None:
    await told(side, LONG, Ailing(), answering("well"))
    failures = 0
    while side.counted(GAUGE, endpoint_state="pending") < 1:
        failures += (await side.ask()).status == 503
    assert failures == 3
    assert {header((await side.ask()).headers, "x-served-by") for _ in range(10)} == {"well"}
    assert side.counted(GAUGE, endpoint_state="ready") == 1


async def test_with_every_breaker_open_the_service_fails_fast(side: OutboundSide) -> None:
    await told(side, LONG, Ailing())
    assert [(await side.ask()).status for _ in range(5)] == [503, 503, 503, 504, 503]
    assert side.counted("outbound_http_errors_total", error="failfast") == 1
    assert side.counted("outbound_http_errors_total", error="loadshed") == 1


async def test_a_penalty_ends_with_one_request_on_trial(side: OutboundSide) -> None:
    app = Ailing()
    await told(side, SHORT, app)
    for _ in range(3):
        await side.ask()
    await side.until(GAUGE, 1, endpoint_state="ready")
    assert (await side.ask()).status == 503
    app.ill = False
    await side.until(GAUGE, 1, endpoint_state="ready")
    assert [(await side.ask()).status for _ in range(4)] == [200] * 4


async def test_a_low_rate_of_success_opens_it_too(side: OutboundSide) -> None:
    policy = RateAccrual(0.8, timedelta(minutes=5), 4, count_429=True, min_penalty=timedelta(minutes=1))
    await told(side, policy, Ailing(429))
    assert [(await side.ask()).status for _ in range(5)] == [429] * 4 + [504]


async def test_a_failure_that_comes_fast_does_not_attract_requests_where_that_is_asked_for() -> None:
    async with outbound_side(ManualClock()) as side:
        endpoints = [await side.meshed(Ailing(429)), await side.meshed(answering("well"))]
        side.tell(service(*endpoints, penalize_failures=True))
        assert [(await side.ask()).status for _ in range(20)].count(429) <= 1
