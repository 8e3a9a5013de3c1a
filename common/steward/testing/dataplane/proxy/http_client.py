"""Being a client of HTTP on a stream: `connect_http` gives a connection that takes requests."""

import asyncio
from contextlib import suppress
from typing import Protocol

import h2.errors
import h2.events
import h2.exceptions

from steward.testing.dataplane.proxy.exchange import Body, Headers, Request, Response, Version
from steward.testing.dataplane.proxy.failures import ExchangeFailed, GoAway
from steward.testing.dataplane.proxy.http1 import Http1Client
from steward.testing.dataplane.proxy.http2 import Exchange, Wire, clean, headers_of, pseudo
from steward.testing.dataplane.proxy.http_server import ORIGINAL_PROTOCOL
from steward.testing.dataplane.proxy.stream import Stream


class HttpConnection(Protocol):
    """A connection to an HTTP server."""

    @property
    def ready(self) -> bool:
        """Whether a request can be sent at once."""
        ...

    @property
    def closed(self) -> bool:
        """Whether no request can be sent any more."""
        ...

    async def send(self, request: Request) -> Response:
        """Return the response as soon as its head is there; raises a kind of `failures.ExchangeFailed`."""
        ...

    def close(self) -> None:
        """Give the connection up, whatever is going on."""
        ...


def connect_http(stream: Stream, version: Version) -> HttpConnection:
    """Speak HTTP on a stream. With HTTP/2, requests of HTTP/1.1 are carried as those of a proxy."""
    return Http1Client(stream) if version is Version.HTTP1 else _Http2Client(stream)


class _Http2Client(Wire):
    def __init__(self, stream: Stream) -> None:
        super().__init__(stream, client=True)
        self._reading = asyncio.ensure_future(self.run())
        self._uploads: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        return not self.leaving and len(self.exchanges) < self.h2.remote_settings.max_concurrent_streams

    @property
    def closed(self) -> bool:
        return self.leaving

    def on(self, event: h2.events.Event) -> None:
        if not isinstance(event, h2.events.ResponseReceived):
            super().on(event)
            return
        exchange = self.exchanges.get(event.stream_id or 0)
        if exchange is not None and not exchange.head.done():
            exchange.ended = event.stream_ended is not None
            exchange.head.set_result(((":status", pseudo(event.headers, ":status")), *headers_of(event.headers)))

    async def send(self, request: Request) -> Response:
        if self.leaving:
            raise GoAway(f"the connection with {self.stream.peer} is closing")
        try:
            number = self.h2.get_next_available_stream_id()
        except h2.exceptions.ProtocolError as error:
            self.leaving = True
            raise GoAway(f"the connection with {self.stream.peer} is used up") from error
        exchange = self.exchanges[number] = Exchange(self, number)
        try:
            await self.send_head(number, _head(request), end=request.body.empty)
            if not request.body.empty:
                self._upload(exchange, request.body)
            head = await exchange.head
        except BaseException:
            self._forget(exchange)
            raise
        body = exchange.body()
        if body.empty:
            self._forget(exchange)
            return Response(int(head[0][1]), head[1:])
        return Response(int(head[0][1]), head[1:], Body(_Held(exchange, self), lambda: exchange.trailers))

    def close(self) -> None:
        self.goodbye()
        self._reading.cancel()
        for upload in self._uploads:
            upload.cancel()
        self.stream.close()

    def _upload(self, exchange: Exchange, body: Body) -> None:
        upload = asyncio.ensure_future(self._send(exchange, body))
        self._uploads.add(upload)
        upload.add_done_callback(self._uploads.discard)

    async def _send(self, exchange: Exchange, body: Body) -> None:
        # An upload that fails resets its stream; the one who waits for the response learns it there.
        try:
            await self.send_body(exchange, body)
        except ExchangeFailed as failure:
            if exchange.failure is None and not exchange.ended:
                exchange.fail(failure)
                self.reset(exchange.number, h2.errors.ErrorCodes.CANCEL)

    def _forget(self, exchange: Exchange) -> None:
        if self.exchanges.pop(exchange.number, None) is not None and not exchange.ended and exchange.failure is None:
            self.reset(exchange.number, h2.errors.ErrorCodes.CANCEL)

    def over(self, exchange: Exchange) -> None:
        """Its body was taken, or is not wanted."""
        self._forget(exchange)


class _Held:
    """The body of a response, which ends its exchange at the end."""

    def __init__(self, exchange: Exchange, connection: _Http2Client) -> None:
        self._exchange = exchange
        self._connection = connection

    def __aiter__(self) -> "_Held":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._exchange)
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self._connection.over(self._exchange)
            raise

    async def aclose(self) -> None:
        with suppress(ConnectionError):
            self._connection.over(self._exchange)


def _head(request: Request) -> Headers:
    head: Headers = (
        (":method", request.method),
        (":scheme", request.scheme),
        (":authority", request.authority),
        (":path", request.path),
    )
    if request.version is Version.HTTP1:
        head = (*head, (ORIGINAL_PROTOCOL, request.version.value))
    return (*head, *clean(request.headers))
