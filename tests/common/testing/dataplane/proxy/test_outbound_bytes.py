"""Connections that are not HTTP: opaque ports, server-first protocols, TLS by name, ports that do not exist."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from steward.testing.dataplane.config import Backend, Meta, Protocol, Route, Rule
from steward.testing.dataplane.proxy.failures import ConnectionClosed
from steward.testing.dataplane.proxy.stream import Stream
from tests.common.testing.dataplane.proxy.outbound_side import (
    CLIENT_ID,
    IP,
    SERVER_ID,
    OutboundSide,
    backend,
    outbound_side,
    service,
)

OPENED, CLOSED = "outbound_tcp_route_open_total", "outbound_tcp_route_close_total"


@pytest.fixture
async def side() -> AsyncIterator[OutboundSide]:
    async with outbound_side() as side:
        yield side


async def shouting(stream: Stream) -> None:
    while word := await stream.read():
        await stream.send(word.upper())
    await stream.send(b"!")
    await stream.finish()


async def greeting(stream: Stream) -> None:
    await stream.send(b"hello")
    await stream.finish()
    while await stream.read():
        pass


@pytest.mark.parametrize("meshed", [True, False], ids=["meshed", "unmeshed"])
async def test_an_opaque_port_carries_bytes_and_half_closes(side: OutboundSide, meshed: bool) -> None:
    endpoint = await (side.meshed_bytes(shouting) if meshed else side.plain_bytes(shouting))
    side.tell(service(endpoint, protocol=Protocol.OPAQUE))
    stream = await side.dial()
    await stream.send(b"GET / HTTP/1.1\r\n")
    assert await stream.read() == b"GET / HTTP/1.1\r\n"
    await stream.finish()
    assert await stream.read_exactly(1) == b"!"
    assert await stream.read() == b""
    await side.until(CLOSED, 1, route_name="opaq", error="", target_port="8080", target_ip="")
    assert side.counted("outbound_tcp_protocol_connections_total", protocol="opaq") == 1
    await side.until("tcp_open_connections", 0, peer="dst")
    assert side.counted("tcp_open_total", peer="dst", tls="true" if meshed else "no_identity") == 1


async def test_a_client_that_waits_for_the_server_waits_for_the_detection(side: OutboundSide) -> None:
    side.tell(service(await side.meshed_bytes(greeting)))
    stream = await side.dial()
    assert await stream.read() == b"hello"
    assert side.counted("outbound_tcp_detect_http_results_total", result="read_timeout") == 1


async def test_bytes_that_are_not_http_go_on_as_they_are(side: OutboundSide) -> None:
    side.tell(service(await side.meshed_bytes(shouting)))
    stream = await side.dial()
    await stream.send(b"hello\n")
    assert await stream.read() == b"HELLO\n"
    assert side.counted("outbound_tcp_detect_http_results_total", result="not_http") == 1


async def test_large_content_passes_with_backpressure(side: OutboundSide) -> None:
    async def mirror(stream: Stream) -> None:
        while chunk := await stream.read():
            await stream.send(chunk)
        await stream.finish()

    side.tell(service(await side.meshed_bytes(mirror), protocol=Protocol.OPAQUE))
    stream = await side.dial()
    content = bytes(range(256)) * 8192

    async def send() -> None:
        await stream.send(content)
        await stream.finish()

    sending = asyncio.ensure_future(send())
    came = b""
    while chunk := await stream.read():
        came += chunk
    await sending
    assert came == content


async def test_without_endpoints_the_connection_is_reset_after_a_while(side: OutboundSide) -> None:
    side.tell(service(protocol=Protocol.OPAQUE))
    with pytest.raises(ConnectionClosed):
        await (await side.dial()).read()
    assert side.counted("outbound_tcp_errors_total", error="failfast", target_ip=IP) == 1
    assert side.counted(CLOSED, error="unexpected") == 1


async def test_a_port_that_the_service_does_not_define_is_reset_at_once(side: OutboundSide) -> None:
    side.tell(service(undefined_port=True))
    with pytest.raises(ConnectionClosed):
        await (await side.dial()).read()
    assert side.counted(OPENED, route_name="undefined-port", target_ip=IP) == 1
    assert side.counted(CLOSED, route_name="undefined-port", error="unexpected") == 1
    assert side.counted("outbound_tcp_protocol_connections_total", protocol="opaq") == 1


async def test_egress_that_is_denied_ends_in_order(side: OutboundSide) -> None:
    parent = Meta("policy.linkerd.io", "EgressNetwork", "all", "lab", 8080)
    denied = Backend(Meta("", "default", "unknown"), forbidden="traffic not allowed")
    routes = (Route(Meta("", "default", "tcp-egress-deny"), (Rule((), (denied,)),)),)
    side.tell(replace(service(protocol=Protocol.OPAQUE), parent=parent, opaque_routes=routes, balance=False))
    assert await (await side.dial()).read() == b""
    assert side.counted(CLOSED, route_name="tcp-egress-deny", error="forbidden", target_ip=IP) == 1


async def test_tls_goes_to_the_route_of_the_name_it_asks_for(side: OutboundSide) -> None:
    async def named(stream: Stream, name: bytes) -> None:
        await stream.peek()
        await stream.send(name)
        await stream.finish()

    async def a(stream: Stream) -> None:
        await named(stream, b"a")

    async def b(stream: Stream) -> None:
        await named(stream, b"b")

    backends = {name: backend(await side.plain_bytes(app), name=name) for name, app in (("a", a), ("b", b))}
    routes = tuple(
        Route(Meta("g", "TLSRoute", name, "lab"), (Rule((), (each,)),), (f"{name}.example",))
        for name, each in backends.items()
    )
    side.tell(service(protocol=Protocol.TLS, opaque_routes=routes))
    for name in ("b", "a"):
        outgoing = ssl.MemoryBIO()
        hello = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=f"{name}.example")
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        stream = await side.dial()
        await stream.send(outgoing.read())
        assert await stream.read() == name.encode()
        assert side.counted("outbound_tls_route_open_total", route_name=name) == 1


async def test_the_servers_proxy_learns_who_opens_an_opaque_connection(side: OutboundSide) -> None:
    side.tell(service(await side.meshed_bytes(shouting), protocol=Protocol.OPAQUE))
    stream = await side.dial()
    await stream.send(b"x")
    assert await stream.read() == b"X"
    assert side.identity is not None
    assert side.identity.name == CLIENT_ID
    assert side.counted("tcp_open_total", peer="dst", server_id=SERVER_ID) == 1
