"""Serving HTTP on a stream: `serve_http` answers requests with a handler until the connection ends."""

import asyncio

import h2.errors
import h2.events

from steward.testing.dataplane.proxy.exchange import Handler, Request, Response, Version, header, without
from steward.testing.dataplane.proxy.failures import ConnectionClosed, StreamReset
from steward.testing.dataplane.proxy.http1 import serve_http1
from steward.testing.dataplane.proxy.http2 import Exchange, Wire, clean, headers_of, pseudo
from steward.testing.dataplane.proxy.stream import Stream

ORIGINAL_PROTOCOL = "l5d-orig-proto"
"""With this header a proxy carries an HTTP/1.1 request over HTTP/2; the server side of `serve_http` undoes it."""


async def serve_http(stream: Stream, handler: Handler, version: Version) -> None:
    """Answer every request of the connection, many at once with HTTP/2. Closes the stream; never raises its failures.

    A client that leaves cancels its handlers. A handler that fails ends its exchange without a proper answer.
    """
    if version is Version.HTTP1:
        await serve_http1(stream, handler)
        return
    await _Http2Server(stream, handler).serve()


class _Http2Server(Wire):
    def __init__(self, stream: Stream, handler: Handler) -> None:
        super().__init__(stream, client=False)
        self._handler = handler
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        try:
            await self.run()
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def on(self, event: h2.events.Event) -> None:
        if not isinstance(event, h2.events.RequestReceived):
            super().on(event)
            return
        number = event.stream_id or 0
        exchange = self.exchanges[number] = Exchange(self, number)
        exchange.ended = event.stream_ended is not None
        self._tasks[number] = asyncio.ensure_future(self._answer(exchange, event))

    def on_reset(self, number: int, code: int) -> None:
        super().on_reset(number, code)
        if number in self._tasks:
            self._tasks[number].cancel()

    async def _answer(self, exchange: Exchange, event: h2.events.RequestReceived) -> None:
        try:
            await self._respond(exchange, await self._handler(_request(event, exchange)))
            if not exchange.ended:
                self.reset(exchange.number, h2.errors.ErrorCodes.NO_ERROR)
        except StreamReset as error:
            self.reset(exchange.number, error.code or h2.errors.ErrorCodes.INTERNAL_ERROR)
        except ConnectionError:
            self.reset(exchange.number, h2.errors.ErrorCodes.INTERNAL_ERROR)
        finally:
            self.exchanges.pop(exchange.number, None)
            self._tasks.pop(exchange.number, None)

    async def _respond(self, exchange: Exchange, response: Response) -> None:
        if response.upgrade is not None:
            response.upgrade.abort()
            raise ConnectionClosed("HTTP/2 has no upgrade")
        head = ((":status", str(response.status)), *clean(response.headers))
        try:
            await self.send_head(exchange.number, head, end=response.body.empty)
            if not response.body.empty:
                await self.send_body(exchange, response.body)
        finally:
            await response.body.close()


def _request(event: h2.events.RequestReceived, exchange: Exchange) -> Request:
    headers = headers_of(event.headers)
    original = header(headers, ORIGINAL_PROTOCOL)
    return Request(
        method=pseudo(event.headers, ":method"),
        path=pseudo(event.headers, ":path"),
        authority=pseudo(event.headers, ":authority") or header(headers, "host"),
        headers=without(headers, (ORIGINAL_PROTOCOL, "host")),
        body=exchange.body(),
        version=Version.HTTP1 if original else Version.HTTP2,
        scheme=pseudo(event.headers, ":scheme") or "http",
    )
