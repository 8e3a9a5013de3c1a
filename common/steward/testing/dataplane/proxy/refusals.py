"""Answers that the inbound proxy makes itself: nothing tells them from those of an application but their emptiness."""

from dataclasses import dataclass
from datetime import datetime

from steward.testing.dataplane.proxy.exchange import Request, Response
from steward.testing.dataplane.proxy.own_errors import without_body


@dataclass(frozen=True, slots=True)
class Refusal:
    """Status of HTTP, code of gRPC, and the reason that only gRPC clients of the mesh get to read."""

    status: int
    code: int
    reason: str
    label: str = "unexpected"


UNAUTHORIZED = Refusal(403, 7, "unauthorized request on route")
NO_ROUTE = Refusal(404, 5, "no route found for request")
UNREACHABLE = Refusal(502, 14, "connect error")
CLOSED = Refusal(500, 13, "connection closed before message completed")
FAILING_FAST = Refusal(504, 14, "service in fail-fast", "failfast")
SHEDDING = Refusal(503, 14, "service unavailable", "loadshed")


def too_many(scope: str, rate: int) -> Refusal:
    """The answer to whom a rate limit applies."""
    which = "total" if scope == "total" else "per-identity"
    return Refusal(429, 8, f"{which} rate limit exceeded: {rate}rps")


def answer(refusal: Refusal, request: Request, now: datetime, *, told: str) -> Response:
    """The response. `told` is what clients of gRPC read; empty for those outside of the mesh."""
    return without_body((refusal.status, refusal.code), told, request, now)
