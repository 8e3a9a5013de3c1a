"""HTTP/1.1 as a client: plain requests, server-sent events, bodies of any size in both directions."""

import asyncio

import h11

from services.conformance.core.orders import Call, Headers, Protocol, Reply
from services.conformance.exerciser.calling.sight import Body, Means, Sight, seen
from services.conformance.exerciser.calling.trouble import BrokenOff
from services.conformance.exerciser.serving.echoing import filling
from services.conformance.exerciser.serving.http1 import LARGEST_HEAD
from services.conformance.exerciser.serving.listener import closed

_CHUNK = 65_536


class _Line:
    """One connection and where its conversation stands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number
        self.state = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)

    @property
    def usable(self) -> bool:
        """Whether another request may go over it: the server may have closed it while it was idle."""
        return self.state.our_state is h11.IDLE and not self.reader.at_eof() and not self.writer.is_closing()

    async def send(self, event: h11.Event) -> None:
        data = self.state.send(event)
        if data:
            self.writer.write(data)
            await self.writer.drain()

    async def next(self) -> h11.Event | type[h11.PAUSED] | type[h11.NEED_DATA]:
        while (event := self.state.next_event()) is h11.NEED_DATA:
            data = await self.reader.read(_CHUNK)
            if not data and self.state.their_state in (h11.SEND_RESPONSE, h11.IDLE):
                raise BrokenOff("the connection was closed without an answer")
            self.state.receive_data(data)
            if not data:
                return self._last()
        return event

    def _last(self) -> h11.Event | type[h11.PAUSED] | type[h11.NEED_DATA]:
        """What the end of the connection means: of a body without a length, its end."""
        try:
            return self.state.next_event()
        except h11.RemoteProtocolError as error:
            raise BrokenOff(f"the answer breaks off: {error}") from None


class Http1Caller:
    """Calls one after another, on one connection where that is wanted."""

    def __init__(self, means: Means, *, keep: int = 0) -> None:
        self._means = means
        self._line: _Line | None = None
        self._keep = keep
        self.text = ""

    async def call(self) -> Reply:
        """Make one call."""
        reply = await seen(self._means, self._call)
        if self._line is not None and (reply.trouble is not None or not self._means.call.keep):
            await self.close()
        return reply

    async def close(self) -> None:
        """Close the connection."""
        line, self._line = self._line, None
        if line is not None:
            await closed(line.writer)

    async def _call(self, sight: Sight) -> None:
        line = await self._connected()
        sight.connection = line.number
        call = self._means.one()
        await line.send(h11.Request(method=call.method, target=call.path or "/", headers=self._headers(call)))
        sending = asyncio.create_task(_send(line, call.body_bytes))
        try:
            # Read while sending: a server may answer before it has read everything, and then reads no more.
            await self._receive(line, sight)
        finally:
            sending.cancel()
            await asyncio.wait([sending])
            # A server that has answered need not read the rest: that is no trouble of its own.
            failed = sending.cancelled() or sending.exception()
        if failed:
            line.state.send_failed()
        if line.state.our_state is h11.DONE and line.state.their_state is h11.DONE:
            line.state.start_next_cycle()

    async def _connected(self) -> _Line:
        if self._line is not None and not self._line.usable:
            await self.close()
        if self._line is None:
            reader, writer = await self._means.dialler.open(self._means.call.target)
            self._line = _Line(reader, writer, next(self._means.numbers))
        return self._line

    def _headers(self, call: Call) -> list[tuple[bytes, bytes]]:
        given = [(name.encode(), value.encode("latin-1", "replace")) for name, value in call.headers]
        named = {name.lower() for name, _ in given}
        usual = [(b"host", self._means.authority.encode()), (b"user-agent", b"linkerd-steward-exerciser")]
        if call.protocol is Protocol.SSE:
            usual.append((b"accept", b"text/event-stream"))
        if call.body_bytes:
            usual.append((b"content-length", b"%d" % call.body_bytes))
        return [pair for pair in usual if pair[0] not in named] + given

    async def _receive(self, line: _Line, sight: Sight) -> None:
        events = self._means.call.protocol is Protocol.SSE
        body = Body(sight, events=events, keep=self._keep)
        while True:
            event = await line.next()
            if isinstance(event, h11.Response):
                sight.status, sight.headers = event.status_code, texts(event.headers)
                sight.http_version = event.http_version.decode()
                if not events:
                    sight.answered()
            elif isinstance(event, h11.Data):
                body.add(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                sight.trailers = texts(event.headers)
                break
            elif not isinstance(event, h11.InformationalResponse):
                raise BrokenOff("the connection was closed without an answer")
        self.text = body.text if self._keep else ""
        body.end(self._means.call.body_bytes)


async def _send(line: _Line, size: int) -> None:
    for piece in filling(size):
        await line.send(h11.Data(data=piece))
    await line.send(h11.EndOfMessage())


def texts(headers: "h11._headers.Headers") -> Headers:
    """Headers as a report has them: lower case, repeated ones kept."""
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
