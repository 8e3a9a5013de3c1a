"""HTTP on streams: what a handler sees and what comes back, over both versions, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from hyperframe.frame import GoAwayFrame

from steward.clock import SystemClock
from steward.testing.dataplane.proxy.exchange import Body, Handler, Request, Response, Version, header
from steward.testing.dataplane.proxy.failures import ConnectionClosed, ExchangeFailed, GoAway, StreamReset
from steward.testing.dataplane.proxy.http_client import HttpConnection, connect_http
from steward.testing.dataplane.proxy.http_server import serve_http
from steward.testing.dataplane.proxy.stream import Stream, open_stream
from tests.common.testing.dataplane.proxy.loopback import listening

BOTH = pytest.mark.parametrize("version", list(Version), ids=["http1", "http2"])
LARGE = bytes(range(256)) * 8192


@asynccontextmanager
async def connected(handler: Handler, version: Version) -> AsyncIterator[HttpConnection]:
    async def accept(stream: Stream) -> None:
        await serve_http(stream, handler, version)

    async with listening(accept) as port:
        connection = connect_http(await open_stream("127.0.0.1", port), version)
        try:
            yield connection
        finally:
            connection.close()


async def echo(request: Request) -> Response:
    body = await request.body.read()
    told = (("x-method", request.method), ("x-path", request.path), ("x-authority", request.authority))
    return Response(200, told, Body.of(body, request.body.trailers))


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@BOTH
async def test_a_request_without_body_is_answered(version: Version) -> None:
    async with connected(echo, version) as connection:
        response = await connection.send(Request("GET", "/a?b=c", "there:80", version=version))
        assert response.status == 200
        assert header(response.headers, "x-path") == "/a?b=c"
        assert header(response.headers, "x-authority") == "there:80"
        assert await response.body.read() == b""
        assert connection.ready


@BOTH
async def test_large_bodies_go_both_ways_while_they_are_made(version: Version) -> None:
    async def mirror(request: Request) -> Response:
        return Response(200, (), request.body)

    async with connected(mirror, version) as connection:
        body = Body(pieces(*[LARGE[at : at + 50_000] for at in range(0, len(LARGE), 50_000)]))
        response = await connection.send(Request("POST", "/", "there", body=body, version=version))
        assert await response.body.read() == LARGE


@BOTH
async def test_one_connection_serves_one_request_after_the_other(version: Version) -> None:
    async with connected(echo, version) as connection:
        for word in (b"one", b"two", b"three"):
            response = await connection.send(Request("POST", "/", "there", body=Body.of(word), version=version))
            assert await response.body.read() == word


@BOTH
async def test_trailers_follow_the_body_both_ways(version: Version) -> None:
    async with connected(echo, version) as connection:
        body = Body(pieces(b"x"), lambda: (("x-sum", "1"),))
        response = await connection.send(Request("POST", "/", "there", body=body, version=version))
        assert await response.body.read() == b"x"
        assert response.body.trailers == (("x-sum", "1"),)


@BOTH
async def test_a_head_request_has_no_body_but_its_length(version: Version) -> None:
    async def head(_: Request) -> Response:
        return Response(200, (("content-length", "12"),))

    async with connected(head, version) as connection:
        response = await connection.send(Request("HEAD", "/", "there", version=version))
        assert header(response.headers, "content-length") == "12"
        assert await response.body.read() == b""
        assert connection.ready


@BOTH
@pytest.mark.parametrize("status", [204, 304])
async def test_answers_that_have_no_body_have_none(version: Version, status: int) -> None:
    async def empty(_: Request) -> Response:
        return Response(status)

    async with connected(empty, version) as connection:
        for _ in range(2):
            response = await connection.send(Request("GET", "/", "there", version=version))
            assert (response.status, await response.body.read()) == (status, b"")


@BOTH
async def test_chunks_arrive_before_the_last_one_is_made(version: Version) -> None:
    more = asyncio.Event()

    async def ticking() -> AsyncIterator[bytes]:
        yield b"first"
        await more.wait()
        yield b"last"

    async def stream(_: Request) -> Response:
        return Response(200, (("content-type", "text/event-stream"),), Body(ticking()))

    async with connected(stream, version) as connection:
        response = await connection.send(Request("GET", "/", "there", version=version))
        assert await anext(response.body) == b"first"
        more.set()
        assert await response.body.read() == b"last"


@BOTH
async def test_a_client_that_leaves_cancels_the_handler(version: Version) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def endless(_: Request) -> Response:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with connected(endless, version) as connection:
        sending = asyncio.ensure_future(connection.send(Request("GET", "/", "there", version=version)))
        await started.wait()
        sending.cancel()
        await cancelled.wait()


@BOTH
async def test_a_body_nobody_wants_any_more_stops_its_sender(version: Version) -> None:
    stopped = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            stopped.set()

    async def stream(_: Request) -> Response:
        return Response(200, (), Body(endless()))

    async with connected(stream, version) as connection:
        response = await connection.send(Request("GET", "/", "there", version=version))
        await anext(response.body)
        await response.body.close()
        await stopped.wait()


@BOTH
async def test_a_handler_that_fails_midway_does_not_look_like_an_end(version: Version) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionClosed("the other half is lost")

    async def half(_: Request) -> Response:
        return Response(200, (), Body(breaking()))

    async with connected(half, version) as connection:
        response = await connection.send(Request("GET", "/", "there", version=version))
        with pytest.raises(ExchangeFailed):
            await response.body.read()


async def test_an_upgrade_leaves_the_raw_connection_on_both_sides() -> None:
    async def upgrading(request: Request) -> Response:
        assert header(request.headers, "upgrade") == "loud"
        return Response(101, (("connection", "upgrade"), ("upgrade", "loud")), upgrade=await open_stream(*server))

    async def loud(stream: Stream) -> None:
        while word := await stream.read():
            await stream.send(word.upper())
        await stream.finish()

    async with listening(loud) as port:
        server = ("127.0.0.1", port)
        async with connected(upgrading, Version.HTTP1) as connection:
            wish = (("connection", "upgrade"), ("upgrade", "loud"))
            response = await connection.send(Request("GET", "/", "there", wish))
            assert response.status == 101
            assert response.upgrade is not None
            await response.upgrade.send(b"hear me")
            assert await response.upgrade.read() == b"HEAR ME"
            await response.upgrade.finish()
            assert await response.upgrade.read() == b""
            response.upgrade.close()


async def test_a_client_that_waits_for_continue_is_asked_to() -> None:
    async def accept(stream: Stream) -> None:
        await serve_http(stream, echo, Version.HTTP1)

    async with listening(accept) as port:
        stream = await open_stream("127.0.0.1", port)
        await stream.send(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert (await stream.read()).startswith(b"HTTP/1.1 100")
        await stream.send(b"ok")
        answer = b""
        while not answer.endswith(b"ok\r\n0\r\n\r\n"):
            answer += await stream.read()
        assert answer.startswith(b"HTTP/1.1 200")
        stream.close()


async def test_many_streams_share_a_connection_at_once() -> None:
    everybody = asyncio.Barrier(40)

    async def together(request: Request) -> Response:
        await everybody.wait()
        return Response(200, (), Body.of(request.path.encode()))

    async with connected(together, Version.HTTP2) as connection:
        asked = [connection.send(Request("GET", f"/{n}", "there", version=Version.HTTP2)) for n in range(40)]
        responses = await asyncio.gather(*asked)
        assert [await each.body.read() for each in responses] == [f"/{n}".encode() for n in range(40)]


async def test_a_reset_tells_its_code() -> None:
    async def refuse(_: Request) -> Response:
        raise StreamReset("come later", 7)

    async with connected(refuse, Version.HTTP2) as connection:
        with pytest.raises(StreamReset) as caught:
            await connection.send(Request("GET", "/", "there", version=Version.HTTP2))
        assert caught.value.code == 7


async def test_both_sides_of_a_stream_speak_in_turns() -> None:
    async def answering(request: Request) -> Response:
        async def words() -> AsyncIterator[bytes]:
            async for word in request.body:
                yield word.upper()

        return Response(200, (("content-type", "application/grpc"),), Body(words(), lambda: (("grpc-status", "0"),)))

    said: asyncio.Queue[bytes] = asyncio.Queue()

    async def talk() -> AsyncIterator[bytes]:
        while word := await said.get():
            yield word

    async with connected(answering, Version.HTTP2) as connection:
        response = await connection.send(Request("POST", "/s/m", "there", body=Body(talk()), version=Version.HTTP2))
        for word in (b"one", b"two"):
            said.put_nowait(word)
            assert await anext(response.body) == word.upper()
        said.put_nowait(b"")
        assert await response.body.read() == b""
        assert response.body.trailers == (("grpc-status", "0"),)


async def test_an_http1_request_travels_over_http2_and_is_one_again() -> None:
    seen: list[Version] = []

    async def note(request: Request) -> Response:
        seen.append(request.version)
        return await echo(request)

    async with connected(note, Version.HTTP2) as connection:
        response = await connection.send(Request("POST", "/", "there", body=Body.of(b"hello")))
        assert await response.body.read() == b"hello"
        assert seen == [Version.HTTP1]


async def test_a_connection_that_the_server_closed_while_idle_is_not_ready() -> None:
    async with connected(echo, Version.HTTP1) as connection:
        response = await connection.send(Request("GET", "/", "there", (("connection", "close"),)))
        assert await response.body.read() == b""
        assert connection.closed


async def test_what_is_under_way_goes_on_when_the_server_says_goodbye() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def serve(stream: Stream) -> None:
        server = H2Connection(H2Configuration(client_side=False))
        server.initiate_connection()
        while chunk := await stream.read():
            for event in server.receive_data(chunk):
                if isinstance(event, RequestReceived):
                    asked.set()
                    goodbye = GoAwayFrame(0, last_stream_id=event.stream_id, error_code=0)
                    await stream.send(server.data_to_send() + goodbye.serialize())
                    await gone.wait()
                    server.ping(b"12345678")
                    server.send_headers(event.stream_id, [(":status", "200")])
                    server.send_data(event.stream_id, b"at last", end_stream=True)
            await stream.send(server.data_to_send())

    async with listening(serve) as port:
        connection = connect_http(await open_stream("127.0.0.1", port), Version.HTTP2)
        asking = asyncio.create_task(connection.send(Request("GET", "/", "there", version=Version.HTTP2)))
        await asked.wait()
        while not connection.closed:
            await SystemClock().sleep(timedelta(milliseconds=1))
        gone.set()
        response = await asking
        assert await response.body.read() == b"at last"
        with pytest.raises(GoAway):
            await connection.send(Request("GET", "/", "there", version=Version.HTTP2))
        connection.close()
