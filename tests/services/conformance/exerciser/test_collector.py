"""The collector of traces: what OpenTelemetry's protocol brings is told to whoever asks for its trace."""

import grpc.aio
import pytest

from services.conformance.core.orders import Call, Span, SpanKind
from services.conformance.core.stage import Port
from services.conformance.core.wishes import Wishes
from services.conformance.exerciser.serving.spans import MOST_KEPT, KeptSpans
from steward.otlp import EXPORT
from steward.otlp.trace_pb2 import (
    CLIENT,
    AnyValue,
    ExportRequest,
    ExportResponse,
    KeyValue,
    Resource,
    ResourceSpans,
    ScopeSpans,
)
from steward.otlp.trace_pb2 import Span as WireSpan
from tests.services.conformance.cast import Cast, Played

TRACE, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"


def told(trace: str, **attributes: AnyValue) -> ExportRequest:
    """One span of a proxy."""
    span = WireSpan(
        trace_id=bytes.fromhex(trace),
        span_id=bytes.fromhex("00f067aa0ba902b7"),
        parent_span_id=bytes.fromhex("b7ad6b7169203331"),
        name="/pay",
        kind=CLIENT,
        attributes=[KeyValue(key=name, value=value) for name, value in attributes.items()],
    )
    names = {"service.name": "linkerd-proxy", "host.name": "web-1"}
    who = [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in names.items()]
    return ExportRequest(
        resource_spans=[ResourceSpans(resource=Resource(attributes=who), scope_spans=[ScopeSpans(spans=[span])])]
    )


async def exported(server: Played, message: bytes, method: str = EXPORT) -> bytes:
    """What the collector answers."""
    address = f"{server.address}:{server.exerciser.ports[Port.OTLP]}"
    async with grpc.aio.insecure_channel(address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        return await call(message)


async def collected(cast: Cast, server: Played, trace: str) -> tuple[Span, ...]:
    """What the echo server tells of a trace."""
    reply = await cast.call("cm-0", Call(target=server.at(), path=Wishes(spans=trace).on("/")))
    assert reply.echo is not None
    return reply.echo.spans


async def test_spans_are_told_to_whoever_asks_for_their_trace(cast: Cast) -> None:
    server = await cast.serve("sp-0")
    await cast.play("cm-0")
    said = {"path": AnyValue(string_value="/pay"), "status": AnyValue(int_value=200), "none": AnyValue()}
    assert await exported(server, told(TRACE, **said).SerializeToString()) == ExportResponse().SerializeToString()
    assert await collected(cast, server, TRACE) == (
        Span(
            trace=TRACE,
            id="00f067aa0ba902b7",
            parent="b7ad6b7169203331",
            name="/pay",
            kind=SpanKind.CLIENT,
            service="linkerd-proxy",
            host="web-1",
            attributes=(("path", "/pay"), ("status", "200"), ("none", "")),
        ),
    )
    assert await collected(cast, server, OTHER) == ()


async def test_who_does_not_ask_is_told_nothing(cast: Cast) -> None:
    server = await cast.serve("sp-0")
    await cast.play("cm-0")
    await exported(server, told(TRACE).SerializeToString())
    reply = await cast.call("cm-0", Call(target=server.at()))
    assert reply.echo is not None
    assert reply.echo.spans == ()


@pytest.mark.parametrize(
    ("message", "method", "code"),
    [
        (b"\xff\xff", EXPORT, grpc.StatusCode.INVALID_ARGUMENT),
        (b"", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", grpc.StatusCode.UNIMPLEMENTED),
        (bytes(2_000_000), EXPORT, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["nonsense", "something else", "too much"],
)
async def test_what_is_no_export_of_spans_is_refused(
    cast: Cast, message: bytes, method: str, code: grpc.StatusCode
) -> None:
    server = await cast.serve("sp-0")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await exported(server, message, method)
    assert refused.value.code() is code


def test_only_the_latest_spans_are_kept() -> None:
    kept = KeptSpans()
    kept.add(Span(trace=TRACE, id=f"{number:016x}") for number in range(MOST_KEPT + 3))
    found = kept.of(TRACE)
    assert len(found) == MOST_KEPT
    assert found[0].id == f"{3:016x}"
