"""What a scenario of the outbound proxy is: something that is observed, with a fault or without."""

import asyncio
from collections.abc import Awaitable, Callable

from steward.testing.dataplane.proxy.exchange import Headers, header
from tests.common.testing.dataplane.proxy.outbound_side import (
    OutboundSide,
)

Scenario = Callable[[OutboundSide], Awaitable[object]]


async def served(side: OutboundSide, path: str = "/", headers: Headers = ()) -> str:
    response = await side.ask(path, headers)
    return header(response.headers, "x-served-by") or str(response.status)


async def within(side: OutboundSide, work: Awaitable[object]) -> object:
    """What it gives, `reset`, or `hangs`; how long that takes to believe depends on whether it is expected."""
    try:
        async with asyncio.timeout(side.patience.total_seconds()):
            return await work
    except TimeoutError:
        return "hangs"
    except ConnectionError:
        return "reset"
