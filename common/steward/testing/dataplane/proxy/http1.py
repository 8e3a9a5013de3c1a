"""HTTP/1.1 on a stream, both roles: keep-alive, chunks and trailers, upgrades, 100-continue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Literal

import h11

from steward.testing.dataplane.proxy.exchange import Body, Handler, Headers, Request, Response, header, without
from steward.testing.dataplane.proxy.failures import ConnectionClosed, ExchangeFailed
from steward.testing.dataplane.proxy.stream import Stream, copy_both_ways

_HOP = ("connection", "keep-alive", "proxy-connection")
_BODILESS = frozenset({204, 304})
_HEAD_LONGEST = 128 * 1024
Pairs = list[tuple[bytes, bytes]]


class _Wire:
    """h11 on a stream."""

    def __init__(self, stream: Stream, role: Literal["client", "server"]) -> None:
        self.stream = stream
        our_role = h11.CLIENT if role == "client" else h11.SERVER
        self.h11 = h11.Connection(our_role, max_incomplete_event_size=_HEAD_LONGEST)

    async def next(self) -> h11.Event:
        while True:
            try:
                event = self.h11.next_event()
            except h11.RemoteProtocolError as error:
                raise ConnectionClosed(f"{self.stream.peer} broke HTTP/1.1: {error}") from error
            if event is h11.NEED_DATA:
                await self._invite()
                self.h11.receive_data(await self.stream.read())
                continue
            if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
                raise ConnectionClosed(f"{self.stream.peer} closed in the midst of HTTP/1.1")
            return event

    async def send(self, event: h11.Event) -> None:
        try:
            content = self.h11.send(event)
        except h11.LocalProtocolError as error:
            raise ConnectionClosed(
                f"no such message fits on the connection with {self.stream.peer}: {error}"
            ) from error
        if content:
            await self.stream.send(content)

    async def send_body(self, body: Body, *, trailers: bool) -> None:
        async for chunk in body:
            await self.send(h11.Data(data=chunk))
        await self.send(h11.EndOfMessage(headers=_pairs(body.trailers) if trailers else []))

    async def _invite(self) -> None:
        if self.h11.our_role is h11.SERVER and self.h11.they_are_waiting_for_100_continue:
            await self.send(h11.InformationalResponse(status_code=100, headers=[]))


class _Incoming(AsyncIterator[bytes]):
    """The body of a message that arrives; `complete` is set when its end was seen."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self._first = b""
        self.trailers: Headers = ()
        self.complete = asyncio.Event()

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        if self.complete.is_set():
            raise StopAsyncIteration
        chunk = self._taken(await self._wire.next())
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Without its end nothing else can follow on this connection."""
        if not self.complete.is_set():
            self._wire.stream.abort()
            self.complete.set()

    def body(self) -> Body:
        """No body at all where the framing says so: then its end is at hand without another read."""
        with suppress(h11.RemoteProtocolError):
            event = self._wire.h11.next_event()
            if isinstance(event, h11.Event):
                self._first = self._taken(event) or b""
        return Body() if self.complete.is_set() else Body(self, lambda: self.trailers)

    def _taken(self, event: h11.Event) -> bytes | None:
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            self.trailers = _headers(event.headers)
            self.complete.set()
            return None
        raise ConnectionClosed(f"{self._wire.stream.peer} sent {type(event).__name__} within a body")


async def serve_http1(stream: Stream, handler: Handler) -> None:
    """Answer one request after the other until either side closes."""
    wire = _Wire(stream, "server")
    try:
        while await _one_exchange(wire, handler):
            wire.h11.start_next_cycle()
    except ConnectionError:
        stream.abort()
    finally:
        stream.close()


async def _one_exchange(wire: _Wire, handler: Handler) -> bool:
    """Whether another request may follow."""
    try:
        event = await wire.next()
    except ConnectionClosed:
        return False
    if not isinstance(event, h11.Request):
        return False
    incoming = _Incoming(wire)
    request = _request(event, incoming)
    answering = asyncio.ensure_future(_answer(wire, handler, request))
    leaving = asyncio.ensure_future(_client_leaves(wire.stream, incoming.complete))
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            return False
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)
    upgraded = answering.result()
    if upgraded is not None:
        wire.stream.unread(wire.h11.trailing_data[0])
        with suppress(ExchangeFailed):
            await copy_both_ways(wire.stream, upgraded)
        return False
    return wire.h11.our_state is h11.DONE and wire.h11.their_state is h11.DONE


async def _answer(wire: _Wire, handler: Handler, request: Request) -> Stream | None:
    """The stream to splice with, if the answer was a change of protocol."""
    response = await handler(request)
    try:
        if response.upgrade is not None:
            await wire.send(h11.InformationalResponse(status_code=101, headers=_pairs(response.headers)))
            return response.upgrade
        headers = _response_headers(request, response)
        await wire.send(h11.Response(status_code=response.status, headers=headers))
        await wire.send_body(response.body, trailers=not header(response.headers, "content-length"))
    finally:
        if response.upgrade is None:
            await response.body.close()
    return None


async def _client_leaves(stream: Stream, after: asyncio.Event) -> None:
    """Return when the client closed while it waited for its answer."""
    await after.wait()
    with suppress(ConnectionClosed):
        if await stream.peek():
            await asyncio.Event().wait()


class Http1Client:
    """A connection to a server, one exchange at a time."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._wire = _Wire(stream, "client")
        self._busy = False
        self._closed = False
        self._watch: asyncio.Task[None] | None = None
        self._upload: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether a request can be sent at once."""
        return not self._busy and not self._closed

    @property
    def closed(self) -> bool:
        """Whether no request can be sent any more."""
        return self._closed

    async def send(self, request: Request) -> Response:
        """Return when the head of the response is there; its body keeps the connection busy."""
        self._busy = True
        await self._rest()
        try:
            return await self._exchange(request)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection up, whatever is going on."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        if self._upload is not None:
            self._upload.cancel()
        self._stream.close()

    async def _exchange(self, request: Request) -> Response:
        headers = _request_headers(request)
        await self._wire.send(h11.Request(method=request.method, target=request.path, headers=headers))
        self._upload = asyncio.ensure_future(self._send_body(request))
        event = await self._wire.next()
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            event = await self._wire.next()
        if isinstance(event, h11.InformationalResponse):
            self._closed = True
            self._stream.unread(self._wire.h11.trailing_data[0])
            return Response(101, _headers(event.headers), upgrade=self._stream)
        if not isinstance(event, h11.Response):
            raise ConnectionClosed(f"{self._stream.peer} sent {type(event).__name__} instead of a response")
        incoming = _Incoming(self._wire)
        body = incoming.body()
        response = Response(event.status_code, without(_headers(event.headers), _HOP))
        if body.empty:
            self.finished()
            return response
        return Response(response.status, response.headers, Body(_Held(incoming, self), lambda: incoming.trailers))

    async def _send_body(self, request: Request) -> None:
        # What went wrong shows when the response is read; one that came before all was sent is still good.
        with suppress(ConnectionError):
            await self._wire.send_body(request.body, trailers=not header(request.headers, "content-length"))

    def finished(self) -> None:
        """The response was taken whole: ready for the next request, if both sides wish so."""
        done = (h11.DONE, h11.DONE)
        if self._closed or (self._wire.h11.our_state, self._wire.h11.their_state) != done:
            self.close()
            return
        self._wire.h11.start_next_cycle()
        self._busy = False
        self._watch = asyncio.ensure_future(self._notice_the_end())

    async def _notice_the_end(self) -> None:
        """While idle, anything that arrives ends the connection."""
        with suppress(ExchangeFailed):
            await self._stream.peek()
        self._closed = True
        self._stream.close()

    async def _rest(self) -> None:
        """Let nobody else read."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        if self._closed:
            raise ConnectionClosed(f"{self._stream.peer} closed the idle connection")


class _Held(AsyncIterator[bytes]):
    """The body of a response, which gives its connection back at the end."""

    def __init__(self, incoming: _Incoming, connection: Http1Client) -> None:
        self._incoming = incoming
        self._connection = connection
        self._over = False

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._incoming)
        except StopAsyncIteration:
            if not self._over:
                self._over = True
                self._connection.finished()
            raise
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        if not self._over:
            self._over = True
            self._connection.close()


def _request(event: h11.Request, incoming: _Incoming) -> Request:
    headers = _headers(event.headers)
    hop = _HOP if not header(headers, "upgrade") else ("keep-alive", "proxy-connection")
    target = event.target.decode("latin-1")
    return Request(
        method=event.method.decode("ascii"),
        path=target,
        authority=header(headers, "host"),
        headers=without(headers, ("host", *hop)),
        body=incoming.body(),
    )


def _request_headers(request: Request) -> Pairs:
    headers: Headers = (("host", request.authority), *request.headers)
    framed = header(headers, "content-length") or header(headers, "transfer-encoding")
    if not request.body.empty and not framed:
        headers = (*headers, ("transfer-encoding", "chunked"))
    return _pairs(headers)


def _response_headers(request: Request, response: Response) -> Pairs:
    headers = without(response.headers, _HOP)
    unframed = not header(headers, "content-length") and not header(headers, "transfer-encoding")
    if response.body.empty and unframed and request.method != "HEAD" and response.status not in _BODILESS:
        headers = (*headers, ("content-length", "0"))
    return _pairs(headers)


def _headers(pairs: h11._headers.Headers | Pairs) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs)


def _pairs(headers: Headers) -> Pairs:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
