"""Which requests leave spans, and how these hang together."""

import pytest

from steward.clock import SystemClock
from steward.otlp.trace_pb2 import Span
from steward.testing.dataplane.faults import Fault
from steward.testing.dataplane.proxy.exchange import Request, Response, header
from steward.testing.dataplane.proxy.failures import ConnectionClosed
from steward.testing.dataplane.proxy.tracing import End, Tracing, traced

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def request(context: str) -> Request:
    return Request("GET", "/pay?a=b", "web:80", (("traceparent", context),) if context else ())


class Traced:
    """A proxy's spans, and the requests that reached the application."""

    def __init__(self, *faults: Fault) -> None:
        self.spans: list[Span] = []
        self.reached: list[Request] = []
        self.tracing = Tracing(self.spans.append, SystemClock(), lambda fault: fault in faults)

    async def send(self, asked: Request) -> Response:
        """As the server of its client, and as the client of its server."""
        return await traced(self.tracing, End.INBOUND_SERVER, asked, self._further)

    async def _further(self, asked: Request) -> Response:
        return await traced(self.tracing, End.INBOUND_CLIENT, asked, self._answer)

    async def _answer(self, asked: Request) -> Response:
        self.reached.append(asked)
        return Response(204)


async def test_each_end_of_a_sampled_request_is_told_and_names_the_one_before() -> None:
    proxy = Traced()
    await proxy.send(request(f"00-{TRACE}-{PARENT}-01"))
    client, server = proxy.spans
    assert {span.trace_id.hex() for span in proxy.spans} == {TRACE}
    assert server.parent_span_id.hex() == PARENT
    assert client.parent_span_id == server.span_id
    assert header(proxy.reached[0].headers, "traceparent") == f"00-{TRACE}-{client.span_id.hex()}-01"
    said = {each.key: each.value.string_value for each in client.attributes}
    assert said == {
        "http.request.method": "GET",
        "url.path": "/pay",
        "url.query": "a=b",
        "network.transport": "tcp",
        "direction": "inbound",
        "http.response.status_code": "204",
    }
    assert (client.name, server.name) == ("/pay", "/pay")


async def test_what_is_not_sampled_or_not_well_formed_passes_as_it_came() -> None:
    proxy = Traced()
    nobody = f"00-{'0' * 32}-{PARENT}-01"
    for context in (f"00-{TRACE}-{PARENT}-00", f"00-{TRACE}-01", nobody, "nonsense", ""):
        await proxy.send(request(context))
        assert header(proxy.reached[-1].headers, "traceparent") == context
    assert proxy.spans == []


async def test_a_proxy_without_a_collector_changes_nothing() -> None:
    seen: list[Request] = []

    async def answer(asked: Request) -> Response:
        seen.append(asked)
        return Response(200)

    asked = request(f"00-{TRACE}-{PARENT}-01")
    await traced(None, End.OUTBOUND_SERVER, asked, answer)
    assert seen == [asked]


async def test_what_is_never_answered_leaves_no_span() -> None:
    proxy = Traced()

    async def broken(asked: Request) -> Response:
        raise ConnectionClosed(asked.path)

    with pytest.raises(ConnectionClosed):
        await traced(proxy.tracing, End.OUTBOUND_CLIENT, request(f"00-{TRACE}-{PARENT}-01"), broken)
    assert proxy.spans == []
