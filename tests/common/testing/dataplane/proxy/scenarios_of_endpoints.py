"""What is observed of balancing, breakers, failing fast, and of whom the proxy believes."""

from dataclasses import replace
from datetime import timedelta

from steward.testing.dataplane.config import (
    ConsecutiveAccrual,
)
from steward.testing.dataplane.proxy.exchange import Response, Version
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.stream import Stream
from tests.common.testing.dataplane.proxy.outbound_scenario import Scenario, served, within
from tests.common.testing.dataplane.proxy.outbound_side import (
    SERVER_ID,
    TRUST,
    OutboundSide,
    Slow,
    answering,
    service,
)
from tests.common.testing.dataplane.proxy.scenarios_of_routes import routed


async def spread(side: OutboundSide) -> object:
    side.tell(service(await side.plain(answering("a")), await side.plain(answering("b"))))
    return len({await served(side) for _ in range(30)})


async def half_meshed(side: OutboundSide) -> object:
    """How many of the two answer, of whom only one has a proxy."""
    side.tell(service(await side.meshed(answering("a")), await side.plain(answering("b"))))
    return len({await served(side) for _ in range(30)})


async def avoided(side: OutboundSide) -> object:
    slow = Slow(side.clock)
    side.tell(service(await side.plain(answering("quick")), await side.plain(slow)))
    while slow.calls < 1:
        await side.ask()
    return [await served(side) for _ in range(24)].count("slow") > 4


async def penalised(side: OutboundSide) -> object:
    endpoints = [await side.plain(answering("ill", 429)), await side.plain(answering("well"))]
    side.tell(service(*endpoints, penalize_failures=True))
    return [await served(side) for _ in range(24)].count("ill") > 2


def statuses(accrual: ConsecutiveAccrual, asked: int) -> Scenario:
    """Of an application that always fails."""

    async def scenario(side: OutboundSide) -> object:
        side.tell(service(await side.plain(answering("ill", 500)), accrual=accrual))
        return [(await side.ask()).status for _ in range(asked)]

    return scenario


async def closing_breaker(side: OutboundSide) -> object:
    short = ConsecutiveAccrual(1, timedelta(milliseconds=20), timedelta(milliseconds=20))
    side.tell(service(await side.plain(answering("ill", 500)), accrual=short))
    await side.ask()
    return await within(side, side.until("outbound_http_balancer_endpoints", 1, endpoint_state="ready"))


async def without_endpoints(side: OutboundSide) -> object:
    side.tell(service())
    response = await within(side, side.ask())
    return response.status if isinstance(response, Response) else response


async def endpoints_back(side: OutboundSide) -> object:
    side.tell(service())
    await side.ask()
    side.tell(service(await side.plain(answering("back"))))
    await side.until("outbound_http_balancer_endpoints", 1, endpoint_state="ready")
    return await served(side)


async def secured(side: OutboundSide) -> object:
    endpoint = await side.meshed(answering("meshed"))
    await side.listen(endpoint.ip, endpoint.port, _bare)
    side.tell(service(endpoint))
    return await served(side)


async def _bare(stream: Stream) -> None:
    await serve_http(stream, answering("bare"), Version.HTTP1)


async def impostor(side: OutboundSide) -> object:
    endpoint = await side.meshed(answering("impostor"), identity=TRUST.identity("impostor.lab"))
    side.tell(service(replace(endpoint, identity=SERVER_ID)))
    return await served(side)


def required(identity: str) -> Scenario:
    """The status when the client insists."""

    async def scenario(side: OutboundSide) -> object:
        side.tell(service(await side.meshed(answering("echo"))))
        return (await side.ask("/", (("l5d-require-id", identity),))).status

    return scenario


async def tls_counted(side: OutboundSide) -> object:
    side.tell(service(await side.meshed(answering("echo"))))
    await side.ask()
    return side.counted("request_total", tls="true")


async def route_counted(side: OutboundSide) -> object:
    await routed(side)
    response = await side.ask()
    await response.body.read()
    await side.until("outbound_http_route_request_statuses_total", 1)
    return side.counted("outbound_http_route_request_statuses_total", route_name="split")
