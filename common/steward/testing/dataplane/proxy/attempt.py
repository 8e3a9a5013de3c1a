"""One request to one endpoint: sent, answered, counted under the names of the endpoint."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy.accrual import is_failure
from steward.testing.dataplane.proxy.balancer import Balancer, Slot
from steward.testing.dataplane.proxy.exchange import Request, Response, Version, header, without
from steward.testing.dataplane.proxy.failures import REFUSED, ExchangeFailed, GoAway, NeverSpoke, StreamReset
from steward.testing.dataplane.proxy.grpc_codes import classify
from steward.testing.dataplane.proxy.http_client import HttpConnection
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.own_errors import (
    CONNECTION,
    PROXY_CONNECTION,
    PROXY_ERROR,
    identity_required,
    is_grpc,
    respond,
)
from steward.testing.dataplane.proxy.passing_body import passing
from steward.testing.dataplane.proxy.tracing import End, traced

REQUIRED_ID = "l5d-require-id"
_CHANCES = 3
"""For a request that a server never looked at: no client should notice that one leaves."""
Classify = Callable[[int, str], str]


@dataclass(frozen=True, slots=True)
class Backing:
    """Who takes requests: a balancer, and how its answers are judged."""

    balancer: Balancer
    classify: Classify = classify
    penalize: bool = False


async def attempt(context: OutboundContext, backing: Backing, request: Request) -> Response:
    """Raises `OwnError` where no endpoint was to be had; a connection that broke is a response already."""
    balancer = backing.balancer
    chances = _CHANCES if request.body.empty else 1
    for left in reversed(range(chances)):
        slot, connection = await balancer.connected(request.version, upgrade=request.wants_upgrade)
        _insist(context, slot, request)
        response = await _Attempt(context, backing, slot, last=not left).run(connection, request)
        if response is not None:
            return response
        balancer.doubt(slot, request.version)
    raise AssertionError(request)


def _insist(context: OutboundContext, slot: Slot, request: Request) -> None:
    """The client may name whom it wants to speak with."""
    wanted = header(request.headers, REQUIRED_ID)
    if not wanted or context.broken(broken.REQUIRE_ID_IGNORED):
        return
    found = slot.endpoint.identity if slot.connections.secure else None
    if wanted != found or context.broken(broken.REQUIRE_ID_REFUSED):
        raise identity_required(wanted, found)


class _Attempt:
    def __init__(self, context: OutboundContext, backing: Backing, slot: Slot, *, last: bool) -> None:
        self._context = context
        self._backing = backing
        self._slot = slot
        self._labels = slot.connections.labels
        self._begun = context.clock.monotonic()
        self._over = False
        self._last = last

    async def run(self, connection: HttpConnection, request: Request) -> Response | None:
        """None: the server did not look at it, another one may."""
        self._backing.balancer.begun(self._slot)
        self._context.metrics.count("request_total", **self._labels)
        sent = replace(request, headers=without(request.headers, (REQUIRED_ID,)))
        if self._context.broken(broken.H2_DOWNGRADED):
            sent = replace(sent, version=Version.HTTP1)
        try:
            response = await traced(self._context.tracing, End.OUTBOUND_CLIENT, sent, connection.send)
        except ExchangeFailed as error:
            refused = isinstance(error, StreamReset) and error.code == REFUSED
            unseen = refused or isinstance(error, GoAway | NeverSpoke)
            self._failed(judged=not unseen)
            if unseen and not self._last:
                return None
            if isinstance(error, StreamReset) and request.version is Version.HTTP2:
                raise
            place = f"endpoint {self._slot.endpoint.ip}:{self._slot.endpoint.port}"
            return respond(CONNECTION, f"{place}: connection error", request, self._context.clock.now())
        except BaseException:
            self._failed(judged=False)
            raise
        return self._answered(response)

    def _answered(self, response: Response) -> Response:
        elapsed = self._context.clock.monotonic() - self._begun
        status = str(response.status)
        self._context.metrics.observe("response_latency_ms", elapsed * 1000, status_code=status, **self._labels)
        # Errors of the server's proxy arrive as if nobody had made them.
        if self._slot.connections.secure:
            response = replace(response, headers=without(response.headers, (PROXY_ERROR, PROXY_CONNECTION)))
        at_once = response.upgrade is not None or response.body.empty
        judged = at_once or not is_grpc(response.headers)
        self._backing.balancer.answered_in(self._slot, elapsed)
        if judged:
            self._judge(response)
        if at_once:
            self._ended(response, whole=True)
            return response
        body = passing(
            response.body, lambda _: None, lambda whole: self._finished(response, whole=whole, judged=judged)
        )
        return replace(response, body=body)

    def _finished(self, response: Response, *, whole: bool, judged: bool) -> None:
        if not judged:
            self._judge(response)
        self._ended(response, whole=whole)

    def _judge(self, response: Response) -> None:
        """Let the balancer learn from the answer; that of gRPC is known at its end only."""
        classified = self._backing.classify(response.status, _code(response))
        accrual = self._slot.breaker.policy if self._slot.breaker is not None else None
        failed = classified == "failure" if accrual is None else is_failure(accrual, response.status, classified)
        limited = response.status == 429
        self._backing.balancer.judged(self._slot, failed=failed)
        if self._backing.penalize and (failed or limited):
            self._backing.balancer.dislike(self._slot)

    def _ended(self, response: Response, *, whole: bool) -> None:
        if self._over:
            return
        self._over = True
        self._backing.balancer.over(self._slot)
        code = _code(response)
        self._context.metrics.count(
            "response_total",
            status_code=str(response.status),
            classification=self._backing.classify(response.status, code) if whole else "failure",
            grpc_status=code,
            error="" if whole else "unclassified",
            **self._labels,
        )

    def _failed(self, *, judged: bool = True) -> None:
        """There was no response."""
        if self._over:
            return
        self._over = True
        if judged:
            self._backing.balancer.judged(self._slot, failed=True)
        self._backing.balancer.over(self._slot)
        outcome = {"classification": "failure", "grpc_status": "", "error": "unclassified"}
        self._context.metrics.count("response_total", **outcome, **self._labels)


def _code(response: Response) -> str:
    if not is_grpc(response.headers):
        return ""
    return header((*response.body.trailers, *response.headers), "grpc-status")
