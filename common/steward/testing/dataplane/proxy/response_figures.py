"""What is counted about one request that passed, from its first byte to the end of its response."""

from steward.testing.dataplane.config import InboundRoute, InboundServer
from steward.testing.dataplane.proxy import inbound_labels as labels
from steward.testing.dataplane.proxy.exchange import Body, Response, header
from steward.testing.dataplane.proxy.grpc_codes import classify
from steward.testing.dataplane.proxy.inbound_context import InboundContext
from steward.testing.dataplane.proxy.inbound_labels import LabelSet
from steward.testing.dataplane.proxy.own_errors import is_grpc
from steward.testing.dataplane.proxy.passing_body import passing

_MILLISECONDS = 1000


class ResponseFigures:
    """Counts the request at once, and the response when its body is through."""

    def __init__(
        self, context: InboundContext, server: InboundServer, route: InboundRoute, port: int, named: LabelSet
    ) -> None:
        self.server = server
        self.route = route
        self._context = context
        self._metrics = context.metrics
        self._named = named
        self._begun = context.clock.monotonic()
        self._prefix = "inbound_grpc" if route.meta.kind.lower() == "grpcroute" else "inbound_http"
        self._newer = {**labels.parent(server, port), **labels.route(route)}
        self._over = False
        self._metrics.count("request_total", **named)
        self._metrics.count(f"{self._prefix}_requests_total", **self._newer)

    def reading(self, body: Body) -> Body:
        """The body of the request, counted as it passes."""
        return body if body.empty else passing(body, lambda chunk: self._frame("request", chunk), lambda _: None)

    def of(self, response: Response) -> Response:
        """The response, counted as it passes."""
        elapsed = self._elapsed()
        status = str(response.status)
        self._metrics.observe("response_latency_ms", elapsed * _MILLISECONDS, status_code=status, **self._named)
        self._metrics.observe(f"{self._prefix}_response_duration_seconds", elapsed, **self._newer)
        if response.upgrade is not None or response.body.empty:
            self._ended(response, whole=True)
            return response
        body = passing(
            response.body,
            lambda chunk: self._frame("response", chunk),
            lambda whole: self._ended(response, whole=whole),
        )
        return Response(response.status, response.headers, body)

    def failed(self) -> None:
        """There was no response."""
        if not self._finish(status=""):
            return
        failure = {"classification": "failure", "grpc_status": "", "error": "unclassified"}
        self._metrics.count("response_total", **failure, **self._named)

    def _frame(self, which: str, chunk: bytes) -> None:
        self._metrics.observe(f"{self._prefix}_{which}_frame_size_bytes", len(chunk), **self._newer)

    def _ended(self, response: Response, *, whole: bool) -> None:
        said = (*response.body.trailers, *response.headers)
        code = header(said, "grpc-status") if is_grpc(response.headers) else ""
        by_code = self._prefix == "inbound_grpc"
        if not self._finish(status=code if by_code else str(response.status)):
            return
        self._metrics.count(
            "response_total",
            status_code=str(response.status),
            classification=classify(response.status, code) if whole else "failure",
            grpc_status=code,
            error="" if whole else "unclassified",
            **self._named,
        )

    def _finish(self, *, status: str) -> bool:
        """Whether this was the first end."""
        if self._over:
            return False
        self._over = True
        self._metrics.count(f"{self._prefix}_statuses_total", status=status, **self._newer)
        self._metrics.observe(f"{self._prefix}_request_duration_seconds", self._elapsed(), **self._newer)
        return True

    def _elapsed(self) -> float:
        return self._context.clock.monotonic() - self._begun
