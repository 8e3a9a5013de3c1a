"""Answers that the inbound proxy makes itself: nothing tells them from those of an application but their emptiness."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote

from steward.testing.dataplane.proxy.exchange import Headers, Request, Response, header

GRPC = "application/grpc"
_PRINTABLE = "".join(chr(each) for each in range(0x20, 0x7F) if each != ord("%"))


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


def is_grpc(headers: Headers) -> bool:
    """Whether a message is one of gRPC."""
    return header(headers, "content-type").startswith(GRPC)


def answer(refusal: Refusal, request: Request, now: datetime, *, told: str) -> Response:
    """The response. `told` is what clients of gRPC read; empty for those outside of the mesh."""
    common: Headers = (("content-length", "0"), ("date", format_datetime(now, usegmt=True)))
    if not is_grpc(request.headers):
        return Response(refusal.status, common)
    message: Headers = (("grpc-message", quote(told, safe=_PRINTABLE)),) if told else ()
    return Response(200, (("content-type", GRPC), ("grpc-status", str(refusal.code)), *message, *common))
