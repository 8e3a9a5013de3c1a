"""Every protocol from an agent to an echo server, without a mesh in between."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import grpc.aio
import pytest
import pytest_asyncio

from services.conformance.core.orders import Call, Conversation, Echo, Protocol, Target, Trouble
from services.conformance.core.stage import PORTS, Port
from services.conformance.core.wishes import Wishes
from services.conformance.exerciser.calling.callers import held_caller
from services.conformance.exerciser.calling.dialling import Dialler, system_resolve
from services.conformance.exerciser.calling.sight import Means
from steward.clock import SystemClock
from steward.testing.nats import NatsServer
from tests.services.conformance.cast import Cast, Played, assembled, loopback_address

Asking: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
Talking: TypeAlias = "grpc.aio.StreamStreamCall[bytes, bytes]"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cast]:
    """One stage for all of these: they leave nothing behind that another could see."""
    folder: Path = tmp_path_factory.mktemp("spools")
    async with NatsServer() as nats, assembled(nats.url, folder) as stage:
        await stage.play("cm-0")
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(cast: Cast) -> Played:
    """An echo server."""
    return await cast.serve("sm-0")


NATIVE = {
    Port.HTTP: (Protocol.HTTP1, Conversation.UNARY),
    Port.H2C: (Protocol.HTTP2, Conversation.UNARY),
    Port.GRPC: (Protocol.GRPC, Conversation.UNARY),
    Port.WEBSOCKET: (Protocol.WEBSOCKET, Conversation.UNARY),
    Port.TCP: (Protocol.TCP, Conversation.CLIENT_FIRST),
    Port.SERVER_FIRST: (Protocol.TCP, Conversation.SERVER_FIRST),
    Port.OPAQUE: (Protocol.TCP, Conversation.SERVER_FIRST),
    Port.TLS: (Protocol.TLS, Conversation.CLIENT_FIRST),
    Port.SKIPPED: (Protocol.HTTP1, Conversation.UNARY),
}


@pytest.mark.parametrize("port", NATIVE, ids=str)
async def test_every_port_says_which_pod_answered(cast: Cast, server: Played, port: Port) -> None:
    protocol, conversation = NATIVE[port]
    replies = await cast.calls(
        "cm-0",
        Call(target=server.at(port), protocol=protocol, conversation=conversation, times=3, concurrency=1),
    )
    assert [(reply.trouble, reply.message) for reply in replies] == [(None, "")] * 3
    assert [reply.echo.pod if reply.echo else None for reply in replies] == ["sm-0"] * 3
    assert [reply.connection for reply in replies] == [1, 1, 1]
    assert all(reply.first_byte_seconds is not None for reply in replies)


async def test_a_hundred_requests_share_one_http2_connection(cast: Cast, server: Played) -> None:
    path = Wishes(fail_until=0, id="at-once").on("/")
    call = Call(target=server.at(Port.H2C), protocol=Protocol.HTTP2, path=path, times=150, concurrency=150)
    replies = await cast.calls("cm-0", call)
    assert {(reply.status, reply.connection, reply.http_version) for reply in replies} == {(200, 1, "2")}
    assert sorted(reply.echo.attempt for reply in replies if reply.echo) == list(range(1, 151))


@pytest.mark.parametrize("port", [Port.HTTP, Port.H2C], ids=str)
async def test_large_bodies_arrive_whole_in_both_directions(cast: Cast, server: Played, port: Port) -> None:
    protocol, size = NATIVE[port][0], 3_000_000
    up = await cast.call("cm-0", Call(target=server.at(port), protocol=protocol, method="POST", body_bytes=size))
    assert (up.status, up.digest_ok) == (200, True)
    down = await cast.call("cm-0", Call(target=server.at(port), protocol=protocol, path=Wishes(bytes=size).on()))
    assert (down.status, down.digest_ok, down.received_bytes) == (200, True, size)
    assert down.echo is not None


@pytest.mark.parametrize("port", [Port.HTTP, Port.H2C], ids=str)
async def test_large_headers_arrive_whole(cast: Cast, server: Played, port: Port) -> None:
    headers = (("x-large", "y" * 32_768),)
    reply = await cast.call("cm-0", Call(target=server.at(port), protocol=NATIVE[port][0], headers=headers))
    assert reply.echo is not None
    assert headers[0] in reply.echo.headers


@pytest.mark.parametrize("method_and_status", [("HEAD", 200), ("GET", 204), ("GET", 304)], ids=str)
@pytest.mark.parametrize("port", [Port.HTTP, Port.H2C], ids=str)
async def test_an_answer_without_a_body_says_in_a_header_who_made_it(
    cast: Cast, server: Played, port: Port, method_and_status: tuple[str, int]
) -> None:
    method, status = method_and_status
    call = Call(
        target=server.at(port), protocol=NATIVE[port][0], method=method, path=Wishes(status=status).on(), times=2
    )
    replies = await cast.calls("cm-0", call)
    assert [(reply.status, reply.received_bytes, reply.connection) for reply in replies] == [(status, 0, 1)] * 2
    assert all(reply.echo is not None and reply.echo.pod == "sm-0" for reply in replies)


async def test_a_client_that_expects_it_is_told_to_go_on(cast: Cast, server: Played) -> None:
    headers = (("expect", "100-continue"),)
    reply = await cast.call("cm-0", Call(target=server.at(), method="POST", headers=headers, body_bytes=1000))
    assert (reply.status, reply.digest_ok) == (200, True)


@pytest.mark.parametrize("port", [Port.HTTP, Port.H2C], ids=str)
async def test_a_connection_may_be_closed_without_an_answer(cast: Cast, server: Played, port: Port) -> None:
    reply = await cast.call(
        "cm-0", Call(target=server.at(port), protocol=NATIVE[port][0], path=Wishes(close=True).on())
    )
    assert reply.trouble is (Trouble.CLOSED if port is Port.HTTP else Trouble.RESET)
    assert (reply.status, reply.echo) == (None, None)


@pytest.mark.parametrize("port", [Port.HTTP, Port.H2C], ids=str)
async def test_an_answer_may_break_off(cast: Cast, server: Played, port: Port) -> None:
    path = Wishes(bytes=100_000, close_after=70_000).on()
    reply = await cast.call("cm-0", Call(target=server.at(port), protocol=NATIVE[port][0], path=path))
    assert (reply.status, reply.received_bytes) == (200, 70_000)
    assert reply.trouble is (Trouble.CLOSED if port is Port.HTTP else Trouble.RESET)


@pytest.mark.parametrize("port", [Port.HTTP, Port.H2C, Port.GRPC, Port.TCP, Port.WEBSOCKET], ids=str)
async def test_who_waits_for_too_long_says_so(cast: Cast, server: Played, port: Port) -> None:
    protocol = NATIVE[port][0]
    call = Call(
        target=server.at(port),
        protocol=protocol,
        # TCP knows no wishes: there it is the client that stays silent for too long.
        conversation=Conversation.SILENT_THEN_CLIENT if protocol is Protocol.TCP else Conversation.UNARY,
        silence_seconds=30,
        path="/?delay=30",
        timeout_seconds=0.05,
    )
    assert (await cast.call("cm-0", call)).trouble is Trouble.TIMED_OUT


@pytest.mark.parametrize("port", [Port.HTTP, Port.H2C, Port.GRPC], ids=str)
async def test_of_every_hundred_exactly_as_many_fail_as_was_asked(cast: Cast, server: Played, port: Port) -> None:
    path = Wishes(fail_percent=30, id=f"some-{port}").on()
    replies = await cast.calls("cm-0", Call(target=server.at(port), protocol=NATIVE[port][0], path=path, times=50))
    failed = [reply for reply in replies if reply.status == 503 or (reply.grpc_status or 0) == 14]
    assert len(failed) == 15
    assert all(reply.echo is not None for reply in failed)


async def test_a_senseless_wish_is_refused_with_the_reason(cast: Cast, server: Played) -> None:
    reply = await cast.call("cm-0", Call(target=server.at(), path="/?delay=soon"))
    assert reply.status == 400
    assert "delay='soon'" in dict(reply.headers)["x-echo-problem"]
    rpc = await cast.call("cm-0", Call(target=server.at(Port.GRPC), protocol=Protocol.GRPC, path="/?delay=soon"))
    assert (rpc.grpc_status, "delay='soon'" in rpc.grpc_message) == (3, True)


async def test_events_are_told_as_they_come(cast: Cast, server: Played) -> None:
    path = Wishes(stream=5, every=Wishes().every).on("/events")
    reply = await cast.call("cm-0", Call(target=server.at(Port.WEBSOCKET), protocol=Protocol.SSE, path=path))
    assert (reply.status, reply.received_messages, reply.trouble) == (200, 5, None)
    assert reply.echo is not None
    assert ("accept", "text/event-stream") in reply.echo.headers
    assert ("content-type", "text/event-stream") in reply.headers


async def test_a_stream_may_break_off(cast: Cast, server: Played) -> None:
    path = Wishes(stream=5, close_after=2).on("/events")
    reply = await cast.call("cm-0", Call(target=server.at(), protocol=Protocol.SSE, path=path))
    assert (reply.received_messages, reply.trouble) == (2, Trouble.CLOSED)


async def test_grpc_tells_status_message_and_trailers(cast: Cast, server: Played) -> None:
    call = Call(
        target=server.at(Port.GRPC),
        protocol=Protocol.GRPC,
        path=Wishes(status=8, retry_after=3).on("/shop.v1.Basket/Add"),
        headers=(("x-mine", "1"), ("x-mine", "2")),
    )
    reply = await cast.call("cm-0", call)
    assert (reply.grpc_status, reply.grpc_message, reply.trouble) == (8, "sm-0 was asked to fail", None)
    assert ("retry-after", "3") in reply.trailers
    echo = reply.echo
    assert echo is not None
    assert (echo.pod, echo.path) == ("sm-0", "/shop.v1.Basket/Add?status=8&retry-after=3")
    assert [value for name, value in echo.headers if name == "x-mine"] == ["1", "2"]


@pytest.mark.parametrize("size", [0, 200_000])
async def test_grpc_streams_in_every_direction(cast: Cast, server: Played, size: int) -> None:
    target = server.at(Port.GRPC)
    base = Call(target=target, protocol=Protocol.GRPC, messages=10, body_bytes=size)
    down = await cast.call("cm-0", base.model_copy(update={"conversation": Conversation.SERVER_STREAM}))
    assert (down.grpc_status, down.received_messages, down.trouble) == (0, 10, None)
    assert down.echo is not None
    both = await cast.call("cm-0", base.model_copy(update={"conversation": Conversation.BIDIRECTIONAL}))
    assert (both.grpc_status, both.received_messages, both.digest_ok) == (0, 10, True)
    one = await cast.call("cm-0", base)
    assert (one.grpc_status, one.received_messages, one.digest_ok) == (0, 1, True if size else None)


async def test_a_grpc_stream_may_break_off(cast: Cast, server: Played) -> None:
    call = Call(
        target=server.at(Port.GRPC),
        protocol=Protocol.GRPC,
        conversation=Conversation.SERVER_STREAM,
        path=Wishes(stream=5, close_after=2, status=13).on(),
    )
    reply = await cast.call("cm-0", call)
    assert (reply.received_messages, reply.grpc_status) == (2, 13)


@pytest.mark.parametrize("port", [Port.GRPC, Port.WEBSOCKET, Port.OPAQUE], ids=str)
async def test_a_held_connection_outlives_the_time_that_each_use_of_it_may_take(server: Played, port: Port) -> None:
    protocol, clock = NATIVE[port][0], SystemClock()
    conversation = Conversation.BIDIRECTIONAL if protocol is Protocol.GRPC else Conversation.CLIENT_FIRST
    call = Call(target=server.at(port), protocol=protocol, conversation=conversation, timeout_seconds=2)
    caller = held_caller(Means(call, Dialler(system_resolve), clock))
    seen: set[tuple[object, ...]] = set()
    began = clock.monotonic()
    try:
        while clock.monotonic() < began + 3:
            reply = await caller.call()
            seen.add((reply.trouble, reply.grpc_status, reply.connection))
    finally:
        await caller.close()
    assert seen == {(None, None, 1)}


async def test_many_grpc_calls_share_one_connection(cast: Cast, server: Played) -> None:
    call = Call(target=server.at(Port.GRPC), protocol=Protocol.GRPC, times=60, concurrency=20)
    replies = await cast.calls("cm-0", call)
    assert {(reply.grpc_status, reply.connection) for reply in replies} == {(0, 1)}


async def test_the_client_of_the_grpc_library_is_served(server: Played) -> None:
    async with grpc.aio.insecure_channel(f"{server.address}:{PORTS[Port.GRPC]}") as channel:
        ask: Asking = channel.unary_unary("/shop.v1.Basket/Add")
        echo = Echo.model_validate_json(await ask(b"x", metadata=(("x-mine", "1"),)))
        assert (echo.pod, echo.path) == ("sm-0", "/shop.v1.Basket/Add")
        with pytest.raises(grpc.aio.AioRpcError, match="was asked to fail") as failed:
            await ask(b"x", metadata=(("x-echo-query", "status=9"),))
        assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        talk: Talking = channel.stream_stream("/shop.v1.Basket/Talk")(
            metadata=(("x-echo-conversation", "Bidirectional"),)
        )
        for number in range(3):
            await talk.write(b"%d" % number)
            assert await talk.read() == b"%d" % number
        await talk.done_writing()
        assert await talk.code() is grpc.StatusCode.OK


async def test_an_echo_server_is_no_proxy(cast: Cast, server: Played) -> None:
    reply = await cast.call("cm-0", Call(target=server.at(), method="CONNECT", path="192.0.2.1:80"))
    assert (reply.status, reply.trouble) == (405, None)


async def test_a_server_name_that_is_none_is_told_as_such(cast: Cast, server: Played) -> None:
    call = Call(target=server.at(Port.TLS), protocol=Protocol.TLS, server_name=f"{'x' * 80}.invalid")
    assert (await cast.call("cm-0", call)).trouble is not None


@pytest.mark.parametrize(
    ("path", "headers"), [("/with a space", ()), ("/", (("x y", "z"),)), ("/", (("x", "a\r\nb: c"),))]
)
async def test_a_request_that_nobody_can_make_is_told_as_such(
    cast: Cast, server: Played, path: str, headers: tuple[tuple[str, str], ...]
) -> None:
    reply = await cast.call("cm-0", Call(target=server.at(), path=path, headers=headers))
    assert (reply.trouble, reply.status) == (Trouble.BAD_PROTOCOL, None)


async def test_a_websocket_tells_its_close_code(cast: Cast, server: Played) -> None:
    call = Call(target=server.at(Port.WEBSOCKET), protocol=Protocol.WEBSOCKET, messages=200, body_bytes=500)
    reply = await cast.call("cm-0", call)
    assert (reply.status, reply.received_messages, reply.digest_ok, reply.close_code) == (101, 200, True, 1000)
    early = call.model_copy(update={"path": Wishes(close_after=3, status=4001).on("/ws")})
    reply = await cast.call("cm-0", early)
    assert (reply.received_messages, reply.close_code, reply.trouble) == (3, 4001, None)


@pytest.mark.parametrize(
    ("wished", "headers", "status"),
    [
        (Wishes(), (("sec-websocket-version", "1"),), 400),
        (Wishes(status=503), (), 503),
        (Wishes(status=302), (), 302),
        (Wishes(fail_until=1, id="upgrade"), (), 503),
    ],
    ids=["wrong version", "asked to fail", "redirected", "failing once"],
)
async def test_an_upgrade_that_is_not_granted_is_an_answer(
    cast: Cast, server: Played, wished: Wishes, headers: tuple[tuple[str, str], ...], status: int
) -> None:
    call = Call(target=server.at(Port.WEBSOCKET), protocol=Protocol.WEBSOCKET, path=wished.on("/ws"), headers=headers)
    reply = await cast.call("cm-0", call)
    assert (reply.status, reply.trouble, reply.close_code) == (status, None, None)


async def test_bytes_come_back_as_they_were_sent(cast: Cast, server: Played) -> None:
    for port in (Port.TCP, Port.SERVER_FIRST, Port.TLS):
        protocol, conversation = NATIVE[port]
        call = Call(
            target=server.at(port), protocol=protocol, conversation=conversation, messages=3, body_bytes=300_000
        )
        reply = await cast.call("cm-0", call)
        assert (reply.digest_ok, reply.received_messages, reply.received_bytes) == (True, 3, 900_000)


async def test_the_certificate_of_the_server_is_seen(cast: Cast, server: Played) -> None:
    call = Call(target=server.at(Port.TLS), protocol=Protocol.TLS, server_name="echo.invalid")
    reply = await cast.call("cm-0", call)
    assert (reply.certificate, reply.trouble) == ("sm-0", None)


@pytest.mark.parametrize(
    ("port", "protocol", "trouble"),
    [
        (Port.TCP, Protocol.HTTP1, Trouble.BAD_PROTOCOL),
        (Port.HTTP, Protocol.HTTP2, Trouble.BAD_PROTOCOL),
        (Port.HTTP, Protocol.GRPC, Trouble.BAD_PROTOCOL),
        (Port.SERVER_FIRST, Protocol.TLS, Trouble.BAD_TLS),
    ],
)
async def test_a_wrong_protocol_is_noticed(
    cast: Cast, server: Played, port: Port, protocol: Protocol, trouble: Trouble
) -> None:
    reply = await cast.call("cm-0", Call(target=server.at(port), protocol=protocol, timeout_seconds=5))
    assert reply.trouble is trouble, reply.message


@asynccontextmanager
async def answering(reply: bytes, *, reset: bool) -> AsyncIterator[Target]:
    """A server that answers whatever it hears in one way, and then closes or resets the connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(reply)
        if reset:
            lingering = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
        writer.close()

    address = loopback_address()
    server = await asyncio.start_server(answer, address, 0)
    async with server:
        yield Target(host=address, port=server.sockets[0].getsockname()[1])


EVERY_PROTOCOL = [each for each in Protocol if each is not Protocol.TLS]


@pytest.mark.parametrize("protocol", EVERY_PROTOCOL, ids=str)
async def test_a_reset_is_no_close(cast: Cast, protocol: Protocol) -> None:
    async with answering(b"", reset=True) as target:
        replies = await cast.calls("cm-0", Call(target=target, protocol=protocol, times=2))
    assert [reply.trouble for reply in replies] == [Trouble.RESET] * 2
    assert [reply.connection for reply in replies] == [1, 2]


@pytest.mark.parametrize("protocol", EVERY_PROTOCOL, ids=str)
async def test_what_is_no_answer_is_not_taken_for_one(cast: Cast, protocol: Protocol) -> None:
    async with answering(b"\x00\x01 what is this? \r\n\r\n" * 20, reset=False) as target:
        reply = await cast.call("cm-0", Call(target=target, protocol=protocol, timeout_seconds=5))
    # Bytes are an answer to bytes, but not the right one.
    troubles = (None,) if protocol is Protocol.TCP else (Trouble.BAD_PROTOCOL, Trouble.CLOSED, Trouble.RESET)
    assert reply.trouble in troubles
    assert (reply.echo, reply.digest_ok) == (None, False if protocol is Protocol.TCP else None)


async def test_a_place_that_no_way_leads_to_is_unreachable(cast: Cast) -> None:
    # From a loopback address no way leads out.
    reply = await cast.call("cm-0", Call(target=Target(host="192.0.2.1", port=80), timeout_seconds=5))
    assert reply.trouble is Trouble.UNREACHABLE


async def test_an_http_server_refuses_http2(cast: Cast, server: Played) -> None:
    reply = await cast.call("cm-0", Call(target=server.at(Port.H2C), protocol=Protocol.HTTP1))
    assert reply.trouble in (Trouble.BAD_PROTOCOL, Trouble.CLOSED)
