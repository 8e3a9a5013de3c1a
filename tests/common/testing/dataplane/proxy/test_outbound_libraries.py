"""Real libraries through two real proxies: gRPC in all four shapes, and WebSocket."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from steward.testing.dataplane.config import Match, Meta, Protocol, Retry, Route, Rule
from steward.testing.dataplane.proxy.stream import Stream, copy_both_ways, open_stream
from tests.common.testing.dataplane.proxy.loopback import listening
from tests.common.testing.dataplane.proxy.outbound_side import (
    CLIENT_ID,
    IP,
    PORT,
    OutboundSide,
    backend,
    outbound_side,
    service,
)

Unary = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
Context = grpc.aio.ServicerContext[bytes, bytes]
_ECHO = "/lab.Echo"


class Echo:
    """A service of bytes."""

    def __init__(self) -> None:
        self.refusals = 0

    async def unary(self, request: bytes, context: Context) -> bytes:
        identity = next((value for key, value in context.invocation_metadata() or () if key == "l5d-client-id"), "")
        if self.refusals:
            self.refusals -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return request + b" from " + str(identity).encode()

    async def download(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"x" * 10_000 + str(number).encode()
        context.set_trailing_metadata((("x-sum", "done"),))

    async def upload(self, requests: AsyncIterator[bytes], _: Context) -> bytes:
        return str(sum([len(each) async for each in requests])).encode()

    async def talk(self, requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each.upper()

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            "lab.Echo",
            {
                "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
                "Download": grpc.unary_stream_rpc_method_handler(self.download),
                "Upload": grpc.stream_unary_rpc_method_handler(self.upload),
                "Talk": grpc.stream_stream_rpc_method_handler(self.talk),
            },
        )


class Called:
    """A proxy between a channel and a server of gRPC."""

    def __init__(self, side: OutboundSide, echo: Echo, channel: grpc.aio.Channel) -> None:
        self.side = side
        self.echo = echo
        self.channel = channel


@pytest.fixture
async def called() -> AsyncIterator[Called]:
    echo = Echo()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((echo.handler(),))
    inside = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def through(stream: Stream) -> None:
        await copy_both_ways(stream, await open_stream("127.0.0.1", inside))

    async with outbound_side() as side:
        endpoint = await side.meshed_bytes(through, opaque=False)
        rule = Rule((Match(path_prefix="/"),), (backend(endpoint),), retry=Retry(codes=(14,), limit=2))
        route = Route(Meta("gateway.networking.k8s.io", "GRPCRoute", "calls", "lab"), (rule,))
        side.tell(service(endpoint, protocol=Protocol.GRPC, grpc_routes=(route,)))
        async with listening(lambda stream: side.proxy.accept(stream, IP, PORT)) as outside:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{outside}") as channel:
                yield Called(side, echo, channel)
            await server.stop(None)


async def test_a_call_of_grpc_is_carried_and_tried_again(called: Called) -> None:
    unary: Unary = called.channel.unary_unary(f"{_ECHO}/Unary")
    assert await unary(b"hello") == f"hello from {CLIENT_ID}".encode()
    called.echo.refusals = 2
    assert (await unary(b"again")).startswith(b"again")
    assert called.side.counted("outbound_grpc_route_retry_requests_total") == 2
    called.echo.refusals = 3
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(b"no more")
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, "not now")
    called.echo.refusals = 0
    await called.side.until("outbound_grpc_route_request_statuses_total", 1, grpc_status="UNAVAILABLE")


async def test_streams_of_grpc_go_both_ways(called: Called) -> None:
    fetch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = called.channel.unary_stream(f"{_ECHO}/Download")
    download = fetch(b"100")
    assert [len(each) async for each in download] == [10_001] * 10 + [10_002] * 90
    assert ("x-sum", "done") in [tuple(pair) for pair in await download.trailing_metadata() or ()]

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    send: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = called.channel.stream_unary(f"{_ECHO}/Upload")
    assert await send(parts()) == b"1000000"
    speak: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = called.channel.stream_stream(f"{_ECHO}/Talk")
    talk = speak()
    for word in (b"one", b"two", b"three"):
        await talk.write(word)
        assert await talk.read() == word.upper()
    await talk.done_writing()
    assert await talk.code() is grpc.StatusCode.OK


async def test_many_calls_share_the_connection_to_the_server(called: Called) -> None:
    unary: Unary = called.channel.unary_unary(f"{_ECHO}/Unary")
    await asyncio.gather(*[unary(b"hello") for _ in range(60)])
    assert called.side.counted("tcp_open_total", peer="dst") == 1


async def test_what_the_proxy_refuses_is_a_code_of_grpc(called: Called) -> None:
    nothing = Route(Meta("gateway.networking.k8s.io", "GRPCRoute", "calls", "lab"), ())
    called.side.tell(service(protocol=Protocol.GRPC, grpc_routes=(nothing,)))
    unary: Unary = called.channel.unary_unary(f"{_ECHO}/Unary")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(b"hello")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == f"logical service {IP}:{PORT}: no route"


async def test_a_websocket_stays_open_through_both_proxies() -> None:
    async def shouting(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message.upper())

    async with serve(shouting, "127.0.0.1", 0) as server, outbound_side() as side:
        inside = next(iter(server.sockets)).getsockname()[1]

        async def through(stream: Stream) -> None:
            await copy_both_ways(stream, await open_stream("127.0.0.1", inside))

        side.tell(service(await side.meshed_bytes(through, opaque=False)))
        async with (
            listening(lambda stream: side.proxy.accept(stream, IP, PORT)) as outside,
            connect(f"ws://127.0.0.1:{outside}/", proxy=None) as socket,
        ):
            for word in ("one", "x" * 100_000):
                await socket.send(word)
                assert await socket.recv() == word.upper()
        await side.until("response_total", 1, status_code="101")
