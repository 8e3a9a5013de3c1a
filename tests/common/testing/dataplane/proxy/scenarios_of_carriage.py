"""What is observed of requests, responses and bytes on their way."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

from steward.testing.dataplane.config import (
    Meta,
    Protocol,
    Route,
)
from steward.testing.dataplane.proxy.detect import Spoken, detect
from steward.testing.dataplane.proxy.exchange import Body, Headers, Request, Response, Version, header
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.stream import Stream
from tests.common.testing.dataplane.proxy.outbound_scenario import served, within
from tests.common.testing.dataplane.proxy.outbound_side import (
    OutboundSide,
    answering,
    service,
)

NETWORK = Meta("policy.linkerd.io", "EgressNetwork", "all", "lab", 8080)
GRPC: Headers = (("content-type", "application/grpc"),)


async def own_error(side: OutboundSide) -> object:
    side.tell(replace(service(), http_routes=(Route(Meta("g", "HTTPRoute", "none", "lab"), ()),)))
    response = await side.ask()
    return response.status, bool(header(response.headers, "l5d-proxy-error"))


async def grpc_end(side: OutboundSide) -> object:
    async def app(_: Request) -> Response:
        return Response(200, GRPC, Body.of(b"reply", (("grpc-status", "0"),)))

    side.tell(service(await side.plain(app, Version.HTTP2)))
    response = await side.ask("/s/m", GRPC, Version.HTTP2)
    await response.body.read()
    return len(response.body.trailers)


async def spoken_at_server(side: OutboundSide) -> object:
    async def either(stream: Stream) -> None:
        found = await detect(stream, timedelta(seconds=5))
        version = Version.HTTP2 if found.spoken is Spoken.HTTP2 else Version.HTTP1
        await serve_http(stream, answering("echo"), version)

    side.tell(service(await side.meshed_bytes(either, opaque=False)))
    return header((await side.ask(version=Version.HTTP2)).headers, "x-proto")


async def upgraded(side: OutboundSide) -> object:
    side.tell(service(await side.plain(answering("echo"))))
    response = await side.ask("/", (("connection", "upgrade"), ("upgrade", "websocket")))
    return "upgrade: websocket" in header(response.headers, "x-seen")


async def first_chunk(side: OutboundSide) -> object:
    async def ticking(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"tick"
            await asyncio.Event().wait()

        return Response(200, (("content-type", "text/event-stream"),), Body(chunks()))

    side.tell(service(await side.plain(ticking)))
    response = await side.ask()
    return await within(side, anext(response.body))


async def large_body(side: OutboundSide) -> object:
    content = b"x" * 100_000
    side.tell(service(await side.plain(answering("echo"))))
    response = await side.ask("/", body=Body.of(content))
    return await response.body.read() == content


async def quick(side: OutboundSide) -> object:
    side.tell(service(await side.plain(answering("echo"))))
    return await within(side, served(side))


async def shouting(stream: Stream) -> None:
    while word := await stream.read():
        await stream.send(word.upper())
    await stream.send(b"!")
    await stream.finish()


async def bytes_target(side: OutboundSide, protocol: Protocol = Protocol.OPAQUE) -> Stream:
    side.tell(service(await side.plain_bytes(shouting), protocol=protocol))
    return await side.dial()


async def opaque(side: OutboundSide) -> object:
    stream = await bytes_target(side)
    await stream.send(b"hello\n")
    await stream.read()
    return side.counted("outbound_tcp_protocol_connections_total", protocol="opaq")


async def http_target(side: OutboundSide) -> object:
    side.tell(service(await side.plain(answering("echo"))))
    await side.ask()
    return side.counted("outbound_http_route_backend_requests_total")


async def half_closed(side: OutboundSide) -> object:
    stream = await bytes_target(side)
    await stream.finish()
    return await within(side, stream.read())


async def silent_client(side: OutboundSide) -> object:
    async def greeting(stream: Stream) -> None:
        await stream.send(b"hello")
        await stream.peek()

    side.tell(service(await side.plain_bytes(greeting)))
    return await within(side, (await side.dial()).read())


async def large_bytes(side: OutboundSide) -> object:
    stream = await bytes_target(side)
    content = b"A" * 100_000
    sending = asyncio.ensure_future(stream.send(content))
    came = await stream.read_exactly(len(content))
    await sending
    return came == content


async def across_a_change(side: OutboundSide) -> object:
    stream = await bytes_target(side)
    await stream.send(b"a")
    await stream.read()
    side.tell(service(await side.plain_bytes(shouting), protocol=Protocol.OPAQUE))
    await side.until("outbound_tcp_balancer_p2c_updates_total", 1, op="Add")
    return await within(side, _said(stream))


async def _said(stream: Stream) -> bytes:
    await stream.send(b"b")
    return await stream.read()


async def undefined(side: OutboundSide) -> object:
    side.tell(service(undefined_port=True))
    return await within(side, (await side.dial()).read())
