"""HTTP/2 in clear with prior knowledge as a client: calls share a connection as streams."""

import asyncio

from h2.events import DataReceived, Event, ResponseReceived, TrailersReceived

from services.conformance.core.orders import Call, Reply
from services.conformance.exerciser.calling.sight import Body, Means, Sight, seen
from services.conformance.exerciser.calling.streams import RawHeaders, Stream, Streams
from services.conformance.exerciser.http2_line import plain, pseudo
from services.conformance.exerciser.serving.echoing import filling


class Http2Caller:
    """Calls, also many at once; on one connection where that is wanted."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._streams = Streams(means)

    async def call(self) -> Reply:
        """Make one call."""
        reply = await seen(self._means, self._call)
        if not self._means.call.keep:
            await self.close()
        return reply

    async def close(self) -> None:
        """Close every connection."""
        await self._streams.close()

    async def _call(self, sight: Sight) -> None:
        size = self._means.call.body_bytes
        stream = await self._streams.open(self._headers(), end=not size)
        sight.connection = stream.connection
        sending, whole = asyncio.create_task(self._send(stream)), False
        try:
            body = Body(sight)
            while (event := await stream.event()) is not None:
                note(event, sight, body)
            body.end(size)
            whole = sending.done() and not sending.cancelled() and sending.exception() is None
        finally:
            sending.cancel()
            await asyncio.wait([sending])
            if not sending.cancelled():
                # A server that has answered need not read the rest: that is no trouble of its own.
                sending.exception()
            await stream.leave(reset=not whole)

    async def _send(self, stream: Stream) -> None:
        await stream.line.flush()
        if self._means.call.body_bytes:
            for piece in filling(self._means.call.body_bytes):
                await stream.line.body(stream.number, piece)
            await stream.line.end(stream.number)

    def _headers(self) -> RawHeaders:
        call = self._means.one()
        headers = [
            (b":method", call.method.encode()),
            (b":scheme", b"http"),
            (b":authority", self._means.authority.encode()),
            (b":path", (call.path or "/").encode()),
            (b"user-agent", b"linkerd-steward-exerciser"),
        ]
        if call.body_bytes:
            headers.append((b"content-length", b"%d" % call.body_bytes))
        return headers + given(call)


def given(call: Call) -> RawHeaders:
    """The headers that the order asks for."""
    return [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in call.headers]


def note(event: Event, sight: Sight, body: Body) -> None:
    """Take note of a part of an answer."""
    if isinstance(event, ResponseReceived):
        sight.answered()
        sight.status, sight.http_version = int(pseudo(event.headers).get(":status", "0")), "2"
        sight.headers = plain(event.headers)
    elif isinstance(event, TrailersReceived):
        sight.trailers = plain(event.headers)
    elif isinstance(event, DataReceived):
        body.add(event.data or b"")
