"""Trying again: which answers are not good enough, how often, how long apart."""

from collections import deque
from dataclasses import dataclass, replace
from datetime import timedelta

from steward.testing.dataplane.config import Retry
from steward.testing.dataplane.proxy.exchange import Body, Response, header
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.own_errors import is_grpc

_FIRST_PAUSE = timedelta(milliseconds=25)
_LONGEST_PAUSE = timedelta(milliseconds=250)


def unsatisfying(retry: Retry, response: Response) -> bool:
    """Whether an answer is one to try again after. Codes of gRPC must be known: see `peeked`."""
    if any(first <= response.status <= last for first, last in retry.statuses):
        return True
    code = header((*response.headers, *response.body.trailers), "grpc-status")
    return code.isdigit() and int(code) in retry.codes


async def peeked(response: Response) -> Response:
    """A response of gRPC with its first chunk read: if there is none, its trailers are known."""
    if response.body.empty or not is_grpc(response.headers):
        return response
    first = await anext(response.body, None)
    body = response.body
    if first is None:
        return replace(response, body=Body.of(b"", body.trailers))
    return replace(response, body=Body(_Resumed(first, body), lambda: body.trailers))


class _Resumed:
    def __init__(self, first: bytes, body: Body) -> None:
        self._first: bytes | None = first
        self._body = body

    def __aiter__(self) -> "_Resumed":
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await anext(self._body)

    async def aclose(self) -> None:
        await self._body.close()


async def pause(context: OutboundContext, attempt: int) -> None:
    """Before the next attempt; longer each time, never the same for two clients."""
    longest = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
    await context.clock.sleep(longest * context.chance.uniform(0.5, 1.0))


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """Retries for each request that was made, and how many there may always be."""

    ratio: float
    minimum_per_second: int
    window: timedelta = timedelta(seconds=10)


class Budget:
    """What a ServiceProfile has left to spend on retries. Times are seconds of a monotonic clock."""

    def __init__(self, policy: BudgetPolicy) -> None:
        self._policy = policy
        self._requests: deque[float] = deque()
        self._retries: deque[float] = deque()

    def deposit(self, now: float) -> None:
        """A request was made."""
        self._requests.append(now)

    def withdraw(self, now: float) -> bool:
        """Whether one more retry may be made."""
        horizon = now - self._policy.window.total_seconds()
        for spent in (self._requests, self._retries):
            while spent and spent[0] < horizon:
                spent.popleft()
        reserve = self._policy.minimum_per_second * self._policy.window.total_seconds()
        if len(self._retries) >= len(self._requests) * self._policy.ratio + reserve:
            return False
        self._retries.append(now)
        return True
