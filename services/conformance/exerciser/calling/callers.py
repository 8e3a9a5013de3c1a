"""Which caller speaks which protocol, and how many of them an order needs."""

from collections.abc import Callable, Sequence

from services.conformance.core.orders import Protocol
from services.conformance.exerciser.calling.http1 import Http1Caller
from services.conformance.exerciser.calling.sight import Caller, Means

_MAKERS: dict[Protocol, Callable[[Means], Caller]] = {
    Protocol.HTTP1: Http1Caller,
    Protocol.SSE: Http1Caller,
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
    return _MAKERS[means.call.protocol](means)
