"""A collector of traces: takes what proxies tell in OpenTelemetry's protocol, and keeps the latest of it."""

from collections import deque
from collections.abc import Iterable

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from services.conformance.core.orders import Headers, Span, SpanKind
from steward.otlp import EXPORT
from steward.otlp.trace_pb2 import CLIENT, SERVER, AnyValue, ExportRequest, ExportResponse, KeyValue
from steward.otlp.trace_pb2 import Span as WireSpan

MOST_KEPT = 1_000
LARGEST_EXPORT = 1_048_576
"""Bytes of one message; the library refuses larger ones."""
_MOST_ATTRIBUTES = 32
_LONGEST = 200
_KINDS = {SERVER: SpanKind.SERVER, CLIENT: SpanKind.CLIENT}


class KeptSpans:
    """The latest spans, whoever told them."""

    def __init__(self) -> None:
        self._kept: deque[Span] = deque(maxlen=MOST_KEPT)

    def add(self, spans: Iterable[Span]) -> None:
        """Keep them; the oldest are forgotten."""
        self._kept.extend(spans)

    def of(self, trace: str) -> tuple[Span, ...]:
        """Those of one trace, in the order in which they came."""
        return tuple(span for span in self._kept if span.trace == trace)


class Collector(grpc.GenericRpcHandler):
    """Takes spans, and nothing else."""

    def __init__(self, kept: KeptSpans) -> None:
        self._kept = kept

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        if handler_call_details.method != EXPORT:
            return None
        return grpc.unary_unary_rpc_method_handler(self._export)

    async def _export(self, message: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        try:
            request = ExportRequest.FromString(message)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is no export of spans")
        self._kept.add(spans_in(request))
        return ExportResponse().SerializeToString()


def spans_in(request: ExportRequest) -> tuple[Span, ...]:
    """The spans of one export, each with who told it."""
    found: list[Span] = []
    for told in request.resource_spans:
        who = dict(_attributes(told.resource.attributes))
        for scope in told.scope_spans:
            found += [_span(each, who) for each in scope.spans]
    return tuple(found)


def _span(span: WireSpan, who: dict[str, str]) -> Span:
    return Span(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name[:_LONGEST],
        kind=_KINDS.get(span.kind, SpanKind.OTHER),
        service=who.get("service.name", ""),
        host=who.get("host.name", ""),
        attributes=_attributes(span.attributes),
    )


def _attributes(pairs: Iterable[KeyValue]) -> Headers:
    return tuple((pair.key[:_LONGEST], _value(pair.value)[:_LONGEST]) for pair in list(pairs)[:_MOST_ATTRIBUTES])


def _value(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind))
