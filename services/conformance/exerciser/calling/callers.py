"""Which caller speaks which protocol, and how many of them an order needs."""

from collections.abc import Callable, Sequence

from services.conformance.core.orders import Protocol
from services.conformance.exerciser.calling.http1 import Http1Caller
from services.conformance.exerciser.calling.http2 import Http2Caller
from services.conformance.exerciser.calling.raw import RawCaller
from services.conformance.exerciser.calling.rpc import HeldRpcCaller, RpcCaller
from services.conformance.exerciser.calling.sight import Caller, Means
from services.conformance.exerciser.calling.websocket import WebSocketCaller

_MAKERS: dict[Protocol, Callable[[Means], Caller]] = {
    Protocol.HTTP1: Http1Caller,
    Protocol.HTTP2: Http2Caller,
    Protocol.GRPC: RpcCaller,
    Protocol.SSE: Http1Caller,
    Protocol.WEBSOCKET: WebSocketCaller,
    Protocol.TCP: RawCaller,
    Protocol.TLS: RawCaller,
}
_MANY_AT_ONCE = frozenset({Protocol.HTTP2, Protocol.GRPC})


def callers_for(means: Means) -> Sequence[Caller]:
    """One for each call at a time; of a protocol that carries many at once over one connection, always the same."""
    call = means.call
    make, many = _MAKERS[call.protocol], min(call.concurrency, call.times)
    if call.keep and call.protocol in _MANY_AT_ONCE:
        return [make(means)] * many
    return [make(means) for _ in range(many)]


def held_caller(means: Means) -> Caller:
    """One that uses the same connection, of gRPC the same stream, for as long as it lives."""
    if means.call.protocol is Protocol.GRPC:
        return HeldRpcCaller(means)
    if means.call.protocol is Protocol.WEBSOCKET:
        return WebSocketCaller(means, held=True)
    return _MAKERS[means.call.protocol](means)
