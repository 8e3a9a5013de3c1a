"""How a proxy tells its spans: gathered for a while, then sent together to its collector by mutual TLS."""

import asyncio
from collections.abc import Callable

from steward.otlp import EXPORT
from steward.otlp.trace_pb2 import ExportRequest, Resource, ResourceSpans, ScopeSpans, Span
from steward.testing.dataplane.proxy.exchange import Body, Request, Version, header
from steward.testing.dataplane.proxy.failures import ConnectFailed, ExchangeFailed, StreamReset
from steward.testing.dataplane.proxy.http_client import HttpConnection, connect_http
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.tls import dial
from steward.testing.dataplane.proxy.trace_faults import COLLECTOR_UNREACHABLE
from steward.testing.dataplane.proxy.tracing import Tracing, attributes

MOST_WAITING = 1_000
SERVICE = "linkerd-proxy"
_NAMED = "LINKERD2_PROXY_TRACE_SERVICE_NAME"
_OK = "0"
Resolve = Callable[[str], tuple[str, ...]]
"""The addresses of a name; none where there is no such name."""


class SpanExporter:
    """Of one proxy that has a collector. `run` is its life; what could not be told is lost."""

    def __init__(self, context: OutboundContext, resolve: Resolve) -> None:
        self._context = context
        self._resolve = resolve
        self._waiting: list[Span] = []
        self._filled = asyncio.Event()
        self._connection: HttpConnection | None = None
        settings = context.settings
        self._named = {"addr": settings.trace_collector, "tls": "true", "server_id": settings.trace_identity}
        service = dict(settings.environment).get(_NAMED, SERVICE)
        self._resource = Resource(attributes=attributes({"service.name": service, "host.name": settings.pod}))

    @property
    def tracing(self) -> Tracing:
        """What the halves of the proxy need to tell of their requests."""
        return Tracing(self._tell, self._context.clock, self._context.broken)

    async def run(self) -> None:
        """Export what was gathered, again and again."""
        try:
            while True:
                await self._filled.wait()
                await self._context.clock.sleep(self._context.timings.span_batch)
                batch, self._waiting = self._waiting, []
                self._filled.clear()
                await self._export(batch)
        finally:
            self._hang_up()

    def _tell(self, span: Span) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(span)
            self._filled.set()

    async def _export(self, batch: list[Span]) -> None:
        metrics = self._context.metrics
        metrics.count("opentelemetry_span_export_streams")
        metrics.count("control_request_total", **self._named)
        request = ExportRequest(
            resource_spans=[ResourceSpans(resource=self._resource, scope_spans=[ScopeSpans(spans=batch)])]
        )
        try:
            async with asyncio.timeout(self._context.patience):
                status = await self._answered(request.SerializeToString())
        except (ExchangeFailed, TimeoutError):
            self._hang_up()
            outcome = {"classification": "failure", "grpc_status": "", "error": "unclassified"}
            metrics.count("control_response_total", **outcome, **self._named)
            return
        well = status == _OK
        outcome = {"classification": "success" if well else "failure", "grpc_status": status, "error": ""}
        metrics.count("control_response_total", status_code="200", **outcome, **self._named)
        if well:
            metrics.count("opentelemetry_span_export_requests")
            metrics.count("opentelemetry_span_exports", len(batch))

    async def _answered(self, message: bytes) -> str:
        """The status of the call."""
        if self._connection is None or self._connection.closed:
            self._connection = await self._connected()
        head = (("content-type", "application/grpc"), ("te", "trailers"))
        framed = Body.of(b"\0" + len(message).to_bytes(4, "big") + message)
        authority = self._context.settings.trace_collector
        response = await self._connection.send(Request("POST", EXPORT, authority, head, framed, Version.HTTP2))
        await response.body.read()
        status = header((*response.body.trailers, *response.headers), "grpc-status")
        if not status:
            raise StreamReset(f"{authority} answered {response.status}, and not in gRPC")
        return status

    async def _connected(self) -> HttpConnection:
        settings, own = self._context.settings, self._context.identity()
        host, _, port = settings.trace_collector.rpartition(":")
        addresses = self._resolve(host)
        if not addresses or not port.isdigit() or own is None or self._context.broken(COLLECTOR_UNREACHABLE):
            raise ConnectFailed(f"no connection to {settings.trace_collector}")
        below = await self._context.connect(addresses[0], int(port))
        return connect_http(await dial(below, own, settings.trace_identity), Version.HTTP2)

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
