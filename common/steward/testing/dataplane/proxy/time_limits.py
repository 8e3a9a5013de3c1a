"""Timeouts of a route around one exchange: until the head of its response, and while the body follows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from steward.testing.dataplane.config import Timeouts
from steward.testing.dataplane.proxy.exchange import Body, Response
from steward.testing.dataplane.proxy.failures import StreamReset
from steward.testing.dataplane.proxy.own_errors import (
    HEADERS_TIMEOUT,
    REQUEST_TIMEOUT,
    RESPONSE_TIMEOUT,
    Kind,
    timed_out,
)

_CANCEL = 8


@dataclass(frozen=True, slots=True)
class Limit:
    """A moment on the loop's clock, and what to say when it has come."""

    at: float
    kind: Kind
    duration: timedelta


class TimeLimits:
    """Of one request, from its start. `attempt` limits one try for the head of its response only."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._idle = timeouts.idle
        now = asyncio.get_running_loop().time()
        given = ((REQUEST_TIMEOUT, timeouts.request), (RESPONSE_TIMEOUT, timeouts.response))
        self._limits = [Limit(now + each.total_seconds(), kind, each) for kind, each in given if each is not None]

    async def head(self, ask: Callable[[], Awaitable[Response]], attempt: timedelta | None = None) -> Response:
        """Raises the error of whichever limit comes first."""
        limits = list(self._limits)
        if attempt is not None:
            now = asyncio.get_running_loop().time()
            limits.append(Limit(now + attempt.total_seconds(), HEADERS_TIMEOUT, attempt))
        if not limits:
            return await ask()
        first = min(limits, key=lambda limit: limit.at)
        try:
            async with asyncio.timeout_at(first.at):
                return await ask()
        except TimeoutError:
            raise timed_out(first.kind, first.duration) from None

    def rest(self, response: Response) -> Response:
        """The response, whose body breaks off when it takes too long or pauses too long."""
        if response.upgrade is not None or response.body.empty or not (self._limits or self._idle):
            return response
        body = response.body
        return replace(response, body=Body(_Limited(body, self._limits, self._idle), lambda: body.trailers))


class _Limited(AsyncIterator[bytes]):
    def __init__(self, body: Body, limits: list[Limit], idle: timedelta | None) -> None:
        self._body = body
        self._ends = min((limit.at for limit in limits), default=None)
        self._idle = idle

    async def __anext__(self) -> bytes:
        ends = self._ends
        if self._idle is not None:
            pause = asyncio.get_running_loop().time() + self._idle.total_seconds()
            ends = pause if ends is None else min(ends, pause)
        try:
            async with asyncio.timeout_at(ends):
                return await anext(self._body)
        except TimeoutError:
            await self._body.close()
            raise StreamReset("the response took too long", _CANCEL) from None

    async def aclose(self) -> None:
        await self._body.close()
